//! The description of a task for plugins and receivers: every fact is this node's own, and the
//! requester's claims are marked as such.

use std::sync::Arc;

use countersign_host::{Operation, Origin, Principal, Statement};
use countersign_protocol::{Authenticated, NodeId, UnixMillis, Vote};

use crate::config::{Coordinator, LiveConfig};

/// The asking node: the part that all of its questions have in common.
pub struct Asker {
    node: NodeId,
    coordinator: Principal,
    /// Has the names of the requesters that may order tasks.
    config: Arc<LiveConfig>,
}

impl Asker {
    /// Creates the questions of this node.
    pub fn new(node: NodeId, coordinator: &Coordinator, config: Arc<LiveConfig>) -> Self {
        Self {
            node,
            coordinator: Principal {
                id: coordinator.id.to_string(),
                name: coordinator.address.clone(),
            },
            config,
        }
    }

    /// Builds the question about a task; the node itself established `operation` and `facts`.
    pub fn question(
        &self,
        now: UnixMillis,
        task: &Authenticated,
        operation: Operation,
        facts: Vec<Statement>,
    ) -> countersign_host::Task {
        let name = self.config.now().requesters.get(&task.requester).cloned();
        let note = task.note.iter().map(|note| claim("note", note));
        let claims = task.claims.iter().map(|(name, value)| claim(name, value));
        countersign_host::Task {
            id: task.id.to_string(),
            attempt: 1,
            received_at: now.0,
            requester: Principal {
                id: task.requester.to_string(),
                name: name.unwrap_or_default(),
            },
            coordinator: self.coordinator.clone(),
            node: self.node.to_string(),
            operation,
            extra: facts.into_iter().chain(note).chain(claims).collect(),
            raw: task.signed().bytes.clone(),
        }
    }
}

/// The votes on a task as a statement for plugins. The node does not vouch for them: a plugin that
/// counts votes verifies each.
pub fn voted(votes: &[Vote]) -> Option<Statement> {
    if votes.is_empty() {
        return None;
    }
    let written = serde_json::to_string(votes)
        .unwrap_or_else(|error| unreachable!("votes are plain data: {error}"));
    Some(claim(Vote::CLAIM, &written))
}

/// A statement for which the node does not vouch.
fn claim(name: &str, value: &str) -> Statement {
    Statement {
        name: name.into(),
        value: value.into(),
        origin: Origin::Claim,
    }
}

#[cfg(test)]
mod tests {
    use countersign_link::Identity;
    use countersign_protocol::{CoordinatorId, KeyId, RequesterId, SignedTask, Task, TaskId};

    use super::*;
    use crate::config::Config;
    use crate::specimen::{keygen, node};

    const CREATED: UnixMillis = UnixMillis(1_000_000);
    const RECEIVED: UnixMillis = UnixMillis(1_000_500);

    fn requester() -> Identity {
        Identity::from_seed(&[9; 32]).unwrap()
    }

    fn requester_id() -> RequesterId {
        RequesterId::from_bytes(requester().public().0).unwrap()
    }

    /// A check-up, with what else the requester says.
    fn task(note: Option<&str>, claims: &[(&str, &str)]) -> Authenticated {
        let claims = claims.iter().map(|(name, value)| (*name, *value));
        let checks = countersign_protocol::KeyShareSign {
            key: KeyId::from_bytes([3; 16]).unwrap(),
            nodes: vec![node(1)],
        };
        let task = Task {
            version: 1,
            id: TaskId([1; 16]),
            created: CREATED,
            not_after: UnixMillis(CREATED.0 + 60_000),
            requester: requester_id(),
            note: note.map(str::to_owned),
            claims: claims
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            collect: None,
            operation: countersign_protocol::Operation::KeyShareSign(checks),
        };
        let bytes = serde_json::to_vec(&task).unwrap();
        let signature = requester().sign(&SignedTask::signed_message(&bytes));
        SignedTask {
            bytes,
            signature: signature.into(),
        }
        .authenticate(|_| true, None, RECEIVED)
        .unwrap()
    }

