//! Who is to sign: a pure function of the task, the committee and who is on line.

use countersign_protocol::{Announcement, Hash, Hasher, KeyGen, KeySign, NodeId, TaskId};

/// The parties that are fixed by the task itself, in the order of their ids; absent if they are the coordinator's choice.
pub fn fixed(operation: &countersign_protocol::Operation) -> Option<Vec<NodeId>> {
    use countersign_protocol::Operation;
    match operation {
        Operation::KeyGen(KeyGen { committee, .. }) => Some(committee.members().to_vec()),
        Operation::KeySign(KeySign { signers, .. }) => signers.clone().map(sorted),
    }
}

/// Exactly `threshold` members that are on line, in the order of their ids; `None` if there are too few. Tasks spread over
/// the members, and the same task with the same members on line gets the same signers.
pub fn signers(
    task: &TaskId,
    wallet: &Announcement,
    online: impl Fn(&NodeId) -> bool,
) -> Option<Vec<NodeId>> {
    let needed = usize::from(wallet.threshold.get());
    let mut members: Vec<NodeId> = wallet.committee.members().iter().copied().filter(online).collect();
    members.sort_by_key(|node| rank(task, node));
    members.truncate(needed);
    (members.len() == needed).then(|| sorted(members))
}

fn rank(task: &TaskId, node: &NodeId) -> Hash {
    Hasher::new("countersign/1 choice of signers").field(&task.0).field(node.as_bytes()).finish()
}

fn sorted(mut nodes: Vec<NodeId>) -> Vec<NodeId> {
    nodes.sort_unstable();
    nodes
}
