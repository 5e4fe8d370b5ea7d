// What a hostile coordinator, or somebody in front of it, can send: nothing of it holds the client, steers a terminal or is
// taken for more than somebody's word.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { connect, createServer as createListener } from "node:net";
import { test } from "node:test";
import { gzipSync } from "node:zlib";

import {
  AnswerError,
  ApiError,
  Cancelled,
  Client,
  Core,
  CountersignError,
  Expired,
  Failed,
  MemoryBook,
  Payload,
  Pending,
  Rejected,
  TaskError,
  Unreachable,
  UsageError,
} from "countersign";
import { Api } from "../dist/api.js";
import { Feed } from "../dist/feed.js";
import { told } from "../dist/text.js";
import { coordinator } from "./coordinator.mjs";
import { signing, table, wallet } from "./ordering.mjs";
import { event, feed, frame, problem } from "./stream.mjs";

const HIDDEN = "a\x1b[2Jb\u202ec\u200bd\r\n\x7f\udc80";
const CLEAN = "a [2Jb c d   \ufffd";
const DESCRIPTOR = JSON.parse(signing.book.split("\n")[1]).wallet;

async function clientOf(url, book = signing.book) {
  return await Client.create({
    profile: { coordinator: url, nodes: table.profile.nodes },
    apiKey: "key",
    requesterKey: table.requester_key,
    book: new MemoryBook(book),
  });
}

/** A coordinator with these answers, and a client of it that knows no wallet. */
async function asking(context, answers, streams = []) {
  const served = await feed(streams, answers);
  context.after(served.close);
  return { ...served, client: await clientOf(served.url, "") };
}

// Pages

function view(members = {}) {
  const announcement = { ...DESCRIPTOR, ...members };
  const { key, name, task } = announcement;
  return { id: key, name, task, generation: 0, extended_public_key: "xpub", announcement };
}

function listed(next, members = {}) {
  return { "/v1/wallets": ({ cursor }) => ({ document: { wallets: [view(members)], next: next[cursor] } }) };
}

test("lists are read to their end", async (context) => {
  const { client, asked } = await asking(context, listed({ undefined: "a", a: "b", b: null }));
  assert.deepEqual((await client.wallets()).map(({ standing }) => standing), ["refused", "refused", "refused"]);
  assert.deepEqual(asked("/v1/wallets").map(({ query }) => query.cursor), [undefined, "a", "b"]);
});

test("a list whose cursor comes again is not followed", async (context) => {
  for (const next of [{ undefined: "a", a: "a" }, { undefined: "a", a: "b", b: "a" }]) {
    const { client, asked } = await asking(context, listed(next));
    await assert.rejects(client.wallets(), /leads nowhere/);
    assert.equal(asked("/v1/wallets").length, Object.keys(next).length);
  }
});

test("a list that goes on with nothing on its pages, or with too much on one, is not followed", async (context) => {
  let count = 0;
  const answers = { "/v1/wallets": () => ({ document: { wallets: [], next: String(count++) } }) };
  const { client } = await asking(context, answers);
  await assert.rejects(client.wallets(), /leads nowhere/);
  assert.equal(count, 1);
  answers["/v1/wallets"] = { document: { wallets: Array.from({ length: 201 }, () => view()) } };
  await assert.rejects(client.wallets(), /leads nowhere/);
});

test("a page that leads to itself is refused", async (context) => {
  const { client } = await asking(context, {
    "/v1/tasks": { document: { tasks: [], next: "7" } },
    "/v1/webhooks/x/deliveries": { document: { deliveries: [], next: "7" } },
  });
  for (const read of [(page) => client.tasks(page), (page) => client.deliveries("x", page)]) {
    await read({ cursor: "6" });
    await assert.rejects(read({ cursor: "7" }), /leads nowhere/);
  }
});

// Texts

