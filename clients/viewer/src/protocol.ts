/**
 * Header, records and texts of our own profiles, taken apart without trust; the compact profile's bodies are in `wire/`.
 *
 * Pure functions of their arguments: no socket, clock or DOM. Nothing here throws, whatever the bytes.
 * Layout and units: src/wire/PROTOCOL.md, sections 2 to 5.
 */

/** Full frames, which every server has. */
export const PLAIN = "swarmcast.v1";
/** One chain of corrections for everybody: section 6. */
export const COMPACT = "swarmcast.compact";
export const HEADER_BYTES = 64;
export const RECORD_BYTES = 28;
/** Floats that `decodeRecords` writes for a node: x, y, z in world units, speed in world units per second. */
export const STRIDE = 4;
/** Largest coordinate either way, in world units. */
export const COORDINATE_MAX = 10_000;
/** Largest velocity component either way, in world units per second. */
export const VELOCITY_MAX = 1_000;
/** Bits of a wire id that name the node; the class bits lie above. */
export const ID_MASK = 0x03ff_ffff;

const MAGIC = 0x434d_5753; // "SWMC", read as a little-endian u32
const VERSION = 1;
const KINDS = [null, "full", "delta", "snapshot", "info", "mark", "columns"] as const;
const FLAG_SETTLED = 1;
const FLAG_FLAT = 2;
const FLAG_HEARTBEAT = 4;
const FLAG_NORMALISE = 8;
const FLAG_PARTIAL = 16;
/** Body of any message of the compact profile: no node takes more, and no block of 1,024 beside its nodes. */
const COMPACT_NODE_BYTES_MAX = 32;
const COMPACT_BLOCK_BYTES_MAX = 64;

/** What a frame may cost before it is refused. */
export interface Limits {
  frameBytesMax: number;
  nodesMax: number;
}

export const DEFAULT_LIMITS: Limits = { frameBytesMax: 10_000_000, nodesMax: 100_000 };

/**
 * Limits that admit `nodes` nodes, never below the defaults. What a server announces may raise them up to
 * `ceiling` nodes, so that a wrong or hostile announcement cannot ask for all of memory.
 */
export function limitsFor(nodes: number, ceiling = 1_000_000): Limits {
  const nodesMax = Math.max(DEFAULT_LIMITS.nodesMax, Math.min(Math.floor(nodes) || 0, ceiling));
  const frameBytesMax = Math.max(DEFAULT_LIMITS.frameBytesMax, HEADER_BYTES + compactBytesMax(nodesMax));
  return { frameBytesMax, nodesMax };
}

export function compactBytesMax(nodes: number): number {
  return nodes * COMPACT_NODE_BYTES_MAX + (Math.ceil(nodes / 1024) + 1) * COMPACT_BLOCK_BYTES_MAX;
}

/** What a message is; those of the compact profile are all but "full". */
export type Kind = Exclude<(typeof KINDS)[number], null>;

/** Times are nanoseconds of the server's monotonic clock, as doubles: exact below 2^53 ns, 104 days. */
export interface FrameHeader {
  kind: Kind;
  settled: boolean;
  /** Two-dimensional: every z is 0. */
  flat: boolean;
  heartbeat: boolean;
  normalise: boolean;
  /** Only blocks of the client's interest are in the body. */
  partial: boolean;
  class: number;
  epoch: number;
  sequence: number;
  base: number;
  tick: number;
  tickNs: number;
  publishedNs: number;
  nodeCount: number;
}

export type FrameError =
  | "too_long" | "too_short" | "magic" | "version" | "kind" | "reserved" | "length" | "too_many_nodes";

export type HeaderResult = { ok: true; header: FrameHeader } | { ok: false; error: FrameError };

