/**
 * The connection as a state machine: when to connect, what to fetch, which frames count.
 *
 * It touches no DOM, socket, clock or timer but through `Environment`, so that a test can drive it whole.
 * Times are milliseconds of `Environment.now`. Order of the start: src/wire/PROTOCOL.md, section 5. Full frames are taken here, messages
 * of the compact profile by `Chain`.
 */

import { parseGraph, type Graph } from "./graph.js";
import { Rows } from "./rows.js";
import {
  COMPACT, HEADER_BYTES, PLAIN, STRIDE, decodeHeader, decodeRecords, limitsFor, numberOrNull, parseText,
  type FrameError, type FrameHeader, type Limits, type Mended,
} from "./protocol.js";
import { ClockOffset, Window } from "./timing.js";
import { Chain, type ChainError, type Columns } from "./wire/chain.js";
import type { CompactInfo, Decoder } from "./wire/compact.js";

export const BACKOFF_BASE_MS = 1_000;
export const BACKOFF_MAX_MS = 30_000;
export const HEARTBEAT_MS = 30_000;
export const HEARTBEAT_TIMEOUT_MS = 10_000;
/** A connection that lived this long was a good one: the next backoff starts over. */
const HEALTHY_MS = 5_000;
/** No greeting within this time means that whatever answered is not our server. */
const GREETING_TIMEOUT_MS = 10_000;
/** A graph that has not come by then is asked for again, with twice the time for it. */
export const FETCH_TIMEOUT_MS = 30_000;
const FETCH_DOUBLINGS_MAX = 4;
const BURST_PINGS = 6;
const BURST_SPACING_MS = 150;
const STATISTICS_SPAN_MS = 5_000;
/** Least time between two fetches, so that a graph that changes all the time is not asked for all the time. */
const FETCH_SPACING_MS = 250;

/** Changes that are kept while the graph is fetched; beyond it the next one says that something was missed. */
const TOLD_MAX = 256;
/** Frames that one acknowledgement covers; the server sends 32 beyond the last one at most. */
export const ACK_FRAMES = 10;
/** A snapshot that was asked for and did not come is asked for again. */
export const SNAPSHOT_TIMEOUT_MS = 2_000;

export type State = "connecting" | "greeting" | "loading" | "live" | "waiting" | "stopped" | "incompatible";

export interface Socket {
  send(text: string): void;
  close(code?: number): void;
}

export interface SocketEvents {
  open(): void;
  text(text: string): void;
  binary(bytes: ArrayBuffer): void;
  close(code: number): void;
}

export interface Environment {
  now(): number;
  /** Uniform in [0, 1). */
  random(): number;
  timer(ms: number, run: () => void): () => void;
  /** Offers these sub-protocols, the first one preferred. */
  /** `resume` names what we had before the connection was lost, if anything. */
  open(events: SocketEvents, profiles: readonly string[], resume: Resume | null): Socket;
  /** What follows a chain of the compact profile. A new one may end the one before. */
  decoder(info: CompactInfo): Decoder;
  /** `GET /api/graph/data?class=C`, parsed from JSON; rejects when it fails, and when `stop` says so. */
  fetchGraph(streamClass: number, stop: AbortSignal): Promise<unknown>;
  /** A buffer for the positions of that many nodes, `[nodes * STRIDE]`. */
  borrow(nodes: number): Float32Array<ArrayBuffer>;
  giveBack(positions: Float32Array<ArrayBuffer>): void;
}

/** A session of before, and the version of the graph that we hold. */
export interface Resume {
  session: number;
  version: number;
}

/** What the owner is told. `frame` hands the buffer over. */
export interface Sink {
  state(state: State, detail: { attempt: number; retryMs: number; reason: string }): void;
  /** With `goesOn` it is the graph of before with changes, and a picture of that is newer than its positions. */
  graph(graph: Graph, goesOn: boolean): void;
  /** `slack` is how far a node may be shown from where it is, in world units: a quantum, or 0. */
  frame(header: FrameHeader, positions: Float32Array<ArrayBuffer>, receivedMs: number, slack: number): void;
  message(message: { type: string } & Record<string, unknown>): void;
  /** All results of analytics that hold now, of the graph told last; none where they no longer do. */
  columns(columns: Columns): void;
}

