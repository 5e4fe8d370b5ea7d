// Votes: collected by orders, made by keys and by a passkey of WebCrypto, read and counted. The messages are those of
// docs/quorum.md.

import assert from "node:assert/strict";
import { createHash, createPrivateKey, createPublicKey, sign, verify, webcrypto } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdtemp, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { Client, CountersignError, MemoryBook, Payload, Pending, Untrustworthy, UsageError, VoteError, VoteUnknown } from "countersign";
import { clientOf } from "countersign/node";

const table = JSON.parse(readFileSync(new URL("../../tests/forgeries.json", import.meta.url), "utf8"));
const caseOf = (name) => table.cases.find((one) => one.name === name);
const signing = caseOf("a_signature");
const { wallet } = signing.action.sign;
/** The coordinator tells of the wallet what the book has of it. */
const ours = caseOf("a_wallet_of_ours").answers;

const PASSKEYS = { rpId: "treasury.example", origins: ["https://console.treasury.example"] };
const HOUR = 3_600_000;
/** The number of points of P-256. */
const N = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
const pay = Payload.message("pay");

/** A coordinator that collects votes on every order, and never has enough. `alter` changes its lists of votes. */
async function voting(profile = {}) {
  const state = { views: {}, votes: [], answers: [], alter: (told) => told };
  const listed = (id) => {
    const hash = labelled("countersign/1 task", state.views[id].task).toString("hex");
    return state.alter({ task: id, hash, votes: state.votes, missing: ["erin"], later: true });
  };
  const answered = (path, text) => {
    const [, , kind, id, votes] = path.split("/");
    if (kind !== "tasks") return ours[path];
    if (votes) {
      if (text) state.votes.push({ name: "ann", received: 1, vote: JSON.parse(text) });
      return listed(id);
    }
    if (!text) return state.views[id];
    const view = pending(JSON.parse(text));
    return (state.views[view.id] = view);
  };
  const server = createServer(async (request, response) => {
    let text = "";
    for await (const part of request) text += part;
    const document = answered(request.url.split("?")[0], text);
    const other = text && request.url.endsWith("/votes") ? state.answers.shift() : undefined;
    if (other === "none") return void request.socket.destroy();
    if (other) return void response.writeHead(other === "rate-limited" ? 429 : 409).end(JSON.stringify({ error: { code: other, message: "no" } }));
    response.writeHead(document ? 200 : 404, { "content-type": "application/json" });
    response.end(JSON.stringify(document ?? { error: { code: "not-found", message: "there is no such thing" } }));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const coordinator = `http://127.0.0.1:${server.address().port}`;
  const { nodes, trusted_requesters: trustedRequesters } = table.profile;
  const plain = { coordinator, nodes, trustedRequesters };
  const create = (more, keys = { requesterKey: table.requester_key }) =>
    Client.create({ profile: { ...plain, ...more }, apiKey: "key", ...keys, book: new MemoryBook(signing.book) });
  const close = () => (server.close(), server.closeAllConnections());
  return Object.assign(state, { client: await create(profile), create, close });
}

function pending({ task, signature }) {
  const { id, requester, created, not_after } = JSON.parse(task);
  const told = { id, requester, wallet, submitted: created, not_after, task, signature };
  return { ...told, sequence: 1, revision: 1, state: "pending", operation: "KeySign", reason: null, nodes: [], result: null, events: [] };
}

function labelled(...parts) {
  const hash = createHash("sha256");
  for (const part of parts) {
    const length = Buffer.alloc(8);
    length.writeBigUInt64BE(BigInt(Buffer.from(part).length));
    hash.update(length).update(part);
  }
  return hash.digest();
}

function signedBytes(task, choice, key, time) {
  const at = Buffer.alloc(8);
  at.writeBigUInt64BE(BigInt(time));
  const said = Buffer.from([choice === "approve" ? 1 : 2]);
  return labelled("countersign/1 vote", Buffer.from(task, "hex"), said, key, at);
}

/** Bech32m (BIP-350). */
function bech32m(prefix, bytes) {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  const words = bits.match(/.{1,5}/g).map((five) => parseInt(five.padEnd(5, "0"), 2));
  const head = [...prefix].map((letter) => letter.charCodeAt(0));
  const expanded = [...head.map((code) => code >> 5), 0, ...head.map((code) => code & 31)];
  let sum = 1;
  for (const value of [...expanded, ...words, 0, 0, 0, 0, 0, 0]) {
    const top = sum >>> 25;
    sum = ((sum & 0x1ffffff) << 5) ^ value;
    [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3].forEach((generator, bit) => {
      if ((top >>> bit) & 1) sum ^= generator;
    });
  }
  sum ^= 0x2bc830a3;
  const check = [25, 20, 15, 10, 5, 0].map((shift) => (sum >>> shift) & 31);
  return `${prefix}1${[...words, ...check].map((word) => "qpzry9x8gf2tvdw0s3jn54khce6mua7l"[word]).join("")}`;
}

/** An Ed25519 key with its bytes as an approver, its id and its text. */
function keyOf(seed) {
  const bytes = Buffer.alloc(32, seed);
  const der = Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), bytes]);
  const key = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
  const point = createPublicKey(key).export({ format: "der", type: "spki" }).subarray(-32);
  const approver = Buffer.concat([Buffer.from([1]), point]);
  return { key, approver, id: bech32m("csv", approver), text: bech32m("csv-secret", bytes) };
}

