/**
 * The application in Chromium, with a virtual authenticator, at a server that answers as `countersign console` does. Needs
 * `just clients` and Debian's package `chromium`, or another one by CHROMIUM.
 *
 * Pictures go to dist/console-pictures, or to the folder COUNTERSIGN_PICTURES.
 */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before } from "node:test";
import { fileURLToPath } from "node:url";

import { build } from "../../build.mjs";
import { PAYEE, organisation as found } from "./organisation.mjs";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const wasm = process.env.COUNTERSIGN_WASM ?? join(root, "dist/clients/countersign.wasm");
const chromium = process.env.CHROMIUM ?? "/usr/bin/chromium";
export const pictures = process.env.COUNTERSIGN_PICTURES ?? join(root, "dist/console-pictures");
const missing = [wasm, chromium].filter((file) => !existsSync(file));
/** Why no test can run; false if all can. */
export const skip = missing.length > 0 ? `there is no ${missing.join(" and no ")}` : false;
if (skip && process.env.CI) throw new Error(`${skip}; nothing is skipped where CI is set`);

/** Milliseconds after which something will not happen any more, on a busy machine, too. */
const PATIENCE = 60_000;

let dist;
let module;
let browser;
/** Organisations of the test that runs. */
const founded = [];

before(async () => {
  if (skip) return;
  dist = await mkdtemp(join(tmpdir(), "console-"));
  await build({ wasm, out: dist });
  module = await WebAssembly.compile(await readFile(wasm));
  await mkdir(pictures, { recursive: true });
  const playwright = await import("playwright-core");
  browser = await playwright.chromium.launch({ executablePath: chromium, args: ["--no-sandbox"] });
});

// Also after a failure: what is left open would keep the run from its end.
afterEach(async () => {
  for (const context of browser?.contexts() ?? []) await context.close();
  for (const org of founded.splice(0)) org.close();
});

after(async () => {
  await browser?.close();
  if (dist) await rm(dist, { recursive: true });
});

export async function organisation(options) {
  const org = await found({ dist, module, ...options });
  founded.push(org);
  return org;
}

/** A person at her own browser, with an authenticator of her own. Whatever the page complains about fails the test. */
export async function person(org, options = {}) {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (said) => {
    if (/Content Security Policy|TrustedHTML|integrity/i.test(said.text())) complaints.push(said.text());
  });
  page.on("dialog", (dialog) => {
    complaints.push(`a script opened a dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  const devtools = await context.newCDPSession(page);
  await devtools.send("WebAuthn.enable");
  await devtools.send("WebAuthn.addVirtualAuthenticator", {
    options: {
      protocol: "ctap2",
      transport: "internal",
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  });
  await page.goto(org.origin);
  const close = async () => {
    await context.close();
    assert.deepEqual(complaints, []);
  };
  return { page, close };
}

export async function signIn(page, org) {
  await page.getByLabel("API key").fill(org.KEY);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Overview" }).waitFor();
}

/** Makes a passkey, and returns its id. */
export async function passkey(page, org, name) {
  await page.goto(`${org.origin}/#/passkey`);
  await page.getByLabel("Your name").fill(name);
  await page.getByRole("button", { name: "Make a passkey" }).click();
  const id = page.locator(".alert.good code.id");
  await id.waitFor();
  return await id.innerText();
}

export async function openTask(page, org) {
  await page.goto(`${org.origin}/#/tasks/${org.order.id}`);
  await page.reload();
  await page.getByRole("heading", { level: 1, name: /^Task [0-9a-f]/ }).waitFor();
}

/** Fills a payment, and returns the page's command. */
export async function compose(page, fields) {
  for (const [label, value] of Object.entries(fields)) await page.getByLabel(label, { exact: true }).fill(value);
  await page.getByRole("button", { name: "Check and show" }).click();
}

export const PAYMENT = { "To (address)": PAYEE, Amount: "1.5", Nonce: "7", "Most per gas, in gwei": "25" };

/** A page by its address, without a new start. */
export async function open(page, org, place) {
  // The head of the page before is not taken for the next one's.
  await page.evaluate(() => document.activeElement?.blur());
  await page.goto(`${org.origin}/#/${place}`);
  await page.locator("main h1:focus").waitFor();
}
