/**
 * The rules of a chain of the compact profile: what may follow what, and when a snapshot has to be asked for. Decoders know
 * blocks, this knows messages. Pure, throws nothing. src/wire/PROTOCOL.md, sections 5 and 6.
 */

import { ID_MASK, STRIDE, type FrameHeader } from "../protocol.js";
import { BLOCK_NODES, parseInfo, type CompactError, type CompactInfo, type Decoder } from "./compact.js";
import { decompress } from "./lz4.js";

export type ChainError = CompactError | "order" | "columns";

const COLUMN_BYTES = 8;
/** By number; the first is the ids. */
const COLUMN_NAMES = [null, "distance", "parent", "cluster", "anomaly", "community", "rank", "component"] as const;
const CODING_RAW = 0;
const CODING_LZ4 = 1;

/**
 * Results of analytics that were published, `[nodes]` each: distance from a source, infinite where no path leads; id of the node before
 * on the path, -1 for none; cluster, community and component from 1, 0 for none; anomaly score; PageRank.
 */
export interface Columns {
  distance?: Float32Array<ArrayBuffer>;
  parent?: Int32Array<ArrayBuffer>;
  cluster?: Uint32Array<ArrayBuffer>;
  anomaly?: Float32Array<ArrayBuffer>;
  community?: Uint32Array<ArrayBuffer>;
  rank?: Float32Array<ArrayBuffer>;
  component?: Uint32Array<ArrayBuffer>;
}

/** What a picture is of: ids by place, and where the nodes are as long as no message has told. */
export interface Places {
  ids: Uint32Array;
  positions: Float32Array;
}

/** What became of a message. */
export interface Taken {
  /** The state is another one, and is to be shown. */
  moved: boolean;
  /** It was older than what is there, and was passed over. */
  stale: boolean;
  /** Frames that were left out before it. */
  leftOut: number;
  /** Why it was not taken; the chain heals by itself where `wants` says so. */
  error: ChainError | null;
}

export class Chain {
  info: CompactInfo | null = null;
  /** The chain cannot go on, or has drifted: it waits for a snapshot. */
  wants = false;
  private decoder: Decoder | null = null;
  private of: { class: number; epoch: number } | null = null;
  private synced = false;
  private ids: Uint32Array | null = null;
  /** Words of the other columns in wire order, by name. */
  private words = new Map<keyof Columns, Uint32Array>();
  /** Whether there was any, and they were not handed out since they changed. */
  private wordsNew = false;
  /** Whose picture it is, the place of every id in it, and whether the chain was brought into its order. */
  private graph: Places | null = null;
  private indexOf: Map<number, number> | null = null;
  private placed = false;
  /** The picture as it was when the chain began anew. */
  private kept: Float32Array | null = null;

  constructor(private readonly decoderOf: (info: CompactInfo) => Decoder, public nodesMax: number) {}

  /** The next message is an info; what was seen stays in sight. */
  reset(): void {
    this.kept = this.picture();
    [this.info, this.decoder, this.of, this.ids] = [null, null, null, null];
    if (this.words.size > 0) [this.words, this.wordsNew] = [new Map(), true];
    [this.wants, this.synced, this.placed] = [false, false, false];
  }

  /** What runs the decoder; null where there is none. */
  runs(): Decoder["runs"] | null {
    return this.decoder?.runs ?? null;
  }

  take(header: FrameHeader, body: Uint8Array): Taken {
    const taken: Taken = { moved: false, stale: false, leftOut: 0, error: null };
    if (header.kind === "info") taken.error = this.onInfo(header, body);
    else if (this.decoder === null || this.of?.class !== header.class || this.of.epoch !== header.epoch) taken.error = "order";
    else if (header.kind === "columns") taken.error = this.onColumns(body, this.decoder);
    else if (header.kind === "snapshot") this.onSnapshot(header, body, this.decoder, taken);
    else if (header.kind === "delta") this.onDelta(header, body, this.decoder, taken);
    else if (header.kind === "mark") taken.error = this.onMark(header, body, this.decoder);
    return taken;
  }

  /** Leaves all blocks but those of `runs`, of first and last: they stand still. */
  keep(runs: readonly (readonly [number, number])[]): void {
    const blocks = Math.ceil((this.info?.nodeCount ?? 0) / BLOCK_NODES);
    for (let block = 0; block < blocks; block++) {
      if (!runs.some(([first, last]) => block >= first && block <= last)) this.decoder?.leave(block);
    }
  }

  /**
   * Pictures are of `graph` from here on. Its positions hold for what is not followed; with `goesOn` they are older than the picture, and
   * nodes that were in it are put where they were there.
   */
  setGraph(graph: Places, goesOn = false): void {
    const picture = goesOn ? this.picture() : null;
    if (picture !== null && this.graph !== null) {
      const before = this.indices(this.graph);
      graph.ids.forEach((id, index) => {
        const from = before.get(id);
        if (from !== undefined) graph.positions.set(picture.subarray(from * STRIDE, from * STRIDE + 3), index * STRIDE);
      });
    }
    [this.graph, this.indexOf, this.kept, this.placed] = [graph, null, null, false];
    this.wordsNew ||= this.words.size > 0;
  }

