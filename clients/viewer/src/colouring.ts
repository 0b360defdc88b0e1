/** What the nodes may be coloured by, and how a result of analytics is asked for. */

/** What the graph itself says: its colours, else groups, classes or degrees. */
export const OWN = "own";

/** What every graph has. */
export const FIELDS_SHOWN = [
  { name: "group", title: "Groups" },
  { name: "class", title: "Classes" },
  { name: "degree", title: "Degrees" },
] as const;

/** Columns of the stream that make a colouring: the name of each, its words for people, and the job that computes it. */
export const COLUMNS_SHOWN = [
  { name: "community", title: "Communities", job: "community" },
  { name: "cluster", title: "Clusters", job: "clustering" },
  { name: "component", title: "Components", job: "components" },
  { name: "rank", title: "PageRank", job: "pagerank" },
  { name: "anomaly", title: "Anomalies", job: "anomaly" },
  { name: "distance", title: "Distances", job: "sssp" },
] as const;

export type ColumnShown = (typeof COLUMNS_SHOWN)[number]["name"];
export type FieldShown = (typeof FIELDS_SHOWN)[number]["name"];
export type Colouring = typeof OWN | FieldShown | ColumnShown;

/** The colouring of this name; the graph's own where there is none. */
export function colouringOf(name: unknown): Colouring {
  return [...FIELDS_SHOWN, ...COLUMNS_SHOWN].find((known) => known.name === name)?.name ?? OWN;
}

/** The entry of `name`, or null where nothing goes by it. */
export function shown(name: string): (typeof COLUMNS_SHOWN)[number] | null {
  return COLUMNS_SHOWN.find((column) => column.name === name) ?? null;
}

/** The body of the request that computes and publishes a column; `source` is the id of the node that distances are from. */
export function requestOf(name: ColumnShown, source: number | null): object {
  return name === "distance" ? { source, publish: true, values: false } : { publish: true, values: false };
}

/** Why a request failed, in the server's words where it had any. */
export async function reasonOf(response: Response): Promise<string> {
  const body = await response.json().catch(() => null) as { detail?: unknown; title?: unknown } | null;
  const said = body?.detail ?? body?.title;
  return typeof said === "string" ? said : `the server answered ${response.status}`;
}
