// Opens a report in a headless Chromium, checks that its plots are drawn, that its console stays clean and that it
// fetches nothing, and takes a picture.
//   node page.mjs FILE.html OUT.png WIDTHxHEIGHT light|dark
// Prints one line of JSON. CHROMIUM names another browser binary.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(new URL("../../../clients/viewer/package.json", import.meta.url));
const { chromium } = require("playwright-core");
const [file, picture, size, colorScheme] = process.argv.slice(2);
const [width, height] = size.split("x").map(Number);
const url = pathToFileURL(file).href;
const problems = [];
const report = { problems };
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--headless=new", "--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run",
  ],
});
try {
  const page = await browser.newPage({ viewport: { width, height }, colorScheme });
  page.on("console", (message) => problems.push(`console ${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => problems.push(`page error: ${error.message}`));
  page.on("dialog", (dialog) => {
    problems.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on("request", (request) => {
    if (request.url() !== url && !request.url().startsWith("data:")) problems.push(`request: ${request.url()}`);
  });
  await page.goto(url);
  await page.waitForFunction(() => document.documentElement.dataset.plots, null, { timeout: 20_000 });
  // uPlot draws in the next microtask, the browser in the next picture.
  await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
  report.plots = await page.evaluate(drawn);
  report.overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  report.colored = report.plots.filter((plot) => plot.colored > 0.002).length;
  // The policy holds even for what the page itself would try. The complaint is the proof, not a problem.
  const before = problems.length;
  report.blocked = await page.evaluate(() => fetch("http://127.0.0.1:9/").then(() => false, () => true));
  await page.waitForTimeout(100);
  report.complaints = problems.splice(before);
  await page.uncheck("#log");
  await page.waitForTimeout(200);
  report.linear = (await page.evaluate(drawn)).filter((plot) => plot.colored > 0.002).length;
  await page.check("#log");
  await page.waitForTimeout(200);
  await page.screenshot({ path: picture, fullPage: true });
} catch (error) {
  problems.push(String(error));
} finally {
  await browser.close();
}
console.log(JSON.stringify(report));

/** In the page: of every canvas, its title, its size and the share of pixels that are neither grey nor clear. */
function drawn() {
  return Array.from(document.querySelectorAll("canvas"), (canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let colored = 0;
    for (let at = 0; at < data.length; at += 4) {
      const [most, least] = [Math.max(data[at], data[at + 1], data[at + 2]), Math.min(data[at], data[at + 1], data[at + 2])];
      if (data[at + 3] > 60 && most - least > 60) colored += 1;
    }
    const title = canvas.closest(".box").querySelector("h3").textContent;
    return { title, width: canvas.width, height: canvas.height, colored: colored / (canvas.width * canvas.height) };
  });
}
