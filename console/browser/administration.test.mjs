/** The pages of administrators. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";

import { organisation, person, pictures, signIn, skip } from "./kit/person.mjs";

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
