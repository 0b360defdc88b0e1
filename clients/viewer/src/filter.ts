/** Which nodes a view shows: the filter of `view_set`. Pure. The engine's is src/mcp/tools/find.rs: tests/data/filter.json holds both to it. */

import type { NodeInfo } from "./graph.js";
import { plainOrNull } from "./protocol.js";

const OPERATORS = ["eq", "ne", "lt", "le", "gt", "ge", "contains", "starts_with", "exists"] as const;
const CONDITIONS_MAX = 16;

type Plain = string | number | boolean;

interface Condition {
  key: string;
  op: (typeof OPERATORS)[number];
  /** Null goes with exists alone. */
  value: Plain | null;
}

export interface Filter {
  kind: string | null;
  group: string | null;
  where: readonly Condition[];
}

/** The filter of a message; null where it has none, or one that this page does not understand: then everything is shown. */
export function filterOf(value: unknown): Filter | null {
  if (typeof value !== "object" || value === null) return null;
  const { kind, group, where } = value as Record<string, unknown>;
  const rows: unknown[] = Array.isArray(where) ? where : [];
  const conditions = rows.map(conditionOf);
  if (conditions.length > CONDITIONS_MAX || conditions.includes(null)) return null;
  const filter = { kind: textOrNull(kind), group: textOrNull(group), where: conditions as Condition[] };
  return filter.kind === null && filter.group === null && filter.where.length === 0 ? null : filter;
}

function textOrNull(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

function conditionOf(value: unknown): Condition | null {
  if (typeof value !== "object" || value === null) return null;
  const { key, op, value: than } = value as Record<string, unknown>;
  const known = OPERATORS.find((name) => name === op);
  const plain = plainOrNull(than);
  if (typeof key !== "string" || known === undefined || (known === "exists") !== (plain === null)) return null;
  return { key, op: known, value: plain };
}

/** Whether a node is shown. */
export function passes({ kind, group, where }: Filter, node: NodeInfo): boolean {
  return (kind === null || node.class === kind) && (group === null || node.group === group)
    && where.every((condition) => holds(condition, foundIn(node, condition.key)));
}

/** The nodes that are left out, 1 for each; null where all are shown. */
export function hiddenBy(filter: Filter | null, nodes: readonly NodeInfo[]): Uint8Array | null {
  return filter === null ? null : Uint8Array.from(nodes, (node) => (passes(filter, node) ? 0 : 1));
}

function foundIn(node: NodeInfo, key: string): Plain | null {
  if (key === "id") return node.key;
  if (key === "kind") return node.class;
  if (key === "label" || key === "group" || key === "weight" || key === "degree") return node[key];
  return plainOrNull(node.attributes?.[key]);
}

function holds({ op, value }: Condition, found: Plain | null): boolean {
  if (found === null) return op === "ne";
  if (op === "exists" || value === null) return true;
  const alike = typeof found === typeof value;
  if (op === "contains" || op === "starts_with") {
    return typeof found === "string" && typeof value === "string" && (op === "contains" ? found.includes(value) : found.startsWith(value));
  }
  if (op === "eq") return alike && found === value;
  if (op === "ne") return !(alike && found === value);
  if (!alike) return false;
  return op === "lt" ? found < value : op === "le" ? found <= value : op === "gt" ? found > value : found >= value;
}
