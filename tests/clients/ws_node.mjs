#!/usr/bin/env node
// Checks a running server over WebSocket with the `ws` library: a second reading of src/wire/PROTOCOL.md, in another
// language, that shares no code with the Python clients.
//
//     node ws_node.mjs --url ws://127.0.0.1:7400/stream --profile v3 --rate 60 --frames 120 --check-rest http://127.0.0.1:7400
//
// One JSON line says what was found; exit 0 only when everything held.

import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import WebSocket from "ws";

const RECORD_BYTES = { "swarmcast.v1": 28, v1: 34, v2: 36, v3: 48 };
const HEAD_BYTES = { "swarmcast.v1": 64, v1: 0, v2: 1, v3: 1 };
const RECENT_FRAMES = 240;

const { values: options } = parseArgs({
  options: {
    url: { type: "string", default: "ws://127.0.0.1:7400/stream" },
    profile: { type: "string", default: "swarmcast.v1" },
    by: { type: "string", default: "subprotocol" },
    rate: { type: "string" },
    frames: { type: "string", default: "60" },
    "check-rest": { type: "string" },
    "first-frame-ms": { type: "string", default: "500" },
    "frame-timeout": { type: "string", default: "10" },
    "gaps-max": { type: "string", default: "0" },
    "still-ok": { type: "boolean", default: false },
    "frames-only": { type: "boolean", default: false },
    out: { type: "string" },
  },
});
if (!(options.profile in RECORD_BYTES)) {
  console.error(`--profile must be one of ${Object.keys(RECORD_BYTES).join(", ")}`);
  process.exit(2);
}

class Failed extends Error {}
const must = (condition, text) => {
  if (!condition) throw new Failed(text());
};
const now = () => performance.now();
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Takes one frame apart: `{header, ids, at(i) -> [x, y, z]}`. Throws `Failed` naming the rule that was broken. */
function decode(profile, data) {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const head = HEAD_BYTES[profile];
  const size = RECORD_BYTES[profile];
  must(data.length >= head, () => `a frame of ${data.length} bytes is shorter than its ${head}-byte head`);
  must((data.length - head) % size === 0, () => `${data.length} bytes are no whole number of ${size}-byte records`);
  let header = null;
  if (profile === "swarmcast.v1") {
    header = {
      magic: data.toString("latin1", 0, 4),
      version: view.getUint8(4),
      kind: view.getUint8(5),
      flags: view.getUint16(6, true),
      class: view.getUint16(8, true),
      reserved: view.getUint16(10, true),
      epoch: view.getUint32(12, true),
      sequence: view.getBigUint64(16, true),
      base: view.getBigUint64(24, true),
      tick: view.getBigUint64(32, true),
      tick_ns: view.getBigUint64(40, true),
      published_ns: view.getBigUint64(48, true),
      node_count: view.getUint32(56, true),
      body_bytes: view.getUint32(60, true),
    };
    must(header.magic === "SWMC", () => `magic is ${header.magic}`);
    must(header.version === 1 && header.kind === 1, () => `version ${header.version}, kind ${header.kind}`);
    must((header.flags & ~7) === 0, () => `flags ${header.flags} has bits that the protocol keeps 0`);
    must(header.reserved === 0 && header.base === 0n, () => `reserved ${header.reserved}, base ${header.base}, not 0`);
    must(header.body_bytes === header.node_count * 28, () => `body_bytes ${header.body_bytes} of ${header.node_count} nodes`);
    must(data.length === 64 + header.body_bytes, () => `${data.length} bytes, header says ${64 + header.body_bytes}`);
    must(header.published_ns >= header.tick_ns, () => `published ${header.published_ns} before due ${header.tick_ns}`);
  } else if (head === 1) {
    must(data[0] === Number(profile[1]), () => `a ${profile} frame begins with byte ${data[0]}`);
  }
  const count = (data.length - head) / size;
  const idBytes = profile === "v1" ? 2 : 4;
  const ids = new Uint32Array(count);
  for (let i = 0; i < count; i++) {
    const offset = head + i * size;
    ids[i] = profile === "v1" ? view.getUint16(offset, true) & 0x3fff : view.getUint32(offset, true) & 0x03ffffff;
    for (let k = 0; k < 6; k++) {
      const value = view.getFloat32(offset + idBytes + 4 * k, true);
      must(Number.isFinite(value), () => `record ${i}: ${["x", "y", "z", "vx", "vy", "vz"][k]} is ${value}`);
    }
    if (profile === "swarmcast.v1") continue;
    const path = offset + idBytes + 24;
    const [distance, parent] = [view.getFloat32(path, true), view.getInt32(path + 4, true)];
    must(distance === Infinity && parent === -1, () => `record ${i}: distance ${distance}, parent ${parent}: not computed`);
    if (profile !== "v3") continue;
    const groups = [view.getUint32(path + 8, true), view.getFloat32(path + 12, true), view.getUint32(path + 16, true)];
    must(groups.join() === "0,-1,0", () => `record ${i}: cluster, anomaly, community are ${groups}: not computed`);
  }
  const at = (i) => [0, 4, 8].map((k) => view.getFloat32(head + i * size + idBytes + k, true));
  return { header, ids, at, count };
}

