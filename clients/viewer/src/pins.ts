/** Keeps pinned nodes where they are: what a coded position wavers by, within a quantum, is no movement. Pure. */

import { STRIDE } from "./protocol.js";

export class Pins {
  private readonly held = new Map<number, [number, number, number] | null>();

  set(node: number, pinned: boolean): void {
    if (!pinned) this.held.delete(node);
    else if (!this.held.has(node)) this.held.set(node, null);
  }

  clear(): void {
    this.held.clear();
  }

  /** Puts pinned nodes back that are no more than `slack` from where they were on any axis; others have been moved. */
  hold(positions: Float32Array, slack: number): void {
    for (const [node, at] of this.held) {
      const place = node * STRIDE;
      const now: [number, number, number] = [positions[place] ?? 0, positions[place + 1] ?? 0, positions[place + 2] ?? 0];
      if (at !== null && at.every((value, axis) => Math.abs(value - now[axis]!) <= slack)) positions.set(at, place);
      else this.held.set(node, now);
    }
  }
}
