// Reads a .hlog with hdr-histogram-js and prints, per tag, intervals, values, percentiles and the greatest.
//   node hlog.mjs FILE '[50, 99]'
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(new URL("../../../tests/clients/package.json", import.meta.url));
const hdr = require("hdr-histogram-js");
const [path, percentiles] = process.argv.slice(2);
const options = { highestTrackableValue: 600_000_000_000, numberOfSignificantValueDigits: 3, bitBucketSize: 64 };
const reader = new hdr.HistogramLogReader(readFileSync(path, "utf8"));
const tags = {};
for (let one = reader.nextIntervalHistogram(); one !== null; one = reader.nextIntervalHistogram()) {
  const tag = (tags[one.tag] ??= { count: 0, sum: hdr.build(options) });
  tag.count += 1;
  tag.sum.add(one);
}
const say = ({ count, sum }) => [count, sum.totalCount, JSON.parse(percentiles).map((at) => sum.getValueAtPercentile(at)), sum.maxValue];
console.log(JSON.stringify(Object.fromEntries(Object.entries(tags).map(([name, tag]) => [name, say(tag)]))));
