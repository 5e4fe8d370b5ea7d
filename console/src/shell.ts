/** Command lines for people to paste: quoted for any shell of POSIX, and free of what does not show. */

import { shown } from "./foreign.js";

/** Words that no shell reads as anything else. The same set as `countersign` quotes by. */
const PLAIN = /^[A-Za-z0-9_./,:=@+%-]+$/;

/** A word that cannot be shown as what it is, so nobody could check what she pastes. */
export class Unshowable extends Error {}

/** One line. Throws `Unshowable` if a word has characters that a terminal would obey or not show. */
export function commandLine(words: readonly string[]): string {
  return words.map(quoted).join(" ");
}

/** True if a text has nothing but characters that show, in one line. */
export function isShowable(text: string): boolean {
  return !shown(text, text.length).hides;
}

/** An option and its value; in one word where the value could be taken for an option. */
export function option(name: string, value: string): readonly string[] {
  return value.startsWith("-") ? [`${name}=${value}`] : [name, value];
}

/** The command with its positional arguments, behind `--` where one could be taken for an option. */
export function command(head: readonly string[], places: readonly string[], options: readonly string[]): readonly string[] {
  const apart = places.some((place) => place.startsWith("-"));
  return apart ? [...head, ...options, "--", ...places] : [...head, ...places, ...options];
}

function quoted(word: string): string {
  if (!isShowable(word)) throw new Unshowable();
  return PLAIN.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
