/**
 * The documents of the API. Written by clients/generate.py from docs/openapi-v1.json; do not edit.
 *
 * Answers may have further members, and texts may be words that are not listed: later versions add them.
 */

/** Whether a node decides by a policy bundle. */
export type BundleState = "in-force" | "waiting" | (string & {});

/** The party at fault. Each cause calls for a different action. */
export type Cause = "caller" | "peer" | "environment" | "bug" | (string & {});

/** The answer of a person to a task. */
export type Choice = "approve" | "reject" | (string & {});

/** A coordinator, by its Ed25519 key, in bech32m. */
export type CoordinatorId = string;

/** The state of a delivery. */
export type DeliveryState = "pending" | "delivered" | "failed" | (string & {});

/** A path of non-hardened child keys, such as `m/44/60/0/0/0` (BIP-32). */
export type DerivationPath = string;

/** The kind of a change. Kinds may be added. */
export type EventKind = "task.pending" | "task.voted" | "task.accepted" | "task.offered" | "task.started" | "task.completed" | "task.rejected" | "task.failed" | "task.expired" | "task.cancelled" | "wallet.created" | "wallet.reshared" | "wallet.imported" | "webhook.test" | (string & {});

/** A stable code. Codes may be added; docs/codes.md lists them. */
export type FailureCode = string;

/** A SHA-256 hash or another value of 32 bytes. */
export type Hash = string;

/** A wallet, by the hash of the task that created it, in bech32m. */
export type KeyId = string;

/** Where an API key is kept. */
export type KeyOrigin = "file" | "api" | (string & {});

/** A node, by its Ed25519 identity key, in bech32m. */
export type NodeId = string;

/** The kind of operation that a task orders. */
export type OperationKind = "KeyGen" | "KeySign" | "KeyReshare" | "KeyShareSign" | (string & {});

/** The part that a plugin entry plays in decisions. */
export type PluginState = "in-force" | "shadow" | "broken" | (string & {});

/** An encoded curve point or proof. */
export type Point = string;

/** A stable code. Codes may be added; docs/codes.md lists them. Plugins have codes of their own. */
export type RefusalCode = string;

/** A requester, by its key, Ed25519 or a passkey's, in bech32m. */
export type RequesterId = string;

/** A threshold signature scheme, named in tasks by its kebab-case form. */
export type Scheme = "ecdsa-secp256k1" | "ed25519" | "schnorr-secp256k1" | "taproot" | (string & {});

/** Permissions of an API key. */
export type Scope = "read" | "vote" | "create" | "admin" | (string & {});

/** A run of the protocol. */
export type SessionId = string;

/** An Ed25519 signature (RFC 8032). */
export type Signature = string;

/** A stage of a node's work on a task. */
export type Stage = "ready" | "aux-info" | "running" | "storing" | "queued" | (string & {});

/** The state of a task. */
export type State = "waiting" | "approving" | "running" | "completed" | "rejected" | "failed" | "expired" | "cancelled" | "pending" | (string & {});

/** The id of a task: 16 random bytes, chosen by the requester. */
export type TaskId = string;

/** The number of members that must act. */
export type Threshold = number;

/** Milliseconds since 1970-01-01 UTC. */
export type UnixMillis = number;

/** The signature of deliveries. The body is the event in either case. */
export type WebhookFormat = "standard" | "cobo-v2" | (string & {});

/** The nodes that hold a key, in the order of their ids. */
export type Committee = readonly NodeId[];

/** What shows that the requester signed the task: an Ed25519 signature, or the assertion of a passkey. */
export type OrderProof = Signature | PasskeySignature;

/** The answer to a submission that is known already, or to a preflight. */
export type SubmitAnswer = TaskView | Preflight;

/** The answer of one node. As JSON, `answer` names the case. Texts are the node's, bounded and printable. */
export interface Answer {
  readonly answer: "would-approve" | "would-refuse" | "switched-off" | "busy" | "offline" | "no-answer" | (string & {});
  /** Plugins that guard the task and were not asked. */
  readonly not_asked?: readonly NotAsked[];
  /** One of each plugin that was asked. */
  readonly verdicts?: readonly PluginVerdict[];
  /** The first objection. */
  readonly refusal?: Refusal;
}

/** All API keys. */
export interface ApiKeyList {
  /** In the order of their names. */
  readonly api_keys: readonly ApiKeyView[];
}

/** The settings of an API key, as answers show them. */
export interface ApiKeySettings {
  /** The key is refused from this time on. */
  readonly expires?: UnixMillis | null;
  /** The requester that signs requests. */
  readonly requester?: RequesterId | null;
  /** Everything else is answered with 403. */
  readonly scopes: readonly Scope[];
  /** SHA-256 of the key's text form. */
  readonly sha256?: Hash | null;
  /** Only these wallets, their tasks and their events; all if absent. */
  readonly wallets?: readonly KeyId[] | null;
}

/**
 * An API key, as asked for. Exactly one of `sha256` and `requester` says who it is: the secret is made by its
 * holder and never sent here.
 */
export interface ApiKeySpec {
  /** The key is refused from this time on. */
  readonly expires?: UnixMillis | null;
  /** The requester that signs requests. */
  readonly requester?: RequesterId | null;
  /** Everything else is answered with 403. */
  readonly scopes: readonly Scope[];
  /** SHA-256 of the key's text form. */
  readonly sha256?: Hash | null;
  /** Only these wallets, their tasks and their events; all if absent. */
  readonly wallets?: readonly KeyId[] | null;
}

/** An API key. */
export interface ApiKeyView {
  /** Its name in its path, in logs and in the audit log. */
  readonly name: string;
  /** Where it is kept. */
  readonly origin: KeyOrigin;
  /** The credential before the last rotation, while it is still accepted. */
  readonly previous?: PreviousCredential | null;
  /** Its credential and its permissions. */
  readonly spec: ApiKeySettings;
}

/** An attempt to deliver. */
export interface Attempt {
  /** Time of its beginning. */
  readonly at: UnixMillis;
  /** What went wrong; absent for a success. */
  readonly error?: string | null;
  /** Duration in milliseconds. */
  readonly millis: number;
  /** The receiver's answer, if there was one. */
  readonly status?: number | null;
}

/** The end of the audit log, signed by the coordinator's identity (docs/audit.md). */
export interface AuditEnd {
  /** The time of signing. */
  readonly at: UnixMillis;
  /** The coordinator. */
  readonly coordinator: CoordinatorId;
  /** Its hash; zeros if there is no chain yet. */
  readonly hash: Hash;
  /** The number of the last entry; 0 if there is none. */
  readonly number: number;
  /** Ed25519 over all of it. */
  readonly signature: Signature;
}

