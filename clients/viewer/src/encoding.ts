/**
 * What the channels of the picture mean: the rules of `encoding_set`, and what they make of the values there are. Pure. The engine does the
 * same for its own pictures (src/mcp/encoding): tests/data/encoding.json holds both to the same answers.
 */

import type { Graph } from "./graph.js";
import { CLASS_COLOURS, NO_GROUP, hueOf, rampOf } from "./hues.js";
import { numberOrNull, plainOrNull } from "./protocol.js";
import type { Columns } from "./wire/chain.js";

export const CHANNELS = ["color", "size", "icon", "badge", "label", "opacity", "edge_color", "edge_width"] as const;
export type Channel = (typeof CHANNELS)[number];

/** In the order in which values get one; the place of each is its number in the shader. */
export const ICONS = ["disc", "diamond", "square", "triangle", "hexagon", "star", "cross", "ring"] as const;

/** A colour, an icon or a text, or a number in the unit of the channel. */
export type Shown = string | number;
export type Datum = string | number | boolean | null;

export interface Rule {
  by: string;
  property: string | null;
  value: Shown | null;
  mapping: ReadonlyMap<string, Shown>;
  palette: readonly string[];
  /** Numbers are told apart like words: they make no scale. */
  apart: boolean;
}

export type Rules = ReadonlyMap<Channel, Rule>;

const MAPPED_MAX = 32;
const PALETTE_MAX = 12;
const VALUE_CHARACTERS_MAX = 128;
const SCALES = ["degree", "weight", "rank", "anomaly", "distance"];
const RANGES: Partial<Record<Channel, readonly [number, number]>> = { size: [0.25, 4], opacity: [0.05, 1], edge_width: [0.5, 12] };

/** Radius of the least node among those of the greatest, and how much larger the greatest is. What is plain lies between. */
export const [SIZE_LEAST, SIZE_MORE] = [0.72, 2.1];
export const SIZE_PLAIN = SIZE_LEAST + SIZE_MORE / 4;

export function isOfEdges(channel: Channel): boolean {
  return channel === "edge_color" || channel === "edge_width";
}

/** The rules of a message; what is wrong with it is left out. */
export function rulesOf(value: unknown): Rules {
  const rules = new Map<Channel, Rule>();
  const given = record(value);
  for (const channel of CHANNELS) {
    const rule = record(given[channel]);
    if (typeof rule["by"] !== "string") continue;
    const palette = Array.isArray(rule["palette"]) ? rule["palette"].filter(isColour).slice(0, PALETTE_MAX) : [];
    const mapping = new Map<string, Shown>();
    for (const [name, to] of Object.entries(record(rule["mapping"])).slice(0, MAPPED_MAX)) {
      const shown = shownOf(channel, to);
      if (shown !== null) mapping.set(name, shown);
    }
    const property = typeof rule["property"] === "string" ? rule["property"] : null;
    rules.set(channel, { by: rule["by"], property, value: shownOf(channel, rule["value"]), mapping, palette, apart: rule["apart"] === true });
  }
  return rules;
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? value as Record<string, unknown> : {};
}

function isColour(value: unknown): value is string {
  return typeof value === "string" && /^#[0-9a-f]{6}$/i.test(value);
}

function shownOf(channel: Channel, value: unknown): Shown | null {
  const range = RANGES[channel];
  if (range !== undefined) {
    const number = numberOrNull(value);
    return number !== null && number >= range[0] && number <= range[1] ? number : null;
  }
  if (channel === "label") return typeof value === "string" ? value.slice(0, 64) : null;
  if (channel === "icon") return ICONS.find((icon) => icon === value) ?? null;
  return isColour(value) ? value : null;
}

/** What every node has of what a rule goes by, or every edge; null where it has no value. O(nodes) or O(edges). */
export function dataOf(graph: Graph, columns: Columns, channel: Channel, rule: Rule): Datum[] {
  const { by, property } = rule;
  if (isOfEdges(channel)) {
    const { types, typeOf, weights, attributes } = graph.edgeFacts;
    return Array.from({ length: graph.edges.length / 2 }, (_, edge) => {
      if (by === "type") return types[typeOf[edge]!] ?? null;
      if (by === "weight") return weights[edge] ?? null;
      return by === "property" && property !== null ? plainOrNull(attributes?.[edge]?.[property]) : null;
    });
  }
  const column = (columns as Record<string, ArrayLike<number> | undefined>)[by];
  const counted = ["community", "cluster", "component"].includes(by);
  if (counted || ["rank", "anomaly", "distance"].includes(by)) {
    return graph.nodes.map((_, index) => {
      const value = column?.[index];
      return value === undefined || !Number.isFinite(value) || (counted && value <= 0) ? null : value;
    });
  }
  return graph.nodes.map((node) => {
    if (by === "property") return property === null ? null : plainOrNull(node.attributes?.[property]);
    if (by === "id") return node.key;
    if (by === "label" || by === "class" || by === "group" || by === "weight" || by === "degree") return node[by];
    return null;
  });
}

