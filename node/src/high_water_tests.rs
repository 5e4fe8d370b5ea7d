//! High-water marks of peers and of this node: checks, alarms and storage.

use countersign_link::Identity;
use countersign_protocol::{KeyId, UnixMillis};
use countersign_store::{KeyRecord, KeyStatus};

use super::*;
use crate::node_key::NodeKey;
use crate::task::gossip::tests::{self as gossip, Parts, alarms, generation, key, node};

fn signed(seed: u8, at: u64, secrets: u64, audit: u64) -> (NodeId, SignedMark) {
    let identity = Arc::new(Identity::from_seed(&[seed; 32]).unwrap());
    let node = NodeId::from_bytes(identity.public().0).unwrap();
    let mark = Mark {
        at: UnixMillis(at),
        secrets,
        audit,
    };
    (
        node,
        SignedMark::alone(mark, &node, &NodeKey::new(identity).unwrap()),
    )
}

#[test]
fn a_peer_that_says_less_than_before_was_rolled_back_and_marks_may_overtake_each_other() {
    let mut peer = Peer::new(None);
    let mut hear = |at, secrets, audit| {
        let known = peer.hear(signed(1, at, secrets, audit).1, UnixMillis(1));
        known.map(|known| (known.secrets, known.audit))
    };
    assert_eq!(hear(100, 3, 50), None);
    assert_eq!(hear(200, 3, 60), None);
    assert_eq!(hear(150, 3, 55), None, "said earlier, heard later");
    assert_eq!(
        hear(200, 3, 59),
        None,
        "in the same millisecond nobody knows which came first"
    );
    assert_eq!(hear(300, 3, 55), Some((3, 60)));
    assert_eq!(hear(400, 2, 70), Some((3, 60)), "whichever number fell");
    assert_eq!(
        hear(500, 3, 61),
        None,
        "what it had reached is remembered, not what it fell to"
    );
}

/// A mark sent in a task within one link counts as much as the mark of a new link.
#[test]
fn a_mark_of_a_task_is_remembered_and_written_down() {
    let mut peer = Peer::new(Some(PeerMark::new(signed(1, 100, 3, 50).1, UnixMillis(1))));
    peer.hear(signed(1, 200, 3, 61).1, UnixMillis(2));
    assert!(peer.news);
    assert_eq!(peer.mark.map(|mark| mark.audit), Some(61));
}

#[test]
fn a_peer_is_believed_only_with_this_nodes_own_signature_and_own_numbers_decide() {
    let (me, then) = signed(1, 100, 3, 50);
    let now = |secrets, audit| Mark {
        at: UnixMillis(900),
        secrets,
        audit,
    };
    assert!(is_behind(&me, &now(3, 49), &then) && is_behind(&me, &now(2, 70), &then));
    assert!(!is_behind(&me, &now(3, 50), &then) && !is_behind(&me, &now(4, 51), &then));
    let (_, foreign) = signed(2, 100, 1_000_000, 1_000_000);
    assert!(
        !is_behind(&me, &now(3, 50), &foreign),
        "signed by the peer that says so"
    );
    let forged = SignedMark {
        mark: Mark {
            secrets: 1_000_000,
            ..then.mark
        },
        ..then
    };
    assert!(!is_behind(&me, &now(3, 50), &forged));
}

#[test]
fn one_peer_cannot_use_up_the_alarms_of_another_and_none_silences_them_for_good() {
    let one = Peer::new(None);
    let two = Peer::new(None);
    let start = Instant::now();
    let passed = (0..100_000)
        .filter(|_| one.behind.pass(start).is_some())
        .count();
    assert_eq!(passed, 1);
    assert_eq!(two.behind.pass(start), Some(0));
    assert_eq!(one.rolled_back.pass(start), Some(0), "of another kind");
    assert_eq!(
        one.behind.pass(start + PAUSE),
        Some(99_999),
        "counted, and raised again"
    );
}

#[test]
fn keys_of_different_generations_are_found() {
    let held = |key: u8, generation| Held {
        key: KeyId::from_bytes([key; 16]).unwrap(),
        generation,
    };
    let mine = [held(1, 0), held(2, 4), held(3, 1)];
    let theirs = [held(2, 5), held(3, 1), held(9, 7)];
    assert_eq!(differing(&mine, &theirs), [(held(2, 4), held(2, 5))]);
}

/// The marks of node 1, which has no tunnel to anybody.
fn watermarks(parts: &Parts) -> Watermarks {
    let world = World::system().at(gossip::NOW);
    let journal = parts.journal().clone();
    Watermarks {
        own: gossip::own(1),
        own_mark: Arc::new(OwnMark::new(
            world.clone(),
            journal.clone(),
            parts.vault.clone(),
        )),
        world,
        journal,
        router: parts.exchange.router.clone(),
        exchange: parts.exchange.clone(),
        counters: Arc::default(),
    }
}

fn recorded(node: &Watermarks, peer: NodeId) -> Option<(u64, u64)> {
    let mark = node.journal.peer(&peer).unwrap()?;
    Some((mark.secrets, mark.audit))
}

#[tokio::test]
async fn the_nodes_own_mark_grows_with_its_audit_log_and_shows_the_time() {
    let parts = Parts::new().await;
    let node = watermarks(&parts);
    let first = node.own_mark.look().unwrap();
    assert_eq!(first.at, gossip::NOW);
    node.journal.alarm(gossip::NOW, None, "t").unwrap();
    let second = node.own_mark.look().unwrap();
    assert_eq!(
        (second.secrets, second.audit),
        (first.secrets, first.audit + 1)
    );
}

