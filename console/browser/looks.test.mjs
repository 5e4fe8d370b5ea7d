/** Hostile texts, phones, motion and the focus. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";

import { PAYEE } from "./kit/organisation.mjs";
import { open, organisation, person, pictures, signIn, skip } from "./kit/person.mjs";

/** A text with everything that could mislead: markup, a reversed ending, letters of another alphabet, and no end. */
const HOSTILE = `p\u0430ypal \u202egpj.exe\u202c\u200b <img src=x onerror=alert(1)><script>alert(1)</script>"'${"x".repeat(10_000)}`;

/** A word that would look like a good one, if it became a name of a style. */
const MARKED = "x believed online approved delivered in-force";

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
