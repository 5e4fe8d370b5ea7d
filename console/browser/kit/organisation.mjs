/**
 * An organisation for tests: a server that answers as `countersign console` does, and behind it a coordinator with one wallet
 * and one order, which tests alter at will. The order is signed by the module, so nothing here knows a rule.
 */

import { ECDH, createHash, createPublicKey, randomBytes, verify } from "node:crypto";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";

import { Core } from "../../build/clients/typescript/src/core.js";
import { amountOf, hexOf, transaction } from "../../build/console/src/evm.js";
import { bech32mBytes, node as newNode, wallet as newWallet } from "./wallet.mjs";

const TABLE = new URL("../../../clients/tests/forgeries.json", import.meta.url);
const HOUR = 3_600_000;
const KEY = "the key of ann";
const MAX_BODY = 256 * 1024;
/** Milliseconds for which a coordinator takes no second vote that says the same. */
const PAUSE = 60_000;
/** A well-known address and one of a token's contracts, with capital letters as EIP-55 has them. */
export const PAYEE = "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045";
export const TOKEN = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48";

/** `dist`: what the build made. `module`: the compiled module, for the coordinator's side. */
export async function organisation({ dist, module, note = null, claims = {}, text = "pay 5 to bob" }) {
  const core = await Core.load(module);
  const table = JSON.parse(await readFile(TABLE, "utf8"));
  const { book: first } = table.cases.find(({ name }) => name === "a_signature");
  const wallet = JSON.parse(first.split("\n")[1]).wallet;
  const manifest = JSON.parse(await readFile(join(dist, "manifest.json"), "utf8"));
  const now = Date.now();
  const own = { dora: newNode(), emil: newNode(), fay: newNode() };
  const makes = { key: table.requester_key, requester: table.requester, nodes: Object.values(own), now };
  const hot = newWallet(core, { ...makes, book: first, name: "hot", scheme: "ecdsa-secp256k1" });
  const cold = newWallet(core, { ...makes, book: hot.book, name: "cold storage", scheme: "taproot" });
  const { book } = cold;
  const profileNodes = { ...named(table.profile.nodes), ...Object.fromEntries(Object.entries(own).map(([name, { id }]) => [name, id])) };
  const order = core.call("order.sign", {
    key: table.requester_key,
    id: randomBytes(16).toString("hex"),
    now,
    life_ms: HOUR,
    note,
    claims,
    collect: { votes: 2, until: now + HOUR },
    operation: { sign: { wallet: wallet.key, path: "m", payload: message(text), signers: null } },
  });
  const state = {
    KEY,
    core,
    table,
    wallet,
    hot: hot.wallet,
    cold: cold.wallet,
    profileNodes,
    labels: { [PAYEE]: "Payroll, Swiss branch" },
    /** Further tasks, which tests do not alter. */
    more: more(core, { table, hot: hot.wallet, wallet, now }),
    apiKeys: apiKeys(wallet, now),
    webhooks: webhooks(now),
    audit: audit(now),
    order: { id: order.id, hash: order.hash, task: order.task, signature: order.signature },
    /** Votes as they came in. */
    votes: [],
    /** Requests that changed something, or tried to. */
    asked: [],
    sessions: new Map(),
    /** People who sign in by passkey: `name`, `approver` and `credential` of each. */
    people: [],
    /** Requesters of the profile besides the desk, by name. */
    requesters: {},
    /** Orders that were handed in here, and whether their answers are lost. */
    ordered: [],
    loses: false,
    /** Challenges by the cookie of the browser that was asked. */
    challenges: new Map(),
    passkeys: null,
    approvers: null,
    /** Changes of what the coordinator answers, by path. */
    alter: {},
    /** Paths that the API key does not allow. */
    forbidden: [],
  };
  const server = createServer((request, response) => void served(state, { dist, manifest, book }, request, response));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const origin = `http://localhost:${server.address().port}`;
  state.passkeys = { rp_id: "localhost", origins: [origin] };
  return Object.assign(state, { origin, close: () => (server.close(), server.closeAllConnections()) });
}

export function message(text) {
  return { kind: "message", bytes: Buffer.from(text).toString("hex") };
}

/** The names of people. */
function named(nodes) {
  const names = ["alice", "bob", "carol", "dave"];
  return Object.fromEntries(Object.values(nodes).map((id, index) => [names[index], id]));
}

