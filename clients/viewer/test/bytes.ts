/** Frames for tests, written from the tables of src/wire/PROTOCOL.md and by nothing that the viewer uses. */

import { readFileSync } from "node:fs";

export interface FrameFields {
  version?: number;
  kind?: number;
  flags?: number;
  class?: number;
  reserved?: number;
  epoch?: number;
  sequence?: number;
  base?: number;
  tick?: number;
  tickNs?: number;
  publishedNs?: number;
  nodeCount?: number;
  bodyBytes?: number;
  /** Wire id, x, y, z, vx, vy, vz. */
  records?: number[][];
}

export function frame(fields: FrameFields = {}): ArrayBuffer {
  const records = fields.records ?? [[(1 << 30) | 7, 1, 2, 3, 0.5, 0, 0], [9, -1, -2, -3, 0, 3, 4]];
  const bytes = new ArrayBuffer(64 + records.length * 28);
  const view = new DataView(bytes);
  [0x53, 0x57, 0x4d, 0x43].forEach((byte, k) => view.setUint8(k, byte));
  view.setUint8(4, fields.version ?? 1);
  view.setUint8(5, fields.kind ?? 1);
  view.setUint16(6, fields.flags ?? 0, true);
  view.setUint16(8, fields.class ?? 2, true);
  view.setUint16(10, fields.reserved ?? 0, true);
  view.setUint32(12, fields.epoch ?? 1, true);
  view.setBigUint64(16, BigInt(fields.sequence ?? 1), true);
  view.setBigUint64(24, BigInt(fields.base ?? 0), true);
  view.setBigUint64(32, BigInt(fields.tick ?? 1), true);
  view.setBigUint64(40, BigInt(fields.tickNs ?? 0), true);
  view.setBigUint64(48, BigInt(fields.publishedNs ?? 0), true);
  view.setUint32(56, fields.nodeCount ?? records.length, true);
  view.setUint32(60, fields.bodyBytes ?? records.length * 28, true);
  records.forEach((record, index) => {
    view.setUint32(64 + index * 28, record[0]! >>> 0, true);
    for (let k = 1; k <= 6; k++) view.setFloat32(64 + index * 28 + k * 4, record[k] ?? 0, true);
  });
  return bytes;
}

const KINDS = { delta: 2, snapshot: 3, info: 4, mark: 5, columns: 6 };

/** A message of the compact profile. */
export function compact(kind: keyof typeof KINDS, fields: Omit<FrameFields, "records">, body: Uint8Array): ArrayBuffer {
  const head = frame({ nodeCount: 1_100, ...fields, kind: KINDS[kind], bodyBytes: body.length, records: [] });
  const bytes = new Uint8Array(head.byteLength + body.length);
  bytes.set(new Uint8Array(head));
  bytes.set(body, head.byteLength);
  return bytes.buffer;
}

export interface GoldenMessage { kind: keyof typeof KINDS; normalise: boolean; body: Uint8Array }

/** The chain that `tests/golden/make_compact.py` wrote, with the hash of every state. */
export function goldenChain(): GoldenMessage[] {
  const bytes = new Uint8Array(readFileSync(new URL("../../../tests/golden/compact.stream", import.meta.url)));
  const view = new DataView(bytes.buffer);
  const messages: GoldenMessage[] = [];
  for (let place = 0; place < bytes.length;) {
    const length = view.getUint32(place + 4, true);
    const [kind] = Object.entries(KINDS).find(([, value]) => value === bytes[place])! as [keyof typeof KINDS, number];
    messages.push({ kind, normalise: bytes[place + 1] === 1, body: bytes.slice(place + 8, place + 8 + length) });
    place += 8 + length;
  }
  return messages;
}

/** A column of ids as it travels: planes of bytes, raw. */
export function idColumn(ids: readonly number[], column = 0): Uint8Array {
  const body = new Uint8Array(8 + 4 * ids.length);
  body[0] = column;
  new DataView(body.buffer).setUint32(4, 4 * ids.length, true);
  ids.forEach((id, node) => {
    for (let plane = 0; plane < 4; plane++) body[8 + plane * ids.length + node] = id >>> (8 * plane);
  });
  return body;
}

/** A repeatable generator, uniform in [0, 1) (mulberry32). */
export function prng(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
