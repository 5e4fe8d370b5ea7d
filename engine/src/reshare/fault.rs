//! Violations of the resharing protocol.

use crate::PartyIndex;

/// A violation found in a message of a resharing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReshareFault {
    /// A dealer without commitment, or a commitment of a party that does not deal.
    #[error("a commitment is missing, or is there where nobody deals")]
    Commitment,
    /// An opening that does not match its commitment.
    #[error("a dealt polynomial is not the one that was committed to")]
    Opening,
    /// A polynomial of the wrong degree: it would change the threshold.
    #[error("a dealt polynomial has {given} coefficients where the new threshold wants {needed}")]
    #[allow(missing_docs, reason = "the fields are named for what they hold")]
    Coefficients { given: usize, needed: u16 },
    /// A polynomial that shares a secret other than the dealer's part of the key: it
    /// would change the key.
    #[error("a dealt polynomial does not share the dealer's part of the key")]
    ConstantTerm,
    /// A sub-share that is not on its dealer's polynomial.
    #[error("a share that was dealt to this party is wrong")]
    SubShare,
    /// A member claims that the share dealt to it is wrong. One of the two lies, and without the
    /// share it cannot be decided which one.
    #[error("party {accuser} complains about the share that party {accused} dealt to it")]
    #[allow(missing_docs, reason = "the fields are named for what they hold")]
    Complaint {
        accuser: PartyIndex,
        accused: PartyIndex,
    },
    /// A complaint about a party that did not deal.
    #[error("a complaint about a party that dealt nothing")]
    BaselessComplaint,
    /// A dealer that does not prove knowledge of its polynomial.
    #[error("a dealer does not prove that it knows its polynomial")]
    DealerProof,
    /// A new member that does not prove that it holds its share.
    #[error("a new member does not prove that it holds its share")]
    MemberProof,
}