/** Which rung of the ladder for slow clients the server has put us on, as it said last. */
export interface Quality {
  rung: string;
  reason: string | null;
}

/** Counters since the page was opened; `null` is unknown. */
export interface Statistics {
  profile: string | null;
  /** What decodes the compact profile here. */
  decoder: Decoder["runs"] | null;
  framesReceived: number;
  framesApplied: number;
  framesStale: number;
  /** Frames left out, by the sequence. */
  gaps: number;
  rejected: Partial<Record<FrameError | ChainError, number>>;
  mended: Mended;
  bytes: number;
  snapshotsAsked: number;
  acks: number;
  quality: Quality | null;
  /** Blocks sent to us and blocks there are, while we watch a part of the space. */
  interest: { blocks: number; of: number } | null;
  /** Over the last 5 s, everything that came in them included. */
  bytesPerNodeFrame: number | null;
  connects: number;
  graphFetches: number;
  rateHz: number | null;
  /** As the newest frame said, also one that was not applied: at rest there may be no other for long. */
  settled: boolean | null;
  flat: boolean | null;
  latencyP50Ms: number | null;
  latencyP99Ms: number | null;
  /** How far the latencies may be off: half the smallest round trip. */
  latencyErrorMs: number | null;
}

/** Full jitter: uniform between 0 and 1 s x 2^attempt, at most 30 s. `attempt` counts from 0. */
export function backoffMs(attempt: number, random: number): number {
  return random * Math.min(BACKOFF_MAX_MS, BACKOFF_BASE_MS * 2 ** attempt);
}

export class Connection {
  state: State = "stopped";
  private socket: Socket | null = null;
  private attempt = 0;
  private generation = 0;
  private timers = new Set<() => void>();
  private limits: Limits;
  private graph: Graph | null = null;
  /** What `graph` was made from; null while it has to be fetched. */
  private rows: Rows | null = null;
  /** The graph of an epoch whose first frame is yet to come. */
  private coming: Graph | null = null;
  private streamClass = 0;
  private session: number | null = null;
  private greeted = false;
  private greetedMs = 0;
  private fetching = false;
  private stopFetch: AbortController | null = null;
  private fetchedMs = Number.NEGATIVE_INFINITY;
  private lastSequence: number | null = null;
  private lastPublishedNs: number | null = null;
  private appliedTick = -1;
  private appliedSequence: number | null = null;
  /** Changes that were told while the graph was on its way. */
  private told: Record<string, unknown>[] = [];
  /** The newest frame that came before its graph did. */
  private early: { header: FrameHeader; bytes: ArrayBuffer; receivedMs: number } | null = null;
  private pingSentMs: number | null = null;
  private cancelPong: (() => void) | null = null;
  private newest: FrameHeader | null = null;
  private profile: string | null = null;
  private readonly chain: Chain;
  /** Of the newest frame that the chain took, and when it came. */
  private shown: { header: FrameHeader; receivedMs: number } | null = null;
  private ackedSequence = 0;
  private asking: (() => void) | null = null;
  private quality: Quality | null = null;
  private wanted: Record<string, unknown> | null = null;
  private interestSaid: { blocks: number; of: number } | null = null;
  private readonly sizes = new Window(STATISTICS_SPAN_MS, 1024);
  private readonly clock = new ClockOffset();
  private readonly latency = new Window(STATISTICS_SPAN_MS, 1024);
  private readonly arrivals = new Window(STATISTICS_SPAN_MS, 1024);
  private readonly counters = {
    framesReceived: 0, framesApplied: 0, framesStale: 0, gaps: 0,
    bytes: 0, connects: 0, graphFetches: 0, snapshotsAsked: 0, acks: 0,
    rejected: {} as Partial<Record<FrameError | ChainError, number>>,
    mended: { clamped: 0, notFinite: 0, strangers: 0 },
  };

