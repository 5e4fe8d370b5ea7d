/** Texts of others, as they reach the page. */

import assert from "node:assert/strict";
import test from "node:test";

import { WHOLE, plain, shown } from "../build/console/src/foreign.js";

const marks = (text) => shown(text).pieces.filter(({ kind }) => kind === "mark").map(({ text: mark }) => mark);

test("what hides or reverses others is written out", () => {
  for (const [text, expected] of [
    ["pay\u202e05", ["U+202E"]],
    ["a\u2066b\u2069", ["U+2066", "U+2069"]],
    ["pay\u200bpal", ["U+200B"]],
    ["a\u0000\n\t\u001b[31m", ["U+0000", "U+000A", "U+0009", "U+001B"]],
    ["x\u{e0041}", ["U+E0041"]],
    ["half \ud800", ["U+D800"]],
    ["\u3164\u115f\ufeff", ["U+3164", "U+115F", "U+FEFF"]],
    ["\ufe0f", ["U+FE0F"]],
  ]) {
    assert.deepEqual(marks(text), expected, JSON.stringify(text));
    assert.equal(shown(text).hides, true);
  }
});

test("ordinary texts of the world stay as they are", () => {
  for (const text of ["Zahlung für Müller", "支払い 5", "платёж", "دفعة", "₿ 0.5", "é̂", "a & <b>"]) {
    const { pieces, hides, mixed, cut } = shown(text);
    assert.deepEqual(pieces, [{ kind: "plain", text }]);
    assert.deepEqual([hides, mixed, cut], [false, false, 0]);
  }
});

test("a word of letters that look alike is doubted", () => {
  assert.equal(shown("p\u0430ypal").mixed, true, "a Cyrillic a");
  assert.equal(shown("ΑBC").mixed, true, "a Greek alpha");
  assert.equal(shown("USD платёж").mixed, false, "two words, each of one alphabet");
});

test("a long text is cut where no character is halved, and the rest is counted", () => {
  const { pieces, cut } = shown("x".repeat(10_000), 300);
  assert.deepEqual(pieces, [{ kind: "plain", text: "x".repeat(300) }]);
  assert.equal(cut, 9_700);
  const pairs = shown("😀".repeat(10), 3);
  assert.equal(pairs.pieces[0].text, "😀😀😀");
  assert.equal(pairs.cut, 14);
  assert.equal(shown("abc", 3).cut, 0);
  const whole = "pay ".repeat(50_000) + "eve";
  assert.deepEqual([shown(whole, WHOLE).pieces[0].text, shown(whole, WHOLE).cut], [whole, 0]);
});

test("marks that would run over the lines around are written out", () => {
  const { hides, pieces } = shown(`a${"\u0301".repeat(30)}`);
  assert.equal(hides, true);
  assert.equal(pieces[0].text, `a${"\u0301".repeat(3)}`);
});

test("in a title or a file the marks stand in brackets", () => {
  assert.equal(plain("a\u202eb"), "a[U+202E]b");
  assert.equal(plain("abcdef", 3), "abc…");
});

test("ten megabytes cost no more than what is shown", () => {
  const { pieces } = shown("\u202e".repeat(10_000_000), 50);
  assert.equal(pieces.length, 50);
});