    fn asker(requesters: &[(RequesterId, &str)]) -> Asker {
        let coordinator = Coordinator {
            address: "coordinator.example:7443".into(),
            id: CoordinatorId::from_bytes(*node(5).as_bytes()).unwrap(),
        };
        let names = requesters
            .iter()
            .map(|(id, name)| (*id, (*name).to_owned()));
        let config = Config {
            requesters: names.collect(),
            ..Config::parse("{}", std::path::Path::new(".")).unwrap()
        };
        Asker::new(node(1), &coordinator, Arc::new(config.into()))
    }

    #[test]
    fn a_question_names_node_coordinator_and_requester_as_this_node_knows_them() {
        let asked = asker(&[(requester_id(), "treasury")]).question(
            RECEIVED,
            &task(None, &[]),
            keygen(),
            Vec::new(),
        );
        let coordinator = CoordinatorId::from_bytes(*node(5).as_bytes()).unwrap();
        assert_eq!(asked.node, node(1).to_string());
        assert_eq!(asked.coordinator.id, coordinator.to_string());
        assert_eq!(asked.coordinator.name, "coordinator.example:7443");
        assert_eq!(asked.requester.id, requester_id().to_string());
        assert_eq!(asked.requester.name, "treasury");
    }

    #[test]
    fn votes_are_a_claim_in_the_form_that_plugins_read() {
        assert_eq!(voted(&[]), None);
        let key = countersign_protocol::evidence::Signature([7; 64]);
        let ballot = countersign_protocol::Ballot {
            task: countersign_protocol::Hash([1; 32]),
            choice: countersign_protocol::Choice::Reject,
            approver: countersign_protocol::ApproverId::new(
                countersign_protocol::ApproverKey::Ed25519(requester().public().0),
            )
            .unwrap(),
            time: CREATED,
        };
        let vote = Vote::new(ballot, countersign_protocol::Proof::Ed25519(key)).unwrap();
        let said = voted(std::slice::from_ref(&vote)).unwrap();
        assert_eq!((said.name.as_str(), said.origin), ("votes", Origin::Claim));
        assert_eq!(said.value, format!("[{}]", vote.to_json()));
    }

    #[test]
    fn a_requester_without_a_name_here_has_none_in_the_question() {
        let stranger = RequesterId::from_bytes(*node(2).as_bytes()).unwrap();
        let asked = asker(&[(stranger, "other")]).question(
            RECEIVED,
            &task(None, &[]),
            keygen(),
            Vec::new(),
        );
        assert_eq!(asked.requester.name, "");
        assert_eq!(asked.requester.id, requester_id().to_string());
    }

    #[test]
    fn a_question_has_the_nodes_time_and_operation_and_the_requesters_very_bytes() {
        let task = task(None, &[]);
        let asked = asker(&[]).question(RECEIVED, &task, keygen(), Vec::new());
        assert_eq!((asked.received_at, asked.attempt), (RECEIVED.0, 1));
        assert_eq!(asked.id, TaskId([1; 16]).to_string());
        assert_eq!(asked.raw, task.signed().bytes);
        assert!(
            matches!(asked.operation, Operation::Keygen(_)),
            "what the node established, not what the task says"
        );
    }

    #[test]
    fn what_the_requester_says_is_marked_as_a_claim_and_comes_after_the_facts() {
        let fact = Statement {
            name: "network".into(),
            value: "main".into(),
            origin: Origin::Fact,
        };
        let claims = [("invoice", "7"), ("network", "test")];
        let task = task(Some("for bob"), &claims);
        let asked = asker(&[]).question(RECEIVED, &task, keygen(), vec![fact]);
        let said: Vec<_> = asked
            .extra
            .iter()
            .map(|said| (said.name.as_str(), said.value.as_str(), said.origin))
            .collect();
        let expected = [
            ("network", "main", Origin::Fact),
            ("note", "for bob", Origin::Claim),
            ("invoice", "7", Origin::Claim),
            ("network", "test", Origin::Claim),
        ];
        assert_eq!(said, expected);
    }
}