/** An entry of the audit log: a change that was made with an API key. */
export interface AuditEntry {
  /** What was done, such as `webhook.put`. Words may be added. */
  readonly action: string;
  /** Time of the change. */
  readonly at: UnixMillis;
  /** The name of the API key. */
  readonly by: string;
  /** The cursor just behind this entry, for `after`. */
  readonly cursor: string;
  /** Its place in the chain of all entries. Absent if an earlier version wrote it. */
  readonly link?: AuditLink | null;
  /** The requester, if the request was signed. */
  readonly requester?: RequesterId | null;
  /** SHA-256 of the key's text form, if it was sent. */
  readonly sha256?: Hash | null;
  /** What it was done to: a task, a wallet, or a name. */
  readonly target: string;
}

/** The place of an entry in the chain, in which each has the hash of the one before (docs/audit.md). */
export interface AuditLink {
  /** Hash of all fields of the entry, without its cursor. */
  readonly hash: Hash;
  /** Counts from 1 without a gap. */
  readonly number: number;
  /** Hash of the entry before; zeros for the first of the chain. */
  readonly previous: Hash;
}

/** A part of the audit log. */
export interface AuditPage {
  /** The end of the log, on a page that reaches it. Absent from earlier versions. */
  readonly end?: AuditEnd | null;
  /** Oldest first. */
  readonly entries: readonly AuditEntry[];
  /** `after` of the next request, whether or not there are more entries already. */
  readonly next: string;
}

/** A policy bundle at a node. */
export interface BundleStatus {
  /** The hash that its publishers have signed. */
  readonly digest: Hash;
  /** Name of the policy that the node follows. */
  readonly name: string;
  /** Number of them who must have. */
  readonly needed: number;
  /** Number of the node's publishers who have signed it. */
  readonly signed: number;
  /** Whether the node decides by it. */
  readonly state: BundleState;
  /**
   * The time at which it takes effect if the node runs until then, by the node's clock. Absent if it is in force.
   * It may be earlier: what tightens does not wait.
   */
  readonly until?: UnixMillis | null;
  /** Its version. */
  readonly version: number;
}

/** A child key with its addresses. */
export interface ChildView {
  /**
   * Each kind of address with the address. `ecdsa-secp256k1`: `evm`, `bitcoin-p2wpkh`, `bitcoin-p2sh`,
   * `bitcoin-p2pkh`; `taproot`: `bitcoin-p2tr`; `ed25519`: `solana`; `schnorr-secp256k1`: `public-key`. Kinds may
   * be added.
   */
  readonly addresses: Readonly<Record<string, unknown>>;
  /** The path below the root key. */
  readonly path: DerivationPath;
  /** 33 bytes compressed, 32 bytes on Ed25519, in hexadecimal. */
  readonly public_key: string;
}

/**
 * How far a task has come in collecting approvals, by the coordinator's list of approvers. Each node counts for
 * itself.
 */
export interface Collecting {
  /** The number of people who have approved. */
  readonly approved: number;
  /** The number of people who have to approve before the nodes are asked. */
  readonly needed: number;
  /** The number of people who have rejected. */
  readonly rejected: number;
  /** The task expires if too few have approved by then. */
  readonly until: UnixMillis;
}

/** A node's decision on a task. */
export interface Decision {
  /** Time of arrival, not of the decision. */
  readonly at: UnixMillis;
  /** Absent: approved. */
  readonly refusal?: Refusal | null;
  /** The verdict of each plugin. */
  readonly verdicts: readonly PluginVerdict[];
}

/** The sending of one event to one webhook. */
export interface Delivery {
  /** The time of the event. */
  readonly at: UnixMillis;
  /** Every attempt, oldest first. */
  readonly attempts: readonly Attempt[];
  /** The subject, if the event is not in the feed. */
  readonly data?: EventData | null;
  /** The event's id, which is `webhook-id` at the receiver. */
  readonly event: string;
  /** Time of the next attempt; absent if there is none. */
  readonly next_attempt?: UnixMillis | null;
  /** Whether the receiver has it. */
  readonly state: DeliveryState;
  /** The kind of event. */
  readonly type: EventKind;
}

/** A page of deliveries. */
export interface DeliveryPage {
  /** Newest first. */
  readonly deliveries: readonly Delivery[];
  /** `cursor` of the next page; absent on the last one. */
  readonly next?: string | null;
}

/** The state of draining. */
export interface DrainView {
  /** True if no tasks are begun. */
  readonly draining: boolean;
  /**
   * Number of tasks that were offered to nodes and have not ended. At 0, a draining coordinator can be stopped
   * without failing any.
   */
  readonly under_way: number;
  /** Number of tasks that wait. */
  readonly waiting: number;
}

/**
 * A change, durable together with what it tells of. The same event always has the same id, in the feed and in
 * every webhook delivery.
 */
export interface Event {
  /** Time of the change. */
  readonly at: UnixMillis;
  /** The cursor just behind this event, for `after`. */
  readonly cursor: string;
  /** What changed. */
  readonly data: EventData;
  /** `evt_` and 32 hexadecimal digits. */
  readonly id: string;
  /** The kind of change. */
  readonly type: EventKind;
}

/** What an event tells of. */
export interface EventData {
  /** The task as it was right after the change. */
  readonly task?: TaskSummary;
  /** The wallet. */
  readonly wallet?: WalletChange;
  /** The webhook that is tested, by its name. */
  readonly webhook?: string;
}

/** A part of the feed. */
export interface EventPage {
  /** Oldest first. */
  readonly events: readonly Event[];
  /** `after` of the next request, whether or not there are more events already. */
  readonly next: string;
}

/** Sets the end of a key, and nothing else. */
export interface ExpireApiKey {
  /** The key is refused from this time on. Null: it does not end by itself. */
  readonly expires: UnixMillis | null;
}

/** What happened to a task, in plain words. The coordinator's word and the nodes'; the texts may change. */
export interface Explanation {
  /** What to do, if anything. */
  readonly advice?: string | null;
  /** What happened at each party. */
  readonly nodes: readonly NodeExplanation[];
  /** Its state. */
  readonly state: State;
  /** What happened, in a few sentences. */
  readonly summary: string;
  /** The task's id. */
  readonly task: TaskId;
  /** Time at which the wait ends in any case, if it waits. */
  readonly until?: UnixMillis | null;
  /** The nodes that the task waits for. */
  readonly waiting_for: readonly NodeId[];
}

/** The failure of a session. */
export interface Failure {
  /** The kind of party at fault. */
  readonly cause: Cause;
  /** A stable code, for programs. */
  readonly code: FailureCode;
  /** The nodes to blame, or the nodes that were waited for. */
  readonly culprits: readonly NodeId[];
  /** One sentence for people that ends with what to do. */
  readonly text: string;
}

