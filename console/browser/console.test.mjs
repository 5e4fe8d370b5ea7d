/**
 * The application in Chromium, with a virtual authenticator, at a server that answers as `countersign console` does. Needs
 * `just clients` and Debian's package `chromium`, or another one by CHROMIUM.
 *
 * Pictures go to dist/console-pictures, or to the folder COUNTERSIGN_PICTURES.
 */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { build } from "../build.mjs";
import { PAYEE, TOKEN, organisation as found } from "./kit/organisation.mjs";
import { psbt } from "./kit/psbt.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const wasm = process.env.COUNTERSIGN_WASM ?? join(root, "dist/clients/countersign.wasm");
const chromium = process.env.CHROMIUM ?? "/usr/bin/chromium";
const pictures = process.env.COUNTERSIGN_PICTURES ?? join(root, "dist/console-pictures");
const missing = [wasm, chromium].filter((file) => !existsSync(file));
const absent = missing.length > 0 ? `there is no ${missing.join(" and no ")}` : false;
if (absent && process.env.CI) throw new Error(`${absent}; nothing is skipped where CI is set`);
const skip = absent;

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

async function organisation(options) {
  const org = await found({ dist, module, ...options });
  founded.push(org);
  return org;
}

/** A person at her own browser, with an authenticator of her own. Whatever the page complains about fails the test. */
async function person(org, options = {}) {
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
  const id = page.locator(".alert.good code.id");
  await id.waitFor();
  return await id.innerText();
}

async function openTask(page, org) {
  await page.goto(`${org.origin}/#/tasks/${org.order.id}`);
  await page.reload();
  await page.getByRole("heading", { level: 1, name: /^Task [0-9a-f]/ }).waitFor();
}

test("two of three people approve with passkeys, and the votes prove themselves", { skip }, async () => {
  const org = await organisation();
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
});

test("a coordinator that alters the amount, the wallet or the hash gets no vote", { skip }, async () => {
  const org = await organisation();
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
});

test("texts of others stay texts, and say what they hide", { skip }, async () => {
  const attack = '<img src=x onerror=alert(1)> <script>alert(1)</script>';
  const claims = { invoice: attack, long: "x".repeat(2_000) };
  const org = await organisation({ note: '"><svg onload=alert(1)>', claims });
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
});

/** A text with everything that could mislead: markup, a reversed ending, letters of another alphabet, and no end. */
const HOSTILE = `p\u0430ypal \u202egpj.exe\u202c\u200b <img src=x onerror=alert(1)><script>alert(1)</script>"'${"x".repeat(10_000)}`;

/** A word that would look like a good one, if it became a name of a style. */
const MARKED = "x believed online approved delivered in-force";

test("hostile texts on the pages of administrators and composers stay texts, say what they hide, and break no page", { skip }, async () => {
  const org = await organisation();
  const reported = (node) => ({
    ...node,
    name: HOSTILE,
    reported: node.reported && {
      ...node.reported,
      status: {
        ...node.reported.status,
        plugins: node.reported.status.plugins.map((plugin) => ({ ...plugin, name: HOSTILE, version: HOSTILE, state: MARKED })),
        bundles: node.reported.status.bundles.map((bundle) => ({ ...bundle, name: HOSTILE, state: MARKED, digest: HOSTILE })),
      },
    },
  });
  const key = ({ spec, ...rest }) => ({ ...rest, name: HOSTILE, spec: { ...spec, scopes: [HOSTILE], wallets: [HOSTILE], sha256: HOSTILE } });
  const hook = (one) => ({ ...one, failing_since: 1, spec: { ...one.spec, url: HOSTILE, format: HOSTILE, types: [HOSTILE] } });
  const delivery = (one) => ({ ...one, type: HOSTILE, state: MARKED, event: HOSTILE, attempts: [{ at: 1e300, millis: -1, error: HOSTILE, status: 1e9 }] });
  const hot = `/v1/tasks/${org.more[1].order.id}`;
  Object.assign(org, { labels: { [PAYEE]: HOSTILE } });
  org.alter = {
    "/v1/nodes": ({ nodes }) => ({ nodes: nodes.map(reported) }),
    "/v1/api-keys": ({ api_keys }) => ({ api_keys: api_keys.map(key) }),
    "/v1/webhooks": ({ webhooks }) => ({ webhooks: webhooks.map(hook) }),
    "/v1/webhooks/ops/deliveries": ({ deliveries }) => ({ deliveries: deliveries.map(delivery) }),
    "/v1/requesters": () => ({ any: true, requesters: [HOSTILE] }),
    "/v1/audit": ({ entries }) => ({ entries: entries.map((entry) => ({ ...entry, by: HOSTILE, action: HOSTILE, target: HOSTILE })), next: "x" }),
    [hot]: (view) => ({
      ...view,
      reason: { ...view.reason, message: HOSTILE, code: HOSTILE },
      events: [{ at: 1, text: HOSTILE }],
      nodes: view.nodes.map((one) => ({ ...one, name: HOSTILE, decision: { ...one.decision, verdicts: one.decision.verdicts.map((verdict) => ({ ...verdict, plugin: HOSTILE, approved: false, reason: HOSTILE, code: HOSTILE })) } })),
    }),
  };
  const { page, close } = await person(org);
  await signIn(page, org);
  for (const width of [1280, 390]) {
    await page.setViewportSize({ width, height: 844 });
    for (const place of ["nodes", "policies", "keys", "requesters", "webhooks", "webhooks/ops", "audit", `tasks/${org.more[1].order.id}`, "tasks"]) {
      await open(page, org, place);
      assert.equal(await page.locator("main .alert.bad[role=alert]").count(), 0, `${place} is shown`);
      assert.equal(await page.locator("main img, main svg, main script, main iframe").count(), 0, place);
      const good = place.startsWith("tasks") ? ".delivered" : "td .believed, td .approved, td .delivered, td .in-force";
      assert.equal(await page.locator("main").locator(good).count(), 0, `${place} gives no mark to a word of others`);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(wide <= 0, `${place} is ${wide} pixels too wide at ${width}`);
      const text = await page.locator("main").innerText();
      assert.ok(!/[\u202a-\u202e\u200b]/.test(text), `${place} shows no character that hides`);
      // What a coordinator tells has blanks in their place already; the labels of the organisation are written out.
      if (place !== "tasks") assert.match(text, /mixes alphabets that look alike|has hidden characters/, `${place} says so`);
      if (place.startsWith("tasks/")) assert.match(text, /U\+202E/, "a label");
      const tall = await page.evaluate(() => document.documentElement.scrollHeight);
      assert.ok(tall < 15_000, `${place} is ${tall} pixels tall`);
      await page.screenshot({ path: join(pictures, `hostile-${place.replace(/\W\w{20,}/, "-one").replaceAll("/", "-")}-${width}.png`), fullPage: true });
    }
  }
  assert.deepEqual(org.asked, []);
  await close();
});

