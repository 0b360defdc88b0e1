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

export interface Frame {
  centre: [number, number, number];
  /** World units from the centre to the eye. */
  distance: number;
}

/** Share of the picture that is left free on every side. */
const MARGIN = 0.09;

/**
 * Where a camera that looks as `camera` (its world matrix, column-major) has to stand so that 98 of 100 nodes are in
 * the picture. `tanX` and `tanY` are the tangents of half the angles of view. O(nodes up to 4,096).
 */
export function frameOf(positions: Float32Array, camera: ArrayLike<number>, tanX: number, tanY: number): Frame {
  const nodes = positions.length / STRIDE;
  const step = Math.max(1, Math.floor(nodes / SAMPLES_MAX));
  const samples = Math.ceil(nodes / step);
  if (samples === 0) return { centre: [0, 0, 0], distance: 10 };
  // Along the camera's right, up and back: the middle of each, then how far back the eye has to be for each node.
  const axes = [0, 4, 8].map((column) => {
    const along = new Float32Array(samples);
    for (let node = 0, k = 0; node < nodes; node += step, k++) {
      const at = node * STRIDE;
      along[k] = positions[at]! * camera[column]! + positions[at + 1]! * camera[column + 1]! + positions[at + 2]! * camera[column + 2]!;
    }
    return along;
  });
  const cut = Math.floor(samples * 0.01);
  const middles = axes.map((along) => {
    const sorted = along.slice().sort();
    return (sorted[cut]! + sorted[samples - 1 - cut]!) / 2;
  });
  const [right, up, back] = axes;
  const needed = new Float32Array(samples);
  for (let k = 0; k < samples; k++) {
    const across = Math.abs(right![k]! - middles[0]!) / tanX;
    const down = Math.abs(up![k]! - middles[1]!) / tanY;
    needed[k] = Math.max(across, down) / (1 - 2 * MARGIN) + back![k]! - middles[2]!;
  }
  needed.sort();
  const centre = [0, 1, 2].map((axis) => (
    middles[0]! * camera[axis]! + middles[1]! * camera[4 + axis]! + middles[2]! * camera[8 + axis]!
  )) as [number, number, number];
  return { centre, distance: Math.max(needed[samples - 1 - cut] ?? 1, 10) };
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