  /** All columns in the order of the graph, once after they changed; else, and while the chain is not of the graph, null. */
  columns(): Columns | null {
    const { ids, graph } = this;
    if (!this.wordsNew || ids === null || graph === null || ids.length !== graph.ids.length) return null;
    const indexOf = this.indices(graph);
    const places = ids.map((id) => indexOf.get(id) ?? ids.length);
    if (places.includes(ids.length)) return null;
    this.wordsNew = false;
    const columns: Columns = {};
    for (const [name, words] of this.words) {
      const placed = new Uint32Array(ids.length);
      places.forEach((place, node) => { placed[place] = words[node]!; });
      if (name === "distance" || name === "anomaly" || name === "rank") columns[name] = new Float32Array(placed.buffer);
      else if (name === "parent") columns[name] = new Int32Array(placed.buffer);
      else columns[name] = placed;
    }
    return columns;
  }

  /**
   * Writes the picture, as `Decoder.draw` does, and answers how many values it clamped; null where there is none: nothing is followed, or
   * the nodes of the chain are not those of the graph. How many the graph lacks is added to `strangers`.
   */
  draw(out: Float32Array, mended: { strangers: number }): number | null {
    if (this.decoder === null || !this.synced || !(this.placed || this.place(this.decoder, mended))) return null;
    return this.decoder.draw(out);
  }

  /** What is seen now, in the order of the graph: what was kept, as long as the chain has not drawn. */
  private picture(): Float32Array | null {
    if (this.decoder === null || !this.placed || this.graph === null) return this.kept;
    const picture = new Float32Array(this.graph.positions.length);
    this.decoder.draw(picture);
    return picture;
  }

  private indices(graph: Places): Map<number, number> {
    return (this.indexOf ??= new Map(Array.from(graph.ids, (id, index) => [id, index])));
  }

  private place(decoder: Decoder, mended: { strangers: number }): boolean {
    const { graph, ids } = this;
    if (graph === null || ids === null || ids.length !== graph.ids.length) return false;
    const indexOf = this.indices(graph);
    const places = new Uint32Array(ids.length);
    const taken = new Uint8Array(ids.length);
    let strangers = 0;
    for (let node = 0; node < ids.length; node++) {
      const index = indexOf.get(ids[node]!);
      if (index === undefined || taken[index] === 1) strangers += 1;
      else [places[node], taken[index]] = [index, 1];
    }
    if (strangers > 0) {
      // Counted once: the next attempt is with the next graph or the next ids.
      this.ids = null;
      mended.strangers += strangers;
      return false;
    }
    decoder.arrange(places, this.kept ?? graph.positions);
    this.placed = true;
    return true;
  }

  private onInfo(header: FrameHeader, body: Uint8Array): ChainError | null {
    this.reset();
    const info = parseInfo(new DataView(body.buffer, body.byteOffset, body.byteLength), this.nodesMax);
    if (typeof info === "string") return info;
    if (info.nodeCount !== header.nodeCount) return "length";
    this.info = info;
    this.of = { class: header.class, epoch: header.epoch };
    this.decoder = this.decoderOf(info);
    return null;
  }

  private onColumns(body: Uint8Array, decoder: Decoder): ChainError | null {
    if (body.length < COLUMN_BYTES) return "columns";
    const name = COLUMN_NAMES[body[0]!];
    if (name === undefined) return null; // One of a later version.
    const nodes = this.info?.nodeCount ?? 0;
    const rawBytes = new DataView(body.buffer, body.byteOffset, COLUMN_BYTES).getUint32(4, true);
    if (rawBytes !== 4 * nodes) return "columns";
    const payload = body.subarray(COLUMN_BYTES);
    const raw = body[1] === CODING_RAW ? payload : body[1] === CODING_LZ4 ? decompress(payload, rawBytes) : null;
    if (raw === null || raw.length !== rawBytes || decoder !== this.decoder) return "columns";
    const words = new Uint32Array(nodes);
    for (let node = 0; node < nodes; node++) {
      // Planes of bytes: every lowest one first.
      words[node] = raw[node]! | raw[nodes + node]! << 8 | raw[2 * nodes + node]! << 16 | raw[3 * nodes + node]! << 24;
    }
    if (name === null) this.ids = words.map((word) => word & ID_MASK);
    else {
      this.words.set(name, words);
      this.wordsNew = true;
    }
    return null;
  }

  private onSnapshot(header: FrameHeader, body: Uint8Array, decoder: Decoder, taken: Taken): void {
    if (this.synced && header.sequence < decoder.sequence) {
      taken.stale = true;
      return;
    }
    // Before the first snapshot nothing was left out.
    if (decoder.sequence > 0) taken.leftOut = header.sequence - decoder.sequence;
    this.settle(decoder.snapshot(header.sequence, body), taken);
    if (taken.error === null) this.wants = false;
  }

  private onDelta(header: FrameHeader, body: Uint8Array, decoder: Decoder, taken: Taken): void {
    if (this.synced && header.sequence <= decoder.sequence) {
      taken.stale = true;
    } else if (!this.synced || header.base !== decoder.sequence) {
      // What is shown stays as it is until the snapshot, whose sequence tells what was missed.
      this.synced = false;
      this.wants = true;
      taken.error = "gap";
    } else {
      this.settle(decoder.delta(header.base, header.sequence, header.normalise, body), taken);
    }
  }

  private settle(error: CompactError | null, taken: Taken): void {
    taken.error = error;
    this.synced = error === null;
    taken.moved = this.synced;
    if (!this.synced) this.wants = true;
  }

  /** A state that drifted is still the best there is, and is shown until the snapshot. */
  private onMark(header: FrameHeader, body: Uint8Array, decoder: Decoder): ChainError | null {
    if (!this.synced || header.sequence !== decoder.sequence) return null;
    const error = decoder.mark(body);
    if (error !== null) this.wants = true;
    return error;
  }
}