test("a label of an organisation is shown beside the address that is paid, before the vote", { skip }, async () => {
  const org = await organisation();
  const { page, close } = await person(org);
  await signIn(page, org);
  await page.goto(`${org.origin}/#/tasks/${org.more[0].order.id}`);
  await page.getByText(`sends 12.5 ETH (12500000000000000000) to ${PAYEE}`).waitFor();
  await page.getByText("Payroll, Swiss branch").waitFor();
  await close();
});

test("votes that are forged or of nobody in the profile are shown, and do not count", { skip }, async () => {
  const org = await organisation();
  const { page, close } = await person(org);
  await signIn(page, org);
  org.approvers = { ann: [await passkey(page, org, "ann")] };
  await page.goto(`${org.origin}/#/tasks/${org.order.id}`);
  await page.reload();
  await page.getByRole("button", { name: "Approve …" }).click();
  await page.getByRole("button", { name: "Approve with passkey" }).click();
  await page.getByText("1 of 2 have approved.").waitFor();
  const [given] = org.votes;
  const flipped = { ...given, name: "ben", vote: { ...given.vote, choice: "reject" } };
  const later = { ...given, name: "cyd", vote: { ...given.vote, time: given.vote.time + 1 } };
  org.alter = { [`/v1/tasks/${org.order.id}/votes`]: (list) => ({ ...list, votes: [given, flipped, later] }) };
  await page.reload();
  await page.getByText("1 of 2 have approved.").waitFor();
  assert.equal(await page.getByRole("table", { name: /Votes/ }).locator(".doubt").count(), 2);
  await page.screenshot({ path: join(pictures, "forged-votes.png"), fullPage: true });
  org.alter = {};
  org.approvers = { ann: ["csv1q84y5mrru2w9yz4774g8kyewchue23mk46ltu7ujgg0w56g5gmfzc6ga67e"] };
  await page.reload();
  await page.getByText("0 of 2 have approved.").waitFor();
  await close();
});

/** Fills a payment, and returns the page's command. */
async function compose(page, fields) {
  for (const [label, value] of Object.entries(fields)) await page.getByLabel(label, { exact: true }).fill(value);
  await page.getByRole("button", { name: "Check and show" }).click();
}

const PAYMENT = { "To (address)": PAYEE, Amount: "1.5", Nonce: "7", "Most per gas, in gwei": "25" };

