//! The versions of the frames between a node and its coordinator. Every program speaks a range of
//! them, so that nodes and coordinator are updated one after the other.
//!
//! The node offers one version in its hello, its newest. A coordinator that does not speak it
//! closes the connection; then the node's next attempt offers the one before, and the attempt after
//! that the newest again. The coordinator's welcome repeats the version, and both keep to it until
//! the connection ends. A frame that a version does not have is never sent in it.

use crate::control::{FromNode, ToNode};

/// The newest version of the frames between a node and its coordinator. Tasks have a version of
/// their own; frames between two nodes have none.
///
/// - 1: the first release.
/// - 2: nodes leave in an orderly way ([`FromNode::Draining`]), coordinators admit guests and
///   propose contacts ([`FromNode::Join`], [`FromNode::AskContacts`]), people vote on tasks
///   ([`ToNode::OfferVoted`]), passkeys sign orders
///   ([`OrderProof::Passkey`](crate::OrderProof::Passkey)), and nodes tell of their policy bundles
///   ([`FromNode::StatusWithBundles`]).
pub const PROTOCOL_VERSION: u16 = 2;

/// Part of the reason with which every release of the coordinator closes the connection of a node
/// whose version it does not speak. A node that reads it offers another version.
pub const REFUSED_VERSION: &str = "protocol version";

/// A range of versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    /// The oldest version that is spoken.
    pub oldest: u16,
    /// The newest version that is spoken.
    pub newest: u16,
}

impl Versions {
    /// The versions that this program speaks: the newest, and one back.
    pub const SPOKEN: Self = Self {
        oldest: PROTOCOL_VERSION - 1,
        newest: PROTOCOL_VERSION,
    };

    /// True if `version` is one of them.
    pub fn contains(self, version: u16) -> bool {
        (self.oldest..=self.newest).contains(&version)
    }

    /// The version to offer to a coordinator that did not speak `refused`: the next older one, and
    /// after the oldest the newest again.
    pub fn after(self, refused: u16) -> u16 {
        if refused > self.oldest && refused <= self.newest {
            refused - 1
        } else {
            self.newest
        }
    }
}

impl std::fmt::Display for Versions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.oldest == self.newest {
            return write!(f, "{}", self.newest);
        }
        write!(f, "{} to {}", self.oldest, self.newest)
    }
}

impl FromNode {
    /// The first version that has this frame.
    pub fn since(&self) -> u16 {
        match self {
            Self::Hello { .. }
            | Self::HelloAs { .. }
            | Self::Decision { .. }
            | Self::Progress { .. }
            | Self::Working { .. }
            | Self::Outcome { .. }
            | Self::Stored { .. }
            | Self::AbortVote { .. }
            | Self::Holds { .. }
            | Self::Generations { .. }
            | Self::Capacity { .. }
            | Self::Evidence { .. }
            | Self::Alive { .. }
            | Self::Preflight { .. }
            | Self::Status { .. } => 1,
            Self::Join { .. }
            | Self::AskContacts
            | Self::Draining { .. }
            | Self::StatusWithBundles { .. } => 2,
        }
    }
}

impl ToNode {
    /// The first version that has this frame.
    pub fn since(&self) -> u16 {
        match self {
            // With a passkey's order, they have a form that the first version cannot read.
            Self::Offer { task, .. } | Self::Preflight { task, .. } => task.since(),
            Self::Welcome { .. }
            | Self::Start { .. }
            | Self::Cancel { .. }
            | Self::Settle { .. }
            | Self::AbortVote { .. }
            | Self::Replaced { .. }
            | Self::Show { .. }
            | Self::Probe { .. }
            | Self::Twin { .. }
            | Self::Twins { .. } => 1,
            Self::Contacts { .. }
            | Self::NotJoined { .. }
            | Self::Draining { .. }
            | Self::OfferVoted { .. } => 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_speaks_its_own_version_and_the_one_before() {
        let spoken = Versions::SPOKEN;
        assert_eq!(spoken.newest, PROTOCOL_VERSION);
        assert_eq!(spoken.oldest, PROTOCOL_VERSION - 1);
        let around = spoken.oldest - 1..=spoken.newest + 1;
        let known: Vec<bool> = around.map(|version| spoken.contains(version)).collect();
        assert_eq!(known, [false, true, true, false]);
    }

    #[test]
    fn an_order_by_passkey_is_never_sent_in_the_first_version() {
        let assertion = crate::Assertion {
            client_data: vec![1; 43],
            authenticator_data: vec![2; 37],
            signature: vec![3; 8],
        };
        let assertion = crate::OrderAssertion::new(assertion).unwrap();
        for (signature, since) in [([7; 64].into(), 1), (assertion.into(), 2)] {
            let task = crate::SignedTask {
                bytes: b"{}".to_vec(),
                signature,
            };
            let parties = Vec::new();
            let asked = ToNode::Preflight {
                ask: 1,
                task: task.clone(),
                parties: parties.clone(),
            };
            let offer = ToNode::Offer { task, parties };
            assert_eq!([asked.since(), offer.since()], [since; 2]);
        }
    }

    #[test]
    fn every_version_is_offered_in_turn() {
        let versions = Versions {
            oldest: 3,
            newest: 5,
        };
        assert_eq!([5, 4, 3].map(|refused| versions.after(refused)), [4, 3, 5]);
        // What nobody offered is followed by the newest.
        assert_eq!([0, 2, 6].map(|refused| versions.after(refused)), [5, 5, 5]);
    }
}
