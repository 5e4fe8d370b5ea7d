//! The order in which tasks get a place when there are more than the nodes take at a
//! time: a pure function.

use std::collections::HashMap;

use countersign_protocol::{KeyId, RequesterId, TaskId};

/// An open task.
#[derive(Debug, Clone, Copy)]
pub struct Queued {
    pub id: TaskId,
    /// Position in the order of arrival.
    pub sequence: u64,
    pub requester: RequesterId,
    /// The key that it uses or creates.
    pub key: KeyId,
}

/// Requesters take turns, and within a requester its keys take turns; within a key it is first
/// come, first served. Tasks in progress already count as a turn taken, so a requester with a
/// thousand tasks does not hold up one with a single task.
pub fn fair_order(mut tasks: Vec<Queued>) -> Vec<TaskId> {
    tasks.sort_unstable_by_key(|task| task.sequence);
    let by_key = turns(&tasks, |task| (task.requester, task.key));
    let mut ordered: Vec<(u64, Queued)> = by_key.into_iter().zip(tasks).collect();
    ordered.sort_by_key(|(turn, task)| (*turn, task.sequence));
    let tasks: Vec<Queued> = ordered.into_iter().map(|(_, task)| task).collect();
    let by_requester = turns(&tasks, |task| task.requester);
    let mut ordered: Vec<(u64, Queued)> = by_requester.into_iter().zip(tasks).collect();
    ordered.sort_by_key(|(turn, task)| (*turn, task.sequence));
    ordered.into_iter().map(|(_, task)| task.id).collect()
}

/// For each task, the number of those before it in the same group.
fn turns<G: std::hash::Hash + Eq>(tasks: &[Queued], group: impl Fn(&Queued) -> G) -> Vec<u64> {
    let mut taken: HashMap<G, u64> = HashMap::new();
    let mut turn = |task| {
        let count = taken.entry(group(task)).or_default();
        *count += 1;
        *count
    };
    tasks.iter().map(&mut turn).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::key;

    fn queued(sequence: u64, requester: u8, wallet: u8) -> Queued {
        let mut id = [0; 16];
        id[0] = sequence as u8;
        let requester = key(requester).verifying_key().to_bytes();
        Queued {
            id: TaskId(id),
            sequence,
            requester: RequesterId::from_bytes(requester).unwrap(),
            key: KeyId::from_bytes([wallet; 16]).unwrap(),
        }
    }

    fn order(tasks: &[(u64, u8, u8)]) -> Vec<u8> {
        let tasks = tasks
            .iter()
            .map(|(sequence, requester, wallet)| queued(*sequence, *requester, *wallet));
        fair_order(tasks.collect())
            .into_iter()
            .map(|id| id.0[0])
            .collect()
    }

    #[test]
    fn requesters_and_their_keys_take_turns() {
        // One requester fills the queue with one key, uses another once; another requester comes
        // last.
        let tasks = [
            (1, 1, 1),
            (2, 1, 1),
            (3, 1, 1),
            (4, 1, 2),
            (5, 2, 3),
            (6, 2, 3),
        ];
        assert_eq!(order(&tasks), [1, 5, 4, 6, 2, 3]);
    }

    #[test]
    fn alone_it_is_first_come_first_served() {
        assert_eq!(order(&[(3, 1, 1), (1, 1, 1), (2, 1, 1)]), [1, 2, 3]);
    }
}
