//! Reports of uses: the proof that each needs, and how they are taken back.

use countersign_link::Mesh;
use countersign_link::mesh::MeshConfig;
use countersign_protocol::frame::Body;
use countersign_protocol::{Committee, KeyGen, RequesterId, Scheme, SignedTask, Task, Threshold};
use countersign_store::{KeyStatus, Teller};
use tempfile::TempDir;

use super::*;
use crate::config::LiveConfig;
use crate::task::fixtures::{
    NOW, REQUESTER, TASK, UNTIL, config, config_listing, empty_journal, generation, guard,
    identity, key, keysign, node, nodes, put_key, sign, task,
};

const HASH: Hash = Hash([7; 32]);

fn part(number: u8, of: u8, task: u8) -> UsePart {
    UsePart {
        task: Hash([task; 32]),
        number,
        of,
        bytes: vec![number],
    }
}

#[test]
fn parts_are_joined_in_their_order_and_nothing_else_is() {
    let mut peer = Peer::default();
    assert_eq!(peer.join(part(0, 1, 1)), Some(vec![0]));
    assert_eq!(peer.join(part(0, 3, 1)), None);
    assert_eq!(peer.join(part(1, 3, 1)), None);
    assert_eq!(peer.join(part(2, 3, 1)), Some(vec![0, 1, 2]));
    for stray in [
        part(2, 3, 1),
        part(1, 3, 2),
        part(1, 2, 1),
        part(3, 3, 1),
        part(0, 4, 1),
        part(0, 0, 1),
    ] {
        peer.join(part(0, 3, 1));
        assert_eq!(peer.join(stray), None);
        assert!(peer.half.is_none());
    }
    let large = UsePart {
        bytes: vec![0; MAX_USE_PART + 1],
        ..part(0, 1, 1)
    };
    assert_eq!(peer.join(large), None);
}

/// Node 1, which holds a key with nodes 2 and 3 and lists one requester.
fn counter() -> (TempDir, Counter) {
    let (dir, journal) = empty_journal();
    put_key(&journal, KeyStatus::Active, generation(0, &[1, 2, 3]));
    let config = config("");
    let coordinator = config.coordinator.clone().unwrap();
    let config = Arc::new(LiveConfig::from(config));
    let asker = Asker::new(node(1), &coordinator, config.clone());
    let mesh = Mesh::new(identity(1).into(), MeshConfig::default()).0;
    let world = World::system().at(NOW);
    let admission = AdmissionControl {
        me: node(1),
        world: world.clone(),
        journal: journal.clone(),
        config,
    };
    let counter = Counter {
        world,
        journal,
        admission: admission.into(),
        asker: asker.into(),
        guard: guard(),
        router: Router::new(mesh, Default::default()),
    };
    (dir, counter)
}

fn order() -> Task {
    task(Operation::KeySign(keysign("pay", None)))
}

/// The report of a task that nodes 2 and 3 approved.
fn used(task: SignedTask) -> Use {
    Use {
        task,
        signers: nodes(&[2, 3]),
    }
}

/// The doubt about a report by node 2: true if it proves nothing, false if this node lacks the
/// knowledge to check it.
fn doubt(used: &Use, now: UnixMillis) -> Option<(bool, String)> {
    let (_dir, counter) = counter();
    let hash = used.task.hash();
    match check(&counter.admission, now, &node(2), hash, &encode(used)) {
        Ok(_) => None,
        Err(Doubt::Unproven(why)) => Some((true, why)),
        Err(Doubt::Unknown(why)) => Some((false, why)),
    }
}

/// A row as the journal has it after these have told of a task.
fn counted(tellers: &[(u8, bool)], owed: &[&str]) -> Counted {
    let (_dir, journal) = empty_journal();
    journal.count(NOW, count_by(2)).unwrap();
    let mut row = journal.counted(&HASH).unwrap().unwrap();
    let teller = |(seed, released): &(u8, bool)| Teller {
        node: node(*seed),
        released: *released,
    };
    row.tellers = tellers.iter().map(teller).collect();
    row.owed = owed.iter().map(|name| (*name).to_owned()).collect();
    row
}

