// Uses the installed package `countersign` against a running coordinator and its nodes.
//
//     node end_to_end.mjs '{"profile": …, "nodes": […], "treasury": …, "admin": …, "signed": …, …}'
//
// The profile's requester makes a wallet, has messages and payments signed by children of wallets, follows them, and
// receives and verifies webhook deliveries. What is not a client's to do it asks for by a line of JSON on standard output.
// The last line says what it made, for the client in the other language.

import assert from "node:assert/strict";
import { createPublicKey, verify } from "node:crypto";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";

import { Client, InvalidWebhook, Payload, Rejected, WalletDistrusted, verifyWebhook } from "countersign";
import { clientOf } from "countersign/node";

const NAME = "from-node";
const MESSAGE = "pay 5 from Node";
const PATH = "m/44/501/7";

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function ask(what, members = {}) {
  console.log(JSON.stringify({ ask: what, ...members }));
  return JSON.parse((await answers.next()).value);
}

async function main(told) {
  const streams = countStreams();
  const client = await clientOf(told.profile);
  const made = await walletsAndMessages(client, told);
  assert.ok(streams.length > 0, "orders are followed by the stream of events");
  await payments(client, told);
  await eventsAndWebhooks(client, told);
  console.log(JSON.stringify(made));
}

/** Every stream that is opened from here on. */
function countStreams() {
  const opened = [];
  const genuine = globalThis.fetch;
  globalThis.fetch = (url, init) => {
    if (init.headers.accept === "text/event-stream") opened.push(url);
    return genuine(url, init);
  };
  return opened;
}

async function walletsAndMessages(client, { profile, signed: signing, nodes, ann }) {
  while (!(await client.nodes()).every((node) => node.online)) await setTimeout(100);
  const wallet = await client.createWallet({ name: NAME, scheme: "ed25519", nodes, threshold: 2 });
  const states = [];
  const progress = (task) => states.push(task.state);
  const signed = await client.sign(NAME, Payload.message(MESSAGE), { path: PATH, progress });
  assert.ok(verifies(signed), "the signature verifies with another library");
  assert.equal(states.at(-1), "completed");
  assert.deepEqual(signed.signatures[0].publicKey, (await client.address(NAME, PATH)).publicKey);
  assert.equal((await statesOf(client, signed.task)).at(-1), "completed");
  assert.deepEqual(await client.result(signed.task), signed);
  assert.deepEqual(new Set((await client.checkUp(NAME)).nodes), new Set(wallet.nodes));
  const listed = (await client.wallets()).find((one) => one.wallet.id === wallet.id);
  assert.equal(listed?.standing, "believed");
  const moved = await client.reshare(NAME, { nodes, threshold: 2 });
  assert.deepEqual([moved.generation, moved.rootPublicKey], [1, wallet.rootPublicKey]);
  await assert.rejects(client.sign(NAME, Payload.digest(new Uint8Array(32))), (error) => error instanceof Rejected);
  await signedAgain(signing, wallet.id);
  await approved(client, wallet.id, ann);
  await nobodyKnows(client, profile, wallet.id);
  return { wallet: wallet.id, root: hex(wallet.rootPublicKey), task: signed.task };
}

/** A person approves before the nodes are asked. `ann` is the profile of another. */
async function approved(client, wallet, ann) {
  const collect = { votes: 1, until: new Date(Date.now() + 3_600_000) };
  const task = await client.submit(wallet, Payload.message(MESSAGE), { path: PATH, collect });
  assert.equal(task.state, "pending");
  const told = await client.votes(task.id);
  assert.deepEqual([told.approved, told.missing], [0, ["ann"]]);
  const approver = await clientOf(ann);
  const examined = await approver.examine(task.id);
  assert.ok(examined.decoded.lines[0].includes(MESSAGE));
  const key = (await readFile(new URL("ann-votes.key", `file://${ann}`), "utf8")).trimEnd();
  const count = await approver.vote(examined, { key, choice: "approve" });
  assert.deepEqual([count.approved, count.votes[0].name, count.votes[0].finding], [1, "ann", "genuine"]);
  assert.ok(verifies(await client.result(task.id)));
}

function verifies({ signatures: [one] }) {
  // SubjectPublicKeyInfo of Ed25519 (RFC 8410), then the key.
  const der = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), one.publicKey]);
  const key = createPublicKey({ key: der, format: "der", type: "spki" });
  return Buffer.from(one.signedBytes).toString() === MESSAGE && verify(null, one.signedBytes, key, one.signature);
}

async function statesOf(client, task) {
  const states = [];
  for await (const { state } of client.follow(task)) states.push(state);
  return states;
}

/** By a client that has no API key and signs its requests. */
async function signedAgain(profile, wallet) {
  const client = await clientOf(profile);
  const task = await client.submit(wallet, Payload.message(MESSAGE), { path: PATH });
  assert.equal((await statesOf(client, task.id)).at(-1), "completed");
  assert.ok(verifies(await client.result(task.id)));
}

/** A requester whose profile names no node believes nothing. */
async function nobodyKnows({ profile: { coordinator } }, profile, wallet) {
  const apiKey = (await readFile(new URL("api.key", `file://${profile}`), "utf8")).trim();
  const other = await Client.create({ profile: { coordinator, nodes: {} }, apiKey });
  await assert.rejects(other.wallet(wallet), (error) => error instanceof WalletDistrusted && error.details.length > 0);
}

