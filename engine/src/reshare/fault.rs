//! How a party can break the resharing protocol.

use crate::PartyIndex;

/// What was wrong with a message of a resharing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReshareFault {
    /// A dealer that commits to nothing, or a commitment of a party that does not deal.
    #[error("a commitment is missing, or is there where nobody deals")]
    Commitment,
    /// An opening that is not what the commitment was to.
    #[error("a dealt polynomial is not the one that was committed to")]
    Opening,
    /// A polynomial of another degree: it would change the threshold.
    #[error("a dealt polynomial has {given} coefficients where the new threshold wants {needed}")]
    Coefficients {
        /// How many there were.
        given: usize,
        /// The new threshold.
        needed: u16,
    },
    /// A polynomial that shares another secret than the dealer's part of the key: it would change
    /// the key.
    #[error("a dealt polynomial does not share the dealer's part of the key")]
    ConstantTerm,
    /// A sub-share beside its dealer's polynomial.
    #[error("a share that was dealt to this party is wrong")]
    SubShare,
    /// A member says that the share that it was dealt is wrong. One of the two lies, and who it is
    /// cannot be told without the share.
    #[error("party {accuser} complains of the share that party {accused} dealt to it")]
    Complaint {
        /// Who complains.
        accuser: PartyIndex,
        /// The dealer.
        accused: PartyIndex,
    },
    /// A complaint about a party that dealt nothing.
    #[error("a complaint about a party that dealt nothing")]
    BaselessComplaint,
    /// A dealer that does not prove that it knows its polynomial.
    #[error("a dealer does not prove that it knows what it dealt")]
    DealerProof,
    /// A new member that does not prove that it holds its share.
    #[error("a new member does not prove that it holds its share")]
    MemberProof,
}
