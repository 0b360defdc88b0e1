/** Colours and shapes of nodes. Pure. */

import type { Graph, NodeInfo } from "./graph.js";

export const BACKGROUND = "#070a12";

/** Twelve hues of about the same lightness on the dark background, neighbours far apart. */
const HUES = [
  "#6cb6ff", "#f6b73c", "#6fd68a", "#ff7d94", "#b99bff", "#45d4dc",
  "#ff9657", "#b6d94c", "#ee86e0", "#d8c39a", "#8fa6c9", "#5fe0b0",
] as const;
const NO_GROUP = "#7f90ab";

const CLASS_COLOURS: Record<string, string> = {
  knowledge: "#6cb6ff",
  agent: "#f6b73c",
  ontology_class: "#b99bff",
  ontology_individual: "#6fd68a",
  ontology_property: "#ff7d94",
};

/** From few edges to many. */
const DEGREE_RAMP = ["#3f74d6", "#3fa9e0", "#45d4c0", "#b6d94c", "#ffd25e"] as const;

export const SHAPE_DISC = 0;
export const SHAPE_DIAMOND = 1;
export const SHAPE_SQUARE = 2;

export interface LegendEntry {
  name: string;
  colour: string;
  count: number;
}

export interface Painting {
  /** Red, green, blue and shape of each node, `[4 * nodes]`. */
  colours: Uint8Array;
  /** `#rrggbb` of each node. */
  css: string[];
  /** What the colours mean: "group", "class" or "degree", with entries for the first two. */
  by: "group" | "class" | "degree";
  legend: LegendEntry[];
}

/** Colours by the graph's own colours, else its groups, else its classes, else by degree. */
export function paint(graph: Graph): Painting {
  const groups = count(graph.nodes, (node) => node.group);
  const classes = count(graph.nodes, (node) => node.class);
  const by = groups.length > 1 ? "group" : classes.length > 1 ? "class" : "degree";
  const colourOf = new Map<string, string>();
  const entries = by === "group" ? groups : by === "class" ? classes : [];
  entries.forEach(([name], rank) => {
    const hue = HUES[rank % HUES.length] ?? NO_GROUP;
    colourOf.set(name, by === "class" ? CLASS_COLOURS[name] ?? hue : rank < 36 ? shade(hue, Math.floor(rank / 12)) : NO_GROUP);
  });
  const degreeMax = graph.nodes.reduce((max, node) => Math.max(max, node.degree), 1);

  const colours = new Uint8Array(graph.nodes.length * 4);
  const css = graph.nodes.map((node, index) => {
    const name = by === "group" ? node.group : node.class;
    const colour = node.colour
      ?? (by === "degree" ? ramp(Math.log1p(node.degree) / Math.log1p(degreeMax)) : colourOf.get(name ?? ""))
      ?? NO_GROUP;
    const rgb = parse(colour);
    colours.set([...rgb, shapeOf(node)], index * 4);
    return colour;
  });
  const legend = entries.map(([name, total]) => ({ name, colour: colourOf.get(name) ?? NO_GROUP, count: total }));
  return { colours, css, by, legend };
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

function parse(colour: string): [number, number, number] {
  const value = Number.parseInt(colour.slice(1), 16);
  return [(value >> 16) & 255, (value >> 8) & 255, value & 255];
}

function format(rgb: number[]): string {
  return `#${rgb.map((part) => Math.round(part).toString(16).padStart(2, "0")).join("")}`;
}

/** The same hue again for the second and third dozen: paler, then darker. */
function shade(colour: string, round: number): string {
  if (round === 0) return colour;
  return format(parse(colour).map((part) => (round === 1 ? part + (255 - part) * 0.45 : part * 0.62)));
}

function ramp(share: number): string {
  const place = Math.max(0, Math.min(1, share)) * (DEGREE_RAMP.length - 1);
  const low = Math.min(Math.floor(place), DEGREE_RAMP.length - 2);
  const from = parse(DEGREE_RAMP[low] ?? NO_GROUP);
  const to = parse(DEGREE_RAMP[low + 1] ?? NO_GROUP);
  return format(from.map((part, k) => part + ((to[k] ?? part) - part) * (place - low)));
}
