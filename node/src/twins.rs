//! Twins: another process with this node's identity, such as a backup that was started beside it.
//! Once a twin is proven, the node takes part in nothing until its operator has decided which of
//! the two is the original: a share that only one of them holds would be lost with it, and one
//! could sign what the other refuses.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use arc_swap::ArcSwap;
use countersign_protocol::NodeId;
use countersign_protocol::control::FromNode;
use countersign_protocol::twin::{Instance, TwinMark, proves_twins};
use countersign_store::{Journal, ReadJournalError};

use crate::node_key::NodeKey;
use crate::off_thread::{record_alarm, with_journal};
use crate::world::World;

/// The random identity of this process, and the knowledge of a twin.
pub struct Twins {
    own: NodeKey,
    journal: Journal,
    world: World,
    roster: ArcSwap<BTreeMap<NodeId, String>>,
    instance: Instance,
    known: AtomicBool,
}

impl Twins {
    /// Creates the state of a new process. The journal remembers a twin that was proven before.
    pub fn new(
        own: NodeKey,
        journal: Journal,
        world: World,
        roster: BTreeMap<NodeId, String>,
    ) -> Result<Self, ReadJournalError> {
        Ok(Self {
            known: AtomicBool::new(journal.twin_since()?.is_some()),
            instance: world.random(),
            own,
            journal,
            world,
            roster: ArcSwap::from_pointee(roster),
        })
    }

    /// Replaces the operator's names for the peers.
    pub fn set_roster(&self, roster: BTreeMap<NodeId, String>) {
        self.roster.store(Arc::new(roster));
    }

    /// True of nodes on the roster.
    #[cfg(test)]
    pub(crate) fn knows(&self, peer: &NodeId) -> bool {
        self.roster.load().contains_key(peer)
    }

    /// Returns the random number that distinguishes this process from others of the same node.
    pub fn instance(&self) -> Instance {
        self.instance
    }

    /// True from the proof of a twin until the operator has decided.
    pub fn is_known(&self) -> bool {
        self.known.load(SeqCst)
    }

    /// Lifts the stop once the operator has decided.
    pub fn lift(&self) {
        self.known.store(false, SeqCst);
    }

    /// Signs a statement to the process `other` that this process is alive.
    pub fn alive(&self, other: Instance) -> FromNode {
        FromNode::Alive {
            mark: TwinMark::sign(&self.own.id(), self.instance, other, &self.own),
        }
    }

    /// Handles an alleged twin of this node; returns true if `mark` proves it. Anything else is
    /// only logged, or else a coordinator could stop a node with it.
    pub async fn learn(&self, mark: &TwinMark) -> bool {
        if !mark.convinces(&self.own.id(), self.instance) {
            tracing::error!(
                "the coordinator claims without proof that another process has the identity of this node; ask its operator"
            );
            return false;
        }
        self.known.store(true, SeqCst);
        tracing::error!(
            "ALARM: another process runs with the identity of this node, which takes part in nothing until you have decided: end the one that is not the original, then run `countersign-node quarantine lift-twin`"
        );
        let now = self.world.now();
        if let Err(error) = with_journal(&self.journal, move |journal| journal.twin(now)).await {
            tracing::error!(%error, "the alarm was not recorded");
        }
        true
    }

    /// Handles an alleged twin of a peer.
    pub async fn hear_of(&self, peer: NodeId, marks: &[TwinMark; 2]) {
        let roster = self.roster.load_full();
        let name = roster.get(&peer).map_or("", String::as_str);
        if name.is_empty() || !proves_twins(&peer, marks) {
            return tracing::warn!(%peer, "the coordinator's report of two processes of a node was ignored: the node is not a peer, or the proof is not valid");
        }
        let text = format!(
            "two processes run with the identity of {peer} ({name}), as both have signed; ask its operator which one is the original"
        );
        tracing::error!("ALARM: {text}");
        record_alarm(&self.journal, self.world.now(), text).await;
    }
}

#[cfg(test)]
mod tests {
    use countersign_protocol::UnixMillis;

    use super::*;
    use crate::task::gossip::tests::{alarms, empty_journal, own as key};

    const NOW: UnixMillis = UnixMillis(7);

    /// A process of node 1, which has nodes 2 and 3 on its roster.
    fn process(journal: &Journal) -> Twins {
        let roster = [2, 3].map(|seed| (key(seed).id(), format!("node-{seed}")));
        let world = World::system().at(NOW);
        Twins::new(key(1), journal.clone(), world, roster.into()).unwrap()
    }

