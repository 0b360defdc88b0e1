/** Builds into a folder aside and compares with the committed page, byte for byte. Exits 1 when they differ. */

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "vite";

const aside = mkdtempSync(join(tmpdir(), "viewer-dist-"));
try {
  await build({ logLevel: "error", build: { outDir: aside, emptyOutDir: true } });
  const built = readFileSync(join(aside, "index.html"));
  const committed = readFileSync(new URL("../dist/index.html", import.meta.url));
  if (!built.equals(committed)) {
    console.error(`dist/index.html (${committed.length} bytes) is not what src builds (${built.length} bytes): npm run build`);
    process.exitCode = 1;
  } else console.log(`dist/index.html is what src builds: ${built.length} bytes`);
} finally {
  rmSync(aside, { recursive: true });
}
