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

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> NodeKey {
        NodeKey::new(Arc::new(Identity::from_seed(&[seed; 32]).unwrap())).unwrap()
    }

    #[test]
    fn a_signature_verifies_under_the_nodes_id_for_this_message_alone() {
        let key = key(1);
        let signature = key.sign(b"message");
        assert!(key.id().verify(b"message", &signature));
        assert!(!key.id().verify(b"another", &signature));
    }

    #[test]
    fn a_signature_does_not_verify_under_the_id_of_another_node() {
        let signature = key(1).sign(b"message");
        assert!(!key(2).id().verify(b"message", &signature));
    }

    #[test]
    fn the_id_is_the_public_key_of_the_identity() {
        let key = key(1);
        assert_eq!(key.id().as_bytes(), &key.identity().public().0);
    }
}
