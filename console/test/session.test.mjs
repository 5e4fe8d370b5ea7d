/** The session, at a server that answers as a test says. */

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import { ownPasskeys } from "../build/console/src/app.js";
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

const ANN = { name: "ann", approver: `csv1q${"a".repeat(57)}`, credential: "QUFB" };

/** An authenticator, and a module, that say what they were asked. */
function signingIn() {
  const asked = [];
  const core = { call: (name, document) => (asked.push([name, document]), name === "sign_in.message" ? { challenge: "0a".repeat(32) } : { ...document, signature: "low" }) };
  const bytes = (text) => new TextEncoder().encode(text).buffer;
  const get = async ({ publicKey }) => {
    asked.push(["get", publicKey]);
    return { rawId: bytes("AAA"), response: { clientDataJSON: bytes("c"), authenticatorData: bytes("a"), signature: bytes("s") } };
  };
  globalThis.location = { origin: "https://console.treasury.example" };
  Object.defineProperty(globalThis, "navigator", { value: { credentials: { get } }, configurable: true });
  return { asked, core };
}

test("a passkey signs the challenge of a sign-in at this page, and nothing that the server chose", async () => {
  const { asked, core } = signingIn();
  const sent = answering([200, { nonce: "0b".repeat(32) }], [200, { csrf: TOKEN, person: ANN }]);
  const session = await Session.beginByPasskey(core, "treasury.example");
  assert.deepEqual(session.person, ANN);
  assert.deepEqual(asked[0], ["sign_in.message", { origin: "https://console.treasury.example", nonce: "0b".repeat(32) }]);
  const [, options] = asked[1];
  assert.deepEqual([...new Uint8Array(options.challenge)], Array(32).fill(10));
  assert.deepEqual([options.rpId, options.userVerification, options.allowCredentials], ["treasury.example", "required", []]);
  assert.deepEqual(sent.map(({ method, path }) => `${method} ${path}`), ["POST /sign-in", "POST /session"]);
  assert.deepEqual(JSON.parse(sent[1].body), { passkey: { credential: "QUFB", client_data: "63", authenticator_data: "61", signature: "low" } });
});

test("whoever signed in is known by a name and a passkey, or by neither", async () => {
  answering([200, { csrf: TOKEN, person: ANN }]);
  assert.deepEqual((await Session.present()).person, ANN);
  answering([200, { csrf: TOKEN, person: null }]);
  assert.equal((await Session.present()).person, null);
  for (const person of [{}, { ...ANN, name: 7 }, { ...ANN, approver: "csr1" }, { ...ANN, credential: "a b" }, "ann"]) {
    answering([200, { csrf: TOKEN, person }]);
    await assert.rejects(Session.present(), Refused, JSON.stringify(person));
  }
});

test("the passkey that signed in is the first of the reader's own", async () => {
  answering([200, { csrf: TOKEN, person: ANN }]);
  const session = await Session.present();
  const kept = [{ approver: `csv1q${"8".repeat(57)}`, credential: "QkJC" }, { approver: ANN.approver, credential: "T0xE" }];
  const store = { getItem: () => JSON.stringify(kept), setItem: () => undefined };
  assert.deepEqual(ownPasskeys({ session, store }).map(({ credential }) => credential), ["QUFB", "QkJC"]);
});

test("a token of another form is none", async () => {
  for (const csrf of [undefined, null, 7, "", "AB".repeat(32), TOKEN.slice(1), `${TOKEN}\r\nx: y`]) {
    answering([200, { csrf }]);
    await assert.rejects(Session.begin("x"), Refused, String(csrf));
  }
});
