/**
 * Which part of the space the page asks the server for: what the camera sees, once that is a small part of the graph. Pure.
 *
 * The server resolves it to blocks when it is told, so it is told again when the camera has moved, and from time to time because
 * nodes move too.
 */

import { STRIDE } from "./protocol.js";

/** Fewer nodes are a few blocks, of which any view touches most. */
const NODES_MIN = 8_192;
/** A part is asked for when the picture shows less than the first share of the nodes, and all of them above the second. */
const SHARE_ENTER = 0.3;
const SHARE_LEAVE = 0.45;
const SPACING_MS = 300;
const AGAIN_MS = 2_000;
const SAMPLES_MAX = 4_096;
/** How far beyond the edges of the picture it reaches, in heights of the picture at the target. */
const MARGIN = 0.25;
/** Share of the margin that a plane may move before the server is told. */
const MOVED = 0.4;

/** `[a, b, c, d]` with a unit normal; inside is where a x + b y + c z + d >= 0. */
export type Plane = [number, number, number, number];

export interface Sight {
  /** Column-major 4 x 4, as three.js has them. */
  view: ArrayLike<number>;
  projection: ArrayLike<number>;
  /** World units from the eye to the target, and from the bottom to the top of the picture there. */
  distance: number;
  height: number;
}

export class Interest {
  private sent: Plane[] | null = null;
  private sentMs = Number.NEGATIVE_INFINITY;
  private lookedMs = Number.NEGATIVE_INFINITY;
  private first = "";

  /** Another graph or connection: nothing was told yet. */
  reset(): void {
    this.sent = null;
    this.first = "";
  }

  /** What to ask the server for now, if anything; `first` are ids whose blocks come before all others. */
  look(nowMs: number, positions: Float32Array, sight: Sight, first: readonly number[]): Record<string, unknown> | null {
    if (positions.length < NODES_MIN * STRIDE || nowMs - this.lookedMs < SPACING_MS) return null;
    this.lookedMs = nowMs;
    const margin = sight.height * MARGIN;
    const planes = sidesOf(sight, margin);
    const share = shareInside(positions, planes);
    if (share > (this.sent === null ? SHARE_ENTER : SHARE_LEAVE)) {
      if (this.sent === null) return null;
      this.reset();
      return { all: true };
    }
    const named = first.join();
    const moved = this.sent === null || planes.some((plane, k) => differ(plane, this.sent![k]!, sight.distance) > margin * MOVED);
    if (!moved && named === this.first && nowMs - this.sentMs < AGAIN_MS) return null;
    [this.sent, this.sentMs, this.first] = [planes, nowMs, named];
    return first.length > 0 ? { frustum: { planes }, priority: first } : { frustum: { planes } };
  }
}

/** Left, right, bottom and top of what is seen, moved outwards by `margin`. What lies behind the eye is outside of them. */
export function sidesOf({ view, projection }: Sight, margin: number): Plane[] {
  const row = (at: number): number[] => [0, 1, 2, 3].map((column) => {
    let sum = 0;
    for (let k = 0; k < 4; k++) sum += projection[4 * k + at]! * view[4 * column + k]!;
    return sum;
  });
  const [x, y, w] = [row(0), row(1), row(3)];
  return [[x, 1], [x, -1], [y, 1], [y, -1]].map(([side, sign]) => {
    const [a, b, c, d] = w.map((value, k) => value + (sign as number) * (side as number[])[k]!) as Plane;
    const length = Math.hypot(a, b, c) || 1;
    return [a / length, b / length, c / length, d / length + margin];
  });
}

function shareInside(positions: Float32Array, planes: readonly Plane[]): number {
  const nodes = positions.length / STRIDE;
  const step = Math.max(1, Math.floor(nodes / SAMPLES_MAX)) * STRIDE;
  let [inside, samples] = [0, 0];
  for (let at = 0; at < positions.length; at += step) {
    const [x, y, z] = [positions[at]!, positions[at + 1]!, positions[at + 2]!];
    samples += 1;
    inside += Number(planes.every(([a, b, c, d]) => a * x + b * y + c * z + d >= 0));
  }
  return inside / Math.max(samples, 1);
}

/** How far two planes are apart near the target, in world units, at most about. */
function differ(a: Plane, b: Plane, distance: number): number {
  return Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]) * distance + Math.abs(a[3] - b[3]);
}