const samePlaces = (a, b) => {
  for (let i = 0; i < a.count; i++) {
    const [p, q] = [a.at(i), b.at(i)];
    if (p[0] !== q[0] || p[1] !== q[1] || p[2] !== q[2]) return false;
  }
  return true;
};

class Session {
  checks = {};
  failures = [];
  texts = [];
  waiting = null;
  count = 0;
  gaps = 0;
  bytes = 0;
  moved = 0;
  settled = 0;
  recent = [];
  last = null;
  broken = null;
  previousClass = null;

  async open() {
    const url = new URL(options.url);
    if (options.by === "query") url.searchParams.set("profile", options.profile);
    if (options.rate) url.searchParams.set("rate", options.rate);
    this.connectAt = now();
    const protocols = options.by === "query" ? [] : [options.profile];
    this.socket = new WebSocket(url, protocols, { perMessageDeflate: false, maxPayload: 1 << 30 });
    this.socket.on("message", (data, binary) => this.onMessage(data, binary));
    this.socket.on("close", (code, reason) => {
      this.closed = { code, reason: reason.toString() };
      this.broken ??= new Failed(`the server closed the connection: ${code} ${reason}`);
      this.waiting?.();
    });
    await new Promise((resolve, reject) => {
      this.socket.once("open", resolve);
      this.socket.once("error", reject);
    });
    this.socket.on("error", (error) => (this.broken ??= error));
    must(!protocols.length || this.socket.protocol === options.profile, () => `sub-protocol echoed: ${this.socket.protocol}`);
  }

  onMessage(data, binary) {
    if (this.broken) return;
    try {
      if (binary) this.onFrame(data);
      else this.texts.push(this.parse(data.toString("utf8")));
    } catch (error) {
      this.broken = error;
    }
    this.waiting?.();
  }

  parse(text) {
    try {
      const message = JSON.parse(text);
      if (typeof message?.type === "string") return message;
    } catch {
      // Answered below, as for a text without a type.
    }
    throw new Failed(`a text that is no JSON object with a type: ${text.slice(0, 200)}`);
  }

  onFrame(data) {
    must(this.hello, () => "a frame came before connection_established");
    const frame = decode(options.profile, data);
    const where = `frame ${this.count}`;
    const { header } = frame;
    if (header && header.class === this.previousClass) return; // on its way when the subscription changed
    must(frame.count === this.hello.node_count, () => `${where}: ${frame.count} nodes, not ${this.hello.node_count}`);
    if (header) {
      must(header.class === this.class, () => `${where}: class ${header.class}, not ${this.class}`);
      must(header.epoch === this.hello.epoch, () => `${where}: epoch ${header.epoch}, not ${this.hello.epoch}`);
      must(header.sequence >= 1n, () => `${where}: sequence ${header.sequence}`);
      must(Boolean(header.flags & 2) === (this.hello.dimensions === 2), () => `${where}: two-dimensional flag is wrong`);
      this.settled += header.flags & 1;
    }
    if (this.hello.dimensions === 2) {
      for (let i = 0; i < frame.count; i++) must(frame.at(i)[2] === 0, () => `${where}: z of record ${i} is not 0`);
    }
    if (!this.last) {
      must(new Set(frame.ids).size === frame.count, () => `${where}: an id occurs twice`);
      this.firstAt ??= now();
    } else {
      const differs = frame.ids.findIndex((id, i) => id !== this.last.ids[i]);
      must(differs < 0, () => `${where}: record ${differs} is id ${frame.ids[differs]}, was ${this.last.ids[differs]}`);
      const same = samePlaces(frame, this.last);
      this.moved += same ? 0 : 1;
      if (header) this.compareHeaders(where, this.last.header, header, same);
    }
    this.count++;
    this.bytes += data.length;
    this.last = frame;
    this.recent.push(frame);
    if (this.recent.length > RECENT_FRAMES) this.recent.shift();
  }

