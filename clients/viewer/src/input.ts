/** Pointer and keyboard on the picture: hover, select, drag a node, steer the camera. */

import { Drag } from "./drag.js";
import type { View } from "./scene/view.js";

const SLACK_MOUSE_PX = 4;
const SLACK_TOUCH_PX = 14;
/** Movement below which a press is a click. */
const CLICK_PX = 4;

export interface InputHost {
  view: View;
  idOf(node: number): number;
  pinning(): boolean;
  send(message: object): void;
  hover(node: number, x: number, y: number): void;
  select(node: number): void;
  /** A node was let go to stay where it is. */
  pinned(node: number): void;
}

export class Input {
  hovered = -1;
  private pressed: { node: number; x: number; y: number; pointer: number } | null = null;
  private drag: Drag | null = null;
  /** Where the node was taken hold of, relative to its centre, in CSS pixels. */
  private grip: [number, number] = [0, 0];
  private anchor: [number, number, number] = [0, 0, 0];
  private pointer: { x: number; y: number } | null = null;

  constructor(private readonly host: InputHost) {
    const { canvas } = host.view;
    // Capture: a press on a node must be taken before the camera controls see it.
    canvas.addEventListener("pointerdown", (event) => this.down(event), { capture: true });
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", (event) => this.up(event));
    canvas.addEventListener("pointercancel", (event) => this.up(event));
    canvas.addEventListener("pointerleave", () => { this.pointer = null; });
  }

  dragging(): number {
    return this.drag !== null ? this.pressed?.node ?? -1 : -1;
  }

  /** Once for each picture: nodes move under a pointer that rests. */
  refresh(): void {
    const dragged = this.dragging();
    if (dragged >= 0) return this.setHovered(dragged);
    if (this.pressed !== null) return;
    this.setHovered(this.pointer ? this.host.view.pickAt(this.pointer.x, this.pointer.y, SLACK_MOUSE_PX) : -1);
  }

  /** Forgets everything that names a node: another graph has come. */
  reset(): void {
    this.drag?.end(false);
    this.drag = null;
    this.pressed = null;
    this.host.view.controls.enabled = true;
    this.host.view.canvas.classList.remove("held");
    this.setHovered(-1);
  }

  private setHovered(node: number): void {
    this.hovered = node;
    this.host.view.canvas.classList.toggle("over", node >= 0);
    this.host.hover(node, this.pointer?.x ?? 0, this.pointer?.y ?? 0);
  }

  private down(event: PointerEvent): void {
    if (event.button !== 0 || !event.isPrimary) return;
    const { view } = this.host;
    const slack = event.pointerType === "mouse" ? SLACK_MOUSE_PX : SLACK_TOUCH_PX;
    const node = view.pickAt(event.clientX, event.clientY, slack);
    this.pressed = { node, x: event.clientX, y: event.clientY, pointer: event.pointerId };
    if (node < 0) return;
    view.controls.enabled = false;
    view.canvas.setPointerCapture(event.pointerId);
  }

  private move(event: PointerEvent): void {
    this.pointer = { x: event.clientX, y: event.clientY };
    const { pressed } = this;
    this.host.view.touch();
    if (pressed === null || pressed.node < 0 || event.pointerId !== pressed.pointer) return;
    if (this.drag === null) {
      if (Math.hypot(event.clientX - pressed.x, event.clientY - pressed.y) < CLICK_PX) return;
      this.take(pressed.node, pressed.x, pressed.y);
    }
    this.drag?.move(this.placeAt(event.clientX, event.clientY));
  }

  private take(node: number, x: number, y: number): void {
    const { view } = this.host;
    const screen = view.screenPositions();
    this.anchor = view.positionOf(node);
    this.grip = [x - screen[node * 4]!, y - screen[node * 4 + 1]!];
    view.canvas.classList.add("held");
    view.following = false;
    this.drag = new Drag({
      now: () => performance.now(),
      timer: (ms, run) => {
        const timer = setTimeout(run, ms);
        return () => clearTimeout(timer);
      },
      send: (message) => this.host.send(message),
    }, this.host.idOf(node), this.placeAt(x, y));
  }

  private placeAt(x: number, y: number): [number, number, number] {
    const limit = (value: number) => Math.max(-10_000, Math.min(10_000, value));
    const [px, py, pz] = this.host.view.unproject(x - this.grip[0], y - this.grip[1], this.anchor);
    return [limit(px), limit(py), limit(pz)];
  }

  private up(event: PointerEvent): void {
    const { pressed } = this;
    if (pressed === null || event.pointerId !== pressed.pointer) return;
    this.pressed = null;
    this.host.view.controls.enabled = true;
    this.host.view.canvas.classList.remove("held");
    const still = Math.hypot(event.clientX - pressed.x, event.clientY - pressed.y) < CLICK_PX;
    if (this.drag !== null) {
      const pin = event.shiftKey || this.host.pinning();
      this.drag.end(pin);
      this.drag = null;
      // Let go without a pin, it is as it was before: one that was pinned still is.
      if (pin) this.host.pinned(pressed.node);
    } else if (still && event.type === "pointerup") this.host.select(pressed.node);
    if (event.pointerType !== "mouse") this.pointer = null;
  }
}

export interface Keys {
  fit(): void;
  search(): void;
  escape(): void;
  toggle(name: "pin" | "names" | "lines" | "turn"): void;
}

const TURN = 0.09;
const PAN = 0.05;
const ZOOM = 1.12;

/** Keys anywhere on the page, except while typing and with a modifier that belongs to the browser. */
export function listenToKeys(view: View, keys: Keys): void {
  window.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement) return;
    const shift = event.shiftKey;
    const arrows: Record<string, [number, number]> = {
      ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1],
    };
    const arrow = arrows[event.key];
    if (arrow !== undefined) {
      const [x, y] = arrow;
      if (shift || !view.controls.enableRotate) view.steer(0, 0, x * PAN, y * PAN, 1);
      else view.steer(-x * TURN, -y * TURN, 0, 0, 1);
    } else if (event.key === "+" || event.key === "=") view.steer(0, 0, 0, 0, 1 / ZOOM);
    else if (event.key === "-") view.steer(0, 0, 0, 0, ZOOM);
    else if (event.key === "f" || event.key === "F") keys.fit();
    else if (event.key === "/") keys.search();
    else if (event.key === "Escape") keys.escape();
    else if (event.key === "p") keys.toggle("pin");
    else if (event.key === "l") keys.toggle("names");
    else if (event.key === "e") keys.toggle("lines");
    else if (event.key === "r") keys.toggle("turn");
    else return;
    event.preventDefault();
  });
}