  /** `nodesMax` is what the page's query asks for, 0 for the default; of `profiles` the first that the server has is spoken. */
  constructor(
    private readonly env: Environment, private readonly sink: Sink, private readonly nodesMax = 0,
    private profiles: readonly string[] = [COMPACT, PLAIN],
  ) {
    this.limits = limitsFor(nodesMax);
    this.chain = new Chain((info) => this.env.decoder(info), this.limits.nodesMax);
  }

  start(): void {
    if (this.state !== "stopped") return;
    this.attempt = 0;
    this.connect();
  }

  stop(): void {
    this.drop(1000);
    this.enter("stopped", "asked for");
  }

  /** Sends a control message; false when there is nobody to send it to. */
  send(message: object): boolean {
    if (this.socket === null || !this.greeted) return false;
    this.socket.send(JSON.stringify(message));
    return true;
  }

  /**
   * Watches a part of the space, as section 4 describes `interest`: `frustum`, `sphere`, `blocks`, `ids`, `classes`, `max_nodes`,
   * `priority`, or `all`. It holds for later connections too; a profile of full frames has no parts, and everything comes.
   */
  interest(wanted: Record<string, unknown>): void {
    const before = this.wanted;
    this.wanted = wanted["all"] === true ? null : wanted;
    if (this.profile === COMPACT && (before !== null || this.wanted !== null)) this.send({ ...wanted, type: "interest" });
  }

  statistics(): Statistics {
    const now = this.env.now();
    const received = this.sizes.sum(now);
    const nodeFrames = this.arrivals.count(now) * (this.graph?.ids.length ?? 0);
    const percentiles = this.latency.percentiles(now, [0.5, 0.99]);
    return {
      ...this.counters,
      profile: this.profile,
      decoder: this.chain.runs(),
      quality: this.quality,
      interest: this.interestSaid,
      bytesPerNodeFrame: nodeFrames > 0 ? received / nodeFrames : null,
      rejected: { ...this.counters.rejected },
      mended: { ...this.counters.mended },
      settled: this.newest?.settled ?? null,
      flat: this.newest?.flat ?? null,
      rateHz: this.arrivals.perSecond(now),
      latencyP50Ms: percentiles?.[0] ?? null,
      latencyP99Ms: percentiles?.[1] ?? null,
      latencyErrorMs: percentiles ? this.clock.best(now)?.errorMs ?? null : null,
    };
  }

  // --- connecting ---------------------------------------------------------------------------------------

  private connect(): void {
    const generation = ++this.generation;
    const mine = (run: () => void) => () => { if (generation === this.generation) run(); };
    this.greeted = false;
    this.lastSequence = null;
    this.lastPublishedNs = null;
    this.early = null;
    this.newest = null;
    this.profile = null;
    this.shown = null;
    this.ackedSequence = 0;
    this.asking = null;
    this.quality = null;
    this.interestSaid = null;
    this.chain.reset();
    this.sizes.clear();
    this.arrivals.clear();
    this.clock.reset();
    this.latency.clear();
    this.enter("connecting", "");
    this.counters.connects += 1;
    const resume = this.session === null || this.rows === null ? null : { session: this.session, version: this.rows.version };
    const cancelOpening = this.after(GREETING_TIMEOUT_MS, () => this.lost("no answer"));
    this.socket = this.env.open({
      open: mine(() => {
        cancelOpening();
        this.enter("greeting", "");
        this.after(GREETING_TIMEOUT_MS, () => { if (!this.greeted) this.lost("no greeting"); });
      }),
      text: (text) => mine(() => this.onText(text))(),
      binary: (bytes) => mine(() => this.onBinary(bytes))(),
      close: (code) => mine(() => this.lost(`closed with ${code}`))(),
    }, this.profiles, resume);
  }