fn count_by(teller: u8) -> Count {
    Count {
        hash: HASH,
        task: TASK,
        key: key(),
        until: UNTIL,
        teller: node(teller),
        state: Vec::new(),
        owed: vec!["limits".into()],
        text: String::new(),
    }
}

#[test]
fn a_signers_report_of_a_requesters_order_proves_itself() {
    let (_dir, counter) = counter();
    let report = used(sign(&order()));
    let hash = report.task.hash();
    let proven = check(&counter.admission, NOW, &node(2), hash, &encode(&report));
    let proven = proven.ok().unwrap();
    assert_eq!((proven.foreign.key, proven.task.hash()), (key(), hash));
}

#[test]
fn a_report_under_the_name_of_another_task_proves_nothing() {
    let (_dir, counter) = counter();
    let report = encode(&used(sign(&order())));
    let checked = check(&counter.admission, NOW, &node(2), HASH, &report);
    assert!(matches!(checked, Err(Doubt::Unproven(_))));
    let garbage = check(&counter.admission, NOW, &node(2), HASH, b"x");
    assert!(matches!(garbage, Err(Doubt::Unproven(_))));
}

#[test]
fn an_order_that_the_requester_did_not_sign_proves_nothing() {
    let forged = SignedTask {
        signature: [7; 64].into(),
        ..sign(&order())
    };
    let (unproven, why) = doubt(&used(forged), NOW).unwrap();
    assert!(unproven, "{why}");
}

/// Members may pin other pages, and nobody is to blame for that.
#[test]
fn an_order_by_passkey_is_believed_from_the_pinned_page_and_from_another_one_it_is_not_a_lie() {
    use countersign_vote::testing::{ORIGIN, Passkey, RP_ID};
    let passkey = Passkey::new(3);
    let told = used(passkey.order(&Task {
        requester: passkey.requester(),
        ..order()
    }));
    for (pages, believed) in [
        (format!("{{ rp_id: {RP_ID}, origins: ['{ORIGIN}'] }}"), true),
        (
            "{ rp_id: other.example, origins: ['https://other.example'] }".into(),
            false,
        ),
    ] {
        let (_dir, counter) = counter();
        let config = config_listing(&passkey.requester(), &format!("passkeys: {pages}"));
        counter.admission.config.take(config);
        let hash = told.task.hash();
        match check(&counter.admission, NOW, &node(2), hash, &encode(&told)) {
            Err(Doubt::Unknown(why)) => assert_eq!(why.contains("passkey"), !believed, "{why}"),
            Err(Doubt::Unproven(why)) => panic!("{why}"),
            Ok(_) => assert!(believed),
        }
    }
}

/// Whatever page a member pins, it has not seen the passkey sign this.
#[test]
fn a_false_order_by_passkey_from_the_pinned_page_is_a_lie() {
    use countersign_vote::testing::{ORIGIN, Passkey, RP_ID};
    let passkey = Passkey::new(3);
    let order = |requester| Task {
        requester,
        ..order()
    };
    let forged = SignedTask {
        bytes: order(passkey.requester()).to_bytes(),
        ..Passkey::new(4).order(&order(passkey.requester()))
    };
    let told = used(forged);
    let (_dir, counter) = counter();
    let pages = format!("passkeys: {{ rp_id: {RP_ID}, origins: ['{ORIGIN}'] }}");
    let config = config_listing(&passkey.requester(), &pages);
    counter.admission.config.take(config);
    let hash = told.task.hash();
    let checked = check(&counter.admission, NOW, &node(2), hash, &encode(&told));
    assert!(matches!(checked, Err(Doubt::Unproven(_))));
}

