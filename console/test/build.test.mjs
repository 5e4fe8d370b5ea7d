/** What the build makes. Needs countersign.wasm (`just clients`). */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test from "node:test";

import { build } from "../build.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const wasm = process.env.COUNTERSIGN_WASM ?? join(here, "../../dist/clients/countersign.wasm");
const skip = existsSync(wasm) ? false : "there is no countersign.wasm; run `just clients`";

async function built(check) {
  const out = await mkdtemp(join(tmpdir(), "console-"));
  try {
    await check(await build({ wasm, out }), out);
  } finally {
    await rm(out, { recursive: true });
  }
}

test("every file is in the manifest by its digest, and the page names them by digests", { skip }, async () => {
  await built(async ({ files, csp }, out) => {
    for (const { path, sha256 } of files) {
      assert.equal(createHash("sha256").update(await readFile(join(out, path))).digest("hex"), sha256, path);
    }
    const assets = (await readdir(join(out, "assets"))).map((name) => `assets/${name}`);
    assert.deepEqual(new Set([...assets, "index.html"]), new Set(files.map(({ path }) => path)));
    const page = await readFile(join(out, "index.html"), "utf8");
    assert.doesNotMatch(page, /\{\{/);
    const script = /<script type="module" src="(\/assets\/app\.[0-9a-f]{16}\.js)" integrity="(sha256-[^"]+)"><\/script>/.exec(page);
    assert.ok(script && csp.includes(`'${script[2]}'`));
  });
});

test("nothing of the page is inline or from elsewhere", { skip }, async () => {
  await built(async ({ files }, out) => {
    const page = await readFile(join(out, "index.html"), "utf8");
    assert.doesNotMatch(page, /<style|style="|\son\w+=|https?:/);
    assert.equal([...page.matchAll(/<script/g)].length, 1);
    const style = files.find(({ path }) => path.endsWith(".css"));
    assert.doesNotMatch(await readFile(join(out, style.path), "utf8"), /@import|url\(|https?:/);
    const script = files.find(({ path }) => path.endsWith(".js"));
    const text = await readFile(join(out, script.path), "utf8");
    assert.doesNotMatch(text, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function/);
  });
});

test("the same sources make the same bytes", { skip }, async () => {
  const made = [];
  for (let time = 0; time < 2; time++) await built(async (manifest) => void made.push(JSON.stringify(manifest)));
  assert.equal(made[0], made[1]);
});
