/** The events behind a cursor, through lost connections: by streams, or by pages where no stream comes through. */

import { eventOf, pauseAfter, type Api, type Stream } from "./api.js";
import { AnswerError, ApiError, CursorGone, Unauthorized, Unavailable, Unreachable } from "./errors.js";
import type { Event } from "./schema.js";
import { Frames } from "./sse.js";

/** The first and the longest pause while the coordinator is away, in milliseconds. */
const AWAY = 500;
const LONGEST = 15_000;
/** Time for which pages are read before a stream is tried again. */
const PAGES = 60_000;
/** Limit of the wait for a page, in seconds. */
const WAIT = 25;
/** `after` for the oldest event that the coordinator keeps. */
const OLDEST = "oldest";
/** An empty page that comes sooner than this, in milliseconds, was not waited for. */
const SOON = 5_000;
/** Size limit of a cursor in characters, and the number of those that are remembered, to notice one that comes again. */
const MAX_CURSOR = 256;
const REMEMBERED = 4096;
/** A task is looked at after such a time without an event of it, should the feed withhold one. */
const LOOK = 60_000;

export interface FeedOptions {
  readonly selected: Readonly<Record<string, string>>;
  /** A cursor, `now`, which it is if absent, or `oldest`. */
  readonly after?: string;
  /** False: if streams are refused, `refused` says so; otherwise pages are read. */
  readonly pages?: boolean;
  /** True: a coordinator that was never there is waited for, too. */
  readonly expected?: boolean;
  /** The time in milliseconds for which a coordinator may be away. */
  readonly patience?: number;
}

/** A reader of the feed. */
export class Feed {
  /** No stream comes through, and there is no use in asking again. */
  refused = false;
  readonly #api: Api;
  readonly #options: FeedOptions;
  readonly #after: string;
  #expected: boolean;
  /** The cursor of the last event, once there is one. */
  #last: string | undefined;
  #stream: { readonly open: Stream; readonly frames: Frames; fresh: boolean } | undefined;
  #pagedUntil: number | undefined;
  #failures = 0;
  /** Number of empty pages in a row that were not waited for. */
  #hasty = 0;
  readonly #told = new Set<string>();
  #awaySince: number | undefined;
  #ready: Event[] = [];
  #lookAt = 0;
  readonly #end = new AbortController();

  constructor(api: Api, options: FeedOptions) {
    this.#api = api.within({ stop: this.#end.signal });
    this.#options = options;
    this.#after = options.after ?? "now";
    this.#expected = options.expected ?? false;
  }