function voteOf(seed, task, choice = "approve", ahead = 0) {
  const { key, approver, id } = keyOf(seed);
  const time = Date.now() + ahead;
  const signature = sign(null, signedBytes(task, choice, approver, time), key).toString("hex");
  return { version: 1, task, choice, approver: id, time, signature };
}

/** A passkey in software. */
async function passkeyOf() {
  const { publicKey, privateKey } = await webcrypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign"]);
  const point = Buffer.from(await webcrypto.subtle.exportKey("raw", publicKey));
  const approver = Buffer.concat([Buffer.from([2, 2 + (point[64] & 1)]), point.subarray(1, 33)]);
  const answer = async (challenge, { highS = false, origin = PASSKEYS.origins[0] } = {}) => {
    const challenged = Buffer.from(challenge).toString("base64url");
    const clientDataJSON = Buffer.from(JSON.stringify({ type: "webauthn.get", challenge: challenged, origin }));
    const domain = createHash("sha256").update(PASSKEYS.rpId).digest();
    const authenticatorData = Buffer.concat([domain, Buffer.from([5, 0, 0, 0, 0])]);
    const signed = Buffer.concat([authenticatorData, createHash("sha256").update(clientDataJSON).digest()]);
    const raw = Buffer.from(await webcrypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, privateKey, signed));
    const made = numberOf(raw.subarray(32));
    const s = made > N / 2n === highS ? made : N - made;
    return { clientDataJSON, authenticatorData, signature: derOf(numberOf(raw.subarray(0, 32)), s) };
  };
  const spki = await webcrypto.subtle.exportKey("spki", publicKey);
  return { id: bech32m("csv", approver), requester: bech32m("csr", approver.subarray(1)), spki, answer };
}

const numberOf = (bytes) => BigInt(`0x${Buffer.from(bytes).toString("hex")}`);

function derOf(...numbers) {
  const parts = numbers.map((number) => {
    const text = number.toString(16);
    const bytes = Buffer.from(text.padStart(text.length + (text.length % 2), "0"), "hex");
    const body = bytes[0] & 0x80 ? Buffer.concat([Buffer.from([0]), bytes]) : bytes;
    return Buffer.concat([Buffer.from([2, body.length]), body]);
  });
  const body = Buffer.concat(parts);
  return Buffer.concat([Buffer.from([0x30, body.length]), body]);
}

/** The value of s of a signature in DER. */
function sOf(der) {
  const bytes = Buffer.from(der, "hex");
  return numberOf(bytes.subarray(bytes[3] + 6));
}

const collect = () => ({ votes: 2, until: new Date(Date.now() + HOUR) });

test("every kind of order says in its signed bytes that it collects votes, and the wait ends as the caller says", async () => {
  const { client, views, close } = await voting();
  const nodes = Object.keys(table.profile.nodes).slice(0, 3);
  const until = Date.now() + HOUR;
  const options = { collect: { votes: 2, until }, timeout: -6 };
  await client.submit(wallet, pay, { collect: { votes: 2, until: new Date(until) } });
  await assert.rejects(client.sign(wallet, pay, options), Pending);
  await assert.rejects(client.checkUp(wallet, options), Pending);
  await assert.rejects(client.reshare(wallet, { nodes, threshold: 2, ...options }), Pending);
  await assert.rejects(client.createWallet({ name: "new", scheme: "taproot", nodes, threshold: 2, ...options }), Pending);
  close();
  const orders = Object.values(views).map((view) => JSON.parse(view.task));
  assert.equal(new Set(orders.map(({ operation }) => Object.keys(operation)[0])).size, 4);
  for (const order of orders) assert.deepEqual(order.collect, { votes: 2, until });
  assert.equal(orders[0].not_after, until + 120_000);
});

