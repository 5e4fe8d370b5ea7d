/**
 * The wallet book: every wallet that this client believes, in its newest generation, with the reason. It exposes a
 * coordinator that changes its story, and is the only place where names of wallets are looked up.
 */

/** What to do with the text of the book. */
export type Write = "nothing" | { readonly append: string } | { readonly whole: string };

/** A place for the book. */
export interface WalletBook {
  /** The text of the book; empty if there is none yet. */
  read(): Promise<string>;
  /** Holds the book, has `decide` read its text, and writes what the answer says. */
  change<T extends { readonly write: Write }>(decide: (text: string) => T): Promise<T>;
}

/** The text after a change. */
export function written(text: string, write: Write): string {
  if (write === "nothing") return text;
  return "append" in write ? text + write.append : write.whole;
}

/** A book that is forgotten with the page: a coordinator that later contradicts itself is not noticed. */
export class MemoryBook implements WalletBook {
  #text: string;

  constructor(text = "") {
    this.#text = text;
  }

  async read(): Promise<string> {
    return this.#text;
  }

  async change<T extends { readonly write: Write }>(decide: (text: string) => T): Promise<T> {
    const recorded = decide(this.#text);
    this.#text = written(this.#text, recorded.write);
    return recorded;
  }
}
