/**
 * The coordinator's HTTP API: requests out, bounded answers in. Nothing here is believed.
 *
 * The types are those of the API and are to be generated from its OpenAPI document.
 */

import { AnswerError, Unreachable, byStatus } from "./errors.js";

/** Limit for one request in milliseconds; longer than any long poll. */
const REQUEST = 50_000;
/** Size limit of answers in bytes; the longest is a list of wallets. */
const MAX_ANSWER = 64 * 1024 * 1024;

export type State = "waiting" | "approving" | "running" | "completed" | "rejected" | "failed" | "expired";

const STATES: ReadonlySet<string> = new Set([
  "waiting",
  "approving",
  "running",
  "completed",
  "rejected",
  "failed",
  "expired",
]);

/** A JSON object of unknown contents. */
type Document = Readonly<Record<string, unknown>>;

export function isFinal(state: State): boolean {
  return state === "completed" || state === "rejected" || state === "failed" || state === "expired";
}

/** A key descriptor with its acknowledgements, as the coordinator tells it. */
export interface Descriptor {
  readonly key: string;
  readonly task: string;
  readonly name: string;
  readonly scheme: string;
  readonly committee: readonly string[];
  readonly threshold: number;
  readonly generation: number;
  readonly root_public_key: string;
  readonly [member: string]: unknown;
}

/** The exact text of a task, and the requester's signature in hexadecimal. */
export interface Order {
  readonly task: string;
  readonly signature: string;
}

export interface Reason {
  readonly code: string;
  readonly message: string;
  readonly nodes: readonly string[];
  readonly plugin: string | null;
}

export interface TaskSummary {
  readonly id: string;
  readonly sequence: number;
  readonly revision: number;
  readonly state: State;
  readonly operation: string;
  readonly requester: string;
  readonly wallet: string;
  readonly submitted: number;
  readonly not_after: number;
  readonly reason: Reason | null;
}

export interface TaskView extends TaskSummary, Order {
  readonly nodes: readonly unknown[];
  readonly result: Readonly<Record<string, unknown>> | null;
  readonly events: readonly unknown[];
}

export interface TaskPage {
  readonly tasks: readonly TaskSummary[];
  readonly next: number | null;
}

export interface NodeView {
  readonly id: string;
  readonly name: string;
  readonly online: boolean;
}

/** Requests to one coordinator. Follows no redirect. */
export class Api {
  readonly #url: string;
  readonly #key: string;

  constructor(url: string, key: string) {
    this.#url = url.replace(/\/+$/, "");
    this.#key = key;
  }

