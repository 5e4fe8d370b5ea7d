/** The parts of the application that need no browser. */

import assert from "node:assert/strict";
import test from "node:test";

import { csv, fileName } from "../build/console/src/csv.js";
import { mayVote, partsOf } from "../build/console/src/order.js";
import { approverName, organisationOf, requesterName } from "../build/console/src/organisation.js";
import { forget, fromBase64url, remember, remembered, toBase64url } from "../build/console/src/passkey.js";
import { childPaths } from "../build/console/src/paths.js";
import { placeOf, taskHash, walletHash } from "../build/console/src/router.js";
import { spanText, timeText } from "../build/console/src/time.js";
import { lanes, timeline } from "../build/console/src/timeline.js";
import { isOvertaken, lastVote, ownKeys, waitsFor } from "../build/console/src/waiting.js";
import { policy } from "../policy.mjs";

const TASK = "0a".repeat(16);
const WALLET = "csk1qqqsyqcyq5rqwzqfpg9scrgwpugpzysn5sxq6q";
const ANN = `csv1q${"a".repeat(57)}`;
const BEN = `csv1q${"b".repeat(57).replaceAll("b", "8")}`;

test("every page is reached by its address, and whatever else stands there leads nowhere", () => {
  assert.equal(placeOf("").page, "overview");
  assert.equal(placeOf("#/nodes").page, "nodes");
  assert.deepEqual(placeOf(`#/tasks/${TASK}`), { page: "task", id: TASK });
  assert.deepEqual(placeOf(`#/wallets/${WALLET}`), { page: "wallet", id: WALLET });
  for (const wrong of [
    "#/evil",
    "#tasks",
    "#/tasks/",
    `#/tasks/${TASK}0`,
    `#/tasks/${TASK.toUpperCase()}`,
    `#/tasks/${TASK}/votes`,
    "#/tasks/../../v1",
    "#/wallets/csk1<script>",
    "#//nodes",
    "#/__proto__",
    "#/constructor",
  ]) {
    assert.equal(placeOf(wrong).page, "nowhere", wrong);
  }
  assert.equal(taskHash(TASK), `#/tasks/${TASK}`);
  assert.equal(taskHash("javascript:alert(1)"), null);
  assert.equal(walletHash("csk1\u202e"), null);
});

test("a spreadsheet finds no formula in an export", () => {
  for (const formula of ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "\r=1"]) {
    assert.equal(csv([[formula]]), `"'${formula}"\r\n`, formula);
  }
});

test("an export has the form of RFC 4180", () => {
  assert.equal(csv([["a", "b"], ['say "x"', "1,2"], ["line\nend", ""]]), 'a,b\r\n"say ""x""","1,2"\r\n"line\nend",\r\n');
});

test("the name of a file leads to no other place", () => {
  assert.equal(fileName("../../etc/passwd", "csv"), "etc-passwd.csv");
  assert.equal(fileName("tre\u202easury.exe", "csv"), "tre-asury-exe.csv");
  assert.equal(fileName("\u202e", "csv"), "export.csv");
  assert.ok(fileName("x".repeat(10_000), "csv").length <= 64);
});

test("times and spans are for people, whatever the number", () => {
  assert.match(timeText(1_764_500_000_000), /^2025-1[12]-\d\d \d\d:\d\d:\d\d (UTC|[+-]\d\d:\d\d)$/);
  for (const wrong of [NaN, Infinity, -1, 1e300, "1", null, undefined]) assert.equal(timeText(wrong), "?");
  for (const [millis, text] of [
    [0.4, "400 µs"],
    [12, "12 ms"],
    [1_500, "1.5 s"],
    [61_000, "1 min 1 s"],
    [3_600_000, "1 h 0 min"],
    [90_000_000, "1 d 1 h"],
    [-1, "?"],
    [NaN, "?"],
  ]) {
    assert.equal(spanText(millis), text);
  }
});

const verdict = (plugin, approved) => ({
  plugin,
  approved,
  code: approved ? "" : "too-much",
  reason: approved ? "" : "more than 5",
  digest: "00",
  config: "11",
  micros: 2_500,
  version: "1",
});

