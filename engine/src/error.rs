//! Errors of a run, in four causes that call for four actions: fix the call, exclude the peer,
//! retry, file an issue.

use crate::{CommitteeIndex, PartyIndex};

/// The party that has to act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The calling code or its operator.
    Caller,
    /// Another party of the session.
    Peer,
    /// The machine that the run is on.
    Environment,
    /// The authors of this program.
    Bug,
}

/// A failed run. Cloneable, because an engine repeats its error when it is stepped again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(
    missing_docs,
    reason = "fields without a comment are named for what they hold"
)]
pub enum EngineError {
    /// The call was wrong; the same call will fail again.
    #[error(transparent)]
    Caller(#[from] CallerFault),
    /// Another party did not follow the protocol.
    #[error("{fault}, by {}", names(culprits))]
    Peer {
        fault: PeerFault,
        /// The proven culprits, where the protocol can tell, by position in
        /// the session's party list.
        culprits: Vec<PartyIndex>,
    },
    /// The machine failed, such as its generator.
    #[error(transparent)]
    Environment(#[from] EnvironmentFault),
    /// A state that should not exist.
    #[error("internal error: {0}; please report it")]
    Bug(String),
}

impl EngineError {
    /// The party that has to act.
    pub fn cause(&self) -> Cause {
        match self {
            Self::Caller(_) => Cause::Caller,
            Self::Peer { .. } => Cause::Peer,
            Self::Environment(_) => Cause::Environment,
            Self::Bug(_) => Cause::Bug,
        }
    }

    /// Parties that are proven to have broken the protocol, as positions in the session's party
    /// list. Empty if nobody did, or if the protocol cannot tell: then one of the others did, and
    /// the key must not be used until an operator has looked. With two parties a peer's fault is
    /// always named: it is the other one.
    pub fn culprits(&self) -> &[PartyIndex] {
        match self {
            Self::Peer { culprits, .. } => culprits,
            Self::Caller(_) | Self::Environment(_) | Self::Bug(_) => &[],
        }
    }

    /// What this end says of the set-ups of pairs that the run used. Only for runs of the `dkls23`
    /// engine; all others have none.
    pub fn verdict(&self) -> Verdict {
        match self {
            // Found before the run began.
            Self::Caller(_) => Verdict::Clean,
            Self::Peer { fault, .. } => fault.verdict(),
            Self::Environment(_) | Self::Bug(_) => Verdict::Unknown,
        }
    }

    /// With two parties an unattributed fault of a peer is the other party's.
    pub(crate) fn between(self, me: PartyIndex, parties: u16) -> Self {
        match self {
            Self::Peer { fault, culprits } if culprits.is_empty() && parties == 2 && me.0 < 2 => {
                Self::peer(fault, PartyIndex(1 - me.0))
            }
            error => error,
        }
    }

    pub(crate) fn peer(fault: PeerFault, culprit: PartyIndex) -> Self {
        Self::Peer {
            fault,
            culprits: vec![culprit],
        }
    }

    pub(crate) fn bug(what: impl ToString) -> Self {
        Self::Bug(what.to_string())
    }
}

/// What the end of a run says of the set-ups of its pairs, whose secrets are used again in every
/// run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// No check that touches them failed.
    Clean,
    /// A check failed, which has told the culprit about the secrets: its set-up must be burnt
    /// before it learns of the end, and never used again.
    Burns,
    /// Nobody knows: a check may have failed where the program did.
    Unknown,
}

/// A mistake of the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallerFault {
    /// A committee of a size that is not supported.
    #[error("{0} parties: choose between {min} and {max}", min = crate::MIN_PARTIES, max = crate::MAX_PARTIES)]
    Parties(u16),
    /// A threshold below 2 or above the number of parties.
    #[error("threshold {threshold} for {parties} parties: choose between {min} and {parties}", min = crate::MIN_PARTIES)]
    #[allow(missing_docs, reason = "the fields are named for what they hold")]
    Threshold { threshold: u16, parties: u16 },
    /// An index that is not in the session's party list.
    #[error("party {0} is not in this session")]
    NotInSession(PartyIndex),
    /// An empty session id.
    #[error("the session id is empty: every run needs an id of its own")]
    EmptySession,
    /// A number of signers other than the threshold.
    #[error("{given} signers for a key that needs {needed}: choose exactly {needed}")]
    #[allow(missing_docs, reason = "the fields are named for what they hold")]
    SignerCount { given: usize, needed: u16 },
    /// The signers are not distinct, ascending members of the committee.
    #[error("the signers must be distinct members of the committee in ascending order")]
    Signers,
    /// A share that is not that of the signer at the given position.
    #[error("the key share is that of party {share}, but signer {signer} is to sign with it")]
    WrongShare {
        /// Index of the given share.
        share: CommitteeIndex,
        /// The signer at the caller's position.
        signer: CommitteeIndex,
    },
    /// A key share of an unexpected scheme or without chain code.
    #[error("the key share does not fit its scheme: restore it from a backup")]
    UnusableShare,
    /// The child path cannot be derived.
    #[error(transparent)]
    Derive(#[from] crate::DeriveError),
    /// ECDSA without auxiliary information.
    #[error("ECDSA needs the auxiliary information of the committee: generate it first")]
    AuxMissing,
    /// Auxiliary information of another committee or party.
    #[error(
        "the auxiliary information belongs to another committee or party: use that of the key's committee"
    )]
    AuxMismatch,
    /// A run that was not counted with its set-up and session.
    #[error("the run was counted with another set-up or session: count each before it begins")]
    NotCounted,
    /// A batch of another size than 1 to the given maximum.
    #[error("{given} runs in a batch: choose between 1 and {most}")]
    #[allow(missing_docs, reason = "the fields are named for what they hold")]
    BatchSize { given: usize, most: usize },
    /// A party of a resharing that neither deals nor joins.
    #[error("a party neither deals nor joins: leave it out of the resharing")]
    NoRole,
    /// A number of dealers other than the old threshold.
    #[error("{given} dealers for a key that needs {needed}: choose exactly {needed}")]
    #[allow(missing_docs, reason = "the fields are named for what they hold")]
    DealerCount { given: usize, needed: u16 },
    /// The dealers are not distinct members of the old committee.
    #[error("the dealers must be distinct members of the old committee")]
    Dealers,
    /// A dealer without its old share, with that of another key or party, or a share at a party
    /// that does not deal.
    #[error("a dealer, and nobody else, must bring its own share of the key that is reshared")]
    DealerShare,
    /// Contradictory public data of the old committee.
    #[error(
        "the old committee's public shares do not lead to its root key: take them from the key descriptor"
    )]
    OldKey,
}

