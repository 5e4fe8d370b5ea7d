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
    return await this.#ask<TaskView>("/v1/tasks", JSON.stringify({ task, signature }));
  }

  /** A task; with `wait`, once it is past `revision` or so many seconds are over. */
  async task(id: string, wait?: { seconds: number; revision: number }): Promise<TaskView> {
    const query = wait ? `?wait=${wait.seconds}&revision=${wait.revision}` : "";
    return await this.#ask<TaskView>(`/v1/tasks/${encodeURIComponent(id)}${query}`);
  }

  async tasks(limit: number, before?: number): Promise<TaskPage> {
    return await this.#ask<TaskPage>(`/v1/tasks?limit=${limit}${before === undefined ? "" : `&before=${before}`}`);
  }

  async wallets(): Promise<Descriptor[]> {
    const { wallets } = await this.#ask<{ wallets?: { announcement?: Descriptor }[] }>("/v1/wallets");
    return present(wallets, "wallets").map((wallet) => present(wallet.announcement, "announcement"));
  }

  async wallet(id: string): Promise<Descriptor> {
    const path = `/v1/wallets/${encodeURIComponent(id)}`;
    return present((await this.#ask<{ announcement?: Descriptor }>(path)).announcement, "announcement");
  }

  async generations(id: string): Promise<Descriptor[]> {
    const path = `/v1/wallets/${encodeURIComponent(id)}/generations`;
    return present((await this.#ask<{ generations?: Descriptor[] }>(path)).generations, "generations");
  }

  async nodes(): Promise<NodeView[]> {
    return present((await this.#ask<{ nodes?: NodeView[] }>("/v1/nodes")).nodes, "nodes");
  }

  async #ask<T>(path: string, body?: string): Promise<T> {
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
    return read<T>(status, text);
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
export function read<T>(status: number, text: string): T {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    throw unreadable(`HTTP status ${status}, no JSON`);
  }
  if (typeof document !== "object" || document === null) throw unreadable(`HTTP status ${status}, no object`);
  if (status >= 200 && status < 300) return document as T;
  // Either {"error": {"code", "message"}} or a problem document (RFC 9457) with a code.
  const problem = ("error" in document ? document.error : document) as Record<string, unknown> | null;
  const code = problem?.["code"];
  if (typeof code !== "string") throw unreadable(`HTTP status ${status}`);
  throw byStatus(status, code, String(problem?.["message"] ?? problem?.["detail"] ?? problem?.["title"]));
}

function present<T>(value: T | undefined, name: string): T {
  if (value === undefined || value === null) {
    throw new AnswerError(
      "answer",
      `the coordinator's answer has no \`${name}\`; check the URL, and compare the versions`,
    );
  }
  return value;
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
