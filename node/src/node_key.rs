//! This node's id and its identity key.

use std::sync::Arc;

use countersign_link::Identity;
use countersign_protocol::{IdError, IdentitySigner, NodeId};

/// Signs acknowledgements, broadcasts and high-water marks in this node's name.
#[derive(Clone)]
pub struct NodeKey {
    id: NodeId,
    identity: Arc<Identity>,
}

impl NodeKey {
    /// Derives the id from the identity's public key.
    pub fn new(identity: Arc<Identity>) -> Result<Self, IdError> {
        Ok(Self {
            id: NodeId::from_bytes(identity.public().0)?,
            identity,
        })
    }

    pub fn id(&self) -> NodeId {
        self.id
    }

    pub fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }
}

impl IdentitySigner for NodeKey {
    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.identity.sign(message)
    }
}