/** The tasks that a plugin guards. An empty list means all; a task must fit all three. */
export interface Guards {
  /** Key ids; at most [`MAX_GUARDED`]. */
  readonly keys: readonly string[];
  /** Keys beyond the limit, which are left out of `keys`. */
  readonly more_keys: number;
  /** Kinds of operation by name, such as `keysign`. */
  readonly operations: readonly string[];
  /** Signature schemes by name. */
  readonly schemes: readonly string[];
}

/** An entry of a task's history. */
export interface HistoryEntry {
  /** Time of the entry. */
  readonly at: UnixMillis;
  /** One sentence, for people. */
  readonly text: string;
}

/** The finished signature of one input. */
export interface InputSignature {
  /** The path of the child key that signed. */
  readonly path: DerivationPath;
  /** The public key under which it verifies: the derived child (for `taproot` the x-only BIP-341 output key). */
  readonly public_key: Point;
  /** ECDSA only: 0 or 1 (2 and 3 do not occur in practice). */
  readonly recovery_id?: number | null;
  /** ECDSA: r, s (64 bytes, low s). Ed25519, BIP-340: 64 bytes. RFC 9591 secp256k1: 65 bytes. */
  readonly signature: Point;
  /** The bytes that were handed to the signature algorithm. */
  readonly signed_bytes: Point;
}

/** A proof that one node's share is intact. */
export interface Intact {
  readonly generation: number;
  readonly key: KeyId;
  readonly node: NodeId;
  /**
   * Proof of knowledge of the node's secret share: compressed commitment, then the response as 32 big-endian
   * bytes.
   */
  readonly proof: Point;
  /**
   * All public shares of the generation, in the order of the committee: the preimage of
   * [`KeyDescriptor::public_shares`].
   */
  readonly public_shares: readonly Point[];
}

/**
 * A generation of a wallet's key, with the signed acknowledgements of its parties. It proves itself: verify it
 * before use.
 */
export interface KeyDescriptor {
  /** Digest of the auxiliary information that the key signs with; ECDSA only. */
  readonly aux?: Hash | null;
  /** The BIP-32 chain code. */
  readonly chain_code: Hash;
  readonly committee: Committee;
  /** 0 for a new key, plus one for each reshare. */
  readonly generation: number;
  readonly key: KeyId;
  readonly name: string;
  /** After a reshare: dealers and future members. */
  readonly parties?: readonly NodeId[];
  /** Hash of all public key shares. */
  readonly public_shares: Hash;
  /** secp256k1: 33 bytes compressed (SEC 1). ed25519: 32 bytes. */
  readonly root_public_key: Point;
  readonly scheme: Scheme;
  readonly session: SessionId;
  /** The acknowledgement of each party. */
  readonly stored: readonly SignedAck[];
  /** The KeyGen or KeyReshare that made the generation. */
  readonly task: TaskId;
  readonly threshold: Threshold;
}

/** What happened at one party. */
export interface NodeExplanation {
  /** Its name in the coordinator's configuration, if it is admitted there. */
  readonly name?: string | null;
  /** The party's id. */
  readonly node: NodeId;
  /** In one or two sentences. */
  readonly text: string;
}

/** The forecast of one node. */
export interface NodeForecast extends Answer {
  /** True if it would take part in the task, were it submitted now. False of all nodes while the task would wait. */
  readonly chosen: boolean;
  /** The node. */
  readonly node: NodeId;
}

/** All admitted nodes. */
export interface NodeList {
  /** In the order of their ids. */
  readonly nodes: readonly NodeView[];
}

/** A node's description of itself at one moment. */
export interface NodeStatus {
  /**
   * The policy bundles that are in force at it or wait; at most [`MAX_BUNDLES`]. Empty if it follows none, or is
   * of an earlier version.
   */
  readonly bundles?: readonly BundleStatus[];
  /** The node's clock when it wrote this. */
  readonly clock: UnixMillis;
  /** Entries beyond the limit, which are left out of `plugins`. */
  readonly more_plugins: number;
  /** Its plugin entries in the order of its configuration; at most [`MAX_PLUGINS`]. */
  readonly plugins: readonly PluginStatus[];
  /** The signature schemes that it knows, by name. Names of later versions may be among them. */
  readonly schemes: readonly string[];
  /** Program and version. */
  readonly software: string;
}

/** A node that the coordinator admits. */
export interface NodeView {
  /** True while it is online and takes no new tasks, because its operator is about to stop it. */
  readonly draining?: boolean;
  /** The node's id. */
  readonly id: NodeId;
  /** Time of the last sign of life; absent if there was none since the coordinator started. */
  readonly last_seen?: UnixMillis | null;
  /** Its name in the coordinator's configuration. */
  readonly name: string;
  /** True while it is connected. */
  readonly online: boolean;
  /** What it last said of itself. */
  readonly reported?: Reported | null;
  /** Time of connection, while online. */
  readonly since?: UnixMillis | null;
  /** Program and version, while online, as the node reports them. */
  readonly software?: string | null;
}

/** A plugin without a verdict. Its answer to a real task is open. */
export interface NotAsked {
  /** The plugin's name in the node's configuration. */
  readonly plugin: string;
  /** One sentence for people. */
  readonly why: string;
}

/** The single outcome of a task at a node. */
export interface Outcome {
  /** KeyGen: every member has stored and acknowledged its share. */
  readonly created?: KeyDescriptor;
  /** KeySign: all ordered signatures, verified by the node itself. */
  readonly signed?: Signed;
  /** The node did not take part. */
  readonly refused?: Refusal;
  /** The node took part, but the task failed. */
  readonly failed?: Failure;
  /** KeyReshare: every party has stored and acknowledged its part. */
  readonly reshared?: KeyDescriptor;
  /** KeyShareSign: this node's share is intact. */
  readonly intact?: Intact;
}

/** The outcome that a node reported. */
export interface OutcomeView extends Outcome {
  /** Time of the report's arrival. */
  readonly at: UnixMillis;
}

/** A node's progress in a slow stage. */
export interface Pace {
  /** Milliseconds since the stage began. */
  readonly elapsed_ms: number;
  /** The stage's time limit at this node, in ms. */
  readonly limit_ms: number;
  /** Percentage of the protocol's steps completed, 0 to 100; absent while the node only waits. */
  readonly percent?: number | null;
}

/** A party of a task. */
export interface PartyView {
  /** Absent until it has decided. */
  readonly decision?: Decision | null;
  /** Its name in the coordinator's configuration, if it is admitted there. */
  readonly name?: string | null;
  /** The party's id. */
  readonly node: NodeId;
  /** True while it is connected. */
  readonly online: boolean;
  /** The outcome that it reported. */
  readonly outcome?: OutcomeView | null;
  /** The last reported progress. */
  readonly progress?: Progress | null;
  /** True if its acknowledgement of the key that the task creates or reshares is here. */
  readonly stored?: boolean;
  /** True if it declared that it never stored anything for a reshare. */
  readonly void?: boolean;
}

