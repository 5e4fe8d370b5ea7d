// Every forgery of the table is refused with its code, and every true answer is believed.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { Client, CountersignError, MemoryBook, Payload } from "countersign";
import { coordinator } from "./coordinator.mjs";

const table = JSON.parse(readFileSync(new URL("../../tests/forgeries.json", import.meta.url), "utf8"));

for (const one of table.cases) {
  test(one.name, async () => {
    assert.equal(await said(one), one.expect);
  });
}

test("the table has forgeries and true answers", () => {
  const forged = table.cases.filter((one) => one.expect !== "ok").length;
  assert.ok(forged >= 20 && table.cases.length - forged >= 4);
});

async function said(one) {
  const { url, close } = await coordinator(one.answers, one.result);
  try {
    const book = new MemoryBook(one.book ?? "");
    const { nodes, trusted_requesters: trustedRequesters } = table.profile;
    const client = await Client.create({
      profile: { coordinator: url, nodes, trustedRequesters },
      apiKey: "key",
      requesterKey: table.requester_key,
      book,
    });
    assert.equal(client.requester, table.requester);
    try {
      await act(client, one.action);
    } catch (error) {
      if (!(error instanceof CountersignError)) throw error;
      assert.equal(await book.read(), one.book ?? "", "nothing was written");
      return error.code;
    }
    return "ok";
  } finally {
    close();
  }
}

async function act(client, action) {
  if (action.wallet) return await client.wallet(action.wallet);
  if (action.newest_wallet) return await client.newestWallet(action.newest_wallet);
  if (action.task) return await client.task(action.task);
  const { wallet, path, payload } = action.sign;
  return await client.sign(wallet, Payload.message(Buffer.from(payload.bytes, "hex")), { path });
}
