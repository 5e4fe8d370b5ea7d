// Requests that are signed by the requester's key, and pauses that a coordinator asks for.

import assert from "node:assert/strict";
import { verify } from "node:crypto";
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { inspect } from "node:util";

import { Client, Core, MemoryBook, Payload, Unauthorized, Unavailable, UsageError } from "countersign";
import { clientOf } from "countersign/node";
import { pauseAfter } from "../dist/api.js";
import { byStatus } from "../dist/errors.js";
import { ordering, signing, table, wallet } from "./ordering.mjs";
import { COORDINATOR, EXAMPLE, KEY, PUBLIC, gate } from "./signed.mjs";
import { event, feed, frame, problem } from "./stream.mjs";

const TASKS = { "/v1/tasks": { document: { tasks: [] } } };

function settings(url, coordinatorId = COORDINATOR) {
  const { nodes } = table.profile;
  return { profile: { coordinator: url, coordinatorId, nodes }, requesterKey: KEY, book: new MemoryBook(signing.book) };
}

/** The headers, the body and the signed text of the page's example. */
function example() {
  const [request, text] = [...EXAMPLE.matchAll(/```\w+\n(.*?)\n```/gs)].map((block) => block[1]);
  const [head, body] = request.split("\n\n");
  const headers = Object.fromEntries(head.split("\n").slice(1).map((line) => line.toLowerCase().split(": ")));
  return { headers, body, text };
}

const PARTS = { key: KEY, coordinator: COORDINATOR, method: "GET", path: "/v1/tasks", time: 1, nonce: "0".repeat(16) };

test("the example of the page is signed byte for byte", async () => {
  const { headers, body, text } = example();
  const core = await Core.load();
  const [time, nonce] = [Number(headers["countersign-time"]), headers["countersign-nonce"]];
  assert.deepEqual(core.call("request.sign", { ...PARTS, method: "POST", body, time, nonce }), headers);
  assert.equal(text.length, 217);
  assert.ok(verify(null, Buffer.from(text), PUBLIC, Buffer.from(headers["countersign-signature"], "hex")));
});

test("what is no request is not signed", async () => {
  const core = await Core.load();
  assert.equal(Object.keys(core.call("request.sign", PARTS)).length, 5);
  const wrong = [{ nonce: "0".repeat(15) }, { nonce: "0".repeat(65) }, { path: "/a\n/b" }, { query: "a b" }, { coordinator: "csc1" }];
  for (const part of wrong) {
    const refused = (error) => error instanceof UsageError && !error.message.includes("csr-secret");
    assert.throws(() => core.call("request.sign", { ...PARTS, ...part }), refused, JSON.stringify(part));
  }
});

for (const stream of [true, false]) {
  test(`an order and ${stream ? "the stream" : "long polls"} are signed, each with a nonce of its own`, async () => {
    const { nonces, refuse } = gate();
    const { url, asked, close } = await ordering(["approving", "running", "completed"], stream, refuse);
    const client = await Client.create(settings(url));
    const signed = await client.sign(wallet, Payload.message("pay"), { note: "Grüße" });
    close();
    const looks = asked(`/v1/tasks/${signed.task}`);
    assert.equal(looks.some(({ query }) => "wait" in query), !stream);
    assert.equal(nonces.size, looks.length + asked("/v1/events").length + asked("/v1/tasks").length);
  });
}

test("a stream that is opened again, and pages, are signed again", async () => {
  const { nonces, refuse } = gate();
  const streams = [["id: 10\n\n", frame(event(11))], [frame(event(12))], problem(406, "no")];
  const page = { document: { events: [event(13)], next: "13" } };
  const { url, asked, close } = await feed(streams, { "/v1/events": page }, refuse);
  const found = [];
  const client = await Client.create(settings(url));
  for await (const { cursor } of client.events({ wallet, type: ["task.completed", "task.failed"] })) {
    if (found.push(cursor) === 3) break;
  }
  close();
  assert.deepEqual(found, ["11", "12", "13"]);
  assert.deepEqual([nonces.size, asked("/v1/events").length], [4, 4]);
});

const ALTERED = {
  method: ["PUT", "unauthorised"],
  path: ["/v1/nodes", "unauthorised"],
  query: ["limit=51", "unauthorised"],
  body: ["{}", "request-body"],
  time: [1764453908123, "request-time"],
  nonce: ["0".repeat(32), "request-repeated"],
};

