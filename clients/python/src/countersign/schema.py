"""The documents of the API. Written by clients/generate.py from docs/openapi-v1.json; do not edit.

Answers may have further members, and texts of a `Literal` may be other words: later versions add them.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict

#: Whether a node decides by a policy bundle.
BundleState = Literal["in-force", "waiting"] | str

#: The party at fault. Each cause calls for a different action.
Cause = Literal["caller", "peer", "environment", "bug"] | str

#: The answer of a person to a task.
Choice = Literal["approve", "reject"] | str

#: A coordinator, by its Ed25519 key, in bech32m.
CoordinatorId = str

#: The state of a delivery.
DeliveryState = Literal["pending", "delivered", "failed"] | str

#: A path of non-hardened child keys, such as `m/44/60/0/0/0` (BIP-32).
DerivationPath = str

#: The kind of a change. Kinds may be added.
EventKind = Literal["task.pending", "task.voted", "task.accepted", "task.offered", "task.started", "task.completed", "task.rejected", "task.failed", "task.expired", "task.cancelled", "wallet.created", "wallet.reshared", "wallet.imported", "webhook.test"] | str

#: A stable code. Codes may be added; docs/codes.md lists them.
FailureCode = str

#: A SHA-256 hash or another value of 32 bytes.
Hash = str

#: A wallet, by the hash of the task that created it, in bech32m.
KeyId = str

#: Where an API key is kept.
KeyOrigin = Literal["file", "api"] | str

#: A node, by its Ed25519 identity key, in bech32m.
NodeId = str

#: The kind of operation that a task orders.
OperationKind = Literal["KeyGen", "KeySign", "KeyReshare", "KeyShareSign"] | str

#: The part that a plugin entry plays in decisions.
PluginState = Literal["in-force", "shadow", "broken"] | str

#: An encoded curve point or proof.
Point = str

#: A stable code. Codes may be added; docs/codes.md lists them. Plugins have codes of their own.
RefusalCode = str

#: A requester, by its key, Ed25519 or a passkey's, in bech32m.
RequesterId = str

#: A threshold signature scheme, named in tasks by its kebab-case form.
Scheme = Literal["ecdsa-secp256k1", "ed25519", "schnorr-secp256k1", "taproot"] | str

#: Permissions of an API key.
Scope = Literal["read", "vote", "create", "admin"] | str

#: A run of the protocol.
SessionId = str

#: An Ed25519 signature (RFC 8032).
Signature = str

#: A stage of a node's work on a task.
Stage = Literal["ready", "aux-info", "running", "storing", "queued"] | str

#: The state of a task.
State = Literal["waiting", "approving", "running", "completed", "rejected", "failed", "expired", "cancelled", "pending"] | str

#: The id of a task: 16 random bytes, chosen by the requester.
TaskId = str

#: The number of members that must act.
Threshold = int

#: Milliseconds since 1970-01-01 UTC.
UnixMillis = int

#: The signature of deliveries. The body is the event in either case.
WebhookFormat = Literal["standard", "cobo-v2"] | str

#: The nodes that hold a key, in the order of their ids.
Committee = list[NodeId]


class _AnswerOptional(TypedDict, total=False):
    #: Plugins that guard the task and were not asked.
    not_asked: list[NotAsked]
    #: One of each plugin that was asked.
    verdicts: list[PluginVerdict]
    #: The first objection.
    refusal: Refusal


class Answer(_AnswerOptional):
    """The answer of one node. As JSON, `answer` names the case. Texts are the node's, bounded and printable."""

    answer: Literal["would-approve", "would-refuse", "switched-off", "busy", "offline", "no-answer"] | str


class ApiKeyList(TypedDict):
    """All API keys."""

    #: In the order of their names.
    api_keys: list[ApiKeyView]


class _ApiKeySettingsOptional(TypedDict, total=False):
    #: The key is refused from this time on.
    expires: UnixMillis | None
    #: The requester that signs requests.
    requester: RequesterId | None
    #: SHA-256 of the key's text form.
    sha256: Hash | None
    #: Only these wallets, their tasks and their events; all if absent.
    wallets: list[KeyId] | None


class ApiKeySettings(_ApiKeySettingsOptional):
    """The settings of an API key, as answers show them."""

    #: Everything else is answered with 403.
    scopes: list[Scope]


class _ApiKeySpecOptional(TypedDict, total=False):
    #: The key is refused from this time on.
    expires: UnixMillis | None
    #: The requester that signs requests.
    requester: RequesterId | None
    #: SHA-256 of the key's text form.
    sha256: Hash | None
    #: Only these wallets, their tasks and their events; all if absent.
    wallets: list[KeyId] | None


class ApiKeySpec(_ApiKeySpecOptional):
    """An API key, as asked for. Exactly one of `sha256` and `requester` says who it is: the secret is made by its
    holder and never sent here.
    """

    #: Everything else is answered with 403.
    scopes: list[Scope]


class _ApiKeyViewOptional(TypedDict, total=False):
    #: The credential before the last rotation, while it is still accepted.
    previous: PreviousCredential | None


class ApiKeyView(_ApiKeyViewOptional):
    """An API key."""

    #: Its name in its path, in logs and in the audit log.
    name: str
    #: Where it is kept.
    origin: KeyOrigin
    #: Its credential and its permissions.
    spec: ApiKeySettings


class _AttemptOptional(TypedDict, total=False):
    #: What went wrong; absent for a success.
    error: str | None
    #: The receiver's answer, if there was one.
    status: int | None


class Attempt(_AttemptOptional):
    """An attempt to deliver."""

    #: Time of its beginning.
    at: UnixMillis
    #: Duration in milliseconds.
    millis: int


class AuditEnd(TypedDict):
    """The end of the audit log, signed by the coordinator's identity (docs/audit.md)."""

    #: The time of signing.
    at: UnixMillis
    #: The coordinator.
    coordinator: CoordinatorId
    #: Its hash; zeros if there is no chain yet.
    hash: Hash
    #: The number of the last entry; 0 if there is none.
    number: int
    #: Ed25519 over all of it.
    signature: Signature


