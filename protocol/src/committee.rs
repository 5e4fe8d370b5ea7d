//! Committees and thresholds: the nodes that hold a key together, and the number of
//! them that must act.

use serde::{Deserialize, Serialize};

use crate::hash::{Hash, Hasher};
use crate::id::NodeId;

/// Position of a node in its committee, counted from 0 in the order of node ids. Fixed for the
/// life of a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CommitteeIndex(pub u16);

impl std::fmt::Display for CommitteeIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of members that must act: 2 ..= 9, and never more than there are members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Threshold(u16);

/// Two to nine distinct nodes, in the order of their ids.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<NodeId>", into = "Vec<NodeId>")]
pub struct Committee(Vec<NodeId>);

/// The reason a list of nodes does not form a committee.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommitteeError {
    /// Fewer than two or more than nine.
    #[error("a committee has 2 to 9 nodes, {0} were given; add or leave out nodes")]
    Size(usize),
    /// A node is listed twice.
    #[error("node {0} is listed twice; list each node once")]
    Duplicate(NodeId),
    /// A threshold outside 2 ..= 9, or above the number of members.
    #[error("a threshold of {threshold} does not fit {nodes} nodes; choose 2 to {nodes}")]
    #[allow(missing_docs, reason = "the fields are named for what they hold")]
    Threshold { threshold: u16, nodes: usize },
}

impl Committee {
    /// The smallest and the largest committee.
    pub const SIZES: std::ops::RangeInclusive<usize> = 2..=9;

    /// Sorts the nodes, then checks their number and that no node is listed twice.
    pub fn new(mut nodes: Vec<NodeId>) -> Result<Self, CommitteeError> {
        if !Self::SIZES.contains(&nodes.len()) {
            return Err(CommitteeError::Size(nodes.len()));
        }
        nodes.sort_unstable();
        if let Some(pair) = nodes.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(CommitteeError::Duplicate(pair[0]));
        }
        Ok(Self(nodes))
    }

    /// The members, in the order of the committee.
    pub fn members(&self) -> &[NodeId] {
        &self.0
    }

    /// The position of a node, or `None` if it is not a member.
    pub fn index_of(&self, node: &NodeId) -> Option<CommitteeIndex> {
        self.0
            .binary_search(node)
            .ok()
            .map(|index| CommitteeIndex(index as u16))
    }

    /// Hash of the member list, on which all members must agree.
    pub fn hash(&self) -> Hash {
        self.0
            .iter()
            .fold(Hasher::new("countersign/1 committee"), |hash, node| {
                hash.field(node.as_bytes())
            })
            .finish()
    }

    /// Checks a threshold against the number of members.
    pub fn threshold(&self, threshold: Threshold) -> Result<(), CommitteeError> {
        if usize::from(threshold.0) > self.0.len() {
            return Err(CommitteeError::Threshold {
                threshold: threshold.0,
                nodes: self.0.len(),
            });
        }
        Ok(())
    }
}

impl Threshold {
    /// The threshold as a plain number, 2 ..= 9.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for Threshold {
    type Error = CommitteeError;
    fn try_from(threshold: u16) -> Result<Self, CommitteeError> {
        if !(2..=9).contains(&threshold) {
            return Err(CommitteeError::Threshold {
                threshold,
                nodes: 9,
            });
        }
        Ok(Self(threshold))
    }
}

impl From<Threshold> for u16 {
    fn from(threshold: Threshold) -> Self {
        threshold.0
    }
}

impl TryFrom<Vec<NodeId>> for Committee {
    type Error = CommitteeError;
    fn try_from(nodes: Vec<NodeId>) -> Result<Self, CommitteeError> {
        Self::new(nodes)
    }
}

impl From<Committee> for Vec<NodeId> {
    fn from(committee: Committee) -> Self {
        committee.0
    }
}