#[tokio::test]
async fn a_mark_that_its_peer_did_not_sign_is_not_remembered() {
    let parts = Parts::new().await;
    let node = watermarks(&parts);
    let mut peers = Peers::default();
    let (_, of_another) = signed(3, 100, 9, 9);
    let (two, own) = signed(2, 100, 3, 50);
    let altered = SignedMark {
        mark: Mark {
            audit: 51,
            ..own.mark
        },
        ..own
    };
    for unsigned in [of_another, altered] {
        hear(&node, &mut peers, two, unsigned).await;
        peers.write(&node).await;
        assert_eq!(recorded(&node, two), None);
    }
    hear(&node, &mut peers, two, own).await;
    peers.write(&node).await;
    assert_eq!(recorded(&node, two), Some((3, 50)));
}

#[tokio::test]
async fn a_mark_is_written_once_and_only_if_it_is_news() {
    let parts = Parts::new().await;
    let node = watermarks(&parts);
    let mut peers = Peers::default();
    let (two, mark) = signed(2, 100, 3, 50);
    hear(&node, &mut peers, two, mark).await;
    let before = node.journal.commits();
    peers.write(&node).await;
    peers.write(&node).await;
    assert_eq!(node.journal.commits(), before + 1);
}

/// What a peer had reached is all that reveals an older copy of its files.
#[tokio::test]
async fn a_restart_of_this_node_lowers_no_peers_mark() {
    let parts = Parts::new().await;
    let node = watermarks(&parts);
    let mut peers = Peers::default();
    let (two, high) = signed(2, 100, 3, 50);
    hear(&node, &mut peers, two, high).await;
    peers.write(&node).await;
    let mut restarted = Peers::default();
    hear(&node, &mut restarted, two, signed(2, 200, 3, 40).1).await;
    restarted.write(&node).await;
    assert_eq!(recorded(&node, two), Some((3, 50)));
    let [alarm] = &alarms(&node.journal)[..] else {
        panic!("one alarm")
    };
    assert!(alarm.contains("3 of its secrets and 50 audit entries, and now reports 3 and 40"));
    assert!(alarm.ends_with("ask its operator"), "{alarm}");
}

#[tokio::test]
async fn a_peer_that_goes_on_reporting_less_raises_no_second_alarm_at_once() {
    let parts = Parts::new().await;
    let node = watermarks(&parts);
    let mut peers = Peers::default();
    for (at, audit) in [(100, 50), (200, 40), (300, 30), (400, 20)] {
        let (two, mark) = signed(2, at, 3, audit);
        hear(&node, &mut peers, two, mark).await;
    }
    assert_eq!(alarms(&node.journal).len(), 1);
}

#[tokio::test]
async fn a_claim_that_this_node_was_further_needs_its_own_signature_to_raise_an_alarm() {
    let parts = Parts::new().await;
    let node = watermarks(&parts);
    let mut peers = Peers::default();
    let peer = gossip::node(2);
    let (_, by_the_peer) = signed(2, 100, 1_000, 1_000);
    let now = node.own_mark.look().unwrap();
    let (_, reached) = signed(1, 100, now.secrets, now.audit);
    for claim in [by_the_peer, reached] {
        told_behind(&node, &mut peers, peer, claim).await;
        assert!(alarms(&node.journal).is_empty());
    }
    let (_, further) = signed(1, 100, now.secrets + 1, now.audit);
    told_behind(&node, &mut peers, peer, further).await;
    let [alarm] = &alarms(&node.journal)[..] else {
        panic!("one alarm")
    };
    assert!(alarm.contains("this store is an older copy"), "{alarm}");
    assert!(alarm.ends_with("or restore the newest backup"), "{alarm}");
}

#[tokio::test]
async fn keys_in_different_generations_raise_an_alarm_that_names_both() {
    let parts = Parts::new().await;
    let watermarks = watermarks(&parts);
    let mut peers = Peers::default();
    let record = KeyRecord {
        descriptor: generation(0, &[1, 2]),
        status: KeyStatus::Active,
        created: gossip::NOW,
    };
    watermarks.journal.put_key(record).unwrap();
    let held = |generation| Held {
        key: key(),
        generation,
    };
    compare_keys(&watermarks, &mut peers, node(2), vec![held(0)]).await;
    compare_keys(&watermarks, &mut peers, node(3), vec![held(5)]).await;
    assert!(
        alarms(&watermarks.journal).is_empty(),
        "equal, or not shared"
    );
    compare_keys(&watermarks, &mut peers, node(2), vec![held(5)]).await;
    let [alarm] = &alarms(&watermarks.journal)[..] else {
        panic!("one alarm")
    };
    assert!(alarm.contains("generation 5") && alarm.contains("this node generation 0"));
}

#[tokio::test]
async fn an_alarm_says_how_many_of_its_kind_were_held_back() {
    let parts = Parts::new().await;
    let node = watermarks(&parts);
    alarm(&node, "it is behind".into(), 0).await;
    alarm(&node, "it is behind".into(), 7).await;
    assert_eq!(
        alarms(&node.journal),
        ["it is behind", "it is behind (after 7 more of this kind)"]
    );
}
