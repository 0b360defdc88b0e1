/** The figures, the legend and the card of the selected node. What is unknown is a dash. */

import type { State, Statistics } from "./connection.js";
import type { Graph, NodeInfo } from "./graph.js";
import type { Dress } from "./dress.js";
import { ICONS, type Channel, type Scheme } from "./encoding.js";
import type { Painting } from "./palette.js";

const DASH = "–";
const LEGEND_MAX = 9;
/** Rows of what another channel than colours means. */
const CHANNEL_MAX = 5;
/** In the order of `ICONS`. */
const GLYPHS = ["●", "◆", "■", "▲", "⬢", "★", "✚", "○"];

const CHANNEL_TITLES: Record<Channel, string> = {
  color: "colour", size: "size", icon: "icon", badge: "dot", label: "name", opacity: "opacity", edge_color: "edges", edge_width: "width",
};
const NOTE_MS = 15_000;

const STATES: Record<State, string> = {
  connecting: "connecting",
  greeting: "connected, waiting for the server",
  loading: "loading the graph",
  live: "live",
  waiting: "connection lost",
  stopped: "stopped",
  incompatible: "another protocol version: reload the page",
};

/** The rungs of the server's ladder for slow clients. */
const RUNGS: Record<string, string> = {
  full: "every frame",
  skipping: "some frames left out",
  coarser: "coarser and fewer frames",
  snapshots: "now and then",
};

export function element<T extends HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no #${id}`);
  return found as T;
}

/** Sets text only when it differs: the same text again would still make the browser lay out. */
export function say(id: string, text: string): void {
  const target = element(id);
  if (target.textContent !== text) target.textContent = text;
}

export function press(id: string, pressed: boolean): void {
  element(id).setAttribute("aria-pressed", String(pressed));
}

const integers = new Intl.NumberFormat("en");

export function millis(value: number | null): string {
  if (value === null) return DASH;
  return `${value.toFixed(Math.abs(value) < 10 ? 2 : Math.abs(value) < 100 ? 1 : 0)} ms`;
}

export interface Figures {
  state: State;
  retryAtMs: number;
  graph: Graph | null;
  statistics: Statistics | null;
  /** Pictures drawn in the last second; null when nothing had to be drawn. */
  fps: number | null;
  edgeShare: number;
  settled: boolean | null;
  flat: boolean | null;
}

export function showFigures(figures: Figures, nowMs: number): void {
  const { graph, statistics, state } = figures;
  element("lamp").dataset["state"] = state;
  say("status", statusOf(figures, nowMs));
  say("nodes", graph ? integers.format(graph.nodes.length) : DASH);
  const share = figures.edgeShare < 1 ? ` (${Math.round(figures.edgeShare * 100)} % drawn)` : "";
  say("edges", graph ? integers.format(graph.edges.length / 2) + share : DASH);
  say("rate", statistics?.rateHz == null ? DASH : `${statistics.rateHz.toFixed(statistics.rateHz < 9.95 ? 1 : 0)} Hz`);
  say("fps", figures.fps === null ? "at rest" : `${figures.fps} fps`);
  const error = statistics?.latencyErrorMs;
  const bound = error == null ? "" : ` ±${error.toFixed(error < 1 ? 2 : 0)}`;
  say("p50", millis(statistics?.latencyP50Ms ?? null).replace(" ms", `${bound} ms`));
  say("p99", millis(statistics?.latencyP99Ms ?? null).replace(" ms", `${bound} ms`));
  showStream(statistics);
  say("gaps", statistics && statistics.framesReceived > 0 ? integers.format(statistics.gaps) : DASH);
  const odd = statistics ? statistics.mended.clamped + statistics.mended.notFinite + statistics.mended.strangers
    + Object.values(statistics.rejected).reduce((sum, count) => sum + count, 0) : 0;
  element("oddRow").hidden = odd === 0;
  say("odd", integers.format(odd));
}

function showStream(statistics: Statistics | null): void {
  const bytes = statistics?.bytesPerNodeFrame;
  say("wire", bytes == null ? DASH : `${bytes.toFixed(bytes < 10 ? 2 : 0)} B/node`);
  const quality = statistics?.quality ?? null;
  element("qualityRow").hidden = quality === null;
  if (quality) say("quality", RUNGS[quality.rung] ?? quality.rung);
  element("quality").title = quality?.reason ?? "";
  const interest = statistics?.interest ?? null;
  element("watchedRow").hidden = interest === null;
  if (interest) say("watched", `${integers.format(interest.blocks)} of ${integers.format(interest.of)} blocks`);
}

function statusOf({ state, retryAtMs, settled, flat }: Figures, nowMs: number): string {
  const parts = [STATES[state]];
  if (state === "waiting") {
    const left = Math.max(0, retryAtMs - nowMs) / 1000;
    parts.push(left < 1 ? "trying again" : `trying again in ${Math.ceil(left)} s`);
  }
  if (state === "live" && settled !== null) parts.push(settled ? "settled" : "moving");
  if (state === "live" && flat !== null) parts.push(flat ? "2D" : "3D");
  return parts.join(" · ");
}

