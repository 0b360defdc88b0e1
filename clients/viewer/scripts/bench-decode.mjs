/**
 * How long the decoders of the compact profile take, in Node and in a headless Chromium, on streams that
 * `trajectories --record FOLDER GRAPH` (bench/) wrote. Prints a table as Markdown.
 *
 *   node scripts/bench-decode.mjs [--rounds N] [--only node|chromium] [--cpu] STREAM...
 *
 * With `--cpu` Node counts the time of the processor instead of that on the wall; a page has no such clock.
 */

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";
import { build } from "vite";

const option = (name, fallback) => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? fallback : process.argv.splice(at, 2)[1];
};
const rounds = Number(option("rounds", "1"));
const only = option("only", null);
const streams = process.argv.slice(2).filter((name) => name !== "--cpu");
const cpu = process.argv.includes("--cpu");
const cpuMs = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};
const wasm = readFileSync(new URL("../wasm/compact.wasm", import.meta.url));

const aside = mkdtempSync(join(tmpdir(), "bench-decode-"));
try {
  await build({
    configFile: false, logLevel: "error", root: new URL("..", import.meta.url).pathname,
    build: { outDir: aside, target: "es2022", lib: { entry: "bench/decode.ts", formats: ["es"], fileName: () => "decode.mjs" } },
  });
  console.log("| stream | nodes | phase | ticks | B/node | where | wasm ms (p10) | picture ms | script ms (p10) | picture ms | script / wasm |");
  console.log(`|${"---|".repeat(11)}`);
  if (only !== "chromium") {
    const { benchDecode } = await import(pathToFileURL(join(aside, "decode.mjs")).href);
    for (const stream of streams) {
      const rows = benchDecode(new Uint8Array(readFileSync(stream)), wasm, rounds, cpu ? cpuMs : undefined);
      print(stream, `Node ${process.version}${cpu ? ", CPU" : ""}`, rows);
    }
  }
  if (only !== "node") await inBrowser();
} finally {
  rmSync(aside, { recursive: true });
}

/** In a worker, as the viewer does it. */
async function inBrowser() {
  const worker = `import { benchDecode } from "/decode.mjs";
    onmessage = async ({ data: [stream, rounds] }) => {
      const bytes = async (path) => new Uint8Array(await (await fetch(path)).arrayBuffer());
      try { postMessage(benchDecode(await bytes("/stream/" + stream), await bytes("/wasm"), rounds)); } catch (error) { postMessage(String(error)); }
    };`;
  const server = createServer(({ url }, response) => {
    // Isolated pages get clocks of 5 us instead of 100.
    const isolated = { "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp" };
    const send = (type, body) => response.writeHead(200, { ...isolated, "content-type": type }).end(body);
    if (url === "/decode.mjs") send("text/javascript", readFileSync(join(aside, "decode.mjs")));
    else if (url === "/worker.mjs") send("text/javascript", worker);
    else if (url === "/wasm") send("application/wasm", wasm);
    else if (url.startsWith("/stream/")) send("application/octet-stream", readFileSync(streams[Number(url.slice(8))]));
    else send("text/html", "<!doctype html><title>bench</title>");
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--headless=new", "--no-sandbox", "--disable-gpu"],
  });
  try {
    const page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${server.address().port}/`);
    for (const [index, stream] of streams.entries()) {
      const rows = await page.evaluate(([number, times]) => new Promise((resolve) => {
        const worker = new Worker("/worker.mjs", { type: "module" });
        worker.onmessage = ({ data }) => { worker.terminate(); resolve(data); };
        worker.postMessage([number, times]);
      }), [index, rounds]);
      if (typeof rows === "string") throw new Error(rows);
      print(stream, `Chromium ${browser.version().split(".")[0]}`, rows);
    }
  } finally {
    await browser.close();
    server.close();
  }
}

function print(stream, where, rows) {
  for (const row of rows) {
    console.log(`| ${basename(stream, ".stream")} | ${row.nodes} | ${row.phase} | ${row.ticks} | ${row.bytesPerNode.toFixed(3)} | ${where} | `
      + `${row.wasmMs.toFixed(2)} (${row.wasmP10Ms.toFixed(2)}) | ${row.wasmDrawMs.toFixed(2)} | `
      + `${row.scriptMs.toFixed(2)} (${row.scriptP10Ms.toFixed(2)}) | `
      + `${row.scriptDrawMs.toFixed(2)} | ${row.ratio.toFixed(2)} |`);
  }
}