test("a payment is composed, decoded from its bytes, and becomes a command for exactly these bytes", { skip }, async () => {
  const org = await organisation();
  const { page, close } = await person(org);
  await signIn(page, org);
  await page.goto(`${org.origin}/#/order/coin`);
  await compose(page, PAYMENT);
  await page.getByText(`sends 1.5 ETH (1500000000000000000) to ${PAYEE}`).waitFor();
  await page.getByText("verified against the profile").waitFor();
  const command = await page.locator("#command-order").innerText();
  // As ethers serialises it, and the hash that the module found in it.
  assert.match(command, new RegExp(`^countersign sign ${org.hot.key} --path m/44/60/0/0/0 --evm-transaction 0x02f00107843b9aca00`));
  assert.match(command, /--expect-digest 1814c876ca5b35c8a2d44a8a1e0f38e1a88ba3ee1cf3e8f301486860194db002$/);
  assert.equal(await page.locator("#command-ask").innerText(), `${command} --dry-run`);
  await page.screenshot({ path: join(pictures, "composed-coin.png"), fullPage: true });
  const wrong = [
    [{ "To (address)": PAYEE.replace("dA6", "Da6") }, "capital letters"],
    [{ "To (address)": "0x12" }, "40 hexadecimal digits"],
    [{ Amount: "1,5" }, "Write an amount"],
    [{ Amount: "0" }, "Write an amount"],
    [{ Nonce: "" }, "Write the nonce"],
    [{ "Tip per gas, in gwei": "26" }, "tip cannot be more"],
    [{ "Child key": "m/44'" }, "Write the child key"],
    [{ "Remark (optional)": "x\u202ey" }, "characters that do not show"],
  ];
  for (const [fields, text] of wrong) {
    await page.reload();
    await compose(page, { ...PAYMENT, ...fields });
    await page.locator("#order-told .alert.bad").getByText(text).waitFor();
    assert.equal(await page.locator("#command-order").count(), 0, text);
  }
  assert.deepEqual(org.asked, [], "nothing was sent");
  await close();
});

