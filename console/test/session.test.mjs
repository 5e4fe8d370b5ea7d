/** The session, at a server that answers as a test says. */

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import { Refused, Session } from "../build/console/src/session.js";

const TOKEN = "ab".repeat(32);
const fetched = globalThis.fetch;
afterEach(() => (globalThis.fetch = fetched));

/** Answers one request after the other, and returns what was asked. */
function answering(...answers) {
  const asked = [];
  globalThis.fetch = async (path, init) => {
    asked.push({ path, ...init });
    const [status, document] = answers.shift();
    return new Response(document === undefined ? null : JSON.stringify(document), { status });
  };
  return asked;
}

test("the key is sent once, and no header or address has it", async () => {
  const asked = answering([200, { csrf: TOKEN }], [200, { book: "" }], [204]);
  const session = await Session.begin("secret-key");
  await session.organisation();
  await session.end(true);
  assert.deepEqual(asked.map(({ method, path }) => `${method} ${path}`), ["POST /session", "GET /organisation", "DELETE /sessions"]);
  assert.equal(asked[0].body, '{"api_key":"secret-key"}');
  for (const { body, ...rest } of asked) assert.ok(!JSON.stringify(rest).includes("secret-key"));
  for (const { body } of asked.slice(1)) assert.equal(body, undefined);
  for (const one of asked) assert.deepEqual([one.redirect, one.credentials, one.cache], ["error", "same-origin", "no-store"]);
});

test("every request after signing in has the token", async () => {
  const asked = answering([200, { csrf: TOKEN }], [200, {}], [204]);
  const session = await Session.present();
  await session.organisation();
  await session.end(false);
  assert.equal(asked[0].headers["countersign-csrf"], undefined);
  for (const { headers } of asked.slice(1)) assert.equal(headers["countersign-csrf"], TOKEN);
  assert.deepEqual(session.headers(), { "countersign-csrf": TOKEN });
});

test("nobody is signed in without a session, and other refusals are told", async () => {
  answering([401, { detail: "sign in" }]);
  assert.equal(await Session.present(), null);
  answering([503, { detail: "too many" }]);
  await assert.rejects(Session.present(), (error) => error instanceof Refused && error.status === 503 && error.message === "too many");
  answering([401, {}]);
  await assert.rejects(Session.begin("x"), (error) => error instanceof Refused && error.status === 401);
});

test("a token of another form is none", async () => {
  for (const csrf of [undefined, null, 7, "", "AB".repeat(32), TOKEN.slice(1), `${TOKEN}\r\nx: y`]) {
    answering([200, { csrf }]);
    await assert.rejects(Session.begin("x"), Refused, String(csrf));
  }
});
