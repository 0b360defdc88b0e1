/**
 * What everybody is shown: `view_set` and `encoding_set` of the stream, and the view that the page's query asks for, taken apart without
 * trust. Pure. src/wire/PROTOCOL.md, section 4.4.
 */

import { OWN, colouringOf, type Colouring } from "./colouring.js";
import { rulesOf, type Rule, type Rules } from "./encoding.js";
import { filterOf, type Filter } from "./filter.js";
import { ID_MASK, numberOrNull } from "./protocol.js";

const FOCUS_MAX = 200;
const CAMERA_MAX = 1_000_000;
const NOTE_CHARACTERS_MAX = 280;
const COLOURS_MAX = 32;

export type Place = [number, number, number];

export interface Guidance {
  /** Whoever has obeyed the one of this time passes over it. */
  time: number | null;
  by: string;
  camera: { position: Place; target: Place } | null;
  /** Ids of nodes to be seen. */
  focus: number[];
  selected: number | null;
  /** Nodes that are shown; null is all. */
  filter: Filter | null;
  /** What colours go by where no encoding says what they mean. */
  groupBy: Rule | null;
  note: string | null;
}

export const SIZES = ["auto", "equal", "degree", "weight", "rank"] as const;
export type Sizing = (typeof SIZES)[number];

export interface Encoding {
  colour: Colouring;
  /** Colours of single groups or classes, `#rrggbb`. */
  colours: ReadonlyMap<string, string>;
  size: Sizing;
  /** What every channel means that is set; of colour and size it says more than the others. */
  rules: Rules;
}

export const ENCODING: Encoding = { colour: OWN, colours: new Map(), size: "auto", rules: new Map() };

/** Whether a rule of colours is more than one of the names that `Encoding.colour` has. */
export function saysMore({ by, palette }: Rule): boolean {
  return palette.length > 0 || ["property", "constant", "weight"].includes(by);
}

/** A `view_set`; what it has wrong is left out. */
export function guidanceOf(message: Record<string, unknown>): Guidance {
  const { camera, note, by } = message;
  const { position, target } = (typeof camera === "object" && camera !== null ? camera : {}) as Record<string, unknown>;
  const [eye, at] = [place(position), place(target)];
  const focus = Array.isArray(message["focus"]) ? message["focus"] : [];
  return {
    time: numberOrNull(message["time"]),
    by: typeof by === "string" ? by : "somebody",
    camera: eye !== null && at !== null && eye.some((axis, k) => axis !== at[k]) ? { position: eye, target: at } : null,
    focus: focus.slice(0, FOCUS_MAX).map(idOrNull).filter((id) => id !== null),
    selected: idOrNull(message["selected"]),
    filter: filterOf(message["filter"]),
    groupBy: rulesOf({ color: message["group_by"] }).get("color") ?? null,
    note: typeof note === "string" && note !== "" ? note.slice(0, NOTE_CHARACTERS_MAX) : null,
  };
}

/** An `encoding_set`; what is not known is as the page has it by itself. */
export function encodingOf(message: Record<string, unknown>): Encoding {
  const { colours, size } = message;
  const entries = Object.entries(typeof colours === "object" && colours !== null ? colours : {}).slice(0, COLOURS_MAX);
  const good = entries.filter((entry): entry is [string, string] => (
    typeof entry[1] === "string" && /^#[0-9a-f]{6}$/i.test(entry[1])
  ));
  return {
    colour: colouringOf(message["colour"]),
    colours: new Map(good),
    size: SIZES.find((known) => known === size) ?? "auto",
    rules: rulesOf(message["channels"]),
  };
}

/** The view that the page's address asks for; null where it asks for none. */
export function guidanceIn(query: URLSearchParams): Guidance | null {
  const numbers = (name: string) => (query.get(name) ?? "").split(",").filter((part) => part.trim() !== "").map(Number);
  const camera = numbers("camera");
  const asked = guidanceOf({
    by: "the address",
    time: query.has("seen") ? Number(query.get("seen")) : null,
    camera: camera.length === 6 ? { position: camera.slice(0, 3), target: camera.slice(3) } : null,
    focus: numbers("focus"),
    selected: query.get("selected") ? Number(query.get("selected")) : null,
    filter: json(query.get("filter")),
    group_by: json(query.get("group_by")),
  });
  const { camera: at, focus, selected, filter, groupBy } = asked;
  return at === null && focus.length === 0 && selected === null && filter === null && groupBy === null ? null : asked;
}

function json(text: string | null): unknown {
  try {
    return text === null ? null : JSON.parse(text);
  } catch {
    return null;
  }
}

function idOrNull(value: unknown): number | null {
  const id = numberOrNull(value);
  return id !== null && Number.isInteger(id) && id >= 0 && id <= ID_MASK ? id : null;
}

function place(value: unknown): Place | null {
  if (!Array.isArray(value) || value.length !== 3) return null;
  const axes = value.map(numberOrNull);
  return axes.every((axis) => axis !== null && Math.abs(axis) <= CAMERA_MAX) ? axes as Place : null;
}
