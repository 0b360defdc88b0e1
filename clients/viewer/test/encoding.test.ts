import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { dress } from "../src/dress.js";
import { Scheme, rulesOf, type Channel, type Datum } from "../src/encoding.js";
import { parseGraph } from "../src/graph.js";
import { saysMore } from "../src/guide.js";
import { paintRule } from "../src/palette.js";
import { DEFAULT_LIMITS } from "../src/protocol.js";
import { GraphMesh } from "../src/scene/graph-mesh.js";
import { paint } from "../src/palette.js";

interface Case { channel: Channel; rule: Record<string, unknown>; data: Datum[]; shows: (string | number | null)[] }
const cases = JSON.parse(readFileSync(new URL("../../../tests/data/encoding.json", import.meta.url), "utf8")) as Case[];

const graph = parseGraph({
  epoch: 1, tick: 1,
  nodes: [0, 1, 2].map((id) => ({ id, key: `k${id}`, group: id < 2 ? "a" : "b", attributes: { state: id === 0 ? "failed" : "done", load: id } })),
  edges: [
    { id: 0, source: 0, target: 1, weight: 1, relation: "knows" }, { id: 1, source: 1, target: 2, weight: 3, relation: null },
    { id: 2, source: 9, target: 2 }, { id: 3, source: 2, target: 0, weight: 2, relation: "likes", attributes: { since: 1999 } },
  ],
}, DEFAULT_LIMITS)!;

describe("what a channel means", () => {
  it("comes to the same here as in the engine", () => {
    expect(cases.length).toBeGreaterThan(20);
    for (const { channel, rule, data, shows } of cases) {
      const scheme = new Scheme(channel, rulesOf({ [channel]: rule }).get(channel)!, data);
      data.forEach((datum, at) => {
        const [found, wanted] = [scheme.show(datum), shows[at]!];
        const why = JSON.stringify({ channel, rule, datum });
        if (typeof wanted === "number") expect(found, why).toBeCloseTo(wanted, 5);
        else expect(found, why).toBe(wanted);
      });
    }
  });

  it("has left out what is wrong with it", () => {
    expect(rulesOf(null).size + rulesOf({ halo: { by: "class" }, icon: "star", color: { by: 5 } }).size).toBe(0);
    const rules = rulesOf({
      icon: { by: "class", mapping: { agent: "star", x: "heart", y: 5 } }, opacity: { by: "constant", value: 7 },
      color: { by: "group", palette: ["#000000", "red", 3] }, label: { by: "constant", value: "x".repeat(99) },
    });
    expect([...rules.get("icon")!.mapping]).toEqual([["agent", "star"]]);
    expect([rules.get("opacity")!.value, rules.get("color")!.palette, rules.get("label")!.value]).toEqual([null, ["#000000"], "x".repeat(64)]);
  });

  it("is put on nodes and edges", () => {
    const worn = dress(graph, {}, rulesOf({
      icon: { by: "property", property: "state", mapping: { failed: "star" } }, badge: { by: "group", mapping: { b: "#00ff00" } },
      label: { by: "property", property: "state" }, opacity: { by: "property", property: "load" }, size: { by: "constant", value: 2 },
      edge_color: { by: "type", mapping: { knows: "#ff0000" } }, edge_width: { by: "weight" },
    }));
    expect([...worn.icons!]).toEqual([5, 0, 0]);
    expect([...worn.badges!]).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 0, 255]);
    expect(worn.labels).toEqual(["failed", "done", "done"]);
    expect([...worn.opacities!]).toEqual([38, 147, 255]);
    expect(new Set(worn.radii!)).toEqual(new Set([Math.fround(2 * 1.245)]));
    expect([...worn.edgeColours!]).toEqual([255, 0, 0, 255, 0, 0, 0, 0, 246, 183, 60, 255]);
    expect([...worn.edgeWidths!]).toEqual([1, 6, 3.5]);
    const since = dress(graph, {}, rulesOf({ edge_width: { by: "property", property: "since" } }));
    expect([...since.edgeWidths!]).toEqual([1, 1, 6]);
  });

  it("goes to the graphics card", () => {
    const painting = paint(graph);
    const mesh = new GraphMesh(graph, painting);
    expect(mesh.look(0, 0)).toMatchObject({ opacity: 255, badge: [0, 0, 0, 0], width: null });
    expect([mesh.lines.visible, mesh.wide.visible, mesh.badges.visible]).toEqual([true, false, false]);
    const rules = rulesOf({
      icon: { by: "constant", value: "ring" }, badge: { by: "constant", value: "#0000ff" }, opacity: { by: "constant", value: 0.2 },
      edge_color: { by: "constant", value: "#00ff00" }, edge_width: { by: "constant", value: 5 }, size: { by: "constant", value: 3 },
    });
    mesh.wear(dress(graph, {}, rules), Uint8Array.of(0, 0, 1));
    const ring = [...painting.colours.subarray(0, 3), 7];
    expect(mesh.look(0, 0)).toMatchObject({
      paint: ring, opacity: 51, badge: [0, 0, 255, 255], edge: [0, 255, 0, 51, 0, 255, 0, 51], width: 5, radius: Math.fround(3 * 1.245),
    });
    expect(mesh.look(2, 1)).toMatchObject({ radius: 0, edge: [0, 0, 0, 0, 0, 0, 0, 0] });
    expect([mesh.lines.visible, mesh.wide.visible, mesh.badges.visible]).toEqual([false, true, true]);
    mesh.showEdges(false);
    expect([mesh.lines.visible, mesh.wide.visible]).toEqual([false, false]);
  });

  it("colours by a property where one word does not say it", () => {
    const rule = rulesOf({ color: { by: "property", property: "load" } }).get("color")!;
    const data = [0, 1, 2];
    const { by, css, legend } = paintRule(graph, new Scheme("color", rule, data), data);
    expect([by, css[0], css[2]]).toEqual(["rule", "#3f74d6", "#ffd25e"]);
    expect(legend).toEqual([{ name: "load: 2", colour: "#ffd25e", count: null }, { name: "0", colour: "#3f74d6", count: null }]);
    expect([saysMore(rule), saysMore(rulesOf({ color: { by: "class" } }).get("color")!)]).toEqual([true, false]);
  });
});
