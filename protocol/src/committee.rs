//! Who holds a key together, and how many of them are needed.

use serde::{Deserialize, Serialize};

use crate::hash::{Hash, Hasher};
use crate::id::NodeId;

/// Position of a node in its committee, counted from 0 in the order of node ids. Fixed for the life
/// of a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CommitteeIndex(pub u16);

impl std::fmt::Display for CommitteeIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// How many of a committee must act: 2 ..= 9, never more than there are members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Threshold(u16);

/// Two to nine distinct nodes, in the order of their ids.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<NodeId>", into = "Vec<NodeId>")]
pub struct Committee(Vec<NodeId>);

/// Why nodes do not form a committee.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommitteeError {
    /// Fewer than two or more than nine.
    #[error("a committee has 2 to 9 nodes, {0} were given; add or leave out nodes")]
    Size(usize),
    /// A node is listed twice.
    #[error("node {0} is listed twice; list each node once")]
    Duplicate(NodeId),
    /// Threshold out of range.
    #[error("a threshold of {threshold} does not fit {nodes} nodes; choose 2 to {nodes}")]
    Threshold {
        /// What was asked for.
        threshold: u16,
        /// How many members there are.
        nodes: usize,
    },
}

impl Committee {
    /// The smallest and the largest committee.
    pub const SIZES: std::ops::RangeInclusive<usize> = 2..=9;

    /// Sorts the nodes and checks them.
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

    /// Where a node stands, if it is a member.
    pub fn index_of(&self, node: &NodeId) -> Option<CommitteeIndex> {
        self.0
            .binary_search(node)
            .ok()
            .map(|index| CommitteeIndex(index as u16))
    }

    /// What all members must agree on.
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
    /// The number.
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
