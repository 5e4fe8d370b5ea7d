/**
 * The application in Chromium, with a virtual authenticator, at a server that answers as `countersign console` does. Needs
 * `just clients` and Debian's package `chromium`, or another one by CHROMIUM.
 *
 * Pictures go to dist/console-pictures.
 */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { build } from "../build.mjs";
import { organisation } from "./kit/organisation.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const wasm = process.env.COUNTERSIGN_WASM ?? join(root, "dist/clients/countersign.wasm");
const chromium = process.env.CHROMIUM ?? "/usr/bin/chromium";
const pictures = join(root, "dist/console-pictures");
const missing = [wasm, chromium].filter((file) => !existsSync(file));
const skip = missing.length > 0 ? `there is no ${missing.join(" and no ")}` : false;

let dist;
let browser;

before(async () => {
  if (skip) return;
  dist = await mkdtemp(join(tmpdir(), "console-"));
  await build({ wasm, out: dist });
  await mkdir(pictures, { recursive: true });
  const playwright = await import("playwright-core");
  browser = await playwright.chromium.launch({ executablePath: chromium, args: ["--no-sandbox"] });
});

after(async () => {
  await browser?.close();
  if (dist) await rm(dist, { recursive: true });
});

/** A person at her own browser, with an authenticator of her own. Whatever the page complains about fails the test. */
async function person(org, options = {}) {
  const context = await browser.newContext(options);
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

async function signIn(page, org) {
  await page.getByLabel("API key").fill(org.KEY);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Overview" }).waitFor();
}

/** Makes a passkey, and returns its id. */
async function passkey(page, org, name) {
  await page.goto(`${org.origin}/#/passkey`);
  await page.getByLabel("Your name").fill(name);
  await page.getByRole("button", { name: "Make a passkey" }).click();
  const id = page.locator(".alert.good code");
  await id.waitFor();
  return await id.innerText();
}

async function openTask(page, org) {
  await page.goto(`${org.origin}/#/tasks/${org.order.id}`);
  await page.reload();
  await page.getByRole("heading", { level: 1, name: /^Task [0-9a-f]/ }).waitFor();
}

test("two of three people approve with passkeys, and the votes prove themselves", { skip }, async () => {
  const org = await organisation({ dist, wasm });
  const people = [];
  org.approvers = {};
  for (const name of ["ann", "ben", "cyd"]) {
    const one = await person(org);
    await signIn(one.page, org);
    org.approvers[name] = [await passkey(one.page, org, name)];
    assert.match(org.approvers[name][0], /^csv1q/);
    people.push(one);
  }
  for (const { page } of people.slice(0, 2)) {
    await openTask(page, org);
    await page.getByText("message: pay 5 to bob").first().waitFor();
    await page.getByRole("button", { name: "Approve …" }).click();
    await page.getByRole("dialog").getByText(org.order.hash).waitFor();
    await page.getByRole("button", { name: "Approve with passkey" }).click();
    await page.getByText("Your vote is in").waitFor();
  }
  await people[1].page.getByText("2 of 2 have approved.").waitFor();
  const { task, signature } = org.order;
  const count = org.core.call("vote.count", {
    order: { task, signature },
    told: { task: org.order.id, hash: org.order.hash, votes: org.votes, missing: [] },
    passkeys: org.passkeys,
    approvers: org.approvers,
    now: Date.now(),
  });
  assert.equal(count.approved, 2);
  assert.deepEqual(count.votes.map(({ name, finding }) => [name, finding]), [["ann", "genuine"], ["ben", "genuine"]]);
  for (const one of people) await one.close();
  org.close();
});

test("a coordinator that alters the amount, the wallet or the hash gets no vote", { skip }, async () => {
  const org = await organisation({ dist, wasm });
  const { page, close } = await person(org);
  await signIn(page, org);
  org.approvers = { ann: [await passkey(page, org, "ann")] };
  const path = `/v1/tasks/${org.order.id}`;
  const hex = (text) => Buffer.from(text).toString("hex");
  const alterations = [
    [path, (view) => ({ ...view, task: view.task.replace(hex("pay 5 to bob"), hex("pay 9 to eve")) })],
    [path, (view) => ({ ...view, signature: view.signature.replace(/^../, (byte) => (byte === "00" ? "01" : "00")) })],
    [path, (view) => ({ ...view, requester: Object.values(org.table.profile.nodes)[0].replace("csn", "csr") })],
    [
      `/v1/wallets/${org.wallet.key}`,
      (told) => ({ ...told, announcement: { ...told.announcement, root_public_key: "00".repeat(32) } }),
    ],
  ];
  for (const [where, alter] of alterations) {
    org.alter = { [where]: alter };
    await page.goto(`${org.origin}/#/tasks/${org.order.id}`);
    await page.reload();
    await page.locator(".alert.bad").first().waitFor();
    assert.equal(await page.getByRole("button", { name: /Approve|Reject/ }).count(), 0);
    assert.equal(await page.getByText("pay 9 to eve").count(), 0);
  }
  org.alter = { [`${path}/votes`]: (list) => ({ ...list, hash: "00".repeat(32) }) };
  await page.reload();
  await page.locator(".alert.bad").first().waitFor();
  assert.equal(await page.getByRole("button", { name: /Approve|Reject/ }).count(), 0);
  assert.deepEqual(org.asked, [], "nothing was sent");
  await close();
  org.close();
});

test("texts of others stay texts, and say what they hide", { skip }, async () => {
  const attack = '<img src=x onerror=alert(1)> <script>alert(1)</script>';
  const claims = { invoice: attack, long: "x".repeat(2_000) };
  const org = await organisation({ dist, wasm, note: '"><svg onload=alert(1)>', claims });
  org.alter["/v1/nodes"] = ({ nodes }) => ({ nodes: nodes.map((node) => ({ ...node, software: attack })) });
  const { page, close } = await person(org, { viewport: { width: 390, height: 844 } });
  await signIn(page, org);
  for (const place of [`tasks/${org.order.id}`, "nodes", "tasks"]) {
    await page.goto(`${org.origin}/#/${place}`);
    await page.locator("main .card, main table").first().waitFor();
    assert.equal(await page.locator("main img, main svg, main script, main iframe").count(), 0);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(wide <= 0, `${place} is ${wide} pixels too wide for a phone`);
  }
  await close();
  org.close();
});

test("no page of anybody else frames it, reads it or signs out", { skip }, async () => {
  const org = await organisation({ dist, wasm });
  const { page, close } = await person(org);
  await signIn(page, org);
  const cookie = (await page.context().cookies()).find(({ name }) => name === "__Host-countersign");
  assert.deepEqual([cookie.httpOnly, cookie.secure, cookie.sameSite], [true, true, "Strict"]);
  assert.equal(await page.evaluate(() => document.cookie), "");
  assert.equal(await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }).includes("the key of ann")), false);
  const other = await page.context().newPage();
  await other.goto("about:blank");
  await other.setContent(`<iframe src="${org.origin}/"></iframe>`);
  const frame = other.frames().find((one) => one !== other.mainFrame());
  assert.equal(await frame?.locator("#main").count().catch(() => 0), 0);
  await page.getByRole("button", { name: "Sign out everywhere" }).click();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  assert.equal(org.sessions.size, 0);
  await close();
  org.close();
});

