/** Puts the page together: worker in, picture and panel out. Query: `?rate=HZ`, `?nodes=MAX`, `?profile=NAME`, `?bits=N`. */

import "./style.css";
import type { State, Statistics } from "./connection.js";
import type { Graph } from "./graph.js";
import { COLUMNS_SHOWN, FIELDS_SHOWN, OWN, colouringOf, reasonOf, requestOf, shown, type Colouring } from "./colouring.js";
import type { Rule } from "./encoding.js";
import { ENCODING, encodingOf, saysMore, guidanceIn, guidanceOf, type Guidance } from "./guide.js";
import { hiddenBy, type Filter } from "./filter.js";
import { Input, listenToKeys } from "./input.js";
import { Interest } from "./interest.js";
import { Interpolator } from "./interpolation.js";
import type { FrameMessage, FromWorker, ToWorker } from "./messages.js";
import { UNDRESSED, dress, type Dress } from "./dress.js";
import { paint, paintRule, type Painting } from "./palette.js";
import { News } from "./news.js";
import { element, press, showCard, showFigures, showHint, showLegend, showNews, showNote } from "./panel.js";
import { Pins } from "./pins.js";
import { COMPACT, PLAIN, STRIDE } from "./protocol.js";
import { Labels } from "./scene/labels.js";
import { View } from "./scene/view.js";
import { Search } from "./search.js";
import type { Columns } from "./wire/chain.js";
import { Tuner } from "./tuner.js";
import StreamWorker from "./worker.ts?worker&inline";

const PANEL_INTERVAL_MS = 250;
/** So many pictures on end that took longer than this, and the next ones have half the edges. */
const SLOW_PICTURE_MS = 50;
const SLOW_PICTURES = 10;
/** So many on end that were quicker than this, and they have twice as many: at most three times a graph. */
const QUICK_PICTURE_MS = 22;
const QUICK_PICTURES = 180;
const RECOVERIES_MAX = 3;
/** Nodes that a flight to what a filter shows looks at in each picture. */
const AIMED_AT_MAX = 2_000;
/** Of the events about agents that this page reads: the server closes with 4001 where it speaks another. */
const AGENTS_SCHEMA = 1;

const query = new URLSearchParams(location.search);
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const worker = new StreamWorker();
const view = new View(element<HTMLCanvasElement>("picture"), calm.matches);
const labels = new Labels();
view.add(labels.sprites.mesh);
const frames = new Interpolator((positions) => tell({ type: "recycle", positions }, [positions.buffer]));

const pins = new Pins();
const interest = new Interest();
const tuner = new Tuner({ send, note: showNote });
const news = new News();

let state: State = "connecting";
let retryAtMs = 0;
let graph: Graph | null = null;
let painting: Painting | null = null;
let worn: Dress = UNDRESSED;
let columns: Columns = {};
let encoding = ENCODING;
/** Where we are to look once there is a graph, and what of that was obeyed last. */
let guidance: Guidance | null = guidanceIn(query);
let guidedTime = guidance?.time ?? null;
let encodedTime: unknown = null;
/** Nodes that the view shows, and what it groups them by. */
let filter: Filter | null = null;
let groupBy: Rule | null = null;
let hidden: Uint8Array | null = null;
/** Whether the colours were chosen here, not by an agent for everybody. */
let chosenHere = false;
/** Counts the requests for results, so that only the last one may say how it went. */
let asked = 0;
let statistics: Statistics | null = null;
let lastFrame: Omit<FrameMessage, "positions"> | null = null;
let selected = -1;
let neighbours: ReadonlySet<number> | null = null;
let pinning = false;
let fading = false;
let drawnAtMs: number[] = [];
let slowPictures = 0;
let quickPictures = 0;
let recoveries = 0;
let lastMs = performance.now();
let panelAtMs = Number.NEGATIVE_INFINITY;

function tell(message: ToWorker, transfer: Transferable[] = []): void {
  worker.postMessage(message, transfer);
}

function send(message: object): void {
  tell({ type: "send", message });
}

worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
  if (data.type === "frame") onFrame(data);
  else if (data.type === "graph") onGraph(data.graph, data.goesOn);
  else if (data.type === "columns") onColumns(data.columns);
  else if (data.type === "statistics") onStatistics(data.statistics);
  else if (data.type === "message") onMessage(data.message);
  else {
    state = data.state;
    retryAtMs = performance.now() + data.retryMs;
    panelAtMs = Number.NEGATIVE_INFINITY;
  }
};

function onFrame(frame: FrameMessage): void {
  pins.hold(frame.positions, frame.slack);
  frames.push(frame.positions, frame.tickMs, frame.receivedAtMs - performance.timeOrigin);
  lastFrame = frame;
}

