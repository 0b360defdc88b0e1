/**
 * Opens the viewer in a headless Chromium and checks that it lives: frames arrive, nodes move, the picture is not
 * empty, a dragged node follows the mouse through the stream, the console stays clean.
 *
 *   node test/page.mjs BASE_URL OUT.png [--no-drag] [--settle MS] [--size 1280x720] [--reduced-motion] [--select LABEL]
 *     [--colour NAME] [--news TEXT] [--tune]
 *
 * Prints one line of JSON and exits 0 when everything held, else 1. CHROMIUM names another browser binary.
 */

import { chromium } from "playwright-core";

const [baseUrl, outPath] = process.argv.slice(2);
if (!baseUrl || !outPath) {
  console.error("usage: page.mjs BASE_URL OUT.png [--no-drag] [--settle MS] [--size WxH] [--reduced-motion] [--select LABEL] [--colour NAME] [--news TEXT] [--tune]");
  process.exit(2);
}
const option = (name, fallback) => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? fallback : process.argv[at + 1];
};
const has = (name) => process.argv.includes(`--${name}`);
const [width, height] = option("size", "1280x720").split("x").map(Number);
const WAIT_MS = 30_000;

const problems = [];
const report = { ok: false, problems };
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--headless=new", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run",
  ],
});
try {
  const page = await browser.newPage({
    viewport: { width, height }, reducedMotion: has("reduced-motion") ? "reduce" : "no-preference",
  });
  // SwiftShader reports its own read-backs as performance warnings; those are the test machine's, not the page's.
  const harmless = /GPU stall due to ReadPixels|GL Driver Message/;
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type()) && !harmless.test(message.text())) {
      problems.push(`console ${message.type()}: ${message.text()}`);
    }
  });
  page.on("pageerror", (error) => problems.push(`page error: ${error.message}`));
  page.on("request", (request) => {
    if (!request.url().startsWith("blob:") && !request.url().startsWith("data:")
      && new URL(request.url()).host !== new URL(baseUrl).host) problems.push(`foreign request: ${request.url()}`);
  });

  await page.goto(baseUrl);
  await page.waitForFunction(() => {
    const stats = globalThis.__swarmcast?.stats;
    return stats?.state === "live" && (stats.framesApplied >= 10 || (stats.settled && stats.framesReceived >= 1));
  }, null, { timeout: WAIT_MS });
  if (option("news", null)) {
    // Somebody else does something meanwhile: the page says so.
    await page.waitForFunction((text) => document.querySelector("#news").textContent.includes(text), option("news"), { timeout: WAIT_MS });
    report.news = await page.locator("#news li").allInnerTexts();
    report.nodesAtNews = await page.evaluate(() => globalThis.__swarmcast.stats.nodeCount);
  }
  const moved = await page.evaluate(watchMovement, 1500);
  report.moved = moved;
  if (!moved.any && !moved.settled) problems.push("no node moved");
  await page.waitForTimeout(Number(option("settle", 2500)));
  if (option("select", null)) {
    await page.keyboard.press("/");
    await page.keyboard.type(option("select"));
    await page.keyboard.press("Enter");
    await page.waitForTimeout(1500);
  }
  if (option("colour", null)) {
    // What nobody has computed yet comes by the stream.
    await page.selectOption("#colour", option("colour"));
    await page.waitForFunction((name) => globalThis.__swarmcast.stats.colours === name, option("colour"), { timeout: WAIT_MS });
    await page.waitForFunction(() => document.querySelector("#note").hidden, null, { timeout: WAIT_MS });
    report.legend = await page.locator("#legend li").allInnerTexts();
  }
  if (has("tune")) report.tuned = await tune(page);
  report.picture = await page.evaluate(countLitPixels);
  if (report.picture.share < 0.0005) problems.push("the picture is empty");
  await page.screenshot({ path: outPath });
  if (!has("no-drag")) {
    report.drag = await dragNode(page);
    if (report.drag.error) problems.push(`drag: ${report.drag.error}`);
  }
  report.look = await page.evaluate(() => globalThis.__swarmcast.lookOf(0, 0));
  report.legend ??= await page.locator("#legend li").allInnerTexts();
  report.stats = await page.evaluate(() => globalThis.__swarmcast.stats);
  if (report.stats.state !== "live") problems.push(`state is ${report.stats.state}`);
  if (report.stats.mended?.strangers > 0) problems.push("records out of order");
  if (Object.keys(report.stats.rejected ?? {}).length > 0) problems.push("frames were rejected");
} catch (error) {
  problems.push(String(error));
} finally {
  await browser.close();
}
report.ok = problems.length === 0;
console.log(JSON.stringify(report));
process.exit(report.ok ? 0 : 1);

/** In the page: whether any of some nodes is elsewhere in the stream after `ms`. */
async function watchMovement(ms) {
  const { __swarmcast } = globalThis;
  const places = () => Array.from({ length: Math.min(200, __swarmcast.stats.nodeCount) }, (_, k) => __swarmcast.received(k));
  const before = places();
  if (before[0] === null) return { any: false, settled: __swarmcast.stats.settled };
  await new Promise((resolve) => setTimeout(resolve, ms));
  const after = places();
  const furthest = Math.max(...before.map((place, k) => Math.hypot(...place.map((value, axis) => value - after[k][axis]))));
  return { any: furthest > 0, furthest, settled: __swarmcast.stats.settled };
}