/** Every page. */
function places(org) {
  const compose = ["coin", "token", "bitcoin", "message", "typed-data", "new-wallet", "reshare", "check"];
  return [
    "",
    "tasks",
    `tasks/${org.order.id}`,
    "order",
    ...compose.map((kind) => `order/${kind}`),
    "wallets",
    `wallets/${org.wallet.key}`,
    "nodes",
    "policies",
    "keys",
    "requesters",
    "webhooks",
    "webhooks/ops",
    "audit",
    "nowhere",
  ];
}

test("axe finds no violation, in light and dark, wide and on a phone", { skip }, async () => {
  const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
  const org = await organisation({ dist, wasm, note: "for invoice 7" });
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [1280, 390]) {
      // Only the test's own script needs the policy out of the way.
      const { page, close } = await person(org, { colorScheme, bypassCSP: true, viewport: { width, height: 844 } });
      await check(page, axe, `sign-in-${colorScheme}-${width}`);
      await signIn(page, org);
      org.approvers = { ann: [await passkey(page, org, "ann")] };
      await check(page, axe, `passkey-${colorScheme}-${width}`);
      for (const place of places(org)) {
        await page.goto(`${org.origin}/#/${place}`);
        await page.reload();
        await page.locator("main h1:focus").waitFor();
        await check(page, axe, `${place.replace(/\W\w{20,}/, "-one").replaceAll("/", "-") || "overview"}-${colorScheme}-${width}`);
      }
      await page.goto(`${org.origin}/#/tasks/${org.order.id}`);
      await page.getByRole("button", { name: "Approve …" }).click();
      await check(page, axe, `vote-${colorScheme}-${width}`);
      await close();
    }
  }
  org.close();
});

async function check(page, axe, name) {
  await page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true });
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document));
  const told = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
  assert.deepEqual(told, [], name);
}

test("everything is done by the keyboard alone", { skip }, async () => {
  const org = await organisation({ dist, wasm });
  const { page, close } = await person(org);
  const { keyboard } = page;
  /** Moves on until the focus is on an element with this id. */
  const reach = async (id) => {
    for (let step = 0; step < 80; step++) {
      if ((await page.evaluate(() => document.activeElement?.id)) === id) return;
      await keyboard.press("Tab");
    }
    assert.fail(`${id} is not reached`);
  };
  await reach("api-key");
  await keyboard.type(org.KEY);
  await keyboard.press("Enter");
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  org.approvers = { ann: [await passkey(page, org, "ann")] };
  await page.goto(`${org.origin}/#/tasks`);
  await page.reload();
  await page.locator("main h1:focus").waitFor();
  await reach(`task-${org.order.id}`);
  await keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: /^Task [0-9a-f]/ }).waitFor();
  await reach("approve");
  await keyboard.press("Enter");
  await page.getByRole("dialog").waitFor();
  await keyboard.press("Escape");
  await page.getByText("No vote was given.").waitFor();
  assert.equal(org.votes.length, 0);
  await reach("reject");
  await keyboard.press("Enter");
  await reach("go");
  await keyboard.press("Enter");
  await page.getByText("Your vote is in").waitFor();
  assert.equal(org.votes[0].vote.choice, "reject");
  await close();
  org.close();
});