  /** Waits for the next event. Nothing: there was none for a while; ask again. */
  async next(): Promise<Event | undefined> {
    const ready = this.#ready.shift();
    if (ready) return ready;
    try {
      if (this.#stream) await this.#read(this.#stream);
      else if (this.#pagedUntil !== undefined || this.#isAtOldest()) await this.#page();
      else await this.#connect();
    } catch (error) {
      if (!(error instanceof Unreachable || error instanceof Unavailable)) throw error;
      await this.#lost(error);
    }
    return this.#ready.shift();
  }

  /** Waits for news. True if a task is worth looking at: an event tells of a later revision, or one may have been missed. */
  async concerns(id: string, revision: number): Promise<boolean> {
    const told = (await this.next())?.data.task;
    const due = Date.now() >= this.#lookAt && !this.refused;
    if (due || (told?.id === id && told.revision > revision)) {
      this.#lookAt = Date.now() + LOOK;
      return true;
    }
    return false;
  }

  /** Ends requests, pauses and the stream. A feed that waits ends with the answer `undefined`. */
  stop(): void {
    this.#end.abort();
    this.#close();
  }

  #close(): void {
    this.#stream?.open.close();
    this.#stream = undefined;
  }

  async #connect(): Promise<void> {
    try {
      const open = await this.#api.stream(this.#options.selected, this.#after, this.#last);
      this.#stream = { open, frames: new Frames(), fresh: true };
      this.#expected = true;
      // Something may have happened before it was open.
      this.#lookAt = 0;
      if (this.#end.signal.aborted) this.#close();
    } catch (error) {
      if (isPassing(error) || !(error instanceof AnswerError || error instanceof ApiError)) throw error;
      if (this.#options.pages === false) this.refused = true;
      else if (isFirm(error)) throw error;
      else this.#pagedUntil = Date.now() + PAGES;
    }
  }

  async #read(stream: { readonly open: Stream; readonly frames: Frames; fresh: boolean }): Promise<void> {
    const chunk = await stream.open.read();
    if (!chunk) throw new Unreachable("", "the stream has ended");
    for (const frame of stream.frames.push(chunk)) {
      if (frame.data !== "") this.#tell(eventOf(frame.data));
      else if (frame.id !== undefined) this.#last = cursorOf(frame.id);
    }
    // A stream that ends after its first piece again and again is a failure each time.
    if (!stream.fresh || this.#ready.length > 0) this.#alive();
    stream.fresh = false;
  }

  async #page(): Promise<void> {
    const oldest = this.#isAtOldest();
    const asked = oldest ? undefined : (this.#last ?? this.#after);
    const begun = Date.now();
    const page = await this.#api.events(this.#options.selected, asked, oldest ? undefined : WAIT);
    for (const event of page.events) this.#tell(event);
    if (page.events.length > 0 && page.next === asked) throw stuck();
    this.#last = cursorOf(page.next);
    this.#alive();
    if (this.#pagedUntil !== undefined && Date.now() >= this.#pagedUntil) this.#pagedUntil = undefined;
    const waited = oldest || page.events.length > 0 || Date.now() - begun >= SOON;
    this.#hasty = waited ? 0 : Math.min(this.#hasty + 1, 10);
    if (this.#hasty > 0) await this.#api.pause(Math.min(AWAY * 2 ** (this.#hasty - 1), LONGEST) / 1000);
  }

  #isAtOldest(): boolean {
    return this.#last === undefined && this.#after === OLDEST;
  }

  /** Makes an event ready, if it is a new one. */
  #tell(event: Event): void {
    const cursor = cursorOf(event.cursor);
    if (this.#told.has(cursor)) throw stuck();
    this.#told.add(cursor);
    const [first] = this.#told;
    if (this.#told.size > REMEMBERED && first !== undefined) this.#told.delete(first);
    this.#last = cursor;
    this.#ready.push(event);
  }

  #alive(): void {
    this.#failures = 0;
    this.#awaySince = undefined;
    this.#expected = true;
  }

  async #lost(error: Error): Promise<void> {
    this.#close();
    if (this.#end.signal.aborted) return;
    this.#awaySince ??= Date.now();
    const { patience } = this.#options;
    const tired = patience !== undefined && Date.now() - this.#awaySince >= patience;
    if (tired || !this.#expected) throw error;
    const pause = pauseAfter(error, Math.min(AWAY * 2 ** this.#failures, LONGEST) / 1000);
    this.#failures = Math.min(this.#failures + 1, 10);
    await this.#api.pause(pause);
  }
}

function cursorOf(text: string): string {
  if (text.length <= MAX_CURSOR) return text;
  throw new AnswerError("answer", "the coordinator's cursor is too long; check the URL, and compare the versions");
}

function stuck(): AnswerError {
  const advice = "check the URL, and ask its operator";
  return new AnswerError("answer", `the coordinator tells the same event again and again; ${advice}`);
}

/** True for a coordinator that is away. */
function isPassing(error: unknown): boolean {
  return error instanceof Unreachable || (error instanceof Unavailable && error.status !== 429);
}

/** True for a refusal that pages would meet, too. */
function isFirm(error: Error): boolean {
  if (error instanceof Unauthorized || error instanceof CursorGone) return true;
  return error instanceof ApiError && error.status === 400;
}
