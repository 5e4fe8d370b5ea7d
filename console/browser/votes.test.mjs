/** Signing in, and votes by passkey. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";

import { PAYEE } from "./kit/organisation.mjs";
import { openTask, organisation, passkey, person, pictures, signIn, skip } from "./kit/person.mjs";

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
