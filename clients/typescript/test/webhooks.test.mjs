// Deliveries of webhooks, signed by another library, and the ways in which they must not be believed.

import assert from "node:assert/strict";
import { createHash, createHmac, createPrivateKey, createPublicKey, sign } from "node:crypto";
import { test } from "node:test";

import { Client, InvalidWebhook, Unauthorized, Unavailable, UsageError, verifyWebhook } from "countersign";
import { event, feed, problem } from "./stream.mjs";

const NOW = 1_800_000_000;
const KEY = keyOf(1);
const OTHER = keyOf(2);
const EVENT = { ...event(7), data: { task: { id: "0".repeat(32), state: "completed" } } };
// Spaces and order are the sender's, and signed as they are.
const BODY = Buffer.from(JSON.stringify(EVENT, null, 1));

function keyOf(seed) {
  // PKCS#8 of Ed25519 (RFC 8410), then the seed.
  const der = Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), Buffer.alloc(32, seed)]);
  return createPrivateKey({ key: der, format: "der", type: "pkcs8" });
}

const publicOf = (key) => createPublicKey(key).export({ format: "der", type: "spki" }).subarray(-32);
const whpk = (key) => `whpk_${publicOf(key).toString("base64")}`;

function jwk(key, kid) {
  return { ...createPublicKey(key).export({ format: "jwk" }), alg: "EdDSA", use: "sig", kid, whpk: whpk(key), created: 1 };
}

function standard(keys, { body = BODY, at = NOW, id = EVENT.id } = {}) {
  const signed = Buffer.concat([Buffer.from(`${id}.${at}.`), body]);
  const signatures = keys.map((key) => `v1a,${sign(null, signed, key).toString("base64")}`);
  return { "webhook-id": id, "webhook-timestamp": String(at), "webhook-signature": signatures.join(" ") };
}

function cobo(key, at = NOW * 1000) {
  const hash = (bytes) => createHash("sha256").update(bytes).digest();
  const digest = hash(hash(Buffer.concat([BODY, Buffer.from(`|${at}`)])));
  return { BIZ_TIMESTAMP: String(at), BIZ_RESP_SIGNATURE: sign(null, digest, key).toString("hex") };
}

const verified = (headers, { keys = whpk(KEY), body = BODY, ...options } = {}) =>
  verifyWebhook(headers, body, keys, { now: NOW * 1000, ...options });

test("a delivery is its event and its key, in every form", async () => {
  const forms = [whpk(KEY), publicOf(KEY), jwk(KEY, "k1"), { keys: [jwk(OTHER, "k0"), jwk(KEY, "k1")] }, [whpk(OTHER), publicOf(KEY)]];
  const kids = [null, null, "k1", "k1", null];
  for (const [index, keys] of forms.entries()) {
    const { id, event: told, key, kid } = await verified(standard([KEY]), { keys });
    assert.deepEqual([id, told, key], [EVENT.id, EVENT, whpk(KEY)]);
    assert.equal(kid, kids[index]);
  }
});

test("headers are taken as servers have them", async () => {
  const plain = standard([KEY]);
  const distinct = Object.fromEntries(Object.entries(plain).map(([name, value]) => [name, [value]]));
  for (const headers of [new Headers(plain), distinct, Object.entries(plain), { ...plain, host: ["a", "b"] }]) {
    assert.equal((await verified(headers)).id, EVENT.id);
  }
  const lower = Object.fromEntries(Object.entries(cobo(KEY)).map(([name, value]) => [name.toLowerCase(), value]));
  assert.deepEqual((await verified(lower, { format: "cobo-v2" })).event, EVENT);
});

test("while a key is replaced, both receivers believe", async () => {
  const both = standard([OTHER, KEY]);
  assert.equal((await verified(both)).key, whpk(KEY));
  assert.equal((await verified(both, { keys: whpk(OTHER) })).key, whpk(OTHER));
  assert.equal((await verified(both, { keys: { keys: [jwk(OTHER, "new"), jwk(KEY, "old")] } })).kid, "new");
  both["webhook-signature"] = `v1,AAAA v2,AAAA ${both["webhook-signature"]}`;
  assert.equal((await verified(both)).id, EVENT.id);
});

const changed = (name, change) => ({ ...standard([KEY]), [name]: change(standard([KEY])[name]) });
const drop = (made, name) => Object.fromEntries(Object.entries(made).filter(([known]) => known !== name));
const twice = (made, name, other = made[name]) => [...Object.entries(made), [name.toUpperCase(), other]];

