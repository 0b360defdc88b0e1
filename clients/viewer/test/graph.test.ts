import { describe, expect, it } from "vitest";
import { parseGraph } from "../src/graph.js";
import { paint } from "../src/palette.js";
import { DEFAULT_LIMITS } from "../src/protocol.js";
import { findNodes } from "../src/search.js";

const node = (id: number, more: object = {}) => ({
  id, key: `k${id}`, label: `Label ${id}`, class: "knowledge", private: false, group: null, weight: 1, colour: null,
  pinned: false, x: id, y: 0, z: 0, ...more,
});
const body = (nodes: unknown[], edges: unknown[] = [], more: object = {}) => ({
  epoch: 1, tick: 123, sequence: null, name: "g", directed: false, nodes, edges, ...more,
});
const read = (value: unknown) => parseGraph(value, DEFAULT_LIMITS);

describe("graph data", () => {
  it("turns node ids into places and counts degrees", () => {
    const graph = read(body([node(7), node(9), node(11)], [
      { source: 7, target: 11 }, { source: 11, target: 9 }, { source: 9, target: 9 }, { source: 7, target: 404 },
    ], { sequence: 45 }))!;
    expect([...graph.ids]).toEqual([7, 9, 11]);
    expect([...graph.edges]).toEqual([0, 2, 2, 1, 1, 1]);
    expect(graph.nodes.map(({ degree }) => degree)).toEqual([1, 2, 2]);
    expect(graph).toMatchObject({ sequence: 45, tick: 123, danglingEdges: 1 });
    expect([...graph.positions.subarray(4, 8)]).toEqual([9, 0, 0, 0]);
  });

  it("refuses what it cannot draw, without throwing", () => {
    const many = Array.from({ length: 3 }, (_, k) => node(k));
    for (const bad of [null, 3, "x", [], {}, body([null]), body([node(-1)]), body([{ id: "7" }]), body([node(7), node(7)]),
      body([], [], { epoch: "1" }), { epoch: 1, nodes: {}, edges: [] }]) expect(read(bad)).toBeNull();
    expect(parseGraph(body(many), { frameBytesMax: 1e7, nodesMax: 2 })).toBeNull();
  });

  it("takes odd values for what they can mean", () => {
    const graph = read(body([node(1, { label: "", weight: -3, colour: "red", x: 1e9, y: Number.NaN, group: 5 })], [null]))!;
    expect(graph.nodes[0]).toMatchObject({ label: "k1", weight: 0, colour: null, group: null });
    expect([...graph.positions]).toEqual([10_000, 0, 0, 0]);
  });
});

describe("colours", () => {
  const coloured = (nodes: object[]) => paint(read(body(nodes))!);

  it("go by group, else by class, else by degree, and a node's own wins", () => {
    const grouped = coloured([node(1, { group: "a" }), node(2, { group: "b" }), node(3, { colour: "#010203" })]);
    expect(grouped.by).toBe("group");
    expect(grouped.css[2]).toBe("#010203");
    expect([...grouped.colours.subarray(8, 12)]).toEqual([1, 2, 3, 0]);
    expect(coloured([node(1), node(2, { class: "agent" })]).by).toBe("class");
    expect(coloured([node(1), node(2)]).by).toBe("degree");
  });

  it("give agents and ontology another shape", () => {
    const { colours } = coloured([node(1), node(2, { class: "agent" }), node(3, { class: "ontology_class" })]);
    expect([colours[3], colours[7], colours[11]]).toEqual([0, 1, 2]);
  });
});

it("search puts the closest match first", () => {
  const graph = read(body([
    node(1, { label: "a libc6 user" }), node(2, { label: "libc6-dev" }), node(3, { label: "libc6" }), node(4, { label: "glibc6" }),
  ]))!;
  expect(findNodes(graph.nodes, "LIBC6")).toEqual([2, 1, 0, 3]);
  expect(findNodes(graph.nodes, "  ")).toEqual([]);
});