class _AuditEntryOptional(TypedDict, total=False):
    #: Its place in the chain of all entries. Absent if an earlier version wrote it.
    link: AuditLink | None
    #: The requester, if the request was signed.
    requester: RequesterId | None
    #: SHA-256 of the key's text form, if it was sent.
    sha256: Hash | None


class AuditEntry(_AuditEntryOptional):
    """An entry of the audit log: a change that was made with an API key."""

    #: What was done, such as `webhook.put`. Words may be added.
    action: str
    #: Time of the change.
    at: UnixMillis
    #: The name of the API key.
    by: str
    #: The cursor just behind this entry, for `after`.
    cursor: str
    #: What it was done to: a task, a wallet, or a name.
    target: str


class AuditLink(TypedDict):
    """The place of an entry in the chain, in which each has the hash of the one before (docs/audit.md)."""

    #: Hash of all fields of the entry, without its cursor.
    hash: Hash
    #: Counts from 1 without a gap.
    number: int
    #: Hash of the entry before; zeros for the first of the chain.
    previous: Hash


class _AuditPageOptional(TypedDict, total=False):
    #: The end of the log, on a page that reaches it. Absent from earlier versions.
    end: AuditEnd | None


class AuditPage(_AuditPageOptional):
    """A part of the audit log."""

    #: Oldest first.
    entries: list[AuditEntry]
    #: `after` of the next request, whether or not there are more entries already.
    next: str


class _BundleStatusOptional(TypedDict, total=False):
    #: The time at which it takes effect if the node runs until then, by the node's clock. Absent if it is in force. It
    #: may be earlier: what tightens does not wait.
    until: UnixMillis | None


class BundleStatus(_BundleStatusOptional):
    """A policy bundle at a node."""

    #: The hash that its publishers have signed.
    digest: Hash
    #: Name of the policy that the node follows.
    name: str
    #: Number of them who must have.
    needed: int
    #: Number of the node's publishers who have signed it.
    signed: int
    #: Whether the node decides by it.
    state: BundleState
    #: Its version.
    version: int


class ChildView(TypedDict):
    """A child key with its addresses."""

    #: Each kind of address with the address. `ecdsa-secp256k1`: `evm`, `bitcoin-p2wpkh`, `bitcoin-p2sh`,
    #: `bitcoin-p2pkh`; `taproot`: `bitcoin-p2tr`; `ed25519`: `solana`; `schnorr-secp256k1`: `public-key`. Kinds may be
    #: added.
    addresses: dict[str, Any]
    #: The path below the root key.
    path: DerivationPath
    #: 33 bytes compressed, 32 bytes on Ed25519, in hexadecimal.
    public_key: str


class Collecting(TypedDict):
    """How far a task has come in collecting approvals, by the coordinator's list of approvers. Each node counts for
    itself.
    """

    #: The number of people who have approved.
    approved: int
    #: The number of people who have to approve before the nodes are asked.
    needed: int
    #: The number of people who have rejected.
    rejected: int
    #: The task expires if too few have approved by then.
    until: UnixMillis


class _DecisionOptional(TypedDict, total=False):
    #: Absent: approved.
    refusal: Refusal | None


class Decision(_DecisionOptional):
    """A node's decision on a task."""

    #: Time of arrival, not of the decision.
    at: UnixMillis
    #: The verdict of each plugin.
    verdicts: list[PluginVerdict]


class _DeliveryOptional(TypedDict, total=False):
    #: The subject, if the event is not in the feed.
    data: EventData | None
    #: Time of the next attempt; absent if there is none.
    next_attempt: UnixMillis | None


class Delivery(_DeliveryOptional):
    """The sending of one event to one webhook."""

    #: The time of the event.
    at: UnixMillis
    #: Every attempt, oldest first.
    attempts: list[Attempt]
    #: The event's id, which is `webhook-id` at the receiver.
    event: str
    #: Whether the receiver has it.
    state: DeliveryState
    #: The kind of event.
    type: EventKind


class _DeliveryPageOptional(TypedDict, total=False):
    #: `cursor` of the next page; absent on the last one.
    next: str | None


class DeliveryPage(_DeliveryPageOptional):
    """A page of deliveries."""

    #: Newest first.
    deliveries: list[Delivery]


class DrainView(TypedDict):
    """The state of draining."""

    #: True if no tasks are begun.
    draining: bool
    #: Number of tasks that were offered to nodes and have not ended. At 0, a draining coordinator can be stopped
    #: without failing any.
    under_way: int
    #: Number of tasks that wait.
    waiting: int


class Event(TypedDict):
    """A change, durable together with what it tells of. The same event always has the same id, in the feed and in
    every webhook delivery.
    """

    #: Time of the change.
    at: UnixMillis
    #: The cursor just behind this event, for `after`.
    cursor: str
    #: What changed.
    data: EventData
    #: `evt_` and 32 hexadecimal digits.
    id: str
    #: The kind of change.
    type: EventKind


class EventData(TypedDict, total=False):
    """What an event tells of."""

    #: The task as it was right after the change.
    task: TaskSummary
    #: The wallet.
    wallet: WalletChange
    #: The webhook that is tested, by its name.
    webhook: str


class EventPage(TypedDict):
    """A part of the feed."""

    #: Oldest first.
    events: list[Event]
    #: `after` of the next request, whether or not there are more events already.
    next: str


class ExpireApiKey(TypedDict):
    """Sets the end of a key, and nothing else."""

    #: The key is refused from this time on. Null: it does not end by itself.
    expires: UnixMillis | None


class _ExplanationOptional(TypedDict, total=False):
    #: What to do, if anything.
    advice: str | None
    #: Time at which the wait ends in any case, if it waits.
    until: UnixMillis | None


class Explanation(_ExplanationOptional):
    """What happened to a task, in plain words. The coordinator's word and the nodes'; the texts may change."""

    #: What happened at each party.
    nodes: list[NodeExplanation]
    #: Its state.
    state: State
    #: What happened, in a few sentences.
    summary: str
    #: The task's id.
    task: TaskId
    #: The nodes that the task waits for.
    waiting_for: list[NodeId]


class Failure(TypedDict):
    """The failure of a session."""

    #: The kind of party at fault.
    cause: Cause
    #: A stable code, for programs.
    code: FailureCode
    #: The nodes to blame, or the nodes that were waited for.
    culprits: list[NodeId]
    #: One sentence for people that ends with what to do.
    text: str


