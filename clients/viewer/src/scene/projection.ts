/** Nodes on the screen: where each is, how large, and which one is under a point. Pure but for its buffer. */

import { STRIDE } from "../protocol.js";

/** Floats for each node: x and y in CSS pixels, depth in world units (<= 0 when behind or left out), radius in CSS pixels. */
export const SCREEN_STRIDE = 4;

export interface Lens {
  /** View and projection in column-major order, and the size of the picture in CSS pixels. */
  view: ArrayLike<number>;
  projection: ArrayLike<number>;
  width: number;
  height: number;
  /** World units of radius 1. */
  unit: number;
}

/** Projects every node into `out`, `[nodes * SCREEN_STRIDE]`. O(nodes), no allocation. */
export function project(positions: Float32Array, radii: Float32Array, lens: Lens, out: Float32Array): void {
  const { view: v, projection: p, width, height } = lens;
  const scaleX = p[0]! * width / 2;
  const scaleY = p[5]! * height / 2;
  for (let k = 0, at = 0; k < radii.length; k++, at += STRIDE) {
    const x = positions[at]!;
    const y = positions[at + 1]!;
    const z = positions[at + 2]!;
    const depth = -(v[2]! * x + v[6]! * y + v[10]! * z + v[14]!);
    const over = 1 / Math.max(depth, 1e-3);
    out[at] = width / 2 + (v[0]! * x + v[4]! * y + v[8]! * z + v[12]!) * scaleX * over;
    out[at + 1] = height / 2 - (v[1]! * x + v[5]! * y + v[9]! * z + v[13]!) * scaleY * over;
    // What has no radius is left out of the picture: nobody finds it there.
    out[at + 2] = radii[k] === 0 ? -1 : depth;
    out[at + 3] = Math.min(80, Math.max(1.1, radii[k]! * lens.unit * scaleY * over));
  }
}

/** The nearest node whose disc, or `slack` pixels around it, holds the point; -1 for none. O(nodes). */
export function pick(screen: Float32Array, x: number, y: number, slack: number): number {
  let best = -1;
  let bestCost = Number.POSITIVE_INFINITY;
  for (let at = 0; at < screen.length; at += SCREEN_STRIDE) {
    const depth = screen[at + 2]!;
    if (depth <= 0) continue;
    const away = Math.hypot(screen[at]! - x, screen[at + 1]! - y);
    const outside = Math.max(0, away - screen[at + 3]!);
    if (outside > slack) continue;
    // Hitting a disc beats being near one; among discs that are hit the one in front wins.
    const cost = outside > 0 ? 1e9 + outside : depth;
    if (cost < bestCost) {
      bestCost = cost;
      best = at / SCREEN_STRIDE;
    }
  }
  return best;
}
