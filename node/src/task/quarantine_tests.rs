//! The consequences of the ends of tasks, at the journal of one node.

use countersign_protocol::evidence::Misconduct;
use countersign_protocol::{
    Cause, Committee, DerivationPath, Failure, FailureCode, Hash, KeyGen, KeySign, Payload,
    PayloadKind, Refusal, RequesterId, Scheme, SessionId, Signed, Threshold,
};
use countersign_store::{Decided, OperationKind, Silent};

use super::*;
use crate::task::fixtures::{empty_journal as journal, key, node};

const NOW: UnixMillis = UnixMillis(1_000);

fn task(id: u8, operation: Operation) -> Task {
    Task {
        version: 1,
        id: TaskId([id; 16]),
        created: NOW,
        not_after: UnixMillis(NOW.0 + 1_000),
        requester: RequesterId::from_bytes(*node(9).as_bytes()).unwrap(),
        note: None,
        claims: Default::default(),
        collect: None,
        operation,
    }
}

fn keysign(id: u8) -> Task {
    let payload = Payload {
        kind: PayloadKind::Message,
        bytes: b"m".to_vec(),
        digests: Vec::new(),
    };
    let path: DerivationPath = "m".parse().unwrap();
    task(
        id,
        Operation::KeySign(KeySign {
            key: key(),
            path,
            payload,
            signers: None,
        }),
    )
}

fn keygen(id: u8) -> Task {
    let committee = Committee::new(vec![node(1), node(2), node(3)]).unwrap();
    let threshold = Threshold::try_from(2).unwrap();
    task(
        id,
        Operation::KeyGen(KeyGen {
            name: "n".into(),
            scheme: Scheme::Ed25519,
            committee,
            threshold,
        }),
    )
}

fn failed(cause: Cause, code: &str, culprits: &[NodeId]) -> Outcome {
    Outcome::Failed(Failure {
        cause,
        code: code.into(),
        text: "t".into(),
        culprits: culprits.to_vec(),
    })
}

fn tried<'a>(task: &'a Task, parties: &'a [NodeId]) -> Tried<'a> {
    Tried {
        task,
        key: key(),
        parties,
        now: NOW,
        used: true,
        stopping: false,
        evidence: None,
    }
}

/// Takes one task from its approval to this end.
fn ends(journal: &Journal, tried: &Tried<'_>, outcome: Outcome) {
    let decided = Decided {
        task: tried.task.id,
        hash: Hash([tried.task.id.0[0]; 32]),
        kind: OperationKind::from(&tried.task.operation),
        received_at: NOW,
        verdicts: Vec::new(),
        parties: tried.parties.to_vec(),
        bytes: b"{}".to_vec(),
        evidence: Default::default(),
    };
    journal.approve(NOW, decided, Vec::new()).unwrap();
    let consequences = tried.consequences(&outcome);
    journal
        .conclude(NOW, tried.task.id, outcome, tried.used, consequences)
        .unwrap();
}

fn code(result: Result<(), Refusal>) -> String {
    result
        .err()
        .map_or(String::new(), |refusal| refusal.code.to_string())
}

#[test]
fn only_a_cheat_that_was_seen_or_proven_is_kept_away() {
    let task = keysign(1);
    let parties = [node(1), node(2), node(3)];
    let kept = |cause, code: &str, culprits: &[NodeId]| {
        let found = tried(&task, &parties).consequences(&failed(cause, code, culprits));
        found
            .quarantines
            .into_iter()
            .map(|kept| kept.peer)
            .collect::<Vec<_>>()
    };
    let cheats = [
        "protocol",
        "peer-misbehaved",
        "equivocation",
        "signature-invalid",
        "result-mismatch",
    ];
    for code in FailureCode::ALL.iter().map(FailureCode::as_str) {
        let expected = if cheats.contains(&code) {
            vec![node(1), node(2)]
        } else {
            vec![]
        };
        assert_eq!(
            kept(Cause::Peer, code, &[node(1), node(2)]),
            expected,
            "{code}"
        );
        assert_eq!(kept(Cause::Peer, code, &[]), [], "nobody is accused");
        assert_eq!(kept(Cause::Peer, code, &[]), [], "nobody is accused");
        for cause in [Cause::Caller, Cause::Environment, Cause::Bug] {
            assert_eq!(kept(cause, code, &[node(1)]), [], "no peer's doing");
        }
    }
    assert_eq!(
        kept(Cause::Environment, "session-timeout", &[node(1)]),
        [],
        "silence is not a cheat"
    );
}

