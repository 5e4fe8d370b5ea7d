//! Choice of the parties: a pure function of the task, the committee and the nodes online.

use countersign_protocol::{
    Hash, Hasher, KeyDescriptor, KeyGen, KeyReshare, KeyShareSign, KeySign, NodeId, Operation,
    TaskId,
};

/// The parties that are fixed by the task itself, in the order of their ids; absent if they
/// are the coordinator's choice.
pub fn fixed(operation: &Operation) -> Option<Vec<NodeId>> {
    match operation {
        Operation::KeyGen(KeyGen { committee, .. }) => Some(committee.members().to_vec()),
        Operation::KeySign(KeySign { signers, .. }) => signers.clone().map(sorted),
        Operation::KeyReshare(reshare) => reshare
            .dealers
            .as_ref()
            .map(|dealers| reshare.parties(dealers)),
        Operation::KeyShareSign(KeyShareSign { nodes, .. }) => Some(sorted(nodes.clone())),
    }
}

/// Exactly `threshold` members that are online, in the order of their ids; `None` if there are too
/// few. Tasks spread over the members, and the same task with the same members online
/// gets the same signers.
pub fn signers(
    task: &TaskId,
    wallet: &KeyDescriptor,
    online: impl Fn(&NodeId) -> bool,
) -> Option<Vec<NodeId>> {
    let needed = usize::from(wallet.threshold.get());
    let mut members: Vec<NodeId> = wallet
        .committee
        .members()
        .iter()
        .copied()
        .filter(online)
        .collect();
    members.sort_by_key(|node| rank(task, node));
    members.truncate(needed);
    (members.len() == needed).then(|| sorted(members))
}

/// All future members and as many dealers as the key needs, in the order of their ids; `None` if
/// too few are online. Members that stay deal before those that leave: the fewer parties,
/// the fewer can fail.
pub fn resharers(
    task: &TaskId,
    reshare: &KeyReshare,
    online: impl Fn(&NodeId) -> bool,
) -> Option<Vec<NodeId>> {
    if !reshare.committee.members().iter().all(&online) {
        return None;
    }
    let needed = usize::from(reshare.from.threshold.get());
    let stays = |node: &NodeId| reshare.committee.index_of(node).is_some();
    let mut dealers: Vec<NodeId> = reshare
        .from
        .committee
        .members()
        .iter()
        .copied()
        .filter(online)
        .collect();
    dealers.sort_by_key(|node| (!stays(node), rank(task, node)));
    dealers.truncate(needed);
    (dealers.len() == needed).then(|| reshare.parties(&dealers))
}

/// As many members as the key needs, `with` among them, in the order of their ids. Those that are
/// online come before the others.
pub fn signers_with(
    task: &TaskId,
    wallet: &KeyDescriptor,
    with: &NodeId,
    online: impl Fn(&NodeId) -> bool,
) -> Vec<NodeId> {
    let mut members = wallet.committee.members().to_vec();
    members.sort_by_key(|node| (node != with, !online(node), rank(task, node)));
    members.truncate(wallet.threshold.get().into());
    sorted(members)
}

/// All future members and as many dealers as the key needs, `with` among them, in the order of
/// their ids. Those that are online come before the others, and those that stay before those that
/// leave.
pub fn resharers_with(
    task: &TaskId,
    reshare: &KeyReshare,
    with: &NodeId,
    online: impl Fn(&NodeId) -> bool,
) -> Vec<NodeId> {
    let stays = |node: &NodeId| reshare.committee.index_of(node).is_some();
    let mut dealers = reshare.from.committee.members().to_vec();
    dealers.sort_by_key(|node| (node != with, !online(node), !stays(node), rank(task, node)));
    dealers.truncate(reshare.from.threshold.get().into());
    reshare.parties(&dealers)
}

fn rank(task: &TaskId, node: &NodeId) -> Hash {
    Hasher::new("countersign/1 choice of signers")
        .field(&task.0)
        .field(node.as_bytes())
        .finish()
}

fn sorted(mut nodes: Vec<NodeId>) -> Vec<NodeId> {
    nodes.sort_unstable();
    nodes
}
