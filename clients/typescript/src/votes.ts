/** Votes of people on a task: what is examined before, asked of a passkey, and counted. Also what a passkey signs to order. */

import { toHex } from "./core.js";
import { UsageError } from "./errors.js";
import type { Decoded, Wallet } from "./models.js";
import type { Collecting, Submission, Vote } from "./schema.js";

/** Approvals by people that are collected before the nodes are asked. How many are enough, and whose, each node decides. */
export interface Collect {
  /** The number of people who have to approve. */
  readonly votes: number;
  /** The order expires if too few have approved by then. A date, or milliseconds since 1970. */
  readonly until: Date | number;
}

export type Choice = "approve" | "reject";

/** The order of a task: its requester signed it, its wallet is believed, and what it signs is decoded. */
export interface OrderedTask {
  readonly task: string;
  /** The hash of its exact bytes, which a vote signs. */
  readonly hash: string;
  readonly requester: string;
  /** The order as its requester signed it. */
  readonly ordered: Readonly<Record<string, unknown>>;
  /** The wallet that it uses; null if it makes one. */
  readonly wallet: Wallet | null;
  /** The effect of what it signs; null if it signs nothing. */
  readonly decoded: Decoded | null;
}

/** A task to vote on: its requester is trusted, too, if the profile names any, and it collects votes. */
export interface Examined extends OrderedTask {
  readonly needed: number;
  readonly until: Date;
  readonly order: Submission;
}

/** The content of a vote. */
export interface Ballot {
  /** The hash of the task's exact bytes. */
  readonly task: string;
  readonly choice: Choice;
  /** The key that votes, `csv1…`. */
  readonly approver: string;
  /** Milliseconds since 1970. */
  readonly time: number;
}

/** What a passkey signs: `challenge` is for `navigator.credentials.get`, with `userVerification: "required"`. */
export interface VoteMessage {
  readonly challenge: Uint8Array & BufferSource;
  readonly ballot: Ballot;
}

/** A requester that is a passkey. */
export interface ByPasskey {
  /** Its id, `csr1…`. */
  readonly requester: string;
}

/**
 * What a passkey signs to order: `challenge` is for `navigator.credentials.get`, with `userVerification: "required"`.
 */
export interface OrderMessage {
  readonly challenge: Uint8Array & BufferSource;
  /** The exact text of the order. */
  readonly task: string;
  /** The id of the task. */
  readonly id: string;
  /** The hash of its exact bytes. */
  readonly hash: string;
  /** The id of the wallet that it uses, or makes. */
  readonly wallet: string;
}

/** What an authenticator returned: the `response` of the credential. */
export interface AssertionResponse {
  readonly clientDataJSON: ArrayBuffer | Uint8Array;
  readonly authenticatorData: ArrayBuffer | Uint8Array;
  readonly signature: ArrayBuffer | Uint8Array;
}

/** A vote with what was found out about it. */
export interface JudgedVote {
  /**
   * The approver's name in the profile; if that lists nobody, as the coordinator tells it. Null if the vote cannot be read,
   * or its key is nobody's in the profile.
   */
  readonly name: string | null;
  /**
   * `genuine`: it proves itself, and counts. `passkey`: made by one, and the profile names no pages that may collect such
   * votes, so it can neither be believed nor be called forged. `early`: an approval made in the future. `own`: an approval
   * by whoever ordered the task, whom nodes do not count unless a rule says so. `unlisted`: of a key that nobody has of
   * those whom the profile lists. `forged`: forged, or for another task. `unreadable`: of a later version.
   */
  readonly finding: "genuine" | "passkey" | "early" | "own" | "unlisted" | "forged" | "unreadable";
  /** Why it does not count, for people. */
  readonly problem: string | null;
  /** Null if it cannot be read. */
  readonly vote: Vote | null;
}

/**
 * The votes on a task, counted here: the latest genuine vote of each person, by the profile's `approvers`, or of each key, if
 * the profile lists nobody.
 */
export interface Votes {
  readonly task: string;
  /** The hash of the task's exact bytes, which every vote on it names. */
  readonly hash: string;
  /** The number of people who have to approve, by the order. */
  readonly needed: number;
  readonly until: Date;
  readonly approved: number;
  readonly rejected: number;
  /** In the order of arrival. */
  readonly votes: readonly JudgedVote[];
  /** Names of those who have not voted, by the coordinator's word. */
  readonly missing: readonly string[];
  /** The coordinator's own count. */
  readonly told: Collecting | null;
}

/** As the order has it. */
export function collected({ votes, until }: Collect): { readonly votes: number; readonly until: number } {
  const end = until instanceof Date ? until.getTime() : until;
  if (Number.isInteger(end)) return { votes, until: end };
  throw new UsageError("usage", "`until` of the votes is no time; give a Date, or milliseconds since 1970");
}

/** In hexadecimal, as the module reads it. */
export function assertionOf({ clientDataJSON, authenticatorData, signature }: AssertionResponse): object {
  const hex = (bytes: ArrayBuffer | Uint8Array): string => toHex(bytes instanceof Uint8Array ? bytes : new Uint8Array(bytes));
  return {
    client_data: hex(clientDataJSON),
    authenticator_data: hex(authenticatorData),
    signature: hex(signature),
  };
}