test("the time line tells who decided, why not, when, and how long each plugin took", () => {
  const view = {
    offered: 1_000,
    nodes: [
      { node: "csn1a", name: "told-a", online: true, decision: { at: 1_400, verdicts: [verdict("rules", true)] } },
      {
        node: "csn1b",
        online: true,
        decision: {
          at: 2_000,
          verdicts: [verdict("rules", true), verdict("limits", false)],
          refusal: { code: "too-much", plugin: "limits", reason: "more than 5" },
        },
      },
      { node: "csn1c", online: true, decision: { at: 900, verdicts: [], refusal: { code: "clock", reason: "late" } } },
      { node: "csn1d", online: false },
    ],
  };
  const steps = timeline(view, new Map([["csn1a", "alice"]]));
  const short = steps.map(({ name, node, plugin, decision, after, took }) => [name ?? node, plugin, decision, after, took]);
  assert.deepEqual(short, [
    ["alice", "rules", "approved", 400, 2.5],
    ["alice", null, "approved", 400, null],
    ["csn1b", "rules", "approved", 1_000, 2.5],
    ["csn1b", "limits", "refused", 1_000, 2.5],
    ["csn1c", null, "refused", 0, null],
    ["csn1d", null, "undecided", null, null],
  ]);
  assert.deepEqual([steps[3].code, steps[3].reason], ["too-much", "more than 5"]);
  assert.equal(timeline({ nodes: Array(10_000).fill({ node: "x", online: true }) }, new Map()).length, 200);
});

test("a node stands refused if any of its plugins refused, and its own approval is not told twice", () => {
  const decision = (verdicts, refusal = null) => ({ at: 10, verdicts, refusal });
  const view = {
    offered: 0,
    nodes: [
      { node: "a", online: true, decision: decision([verdict("rules", true)]) },
      { node: "b", online: true, decision: decision([verdict("rules", true), verdict("limits", false)]) },
      { node: "c", online: true, decision: decision([verdict("rules", true)], { code: "clock", reason: "late" }) },
      { node: "d", online: false },
    ],
  };
  const told = lanes(timeline(view, new Map())).map((lane) => [lane.node, lane.decision, lane.steps.map(({ plugin }) => plugin)]);
  assert.deepEqual(told, [
    ["a", "approved", ["rules"]],
    ["b", "refused", ["rules", "limits"]],
    ["c", "refused", ["rules", null]],
    ["d", "undecided", []],
  ]);
});

test("a task waits for a person until one of her keys has a vote that counts", () => {
  const until = new Date(2_000);
  const vote = (approver, finding) => ({ finding, vote: { approver }, name: null, problem: null });
  const waits = (keys, votes, now = 1_000) => waitsFor(new Set(keys), { votes, until }, now);
  assert.equal(waits([ANN], []), true);
  assert.equal(waits([ANN], [vote(BEN, "genuine")]), true);
  assert.equal(waits([ANN], [vote(ANN, "forged")]), true, "a forged vote of hers is none");
  assert.equal(waits([ANN], [vote(ANN, "genuine")]), false);
  assert.equal(waits([ANN], [vote(ANN, "own")]), false, "her own order");
  assert.equal(waits([ANN, BEN], [vote(BEN, "genuine")]), false, "her other passkey");
  assert.equal(waits([], []), false);
  assert.equal(waits([ANN], [], 2_000), false, "too late");
});

test("a second passkey is the same person by the profile alone", () => {
  const third = "csv1qc";
  const approvers = { ann: [ANN, third], ben: [BEN] };
  assert.deepEqual([...ownKeys([ANN], approvers)], [ANN, third]);
  assert.deepEqual([...ownKeys([ANN], undefined)], [ANN]);
  assert.deepEqual([...ownKeys([], approvers)], []);
});

test("there is no vote once another order was shown under the id, or the votes are about another", () => {
  assert.equal(mayVote(undefined, "a", "a", "a"), "yes");
  assert.equal(mayVote("a", "a", "a", "a"), "yes");
  for (const hashes of [["b", "a", "a", "a"], ["a", "b", "b", "b"], ["a", "a", "b", "a"], [undefined, "a", "a", "b"]]) {
    assert.equal(mayVote(...hashes), "changed", String(hashes));
  }
});