/** In the page: share of pixels clearly brighter than the background, read from the canvas in the next picture. */
async function countLitPixels() {
  const canvas = document.getElementById("picture");
  const copy = Object.assign(document.createElement("canvas"), { width: 320, height: 180 });
  const context = copy.getContext("2d", { willReadFrequently: true });
  let lit = 0;
  // The drawing buffer is only readable in the turn that drew it; a resize event makes it draw.
  for (let tries = 0; tries < 20 && lit === 0; tries++) {
    window.dispatchEvent(new Event("resize"));
    await new Promise((resolve) => requestAnimationFrame(resolve));
    context.drawImage(canvas, 0, 0, copy.width, copy.height);
    const { data } = context.getImageData(0, 0, copy.width, copy.height);
    for (let at = 0; at < data.length; at += 4) if (Math.max(data[at], data[at + 1], data[at + 2]) > 70) lit += 1;
  }
  return { share: lit / (copy.width * copy.height) };
}

/** Takes a node by the mouse, holds it elsewhere, and asks the stream where it is. */
async function dragNode(page) {
  const find = () => page.evaluate(() => {
    const { __swarmcast } = globalThis;
    for (let index = 0; index < __swarmcast.stats.nodeCount; index++) {
      const { x, y, radius } = __swarmcast.screenOf(index);
      const free = document.elementFromPoint(x, y)?.id === "picture";
      const room = x > innerWidth * 0.3 && x < innerWidth * 0.6 && y > innerHeight * 0.3 && y < innerHeight * 0.65;
      if (free && room && radius > 1 && __swarmcast.pickAt(x, y) === index) return { index, x, y };
    }
    return null;
  });
  const place = (index) => page.evaluate((at) => globalThis.__swarmcast.received(at), index);
  const seen = (index) => page.evaluate((at) => globalThis.__swarmcast.screenOf(at), index);
  let error = "no node to take";
  // Nodes move while the mouse travels; a miss is tried again.
  for (let tries = 0; tries < 5; tries++) {
    const grip = await find();
    if (grip === null) continue;
    await page.mouse.move(grip.x, grip.y);
    const fresh = await seen(grip.index);
    const before = await place(grip.index);
    await page.mouse.move(fresh.x, fresh.y);
    await page.mouse.down();
    for (let step = 1; step <= 12; step++) {
      await page.mouse.move(fresh.x + step * 14, fresh.y + step * 8);
      await page.waitForTimeout(20);
    }
    // A busy machine draws late: half a second is enough where nothing else runs, and up to five are given.
    await page.waitForTimeout(500);
    const off = async () => {
      const held = await seen(grip.index);
      return Math.hypot(held.x - (fresh.x + 168), held.y - (fresh.y + 96));
    };
    let offPx = await off();
    for (let waitedMs = 500; offPx >= 25 && waitedMs < 5_000; waitedMs += 100) {
      await page.waitForTimeout(100);
      offPx = await off();
    }
    const after = await place(grip.index);
    await page.mouse.up();
    await page.waitForTimeout(100);
    const movedBy = Math.hypot(...before.map((value, axis) => value - after[axis]));
    if (offPx < 25 && movedBy > 0) return { index: grip.index, movedBy, offPx };
    error = `the node is ${offPx.toFixed(1)} px from the mouse, moved by ${movedBy.toFixed(2)}`;
  }
  return { error };
}

/** Steers the simulation from the panel, as a person does; the panel stays open. */
async function tune(page) {
  await page.click("#tune");
  const edge = page.locator('#knobs input[data-path="sim.rest_length"]');
  await edge.waitFor();
  const shown = () => page.evaluate(() => Object.fromEntries([...document.querySelectorAll("#knobs label")].map((label) => [
    label.querySelector("span").textContent, label.querySelector("output").textContent || label.querySelector("select").value,
  ])));
  await page.waitForFunction(() => document.querySelector('#knobs input[data-path="sim.rest_length"] ~ output').textContent !== "", null, { timeout: WAIT_MS });
  const before = await shown();
  await edge.evaluate((input) => {
    for (const value of [110, 120, 130, 140]) {
      input.value = String(value);
      input.dispatchEvent(new Event("input"));
    }
  });
  await page.selectOption('#knobs select[data-path="sim.dimensions"]', "2");
  await page.waitForFunction(() => globalThis.__swarmcast.stats.flat === true, null, { timeout: WAIT_MS });
  await page.click("#pause");
  await page.waitForFunction(() => document.querySelector("#pause").textContent === "Go on", null, { timeout: WAIT_MS });
  await page.click("#pause");
  await page.waitForFunction(() => document.querySelector("#pause").textContent === "Pause", null, { timeout: WAIT_MS });
  return { before, after: await shown() };
}