/** A payment that waits for votes, one that a node refused, and a signature that is done. */
function more(core, { table, hot, wallet, now }) {
  const signed = (operation, note, ago, collect = null) => {
    const parts = { key: table.requester_key, id: randomBytes(16).toString("hex"), now: now - ago, life_ms: HOUR, note, collect };
    const { id, hash, task, signature } = core.call("order.sign", { ...parts, operation });
    return { id, hash, task, signature };
  };
  const ether = (amount) => {
    const fees = { nonce: 7n, gas: 21000n, most: 25_000_000_000n, tip: 1_000_000_000n };
    const bytes = transaction({ chain: 1n, ...fees, to: PAYEE, amount: amountOf(amount, 18), token: null });
    const payload = { kind: "evm-transaction", bytes: hexOf(bytes).slice(2) };
    return { sign: { wallet: hot.key, path: "m/44/60/0/0/0", payload, signers: null } };
  };
  const collect = { votes: 2, until: now + 5 * HOUR };
  const pending = signed(ether("12.5"), "salaries of November", 600_000, collect);
  const refused = signed(ether("900"), "moving to the exchange", 7_000_000);
  const done = signed({ sign: { wallet: wallet.key, path: "m", payload: message("we own this wallet"), signers: null } }, null, 90_000_000);
  const check = signed({ "check-up": { wallet: hot.key, nodes: hot.committee } }, "weekly", 172_000_000);
  const kinds = [
    [pending, "pending", hot, "KeySign"],
    [refused, "rejected", hot, "KeySign"],
    [done, "completed", wallet, "KeySign"],
    [check, "completed", hot, "KeyShareSign"],
  ];
  return kinds.map(([order, state, used, operation], index) => ({ order, state, wallet: used, operation, sequence: 10 - index, requester: table.requester }));
}

function apiKeys(wallet, now) {
  const key = (name, scopes, rest = {}) => ({
    name,
    origin: "api",
    spec: { scopes, sha256: Buffer.from(name.padEnd(32, "-").slice(0, 32)).toString("hex"), ...rest },
  });
  return [
    { ...key("operator", ["read", "admin"]), origin: "file" },
    key("ann", ["read", "vote"], { expires: now + 60 * 24 * HOUR }),
    key("desk", ["read", "create"], { wallets: [wallet.key] }),
  ];
}

function webhooks(now) {
  const spec = { url: "https://ops.example/hook", enabled: true, format: "standard" };
  return [
    { name: "ops", created: now - 900 * HOUR, cursor: "1", pending: 0, spec },
    { name: "ledger", created: now - 90 * HOUR, cursor: "1", pending: 3, failing_since: now - HOUR, spec: { ...spec, url: "https://ledger.example/in", types: ["task.completed"] } },
  ];
}

function deliveries(now) {
  return [
    { event: "evt_03", at: now - 60_000, type: "task.pending", state: "pending", next_attempt: now + 60_000, attempts: [{ at: now - 59_000, millis: 2000, error: "the receiver did not answer in time" }] },
    { event: "evt_02", at: now - HOUR, type: "task.completed", state: "delivered", attempts: [{ at: now - HOUR, millis: 87, status: 204 }] },
  ];
}

function audit(now) {
  const entry = (by, action, target, ago, index) => ({ at: now - ago, by, action, target, cursor: String(index), sha256: "ab".repeat(32) });
  return [
    entry("operator", "api-key.put", "ann", 90 * HOUR, 1),
    entry("desk", "task.submit", "0123456789abcdef0123456789abcdef", 20 * HOUR, 2),
    entry("operator", "webhook.put", "ops", 3 * HOUR, 3),
  ];
}

async function served(state, files, request, response) {
  const { pathname, searchParams } = new URL(request.url, "http://localhost");
  let body = "";
  for await (const part of request) body += part.toString().slice(0, MAX_BODY);
  const [status, headers, content] = await answer(state, files, { request, pathname, searchParams, body });
  if (content instanceof Function) return content(response, headers);
  response.writeHead(status, { ...dressed(), ...headers });
  response.end(content);
}

