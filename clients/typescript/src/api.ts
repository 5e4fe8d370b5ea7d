/** The coordinator's HTTP API: requests out, bounded answers in. Nothing here is believed. */

import { type Access } from "./access.js";
import { Body } from "./body.js";
import { AnswerError, Unavailable, UnknownState, Unreachable, byStatus } from "./errors.js";
import {
  OPERATIONS,
  SHAPES,
  type ApiKeySpec,
  type ApiKeyView,
  type AuditPage,
  type Delivery,
  type DeliveryPage,
  type Event,
  type EventPage,
  type KeyDescriptor,
  type NodeView,
  type Operation,
  type RequesterList,
  type Resend,
  type Resent,
  type Submission,
  type TaskPage,
  type TaskView,
  type Vote,
  type WalletPage,
  type WalletView,
  type WebhookKeys,
  type WebhookSpec,
  type WebhookView,
} from "./schema.js";
import { told } from "./text.js";

/** Limit for one request in milliseconds, from connecting to the last byte of the answer; longer than any long poll. */
const REQUEST = 50_000;
/** Each request has so many milliseconds at least, so that a caller without patience gets an answer, too. */
const LEAST = 5_000;
/** A stream that is silent for so many milliseconds is dead: the coordinator sends a comment every 15 s. */
const SILENCE = 45_000;
/** Time in milliseconds for which a coordinator that has just started is asked again. */
const STARTING = 30_000;
/** Size limit of answers in bytes; the longest is a page of wallets. */
const MAX_ANSWER = 64 * 1024 * 1024;
/** Limit of nesting in answers. */
const MAX_DEPTH = 100;
/** Entries of a page, and the number of pages of a list: more than a coordinator keeps. */
const PAGE = 200;
const PAGES = 1000;

/** A document beside the API. */
const PUBLISHED_KEYS: Operation = { method: "GET", path: "/.well-known/jwks.json", answer: "WebhookKeys", query: [] };

/** States of a task in this version. */
const STATES = ["pending", "waiting", "approving", "running", "completed", "rejected", "failed", "expired", "cancelled"] as const;

/** The state of a task. `unknown`: a word of a later version, and so neither a success nor a failure. */
export type State = (typeof STATES)[number] | "unknown";

export function stateOf(word: string): State {
  return STATES.find((known) => known === word) ?? "unknown";
}

/** True if nothing more is expected of a task. Nobody here can say how one in an unknown state has ended. */
export function hasEnded(view: TaskView): boolean {
  const state = stateOf(view.state);
  switch (state) {
    case "completed":
    case "rejected":
    case "failed":
    case "expired":
    case "cancelled":
      return true;
    case "pending":
    case "waiting":
    case "approving":
    case "running":
      return false;
    case "unknown":
      if (view.ended === undefined || view.ended === null) return false;
      throw new UnknownState(view.id, view.state);
  }
}

/** A JSON object of unknown contents. */
type Document = Readonly<Record<string, unknown>>;

type Query = Readonly<Record<string, string | number | null | undefined>>;

interface Asked {
  readonly query?: Query;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What ends requests before their own limit. */
export interface Limits {
  /** A time in milliseconds since 1970. */
  readonly until?: number;
  readonly stop?: AbortSignal;
}

/** Requests to one coordinator. Follows no redirect. */
export class Api {
  readonly #url: string;
  readonly #access: Access;
  readonly #limits: Limits;

  constructor(url: string, access: Access, limits: Limits = {}) {
    this.#url = url.replace(/\/+$/, "");
    this.#access = access;
    this.#limits = limits;
  }

