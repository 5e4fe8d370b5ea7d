/**
 * The errors of this package. Each has a stable `code` for programs (docs/codes.md) and a message that ends with what to
 * do. `Pending` is not a failure: the order stands, and the signature may still come.
 */

import { clean } from "./text.js";

/** The base of all errors here. Texts have no characters that steer a terminal or hide. */
export class CountersignError extends Error {
  /** Further lines for people. Nothing in them is believed. */
  readonly details: readonly string[];

  constructor(
    /** Stable, for programs. */
    readonly code: string,
    message: string,
    details: readonly string[] = [],
  ) {
    super(clean(message));
    this.name = new.target.name;
    this.details = details.map(clean);
  }
}

/** The order or argument makes no sense. Nothing was sent. */
export class UsageError extends CountersignError {}

/** A file cannot be used. */
export class FileError extends CountersignError {}

/** A payload that nobody signs. Nothing was sent. */
export class PayloadError extends CountersignError {}

/** The signatures do not complete their payload. */
export class FinishError extends CountersignError {}

/** The coordinator does not answer. */
export class Unreachable extends CountersignError {
  constructor(url: string, reason: string) {
    super(
      "unreachable",
      `the coordinator at ${url} does not answer (${reason}); check that it runs and that the URL is right`,
    );
  }
}

/** The coordinator refused the request. */
export class ApiError extends CountersignError {
  constructor(
    readonly status: number,
    code: string,
    message: string,
  ) {
    super(told(code), `the coordinator refused: ${message}`);
  }
}

/** The API key or the signature is not accepted, or does not allow the request. */
export class Unauthorized extends ApiError {}

/** The coordinator does not know it. */
export class NotFound extends ApiError {}

/** The id stands for something else already. */
export class Conflict extends ApiError {}

/** The coordinator cannot take the request now. The same one may succeed a moment later. */
export class Unavailable extends ApiError {
  constructor(
    status: number,
    code: string,
    message: string,
    /** Seconds to wait, as the coordinator asks for; at most 30. */
    readonly retryAfter?: number,
  ) {
    super(status, code, message);
  }
}

/** The events behind the cursor are not kept any more. Read the tasks that you follow, and begin with `now`. */
export class CursorGone extends ApiError {}

/** The coordinator's answer does not follow the protocol. */
export class AnswerError extends CountersignError {}

/**
 * An order ended without a result, as the coordinator tells. A coordinator can tell so although the nodes have signed, and
 * they may sign until `notAfter`. Send no new order before then, and let the new one rule the old one out on its chain, such
 * as by the same nonce or an input of it.
 */
export class TaskError extends CountersignError {
  constructor(
    /** Id of the order. */
    readonly task: string,
    code: string,
    message: string,
    /** The nodes concerned, as the coordinator tells. */
    readonly nodes: readonly string[] = [],
    /** The plugin that refused, if it was one. */
    readonly plugin: string | null = null,
    /** The end of the order's life. After it no honest node signs the order. */
    readonly notAfter: Date | null = null,
  ) {
    super(told(code), notAfter === null ? message : message + until(notAfter));
  }
}

/** A node refused, as the coordinator tells. Ask that node's operator. */
export class Rejected extends TaskError {}

/** The nodes took part, but the task failed, as the coordinator tells. */
export class Failed extends TaskError {}

/** The order was not carried out in its time, as the coordinator tells. */
export class Expired extends TaskError {}

/** The order was cancelled before anything was signed, as the coordinator tells. */
export class Cancelled extends TaskError {}

/**
 * The order has not ended yet, and may still end well: people may have to decide. Wait again with
 * `client.result(error.task)`. Do not order a second time instead.
 */
export class Pending extends CountersignError {
  constructor(readonly task: string) {
    super(
      "timeout",
      `task ${task} has not ended yet and may still end; ask for its result before sending a new one`,
    );
  }
}

/**
 * The order has ended in a state of a later version, and may have a result. Update this package, then ask for it with
 * `client.result(error.task)`. Do not order a second time instead.
 */