for (const [field, [value, code]] of Object.entries(ALTERED)) {
  test(`a signature is refused over another ${field}`, async (context) => {
    const genuine = Core.prototype.call;
    context.mock.method(Core.prototype, "call", function (name, document) {
      return genuine.call(this, name, name === "request.sign" ? { ...document, [field]: value } : document);
    });
    const { url, close } = await feed([], TASKS, gate().refuse);
    const client = await Client.create(settings(url));
    const twice = client.tasks().then(() => client.tasks());
    await assert.rejects(twice, (error) => error instanceof Unauthorized && error.code === code);
    close();
  });
}

test("a signature for another coordinator is refused", async () => {
  const { url, close } = await feed([], TASKS, gate().refuse);
  const client = await Client.create(settings(url, "csc1qwss00lnecgtu8tsm5vwwj7qn9n7f43snwjs6hcamjrxgyj4xxuqpedqne"));
  await assert.rejects(client.tasks(), Unauthorized);
  close();
});

test("a profile without an API key signs, and says what it lacks", async () => {
  const { nonces, refuse } = gate();
  const { url, close } = await feed([], TASKS, refuse);
  const dir = await mkdtemp(join(tmpdir(), "countersign-"));
  await writeFile(join(dir, "requester.key"), `${KEY}\n`, { mode: 0o600 });
  await writeFile(join(dir, "api.key"), "key\n", { mode: 0o600 });
  const path = join(dir, "profile.yaml");
  const client = async (...lines) => {
    await writeFile(path, [`coordinator: ${url}`, ...lines, ""].join("\n"));
    return await clientOf(path);
  };
  const [key, id] = ["requester_key_file: requester.key", `coordinator_id: ${COORDINATOR}`];
  assert.deepEqual(await (await client(key, id)).tasks(), { tasks: [] });
  assert.equal(nonces.size, 1);
  await assert.rejects(client(key), (error) => error instanceof UsageError && /add its `coordinator_id`/.test(error.message));
  await assert.rejects(client(id), (error) => error instanceof UsageError && /name `requester_key_file`/.test(error.message));
  // An API key is used if there is one.
  await assert.rejects((await client(key, id, "api_key_file: api.key")).tasks(), Unauthorized);
  close();
});

test("nothing of a key is shown", async () => {
  const { url, close } = await feed([], TASKS, gate().refuse);
  const { requesterKey, ...rest } = settings(url);
  for (const keys of [{ requesterKey }, { apiKey: "csapi_hidden" }]) {
    const client = await Client.create({ ...rest, ...keys });
    const told = await client.tasks().catch((error) => error);
    const shown = [client, told].map((one) => inspect(one, { depth: 9, showHidden: true }) + JSON.stringify(one));
    for (const text of shown) assert.ok(!text.includes("csr-secret") && !text.includes("csapi_"), text);
  }
  close();
});

test("an API key that no header holds is refused and not shown", async () => {
  for (const apiKey of ["", "csapi_ü", "csapi_1\ncsapi_2", "csapi_1 "]) {
    const made = Client.create({ ...settings("http://127.0.0.1:1"), apiKey });
    await assert.rejects(made, (error) => error instanceof UsageError && /no header can hold/.test(error.message) && !error.message.includes("csapi"));
  }
});

test("a coordinator that has just started is asked again with a new signature", async () => {
  const { nonces, first, refuse } = gate();
  first.push(problem(503, "just-started", { "retry-after": "0" }));
  const { url, close } = await feed([], TASKS, refuse);
  const client = await Client.create(settings(url));
  assert.deepEqual(await client.tasks(), { tasks: [] });
  assert.equal(nonces.size, 2);
  close();
});

test("a pause has seconds and a bound, and is as long as the coordinator asks", async () => {
  const told = { 7: 7, 0: 0, 31: 30, ["9".repeat(400)]: 30, "-1": undefined, 1.5: undefined, "": undefined, "٣": undefined };
  for (const [text, seconds] of Object.entries({ ...told, "Wed, 21 Oct 2026 07:28:00 GMT": undefined })) {
    for (const status of [429, 503]) {
      const error = byStatus(status, "store", "no", text);
      assert.ok(error instanceof Unavailable);
      assert.deepEqual([error.retryAfter, pauseAfter(error, 0.5)], [seconds, Math.max(seconds ?? 0, 0.5)], text);
    }
  }
  const { url, close } = await feed([], { "/v1/tasks": problem(503, "store", { "retry-after": "12" }) });
  const client = await Client.create({ ...settings(url), apiKey: "key" });
  await assert.rejects(client.tasks(), (error) => error instanceof Unavailable && error.retryAfter === 12);
  close();
});