  compareHeaders(where, then, header, same) {
    const step = header.sequence - then.sequence;
    if (step === 0n && this.repeatAllowed) {
      this.repeatAllowed = false;
      must(same, () => `${where}: sequence ${header.sequence} came twice with different positions`);
      return;
    }
    must(step >= 1n, () => `${where}: sequence ${header.sequence} after ${then.sequence}`);
    this.gaps += Number(step) - 1;
    for (const field of ["tick", "tick_ns", "published_ns"]) {
      must(header[field] >= then[field], () => `${where}: ${field} went back from ${then[field]} to ${header[field]}`);
    }
    must(same || header.tick > then.tick, () => `${where}: tick ${header.tick} came twice with different positions`);
    must(same || step !== 1n || !(header.flags & 4), () => `${where}: flagged heartbeat, but something moved`);
  }

  /** Waits until `until()` gives something true, and gives that. */
  async wait(until, what, ms = 2000) {
    const deadline = now() + ms;
    for (;;) {
      const found = until();
      if (found) return found;
      if (this.broken) throw this.broken;
      const left = deadline - now();
      must(left > 0, () => `${what} did not come within ${ms} ms`);
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, left);
        this.waiting = () => (clearTimeout(timer), resolve());
      });
      this.waiting = null;
    }
  }

  async text(type, ms = 2000) {
    const find = () => this.texts.find((message) => message.type === type);
    const message = await this.wait(find, `\`${type}\` (got ${this.texts.map((m) => m.type)})`, ms);
    this.texts.splice(this.texts.indexOf(message), 1);
    return message;
  }

  async frames(count, ms = 1000 * Number(options["frame-timeout"])) {
    const goal = this.count + count;
    while (this.count < goal) {
      const before = this.count;
      await this.wait(() => this.count > before, `frame ${before}`, ms);
    }
  }

  send(message) {
    this.socket.send(typeof message === "string" ? message : JSON.stringify(message));
  }

  async step(name, method) {
    this.texts.length = 0;
    try {
      this.checks[name] = (await method.call(this)) ?? true;
    } catch (error) {
      if (!(error instanceof Failed)) throw error;
      this.checks[name] = false;
      this.failures.push(`${name}: ${error.message}`);
      if (error === this.broken) throw error;
    }
  }

  async establish() {
    // Frames may come in the same read as the hello, so the hello is found as texts are parsed.
    const parse = this.parse.bind(this);
    this.parse = (text) => {
      const message = parse(text);
      must(this.hello || message.type === "connection_established", () => `the first message is ${text.slice(0, 300)}`);
      if (!this.hello) {
        this.hello = message;
        this.class = message.class;
      }
      return message;
    };
  }

  checkHello() {
    const hello = this.hello;
    expect(hello, "connection_established", {
      timestamp: "integer", class: "integer", profile: "string", rate: "integer", tick_rate: "integer",
      dimensions: "integer", epoch: "integer", node_count: "integer", edge_count: "integer", is_reconnection: "boolean",
      state_sync_sent: "boolean", protocol: "object",
    });
    must(hello.session !== undefined, () => "connection_established lacks session");
    const lacking = Object.keys(RECORD_BYTES).filter((profile) => !hello.protocol.supported?.includes(profile));
    must(!lacking.length && hello.protocol.preferred, () => `protocol is ${JSON.stringify(hello.protocol)}`);
    must(hello.profile === options.profile, () => `asked for ${options.profile}, got ${hello.profile}`);
    const rate = Math.min(Number(options.rate ?? hello.tick_rate), hello.tick_rate);
    must(hello.rate === rate, () => `rate is ${hello.rate}, not ${rate}`);
    must(!hello.is_reconnection && !hello.state_sync_sent, () => "is_reconnection and state_sync_sent are not false");
    this.checks.established = true;
  }

  async readFrames() {
    await this.frames(1);
    this.firstMs = this.firstAt - this.connectAt;
    if (this.firstMs > Number(options["first-frame-ms"])) {
      this.failures.push(`first frame came ${this.firstMs.toFixed(0)} ms after connecting, limit ${options["first-frame-ms"]}`);
    }
    const wanted = Number(options.frames);
    if (wanted > this.count) await this.frames(wanted - this.count);
    if (this.gaps > Number(options["gaps-max"])) this.failures.push(`${this.gaps} frames were left out`);
    if (wanted > 1 && !this.moved && this.settled < this.count && !options["still-ok"]) {
      this.failures.push(`nothing moved in ${this.count} frames`);
    }
    this.checks.frames = true;
  }

  async rest() {
    const url = `${options["check-rest"].replace(/\/$/, "")}/api/graph/data?class=${this.class}`;
    for (let attempt = 0; attempt < 5; attempt++) {
      const answer = await (await fetch(url)).json();
      expect(answer, "graph/data", { epoch: "integer", tick: "integer", sequence: "integer", nodes: "object", edges: "object" });
      must(answer.epoch === this.hello.epoch, () => `REST is of epoch ${answer.epoch}`);
      must(answer.edges.length === this.hello.edge_count, () => `REST has ${answer.edges.length} edges`);
      must(answer.nodes.length === this.last.count, () => `REST has ${answer.nodes.length} nodes`);
      const differs = answer.nodes.findIndex((node, i) => node.id !== this.last.ids[i]);
      must(differs < 0, () => `record ${differs} is id ${answer.nodes[differs].id} in REST, ${this.last.ids[differs]} in the stream`);
      const known = new Set(this.last.ids);
      for (const edge of answer.edges) {
        must(known.has(edge.source) && known.has(edge.target), () => `edge ${JSON.stringify(edge)} names no node`);
      }
      const places = answer.nodes.map(placeOf);
      const agrees = (frame) => places.every((place, i) => frame.at(i).every((value, k) => value === place[k]));
      const summary = { nodes: answer.nodes.length, edges: answer.edges.length, sequence: answer.sequence };
      if (!this.last.header) {
        for (let more = 0; more < 4; more++) {
          if (this.recent.some(agrees)) return summary;
          await this.frames(1);
        }
        continue;
      }
      while (Number(this.last.header.sequence) < answer.sequence) await this.frames(1);
      const frame = this.recent.find(({ header }) => Number(header.sequence) === answer.sequence);
      if (!frame) continue;
      if (this.hello.rate < this.hello.tick_rate && Number(frame.header.tick) < answer.tick) {
        // A class slower than the simulation may find REST at a tick between two of its own frames.
        while (this.last.header.sequence <= frame.header.sequence) await this.frames(1);
        const later = this.recent.find(({ header }) => header.sequence > frame.header.sequence);
        must(Number(later.header.tick) > answer.tick, () => `sequence ${answer.sequence}: REST is later than the next frame`);
        return { ...summary, between: true };
      }
      must(Number(frame.header.tick) === answer.tick, () => `sequence ${answer.sequence}: tick differs between REST and stream`);
      must(agrees(frame), () => {
        const i = places.findIndex((place, k) => frame.at(k).some((value, axis) => value !== place[axis]));
        return `sequence ${answer.sequence}: node ${frame.ids[i]} is at ${places[i]} in REST, at ${frame.at(i)} in the stream`;
      });
      return summary;
    }
    if (this.hello.rate < this.hello.tick_rate) return { between: true };
    throw new Failed("the frame that REST took its positions from was never received, in 5 tries");
  }

  async ping() {
    this.send({ type: "ping", timestamp: 1234567890.5 });
    const pong = await this.text("pong");
    must(pong.timestamp === 1234567890.5 && Number.isInteger(pong.server_ns), () => `pong is ${JSON.stringify(pong)}`);
  }

  async unknown_type() {
    this.send({ type: "no_such_type_of_message" });
    const error = await this.text("error");
    expect(error, "error", { code: "string", message: "string", category: "string", retryable: "boolean", affectedPaths: "object" });
    must("retryAfter" in error, () => "error lacks retryAfter");
    await this.ping();
    await this.frames(1);
    return { code: error.code, message: error.message };
  }

  place(type, index, at, extra = {}) {
    const [x, y, z] = at;
    this.send({ type, nodeId: this.last.ids[index], position: { x, y, z }, ...extra });
  }

  async drag() {
    const index = this.last.count - 1;
    const start = this.last.at(index);
    const goal = start.map((value, k) => Math.fround(value + (this.hello.dimensions === 2 && k === 2 ? 0 : [30, -20, 10][k])));
    this.place("nodeDragStart", index, start);
    for (let step = 1; step <= 10; step++) {
      await sleep(20);
      this.place("nodeDragUpdate", index, start.map((value, k) => (step < 10 ? value + ((goal[k] - value) * step) / 10 : goal[k])));
    }
    // Held by repeating the last update: a drag ends after 500 ms of silence, and the stream may be slow.
    const hold = setInterval(() => this.place("nodeDragUpdate", index, goal), 100);
    const off = () => Math.max(...this.last.at(index).map((value, k) => Math.abs(value - goal[k])));
    try {
      await this.wait(() => off() <= 1e-3, `node ${this.last.ids[index]} at ${goal} (it is at ${this.last.at(index)})`, 3000);
    } finally {
      clearInterval(hold);
    }
    const result = { off: off() };
    this.send({ type: "nodeDragEnd", nodeId: this.last.ids[index] });
    const errors = this.texts.filter((message) => message.type === "error");
    must(!errors.length, () => `the server answered with ${JSON.stringify(errors)}`);
    return result;
  }

  async pin() {
    const nodeId = this.last.ids[0];
    for (const pinned of [true, false]) {
      this.send({ type: "pinNode", nodeId, pinned });
      const answer = await this.text("pin_confirmed");
      must(answer.nodeId === nodeId && answer.pinned === pinned, () => `pin_confirmed is ${JSON.stringify(answer)}`);
      if (!pinned) break;
      await this.frames(2);
      const at = this.last.at(0);
      for (let i = 0; i < 5; i++) {
        await this.frames(1);
        must(this.last.at(0).join() === at.join(), () => `node ${nodeId} is pinned at ${at} but went to ${this.last.at(0)}`);
      }
    }
  }

  async close() {
    const data = Buffer.from("before closing");
    const pong = new Promise((resolve) => this.socket.once("pong", resolve));
    this.socket.ping(data);
    const answer = await Promise.race([pong, sleep(5000)]);
    must(answer && data.equals(answer), () => "no pong with the same bytes within 5 s");
    // From here on the server's close is the answer, not a fault.
    const ended = new Promise((resolve) => this.socket.once("close", (code) => resolve(code)));
    this.socket.close(1000, "done");
    const code = await Promise.race([ended, sleep(5000)]);
    must(code === 1000, () => `closing with 1000 was answered with ${code ?? "nothing"}`);
    this.checks.close = { code };
  }
}

