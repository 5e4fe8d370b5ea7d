// Payloads, keys, addresses and errors, with others' libraries as the judges.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { chmod, mkdtemp, readFile, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { ed25519 } from "@noble/curves/ed25519";
import { sha256 } from "@noble/hashes/sha2";
import { ApiError, Client, Core, CountersignError, MemoryBook, Payload, PayloadError, Pending, Rejected, UsageError } from "countersign";
import { FileBook, clientOf, createRequesterKey } from "countersign/node";
import { coordinator } from "./coordinator.mjs";

const table = JSON.parse(readFileSync(new URL("../../tests/forgeries.json", import.meta.url), "utf8"));
const signing = table.cases.find((one) => one.name === "a_signature");
const { wallet } = signing.action.sign;

async function clientFor(answers = {}, result = null, ended = {}) {
  const { url, close } = await coordinator(answers, result, ended);
  const client = await Client.create({
    profile: { coordinator: url, nodes: table.profile.nodes },
    apiKey: "key",
    requesterKey: table.requester_key,
    book: new MemoryBook(signing.book),
  });
  return { client, close };
}

test("an order is signed by the requester's key over the labelled hash of its exact bytes", async () => {
  const core = await Core.load();
  const seed = "07".repeat(32);
  const { key, requester } = core.call("requester.new", { seed });
  const order = core.call("order.sign", {
    key,
    id: "01".repeat(16),
    now: 1000000,
    life_ms: 60000,
    operation: { sign: { wallet, path: "m/0/1", payload: { kind: "message", bytes: "706179" } } },
  });
  assert.equal(JSON.parse(order.task).requester, requester);
  const label = Buffer.from("countersign/1 task signature");
  const bytes = Buffer.from(order.task);
  const length = (part) => {
    const field = Buffer.alloc(8);
    field.writeBigUInt64BE(BigInt(part.length));
    return field;
  };
  const digest = sha256(Buffer.concat([length(label), label, length(bytes), bytes]));
  const key32 = ed25519.getPublicKey(Buffer.from(seed, "hex"));
  assert.ok(ed25519.verify(order.signature, digest, key32));
});

test("a signature that is returned verifies with another library", async () => {
  const { client, close } = await clientFor({}, signing.result);
  const signed = await client.sign("treasury", Payload.message("pay"));
  close();
  const [one] = signed.signatures;
  assert.ok(ed25519.verify(one.signature, Buffer.from("pay"), one.publicKey));
  assert.deepEqual(one.publicKey, (await client.wallet(wallet)).rootPublicKey);
});

test("a refusal names the node by the profile's name, the plugin and the code", async () => {
  const node = table.profile.nodes.n1;
  const reason = { code: "limit", message: `${node} says no`, nodes: [node], plugin: "rules" };
  const { client, close } = await clientFor({}, null, { state: "rejected", reason });
  const refused = await client.sign(wallet, Payload.message("pay")).catch((error) => error);
  close();
  assert.ok(refused instanceof Rejected);
  assert.deepEqual([refused.code, refused.plugin, refused.nodes], ["limit", "rules", [node]]);
  assert.ok(refused.message.startsWith("n1 says no; "));
});

test("an order that has not ended is pending and no failure", async () => {
  const { client, close } = await clientFor({}, null, { state: "approving" });
  const task = await client.submit(wallet, Payload.message("pay"));
  const pending = await client.result(task.id, { timeout: 0 }).catch((error) => error);
  const first = await client.follow(task.id).next();
  close();
  assert.ok(pending instanceof Pending && pending.task === task.id);
  assert.deepEqual([task.operation, first.value.state], ["KeySign", "approving"]);
});

test("a result is fetched later, and verified and finished then", async () => {
  const { client, close } = await clientFor({}, signing.result);
  const task = await client.submit(wallet, Payload.message("pay"));
  const signed = await client.result(task.id);
  const finished = await client.finish(signed);
  close();
  assert.equal(signed.kind, "signed");
  assert.deepEqual(finished, { bytes: signed.signatures[0].signature, missing: 0 });
});

