#!/usr/bin/env node
// Prints the frame rate and where one node is, once a second. Node.js without packages.
//
//     node watch.mjs [HOST:PORT] [INDEX]       (127.0.0.1:7401 and node 0 of the list when left out)

import { connect } from "node:net";

const [, host, port] = /^(.*):(\d+)$/.exec(process.argv[2] ?? "127.0.0.1:7401") ?? [];
const index = Number(process.argv[3] ?? 0);
const socket = connect(Number(port), host?.replace(/^\[|\]$/g, ""));

// The hello: one line of JSON. From here on the server talks by itself.
socket.write('{"profile":"swarmcast.v1","rate":60}\n');

// Chunks are kept apart until a record is whole: joining them at every chunk would copy a large frame many times.
let [chunks, bytes, wanted] = [[], 0, 4];
let [count, since] = [0, performance.now()];
socket.on("data", (chunk) => {
  chunks.push(chunk);
  bytes += chunk.length;
  while (bytes >= wanted) {
    const all = chunks.length === 1 ? chunks[0] : Buffer.concat(chunks);
    const word = all.readUInt32LE(0); // bit 31: a JSON text; the others: how many bytes follow
    wanted = 4 + (word & 0x7fffffff);
    chunks = [all];
    if (bytes < wanted) return;
    onRecord(word >>> 31, all.subarray(4, wanted));
    chunks = [all.subarray(wanted)];
    bytes -= wanted;
    wanted = 4;
  }
});
socket.on("error", (error) => fail(error.message));
socket.on("end", () => console.log("the server ended the stream"));

function fail(message) {
  console.error(message);
  process.exit(1);
}

function onRecord(isText, body) {
  if (isText) return console.log(JSON.parse(body.toString()));
  // 64 bytes of header, then 28 bytes a node: u32 id, f32 position x y z, f32 velocity x y z.
  const at = 64 + 28 * index;
  if (body.length < at + 28) fail(`there is no node ${index}`);
  count += 1;
  const seconds = (performance.now() - since) / 1000;
  if (seconds < 1) return;
  const place = [4, 8, 12].map((k) => body.readFloatLE(at + k).toFixed(2).padStart(8)).join(" ");
  const id = body.readUInt32LE(at) & 0x3ffffff;
  console.log(`${(count / seconds).toFixed(1).padStart(5)} frames/s  tick ${body.readBigUInt64LE(32)}  node ${id} at ${place}`);
  [count, since] = [0, performance.now()];
}