test("the parts of an order are read by its kind, and nothing that is missing is made up", () => {
  const wallet = { operation: { "key-gen": { name: "new", scheme: "taproot", committee: ["a", "b"], threshold: 2 } } };
  const made = partsOf({ ordered: { ...wallet, note: "n", claims: { invoice: "7" }, created: 1, not_after: 2 } });
  assert.deepEqual([made.kind, made.name, made.scheme, made.members, made.threshold], ["KeyGen", "new", "taproot", ["a", "b"], 2]);
  assert.deepEqual([made.note, made.claims, made.created, made.notAfter], ["n", [["invoice", "7"]], 1, 2]);
  const reshare = { from: { committee: ["a", "c"] }, committee: ["b"], threshold: 1, dealers: ["c"] };
  const moved = partsOf({ ordered: { operation: { "key-reshare": reshare } } });
  assert.deepEqual([moved.kind, moved.from, moved.dealers, moved.members], ["KeyReshare", ["a", "c"], ["c"], ["b"]]);
  const signed = partsOf({ ordered: { operation: { "key-sign": { key: "k", path: "m/0", payload: {}, signers: ["a"] } } } });
  assert.deepEqual([signed.kind, signed.path, signed.asked, signed.members], ["KeySign", "m/0", ["a"], null]);
  const later = partsOf({ ordered: { operation: { "key-teleport": { name: 7 } } } });
  assert.deepEqual([later.kind, later.name], ["unknown", null]);
  assert.equal(partsOf({ ordered: {} }).kind, "unknown");
  assert.equal(partsOf({ ordered: { operation: { toString: {} } } }).kind, "unknown");
});

test("a profile that is not whole is refused, and an empty list of approvers stays a list", () => {
  const whole = () => ({
    version: "1",
    coordinator: "coordinator.example",
    book: "",
    profile: {
      nodes: { alice: "csn1a" },
      trusted_requesters: { desk: "csr1a" },
      chains: { bitcoin: "mainnet", solana: "mainnet" },
      passkeys: { rp_id: "treasury.example", origins: ["https://console.treasury.example"] },
      approvers: { ann: [ANN] },
    },
  });
  const read = organisationOf(whole(), "https://console.treasury.example/coordinator");
  assert.equal(read.profile.coordinator, "https://console.treasury.example/coordinator");
  assert.deepEqual(read.profile.passkeys, { rpId: "treasury.example", origins: ["https://console.treasury.example"] });
  assert.equal(approverName(read.profile, ANN), "ann");
  assert.equal(approverName(read.profile, BEN), null);
  assert.equal(requesterName(read.profile, "csr1a"), "desk");
  const nobody = whole();
  nobody.profile.approvers = {};
  assert.deepEqual(organisationOf(nobody, "x").profile.approvers, {});
  delete nobody.profile.approvers;
  assert.equal("approvers" in organisationOf(nobody, "x").profile, false);
  for (const [member, wrong] of [
    ["book", 7],
    ["coordinator", null],
    ["profile", []],
  ]) {
    assert.throws(() => organisationOf({ ...whole(), [member]: wrong }, "x"), new RegExp(member));
  }
  for (const [member, wrong] of [
    ["nodes", { a: 1 }],
    ["nodes", "a"],
    ["trusted_requesters", { a: [] }],
    ["passkeys", { rp_id: "x", origins: "https://x" }],
    ["approvers", { ann: "csv1" }],
    ["approvers", []],
  ]) {
    const document = whole();
    document.profile[member] = wrong;
    assert.throws(() => organisationOf(document, "x"), new RegExp(member), JSON.stringify(wrong));
  }
  assert.throws(() => organisationOf(null, "x"));
});

function store(text = null) {
  const kept = { text };
  return { getItem: () => kept.text, setItem: (_, value) => void (kept.text = value), kept };
}

