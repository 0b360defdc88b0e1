/** The colours of values that have none of their own. Pure. The engine's are the same: src/mcp/encoding/colours.rs. */

/** Twelve hues of about the same lightness on the dark background, neighbours far apart. */
const HUES = [
  "#6cb6ff", "#f6b73c", "#6fd68a", "#ff7d94", "#b99bff", "#45d4dc",
  "#ff9657", "#b6d94c", "#ee86e0", "#d8c39a", "#8fa6c9", "#5fe0b0",
] as const;
export const NO_GROUP = "#7f90ab";

export const CLASS_COLOURS: Record<string, string> = {
  knowledge: "#6cb6ff",
  agent: "#f6b73c",
  ontology_class: "#b99bff",
  ontology_individual: "#6fd68a",
  ontology_property: "#ff7d94",
};

/** From the least to the greatest. */
const RAMP = ["#3f74d6", "#3fa9e0", "#45d4c0", "#b6d94c", "#ffd25e"] as const;

/** The colour of the group of this rank by size, from 0. */
export function hueOf(rank: number): string {
  const round = Math.floor(rank / HUES.length);
  return round < 3 ? shade(HUES[rank % HUES.length] ?? NO_GROUP, round) : NO_GROUP;
}

/** The colour at a share of a ramp, of the page's own where `palette` is empty. */
export function rampOf(share: number, palette: readonly string[] = []): string {
  const colours = palette.length > 0 ? palette : RAMP;
  const place = Math.max(0, Math.min(1, share)) * (colours.length - 1);
  const low = Math.max(0, Math.min(Math.floor(place), colours.length - 2));
  const from = parse(colours[low] ?? NO_GROUP);
  const to = parse(colours[Math.min(low + 1, colours.length - 1)] ?? NO_GROUP);
  return format(from.map((part, k) => part + ((to[k] ?? part) - part) * (place - low)));
}

export function parse(colour: string): [number, number, number] {
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