function expect(message, name, fields) {
  for (const [field, kind] of Object.entries(fields)) {
    const value = message[field];
    const good = kind === "integer" ? Number.isInteger(value) : typeof value === kind && value !== null;
    must(good, () => `${name}.${field} is ${JSON.stringify(value)}`);
  }
}

function placeOf(node) {
  const place = node.position ?? node;
  return (Array.isArray(place) ? place : [place.x, place.y, place.z]).map(Math.fround);
}

const session = new Session();
try {
  await session.establish();
  await session.open();
  await session.wait(() => session.hello, "connection_established", 5000);
  session.checkHello();
  await session.readFrames();
  if (options["check-rest"]) await session.step("rest", session.rest);
  if (!options["frames-only"]) {
    for (const name of ["ping", "unknown_type", "drag", "pin"]) await session.step(name, session[name]);
  }
  await session.close();
} catch (error) {
  const text = error instanceof Failed ? error.message : `${error.name}: ${error.message}`;
  if (!session.failures.some((failure) => failure.endsWith(text))) session.failures.push(text);
}

const result = {
  client: "ws_node",
  profile: options.profile,
  ok: session.failures.length === 0,
  checks: session.checks,
  failures: session.failures,
  first_frame_ms: session.firstMs === undefined ? null : Number(session.firstMs.toFixed(1)),
  rate: session.hello?.rate ?? null,
  frames: session.count,
  gaps: session.gaps,
  node_count: session.hello?.node_count ?? null,
  bytes: session.bytes,
  pairs_moved: session.moved,
  settled_frames: session.settled,
};
const line = JSON.stringify(result);
console.log(line);
if (options.out) writeFileSync(options.out, `${line}\n`);
for (const failure of result.failures) console.error(`FAILED ws_node ${options.profile}: ${failure}`);
session.socket?.terminate();
// Not left to the event loop: connections that `fetch` keeps for later would hold it for seconds.
process.exit(result.ok ? 0 : 1);
