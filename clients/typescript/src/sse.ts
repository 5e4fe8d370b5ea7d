/** Server-sent events, put together from the pieces in which they arrive. */

import { unreadable } from "./api.js";

/** Size limit of one event in characters. */
const MAX_FRAME = 1 << 20;

/** One event of a stream. `data` is empty if it only moves the cursor. */
export interface Frame {
  readonly id: string | undefined;
  readonly data: string;
}

/** The reader of one stream. */
export class Frames {
  readonly #decoder = new TextDecoder();
  #unread = "";
  #size = 0;
  #id: string | undefined;
  #data: string[] = [];

  /** The events that this piece completes. */
  push(chunk: Uint8Array): Frame[] {
    this.#unread += this.#decoder.decode(chunk, { stream: true });
    const found: Frame[] = [];
    let begin = 0;
    // A carriage return at the end of what has arrived may be the first half of an end.
    for (const end of this.#unread.matchAll(/\r\n|\n|\r(?=[^\n])/g)) {
      const frame = this.#line(this.#unread.slice(begin, end.index));
      begin = end.index + end[0].length;
      if (frame) found.push(frame);
    }
    this.#unread = this.#unread.slice(begin);
    if (this.#unread.length > MAX_FRAME) throw tooLong();
    return found;
  }

  #line(line: string): Frame | undefined {
    if (line === "") return this.#whole();
    this.#size += line.length;
    if (this.#size > MAX_FRAME) throw tooLong();
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "data") this.#data.push(value);
    else if (name === "id" && !value.includes("\0")) this.#id = value;
    return undefined;
  }

  #whole(): Frame | undefined {
    const frame = { id: this.#id, data: this.#data.join("\n") };
    const full = this.#data.length > 0 || this.#id !== undefined;
    this.#size = 0;
    this.#id = undefined;
    this.#data = [];
    return full ? frame : undefined;
  }
}

function tooLong(): Error {
  return unreadable(`an event is longer than ${MAX_FRAME} characters`);
}
