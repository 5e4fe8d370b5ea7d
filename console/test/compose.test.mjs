/**
 * Composed orders and the commands for them. `commands.json` has every kind of command that pages show; the test
 * `every_command_that_the_console_composes_is_one_of_this_program` of the client parses the same file.
 *
 * COUNTERSIGN_WRITE_COMMANDS=1 writes it.
 */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import test from "node:test";

import { COMMANDS, NODE_COMMANDS } from "../build/console/src/commands.js";
import {
  Wrong,
  checkUp,
  evmSubject,
  messageSubject,
  newWallet,
  psbtSubject,
  question,
  reshare,
  signature,
  typedSubject,
} from "../build/console/src/compose.js";
import { amountOf, hexOf, isAddress, judged, transaction, wholeOf } from "../build/console/src/evm.js";
import { Unshowable, command, commandLine, isShowable, option } from "../build/console/src/shell.js";

const FILE = new URL("commands.json", import.meta.url);
const WALLET = "csk19wchzfg7keggxejyrz6dphcjag7m62xw";
const NODES = [
  "csn132yw8ht5p8cetl2jmvknewjawt9xwzdlrk2pyxlnwjyqrdq0dawq8h05du",
  "csn1syuhwr4g05t4744r23nvxnr7en9cmz53knhr0gja7c84hr7fkw2qmlzet2",
];
const PLAIN = { note: "", votes: 0, hours: 24 };
const VOTED = { note: "it's for -all- of \"us\" & $HOME; `id`", votes: 2, hours: 48 };
const ADDRESS = "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045";
const FEES = { nonce: 7n, gas: 21000n, most: 25_000_000_000n, tip: 1_000_000_000n };
const PAYMENT = { chain: 1n, ...FEES, to: ADDRESS, amount: amountOf("1.5", 18), token: null };
const DIGEST = "ab".repeat(32);

function sign(subject, { path = "m", wishes = PLAIN, pinned = [] } = {}) {
  return signature(WALLET, path, subject, pinned, wishes);
}

/** Every kind of order, with and without what an order may have besides. */
function orders() {
  const wallet = (name, wishes = PLAIN) => newWallet({ name, scheme: "taproot", nodes: NODES, threshold: 2 }, wishes);
  const moved = { id: WALLET, descriptor: {}, nodes: NODES, threshold: 2 };
  return {
    coin: sign(evmSubject(transaction(PAYMENT)), { path: "m/44/60/0/0/0", pinned: [DIGEST] }),
    "coin with votes": sign(evmSubject(transaction(PAYMENT)), { wishes: VOTED }),
    token: sign(evmSubject(transaction({ ...PAYMENT, token: ADDRESS }))),
    psbt: sign(psbtSubject(new Uint8Array([0x70])), { pinned: [DIGEST, DIGEST], wishes: VOTED }),
    message: sign(messageSubject("message", "pay 5 to bob", "")),
    "message like an option": sign(messageSubject("message", "--out", "")),
    "message in a file": sign(messageSubject("message", "two\nlines", "")),
    eip191: sign(messageSubject("eip191", "hello", "")),
    "eip191 in digits": sign(messageSubject("eip191", "0x12", "")),
    "bitcoin message": sign(messageSubject("bitcoin-message", "we own this", "bc1q")),
    "typed data": sign(typedSubject("{}"), { pinned: [DIGEST] }),
    "new wallet": wallet("treasury"),
    "new wallet like an option": wallet("--nodes", VOTED),
    "hand over": reshare(moved, PLAIN),
    "hand over with votes": reshare(moved, VOTED),
    check: checkUp(WALLET, NODES, VOTED),
  };
}

function commands() {
  const composed = Object.entries(orders()).flatMap(([name, order]) => [
    { name, words: order.command },
    { name: `${name}, asked`, words: question(order) },
  ]);
  return [...composed, ...Object.entries(COMMANDS).map(([name, words]) => ({ name, words }))];
}

test("the commands that the client's tests parse are those that pages show", async () => {
  const text = `${JSON.stringify(commands(), null, 1)}\n`;
  if (process.env.COUNTERSIGN_WRITE_COMMANDS) await writeFile(FILE, text);
  assert.equal(await readFile(FILE, "utf8"), text, "run it with COUNTERSIGN_WRITE_COMMANDS=1");
});

