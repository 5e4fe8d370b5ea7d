/**
 * Texts of others, made fit for a page: cut, with characters that hide or steer written out, and apart from the direction of
 * the text around. Every text that does not come from this application goes through `shown`.
 */

import { h } from "./dom.js";
import { words } from "./words.js";

/** Lengths in characters: for a name or an id, for a sentence, for a text that a person reads in full, for what she votes on. */
export const SHORT = 80;
export const LINE = 300;
export const LONG = 4000;
export const WHOLE = Infinity;

/**
 * Control and format characters, separators, surrogates without their other half, private and unassigned characters, and
 * letters that have no form of their own: the list of `countersign_protocol::text`, and more.
 */
const HIDDEN =
  /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}\p{Cn}\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0\ufe00-\ufe0f\u{e0100}-\u{e01ef}]/u;
/** More combining marks than any script puts on one letter, which run over the lines around. */
const STACKED = /\p{M}{4,}/u;
/** Alphabets with letters that look alike. */
const ALPHABETS = [/\p{Script=Latin}/u, /\p{Script=Cyrillic}/u, /\p{Script=Greek}/u, /\p{Script=Armenian}/u];

/** A part of a text. `mark` is a character that would not have shown as what it is. */
export interface Piece {
  readonly kind: "plain" | "mark";
  readonly text: string;
}

/** A text as it is shown. */
export interface Shown {
  readonly pieces: readonly Piece[];
  /** Number of characters that were left out at the end. */
  readonly cut: number;
  /** True if it holds characters that would have hidden or reversed others. */
  readonly hides: boolean;
  /** True if a word has letters of two alphabets that look alike. */
  readonly mixed: boolean;
}

/** Takes a text apart. */
export function shown(text: string, limit: number = LINE): Shown {
  // No more is looked at than can be shown, and no character is cut in half.
  const characters = [...text.slice(0, 2 * limit + 2)];
  const kept = characters.slice(0, limit);
  const cut = characters.length > limit ? text.length - kept.join("").length : 0;
  const pieces: Piece[] = [];
  let marks = 0;
  for (const character of kept) {
    const stacked = /\p{M}/u.test(character) && marks++ >= 3;
    if (!/\p{M}/u.test(character)) marks = 0;
    if (HIDDEN.test(character) || stacked) pieces.push({ kind: "mark", text: codePoint(character) });
    else if (pieces.at(-1)?.kind === "plain") pieces.push({ kind: "plain", text: pieces.pop()?.text + character });
    else pieces.push({ kind: "plain", text: character });
  }
  const whole = kept.join("");
  const hides = pieces.some(({ kind }) => kind === "mark") || STACKED.test(whole);
  return { pieces, cut, hides, mixed: isMixed(whole) };
}

/** A text for places that hold no elements, such as a title or a file. */
export function plain(text: string, limit: number = LINE): string {
  const { pieces, cut } = shown(text, limit);
  const whole = pieces.map(({ kind, text: part }) => (kind === "mark" ? `[${part}]` : part)).join("");
  return cut > 0 ? `${whole}…` : whole;
}

/** A text on the page. */
export function foreign(text: string, limit: number = LINE): HTMLElement {
  const { pieces, cut, hides, mixed } = shown(text, limit);
  const parts = pieces.map(({ kind, text: part }) =>
    kind === "mark" ? h("span", { class: "hidden-mark", title: words.foreign.mark }, `[${part}]`) : part,
  );
  const rest = cut > 0 ? h("span", { class: "cut" }, words.foreign.cut(cut)) : null;
  const doubt = hides ? words.foreign.hides : mixed ? words.foreign.mixed : null;
  const note = doubt === null ? null : h("span", { class: "doubt" }, ` ⚠ ${doubt}`);
  return h("span", { class: "foreign" }, h("bdi", {}, parts), rest, note);
}

/** An id or a digest: whole, in letters of one width, and copied with one touch. */
export function id(text: string): HTMLElement {
  // No id has other characters. What is told in place of one is shown like any text of others.
  const inside = /^[!-~]*$/.test(text) ? h("bdi", {}, plain(text, 200)) : foreign(text, SHORT);
  return h("code", { class: "id", translate: "no" }, inside);
}

/** The beginning and the end of an id, for lists. Never for comparing. */
export function shortId(text: string): string {
  const clear = plain(text, 200);
  return clear.length <= 18 ? clear : `${clear.slice(0, 10)}…${clear.slice(-4)}`;
}

function codePoint(character: string): string {
  return `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}`;
}

function isMixed(text: string): boolean {
  const letters = text.match(/[\p{L}\p{M}\p{N}]+/gu) ?? [];
  return letters.some((word) => ALPHABETS.filter((alphabet) => alphabet.test(word)).length > 1);
}
