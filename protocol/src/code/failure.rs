//! Codes for the failure of a task or its session.

use super::codes;

codes! {
    /// The code for the failure of a task or its session.
    FailureCode, other: Peer
    Protocol = "protocol", Peer,
        "a message of the protocol is wrong, or the engine failed",
        "examine the parties that are named before trying again";
    PeerMisbehaved = "peer-misbehaved", Peer,
        "a party departed from the rules of the session",
        "ask its operator which program and version it runs";
    Equivocation = "equivocation", Peer,
        "a party told different parties different things, and its own signatures prove it",
        "do not use it again before its operator has explained";
    SignatureInvalid = "signature-invalid", Peer,
        "the signature that the parties made does not verify",
        "examine all that took part";
    ResultMismatch = "result-mismatch", Peer,
        "a party confirms a different result than this node computed in the same run",
        "compare both nodes' programs and journals";
    WrongResult = "wrong-result", Peer,
        "the coordinator found that a result which a node reported does not verify",
        "examine that node before using it";
    PeerFlood = "peer-flood", Peer,
        "a party sent more than its part of the protocol",
        "examine that node before trying again";
    SplitView = "split-view", Peer,
        "the parties do not see the same task, the same parties or the same shares",
        "compare what the coordinator offered to each";
    GenerationMismatch = "generation-mismatch", Peer,
        "the signers hold shares of different generations",
        "connect all members, then order again";
    PeerAborted = "peer-aborted", Peer,
        "another party gave up; the text has its words, which convict nobody",
        "see the log of that party";
    PeerQuarantined = "peer-quarantined", Peer,
        "a party was found cheating while the task waited",
        "choose others, or `countersign-node quarantine lift`";
    KeyStopped = "key-stopped", Peer,
        "the key was stopped while the task waited",
        "examine all that took part, then `countersign-node quarantine lift`";
    SignaturesLost = "signatures-lost", Peer,
        "signing with the same signers failed several times in a row, after shares were in use",
        "examine all that took part, then `countersign-node quarantine lift`";
    SessionTimeout = "session-timeout", Environment,
        "a party did not answer in time",
        "see that it runs and is online, then order again";
    QueueTimeout = "queue-timeout", Environment,
        "other tasks kept the nodes busy for too long",
        "order again when there is less to do";
    AuxTimeout = "aux-timeout", Environment,
        "auxiliary information was not made in time",
        "free the processors or raise `limits.aux_seconds`; what is finished is kept";
    PeerLost = "peer-lost", Environment,
        "the connection to a party broke",
        "see that it runs and is online, then order again";
    FramesLost = "frames-lost", Environment,
        "frames of a party were lost on the way",
        "order again";
    NotStarted = "not-started", Environment,
        "the other parties did not approve in time",
        "see whom the task waits for, then order again";
    DecisionTimeout = "decision-timeout", Environment,
        "a node did not decide in time, or lost its connection before the start",
        "see that it runs and is connected, then order again";
    Expired = "expired", Environment,
        "the nodes that are needed did not come online in time",
        "start them, then order again";
    NoOutcome = "no-outcome", Environment,
        "nodes that took part did not report how the task ended",
        "check that they run and are online, then look at the task again";
    Cancelled = "cancelled", Environment,
        "the coordinator cancelled the task, or the node stopped",
        "order again";
    AbortedByRestart = "aborted-by-restart", Environment,
        "the node was restarted while the task was under way",
        "order again";
    NoEnd = "no-end", Environment,
        "the task was approved, and its end is not on record",
        "connect all members, then look at the key";
    ReshareAborted = "reshare-void", Environment,
        "a party never stored its part of a reshare, so the present generation stays",
        "see why in its log, then order again";
    ReshareAbandoned = "reshare-abandoned", Environment,
        "the node's operator gave up what was stored for a reshare",
        "order again";
    ReshareRate = "reshare-rate", Caller,
        "as many reshares of the key were started as `limits.reshares` allows",
        "wait until the time in the text";
    ShareDamaged = "share-damaged", Environment,
        "the node's share does not prove itself",
        "restore the node from its backup";
    IdentityTwin = "identity-twin", Environment,
        "another process signs with this node's identity",
        "find it (perhaps a restored backup) and stop it";
    Store = "store", Environment,
        "a share or its record could not be stored",
        "see the node's log: is the disk full?";
    Journal = "journal", Environment,
        "the journal could not be read or written",
        "see the node's log: is the disk full?";
    Secrets = "secrets", Environment,
        "the secrets file could not be read or written",
        "see the node's log";
    NoThread = "no-thread", Environment,
        "no thread could be started",
        "lower `limits.tasks`";
    AuxProcess = "aux-process", Environment,
        "the process that computes auxiliary information failed",
        "see the node's log";
    NotAParty = "not-a-party", Bug,
        "the node has a session of a task in which it takes no part",
        "report it with the log";
    EngineDied = "engine-died", Bug,
        "the thread of the protocol died",
        "report it with the log";
    EventOutOfTurn = "event-out-of-turn", Bug,
        "the session lost its order",
        "report it with the log";
    SessionOpen = "session-open", Bug,
        "a session of the same task is open already",
        "report it with the log";
    CutOff = "cut-off", Bug,
        "the session lost its place at the router",
        "report it with the log";
}

/// The evidential value of a failure: does it prove that a party departed from the protocol?
#[derive(PartialEq, Eq)]
enum Proof {
    /// Never caused by a party running our program, whatever happens to its machine or network.
    Cheating,
    /// Possible between honest parties.
    Nothing,
}

impl FailureCode {
    /// True if honest parties never cause it. The node then quarantines the culprits for this key.
    ///
    /// For [`Protocol`](Self::Protocol), the failure's own cause says whether a peer is to blame,
    /// as the engine can fail for other reasons.
    pub fn is_proof_of_cheating(&self) -> bool {
        self.proof() == Proof::Cheating
    }

    fn proof(&self) -> Proof {
        match self {
            Self::Protocol
            | Self::PeerMisbehaved
            | Self::Equivocation
            | Self::SignatureInvalid
            | Self::ResultMismatch => Proof::Cheating,
            Self::WrongResult
            | Self::PeerFlood
            | Self::SplitView
            | Self::GenerationMismatch
            | Self::PeerAborted
            | Self::PeerQuarantined
            | Self::KeyStopped
            | Self::SignaturesLost
            | Self::SessionTimeout
            | Self::QueueTimeout
            | Self::AuxTimeout
            | Self::PeerLost
            | Self::FramesLost
            | Self::NotStarted
            | Self::DecisionTimeout
            | Self::Expired
            | Self::NoOutcome
            | Self::Cancelled
            | Self::AbortedByRestart
            | Self::NoEnd
            | Self::ReshareAborted
            | Self::ReshareAbandoned
            | Self::ReshareRate
            | Self::ShareDamaged
            | Self::IdentityTwin
            | Self::Store
            | Self::Journal
            | Self::Secrets
            | Self::NoThread
            | Self::AuxProcess
            | Self::NotAParty
            | Self::EngineDied
            | Self::EventOutOfTurn
            | Self::SessionOpen
            | Self::CutOff
            | Self::Other(_) => Proof::Nothing,
        }
    }
}