test("the texts of a refusal steer nothing", async (context) => {
  const refused = { status: 500, document: { code: "x\x1b[31m", detail: HIDDEN } };
  const { client } = await asking(context, { "/v1/nodes": refused });
  const error = await client.nodes().catch((error) => error);
  assert.ok(error instanceof ApiError);
  assert.deepEqual([error.code, error.message], ["unknown", `the coordinator refused: ${CLEAN}`]);
  for (const code of ["", "x".repeat(65), "A", "a b", "a\n", "ä", "\u202ea"]) {
    assert.deepEqual([new TaskError("00", code, "no").code, new ApiError(400, code, "no").code], ["unknown", "unknown"]);
  }
  assert.equal(new TaskError("00", "rules:daily-limit.2", "no").code, "rules:daily-limit.2");
  const local = new CountersignError("usage", HIDDEN, [HIDDEN]);
  assert.deepEqual([local.message, local.details], [CLEAN, [CLEAN]]);
});

test("the texts of an end steer nothing", async () => {
  const reason = { code: "limit\n", message: HIDDEN, nodes: [HIDDEN], plugin: HIDDEN };
  const { url, close } = await coordinator({}, null, { state: "rejected", reason });
  const refused = await (await clientOf(url)).sign(wallet, Payload.message("pay")).catch((error) => error);
  close();
  assert.ok(refused instanceof Rejected);
  assert.deepEqual([refused.code, refused.nodes, refused.plugin], ["unknown", [CLEAN], CLEAN]);
  assert.ok(refused.message.startsWith(`${CLEAN}; only`));
});

test("names and events steer nothing, and what people write stays", async (context) => {
  const nodes = [HIDDEN, "płacę", "支払い"].map((name) => ({ id: "csn1", name, online: true, [HIDDEN]: HIDDEN }));
  const answers = { "/v1/nodes": { document: { nodes } }, ...listed({ undefined: null }, { name: HIDDEN }) };
  const { client } = await asking(context, answers, [[frame(event(11, "x", { webhook: "x", y: HIDDEN }))]]);
  const seen = await client.nodes();
  assert.deepEqual(seen.map(({ name }) => name), [CLEAN, "płacę", "支払い"]);
  assert.ok(seen.every((node) => node[CLEAN] === CLEAN));
  assert.equal((await client.wallets())[0].wallet.name, CLEAN);
  for await (const one of client.events()) {
    assert.equal(one.data.y, CLEAN);
    break;
  }
});

test("the exact text of an order stays as it is", async () => {
  await Core.load();
  const given = { task: "{\n}", signature: "\n", name: "{\n}", deep: [{ task: "\n", signature: "" }] };
  const cleaned = { ...given, signature: " ", name: "{ }", deep: [{ task: " ", signature: "" }] };
  assert.deepEqual(told(given), cleaned);
  // Nobody signs an id of that name.
  assert.deepEqual(told({ task: HIDDEN, deep: { task: HIDDEN } }), { task: CLEAN, deep: { task: CLEAN } });
});

test("a wallet whose key is none is an error of this package", async (context) => {
  const { client } = await asking(context, listed({ undefined: null }, { root_public_key: "zz" }));
  await assert.rejects(client.wallets(), AnswerError);
});

// Ends

test("an end is the coordinator's word and says until when the order may be signed", async () => {
  const kinds = { rejected: Rejected, failed: Failed, expired: Expired, cancelled: Cancelled };
  for (const [state, kind] of Object.entries(kinds)) {
    for (const reason of [null, { code: "limit", message: "no; send a new task", nodes: [] }]) {
      const { url, close } = await coordinator({}, null, { state, reason });
      const before = Date.now();
      const client = await clientOf(url);
      const ended = await client.sign(wallet, Payload.message("pay"), { timeout: 300 }).catch((error) => error);
      close();
      assert.ok(ended instanceof kind);
      assert.ok(before + 300_000 <= ended.notAfter.getTime() && ended.notAfter.getTime() <= Date.now() + 300_000);
      const shown = ended.notAfter.toISOString().slice(0, 19).replace("T", " ");
      assert.ok(ended.message.includes(`only the coordinator says so, and the order may have been signed, or be signed until ${shown}Z`));
      assert.ok(ended.message.includes("send no new order before then"));
    }
  }
});