class Guards(TypedDict):
    """The tasks that a plugin guards. An empty list means all; a task must fit all three."""

    #: Key ids; at most [`MAX_GUARDED`].
    keys: list[str]
    #: Keys beyond the limit, which are left out of `keys`.
    more_keys: int
    #: Kinds of operation by name, such as `keysign`.
    operations: list[str]
    #: Signature schemes by name.
    schemes: list[str]


class HistoryEntry(TypedDict):
    """An entry of a task's history."""

    #: Time of the entry.
    at: UnixMillis
    #: One sentence, for people.
    text: str


class _InputSignatureOptional(TypedDict, total=False):
    #: ECDSA only: 0 or 1 (2 and 3 do not occur in practice).
    recovery_id: int | None


class InputSignature(_InputSignatureOptional):
    """The finished signature of one input."""

    #: The path of the child key that signed.
    path: DerivationPath
    #: The public key under which it verifies: the derived child (for `taproot` the x-only BIP-341 output key).
    public_key: Point
    #: ECDSA: r, s (64 bytes, low s). Ed25519, BIP-340: 64 bytes. RFC 9591 secp256k1: 65 bytes.
    signature: Point
    #: The bytes that were handed to the signature algorithm.
    signed_bytes: Point


class Intact(TypedDict):
    """A proof that one node's share is intact."""

    generation: int
    key: KeyId
    node: NodeId
    #: Proof of knowledge of the node's secret share: compressed commitment, then the response as 32 big-endian bytes.
    proof: Point
    #: All public shares of the generation, in the order of the committee: the preimage of
    #: [`KeyDescriptor::public_shares`].
    public_shares: list[Point]


class _KeyDescriptorOptional(TypedDict, total=False):
    #: Digest of the auxiliary information that the key signs with; ECDSA only.
    aux: Hash | None
    #: After a reshare: dealers and future members.
    parties: list[NodeId]


class KeyDescriptor(_KeyDescriptorOptional):
    """A generation of a wallet's key, with the signed acknowledgements of its parties. It proves itself: verify it
    before use.
    """

    #: The BIP-32 chain code.
    chain_code: Hash
    committee: Committee
    #: 0 for a new key, plus one for each reshare.
    generation: int
    key: KeyId
    name: str
    #: Hash of all public key shares.
    public_shares: Hash
    #: secp256k1: 33 bytes compressed (SEC 1). ed25519: 32 bytes.
    root_public_key: Point
    scheme: Scheme
    session: SessionId
    #: The acknowledgement of each party.
    stored: list[SignedAck]
    #: The KeyGen or KeyReshare that made the generation.
    task: TaskId
    threshold: Threshold


class _NodeExplanationOptional(TypedDict, total=False):
    #: Its name in the coordinator's configuration, if it is admitted there.
    name: str | None


class NodeExplanation(_NodeExplanationOptional):
    """What happened at one party."""

    #: The party's id.
    node: NodeId
    #: In one or two sentences.
    text: str


class NodeForecast(Answer):
    """The forecast of one node."""

    #: True if it would take part in the task, were it submitted now. False of all nodes while the task would wait.
    chosen: bool
    #: The node.
    node: NodeId


class NodeList(TypedDict):
    """All admitted nodes."""

    #: In the order of their ids.
    nodes: list[NodeView]


class _NodeStatusOptional(TypedDict, total=False):
    #: The policy bundles that are in force at it or wait; at most [`MAX_BUNDLES`]. Empty if it follows none, or is of
    #: an earlier version.
    bundles: list[BundleStatus]


class NodeStatus(_NodeStatusOptional):
    """A node's description of itself at one moment."""

    #: The node's clock when it wrote this.
    clock: UnixMillis
    #: Entries beyond the limit, which are left out of `plugins`.
    more_plugins: int
    #: Its plugin entries in the order of its configuration; at most [`MAX_PLUGINS`].
    plugins: list[PluginStatus]
    #: The signature schemes that it knows, by name. Names of later versions may be among them.
    schemes: list[str]
    #: Program and version.
    software: str


class _NodeViewOptional(TypedDict, total=False):
    #: True while it is online and takes no new tasks, because its operator is about to stop it.
    draining: bool
    #: Time of the last sign of life; absent if there was none since the coordinator started.
    last_seen: UnixMillis | None
    #: What it last said of itself.
    reported: Reported | None
    #: Time of connection, while online.
    since: UnixMillis | None
    #: Program and version, while online, as the node reports them.
    software: str | None


class NodeView(_NodeViewOptional):
    """A node that the coordinator admits."""

    #: The node's id.
    id: NodeId
    #: Its name in the coordinator's configuration.
    name: str
    #: True while it is connected.
    online: bool


class NotAsked(TypedDict):
    """A plugin without a verdict. Its answer to a real task is open."""

    #: The plugin's name in the node's configuration.
    plugin: str
    #: One sentence for people.
    why: str


class Outcome(TypedDict, total=False):
    """The single outcome of a task at a node."""

    #: KeyGen: every member has stored and acknowledged its share.
    created: KeyDescriptor
    #: KeySign: all ordered signatures, verified by the node itself.
    signed: Signed
    #: The node did not take part.
    refused: Refusal
    #: The node took part, but the task failed.
    failed: Failure
    #: KeyReshare: every party has stored and acknowledged its part.
    reshared: KeyDescriptor
    #: KeyShareSign: this node's share is intact.
    intact: Intact


class OutcomeView(Outcome):
    """The outcome that a node reported."""

    #: Time of the report's arrival.
    at: UnixMillis


class _PaceOptional(TypedDict, total=False):
    #: Percentage of the protocol's steps completed, 0 to 100; absent while the node only waits.
    percent: int | None


class Pace(_PaceOptional):
    """A node's progress in a slow stage."""

    #: Milliseconds since the stage began.
    elapsed_ms: int
    #: The stage's time limit at this node, in ms.
    limit_ms: int


class _PartyViewOptional(TypedDict, total=False):
    #: Absent until it has decided.
    decision: Decision | None
    #: Its name in the coordinator's configuration, if it is admitted there.
    name: str | None
    #: The outcome that it reported.
    outcome: OutcomeView | None
    #: The last reported progress.
    progress: Progress | None
    #: True if its acknowledgement of the key that the task creates or reshares is here.
    stored: bool
    #: True if it declared that it never stored anything for a reshare.
    void: bool