  private lost(reason: string): void {
    // What we hold of the graph is good enough to be told the rest.
    const rows = this.fetching ? null : this.rows;
    this.drop(1000);
    this.rows = rows;
    if (this.greeted && this.env.now() - this.greetedMs >= HEALTHY_MS) this.attempt = 0;
    const retryMs = backoffMs(this.attempt, this.env.random());
    this.attempt += 1;
    this.enter("waiting", reason, retryMs);
    this.after(retryMs, () => this.connect());
  }

  private drop(code: number): void {
    this.generation += 1;
    for (const cancel of this.timers) cancel();
    this.timers.clear();
    this.cancelPong = null;
    this.asking = null;
    this.pingSentMs = null;
    this.fetching = false;
    this.stopFetch?.abort();
    this.rows = null;
    this.coming = null;
    this.told = [];
    const socket = this.socket;
    this.socket = null;
    socket?.close(code);
  }

  private enter(state: State, reason: string, retryMs = 0): void {
    this.state = state;
    this.sink.state(state, { attempt: this.attempt, retryMs, reason });
  }

  /** Runs once after `ms`, unless the connection it belongs to is gone by then. */
  private after(ms: number, run: () => void): () => void {
    const cancel = this.env.timer(ms, () => {
      this.timers.delete(cancel);
      run();
    });
    this.timers.add(cancel);
    return () => {
      this.timers.delete(cancel);
      cancel();
    };
  }

  // --- texts --------------------------------------------------------------------------------------------

  private onText(text: string): void {
    const message = parseText(text);
    if (message === null) return;
    if (message.type === "pong") this.onPong(message);
    if (message.type === "connection_established") this.onGreeting(message);
    if (message.type === "stream_quality") this.quality = readQuality(message);
    if (message.type === "interest_confirmed") this.onInterest(message);
    if (message.type === "graph_changed") this.onChange(message);
    if (message.type === "error") this.onError(message);
    this.sink.message(message);
  }

  private onGreeting(message: Record<string, unknown>): void {
    if (this.greeted) return;
    this.greeted = true;
    this.greetedMs = this.env.now();
    this.streamClass = numberOrNull(message["class"]) ?? 0;
    this.profile = typeof message["profile"] === "string" ? message["profile"] : null;
    this.admit(numberOrNull(message["node_count"]) ?? 0);
    if (this.wanted !== null) this.interest(this.wanted);
    this.enter("loading", "");
    this.burst(BURST_PINGS);
    this.after(HEARTBEAT_MS, () => this.heartbeat());
    this.session = numberOrNull(message["session"]);
    if (message["state_sync_sent"] !== true || this.rows === null || this.graph === null) return this.fetchGraph(0);
    // Frames of this connection count anew; what we missed of the graph is the next that is told.
    [this.appliedTick, this.appliedSequence] = [-1, null];
    this.chain.setGraph(this.graph, true);
    this.enter("live", "");
  }

  private admit(nodes: number): void {
    this.limits = limitsFor(Math.max(this.nodesMax, nodes));
    this.chain.nodesMax = this.limits.nodesMax;
  }

  private burst(left: number): void {
    this.ping();
    if (left > 1) this.after(BURST_SPACING_MS, () => this.burst(left - 1));
  }

  private heartbeat(): void {
    this.ping();
    this.after(HEARTBEAT_MS, () => this.heartbeat());
  }

  private ping(): void {
    if (this.pingSentMs !== null) return; // One at a time; the timeout of the one before still runs.
    this.pingSentMs = this.env.now();
    this.cancelPong = this.after(HEARTBEAT_TIMEOUT_MS, () => this.lost("no pong in 10 s"));
    this.socket?.send(JSON.stringify({ type: "ping", timestamp: this.pingSentMs }));
  }

  private onPong(message: Record<string, unknown>): void {
    const sentMs = numberOrNull(message["timestamp"]);
    if (this.pingSentMs === null || sentMs !== this.pingSentMs) return;
    const serverNs = numberOrNull(message["server_ns"]);
    if (serverNs !== null) this.clock.add(sentMs, this.env.now(), serverNs / 1e6);
    this.cancelPong?.();
    this.cancelPong = null;
    this.pingSentMs = null;
  }

  // --- graph --------------------------------------------------------------------------------------------

