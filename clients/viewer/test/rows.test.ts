import { describe, expect, it } from "vitest";
import { Rows } from "../src/rows.js";

const node = (id: number, label = String(id)) => ({ id, key: String(id), label });
const body = () => ({
  epoch: 3, version: 7, tick: 1, sequence: 2, name: "g",
  nodes: [node(5), node(1)], edges: [{ id: 0, source: 5, target: 1 }],
});
const told = (version: number, epoch: number, ...changes: unknown[]) => ({
  type: "graph_changed", from: version - 1, version, epoch, batches: [{ version, author: "a", time: 0, changes }],
});

describe("rows", () => {
  it("follow what is told, in the order of the records", () => {
    const rows = Rows.of(body())!;
    expect(rows.apply(told(8, 3, { put_node: node(5, "five") }))).toBe(true);
    expect(rows.apply(told(9, 4, { remove_edge: 0 }, { remove_node: 5 }, { put_node: node(9) }, { put_node: node(5) }))).toBe(true);
    const answer = rows.answer() as ReturnType<typeof body>;
    expect(answer.nodes.map(({ id }) => id)).toEqual([1, 9, 5]);
    expect([answer.edges.length, answer.epoch, answer.version, answer.name]).toEqual([0, 4, 9, "g"]);
    expect(rows.apply(told(9, 4, { remove_node: 1 }))).toBe(true);
    expect((rows.answer() as ReturnType<typeof body>).nodes.length).toBe(3);
  });

  it("say when something was missed, or is not understood", () => {
    expect(Rows.of(body())!.apply(told(9, 4))).toBe(false);
    expect(Rows.of(body())!.apply({ ...told(8, 4), batches: null })).toBe(false);
    expect(Rows.of(body())!.apply(told(8, 4, { explode: 1 }))).toBe(false);
    expect(Rows.of({ ...body(), version: undefined })).toBe(null);
    expect(Rows.of({ ...body(), edges: [{ source: 1 }] })).toBe(null);
  });
});
