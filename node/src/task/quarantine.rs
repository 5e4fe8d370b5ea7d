//! After a cheat: the key is not used together with that peer again until the operator has looked into it.

use super::admission::refusal;
use countersign_protocol::{Cause, Failure, KeyId, NodeId, Refusal, TaskId, UnixMillis};
use countersign_store::{Journal, Quarantine};

/// Codes of failures that a peer with our program does not cause, whatever happens to its machine or network.
const CHEATS: [&str; 4] = ["protocol", "peer-misbehaved", "equivocation", "signature-invalid"];

/// Whom a failure proves to have cheated with the key.
pub(super) fn of(
    key: KeyId,
    task: TaskId,
    since: UnixMillis,
    failure: &Failure,
) -> impl Iterator<Item = Quarantine> + '_ {
    let cheated = failure.cause == Cause::Peer && CHEATS.contains(&failure.code.as_str());
    let culprits = failure.culprits.iter().filter(move |_| cheated);
    culprits.map(move |peer| Quarantine {
        key,
        peer: *peer,
        task,
        since,
        code: failure.code.clone(),
        text: failure.text.clone(),
    })
}

/// Refuses a task of a key in which somebody would take part who is kept away from it.
pub(super) fn check(journal: &Journal, key: KeyId, parties: &[NodeId]) -> Result<(), Refusal> {
    let kept = journal.quarantines().map_err(|error| refusal("journal", &error.to_string()))?;
    match kept.iter().find(|kept| kept.key == key && parties.contains(&kept.peer)) {
        Some(kept) => Err(refusal(
            "peer-quarantined",
            &format!(
                "{} cheated in task {} of this key ({}); choose other nodes, or examine it and lift its quarantine",
                kept.peer, kept.task, kept.code
            ),
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_proven_cheat_is_kept_away() {
        let node = |seed: u8| {
            let identity = countersign_link::Identity::from_seed(&[seed; 32]).unwrap();
            NodeId::from_bytes(identity.public().0).unwrap()
        };
        let kept = |cause, code: &str, culprits: Vec<NodeId>| {
            let failure = Failure { cause, code: code.into(), text: "t".into(), culprits };
            let key = KeyId::from_bytes([2; 16]).unwrap();
            of(key, TaskId([1; 16]), UnixMillis(1), &failure).map(|kept| kept.peer).collect::<Vec<_>>()
        };
        for code in CHEATS {
            assert_eq!(kept(Cause::Peer, code, vec![node(1), node(2)]), [node(1), node(2)]);
        }
        assert_eq!(kept(Cause::Peer, "protocol", vec![]), [], "nobody is accused");
        assert_eq!(kept(Cause::Environment, "session-timeout", vec![node(1)]), [], "silence is no cheat");
        for code in ["peer-aborted", "generation-mismatch", "split-view", "peer-flood"] {
            assert_eq!(kept(Cause::Peer, code, vec![node(1)]), [], "{code} may have an honest cause");
        }
    }
}
