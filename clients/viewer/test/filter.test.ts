import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { filterOf, hiddenBy } from "../src/filter.js";
import { parseGraph } from "../src/graph.js";
import { DEFAULT_LIMITS } from "../src/protocol.js";

interface Cases { nodes: { key: string }[]; cases: { filter: unknown; shown: string[] }[] }
const { nodes, cases } = JSON.parse(readFileSync(new URL("../../../tests/data/filter.json", import.meta.url), "utf8")) as Cases;

describe("a filter", () => {
  it("shows the same nodes here as in the engine", () => {
    const edges = [{ id: 0, source: 0, target: 1 }, { id: 1, source: 1, target: 2 }];
    const graph = parseGraph({ epoch: 1, tick: 1, nodes: nodes.map((node, id) => ({ id, ...node })), edges }, DEFAULT_LIMITS)!;
    expect(cases.length).toBeGreaterThan(10);
    for (const { filter, shown } of cases) {
      const hidden = hiddenBy(filterOf(filter), graph.nodes)!;
      expect(graph.nodes.filter((_, at) => hidden[at] === 0).map(({ key }) => key), JSON.stringify(filter)).toEqual(shown);
    }
    expect([filterOf(null), filterOf({}), filterOf("all"), hiddenBy(null, graph.nodes)]).toEqual([null, null, null, null]);
    expect(filterOf({ where: Array.from({ length: 17 }, () => ({ key: "a", op: "exists" })) })).toBeNull();
  });
});
