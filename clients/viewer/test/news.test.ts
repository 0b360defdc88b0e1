import { describe, expect, it } from "vitest";
import { LINES_MAX, NEWS_MS, News } from "../src/news.js";

const nobody = () => null;
const none = { added: 0, changed: 0, removed: 0 };

function changed(row: Record<string, unknown>) {
  return { type: "graph_changed", news: [{ version: 1, author: "agent", name: null, why: null, nodes: none, edges: none, ...row }] };
}

describe("news", () => {
  it("says who changed the graph, how much, and why", () => {
    const news = new News();
    expect(news.take(changed({ name: "Ada", why: "ideas", nodes: { ...none, added: 50 } }), 0, nobody)).toBe(true);
    expect(news.take(changed({ nodes: { ...none, changed: 1 }, edges: { added: 1_200, changed: 0, removed: 1 } }), 1, nobody)).toBe(true);
    expect(news.lines(2)).toEqual([
      "Ada added 50 nodes: ideas", "agent added 1,200 edges, changed 1 node, removed 1 edge",
    ]);
    expect(news.lines(NEWS_MS)).toEqual(["agent added 1,200 edges, changed 1 node, removed 1 edge"]);
    expect(news.lines(NEWS_MS + 1)).toEqual([]);
  });

  it("is one line for what one does on end, and the newest lines alone", () => {
    const news = new News();
    for (let k = 0; k < 30; k++) news.take(changed({ name: "Ada", nodes: { ...none, added: 2 } }), k, nobody);
    expect(news.lines(30)).toEqual(["Ada added 60 nodes"]);
    for (let k = 0; k < 30; k++) news.take(changed({ name: `a${k}`, nodes: { ...none, added: 2 } }), k, nobody);
    expect(news.lines(30)).toHaveLength(LINES_MAX);
    expect(news.lines(30).at(-1)).toBe("a29 added 2 nodes");
  });

  it("passes over what the engine does for agents, what changed nothing, and what is wrong", () => {
    const news = new News();
    for (const message of [
      changed({ author: "agents", nodes: { ...none, added: 1 } }), changed({}), { type: "graph_changed" },
      { type: "graph_changed", news: [null, 5, {}, { nodes: "x", edges: [] }, { nodes: { added: -3 } }] },
      { type: "agents", event: "delta" }, { type: "agents", event: "actions", actions: 5 }, { type: "agents" },
      { type: "agents", event: "communication", from: "a", to: [] }, { type: "view_set" },
    ]) expect(news.take(message, 0, nobody)).toBe(false);
    news.take(changed({ author: 7, name: "x".repeat(999), why: "y".repeat(999), nodes: { ...none, added: 1 } }), 0, nobody);
    expect(news.lines(0)).toEqual([`${"x".repeat(64)} added 1 node: ${"y".repeat(280)}`]);
  });

  it("tells what agents do by their names", () => {
    const news = new News();
    const ada = { agent_id: "agent:Ada", name: "Ada" };
    expect(news.take({ type: "agents", event: "snapshot", agents: [ada] }, 0, nobody)).toBe(false);
    news.take({ type: "agents", event: "agent_added", agent: { agent_id: "agent:Bob", name: "Bob" } }, 0, nobody);
    news.take({ type: "agents", event: "communication", from: "agent:Ada", to: ["agent:Bob"] }, 1, nobody);
    news.take({ type: "agents", event: "agent_removed", agent_id: "agent:Bob" }, 2, nobody);
    const actions = [{ source: 3, target: 9, action: "update" }, null, { source: 3, target: 9 }];
    news.take({ type: "agents", event: "actions", actions }, 3, (id) => (id === 3 ? "Ada" : null));
    expect(news.lines(4)).toEqual(["Bob has come", "Ada wrote to Bob", "Bob has gone", "Ada: update node 9"]);
  });
});