test("a shell reads each command as the words that were meant", () => {
  for (const { name, words } of commands()) {
    const [program, ...rest] = words;
    const line = commandLine(words).replace(/^countersign /, "printf '%s\\0' ");
    assert.equal(program, "countersign");
    const read = execFileSync("/bin/sh", ["-c", line]).toString().split("\0").slice(0, -1);
    assert.deepEqual(read, rest, name);
  }
});

test("no word does anything in a shell, and none is an option by itself", () => {
  for (const evil of ["; rm -rf /", "$(id)", "`id`", "a'b", "'", "a\"b", "*", "~", "#x", "!x", "a b", "", "\\", "&&", "|", "<x", "${IFS}"]) {
    const words = ["countersign", ...option("--note", evil)];
    const line = commandLine(words).replace(/^countersign /, "printf '%s\\0' ");
    assert.deepEqual(execFileSync("/bin/sh", ["-c", line]).toString().split("\0").slice(0, -1), words.slice(1), evil);
  }
  assert.deepEqual(option("--note", "-x"), ["--note=-x"]);
  assert.deepEqual(command(["c"], ["-x"], ["--a"]), ["c", "--a", "--", "-x"]);
  assert.deepEqual(command(["c"], ["x"], ["--a"]), ["c", "x", "--a"]);
});

test("nothing that a terminal obeys or does not show gets into a command", () => {
  for (const hidden of ["a\nb", "a\rb", "\u001b[2J", "a\u202eb", "a\u200bb", "\u0000", "a\u00adb", "\ud800"]) {
    assert.equal(isShowable(hidden), false, JSON.stringify(hidden));
    assert.throws(() => commandLine(["countersign", hidden]), Unshowable);
    assert.throws(() => newWallet({ name: hidden, scheme: "taproot", nodes: NODES, threshold: 2 }, PLAIN), Wrong);
    assert.throws(() => checkUp(WALLET, NODES, { ...PLAIN, note: `x${hidden}` }), Wrong);
    assert.doesNotThrow(() => commandLine(sign(messageSubject("message", hidden, "")).command));
    assert.doesNotThrow(() => commandLine(sign(messageSubject("eip191", hidden, "")).command));
    assert.throws(() => messageSubject("bitcoin-message", hidden, "bc1q"), Wrong);
  }
});

test("a message is the same bytes in a command, in digits and in a file", () => {
  const bytes = (subject) => Buffer.from(subject.payload.given).toString();
  const long = "x".repeat(5_000);
  const file = messageSubject("message", long, "");
  assert.deepEqual(file.options, ["--message-file", "message.txt"]);
  assert.equal(Buffer.from(file.files[0].bytes).toString(), long);
  assert.equal(bytes(file), long);
  const digits = messageSubject("eip191", "zwei\nZeilen", "");
  assert.equal(Buffer.from(digits.options[1], "hex").toString(), "zwei\nZeilen");
  assert.equal(bytes(digits), "zwei\nZeilen");
  assert.throws(() => messageSubject("eip191", long, ""), Wrong);
  assert.throws(() => messageSubject("message", "", ""), Wrong);
});

test("what an order asks for is the same in its command and in its operation", () => {
  const order = reshare({ id: WALLET, descriptor: { key: WALLET }, nodes: NODES, threshold: 2 }, VOTED);
  assert.deepEqual(order.operation.reshare.nodes, NODES);
  assert.deepEqual(order.collect, { votes: 2, hours: 48 });
  assert.equal(order.note, VOTED.note);
  const words = order.command;
  assert.equal(words[words.indexOf("--nodes") + 1], NODES.join(","));
  assert.equal(words[words.indexOf("--until") + 1], "48h");
  const many = sign(evmSubject(transaction(PAYMENT)), { pinned: Array(5).fill(DIGEST) });
  assert.ok(!many.command.includes("--expect-digest"), "too many for a line");
});

test("a question writes no file", () => {
  const psbt = sign(psbtSubject(new Uint8Array([1])));
  assert.ok(psbt.command.includes("--out"));
  assert.ok(!question(psbt).includes("--out") && question(psbt).includes("--dry-run"));
});