// Time

/** Answers each request with the head, then with a piece every 20 ms, until the test is over. */
async function dripping(context, head, piece) {
  const server = createListener((socket) => {
    socket.on("error", () => undefined);
    socket.once("data", () => {
      socket.write(head);
      const timer = setInterval(() => socket.write(piece), 20);
      socket.on("close", () => clearInterval(timer));
    });
    context.after(() => socket.destroy());
  });
  context.after(() => server.close());
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return `http://127.0.0.1:${server.address().port}`;
}

const HEADS = ["HTTP/1.1 200 OK\r\nx: ", "HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n{\"nodes\":[]}"];

test("an answer that drips does not outlast the deadline of its request", { timeout: 60_000 }, async (context) => {
  for (const head of HEADS) {
    const api = new Api(await dripping(context, head, " "), { headers: () => ({}) });
    const dead = api.within({ until: Date.now() });
    await assert.rejects(dead.nodes(), Unreachable);
  }
});

test("an answer that drips does not outlast the timeout of an order", { timeout: 60_000 }, async (context) => {
  const client = await clientOf(await dripping(context, HEADS[1], " "));
  await assert.rejects(client.sign(wallet, Payload.message("pay"), { timeout: 0.1 }), Pending);
  await assert.rejects(client.result("00".repeat(16), { timeout: 0 }), Unreachable);
});

// Events

test("pages that come at once and empty are asked for ever more slowly", async () => {
  const pauses = [];
  const api = {
    within: () => api,
    stream: async () => {
      throw new ApiError(406, "no", "no");
    },
    events: async () => ({ events: [], next: "5" }),
    pause: async (seconds) => void pauses.push(seconds),
  };
  const slow = new Feed(api, { selected: {}, after: "5" });
  for (let count = 0; count < 8; count++) await slow.next();
  assert.deepEqual(pauses, [0.5, 1, 2, 4, 8, 15, 15]);
});

async function cursors(client, options = {}) {
  const found = [];
  for await (const one of client.events(options)) {
    found.push(one.cursor);
    if (found.length === 5) break;
  }
  return found;
}

test("an event that comes again ends the events", async (context) => {
  for (const streams of [
    [[frame(event(11)), frame(event(11))]],
    [[frame(event(11)), frame(event(12)), frame(event(11))]],
    [[frame(event(11))], [frame(event(11))]],
  ]) {
    const { client } = await asking(context, {}, streams);
    await assert.rejects(cursors(client), /again and again/);
  }
  const answers = {};
  const { client } = await asking(context, answers, Array.from({ length: 3 }, () => problem(406, "no")));
  let next = 6;
  for (const number of [() => 6, () => next++]) {
    answers["/v1/events"] = () => ({ document: { events: [event(number())], next: "5" } });
    await assert.rejects(cursors(client, { after: "5" }), /again and again/);
  }
  answers["/v1/events"] = { document: { events: [], next: "5".repeat(1000) } };
  await assert.rejects(cursors(client, { after: "5" }), /too long/);
});

test("events begin where the caller says", async (context) => {
  const page = { document: { events: [event(3), event(4)], next: "4" } };
  const streams = [[5, 6, 7].map((number) => frame(event(number)))];
  const { client, asked } = await asking(context, { "/v1/events": page }, streams);
  assert.deepEqual(await cursors(client, { after: "oldest" }), ["3", "4", "5", "6", "7"]);
  assert.deepEqual(asked("/v1/events").map(({ query, last }) => [query, last]), [[{}, undefined], [{}, "4"]]);
  for (const after of [undefined, null]) await assert.rejects(cursors(client, { after }), UsageError);
});