function byHmac() {
  const made = standard([KEY]);
  const signed = Buffer.concat([Buffer.from(`${made["webhook-id"]}.${made["webhook-timestamp"]}.`), BODY]);
  // The public key is a secret that everybody has.
  const mac = createHmac("sha256", publicOf(KEY)).update(signed).digest("base64");
  return { ...made, "webhook-signature": `v1,${mac}` };
}

const REFUSED = {
  "by another key": standard([OTHER]),
  "no signature": changed("webhook-signature", () => ""),
  "no header for the id": drop(standard([KEY]), "webhook-id"),
  "no header for the time": drop(standard([KEY]), "webhook-timestamp"),
  "no header for the signature": drop(standard([KEY]), "webhook-signature"),
  "no headers": {},
  "another id": changed("webhook-id", (id) => `${id.slice(0, -1)}8`),
  "an id that is signed, but not the event's": standard([KEY], { id: "evt_other" }),
  "another time": changed("webhook-timestamp", (at) => String(Number(at) + 1)),
  "an old time": standard([KEY], { at: NOW - 301 }),
  "a time to come": standard([KEY], { at: NOW + 301 }),
  "a time with a sign": changed("webhook-timestamp", (at) => `+${at}`),
  "a time that is no number": changed("webhook-timestamp", () => "now"),
  "a truncated signature": changed("webhook-signature", (text) => text.slice(0, -8)),
  "a signature of 63 bytes": changed(
    "webhook-signature",
    (text) => `v1a,${Buffer.from(text.slice(4), "base64").subarray(0, 63).toString("base64")}`,
  ),
  "another byte of the signature": changed("webhook-signature", (text) => text.replace(/.(?=.{20}$)/, (c) => (c === "A" ? "B" : "A"))),
  "a signature of another algorithm": byHmac(),
  "our signature under the name of another algorithm": changed("webhook-signature", (text) => `v1${text.slice(3)}`),
  "a good signature beside a broken one": changed("webhook-signature", (text) => `v1a,AAAA ${text}`),
  "two signatures that a server joined by a comma": changed("webhook-signature", (text) => `${text}, ${text}`),
  "too many signatures": changed("webhook-signature", (text) => Array(9).fill(text).join(" ")),
  "two ids": twice(standard([KEY]), "webhook-id"),
  "two ids in one list": { ...standard([KEY]), "webhook-id": [EVENT.id, EVENT.id] },
  "two times": twice(standard([KEY]), "webhook-timestamp"),
  "two headers with signatures": twice(standard([KEY]), "webhook-signature", standard([OTHER])["webhook-signature"]),
};

for (const [name, headers] of Object.entries(REFUSED)) {
  test(`a delivery is refused: ${name}`, async () => {
    await assert.rejects(verified(headers), (error) => error instanceof InvalidWebhook && error.code === "invalid-webhook");
  });
}

test("headers that fetch has joined are refused", async () => {
  const headers = new Headers(standard([KEY]));
  headers.append("webhook-id", EVENT.id);
  await assert.rejects(verified(headers), InvalidWebhook);
});

test("an altered body is refused in both forms", async () => {
  const bodies = [Buffer.concat([BODY, Buffer.from(" ")]), BODY.subarray(1), Buffer.alloc(0), Buffer.alloc((1 << 20) + 1)];
  for (const body of bodies) {
    await assert.rejects(verified(standard([KEY]), { body }), InvalidWebhook);
    await assert.rejects(verified(cobo(KEY), { body, format: "cobo-v2" }), InvalidWebhook);
  }
});

test("a signed body that is no event is refused", async () => {
  for (const text of ["", "null", "[]", "{}", '{"id": "evt"}', "[".repeat(5000)]) {
    const body = Buffer.from(text);
    await assert.rejects(verified(standard([KEY], { body }), { body }), InvalidWebhook, text);
  }
});

test("a delivery in Cobo's form is believed, and its forgeries are not", async () => {
  const format = "cobo-v2";
  assert.equal((await verified(cobo(KEY), { format, keys: jwk(KEY, "k1") })).kid, "k1");
  const good = cobo(KEY);
  const forged = [
    cobo(OTHER),
    drop(good, "BIZ_TIMESTAMP"),
    drop(good, "BIZ_RESP_SIGNATURE"),
    { ...good, BIZ_TIMESTAMP: String(NOW * 1000 + 1) },
    cobo(KEY, (NOW - 301) * 1000),
    cobo(KEY, NOW),
    { ...good, BIZ_RESP_SIGNATURE: good.BIZ_RESP_SIGNATURE.slice(2) },
    { ...good, "biz-timestamp": good.BIZ_TIMESTAMP },
    standard([KEY]),
  ];
  for (const headers of forged) await assert.rejects(verified(headers, { format }), InvalidWebhook, JSON.stringify(headers));
  await assert.rejects(verified(good), InvalidWebhook);
});