async function answer(state, { dist, manifest, book }, { request, pathname, searchParams, body }) {
  if (request.headers.origin !== undefined && request.headers.origin !== state.origin) return json(403, {});
  if (pathname === "/") {
    const headers = { "content-type": "text/html; charset=utf-8", "content-security-policy": manifest.csp };
    return [200, headers, await readFile(join(dist, "index.html"))];
  }
  const asset = manifest.files.find(({ path }) => `/${path}` === pathname);
  if (asset) {
    const headers = { "content-type": asset.type, "cache-control": "public, max-age=31536000, immutable" };
    return [200, headers, await readFile(join(dist, asset.path))];
  }
  const cookie = /__Host-countersign=([0-9a-f]{64})/.exec(request.headers.cookie ?? "")?.[1];
  const present = state.sessions.get(cookie);
  const csrf = present?.csrf;
  const { method } = request;
  const { rp_id = null } = state.people.length > 0 ? state.passkeys : {};
  if (pathname === "/sign-in" && method === "GET") return json(200, { rp_id });
  if (pathname === "/sign-in" && method === "POST") {
    const [asked, nonce] = [randomBytes(32).toString("hex"), randomBytes(32).toString("hex")];
    state.challenges.set(asked, nonce);
    return json(200, { nonce }, { "set-cookie": `__Host-countersign-sign-in=${asked}; Path=/; Secure; HttpOnly; SameSite=Strict` });
  }
  if (pathname === "/session" && method === "POST") {
    const given = JSON.parse(body);
    const person = given.passkey ? signedIn(state, request, given.passkey) : null;
    if (given.passkey ? !person : given.api_key !== KEY) return problem(401, given.passkey ? "console-passkey" : "console-key");
    const [made, token] = [randomBytes(32).toString("hex"), randomBytes(32).toString("hex")];
    state.sessions.set(made, { csrf: token, person });
    const set = `__Host-countersign=${made}; Path=/; Secure; HttpOnly; SameSite=Strict`;
    return json(200, { csrf: token, person }, { "set-cookie": set });
  }
  if (csrf === undefined) return problem(401, "console-session");
  if (pathname === "/session" && method === "GET") return json(200, present);
  if (request.headers["countersign-csrf"] !== csrf) return problem(403, "console-token");
  if (method === "DELETE" && pathname.startsWith("/session")) {
    if (pathname === "/session") state.sessions.delete(cookie);
    else state.sessions.clear();
    return [204, {}, ""];
  }
  if (pathname === "/organisation") {
    const { passkeys, approvers, labels, profileNodes: nodes } = state;
    const trusted_requesters = { desk: state.table.requester, ...state.requesters };
    const profile = { nodes, trusted_requesters, chains: { bitcoin: "mainnet", solana: "mainnet" }, passkeys, approvers };
    return json(200, { version: "0", coordinator: "https://coordinator.example", profile, book, labels });
  }
  if (method !== "GET") state.asked.push({ method, pathname, body });
  return coordinator(state, pathname.replace("/coordinator", ""), { request, searchParams, body });
}

/** The person who answered this browser's challenge, as the crate `vote` finds it; here by the crypto of Node. */
function signedIn(state, request, { credential, client_data, authenticator_data, signature }) {
  const asked = /__Host-countersign-sign-in=([0-9a-f]{64})/.exec(request.headers.cookie ?? "")?.[1];
  const nonce = state.challenges.get(asked);
  state.challenges.delete(asked);
  const person = state.people.find((one) => one.credential === credential);
  if (nonce === undefined || person === undefined) return null;
  const [client, data] = [client_data, authenticator_data].map((text) => Buffer.from(text, "hex"));
  const { type, challenge, origin } = JSON.parse(client.toString());
  const message = state.core.call("sign_in.message", { origin: state.origin, nonce }).challenge;
  const isAsked = type === "webauthn.get" && origin === state.origin && challenge === Buffer.from(message, "hex").toString("base64url");
  const isDomain = data.subarray(0, 32).equals(createHash("sha256").update(state.passkeys.rp_id).digest());
  const signed = Buffer.concat([data, createHash("sha256").update(client).digest()]);
  const point = ECDH.convertKey(bech32mBytes(person.approver).subarray(1), "prime256v1", undefined, undefined, "uncompressed");
  const [x, y] = [point.subarray(1, 33), point.subarray(33)].map((part) => part.toString("base64url"));
  const key = createPublicKey({ key: { kty: "EC", crv: "P-256", x, y }, format: "jwk" });
  const isVerified = (data[32] & 4) !== 0;
  return isAsked && isDomain && isVerified && verify("sha256", signed, key, Buffer.from(signature, "hex")) ? person : null;
}