class PartyView(_PartyViewOptional):
    """A party of a task."""

    #: The party's id.
    node: NodeId
    #: True while it is connected.
    online: bool


class PasskeySignature(TypedDict):
    """The proof of a passkey as JSON has it, with the assertion as in a vote."""

    #: The assertion. Its challenge is what an Ed25519 key would sign.
    passkey: VoteAssertion


class _PluginStatusOptional(TypedDict, total=False):
    #: SHA-256 of its configuration.
    config: Hash | None
    #: SHA-256 of the component.
    digest: Hash | None
    #: The version by which the component describes itself; absent if it is broken, as are the next two.
    version: str | None


class PluginStatus(_PluginStatusOptional):
    """One plugin entry of a node."""

    #: The tasks that it guards.
    guards: Guards
    #: The entry's name in the node's configuration.
    name: str
    #: True if it may ask somebody outside the node. A preflight does not ask it.
    remote: bool
    #: The part that it plays in decisions.
    state: PluginState


class PluginVerdict(TypedDict):
    """The verdict of one plugin on a task."""

    #: False if the plugin refused.
    approved: bool
    #: Stable code of a refusal; empty for an approval.
    code: str
    #: SHA-256 of the configuration that it ran with.
    config: Hash
    #: SHA-256 of the component that ran.
    digest: Hash
    #: The plugin's run time in microseconds.
    micros: int
    #: The plugin's name in the configuration.
    plugin: str
    #: One sentence; empty for an approval.
    reason: str
    #: The version that the plugin reports.
    version: str


class Preflight(TypedDict):
    """The forecast for a task: what would come of it if it were submitted now."""

    #: The time at which the nodes were asked, by this coordinator's clock.
    at: UnixMillis
    #: The number of nodes that would take part.
    needed: int
    #: Every node that could take part, in the order of their ids.
    nodes: list[NodeForecast]
    #: What the task would do.
    operation: OperationKind
    #: The task's id, which remains unused.
    task: TaskId
    #: What would come of the task.
    verdict: Verdict


class _PreviousCredentialOptional(TypedDict, total=False):
    #: The requester that signs requests.
    requester: RequesterId | None
    #: SHA-256 of the key's text form.
    sha256: Hash | None


class PreviousCredential(_PreviousCredentialOptional):
    """A credential that was replaced."""

    #: It is refused from this time on.
    expires: UnixMillis


class Problem(TypedDict):
    """An error: `application/problem+json` (RFC 9457)."""

    #: A stable code, for programs. Codes may be added.
    code: str
    #: What is wrong, and what to do. For people; the text may change.
    detail: str
    #: The HTTP status.
    status: int
    #: The meaning of the HTTP status.
    title: str


class _ProgressOptional(TypedDict, total=False):
    #: Progress within a long stage.
    pace: Pace | None


class Progress(_ProgressOptional):
    """The progress of a node."""

    #: Time of the report's arrival.
    at: UnixMillis
    #: The stage of the protocol.
    stage: Stage
    #: The nodes whose messages it lacks.
    waiting_for: list[NodeId]


class _ReasonOptional(TypedDict, total=False):
    #: The plugin that refused, if any.
    plugin: str | None


class Reason(_ReasonOptional):
    """Why a task ended without a result."""

    #: Stable code, for programs.
    code: str
    #: One sentence, for people.
    message: str
    #: The nodes concerned, as far as the coordinator knows it itself: those that refused, are silent, or are proven to
    #: have cheated or reported a wrong result. Nodes that others merely name appear in the message, with their
    #: accusers.
    nodes: list[NodeId]


class _RefusalOptional(TypedDict, total=False):
    #: The plugin that refused; absent if the node itself did.
    plugin: str | None


class Refusal(_RefusalOptional):
    """A node's refusal to take part. Never retried automatically."""

    #: A stable code, for programs.
    code: RefusalCode
    #: One sentence for people, free of control characters.
    reason: str


class Reported(TypedDict):
    """A node's description of itself, as it arrived. The node's word: for display only."""

    #: The time of arrival, by the coordinator's clock.
    at: UnixMillis
    #: The node's clock minus the coordinator's at arrival, in ms. Contains the time that the description travelled.
    skew_ms: int
    #: The description, with its texts bounded and printable.
    status: NodeStatus


class RequesterList(TypedDict):
    """A requester whose tasks the coordinator accepts."""

    #: True if any requester with a valid signature is accepted. Nodes have their own lists.
    any: bool
    #: Those in the configuration, if it lists some.
    requesters: list[RequesterId]


class Resend(TypedDict, total=False):
    """Selects events to send again, with the ids that they had. Everything that is set must hold; at least one must be
    set.
    """

    #: One of these events.
    events: list[str] | None
    #: Events of this time or later.
    since: UnixMillis | None
    #: Deliveries in this state.
    state: DeliveryState | None
    #: Events of this task.
    task: TaskId | None
    #: Events before this time.
    until: UnixMillis | None
    #: Events of this wallet.
    wallet: KeyId | None


class Resent(TypedDict):
    """How many events are sent again."""

    #: Number of deliveries.
    deliveries: int
    #: True if more events were selected than one request may send again; repeat it with a later `since`.
    more: bool


class RotateApiKey(TypedDict, total=False):
    """Replaces the credential of a key. Repeating the request changes nothing."""

    #: Seconds for which the credential before is still accepted; at most seven days.
    overlap_seconds: int
    #: The requester that signs requests from now on.
    requester: RequesterId | None
    #: SHA-256 of the new key's text form.
    sha256: Hash | None


class RotateWebhookKey(TypedDict):
    """Replaces the current key."""

    #: The id of the key to replace. If it is not the current one, nothing happens, so that a repeated request does not
    #: replace two keys.
    kid: str


class SetDrain(TypedDict):
    """Whether the coordinator is to begin tasks."""

    #: True: tasks under way are finished, and others wait, also over a restart.
    draining: bool


class Signed(TypedDict):
    """The finished signatures of a task, one for each input of its payload and in that order."""

    #: The run that made the signatures.
    session: SessionId
    #: Never empty, and never a part of the order.
    signatures: list[InputSignature]


