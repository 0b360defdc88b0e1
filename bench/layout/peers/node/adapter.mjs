// What the JavaScript peers share: the command line, the edge list, the clock, and the answer.
//
//     node PEER.mjs GRAPH.edges OUT.csv DIMENSIONS TICKS SEED SECONDS
//
// GRAPH.edges has the counts of nodes and edges in its first line and an edge in each other one. OUT.csv gets id,x,y[,z].
// One line of JSON on standard output says what was done; times are processor time of the whole process, its garbage
// collector included.

import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);

const [graphFile, outFile, dimensions, ticks, seed, seconds] = process.argv.slice(2);

export const options = { dimensions: Number(dimensions), ticks: Number(ticks), seed: Number(seed) };

export function readGraph() {
  const rows = readFileSync(graphFile, "utf8").trim().split("\n").map((row) => row.split(" ").map(Number));
  return { nodeCount: rows[0][0], edges: rows.slice(1) };
}

/** Numbers from 0 to 1 that the seed alone decides (mulberry32). */
export function randomFrom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let bits = state;
    bits = Math.imul(bits ^ (bits >>> 15), bits | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return ((bits ^ (bits >>> 14)) >>> 0) / 4294967296;
  };
}

const cpuMs = (since) => {
  const { user, system } = process.cpuUsage(since);
  return (user + system) / 1000;
};

/**
 * Calls `make` once and the `tick` that it returns as often as was asked, or until the seconds are spent; writes what
 * `place(node)` says. `about` goes into the answer as it is.
 */
export function run(packages, make, about = () => ({})) {
  const made = process.cpuUsage();
  const { tick, place, nodeCount } = make();
  const startMs = cpuMs(made);
  const began = process.cpuUsage();
  let done = 0;
  while (done < options.ticks && (done === 0 || cpuMs(began) < Number(seconds) * 1000)) {
    tick();
    done += 1;
  }
  const tickMs = cpuMs(began) / done;
  const rows = [options.dimensions === 3 ? "id,x,y,z" : "id,x,y"];
  for (let node = 0; node < nodeCount; node += 1) {
    rows.push([node, ...place(node)].join(","));
  }
  writeFileSync(outFile, `${rows.join("\n")}\n`);
  const versions = packages.map((name) => `${name} ${require(`./node_modules/${name}/package.json`).version}`);
  console.log(JSON.stringify({
    version: `${versions.join(", ")}, node ${process.versions.node}`,
    start_ms: startMs,
    ticks: done,
    tick_ms: tickMs,
    ...about(),
  }));
}