  /** The same, within these limits. */
  within(limits: Limits): Api {
    return new Api(this.#url, this.#access, { ...this.#limits, ...limits });
  }

  /** Waits for so many seconds, within the limits. */
  async pause(seconds: number): Promise<void> {
    const { until, stop } = this.#limits;
    const length = Math.min(seconds * 1000, Math.max((until ?? Infinity) - Date.now(), 0));
    if (stop?.aborted) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        stop?.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, length);
      stop?.addEventListener("abort", done);
    });
  }

  /** Submits a task. The same bytes may be submitted again. */
  async submit({ task, signature }: Submission): Promise<TaskView> {
    return await this.#ask<TaskView>("submitTask", [], { body: { task, signature } });
  }

  /** A task; with `wait`, once it is past `revision` or so many seconds are over. */
  async task(id: string, wait?: { seconds: number; revision: number }): Promise<TaskView> {
    const query = wait ? { wait: wait.seconds, revision: wait.revision } : {};
    return await this.#ask<TaskView>("showTask", [id], { query });
  }

  /** The votes on a task. The module reads them, since those of later versions must not hide the others. */
  async votes(id: string): Promise<object> {
    return await this.#started(async () => await this.#attempt<object>(unread(OPERATIONS.listVotes), [id], {}));
  }

  /** Hands in a vote. The same one may be handed in again. */
  async vote(id: string, vote: Vote): Promise<object> {
    const asked = { body: vote };
    return await this.#started(async () => await this.#attempt<object>(unread(OPERATIONS.voteOnTask), [id], asked));
  }

  async tasks(limit: number, cursor?: string, state?: string, operation?: string): Promise<TaskPage> {
    const page = await this.#ask<TaskPage>("listTasks", [], { query: { limit, cursor, state, operation } });
    checkPage(page, page.tasks, limit, cursor);
    return page;
  }

  /** Every wallet of the coordinator. */
  async wallets(): Promise<KeyDescriptor[]> {
    const all: KeyDescriptor[] = [];
    const seen = new Set<string>();
    let cursor: string | null | undefined;
    for (let count = 0; count < PAGES; count++) {
      const page: WalletPage = await this.#ask<WalletPage>("listWallets", [], { query: { limit: PAGE, cursor } });
      checkPage(page, page.wallets, PAGE, cursor);
      all.push(...page.wallets.map(descriptorOf));
      cursor = page.next;
      if (cursor === undefined || cursor === null) return all;
      if (seen.has(cursor) || page.wallets.length === 0) break;
      seen.add(cursor);
    }
    throw endless();
  }

  async wallet(id: string): Promise<KeyDescriptor> {
    return descriptorOf(await this.#ask<WalletView>("showWallet", [id]));
  }

  async generations(id: string): Promise<readonly KeyDescriptor[]> {
    return (await this.#ask<{ generations: readonly KeyDescriptor[] }>("listGenerations", [id])).generations;
  }

  async nodes(): Promise<readonly NodeView[]> {
    return (await this.#ask<{ nodes: readonly NodeView[] }>("listNodes", [])).nodes;
  }

  async requesters(): Promise<RequesterList> {
    return await this.#ask<RequesterList>("listRequesters", []);
  }

  async apiKeys(): Promise<readonly ApiKeyView[]> {
    return (await this.#ask<{ api_keys: readonly ApiKeyView[] }>("listApiKeys", [])).api_keys;
  }

  async putApiKey(name: string, spec: ApiKeySpec): Promise<ApiKeyView> {
    return await this.#ask<ApiKeyView>("putApiKey", [name], { body: spec });
  }

  /** Sets the end of a key, which may be over. */
  async expireApiKey(name: string, expires: number): Promise<ApiKeyView> {
    return await this.#ask<ApiKeyView>("expireApiKey", [name], { body: { expires } });
  }

  async revokeApiKey(name: string): Promise<void> {
    await this.#ask("revokeApiKey", [name]);
  }

  /** A page of the audit log, oldest first. `next` leads on even if there is nothing behind it yet. */
  async audit(limit: number, after?: string): Promise<AuditPage> {
    const page = await this.#ask<AuditPage>("readAudit", [], { query: { limit, after } });
    if (page.entries.length > limit) throw endless();
    return page;
  }

  async webhooks(): Promise<readonly WebhookView[]> {
    return (await this.#ask<{ webhooks: readonly WebhookView[] }>("listWebhooks", [])).webhooks;
  }

  async putWebhook(name: string, spec: WebhookSpec): Promise<WebhookView> {
    return await this.#ask<WebhookView>("putWebhook", [name], { body: spec });
  }

  async deleteWebhook(name: string): Promise<void> {
    await this.#ask("deleteWebhook", [name]);
  }

  async testWebhook(name: string): Promise<Delivery> {
    return await this.#ask<Delivery>("testWebhook", [name]);
  }

  async deliveries(name: string, state: string | undefined, limit: number, cursor?: string): Promise<DeliveryPage> {
    const page = await this.#ask<DeliveryPage>("listDeliveries", [name], { query: { state, limit, cursor } });
    checkPage(page, page.deliveries, limit, cursor);
    return page;
  }

  async resend(name: string, selected: Resend): Promise<Resent> {
    return await this.#ask<Resent>("resendEvents", [name], { body: selected });
  }

  async webhookKeys(): Promise<WebhookKeys> {
    return await this.#ask<WebhookKeys>("listWebhookKeys", []);
  }

  /** The same, as the coordinator tells everybody, whatever their scopes. */
  async publishedWebhookKeys(): Promise<WebhookKeys> {
    return await this.#started(async () => await this.#attempt<WebhookKeys>(PUBLISHED_KEYS, [], {}));
  }

  /** A page of the feed behind a cursor, waited for. Without one, the oldest page that is kept. */
  async events(selected: Query, after: string | undefined, wait: number | undefined): Promise<EventPage> {
    return await this.#ask<EventPage>("readEvents", [], { query: { ...selected, after, wait } });
  }

  /** Opens a stream of the feed behind `after`, or behind the last event of the stream before. */
  async stream(selected: Query, after: string, last: string | undefined): Promise<Stream> {
    return await this.#started(async () => await this.#open(selected, after, last));
  }

  async #open(selected: Query, after: string, last: string | undefined): Promise<Stream> {
    const given = last === undefined ? { query: { ...selected, after } } : { query: selected };
    const headers = { accept: "text/event-stream", ...(last === undefined ? {} : { "last-event-id": last }) };
    const until = this.#until(REQUEST);
    const response = await this.#send(OPERATIONS.readEvents, [], { ...given, headers }, until);
    const kind = response.headers.get("content-type") ?? "";
    if (response.status !== 200 || !kind.startsWith("text/event-stream") || !response.body) {
      read(response, await this.#text(response, until));
      throw unreadable("it is not a stream of events");
    }
    return new Stream(this.#url, response, () => this.#until(SILENCE));
  }

  async #ask<T>(name: keyof typeof OPERATIONS, place: readonly string[], asked: Asked = {}): Promise<T> {
    return await this.#started(async () => await this.#attempt<T>(OPERATIONS[name], place, asked));
  }

  async #attempt<T>(operation: Operation, place: readonly string[], asked: Asked): Promise<T> {
    const until = this.#until(REQUEST);
    const response = await this.#send(operation, place, asked, until);
    const text = await this.#text(response, until);
    if (response.status === 204) return undefined as T;
    const document = read(response, text);
    if (operation.answer !== undefined) check(document, operation.answer);
    return document as T;
  }

  /** Asks a coordinator that has just started, and refuses what might have been accepted before, once more in a moment. */
  async #started<T>(ask: () => Promise<T>): Promise<T> {
    const until = this.#until(STARTING);
    for (;;) {
      try {
        return await ask();
      } catch (error) {
        if (!(error instanceof Unavailable) || error.code !== "just-started" || Date.now() >= until) throw error;
        await this.pause(pauseAfter(error, 1));
      }
    }
  }

  /** The end of what may take so many milliseconds from now. */
  #until(limit: number): number {
    const now = Date.now();
    return Math.min(now + limit, Math.max(this.#limits.until ?? Infinity, now + LEAST));
  }

  /** The head of the answer. Its body is unread, and asked to be sent as it is. */
  async #send(operation: Operation, place: readonly string[], asked: Asked, until: number): Promise<Response> {
    const { method } = operation;
    const url = this.#place(pathOf(operation, place, asked.query ?? {}));
    const body = asked.body === undefined ? "" : JSON.stringify(asked.body);
    // Every attempt has a proof of its own.
    const proof = this.#access.headers({ method, url, body });
    const headers: Record<string, string> = { "accept-encoding": "identity", ...proof, ...asked.headers };
    const init: RequestInit = { method, headers, redirect: "error", cache: "no-store" };
    if (asked.body !== undefined) {
      headers["content-type"] = "application/json";
      init.body = body;
    }
    let response;
    try {
      response = await timely(until, this.#limits.stop, (signal) => fetch(url, { ...init, signal }));
    } catch (error) {
      throw new Unreachable(this.#url, innermost(error));
    }
    if (isPacked(response)) {
      await response.body?.cancel().catch(() => undefined);
      throw unreadable("it is compressed, which was not asked for; a proxy may do that");
    }
    return response;
  }

  #place(path: string): URL {
    try {
      return new URL(this.#url + path);
    } catch (error) {
      throw new Unreachable(this.#url, innermost(error));
    }
  }

  async #text(response: Response, until: number): Promise<string> {
    try {
      return await bounded(response, until);
    } catch (error) {
      if (error instanceof AnswerError) throw error;
      throw new Unreachable(this.#url, innermost(error));
    }
  }
}

/** An open stream. */
export class Stream {
  readonly #url: string;
  readonly #body: Body;
  readonly #until: () => number;

  /** `until`: the time until which the next bytes are waited for. */
  constructor(url: string, response: Response, until: () => number) {
    this.#url = url;
    this.#body = new Body(response);
    this.#until = until;
  }

  /** The next bytes; nothing if the stream has ended. */
  async read(): Promise<Uint8Array | undefined> {
    try {
      return await this.#body.read(this.#until() - Date.now());
    } catch (error) {
      throw new Unreachable(this.#url, innermost(error));
    }
  }

  close(): void {
    this.#body.close();
  }
}

/** The same operation, whose answer the module judges. */
function unread({ method, path, query }: Operation): Operation {
  return { method, path, query };
}

function pathOf(operation: Operation, place: readonly string[], query: Query): string {
  const names = [...place];
  const path = operation.path.replace(/\{\w+\}/g, () => encodeURIComponent(names.shift() ?? ""));
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined || value === null) continue;
    if (!operation.query.includes(name)) throw new TypeError(`${operation.path} has no ${name}`);
    given.set(name, String(value));
  }
  const text = given.toString();
  return text === "" ? path : `${path}?${text}`;
}

async function bounded(response: Response, until: number): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  let length = 0;
  const body = new Body(response);
  const left = (): number => Math.max(until - Date.now(), 0);
  for (let part = await body.read(left()); part; part = await body.read(left())) {
    length += part.length;
    if (length > MAX_ANSWER) {
      body.close();
      throw unreadable(`it is longer than ${MAX_ANSWER} bytes`);
    }
    text += decoder.decode(part, { stream: true });
  }
  return text + decoder.decode();
}

/** Begins what ends at a time, or when it is stopped. */
async function timely<T>(
  until: number,
  stop: AbortSignal | undefined,
  begin: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const end = new AbortController();
  const stopped = (): void => end.abort(new Error("it was stopped"));
  const timer = setTimeout(() => end.abort(new Error("the answer takes too long")), Math.max(until - Date.now(), 0));
  stop?.addEventListener("abort", stopped);
  if (stop?.aborted) stopped();
  try {
    return await begin(end.signal);
  } finally {
    clearTimeout(timer);
    stop?.removeEventListener("abort", stopped);
  }
}

/** Browsers choose encodings themselves, and what they unpack is bounded like all answers. */
const CHOOSES = new Request("http://localhost", { headers: { "accept-encoding": "identity" } }).headers.has("accept-encoding");

/** True for an answer that is compressed although it was asked not to be: unpacked it could be a thousand times as long. */
function isPacked(response: Response): boolean {
  const told = (response.headers.get("content-encoding") ?? "").trim().toLowerCase();
  return CHOOSES && told !== "" && told !== "identity";
}

/** The seconds before the next attempt: as the coordinator asks, but not less than these. */
export function pauseAfter(error: unknown, least: number): number {
  return Math.max(error instanceof Unavailable ? (error.retryAfter ?? 0) : 0, least);
}

/** The document of a good answer. Otherwise throws the error that its code names. */
function read({ status, headers }: Response, text: string): Document {
  const document = parse(text, `HTTP status ${status}`);
  if (status >= 200 && status < 300) return document;
  // Either {"error": {"code", "message"}} or a problem document (RFC 9457) with a code.
  const problem = ("error" in document ? document["error"] : document) as Document | null;
  const code = problem?.["code"];
  if (typeof code !== "string") throw unreadable(`HTTP status ${status}`);
  throw byStatus(status, code, String(problem?.["message"] ?? problem?.["detail"] ?? problem?.["title"]), headers.get("retry-after"));
}

/** An object that is not nested too deeply, with its texts cleaned. */
function parse(text: string, where: string): Document {
  checkDepth(text);
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    throw unreadable(`${where}, no JSON`);
  }
  if (!isObject(document)) throw unreadable(`${where}, no object`);
  return told(document);
}

function checkDepth(text: string): void {
  let depth = 0;
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[[{\]}]/gs)) {
    if (token === "{" || token === "[") depth++;
    else if (token === "}" || token === "]") depth--;
    if (depth > MAX_DEPTH) throw unreadable(`it is nested deeper than ${MAX_DEPTH}`);
  }
}