class SignedAck(TypedDict):
    """A party's signed acknowledgement of a generation. Over [`KeyDescriptor::digest`]: its part is durable, be it its
    share or the fact that it gives its old one up. Over [`KeyDescriptor::in_force_digest`]: it holds the
    generation, durably.
    """

    #: The node that acknowledges.
    node: NodeId
    #: Ed25519 over the digest.
    signature: Point


class Submission(TypedDict):
    """A signed task, as submitted."""

    #: The requester's signature over the text, with the label of docs/task-api.md.
    signature: OrderProof
    #: The exact JSON text of the task.
    task: str


class _SubmitterOptional(TypedDict, total=False):
    #: The requester, if the request was signed.
    requester: RequesterId | None
    #: SHA-256 of the key's text form, if it was sent. Shown only to callers with the scope `admin`.
    sha256: Hash | None


class Submitter(_SubmitterOptional):
    """The sender of a request: the API key, and the credential that proved it. Names may be given again; a credential
    has one holder.
    """

    #: The name of the API key.
    name: str


class _TaskPageOptional(TypedDict, total=False):
    #: `cursor` of the next page; absent on the last one.
    next: str | None


class TaskPage(_TaskPageOptional):
    """A page of tasks."""

    #: Newest first.
    tasks: list[TaskSummary]


class TaskResult(TypedDict, total=False):
    """The result of a task, for the caller to verify."""

    #: A key with the acknowledgements of all its holders.
    created: KeyDescriptor
    #: All signatures that were ordered.
    signed: Signed
    #: The next generation of a key, with the acknowledgements of all parties.
    reshared: KeyDescriptor
    #: One proof of each node that was to check its share, in the order of the parties.
    intact: list[Intact]


class _TaskSummaryOptional(TypedDict, total=False):
    #: The count of votes, if the task collects them.
    collecting: Collecting | None
    #: Time at which the state became final.
    ended: UnixMillis | None
    #: Time at which the parties were asked.
    offered: UnixMillis | None
    #: Set if it ended without a result.
    reason: Reason | None
    #: Time of the last approval.
    started: UnixMillis | None


class TaskSummary(_TaskSummaryOptional):
    """A task in a list."""

    #: The id that the requester chose.
    id: TaskId
    #: Nothing starts after this.
    not_after: UnixMillis
    #: What the task does.
    operation: OperationKind
    #: The signer of the task.
    requester: RequesterId
    #: Number of changes so far.
    revision: int
    #: Position in the order of all tasks.
    sequence: int
    #: The phase, or the end.
    state: State
    #: Time of acceptance.
    submitted: UnixMillis
    #: The wallet that the task creates, uses, reshares or checks.
    wallet: KeyId


class _TaskViewOptional(TypedDict, total=False):
    #: The result, for the caller to verify.
    result: TaskResult | None
    #: The sender of the task. Absent if it was imported, or handed in to an earlier version.
    submitted_by: Submitter | None


class TaskView(TaskSummary, _TaskViewOptional):
    """A task in full. Its order and its result prove themselves; everything else is the word of the coordinator and
    the nodes.
    """

    #: The history, oldest first.
    events: list[HistoryEntry]
    #: The parties; empty until they are chosen.
    nodes: list[PartyView]
    #: The requester's signature over it.
    signature: OrderProof
    #: The exact text that the requester signed.
    task: str


class _VerdictOptional(TypedDict, total=False):
    #: The nodes that would take part.
    by: list[NodeId]
    #: Those of them with plugins that were not asked.
    undecided: list[NodeId]
    #: Only of a KeySign that names no signers: members that do not object and suffice, if the task names them as its
    #: `signers`. Empty if there are too few. A node that refuses guards the wallet: ask its operator before you go
    #: around it.
    instead: list[NodeId]
    #: The nodes without an answer.
    of: list[NodeId]
    #: Those that are offline; empty if enough are online and have no room.
    missing: list[NodeId]


class Verdict(_VerdictOptional):
    """What would come of a task. As JSON, `kind` names the case."""

    kind: Literal["approved", "open", "refused", "unknown", "waiting"] | str


class _VoteOptional(TypedDict, total=False):
    #: With a passkey: its assertion.
    passkey: VoteAssertion | None
    #: With an Ed25519 key: its signature, 128 hexadecimal digits.
    signature: str | None


class Vote(_VoteOptional):
    """A vote as JSON has it."""

    #: The key that votes, `csv1…`.
    approver: str
    #: `approve` or `reject`.
    choice: Choice
    #: Hash of the task's exact bytes, 64 hexadecimal digits.
    task: Hash
    #: The time of signing, in milliseconds since 1970, by the approver's clock.
    time: UnixMillis
    #: The version of the format, 1.
    version: int


class VoteAssertion(TypedDict):
    """The assertion of a passkey as JSON has it: each member in lower-case hexadecimal."""

    #: `authenticatorData`.
    authenticator_data: str
    #: `clientDataJSON`, the exact bytes.
    client_data: str
    #: The ES256 signature in DER, with the smaller of the two values of s.
    signature: str


class _VoteListOptional(TypedDict, total=False):
    #: The state of the count. Absent if the task collects no votes.
    collecting: Collecting | None


class VoteList(_VoteListOptional):
    """The votes on a task. Each proves itself; who has which name is the coordinator's word."""

    #: The hash of its exact bytes, which every vote on it names.
    hash: Hash
    #: Names of the listed approvers who have not voted, in alphabetical order.
    missing: list[str]
    #: The task.
    task: TaskId
    #: In the order of arrival; at most one approval and one rejection of each key.
    votes: list[VoteView]


class VoteView(TypedDict):
    """A vote as it was received."""

    #: The name of the approver in the coordinator's configuration.
    name: str
    #: Time of arrival.
    received: UnixMillis
    #: The vote itself, for the reader to verify.
    vote: Vote


class WalletAddresses(TypedDict):
    """Children of a wallet with their addresses, as the coordinator derives them. Its word alone: nothing in here
    proves itself.
    """

    #: In the order of the request.
    children: list[ChildView]
    #: The wallet's id.
    wallet: KeyId


