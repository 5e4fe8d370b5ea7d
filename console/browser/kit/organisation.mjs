/**
 * An organisation for tests: a server that answers as `countersign console` does, and behind it a coordinator with one wallet
 * and one order, which tests alter at will. The order is signed by the module, so nothing here knows a rule.
 */

import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";

import { Core } from "../../build/clients/typescript/src/core.js";

const TABLE = new URL("../../../clients/tests/forgeries.json", import.meta.url);
const HOUR = 3_600_000;
const KEY = "the key of ann";
const MAX_BODY = 16 * 1024;

/** `dist`: what the build made. `wasm`: the module, for the coordinator's side. */
export async function organisation({ dist, wasm, note = null, claims = {} }) {
  const core = await Core.load(await readFile(wasm));
  const table = JSON.parse(await readFile(TABLE, "utf8"));
  const { book } = table.cases.find(({ name }) => name === "a_signature");
  const wallet = JSON.parse(book.split("\n")[1]).wallet;
  const manifest = JSON.parse(await readFile(join(dist, "manifest.json"), "utf8"));
  const now = Date.now();
  const order = core.call("order.sign", {
    key: table.requester_key,
    id: randomBytes(16).toString("hex"),
    now,
    life_ms: HOUR,
    note,
    claims,
    collect: { votes: 2, until: now + HOUR },
    operation: { sign: { wallet: wallet.key, path: "m", payload: message("pay 5 to bob"), signers: null } },
  });
  const state = {
    KEY,
    core,
    table,
    wallet,
    order: { id: order.id, hash: order.hash, task: order.task, signature: order.signature },
    /** Votes as they came in. */
    votes: [],
    /** Requests that changed something, or tried to. */
    asked: [],
    sessions: new Map(),
    passkeys: null,
    approvers: null,
    /** Changes of what the coordinator answers, by path. */
    alter: {},
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

async function served(state, files, request, response) {
  const { pathname } = new URL(request.url, "http://localhost");
  let body = "";
  for await (const part of request) body += part.toString().slice(0, MAX_BODY);
  const [status, headers, content] = await answer(state, files, { request, pathname, body });
  if (content instanceof Function) return content(response, headers);
  response.writeHead(status, { ...dressed(), ...headers });
  response.end(content);
}

async function answer(state, { dist, manifest, book }, { request, pathname, body }) {
  if (request.headers.origin !== undefined && request.headers.origin !== state.origin) return json(403, {});
  if (pathname === "/") {
    const headers = { "content-type": "text/html; charset=utf-8", "content-security-policy": manifest.csp };
    return [200, headers, await readFile(join(dist, "index.html"))];
  }
  const asset = manifest.files.find(({ path }) => `/${path}` === pathname);
  if (asset) return [200, { "content-type": asset.type }, await readFile(join(dist, asset.path))];
  const cookie = /__Host-countersign=([0-9a-f]{64})/.exec(request.headers.cookie ?? "")?.[1];
  const csrf = state.sessions.get(cookie);
  const { method } = request;
  if (pathname === "/session" && method === "POST") {
    if (JSON.parse(body).api_key !== KEY) return problem(401, "console-key");
    const made = [randomBytes(32).toString("hex"), randomBytes(32).toString("hex")];
    state.sessions.set(...made);
    const set = `__Host-countersign=${made[0]}; Path=/; Secure; HttpOnly; SameSite=Strict`;
    return json(200, { csrf: made[1] }, { "set-cookie": set });
  }
  if (csrf === undefined) return problem(401, "console-session");
  if (pathname === "/session" && method === "GET") return json(200, { csrf });
  if (request.headers["countersign-csrf"] !== csrf) return problem(403, "console-token");
  if (method === "DELETE") {
    if (pathname === "/session") state.sessions.delete(cookie);
    else state.sessions.clear();
    return [204, {}, ""];
  }
  if (pathname === "/organisation") {
    const { nodes } = state.table.profile;
    const { passkeys, approvers } = state;
    const trusted_requesters = { desk: state.table.requester };
    const profile = { nodes, trusted_requesters, chains: { bitcoin: "mainnet", solana: "mainnet" }, passkeys, approvers };
    return json(200, { version: "0", coordinator: "https://coordinator.example", profile, book });
  }
  if (method !== "GET") state.asked.push({ method, pathname, body });
  return coordinator(state, pathname.replace("/coordinator", ""), { request, body });
}

function coordinator(state, path, { request, body }) {
  const { wallet, order } = state;
  if (path === "/v1/events" && request.headers.accept?.includes("text/event-stream")) {
    return [200, {}, (response) => {
      response.writeHead(200, { ...dressed(), "content-type": "text/event-stream" });
      response.write("id: 1\n\n");
    }];
  }
  if (path === `/v1/tasks/${order.id}/votes` && request.method === "POST") {
    state.votes.push({ name: "told", received: Date.now(), vote: JSON.parse(body) });
  }
  const listed = { task: order.id, hash: order.hash, votes: state.votes, missing: ["ben"] };
  const documents = {
    "/v1/tasks": { tasks: [summary(state)], next: null },
    [`/v1/tasks/${order.id}`]: view(state),
    [`/v1/tasks/${order.id}/votes`]: listed,
    "/v1/wallets": { wallets: [told(wallet)], next: null },
    [`/v1/wallets/${wallet.key}`]: told(wallet),
    "/v1/nodes": { nodes: nodes(state) },
  };
  const document = documents[path];
  if (document === undefined) return problem(404, "not-found");
  return json(200, state.alter[path]?.(structuredClone(document)) ?? document);
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

function nodes({ table }) {
  return Object.entries(table.profile.nodes).map(([name, id]) => ({
    id,
    name,
    online: true,
    since: Date.now(),
    last_seen: Date.now(),
    software: "countersign-node 0.1.0",
    draining: false,
  }));
}

function json(status, document, headers = {}) {
  return [status, { "content-type": "application/json", ...headers }, JSON.stringify(document)];
}

function problem(status, code) {
  return json(status, { code, detail: "refused by the test", status }, { "content-type": "application/problem+json" });
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