test("tokens, messages, typed data, PSBTs, wallets and checks are composed, too", { skip }, async () => {
  const org = await organisation();
  const { page, close } = await person(org);
  await signIn(page, org);
  const at = async (kind) => {
    await page.goto(`${org.origin}/#/order/${kind}`);
    await page.reload();
    await page.locator("main h1:focus").waitFor();
  };
  const order = async () => await page.locator("#command-order").innerText();
  await at("token");
  await compose(page, { ...PAYMENT, "Contract of the token": TOKEN, "Decimals of the token": "6", Amount: "250.5" });
  await page.getByText(`sends 250500000 (smallest unit) of eip155:1/erc20:${TOKEN} to ${PAYEE}`).waitFor();
  assert.match(await order(), /--expect-digest [0-9a-f]{64}$/);
  await at("message");
  await page.getByLabel("Wallet", { exact: true }).selectOption({ index: 1 });
  await page.getByLabel("Form").selectOption("eip191");
  await compose(page, { "Text": "it's $HOME", "Remark (optional)": "for `ann`" });
  await page.locator("#command-order").waitFor();
  assert.match(await order(), /--eip191 'it'\\''s \$HOME' .*--note 'for `ann`'$/);
  await at("message");
  await compose(page, { Text: "two\nlines" });
  const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Save message.txt" }).click()]);
  assert.equal(await readFile(await file.path(), "utf8"), "two\nlines");
  assert.match(await order(), /--message-file message\.txt/);
  await at("typed-data");
  const typed = JSON.stringify({
    types: { EIP712Domain: [{ name: "name", type: "string" }], Mail: [{ name: "text", type: "string" }] },
    primaryType: "Mail",
    domain: { name: "Post" },
    message: { text: "hello" },
  });
  await compose(page, { "Or its text": typed });
  const [json] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Save typed-data.json" }).click()]);
  assert.equal(await readFile(await json.path(), "utf8"), typed);
  assert.match(await order(), /--eip712 typed-data\.json --expect-digest/);
  await page.screenshot({ path: join(pictures, "composed-typed-data.png"), fullPage: true });
  await at("bitcoin");
  await compose(page, { "Or its text (Base64 or hexadecimal)": "cHNidP8BAAA=" });
  await page.locator("#order-told .alert.bad").waitFor();
  assert.equal(await page.locator("#command-order").count(), 0, "a transaction that cannot be read is none");
  await at("new-wallet");
  for (const name of ["alice", "bob", "carol"]) await page.getByLabel(new RegExp(`^${name} `)).check();
  await compose(page, { "Name of the new wallet": "reserve fund" });
  await page.getByText("2 of 3 nodes sign").waitFor();
  const ids = ["alice", "bob", "carol"].map((name) => org.profileNodes[name]).join(",");
  assert.equal(await order(), `countersign wallet create 'reserve fund' --scheme ecdsa-secp256k1 --threshold 2 --nodes ${ids}`);
  await page.screenshot({ path: join(pictures, "composed-new-wallet.png"), fullPage: true });
  await at("reshare");
  await page.getByLabel("Approvals to collect").fill("2");
  await page.getByRole("button", { name: "Check and show" }).click();
  await page.getByText("old shares are destroyed").waitFor();
  assert.match(await order(), / --collect 2 --until 24h$/);
  await at("check");
  await page.getByRole("button", { name: "Check and show" }).click();
  await page.getByText("Nothing is signed").waitFor();
  assert.match(await order(), /^countersign wallet check csk1/);
  assert.deepEqual(org.asked, []);
  await close();
});

test("a Bitcoin transaction from a file is decoded, and ordered as the very same bytes", { skip }, async () => {
  const org = await organisation();
  const { page, close } = await person(org);
  await signIn(page, org);
  const path = "m/84/0/0/0/3";
  const child = org.core.call("wallet.child", { wallet: org.hot, path, chains: {}, script_root: null });
  const bytes = psbt({ child, path, amount: 150_000, fee: 1_000 });
  await page.goto(`${org.origin}/#/order/bitcoin`);
  const file = page.getByLabel("File of the transaction (PSBT)");
  await file.setInputFiles({ name: "\u202egpj.exe", mimeType: "application/octet-stream", buffer: bytes });
  await page.getByRole("button", { name: "Check and show" }).click();
  await page.getByText("sends 0.00149 BTC (149000) to bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4").waitFor();
  await page.getByText("pays a fee of at most 0.00001 BTC (1000)").waitFor();
  const order = await page.locator("#command-order").innerText();
  assert.match(order, / --psbt @payment\.psbt --out signed\.psbt --expect-digest [0-9a-f]{64}$/);
  const [saved] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Save payment.psbt" }).click()]);
  assert.equal(saved.suggestedFilename(), "payment.psbt", "not the name that others gave it");
  assert.deepEqual(await readFile(await saved.path()), bytes);
  await page.screenshot({ path: join(pictures, "composed-psbt.png"), fullPage: true });
  await page.getByLabel("Or its text (Base64 or hexadecimal)").fill(bytes.toString("base64"));
  assert.equal(await page.locator("#command-order").count(), 0, "what was shown before goes away");
  await page.getByRole("button", { name: "Check and show" }).click();
  await page.getByText("Give the file or the text, not both.").waitFor();
  await page.reload();
  await page.getByLabel("Or its text (Base64 or hexadecimal)").fill(bytes.toString("base64"));
  await page.getByRole("button", { name: "Check and show" }).click();
  await page.locator("#command-order").waitFor();
  assert.equal(await page.locator("#command-order").innerText(), order, "the same hash");
  // A coordinator cannot move the wallet under it, and the input of another wallet is refused.
  await page.getByLabel("Wallet", { exact: true }).selectOption({ index: 1 });
  await page.getByRole("button", { name: "Check and show" }).click();
  await page.locator("#order-told .alert.bad").waitFor();
  await close();
});

test("a wallet that the coordinator altered is in no composer", { skip }, async () => {
  const org = await organisation();
  const { page, close } = await person(org);
  await signIn(page, org);
  const other = (told) => ({ ...told, announcement: { ...told.announcement, root_public_key: org.cold.root_public_key.replace(/..$/, "99") } });
  org.alter = { "/v1/wallets": ({ wallets, next }) => ({ wallets: wallets.map((one) => (one.id === org.hot.key ? other(one) : one)), next }) };
  await page.goto(`${org.origin}/#/order/coin`);
  await page.getByText("There is no verified wallet for this.").waitFor();
  org.alter = { [`/v1/wallets/${org.hot.key}`]: other };
  await page.reload();
  await compose(page, PAYMENT);
  await page.locator("#order-told .alert.bad").waitFor();
  assert.equal(await page.locator("#command-order").count(), 0);
  await close();
});

test("an API key is made here, shown once, and never sent", { skip }, async () => {
  const org = await organisation();
  const { page, close } = await person(org);
  await signIn(page, org);
  await page.goto(`${org.origin}/#/keys`);
  await page.getByLabel("Name", { exact: true }).fill("ann");
  await page.getByRole("button", { name: "Make a key" }).click();
  await page.getByText("There is a key of this name already.").waitFor();
  assert.deepEqual(org.asked, [], "the key of somebody else stays");
  await page.getByLabel("Name", { exact: true }).fill("ledger");
  await page.getByLabel(/^vote/).check();
  await page.getByLabel(/^treasury/).check();
  await page.getByRole("button", { name: "Make a key" }).click();
  const secret = await page.locator("#new-secret").innerText();
  await page.screenshot({ path: join(pictures, "key-made.png"), fullPage: true });
  const [put] = org.asked;
  const spec = JSON.parse(put.body);
  assert.deepEqual([put.method, put.pathname], ["PUT", "/coordinator/v1/api-keys/ledger"]);
  assert.equal(spec.sha256, createHash("sha256").update(secret).digest("hex"));
  assert.deepEqual([spec.scopes, spec.wallets], [["read", "vote"], [org.wallet.key]]);
  assert.ok(spec.expires > Date.now() + 89 * 86_400_000);
  assert.ok(!JSON.stringify(org.asked).includes(secret));
  assert.ok(!(await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }))).includes(secret));
  await page.getByRole("button", { name: "Done, forget it" }).click();
  assert.ok(!(await page.content()).includes(secret));
  await page.getByRole("button", { name: "Revoke ledger" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
  assert.equal(await page.evaluate(() => document.activeElement?.textContent), "Revoke", "the focus goes back");
  assert.equal(org.asked.length, 1);
  await page.getByRole("button", { name: "End in a day ledger" }).click();
  await page.getByRole("button", { name: "End it in a day" }).click();
  await page.getByText("The key ends in a day.").waitFor();
  await page.getByRole("button", { name: "Revoke ledger" }).click();
  await page.getByRole("button", { name: "Revoke it now" }).click();
  await page.getByText("There is no such key any more.").waitFor();
  assert.deepEqual(org.asked.map(({ method, pathname }) => `${method} ${pathname}`).slice(1), [
    "POST /coordinator/v1/api-keys/ledger/expire",
    "DELETE /coordinator/v1/api-keys/ledger",
  ]);
  assert.equal(await page.getByRole("button", { name: /operator$/ }).count(), 0, "the key in the coordinator's file");
  await close();
});

