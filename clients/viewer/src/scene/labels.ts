/**
 * Names over the picture: the largest and nearest nodes, as many as fit without overlap.
 *
 * Which ones are shown is decided a few times a second, with an edge for those that are shown already, so that
 * labels do not flicker; where they are is decided for each picture.
 */

import type { NodeInfo } from "../graph.js";
import { LabelMesh } from "./label-mesh.js";
import { SCREEN_STRIDE } from "./projection.js";

const CHOOSE_INTERVAL_MS = 180;
const CANDIDATES_MAX = 260;
const LABEL_CHARACTERS_MAX = 30;
const FADE_PER_SECOND = 6;
const LINE_PX = 15;
const GAP_PX = 3;

interface Shown {
  node: number;
  slot: number;
  width: number;
  alpha: number;
  wanted: boolean;
}

export interface LabelScene {
  nodes: NodeInfo[];
  /** As `View.screenPositions`. */
  screen: Float32Array;
  width: number;
  height: number;
  /** Nodes that get a label before all others: hovered, selected. */
  first: readonly number[];
  /** What is written at each node instead of its label; null where that is. */
  texts: readonly (string | null)[] | null;
  /** When a node is selected, its neighbours: the only other nodes that get labels. */
  only: ReadonlySet<number> | null;
}

export class Labels {
  enabled = true;
  readonly sprites = new LabelMesh();
  private shown = new Map<number, Shown>();
  private chosenAtMs = Number.NEGATIVE_INFINITY;
  private scores = new Float32Array(0);
  private boxes: number[] = [];

  clear(): void {
    this.shown.clear();
    this.sprites.releaseAll();
    this.chosenAtMs = Number.NEGATIVE_INFINITY;
  }

  count(): number {
    return this.shown.size;
  }

  resize(width: number, height: number, pixelRatio: number): void {
    this.sprites.resize(width, height, pixelRatio);
    this.clear();
  }

  /** Places the labels for the next picture; true while some are still fading. */
  place(scene: LabelScene, nowMs: number, elapsedMs: number): boolean {
    if (nowMs - this.chosenAtMs > CHOOSE_INTERVAL_MS) {
      this.chosenAtMs = nowMs;
      this.choose(scene);
    }
    const step = (elapsedMs / 1000) * FADE_PER_SECOND;
    let fading = false;
    this.sprites.begin();
    for (const label of this.shown.values()) {
      label.alpha = Math.max(0, Math.min(1, label.alpha + (label.wanted ? step : -step)));
      if (label.alpha === 0 && !label.wanted) {
        this.sprites.release(label.slot);
        this.shown.delete(label.node);
        continue;
      }
      if (label.alpha !== (label.wanted ? 1 : 0)) fading = true;
      const at = label.node * SCREEN_STRIDE;
      if (scene.screen[at + 2]! <= 0) continue;
      const strength = scene.first.includes(label.node) ? 1 : 0.86;
      this.sprites.put(label.slot, scene.screen[at]!, scene.screen[at + 1]! + scene.screen[at + 3]!, label.alpha * strength);
    }
    this.sprites.end();
    return fading;
  }

  private choose(scene: LabelScene): void {
    for (const label of this.shown.values()) label.wanted = false;
    this.boxes.length = 0;
    const budget = Math.round(Math.min(60, Math.max(12, (scene.width * scene.height) / 20_000)));
    let taken = 0;
    for (const node of scene.first) if (this.claim(node, scene, true)) taken += 1;
    if (!this.enabled) return;
    for (const node of this.candidates(scene)) {
      if (taken >= budget) break;
      if (!scene.first.includes(node) && this.claim(node, scene, false)) taken += 1;
    }
  }

  /** The most important nodes on the screen, best first. O(nodes) and a sort of numbers. */
  private candidates(scene: LabelScene): number[] {
    const count = scene.nodes.length;
    if (this.scores.length < count * 2) this.scores = new Float32Array(count * 2);
    const scores = this.scores.subarray(0, count);
    const sorted = this.scores.subarray(count, count * 2);
    for (let node = 0; node < count; node++) {
      const at = node * SCREEN_STRIDE;
      const x = scene.screen[at]!;
      const y = scene.screen[at + 1]!;
      const inside = scene.screen[at + 2]! > 0 && x > 0 && y > 0 && x < scene.width && y < scene.height;
      const allowed = inside && (scene.only === null || scene.only.has(node));
      scores[node] = allowed ? scene.screen[at + 3]! * (this.shown.has(node) ? 1.3 : 1) : 0;
    }
    sorted.set(scores);
    sorted.sort();
    const least = Math.max(sorted[Math.max(0, count - CANDIDATES_MAX)] ?? 0, 1e-6);
    const found: number[] = [];
    for (let node = 0; node < count && found.length < CANDIDATES_MAX * 2; node++) {
      if (scores[node]! >= least) found.push(node);
    }
    return found.sort((a, b) => scores[b]! - scores[a]!);
  }

  /** Claims room for the label of `node`; false when another one has it. */
  private claim(node: number, scene: LabelScene, force: boolean): boolean {
    const info = scene.nodes[node];
    if (info === undefined) return false;
    const label = this.shown.get(node);
    const text = shorten(scene.texts?.[node] ?? info.label);
    if (text === "") return false;
    const width = label?.width ?? this.sprites.measure(text);
    const at = node * SCREEN_STRIDE;
    const half = width / 2 + 5;
    const left = scene.screen[at]! - half;
    const right = scene.screen[at]! + half;
    const top = scene.screen[at + 1]! + scene.screen[at + 3]! + GAP_PX - 2;
    const bottom = top + LINE_PX + 2;
    if (!force && (left < 0 || right > scene.width || bottom > scene.height)) return false;
    for (let k = 0; k < this.boxes.length && !force; k += 4) {
      if (left < this.boxes[k + 1]! && right > this.boxes[k]! && top < this.boxes[k + 3]! && bottom > this.boxes[k + 2]!) return false;
    }
    const slot = label?.slot ?? this.sprites.write(text);
    if (slot < 0) return false;
    this.boxes.push(left, right, top, bottom);
    if (label !== undefined) label.wanted = true;
    else this.shown.set(node, { node, slot, width, alpha: 0, wanted: true });
    return true;
  }
}

function shorten(text: string): string {
  const characters = [...text];
  return characters.length <= LABEL_CHARACTERS_MAX ? text : `${characters.slice(0, LABEL_CHARACTERS_MAX - 1).join("")}…`;
}