/** The proof of a passkey as JSON has it, with the assertion as in a vote. */
export interface PasskeySignature {
  /** The assertion. Its challenge is what an Ed25519 key would sign. */
  readonly passkey: VoteAssertion;
}

/** One plugin entry of a node. */
export interface PluginStatus {
  /** SHA-256 of its configuration. */
  readonly config?: Hash | null;
  /** SHA-256 of the component. */
  readonly digest?: Hash | null;
  /** The tasks that it guards. */
  readonly guards: Guards;
  /** The entry's name in the node's configuration. */
  readonly name: string;
  /** True if it may ask somebody outside the node. A preflight does not ask it. */
  readonly remote: boolean;
  /** The part that it plays in decisions. */
  readonly state: PluginState;
  /** The version by which the component describes itself; absent if it is broken, as are the next two. */
  readonly version?: string | null;
}

/** The verdict of one plugin on a task. */
export interface PluginVerdict {
  /** False if the plugin refused. */
  readonly approved: boolean;
  /** Stable code of a refusal; empty for an approval. */
  readonly code: string;
  /** SHA-256 of the configuration that it ran with. */
  readonly config: Hash;
  /** SHA-256 of the component that ran. */
  readonly digest: Hash;
  /** The plugin's run time in microseconds. */
  readonly micros: number;
  /** The plugin's name in the configuration. */
  readonly plugin: string;
  /** One sentence; empty for an approval. */
  readonly reason: string;
  /** The version that the plugin reports. */
  readonly version: string;
}

/** The forecast for a task: what would come of it if it were submitted now. */
export interface Preflight {
  /** The time at which the nodes were asked, by this coordinator's clock. */
  readonly at: UnixMillis;
  /** The number of nodes that would take part. */
  readonly needed: number;
  /** Every node that could take part, in the order of their ids. */
  readonly nodes: readonly NodeForecast[];
  /** What the task would do. */
  readonly operation: OperationKind;
  /** The task's id, which remains unused. */
  readonly task: TaskId;
  /** What would come of the task. */
  readonly verdict: Verdict;
}

/** A credential that was replaced. */
export interface PreviousCredential {
  /** It is refused from this time on. */
  readonly expires: UnixMillis;
  /** The requester that signs requests. */
  readonly requester?: RequesterId | null;
  /** SHA-256 of the key's text form. */
  readonly sha256?: Hash | null;
}

/** An error: `application/problem+json` (RFC 9457). */
export interface Problem {
  /** A stable code, for programs. Codes may be added. */
  readonly code: string;
  /** What is wrong, and what to do. For people; the text may change. */
  readonly detail: string;
  /** The HTTP status. */
  readonly status: number;
  /** The meaning of the HTTP status. */
  readonly title: string;
}

/** The progress of a node. */
export interface Progress {
  /** Time of the report's arrival. */
  readonly at: UnixMillis;
  /** Progress within a long stage. */
  readonly pace?: Pace | null;
  /** The stage of the protocol. */
  readonly stage: Stage;
  /** The nodes whose messages it lacks. */
  readonly waiting_for: readonly NodeId[];
}

/** Why a task ended without a result. */
export interface Reason {
  /** Stable code, for programs. */
  readonly code: string;
  /** One sentence, for people. */
  readonly message: string;
  /**
   * The nodes concerned, as far as the coordinator knows it itself: those that refused, are silent, or are proven
   * to have cheated or reported a wrong result. Nodes that others merely name appear in the message, with their
   * accusers.
   */
  readonly nodes: readonly NodeId[];
  /** The plugin that refused, if any. */
  readonly plugin?: string | null;
}

/** A node's refusal to take part. Never retried automatically. */
export interface Refusal {
  /** A stable code, for programs. */
  readonly code: RefusalCode;
  /** The plugin that refused; absent if the node itself did. */
  readonly plugin?: string | null;
  /** One sentence for people, free of control characters. */
  readonly reason: string;
}

/** A node's description of itself, as it arrived. The node's word: for display only. */
export interface Reported {
  /** The time of arrival, by the coordinator's clock. */
  readonly at: UnixMillis;
  /** The node's clock minus the coordinator's at arrival, in ms. Contains the time that the description travelled. */
  readonly skew_ms: number;
  /** The description, with its texts bounded and printable. */
  readonly status: NodeStatus;
}

/** A requester whose tasks the coordinator accepts. */
export interface RequesterList {
  /** True if any requester with a valid signature is accepted. Nodes have their own lists. */
  readonly any: boolean;
  /** Those in the configuration, if it lists some. */
  readonly requesters: readonly RequesterId[];
}

/**
 * Selects events to send again, with the ids that they had. Everything that is set must hold; at least one must be
 * set.
 */
export interface Resend {
  /** One of these events. */
  readonly events?: readonly string[] | null;
  /** Events of this time or later. */
  readonly since?: UnixMillis | null;
  /** Deliveries in this state. */
  readonly state?: DeliveryState | null;
  /** Events of this task. */
  readonly task?: TaskId | null;
  /** Events before this time. */
  readonly until?: UnixMillis | null;
  /** Events of this wallet. */
  readonly wallet?: KeyId | null;
}

/** How many events are sent again. */
export interface Resent {
  /** Number of deliveries. */
  readonly deliveries: number;
  /** True if more events were selected than one request may send again; repeat it with a later `since`. */
  readonly more: boolean;
}

/** Replaces the credential of a key. Repeating the request changes nothing. */
export interface RotateApiKey {
  /** Seconds for which the credential before is still accepted; at most seven days. */
  readonly overlap_seconds?: number;
  /** The requester that signs requests from now on. */
  readonly requester?: RequesterId | null;
  /** SHA-256 of the new key's text form. */
  readonly sha256?: Hash | null;
}

/** Replaces the current key. */
export interface RotateWebhookKey {
  /**
   * The id of the key to replace. If it is not the current one, nothing happens, so that a repeated request does
   * not replace two keys.
   */
  readonly kid: string;
}

/** Whether the coordinator is to begin tasks. */
export interface SetDrain {
  /** True: tasks under way are finished, and others wait, also over a restart. */
  readonly draining: boolean;
}

/** The finished signatures of a task, one for each input of its payload and in that order. */
export interface Signed {
  /** The run that made the signatures. */
  readonly session: SessionId;
  /** Never empty, and never a part of the order. */
  readonly signatures: readonly InputSignature[];
}

