/** What the picture has beside colours and sizes: icons, badges, names, opacities, and how edges look. Pure. */

import { ICONS, SIZE_PLAIN, Scheme, dataOf, type Channel, type Datum, type Rules } from "./encoding.js";
import type { Graph } from "./graph.js";
import { parse } from "./hues.js";
import type { Columns } from "./wire/chain.js";

export interface Dress {
  /** Place in `ICONS` of each node; null where each has the shape of its class. */
  icons: Uint8Array | null;
  /** Red, green, blue and whether there is one, `[4 * nodes]`. */
  badges: Uint8Array | null;
  /** What is written at each node; null is its label. */
  labels: (string | null)[] | null;
  /** 255 is as it would be without, `[nodes]`. */
  opacities: Uint8Array | null;
  /** Radius of each node, in the unit of the mesh. */
  radii: Float32Array | null;
  /** Red, green, blue and whether it has one, `[4 * edges]`. */
  edgeColours: Uint8Array | null;
  /** Pixels of each edge. */
  edgeWidths: Float32Array | null;
  /** Of all channels that are set. */
  schemes: ReadonlyMap<Channel, { scheme: Scheme; data: Datum[] }>;
}

/** What the rules make of a graph. O(nodes + edges) for each. */
export function dress(graph: Graph, columns: Columns, rules: Rules): Dress {
  const schemes = new Map<Channel, { scheme: Scheme; data: Datum[] }>();
  for (const [channel, rule] of rules) {
    const data = dataOf(graph, columns, channel, rule);
    schemes.set(channel, { scheme: new Scheme(channel, rule, data), data });
  }
  const shown = (channel: Channel) => {
    const set = schemes.get(channel);
    return set === undefined ? null : set.data.map((datum) => set.scheme.show(datum));
  };
  const numbers = (channel: Channel, plain: number) => shown(channel)?.map((it) => (typeof it === "number" ? it : plain)) ?? null;
  const colours = (channel: Channel) => {
    const all = shown(channel);
    if (all === null) return null;
    const bytes = new Uint8Array(all.length * 4);
    all.forEach((colour, at) => { if (typeof colour === "string") bytes.set([...parse(colour), 255], at * 4); });
    return bytes;
  };
  const icons = shown("icon")?.map((icon) => Math.max(0, ICONS.indexOf(icon as (typeof ICONS)[number])));
  const opacities = numbers("opacity", 1)?.map((opacity) => Math.round(opacity * 255));
  const radii = numbers("size", 1)?.map((size) => size * SIZE_PLAIN);
  const widths = numbers("edge_width", 1);
  return {
    icons: icons ? Uint8Array.from(icons) : null,
    badges: colours("badge"),
    labels: shown("label")?.map((text) => (typeof text === "string" ? text : null)) ?? null,
    opacities: opacities ? Uint8Array.from(opacities) : null,
    radii: radii ? Float32Array.from(radii) : null,
    edgeColours: colours("edge_color"),
    edgeWidths: widths ? Float32Array.from(widths) : null,
    schemes,
  };
}

/** What a picture has where nobody has said anything. */
export const UNDRESSED: Dress = {
  icons: null, badges: null, labels: null, opacities: null, radii: null, edgeColours: null, edgeWidths: null, schemes: new Map(),
};