test("an order collects no votes unless it says so, and then has no count", async () => {
  const { client, views, close } = await voting();
  const { id, state } = await client.submit(wallet, pay);
  assert.equal(await client.votes(id), null);
  await assert.rejects(client.examine(id), (error) => error instanceof VoteError && error.code === "vote-not-asked");
  close();
  assert.equal(state, "pending");
  assert.ok(!("collect" in JSON.parse(views[id].task)));
});

test("votes that cannot be collected are refused before anything is sent", async () => {
  const { client, views, close } = await voting();
  const now = Date.now();
  for (const [votes, until] of [
    [0, now + HOUR],
    [2, now - HOUR],
    [2, now + 8 * 24 * HOUR],
    [2, new Date(NaN)],
    [2, "tomorrow"],
  ]) {
    await assert.rejects(client.submit(wallet, pay, { collect: { votes, until } }), UsageError);
  }
  close();
  assert.deepEqual(views, {});
});

test("forged votes are shown and not counted", async () => {
  const state = await voting();
  const { client } = state;
  const { id } = await client.submit(wallet, pay, { collect: collect() });
  const { hash } = await client.examine(id);
  const votes = [
    ["ann", voteOf(1, hash), "genuine"],
    ["bob", { ...voteOf(1, hash), approver: keyOf(2).id }, "forged"],
    ["cyd", { ...voteOf(3, hash), choice: "reject" }, "forged"],
    ["dan", voteOf(4, "ab".repeat(32)), "forged"],
    ["eve", voteOf(5, hash, "approve", 60_000), "early"],
    ["fay", { version: 2 }, "unreadable"],
    ["gil", voteOf(6, hash, "reject"), "genuine"],
    ["ann", voteOf(1, hash, "reject", -1000), "genuine"],
  ];
  state.votes = votes.map(([name, vote]) => ({ name, received: 1, vote }));
  const count = await client.votes(id);
  assert.deepEqual(
    count.votes.map(({ finding }) => finding),
    votes.map(([, , finding]) => finding),
  );
  assert.deepEqual([count.needed, count.approved, count.rejected, count.missing], [2, 1, 1, ["erin"]]);
  for (const { finding, problem } of count.votes) assert.equal(problem === null, finding === "genuine");
  for (const altered of [{ task: "0b".repeat(16) }, { hash: "ab".repeat(32) }, { votes: null }]) {
    state.alter = (told) => ({ ...told, ...altered });
    await assert.rejects(client.votes(id), (error) => error.code === "answer");
  }
  state.close();
});

test("with people in the profile, only they count", async () => {
  const state = await voting();
  const approvers = { ann: [keyOf(1).id, keyOf(2).id] };
  const client = await state.create({ approvers });
  const { id } = await client.submit(wallet, pay, { collect: collect() });
  const { hash } = await client.examine(id);
  state.votes = [1, 2, 3].map((seed) => ({ name: "x", received: 1, vote: voteOf(seed, hash) }));
  const count = await client.votes(id);
  const loose = await (await state.create({})).votes(id);
  state.close();
  assert.deepEqual([count.approved, loose.approved], [1, 3]);
  assert.deepEqual(count.votes.map(({ name, finding }) => [name, finding]), [["ann", "genuine"], ["ann", "genuine"], [null, "unlisted"]]);
});

test("a passkey's answer becomes a vote that counts, in whichever form the device signs", async () => {
  const { client, create, close } = await voting({ passkeys: PASSKEYS });
  const { id } = await client.submit(wallet, pay, { collect: collect() });
  const examined = await client.examine(id);
  assert.equal(examined.decoded.lines[0], "message: pay");
  for (const highS of [false, true]) {
    const passkey = await passkeyOf();
    const { challenge, ballot } = client.voteMessage(examined, { approver: passkey.id, choice: "approve" });
    assert.deepEqual([challenge.length, ballot.task, ballot.approver], [32, examined.hash, passkey.id]);
    const answer = await passkey.answer(challenge, { highS });
    assert.equal(sOf(answer.signature) > N / 2n, highS);
    const vote = client.voteFromAssertion(ballot, answer);
    assert.ok(sOf(vote.passkey.signature) <= N / 2n);
    const count = await client.submitVote(examined, vote);
    assert.equal(count.votes.at(-1).finding, "genuine");
  }
  const withoutPages = await (await create({})).votes(id);
  close();
  assert.deepEqual([withoutPages.approved, withoutPages.votes[0].finding], [0, "passkey"]);
});