function onStatistics(next: Statistics): void {
  statistics = next;
  if (next.flat !== null) view.setFlat(next.flat);
}

function onGraph(next: Graph, goesOn: boolean): void {
  const same = graph !== null && graph.ids.length === next.ids.length && graph.ids.every((id, k) => id === next.ids[k]);
  graph = next;
  // Results are of the graph of before; those that still hold come again.
  columns = {};
  fit(next);
  frames.reset();
  // Of the same nodes the same part is watched, and one of them may be in the hand.
  if (!same) {
    interest.reset();
    tell({ type: "interest", wanted: { all: true } });
    input.reset();
  }
  pins.clear();
  next.nodes.forEach((node, index) => { if (node.pinned) pins.set(index, true); });
  labels.clear();
  if (same && goesOn && view.mesh) next.positions.set(view.mesh.positions);
  view.setGraph(next, painting!, same);
  view.mesh!.showEdges(element("lines").getAttribute("aria-pressed") === "true");
  recoveries = 0;
  select(same ? selected : -1);
  show();
  if (guidance !== null) obey(guidance);
  element("name").textContent = next.name || "Swarmcast";
  document.title = next.name ? `${next.name} · Swarmcast` : "Swarmcast";
}

function onColumns(next: Columns): void {
  columns = next;
  repaint();
}

function repaint(): void {
  if (graph === null || view.mesh === null) return;
  fit(graph);
  labels.clear();
  show();
  view.touch();
}

/** What the rules in force make of the graph. */
function fit(next: Graph): void {
  const grouped = groupBy !== null && !chosenHere && encoding.colour === OWN && !encoding.rules.has("color");
  worn = dress(next, columns, grouped ? new Map([["color", groupBy!], ...encoding.rules]) : encoding.rules);
  hidden = hiddenBy(filter, next.nodes);
  const rule = worn.schemes.get("color");
  painting = rule !== undefined && (grouped || saysMore(rule.scheme.rule))
    ? paintRule(next, rule.scheme, rule.data)
    : paint(next, encoding.colour, columns, encoding.colours);
}

/** Puts on what `fit` has made. */
function show(): void {
  if (graph === null || view.mesh === null || painting === null) return;
  view.mesh.wear(worn, hidden);
  view.mesh.resize(encoding.size, columns.rank ?? null);
  view.mesh.repaint(painting);
  showLegend(painting, graph.nodes, worn, hidden);
}

/** Colours by `next`, and has it computed and published where it is not there yet, or where it depends on what is selected. */
async function colourBy(next: Colouring): Promise<void> {
  encoding = { ...encoding, colour: next, rules: new Map([...encoding.rules].filter(([channel]) => channel !== "color")) };
  chosenHere = true;
  repaint();
  const column = shown(next);
  const mine = ++asked;
  showNote(null);
  if (column === null || (columns[column.name] !== undefined && next !== "distance")) return;
  const source = graph?.nodes[selected]?.id ?? null;
  if (next === "distance" && source === null) return showNote("Select a node first: distances are from it.");
  showNote(`${column.title} are being computed.`);
  try {
    const response = await fetch(new URL(`/api/analytics/${column.job}?wait=10`, location.href), {
      method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(requestOf(column.name, source)),
    });
    if (mine !== asked) return;
    showNote(response.ok ? null : `${column.title} cannot be had: ${await reasonOf(response)}`);
  } catch {
    if (mine === asked) showNote(`${column.title} cannot be had: the server does not answer.`);
  }
}

/** Looks where everybody is to look; whoever looks may move on. */
function obey(next: Guidance): void {
  if (graph === null) {
    guidance = next;
    return;
  }
  guidance = null;
  [filter, groupBy] = [next.filter, next.groupBy];
  repaint();
  const places = new Map(Array.from(graph.ids, (id, index) => [id, index]));
  const known = (ids: number[]) => ids.map((id) => places.get(id)).filter((index) => index !== undefined);
  const [focus, chosen] = [known(next.focus), known(next.selected === null ? [] : [next.selected])];
  select(chosen[0] ?? -1);
  if (next.camera !== null) view.flyFrom(next.camera.position, next.camera.target);
  else if (focus.length > 0 || chosen.length > 0) view.flyToAll(focus.length > 0 ? focus : chosen);
  else if (next.focus.length === 0 && next.selected === null) {
    const shown = someOf(Array.from(graph.ids.keys()).filter((node) => hidden?.[node] === 0));
    if (shown.length === 0) view.fit();
    else view.flyToAll(shown);
  }
  showNote(next.note === null ? null : `${next.by}: ${next.note}`);
}

/** An even pick, which spans what all of them span well enough to aim at. */
function someOf(nodes: number[]): number[] {
  const step = Math.ceil(nodes.length / AIMED_AT_MAX);
  return step <= 1 ? nodes : nodes.filter((_, at) => at % step === 0);
}