/**
 * A party's signed acknowledgement of a generation. Over [`KeyDescriptor::digest`]: its part is durable, be it its
 * share or the fact that it gives its old one up. Over [`KeyDescriptor::in_force_digest`]: it holds the
 * generation, durably.
 */
export interface SignedAck {
  /** The node that acknowledges. */
  readonly node: NodeId;
  /** Ed25519 over the digest. */
  readonly signature: Point;
}

/** A signed task, as submitted. */
export interface Submission {
  /** The requester's signature over the text, with the label of docs/task-api.md. */
  readonly signature: OrderProof;
  /** The exact JSON text of the task. */
  readonly task: string;
}

/**
 * The sender of a request: the API key, and the credential that proved it. Names may be given again; a credential
 * has one holder.
 */
export interface Submitter {
  /** The name of the API key. */
  readonly name: string;
  /** The requester, if the request was signed. */
  readonly requester?: RequesterId | null;
  /** SHA-256 of the key's text form, if it was sent. Shown only to callers with the scope `admin`. */
  readonly sha256?: Hash | null;
}

/** A page of tasks. */
export interface TaskPage {
  /** `cursor` of the next page; absent on the last one. */
  readonly next?: string | null;
  /** Newest first. */
  readonly tasks: readonly TaskSummary[];
}

/** The result of a task, for the caller to verify. */
export interface TaskResult {
  /** A key with the acknowledgements of all its holders. */
  readonly created?: KeyDescriptor;
  /** All signatures that were ordered. */
  readonly signed?: Signed;
  /** The next generation of a key, with the acknowledgements of all parties. */
  readonly reshared?: KeyDescriptor;
  /** One proof of each node that was to check its share, in the order of the parties. */
  readonly intact?: readonly Intact[];
}

/** A task in a list. */
export interface TaskSummary {
  /** The count of votes, if the task collects them. */
  readonly collecting?: Collecting | null;
  /** Time at which the state became final. */
  readonly ended?: UnixMillis | null;
  /** The id that the requester chose. */
  readonly id: TaskId;
  /** Nothing starts after this. */
  readonly not_after: UnixMillis;
  /** Time at which the parties were asked. */
  readonly offered?: UnixMillis | null;
  /** What the task does. */
  readonly operation: OperationKind;
  /** Set if it ended without a result. */
  readonly reason?: Reason | null;
  /** The signer of the task. */
  readonly requester: RequesterId;
  /** Number of changes so far. */
  readonly revision: number;
  /** Position in the order of all tasks. */
  readonly sequence: number;
  /** Time of the last approval. */
  readonly started?: UnixMillis | null;
  /** The phase, or the end. */
  readonly state: State;
  /** Time of acceptance. */
  readonly submitted: UnixMillis;
  /** The wallet that the task creates, uses, reshares or checks. */
  readonly wallet: KeyId;
}

/**
 * A task in full. Its order and its result prove themselves; everything else is the word of the coordinator and
 * the nodes.
 */
export interface TaskView extends TaskSummary {
  /** The history, oldest first. */
  readonly events: readonly HistoryEntry[];
  /** The parties; empty until they are chosen. */
  readonly nodes: readonly PartyView[];
  /** The result, for the caller to verify. */
  readonly result?: TaskResult | null;
  /** The requester's signature over it. */
  readonly signature: OrderProof;
  /** The sender of the task. Absent if it was imported, or handed in to an earlier version. */
  readonly submitted_by?: Submitter | null;
  /** The exact text that the requester signed. */
  readonly task: string;
}

/** What would come of a task. As JSON, `kind` names the case. */
export interface Verdict {
  /** The nodes that would take part. */
  readonly by?: readonly NodeId[];
  readonly kind: "approved" | "open" | "refused" | "unknown" | "waiting" | (string & {});
  /** Those of them with plugins that were not asked. */
  readonly undecided?: readonly NodeId[];
  /**
   * Only of a KeySign that names no signers: members that do not object and suffice, if the task names them as its
   * `signers`. Empty if there are too few. A node that refuses guards the wallet: ask its operator before you go
   * around it.
   */
  readonly instead?: readonly NodeId[];
  /** The nodes without an answer. */
  readonly of?: readonly NodeId[];
  /** Those that are offline; empty if enough are online and have no room. */
  readonly missing?: readonly NodeId[];
}

/** A vote as JSON has it. */
export interface Vote {
  /** The key that votes, `csv1…`. */
  readonly approver: string;
  /** `approve` or `reject`. */
  readonly choice: Choice;
  /** With a passkey: its assertion. */
  readonly passkey?: VoteAssertion | null;
  /** With an Ed25519 key: its signature, 128 hexadecimal digits. */
  readonly signature?: string | null;
  /** Hash of the task's exact bytes, 64 hexadecimal digits. */
  readonly task: Hash;
  /** The time of signing, in milliseconds since 1970, by the approver's clock. */
  readonly time: UnixMillis;
  /** The version of the format, 1. */
  readonly version: number;
}

/** The assertion of a passkey as JSON has it: each member in lower-case hexadecimal. */
export interface VoteAssertion {
  /** `authenticatorData`. */
  readonly authenticator_data: string;
  /** `clientDataJSON`, the exact bytes. */
  readonly client_data: string;
  /** The ES256 signature in DER, with the smaller of the two values of s. */
  readonly signature: string;
}

/** The votes on a task. Each proves itself; who has which name is the coordinator's word. */
export interface VoteList {
  /** The state of the count. Absent if the task collects no votes. */
  readonly collecting?: Collecting | null;
  /** The hash of its exact bytes, which every vote on it names. */
  readonly hash: Hash;
  /** Names of the listed approvers who have not voted, in alphabetical order. */
  readonly missing: readonly string[];
  /** The task. */
  readonly task: TaskId;
  /** In the order of arrival; at most one approval and one rejection of each key. */
  readonly votes: readonly VoteView[];
}

/** A vote as it was received. */
export interface VoteView {
  /** The name of the approver in the coordinator's configuration. */
  readonly name: string;
  /** Time of arrival. */
  readonly received: UnixMillis;
  /** The vote itself, for the reader to verify. */
  readonly vote: Vote;
}

/**
 * Children of a wallet with their addresses, as the coordinator derives them. Its word alone: nothing in here
 * proves itself.
 */
export interface WalletAddresses {
  /** In the order of the request. */
  readonly children: readonly ChildView[];
  /** The wallet's id. */
  readonly wallet: KeyId;
}

/** A change of a wallet. */
export interface WalletChange {
  /** The newest generation. */
  readonly generation: number;
  /** The wallet's id. */
  readonly id: KeyId;
  /** The name given by its creator. */
  readonly name: string;
  /** The task that made it. */
  readonly task: TaskId;
}