test("a tolerance is kept to", async () => {
  const old = standard([KEY], { at: NOW - 61 });
  assert.equal((await verified(old, { tolerance: 61 })).id, EVENT.id);
  await assert.rejects(verified(old, { tolerance: 60 }), InvalidWebhook);
});

test("a key that is none is an error of the caller", async () => {
  const bad = [
    "",
    "whpk_",
    whpk(KEY).slice(0, -4),
    `whsk_${"A".repeat(43)}=`,
    { ...jwk(KEY, "k"), d: "AAAA" },
    { ...jwk(KEY, "k"), crv: "X25519" },
    { ...jwk(KEY, "k"), alg: "HS256" },
    { ...jwk(KEY, "k"), use: "enc" },
    { keys: [] },
    [],
    Array(17).fill(whpk(KEY)),
    // The neutral element, under which signatures of nobody verify.
    Buffer.concat([Buffer.from([1]), Buffer.alloc(31)]),
  ];
  for (const keys of bad) await assert.rejects(verified(standard([KEY]), { keys }), UsageError, JSON.stringify(keys));
  await assert.rejects(verified(standard([KEY]), { body: BODY.toString() }), UsageError);
});

test("a client takes the coordinator's keys, looks for new ones once a minute, and keeps to pinned ones", async () => {
  const keys = [jwk(KEY, "old")];
  const { url, asked, close } = await feed([], { "/.well-known/jwks.json": () => ({ document: { keys } }) });
  const fresh = (key) => standard([key], { at: Math.floor(Date.now() / 1000) });
  const client = await Client.create({ profile: { coordinator: url, nodes: {} }, apiKey: "key" });
  assert.equal((await client.verifyWebhook(fresh(KEY), BODY)).kid, "old");
  keys.unshift(jwk(OTHER, "new"));
  for (let count = 0; count < 5; count++) await assert.rejects(client.verifyWebhook(fresh(OTHER), BODY), InvalidWebhook);
  assert.equal(asked("/.well-known/jwks.json").length, 1);
  const pinned = await Client.create({ profile: { coordinator: url, nodes: {}, webhookKeys: [whpk(KEY)] }, apiKey: "key" });
  assert.equal((await pinned.verifyWebhook(fresh(KEY), BODY)).key, whpk(KEY));
  await assert.rejects(pinned.verifyWebhook(fresh(OTHER), BODY), InvalidWebhook);
  assert.equal(asked("/.well-known/jwks.json").length, 1);
  close();
});

test("deliveries cause one request a minute, whether or not it is answered, and share it", async () => {
  const fresh = (key) => standard([key], { at: Math.floor(Date.now() / 1000) });
  const answers = { "/.well-known/jwks.json": problem(503, "busy") };
  const { url, asked, close } = await feed([], answers);
  const settings = { profile: { coordinator: url, nodes: {} }, apiKey: "key" };
  const refused = await Client.create(settings);
  for (let count = 0; count < 5; count++) await assert.rejects(refused.verifyWebhook(fresh(OTHER), BODY), Unavailable);
  assert.equal(asked("/.well-known/jwks.json").length, 1);
  answers["/.well-known/jwks.json"] = { document: { keys: [jwk(KEY, "k1")] } };
  const client = await Client.create(settings);
  const together = [KEY, OTHER, KEY, OTHER].map((key) => client.verifyWebhook(fresh(key), BODY));
  const [one, two, three, four] = await Promise.allSettled(together);
  assert.deepEqual([one.value.kid, three.value.kid], ["k1", "k1"]);
  assert.ok(two.reason instanceof InvalidWebhook && four.reason instanceof InvalidWebhook);
  assert.equal(asked("/.well-known/jwks.json").length, 2);
  close();
});

test("administration is passed on, and refusals are typed", async () => {
  const spec = { url: "https://example.com", format: "standard", enabled: true };
  const view = { name: "ops", spec, created: 1, cursor: "1", pending: 0 };
  const answers = { "/v1/webhooks": { document: { webhooks: [view] } }, "/v1/webhooks/a%2Fb/deliveries": problem(403, "scope") };
  const { url, asked, close } = await feed([], answers);
  const client = await Client.create({ profile: { coordinator: url, nodes: {} }, apiKey: "key" });
  assert.deepEqual(await client.webhooks(), [view]);
  await assert.rejects(client.deliveries("a/b", { state: "failed", limit: 7 }), Unauthorized);
  assert.deepEqual(asked("/v1/webhooks/a%2Fb/deliveries")[0].query, { state: "failed", limit: "7" });
  close();
});