    /// The statement of process `of` of a node that process `other` of it is alive.
    fn mark(seed: u8, of: Instance, other: Instance) -> TwinMark {
        TwinMark::sign(&key(seed).id(), of, other, &key(seed))
    }

    #[test]
    fn two_processes_of_a_node_can_be_told_apart() {
        let (_dir, journal) = empty_journal();
        assert_ne!(process(&journal).instance(), process(&journal).instance());
    }

    #[test]
    fn what_a_process_says_of_another_convinces_that_one() {
        let (_dir, journal) = empty_journal();
        let [one, two] = [process(&journal), process(&journal)];
        let FromNode::Alive { mark } = one.alive(two.instance()) else {
            panic!("a statement")
        };
        assert!(mark.convinces(&key(1).id(), two.instance()));
        assert!(!mark.convinces(&key(1).id(), one.instance()));
    }

    #[tokio::test]
    async fn a_proven_twin_stops_the_node_and_is_on_record_before_anybody_goes_on() {
        let (_dir, journal) = empty_journal();
        let process = process(&journal);
        assert!(!process.is_known());
        assert!(process.learn(&mark(1, [9; 16], process.instance())).await);
        assert!(process.is_known());
        assert_eq!(journal.twin_since().unwrap(), Some(NOW));
    }

    /// Else a coordinator could stop every node.
    #[tokio::test]
    async fn a_twin_that_nobody_proves_changes_nothing() {
        let (_dir, journal) = empty_journal();
        let process = process(&journal);
        let me = process.instance();
        let forged = TwinMark {
            other: me,
            ..mark(1, [9; 16], [8; 16])
        };
        for (what, unproven) in [
            ("this process itself", mark(1, me, me)),
            ("of a process before this one", mark(1, [9; 16], [8; 16])),
            ("of another node", mark(2, [9; 16], me)),
            ("what it did not sign", forged),
        ] {
            assert!(!process.learn(&unproven).await, "{what}");
            assert!(!process.is_known(), "{what}");
        }
        assert_eq!(journal.twin_since().unwrap(), None);
        assert!(alarms(&journal).is_empty());
    }

    #[tokio::test]
    async fn a_restart_does_not_forget_a_twin_but_the_operators_decision_does() {
        let (_dir, journal) = empty_journal();
        let before = process(&journal);
        before.learn(&mark(1, [9; 16], before.instance())).await;
        let restarted = process(&journal);
        assert!(restarted.is_known());
        journal.lift_twin(NOW).unwrap();
        restarted.lift();
        assert!(!restarted.is_known());
        assert!(!process(&journal).is_known());
    }

    #[tokio::test]
    async fn the_same_twin_is_recorded_once() {
        let (_dir, journal) = empty_journal();
        let process = process(&journal);
        let twin = mark(1, [9; 16], process.instance());
        assert!(process.learn(&twin).await);
        let recorded = alarms(&journal);
        assert_eq!(recorded.len(), 1);
        assert!(process.learn(&twin).await);
        assert_eq!(alarms(&journal), recorded);
    }

    #[tokio::test]
    async fn twins_of_a_peer_raise_an_alarm_with_its_name_and_stop_nothing_here() {
        let (_dir, journal) = empty_journal();
        let process = process(&journal);
        let marks = [mark(2, [8; 16], [9; 16]), mark(2, [9; 16], [8; 16])];
        process.hear_of(key(2).id(), &marks).await;
        let alarms = alarms(&journal);
        assert_eq!(alarms.len(), 1);
        assert!(alarms[0].contains("(node-2)"), "{alarms:?}");
        assert!(alarms[0].ends_with("ask its operator which one is the original"));
        assert!(!process.is_known());
    }

    #[tokio::test]
    async fn twins_of_a_peer_without_proof_raise_no_alarm() {
        let (_dir, journal) = empty_journal();
        let process = process(&journal);
        let pair = |seed| [mark(seed, [8; 16], [9; 16]), mark(seed, [9; 16], [8; 16])];
        let one_process = [mark(2, [8; 16], [9; 16]), mark(2, [8; 16], [9; 16])];
        for (what, peer, marks) in [
            ("a stranger", 4, pair(4)),
            ("the marks of another", 2, pair(3)),
            ("one process", 2, one_process),
        ] {
            process.hear_of(key(peer).id(), &marks).await;
            assert!(alarms(&journal).is_empty(), "{what}");
        }
    }
}
