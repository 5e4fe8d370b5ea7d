/** Policies, labels, secrets and the audit log, without a page around them. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import test from "node:test";

import { labelOf, labelled, labelsOf } from "../build/console/src/labels.js";
import { bundlesAt, bundlesOf, compared } from "../build/console/src/policy.js";
import { COMPOSERS, placeOf, webhookHash } from "../build/console/src/router.js";
import { isName, newSecret } from "../build/console/src/secret.js";
import { exported, filtered } from "../build/console/src/views/audit.js";

const bundle = (changes = {}) => ({ name: "treasury", version: 1, digest: "aa", state: "in-force", until: null, signed: 2, needed: 2, ...changes });
const plugin = (name, changes = {}) => ({ name, state: "in-force", digest: "11", config: "22", version: "1", remote: false, ...changes });
const node = (id, plugins, bundles) => ({ id, name: id, online: true, reported: { at: 1, skew_ms: 0, status: { plugins, bundles } } });

test("bundles are read where they are told, and what cannot be read is left out", () => {
  assert.deepEqual(bundlesOf(node("a", [], [bundle()])), [bundle()]);
  assert.deepEqual(bundlesOf({ id: "a", bundles: [bundle()] }), [bundle()], "beside the report");
  assert.deepEqual(bundlesOf(node("a", [])), [], "an earlier node");
  assert.deepEqual(bundlesOf({ id: "a", reported: null }), []);
  for (const wrong of [null, 7, "x", [], { name: 7 }, bundle({ version: "1" }), bundle({ version: -1 }), bundle({ digest: null }), bundle({ state: 1 })]) {
    assert.deepEqual(bundlesOf(node("a", [], [wrong])), [], JSON.stringify(wrong));
  }
  assert.deepEqual(bundlesOf(node("a", [], "x")), []);
  const short = bundlesOf(node("a", [], [bundle({ signed: undefined, until: "soon" })]));
  assert.deepEqual([short[0].signed, short[0].needed, short[0].until], [null, null, null]);
  assert.equal(bundlesOf(node("a", [], Array(10_000).fill(bundle()))).length, 200);
});

test("what is the same at several nodes stands together", () => {
  const told = bundlesAt([node("a", [], [bundle(), bundle({ version: 2, state: "waiting", until: 9 })]), node("b", [], [bundle()])]);
  assert.deepEqual(told.map(({ nodes, what }) => [nodes.map(({ id }) => id), what.version]), [[["a", "b"], 1], [["a"], 2]]);
});

test("nodes agree on a plugin only if it is the same, decides, and is at each of them", () => {
  const agrees = (...nodes) => compared(nodes).find(({ name }) => name === "rules")?.agrees;
  assert.equal(agrees(node("a", [plugin("rules")]), node("b", [plugin("rules")])), true);
  assert.equal(agrees(node("a", [plugin("rules")]), node("b", [plugin("rules", { config: "33" })])), false);
  assert.equal(agrees(node("a", [plugin("rules")]), node("b", [plugin("rules", { digest: "33" })])), false);
  assert.equal(agrees(node("a", [plugin("rules")]), node("b", [])), false);
  assert.equal(agrees(node("a", [plugin("rules", { state: "shadow" })]), node("b", [plugin("rules", { state: "shadow" })])), false);
  assert.equal(agrees(node("a", [plugin("rules")]), { id: "c", reported: null }), true, "one that tells nothing is not asked");
  const [found] = compared([node("a", [plugin("rules")]), node("b", [])]);
  assert.deepEqual(found.missing.map(({ id }) => id), ["b"]);
});

test("a label is found whatever the case of an address, and only for the whole address", () => {
  const address = "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045";
  const labels = labelsOf({ [address]: "payroll", bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq: "cold" });
  assert.equal(labelOf(labels, address.toLowerCase()), "payroll");
  assert.equal(labelOf(labels, "BC1QAR0SRRR7XFKVY5L643LYDNW9RE59GTZZWF5MDQ"), "cold");
  assert.equal(labelOf(labels, address.slice(0, -1)), null);
  assert.deepEqual(labelled(labels, [`  sends 1 to ${address}`, `from ${address.toLowerCase()}`]).map(({ label }) => label), ["payroll"]);
  assert.deepEqual(labelled(labels, [`sends 1 to ${address}00`]), [], "another, longer one");
  assert.deepEqual(labelled(labels, ["x".repeat(100_000)]), []);
});

test("a secret has the form of the command line's, and its hash is of the whole text", async () => {
  const { text, sha256 } = await newSecret();
  assert.match(text, /^csapi_[0-9a-f]{64}$/);
  assert.equal(sha256, createHash("sha256").update(text).digest("hex"));
  assert.notEqual((await newSecret()).text, text);
  for (const good of ["a", "desk-2", "x".repeat(40)]) assert.ok(isName(good), good);
  for (const wrong of ["", "Desk", "2x", "-x", "a_b", "a/b", "..", "x".repeat(41), "é"]) assert.equal(isName(wrong), false, wrong);
});

const entry = (changes) => ({ at: 1_764_500_000_000, by: "desk", action: "task.submit", target: "t1", cursor: "1", ...changes });

test("the audit log is filtered by every word, and exported without formulas", () => {
  const all = [entry({}), entry({ by: "ann", action: "vote" }), entry({ action: "webhook.put", target: "=HYPERLINK(1)" })];
  assert.equal(filtered(all, "").length, 3);
  assert.equal(filtered(all, "  DESK  put ").length, 1);
  assert.equal(filtered(all, "2025-11").length, 3);
  assert.equal(filtered(all, "nobody").length, 0);
  const text = exported([entry({ target: "=HYPERLINK(1)", by: "x\u202ey" })]);
  assert.equal(text.split("\r\n")[0], "time,key,action,target,requester,sha256");
  assert.ok(text.includes(`"'=HYPERLINK(1)"`) && text.includes("x[U+202E]y"), text);
  assert.ok(exported([entry({ at: 1e300 })]).includes("\r\n,desk"));
});

test("each page has a place, and nothing else has", () => {
  for (const page of ["order", "policies", "keys", "requesters", "webhooks", "audit"]) assert.equal(placeOf(`#/${page}`).page, page);
  for (const kind of COMPOSERS) assert.deepEqual(placeOf(`#/order/${kind}`), { page: "compose", kind });
  assert.deepEqual(placeOf("#/webhooks/ops"), { page: "webhook", id: "ops" });
  for (const wrong of ["#/order/x", "#/order/constructor", "#/webhooks/Ops", "#/webhooks/..", "#/webhooks/a/b", "#/keys/x", "#/audit/"]) {
    assert.equal(placeOf(wrong).page, "nowhere", wrong);
  }
  assert.equal(webhookHash("javascript:alert(1)"), null);
});
