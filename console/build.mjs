/**
 * Makes the application of its sources: one script, one stylesheet, one icon and the module with the rules, each named by its
 * digest; the page; and `manifest.json`, from which the server has types, digests and the content security policy. The same
 * sources make the same bytes.
 *
 * node build.mjs [--wasm FILE] [--out DIRECTORY]
 */

import { createHash } from "node:crypto";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

import { policy } from "./policy.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const root = dirname(here);

/** Names that the script would otherwise look for in Node. No browser reaches them. */
const EXTERNAL = ["node:*"];

export async function build({ wasm, out }) {
  const { build: bundle } = await import("esbuild");
  const read = async (name) => await readFile(join(here, "src", name));
  const files = [];
  const asset = (name, ending, type, bytes) => {
    const digest = createHash("sha256").update(bytes).digest();
    const path = `assets/${name}.${digest.toString("hex").slice(0, 16)}.${ending}`;
    files.push({ path, type, sha256: digest.toString("hex"), bytes });
    return { path: `/${path}`, integrity: `sha256-${digest.toString("base64")}` };
  };
  const module = asset("countersign", "wasm", "application/wasm", await readFile(wasm));
  const bundled = await bundle({
    entryPoints: [join(here, "src", "main.ts")],
    absWorkingDir: root,
    bundle: true,
    write: false,
    format: "esm",
    platform: "browser",
    target: "es2022",
    minify: true,
    legalComments: "none",
    charset: "ascii",
    external: EXTERNAL,
    define: { MODULE: JSON.stringify(module) },
    logLevel: "warning",
  });
  const script = asset("app", "js", "text/javascript; charset=utf-8", bundled.outputFiles[0].contents);
  const style = asset("style", "css", "text/css; charset=utf-8", await read("style.css"));
  const icon = asset("icon", "svg", "image/svg+xml", await read("icon.svg"));
  const places = {
    icon: icon.path,
    style: style.path,
    "style-integrity": style.integrity,
    script: script.path,
    "script-integrity": script.integrity,
  };
  const page = (await read("index.html")).toString().replace(/\{\{([\w-]+)\}\}/g, (_, name) => {
    if (!Object.hasOwn(places, name)) throw new Error(`the page asks for {{${name}}}, which is not made`);
    return places[name];
  });
  const html = Buffer.from(page);
  const sha256 = createHash("sha256").update(html).digest("hex");
  files.push({ path: "index.html", type: "text/html; charset=utf-8", sha256, bytes: html });
  await rm(out, { recursive: true, force: true });
  await mkdir(join(out, "assets"), { recursive: true });
  for (const { path, bytes } of files) await writeFile(join(out, path), bytes);
  const manifest = {
    version: 1,
    csp: policy(script.integrity),
    files: files.map(({ path, type, sha256 }) => ({ path, type, sha256 })),
  };
  await writeFile(join(out, "manifest.json"), `${JSON.stringify(manifest, null, 2)}\n`);
  return manifest;
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { values } = parseArgs({
    options: {
      wasm: { type: "string", default: join(root, "dist/clients/countersign.wasm") },
      out: { type: "string", default: join(root, "dist/console") },
    },
  });
  const { files } = await build(values);
  for (const { path, sha256 } of files) console.log(`${sha256}  ${path}`);
}
