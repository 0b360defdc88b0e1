/**
 * A host of MCP Apps: puts a page that a server offers into a sandboxed frame under the policy that the server asks for (extension of
 * 2026-01-26), speaks with it through the extension's own `AppBridge`, which refuses what is not of its schema, hands it a tool's result, and
 * takes it down again. Checks that the graph is live in there.
 *
 *   node test/app.mjs OUT.png < {"html": .., "ui": {"csp": ..}, "result": ..}
 *
 * Prints one line of JSON and exits 0 when everything held, else 1. CHROMIUM names another browser binary.
 */

import { readFileSync } from "node:fs";
import { createServer } from "node:http";

import { chromium } from "playwright-core";
import { build } from "vite";

const outPath = process.argv[2];
const { html, ui, result } = JSON.parse(readFileSync(0, "utf8"));
const WAIT_MS = 30_000;

const sources = (domains, otherwise) => (domains?.length ? domains.join(" ") : otherwise);
const policy = [
  "default-src 'none'", "script-src 'self' 'unsafe-inline'", "style-src 'self' 'unsafe-inline'", "img-src 'self' data:",
  `connect-src ${sources(ui.csp?.connectDomains, "'none'")}`, `frame-src ${sources(ui.csp?.frameDomains, "'none'")}`,
  "object-src 'none'", "base-uri 'self'",
].join("; ");

const built = await build({
  configFile: false,
  logLevel: "warn",
  build: { write: false, minify: false, lib: { entry: new URL("app_host.mjs", import.meta.url).pathname, formats: ["iife"], name: "host" } },
});
const host = built[0].output[0].code;
const page = `<!doctype html><title>host</title><body style="margin:0">
  <iframe style="border:0;width:100vw;height:100vh" sandbox="allow-scripts allow-same-origin"></iframe><script src="/host.js"></script>`;
const server = createServer(({ url }, response) => {
  response.setHeader("Content-Type", `text/${url === "/host.js" ? "javascript" : "html"}; charset=utf-8`);
  if (url === "/view") response.setHeader("Content-Security-Policy", policy);
  response.end({ "/view": html, "/host.js": host }[url] ?? page);
});
await new Promise((done) => server.listen(0, "127.0.0.1", done));

const problems = [];
const report = { problems, policy };
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--headless=new", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-background-networking"],
});
try {
  const tab = await browser.newPage({ viewport: { width: 900, height: 600 } });
  tab.on("console", (message) => message.type() === "error" && !message.text().includes("favicon") && problems.push(message.text()));
  tab.on("pageerror", (error) => problems.push(error.message));
  await tab.goto(`http://127.0.0.1:${server.address().port}/`);
  await tab.evaluate((result) => globalThis.show(result), result);
  const heard = (what) => tab.waitForFunction((what) => globalThis.heard[what], what, { timeout: WAIT_MS });
  await heard("size");
  const [address] = ui.csp?.frameDomains ?? [];
  const framed = () => tab.frames().find((frame) => frame.url().startsWith(`${address}/`));
  const until = async (holds) => {
    for (const end = Date.now() + WAIT_MS; !holds(); await tab.waitForTimeout(50)) if (Date.now() > end) throw new Error(`not after ${WAIT_MS} ms: ${holds}`);
  };
  await until(() => framed());
  const graph = framed();
  await graph.waitForFunction(() => {
    const stats = globalThis.__swarmcast?.stats;
    return stats?.state === "live" && stats.framesReceived >= 1;
  }, null, { timeout: WAIT_MS });
  report.nodes = await graph.evaluate(() => globalThis.__swarmcast.stats.nodeCount);
  await tab.screenshot({ path: outPath });
  const view = tab.frames().find((frame) => frame.url().endsWith("/view"));
  await view.click("button");
  await heard("link");
  await tab.evaluate(() => globalThis.end());
  await until(() => !framed());
  report.heard = await tab.evaluate(() => globalThis.heard);
  problems.push(...report.heard.wrong);
} catch (error) {
  problems.push(String(error));
}
await browser.close();
server.close();
report.ok = problems.length === 0;
console.log(JSON.stringify(report));
process.exit(report.ok ? 0 : 1);
