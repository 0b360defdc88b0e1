import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { defineConfig, type Plugin } from "vite";

/**
 * Puts script and style into the page, so that the build is one file, and writes the policy that admits exactly
 * them: by hash, with no other source, and no connection but to where the page came from. WebAssembly has no hash of its own; its module
 * is in the script.
 */
function oneFile(): Plugin {
  return {
    name: "one-file",
    enforce: "post",
    generateBundle(_options, bundle) {
      const page = bundle["index.html"];
      if (page?.type !== "asset") throw new Error("the build has no index.html");
      const scripts: string[] = [];
      const styles: string[] = [];
      for (const [name, part] of Object.entries(bundle)) {
        if (part.type === "chunk") scripts.push(part.code.trim());
        else if (name.endsWith(".css")) styles.push(String(part.source).trim());
        else continue;
        delete bundle[name];
      }
      if (scripts.length !== 1) throw new Error(`one script expected, ${scripts.length} built`);
      const script = scripts[0]!.replaceAll("</script", "<\\/script").replaceAll("<!--", "<\\!--");
      const style = styles.join("\n");
      const policy = [
        "default-src 'none'", `script-src ${hash(script)} 'wasm-unsafe-eval'`, `style-src ${hash(style)}`, "worker-src blob:",
        "connect-src 'self'", "img-src data:", "base-uri 'none'", "form-action 'none'",
      ].join("; ");
      const licence = readFileSync(new URL("node_modules/three/LICENSE", import.meta.url), "utf8").trim();
      const html = String(page.source)
        .replace(/\s*<script type="module"[^>]*><\/script>/, "")
        .replace(/\s*<link rel="stylesheet"[^>]*>/, "")
        .replace("<meta charset=\"utf-8\">", () => `<meta charset="utf-8">\n<meta http-equiv="Content-Security-Policy" content="${policy}">`)
        .replace("</head>", () => `<style>${style}</style>\n</head>`)
        .replace("</body>", () => `<script type="module">${script}</script>\n</body>`)
        .replace("<!doctype html>", () => `<!doctype html>\n<!--\nThis page holds three.js:\n\n${licence}\n-->`);
      page.source = `${html.trim()}\n`;
    },
  };
}

function hash(text: string): string {
  return `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
}

export default defineConfig({
  base: "./",
  plugins: [oneFile()],
  build: {
    target: "es2022",
    cssCodeSplit: false,
    assetsInlineLimit: 0,
    modulePreload: false,
    reportCompressedSize: false,
  },
  worker: { format: "iife" },
  test: { include: ["test/**/*.test.ts"], environment: "node", testTimeout: 60_000 },
} as Parameters<typeof defineConfig>[0]);