/** Reads and checks the header, and that `bytes` is as long as it says. O(1). */
export function decodeHeader(bytes: ArrayBuffer, limits: Limits): HeaderResult {
  if (bytes.byteLength > limits.frameBytesMax) return refuse("too_long");
  if (bytes.byteLength < HEADER_BYTES) return refuse("too_short");
  const view = new DataView(bytes);
  if (view.getUint32(0, true) !== MAGIC) return refuse("magic");
  if (view.getUint8(4) !== VERSION) return refuse("version");
  const kind = KINDS[view.getUint8(5)];
  if (kind === null || kind === undefined) return refuse("kind");
  const base = u64(view, 24);
  if (view.getUint16(10, true) !== 0 || (kind !== "delta" && base !== 0)) return refuse("reserved");
  const nodeCount = view.getUint32(56, true);
  const bodyBytes = view.getUint32(60, true);
  if (nodeCount > limits.nodesMax) return refuse("too_many_nodes");
  if (kind === "full" ? bodyBytes !== nodeCount * RECORD_BYTES : bodyBytes > compactBytesMax(nodeCount)) return refuse("length");
  if (bytes.byteLength !== HEADER_BYTES + bodyBytes) return refuse("length");
  const flags = view.getUint16(6, true);
  return {
    ok: true,
    header: {
      kind,
      settled: (flags & FLAG_SETTLED) !== 0,
      flat: (flags & FLAG_FLAT) !== 0,
      heartbeat: (flags & FLAG_HEARTBEAT) !== 0,
      normalise: (flags & FLAG_NORMALISE) !== 0,
      partial: (flags & FLAG_PARTIAL) !== 0,
      class: view.getUint16(8, true),
      epoch: view.getUint32(12, true),
      sequence: u64(view, 16),
      base,
      tick: u64(view, 32),
      tickNs: u64(view, 40),
      publishedNs: u64(view, 48),
      nodeCount,
    },
  };
}

function refuse(error: FrameError): HeaderResult {
  return { ok: false, error };
}

function u64(view: DataView, offset: number): number {
  return view.getUint32(offset + 4, true) * 4_294_967_296 + view.getUint32(offset, true);
}

/** What `decodeRecords` had to mend. */
export interface Mended {
  /** Coordinates or velocities outside their range, brought to its edge. */
  clamped: number;
  /** Coordinates or velocities that were no number, read as 0. */
  notFinite: number;
  /** Records whose id is not that of the graph's node list at that place. */
  strangers: number;
}

/**
 * Writes every record of a frame that `decodeHeader` accepted into `out`, `[nodeCount * STRIDE]`, and adds
 * to `mended`. `ids` is the graph's node list, `[nodeCount]`. O(nodes), allocates one view.
 */
export function decodeRecords(
  bytes: ArrayBuffer, nodeCount: number, ids: Uint32Array, out: Float32Array, mended: Mended,
): void {
  const view = new DataView(bytes);
  let from = HEADER_BYTES;
  let to = 0;
  for (let index = 0; index < nodeCount; index++) {
    if ((view.getUint32(from, true) & ID_MASK) !== ids[index]) mended.strangers += 1;
    out[to] = within(view.getFloat32(from + 4, true), COORDINATE_MAX, mended);
    out[to + 1] = within(view.getFloat32(from + 8, true), COORDINATE_MAX, mended);
    out[to + 2] = within(view.getFloat32(from + 12, true), COORDINATE_MAX, mended);
    const vx = within(view.getFloat32(from + 16, true), VELOCITY_MAX, mended);
    const vy = within(view.getFloat32(from + 20, true), VELOCITY_MAX, mended);
    const vz = within(view.getFloat32(from + 24, true), VELOCITY_MAX, mended);
    out[to + 3] = Math.sqrt(vx * vx + vy * vy + vz * vz);
    from += RECORD_BYTES;
    to += STRIDE;
  }
}

function within(value: number, max: number, mended: Mended): number {
  if (value >= -max && value <= max) return value;
  if (Number.isFinite(value)) {
    mended.clamped += 1;
    return value < 0 ? -max : max;
  }
  mended.notFinite += 1;
  return 0;
}

/** A text message: any JSON object with a `type`, or null when it is not one. */
export function parseText(text: string): ({ type: string } & Record<string, unknown>) | null {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null) return null;
    return typeof (value as { type?: unknown }).type === "string"
      ? (value as { type: string } & Record<string, unknown>)
      : null;
  } catch {
    return null;
  }
}

/** `value` when it is a finite number, else null: what is unknown is shown as unknown. */
export function numberOrNull(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

/** A value that is one thing alone; null for anything else. */
export function plainOrNull(value: unknown): string | number | boolean | null {
  return typeof value === "string" || typeof value === "boolean" ? value : numberOrNull(value);
}
