// Uses the installed package `countersign` against a running coordinator and its nodes.
//
//     node end_to_end.mjs PROFILE SCHEME NODE,NODE,NODE
//
// The profile's requester makes a wallet, has a message signed by a child of it, verifies the signature with another
// library (OpenSSL, by Node), and checks all shares. Prints what it made as JSON, for the client in the other language.

import assert from "node:assert/strict";
import { createPublicKey, verify } from "node:crypto";
import { readFile } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";

import { Client, Payload, Rejected, WalletDistrusted } from "countersign";
import { clientOf } from "countersign/node";

const MESSAGE = "pay 5 from Node";
const PATH = "m/44/501/7";

function verifies({ signatures: [one] }) {
  // SubjectPublicKeyInfo of Ed25519 (RFC 8410), then the key.
  const der = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), one.publicKey]);
  const key = createPublicKey({ key: der, format: "der", type: "spki" });
  return Buffer.from(one.signedBytes).toString() === MESSAGE && verify(null, one.signedBytes, key, one.signature);
}

/** A requester whose profile names no node believes nothing. */
async function nobodyKnows({ profile: { coordinator } }, profile, wallet) {
  const apiKey = (await readFile(new URL("api.key", `file://${profile}`), "utf8")).trim();
  const other = await Client.create({ profile: { coordinator, nodes: {} }, apiKey });
  await assert.rejects(other.wallet(wallet), (error) => error instanceof WalletDistrusted && error.details.length > 0);
}

async function main(profile, scheme, nodes) {
  const client = await clientOf(profile);
  while (!(await client.nodes()).every((node) => node.online)) await setTimeout(100);
  const wallet = await client.createWallet({ name: "from-node", scheme, nodes, threshold: 2 });
  const states = [];
  const progress = (task) => states.push(task.state);
  const signed = await client.sign("from-node", Payload.message(MESSAGE), { path: PATH, progress });
  assert.ok(verifies(signed), "the signature verifies with another library");
  assert.equal(states.at(-1), "completed");
  assert.deepEqual(signed.signatures[0].publicKey, (await client.address("from-node", PATH)).publicKey);
  const seen = [];
  for await (const task of client.follow(signed.task)) seen.push(task.state);
  assert.equal(seen.at(-1), "completed");
  assert.deepEqual(await client.result(signed.task), signed);
  assert.deepEqual(new Set((await client.checkUp("from-node")).nodes), new Set(wallet.nodes));
  const listed = (await client.wallets()).find((one) => one.wallet.id === wallet.id);
  assert.equal(listed?.standing, "believed");
  const moved = await client.reshare("from-node", { nodes, threshold: 2 });
  assert.deepEqual([moved.generation, moved.rootPublicKey], [1, wallet.rootPublicKey]);
  await assert.rejects(client.sign("from-node", Payload.digest(new Uint8Array(32))), (error) => error instanceof Rejected);
  await nobodyKnows(client, profile, wallet.id);
  const root = Buffer.from(wallet.rootPublicKey).toString("hex");
  console.log(JSON.stringify({ wallet: wallet.id, root, task: signed.task }));
}

await main(process.argv[2], process.argv[3], process.argv[4].split(","));