/** A stream that never ends, behind one event; and the end of its connection. */
async function endless(context) {
  let left;
  const gone = new Promise((resolve) => (left = resolve));
  const server = createServer((request, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(frame(event(11)));
    response.on("close", left);
  });
  context.after(() => (server.close(), server.closeAllConnections()));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { client: await clientOf(`http://127.0.0.1:${server.address().port}`), gone };
}

test("break, return and a signal close the stream, also while the next event is waited for", { timeout: 30_000 }, async (context) => {
  const broken = await endless(context);
  for await (const one of broken.client.events()) {
    assert.equal(one.cursor, "11");
    break;
  }
  await broken.gone;

  const returned = await endless(context);
  const events = returned.client.events();
  await events.next();
  const pending = events.next();
  await events.return();
  assert.deepEqual(await pending, { done: true, value: undefined });
  await returned.gone;

  const stopped = await endless(context);
  const end = new AbortController();
  const others = stopped.client.events({ signal: end.signal });
  await others.next();
  const waiting = others.next();
  end.abort();
  assert.deepEqual(await waiting, { done: true, value: undefined });
  await stopped.gone;
});

test("an error in the middle of a stream, or of whoever reads it, closes it", { timeout: 30_000 }, async (context) => {
  const thrown = await endless(context);
  const reading = async () => {
    for await (const one of thrown.client.events()) throw new Error(one.cursor);
  };
  await assert.rejects(reading(), /11/);
  await thrown.gone;

  let left;
  const gone = new Promise((resolve) => (left = resolve));
  const server = createServer((request, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write("data: nothing\n\n");
    response.on("close", left);
  });
  context.after(() => (server.close(), server.closeAllConnections()));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = await clientOf(`http://127.0.0.1:${server.address().port}`);
  await assert.rejects(client.events().next(), AnswerError);
  await gone;
});

test("a task that is followed is let go at once, in whatever request it waits", { timeout: 30_000 }, async (context) => {
  const requests = [];
  let left;
  const gone = new Promise((resolve) => (left = resolve));
  const { url, close } = await coordinator({}, null, { state: "approving" });
  const behind = new URL(url);
  // Tasks are answered, streams refused, and a long poll is never answered.
  const server = createListener((socket) => {
    socket.on("error", () => undefined);
    socket.once("data", (head) => {
      requests.push(String(head).split("\r\n")[0]);
      if (requests.at(-1).includes("/v1/events")) return socket.end("HTTP/1.1 404 No\r\ncontent-length: 12\r\n\r\n{\"code\":\"x\"}");
      if (requests.at(-1).includes("wait=")) return socket.on("close", left);
      const through = connect(behind.port, behind.hostname);
      through.write(String(head).replace(/connection: keep-alive/i, "connection: close"));
      socket.pipe(through).pipe(socket);
    });
    context.after(() => socket.destroy());
  });
  context.after(() => (server.close(), close()));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = await clientOf(`http://127.0.0.1:${server.address().port}`);
  const task = await (await clientOf(url)).submit(wallet, Payload.message("pay"));
  const followed = client.follow(task.id);
  await followed.next();
  const pending = followed.next();
  while (!requests.some((line) => line.includes("wait="))) await new Promise((resolve) => setTimeout(resolve, 5));
  await followed.return();
  assert.equal((await pending).done, true);
  await gone;
});

// Encodings

test("an answer that is compressed is refused unread", async (context) => {
  const packed = gzipSync(Buffer.concat([Buffer.from('{"nodes":[]}'), Buffer.alloc(1 << 20, " ")]));
  for (const status of [200, 500]) {
    const answer = { status, text: packed, headers: { "content-encoding": "gzip" } };
    const { client } = await asking(context, { "/v1/nodes": answer });
    const error = await client.nodes().catch((error) => error);
    assert.ok(error instanceof CountersignError && /compressed/.test(error.message), String(error));
  }
});