/** The event of a frame. */
export function eventOf(text: string): Event {
  const event = parse(text, "an event");
  check(event, "Event");
  return event as unknown as Event;
}

/** Compares a part of an answer with its shape. Members and words that are not known here are let through. */
export function check(value: unknown, shape: string, name = "document"): void {
  if (shape === "any" || (shape.startsWith("?") && value === null)) return;
  const plain = shape.replace("?", "");
  if (plain.startsWith("[]")) {
    if (!Array.isArray(value)) throw bad(name);
    for (const one of value) check(one, plain.slice(2), name);
    return;
  }
  const members = SHAPES[plain];
  if (members === undefined) {
    const good = plain === "integer" ? Number.isInteger(value) : typeof value === plain;
    if (!good) throw bad(name);
    return;
  }
  if (!isObject(value)) throw bad(name);
  for (const [member, inner] of Object.entries(members)) {
    const known = member.replace("?", "");
    if (Object.hasOwn(value, known)) check(value[known], inner, known);
    else if (known === member) throw bad(member);
  }
}

/** A page has as many entries as were asked for at most, and leads on. */
function checkPage(
  page: { readonly next?: string | null },
  entries: readonly unknown[],
  limit: number,
  cursor: string | null | undefined,
): void {
  if (entries.length > limit || (typeof cursor === "string" && page.next === cursor)) throw endless();
}

/** The key descriptor of a wallet. It is shown even if it is not believed, so its key has to be readable. */
function descriptorOf({ announcement }: WalletView): KeyDescriptor {
  if (/^(?:[0-9a-fA-F]{2})*$/.test(announcement.root_public_key)) return announcement;
  throw bad("root_public_key");
}

function endless(): AnswerError {
  return new AnswerError("answer", "the coordinator's list leads nowhere; check the URL, and ask its operator");
}

function isObject(value: unknown): value is Document {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function bad(name: string): AnswerError {
  const advice = "check the URL, and compare the versions";
  return new AnswerError("answer", `the coordinator's answer has no good \`${name}\`; ${advice}`);
}

export function unreadable(reason: string): AnswerError {
  const advice = "check the URL, and update the older of the two programs";
  return new AnswerError("answer", `the coordinator's answer cannot be read (${reason}); ${advice}`);
}

/** The innermost cause says what happened. */
function innermost(error: unknown): string {
  let cause = error;
  while (cause instanceof Error && cause.cause !== undefined) cause = cause.cause;
  return cause instanceof Error ? cause.message : String(cause);
}