/** Shows all nodes again. */
function unfilter(): void {
  if (filter === null) return;
  filter = null;
  repaint();
}

function onMessage(message: { type: string } & Record<string, unknown>): void {
  tuner.take(message);
  const label = (id: number) => graph?.nodes.find((node) => node.id === id)?.label ?? null;
  if (news.take(message, performance.now(), label)) showNews(news.lines(performance.now()));
  if (message.type === "view_set") {
    const next = guidanceOf(message);
    if (next.time === guidedTime && next.time !== null) return;
    guidedTime = next.time;
    return obey(next);
  }
  if (message.type === "encoding_set") {
    if (message["time"] === encodedTime) return;
    encodedTime = message["time"];
    encoding = encodingOf(message);
    chosenHere = false;
    colours.value = encoding.colour;
    return repaint();
  }
  if (message.type === "connection_established") {
    view.setFlat(message["dimensions"] === 2);
    send({ type: "agents_subscribe", schema_version: AGENTS_SCHEMA });
  }
  if (message.type === "error" && typeof message["message"] === "string") showNote(`The server refused: ${message["message"]}`);
  if (message.type !== "pin_confirmed") return;
  const index = graph?.nodes.findIndex((node) => node.id === message["nodeId"]) ?? -1;
  setPinned(index, message["pinned"] === true);
}

function setPinned(index: number, pinned: boolean): void {
  const node = graph?.nodes[index];
  if (node === undefined) return;
  node.pinned = pinned;
  pins.set(index, pinned);
  if (index === selected) showCard(node);
}

function select(index: number): void {
  const another = index >= 0 && index !== selected;
  selected = index;
  const mesh = view.mesh;
  neighbours = index >= 0 && mesh ? new Set(mesh.neighbours(index)) : null;
  mesh?.focus(index);
  showCard(graph?.nodes[index] ?? null);
  view.touch();
  if (another && chosenHere && encoding.colour === "distance") void colourBy("distance");
}

const input = new Input({
  view,
  idOf: (node) => graph?.ids[node] ?? 0,
  pinning: () => pinning,
  send,
  hover: (node, x, y) => showHint(node === selected ? null : graph?.nodes[node] ?? null, x, y),
  select,
  pinned: (node) => setPinned(node, true),
});
const search = new Search(() => graph?.nodes ?? [], (index) => {
  select(index);
  view.flyTo(index);
  view.canvas.focus();
});

const toggles = {
  pin: () => press("pin", (pinning = !pinning)),
  names: () => press("names", (labels.enabled = !labels.enabled)),
  lines: () => {
    const shown = element("lines").getAttribute("aria-pressed") !== "true";
    press("lines", shown);
    view.mesh?.showEdges(shown);
  },
  turn: () => {
    press("turn", (view.controls.autoRotate = !view.controls.autoRotate));
  },
};

function toggle(name: keyof typeof toggles): void {
  toggles[name]();
  view.touch();
}

for (const name of Object.keys(toggles) as (keyof typeof toggles)[]) {
  element(name).addEventListener("click", () => toggle(name));
}
element("fit").addEventListener("click", () => view.fit());
element("cardClose").addEventListener("click", () => select(-1));
element("cardPin").addEventListener("click", () => {
  const node = graph?.nodes[selected];
  if (node) send({ type: "pinNode", nodeId: node.id, pinned: !node.pinned });
});
const colours = element<HTMLSelectElement>("colour");
for (const { name, title } of [...FIELDS_SHOWN, ...COLUMNS_SHOWN]) colours.append(new Option(title, name));
colours.addEventListener("change", () => { void colourBy(colouringOf(colours.value)); });
function fold(hidden: boolean): void {
  element("figures").hidden = hidden;
  element("fold").setAttribute("aria-expanded", String(!hidden));
  element("fold").textContent = hidden ? "+" : "–";
}
element("fold").addEventListener("click", () => fold(!element("figures").hidden));
fold(window.innerWidth <= 620);
listenToKeys(view, {
  fit: () => view.fit(),
  search: () => search.focus(),
  escape: () => (selected >= 0 ? select(-1) : unfilter()),
  toggle,
});

function resize(): void {
  view.resize(window.innerWidth, window.innerHeight, window.devicePixelRatio);
  labels.resize(window.innerWidth, window.innerHeight, window.devicePixelRatio);
}
window.addEventListener("resize", resize);
resize();