test("a browser remembers passkeys, and takes nothing for one that is none", () => {
  const place = store();
  remember(place, { approver: ANN, credential: "AAEC" });
  remember(place, { approver: BEN, credential: "AAED" });
  remember(place, { approver: ANN, credential: "AAEE" });
  assert.deepEqual(remembered(place), [
    { approver: BEN, credential: "AAED" },
    { approver: ANN, credential: "AAEE" },
  ]);
  forget(place, BEN);
  assert.deepEqual(remembered(place).map(({ approver }) => approver), [ANN]);
  for (const text of [null, "", "{", "7", '{"a":1}', '[null,{"approver":"csv1<script>","credential":"A"}]', '[{"approver":1}]']) {
    assert.deepEqual(remembered(store(text)), [], String(text));
  }
});

test("base64 for URLs goes back and forth", () => {
  for (const bytes of [[], [0], [255, 254], [251, 255, 191], [1, 2, 3, 4]]) {
    const text = toBase64url(Uint8Array.from(bytes));
    assert.equal(text, Buffer.from(bytes).toString("base64url"));
    assert.deepEqual([...fromBase64url(text)], bytes);
  }
});

test("addresses lie beside each other below a plain path", () => {
  assert.deepEqual(childPaths("m/44/60/0/0/", 3, 2), ["m/44/60/0/0/3", "m/44/60/0/0/4"]);
  assert.deepEqual(childPaths(" m ", 0, 1), ["m/0"]);
  for (const wrong of [
    ["", 0, 1],
    ["44/60", 0, 1],
    ["m/44'", 0, 1],
    ["m/../x", 0, 1],
    ["m", -1, 1],
    ["m", 0, 0],
    ["m", 0, 501],
    ["m", 0.5, 1],
    ["m", NaN, 1],
    ["m", 2 ** 31 - 1, 2],
  ]) {
    assert.equal(childPaths(...wrong), null, String(wrong));
  }
});

test("the policy lets one script run, and nothing be framed, sent or loaded elsewhere", () => {
  const told = policy("sha256-AAAA=");
  const rules = new Map(told.split("; ").map((rule) => [rule.split(" ")[0], rule.split(" ").slice(1).join(" ")]));
  assert.equal(rules.get("default-src"), "'none'");
  assert.equal(rules.get("script-src"), "'sha256-AAAA=' 'wasm-unsafe-eval'");
  assert.equal(rules.get("connect-src"), "'self'");
  for (const closed of ["base-uri", "form-action", "frame-ancestors", "trusted-types"]) assert.equal(rules.get(closed), "'none'");
  assert.doesNotMatch(told, /unsafe-inline|'unsafe-eval'|https?:|\*|data:|blob:/);
});

test("a person's newest vote is found whichever key made it, and no forged one moves it", () => {
  const vote = (approver, time, finding = "genuine") => ({ name: null, finding, problem: null, vote: { approver, time, choice: "approve" } });
  const keys = new Set([ANN, BEN]);
  assert.equal(lastVote(keys, { votes: [] }), null);
  assert.equal(lastVote(keys, { votes: [vote(ANN, 5), vote(BEN, 9), vote("csv1other", 20)] }), 9);
  assert.equal(lastVote(keys, { votes: [vote(ANN, 5), vote(ANN, 90, "forged"), vote(ANN, 80, "passkey")] }), 5);
  assert.equal(lastVote(keys, { votes: [vote(ANN, 5, "unlisted"), vote(BEN, 7, "early"), { vote: null, finding: "unreadable" }] }), 7);
  assert.equal(lastVote(keys, { votes: [vote(ANN, 5), vote(ANN, 8, "own")] }), 8, "an approval of her own order");
  // The same answer twice is listed once, at its first time.
  assert.equal(isOvertaken(keys, { votes: [vote(ANN, 5)] }, 9), false);
  assert.equal(isOvertaken(keys, { votes: [vote(ANN, 9, "own")] }, 9), false);
  assert.equal(isOvertaken(keys, { votes: [vote(ANN, 5), vote(BEN, 10)] }, 9), true);
  assert.equal(isOvertaken(keys, { votes: [] }, 9), false);
});
