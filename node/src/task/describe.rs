//! Keys and holders in the words of the plugins' contract.

use countersign_host as host;
use countersign_protocol::{Announcement, NodeId};

/// A key as this node's record has it. `root`: its extended public key as text.
pub(super) fn key(announcement: &Announcement, root: String) -> host::Key {
    host::Key {
        id: announcement.key.to_string(),
        scheme: announcement.scheme.to_string(),
        curve: announcement.scheme.curve().to_string(),
        root_public_key: root,
        threshold: announcement.threshold.get(),
        members: nodes(announcement.committee.members()),
    }
}

/// Ids as text.
pub(super) fn nodes(nodes: &[NodeId]) -> Vec<String> {
    nodes.iter().map(NodeId::to_string).collect()
}

/// Shares lie at 1, 2, 3 and so on, in the order of the members' ids.
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