/// Members may list other requesters, and nobody is to blame for that.
#[test]
fn an_order_of_an_unknown_requester_is_not_a_lie() {
    let stranger = identity(REQUESTER + 1);
    let order = Task {
        requester: RequesterId::from_bytes(stranger.public().0).unwrap(),
        ..order()
    };
    let bytes = order.to_bytes();
    let signature = stranger.sign(&SignedTask::signed_message(&bytes));
    let (unproven, why) = doubt(
        &used(SignedTask {
            bytes,
            signature: signature.into(),
        }),
        NOW,
    )
    .unwrap();
    assert!(!unproven && why.contains("is not listed here"), "{why}");
}

#[test]
fn a_use_counts_until_the_order_expires_and_not_at_that_moment() {
    let last = UnixMillis(UNTIL.0 - 1);
    assert!(doubt(&used(sign(&order())), last).is_none());
    for late in [UNTIL, UnixMillis(UNTIL.0 + 1)] {
        let (unproven, why) = doubt(&used(sign(&order())), late).unwrap();
        assert!(!unproven && why.contains("expired"), "{why}");
    }
}

#[test]
fn clocks_may_differ_by_the_tolerated_skew_and_no_more() {
    let ahead = |lead: u64| {
        let order = Task {
            created: UnixMillis(NOW.0 + lead),
            ..order()
        };
        doubt(&used(sign(&order)), NOW)
    };
    assert!(ahead(Task::MAX_SKEW_MS).is_none());
    let (unproven, why) = ahead(Task::MAX_SKEW_MS + 1).unwrap();
    assert!(!unproven && why.contains("set the clocks right"), "{why}");
}

#[test]
fn only_a_signature_uses_a_key() {
    let keygen = KeyGen {
        name: "n".into(),
        scheme: Scheme::Ed25519,
        committee: Committee::new(nodes(&[1, 2])).unwrap(),
        threshold: Threshold::try_from(2).unwrap(),
    };
    let report = used(sign(&task(Operation::KeyGen(keygen))));
    let (unproven, why) = doubt(&report, NOW).unwrap();
    assert!(unproven && why.contains("uses no key"), "{why}");
}

#[test]
fn only_a_signer_reports_and_only_to_holders_that_do_not_sign() {
    for signers in [nodes(&[3]), nodes(&[1, 2]), nodes(&[1, 3])] {
        let report = Use {
            signers,
            ..used(sign(&order()))
        };
        let (unproven, why) = doubt(&report, NOW).unwrap();
        assert!(unproven && why.contains("only a signer"), "{why}");
    }
}

#[test]
fn signers_that_the_key_does_not_have_are_not_counted() {
    let report = Use {
        signers: nodes(&[2, 4]),
        ..used(sign(&order()))
    };
    let (unproven, why) = doubt(&report, NOW).unwrap();
    assert!(!unproven && why.ends_with("[signers]"), "{why}");
}

#[test]
fn a_use_is_news_until_this_peer_and_all_plugins_have_had_their_say() {
    for (tellers, owed, known) in [
        (&[][..], &[][..], false),
        (&[(2, false)], &[], true),
        (&[(2, false)], &["limits"], false),
        (&[(2, true)], &["limits"], true),
        (&[(3, false)], &[], false),
    ] {
        let row = counted(tellers, owed);
        assert_eq!(is_known(&row, &node(2)), known, "{tellers:?} {owed:?}");
    }
}

/// One liar must not free what an honest signer holds.
#[tokio::test]
async fn a_use_is_given_back_by_every_signer_that_told_of_it_and_by_nobody_else() {
    let (_dir, counter) = counter();
    counter.journal.count(NOW, count_by(2)).unwrap();
    counter.journal.count(NOW, count_by(3)).unwrap();
    let counts = || counter.journal.counted(&HASH).unwrap().unwrap().counts();
    release(&counter, node(4), HASH).await;
    assert!(counts(), "a stranger to the task");
    release(&counter, node(2), HASH).await;
    assert!(counts(), "node 3 still holds it");
    release(&counter, node(3), HASH).await;
    assert!(!counts());
}

