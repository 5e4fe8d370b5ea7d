/**
 * The session at the server of this page. Its secret is a cookie that no script can read; the API key goes there once and is
 * kept nowhere here. Each request carries a token that pages of others cannot know.
 */

import { fromHex, type Core } from "../../clients/typescript/src/core.js";
import type { Access } from "../../clients/typescript/src/index.js";
import { assertionOf } from "../../clients/typescript/src/votes.js";
import { assertion, isRemembered, type Remembered } from "./passkey.js";

/** The header with the token. */
const TOKEN = "countersign-csrf";
/** The path below which requests are passed on to the coordinator. */
const COORDINATOR = "/coordinator";
/** Time limit of a request in milliseconds. */
const LIMIT = 30_000;
/** Size limit of an answer in characters; the longest has the wallet book. */
const MAX_ANSWER = 256 * 1024 * 1024;

/** The server refused. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** Who began a session by passkey. */
export interface Person extends Remembered {
  readonly name: string;
}

/** A session that the server knows. */
export class Session implements Access {
  readonly #token: string;
  /** Null for one that was begun with an API key. */
  readonly person: Person | null;

  private constructor(document: unknown) {
    this.#token = tokenIn(document);
    this.person = personIn(document);
  }

  /** The present session; null if there is none. */
  static async present(): Promise<Session | null> {
    try {
      return new Session(await ask("GET", "/session"));
    } catch (error) {
      if (error instanceof Refused && error.status === 401) return null;
      throw error;
    }
  }

  /** Signs in. The server always begins a new session, and ends the present one. */
  static async begin(apiKey: string): Promise<Session> {
    return new Session(await ask("POST", "/session", {}, { api_key: apiKey }));
  }

  /** The domain of the passkeys by which people sign in here; null if there is none. */
  static async passkeyDomain(): Promise<string | null> {
    const told = (await ask("GET", "/sign-in")) as { readonly rp_id?: unknown } | null;
    return typeof told?.rp_id === "string" ? told.rp_id : null;
  }

  /**
   * Signs in by a passkey that the person chooses. The challenge is made here of what the server sends, so it is a sign-in's
   * whatever that is.
   */
  static async beginByPasskey(core: Core, rpId: string): Promise<Session> {
    const nonce = ((await ask("POST", "/sign-in")) as { readonly nonce?: unknown } | null)?.nonce;
    const { challenge } = core.call<{ challenge: string }>("sign_in.message", { origin: location.origin, nonce });
    const { response, credential } = await assertion(rpId, fromHex(challenge) as Uint8Array<ArrayBuffer>, null);
    const answer = core.call<object>("sign_in.answer", assertionOf(response));
    return new Session(await ask("POST", "/session", {}, { passkey: { credential, ...answer } }));
  }

  /** Ends this session, or all of the same person. */
  async end(everywhere: boolean): Promise<void> {
    await ask("DELETE", everywhere ? "/sessions" : "/session", this.headers());
  }

  /** The organisation's profile and wallet book, as read from JSON. */
  async organisation(): Promise<unknown> {
    return await ask("GET", "/organisation", this.headers());
  }

  /** Of every request that is passed on to the coordinator. */
  headers(): Record<string, string> {
    return { [TOKEN]: this.#token };
  }

  /** The coordinator's URL, as this page reaches it. */
  static base(origin: string): string {
    return origin + COORDINATOR;
  }
}

async function ask(
  method: string,
  path: string,
  headers: Readonly<Record<string, string>> = {},
  body?: object,
): Promise<unknown> {
  const init: RequestInit = {
    method,
    headers: body === undefined ? { ...headers } : { ...headers, "content-type": "application/json" },
    credentials: "same-origin",
    cache: "no-store",
    redirect: "error",
    signal: AbortSignal.timeout(LIMIT),
  };
  if (body !== undefined) init.body = JSON.stringify(body);
  const response = await fetch(path, init);
  const text = await response.text();
  if (text.length > MAX_ANSWER) throw new Refused(response.status, "the answer is too long; reload the page");
  const document = text === "" ? null : (JSON.parse(text) as unknown);
  if (response.ok) return document;
  throw new Refused(response.status, messageIn(document) ?? `the server answered ${response.status}; try again`);
}

function messageIn(document: unknown): string | null {
  const told = (document as { readonly detail?: unknown } | null)?.detail;
  return typeof told === "string" ? told : null;
}

function tokenIn(document: unknown): string {
  const token = (document as { readonly csrf?: unknown } | null)?.csrf;
  if (typeof token === "string" && /^[0-9a-f]{64}$/.test(token)) return token;
  throw new Refused(500, "the server sent no session; reload the page");
}

function personIn(document: unknown): Person | null {
  const told = (document as { readonly person?: unknown } | null)?.person;
  if (told === undefined || told === null) return null;
  const { name, approver, credential } = told as Partial<Record<string, unknown>>;
  if (typeof name === "string" && isRemembered({ approver, credential })) {
    return { name, approver: String(approver), credential: String(credential) };
  }
  throw new Refused(500, "the server does not say who is signed in; reload the page");
}
