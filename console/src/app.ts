/** What every view works with. */

import { Api } from "../../clients/typescript/src/api.js";
import { MemoryBook, Client, Unauthorized } from "../../clients/typescript/src/index.js";
import { nodeNames, organisationOf, type Organisation } from "./organisation.js";
import { remembered, type Remembered, type Store } from "./passkey.js";
import { Session } from "./session.js";
import { ownKeys } from "./waiting.js";

/** A signed-in page. */
export interface App {
  readonly session: Session;
  readonly client: Client;
  /** What no client has: keys, requesters, the audit log. */
  readonly api: Api;
  readonly organisation: Organisation;
  /** Names of nodes in the profile, by id. */
  readonly nodes: ReadonlyMap<string, string>;
  readonly store: Store;
  /** The hash of each order that was shown, by task: another one under the same id is not voted on. */
  readonly shownHashes: Map<string, string>;
  /** The hashes of orders whose text was read to its end. */
  readonly read: Set<string>;
  /** The time of the last vote that this page has sent, by the hash of the order. */
  readonly voted: Map<string, number>;
  readonly page: Page;
}

/** What views may do to the page around them. */
export interface Page {
  /** Draws the present view again. */
  redraw(): void;
  /** Says something that stays until the reader moves on. */
  notify(notice: Node): void;
}

/** What a view shows, and what it is about. */
export interface View {
  readonly title: string;
  readonly content: readonly Node[];
  /** Tasks and wallets whose changes concern it; `all`: any. */
  readonly about: ReadonlySet<string> | "all" | "nothing";
}

/** Fetches the organisation, and makes a client that believes it. */
export async function enter(session: Session, module: WebAssembly.Module, page: Page): Promise<App> {
  const organisation = organisationOf(await session.organisation(), Session.base(location.origin));
  const book = new MemoryBook(organisation.book);
  const client = await Client.create({ profile: organisation.profile, access: session, book, module });
  const nodes = nodeNames(organisation.profile);
  const api = new Api(organisation.profile.coordinator, session);
  const seen = { shownHashes: new Map<string, string>(), read: new Set<string>(), voted: new Map<string, number>() };
  return { session, client, api, organisation, nodes, store: storage(), ...seen, page };
}

/** The passkey that signed in, and those that this browser remembers. */
export function ownPasskeys({ session, store }: Pick<App, "session" | "store">): readonly Remembered[] {
  const { person } = session;
  const kept = remembered(store);
  if (person === null) return kept;
  return [person, ...kept.filter(({ approver }) => approver !== person.approver)];
}

/** All keys of the person in front of this page. */
export function keysOfOwner(app: App): ReadonlySet<string> {
  const approvers = ownPasskeys(app).map(({ approver }) => approver);
  return ownKeys(approvers, app.organisation.profile.approvers);
}

export function isSignedOut(error: unknown): boolean {
  return error instanceof Unauthorized && error.status === 401;
}

/** True if the coordinator says that this API key may not do it. */
export function isForbidden(error: unknown): boolean {
  return error instanceof Unauthorized && error.status === 403;
}

/** The storage of this browser, or one that is forgotten with the page. */
function storage(): Store {
  try {
    localStorage.getItem("countersign");
    return localStorage;
  } catch {
    const kept = new Map<string, string>();
    return { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => void kept.set(key, value) };
  }
}
