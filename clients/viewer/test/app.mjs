/**
 * A host of MCP Apps, as the extension (2026-01-26) has it: puts a page that a server offers into a sandboxed frame under the policy that the
 * server asks for, shakes hands, hands it a tool's result, and takes it down again. Checks that the graph is live in there.
 *
 *   node test/app.mjs OUT.png < {"html": .., "ui": {"csp": ..}, "result": ..}
 *
 * Prints one line of JSON and exits 0 when everything held, else 1. CHROMIUM names another browser binary.
 */

import { readFileSync } from "node:fs";
import { createServer } from "node:http";

import { chromium } from "playwright-core";

const outPath = process.argv[2];
const { html, ui, result } = JSON.parse(readFileSync(0, "utf8"));
const WAIT_MS = 30_000;

const sources = (domains, otherwise) => (domains?.length ? domains.join(" ") : otherwise);
const policy = [
  "default-src 'none'", "script-src 'self' 'unsafe-inline'", "style-src 'self' 'unsafe-inline'", "img-src 'self' data:",
  `connect-src ${sources(ui.csp?.connectDomains, "'none'")}`, `frame-src ${sources(ui.csp?.frameDomains, "'none'")}`,
  "object-src 'none'", "base-uri 'self'",
].join("; ");

function host(result) {
  const heard = (globalThis.heard = []);
  const view = document.querySelector("iframe").contentWindow;
  const say = (message) => view.postMessage({ jsonrpc: "2.0", ...message }, "*");
  globalThis.end = () => say({ id: 77, method: "ui/resource-teardown", params: { reason: "over" } });
  addEventListener("message", ({ source, data }) => {
    if (source !== view) return;
    heard.push(data);
    if (data.method === "ui/initialize") {
      const hostInfo = { name: "test", version: "1" };
      say({ id: data.id, result: { protocolVersion: "2026-01-26", hostInfo, hostCapabilities: { openLinks: {} }, hostContext: {} } });
    } else if (data.method === "ui/notifications/initialized") {
      say({ method: "ui/notifications/tool-input", params: { arguments: {} } });
      say({ method: "ui/notifications/tool-result", params: result });
    } else if (data.method === "ui/open-link") {
      say({ id: data.id, result: {} });
    }
  });
}

const page = `<!doctype html><title>host</title><body style="margin:0">
  <iframe style="border:0;width:100vw;height:100vh" sandbox="allow-scripts allow-same-origin"></iframe>
  <script>(${host})(${JSON.stringify(result).replaceAll("<", "\\u003c")}); document.querySelector("iframe").src = "/view";</script>`;
const server = createServer((request, response) => {
  response.setHeader("Content-Type", "text/html; charset=utf-8");
  if (request.url === "/view") response.setHeader("Content-Security-Policy", policy);
  response.end(request.url === "/view" ? html : page);
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
  const heard = (method) => tab.waitForFunction((wanted) => globalThis.heard.some(({ method }) => method === wanted), method, { timeout: WAIT_MS });
  await heard("ui/notifications/size-changed");
  const [address] = ui.csp?.frameDomains ?? [];
  const until = Date.now() + WAIT_MS;
  let graph;
  while (!(graph = tab.frames().find((frame) => frame.url().startsWith(`${address}/`))) && Date.now() < until) await tab.waitForTimeout(50);
  await graph.waitForFunction(() => {
    const stats = globalThis.__swarmcast?.stats;
    return stats?.state === "live" && stats.framesReceived >= 1;
  }, null, { timeout: WAIT_MS });
  report.nodes = await graph.evaluate(() => globalThis.__swarmcast.stats.nodeCount);
  await tab.screenshot({ path: outPath });
  const view = tab.frames().find((frame) => frame.url().endsWith("/view"));
  await view.click("button");
  await heard("ui/open-link");
  await tab.evaluate(() => globalThis.end());
  await tab.waitForFunction(() => globalThis.heard.some(({ id, result }) => id === 77 && result), null, { timeout: WAIT_MS });
  report.heard = await tab.evaluate(() => globalThis.heard);
} catch (error) {
  problems.push(String(error));
}
await browser.close();
server.close();
report.ok = problems.length === 0;
console.log(JSON.stringify(report));
process.exit(report.ok ? 0 : 1);
