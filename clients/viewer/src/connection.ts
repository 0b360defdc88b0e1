/**
 * The connection as a state machine: when to connect, what to fetch, which frames count.
 *
 * It touches no DOM, socket, clock or timer but through `Environment`, so that a test can drive it whole.
 * Times are milliseconds of `Environment.now`. Order of the start: src/wire/PROTOCOL.md, section 5.
 */

import { parseGraph, type Graph } from "./graph.js";
import {
  STRIDE, decodeHeader, decodeRecords, limitsFor, numberOrNull, parseText,
  type FrameError, type FrameHeader, type Limits, type Mended,
} from "./protocol.js";
import { ClockOffset, Window } from "./timing.js";

export const BACKOFF_BASE_MS = 1_000;
export const BACKOFF_MAX_MS = 30_000;
export const HEARTBEAT_MS = 30_000;
export const HEARTBEAT_TIMEOUT_MS = 10_000;
/** A connection that lived this long was a good one: the next backoff starts over. */
const HEALTHY_MS = 5_000;
/** No greeting within this time means that whatever answered is not our server. */
const GREETING_TIMEOUT_MS = 10_000;
const BURST_PINGS = 6;
const BURST_SPACING_MS = 150;
const STATISTICS_SPAN_MS = 5_000;
/** Least time between two fetches, so that a graph that changes all the time is not asked for all the time. */
const FETCH_SPACING_MS = 250;

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
  open(events: SocketEvents): Socket;
  /** `GET /api/graph/data?class=C`, parsed from JSON; rejects when it fails. */
  fetchGraph(streamClass: number): Promise<unknown>;
  /** A buffer for the positions of that many nodes, `[nodes * STRIDE]`. */
  borrow(nodes: number): Float32Array<ArrayBuffer>;
  giveBack(positions: Float32Array<ArrayBuffer>): void;
}

/** What the owner is told. `frame` hands the buffer over. */
export interface Sink {
  state(state: State, detail: { attempt: number; retryMs: number; reason: string }): void;
  graph(graph: Graph): void;
  frame(header: FrameHeader, positions: Float32Array<ArrayBuffer>, receivedMs: number): void;
  message(message: { type: string } & Record<string, unknown>): void;
}

/** Counters since the page was opened; `null` is unknown. */
export interface Statistics {
  framesReceived: number;
  framesApplied: number;
  framesStale: number;
  /** Frames left out, by the sequence. */
  gaps: number;
  rejected: Partial<Record<FrameError, number>>;
  mended: Mended;
  bytes: number;
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
  private streamClass = 0;
  private greeted = false;
  private greetedMs = 0;
  private fetching = false;
  private fetchedMs = Number.NEGATIVE_INFINITY;
  private lastSequence: number | null = null;
  private lastPublishedNs: number | null = null;
  private appliedTick = -1;
  private appliedSequence: number | null = null;
  /** The newest frame that came before its graph did. */
  private early: { header: FrameHeader; bytes: ArrayBuffer; receivedMs: number } | null = null;
  private pingSentMs: number | null = null;
  private cancelPong: (() => void) | null = null;
  private newest: FrameHeader | null = null;
  private readonly clock = new ClockOffset();
  private readonly latency = new Window(STATISTICS_SPAN_MS, 1024);
  private readonly arrivals = new Window(STATISTICS_SPAN_MS, 1024);
  private readonly counters = {
    framesReceived: 0, framesApplied: 0, framesStale: 0, gaps: 0,
    bytes: 0, connects: 0, graphFetches: 0,
    rejected: {} as Partial<Record<FrameError, number>>,
    mended: { clamped: 0, notFinite: 0, strangers: 0 },
  };

  /** `nodesMax` is what the page's query asks for, 0 for the default. */
  constructor(
    private readonly env: Environment, private readonly sink: Sink, private readonly nodesMax = 0,
  ) {
    this.limits = limitsFor(nodesMax);
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

  statistics(): Statistics {
    const now = this.env.now();
    const percentiles = this.latency.percentiles(now, [0.5, 0.99]);
    return {
      ...this.counters,
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
    this.clock.reset();
    this.latency.clear();
    this.enter("connecting", "");
    this.counters.connects += 1;
    this.socket = this.env.open({
      open: mine(() => {
        this.enter("greeting", "");
        this.after(GREETING_TIMEOUT_MS, () => { if (!this.greeted) this.lost("no greeting"); });
      }),
      text: (text) => mine(() => this.onText(text))(),
      binary: (bytes) => mine(() => this.onBinary(bytes))(),
      close: (code) => mine(() => this.lost(`closed with ${code}`))(),
    });
  }

  private lost(reason: string): void {
    this.drop(1000);
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
    this.pingSentMs = null;
    this.fetching = false;
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
    this.sink.message(message);
  }

  private onGreeting(message: Record<string, unknown>): void {
    if (this.greeted) return;
    this.greeted = true;
    this.greetedMs = this.env.now();
    this.streamClass = numberOrNull(message["class"]) ?? 0;
    this.limits = limitsFor(Math.max(this.nodesMax, numberOrNull(message["node_count"]) ?? 0));
    this.enter("loading", "");
    this.burst(BURST_PINGS);
    this.after(HEARTBEAT_MS, () => this.heartbeat());
    this.fetchGraph(0);
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
    const again = () => {
      if (generation !== this.generation) return;
      this.after(backoffMs(tries, 0.5 + this.env.random() / 2), () => {
        this.fetching = false;
        this.fetchGraph(tries + 1);
      });
    };
    this.env.fetchGraph(this.streamClass).then(
      (body) => {
        if (generation !== this.generation) return;
        const graph = parseGraph(body, this.limits);
        if (graph === null) return again();
        this.fetching = false;
        this.onGraph(graph);
      },
      again,
    );
  }

  private onGraph(graph: Graph): void {
    this.graph = graph;
    this.appliedTick = graph.tick;
    this.appliedSequence = graph.sequence;
    this.enter("live", "");
    this.sink.graph(graph);
    const early = this.early;
    this.early = null;
    if (early !== null) this.consider(early.header, early.bytes, early.receivedMs);
  }

  // --- frames -------------------------------------------------------------------------------------------

  private onBinary(bytes: ArrayBuffer): void {
    const receivedMs = this.env.now();
    this.counters.bytes += bytes.byteLength;
    const result = decodeHeader(bytes, this.limits);
    if (!result.ok) return this.reject(result.error);
    const { header } = result;
    this.newest = header;
    this.counters.framesReceived += 1;
    this.arrivals.add(receivedMs, 1);
    this.countGap(header);
    this.measure(header, receivedMs);
    if (this.state === "live") return this.consider(header, bytes, receivedMs);
    if (this.early === null || header.tick >= this.early.header.tick) this.early = { header, bytes, receivedMs };
  }

  private reject(error: FrameError): void {
    this.counters.rejected[error] = (this.counters.rejected[error] ?? 0) + 1;
    if (error !== "version") return;
    this.drop(1002);
    this.enter("incompatible", "the server speaks another version of the protocol");
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
    const graph = this.graph;
    if (graph === null) return;
    const stale = this.appliedSequence === null
      ? header.tick <= this.appliedTick
      : header.sequence <= this.appliedSequence;
    if (stale) {
      this.counters.framesStale += 1;
      return;
    }
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
    this.appliedTick = header.tick;
    this.appliedSequence = header.sequence;
    this.counters.framesApplied += 1;
    this.sink.frame(header, positions, receivedMs);
  }
}
