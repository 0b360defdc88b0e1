/**
 * A development and test fixture: serves the built page and plays a recorded chain of the compact profile to it, as the engine would
 * send it. Streams are written by `trajectories --record` (bench/); `tests/golden/compact.stream` is one too.
 *
 *   node dev/replay-server.mjs STREAM [--port 7400] [--rate 60] [--lose N]      N: every Nth delta is left out
 */

import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { WebSocketServer } from "ws";

const [INFO, SNAPSHOT, DELTA, COLUMNS] = [4, 3, 2, 6];
const nowNs = () => process.hrtime.bigint();

function messagesOf(bytes) {
  const messages = [];
  for (let place = 0; place < bytes.length;) {
    const length = bytes.readUInt32LE(place + 4);
    messages.push({ kind: bytes[place], normalise: bytes[place + 1] === 1, body: bytes.subarray(place + 8, place + 8 + length) });
    place += 8 + length;
  }
  return messages;
}

function withHeader({ kind, normalise, body }, sequence, nodes) {
  const head = Buffer.alloc(64);
  head.write("SWMC", 0, "latin1");
  head[4] = 1;
  head[5] = kind;
  head.writeUInt16LE(normalise ? 8 : 0, 6);
  head.writeUInt16LE(1, 8);
  head.writeUInt32LE(1, 12);
  head.writeBigUInt64LE(BigInt(sequence), 16);
  head.writeBigUInt64LE(BigInt(kind === DELTA ? sequence - 1 : 0), 24);
  head.writeBigUInt64LE(BigInt(sequence), 32);
  head.writeBigUInt64LE(nowNs(), 40);
  head.writeBigUInt64LE(nowNs(), 48);
  head.writeUInt32LE(nodes, 56);
  head.writeUInt32LE(body.length, 60);
  return Buffer.concat([head, body]);
}

/** Ids 1 to `nodes`, in the order of the wire, that is in no order of the graph. */
function idColumn(nodes) {
  const body = Buffer.alloc(8 + 4 * nodes);
  body[0] = 0;
  body.writeUInt32LE(4 * nodes, 4);
  for (let node = 0; node < nodes; node++) {
    const id = nodes - node;
    for (let plane = 0; plane < 4; plane++) body[8 + plane * nodes + node] = id >>> (8 * plane);
  }
  return body;
}

/** Starts the fixture and resolves to `{ url, said, close }`; `said` are the messages of clients by type. */
export async function startReplayServer(stream, { port = 0, rate = 60, lose = 0 } = {}) {
  const messages = messagesOf(readFileSync(stream));
  const nodes = messages.find(({ kind }) => kind === INFO).body.readUInt32LE(0);
  const said = {};
  const page = new URL("../dist/index.html", import.meta.url);
  const http = createServer((request, response) => {
    if (!request.url.startsWith("/api/graph/data")) {
      return response.setHeader("content-type", "text/html; charset=utf-8").end(readFileSync(page, "utf8"));
    }
    const list = Array.from({ length: nodes }, (_, index) => ({ id: index + 1, key: `n${index + 1}`, x: 0, y: 0, z: 0 }));
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ epoch: 1, tick: 0, sequence: 0, name: `recorded, ${nodes} nodes`, directed: false, nodes: list, edges: [] }));
  });
  const wss = new WebSocketServer({ server: http, handleProtocols: (offered) => [...offered][0], perMessageDeflate: false });
  wss.on("connection", (client) => {
    client.send(JSON.stringify({
      type: "connection_established", class: 1, profile: "swarmcast.compact", rate, tick_rate: 60, dimensions: 3, epoch: 1, node_count: nodes, edge_count: 0,
    }));
    let [next, sequence, wanting] = [0, 1, false];
    const send = (message) => client.send(withHeader(message, message.kind === INFO || message.kind === COLUMNS ? 0 : sequence, nodes));
    const timer = setInterval(() => {
      if (client.bufferedAmount > 1e7) return;
      for (let moved = false; !moved;) {
        // The chain begins anew at its end, and after a loss: only its one snapshot is there to go on from.
        if (next === messages.length || wanting) [next, sequence, wanting] = [0, 1, false];
        const message = messages[next++];
        if (message.kind === DELTA) sequence += 1;
        if (message.kind !== DELTA || lose === 0 || sequence % lose !== 0) send(message);
        if (message.kind === INFO) send({ kind: COLUMNS, body: idColumn(nodes) });
        moved = message.kind === DELTA || message.kind === SNAPSHOT;
      }
    }, 1000 / rate);
    client.on("message", (data) => {
      const message = JSON.parse(data.toString());
      said[message.type] = (said[message.type] ?? 0) + 1;
      if (message.type === "ping") client.send(JSON.stringify({ type: "pong", timestamp: message.timestamp, server_ns: Number(nowNs()) }));
      if (message.type === "request_full_snapshot") wanting = true;
    });
    client.on("close", () => clearInterval(timer));
  });
  await new Promise((resolve) => http.listen(port, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${http.address().port}/`,
    said,
    async close() {
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
  const server = await startReplayServer(process.argv[2], { port: option("port", 7400), rate: option("rate", 60), lose: option("lose", 0) });
  console.log(server.url);
}