class WalletChange(TypedDict):
    """A change of a wallet."""

    #: The newest generation.
    generation: int
    #: The wallet's id.
    id: KeyId
    #: The name given by its creator.
    name: str
    #: The task that made it.
    task: TaskId


class WalletGenerations(TypedDict):
    """All known generations of a wallet."""

    #: Oldest first. Each carries the acknowledgements of its parties, and proves that it succeeds the one before.
    generations: list[KeyDescriptor]


class _WalletImportOptional(TypedDict, total=False):
    #: The KeyGen that created the first, if available.
    order: Submission | None


class WalletImport(_WalletImportOptional):
    """A wallet that was created through another coordinator."""

    #: All known generations, oldest first.
    generations: list[KeyDescriptor]


class _WalletPageOptional(TypedDict, total=False):
    #: `cursor` of the next page; absent on the last one.
    next: str | None


class WalletPage(_WalletPageOptional):
    """A page of wallets."""

    #: In the order of their ids.
    wallets: list[WalletView]


class WalletView(TypedDict):
    """A wallet, in its newest generation."""

    #: The descriptor with the acknowledgements of all parties, for the caller to verify.
    announcement: KeyDescriptor
    #: The root: `xpub…` (secp256k1) or `cpub…` (ed25519).
    extended_public_key: str
    #: 0 for a new wallet; incremented by each reshare.
    generation: int
    #: The wallet's id.
    id: KeyId
    #: The name given by its creator.
    name: str
    #: The task that made this generation.
    task: TaskId


class WebhookKey(TypedDict):
    """A public key that webhooks are signed with."""

    #: `EdDSA`.
    alg: str
    #: Time of creation.
    created: UnixMillis
    #: `Ed25519`.
    crv: str
    #: The key's id.
    kid: str
    #: `OKP`.
    kty: str
    #: `sig`.
    use: str
    #: The same key as Standard Webhooks' libraries take it: `whpk_` and base64.
    whpk: str
    #: The public key: 32 bytes in base64url.
    x: str


class WebhookKeys(TypedDict):
    """The keys that webhooks are signed with: a JSON Web Key Set (RFC 7517, RFC 8037)."""

    #: The current key first; then the one before, for a week after a rotation.
    keys: list[WebhookKey]


class WebhookList(TypedDict):
    """All webhooks."""

    #: In the order of their names.
    webhooks: list[WebhookView]


class _WebhookSettingsOptional(TypedDict, total=False):
    #: Only these kinds; all if absent.
    types: list[EventKind] | None
    #: Only events of these wallets; of all if absent.
    wallets: list[KeyId] | None


class WebhookSettings(_WebhookSettingsOptional):
    """A receiver of events, as it is told of."""

    #: While false, nothing is sent; events wait as long as the feed keeps them.
    enabled: bool
    #: The signature of deliveries.
    format: WebhookFormat
    #: The receiver of events.
    url: str


class _WebhookSpecOptional(TypedDict, total=False):
    #: While false, nothing is sent; events wait as long as the feed keeps them.
    enabled: bool
    #: The signature of deliveries.
    format: WebhookFormat
    #: Only these kinds, at least one; all if absent.
    types: list[EventKind] | None
    #: Only events of these wallets, at least one; of all if absent.
    wallets: list[KeyId] | None


class WebhookSpec(_WebhookSpecOptional):
    """A receiver of events, as configured."""

    #: The receiver of events: `https`, or `http` on the coordinator's own machine. The coordinator's operator decides
    #: which networks may be reached beside the public one.
    url: str


class _WebhookViewOptional(TypedDict, total=False):
    #: Time since which every attempt has failed; absent while attempts succeed.
    failing_since: UnixMillis | None


class WebhookView(_WebhookViewOptional):
    """A receiver of events."""

    #: Time of creation.
    created: UnixMillis
    #: The event up to which deliveries were begun, as a cursor of the feed.
    cursor: str
    #: The name in its path.
    name: str
    #: Deliveries that wait for an attempt.
    pending: int
    #: Its configuration.
    spec: WebhookSettings


#: What shows that the requester signed the task: an Ed25519 signature, or the assertion of a passkey.
OrderProof = Signature | PasskeySignature

#: The answer to a submission that is known already, or to a preflight.
SubmitAnswer = TaskView | Preflight

