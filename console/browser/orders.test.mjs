/** Orders: composed, decoded, and ordered here by a passkey or elsewhere by a command. */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";

import { PAYEE, TOKEN } from "./kit/organisation.mjs";
import { PAYMENT, compose, organisation, passkey, person, pictures, signIn, skip } from "./kit/person.mjs";
import { psbt } from "./kit/psbt.mjs";

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
