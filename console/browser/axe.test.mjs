/** Every page as axe and people see it: in both themes, wide and on a phone. */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { test } from "node:test";

import { PAYMENT, compose, open, openTask, organisation, passkey, person, pictures, signIn, skip } from "./kit/person.mjs";

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

const WIDE = { width: 1280, height: 844 };

const PHONE = { width: 390, height: 844 };

const LONG_TEXT = "a line of a long agreement\n".repeat(400);

/** A person whose pages axe looks at. Nothing moves, so no colour is caught on its way to another. */
async function examined(org, viewport = WIDE) {
  // Only the test's own script needs the policy out of the way.
  return await person(org, { bypassCSP: true, reducedMotion: "reduce", viewport });
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
    // A dialog stands in the middle of the screen, not of the page.
    const fullPage = (await page.locator("dialog").count()) === 0;
    await page.screenshot({ path: join(pictures, `${name}-${colorScheme}.png`), fullPage });
    const told = await page.evaluate(async (runOnly) => {
      const all = { resultTypes: ["violations"] };
      const { violations } = await globalThis.axe.run(document, runOnly ? { ...all, runOnly, preload: false } : all);
      return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
    }, rules);
    assert.deepEqual(told, [], `${name}-${colorScheme}`);
  }
}

let source;

async function axe() {
  return (source ??= await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8"));
}
