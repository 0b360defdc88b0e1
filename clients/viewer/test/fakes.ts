/** A virtual clock and a server on it, so that a test drives the connection without waiting. */

import type { Environment, Resume, SocketEvents } from "../src/connection.js";
import { CompactDecoder } from "../src/wire/compact.js";

export class FakeClock {
  now = 0;
  private timers: { at: number; run: () => void }[] = [];

  timer = (ms: number, run: () => void): (() => void) => {
    const timer = { at: this.now + ms, run };
    this.timers.push(timer);
    return () => { this.timers = this.timers.filter((other) => other !== timer); };
  };

  advance(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      const due = this.timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.timers = this.timers.filter((other) => other !== due);
      this.now = Math.max(this.now, due.at);
      due.run();
    }
    this.now = end;
  }
}

export class FakeServer {
  readonly clock = new FakeClock();
  readonly sockets: { events: SocketEvents; sent: Record<string, unknown>[]; closed: number | null; openedMs: number; profiles: readonly string[]; resume: Resume | null }[] = [];
  readonly fetches: { streamClass: number; stop: AbortSignal; answer: (body: unknown) => void; fail: () => void }[] = [];
  random = 0.5;
  borrowed = 0;

  readonly env: Environment = {
    now: () => this.clock.now,
    random: () => this.random,
    timer: this.clock.timer,
    decoder: (info) => new CompactDecoder(info),
    open: (events, profiles, resume) => {
      const socket = { events, profiles, resume, sent: [] as Record<string, unknown>[], closed: null as number | null, openedMs: this.clock.now };
      this.sockets.push(socket);
      return {
        send: (text) => socket.sent.push(JSON.parse(text) as Record<string, unknown>),
        close: (code) => { socket.closed = code ?? 0; },
      };
    },
    fetchGraph: (streamClass, stop) => new Promise((resolve, reject) => {
      stop.addEventListener("abort", () => reject(new Error("stopped")));
      this.fetches.push({ streamClass, stop, answer: resolve, fail: () => reject(new Error("503")) });
    }),
    borrow: (nodes) => {
      this.borrowed += 1;
      return new Float32Array(nodes * 4);
    },
    giveBack: () => { this.borrowed -= 1; },
  };

  get socket() {
    return this.sockets.at(-1)!;
  }

  greet(more: object = {}): void {
    this.socket.events.open();
    this.socket.events.text(JSON.stringify({
      type: "connection_established", class: 2, epoch: 1, node_count: 2, profile: "swarmcast.v1", ...more,
    }));
  }

  /** Answers every ping that waits, `roundTripMs` after it was sent, on a clock that is `offsetMs` ahead. */
  pong(roundTripMs: number, offsetMs: number): void {
    for (const message of this.socket.sent.splice(0)) {
      if (message["type"] !== "ping") continue;
      const sentMs = message["timestamp"] as number;
      this.clock.advance(Math.max(0, sentMs + roundTripMs - this.clock.now));
      const serverNs = (sentMs + roundTripMs / 2 + offsetMs) * 1e6;
      this.socket.events.text(JSON.stringify({ type: "pong", timestamp: sentMs, server_ns: serverNs }));
    }
  }

  async answer(more: object = {}): Promise<void> {
    this.fetches.at(-1)!.answer({
      epoch: 1, tick: 100, sequence: 10, name: "two", directed: false, nodes: [{ id: 7 }, { id: 9 }], edges: [], ...more,
    });
    await settle();
  }
}

/** Lets every promise that is ready run. */
export async function settle(): Promise<void> {
  for (let k = 0; k < 5; k++) await Promise.resolve();
}