function turn(nowMs: number): void {
  requestAnimationFrame(turn);
  const elapsedMs = Math.min(nowMs - lastMs, 250);
  lastMs = nowMs;
  if (view.mesh && frames.sample(performance.now(), view.mesh.positions)) view.moved();
  if (fading) view.touch();
  if (view.mesh && state === "live") {
    const wanted = interest.look(nowMs, view.mesh.positions, view.sight(), selected >= 0 ? [graph!.ids[selected]!] : []);
    if (wanted !== null) tell({ type: "interest", wanted });
  }
  if (view.advance(nowMs, elapsedMs)) {
    if (graph) {
      input.refresh();
      placeLabels(nowMs, elapsedMs);
    }
    view.render();
    drawnAtMs.push(nowMs);
    watchSpeed(elapsedMs);
  }
  if (nowMs - panelAtMs > PANEL_INTERVAL_MS) {
    panelAtMs = nowMs;
    showNews(news.lines(performance.now()));
    drawnAtMs = drawnAtMs.filter((at) => nowMs - at <= 1000);
    showFigures({
      state, retryAtMs, graph, statistics, fps: drawnAtMs.length > 1 ? drawnAtMs.length : null,
      edgeShare: view.mesh?.edgeShare() ?? 1, settled: statistics?.settled ?? null, flat: statistics?.flat ?? null,
    }, performance.now());
  }
}

function placeLabels(nowMs: number, elapsedMs: number): void {
  const first = [input.hovered, selected].filter((node) => node >= 0);
  fading = labels.place({
    nodes: graph!.nodes, screen: view.screenPositions(), width: view.width, height: view.height, first, texts: worn.labels, only: neighbours,
  }, nowMs, elapsedMs);
}

/** `elapsedMs` tells how long the picture before took only while one follows the other. */
function watchSpeed(elapsedMs: number): void {
  slowPictures = elapsedMs > SLOW_PICTURE_MS ? slowPictures + 1 : 0;
  quickPictures = elapsedMs < QUICK_PICTURE_MS ? quickPictures + 1 : 0;
  if (slowPictures >= SLOW_PICTURES) {
    slowPictures = 0;
    if (view.mesh?.drawFewerEdges()) view.touch();
  } else if (quickPictures >= QUICK_PICTURES) {
    quickPictures = 0;
    if (recoveries < RECOVERIES_MAX && view.mesh?.drawMoreEdges()) recoveries += 1;
  }
}

/** For tests and the console: reads only, and what it names `received` is the stream's, not the picture's. */
const inspection = {
  get stats() {
    return {
      state, ...statistics, nodeCount: graph?.nodes.length ?? 0, edgeCount: (graph?.edges.length ?? 0) / 2,
      epoch: graph?.epoch ?? null, sequence: lastFrame?.sequence ?? null, tick: lastFrame?.tick ?? null,
      fps: drawnAtMs.length, colours: painting?.by ?? null, size: encoding.size, hidden: hidden?.reduce((sum, one) => sum + one, 0) ?? 0, selected: graph?.ids[selected] ?? null, legend: painting?.legend.length ?? 0,
      edgeShare: view.mesh?.edgeShare() ?? 1, delayMs: frames.delayMs(), labels: labels.count(),
    };
  },
  /** Position in the newest frame applied, in world units, else in the graph's answer; null before both. */
  received(index: number): number[] | null {
    const newest = frames.newest() ?? graph?.positions;
    return newest ? [...newest.subarray(index * STRIDE, index * STRIDE + 3)] : null;
  },
  /** Where the node is in the picture, in CSS pixels. */
  screenOf(index: number): { x: number; y: number; radius: number } {
    const screen = view.screenPositions();
    return { x: screen[index * 4] ?? 0, y: screen[index * 4 + 1] ?? 0, radius: screen[index * 4 + 3] ?? 0 };
  },
  /** How a node and an edge look: what went to the graphics card. */
  lookOf: (node: number, edge: number) => ({ ...view.mesh?.look(node, edge), label: worn.labels?.[node] ?? graph?.nodes[node]?.label }),
  pickAt: (x: number, y: number) => view.pickAt(x, y, 0),
};
export type Inspection = typeof inspection;
(window as unknown as { __swarmcast: Inspection }).__swarmcast = inspection;

const rate = Number(query.get("rate")) || 60;
const nodesMax = Number(query.get("nodes")) || 0;
// Other than full frames are not asked for by name, so that a server without them answers with what it has.
const [profile, bits] = [query.get("profile"), query.get("bits")];
const profiles = profile !== null ? [profile] : bits !== null ? [COMPACT] : [COMPACT, PLAIN];
const streamUrl = new URL(`/stream?rate=${rate}`, location.href);
if (bits !== null) streamUrl.searchParams.set("bits", bits);
streamUrl.protocol = location.protocol === "https:" ? "wss:" : "ws:";
tell({ type: "start", streamUrl: streamUrl.href, graphUrl: new URL("/api/graph/data", location.href).href, nodesMax, profiles });
requestAnimationFrame(turn);
