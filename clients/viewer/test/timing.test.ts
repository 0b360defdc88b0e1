import { describe, expect, it } from "vitest";
import { Drag } from "../src/drag.js";
import { DELAY_MAX_MS, Interpolator } from "../src/interpolation.js";
import { ClockOffset, Window } from "../src/timing.js";
import { FakeClock } from "./fakes.js";
import { prng } from "./bytes.js";

describe("clock offset", () => {
  it("keeps the sample with the smallest round trip", () => {
    const clock = new ClockOffset();
    expect(clock.best(0)).toBeNull();
    clock.add(0, 80, 1_060); // 80 ms there and back, badly split: off by 20
    clock.add(100, 104, 1_102); // 4 ms: the truth is 1000
    clock.add(200, 250, 1_240);
    expect(clock.best(300)).toEqual({ offsetMs: 1_000, errorMs: 2 });
  });

  it("forgets what is old and refuses nonsense", () => {
    const clock = new ClockOffset();
    clock.add(10, 5, 0);
    clock.add(0, 5, Number.NaN);
    expect(clock.best(10)).toBeNull();
    clock.add(0, 2, 50);
    expect(clock.best(400_000)).toBeNull();
  });

  it("bounds the true offset by its error, for any split of the way", () => {
    const random = prng(5);
    for (let round = 0; round < 200; round++) {
      const clock = new ClockOffset();
      const offset = random() * 1e6;
      for (let k = 0; k < 10; k++) {
        const [there, back] = [random() * 40, random() * 40];
        clock.add(k * 200, k * 200 + there + back, k * 200 + there + offset);
      }
      const best = clock.best(2_000)!;
      expect(Math.abs(best.offsetMs - offset)).toBeLessThanOrEqual(best.errorMs + 1e-6);
    }
  });
});

describe("window", () => {
  it("gives nearest-rank percentiles of the last span, and null when empty", () => {
    const window = new Window(5_000, 1_024);
    expect(window.percentiles(0, [0.5])).toBeNull();
    window.add(0, 1e9);
    for (let k = 1; k <= 100; k++) window.add(6_000 + k, 101 - k);
    expect(window.percentiles(6_100, [0.5, 0.99, 1])).toEqual([50, 99, 100]);
    window.clear();
    expect(window.perSecond(6_100)).toBeNull();
  });

  it("counts values per second", () => {
    const window = new Window(2_000, 1_024);
    for (let k = 0; k < 600; k++) window.add(k * (1000 / 60), 1);
    expect(window.perSecond(599 * (1000 / 60))).toBeGreaterThan(59);
    expect(window.perSecond(599 * (1000 / 60))).toBeLessThan(61.5);
  });
});

describe("interpolation", () => {
  const place = (x: number) => Float32Array.of(x, 0, 0, 0, 5.3, -1.7, 9.1, 0);

  it("moves evenly between frames that arrive unevenly, within a bounded delay", () => {
    const random = prng(3);
    const frames = new Interpolator(() => undefined);
    const out = new Float32Array(8);
    const arrivals = Array.from({ length: 300 }, (_, k) => ({ tick: k * (1000 / 60), at: 5_000 + k * (1000 / 60) + random() * 12 }));
    const steps: number[] = [];
    let last = Number.NaN;
    for (let now = 5_000, next = 0; now < 9_900; now += 1000 / 60) {
      while (next < arrivals.length && arrivals[next]!.at <= now) {
        frames.push(place(arrivals[next]!.tick), arrivals[next]!.tick, arrivals[next]!.at);
        next += 1;
      }
      if (!frames.sample(now, out)) continue;
      if (now > 6_000) {
        steps.push(out[0]! - last);
        const behind = now - 5_000 - out[0]!;
        expect(behind).toBeGreaterThan(0);
        expect(behind).toBeLessThan(60);
      }
      last = out[0]!;
    }
    expect(Math.min(...steps.slice(1))).toBeGreaterThan(10);
    expect(Math.max(...steps.slice(1))).toBeLessThan(24);
    expect(frames.delayMs()).toBeLessThanOrEqual(DELAY_MAX_MS);
  });

  it("does not move a pinned node by a bit", () => {
    const frames = new Interpolator(() => undefined);
    const out = new Float32Array(8);
    for (let k = 0; k < 20; k++) {
      frames.push(place(k), k * 16, k * 16);
      for (const share of [0, 5, 11]) {
        frames.sample(k * 16 + share, out);
        expect([...out.subarray(4, 7)]).toEqual([...place(0).subarray(4, 7)]);
      }
    }
  });

  it("holds the newest frame, says so, and moves on from a rest without a leap", () => {
    const frames = new Interpolator(() => undefined);
    const out = new Float32Array(8);
    for (let k = 0; k <= 60; k++) frames.push(place(k), k * 16, k * 16);
    expect(frames.sample(2_000, out)).toBe(true);
    expect(out[0]).toBe(60);
    expect(frames.sample(2_016, out)).toBe(false);
    frames.push(place(160), 20_000, 20_000);
    frames.sample(20_000, out);
    expect(out[0]).toBeLessThan(110);
    frames.sample(20_100, out);
    expect(out[0]).toBe(160);
  });

  it("gives every buffer back exactly once", () => {
    const back: Float32Array[] = [];
    const frames = new Interpolator((positions) => back.push(positions));
    const out = new Float32Array(8);
    const sent = Array.from({ length: 100 }, (_, k) => place(k));
    sent.forEach((positions, k) => {
      frames.push(positions, Math.floor(k / 2) * 16, k * 8);
      frames.sample(k * 8, out);
    });
    frames.push(new Float32Array(4), 5_000, 5_000);
    frames.reset();
    expect(new Set(back).size).toBe(101);
    expect(back.length).toBe(101);
  });
});

describe("drag", () => {
  it("keeps updates 16 ms apart, stays alive at rest, and ends after the last place", () => {
    const clock = new FakeClock();
    const sent: { at: number; message: Record<string, unknown> }[] = [];
    const drag = new Drag({
      now: () => clock.now, timer: clock.timer, send: (message) => sent.push({ at: clock.now, message: message as Record<string, unknown> }),
    }, 7, [0, 0, 0]);
    for (let k = 1; k <= 50; k++) {
      clock.advance(4);
      drag.move([k, 0, 0]);
    }
    clock.advance(1_000);
    drag.move([99, 0, 0]);
    drag.end(true);
    clock.advance(100);
    const gaps = sent.slice(1, -1).map(({ at }, k) => at - sent[k]!.at);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(16);
    expect(Math.max(...gaps)).toBeLessThan(500);
    expect(sent[0]!.message["type"]).toBe("nodeDragStart");
    expect(sent.at(-2)!.message).toEqual({ type: "nodeDragUpdate", nodeId: 7, position: { x: 99, y: 0, z: 0 } });
    expect(sent.at(-1)!.message).toEqual({ type: "nodeDragEnd", nodeId: 7, pin: true });
    const count = sent.length;
    clock.advance(5_000);
    expect(sent.length).toBe(count);
  });
});
