/** What one's own organisation says: whom it knows, and which wallets it believes. It comes from the server of this page. */

import { labelsOf, type Labels } from "./labels.js";
import type { Profile } from "../../clients/typescript/src/index.js";

/** The profile and the wallet book of the organisation. */
export interface Organisation {
  readonly profile: Profile;
  /** Text of the wallet book. Every wallet in it is verified here before it is used. */
  readonly book: string;
  /** Names of addresses, which the organisation keeps itself. */
  readonly labels: Labels;
  /** Host of the coordinator, for people. */
  readonly coordinator: string;
  /** Version of the server. */
  readonly version: string;
}

/** Why the answer is not what this page can work with. */
export class UnusableOrganisation extends Error {
  constructor(member: string) {
    super(`the organisation's server sent no good \`${member}\`; update the page (reload), or the server`);
  }
}

/** Reads the answer of `/organisation`. `base`: where this server passes requests on to the coordinator. */
export function organisationOf(document: unknown, base: string): Organisation {
  const whole = record(document, "document");
  const told = record(whole["profile"], "profile");
  const chains = told["chains"] === undefined ? {} : { chains: record(told["chains"], "chains") as Record<string, string> };
  const profile: Profile = {
    coordinator: base,
    nodes: texts(told["nodes"], "nodes"),
    trustedRequesters: texts(told["trusted_requesters"], "trusted_requesters"),
    ...chains,
    ...passkeys(told["passkeys"]),
    ...approvers(told["approvers"]),
  };
  const { book, coordinator, version } = whole;
  if (typeof book !== "string") throw new UnusableOrganisation("book");
  if (typeof coordinator !== "string") throw new UnusableOrganisation("coordinator");
  const labels = labelsOf(texts(whole["labels"], "labels"));
  return { profile, book, labels, coordinator, version: typeof version === "string" ? version : "" };
}

/** Names of nodes by id. */
export function nodeNames(profile: Profile): ReadonlyMap<string, string> {
  return new Map(Object.entries(profile.nodes).map(([name, id]) => [id, name]));
}

/** The profile's name for a requester. */
export function requesterName(profile: Profile, requester: string): string | null {
  const found = Object.entries(profile.trustedRequesters ?? {}).find(([, id]) => id === requester);
  return found ? found[0] : null;
}

/** The person who has this key, by the profile. */
export function approverName(profile: Profile, approver: string): string | null {
  const found = Object.entries(profile.approvers ?? {}).find(([, keys]) => keys.includes(approver));
  return found ? found[0] : null;
}

function passkeys(told: unknown): Pick<Profile, "passkeys"> {
  if (told === undefined || told === null) return {};
  const { rp_id, origins } = record(told, "passkeys");
  if (typeof rp_id !== "string" || !isTexts(origins)) throw new UnusableOrganisation("passkeys");
  return { passkeys: { rpId: rp_id, origins } };
}

/** Absent and empty differ: an empty list says that nobody's votes count. */
function approvers(told: unknown): Pick<Profile, "approvers"> {
  if (told === undefined || told === null) return {};
  const people = record(told, "approvers");
  for (const keys of Object.values(people)) if (!isTexts(keys)) throw new UnusableOrganisation("approvers");
  return { approvers: people as Record<string, readonly string[]> };
}

function texts(told: unknown, member: string): Record<string, string> {
  const found = record(told ?? {}, member);
  for (const one of Object.values(found)) if (typeof one !== "string") throw new UnusableOrganisation(member);
  return found as Record<string, string>;
}

function record(told: unknown, member: string): Record<string, unknown> {
  if (typeof told === "object" && told !== null && !Array.isArray(told)) return told as Record<string, unknown>;
  throw new UnusableOrganisation(member);
}

function isTexts(told: unknown): told is readonly string[] {
  return Array.isArray(told) && told.every((one) => typeof one === "string");
}
