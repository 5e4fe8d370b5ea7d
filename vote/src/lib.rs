//! Whether a person's vote is genuine: made with the approver's key, for this very task, and, if
//! the key is a passkey's, on a page of the organisation's own, by a user whom the device verified.
//! Whether a passkey signed an order is found by the same checks: a [`RelyingParty`] is what
//! `countersign-protocol` asks, as [`Passkeys`](countersign_protocol::Passkeys). So is whether
//! somebody [signed in](SignIn) at a page by her passkey.
//!
//! Nothing here performs I/O, reads a clock or keeps anything. [`check`] finds out all that a vote
//! proves by itself; its age, and what follows from it, is for the caller to judge.

mod assertion;
mod es256;
mod order;
#[cfg(test)]
mod order_tests;
mod relying_party;
mod sign_in;
#[cfg(test)]
mod sign_in_tests;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;

use countersign_protocol::{ApproverKey, Ballot, Hash, Proof, Vote};

pub use assertion::{AssertionError, counter_went_back};
pub use es256::{SignatureForm, low_s};
pub use relying_party::{RelyingParty, RelyingPartyError};
pub use sign_in::SignIn;

/// A vote that is genuine. Made only by [`check`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked {
    ballot: Ballot,
    sign_count: Option<u32>,
}

impl Checked {
    /// The content of the vote.
    pub fn ballot(&self) -> &Ballot {
        &self.ballot
    }

    /// The passkey's sign counter after this vote (WebAuthn, section 6.1.1), of which this crate
    /// remembers nothing; see [`counter_went_back`]. `None` for an Ed25519 key.
    pub fn sign_count(&self) -> Option<u32> {
        self.sign_count
    }
}

/// The reason why a vote is not believed. Each message ends with what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// It is a vote on another task.
    #[error("the vote is for another task; vote on this one")]
    OtherTask,
    /// The Ed25519 signature is not the approver's over this vote.
    #[error("the signature is not the approver's over this vote; vote again")]
    Signature,
    /// No page may collect votes of passkeys here.
    #[error(
        "votes by passkey are not accepted here; vote with an Ed25519 key, or have the page configured under `passkeys`"
    )]
    NoPasskeys,
    /// The passkey's assertion does not prove the vote.
    #[error(transparent)]
    Assertion(#[from] AssertionError),
}

impl CheckError {
    /// A short name for the reason, for logs and counts.
    pub fn name(&self) -> &'static str {
        match self {
            Self::OtherTask => "for another task",
            Self::Signature => "with a wrong signature",
            Self::NoPasskeys => "by a passkey, without `passkeys` in the configuration",
            Self::Assertion(error) => error.name(),
        }
    }
}

/// Checks that `vote` is genuine and for the task with this
/// [hash](countersign_protocol::SignedTask::hash). Passkeys are believed only with `relying_party`,
/// the pages that may collect votes.
pub fn check(
    vote: &Vote,
    task: &Hash,
    relying_party: Option<&RelyingParty>,
) -> Result<Checked, CheckError> {
    let ballot = *vote.ballot();
    if ballot.task != *task {
        return Err(CheckError::OtherTask);
    }
    let message = ballot.signed_message();
    let sign_count = match (ballot.approver.key(), vote.proof()) {
        (ApproverKey::Ed25519(_), Proof::Ed25519(signature)) => {
            let genuine = ballot.approver.verify(&message, &signature.0);
            genuine.then_some(None).ok_or(CheckError::Signature)?
        }
        (ApproverKey::Passkey(key), Proof::Passkey(assertion)) => {
            let relying_party = relying_party.ok_or(CheckError::NoPasskeys)?;
            Some(assertion::check(assertion, key, &message, relying_party)?)
        }
        // `Vote` joins no key with the other kind of proof.
        (ApproverKey::Ed25519(_), Proof::Passkey(_))
        | (ApproverKey::Passkey(_), Proof::Ed25519(_)) => return Err(CheckError::Signature),
    };
    Ok(Checked { ballot, sign_count })
}

/// True if the key of an id can have made a signature: every Ed25519 key of an id, and a passkey's
/// if it is a point of P-256. Lists of approvers and requesters are checked by this before they
/// take effect.
pub fn is_usable(key: &ApproverKey) -> bool {
    match key {
        ApproverKey::Ed25519(_) => true,
        ApproverKey::Passkey(key) => es256::key(key).is_some(),
    }
}
