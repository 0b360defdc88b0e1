/**
 * What others do, in lines to read: changes of the graph with who made them and why, and what agents are told to have done. Taken apart
 * without trust. Pure. src/wire/PROTOCOL.md, sections 4.2 and 4.5.
 */

import { numberOrNull } from "./protocol.js";

/** How long a line stands. */
export const NEWS_MS = 15_000;
/** Lines at once: the newest. */
export const LINES_MAX = 5;
const WHY_CHARACTERS_MAX = 280;
const NAME_CHARACTERS_MAX = 64;
/** Agents whose names are known; those that came first go first. */
const AGENTS_MAX = 4_096;
/** Who the engine is when it shows what agents report: told by the events about agents. */
const TELEMETRY = "agents";

const DEEDS = ["added", "changed", "removed"] as const;
const THINGS = [["nodes", "node"], ["edges", "edge"]] as const;

type Counts = Record<(typeof DEEDS)[number], number>;

/** Something that somebody did, in numbers where it was a change of the graph. */
interface Item {
  who: string;
  why: string | null;
  counts: Record<"nodes" | "edges", Counts> | null;
  /** In words, where it was something else. */
  deed: string;
  atMs: number;
}

const integers = new Intl.NumberFormat("en");

export class News {
  private items: Item[] = [];
  private readonly names = new Map<string, string>();

  /** Takes a message of the stream; true when the lines are others from now on. `label` names a node. */
  take(message: { type: string } & Record<string, unknown>, nowMs: number, label: (id: number) => string | null): boolean {
    if (message.type === "graph_changed") return this.changed(message["news"], nowMs);
    return message.type === "agents" && this.agents(message, nowMs, label);
  }

  /** The newest last. */
  lines(nowMs: number): string[] {
    this.items = this.items.filter(({ atMs }) => nowMs - atMs < NEWS_MS);
    return this.items.map(({ who, why, counts, deed }) => {
      const line = `${who} ${counts === null ? deed : inWords(counts)}`;
      return why === null ? line : `${line}: ${why}`;
    });
  }

  private changed(news: unknown, nowMs: number): boolean {
    let any = false;
    for (const row of Array.isArray(news) ? news.slice(-LINES_MAX) : []) {
      if (typeof row !== "object" || row === null) continue;
      const { author, name, why, nodes, edges } = row as Record<string, unknown>;
      const counts = { nodes: countsOf(nodes), edges: countsOf(edges) };
      if (author === TELEMETRY || !THINGS.some(([thing]) => DEEDS.some((deed) => counts[thing][deed] > 0))) continue;
      const who = text(name, NAME_CHARACTERS_MAX) ?? text(author, NAME_CHARACTERS_MAX) ?? "somebody";
      this.add({ who, why: text(why, WHY_CHARACTERS_MAX), counts, deed: "", atMs: nowMs });
      any = true;
    }
    return any;
  }

  private agents(message: Record<string, unknown>, nowMs: number, label: (id: number) => string | null): boolean {
    const tell = (who: string, deed: string) => {
      this.add({ who, why: null, counts: null, deed, atMs: nowMs });
      return true;
    };
    switch (message["event"]) {
      case "snapshot":
        this.names.clear();
        for (const agent of Array.isArray(message["agents"]) ? message["agents"] : []) this.know(agent);
        return false;
      case "agent_added":
        return tell(this.know(message["agent"]), "has come");
      case "agent_removed": {
        const name = this.nameOf(message["agent_id"]);
        this.names.delete(String(message["agent_id"]));
        return tell(name, "has gone");
      }
      case "communication": {
        const to = Array.isArray(message["to"]) ? message["to"] : [];
        const others = to.length === 1 ? this.nameOf(to[0]) : `${integers.format(to.length)} agents`;
        return to.length > 0 && tell(this.nameOf(message["from"]), `wrote to ${others}`);
      }
      case "actions": {
        const actions = Array.isArray(message["actions"]) ? message["actions"].slice(-LINES_MAX) : [];
        for (const action of actions as (Record<string, unknown> | null)[]) {
          const [source, target] = [numberOrNull(action?.["source"]), numberOrNull(action?.["target"])];
          const what = text(action?.["action"], NAME_CHARACTERS_MAX);
          if (source === null || target === null || what === null) continue;
          tell(`${label(source) ?? `agent ${source}`}:`, `${what} ${label(target) ?? `node ${target}`}`);
        }
        return actions.length > 0;
      }
      default:
        return false;
    }
  }

  /** What one does on end is one line. */
  private add(item: Item): void {
    const last = this.items.at(-1);
    if (last && last.who === item.who && last.why === item.why && last.counts !== null && item.counts !== null) {
      for (const [thing] of THINGS) for (const deed of DEEDS) last.counts[thing][deed] += item.counts[thing][deed];
      last.atMs = item.atMs;
      return;
    }
    if (last && last.who === item.who && last.deed === item.deed && last.counts === null && item.counts === null) {
      last.atMs = item.atMs;
      return;
    }
    this.items.push(item);
    if (this.items.length > LINES_MAX) this.items.shift();
  }

  private know(agent: unknown): string {
    const { agent_id: id, name } = (typeof agent === "object" && agent !== null ? agent : {}) as Record<string, unknown>;
    const known = text(name, NAME_CHARACTERS_MAX) ?? text(id, NAME_CHARACTERS_MAX) ?? "an agent";
    if (typeof id === "string") {
      if (this.names.size >= AGENTS_MAX) this.names.delete(this.names.keys().next().value!);
      this.names.set(id, known);
    }
    return known;
  }

  private nameOf(id: unknown): string {
    return this.names.get(String(id)) ?? text(id, NAME_CHARACTERS_MAX) ?? "an agent";
  }
}

/** `added 50 nodes and 3 edges, removed 1 edge`. */
function inWords(counts: Record<"nodes" | "edges", Counts>): string {
  const parts = DEEDS.map((deed) => {
    const things = THINGS.filter(([thing]) => counts[thing][deed] > 0).map(([thing, one]) => {
      const count = counts[thing][deed];
      return `${integers.format(count)} ${count === 1 ? one : thing}`;
    });
    return things.length > 0 ? `${deed} ${things.join(" and ")}` : "";
  });
  return parts.filter((part) => part !== "").join(", ");
}

function countsOf(value: unknown): Counts {
  const row = (typeof value === "object" && value !== null ? value : {}) as Record<string, unknown>;
  const count = (deed: string) => Math.max(0, Math.floor(numberOrNull(row[deed]) ?? 0));
  return { added: count("added"), changed: count("changed"), removed: count("removed") };
}

function text(value: unknown, charactersMax: number): string | null {
  return typeof value === "string" && value !== "" ? value.slice(0, charactersMax) : null;
}