/// A mistake or attack by another party.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerFault {
    /// A body that does not decode, or not in the one form that an honest sender gives it.
    #[error("a message cannot be decoded")]
    Malformed,
    /// A body that is longer than any honest one of its round.
    #[error("a message is longer than its round allows")]
    TooLong,
    /// An integer of another length than the security level has, or of the wrong sign.
    #[error("a message has an integer of another length than the security level")]
    Integers,
    /// A second message for the same round.
    #[error("two messages for one round")]
    Repeated,
    /// A broadcast where a direct message belongs, or the reverse.
    #[error("a message of the wrong kind")]
    WrongKind,
    /// A message of a round in which its sender may not speak.
    #[error("a message of a round in which its sender may not speak")]
    NoSay,
    /// The parties were asked for different things: session, signers, key, path or message differ.
    #[error("the parties do not agree on what is to be done")]
    Disagreement,
    /// The parties saw different broadcasts of the first round.
    #[error("the parties received different broadcasts")]
    UnreliableBroadcast,
    /// A check of an oblivious transfer that failed. Only [`EngineError::verdict`] decides what
    /// follows.
    #[error("a check of the oblivious transfer failed, which burns the set-up: {0}")]
    Transfer(String),
    /// The protocol ended with a signature that does not verify.
    #[error("the finished signature does not verify")]
    Signature,
    /// A proof, commitment or share that does not hold.
    #[error("the protocol was broken: {0}")]
    Protocol(String),
    /// A fault in a resharing.
    #[error("the protocol was broken: {0}")]
    Reshare(#[from] crate::ReshareFault),
}

impl PeerFault {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Transfer(_) => Verdict::Burns,
            Self::Malformed
            | Self::TooLong
            | Self::Integers
            | Self::Repeated
            | Self::WrongKind
            | Self::NoSay
            | Self::Disagreement
            | Self::UnreliableBroadcast
            | Self::Signature
            | Self::Protocol(_)
            | Self::Reshare(_) => Verdict::Clean,
        }
    }
}

/// A failure of the machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvironmentFault {
    /// The generator of randomness failed.
    #[error("the random generator failed: check the operating system's entropy source")]
    Randomness,
}

fn names(culprits: &[PartyIndex]) -> String {
    if culprits.is_empty() {
        return "a party that the protocol cannot name".into();
    }
    let names: Vec<_> = culprits
        .iter()
        .map(|party| format!("party {party}"))
        .collect();
    names.join(", ")
}