test("a webhook is added, tested, changed and deleted, and keeps what the form does not show", { skip }, async () => {
  const org = await organisation();
  const { page, close } = await person(org);
  await signIn(page, org);
  await page.goto(`${org.origin}/#/webhooks`);
  await page.getByLabel("Name", { exact: true }).fill("erp");
  await page.getByLabel("Address of the receiver").fill("javascript:alert(1)");
  await page.getByRole("button", { name: "Add a receiver" }).click();
  await page.getByText("The address has to begin with").waitFor();
  await page.getByLabel("Address of the receiver").fill("https://erp.example/in");
  await page.getByRole("button", { name: "Add a receiver" }).click();
  await page.getByRole("heading", { name: "Webhook erp" }).waitFor();
  await page.getByRole("button", { name: "Send a test" }).click();
  await page.getByText("A test is on its way.").waitFor();
  org.webhooks.find(({ name }) => name === "erp").spec = { url: "https://erp.example/in", enabled: true, format: "standard", types: ["later.kind"], wallets: [org.wallet.key] };
  await page.reload();
  await page.getByLabel("task.failed").check();
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await page.getByText("The webhook “erp” is saved.").waitFor();
  const spec = JSON.parse(org.asked.at(-1).body);
  assert.deepEqual([spec.types, spec.wallets], [["task.failed", "later.kind"], [org.wallet.key]]);
  await page.getByRole("button", { name: "Delete" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByRole("heading", { name: "Webhooks", level: 1 }).waitFor();
  assert.equal(org.asked.at(-1).method, "DELETE");
  assert.ok(!org.webhooks.some(({ name }) => name === "erp"));
  await close();
});

test("the audit log and addresses are saved as files", { skip }, async () => {
  const org = await organisation();
  const { page, close } = await person(org);
  await signIn(page, org);
  await page.goto(`${org.origin}/#/audit`);
  await page.getByLabel("Only entries with these words").fill("operator webhook");
  await page.getByText("1 of 3 entries.").waitFor();
  const [log] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Download as CSV" }).click()]);
  assert.match(await readFile(await log.path(), "utf8"), /^time,key,action,target,requester,sha256\r\n[^\r]+,operator,webhook\.put,ops,,ab+[^\r]*\r\n$/);
  const child = org.core.call("wallet.child", { wallet: org.hot, path: "m/44/60/0/0/0", chains: {}, script_root: null });
  org.labels = { [child.addresses.evm.toLowerCase()]: "=our own" };
  await page.goto(`${org.origin}/#/wallets/${org.hot.key}`);
  await page.reload();
  await page.getByRole("button", { name: "Show addresses" }).click();
  await page.getByText("=our own").waitFor();
  const [addresses] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Export as CSV" }).click()]);
  const text = await readFile(await addresses.path(), "utf8");
  assert.ok(text.includes(`,evm,${child.addresses.evm},"'=our own"\r\n`), text);
  await close();
});

test("a page that the API key does not allow says so in the coordinator's sentence, and what to do", { skip }, async () => {
  const org = await organisation();
  org.forbidden = ["/v1/api-keys", "/v1/webhooks", "/v1/audit"];
  const { page, close } = await person(org);
  await signIn(page, org);
  for (const place of ["keys", "webhooks", "webhooks/ops", "audit"]) {
    await page.goto(`${org.origin}/#/${place}`);
    await page.getByText("has not the scope admin; ask the operator").waitFor();
    await page.getByText("the audit log need the scope admin; ask whoever made your key").waitFor();
  }
  await page.screenshot({ path: join(pictures, "forbidden.png"), fullPage: true });
  await close();
});

test("nothing moves for people who asked for that, and the focus follows each page", { skip }, async () => {
  const org = await organisation();
  const { page, close } = await person(org, { reducedMotion: "reduce" });
  await signIn(page, org);
  const moving = await page.evaluate(() => {
    const probe = document.createElement("div");
    probe.className = "skeleton";
    document.body.append(probe);
    const found = [...document.querySelectorAll("*")].filter((one) => {
      const { animationName, transitionDuration } = getComputedStyle(one);
      return animationName !== "none" || transitionDuration.split(",").some((part) => parseFloat(part) > 0);
    });
    probe.remove();
    return found.length;
  });
  assert.equal(moving, 0);
  for (const name of ["Tasks", "New order", "Wallets", "Nodes", "Policies", "API keys", "Requesters", "Webhooks", "Audit", "Passkeys", "Overview"]) {
    await page.getByRole("navigation").getByRole("link", { name, exact: true }).click();
    await page.locator("main h1:focus").waitFor();
    assert.equal(await page.evaluate(() => document.activeElement?.textContent), name);
    assert.equal(await page.title(), `${name} – Countersign`);
    assert.equal(await page.locator("nav [aria-current=page]").innerText(), name);
  }
  await close();
});

test("on a phone the pages are behind a button, which says whether it is open", { skip }, async () => {
  const org = await organisation();
  const { page, close } = await person(org, { viewport: { width: 390, height: 844 } });
  await signIn(page, org);
  const button = page.getByRole("button", { name: "Menu" });
  assert.equal(await button.getAttribute("aria-expanded"), "false");
  assert.equal(await page.getByRole("link", { name: "Audit" }).count(), 0, "what is closed is not read out");
  await button.press("Enter");
  assert.equal(await button.getAttribute("aria-expanded"), "true");
  await page.screenshot({ path: join(pictures, "menu-390.png") });
  await page.getByRole("link", { name: "Audit" }).press("Enter");
  await page.getByRole("heading", { name: "Audit", level: 1 }).waitFor();
  assert.equal(await button.getAttribute("aria-expanded"), "false");
  await close();
});

test("no page of anybody else frames it, reads it or signs out", { skip }, async () => {
  const org = await organisation();
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
  const org = await organisation({ note: "for invoice 7" });
  const { page, close } = await examined(org);
  await everyLook(page, "sign-in");
  await signIn(page, org);
  org.approvers = { ann: [await passkey(page, org, "ann")] };
  await everyLook(page, "passkey");
  await page.reload();
  for (const place of places(org)) {
    await open(page, org, place);
    await everyLook(page, place.replace(/\W\w{20,}/, "-one").replaceAll("/", "-") || "overview");
  }
  await open(page, org, `tasks/${org.order.id}`);
  await page.getByRole("button", { name: "Approve …" }).click();
  await everyLook(page, "vote");
  await close();
});

test("axe finds no violation in a text that is not read to its end, and in an order to confirm", { skip }, async () => {
  const org = await organisation({ text: LONG_TEXT });
  const { page, close } = await examined(org);
  await signIn(page, org);
  const approver = await passkey(page, org, "ann");
  org.approvers = { ann: [approver] };
  org.requesters = { ann: org.core.call("requester.of_approver", { approver }).requester };
  await openTask(page, org);
  assert.ok(await page.locator("#approve").isDisabled());
  await everyLook(page, "unread");
  await open(page, org, "order/message");
  await compose(page, { Text: LONG_TEXT });
  await page.getByRole("button", { name: "Order with passkey …" }).click();
  const go = page.getByRole("button", { name: "Order with passkey", exact: true });
  assert.ok(await go.isDisabled());
  await everyLook(page, "ordering-unread");
  await page.keyboard.press("Escape");
  await open(page, org, "order/coin");
  await compose(page, PAYMENT);
  await page.getByRole("button", { name: "Order with passkey …" }).click();
  await page.getByRole("dialog").waitFor();
  assert.ok(await go.isEnabled(), "what fits is read");
  await everyLook(page, "ordering");
  await close();
});

test("axe finds no violation in what pages answer either", { skip }, async () => {
  const org = await organisation({ note: "for invoice 7" });
  const { page, close } = await examined(org, PHONE);
  const look = async (name) => await bothThemes(page, `answer-${name}`);
  await page.getByRole("button", { name: "Sign in" }).click();
  await look("empty-key");
  await signIn(page, org);
  await page.getByRole("button", { name: "Menu" }).click();
  await look("menu");
  await open(page, org, "order/coin");
  await compose(page, { ...PAYMENT, "Remark (optional)": "it's for us" });
  await page.locator("#command-order").waitFor();
  await look("composed");
  await compose(page, { Amount: "nothing" });
  await page.locator("#order-told .alert.bad").waitFor();
  await look("mistake");
  await open(page, org, "keys");
  await page.getByLabel("Name", { exact: true }).fill("next");
  await page.getByRole("button", { name: "Make a key" }).click();
  await page.locator("#new-secret").waitFor();
  await look("key");
  await page.getByRole("button", { name: "Revoke desk" }).click();
  await look("ask");
  await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
  await open(page, org, `wallets/${org.hot.key}`);
  await page.getByRole("button", { name: "Show addresses" }).click();
  await page.locator("#export").waitFor();
  await look("addresses");
  await open(page, org, `tasks/${org.more[1].order.id}`);
  await page.getByText("as the coordinator tells it: 900 ETH").waitFor();
  await look("refused");
  org.forbidden = ["/v1/audit"];
  await open(page, org, "audit");
  await page.locator(".alert.bad").waitFor();
  await look("forbidden");
  await close();
});

const WIDE = { width: 1280, height: 844 };
const PHONE = { width: 390, height: 844 };
const LONG_TEXT = "a line of a long agreement\n".repeat(400);

/** A person whose pages axe looks at. Nothing moves, so no colour is caught on its way to another. */
async function examined(org, viewport = WIDE) {
  // Only the test's own script needs the policy out of the way.
  return await person(org, { bypassCSP: true, reducedMotion: "reduce", viewport });
}

/** A page by its address, without a new start. */
async function open(page, org, place) {
  // The head of the page before is not taken for the next one's.
  await page.evaluate(() => document.activeElement?.blur());
  await page.goto(`${org.origin}/#/${place}`);
  await page.locator("main h1:focus").waitFor();
}

/** Pictures of what is shown, and what axe says of it, wide and on a phone. */
async function everyLook(page, name) {
  await page.setViewportSize(PHONE);
  await bothThemes(page, `${name}-390`);
  await page.setViewportSize(WIDE);
  await bothThemes(page, `${name}-1280`);
}

async function bothThemes(page, name) {
  if (!(await page.evaluate(() => "axe" in globalThis))) await page.evaluate(await axe());
  // Two themes differ in nothing but colours.
  for (const [colorScheme, rules] of [["dark", ["color-contrast"]], ["light", null]]) {
    await page.emulateMedia({ colorScheme });
    await page.screenshot({ path: join(pictures, `${name}-${colorScheme}.png`), fullPage: true });
    const told = await page.evaluate(async (runOnly) => {
      const { violations } = await globalThis.axe.run(document, { resultTypes: ["violations"], ...(runOnly ? { runOnly } : {}) });
      return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
    }, rules);
    assert.deepEqual(told, [], `${name}-${colorScheme}`);
  }
}

let source;
async function axe() {
  return (source ??= await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8"));
}

test("an order is composed and a key is revoked by the keyboard alone", { skip }, async () => {
  const org = await organisation();
  const { page, close } = await person(org);
  const { keyboard } = page;
  const reach = async (id) => {
    for (let step = 0; step < 120; step++) {
      if ((await page.evaluate(() => document.activeElement?.id)) === id) return;
      await keyboard.press("Tab");
    }
    assert.fail(`${id} is not reached`);
  };
  const write = async (id, text) => {
    await reach(id);
    await keyboard.press("Control+A");
    await keyboard.type(text);
  };
  await signIn(page, org);
  await page.goto(`${org.origin}/#/order/coin`);
  await page.locator("main h1:focus").waitFor();
  for (const [id, text] of [["to", PAYEE], ["amount", "1.5"], ["nonce", "7"], ["most", "25"]]) await write(id, text);
  await keyboard.press("Enter");
  await page.locator("#review-head:focus").waitFor();
  await reach("command-order-copy");
  await page.goto(`${org.origin}/#/keys`);
  await page.locator("main h1:focus").waitFor();
  await reach("revoke-1");
  await keyboard.press("Enter");
  await page.getByRole("dialog").waitFor();
  await keyboard.press("Escape");
  assert.equal(await page.evaluate(() => document.activeElement?.id), "revoke-1");
  await keyboard.press("Enter");
  await reach("ask-yes");
  await keyboard.press("Enter");
  await page.getByText("There is no such key any more.").waitFor();
  assert.equal(org.asked.at(-1).pathname, "/coordinator/v1/api-keys/ann");
  await write("key-name", "next");
  await reach("scope-1");
  await keyboard.press("Space");
  await reach("make-key");
  await keyboard.press("Enter");
  await page.locator("#new-secret").waitFor();
  assert.deepEqual(JSON.parse(org.asked.at(-1).body).scopes, ["read", "vote"]);
  await page.goto(`${org.origin}/#/webhooks/ops`);
  await page.locator("main h1:focus").waitFor();
  await reach("test");
  await keyboard.press("Enter");
  await page.getByText("A test is on its way.").waitFor();
  await page.goto(`${org.origin}/#/audit`);
  await page.locator("main h1:focus").waitFor();
  await write("filter", "desk");
  await page.getByText("1 of 3 entries.").waitFor();
  await close();
});

test("everything is done by the keyboard alone", { skip }, async () => {
  const org = await organisation();
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
});

test("a person signs in with her passkey, and it is the one that votes", { skip }, async () => {
  const org = await organisation();
  const { page, close } = await person(org);
  await signIn(page, org);
  const approver = await passkey(page, org, "ann");
  const { credential } = JSON.parse(await page.locator("#entry-made").innerText());
  org.approvers = { ann: [approver], ben: ["csv1q84y5mrru2w9yz4774g8kyewchue23mk46ltu7ujgg0w56g5gmfzc6ga67e"] };
  org.people = [{ name: "ann", approver, credential }];
  const before = [...org.sessions.keys()];
  await page.getByRole("button", { name: "Sign out", exact: true }).click();
  // What this browser remembers is not needed.
  await page.evaluate(() => localStorage.clear());
  await page.reload();
  await page.getByRole("button", { name: "Sign in with a passkey" }).press("Enter");
  await page.locator("#signed-in-as").getByText("Signed in as ann").waitFor();
  assert.equal(await page.locator("nav [aria-current=page]").innerText(), "Passkeys", "where she was before");
  assert.ok([...org.sessions.keys()].every((cookie) => !before.includes(cookie)), "a new session");
  assert.equal(org.challenges.size, 0, "the challenge is used up");
  await openTask(page, org);
  assert.match(await page.locator("#voter option:checked").innerText(), /^ann .* your passkey/);
  await page.getByRole("button", { name: "Approve …" }).click();
  await page.getByRole("button", { name: "Approve with passkey" }).click();
  await page.getByText("1 of 2 have approved.").waitFor();
  org.people = [{ name: "ann", approver, credential: "QUFB" }];
  await page.getByRole("button", { name: "Sign out", exact: true }).click();
  await page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await page.locator(".alert.bad").waitFor();
  assert.equal(org.sessions.size, 0);
  await close();
});

test("a long message is read to its end before it is approved, and a later rejection wins", { skip }, async () => {
  const text = `pay 5 to bob\u202e${"and so on ".repeat(2_000)}and everything to eve`;
  const org = await organisation({ text });
  const { page, close } = await person(org);
  await signIn(page, org);
  org.approvers = { ann: [await passkey(page, org, "ann")] };
  await openTask(page, org);
  const whole = page.locator("#whole");
  assert.match(await whole.innerText(), /and everything to eve/);
  assert.match(await whole.innerText(), /u\{202e\}/, "a character that turns the text around is written out");
  const approve = page.locator("#approve");
  assert.ok(await approve.isDisabled() && await page.locator("#reject").isEnabled());
  await whole.focus();
  await page.keyboard.press("End");
  await page.getByRole("button", { name: "Approve …" }).click();
  await page.getByRole("button", { name: "Approve with passkey" }).click();
  await page.getByText("1 of 2 have approved.").waitFor();
  // The first vote came from a device whose clock is ahead of this one.
  await page.clock.setFixedTime(Date.now() - 20_000);
  await page.getByRole("button", { name: "Reject …" }).click();
  await page.getByRole("button", { name: "Reject with passkey" }).click();
  await page.getByText("0 of 2 have approved, 1 rejected.").waitFor();
  const [first, second] = org.votes.map(({ vote }) => vote);
  assert.deepEqual([second.choice, second.time], ["reject", first.time + 1]);
  await close();
});

test("who says that she has read it may approve, is not asked again, and may say the same twice", { skip }, async () => {
  const org = await organisation({ text: "a line ".repeat(3_000) });
  const { page, close } = await person(org);
  await signIn(page, org);
  org.approvers = { ann: [await passkey(page, org, "ann")] };
  await openTask(page, org);
  assert.ok(await page.locator("#approve").isDisabled());
  await page.getByRole("button", { name: "I have read all of it" }).press("Enter");
  assert.ok(await page.locator("#approve").isEnabled());
  for (const _ of ["once", "and once more, which says nothing new"]) {
    await page.getByRole("button", { name: "Approve …" }).click();
    await page.getByRole("button", { name: "Approve with passkey" }).click();
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await page.locator("#notice .alert.good").getByText("Your vote is in").waitFor();
  }
  assert.deepEqual([org.votes.length, org.asked.length], [1, 2]);
  await close();
});

test("a passkey of the profile orders what is shown, once, also if the answer is lost", { skip }, async () => {
  const org = await organisation();
  const { page, close } = await person(org);
  await signIn(page, org);
  const approver = await passkey(page, org, "ann");
  await page.goto(`${org.origin}/#/order/coin`);
  await compose(page, PAYMENT);
  await page.locator("#command-order").waitFor();
  assert.equal(await page.locator("#order-here").count(), 0, "nobody trusts it as a requester");
  org.requesters = { ann: org.core.call("requester.of_approver", { approver }).requester };
  const begin = async () => {
    await page.goto(`${org.origin}/#/order/coin`);
    await page.reload();
    await compose(page, PAYMENT);
    await page.getByRole("button", { name: "Order with passkey …" }).click();
    await page.getByRole("dialog").getByText(`sends 1.5 ETH (1500000000000000000) to ${PAYEE}`).waitFor();
  };
  await begin();
  await page.keyboard.press("Escape");
  await page.getByText("Nothing was ordered.").waitFor();
  assert.equal(org.ordered.length, 0);
  await begin();
  await page.getByRole("button", { name: "Order with passkey", exact: true }).click();
  await page.getByText("Ordered. Its state appears here by itself.").waitFor();
  assert.equal(org.ordered.length, 1);
  assert.ok(page.url().endsWith(`#/tasks/${org.ordered[0].order.id}`));
  org.loses = true;
  await page.clock.install();
  await begin();
  await page.getByRole("button", { name: "Order with passkey", exact: true }).click();
  await page.getByText("It is being handed in").waitFor();
  // The page hands it in again for half a minute.
  await page.clock.fastForward(31_000);
  await page.getByText("It is not known whether this was ordered").waitFor();
  const lost = org.ordered[1].order;
  await page.locator("#ordered").getByText(lost.id).waitFor();
  await page.screenshot({ path: join(pictures, "order-unknown.png"), fullPage: true });
  await page.getByRole("button", { name: "Look again" }).click();
  await page.getByText("Ordered. Its state appears here by itself.").waitFor();
  assert.equal(org.ordered.length, 2, "the same order, however often it was handed in");
  await close();
});
