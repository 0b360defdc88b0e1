/** The rows of the graph as they were fetched, kept true by what the stream tells of changes. Pure. */

import { numberOrNull } from "./protocol.js";

type Row = Record<string, unknown>;

/** Rows of a graph; a `Map` keeps the order that the records of frames have: what stays keeps its place, what is new comes last. */
export class Rows {
  private readonly body: Row;
  private readonly nodes = new Map<number, Row>();
  private readonly edges = new Map<number, Row>();
  /** Changes that they have had. */
  version: number;
  epoch: number;

  private constructor(body: Row, version: number, epoch: number) {
    this.body = body;
    this.version = version;
    this.epoch = epoch;
  }

  /** The rows of an answer of `GET /api/graph/data`; null when it says no version, or has edges without ids. */
  static of(body: unknown): Rows | null {
    if (typeof body !== "object" || body === null) return null;
    const { version, epoch, nodes, edges, ...rest } = body as Row;
    const [at, structure] = [numberOrNull(version), numberOrNull(epoch)];
    if (at === null || structure === null || !Array.isArray(nodes) || !Array.isArray(edges)) return null;
    const rows = new Rows(rest, at, structure);
    return rows.put(rows.nodes, nodes) && rows.put(rows.edges, edges) ? rows : null;
  }

  private put(into: Map<number, Row>, rows: unknown[]): boolean {
    for (const row of rows as (Row | null)[]) {
      const id = numberOrNull(row?.["id"]);
      if (row === null || id === null) return false;
      into.set(id, row);
    }
    return true;
  }

  /**
   * Applies a `graph_changed`: true when the rows have its version now, false when something was missed and they have to be
   * fetched again.
   */
  apply(message: Row): boolean {
    const [from, version, epoch] = [message["from"], message["version"], message["epoch"]].map(numberOrNull);
    if (from == null || version == null || epoch == null) return false;
    if (version <= this.version) return true;
    if (from > this.version || !Array.isArray(message["batches"])) return false;
    for (const batch of message["batches"] as (Row | null)[]) {
      const at = numberOrNull(batch?.["version"]);
      if (batch === null || at === null || !Array.isArray(batch["changes"])) return false;
      if (at <= this.version) continue;
      if (at !== this.version + 1) return false;
      for (const change of batch["changes"] as (Row | null)[]) {
        if (change === null || !this.change(change)) return false;
      }
      this.version = at;
    }
    this.epoch = epoch;
    return this.version === version;
  }

  private change(change: Row): boolean {
    const { put_node: node, remove_node: goneNode, put_edge: edge, remove_edge: goneEdge } = change;
    if (node !== undefined) return this.put(this.nodes, [node]);
    if (edge !== undefined) return this.put(this.edges, [edge]);
    if (goneNode !== undefined) return this.nodes.delete(goneNode as number) || true;
    if (goneEdge !== undefined) return this.edges.delete(goneEdge as number) || true;
    return false;
  }

  /** As `GET /api/graph/data` would say it. */
  answer(): Row {
    return { ...this.body, epoch: this.epoch, version: this.version, nodes: [...this.nodes.values()], edges: [...this.edges.values()] };
  }
}
