/**
 * A development and test fixture that speaks enough of src/wire/PROTOCOL.md for the viewer: it serves the built
 * page, the graph and the stream, and moves the nodes with a toy layout. Not the engine, and no measure of it.
 *
 *   node dev/fake-server.mjs [--port 7400] [--nodes 77] [--rate 60] [--flat] [--settle SECONDS] [--csp]
 */

import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { WebSocketServer } from "ws";

const HEADER_BYTES = 64;
const RECORD_BYTES = 28;
const CLASS_BITS = { knowledge: 1 << 30, agent: 1 << 31, ontology_class: 1 << 26 };
const nowNs = () => Number(process.hrtime.bigint());

/** A repeatable generator, uniform in [0, 1) (mulberry32). */
function prng(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** A graph of communities with hubs: `count` nodes and about three edges to a node. */
export function makeGraph(count, { flat = false, epoch = 1, seed = 7 } = {}) {
  const random = prng(seed);
  const normal = () => random() + random() + random() + random() - 2;
  const groups = Math.max(3, Math.min(12, Math.round(Math.sqrt(count) / 3)));
  const radius = 30 * Math.cbrt(count);
  const centres = Array.from({ length: groups }, (_, k) => {
    const up = groups === 1 ? 0 : 1 - (2 * (k + 0.5)) / groups;
    const around = k * 2.399963;
    const across = Math.sqrt(1 - up * up);
    return [across * Math.cos(around) * radius, flat ? across * Math.sin(around) * radius : up * radius,
      flat ? 0 : across * Math.sin(around) * radius];
  });
  const nodes = [];
  const edges = [];
  const degree = new Array(count).fill(0);
  const members = centres.map(() => []);
  const target = new Float64Array(count * 3);
  for (let index = 0; index < count; index++) {
    const group = Math.floor(random() ** 1.5 * groups);
    const agent = random() < Math.min(0.05, 8 / count + 0.005);
    const reach = radius * 0.42;
    for (let axis = 0; axis < 3; axis++) {
      target[index * 3 + axis] = flat && axis === 2 ? 0 : centres[group][axis] + normal() * reach;
    }
    const link = (other) => {
      if (other === undefined || other === index) return;
      edges.push({ source: index * 3 + 1, target: other * 3 + 1, weight: 1, relation: null, label: null });
      degree[index] += 1;
      degree[other] += 1;
    };
    const own = members[group];
    const wanted = own.length === 0 ? 0 : 1 + Math.floor(random() * 4);
    for (let k = 0; k < wanted; k++) link(own[Math.floor(random() ** 3 * own.length)]);
    if (random() < 0.12 && index > 0) link(Math.floor(random() * index));
    own.push(index);
    nodes.push({
      id: index * 3 + 1, key: `n${index}`, label: agent ? `agent ${index}` : `Node ${index}`,
      class: agent ? "agent" : random() < 0.03 ? "ontology_class" : "knowledge", private: false,
      group: `group ${group + 1}`, weight: 1, colour: null, pinned: false, x: 0, y: 0, z: 0,
    });
  }
  return { epoch, name: `toy graph of ${count}`, directed: false, flat, nodes, edges, target };
}

/** Springs every node to its place, with a slow swirl, and obeys drags and pins. */
export class ToySimulation {
  constructor(graph, { settleSeconds = Infinity } = {}) {
    this.settleSeconds = settleSeconds;
    this.replaceGraph(graph);
    this.tick = 0;
  }

  replaceGraph(graph) {
    const count = graph.nodes.length;
    this.graph = graph;
    this.position = new Float64Array(count * 3);
    this.velocity = new Float64Array(count * 3);
    this.held = new Map();
    this.pinned = new Set();
    const random = prng(11);
    for (let k = 0; k < count * 3; k++) {
      this.position[k] = graph.flat && k % 3 === 2 ? 0 : graph.target[k] * 0.25 + (random() - 0.5) * 60;
    }
    this.index = new Map(graph.nodes.map((node, index) => [node.id, index]));
  }

  /** One step of `dt` seconds. */
  step(dt) {
    this.tick += 1;
    if (this.settled()) return;
    const time = this.tick * dt;
    const { target } = this.graph;
    for (let index = 0; index < this.graph.nodes.length; index++) {
      const at = index * 3;
      const held = this.held.get(index);
      if (held || this.pinned.has(index)) {
        for (let axis = 0; axis < 3; axis++) {
          if (held) this.position[at + axis] = held[axis];
          this.velocity[at + axis] = 0;
        }
        continue;
      }
      const sway = 1 + 0.06 * Math.sin(time * 0.7 + index * 0.37);
      for (let axis = 0; axis < 3; axis++) {
        const pull = (target[at + axis] * sway - this.position[at + axis]) * 3;
        this.velocity[at + axis] = (this.velocity[at + axis] + pull * dt) * 0.95;
        this.position[at + axis] += this.velocity[at + axis] * dt;
      }
    }
  }

  settled() {
    return this.tick / 60 > this.settleSeconds && this.held.size === 0;
  }

  data(sequence) {
    const nodes = this.graph.nodes.map((node, index) => ({
      ...node, pinned: this.pinned.has(index),
      x: this.position[index * 3], y: this.position[index * 3 + 1], z: this.position[index * 3 + 2],
    }));
    const { epoch, name, directed, edges } = this.graph;
    return { epoch, tick: this.tick, sequence, name, directed, nodes, edges };
  }

  frame(sequence, tickNs) {
    const count = this.graph.nodes.length;
    const bytes = Buffer.alloc(HEADER_BYTES + count * RECORD_BYTES);
    bytes.write("SWMC", 0, "latin1");
    bytes[4] = 1;
    bytes[5] = 1;
    bytes.writeUInt16LE((this.settled() ? 1 : 0) | (this.graph.flat ? 2 : 0), 6);
    bytes.writeUInt16LE(1, 8);
    bytes.writeUInt32LE(this.graph.epoch, 12);
    bytes.writeBigUInt64LE(BigInt(sequence), 16);
    bytes.writeBigUInt64LE(BigInt(this.tick), 32);
    bytes.writeBigUInt64LE(BigInt(Math.round(tickNs)), 40);
    bytes.writeUInt32LE(count, 56);
    bytes.writeUInt32LE(count * RECORD_BYTES, 60);
    for (let index = 0; index < count; index++) {
      const at = HEADER_BYTES + index * RECORD_BYTES;
      const node = this.graph.nodes[index];
      bytes.writeUInt32LE((node.id | CLASS_BITS[node.class]) >>> 0, at);
      for (let axis = 0; axis < 3; axis++) {
        bytes.writeFloatLE(this.position[index * 3 + axis], at + 4 + axis * 4);
        bytes.writeFloatLE(this.velocity[index * 3 + axis], at + 16 + axis * 4);
      }
    }
    bytes.writeBigUInt64LE(BigInt(nowNs()), 48);
    return bytes;
  }
}

/** Starts the fixture and resolves to `{ url, simulation, close, replaceGraph, dropClients }`. */
export async function startFakeServer({
  port = 0, nodes = 77, rate = 60, flat = false, settleSeconds = Infinity, csp = false,
} = {}) {
  const simulation = new ToySimulation(makeGraph(nodes, { flat }), { settleSeconds });
  let sequence = 0;
  const page = new URL("../dist/index.html", import.meta.url);
  const http = createServer((request, response) => {
    if (request.url.startsWith("/api/graph/data")) {
      response.setHeader("content-type", "application/json");
      return response.end(JSON.stringify(simulation.data(sequence || null)));
    }
    if (request.url !== "/" && !request.url.startsWith("/?")) return response.writeHead(404).end();
    response.setHeader("content-type", "text/html; charset=utf-8");
    const html = readFileSync(page, "utf8");
    // The same policy as the page's own meta element, as the engine would send it.
    const policy = /http-equiv="Content-Security-Policy" content="([^"]+)"/.exec(html);
    if (csp && policy) response.setHeader("content-security-policy", `${policy[1]}; frame-ancestors 'none'`);
    response.end(html);
  });
  const wss = new WebSocketServer({ noServer: true, handleProtocols: () => "swarmcast.v1", perMessageDeflate: false });
  http.on("upgrade", (request, socket, head) => {
    wss.handleUpgrade(request, socket, head, (client) => greet(client));
  });

  function greet(client) {
    const { graph } = simulation;
    client.send(JSON.stringify({
      type: "connection_established", timestamp: Date.now(), session: "toy", class: 1, profile: "swarmcast.v1",
      rate, tick_rate: 60, dimensions: flat ? 2 : 3, epoch: graph.epoch, node_count: graph.nodes.length,
      edge_count: graph.edges.length, is_reconnection: false, state_sync_sent: false,
      protocol: { supported: ["swarmcast.v1"], preferred: "swarmcast.v1" },
    }));
    client.on("message", (data) => onText(client, data.toString()));
  }

  function onText(client, text) {
    const message = text === "ping" ? { type: "ping" } : JSON.parse(text);
    const index = simulation.index.get(message.nodeId);
    const place = ({ x, y, z }) => [x, y, simulation.graph.flat ? 0 : z];
    if (message.type === "ping") {
      client.send(JSON.stringify({ type: "pong", timestamp: message.timestamp, server_ns: nowNs() }));
    } else if (message.type === "nodeDragStart" || message.type === "nodeDragUpdate") {
      if (index !== undefined) simulation.held.set(index, place(message.position));
    } else if (message.type === "nodeDragEnd" && index !== undefined) {
      simulation.held.delete(index);
      if (message.pin) simulation.pinned.add(index);
      else simulation.pinned.delete(index);
    } else if (message.type === "pinNode" && index !== undefined) {
      if (message.pinned) simulation.pinned.add(index);
      else simulation.pinned.delete(index);
      client.send(JSON.stringify({ type: "pin_confirmed", nodeId: message.nodeId, pinned: message.pinned }));
    }
  }

  const everyNs = 1e9 / rate;
  let dueNs = nowNs();
  const timer = setInterval(() => {
    const now = nowNs();
    if (now < dueNs) return;
    dueNs = Math.max(dueNs + everyNs, now - everyNs);
    const wasSettled = simulation.settled();
    for (let k = 0; k < Math.max(1, Math.round(60 / rate)); k++) simulation.step(1 / 60);
    // At rest a frame a second is enough; its sequence follows the one before, since nothing was left out.
    if (wasSettled && simulation.settled() && simulation.tick % 60 !== 0) return;
    sequence += 1;
    const frame = simulation.frame(sequence, dueNs);
    for (const client of wss.clients) if (client.bufferedAmount < frame.length * 2) client.send(frame);
  }, 2);

  await new Promise((resolve) => http.listen(port, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${http.address().port}/`,
    simulation,
    replaceGraph(count) {
      simulation.replaceGraph(makeGraph(count, { flat, epoch: simulation.graph.epoch + 1, seed: count }));
    },
    dropClients() {
      for (const client of wss.clients) client.terminate();
    },
    async close() {
      clearInterval(timer);
      for (const client of wss.clients) client.terminate();
      await new Promise((resolve) => http.close(resolve));
    },
  };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const option = (name, fallback) => {
    const at = process.argv.indexOf(`--${name}`);
    return at < 0 ? fallback : Number(process.argv[at + 1]);
  };
  const server = await startFakeServer({
    port: option("port", 7400), nodes: option("nodes", 77), rate: option("rate", 60),
    settleSeconds: option("settle", Infinity),
    flat: process.argv.includes("--flat"), csp: process.argv.includes("--csp"),
  });
  console.log(server.url);
}
