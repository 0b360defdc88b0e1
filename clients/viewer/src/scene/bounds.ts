/** How large the graph is and where, robust against a few nodes far out. Pure. */

import { STRIDE } from "../protocol.js";

const SAMPLES_MAX = 4_096;

export interface Bounds {
  centre: [number, number, number];
  /** World units around the centre that hold 98 of 100 nodes, and a little more. Never 0. */
  radius: number;
}

/** O(nodes up to 4,096); allocates two small arrays, so call it a few times a second, not each frame. */
export function boundsOf(positions: Float32Array): Bounds {
  const nodes = positions.length / STRIDE;
  const step = Math.max(1, Math.floor(nodes / SAMPLES_MAX));
  const centre: [number, number, number] = [0, 0, 0];
  let samples = 0;
  for (let node = 0; node < nodes; node += step) {
    for (let axis = 0; axis < 3; axis++) centre[axis]! += positions[node * STRIDE + axis]!;
    samples += 1;
  }
  if (samples === 0) return { centre, radius: 1 };
  for (let axis = 0; axis < 3; axis++) centre[axis]! /= samples;
  const away = new Float32Array(samples);
  for (let node = 0, k = 0; node < nodes; node += step, k++) {
    const at = node * STRIDE;
    away[k] = Math.hypot(positions[at]! - centre[0], positions[at + 1]! - centre[1], positions[at + 2]! - centre[2]);
  }
  away.sort();
  const radius = away[Math.min(samples - 1, Math.ceil(samples * 0.98))] ?? 1;
  return { centre, radius: Math.max(radius * 1.06, 1) };
}

/** Median length in world units of up to 2,048 edges; 1 when there are none. */
export function typicalEdgeLength(positions: Float32Array, edges: Uint32Array): number {
  const count = edges.length / 2;
  if (count === 0) return 1;
  const step = Math.max(1, Math.floor(count / 2_048));
  const lengths: number[] = [];
  for (let edge = 0; edge < count; edge += step) {
    const a = edges[edge * 2]! * STRIDE;
    const b = edges[edge * 2 + 1]! * STRIDE;
    lengths.push(Math.hypot(
      positions[a]! - positions[b]!, positions[a + 1]! - positions[b + 1]!, positions[a + 2]! - positions[b + 2]!,
    ));
  }
  lengths.sort((x, y) => x - y);
  return Math.max(lengths[lengths.length >> 1] ?? 1, 1e-3);
}
