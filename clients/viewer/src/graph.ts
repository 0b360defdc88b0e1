/** The answer of `GET /api/graph/data`, checked and laid out for drawing. Pure. */

import { COORDINATE_MAX, ID_MASK, STRIDE, numberOrNull, type Limits } from "./protocol.js";

export interface NodeInfo {
  id: number;
  key: string;
  label: string;
  class: string;
  private: boolean;
  group: string | null;
  weight: number;
  /** `#rrggbb`, or null where the graph names none. */
  colour: string | null;
  pinned: boolean;
  /** Edges at this node, a self-loop once. */
  degree: number;
  /** Everything else that is known of it; null where that is nothing. */
  attributes: Attributes | null;
}

export type Attributes = Readonly<Record<string, unknown>>;

/** What is known of edges beside their ends, in the order of `Graph.edges`. */
export interface EdgeFacts {
  /** Names that `typeOf` counts in; an edge without one has a number beyond. */
  types: string[];
  typeOf: Uint32Array;
  weights: Float32Array;
  /** Null where no edge has any. */
  attributes: (Attributes | null)[] | null;
}

/** A graph of one epoch. Indices are places in `nodes`, which is the order of the stream's records. */
export interface Graph {
  epoch: number;
  tick: number;
  /** What the class had reached when the positions were read; null where no frame was sent yet. */
  sequence: number | null;
  name: string;
  directed: boolean;
  nodes: NodeInfo[];
  /** `[nodes.length]`. */
  ids: Uint32Array;
  /** `[nodes.length * STRIDE]`: x, y, z in world units, and speed 0. */
  positions: Float32Array;
  /** Source and target index of each edge, `[2 * edgeCount]`. */
  edges: Uint32Array;
  edgeFacts: EdgeFacts;
  /** Edges left out because an end is not in `nodes`. */
  danglingEdges: number;
}

/** The graph in `value`, or null when it is not one that this page can draw. O(nodes + edges). */
export function parseGraph(value: unknown, limits: Limits): Graph | null {
  const body = value as Partial<Record<keyof Graph, unknown>> | null;
  if (typeof body !== "object" || body === null) return null;
  const { epoch, tick, sequence, nodes: rawNodes, edges: rawEdges } = body as Record<string, unknown>;
  const epochNumber = numberOrNull(epoch);
  if (epochNumber === null || !Array.isArray(rawNodes) || !Array.isArray(rawEdges)) return null;
  if (rawNodes.length > limits.nodesMax) return null;

  const nodes: NodeInfo[] = new Array(rawNodes.length);
  const ids = new Uint32Array(rawNodes.length);
  const positions = new Float32Array(rawNodes.length * STRIDE);
  const indexOf = new Map<number, number>();
  for (let index = 0; index < rawNodes.length; index++) {
    const raw = rawNodes[index] as Record<string, unknown> | null;
    const id = numberOrNull(raw?.["id"]);
    if (raw === null || id === null || id < 0 || id > ID_MASK || indexOf.has(id)) return null;
    ids[index] = id;
    indexOf.set(id, index);
    nodes[index] = readNode(raw, id);
    positions[index * STRIDE] = coordinate(raw["x"]);
    positions[index * STRIDE + 1] = coordinate(raw["y"]);
    positions[index * STRIDE + 2] = coordinate(raw["z"]);
  }

  const edges = new Uint32Array(rawEdges.length * 2);
  let edgeCount = 0;
  const facts: EdgeFacts = { types: [], typeOf: new Uint32Array(rawEdges.length), weights: new Float32Array(rawEdges.length), attributes: null };
  const typeNumbers = new Map<string, number>();
  for (const rawEdge of rawEdges as (Record<string, unknown> | null)[]) {
    const source = indexOf.get(rawEdge?.["source"] as number);
    const target = indexOf.get(rawEdge?.["target"] as number);
    if (source === undefined || target === undefined) continue;
    edges[edgeCount * 2] = source;
    edges[edgeCount * 2 + 1] = target;
    const type = text(rawEdge?.["relation"]);
    if (type !== null && !typeNumbers.has(type)) typeNumbers.set(type, facts.types.push(type) - 1);
    facts.typeOf[edgeCount] = type === null ? NO_TYPE : typeNumbers.get(type) ?? NO_TYPE;
    facts.weights[edgeCount] = numberOrNull(rawEdge?.["weight"]) ?? 1;
    const more = attributesOf(rawEdge?.["attributes"]);
    if (more !== null) (facts.attributes ??= [])[edgeCount] = more;
    edgeCount += 1;
    const [a, b] = [nodes[source], nodes[target]];
    if (a !== undefined) a.degree += 1;
    if (b !== undefined && b !== a) b.degree += 1;
  }
  return {
    epoch: epochNumber,
    tick: numberOrNull(tick) ?? 0,
    sequence: numberOrNull(sequence),
    name: text(body.name) ?? "",
    directed: body.directed === true,
    nodes,
    ids,
    positions,
    edges: edges.slice(0, edgeCount * 2),
    edgeFacts: facts,
    danglingEdges: rawEdges.length - edgeCount,
  };
}

function readNode(raw: Record<string, unknown>, id: number): NodeInfo {
  const key = text(raw["key"]) ?? String(id);
  const colour = text(raw["colour"]);
  return {
    id,
    key,
    label: text(raw["label"]) || key,
    class: text(raw["class"]) ?? "knowledge",
    private: raw["private"] === true,
    group: text(raw["group"]),
    weight: Math.max(0, numberOrNull(raw["weight"]) ?? 1),
    colour: colour !== null && /^#[0-9a-f]{6}$/i.test(colour) ? colour : null,
    pinned: raw["pinned"] === true,
    degree: 0,
    attributes: attributesOf(raw["attributes"]),
  };
}

/** Of an edge without a type. */
const NO_TYPE = 0xffffffff;

function attributesOf(value: unknown): Attributes | null {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? value as Attributes : null;
}

function text(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

function coordinate(value: unknown): number {
  const number = numberOrNull(value) ?? 0;
  return Math.max(-COORDINATE_MAX, Math.min(COORDINATE_MAX, number));
}
