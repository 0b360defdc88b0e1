/**
 * Leaves the viewer on the toy server and watches its memory; then changes the graph and cuts the connection.
 *
 *   node test/soak.mjs [SECONDS] [NODES]
 *
 * Fails when the heap of the page after a collection grows by more than 2 MiB between the first third and the end, when another
 * epoch is not drawn, or when the page does not come back after a cut. Prints one line of JSON.
 */

import { chromium } from "playwright-core";
import { startFakeServer } from "../dev/fake-server.mjs";

const seconds = Number(process.argv[2] ?? 120);
const nodes = Number(process.argv[3] ?? 1000);
const GROWTH_BYTES_MAX = 2 * 1024 * 1024;
const server = await startFakeServer({ nodes, csp: true });
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--headless=new", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--js-flags=--expose-gc"],
});
const problems = [];
const report = { ok: false, problems, heaps: [] };
try {
  const page = await browser.newPage({ viewport: { width: 1280, height: 720 } });
  page.on("pageerror", (error) => problems.push(String(error)));
  await page.goto(server.url);
  const live = (epoch) => page.waitForFunction((wanted) => {
    const { stats } = globalThis.__swarmcast;
    return stats.state === "live" && stats.epoch === wanted && stats.framesApplied > 10;
  }, epoch, { timeout: 30_000 });
  await live(1);
  for (let k = 0; k <= 6; k++) {
    // The page's heap, where frames and buffers are held; browsers tell no script the size of a worker's.
    await page.evaluate(() => { globalThis.gc(); globalThis.gc(); });
    const frames = await page.evaluate(() => globalThis.__swarmcast.stats.framesApplied);
    report.heaps.push({ frames, page: await page.evaluate(() => performance.memory.usedJSHeapSize) });
    if (k < 6) await page.waitForTimeout((seconds * 1000) / 6);
  }
  const growth = report.heaps[6].page - report.heaps[2].page;
  report.growth = growth;
  if (growth > GROWTH_BYTES_MAX) problems.push(`the heap grew by ${growth} bytes`);
  server.replaceGraph(nodes + 50);
  await live(2);
  report.afterEpoch = await page.evaluate(() => globalThis.__swarmcast.stats.nodeCount);
  if (report.afterEpoch !== nodes + 50) problems.push("the new epoch was not drawn");
  server.dropClients();
  await page.waitForFunction(() => globalThis.__swarmcast.stats.connects === 2, null, { timeout: 10_000 });
  await live(2);
} catch (error) {
  problems.push(String(error));
} finally {
  await browser.close();
  await server.close();
}
report.ok = problems.length === 0;
console.log(JSON.stringify(report));
process.exit(report.ok ? 0 : 1);