  private fetchGraph(tries: number): void {
    if (this.fetching) return;
    this.fetching = true;
    this.enter("loading", tries === 0 ? "" : "graph not available yet");
    const tooSoonMs = this.fetchedMs + FETCH_SPACING_MS - this.env.now();
    if (tooSoonMs > 0) this.after(tooSoonMs, () => this.fetchNow(tries));
    else this.fetchNow(tries);
  }

  private fetchNow(tries: number): void {
    this.fetchedMs = this.env.now();
    this.counters.graphFetches += 1;
    const generation = this.generation;
    const stop = (this.stopFetch = new AbortController());
    const cancelStop = this.after(FETCH_TIMEOUT_MS * 2 ** Math.min(tries, FETCH_DOUBLINGS_MAX), () => stop.abort());
    const again = () => {
      if (generation !== this.generation) return;
      cancelStop();
      this.after(backoffMs(tries, 0.5 + this.env.random() / 2), () => {
        this.fetching = false;
        this.fetchGraph(tries + 1);
      });
    };
    this.env.fetchGraph(this.streamClass, stop.signal).then(
      (body) => {
        if (generation !== this.generation) return;
        const graph = parseGraph(body, this.limits);
        if (graph === null) return again();
        cancelStop();
        this.fetching = false;
        this.rows = Rows.of(body);
        this.coming = null;
        // What was told while it was on its way.
        const missed = this.told.splice(0);
        this.onGraph(graph, false);
        missed.forEach((message) => this.onChange(message));
      },
      again,
    );
  }

  /** The graph has changed: a change of its structure is shown with the first frame of it. */
  private onChange(message: Record<string, unknown>): void {
    // Its frames are admitted even while its rows are on their way.
    const nodes = numberOrNull(message["node_count"]) ?? 0;
    if (nodes > this.limits.nodesMax) this.admit(nodes);
    if (this.fetching || this.rows === null) {
      if (this.told.length < TOLD_MAX) this.told.push(message);
      return;
    }
    const next = this.rows.apply(message) ? parseGraph(this.rows.answer(), this.limits) : null;
    if (next === null) {
      this.rows = null;
      return this.fetchGraph(0);
    }
    if (next.epoch === this.graph?.epoch) this.goOn(next);
    else this.coming = next;
  }

  /** Another graph under the same stream: what was applied stays applied. */
  private goOn(graph: Graph): void {
    this.coming = null;
    this.onGraph({ ...graph, tick: this.appliedTick, sequence: this.appliedSequence }, true);
  }

  private onGraph(graph: Graph, goesOn: boolean): void {
    this.graph = graph;
    this.chain.setGraph(graph, goesOn);
    this.appliedTick = graph.tick;
    this.appliedSequence = graph.sequence;
    this.enter("live", "");
    this.sink.graph(graph, goesOn);
    this.tellColumns();
    const early = this.early;
    this.early = null;
    if (early !== null) this.consider(early.header, early.bytes, early.receivedMs);
    // Also what was shown already: at rest nothing else may come for seconds, and the graph's own positions may be old.
    if (this.shown !== null) this.show(this.shown.header, this.shown.receivedMs, true);
  }

  // --- frames -------------------------------------------------------------------------------------------

  private onBinary(bytes: ArrayBuffer): void {
    const receivedMs = this.env.now();
    this.counters.bytes += bytes.byteLength;
    this.sizes.add(receivedMs, bytes.byteLength);
    const result = decodeHeader(bytes, this.limits);
    if (!result.ok) return this.reject(result.error);
    const { header } = result;
    if (header.kind !== "full") return this.onCompact(header, new Uint8Array(bytes, HEADER_BYTES), receivedMs);
    this.count(header, receivedMs);
    this.countGap(header);
    if (this.state === "live") return this.consider(header, bytes, receivedMs);
    if (this.early === null || header.tick >= this.early.header.tick) this.early = { header, bytes, receivedMs };
  }

  private count(header: FrameHeader, receivedMs: number): void {
    this.newest = header;
    this.counters.framesReceived += 1;
    this.arrivals.add(receivedMs, 1);
    this.measure(header, receivedMs);
  }

