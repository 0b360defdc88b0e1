import { beforeEach, expect, it, vi } from "vitest";
import { Input } from "../src/input.js";
import type { View } from "../src/scene/view.js";

type Event = { button: number; isPrimary: boolean; pointerType: string; pointerId: number; clientX: number; clientY: number; type: string; shiftKey: boolean };

let input: Input;
let classes: Set<string>;
let pinned: number[];
let sent: string[];
let hands: Record<string, (event: Event) => void>;

beforeEach(() => {
  vi.useFakeTimers();
  [classes, pinned, sent, hands] = [new Set(), [], [], {}];
  const canvas = {
    addEventListener: (name: string, run: (event: Event) => void) => { hands[name] = run; },
    setPointerCapture: () => undefined,
    classList: {
      add: (name: string) => classes.add(name),
      remove: (name: string) => classes.delete(name),
      toggle: (name: string, on: boolean) => (on ? classes.add(name) : classes.delete(name)),
    },
  };
  const view = {
    canvas, controls: { enabled: true }, following: true, pickAt: () => 1, touch: () => undefined, positionOf: () => [0, 0, 0],
    screenPositions: () => new Float32Array(8), unproject: (x: number, y: number) => [x, y, 0],
  };
  input = new Input({
    view: view as unknown as View,
    idOf: (node) => 70 + node,
    pinning: () => false,
    send: (message) => sent.push((message as { type: string }).type),
    hover: () => undefined,
    select: () => undefined,
    pinned: (node) => pinned.push(node),
  });
});

const hand = (type: string, x: number, shiftKey = false) => hands[type]!({
  button: 0, isPrimary: true, pointerType: "mouse", pointerId: 1, clientX: x, clientY: 0, type, shiftKey,
});

function hold(): void {
  hand("pointerdown", 0);
  hand("pointermove", 50);
  expect(input.dragging()).toBe(1);
  expect(classes.has("held")).toBe(true);
}

it("lets a node go at a reset, and nothing looks held after it", () => {
  hold();
  input.reset();
  hand("pointerup", 50);
  vi.advanceTimersByTime(1_000);
  expect(input.dragging()).toBe(-1);
  expect(classes.has("held")).toBe(false);
  expect(sent.at(-1)).toBe("nodeDragEnd");
});

it("says of a node that was let go only that it stays, never that it is free", () => {
  hold();
  hand("pointerup", 50);
  expect(pinned).toEqual([]);
  hold();
  hand("pointerup", 50, true);
  expect(pinned).toEqual([1]);
});