/** One payment on each chain. Others make the unsigned payloads, and judge what was signed. */
async function payments(client, { treasury, evm_path, bitcoin_paths, solana_path }) {
  const keys = [];
  for (const path of bitcoin_paths) keys.push(hex((await client.address(treasury, path)).publicKey));
  const payer = await client.address(NAME, solana_path);
  const made = await ask("payments", {
    evm: (await client.address(treasury, evm_path)).addresses.evm,
    bitcoin: keys,
    solana: payer.addresses.solana,
    solana_key: hex(payer.publicKey),
  });
  const transfer = Payload.evmTransaction(made.evm);
  const { lines } = await client.decode(treasury, transfer, evm_path);
  assert.ok(lines.some((line) => line.toLowerCase().includes("0x5a5a")), lines.join("\n"));
  const evm = await client.sign(treasury, transfer, { path: evm_path, note: "invoice 17" });
  const bitcoin = await client.sign(treasury, Payload.psbt(made.psbt));
  assert.equal(bitcoin.signatures.length, 2);
  const solana = await client.sign(NAME, Payload.solana(Buffer.from(made.solana, "hex")), { path: solana_path });
  await ask("judge", {
    evm: hex((await client.finish(evm)).bytes),
    bitcoin: hex((await client.finish(bitcoin, "transaction")).bytes),
    solana: hex((await client.finish(solana)).bytes),
    payer: payer.addresses.solana,
  });
}

/** The same events by the stream and by deliveries, before and after a restart of the coordinator. */
async function eventsAndWebhooks(client, told) {
  const apiKey = (await readFile(told.admin, "utf8")).trim();
  const admin = await Client.create({ profile: client.profile, apiKey });
  const { url, arrived, close } = await receiver();
  const hook = await admin.createWebhook("node", { url: `${url}/standard`, types: ["task.completed", "webhook.test"] });
  await admin.createWebhook("node-cobo", { url: `${url}/cobo`, types: ["task.completed"], format: "cobo-v2" });
  const named = async () => (await admin.webhooks()).map(({ name }) => name).filter((name) => name.startsWith("node"));
  assert.deepEqual(await named(), ["node", "node-cobo"]);
  const tested = await admin.testWebhook("node");
  const [seen, seenAsCobo] = [new Set(), new Set()];
  assert.equal((await receive(admin, arrived.standard, seen)).id, tested.event);

  const stop = new AbortController();
  const events = client.events({ after: hook.cursor, wallet: NAME, type: "task.completed", signal: stop.signal });
  let event;
  for (const restarted of [false, true]) {
    const coming = events.next();
    if (restarted) await ask("restart");
    const task = await client.submit(NAME, Payload.message(MESSAGE), { path: PATH });
    assert.equal((await statesOf(client, task.id)).at(-1), "completed");
    event = (await coming).value;
    assert.equal(event.data.task.id, task.id);
    const delivery = await receive(admin, arrived.standard, seen);
    assert.deepEqual([delivery.event, delivery.id], [event, event.id]);
    const cobo = await receive(admin, arrived.cobo, seenAsCobo, { format: "cobo-v2" });
    assert.deepEqual(cobo.event, event);
  }
  stop.abort();

  assert.equal((await admin.resend("node", { events: [event.id] })).deliveries, 1);
  const again = await arrived.standard.next();
  assert.ok(seen.has((await admin.verifyWebhook(...again)).id), "the same event has the same id");
  await forgeriesAreRefused(admin, ...again);
  const known = (await admin.deliveries("node")).deliveries.find((one) => one.event === tested.event);
  assert.equal(known.attempts.at(-1).status, 204);
  await admin.deleteWebhook("node");
  await admin.deleteWebhook("node-cobo");
  assert.deepEqual(await named(), []);
  close();
}

/** The next delivery of an event that was not seen: a coordinator that was ended may repeat what it sent. */
async function receive(admin, arrived, seen, options = {}) {
  for (;;) {
    const delivery = await admin.verifyWebhook(...(await arrived.next()), options);
    if (seen.has(delivery.id)) continue;
    seen.add(delivery.id);
    return delivery;
  }
}

/** A server on this machine that takes deliveries, by path. */
async function receiver() {
  const arrived = { standard: new Arrived(), cobo: new Arrived() };
  const server = createServer(async (request, response) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    arrived[request.url.slice(1)].put([request.headersDistinct, Buffer.concat(parts)]);
    response.writeHead(204).end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const close = () => (server.close(), server.closeAllConnections());
  return { url: `http://127.0.0.1:${server.address().port}`, arrived, close };
}

/** Deliveries in the order of their arrival. */
class Arrived {
  #ready = [];
  #waiting = [];

  put(delivery) {
    const next = this.#waiting.shift();
    if (next) next(delivery);
    else this.#ready.push(delivery);
  }

  async next() {
    const ready = this.#ready.shift();
    return ready ?? (await new Promise((resolve) => this.#waiting.push(resolve)));
  }
}

async function forgeriesAreRefused(admin, headers, body) {
  const keys = await admin.webhookKeys();
  assert.equal((await verifyWebhook(headers, body, keys.keys[0].whpk)).kid, null);
  const altered = Buffer.from(body.toString().replace("completed", "rejected!"));
  const forged = [
    [headers, altered, keys, {}],
    [{ ...headers, "webhook-id": [`evt_${"0".repeat(32)}`] }, body, keys, {}],
    [{ ...headers, "webhook-id": [...headers["webhook-id"], "evt_1"] }, body, keys, {}],
    // The base point of the curve: a good key, and nobody's.
    [headers, body, Buffer.from(`58${"66".repeat(31)}`, "hex"), {}],
    [headers, body, keys, { now: Date.now() + 301_000 }],
    [headers, body, keys, { format: "cobo-v2" }],
  ];
  for (const [name, content, key, options] of forged) {
    await assert.rejects(verifyWebhook(name, content, key, options), InvalidWebhook);
  }
}

function hex(bytes) {
  return Buffer.from(bytes).toString("hex");
}

await main(JSON.parse(process.argv[2]));
process.exit(0);