  private reject(error: FrameError | ChainError): void {
    this.counters.rejected[error] = (this.counters.rejected[error] ?? 0) + 1;
    if (error !== "version") return;
    this.incompatible();
  }

  private incompatible(): void {
    this.drop(1002);
    this.enter("incompatible", "the server speaks another version of the protocol");
  }

  // --- the compact profile ------------------------------------------------------------------------------

  private onCompact(header: FrameHeader, body: Uint8Array, receivedMs: number): void {
    const taken = this.chain.take(header, body);
    if (header.kind === "snapshot" || header.kind === "delta") this.count(header, receivedMs);
    if (header.kind === "info") this.onInfo(header);
    this.counters.gaps += taken.leftOut;
    if (taken.stale) this.counters.framesStale += 1;
    if (taken.error !== null) this.reject(taken.error);
    if (taken.error === "tables" || taken.error === "format") return this.leaveCompact();
    this.askForSnapshot();
    if (!taken.moved) return;
    this.acknowledge(header);
    this.shown = { header, receivedMs };
    if (this.state !== "live") return;
    this.tellColumns();
    this.show(header, receivedMs);
  }

  private tellColumns(): void {
    const columns = this.chain.columns();
    if (columns !== null) this.sink.columns(columns);
  }

  /** Blocks that are not named come no more. */
  private onInterest(message: Record<string, unknown>): void {
    const runs = readRuns(message["blocks"]);
    const of = numberOrNull(message["of"]) ?? 0;
    const blocks = runs.reduce((sum, [first, last]) => sum + last - first + 1, 0);
    this.interestSaid = blocks < of ? { blocks, of } : null;
    // In another order the runs are of other nodes; that chain's info has gone or is yet to come.
    if (message["order"] === this.chain.info?.order) this.chain.keep(runs);
    this.askForAll();
  }

  private onError(message: Record<string, unknown>): void {
    if (message["code"] !== "rate_limited" || this.interestSaid === null) return;
    this.after((numberOrNull(message["retryAfter"]) ?? 1) * 1_000, () => this.askForAll());
  }

  /** Again, where that everything is wanted was not heard: nobody else would ask, and what is left out stands still. */
  private askForAll(): void {
    if (this.wanted === null && this.interestSaid !== null) this.send({ type: "interest", all: true });
  }

  /** A chain begins: its sequences are not those of the one before. */
  private onInfo(header: FrameHeader): void {
    if (header.class !== this.streamClass) this.appliedSequence = null;
    this.streamClass = header.class;
    this.ackedSequence = 0;
    this.shown = null;
    // The names of its nodes are right behind it.
    if (this.coming?.epoch === header.epoch) this.goOn(this.coming);
  }

  /** A server with tables that this page does not have is watched in full frames. */
  private leaveCompact(): void {
    if (!this.profiles.includes(PLAIN)) return this.incompatible();
    this.profiles = [PLAIN];
    this.lost("the server's compact profile is another version");
  }

  private acknowledge(header: FrameHeader): void {
    if (header.kind !== "snapshot" && header.sequence - this.ackedSequence < ACK_FRAMES) return;
    this.ackedSequence = header.sequence;
    this.counters.acks += 1;
    this.send({ type: "ack", sequence: header.sequence });
  }

  /** Once, until a snapshot has come or was too long in coming. */
  private askForSnapshot(): void {
    if (!this.chain.wants) this.cancelAsking();
    else if (this.asking === null) {
      this.counters.snapshotsAsked += 1;
      this.send({ type: "request_full_snapshot" });
      this.asking = this.after(SNAPSHOT_TIMEOUT_MS, () => {
        this.asking = null;
        this.askForSnapshot();
      });
    }
  }

  private cancelAsking(): void {
    this.asking?.();
    this.asking = null;
  }

