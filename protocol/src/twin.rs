//! Detection of two processes with one identity, such as a restored backup started beside its
//! original, and the proof of it.
//!
//! Each process of a node has a random instance number, made when it starts. On suspicion of a
//! twin, each process is told the other's number and signs both. A process signs only its own
//! number as its own, and nobody knew that number before the process started: a signature under
//! another number beside this one was made by another process alive at the same time. So a
//! coordinator cannot make a twin up.

use serde::{Deserialize, Serialize};

use crate::IdentitySigner;
use crate::evidence::Signature;
use crate::hash::{Hash, Hasher};
use crate::id::NodeId;

/// A process number: 16 random bytes.
pub type Instance = [u8; 16];

/// A process's signed statement that it is alive and knows of another under its identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TwinMark {
    /// The number of the signing process.
    pub instance: Instance,
    /// The number that it was asked about.
    pub other: Instance,
    /// By the node's identity key, over both.
    pub signature: Signature,
}

impl TwinMark {
    /// Signs as process `instance` of `node`.
    pub fn sign(
        node: &NodeId,
        instance: Instance,
        other: Instance,
        signer: &dyn IdentitySigner,
    ) -> Self {
        let signature = Signature(signer.sign(digest(node, &instance, &other).as_bytes()));
        Self {
            instance,
            other,
            signature,
        }
    }

    /// Returns true if a process of `node` signed this.
    pub fn verify(&self, node: &NodeId) -> bool {
        node.verify(
            digest(node, &self.instance, &self.other).as_bytes(),
            &self.signature.0,
        )
    }

    /// Returns true if this proves to process `me` of `node` that another one is alive.
    pub fn convinces(&self, node: &NodeId, me: Instance) -> bool {
        self.instance != me && self.other == me && self.verify(node)
    }
}

/// Returns true if both statements prove to anybody that two processes of `node` are alive at once.
pub fn proves_twins(node: &NodeId, [one, other]: &[TwinMark; 2]) -> bool {
    one.convinces(node, other.instance) && other.convinces(node, one.instance)
}

fn digest(node: &NodeId, instance: &Instance, other: &Instance) -> Hash {
    Hasher::new("countersign/1 twin")
        .field(node.as_bytes())
        .field(instance)
        .field(other)
        .finish()
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer, SigningKey};

    use super::*;

    struct Key(SigningKey);

    impl IdentitySigner for Key {
        fn sign(&self, message: &[u8]) -> [u8; 64] {
            self.0.sign(message).to_bytes()
        }
    }

    #[test]
    fn only_two_processes_that_know_of_each_other_are_twins() {
        let key = Key(SigningKey::from_bytes(&[1; 32]));
        let node = NodeId::from_bytes(key.0.verifying_key().to_bytes()).unwrap();
        let stranger = Key(SigningKey::from_bytes(&[2; 32]));
        let one = [1; 16];
        let other = [2; 16];
        let third = [3; 16];
        let mark = |instance, other| TwinMark::sign(&node, instance, other, &key);
        assert!(proves_twins(&node, &[mark(one, other), mark(other, one)]));
        assert!(mark(other, one).convinces(&node, one));
        // From an earlier process, from this one, from another node, and two that name a third.
        assert!(!mark(other, third).convinces(&node, one));
        assert!(!mark(one, one).convinces(&node, one));
        assert!(!TwinMark::sign(&node, other, one, &stranger).convinces(&node, one));
        assert!(!proves_twins(&node, &[mark(one, other), mark(one, other)]));
        assert!(!proves_twins(
            &node,
            &[mark(one, third), mark(other, third)]
        ));
        let mut changed = mark(other, one);
        changed.signature.0[0] ^= 1;
        assert!(!changed.convinces(&node, one));
    }
}