export class UnknownState extends CountersignError {
  constructor(
    readonly task: string,
    state: string,
  ) {
    const word = state.slice(0, 64).replace(/[^!-~]/g, "?");
    super(
      "unknown-state",
      `task ${task} is \`${word}\`, which this version does not know, and may have a result; update this package, then ask ` +
        "for its result before sending a new one",
    );
  }
}

/**
 * There is no vote: nobody asks for one, or not any more, or it could not be made; or a newer one of the same key counts
 * instead (`vote-not-newest`).
 */
export class VoteError extends CountersignError {}

/** The vote was sent, and whether it arrived is not known: it may count. Look at the task before you vote again. */
export class VoteUnknown extends CountersignError {}

/** There is no order: what a passkey returned does not prove it. */
export class OrderError extends CountersignError {}

/** What the coordinator reports is not true, or nobody known stands behind it. Do not use it. */
export class Untrustworthy extends CountersignError {}

/** A result that does not verify. */
export class InvalidResult extends Untrustworthy {}

/** A wallet that does not verify, or is not the one seen before. */
export class InvalidWallet extends Untrustworthy {}

/** A wallet whose parts prove each other and nothing else: its members or its requester are not in the profile. */
export class WalletDistrusted extends Untrustworthy {}

/** A delivery that no known key signed, or not now. Answer 400, and do nothing. */
export class InvalidWebhook extends Untrustworthy {}

/** The coordinator knows less about a wallet than this client. */
export class StaleCoordinator extends Untrustworthy {}

/** A code of the coordinator or of a node; `unknown` for a text that is none. */
function told(code: string): string {
  return /^[a-z0-9.:-]{1,64}$/.test(code) ? code : "unknown";
}

function until(notAfter: Date): string {
  const time = notAfter.toISOString().slice(0, 19).replace("T", " ");
  return (
    `; only the coordinator says so, and the order may have been signed, or be signed until ${time}Z: send no new order ` +
    "before then, and none that could be carried out beside this one"
  );
}

type Kind = new (code: string, message: string, details: readonly string[]) => CountersignError;

const BY_CODE: ReadonlyMap<string, Kind> = new Map<string, Kind>([
  ["usage", UsageError],
  ["file", FileError],
  ["finish", FinishError],
  ["answer", AnswerError],
  ["invalid-result", InvalidResult],
  ["invalid-wallet", InvalidWallet],
  ["wallet-distrusted", WalletDistrusted],
  ["stale-coordinator", StaleCoordinator],
  ["invalid-webhook", InvalidWebhook],
  ["order-not-made", OrderError],
  ["vote-not-asked", VoteError],
  ["vote-not-pending", VoteError],
  ["vote-over", VoteError],
  ["vote-clock", VoteError],
  ["vote-not-made", VoteError],
  ["vote-not-newest", VoteError],
  ["vote-unknown", VoteUnknown],
  ["vote-stranger", Untrustworthy],
  ["vote-order", Untrustworthy],
  ["vote-generation", Untrustworthy],
  ["vote-not-listed", Untrustworthy],
]);

type Refusal = new (status: number, code: string, message: string, retryAfter?: number) => ApiError;

const BY_STATUS: ReadonlyMap<number, Refusal> = new Map<number, Refusal>([
  [401, Unauthorized],
  [403, Unauthorized],
  [404, NotFound],
  [409, Conflict],
  [410, CursorGone],
  [429, Unavailable],
  [503, Unavailable],
]);

/** The error for a code of the module. Codes of payloads have many values and one type. */
export function byCode(code: string, message: string, details: readonly string[]): CountersignError {
  return new (BY_CODE.get(code) ?? PayloadError)(code, message, details);
}

/** The longest pause in seconds that a coordinator can ask for. */
const LONGEST = 30;

/** The error for a refusal of the coordinator. */
export function byStatus(status: number, code: string, message: string, retryAfter: string | null): ApiError {
  return new (BY_STATUS.get(status) ?? ApiError)(status, code, message, pauseOf(retryAfter));
}

/** The seconds of a header `Retry-After`, bounded. A date is not looked at. */
function pauseOf(retryAfter: string | null): number | undefined {
  return retryAfter !== null && /^[0-9]+$/.test(retryAfter) ? Math.min(Number(retryAfter), LONGEST) : undefined;
}
