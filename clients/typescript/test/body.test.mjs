// Bodies end when they are closed, although Node may have forgotten the request that asked for them.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { test } from "node:test";

import { Body } from "../dist/body.js";

/** A body without end, after Node has dropped what it can; and the end of its connection. */
async function endless(context) {
  const server = createServer((request, response) => {
    response.writeHead(200);
    response.write("a");
    response.on("close", () => server.emit("left"));
  });
  context.after(() => (server.close(), server.closeAllConnections()));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const body = new Body(await fetch(`http://127.0.0.1:${server.address().port}`));
  assert.equal((await body.read(10_000)).length, 1);
  for (let round = 0; round < 10; round++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    globalThis.gc();
  }
  return { body, left: once(server, "left") };
}

test("a body that is closed ends whoever reads it, and its connection", async (context) => {
  const { body, left } = await endless(context);
  const pending = body.read(10_000);
  body.close();
  assert.equal(await pending, undefined);
  await left;
});

test("a body from which nothing comes is closed", async (context) => {
  const { body, left } = await endless(context);
  await assert.rejects(body.read(20), /nothing came/);
  await left;
});