#[test]
fn a_quarantine_comes_in_one_commit_with_the_end_and_keeps_the_proof() {
    let (_dir, journal) = journal();
    let task = keysign(1);
    let parties = [node(1), node(2)];
    let evidence = Evidence {
        task: Hash([1; 32]),
        node: node(2),
        misconduct: Misconduct::Broadcasts {
            session: SessionId([1; 32]),
            phase: 0,
            number: 0,
            signed: [countersign_protocol::evidence::SignedHash {
                hash: Hash([1; 32]),
                signature: countersign_protocol::evidence::Signature([1; 64]),
            }; 2],
        },
    };
    let before = journal.commits();
    let tried = Tried {
        evidence: Some(evidence.clone()),
        ..tried(&task, &parties)
    };
    ends(
        &journal,
        &tried,
        failed(Cause::Peer, "equivocation", &[node(2)]),
    );
    assert_eq!(
        journal.commits(),
        before + 2,
        "the approval, and the end with all that follows from it"
    );
    let kept = journal.quarantines().unwrap();
    assert_eq!(
        (kept.len(), kept[0].peer, kept[0].evidence.clone()),
        (1, node(2), Some(evidence.clone()))
    );
    assert_eq!(super::evidence(&journal, task.id).unwrap(), [evidence]);
    assert_eq!(code(check(&journal, key(), &parties)), "peer-quarantined");
    assert_eq!(code(check(&journal, key(), &[node(1), node(3)])), "");
    assert_eq!(
        code(check(
            &journal,
            KeyId::from_bytes([3; 16]).unwrap(),
            &parties
        )),
        "",
        "another key"
    );
    assert_eq!(
        code(check_new(&journal, &parties)),
        "peer-quarantined",
        "no new key with a known cheat"
    );
    assert_eq!(code(check_new(&journal, &[node(1), node(3)])), "");
    journal.lift(NOW, key(), node(2)).unwrap();
    assert_eq!(code(check_new(&journal, &parties)), "");
    journal.verify_audit().unwrap();
}

#[test]
fn a_cheat_in_a_key_generation_is_kept_away_too() {
    let (_dir, journal) = journal();
    let task = keygen(1);
    let parties = [node(1), node(2), node(3)];
    ends(
        &journal,
        &tried(&task, &parties),
        failed(Cause::Peer, "protocol", &[node(2)]),
    );
    assert_eq!(code(check_new(&journal, &parties)), "peer-quarantined");
    ends(
        &journal,
        &tried(&keygen(2), &parties),
        failed(Cause::Peer, "protocol", &[]),
    );
    assert!(
        journal.stops().unwrap().is_empty(),
        "there is no key to stop"
    );
}

#[test]
fn a_key_stops_where_somebody_cheated_and_nobody_can_be_named() {
    let (_dir, journal) = journal();
    let task = keysign(1);
    let parties = [node(1), node(2), node(3)];
    ends(
        &journal,
        &tried(&task, &parties),
        failed(Cause::Peer, "signature-invalid", &[]),
    );
    assert!(journal.quarantines().unwrap().is_empty());
    assert_eq!(
        code(check(&journal, key(), &[node(4), node(5)])),
        "key-stopped",
        "whoever signs"
    );
    assert_eq!(code(check_new(&journal, &parties)), "", "nobody is accused");
    journal.start_again(NOW, key()).unwrap();
    assert_eq!(code(check(&journal, key(), &parties)), "");
    journal.verify_audit().unwrap();
}

#[test]
fn signers_stop_when_their_signatures_come_to_nothing_again_and_again() {
    let (_dir, journal) = journal();
    let one = [node(1), node(2)];
    let two = [node(1), node(3)];
    let lost = || failed(Cause::Peer, "peer-aborted", &[]);
    let signed = || {
        Outcome::Signed(Signed {
            session: SessionId([1; 32]),
            signatures: Vec::new(),
        })
    };
    let mut ids = 1..;
    let mut end = |parties: &[NodeId], used, stopping, outcome| {
        let task = keysign(ids.next().unwrap());
        ends(
            &journal,
            &Tried {
                used,
                stopping,
                ..tried(&task, parties)
            },
            outcome,
        );
    };
    (0..MAX_LOST - 1).for_each(|_| end(&one, true, false, lost()));
    end(&one, true, false, signed());
    (0..MAX_LOST - 1).for_each(|_| end(&one, true, false, lost()));
    (0..5).for_each(|_| end(&one, false, false, lost()));
    (0..5).for_each(|_| end(&one, true, true, lost()));
    end(&two, true, false, lost());
    assert_eq!(
        code(check(&journal, key(), &one)),
        "",
        "not in a row, no share in use, this node stops, others"
    );
    end(&one, true, false, lost());
    assert_eq!(code(check(&journal, key(), &one)), "key-stopped");
    assert_eq!(
        code(check(&journal, key(), &two)),
        "",
        "other signers go on"
    );
    let alarms = journal
        .audit(0, 1_000)
        .unwrap()
        .into_iter()
        .filter(|entry| entry.text.contains("in a row"));
    assert_eq!(alarms.count(), 1);
    journal.start_again(NOW, key()).unwrap();
    end(&one, true, false, lost());
    assert_eq!(code(check(&journal, key(), &one)), "", "counted anew");
}

