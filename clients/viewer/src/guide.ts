/**
 * What everybody is shown: `view_set` and `encoding_set` of the stream, and the view that the page's query asks for, taken apart without
 * trust. Pure. src/wire/PROTOCOL.md, section 4.4.
 */

import { OWN, colouringOf, type Colouring } from "./colouring.js";
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
  note: string | null;
}

export const SIZES = ["auto", "equal", "degree", "weight", "rank"] as const;
export type Sizing = (typeof SIZES)[number];

export interface Encoding {
  colour: Colouring;
  /** Colours of single groups or classes, `#rrggbb`. */
  colours: ReadonlyMap<string, string>;
  size: Sizing;
}

export const ENCODING: Encoding = { colour: OWN, colours: new Map(), size: "auto" };

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
  });
  return asked.camera === null && asked.focus.length === 0 && asked.selected === null ? null : asked;
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
