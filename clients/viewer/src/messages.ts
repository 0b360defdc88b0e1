/** What crosses between the page and its worker. Buffers are moved, never copied. */

import type { State, Statistics } from "./connection.js";
import type { Graph } from "./graph.js";
import type { Columns } from "./wire/chain.js";

export type ToWorker =
  | { type: "start"; streamUrl: string; graphUrl: string; nodesMax: number; profiles: readonly string[] }
  | { type: "send"; message: object }
  | { type: "interest"; wanted: Record<string, unknown> }
  | { type: "recycle"; positions: Float32Array<ArrayBuffer> };

/** `receivedAtMs` is milliseconds since 1970 on the monotonic clock that the page and the worker share. */
export interface FrameMessage {
  type: "frame";
  positions: Float32Array<ArrayBuffer>;
  epoch: number;
  sequence: number;
  tick: number;
  tickMs: number;
  /** How far a node may be shown from where it is, in world units. */
  slack: number;
  receivedAtMs: number;
}

export type FromWorker =
  | { type: "state"; state: State; attempt: number; retryMs: number; reason: string }
  | { type: "graph"; graph: Graph; goesOn: boolean }
  | { type: "columns"; columns: Columns }
  | FrameMessage
  | { type: "message"; message: { type: string } & Record<string, unknown> }
  | { type: "statistics"; statistics: Statistics };