#: Of every object the members with their shapes. `?` behind a name: it may be missing; before a shape: it may be
#: null; `[]`: a list.
SHAPES: dict[str, dict[str, str]] = {
    "Answer": {
        "answer": "string",
        "not_asked?": "[]NotAsked",
        "verdicts?": "[]PluginVerdict",
        "refusal?": "Refusal",
    },
    "ApiKeyList": {
        "api_keys": "[]ApiKeyView",
    },
    "ApiKeySettings": {
        "expires?": "?integer",
        "requester?": "?string",
        "scopes": "[]string",
        "sha256?": "?string",
        "wallets?": "?[]string",
    },
    "ApiKeySpec": {
        "expires?": "?integer",
        "requester?": "?string",
        "scopes": "[]string",
        "sha256?": "?string",
        "wallets?": "?[]string",
    },
    "ApiKeyView": {
        "name": "string",
        "origin": "string",
        "previous?": "?PreviousCredential",
        "spec": "ApiKeySettings",
    },
    "Attempt": {
        "at": "integer",
        "error?": "?string",
        "millis": "integer",
        "status?": "?integer",
    },
    "AuditEnd": {
        "at": "integer",
        "coordinator": "string",
        "hash": "string",
        "number": "integer",
        "signature": "string",
    },
    "AuditEntry": {
        "action": "string",
        "at": "integer",
        "by": "string",
        "cursor": "string",
        "link?": "?AuditLink",
        "requester?": "?string",
        "sha256?": "?string",
        "target": "string",
    },
    "AuditLink": {
        "hash": "string",
        "number": "integer",
        "previous": "string",
    },
    "AuditPage": {
        "end?": "?AuditEnd",
        "entries": "[]AuditEntry",
        "next": "string",
    },
    "BundleStatus": {
        "digest": "string",
        "name": "string",
        "needed": "integer",
        "signed": "integer",
        "state": "string",
        "until?": "?integer",
        "version": "integer",
    },
    "ChildView": {
        "addresses": "any",
        "path": "string",
        "public_key": "string",
    },
    "Collecting": {
        "approved": "integer",
        "needed": "integer",
        "rejected": "integer",
        "until": "integer",
    },
    "Decision": {
        "at": "integer",
        "refusal?": "?Refusal",
        "verdicts": "[]PluginVerdict",
    },
    "Delivery": {
        "at": "integer",
        "attempts": "[]Attempt",
        "data?": "?EventData",
        "event": "string",
        "next_attempt?": "?integer",
        "state": "string",
        "type": "string",
    },
    "DeliveryPage": {
        "deliveries": "[]Delivery",
        "next?": "?string",
    },
    "DrainView": {
        "draining": "boolean",
        "under_way": "integer",
        "waiting": "integer",
    },
    "Event": {
        "at": "integer",
        "cursor": "string",
        "data": "EventData",
        "id": "string",
        "type": "string",
    },
    "EventData": {
        "task?": "TaskSummary",
        "wallet?": "WalletChange",
        "webhook?": "string",
    },
    "EventPage": {
        "events": "[]Event",
        "next": "string",
    },
    "ExpireApiKey": {
        "expires": "?integer",
    },
    "Explanation": {
        "advice?": "?string",
        "nodes": "[]NodeExplanation",
        "state": "string",
        "summary": "string",
        "task": "string",
        "until?": "?integer",
        "waiting_for": "[]string",
    },
    "Failure": {
        "cause": "string",
        "code": "string",
        "culprits": "[]string",
        "text": "string",
    },
    "Guards": {
        "keys": "[]string",
        "more_keys": "integer",
        "operations": "[]string",
        "schemes": "[]string",
    },
    "HistoryEntry": {
        "at": "integer",
        "text": "string",
    },
    "InputSignature": {
        "path": "string",
        "public_key": "string",
        "recovery_id?": "?integer",
        "signature": "string",
        "signed_bytes": "string",
    },
    "Intact": {
        "generation": "integer",
        "key": "string",
        "node": "string",
        "proof": "string",
        "public_shares": "[]string",
    },
    "KeyDescriptor": {
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
    "NodeExplanation": {
        "name?": "?string",
        "node": "string",
        "text": "string",
    },
    "NodeForecast": {
        "answer": "string",
        "not_asked?": "[]NotAsked",
        "verdicts?": "[]PluginVerdict",
        "refusal?": "Refusal",
        "chosen": "boolean",
        "node": "string",
    },
    "NodeList": {
        "nodes": "[]NodeView",
    },
    "NodeStatus": {
        "bundles?": "[]BundleStatus",
        "clock": "integer",
        "more_plugins": "integer",
        "plugins": "[]PluginStatus",
        "schemes": "[]string",
        "software": "string",
    },
    "NodeView": {
        "draining?": "boolean",
        "id": "string",
        "last_seen?": "?integer",
        "name": "string",
        "online": "boolean",
        "reported?": "?Reported",
        "since?": "?integer",
        "software?": "?string",
    },
    "NotAsked": {
        "plugin": "string",
        "why": "string",
    },
    "Outcome": {
        "created?": "KeyDescriptor",
        "signed?": "Signed",
        "refused?": "Refusal",
        "failed?": "Failure",
        "reshared?": "KeyDescriptor",
        "intact?": "Intact",
    },
    "OutcomeView": {
        "created?": "KeyDescriptor",
        "signed?": "Signed",
        "refused?": "Refusal",
        "failed?": "Failure",
        "reshared?": "KeyDescriptor",
        "intact?": "Intact",
        "at": "integer",
    },
    "Pace": {
        "elapsed_ms": "integer",
        "limit_ms": "integer",
        "percent?": "?integer",
    },
    "PartyView": {
        "decision?": "?Decision",
        "name?": "?string",
        "node": "string",
        "online": "boolean",
        "outcome?": "?OutcomeView",
        "progress?": "?Progress",
        "stored?": "boolean",
        "void?": "boolean",
    },
    "PasskeySignature": {
        "passkey": "VoteAssertion",
    },
    "PluginStatus": {
        "config?": "?string",
        "digest?": "?string",
        "guards": "Guards",
        "name": "string",
        "remote": "boolean",
        "state": "string",
        "version?": "?string",
    },
    "PluginVerdict": {
        "approved": "boolean",
        "code": "string",
        "config": "string",
        "digest": "string",
        "micros": "integer",
        "plugin": "string",
        "reason": "string",
        "version": "string",
    },
    "Preflight": {
        "at": "integer",
        "needed": "integer",
        "nodes": "[]NodeForecast",
        "operation": "string",
        "task": "string",
        "verdict": "Verdict",
    },
    "PreviousCredential": {
        "expires": "integer",
        "requester?": "?string",
        "sha256?": "?string",
    },
    "Problem": {
        "code": "string",
        "detail": "string",
        "status": "integer",
        "title": "string",
    },
    "Progress": {
        "at": "integer",
        "pace?": "?Pace",
        "stage": "string",
        "waiting_for": "[]string",
    },
    "Reason": {
        "code": "string",
        "message": "string",
        "nodes": "[]string",
        "plugin?": "?string",
    },
    "Refusal": {
        "code": "string",
        "plugin?": "?string",
        "reason": "string",
    },
    "Reported": {
        "at": "integer",
        "skew_ms": "integer",
        "status": "NodeStatus",
    },
    "RequesterList": {
        "any": "boolean",
        "requesters": "[]string",
    },
    "Resend": {
        "events?": "?[]string",
        "since?": "?integer",
        "state?": "?string",
        "task?": "?string",
        "until?": "?integer",
        "wallet?": "?string",
    },
    "Resent": {
        "deliveries": "integer",
        "more": "boolean",
    },
    "RotateApiKey": {
        "overlap_seconds?": "integer",
        "requester?": "?string",
        "sha256?": "?string",
    },
    "RotateWebhookKey": {
        "kid": "string",
    },
    "SetDrain": {
        "draining": "boolean",
    },
    "Signed": {
        "session": "string",
        "signatures": "[]InputSignature",
    },
    "SignedAck": {
        "node": "string",
        "signature": "string",
    },
    "Submission": {
        "signature": "any",
        "task": "string",
    },
    "Submitter": {
        "name": "string",
        "requester?": "?string",
        "sha256?": "?string",
    },
    "TaskPage": {
        "next?": "?string",
        "tasks": "[]TaskSummary",
    },
    "TaskResult": {
        "created?": "KeyDescriptor",
        "signed?": "Signed",
        "reshared?": "KeyDescriptor",
        "intact?": "[]Intact",
    },
    "TaskSummary": {
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
    "TaskView": {
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
    "Verdict": {
        "by?": "[]string",
        "kind": "string",
        "undecided?": "[]string",
        "instead?": "[]string",
        "of?": "[]string",
        "missing?": "[]string",
    },
    "Vote": {
        "approver": "string",
        "choice": "string",
        "passkey?": "?VoteAssertion",
        "signature?": "?string",
        "task": "string",
        "time": "integer",
        "version": "integer",
    },
    "VoteAssertion": {
        "authenticator_data": "string",
        "client_data": "string",
        "signature": "string",
    },
    "VoteList": {
        "collecting?": "?Collecting",
        "hash": "string",
        "missing": "[]string",
        "task": "string",
        "votes": "[]VoteView",
    },
    "VoteView": {
        "name": "string",
        "received": "integer",
        "vote": "Vote",
    },
    "WalletAddresses": {
        "children": "[]ChildView",
        "wallet": "string",
    },
    "WalletChange": {
        "generation": "integer",
        "id": "string",
        "name": "string",
        "task": "string",
    },
    "WalletGenerations": {
        "generations": "[]KeyDescriptor",
    },
    "WalletImport": {
        "generations": "[]KeyDescriptor",
        "order?": "?Submission",
    },
    "WalletPage": {
        "next?": "?string",
        "wallets": "[]WalletView",
    },
    "WalletView": {
        "announcement": "KeyDescriptor",
        "extended_public_key": "string",
        "generation": "integer",
        "id": "string",
        "name": "string",
        "task": "string",
    },
    "WebhookKey": {
        "alg": "string",
        "created": "integer",
        "crv": "string",
        "kid": "string",
        "kty": "string",
        "use": "string",
        "whpk": "string",
        "x": "string",
    },
    "WebhookKeys": {
        "keys": "[]WebhookKey",
    },
    "WebhookList": {
        "webhooks": "[]WebhookView",
    },
    "WebhookSettings": {
        "enabled": "boolean",
        "format": "string",
        "types?": "?[]string",
        "url": "string",
        "wallets?": "?[]string",
    },
    "WebhookSpec": {
        "enabled?": "boolean",
        "format?": "string",
        "types?": "?[]string",
        "url": "string",
        "wallets?": "?[]string",
    },
    "WebhookView": {
        "created": "integer",
        "cursor": "string",
        "failing_since?": "?integer",
        "name": "string",
        "pending": "integer",
        "spec": "WebhookSettings",
    },
}

#: Of every operation the method, the path, the answer's object, and the names of its query.
OPERATIONS: dict[str, tuple[str, str, str | None, tuple[str, ...]]] = {
    "cancelTask": ("POST", "/v1/tasks/{id}/cancel", "TaskView", ()),
    "deleteWebhook": ("DELETE", "/v1/webhooks/{name}", None, ()),
    "deriveAddresses": ("GET", "/v1/wallets/{id}/addresses", "WalletAddresses", ("path", "first", "count", "bitcoin",)),
    "expireApiKey": ("POST", "/v1/api-keys/{name}/expire", "ApiKeyView", ()),
    "explainTask": ("GET", "/v1/tasks/{id}/explain", "Explanation", ()),
    "importWallet": ("POST", "/v1/wallets", "WalletView", ()),
    "listApiKeys": ("GET", "/v1/api-keys", "ApiKeyList", ()),
    "listDeliveries": ("GET", "/v1/webhooks/{name}/deliveries", "DeliveryPage", ("limit", "cursor", "state",)),
    "listGenerations": ("GET", "/v1/wallets/{id}/generations", "WalletGenerations", ()),
    "listNodes": ("GET", "/v1/nodes", "NodeList", ()),
    "listRequesters": ("GET", "/v1/requesters", "RequesterList", ()),
    "listTasks": ("GET", "/v1/tasks", "TaskPage", ("limit", "cursor", "wallet", "state", "operation", "requester", "since", "until",)),
    "listVotes": ("GET", "/v1/tasks/{id}/votes", "VoteList", ()),
    "listWallets": ("GET", "/v1/wallets", "WalletPage", ("limit", "cursor",)),
    "listWebhookKeys": ("GET", "/v1/webhook-keys", "WebhookKeys", ()),
    "listWebhooks": ("GET", "/v1/webhooks", "WebhookList", ()),
    "putApiKey": ("PUT", "/v1/api-keys/{name}", "ApiKeyView", ()),
    "putWebhook": ("PUT", "/v1/webhooks/{name}", "WebhookView", ()),
    "readAudit": ("GET", "/v1/audit", "AuditPage", ("after", "limit",)),
    "readEvents": ("GET", "/v1/events", "EventPage", ("after", "limit", "wallet", "type", "wait",)),
    "resendEvents": ("POST", "/v1/webhooks/{name}/resend", "Resent", ()),
    "revokeApiKey": ("DELETE", "/v1/api-keys/{name}", None, ()),
    "rotateApiKey": ("POST", "/v1/api-keys/{name}/rotate", "ApiKeyView", ()),
    "rotateWebhookKey": ("POST", "/v1/webhook-keys/rotate", "WebhookKeys", ()),
    "setDrain": ("PUT", "/v1/drain", "DrainView", ()),
    "showDrain": ("GET", "/v1/drain", "DrainView", ()),
    "showTask": ("GET", "/v1/tasks/{id}", "TaskView", ("wait", "revision",)),
    "showWallet": ("GET", "/v1/wallets/{id}", "WalletView", ()),
    "showWebhook": ("GET", "/v1/webhooks/{name}", "WebhookView", ()),
    "submitTask": ("POST", "/v1/tasks", "TaskView", ("dry_run",)),
    "testWebhook": ("POST", "/v1/webhooks/{name}/test", "Delivery", ()),
    "voteOnTask": ("POST", "/v1/tasks/{id}/votes", "VoteList", ()),
}
