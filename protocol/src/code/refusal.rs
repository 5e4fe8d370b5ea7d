//! Codes for a node's refusal to take part in a task.

use super::codes;

codes! {
    /// The code for a node's refusal to take part in a task. Refusals by a plugin
    /// or the sandbox are [`Other`](Self::Other): a plugin defines its own codes,
    /// and [`Refusal::plugin`](crate::Refusal::plugin) names it.
    RefusalCode, other: Caller
    TaskTooLarge = "task-too-large", Caller,
        "the task has more bytes than a task may have",
        "order less at once";
    TaskMalformed = "task-malformed", Caller,
        "the bytes are not a task",
        "compare the versions of requester and node";
    TaskVersion = "task-version", Caller,
        "a version of the format that this node does not know",
        "update the node";
    RequesterUnknown = "requester-unknown", Caller,
        "its requester is not listed under `requesters`",
        "list the requester, if it should be";
    RequesterSignature = "requester-signature", Caller,
        "the signature is not the requester's",
        "find out who changed the task";
    RequesterPasskey = "requester-passkey", Caller,
        "the passkey's signature does not prove the task, or no pages are configured under `passkeys`",
        "read the reason; compare `passkeys` with the page, and sign again";
    TaskFromTheFuture = "task-from-the-future", Environment,
        "it begins later than now",
        "compare the clocks";
    TaskExpired = "task-expired", Caller,
        "its time is over",
        "order again";
    TaskBeforeRestore = "task-before-restore", Environment,
        "it was made before the node was restored from a backup",
        "order it again";
    TaskLifetime = "task-lifetime", Caller,
        "it would be valid for too long",
        "give it a shorter life";
    TaskCollect = "task-collect", Caller,
        "it collects more votes than a task can have, or until a time that is not within its life",
        "correct `collect`";
    TaskText = "task-text", Caller,
        "a name or note is too long, or has control, directional or invisible characters",
        "correct it";
    TaskClaims = "task-claims", Caller,
        "the claims are too many or too long, or have control, directional or invisible characters",
        "correct them";
    TaskCommittee = "task-committee", Caller,
        "the members or the threshold are invalid",
        "correct them";
    TaskPayload = "task-payload", Caller,
        "the payload is empty or too large",
        "correct it";
    TaskSigners = "task-signers", Caller,
        "a signer is listed twice, or there are too many",
        "correct the list";
    TaskFrom = "task-from", Caller,
        "the key descriptor in the task is not the one that the members acknowledged",
        "take it from the wallet";
    TaskDealers = "task-dealers", Caller,
        "the dealers are not exactly as many present members as the key needs",
        "correct the list";
    TaskNodes = "task-nodes", Caller,
        "a node of the check-up is listed twice, or there are none or too many",
        "correct the list";
    TaskIdReused = "task-id-reused", Caller,
        "the id was used for other bytes",
        "find out who did it; use a new id";
    Twin = "twin", Environment,
        "two processes run with the identity of this node, and its operator has not decided yet which one is the original",
        "end the other one, then `countersign-node quarantine lift-twin`; order again";
    Busy = "busy", Environment,
        "the node already runs as many tasks as `limits.tasks` allows",
        "try later";
    PartiesMismatch = "parties-mismatch", Environment,
        "the coordinator named other parties than the task does",
        "ask its operator why";
    NotAParty = "not-a-party", Environment,
        "this node is not among the parties",
        "ask the coordinator's operator why";
    PeerUnknown = "peer-unknown", Environment,
        "a party, or a present holder of a key that is new to this node, is not on its roster",
        "add it, if it should be";
    KeyUnknown = "key-unknown", Caller,
        "this node holds no share of the key",
        "choose another signer";
    KeyPending = "key-pending", Environment,
        "not every member has confirmed the key",
        "connect all members";
    KeyReleased = "key-released", Caller,
        "this node has handed the key over to others",
        "choose another signer";
    GenerationMismatch = "generation-mismatch", Caller,
        "this node has a different generation of the key",
        "use the wallet's newest generation";
    ReshareUnsettled = "reshare-unsettled", Environment,
        "an earlier reshare of the key waits for its parties here",
        "connect all of them; see `countersign-node task list`";
    ReshareOrder = "reshare-order", Caller,
        "this node has stored for a reshare of the same generation that was ordered later",
        "order the reshare again";
    ReshareRate = "reshare-rate", Caller,
        "as many reshares of the key were started within 24 hours as `limits.reshares` allows, counting those that failed; the reason says when the next is allowed",
        "wait until then";
    PeerQuarantined = "peer-quarantined", Peer,
        "a party has cheated with this key, or with any if a key is to be made",
        "choose others, or `countersign-node quarantine lift`";
    KeyStopped = "key-stopped", Peer,
        "somebody cheated with this key and nobody can be named, or three signatures in a row by these signers failed after shares were in use",
        "examine all that took part, then `countersign-node quarantine lift`";
    Cancelled = "cancelled", Environment,
        "the coordinator gave the task up before this node had decided",
        "order it again";
    Signers = "signers", Caller,
        "not exactly as many members as the key needs",
        "choose others";
    Path = "path", Caller,
        "no key can be derived along the path",
        "correct the path";
    PayloadMalformed = "payload-malformed", Caller,
        "the payload does not have the form of its kind",
        "correct it; [payloads.md](payloads.md) has the form of each kind";
    MessageIsTransaction = "message-is-transaction", Caller,
        "the message is a transaction of some chain, or the data signed for one",
        "send it under its own kind, or not at all";
    PayloadScheme = "payload-scheme", Caller,
        "the key's scheme does not sign such payloads",
        "use a key of the other scheme";
    PayloadPath = "payload-path", Caller,
        "no key can be derived along a path of the payload",
        "correct the path";
    PayloadNetwork = "payload-network", Caller,
        "the payload is for a network that the node is not configured for",
        "correct it, or the node's `chains`";
    DigestMismatch = "digest-mismatch", Caller,
        "the digest in the task is not that of the payload",
        "find out who changed it";
    BlindSigning = "blind-signing", Caller,
        "a bare digest, and the key is not under `keys.allow_blind`; or a message that is not text, and it is under neither that nor `keys.allow_binary`",
        "send the payload. Only an operator who means to sign what nobody can read lists a key there";
    PreflightOff = "preflight-off", Environment,
        "the node does not answer preflights of this requester; a task is not affected",
        "order the task, or ask the node's operator to allow `preflight`";
    PreflightRate = "preflight-rate", Environment,
        "the requester asks for more preflights than `preflight.per_minute` allows, or the node is busy with tasks; a task is not affected",
        "ask again later";
    Journal = "journal", Environment,
        "the decision could not be recorded",
        "see the node's log: is the disk full?";
    Bug = "bug", Bug,
        "a defect of the node",
        "report it with the log";
}