test("a passkey's answer becomes an order, which is believed by whoever has its page", async () => {
  const { client, create, close } = await voting({ passkeys: PASSKEYS });
  const stranger = await create({});
  for (const highS of [false, true]) {
    const { requester, answer } = await passkeyOf();
    const message = await client.signMessage(wallet, pay, { requester }, { collect: collect() });
    assert.equal(JSON.parse(message.task).requester, requester);
    assert.deepEqual(Buffer.from(message.challenge), labelled("countersign/1 task signature", message.task));
    const elsewhere = await answer(message.challenge, { origin: "https://evil.example" });
    assert.throws(() => client.orderFromAssertion(message, elsewhere), { code: "order-not-made" });
    const made = await answer(message.challenge, { highS });
    assert.throws(() => stranger.orderFromAssertion(message, made), UsageError);
    const order = client.orderFromAssertion(message, made);
    assert.ok(sOf(order.signature.passkey.signature) <= N / 2n);
    await assert.rejects(client.submitOrder(order, { timeout: -6 }), Pending);
    assert.equal((await client.read(await client.task(message.id))).requester, requester);
    await assert.rejects(stranger.task(message.id), { code: "invalid-result" });
  }
  close();
});

test("a new passkey has the id under which operators list it", async () => {
  const { client, close } = await voting();
  for (let time = 0; time < 4; time++) {
    const { id, requester, spki } = await passkeyOf();
    assert.equal(client.requesterOfPasskey(spki), requester);
    assert.equal(client.approverOfPasskey(spki), id);
    assert.equal(client.approverOfPasskey(new Uint8Array(spki)), id);
    assert.throws(() => client.approverOfPasskey(new Uint8Array(spki).subarray(1)), UsageError);
  }
  close();
});

test("an order is read as its requester signed it, whether or not it collects votes", async () => {
  const { client, views, close } = await voting();
  for (const options of [{}, { collect: collect() }]) {
    const task = await client.submit(wallet, pay, { note: "for invoice 7", ...options });
    const read = await client.read(task);
    assert.equal(read.hash, labelled("countersign/1 task", views[task.id].task).toString("hex"));
    assert.equal(read.ordered.note, "for invoice 7");
    assert.equal(read.wallet.id, wallet);
    assert.ok(read.decoded.lines.some((line) => line.includes("pay")));
    const view = { ...task.view, task: task.view.task.replace("invoice 7", "invoice 8") };
    await assert.rejects(client.read({ ...task, view }), CountersignError);
  }
  close();
});

test("whoever proves requests in a way of her own needs no key", async () => {
  const sent = [];
  const access = { headers: (request) => (sent.push(request.method), { "countersign-csrf": "token" }) };
  const { client, create, close } = await voting();
  const { id } = await client.submit(wallet, pay, { collect: collect() });
  const page = await create({}, { apiKey: undefined, access });
  assert.equal((await page.task(id)).id, id);
  assert.deepEqual([page.requester, sent], [null, ["GET"]]);
  close();
});

test("an answer from elsewhere or for something else becomes no vote", async () => {
  const { client, create, close } = await voting({ passkeys: PASSKEYS });
  const { id } = await client.submit(wallet, pay, { collect: collect() });
  const examined = await client.examine(id);
  const passkey = await passkeyOf();
  const { challenge, ballot } = client.voteMessage(examined, { approver: passkey.id, choice: "approve" });
  const notMade = (error) => error instanceof VoteError && error.code === "vote-not-made";
  const good = await passkey.answer(challenge);
  const elsewhere = await passkey.answer(challenge, { origin: "https://evil.example" });
  assert.throws(() => client.voteFromAssertion(ballot, elsewhere), notMade);
  assert.throws(() => client.voteFromAssertion({ ...ballot, choice: "reject" }, good), notMade);
  assert.throws(() => client.voteFromAssertion(ballot, { ...good, signature: new Uint8Array(8) }), notMade);
  const other = await create({});
  assert.throws(() => other.voteFromAssertion(ballot, good), UsageError);
  const forged = { ...examined, order: { ...examined.order, signature: "00".repeat(64) } };
  const untrue = (error) => error instanceof Untrustworthy;
  assert.throws(() => client.voteMessage(forged, { approver: passkey.id, choice: "approve" }), untrue);
  // What `navigator.credentials.get` returns has buffers.
  const buffer = (bytes) => new Uint8Array(bytes).buffer;
  const { clientDataJSON, authenticatorData, signature } = good;
  const response = { clientDataJSON: buffer(clientDataJSON), authenticatorData: buffer(authenticatorData), signature: buffer(signature) };
  assert.deepEqual(client.voteFromAssertion(ballot, response), client.voteFromAssertion(ballot, good));
  close();
});

