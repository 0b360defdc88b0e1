import { describe, expect, it } from "vitest";
import { reasonOf, requestOf } from "../src/colouring.js";
import { parseGraph } from "../src/graph.js";
import { paint } from "../src/palette.js";
import { DEFAULT_LIMITS } from "../src/protocol.js";

const graph = parseGraph({
  epoch: 1, tick: 1, nodes: [0, 1, 2, 3].map((id) => ({ id, group: id < 2 ? "a" : "b", class: id === 3 ? "agent" : "knowledge" })), edges: [],
}, DEFAULT_LIMITS)!;

describe("colours", () => {
  it("are the graph's own until there is a column, and where it does not fit", () => {
    expect(paint(graph).by).toBe("group");
    expect(paint(graph, "community", {}).by).toBe("group");
    expect(paint(graph, "community", { community: new Uint32Array(3) }).by).toBe("group");
  });

  it("are of the field that is wanted, with single ones given", () => {
    const { by, css, legend } = paint(graph, "class", {}, new Map([["agent", "#ff8800"]]));
    expect([by, css[3], css[0]]).toEqual(["class", "#ff8800", css[1]]);
    expect(legend.map(({ name, count }) => [name, count])).toEqual([["knowledge", 3], ["agent", 1]]);
    expect(paint(graph, "degree").by).toBe("degree");
  });

  it("tell numbered groups apart, the largest first, and leave those without one grey", () => {
    const { by, css, legend, colours } = paint(graph, "cluster", { cluster: Uint32Array.of(0, 7, 2, 7) });
    expect(by).toBe("cluster");
    expect(legend.map(({ name, count }) => [name, count])).toEqual([["cluster 7", 2], ["cluster 2", 1], ["none", 1]]);
    expect(css[1]).toBe(css[3]);
    expect(new Set(css).size).toBe(3);
    expect([colours[3], colours[15]]).toEqual([0, 1]);
  });

  it("run from the least to the greatest value, and show where there is none", () => {
    const { css, legend } = paint(graph, "distance", { distance: Float32Array.of(0, 2, 4, Infinity) });
    expect(legend).toEqual([
      { name: "Distances: 4", colour: css[2], count: null }, { name: "0", colour: css[0], count: null },
      { name: "no path", colour: css[3], count: 1 },
    ]);
    expect(new Set(css).size).toBe(4);
    const same = paint(graph, "anomaly", { anomaly: Float32Array.of(1, 1, 1, 1) });
    expect([new Set(same.css).size, same.legend.length]).toEqual([1, 1]);
    expect(paint(graph, "rank", { rank: Float32Array.of(0, 1e-9, 1e-3, 1) }).css.every((colour) => /^#[0-9a-f]{6}$/.test(colour))).toBe(true);
  });
});

describe("a request for results", () => {
  it("publishes them, and says why there are none", async () => {
    expect(requestOf("distance", 4)).toEqual({ source: 4, publish: true, values: false });
    expect(requestOf("rank", null)).toEqual({ publish: true, values: false });
    expect(await reasonOf(new Response('{"title": "Busy", "detail": "too many jobs"}', { status: 503 }))).toBe("too many jobs");
    expect(await reasonOf(new Response("<html>", { status: 502 }))).toBe("the server answered 502");
  });
});