/** All known generations of a wallet. */
export interface WalletGenerations {
  /** Oldest first. Each carries the acknowledgements of its parties, and proves that it succeeds the one before. */
  readonly generations: readonly KeyDescriptor[];
}

/** A wallet that was created through another coordinator. */
export interface WalletImport {
  /** All known generations, oldest first. */
  readonly generations: readonly KeyDescriptor[];
  /** The KeyGen that created the first, if available. */
  readonly order?: Submission | null;
}

/** A page of wallets. */
export interface WalletPage {
  /** `cursor` of the next page; absent on the last one. */
  readonly next?: string | null;
  /** In the order of their ids. */
  readonly wallets: readonly WalletView[];
}

/** A wallet, in its newest generation. */
export interface WalletView {
  /** The descriptor with the acknowledgements of all parties, for the caller to verify. */
  readonly announcement: KeyDescriptor;
  /** The root: `xpub…` (secp256k1) or `cpub…` (ed25519). */
  readonly extended_public_key: string;
  /** 0 for a new wallet; incremented by each reshare. */
  readonly generation: number;
  /** The wallet's id. */
  readonly id: KeyId;
  /** The name given by its creator. */
  readonly name: string;
  /** The task that made this generation. */
  readonly task: TaskId;
}

/** A public key that webhooks are signed with. */
export interface WebhookKey {
  /** `EdDSA`. */
  readonly alg: string;
  /** Time of creation. */
  readonly created: UnixMillis;
  /** `Ed25519`. */
  readonly crv: string;
  /** The key's id. */
  readonly kid: string;
  /** `OKP`. */
  readonly kty: string;
  /** `sig`. */
  readonly use: string;
  /** The same key as Standard Webhooks' libraries take it: `whpk_` and base64. */
  readonly whpk: string;
  /** The public key: 32 bytes in base64url. */
  readonly x: string;
}

/** The keys that webhooks are signed with: a JSON Web Key Set (RFC 7517, RFC 8037). */
export interface WebhookKeys {
  /** The current key first; then the one before, for a week after a rotation. */
  readonly keys: readonly WebhookKey[];
}

/** All webhooks. */
export interface WebhookList {
  /** In the order of their names. */
  readonly webhooks: readonly WebhookView[];
}

/** A receiver of events, as it is told of. */
export interface WebhookSettings {
  /** While false, nothing is sent; events wait as long as the feed keeps them. */
  readonly enabled: boolean;
  /** The signature of deliveries. */
  readonly format: WebhookFormat;
  /** Only these kinds; all if absent. */
  readonly types?: readonly EventKind[] | null;
  /** The receiver of events. */
  readonly url: string;
  /** Only events of these wallets; of all if absent. */
  readonly wallets?: readonly KeyId[] | null;
}

/** A receiver of events, as configured. */
export interface WebhookSpec {
  /** While false, nothing is sent; events wait as long as the feed keeps them. */
  readonly enabled?: boolean;
  /** The signature of deliveries. */
  readonly format?: WebhookFormat;
  /** Only these kinds, at least one; all if absent. */
  readonly types?: readonly EventKind[] | null;
  /**
   * The receiver of events: `https`, or `http` on the coordinator's own machine. The coordinator's operator
   * decides which networks may be reached beside the public one.
   */
  readonly url: string;
  /** Only events of these wallets, at least one; of all if absent. */
  readonly wallets?: readonly KeyId[] | null;
}

/** A receiver of events. */
export interface WebhookView {
  /** Time of creation. */
  readonly created: UnixMillis;
  /** The event up to which deliveries were begun, as a cursor of the feed. */
  readonly cursor: string;
  /** Time since which every attempt has failed; absent while attempts succeed. */
  readonly failing_since?: UnixMillis | null;
  /** The name in its path. */
  readonly name: string;
  /** Deliveries that wait for an attempt. */
  readonly pending: number;
  /** Its configuration. */
  readonly spec: WebhookSettings;
}

/**
 * Of every object the members with their shapes. `?` behind a name: it may be missing; before a shape: it may be null;
 * `[]`: a list.
 */
