/** The client. */

import { accessOf, type Access } from "./access.js";
import { Api, hasEnded, pauseAfter, stateOf, type State } from "./api.js";
import { MemoryBook, type WalletBook, type Write } from "./book.js";
import { Core, fromHex, toHex, type Source } from "./core.js";
import {
  AnswerError,
  ApiError,
  Cancelled,
  CountersignError,
  Expired,
  Failed,
  InvalidResult,
  InvalidWebhook,
  NotFound,
  Pending,
  Rejected,
  Unavailable,
  Unreachable,
  UsageError,
  byCode,
} from "./errors.js";
import { Feed } from "./feed.js";
import {
  taskOf,
  walletOf,
  type Address,
  type CheckUp,
  type Decoded,
  type Finished,
  type Introduction,
  type Listed,
  type Signed,
  type Task,
  type Wallet,
} from "./models.js";
import type { Payload } from "./payload.js";
import { nodeOf, type Profile } from "./profile.js";
import type {
  Delivery,
  DeliveryPage,
  Event,
  KeyDescriptor,
  NodeView,
  Resend,
  Resent,
  Signed as SignedDocument,
  Submission as Order,
  TaskPage,
  TaskView,
  Vote,
  WebhookKeys,
  WebhookSpec,
  WebhookView,
} from "./schema.js";
import {
  assertionOf,
  collected,
  type AssertionResponse,
  type Ballot,
  type ByPasskey,
  type Choice,
  type Collect,
  type Examined,
  type JudgedVote,
  type OrderedTask,
  type OrderMessage,
  type VoteMessage,
  type Votes,
} from "./votes.js";
import { verified, type DeliveryHeaders, type WebhookDelivery, type WebhookOptions } from "./webhooks.js";

/** Default lifetime of an order for a wallet, in seconds: the first one of a committee may wait for prime numbers. */
const WALLET = 3600;
/** Default lifetime of an order for a signature. */
const SIGNATURE = 120;
/** Additional time for each further signature of the same order. */
const FURTHER = 5;
/** Time for the coordinator to report the end of an expired order. */
const REPORT = 5;
/** Time in seconds to find out whether a vote or an order arrived. */
const ARRIVAL = 30;
/** Limit of one long poll. */
const LONG_POLL = 25;
/** Pause between two attempts while the coordinator is away. */
const AWAY = 0.5;
/** The last millisecond of the year 9999. */
const LAST = 253_402_300_799_999;
/** Least time between two looks for new keys of webhooks, so that forged deliveries do not cause a request each. */
const NEW_KEYS = 60;

/** What a client is made of. */
export interface Settings {
  readonly profile: Profile;
  /** Absent: each request is signed by the requester's key, for the profile's `coordinatorId`. */
  readonly apiKey?: string;
  /** `csr-secret1…`. Absent: the client can only read, by an API key. Never keep one in a web page. */
  readonly requesterKey?: string;
  /** Proves requests in another way than by these keys: a page proves its session to the server that it came from. */
  readonly access?: Access;
  /** Absent: a book that is forgotten with the process. */
  readonly book?: WalletBook;
  /** The module, if the file beside this package cannot be read. */
  readonly module?: Source;
}

/** Options of every order. Times are in seconds. */
export interface OrderOptions {
  /** A remark for nodes' plugins and people. */
  readonly note?: string;
  /** Statements for nodes' plugins, by name. */
  readonly claims?: Readonly<Record<string, string>>;
  /**
   * Has people approve before the nodes are asked: the order lives for its usual time after `until`, and is waited for as
   * long, unless `timeout` limits the wait.
   */
  readonly collect?: Collect;
  /** The lifetime of the order, and the limit of the wait for it, which ends a few seconds later. */
  readonly timeout?: number;
  /** Sees the task at every change. */
  readonly progress?: (task: Task) => void;
}

export interface NewWallet extends OrderOptions {
  readonly name: string;
  readonly scheme: "ecdsa-secp256k1" | "ed25519" | "taproot" | "schnorr-secp256k1";
  readonly nodes: readonly string[];
  /** The number of nodes that must sign. */
  readonly threshold: number;
}

export interface Reshare extends OrderOptions {
  readonly nodes: readonly string[];
  readonly threshold: number;
  /** Present members that deal. Absent: the coordinator chooses. */
  readonly dealers?: readonly string[];
}

export interface SignOptions extends OrderOptions {
  /** The child that signs; `m` for payloads that name their paths themselves. */
  readonly path?: string;
  /** The nodes that sign. Absent: the coordinator chooses. */
  readonly signers?: readonly string[];
}

export interface EventOptions {
  /**
   * Where to begin: behind the event with this `cursor`, the last one that you have; `now`, for what happens from now on,
   * which it is if absent; or `oldest`, for all events that the coordinator keeps.
   */
  readonly after?: string;
  /** Only events of these wallets. */
  readonly wallet?: string | readonly string[];
  /** Only events of these types. */
  readonly type?: string | readonly string[];
  /** Seconds without a coordinator after which an error is thrown; without end if absent, if it was ever there. */
  readonly patience?: number;
  /** Ends the events. */
  readonly signal?: AbortSignal;
}

export interface NewWebhook extends Omit<WebhookSpec, "format"> {
  readonly format?: "standard" | "cobo-v2";
}

interface Entry {
  readonly wallet: KeyDescriptor;
  readonly belief: object | null;
}

interface Recorded {
  readonly wallet: KeyDescriptor;
  readonly write: Write;
}

interface Introduced {
  readonly id: string;
  readonly told: KeyDescriptor;
  readonly generations: readonly KeyDescriptor[];
  readonly order: Order | null;
  readonly passkeys: object | null;
}

interface Ordered {
  readonly id: string;
  readonly requester: string;
  readonly wallet: string;
  /** The end of its life, in milliseconds since 1970. */
  readonly not_after: number;
  readonly hash: string;
  readonly collect?: { readonly votes: number; readonly until: number };
  readonly operation: Readonly<Record<string, { readonly path: string; readonly payload: object }>>;
}

/**
 * A requester at one coordinator. It trusts neither the coordinator nor the nodes. Wallets are given by id, or by name in
 * the wallet book; nodes by id, or by name in the profile.
 */