function coordinator(state, path, { request, searchParams, body }) {
  const { wallet, order } = state;
  if (path === "/v1/events" && request.headers.accept?.includes("text/event-stream")) {
    return [200, {}, (response) => {
      response.writeHead(200, { ...dressed(), "content-type": "text/event-stream" });
      response.write("id: 1\n\n");
    }];
  }
  if (path === `/v1/tasks/${order.id}/votes` && request.method === "POST") {
    const vote = JSON.parse(body);
    const last = state.votes.map((one) => one.vote).findLast(({ approver }) => approver === vote.approver);
    const repeats = last?.choice === vote.choice && vote.time - last.time < PAUSE;
    if (!repeats) state.votes.push({ name: "told", received: Date.now(), vote });
  }
  if (path === "/v1/tasks" && request.method === "POST") return handedIn(state, JSON.parse(body));
  if (state.forbidden.includes(path)) return problem(403, "scope", "the API key `ann` has not the scope admin; ask the operator");
  const changed = request.method === "GET" ? undefined : change(state, path, { request, body });
  if (changed !== undefined) return changed;
  const listed = { task: order.id, hash: order.hash, votes: state.votes, missing: ["ben"] };
  const documents = {
    "/v1/tasks": { tasks: selected([summary(state), ...state.more.map(summaryOf)], searchParams), next: null },
    ...Object.fromEntries(state.more.flatMap((one) => [
      [`/v1/tasks/${one.order.id}`, viewOf(state, one)],
      [`/v1/tasks/${one.order.id}/votes`, { task: one.order.id, hash: one.order.hash, votes: [], missing: ["ann", "ben"] }],
    ])),
    [`/v1/tasks/${order.id}`]: view(state),
    [`/v1/tasks/${order.id}/votes`]: listed,
    "/v1/wallets": { wallets: [wallet, state.hot, state.cold].map(told), next: null },
    ...Object.fromEntries([wallet, state.hot, state.cold].flatMap((one) => [
      [`/v1/wallets/${one.key}`, told(one)],
      [`/v1/wallets/${one.key}/generations`, { generations: [one] }],
    ])),
    "/v1/nodes": { nodes: nodes(state) },
    "/v1/requesters": { any: false, requesters: [state.table.requester, Object.values(state.table.profile.trusted_requesters)[0]] },
    "/v1/api-keys": { api_keys: state.apiKeys },
    "/v1/webhooks": { webhooks: state.webhooks },
    ...Object.fromEntries(state.webhooks.map(({ name }) => [`/v1/webhooks/${name}/deliveries`, { deliveries: deliveries(Date.now()), next: null }])),
    "/v1/audit": { entries: state.audit.slice(Number(searchParams.get("after") ?? 0)), next: String(state.audit.length) },
  };
  const document = documents[path];
  if (document === undefined) return problem(404, "not-found");
  return json(200, state.alter[path]?.(structuredClone(document)) ?? document);
}

/** Takes an order, and loses the answer if a test says so. The same one again is one order. */
function handedIn(state, { task, signature }) {
  const read = state.core.call("order.read", { task, signature, passkeys: state.passkeys });
  const known = state.ordered.find(({ order }) => order.id === read.id);
  const one = known ?? { order: { id: read.id, hash: read.hash, task, signature }, state: "pending", wallet: state.hot, operation: "KeySign", sequence: 20, requester: read.requester };
  if (!known) {
    state.ordered.push(one);
    state.more.push(one);
  }
  return state.loses ? problem(503, "unavailable") : json(known ? 200 : 201, viewOf(state, one));
}

/** What an administrator changes. */
function change(state, path, { request, body }) {
  const [, , kind, name, action] = path.split("/");
  if (kind === "api-keys" && request.method === "PUT") {
    const made = { name, origin: "api", spec: JSON.parse(body) };
    state.apiKeys = [...state.apiKeys.filter((key) => key.name !== name), made];
    return json(201, made);
  }
  if (kind === "api-keys" && action === "expire") {
    const found = state.apiKeys.find((key) => key.name === name);
    found.spec.expires = JSON.parse(body).expires;
    return json(200, found);
  }
  if (kind === "webhooks" && request.method === "PUT") {
    const made = { name, created: Date.now(), cursor: "1", pending: 0, spec: JSON.parse(body) };
    state.webhooks = [...state.webhooks.filter((hook) => hook.name !== name), made];
    return json(201, made);
  }
  if (kind === "webhooks" && action === "test") return json(202, deliveries(Date.now())[0]);
  if (request.method === "DELETE") {
    state.apiKeys = state.apiKeys.filter((key) => kind !== "api-keys" || key.name !== name);
    state.webhooks = state.webhooks.filter((hook) => kind !== "webhooks" || hook.name !== name);
    return [204, {}, ""];
  }
  return undefined;
}

function selected(tasks, query) {
  const words = (name) => query.get(name)?.split(",");
  const has = (name, value) => words(name)?.includes(value) ?? true;
  return tasks.filter((task) => has("state", task.state) && has("operation", task.operation));
}

