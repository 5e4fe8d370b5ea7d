//! Keys and their holders in the terms of the plugins' contract.

use countersign_host as host;
use countersign_protocol::{KeyDescriptor, NodeId};

/// Describes a key from this node's record. `root`: its extended public key as text.
pub(super) fn key(descriptor: &KeyDescriptor, root: String) -> host::Key {
    host::Key {
        id: descriptor.key.to_string(),
        scheme: descriptor.scheme.to_string(),
        curve: descriptor.scheme.curve().to_string(),
        root_public_key: root,
        threshold: descriptor.threshold.get(),
        members: nodes(descriptor.committee.members()),
    }
}

pub(super) fn nodes(nodes: &[NodeId]) -> Vec<String> {
    nodes.iter().map(NodeId::to_string).collect()
}

/// The share ids are 1, 2, 3 and so on, in the order of the members' ids.
pub(super) fn participants(
    members: &[NodeId],
    public_shares: &[Vec<u8>],
) -> Vec<host::Participant> {
    let holders = members.iter().zip(public_shares).zip(1_u32..);
    let participant =
        |((node, public_share), number): ((&NodeId, &Vec<u8>), u32)| host::Participant {
            node: node.to_string(),
            share_id: number.to_string(),
            share_public_key: public_share.clone(),
        };
    holders.map(participant).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::fixtures::{generation, nodes as seeds};

    #[test]
    fn shares_are_numbered_from_one_in_the_order_of_their_holders() {
        let members = seeds(&[1, 2, 3]);
        let shares = [vec![10], vec![20], vec![30]];
        let shown = participants(&members, &shares);
        let numbers: Vec<&str> = shown.iter().map(|shown| &shown.share_id[..]).collect();
        assert_eq!(numbers, ["1", "2", "3"]);
        for (shown, (member, share)) in shown.iter().zip(members.iter().zip(&shares)) {
            assert_eq!(shown.node, member.to_string());
            assert_eq!(&shown.share_public_key, share);
        }
    }

    #[test]
    fn a_key_is_described_from_the_record_and_not_from_the_order() {
        let descriptor = generation(3, &[1, 2, 3]);
        let shown = key(&descriptor, "cpub".into());
        assert_eq!(shown.id, descriptor.key.to_string());
        assert_eq!((&shown.scheme[..], shown.threshold), ("ed25519", 2));
        assert_eq!(shown.root_public_key, "cpub");
        assert_eq!(shown.members, nodes(descriptor.committee.members()));
    }
}
