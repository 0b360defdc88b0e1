/**
 * Builds wasm/compact.wasm from wasm/compact.ts. With `--check` it builds aside, compares with the committed module byte for byte, and
 * exits 1 when they differ.
 */

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import asc from "assemblyscript/asc";

const here = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));

/** Compiles into `path`; throws what the compiler says. */
export async function buildWasm(path) {
  // No runtime: the module lays out its memory by itself, and can neither allocate nor throw.
  const options = ["-O3", "--noAssert", "--runtime", "stub", "--enable", "simd", "--use", "abort="];
  const { error, stderr } = await asc.main([here("wasm/compact.ts"), "-o", path, ...options]);
  if (error) throw new Error(stderr.toString());
}

/** Whether the committed module is what its source builds. */
export async function isBuilt() {
  const aside = mkdtempSync(join(tmpdir(), "viewer-wasm-"));
  try {
    await buildWasm(join(aside, "compact.wasm"));
    return readFileSync(join(aside, "compact.wasm")).equals(readFileSync(here("wasm/compact.wasm")));
  } finally {
    rmSync(aside, { recursive: true });
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  if (process.argv.includes("--check")) {
    const same = await isBuilt();
    console.log(same ? "wasm/compact.wasm is what wasm/compact.ts builds" : "wasm/compact.wasm is not what wasm/compact.ts builds: npm run build:wasm");
    process.exitCode = same ? 0 : 1;
  } else await buildWasm(here("wasm/compact.wasm"));
}
