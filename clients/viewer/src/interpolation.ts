/**
 * Positions between frames. Pure; every time is handed in, in milliseconds.
 *
 * Frames carry the time their tick was due, which is regular; arrivals are not. The picture is drawn a little
 * in the past of the server's timeline, so that a frame on either side is at hand: one interval, and what
 * frames were late by lately, at most `DELAY_MAX_MS` together. Past the newest frame it holds still, never guesses.
 */

import { STRIDE } from "./protocol.js";

export const DELAY_MAX_MS = 250;
const LATENESS_MAX_MS = 100;
const FRAMES_HELD_MAX = 16;
/** What the fastest way is allowed to creep per frame, so that clock drift cannot pin it forever. */
const CREEP_MS = 0.02;
/** Share of lateness forgotten per frame: half of it in about a second at 60 Hz. */
const LATENESS_DECAY = 0.012;

interface Held {
  positions: Float32Array<ArrayBuffer>;
  atMs: number;
}

export class Interpolator {
  private held: Held[] = [];
  private intervalMs = 1000 / 60;
  private latenessMs = 0;
  private fastestMs = Number.POSITIVE_INFINITY;
  private playheadMs = Number.NEGATIVE_INFINITY;
  private drawn: Held | null = null;

  /** `recycle` gets every buffer that is not needed any more, once. */
  constructor(private readonly recycle: (positions: Float32Array<ArrayBuffer>) => void) {}

  /** Takes the positions of the tick due at `tickMs` (server clock), received at `receivedMs` (ours). */
  push(positions: Float32Array<ArrayBuffer>, tickMs: number, receivedMs: number): void {
    const newest = this.held.at(-1);
    if (newest !== undefined && (tickMs <= newest.atMs || positions.length !== newest.positions.length)) {
      if (positions.length !== newest.positions.length) this.reset();
      else return this.recycle(positions); // The same state again, or an older one.
    }
    const previous = this.held.at(-1);
    if (previous !== undefined) {
      const step = Math.min(tickMs - previous.atMs, DELAY_MAX_MS);
      this.intervalMs += (step - this.intervalMs) * 0.1;
    }
    const way = receivedMs - tickMs;
    this.fastestMs = Math.min(this.fastestMs + CREEP_MS, way);
    const late = Math.min(way - this.fastestMs, LATENESS_MAX_MS);
    this.latenessMs = Math.max(late, this.latenessMs * (1 - LATENESS_DECAY));
    this.held.push({ positions, atMs: tickMs });
    while (this.held.length > FRAMES_HELD_MAX) this.dropOldest();
  }

  /** How far behind the fastest arrival the picture is drawn, in ms. */
  delayMs(): number {
    return Math.min(DELAY_MAX_MS, this.intervalMs + Math.max(this.latenessMs, this.intervalMs / 4));
  }

  /**
   * Writes the positions to draw at `nowMs` into `out`, `[nodes * STRIDE]`, and says whether it wrote: false
   * when nothing changed since the last call. A node that two frames put at one place is put exactly there.
   */
  sample(nowMs: number, out: Float32Array): boolean {
    if (this.held.length === 0) return false;
    this.playheadMs = Math.max(this.playheadMs, nowMs - this.fastestMs - this.delayMs());
    while (this.held.length > 2 && (this.held[1]?.atMs ?? 0) <= this.playheadMs) this.dropOldest();
    const [from, to] = this.held;
    if (from === undefined || from.positions.length !== out.length) return false;
    if (to === undefined || this.playheadMs >= to.atMs) return this.hold(to ?? from, out);
    // After a rest the frame before may be long gone: the movement still takes one interval, not the rest.
    const startMs = Math.max(from.atMs, to.atMs - 2 * this.intervalMs);
    const share = (this.playheadMs - startMs) / (to.atMs - startMs);
    if (share <= 0) return this.hold(from, out);
    this.drawn = null;
    mix(from.positions, to.positions, share, out);
    return true;
  }

  /** The newest positions received, not yet interpolated; null before the first. */
  newest(): Float32Array | null {
    return this.held.at(-1)?.positions ?? null;
  }

  reset(): void {
    while (this.held.length > 0) this.dropOldest();
    this.fastestMs = Number.POSITIVE_INFINITY;
    this.playheadMs = Number.NEGATIVE_INFINITY;
    this.latenessMs = 0;
    this.drawn = null;
  }

  private hold(frame: Held, out: Float32Array): boolean {
    if (this.drawn === frame) return false;
    this.drawn = frame;
    out.set(frame.positions);
    return true;
  }

  private dropOldest(): void {
    const oldest = this.held.shift();
    if (oldest !== undefined) this.recycle(oldest.positions);
  }
}

function mix(from: Float32Array, to: Float32Array, share: number, out: Float32Array): void {
  for (let k = 0; k < out.length; k += STRIDE) {
    for (let axis = 0; axis < 3; axis++) {
      const a = from[k + axis]!;
      out[k + axis] = a + (to[k + axis]! - a) * share;
    }
    out[k + 3] = to[k + 3]!;
  }
}
