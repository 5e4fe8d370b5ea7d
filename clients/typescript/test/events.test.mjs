// Events by streams and pages, through lost connections; and tasks that are followed by them.

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  AnswerError,
  Cancelled,
  Client,
  CursorGone,
  MemoryBook,
  Payload,
  Pending,
  Unauthorized,
  UnknownState,
  Unreachable,
} from "countersign";
import { Frames } from "../dist/sse.js";
import { ordering as serving, signing, table, wallet } from "./ordering.mjs";
import { event, feed, frame, problem } from "./stream.mjs";

const BEGIN = "id: 10\n\n";

async function clientOf(url) {
  return await Client.create({
    profile: { coordinator: url, nodes: table.profile.nodes },
    apiKey: "key",
    requesterKey: table.requester_key,
    book: new MemoryBook(signing.book),
  });
}

async function read(url, count, options = {}) {
  const found = [];
  for await (const one of (await clientOf(url)).events(options)) {
    found.push(one);
    if (found.length === count) break;
  }
  return found;
}

async function ordering(states, stream) {
  const served = await serving(states, stream);
  return { ...served, client: await clientOf(served.url) };
}

const cursors = (events) => events.map((one) => one.cursor);

for (const end of ["\n", "\r\n", "\r"]) {
  test(`frames are put together from any pieces, ended by ${JSON.stringify(end)}`, () => {
    const lines = [": still here", "", "id: 7", "event: a", "data: one", "data:two", "", "id: 8", "", "data: ü", "", "data"];
    const whole = Buffer.from(`${lines.join(end)}\n`);
    for (let size = 1; size < whole.length; size++) {
      const frames = new Frames();
      const found = [];
      for (let begin = 0; begin < whole.length; begin += size) found.push(...frames.push(whole.subarray(begin, begin + size)));
      const expected = [{ id: "7", data: "one\ntwo" }, { id: "8", data: "" }, { id: undefined, data: "ü" }];
      assert.deepEqual(found, expected, `in pieces of ${size}`);
    }
  });
}

test("events go on behind the last one when the connection is lost", async () => {
  const streams = [[BEGIN, frame(event(11))], [frame(event(12)), frame(event(13)).slice(0, 20)], [": alive\n\n", frame(event(13))]];
  const { url, asked, close } = await feed(streams);
  const type = ["task.completed", "task.failed"];
  assert.deepEqual(cursors(await read(url, 3, { wallet, type })), ["11", "12", "13"]);
  close();
  assert.deepEqual(asked("/v1/events").map(({ last }) => last), [undefined, "11", "12"]);
  assert.deepEqual(asked("/v1/events")[0].query, { after: "now", wallet, type: "task.completed,task.failed" });
  assert.deepEqual(asked("/v1/events")[1].query, { wallet, type: "task.completed,task.failed" });
});

test("a cursor that is gone and a key that was revoked are errors", async () => {
  for (const [status, code, kind] of [[410, "cursor-gone", CursorGone], [401, "unauthorised", Unauthorized]]) {
    for (const streams of [[problem(status, code)], [[BEGIN, frame(event(11))], problem(status, code)]]) {
      const { url, close } = await feed(streams);
      await assert.rejects(read(url, 2, { after: "3" }), (error) => error instanceof kind && error.code === code);
      close();
    }
  }
});

test("pages are read where no stream comes through", async () => {
  for (const refusal of [problem(429, "too-many-streams"), problem(406, "no"), { text: "<html>" }, { document: { events: [] } }]) {
    const page = ({ after }) => ({ document: { events: [event(Number(after) + 1)], next: String(Number(after) + 1) } });
    const { url, asked, close } = await feed([refusal], { "/v1/events": page });
    assert.deepEqual(cursors(await read(url, 3, { after: "5" })), ["6", "7", "8"]);
    close();
    assert.deepEqual(asked("/v1/events").map(({ query }) => query.wait), [undefined, "25", "25", "25"]);
  }
});

test("a coordinator that was never there is an error, and so is one that stays away", async () => {
  const { url, close } = await feed([[BEGIN, frame(event(11))], [], [], []]);
  await assert.rejects(read(url, 2, { patience: 0.1 }), Unreachable);
  close();
  await assert.rejects(read(url, 1), Unreachable);
});