#[tokio::test]
async fn a_release_costs_a_write_once_and_none_if_nothing_was_told() {
    let (_dir, counter) = counter();
    let before = counter.journal.commits();
    release(&counter, node(2), HASH).await;
    assert_eq!(counter.journal.commits(), before, "unfounded");
    counter.journal.count(NOW, count_by(2)).unwrap();
    let before = counter.journal.commits();
    release(&counter, node(2), HASH).await;
    release(&counter, node(2), HASH).await;
    assert_eq!(counter.journal.commits(), before + 1);
}

#[tokio::test]
async fn a_peer_that_proves_nothing_is_not_heard_for_a_while() {
    let (_dir, counter) = counter();
    let mut ledger = Ledger::default();
    let report = |task: Hash| {
        let bytes = b"x".to_vec();
        Body::Used(UsePart {
            task,
            number: 0,
            of: 1,
            bytes,
        })
    };
    ledger.heed(&counter, node(2), report(HASH)).await;
    let muted = |ledger: &Ledger| ledger.peers[&node(2)].muted;
    let first = muted(&ledger).expect("it sent garbage");
    ledger.heed(&counter, node(2), report(HASH)).await;
    assert_eq!(muted(&ledger), Some(first), "not even looked at");
    let long_ago = first.checked_sub(MUTE).unwrap();
    ledger.peers.get_mut(&node(2)).unwrap().muted = Some(long_ago);
    ledger.heed(&counter, node(2), report(HASH)).await;
    assert!(muted(&ledger) > Some(long_ago), "heard, and muted again");
}

#[tokio::test]
async fn a_peer_is_not_muted_for_what_this_node_does_not_know() {
    let (_dir, counter) = counter();
    let mut ledger = Ledger::default();
    let expired = Task {
        created: UnixMillis(NOW.0 - 60_000),
        not_after: NOW,
        ..order()
    };
    for part in used(sign(&expired)).parts() {
        ledger.heed(&counter, node(2), Body::Used(part)).await;
    }
    assert!(ledger.peers[&node(2)].muted.is_none());
}

#[tokio::test]
async fn a_use_that_no_plugin_counts_leaves_no_row() {
    let (_dir, counter) = counter();
    let mut ledger = Ledger::default();
    let report = used(sign(&order()));
    for part in report.parts() {
        ledger.heed(&counter, node(2), Body::Used(part)).await;
    }
    assert_eq!(counter.journal.counted(&report.task.hash()).unwrap(), None);
    assert_eq!(ledger.peers[&node(2)].tasks, 0);
}

/// A peer that reported as much as is remembered before a restart gains nothing by it.
#[tokio::test]
async fn the_tasks_that_a_peer_told_of_first_are_counted_anew_from_the_disk() {
    let (_dir, counter) = counter();
    let mut ledger = Ledger::default();
    ledger.peers.entry(node(3)).or_default().tasks = 5;
    counter.journal.count(NOW, count_by(2)).unwrap();
    counter.journal.count(NOW, count_by(3)).unwrap();
    ledger.renew(&counter).await;
    assert_eq!(ledger.peers[&node(2)].tasks, 1);
    assert_eq!(ledger.peers[&node(3)].tasks, 0, "it was not the first");
}

#[tokio::test]
async fn what_is_over_is_forgotten_on_the_disk_too() {
    let (_dir, mut counter) = counter();
    counter.journal.count(NOW, count_by(2)).unwrap();
    counter.world = counter.world.at(UnixMillis(UNTIL.0 - 1));
    Ledger::default().renew(&counter).await;
    assert!(counter.journal.counted(&HASH).unwrap().is_some());
    counter.world = counter.world.at(UNTIL);
    Ledger::default().renew(&counter).await;
    assert!(counter.journal.counted(&HASH).unwrap().is_none());
}