  private show(header: FrameHeader, receivedMs: number, sameAgain = false): void {
    const { graph, coming } = this;
    const info = this.chain.info;
    if (graph === null || info === null) return;
    // Shown from there, with the graph that it is of.
    if (header.epoch !== graph.epoch && header.epoch === coming?.epoch) return this.goOn(coming);
    if (header.epoch !== graph.epoch || info.nodeCount !== graph.ids.length) return this.fetchGraph(0);
    // A snapshot of the same sequence adds blocks.
    if (this.isStale(header, sameAgain || header.kind === "snapshot")) {
      this.counters.framesStale += 1;
      return;
    }
    const positions = this.env.borrow(info.nodeCount);
    const clamped = this.chain.draw(positions, this.counters.mended);
    if (clamped === null) return this.env.giveBack(positions);
    this.counters.mended.clamped += clamped;
    this.applied(header, positions, receivedMs, info.quantum);
  }

  private countGap(header: FrameHeader): void {
    if (this.streamClass !== header.class) {
      // Another class counts for itself: neither a gap nor the sequence of the graph's answer applies.
      this.streamClass = header.class;
      this.lastSequence = null;
      this.appliedSequence = null;
    }
    if (this.lastSequence !== null && header.sequence > this.lastSequence + 1) {
      this.counters.gaps += header.sequence - this.lastSequence - 1;
    }
    this.lastSequence = Math.max(this.lastSequence ?? 0, header.sequence);
  }

  private measure(header: FrameHeader, receivedMs: number): void {
    // The first frame, and one sent again at rest, may have been published long before it was sent to us.
    const fresh = this.lastPublishedNs !== null && header.publishedNs > this.lastPublishedNs;
    this.lastPublishedNs = Math.max(this.lastPublishedNs ?? 0, header.publishedNs);
    const clock = this.clock.best(receivedMs);
    if (fresh && clock !== null) this.latency.add(receivedMs, receivedMs + clock.offsetMs - header.publishedNs / 1e6);
  }

  private consider(header: FrameHeader, bytes: ArrayBuffer, receivedMs: number): void {
    if (this.graph === null) return;
    if (this.isStale(header, false)) {
      this.counters.framesStale += 1;
      return;
    }
    if (this.graph.epoch !== header.epoch && this.coming?.epoch === header.epoch) this.goOn(this.coming);
    const graph = this.graph;
    if (header.epoch !== graph.epoch || header.nodeCount !== graph.ids.length) {
      this.early = { header, bytes, receivedMs };
      return this.fetchGraph(0);
    }
    const positions = this.env.borrow(header.nodeCount);
    const strangersBefore = this.counters.mended.strangers;
    decodeRecords(bytes, header.nodeCount, graph.ids, positions.subarray(0, header.nodeCount * STRIDE), this.counters.mended);
    if (this.counters.mended.strangers !== strangersBefore) {
      // Another order under the same epoch would draw every label at the wrong node: better nothing.
      this.env.giveBack(positions);
      return;
    }
    this.applied(header, positions, receivedMs, 0);
  }

  private isStale(header: FrameHeader, sameAgain: boolean): boolean {
    const [at, applied] = this.appliedSequence === null ? [header.tick, this.appliedTick] : [header.sequence, this.appliedSequence];
    return sameAgain ? at < applied : at <= applied;
  }

  private applied(header: FrameHeader, positions: Float32Array<ArrayBuffer>, receivedMs: number, slack: number): void {
    this.appliedTick = header.tick;
    this.appliedSequence = header.sequence;
    this.counters.framesApplied += 1;
    this.sink.frame(header, positions, receivedMs, slack);
  }
}

function readQuality(message: Record<string, unknown>): Quality | null {
  const { rung, reason } = message;
  return typeof rung === "string" ? { rung, reason: typeof reason === "string" ? reason : null } : null;
}

/** Rows of first and last; what is none is left out. */
function readRuns(value: unknown): [number, number][] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((row: unknown): [number, number][] => {
    const [first, last] = Array.isArray(row) ? [numberOrNull(row[0]), numberOrNull(row[1])] : [null, null];
    return first === null || last === null || last < first ? [] : [[first, last]];
  });
}