test("only its own requester judges the result of an order", async () => {
  const { client, close } = await clientFor({}, signing.result);
  const task = await client.submit(wallet, Payload.message("pay"));
  const other = await Client.create({ profile: client.profile, apiKey: "key" });
  await assert.rejects(other.result(task.id), UsageError);
  close();
});

test("a payload that nobody signs is refused before anything is sent", async () => {
  const { client, close } = await clientFor();
  close();
  await assert.rejects(client.sign(wallet, Payload.evmTransaction("0x02c0")), PayloadError);
  await assert.rejects(client.decode(wallet, Payload.message("")), UsageError);
  assert.throws(() => Payload.eip191("0xabcd"), UsageError);
});

test("a summary says what is signed", async () => {
  const { client, close } = await clientFor();
  close();
  const decoded = await client.decode(wallet, Payload.message("pay"));
  assert.deepEqual([decoded.blind, decoded.lines[0]], [false, "message: pay"]);
  const blind = await client.decode(wallet, Payload.digest(new Uint8Array(32)));
  assert.ok(blind.blind && blind.lines[0].startsWith("BLIND"));
});

test("errors are typed by status and keep their code", async () => {
  const { client, close } = await clientFor();
  await assert.rejects(client.task("00".repeat(16)), (error) => error instanceof ApiError && error.code === "not-found");
  close();
});

test("an answer that is none is an error of this package", async () => {
  const answers = [
    "",
    "null",
    "[".repeat(100_000),
    '{"id": 5}',
    '{"announcement": null}',
    '{"announcement": {"key": "csk1", "task": "00", "generation": "0"}}',
    '{"a": '.repeat(500) + "1" + "}".repeat(500),
    '{"code": "x"}',
  ];
  for (const answer of answers) {
    const paths = ["nodes", "wallets", "tasks", "tasks/00"].map((name) => [`/v1/${name}`, answer]);
    const { client, close } = await clientFor(Object.fromEntries(paths));
    for (const ask of [() => client.nodes(), () => client.wallets(), () => client.tasks(), () => client.task("00")]) {
      await assert.rejects(ask(), (error) => error instanceof CountersignError && error.code === "answer", answer.slice(0, 80));
    }
    close();
  }
});

test("a key is made in a private file, and a profile that others can write is refused", async () => {
  const dir = await mkdtemp(join(tmpdir(), "countersign-"));
  const file = join(dir, "requester.key");
  const id = await createRequesterKey(file);
  assert.match(id, /^csr1/);
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  assert.match(await readFile(file, "utf8"), /^csr-secret1\w+\n$/);
  await assert.rejects(createRequesterKey(file), /choose a new file/);

  const profile = join(dir, "profile.yaml");
  await writeFile(profile, "coordinator: http://127.0.0.1:1\napi_key_file: api.key\nrequester_key_file: requester.key\n");
  await writeFile(join(dir, "api.key"), "key\n", { mode: 0o600 });
  assert.equal((await clientOf(profile)).requester, id);
  await chmod(file, 0o644);
  await assert.rejects(clientOf(profile), /chmod 600/);
  await chmod(file, 0o600);
  await chmod(profile, 0o666);
  await assert.rejects(clientOf(profile), /chmod go-w/);
});

test("a book in a file keeps what was believed, and the book of countersign is not touched", async () => {
  const dir = await mkdtemp(join(tmpdir(), "countersign-"));
  const path = join(dir, "wallets.json");
  await writeFile(path, signing.book, { mode: 0o600 });
  const book = new FileBook(path);
  await Promise.all(["a\n", "b\n", "c\n"].map((line) => book.change(() => ({ write: { append: line } }))));
  const text = await book.read();
  assert.ok(text.startsWith(signing.book));
  assert.deepEqual(text.slice(signing.book.length).trim().split("\n").sort(), ["a", "b", "c"]);
  assert.equal(await readFile(path, "utf8"), signing.book);
});