/// A proof against one culprit must not be shown as one against another.
#[test]
fn a_proof_is_kept_with_the_peer_that_it_convicts() {
    let task = keysign(1);
    let parties = [node(1), node(2), node(3)];
    let evidence = Evidence {
        task: Hash([1; 32]),
        node: node(2),
        misconduct: Misconduct::Broadcasts {
            session: SessionId([1; 32]),
            phase: 0,
            number: 0,
            signed: [countersign_protocol::evidence::SignedHash {
                hash: Hash([1; 32]),
                signature: countersign_protocol::evidence::Signature([1; 64]),
            }; 2],
        },
    };
    let tried = Tried {
        evidence: Some(evidence.clone()),
        ..tried(&task, &parties)
    };
    let outcome = failed(Cause::Peer, "equivocation", &[node(2), node(3)]);
    let found = tried.consequences(&outcome).quarantines;
    assert_eq!(found[0].evidence, Some(evidence));
    assert_eq!((found[1].peer, &found[1].evidence), (node(3), &None));
}

#[test]
fn what_ends_well_or_is_refused_has_no_consequences_for_anybody() {
    let task = keysign(1);
    let parties = [node(1), node(2)];
    let refusal = Refusal {
        code: countersign_protocol::RefusalCode::Busy,
        reason: "r".into(),
        plugin: None,
    };
    let found = tried(&task, &parties).consequences(&Outcome::Refused(refusal));
    assert_eq!(found, Consequences::default());
}

#[test]
fn only_signatures_are_counted_as_lost() {
    let parties = [node(1), node(2)];
    let lost = failed(Cause::Peer, "peer-aborted", &[]);
    let attempt = |task: &Task| tried(task, &parties).consequences(&lost).attempt;
    assert!(attempt(&keysign(1)).is_some());
    assert!(attempt(&keygen(1)).is_none());
}

#[test]
fn a_key_stopped_for_some_signers_is_stopped_for_exactly_these() {
    let (_dir, journal) = journal();
    let parties = [node(1), node(2)];
    for id in 1..=MAX_LOST as u8 {
        let task = keysign(id);
        ends(
            &journal,
            &tried(&task, &parties),
            failed(Cause::Peer, "peer-aborted", &[]),
        );
    }
    assert_eq!(code(check(&journal, key(), &parties)), "key-stopped");
    for others in [
        vec![node(1)],
        vec![node(1), node(2), node(3)],
        vec![node(1), node(3)],
    ] {
        assert_eq!(code(check(&journal, key(), &others)), "");
    }
    assert_eq!(
        code(check(
            &journal,
            KeyId::from_bytes([3; 16]).unwrap(),
            &parties
        )),
        "",
        "another key"
    );
}

#[test]
fn a_refusal_for_a_cheat_names_the_peer_the_task_and_the_way_out() {
    let (_dir, journal) = journal();
    let task = keysign(1);
    let parties = [node(1), node(2)];
    ends(
        &journal,
        &tried(&task, &parties),
        failed(Cause::Peer, "protocol", &[node(2)]),
    );
    let refusal = check_new(&journal, &parties).unwrap_err();
    for told in [node(2).to_string(), task.id.to_string(), key().to_string()] {
        assert!(refusal.reason.contains(&told), "{}", refusal.reason);
    }
    assert!(refusal.reason.ends_with("lift its quarantine"));
}

#[test]
fn evidence_is_shown_for_its_own_task_alone() {
    let (_dir, journal) = journal();
    assert_eq!(evidence(&journal, TaskId([1; 16])).unwrap(), []);
    let task = keysign(1);
    ends(
        &journal,
        &tried(&task, &[node(1), node(2)]),
        failed(Cause::Peer, "protocol", &[node(2)]),
    );
    assert_eq!(evidence(&journal, task.id).unwrap(), [], "seen, not proven");
}