export const SHAPES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  Answer: {
    "answer": "string",
    "not_asked?": "[]NotAsked",
    "verdicts?": "[]PluginVerdict",
    "refusal?": "Refusal",
  },
  ApiKeyList: {
    "api_keys": "[]ApiKeyView",
  },
  ApiKeySettings: {
    "expires?": "?integer",
    "requester?": "?string",
    "scopes": "[]string",
    "sha256?": "?string",
    "wallets?": "?[]string",
  },
  ApiKeySpec: {
    "expires?": "?integer",
    "requester?": "?string",
    "scopes": "[]string",
    "sha256?": "?string",
    "wallets?": "?[]string",
  },
  ApiKeyView: {
    "name": "string",
    "origin": "string",
    "previous?": "?PreviousCredential",
    "spec": "ApiKeySettings",
  },
  Attempt: {
    "at": "integer",
    "error?": "?string",
    "millis": "integer",
    "status?": "?integer",
  },
  AuditEnd: {
    "at": "integer",
    "coordinator": "string",
    "hash": "string",
    "number": "integer",
    "signature": "string",
  },
  AuditEntry: {
    "action": "string",
    "at": "integer",
    "by": "string",
    "cursor": "string",
    "link?": "?AuditLink",
    "requester?": "?string",
    "sha256?": "?string",
    "target": "string",
  },
  AuditLink: {
    "hash": "string",
    "number": "integer",
    "previous": "string",
  },
  AuditPage: {
    "end?": "?AuditEnd",
    "entries": "[]AuditEntry",
    "next": "string",
  },
  BundleStatus: {
    "digest": "string",
    "name": "string",
    "needed": "integer",
    "signed": "integer",
    "state": "string",
    "until?": "?integer",
    "version": "integer",
  },
  ChildView: {
    "addresses": "any",
    "path": "string",
    "public_key": "string",
  },
  Collecting: {
    "approved": "integer",
    "needed": "integer",
    "rejected": "integer",
    "until": "integer",
  },
  Decision: {
    "at": "integer",
    "refusal?": "?Refusal",
    "verdicts": "[]PluginVerdict",
  },
  Delivery: {
    "at": "integer",
    "attempts": "[]Attempt",
    "data?": "?EventData",
    "event": "string",
    "next_attempt?": "?integer",
    "state": "string",
    "type": "string",
  },
  DeliveryPage: {
    "deliveries": "[]Delivery",
    "next?": "?string",
  },
  DrainView: {
    "draining": "boolean",
    "under_way": "integer",
    "waiting": "integer",
  },
  Event: {
    "at": "integer",
    "cursor": "string",
    "data": "EventData",
    "id": "string",
    "type": "string",
  },
  EventData: {
    "task?": "TaskSummary",
    "wallet?": "WalletChange",
    "webhook?": "string",
  },
  EventPage: {
    "events": "[]Event",
    "next": "string",
  },
  ExpireApiKey: {
    "expires": "?integer",
  },
  Explanation: {
    "advice?": "?string",
    "nodes": "[]NodeExplanation",
    "state": "string",
    "summary": "string",
    "task": "string",
    "until?": "?integer",
    "waiting_for": "[]string",
  },
  Failure: {
    "cause": "string",
    "code": "string",
    "culprits": "[]string",
    "text": "string",
  },
  Guards: {
    "keys": "[]string",
    "more_keys": "integer",
    "operations": "[]string",
    "schemes": "[]string",
  },
  HistoryEntry: {
    "at": "integer",
    "text": "string",
  },
  InputSignature: {
    "path": "string",
    "public_key": "string",
    "recovery_id?": "?integer",
    "signature": "string",
    "signed_bytes": "string",
  },
  Intact: {
    "generation": "integer",
    "key": "string",
    "node": "string",
    "proof": "string",
    "public_shares": "[]string",
  },
  KeyDescriptor: {
    "aux?": "?string",
    "chain_code": "string",
    "committee": "[]string",
    "generation": "integer",
    "key": "string",
    "name": "string",
    "parties?": "[]string",
    "public_shares": "string",
    "root_public_key": "string",
    "scheme": "string",
    "session": "string",
    "stored": "[]SignedAck",
    "task": "string",
    "threshold": "integer",
  },
  NodeExplanation: {
    "name?": "?string",
    "node": "string",
    "text": "string",
  },
  NodeForecast: {
    "answer": "string",
    "not_asked?": "[]NotAsked",
    "verdicts?": "[]PluginVerdict",
    "refusal?": "Refusal",
    "chosen": "boolean",
    "node": "string",
  },
  NodeList: {
    "nodes": "[]NodeView",
  },
  NodeStatus: {
    "bundles?": "[]BundleStatus",
    "clock": "integer",
    "more_plugins": "integer",
    "plugins": "[]PluginStatus",
    "schemes": "[]string",
    "software": "string",
  },
  NodeView: {
    "draining?": "boolean",
    "id": "string",
    "last_seen?": "?integer",
    "name": "string",
    "online": "boolean",
    "reported?": "?Reported",
    "since?": "?integer",
    "software?": "?string",
  },
  NotAsked: {
    "plugin": "string",
    "why": "string",
  },
  Outcome: {
    "created?": "KeyDescriptor",
    "signed?": "Signed",
    "refused?": "Refusal",
    "failed?": "Failure",
    "reshared?": "KeyDescriptor",
    "intact?": "Intact",
  },
  OutcomeView: {
    "created?": "KeyDescriptor",
    "signed?": "Signed",
    "refused?": "Refusal",
    "failed?": "Failure",
    "reshared?": "KeyDescriptor",
    "intact?": "Intact",
    "at": "integer",
  },
  Pace: {
    "elapsed_ms": "integer",
    "limit_ms": "integer",
    "percent?": "?integer",
  },
  PartyView: {
    "decision?": "?Decision",
    "name?": "?string",
    "node": "string",
    "online": "boolean",
    "outcome?": "?OutcomeView",
    "progress?": "?Progress",
    "stored?": "boolean",
    "void?": "boolean",
  },
  PasskeySignature: {
    "passkey": "VoteAssertion",
  },
  PluginStatus: {
    "config?": "?string",
    "digest?": "?string",
    "guards": "Guards",
    "name": "string",
    "remote": "boolean",
    "state": "string",
    "version?": "?string",
  },
  PluginVerdict: {
    "approved": "boolean",
    "code": "string",
    "config": "string",
    "digest": "string",
    "micros": "integer",
    "plugin": "string",
    "reason": "string",
    "version": "string",
  },
  Preflight: {
    "at": "integer",
    "needed": "integer",
    "nodes": "[]NodeForecast",
    "operation": "string",
    "task": "string",
    "verdict": "Verdict",
  },
  PreviousCredential: {
    "expires": "integer",
    "requester?": "?string",
    "sha256?": "?string",
  },
  Problem: {
    "code": "string",
    "detail": "string",
    "status": "integer",
    "title": "string",
  },
  Progress: {
    "at": "integer",
    "pace?": "?Pace",
    "stage": "string",
    "waiting_for": "[]string",
  },
  Reason: {
    "code": "string",
    "message": "string",
    "nodes": "[]string",
    "plugin?": "?string",
  },
  Refusal: {
    "code": "string",
    "plugin?": "?string",
    "reason": "string",
  },
  Reported: {
    "at": "integer",
    "skew_ms": "integer",
    "status": "NodeStatus",
  },
  RequesterList: {
    "any": "boolean",
    "requesters": "[]string",
  },
  Resend: {
    "events?": "?[]string",
    "since?": "?integer",
    "state?": "?string",
    "task?": "?string",
    "until?": "?integer",
    "wallet?": "?string",
  },
  Resent: {
    "deliveries": "integer",
    "more": "boolean",
  },
  RotateApiKey: {
    "overlap_seconds?": "integer",
    "requester?": "?string",
    "sha256?": "?string",
  },
  RotateWebhookKey: {
    "kid": "string",
  },
  SetDrain: {
    "draining": "boolean",
  },
  Signed: {
    "session": "string",
    "signatures": "[]InputSignature",
  },
  SignedAck: {
    "node": "string",
    "signature": "string",
  },
  Submission: {
    "signature": "any",
    "task": "string",
  },
  Submitter: {
    "name": "string",
    "requester?": "?string",
    "sha256?": "?string",
  },
  TaskPage: {
    "next?": "?string",
    "tasks": "[]TaskSummary",
  },
  TaskResult: {
    "created?": "KeyDescriptor",
    "signed?": "Signed",
    "reshared?": "KeyDescriptor",
    "intact?": "[]Intact",
  },
  TaskSummary: {
    "collecting?": "?Collecting",
    "ended?": "?integer",
    "id": "string",
    "not_after": "integer",
    "offered?": "?integer",
    "operation": "string",
    "reason?": "?Reason",
    "requester": "string",
    "revision": "integer",
    "sequence": "integer",
    "started?": "?integer",
    "state": "string",
    "submitted": "integer",
    "wallet": "string",
  },
  TaskView: {
    "collecting?": "?Collecting",
    "ended?": "?integer",
    "id": "string",
    "not_after": "integer",
    "offered?": "?integer",
    "operation": "string",
    "reason?": "?Reason",
    "requester": "string",
    "revision": "integer",
    "sequence": "integer",
    "started?": "?integer",
    "state": "string",
    "submitted": "integer",
    "wallet": "string",
    "events": "[]HistoryEntry",
    "nodes": "[]PartyView",
    "result?": "?TaskResult",
    "signature": "any",
    "submitted_by?": "?Submitter",
    "task": "string",
  },
  Verdict: {
    "by?": "[]string",
    "kind": "string",
    "undecided?": "[]string",
    "instead?": "[]string",
    "of?": "[]string",
    "missing?": "[]string",
  },
  Vote: {
    "approver": "string",
    "choice": "string",
    "passkey?": "?VoteAssertion",
    "signature?": "?string",
    "task": "string",
    "time": "integer",
    "version": "integer",
  },
  VoteAssertion: {
    "authenticator_data": "string",
    "client_data": "string",
    "signature": "string",
  },
  VoteList: {
    "collecting?": "?Collecting",
    "hash": "string",
    "missing": "[]string",
    "task": "string",
    "votes": "[]VoteView",
  },
  VoteView: {
    "name": "string",
    "received": "integer",
    "vote": "Vote",
  },
  WalletAddresses: {
    "children": "[]ChildView",
    "wallet": "string",
  },
  WalletChange: {
    "generation": "integer",
    "id": "string",
    "name": "string",
    "task": "string",
  },
  WalletGenerations: {
    "generations": "[]KeyDescriptor",
  },
  WalletImport: {
    "generations": "[]KeyDescriptor",
    "order?": "?Submission",
  },
  WalletPage: {
    "next?": "?string",
    "wallets": "[]WalletView",
  },
  WalletView: {
    "announcement": "KeyDescriptor",
    "extended_public_key": "string",
    "generation": "integer",
    "id": "string",
    "name": "string",
    "task": "string",
  },
  WebhookKey: {
    "alg": "string",
    "created": "integer",
    "crv": "string",
    "kid": "string",
    "kty": "string",
    "use": "string",
    "whpk": "string",
    "x": "string",
  },
  WebhookKeys: {
    "keys": "[]WebhookKey",
  },
  WebhookList: {
    "webhooks": "[]WebhookView",
  },
  WebhookSettings: {
    "enabled": "boolean",
    "format": "string",
    "types?": "?[]string",
    "url": "string",
    "wallets?": "?[]string",
  },
  WebhookSpec: {
    "enabled?": "boolean",
    "format?": "string",
    "types?": "?[]string",
    "url": "string",
    "wallets?": "?[]string",
  },
  WebhookView: {
    "created": "integer",
    "cursor": "string",
    "failing_since?": "?integer",
    "name": "string",
    "pending": "integer",
    "spec": "WebhookSettings",
  },
};