test("a stream of something else is an error, and bounded", async () => {
  const LONG = 1 << 20;
  const bad = [
    `data: ${"x".repeat(LONG + 1)}`,
    "data: xxxxxxxxxxxxxxxx\n".repeat(LONG / 16),
    ": comment\n".repeat(LONG / 8),
    "data: {}\n\n",
    "data: []\n\n",
    "data: nothing\n\n",
    `data: ${"[".repeat(5000)}${"]".repeat(5000)}\n\n`,
    'data: {"id": "e", "cursor": 5, "type": "t", "at": 1, "data": {}}\n\n',
    'data: {"id": "e", "cursor": "5", "type": "t", "at": 1, "data": {"task": {"id": 5}}}\n\n',
  ];
  for (const piece of bad) {
    const { url, close } = await feed([[BEGIN, piece]]);
    await assert.rejects(read(url, 1), AnswerError, piece.slice(0, 24));
    close();
  }
});

test("an event of a later version is passed on as it is", async () => {
  const told = { ...event(11, "moon.rose", { moon: { phase: 3 } }), colour: "blue" };
  const { url, close } = await feed([[BEGIN, frame(told)]]);
  assert.deepEqual(await read(url, 1), [told]);
  close();
});

test("a signal ends the events and closes the connection", async () => {
  const { url, close } = await feed([[BEGIN, frame(event(11))]]);
  const stop = new AbortController();
  const events = (await clientOf(url)).events({ signal: stop.signal });
  assert.equal((await events.next()).value.cursor, "11");
  const ended = events.next();
  stop.abort();
  assert.deepEqual(await ended, { done: true, value: undefined });
  close();
});

for (const stream of [true, false]) {
  const how = stream ? "by the stream" : "by asking if streams are refused";
  test(`a signature is followed ${how}`, async () => {
    const { client, asked, close } = await ordering(["approving", "running", "completed"], stream);
    const states = [];
    const signed = await client.sign(wallet, Payload.message("pay"), { progress: (task) => states.push(task.state) });
    close();
    assert.deepEqual(states, ["waiting", "approving", "running", "completed"]);
    const waits = asked(`/v1/tasks/${signed.task}`).map(({ query }) => "wait" in query);
    assert.deepEqual([...new Set(waits)], [!stream]);
    assert.deepEqual(asked("/v1/events").map(({ query }) => query), [{ after: "now", wallet }]);
  });

  test(`a task is followed ${how}, and a word of a later version is neither an end nor a success`, async () => {
    const { client, close } = await ordering(["approving", "dreaming", "completed"], stream);
    const task = await client.submit(wallet, Payload.message("pay"));
    const seen = [];
    for await (const one of client.follow(task.id)) seen.push(one);
    close();
    assert.deepEqual(seen.map((one) => one.state), ["waiting", "approving", "unknown", "completed"]);
    assert.equal(seen[2].view.state, "dreaming");
  });
}

test("a task in an unknown state is pending, whatever result it has", async () => {
  const { client, set, close } = await ordering([], false);
  const task = await client.submit(wallet, Payload.message("pay"));
  set({ state: "done", revision: 5, result: signing.result });
  await assert.rejects(client.result(task.id, { timeout: 0 }), Pending);
  close();
});

test("a task that has ended in an unknown state is an error of its own at once", async () => {
  const { client, set, close } = await ordering([], false);
  const task = await client.submit(wallet, Payload.message("pay"));
  set({ state: "d\x1bne", revision: 5, ended: 9, result: signing.result });
  const followed = client.follow(task.id);
  assert.equal((await followed.next()).value.state, "unknown");
  const ended = (error) => error instanceof UnknownState && error.code === "unknown-state" && error.task === task.id;
  await assert.rejects(followed.next(), (error) => ended(error) && error.message.includes("`d?ne`"));
  await assert.rejects(client.result(task.id, { timeout: 60 }), ended);
  close();
});

test("a cancelled order says so", async () => {
  const { client, close } = await ordering(["cancelled"], false);
  await assert.rejects(client.sign(wallet, Payload.message("pay")), Cancelled);
  close();
});