test("an Ed25519 key votes on what was examined, and the coordinator lists the vote", async () => {
  const state = await voting();
  const { client } = state;
  const { id } = await client.submit(wallet, pay, { collect: collect() });
  const { approver, text, key } = keyOf(9);
  const count = await client.vote(await client.examine(id), { key: text, choice: "reject" });
  assert.deepEqual([count.approved, count.rejected], [0, 1]);
  const [{ vote }] = state.votes;
  const message = signedBytes(vote.task, "reject", approver, vote.time);
  assert.ok(verify(null, message, createPublicKey(key), Buffer.from(vote.signature, "hex")));
  // Another device of hers is ahead.
  state.votes.push({ name: "ann", received: 1, vote: voteOf(9, vote.task, "approve", 20_000) });
  const ahead = state.votes.at(-1).vote.time;
  const again = await client.vote(await client.examine(id), { key: text, choice: "reject" });
  assert.deepEqual([again.approved, again.rejected, state.votes.at(-1).vote.time], [0, 1, ahead + 1]);
  state.votes.push({ name: "ann", received: 1, vote: voteOf(9, vote.task, "reject", 90_000) });
  const clock = client.vote(await client.examine(id), { key: text, choice: "approve" });
  await assert.rejects(clock, (error) => error.code === "vote-clock");
  state.alter = (told) => ({ ...told, votes: [] });
  const lost = client.vote(await client.examine(id), { key: text, choice: "approve" });
  await assert.rejects(lost, (error) => error instanceof Untrustworthy && error.code === "vote-not-listed");
  state.close();
});

test("a vote that does not count, or that nobody needs, is not told as lost", async () => {
  const state = await voting();
  const { client } = state;
  const { id } = await client.submit(wallet, pay, { collect: collect() });
  const examined = await client.examine(id);
  const newer = { name: "ann", received: 1, vote: voteOf(9, examined.hash, "approve", 20_000) };
  state.votes = [newer];
  const superseded = client.submitVote(examined, voteOf(9, examined.hash, "reject"));
  await assert.rejects(superseded, (error) => error instanceof VoteError && error.code === "vote-not-newest");
  // A coordinator does not take the same answer twice within a minute.
  const said = { name: "ann", received: 1, vote: voteOf(9, examined.hash, "approve", -1000) };
  state.alter = (told) => ({ ...told, votes: [said] });
  assert.equal((await client.submitVote(examined, voteOf(9, examined.hash, "approve"))).approved, 1);
  state.close();
});

test("a vote whose answer was lost is handed in again, and is not called lost if it may count", async () => {
  const state = await voting();
  const { client } = state;
  const { id } = await client.submit(wallet, pay, { collect: collect() });
  const examined = await client.examine(id);
  state.answers = ["none"];
  const vote = voteOf(9, examined.hash);
  assert.equal((await client.submitVote(examined, vote)).approved, 1);
  assert.deepEqual(state.votes.map((told) => told.vote), [vote, vote]);
  state.answers = ["none", "rate-limited"];
  assert.equal((await client.submitVote(examined, voteOf(6, examined.hash))).approved, 2, "a limit of requests passes");
  assert.equal(state.votes.length, 5);
  state.answers = ["none", "task-not-pending"];
  const unknown = client.submitVote(examined, voteOf(8, examined.hash));
  await assert.rejects(unknown, (error) => error instanceof VoteUnknown && error.code === "vote-unknown");
  state.answers = ["vote-time"];
  await assert.rejects(client.submitVote(examined, voteOf(7, examined.hash)), { code: "vote-time" });
  state.close();
});

test("a task of a stranger, or one that is not pending, is not voted on", async () => {
  const { client, create, views, close } = await voting();
  const { id } = await client.submit(wallet, pay, { collect: collect() });
  const stranger = await create({}, {});
  await assert.rejects(stranger.examine(id), (error) => error instanceof Untrustworthy && error.code === "vote-stranger");
  views[id].state = "running";
  await assert.rejects(client.examine(id), (error) => error instanceof VoteError && error.code === "vote-not-pending");
  close();
});

test("a profile in a file names the pages that may collect votes", async () => {
  const folder = await mkdtemp(join(tmpdir(), "countersign-"));
  const file = join(folder, "profile.yaml");
  const pages = "passkeys:\n  rp_id: treasury.example\n  origins: [https://console.treasury.example]\n";
  await writeFile(file, `coordinator: http://127.0.0.1:1\napi_key_file: api.key\n${pages}`, { mode: 0o600 });
  await writeFile(join(folder, "api.key"), "csk\n", { mode: 0o600 });
  assert.deepEqual((await clientOf(file)).profile.passkeys, PASSKEYS);
});