/** What there is to know of an operation. */
export interface Operation {
  readonly method: string;
  readonly path: string;
  /** The object that it answers with. */
  readonly answer?: string;
  /** The names of its query. */
  readonly query: readonly string[];
}

export const OPERATIONS = {
  cancelTask: { method: "POST", path: "/v1/tasks/{id}/cancel", answer: "TaskView", query: [] },
  deleteWebhook: { method: "DELETE", path: "/v1/webhooks/{name}", query: [] },
  deriveAddresses: { method: "GET", path: "/v1/wallets/{id}/addresses", answer: "WalletAddresses", query: ["path", "first", "count", "bitcoin"] },
  expireApiKey: { method: "POST", path: "/v1/api-keys/{name}/expire", answer: "ApiKeyView", query: [] },
  explainTask: { method: "GET", path: "/v1/tasks/{id}/explain", answer: "Explanation", query: [] },
  importWallet: { method: "POST", path: "/v1/wallets", answer: "WalletView", query: [] },
  listApiKeys: { method: "GET", path: "/v1/api-keys", answer: "ApiKeyList", query: [] },
  listDeliveries: { method: "GET", path: "/v1/webhooks/{name}/deliveries", answer: "DeliveryPage", query: ["limit", "cursor", "state"] },
  listGenerations: { method: "GET", path: "/v1/wallets/{id}/generations", answer: "WalletGenerations", query: [] },
  listNodes: { method: "GET", path: "/v1/nodes", answer: "NodeList", query: [] },
  listRequesters: { method: "GET", path: "/v1/requesters", answer: "RequesterList", query: [] },
  listTasks: { method: "GET", path: "/v1/tasks", answer: "TaskPage", query: ["limit", "cursor", "wallet", "state", "operation", "requester", "since", "until"] },
  listVotes: { method: "GET", path: "/v1/tasks/{id}/votes", answer: "VoteList", query: [] },
  listWallets: { method: "GET", path: "/v1/wallets", answer: "WalletPage", query: ["limit", "cursor"] },
  listWebhookKeys: { method: "GET", path: "/v1/webhook-keys", answer: "WebhookKeys", query: [] },
  listWebhooks: { method: "GET", path: "/v1/webhooks", answer: "WebhookList", query: [] },
  putApiKey: { method: "PUT", path: "/v1/api-keys/{name}", answer: "ApiKeyView", query: [] },
  putWebhook: { method: "PUT", path: "/v1/webhooks/{name}", answer: "WebhookView", query: [] },
  readAudit: { method: "GET", path: "/v1/audit", answer: "AuditPage", query: ["after", "limit"] },
  readEvents: { method: "GET", path: "/v1/events", answer: "EventPage", query: ["after", "limit", "wallet", "type", "wait"] },
  resendEvents: { method: "POST", path: "/v1/webhooks/{name}/resend", answer: "Resent", query: [] },
  revokeApiKey: { method: "DELETE", path: "/v1/api-keys/{name}", query: [] },
  rotateApiKey: { method: "POST", path: "/v1/api-keys/{name}/rotate", answer: "ApiKeyView", query: [] },
  rotateWebhookKey: { method: "POST", path: "/v1/webhook-keys/rotate", answer: "WebhookKeys", query: [] },
  setDrain: { method: "PUT", path: "/v1/drain", answer: "DrainView", query: [] },
  showDrain: { method: "GET", path: "/v1/drain", answer: "DrainView", query: [] },
  showTask: { method: "GET", path: "/v1/tasks/{id}", answer: "TaskView", query: ["wait", "revision"] },
  showWallet: { method: "GET", path: "/v1/wallets/{id}", answer: "WalletView", query: [] },
  showWebhook: { method: "GET", path: "/v1/webhooks/{name}", answer: "WebhookView", query: [] },
  submitTask: { method: "POST", path: "/v1/tasks", answer: "TaskView", query: ["dry_run"] },
  testWebhook: { method: "POST", path: "/v1/webhooks/{name}/test", answer: "Delivery", query: [] },
  voteOnTask: { method: "POST", path: "/v1/tasks/{id}/votes", answer: "VoteList", query: [] },
} satisfies Record<string, Operation>;
