/** Colours and shapes of nodes. Pure. */

import { FIELDS_SHOWN, OWN, shown, type Colouring, type ColumnShown, type FieldShown } from "./colouring.js";
import type { Datum, Scheme } from "./encoding.js";
import type { Graph, NodeInfo } from "./graph.js";
import { CLASS_COLOURS, NO_GROUP, hueOf, parse, rampOf } from "./hues.js";
import type { Columns } from "./wire/chain.js";

export const BACKGROUND = "#070a12";

export const SHAPE_DISC = 0;
export const SHAPE_DIAMOND = 1;
export const SHAPE_SQUARE = 2;

export interface LegendEntry {
  name: string;
  colour: string;
  /** Nodes of this colour; null for a place on a ramp. */
  count: number | null;
}

export interface Painting {
  /** Red, green, blue and shape of each node, `[4 * nodes]`. */
  colours: Uint8Array;
  /** `#rrggbb` of each node. */
  css: string[];
  /** What the colours mean; all but "degree" have a legend. */
  by: FieldShown | ColumnShown | "rule";
  legend: LegendEntry[];
}

/** Colours by a column where there is one, by a field of the nodes, else as the graph itself says. `given` are colours of single groups
 * or classes. */
export function paint(
  graph: Graph, wanted: Colouring = OWN, columns: Columns = {}, given: ReadonlyMap<string, string> = new Map(),
): Painting {
  const field = FIELDS_SHOWN.find(({ name }) => name === wanted)?.name ?? null;
  if (field !== null) return paintField(graph, field, given, false);
  const column = shown(wanted) === null ? undefined : columns[wanted as ColumnShown];
  if (column === undefined || column.length !== graph.nodes.length) return paintOwn(graph, given);
  const by = wanted as ColumnShown;
  return column instanceof Float32Array ? paintScale(graph, by, column) : paintNumbers(graph, by, column);
}

/** By a rule that somebody has set for everybody. */
export function paintRule(graph: Graph, scheme: Scheme, data: readonly Datum[]): Painting {
  const css = data.map((datum) => scheme.show(datum)).map((shown) => (typeof shown === "string" ? shown : NO_GROUP));
  const legend: LegendEntry[] = scheme.rows(Infinity).map(({ value, count, shown }) => ({ name: value, colour: String(shown ?? NO_GROUP), count }));
  const { by, property } = scheme.rule;
  for (const [end, colour] of [...scheme.ends() ?? []].reverse()) {
    const name = `${Number(end.toPrecision(3))}`;
    legend.push({ name: legend.length === 0 ? `${property ?? by}: ${name}` : name, colour: String(colour), count: null });
  }
  return finish(graph, css, "rule", legend);
}

/** The colours `css` as the renderer takes them, each with the shape of its node. */
function finish(graph: Graph, css: string[], by: Painting["by"], legend: LegendEntry[]): Painting {
  const colours = new Uint8Array(graph.nodes.length * 4);
  graph.nodes.forEach((node, index) => colours.set([...parse(css[index] ?? NO_GROUP), shapeOf(node)], index * 4));
  return { colours, css, by, legend };
}

/** Numbered groups: the largest ones have hues, 0 and the smallest ones none. */
function paintNumbers(graph: Graph, by: ColumnShown, numbers: ArrayLike<number>): Painting {
  const counts = new Map<number, number>();
  for (let index = 0; index < numbers.length; index++) {
    const number = numbers[index] ?? 0;
    counts.set(number, (counts.get(number) ?? 0) + 1);
  }
  const none = counts.get(0) ?? 0;
  counts.delete(0);
  const ranked = [...counts].sort((a, b) => b[1] - a[1] || a[0] - b[0]);
  const colourOf = new Map(ranked.map(([number], rank) => [number, hueOf(rank)]));
  const css = graph.nodes.map((_, index) => colourOf.get(numbers[index] ?? 0) ?? NO_GROUP);
  const legend: LegendEntry[] = ranked.map(([number, count]) => (
    { name: `${by} ${number}`, colour: colourOf.get(number) ?? NO_GROUP, count }
  ));
  if (none > 0) legend.push({ name: "none", colour: NO_GROUP, count: none });
  return finish(graph, css, by, legend);
}

/** A scale from the least to the greatest finite value; ranks, which few nodes have nearly all of, by their logarithm. */
function paintScale(graph: Graph, by: ColumnShown, values: Float32Array): Painting {
  let [low, high, none] = [Infinity, -Infinity, 0];
  for (const value of values) {
    if (!Number.isFinite(value)) none += 1;
    else [low, high] = [Math.min(low, value), Math.max(high, value)];
  }
  const bend = (value: number) => (by === "rank" ? Math.log(Math.max(value, Number.MIN_VALUE)) : value);
  const [from, to] = [bend(low), bend(high)];
  const shareOf = (value: number) => (to > from ? (bend(value) - from) / (to - from) : 0);
  const css = Array.from(values, (value) => (Number.isFinite(value) ? rampOf(shareOf(value)) : NO_GROUP));
  const legend: LegendEntry[] = [];
  if (none < values.length) {
    const name = shown(by)?.title ?? by;
    legend.push({ name: `${name}: ${Number(high.toPrecision(3))}`, colour: rampOf(1), count: null });
    if (high > low) legend.push({ name: `${Number(low.toPrecision(3))}`, colour: rampOf(0), count: null });
  }
  if (none > 0) legend.push({ name: by === "distance" ? "no path" : "none", colour: NO_GROUP, count: none });
  return finish(graph, css, by, legend);
}

/** By the graph's own colours, else its groups, else its classes, else by degree. */
function paintOwn(graph: Graph, given: ReadonlyMap<string, string>): Painting {
  const various = (nameOf: (node: NodeInfo) => string | null) => count(graph.nodes, nameOf).length > 1;
  const by = various((node) => node.group) ? "group" : various((node) => node.class) ? "class" : "degree";
  return paintField(graph, by, given, true);
}

/** By a field of the nodes; `own` colours of nodes go before it. */
function paintField(graph: Graph, by: FieldShown, given: ReadonlyMap<string, string>, own: boolean): Painting {
  const colourOf = new Map<string, string>();
  const entries = by === "degree" ? [] : count(graph.nodes, (node) => (by === "group" ? node.group : node.class));
  entries.forEach(([name], rank) => {
    colourOf.set(name, given.get(name) ?? (by === "class" ? CLASS_COLOURS[name] : undefined) ?? hueOf(rank));
  });
  const degreeMax = graph.nodes.reduce((max, node) => Math.max(max, node.degree), 1);

  const css = graph.nodes.map((node) => {
    const name = by === "group" ? node.group : node.class;
    return (own ? node.colour : null)
      ?? (by === "degree" ? rampOf(Math.log1p(node.degree) / Math.log1p(degreeMax)) : colourOf.get(name ?? ""))
      ?? NO_GROUP;
  });
  const legend = entries.map(([name, total]) => ({ name, colour: colourOf.get(name) ?? NO_GROUP, count: total }));
  return finish(graph, css, by, legend);
}

function shapeOf(node: NodeInfo): number {
  if (node.class === "agent") return SHAPE_DIAMOND;
  return node.class.startsWith("ontology") ? SHAPE_SQUARE : SHAPE_DISC;
}

/** How often each name occurs, most frequent first; nodes without one are left out. */
function count(nodes: NodeInfo[], nameOf: (node: NodeInfo) => string | null): [string, number][] {
  const counts = new Map<string, number>();
  for (const node of nodes) {
    const name = nameOf(node);
    if (name !== null) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
}
