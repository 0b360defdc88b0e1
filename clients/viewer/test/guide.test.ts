import { describe, expect, it } from "vitest";
import { encodingOf, guidanceIn, guidanceOf } from "../src/guide.js";

describe("what everybody is shown", () => {
  it("is a view with a camera, nodes, a selection and a note", () => {
    expect(guidanceOf({
      type: "view_set", by: "scout", time: 17, camera: { position: [1, 2, 3], target: [0, 0, 0] }, focus: [3, 7], selected: 7, note: "here",
    })).toEqual({ time: 17, by: "scout", camera: { position: [1, 2, 3], target: [0, 0, 0] }, focus: [3, 7], selected: 7, filter: null, groupBy: null, note: "here" });
  });

  it("has left out what is wrong with it", () => {
    const nothing = { time: null, by: "somebody", camera: null, focus: [], selected: null, filter: null, groupBy: null, note: null };
    for (const message of [
      {}, { camera: 5, focus: "x", selected: -1, note: 3, by: null, time: "now" },
      { camera: { position: [1, 2, 3], target: [1, 2, 3] }, focus: [1.5, null, 2 ** 40, Number.NaN] },
      { camera: { position: [1, 2, 1e9], target: [0, 0, 0] } }, { camera: { position: [1, 2], target: [0, 0, 0] } },
    ]) expect(guidanceOf(message)).toEqual(nothing);
    expect(guidanceOf({ focus: Array.from({ length: 500 }, (_, id) => id), note: "x".repeat(999) })).toMatchObject({
      focus: Array.from({ length: 200 }, (_, id) => id), note: "x".repeat(280),
    });
  });

  it("may come from the address of the page", () => {
    expect(guidanceIn(new URLSearchParams(""))).toBeNull();
    expect(guidanceIn(new URLSearchParams("focus=&selected=&rate=30"))).toBeNull();
    expect(guidanceIn(new URLSearchParams("focus=3,7&selected=3&camera=1,2,3,0,0,0&seen=12"))).toEqual({
      time: 12, by: "the address", camera: { position: [1, 2, 3], target: [0, 0, 0] }, focus: [3, 7], selected: 3, filter: null, groupBy: null, note: null,
    });
    const where = [{ key: "degree", op: "gt", value: 3 }];
    const address = new URLSearchParams({ filter: JSON.stringify({ kind: "agent", where }), group_by: JSON.stringify({ by: "class", apart: true }) });
    expect(guidanceIn(address)).toMatchObject({ filter: { kind: "agent", group: null, where }, groupBy: { by: "class", apart: true } });
    for (const wrong of ["{", "[]", "{\"where\":[{\"key\":\"a\",\"op\":\"like\",\"value\":1}]}", "{\"where\":[{\"key\":\"a\",\"op\":\"eq\"}]}"]) {
      expect(guidanceIn(new URLSearchParams({ filter: wrong }))).toBeNull();
    }
  });

  it("is what colour and size mean", () => {
    expect(encodingOf({ colour: "rank", size: "weight", colours: { a: "#ff8800", b: "red", c: 3 } })).toEqual({
      colour: "rank", size: "weight", colours: new Map([["a", "#ff8800"]]), rules: new Map(),
    });
    expect(encodingOf({ colour: "auto", size: "huge" })).toEqual({ colour: "own", size: "auto", colours: new Map(), rules: new Map() });
    expect(encodingOf({ channels: { icon: { by: "class" } } }).rules.get("icon")).toEqual({
      by: "class", property: null, value: null, mapping: new Map(), palette: [], apart: false,
    });
    expect(encodingOf({ colour: "__proto__", colours: null }).colour).toBe("own");
  });
});
