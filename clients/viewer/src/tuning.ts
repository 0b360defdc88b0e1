/**
 * What of the simulation can be turned from the page: knobs made from the schema of the settings, and where a value stands on a slider.
 * Pure. src/api/SETTINGS.md.
 */

/** A slider's way from its middle, the default, to each end where the range is wide: a factor. */
const REACH = 30;
/** Above this many times the default a range is wide, and its slider goes by factors. */
const WIDE = 20;
/** Positions of a slider. */
export const STEPS = 200;

/** The settings that are shown, in their order, and what they are called. */
const SHOWN: readonly [path: string, title: string][] = [
  ["sim.force_model", "Forces"], ["sim.dimensions", "Dimensions"], ["sim.repel_k", "Repulsion"], ["sim.spring_k", "Springs"],
  ["sim.rest_length", "Edge length"], ["sim.centre_gravity", "Gravity"], ["sim.damping", "Swing"], ["sim.cooling", "Cooling"],
  ["sim.rate_hz", "Ticks, Hz"],
];

/** Layout modes: src/api/REST.md. */
export const MODES: readonly [name: string, title: string][] = [
  ["force_directed", "Forces alone"], ["hierarchical", "Layers"], ["radial", "Rings"], ["spectral", "Spectral"],
  ["clustered", "Communities"], ["stress", "Least stress"],
];

const CHOICES: Readonly<Record<string, string>> = { t_force: "Bounded", force_atlas_2: "ForceAtlas2", lin_log: "LinLog", 2: "2D", 3: "3D" };

export type Setting = number | string | boolean;

export interface Knob {
  path: string;
  title: string;
  hint: string;
  default: Setting;
  /** Values to choose from; empty for a slider. */
  choices: { value: Setting; title: string }[];
  min: number;
  max: number;
  whole: boolean;
}

type Row = Record<string, unknown>;

/** The knobs that this server has; what its schema does not describe as we need it is left out. */
export function knobsOf(schema: unknown): Knob[] {
  const knobs: Knob[] = [];
  for (const [path, title] of SHOWN) {
    const [section, leaf] = path.split(".") as [string, string];
    const row = member(member(member(member(schema, "properties"), section), "properties"), leaf);
    if (row === null || row["x-live"] !== true) continue;
    const standard = row["default"];
    if (typeof standard !== "number" && typeof standard !== "string") continue;
    const unit = typeof row["x-unit"] === "string" ? ` In ${row["x-unit"]}.` : "";
    const hint = typeof row["description"] === "string" ? row["description"] + unit : unit;
    const ends = [row["minimum"], row["maximum"]].filter((end): end is number => typeof end === "number");
    const [min, max] = ends.length === 2 ? ends as [number, number] : [0, 0];
    const listed = Array.isArray(row["enum"]) ? row["enum"].filter((value): value is string => typeof value === "string") : [];
    const whole = row["type"] === "integer";
    const few = whole && min < max && max - min < 4 ? Array.from({ length: max - min + 1 }, (_, step) => min + step) : [];
    const choices = [...listed, ...few].map((value) => ({ value, title: CHOICES[value] ?? String(value) }));
    if (choices.length === 0 && (typeof standard !== "number" || min >= max)) continue;
    knobs.push({ path, title, hint, default: standard, choices, min, max, whole });
  }
  return knobs;
}

function member(of: unknown, name: string): Row | null {
  const found = typeof of === "object" && of !== null ? (of as Row)[name] : null;
  return typeof found === "object" && found !== null ? found as Row : null;
}

/** Whether a slider goes by factors: from a thirtieth of the default to thirty times that. */
function isWide(knob: Knob): boolean {
  return typeof knob.default === "number" && knob.default > 0 && knob.max > WIDE * knob.default;
}

/** The value at a position of the slider, 0 to [`STEPS`]: three digits, within the range. */
export function valueAt(knob: Knob, position: number): number {
  const share = Math.min(1, Math.max(0, position / STEPS));
  const standard = Number(knob.default);
  const value = isWide(knob) ? standard * REACH ** (2 * share - 1) : knob.min + share * (knob.max - knob.min);
  const short = knob.whole ? Math.round(value) : Number(value.toPrecision(3));
  return Math.min(knob.max, Math.max(knob.min, short));
}

/** Where a value stands on the slider, 0 to [`STEPS`]; beyond its reach at the end. */
export function positionOf(knob: Knob, value: Setting): number {
  const number = Number(value);
  const share = isWide(knob)
    ? number > 0 ? (Math.log(number / Number(knob.default)) / Math.log(REACH) + 1) / 2 : 0
    : (number - knob.min) / (knob.max - knob.min);
  return Math.round(STEPS * Math.min(1, Math.max(0, share)));
}

/** Settings that a `settings_delta` says are in force now. */
export function changesIn(message: Row): Map<string, Setting> {
  const changes = new Map<string, Setting>();
  for (const row of Array.isArray(message["changes"]) ? message["changes"] : []) {
    if (typeof row !== "object" || row === null) continue;
    const { path, value } = row as Row;
    if (typeof path !== "string") continue;
    if (typeof value === "number" || typeof value === "string" || typeof value === "boolean") changes.set(path, value);
  }
  return changes;
}

/** A value to read. */
export function shownValue(value: Setting): string {
  return typeof value === "number" ? String(Number(value.toPrecision(4))) : String(value);
}
