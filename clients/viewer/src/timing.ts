/** Estimates made from what arrives: clock offset, latency, rates. Pure; every time is handed in. */

/** Round trips older than this say nothing about the offset now: clocks drift apart. */
const ROUND_TRIP_AGE_MAX_MS = 300_000;
const ROUND_TRIPS_MAX = 32;

/**
 * How far the server's monotonic clock is ahead of ours, from pings.
 *
 * The answer was sent somewhere between our sending and our receiving, so the sample with the smallest round
 * trip bounds the offset best: half of that round trip either way.
 */
export class ClockOffset {
  private samples: { atMs: number; roundTripMs: number; offsetMs: number }[] = [];

  /** `sentMs` and `receivedMs` on our clock, `serverMs` on the server's, all in milliseconds. */
  add(sentMs: number, receivedMs: number, serverMs: number): void {
    const roundTripMs = receivedMs - sentMs;
    if (!(roundTripMs >= 0) || !Number.isFinite(serverMs)) return;
    this.samples.push({ atMs: receivedMs, roundTripMs, offsetMs: serverMs - (sentMs + receivedMs) / 2 });
    if (this.samples.length > ROUND_TRIPS_MAX) this.samples.shift();
  }

  /** The offset in ms (server minus ours) and the most it can be wrong by, or null before the first pong. */
  best(nowMs: number): { offsetMs: number; errorMs: number } | null {
    let best: { roundTripMs: number; offsetMs: number } | null = null;
    for (const sample of this.samples) {
      if (nowMs - sample.atMs > ROUND_TRIP_AGE_MAX_MS) continue;
      if (best === null || sample.roundTripMs < best.roundTripMs) best = sample;
    }
    return best && { offsetMs: best.offsetMs, errorMs: best.roundTripMs / 2 };
  }

  reset(): void {
    this.samples = [];
  }
}

/** The values of the last `spanMs`, at most `capacity` of them, in a ring that is allocated once. */
export class Window {
  private readonly at: Float64Array;
  private readonly value: Float64Array;
  private readonly scratch: Float64Array;
  private next = 0;
  private held = 0;

  constructor(private readonly spanMs: number, private readonly capacity: number) {
    this.at = new Float64Array(capacity);
    this.value = new Float64Array(capacity);
    this.scratch = new Float64Array(capacity);
  }

  add(nowMs: number, value: number): void {
    this.at[this.next] = nowMs;
    this.value[this.next] = value;
    this.next = (this.next + 1) % this.capacity;
    this.held = Math.min(this.held + 1, this.capacity);
  }

  /** The nearest-rank `fractions` of what is young enough, or null when nothing is. O(n log n). */
  percentiles(nowMs: number, fractions: readonly number[]): number[] | null {
    let count = 0;
    for (let k = 0; k < this.held; k++) {
      if (nowMs - (this.at[k] ?? 0) <= this.spanMs) this.scratch[count++] = this.value[k] ?? 0;
    }
    if (count === 0) return null;
    const sorted = this.scratch.subarray(0, count).sort();
    return fractions.map((fraction) => sorted[Math.max(0, Math.ceil(fraction * count) - 1)] ?? 0);
  }

  /** Values per second over the span, or null when nothing is young enough. */
  perSecond(nowMs: number): number | null {
    let count = 0;
    let oldest = nowMs;
    for (let k = 0; k < this.held; k++) {
      const at = this.at[k] ?? 0;
      if (nowMs - at > this.spanMs) continue;
      count += 1;
      oldest = Math.min(oldest, at);
    }
    if (count === 0) return null;
    // Right after the start the span is not full yet; less than a quarter of it says too little.
    const seconds = Math.max(nowMs - oldest, this.spanMs / 4) / 1000;
    return count / seconds;
  }

  /** How many values are young enough. */
  count(nowMs: number): number {
    return this.fold(nowMs, (count) => count + 1);
  }

  /** Their sum. */
  sum(nowMs: number): number {
    return this.fold(nowMs, (sum, value) => sum + value);
  }

  private fold(nowMs: number, step: (sum: number, value: number) => number): number {
    let sum = 0;
    for (let k = 0; k < this.held; k++) if (nowMs - (this.at[k] ?? 0) <= this.spanMs) sum = step(sum, this.value[k] ?? 0);
    return sum;
  }

  clear(): void {
    this.held = 0;
    this.next = 0;
  }
}