function summaryOf({ order, state, wallet, operation, sequence, requester }) {
  const task = JSON.parse(order.task);
  const collecting = task.collect ? { approved: 0, needed: task.collect.votes, rejected: 0, until: task.collect.until } : null;
  const reason = state === "rejected" ? { code: "rule-amount", message: "900 ETH are more than the 100 ETH a day of the rule `daily`", nodes: [wallet.committee[1]], plugin: "rules" } : null;
  const ended = ["completed", "rejected"].includes(state) ? task.created + 9_000 : null;
  return { id: order.id, sequence, revision: 3, state, operation, requester, wallet: wallet.key, submitted: task.created, not_after: task.not_after, collecting, reason, ended, offered: task.created + 400 };
}

function viewOf(state, one) {
  const { task, signature } = one.order;
  const summary = summaryOf(one);
  const at = summary.offered + 1_200;
  const verdict = (plugin, approved, micros) => ({ plugin, approved, code: approved ? "" : summary.reason.code, reason: approved ? "" : summary.reason.message, digest: "1f".repeat(32), config: "2e".repeat(32), micros, version: "0.1.0" });
  const nodes = one.state === "pending" ? [] : one.wallet.committee.slice(0, 2).map((node, index) => {
    const refuses = one.state === "rejected" && index === 1;
    const verdicts = [verdict("rules", !refuses, 3_400), ...(refuses ? [] : [verdict("jwt-callback", true, 412_000)])];
    const refusal = refuses ? { code: summary.reason.code, plugin: "rules", reason: summary.reason.message } : null;
    return { node, online: true, decision: { at: at + 300 * index, verdicts, refusal } };
  });
  const told = [[summary.submitted, "handed in by desk"], [summary.offered, "offered to two nodes"], ...(summary.ended ? [[summary.ended, summary.state]] : [])];
  return { ...summary, task, signature, nodes, result: null, events: told.map(([when, text]) => ({ at: when, text })) };
}

function summary({ order, wallet, table, votes }) {
  const task = JSON.parse(order.task);
  return {
    id: order.id,
    sequence: 1,
    revision: 1 + votes.length,
    state: "pending",
    operation: "KeySign",
    requester: table.requester,
    wallet: wallet.key,
    submitted: task.created,
    not_after: task.not_after,
    collecting: { approved: votes.length, needed: 2, rejected: 0, until: task.collect.until },
    reason: null,
  };
}

function view(state) {
  const { task, signature } = state.order;
  return { ...summary(state), task, signature, nodes: [], result: null, events: [{ at: Date.now(), text: "handed in" }] };
}

function told(announcement) {
  const { key, name, task, generation } = announcement;
  return { id: key, name, task, generation, extended_public_key: "told", announcement };
}

function nodes({ profileNodes }) {
  const now = Date.now();
  return Object.entries(profileNodes).map(([name, id], index) => {
    const online = index !== 3;
    const plugin = (name, config) => ({ name, state: "in-force", version: "0.1.0", digest: "1f".repeat(32), config, remote: name !== "rules", guards: { keys: [], more_keys: 0, operations: [], schemes: [] } });
    const plugins = [plugin("rules", (index === 2 ? "3d" : "2e").repeat(32)), plugin("quorum", "4c".repeat(32))];
    const status = { clock: now, more_plugins: 0, plugins, schemes: ["ed25519"], software: "countersign-node 0.1.0", bundles: bundles(index, now) };
    const reported = { at: now, skew_ms: [12, -340, 14_000, 0][index] ?? 40, status };
    return { id, name, online, since: now - 3 * HOUR, last_seen: now - 30 * 60_000, software: "countersign-node 0.1.0", draining: index === 5, reported: online ? reported : null };
  });
}

/** One bundle is in force everywhere, and a later one waits at a node. */
function bundles(index, now) {
  const bundle = { name: "treasury", version: 4, digest: "5b".repeat(32), state: "in-force", until: null, signed: 3, needed: 2 };
  return index === 0 ? [bundle, { ...bundle, version: 5, digest: "6a".repeat(32), state: "waiting", until: now + 31 * HOUR, signed: 2 }] : [bundle];
}

function json(status, document, headers = {}) {
  return [status, { "content-type": "application/json", ...headers }, JSON.stringify(document)];
}

function problem(status, code, detail = "refused by the test") {
  return json(status, { code, detail, status }, { "content-type": "application/problem+json" });
}

/** As `countersign console` sets them. */
function dressed() {
  return {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
    "cross-origin-resource-policy": "same-origin",
  };
}