test("an order that no node would take is none", () => {
  const make = (changes) => () => newWallet({ name: "x", scheme: "taproot", nodes: NODES, threshold: 2, ...changes }, PLAIN);
  for (const changes of [{ name: " " }, { name: "ü".repeat(33) }, { nodes: [NODES[0]] }, { nodes: Array(10).fill(NODES[0]) }]) {
    assert.throws(make(changes), Wrong, JSON.stringify(changes));
  }
  for (const threshold of [0, 1, 3, NaN, 1.5]) assert.throws(make({ threshold }), Wrong);
  for (const [votes, hours] of [[-1, 24], [129, 24], [1.5, 24], [1, 0], [1, 145], [NaN, 24]]) {
    assert.throws(() => checkUp(WALLET, NODES, { note: "", votes, hours }), Wrong, `${votes} ${hours}`);
  }
  assert.throws(() => checkUp(WALLET, NODES, { ...PLAIN, note: "ü".repeat(129) }), Wrong);
});

/** The texts are what `Transaction.from(...).unsignedSerialized` of ethers 6 gives for the same fields. */
test("a payment is the bytes that another library makes", () => {
  const unsigned = "0x02f00107843b9aca008505d21dba0082520894d8da6bf26964af9d7eed9e03e53415d37aa960458814d1120d7b16000080c0";
  assert.equal(hexOf(transaction(PAYMENT)), unsigned);
  const token =
    "0x02f86d0107843b9aca008505d21dba0082520894d8da6bf26964af9d7eed9e03e53415d37aa9604580b844a9059cbb" +
    "000000000000000000000000d8da6bf26964af9d7eed9e03e53415d37aa96045" +
    "0000000000000000000000000000000000000000000000000000000000000001c0";
  assert.equal(hexOf(transaction({ ...PAYMENT, token: ADDRESS, amount: 1n })), token);
  const arbitrum = "0x02ea82a4b180843b9aca008505d21dba0082520894d8da6bf26964af9d7eed9e03e53415d37aa960450180c0";
  assert.equal(hexOf(transaction({ ...PAYMENT, chain: 42161n, nonce: 0n, amount: 1n })), arbitrum);
});

test("amounts are exact, and nothing else is an amount", () => {
  assert.equal(amountOf("1.5", 18), 1_500_000_000_000_000_000n);
  assert.equal(amountOf(" 0.000000000000000001 ", 18), 1n);
  assert.equal(amountOf("250.00", 6), 250_000_000n);
  assert.equal(amountOf("9007199254740993", 0), 9_007_199_254_740_993n);
  for (const wrong of ["", ".5", "1.", "1,5", "1e3", "-1", "+1", "0x1", "1 000", "1.0000001", "١", "1.5.1", "9".repeat(79)]) {
    assert.equal(amountOf(wrong, 6), null, wrong);
  }
  for (const decimals of [-1, 1.5, 78, NaN]) assert.equal(amountOf("1", decimals), null);
  assert.equal(amountOf("9".repeat(78), 0), null, "above 2^256");
  assert.equal(wholeOf("18446744073709551615"), 18_446_744_073_709_551_615n);
  for (const wrong of ["18446744073709551616", "", "-1", "1.0", "0x1"]) assert.equal(wholeOf(wrong), null, wrong);
});

test("an address with a slip of the pen is found by its capital letters", () => {
  const lines = [`  sends 1.5 ETH to ${ADDRESS}`];
  assert.equal(judged(ADDRESS, lines), "good");
  assert.equal(judged(ADDRESS.toLowerCase(), lines), "good");
  assert.equal(judged(ADDRESS.replace("dA6", "Da6"), lines), "checksum");
  assert.equal(judged(ADDRESS.replace("045", "046"), lines), "missing");
  assert.ok(isAddress(ADDRESS));
  for (const wrong of ["", "0x", ADDRESS.slice(0, -1), `${ADDRESS}0`, ADDRESS.slice(2), ADDRESS.replace("d8", "g8")]) {
    assert.equal(isAddress(wrong), false, wrong);
  }
});

test("commands for operators are those of their pages", async () => {
  const pages = await Promise.all(["audit.md", "bundles.md"].map((name) => readFile(new URL(`../../docs/${name}`, import.meta.url), "utf8")));
  for (const one of Object.values(NODE_COMMANDS)) assert.ok(pages.some((page) => page.includes(one)), one);
});
