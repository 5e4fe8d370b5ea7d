/** What waits for the person in front of this page, and what she said last. */

import type { Votes } from "../../clients/typescript/src/index.js";

/** True if votes are collected now, and none of these keys has said what it can: her own order waits for others. */
export function waitsFor(keys: ReadonlySet<string>, votes: Pick<Votes, "votes" | "until">, now: number): boolean {
  if (keys.size === 0 || votes.until.getTime() <= now) return false;
  const said = (finding: string): boolean => finding === "genuine" || finding === "own";
  return !votes.votes.some(({ finding, vote }) => said(finding) && vote !== null && keys.has(vote.approver));
}

/**
 * The time of the newest vote that one of these keys made, whether it counts or not; null if there is none. A later vote of the
 * same person is only counted if its time is later.
 */
export function lastVote(keys: ReadonlySet<string>, { votes }: Pick<Votes, "votes">): number | null {
  const made = votes.filter(({ finding }) => ["genuine", "early", "own", "unlisted"].includes(finding));
  const times = made.flatMap(({ vote }) => (vote !== null && keys.has(vote.approver) ? [vote.time] : []));
  return times.length === 0 ? null : times.reduce((one, other) => Math.max(one, other));
}

/** True if one of these keys made a vote later than `time`, so that one of this time does not count. */
export function isOvertaken(keys: ReadonlySet<string>, listed: Pick<Votes, "votes">, time: number): boolean {
  const last = lastVote(keys, listed);
  return last !== null && last > time;
}

/** All keys of the people who have one of these: by the profile, a second passkey is the same person. */
export function ownKeys(
  remembered: readonly string[],
  approvers: Readonly<Record<string, readonly string[]>> | undefined,
): ReadonlySet<string> {
  const own = new Set(remembered);
  for (const keys of Object.values(approvers ?? {})) {
    if (keys.some((key) => remembered.includes(key))) for (const key of keys) own.add(key);
  }
  return own;
}