const textOf = (datum: Exclude<Datum, null>) => String(datum).slice(0, VALUE_CHARACTERS_MAX);

/** A rule, and the values it was made for. */
export class Scheme {
  /** Values by how many have them, the most frequent first. */
  readonly counts: readonly (readonly [string, number])[] = [];
  private readonly ranks = new Map<string, number>();
  private readonly range: readonly [number, number] | null = null;

  constructor(private readonly channel: Channel, readonly rule: Rule, data: readonly Datum[]) {
    if (["constant", "equal", "none"].includes(rule.by)) return;
    const metric = SCALES.includes(rule.by);
    const mayScale = channel !== "icon" && channel !== "label" && rule.mapping.size === 0 && !rule.apart;
    let [low, high, others] = [Infinity, -Infinity, false];
    const counts = new Map<string, number>();
    for (const datum of data) {
      if (datum === null) continue;
      if (typeof datum === "number" && Number.isFinite(datum)) [low, high] = [Math.min(low, datum), Math.max(high, datum)];
      else others = true;
      if (mayScale && metric) continue;
      const text = textOf(datum);
      counts.set(text, (counts.get(text) ?? 0) + 1);
    }
    if (low <= high && mayScale && (metric || rule.by === "property") && !others) {
      this.range = [low, high];
      return;
    }
    this.counts = [...counts].sort((a, b) => b[1] - a[1] || byValue(a[0], b[0]));
    this.counts.forEach(([value], rank) => this.ranks.set(value, rank));
  }

  /** What whoever has this value is shown as; null is plain. */
  show(datum: Datum): Shown | null {
    const { by, value } = this.rule;
    if (by === "constant") return value;
    if (by === "equal") return 1;
    if (by === "none") return "";
    if (datum === null) return null;
    if (this.range !== null) return typeof datum === "number" && Number.isFinite(datum) ? this.scaled(datum, ...this.range) : null;
    const text = textOf(datum);
    return this.valued(text, this.ranks.get(text) ?? null, datum === false);
  }

  /** The least and the greatest number with what shows them; null where it is no scale. */
  ends(): readonly (readonly [number, Shown])[] | null {
    const { range } = this;
    return range === null ? null : range.map((end) => [end, this.scaled(end, ...range)] as const);
  }

  /** The values that most have: each with how many have it, and what shows it. */
  rows(most: number): { value: string; count: number; shown: Shown | null }[] {
    return this.counts.slice(0, most).map(([value, count], rank) => ({ value, count, shown: this.valued(value, rank, value === "false") }));
  }

  private scaled(value: number, low: number, high: number): Shown {
    const bend = (at: number) => {
      if (this.rule.by === "rank") return Math.log(Math.max(at, Number.MIN_VALUE));
      return this.rule.by === "degree" ? Math.log1p(at) : at;
    };
    const [from, to] = [this.rule.by === "degree" ? 0 : bend(low), bend(high)];
    const share = to > from ? (bend(value) - from) / (to - from) : 1;
    if (this.channel === "opacity") return 0.15 + 0.85 * share;
    if (this.channel === "edge_width") return 1 + 5 * share;
    // Area tells the amount.
    if (this.channel === "size") return (SIZE_LEAST + SIZE_MORE * (high > 0 ? Math.sqrt(Math.max(0, value) / high) : 0)) / SIZE_PLAIN;
    return rampOf(share, this.rule.palette);
  }

  private valued(value: string, rank: number | null, isNo: boolean): Shown | null {
    const { by, mapping, palette } = this.rule;
    const given = mapping.get(value);
    if (given !== undefined) return given;
    if (this.channel === "label") return value;
    if (this.channel === "icon") return mapping.size > 0 ? null : ICONS[rank ?? ICONS.length] ?? ICONS[0];
    // Where some values have a badge, or it is a question of yes and no, the others have none.
    if (this.channel === "badge" && (mapping.size > 0 || isNo)) return null;
    if (RANGES[this.channel] !== undefined) return null;
    const ofClass = by === "class" && palette.length === 0 ? CLASS_COLOURS[value] : undefined;
    const ofPalette = palette[(rank ?? 0) % Math.max(1, palette.length)];
    return ofClass ?? ofPalette ?? (rank === null ? NO_GROUP : hueOf(rank));
  }
}

/** Numbers by how large they are, everything else by its letters. */
function byValue(a: string, b: string): number {
  const [left, right] = [a, b].map((text) => (text.trim() === "" ? Number.NaN : Number(text)));
  return Number.isFinite(left) && Number.isFinite(right) ? left! - right! : a < b ? -1 : 1;
}