export function showLegend({ legend, by }: Painting, nodes: NodeInfo[], { schemes }: Dress, hidden: Uint8Array | null): void {
  const list = element("legend");
  list.replaceChildren();
  if (hidden !== null) {
    const shown = hidden.reduce((sum, one) => sum + 1 - one, 0);
    const head = legendRow(`filtered: ${integers.format(shown)} of ${integers.format(nodes.length)} (Esc: all)`, null, "transparent", "");
    head.className = "head";
    list.append(head);
  }
  for (const entry of legend.slice(0, LEGEND_MAX)) {
    list.append(legendRow(entry.name.replaceAll("_", " "), entry.count, entry.colour, by === "class" ? shapeOf(entry.name) : ""));
  }
  if (legend.length > LEGEND_MAX) list.append(legendRow(`${legend.length - LEGEND_MAX} more`, null, "#46536d", ""));
  for (const [channel, { scheme }] of schemes) if (channel !== "color") list.append(...channelRows(channel, scheme));
  if (by === "class" || schemes.has("icon")) return;
  for (const [name, shape] of [["agent", "diamond"], ["ontology", "square"]] as const) {
    const count = nodes.reduce((sum, node) => sum + Number(node.class.startsWith(name)), 0);
    if (count > 0) list.append(legendRow(name, count, "#aab6cd", shape));
  }
}

/** What a channel means: a line with what it goes by, and what its commonest values have. */
function channelRows(channel: Channel, scheme: Scheme): HTMLLIElement[] {
  const { by, property, value } = scheme.rule;
  const what = property ?? (by === "constant" ? String(value) : by.replaceAll("_", " "));
  const ends = scheme.ends()?.map(([end]) => Number(end.toPrecision(3))).join(" – ");
  const head = legendRow(`${CHANNEL_TITLES[channel]}: ${what}${ends === undefined ? "" : `, ${ends}`}`, null, "transparent", "");
  head.className = "head";
  if (!["icon", "badge", "edge_color"].includes(channel)) return [head];
  const rows = scheme.rows(CHANNEL_MAX).filter(({ shown }) => shown !== null).map(({ value: name, count, shown }) => {
    const row = legendRow(name, count, channel === "icon" ? "transparent" : String(shown), channel === "edge_color" ? "line" : "");
    if (channel === "icon") row.firstElementChild!.textContent = GLYPHS[ICONS.indexOf(shown as (typeof ICONS)[number])] ?? "";
    return row;
  });
  return [head, ...rows];
}

let noteTimer: ReturnType<typeof setTimeout> | undefined;

/** One sentence to read, for a while; null takes it away. */
export function showNote(text: string | null): void {
  clearTimeout(noteTimer);
  element("note").hidden = text === null;
  say("note", text ?? "");
  if (text !== null) noteTimer = setTimeout(() => showNote(null), NOTE_MS);
}

/** Lines about what others do, the newest last. Text only: it comes from others. */
export function showNews(lines: string[]): void {
  const list = element("news");
  if (lines.length === list.children.length && lines.every((line, at) => list.children[at]?.textContent === line)) return;
  list.replaceChildren(...lines.map((line) => {
    const row = document.createElement("li");
    row.textContent = line;
    return row;
  }));
}

function shapeOf(className: string): string {
  return className === "agent" ? "diamond" : className.startsWith("ontology") ? "square" : "";
}

function legendRow(name: string, count: number | null, colour: string, shape: string): HTMLLIElement {
  const row = document.createElement("li");
  const swatch = document.createElement("i");
  swatch.className = shape;
  swatch.style.background = colour;
  const label = document.createElement("span");
  label.textContent = name;
  row.append(swatch, label);
  if (count !== null) row.append(integers.format(count));
  return row;
}

export function showHint(node: NodeInfo | null, x: number, y: number): void {
  const hint = element("hint");
  hint.hidden = node === null;
  if (node === null) return;
  if (hint.dataset["node"] !== String(node.id)) {
    hint.dataset["node"] = String(node.id);
    const title = document.createElement("b");
    title.textContent = node.label;
    const facts = document.createElement("small");
    facts.textContent = [node.key === node.label ? "" : node.key, node.class.replaceAll("_", " "), node.group ?? "", edgesOf(node)]
      .filter((part) => part !== "").join(" · ");
    hint.replaceChildren(title, facts);
  }
  const left = Math.min(x + 16, window.innerWidth - hint.offsetWidth - 8);
  const top = y + 18 + hint.offsetHeight > window.innerHeight ? y - hint.offsetHeight - 10 : y + 18;
  hint.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
}

function edgesOf(node: NodeInfo): string {
  return node.degree === 1 ? "1 edge" : `${integers.format(node.degree)} edges`;
}

export function showCard(node: NodeInfo | null): void {
  element("card").hidden = node === null;
  if (node === null) return;
  say("cardName", node.label);
  const facts: [string, string][] = [
    ["Key", node.key], ["Id", String(node.id)], ["Class", node.class.replaceAll("_", " ") + (node.private ? ", private" : "")],
    ["Group", node.group ?? DASH], ["Degree", integers.format(node.degree)], ["Weight", String(Number(node.weight.toPrecision(4)))],
  ];
  element("cardFacts").replaceChildren(...facts.map(([name, value]) => {
    const row = document.createElement("div");
    const term = document.createElement("dt");
    const description = document.createElement("dd");
    term.textContent = name;
    description.textContent = description.title = value;
    row.append(term, description);
    return row;
  }));
  press("cardPin", node.pinned);
  say("cardPin", node.pinned ? "Pinned: let it go" : "Pin here");
}