export class Client {
  readonly profile: Profile;
  /** The id of the requester; null without a requester key. */
  readonly requester: string | null;
  readonly #core: Core;
  readonly #api: Api;
  readonly #key: string | undefined;
  readonly #book: WalletBook;
  #webhookKeys: WebhookKeys | undefined;
  /** The last request for keys, and the time until which it is the only one. */
  #look: { readonly keys: Promise<WebhookKeys>; readonly until: number } | undefined;

  private constructor(core: Core, settings: Settings) {
    this.profile = settings.profile;
    this.#core = core;
    const { apiKey, requesterKey } = settings;
    const { coordinator, coordinatorId } = settings.profile;
    const access = settings.access ?? accessOf(core, { apiKey, requesterKey, coordinatorId });
    this.#api = new Api(coordinator, access);
    this.#key = requesterKey;
    this.#book = settings.book ?? new MemoryBook();
    this.requester =
      this.#key === undefined ? null : core.call<{ requester: string }>("requester.id", { key: this.#key }).requester;
  }

  static async create(settings: Settings): Promise<Client> {
    return new Client(await Core.load(settings.module), settings);
  }

  // Wallets

  /** Creates a wallet, verifies it, and writes it into the wallet book. */
  async createWallet(wallet: NewWallet): Promise<Wallet> {
    const api = this.#timed(wallet, WALLET);
    return (await this.#carryOut(api, this.#creation(wallet), wallet, WALLET)) as Wallet;
  }

  /** Hands a wallet over to these nodes. Key and addresses stay. */
  async reshare(wallet: string, to: Reshare): Promise<Wallet> {
    const api = this.#timed(to, WALLET);
    const { descriptor } = await this.#newestWallet(api, wallet);
    const dealers = to.dealers ? this.#nodes(to.dealers) : null;
    const { threshold } = to;
    const operation = { reshare: { from: descriptor, nodes: this.#nodes(to.nodes), threshold, dealers } };
    return (await this.#carryOut(api, operation, to, WALLET)) as Wallet;
  }

  /** Has nodes, by default all members, prove that they hold their shares. Nothing is signed. */
  async checkUp(wallet: string, options: OrderOptions & { readonly nodes?: readonly string[] } = {}): Promise<CheckUp> {
    const api = this.#timed(options, SIGNATURE);
    const known = await this.#newestWallet(api, wallet);
    const nodes = options.nodes ? this.#nodes(options.nodes) : known.nodes;
    const operation = { "check-up": { wallet: known.id, nodes } };
    return (await this.#carryOut(api, operation, options, SIGNATURE)) as CheckUp;
  }

  /** A believed wallet: from the book, or, at first sight, if the profile has all its members and its requester. */
  async wallet(wallet: string): Promise<Wallet> {
    return await this.#wallet(this.#api, wallet);
  }

  /** A believed wallet in the newest generation, followed from the book's to the coordinator's. */
  async newestWallet(wallet: string): Promise<Wallet> {
    return await this.#newestWallet(this.#api, wallet);
  }

  /** Every wallet that the coordinator knows or the book has, with this client's opinion. */
  async wallets(): Promise<Listed[]> {
    const entries = this.#core.call<Entry[]>("book.wallets", { book: await this.#book.read() });
    const book = new Map(entries.map((entry) => [entry.wallet.key, entry]));
    const listed: Listed[] = [];
    for (const told of await this.#api.wallets()) {
      listed.push(await this.#list(told, book.get(told.key)));
      book.delete(told.key);
    }
    for (const { wallet } of book.values()) listed.push({ wallet: walletOf(wallet), standing: "untold" });
    return listed;
  }

  /** A wallet for a person to compare with its owners. Nothing is believed or written. */
  async introduce(id: string): Promise<Introduction> {
    const introduced = await this.#introduced(this.#api, id, await told(this.#api, id));
    const shown = this.#core.call<{ wallet: KeyDescriptor; lines: string[]; doubts: string[]; fingerprint: string }>(
      "wallet.introduce",
      { introduced, known: this.#known() },
    );
    return { ...shown, wallet: walletOf(shown.wallet) };
  }

  /** Believes a wallet on a person's word. `fingerprint` is that of what the person compared. */
  async trust(id: string, word: { readonly fingerprint: string; readonly reason: string }): Promise<Wallet> {
    const introduced = await this.#introduced(this.#api, id, await told(this.#api, id));
    const { fingerprint, reason } = word;
    return await this.#record("wallet.trust", { introduced, fingerprint, reason, now: Date.now() });
  }

  /** The child of a wallet at `path`, with its addresses. */
  async address(wallet: string, path = "m", scriptRoot?: Uint8Array): Promise<Address> {
    const { descriptor } = await this.wallet(wallet);
    const script_root = scriptRoot ? toHex(scriptRoot) : null;
    const chains = this.#chains();
    const child = this.#core.call<{ public_key: string; addresses: Record<string, string> }>("wallet.child", {
      wallet: descriptor,
      path,
      chains,
      script_root,
    });
    return { path, publicKey: fromHex(child.public_key), addresses: child.addresses };
  }

  /** `xpub…` (BIP-32) for secp256k1, `cpub…` for Ed25519. */
  extendedPublicKey(wallet: Wallet): string {
    return this.#core.call<string>("wallet.root_key", { wallet: wallet.descriptor });
  }

  // Signatures

  /** What a payload asks to be signed, and what that does. An error says why nobody signs it. */
  async decode(wallet: string, payload: Payload, path = "m"): Promise<Decoded> {
    const { descriptor } = await this.wallet(wallet);
    return this.#decode(descriptor, this.#document(payload), path);
  }

  /**
   * Has a payload signed, and verifies each signature under the child key derived here. The order lives for `timeout`
   * seconds, by default 120 and 5 for each further signature; the call ends some seconds later, however slowly a
   * coordinator answers. Throws `Rejected`, `Failed` or `Expired` if the coordinator tells that it ended without a result,
   * and `Pending` if it has not ended. It may be signed until its `notAfter` all the same: send no new one before.
   */
  async sign(wallet: string, payload: Payload, options: SignOptions = {}): Promise<Signed> {
    const { api, operation, life } = await this.#signature(wallet, payload, options);
    return (await this.#carryOut(api, operation, options, life)) as Signed;
  }

  /** Orders a signature and does not wait for it. Ask `result` for it, now or later. */
  async submit(wallet: string, payload: Payload, options: SignOptions = {}): Promise<Task> {
    const { api, operation, life } = await this.#signature(wallet, payload, options);
    const order = this.#order(operation, options, options.timeout ?? life);
    return taskOf(await this.#handIn(api, order, later((options.timeout ?? life) + REPORT)));
  }

  /**
   * The verified result of an order of this requester. Throws `Pending` if it has not ended after `timeout` seconds, by
   * default an hour, which begins at the end of the votes if it collects them.
   */
  async result(
    task: string,
    options: Pick<OrderOptions, "timeout" | "progress"> = {},
  ): Promise<Wallet | Signed | CheckUp> {
    let until = later(options.timeout ?? WALLET);
    const view = await this.#view(this.#api.within({ until }), task);
    const order = orderIn(view);
    const { collect } = this.#own(order);
    if (collect && options.timeout === undefined) until += Math.max(collect.until - Date.now(), 0);
    const api = this.#api.within({ until });
    const ended = await this.#follow(api, view, until, options.progress);
    return await this.#judge(api, order, ended);
  }

  /**
   * The task now and after each change of its state, until it has ended. States are the coordinator's word. `break` and
   * `return` end requests and the stream, also while `next` waits.
   */
  follow(task: string): AsyncGenerator<Task, void, void> {
    const end = new AbortController();
    return closable(this.#states(task, end.signal), end);
  }

  async *#states(task: string, stop: AbortSignal): AsyncGenerator<Task, void, void> {
    const api = this.#api.within({ stop });
    let seen = await this.#view(api, task);
    yield taskOf(seen);
    const feed = feedOf(api, seen);
    try {
      while (!hasEnded(seen) && !stop.aborted) {
        const news = await this.#next(api, seen, feed, LONG_POLL);
        if (news.revision !== seen.revision) yield taskOf(news);
        seen = news;
      }
    } finally {
      feed.stop();
    }
  }

  /**
   * Events without end, oldest first, through lost connections and restarts of the coordinator. Keep the `cursor` of the
   * last one, and nothing is missed from one process to the next; `CursorGone` says that it is too old. Events are the
   * coordinator's word: have a result verified (`result`) before you act on it. `break`, `return` and the `signal` end
   * requests and the stream, also while `next` waits.
   */
  events(options: EventOptions = {}): AsyncGenerator<Event, void, void> {
    const end = new AbortController();
    return closable(this.#events(options, end), end);
  }

  async *#events(options: EventOptions, end: AbortController): AsyncGenerator<Event, void, void> {
    const { signal } = options;
    const stop = (): void => end.abort();
    signal?.addEventListener("abort", stop);
    if (signal?.aborted) stop();
    let feed: Feed | undefined;
    try {
      feed = await this.#feed(options, end.signal);
      while (!end.signal.aborted) {
        const event = await feed.next();
        if (event && !end.signal.aborted) yield event;
      }
    } finally {
      feed?.stop();
      signal?.removeEventListener("abort", stop);
    }
  }

  async #feed(options: EventOptions, stop: AbortSignal): Promise<Feed> {
    if ("after" in options && typeof options.after !== "string") {
      const advice = "give `now`, `oldest` or the cursor of an event, or leave it out for `now`";
      throw new UsageError("usage", `\`after\` says where to begin; ${advice}`);
    }
    const wallets = await Promise.all(several(options.wallet).map((wallet) => this.#idOf(wallet)));
    const selected: Record<string, string> = {};
    if (wallets.length > 0) selected["wallet"] = wallets.join(",");
    if (several(options.type).length > 0) selected["type"] = several(options.type).join(",");
    const patience = options.patience === undefined ? {} : { patience: options.patience * 1000 };
    const feed = new Feed(this.#api, { selected, after: options.after ?? "now", ...patience });
    stop.addEventListener("abort", () => feed.stop());
    if (stop.aborted) feed.stop();
    return feed;
  }

  /**
   * The signed payload in the form that its chain takes. `form`: of a PSBT the finalised PSBT, or the network transaction,
   * which needs everybody's signatures. Everything is decoded and verified again.
   */
  async finish(signed: Signed, form: "psbt" | "transaction" = "psbt"): Promise<Finished> {
    const view = await this.#view(this.#api, signed.task);
    const sign = this.#own(view).operation["key-sign"];
    if (!sign) throw nothing();
    const { descriptor } = await this.wallet(signed.wallet);
    const { path, payload } = sign;
    const finished = this.#core.call<{ bytes: string; missing: number }>("payload.finish", {
      wallet: descriptor,
      path,
      payload,
      chains: this.#chains(),
      signed: signed.document,
      form,
    });
    return { bytes: fromHex(finished.bytes), missing: finished.missing };
  }

  // Tasks and nodes

  /** A task. Its order is verified; everything else is the coordinator's word. */
  async task(task: string): Promise<Task> {
    return taskOf(await this.#view(this.#api, task));
  }

  /**
   * The order of a task as its requester signed it, decoded here; also of one that has ended or collects no votes. Whether
   * its requester is trusted is not judged. An error says why it is not shown, such as a wallet that is not believed.
   */
  async read(task: Task): Promise<OrderedTask> {
    const order = orderIn(task.view);
    const ordered = this.#read(order);
    const wallet = "key-gen" in ordered.operation ? null : await this.#newestWallet(this.#api, ordered.wallet);
    const decoded = this.#subject(order, wallet);
    return { task: task.id, hash: ordered.hash, requester: ordered.requester, ordered: { ...ordered }, wallet, decoded };
  }

  /** A page of tasks as the coordinator tells it, newest first. `state`: those in one of these. */
  async tasks(
    page: { readonly limit?: number; readonly cursor?: string; readonly state?: readonly State[] } = {},
  ): Promise<TaskPage> {
    return await this.#api.tasks(page.limit ?? 50, page.cursor, page.state?.join(","));
  }

  /** The nodes as the coordinator sees them. */
  async nodes(): Promise<readonly NodeView[]> {
    return await this.#api.nodes();
  }

  // Votes

  /**
   * The votes on a task, each verified here, and their count; null if it collects none. Votes by passkey count if the
   * profile has `passkeys`. Names are those of its `approvers`; without them, the coordinator's word, as is who is missing.
   */
  async votes(task: string): Promise<Votes | null> {
    const order = orderIn(await this.#view(this.#api, task));
    const { collect } = this.#read(order);
    return collect ? this.#count(order, await this.#api.votes(task)) : null;
  }

  /**
   * A task to vote on, for a person to look at. Refuses one that collects no votes or none any more, of a requester who is
   * not under `trustedRequesters` (if the profile names any), or of a wallet that is not believed.
   */
  async examine(task: string): Promise<Examined> {
    const view = await this.#api.task(task);
    const asked = { id: task, view, known: this.#known(), passkeys: this.#pages(), now: Date.now() };
    const ordered = this.#core.call<Asked>("vote.examine", asked);
    const order = orderIn(view);
    const isNew = "key-gen" in ordered.operation;
    const wallet = isNew ? null : await this.#newestWallet(this.#api, ordered.wallet);
    const decoded = this.#subject(order, wallet);
    const { hash, requester, collect } = ordered;
    const until = new Date(Math.min(collect.until, LAST));
    return { task, hash, requester, needed: collect.votes, until, ordered: { ...ordered }, wallet, decoded, order };
  }

  /** The effect of an order on its wallet; null if it signs nothing. */
  #subject(order: Order, wallet: Wallet | null): Decoded | null {
    if (!wallet) return null;
    const subject = { order, wallet: wallet.descriptor, chains: this.#chains(), passkeys: this.#pages() };
    const shown = this.#core.call<DecodedDocument | null>("vote.subject", subject);
    return shown ? decodedOf(shown) : null;
  }

  /**
   * The id (`csv1…`) of a passkey as an approver, which operators list. `key` is what `getPublicKey()` of the new credential
   * returns: a SubjectPublicKeyInfo of P-256 in DER.
   */
  approverOfPasskey(key: ArrayBuffer | Uint8Array): string {
    const spki = toHex(key instanceof Uint8Array ? key : new Uint8Array(key));
    return this.#core.call<{ approver: string }>("vote.passkey", { spki }).approver;
  }

  /**
   * What the passkey of an approver signs to vote on exactly what was examined. Made anew for each vote. The vote is later
   * than `after`, the time of the person's newest vote on it, which counts no more then.
   */
  voteMessage(
    examined: Examined,
    by: { readonly approver: string; readonly choice: Choice; readonly after?: number },
  ): VoteMessage {
    const { approver, choice, after = null } = by;
    const order = orderIn(examined.order);
    const asked = { order, approver, choice, time: Date.now(), after, passkeys: this.#pages() };
    const message = this.#core.call<{ challenge: string; ballot: Ballot }>("vote.message", asked);
    return { challenge: fromHex(message.challenge) as Uint8Array & BufferSource, ballot: message.ballot };
  }

  /**
   * The vote that an authenticator signed, as nodes check it on the pages of the profile's `passkeys`. Nothing that does
   * not prove itself is returned.
   */
  voteFromAssertion(ballot: Ballot, response: AssertionResponse): Vote {
    const passkeys = this.#pages();
    if (!passkeys) throw new UsageError("usage", "no page may collect votes; name yours under `passkeys` in the profile");
    return this.#core.call<Vote>("vote.from_assertion", { ballot, passkeys, ...assertionOf(response) });
  }

  /**
   * Hands in a vote, and sees that the coordinator lists it, and no newer one of the same key. The same one may be handed in
   * again.
   */
  async submitVote(examined: Examined, vote: Vote): Promise<Votes> {
    const { arrival, ...count } = await this.#handInVote(examined, vote);
    if (arrival === "listed" || arrival === "known") return votesOf(count);
    if (arrival === "not-newest") {
      const advice = "a newer vote of the same key is listed; find out who else votes with this key, and vote again";
      throw byCode("vote-not-newest", `the vote on task ${examined.task} arrived, but does not count: ${advice}`, []);
    }
    const kept = "it may have kept it back, and may still hand it to the nodes";
    const advice = "look at the task, and if the vote must not count, make the opposite one";
    const message = `the coordinator does not list the vote that it took on task ${examined.task}; ${kept}: ${advice}`;
    throw byCode("vote-not-listed", message, []);
  }

  /**
   * Once the vote may have arrived, hands in the same one again until it is known whether it did: what is called not voted
   * must not count.
   */
  async #handInVote(examined: Examined, vote: Vote): Promise<CountDocument> {
    const { task, order } = examined;
    const until = later(ARRIVAL);
    const api = this.#api.within({ until });
    let arrived = false;
    for (;;) {
      let failure: ApiError | AnswerError | Unreachable;
      try {
        return this.#counted(orderIn(order), await api.vote(task, vote), vote);
      } catch (error) {
        if (!isAnswerTo(error)) throw error;
        failure = error;
      }
      arrived ||= voteMayHaveArrived(failure);
      if (!arrived) throw failure;
      if (Date.now() >= until || isFinalAnswerTo(failure)) {
        const advice = "and it may count; look at the task before you vote again";
        const message = `whether the vote on task ${task} arrived is not known (${failure.message}), ${advice}`;
        throw byCode("vote-unknown", message, []);
      }
      await api.pause(pauseAfter(failure, AWAY));
    }
  }

  /**
   * Votes with an Ed25519 key (`csv-secret1…`) on exactly what was examined, later than all votes of it that are listed:
   * another device's clock may be ahead. Never keep such a key in a web page.
   */
  async vote(examined: Examined, by: { readonly key: string; readonly choice: Choice }): Promise<Votes> {
    const { key, choice } = by;
    const order = orderIn(examined.order);
    const { approver } = this.#core.call<{ approver: string }>("vote.approver", { key });
    const { votes } = this.#count(order, await this.#api.votes(examined.task));
    const after = newestOf(approver, votes);
    const { time } = this.voteMessage(examined, { approver, choice, ...(after === null ? {} : { after }) }).ballot;
    return await this.submitVote(examined, this.#core.call<Vote>("vote.sign", { key, order, choice, time, passkeys: this.#pages() }));
  }

  #count(order: Order, told: object): Votes {
    return votesOf(this.#counted(order, told));
  }

  /** The count of the votes that the coordinator tells, and what became of the one that was handed in. */
  #counted(order: Order, told: object, vote: Vote | null = null): CountDocument {
    const known = { passkeys: this.#pages(), approvers: this.profile.approvers ?? null };
    return this.#core.call<CountDocument>("vote.count", { order, told, vote, ...known, now: Date.now() });
  }

  #pages(): object | null {
    const { passkeys } = this.profile;
    return passkeys ? { rp_id: passkeys.rpId, origins: passkeys.origins } : null;
  }

  // Orders by passkeys. A page never keeps a requester key, so a person's passkey signs.

  /**
   * The id (`csr1…`) of a passkey as a requester, which operators list. `key` is what `getPublicKey()` of the new credential
   * returns: a SubjectPublicKeyInfo of P-256 in DER.
   */
  requesterOfPasskey(key: ArrayBuffer | Uint8Array): string {
    const spki = toHex(key instanceof Uint8Array ? key : new Uint8Array(key));
    return this.#core.call<{ requester: string }>("requester.passkey", { spki }).requester;
  }

  /**
   * An order for signatures, for the passkey of `requester` to sign. Made anew for each order, and shown to the person
   * before; its life begins now. `collect`, `note` and so on as in {@link sign}.
   */
  async signMessage(wallet: string, payload: Payload, by: ByPasskey, options: SignOptions = {}): Promise<OrderMessage> {
    const { operation, life } = await this.#signature(wallet, payload, options);
    return this.#message(operation, by, options, life);
  }

  /** An order for a wallet, as {@link signMessage}. */
  createWalletMessage(wallet: NewWallet, by: ByPasskey): OrderMessage {
    return this.#message(this.#creation(wallet), by, wallet, WALLET);
  }

  /** An order for the next generation of a wallet, as {@link signMessage}. */
  async reshareMessage(wallet: string, to: Reshare, by: ByPasskey): Promise<OrderMessage> {
    const { descriptor } = await this.#newestWallet(this.#timed(to, WALLET), wallet);
    const dealers = to.dealers ? this.#nodes(to.dealers) : null;
    const { threshold } = to;
    const operation = { reshare: { from: descriptor, nodes: this.#nodes(to.nodes), threshold, dealers } };
    return this.#message(operation, by, to, WALLET);
  }

  /** An order for a check of shares, as {@link signMessage}. */
  async checkUpMessage(
    wallet: string,
    by: ByPasskey,
    options: OrderOptions & { readonly nodes?: readonly string[] } = {},
  ): Promise<OrderMessage> {
    const known = await this.#newestWallet(this.#timed(options, SIGNATURE), wallet);
    const nodes = options.nodes ? this.#nodes(options.nodes) : known.nodes;
    return this.#message({ "check-up": { wallet: known.id, nodes } }, by, options, SIGNATURE);
  }

  /**
   * What an order that was made here orders, decoded again from its exact bytes, for the person who is to sign them. The
   * wallet is verified, in its newest generation.
   */
  async preview(message: OrderMessage): Promise<OrderedTask> {
    const { task, id, hash } = message;
    const isNew = "key-gen" in ((JSON.parse(task) as Partial<Ordered>).operation ?? {});
    const wallet = isNew ? null : await this.#newestWallet(this.#api, message.wallet);
    const asked = { task, wallet: wallet?.descriptor ?? null, chains: this.#chains() };
    const { decoded, ...ordered } = this.#core.call<Ordered & { readonly decoded: DecodedDocument | null }>("order.preview", asked);
    if (ordered.hash !== hash || ordered.id !== id) throw nothing();
    const { requester } = ordered;
    return { task: id, hash, requester, ordered, wallet, decoded: decoded ? decodedOf(decoded) : null };
  }

  /** The id (`csr1…`) as a requester of an approver's key (`csv1…`): it is the same key. */
  requesterOfApprover(approver: string): string {
    return this.#core.call<{ requester: string }>("requester.of_approver", { approver }).requester;
  }

  /**
   * Hands in an order that was made here and signed by a passkey, and does not wait for its end. The same bytes are handed
   * in again until it is known whether they arrived; throws `Pending` if it is not after `timeout` seconds. The same order
   * may be handed in again then, and is one order.
   */
  async handInOrder(order: Order, options: { readonly timeout?: number } = {}): Promise<Task> {
    const until = later(options.timeout ?? ARRIVAL);
    return taskOf(await this.#handIn(this.#api.within({ until }), orderIn(order), until));
  }

  /**
   * The order that an authenticator signed, as nodes check it on the pages of the profile's `passkeys`. Nothing that does
   * not prove itself is returned.
   */
  orderFromAssertion(message: OrderMessage, response: AssertionResponse): Order {
    const passkeys = this.#pages();
    if (!passkeys) throw new UsageError("usage", "no page may ask passkeys; name yours under `passkeys` in the profile");
    const asked = { task: message.task, passkeys, ...assertionOf(response) };
    return orderIn(this.#core.call<Order>("order.from_assertion", asked));
  }

  /**
   * Hands in an order that was made here and signed by a passkey, follows it to its end, and verifies the result. Throws
   * what {@link sign} throws.
   */
  async submitOrder(
    order: Order,
    options: Pick<OrderOptions, "timeout" | "progress"> = {},
  ): Promise<Wallet | Signed | CheckUp> {
    const { not_after } = this.#read(order);
    const life = Math.max(0, (Math.min(not_after, LAST) - Date.now()) / 1000);
    const until = later((options.timeout ?? life) + REPORT);
    const api = this.#api.within({ until });
    const view = await this.#handIn(api, orderIn(order), until);
    return await this.#judge(api, orderIn(order), await this.#follow(api, view, until, options.progress));
  }

  #message(operation: object, { requester }: ByPasskey, options: OrderOptions, life: number): OrderMessage {
    const parts = { requester, ...this.#parts(operation, options, options.timeout ?? life) };
    const made = this.#core.call<Omit<OrderMessage, "challenge"> & { readonly challenge: string }>("order.message", parts);
    return { ...made, challenge: fromHex(made.challenge) as Uint8Array & BufferSource };
  }

  // Webhooks. All but `verifyWebhook` need the scope `admin`.

  /** The receivers of events. */
  async webhooks(): Promise<readonly WebhookView[]> {
    return await this.#api.webhooks();
  }

  /** Creates or replaces a receiver, which gets the events from now on. */
  async createWebhook(name: string, webhook: NewWebhook): Promise<WebhookView> {
    const { wallets } = webhook;
    const ids = wallets ? { wallets: await Promise.all(wallets.map((wallet) => this.#idOf(wallet))) } : {};
    return await this.#api.putWebhook(name, { ...webhook, ...ids });
  }

  /** Deletes a receiver and the log of its deliveries. */
  async deleteWebhook(name: string): Promise<void> {
    await this.#api.deleteWebhook(name);
  }

  /** Sends an event of the type `webhook.test` to this receiver. */
  async testWebhook(name: string): Promise<Delivery> {
    return await this.#api.testWebhook(name);
  }

  /** A page of the deliveries to a receiver, newest first. */
  async deliveries(
    name: string,
    page: { readonly state?: string; readonly limit?: number; readonly cursor?: string } = {},
  ): Promise<DeliveryPage> {
    return await this.#api.deliveries(name, page.state, page.limit ?? 50, page.cursor);
  }

  /** Sends events again, with the ids that they had. */
  async resend(name: string, selected: Resend): Promise<Resent> {
    return await this.#api.resend(name, selected);
  }

  /** The keys that the coordinator says it signs deliveries with. They are as good as the connection to it. */
  async webhookKeys(): Promise<WebhookKeys> {
    return await this.#api.webhookKeys();
  }

  /**
   * The event of a delivery, as the function `verifyWebhook`, by the profile's `webhookKeys`. If it has none, by the keys
   * that the coordinator tells over this client's connection; those that are new there are looked for once a minute.
   */
  async verifyWebhook(
    headers: DeliveryHeaders,
    body: Uint8Array,
    options: WebhookOptions = {},
  ): Promise<WebhookDelivery> {
    const { webhookKeys } = this.profile;
    if (webhookKeys && webhookKeys.length > 0) return verified(this.#core, headers, body, webhookKeys, options);
    const known = this.#webhookKeys;
    if (known) {
      try {
        return verified(this.#core, headers, body, known, options);
      } catch (error) {
        if (!(error instanceof InvalidWebhook)) throw error;
      }
    }
    const keys = await this.#newerWebhookKeys();
    this.#webhookKeys = keys;
    return verified(this.#core, headers, body, keys, options);
  }

  /** The coordinator's keys, asked for once a minute at most. Within that minute, its answer or its error again. */
  #newerWebhookKeys(): Promise<WebhookKeys> {
    if (this.#look === undefined || Date.now() >= this.#look.until) {
      this.#look = { until: later(NEW_KEYS), keys: this.#api.publishedWebhookKeys() };
    }
    return this.#look.keys;
  }

  // Parts of them

  /** Requests for an order with this lifetime, within it and the time for its end. */
  #timed(options: OrderOptions, life: number): Api {
    return this.#api.within({ until: later((options.timeout ?? life + voting(options)) + REPORT) });
  }

  async #signature(
    wallet: string,
    payload: Payload,
    options: SignOptions,
  ): Promise<{ api: Api; operation: object; life: number }> {
    const api = this.#timed(options, SIGNATURE);
    const { id, descriptor } = await this.#wallet(api, wallet);
    const path = options.path ?? "m";
    const document = this.#document(payload);
    const { inputs } = this.#decode(descriptor, document, path);
    const signers = options.signers ? this.#nodes(options.signers) : null;
    const life = SIGNATURE + FURTHER * (inputs.length - 1);
    const operation = { sign: { wallet: id, path, payload: document, signers } };
    return { api: options.timeout === undefined ? this.#timed(options, life) : api, operation, life };
  }

  #creation({ name, scheme, threshold, nodes }: NewWallet): object {
    return { "create-wallet": { name, scheme, nodes: this.#nodes(nodes), threshold } };
  }

  #order(operation: object, options: OrderOptions, life: number): Order {
    if (this.#key === undefined) {
      throw new UsageError("usage", "there is no requester key; pass `requesterKey`, or name its file in the profile");
    }
    return orderIn(this.#core.call<Order>("order.sign", { key: this.#key, ...this.#parts(operation, options, life) }));
  }

  /** All of an order but its requester. */
  #parts(operation: object, options: OrderOptions, life: number): object {
    return {
      id: this.#core.random(16),
      now: Date.now(),
      life_ms: Math.max(1, Math.floor(life * 1000)),
      note: options.note ?? null,
      claims: options.claims ?? {},
      collect: options.collect ? collected(options.collect) : null,
      operation,
    };
  }

  async #carryOut(api: Api, operation: object, options: OrderOptions, life: number): Promise<Wallet | Signed | CheckUp> {
    const order = this.#order(operation, options, options.timeout ?? life);
    const until = later((options.timeout ?? life + voting(options)) + REPORT);
    const view = await this.#handIn(api, order, until);
    return await this.#judge(api, order, await this.#follow(api, view, until, options.progress));
  }

  /**
   * Once the order may have arrived, submits the same bytes again until it is known whether it did: a second order in its
   * place might be carried out twice.
   */
  async #handIn(api: Api, order: Order, until: number): Promise<TaskView> {
    const { id } = this.#read(order);
    let arrived = false;
    for (;;) {
      let pause = AWAY;
      try {
        return about(id, await api.submit(order));
      } catch (error) {
        // `fetch` does not tell whether a request that failed was sent.
        arrived ||= error instanceof Unreachable || (error instanceof Unavailable && error.status !== 429 && error.code !== "too-many-tasks");
        if (!arrived || !isPassing(error)) throw error;
        pause = pauseAfter(error, AWAY);
      }
      const left = (until - Date.now()) / 1000;
      if (left <= 0) throw new Pending(id);
      await api.pause(Math.min(pause, Math.max(left, AWAY)));
    }
  }

  /** Waits until the task ends, through a coordinator that is away for a moment. */
  async #follow(api: Api, view: TaskView, until: number, progress?: (task: Task) => void): Promise<TaskView> {
    progress?.(taskOf(view));
    let seen = view;
    const feed = feedOf(api, view);
    try {
      while (!hasEnded(seen)) {
        const left = (until - Date.now()) / 1000;
        if (left <= 0) throw new Pending(seen.id);
        const news = await this.#next(api, seen, feed, left);
        if (news.revision !== seen.revision) progress?.(taskOf(news));
        seen = news;
      }
      return seen;
    } finally {
      feed.stop();
    }
  }

  /**
   * The task after its next change, or as it was after a while. The feed says when to look, and no more; the task is asked
   * for instead at the end of the time, and where no stream comes through.
   */
  async #next(api: Api, seen: TaskView, feed: Feed, left: number): Promise<TaskView> {
    const { id, revision } = seen;
    let wait: { seconds: number; revision: number } | undefined;
    if (left >= LONG_POLL && !feed.refused) {
      try {
        if (!(await feed.concerns(id, revision))) return seen;
      } catch (error) {
        if (!(error instanceof AnswerError)) throw error;
        feed.refused = true;
        feed.stop();
        return seen;
      }
    } else {
      feed.stop();
      wait = { seconds: Math.max(1, Math.min(Math.floor(left), LONG_POLL)), revision };
    }
    try {
      return about(id, await api.task(id, wait));
    } catch (error) {
      if (!isPassing(error)) throw error;
      await api.pause(Math.min(pauseAfter(error, AWAY), Math.max(left, 0)));
      return seen;
    }
  }

  /** The result of an order that was made here, verified against the exact bytes that its requester signed. */
  async #judge(api: Api, order: Order, view: TaskView): Promise<Wallet | Signed | CheckUp> {
    const task = this.#read(order);
    this.#throwEnd(view, new Date(Math.min(task.not_after, LAST)));
    const [kind, claim] = Object.entries(view.result ?? {})[0] ?? [];
    const own = { own: task.requester, order, passkeys: this.#pages() };
    switch (`${Object.keys(task.operation)[0]} ${kind}`) {
      case "key-gen created":
        return await this.#record("wallet.created", { ...own, made: claim, now: Date.now() });
      case "key-reshare reshared":
        return await this.#record("wallet.reshared", { ...own, made: claim, now: Date.now() });
      case "key-sign signed": {
        const { descriptor } = await this.#wallet(api, task.wallet);
        const document = { ...own, wallet: descriptor, signed: claim, chains: this.#chains() };
        return signedOf(this.#core.call<Verified>("result.signed", document));
      }
      case "key-share-sign intact": {
        const wallet = await this.#newestWallet(api, task.wallet);
        const document = { ...own, wallet: wallet.descriptor, intact: claim };
        const proofs = this.#core.call<{ node: string }[]>("result.intact", document);
        return { kind: "check-up", task: task.id, wallet, nodes: proofs.map((proof) => proof.node) };
      }
      default:
        throw nothing();
    }
  }

  #throwEnd(view: TaskView, notAfter: Date): void {
    if (view.state === "completed") return;
    const { reason } = view;
    const Ended = endOf(view);
    if (!reason) {
      throw new Ended(view.id, "unknown", "the coordinator gives no reason; see its log", [], null, notAfter);
    }
    const message = Object.entries(this.profile.nodes).reduce(
      (text, [name, id]) => text.replaceAll(id, name),
      reason.message,
    );
    throw new Ended(view.id, reason.code, message, reason.nodes, reason.plugin ?? null, notAfter);
  }

  /** A task whose order is verified, and whose summary is of that order. */
  async #view(api: Api, id: string): Promise<TaskView> {
    const view = await api.task(id);
    this.#core.call("order.told", { id, view, passkeys: this.#pages() });
    return view;
  }

  /** What was ordered, if its requester signed it; a passkey, on the profile's own pages. */
  #read({ task, signature }: Order): Ordered {
    return this.#core.call<Ordered>("order.read", { task, signature, passkeys: this.#pages() });
  }

  #own(order: Order): Ordered {
    const task = this.#read(order);
    if (task.requester === this.requester) return task;
    throw new UsageError("usage", "the task is another requester's; only its own requester judges its result");
  }

  #document(payload: Payload): object {
    const read = this.#core.call<object>("payload.read", payload.document());
    return payload.digests.length === 0 ? read : { ...read, digests: payload.digests.map(toHex) };
  }

  #decode(wallet: KeyDescriptor, payload: object, path: string): Decoded {
    const asked = { wallet, path, payload, chains: this.#chains() };
    return decodedOf(this.#core.call<DecodedDocument>("payload.decode", asked));
  }

  async #idOf(wallet: string): Promise<string> {
    if (wallet.startsWith("csk1")) return wallet;
    const named = this.#core.call<string[]>("book.named", { book: await this.#book.read(), name: wallet });
    const [id, second] = named;
    if (id !== undefined && second === undefined) return id;
    const advice =
      id === undefined
        ? `no wallet in the wallet book has the name \`${wallet}\`, and names are looked up nowhere else; give the id ` +
          "(csk1…) once, as whoever made the wallet tells it"
        : `several wallets have the name \`${wallet}\`; use the id (csk1…)`;
    throw new UsageError("usage", advice);
  }

  async #entry(id: string): Promise<Entry | null> {
    return this.#core.call<Entry | null>("book.wallet", { book: await this.#book.read(), id });
  }

  async #wallet(api: Api, wallet: string): Promise<Wallet> {
    const id = await this.#idOf(wallet);
    const entry = await this.#entry(id);
    return entry?.belief ? walletOf(entry.wallet) : await this.#meet(api, id);
  }

  async #newestWallet(api: Api, wallet: string): Promise<Wallet> {
    const id = await this.#idOf(wallet);
    const entry = await this.#entry(id);
    return entry?.belief ? await this.#followWallet(api, entry, await told(api, id)) : await this.#meet(api, id);
  }

  /** The first sight of a wallet, or of one that has no reason in the book. */
  async #meet(api: Api, id: string): Promise<Wallet> {
    const introduced = await this.#introduced(api, id, await told(api, id));
    return await this.#record("wallet.meet", { introduced, known: this.#known(), now: Date.now() });
  }

  async #introduced(api: Api, id: string, told: KeyDescriptor): Promise<Introduced> {
    const generations = told.generation === 0 ? [told] : await api.generations(id);
    const first = generations[0];
    const order = first?.generation === 0 ? await orderOf(api, first) : null;
    return { id, told, generations, order, passkeys: this.#pages() };
  }

  async #followWallet(api: Api, entry: Entry, told: KeyDescriptor): Promise<Wallet> {
    const newer = told.generation > entry.wallet.generation;
    const generations = newer ? await api.generations(told.key) : [];
    return await this.#record("wallet.follow", { told, generations });
  }

  async #list(told: KeyDescriptor, entry: Entry | undefined): Promise<Listed> {
    try {
      if (entry?.belief) return { wallet: await this.#followWallet(this.#api, entry, told), standing: "believed" };
      const introduced = await this.#introduced(this.#api, told.key, told);
      const book = await this.#book.read();
      this.#core.call("wallet.meet", { introduced, known: this.#known(), now: Date.now(), book });
      return { wallet: walletOf(told), standing: "new" };
    } catch (error) {
      if (!(error instanceof CountersignError) || isPassing(error)) throw error;
      return { wallet: walletOf(entry?.wallet ?? told), standing: "refused", error };
    }
  }

  async #record(name: string, document: object): Promise<Wallet> {
    const recorded = await this.#book.change((book) => this.#core.call<Recorded>(name, { ...document, book }));
    return walletOf(recorded.wallet);
  }

  #nodes(nodes: readonly string[]): string[] {
    return nodes.map((node) => nodeOf(this.profile, node));
  }

  #known(): object {
    const { nodes, trustedRequesters } = this.profile;
    return { nodes, trusted_requesters: trustedRequesters ?? {}, own: this.requester };
  }

  #chains(): object {
    return { bitcoin: "mainnet", solana: "mainnet", ...this.profile.chains };
  }
}

/** The votes on a task as the module counts them. */
interface CountDocument extends Omit<Votes, "until"> {
  readonly until: number;
  /** What became of the vote that was handed in; absent if none was. */
  readonly arrival?: "listed" | "known" | "not-newest" | "not-listed";
}

/** An order that collects votes. */
interface Asked extends Ordered {
  readonly collect: { readonly votes: number; readonly until: number };
}

interface DecodedDocument {
  readonly inputs: readonly { readonly path: string; readonly public_key: string; readonly signed_bytes: string }[];
  readonly blind: boolean;
  readonly intent: unknown;
  readonly lines: readonly string[];
}

function decodedOf(decoded: DecodedDocument): Decoded {
  const inputs = decoded.inputs.map((input) => ({
    path: input.path,
    publicKey: fromHex(input.public_key),
    signedBytes: fromHex(input.signed_bytes),
  }));
  return { ...decoded, inputs };
}

/** The seconds for which votes are collected. */
function voting({ collect }: OrderOptions): number {
  return collect ? Math.max(collected(collect).until - Date.now(), 0) / 1000 : 0;
}

function orderIn({ task, signature }: Order): Order {
  return { task, signature };
}

interface Verified {
  readonly task: string;
  readonly wallet: string;
  readonly scheme: string;
  readonly signed: SignedDocument;
}

function signedOf({ task, wallet, scheme, signed }: Verified): Signed {
  const signatures = signed.signatures.map((one) => ({
    path: one.path,
    publicKey: fromHex(one.public_key),
    signedBytes: fromHex(one.signed_bytes),
    signature: fromHex(one.signature),
    recoveryId: one.recovery_id ?? null,
  }));
  return { kind: "signed", task, wallet, scheme, signatures, document: signed };
}

function feedOf(api: Api, view: TaskView): Feed {
  return new Feed(api, { selected: { wallet: view.wallet }, pages: false, expected: true });
}

/** A wallet as the coordinator tells it. */
async function told(api: Api, id: string): Promise<KeyDescriptor> {
  const wallet = await api.wallet(id);
  if (wallet.key === id) return wallet;
  throw new AnswerError("answer", "the coordinator's answer is about another wallet; check the URL");
}

/** The order that created a wallet. A new coordinator has none. */
async function orderOf(api: Api, first: KeyDescriptor): Promise<Order | null> {
  try {
    const { task, signature } = await api.task(first.task);
    return { task, signature };
  } catch (error) {
    if (error instanceof NotFound) return null;
    throw error;
  }
}

/** The same steps, and whoever ends them early ends what `next` waits for. */
function closable<T>(steps: AsyncGenerator<T, void, void>, end: AbortController): AsyncGenerator<T, void, void> {
  const next = async (): Promise<IteratorResult<T, void>> => {
    try {
      return await steps.next();
    } catch (error) {
      if (end.signal.aborted && isPassing(error)) return { done: true, value: undefined };
      throw error;
    }
  };
  const closable: Pick<AsyncGenerator<T, void, void>, "next" | "return" | "throw" | typeof Symbol.asyncIterator> = {
    next,
    return: async (value) => {
      end.abort();
      return await steps.return(value);
    },
    throw: async (error) => {
      end.abort();
      return await steps.throw(error);
    },
    [Symbol.asyncIterator]: () => closable as AsyncGenerator<T, void, void>,
  };
  return closable as AsyncGenerator<T, void, void>;
}

function about(id: string, view: TaskView): TaskView {
  if (view.id === id) return view;
  throw new AnswerError("answer", "the coordinator's answer is about another task; check the URL");
}

/** The error of an order that ended so. */
function endOf(view: TaskView): typeof Failed {
  const state = stateOf(view.state);
  switch (state) {
    case "rejected":
      return Rejected;
    case "failed":
      return Failed;
    case "expired":
      return Expired;
    case "cancelled":
      return Cancelled;
    case "pending":
    case "waiting":
    case "approving":
    case "running":
    case "unknown":
    case "completed":
      throw new Pending(view.id);
  }
}

function several(one: string | readonly string[] | undefined): readonly string[] {
  return one === undefined ? [] : typeof one === "string" ? [one] : one;
}

function nothing(): InvalidResult {
  return new InvalidResult(
    "invalid-result",
    "the result is not of the kind that was ordered; do not use it, and do not trust this coordinator",
  );
}

function votesOf(count: Omit<CountDocument, "arrival">): Votes {
  return { ...count, until: new Date(Math.min(count.until, LAST)) };
}

function isAnswerTo(error: unknown): error is ApiError | AnswerError | Unreachable {
  return error instanceof ApiError || error instanceof AnswerError || error instanceof Unreachable;
}

/**
 * `fetch` does not tell whether a request that failed was sent. An answer that cannot be read may have said that the vote
 * was taken, and a request that is refused as repeated was taken before.
 */
/** The time of the newest listed vote that this key made, whether it counts or not; null if there is none. */
function newestOf(approver: string, votes: readonly JudgedVote[]): number | null {
  const made = votes.filter(({ finding }) => ["genuine", "early", "own", "unlisted"].includes(finding));
  const times = made.flatMap(({ vote }) => (vote?.approver === approver ? [vote.time] : []));
  return times.length === 0 ? null : times.reduce((one, other) => Math.max(one, other));
}

function voteMayHaveArrived(error: ApiError | AnswerError | Unreachable): boolean {
  if (!(error instanceof ApiError)) return true;
  return error.status < 400 || error.status > 499 || error.code === "request-repeated";
}

/** True if the same vote need not be handed in again: it was refused, and not only for now. */
function isFinalAnswerTo(error: ApiError | AnswerError | Unreachable): boolean {
  return error instanceof ApiError && error.status !== 429 && !voteMayHaveArrived(error);
}

function isPassing(error: unknown): boolean {
  return error instanceof Unreachable || error instanceof Unavailable;
}

function later(seconds: number): number {
  return Date.now() + seconds * 1000;
}