  /** Submits a task. The same bytes may be submitted again. */
  async submit({ task, signature }: Order): Promise<TaskView> {
    return taskView(await this.#ask("/v1/tasks", JSON.stringify({ task, signature })));
  }

  /** A task; with `wait`, once it is past `revision` or so many seconds are over. */
  async task(id: string, wait?: { seconds: number; revision: number }): Promise<TaskView> {
    const query = wait ? `?wait=${wait.seconds}&revision=${wait.revision}` : "";
    return taskView(await this.#ask(`/v1/tasks/${encodeURIComponent(id)}${query}`));
  }

  async tasks(limit: number, before?: number): Promise<TaskPage> {
    const page = await this.#ask(`/v1/tasks?limit=${limit}${before === undefined ? "" : `&before=${before}`}`);
    return { tasks: list(page, "tasks") as TaskSummary[], next: (page["next"] ?? null) as number | null };
  }

  async wallets(): Promise<Descriptor[]> {
    return list(await this.#ask("/v1/wallets"), "wallets").map((wallet) => descriptor(object(wallet)["announcement"]));
  }

  async wallet(id: string): Promise<Descriptor> {
    return descriptor((await this.#ask(`/v1/wallets/${encodeURIComponent(id)}`))["announcement"]);
  }

  async generations(id: string): Promise<Descriptor[]> {
    const path = `/v1/wallets/${encodeURIComponent(id)}/generations`;
    return list(await this.#ask(path), "generations").map(descriptor);
  }

  async nodes(): Promise<NodeView[]> {
    return list(await this.#ask("/v1/nodes"), "nodes").map((node) => {
      const view = object(node);
      expect(view, { id: "string", name: "string", online: "boolean" });
      return view as unknown as NodeView;
    });
  }

  async #ask(path: string, body?: string): Promise<Document> {
    const headers: Record<string, string> = { authorization: `Bearer ${this.#key}` };
    if (body !== undefined) headers["content-type"] = "application/json";
    const asked: RequestInit = { headers, redirect: "error", signal: AbortSignal.timeout(REQUEST) };
    if (body !== undefined) Object.assign(asked, { method: "POST", body });
    let status: number;
    let text: string;
    try {
      const response = await fetch(this.#url + path, asked);
      status = response.status;
      text = await bounded(response);
    } catch (error) {
      if (error instanceof AnswerError) throw error;
      throw new Unreachable(this.#url, innermost(error));
    }
    return read(status, text);
  }
}

async function bounded(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  let length = 0;
  const reader = response.body?.getReader();
  for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) {
    length += part.value.length;
    if (length > MAX_ANSWER) {
      await reader?.cancel();
      throw unreadable(`it is longer than ${MAX_ANSWER} bytes`);
    }
    text += decoder.decode(part.value, { stream: true });
  }
  return text + decoder.decode();
}

/** The document of a good answer. Otherwise throws the error that its code names. */
export function read(status: number, text: string): Document {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    throw unreadable(`HTTP status ${status}, no JSON`);
  }
  if (typeof document !== "object" || document === null) throw unreadable(`HTTP status ${status}, no object`);
  if (status >= 200 && status < 300) return document as Document;
  // Either {"error": {"code", "message"}} or a problem document (RFC 9457) with a code.
  const problem = ("error" in document ? document.error : document) as Record<string, unknown> | null;
  const code = problem?.["code"];
  if (typeof code !== "string") throw unreadable(`HTTP status ${status}`);
  throw byStatus(status, code, String(problem?.["message"] ?? problem?.["detail"] ?? problem?.["title"]));
}

/** A task, of which all that is used here is there. */
function taskView(view: Document): TaskView {
  expect(view, { id: "string", state: "string", operation: "string", requester: "string", wallet: "string" });
  expect(view, { revision: "number", not_after: "number", task: "string", signature: "string" });
  if (!STATES.has(view["state"] as string)) {
    throw new AnswerError("answer", "the task has a state that is not known here; update this package");
  }
  if (view["reason"] !== null && view["reason"] !== undefined) {
    const reason = object(view["reason"]);
    expect(reason, { code: "string", message: "string" });
    list(reason, "nodes");
  }
  return view as unknown as TaskView;
}

/** A key descriptor, of which all that is used here is there. The module reads the rest. */
function descriptor(value: unknown): Descriptor {
  const told = object(value);
  expect(told, { key: "string", task: "string", generation: "number" });
  return told as unknown as Descriptor;
}

function object(value: unknown): Document {
  if (typeof value !== "object" || value === null) throw bad("object");
  return value as Document;
}

function list(document: Document, name: string): unknown[] {
  const value = document[name];
  if (!Array.isArray(value)) throw bad(name);
  return value;
}

function expect(document: Document, types: Readonly<Record<string, string>>): void {
  for (const [name, type] of Object.entries(types)) if (typeof document[name] !== type) throw bad(name);
}

function bad(name: string): AnswerError {
  const advice = "check the URL, and compare the versions";
  return new AnswerError("answer", `the coordinator's answer has no good \`${name}\`; ${advice}`);
}

function unreadable(reason: string): AnswerError {
  const advice = "check the URL, and update the older of the two programs";
  return new AnswerError("answer", `the coordinator's answer cannot be read (${reason}); ${advice}`);
}

/** The innermost cause says what happened. */
function innermost(error: unknown): string {
  let cause = error;
  while (cause instanceof Error && cause.cause !== undefined) cause = cause.cause;
  return cause instanceof Error ? cause.message : String(cause);
}
