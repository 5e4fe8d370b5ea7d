//! Every alteration of a good bundle is found, for a reason of its own.
//!
//! Whoever alters a bundle can write its last line anew, so each is written again before it is
//! read.

use countersign_audit::{
    AuditHead, AuditKind, Bundle, BundleError, Checkpoint, Deleted, Extent, LineError, Record, Row,
    SignedHead, pruned_hash, record_hash, stored,
};
use countersign_protocol::{
    Choice, Failure, FailureCode, Hash, IdentitySigner, OperationKind, Outcome, SignedTask, TaskId,
    UnixMillis,
};
use countersign_vote::CheckError;
use countersign_vote::testing::Key;

use super::super::*;
use super::world::{
    self, BEGIN, END, Identity, PAYMENT, SIGNED, World, acts, acts_head, log_of, told,
};

/// An alteration in words, what is done, and what is found.
const ALTERATIONS: &[(&str, Alter, Reason)] = &[
    (
        "the text of an entry is another one",
        |world, bundle| log_of(bundle, world.alice.node()).entries[1].text = "t".into(),
        |_, wrong| *wrong == Wrong::Chain { at: 1 },
    ),
    (
        "an entry is taken out of the middle",
        |world, bundle| drop(log_of(bundle, world.alice.node()).entries.remove(2)),
        |_, wrong| *wrong == Wrong::Chain { at: 3 },
    ),
    (
        "two entries change places",
        |world, bundle| log_of(bundle, world.alice.node()).entries.swap(1, 2),
        |_, wrong| *wrong == Wrong::Chain { at: 2 },
    ),
    (
        "the last entry is taken away",
        |world, bundle| drop(log_of(bundle, world.alice.node()).entries.pop()),
        |_, wrong| *wrong == Wrong::Head,
    ),
    (
        "an entry is added that follows",
        |world, bundle| {
            let log = log_of(bundle, world.alice.node());
            let head = log.entries.last().unwrap().head();
            let more = head.append(SIGNED, AuditKind::Alarm, None, "t".into(), None);
            log.entries.push(more);
        },
        |_, wrong| *wrong == Wrong::Head,
    ),
    (
        "the whole chain is made anew with another time in it",
        |world, bundle| {
            let log = log_of(bundle, world.alice.node());
            let mut head = AuditHead::EMPTY;
            for entry in &mut log.entries {
                let time = UnixMillis(entry.time.0 + 1);
                let text = entry.text.clone();
                *entry = head.append(time, entry.kind, entry.task, text, entry.record);
                head = entry.head();
            }
        },
        |_, wrong| *wrong == Wrong::Head,
    ),
    (
        "the head is signed by somebody else in the node's name",
        |world, bundle| {
            let log = log_of(bundle, world.alice.node());
            let extent = world::extent_of(&log.entries);
            log.head = SignedHead::sign(log.node, extent, SIGNED, &world.bob);
        },
        |_, wrong| *wrong == Wrong::HeadSignature,
    ),
    (
        "the head claims to have been signed later",
        |world, bundle| log_of(bundle, world.alice.node()).head.at.0 += 1,
        |_, wrong| *wrong == Wrong::HeadSignature,
    ),
    (
        "the first entry is taken away",
        |world, bundle| drop(log_of(bundle, world.alice.node()).entries.remove(0)),
        |_, wrong| *wrong == Wrong::Head,
    ),
    (
        "a log is told to be of more time than the node signed",
        |world, bundle| log_of(bundle, world.alice.node()).time.1.0 += 1,
        |_, wrong| *wrong == Wrong::Head,
    ),
    (
        "a node signs that a log is empty which is not",
        |world, bundle| {
            let log = log_of(bundle, world.alice.node());
            let whole = world::extent_of(&log.entries);
            let none = Extent {
                end: AuditHead::EMPTY,
                ..whole
            };
            log.entries.clear();
            log.records.clear();
            log.head = SignedHead::sign(log.node, none, SIGNED, &world.alice);
        },
        |_, wrong| *wrong == Wrong::Head,
    ),
    (
        "the log is another node's whom nobody knows",
        |world, bundle| {
            let stranger = Identity::new(66);
            *log_of(bundle, world.alice.node()) = world.ledger().export(&stranger);
            bundle.nodes.sort_by_key(|log| log.node);
        },
        |_, wrong| *wrong == Wrong::Stranger,
    ),
    (
        "a record has another verdict",
        |world, bundle| {
            let rows = world.rows(&world.payment(), world.signed());
            let mut row = rows[1].clone();
            row.verdicts[0].micros += 1;
            record(world, bundle).row = stored::encode(&row);
        },
        |_, wrong| {
            matches!(
                wrong,
                Wrong::Record {
                    task: PAYMENT,
                    entry: 4
                }
            )
        },
    ),
    (
        "a record is the one from before the end",
        |world, bundle| {
            let [before, _] = world.rows(&world.payment(), world.signed());
            record(world, bundle).row = stored::encode(&before);
        },
        |_, wrong| {
            matches!(
                wrong,
                Wrong::Record {
                    task: PAYMENT,
                    entry: 4
                }
            )
        },
    ),
    (
        "the votes are taken out of a record",
        |world, bundle| record(world, bundle).beside.votes = Some(Vec::new()),
        |_, wrong| *wrong == Wrong::RecordSignature { task: PAYMENT },
    ),
    (
        "the requester's signature is taken out of a record",
        |world, bundle| record(world, bundle).beside.order = None,
        |_, wrong| *wrong == Wrong::RecordSignature { task: PAYMENT },
    ),
    (
        "a record is added that no entry vouches for",
        |world, bundle| {
            let log = log_of(bundle, world.alice.node());
            let beside = log.records[0].beside.clone();
            let row = log.records[0].row.clone();
            let other = TaskId([99; 16]);
            let more = Record::sign(&log.node, other, row, beside, &world.alice);
            log.records.push(more);
        },
        |_, wrong| matches!(wrong, Wrong::Unlogged { .. }),
    ),
    (
        "a node signs a record of other bytes under the task's id",
        |world, bundle| {
            let mut ledger = world.ledger();
            ledger.entries.truncate(3);
            let mut rows = world.rows(&world.payment(), world.signed());
            for row in &mut rows {
                row.bytes = world.payment_of(b"pay more").bytes;
            }
            ledger.runs(rows, &world.payment(), vec![world.vote()]);
            *bundle = world.bundle_with(&ledger, &world.alice);
        },
        |_, wrong| *wrong == Wrong::OtherBytes { task: PAYMENT },
    ),
    (
        "the text of a configuration is another one",
        |world, bundle| {
            let log = log_of(bundle, world.alice.node());
            log.policies[0].document = Some("approvers: []".into());
        },
        |_, wrong| matches!(wrong, Wrong::Policy { .. }),
    ),
    (
        "a vote is forged",
        |world, bundle| {
            let hash = world.payment().hash();
            let mallory = Key::new(21).vote(hash, Choice::Reject, BEGIN.0);
            let mut text = serde_json::to_value(&mallory).unwrap();
            text["approver"] = serde_json::json!(world.ann.id());
            told(bundle)
                .votes
                .push(serde_json::from_value(text).unwrap());
        },
        |_, wrong| {
            matches!(
                wrong,
                Wrong::Vote {
                    reason: CheckError::Signature,
                    ..
                }
            )
        },
    ),
    (
        "a vote on another task is put here",
        |world, bundle| {
            let hash = world.creation().hash();
            let vote = world.ann.vote(hash, Choice::Approve, BEGIN.0);
            told(bundle).votes.push(vote);
        },
        |_, wrong| {
            matches!(
                wrong,
                Wrong::Vote {
                    reason: CheckError::OtherTask,
                    ..
                }
            )
        },
    ),
    (
        "the order says another thing at the coordinator",
        |world, bundle| {
            let other = world.payment_of(b"pay more").bytes;
            told(bundle).task = String::from_utf8(other).unwrap();
            world::sort(&mut bundle.coordinator.as_mut().unwrap().tasks);
        },
        |_, wrong| {
            let from = Source::Coordinator;
            *wrong == Wrong::OtherOrder { from }
        },
    ),
    (
        "the order is signed by somebody else",
        |world, bundle| {
            let message = SignedTask::signed_message(&world.payment().bytes);
            told(bundle).signature = world.bob.sign(&message).into();
        },
        |world, wrong| {
            let from = Source::Coordinator;
            let requester = world.requester();
            *wrong == Wrong::Unsigned { from, requester }
        },
    ),
    (
        "a node has another signature of the requester on record",
        |world, bundle| {
            let mut ledger = world.ledger();
            let (_, beside) = ledger.records.get_mut(&PAYMENT).unwrap();
            beside.order = Some([7; 64].into());
            *bundle = world.bundle_with(&ledger, &world.alice);
        },
        |world, wrong| {
            let from = Source::Node(world.alice.node());
            let requester = world.requester();
            *wrong == Wrong::Unsigned { from, requester }
        },
    ),
    (
        "a node has the order of another task on record",
        |world, bundle| {
            let mut ledger = world.ledger();
            let rows = world.rows(&world.payment(), world.signed());
            let rows = rows.map(|row| Row {
                task: TaskId([3; 16]),
                ..row
            });
            ledger.runs(rows, &world.payment(), vec![world.vote()]);
            *bundle = world.bundle_with(&ledger, &world.alice);
        },
        |_, wrong| *wrong == Wrong::OtherId { task: PAYMENT },
    ),
    (
        "a node has another kind of task on record",
        |world, bundle| {
            let rows = world.rows(&world.payment(), world.signed());
            let rows = rows.map(|row| Row {
                kind: OperationKind::KeyShareSign,
                ..row
            });
            *bundle = world.bundle_with(&world.ledger_of(rows), &world.alice);
        },
        |world, wrong| {
            let node = world.alice.node();
            *wrong == Wrong::Kind { node }
        },
    ),
    (
        "a node approves for other signers than were ordered",
        |world, bundle| {
            let rows = world.rows(&world.payment(), world.signed());
            let rows = rows.map(|row| Row {
                parties: vec![world.alice.node()],
                ..row
            });
            *bundle = world.bundle_with(&world.ledger_of(rows), &world.alice);
        },
        |world, wrong| {
            let node = world.alice.node();
            *wrong == Wrong::Parties { node }
        },
    ),
    (
        "a node approves after the end of the order",
        |world, bundle| {
            let rows = world.rows(&world.payment(), world.signed());
            let rows = rows.map(|row| Row {
                received_at: UnixMillis(BEGIN.0 + 600_001),
                ..row
            });
            *bundle = world.bundle_with(&world.ledger_of(rows), &world.alice);
        },
        |world, wrong| {
            let node = world.alice.node();
            let end = UnixMillis(BEGIN.0 + 600_000);
            *wrong == Wrong::Late { node, end }
        },
    ),
    (
        "the requester signs two orders under one id",
        |world, bundle| {
            let other = world.payment_of(b"pay more");
            let told = told(bundle);
            told.task = String::from_utf8(other.bytes).unwrap();
            told.signature = other.signature;
            world::sort(&mut bundle.coordinator.as_mut().unwrap().tasks);
        },
        |_, wrong| *wrong == Wrong::TwoOrders,
    ),
    (
        "a node approves against a plugin",
        |world, bundle| {
            let mut ledger = world.ledger();
            ledger.entries.truncate(3);
            let mut rows = world.rows(&world.payment(), world.signed());
            rows.iter_mut()
                .for_each(|row| row.verdicts[0].approved = false);
            ledger.runs(rows, &world.payment(), vec![world.vote()]);
            *bundle = world.bundle_with(&ledger, &world.alice);
        },
        |world, wrong| {
            let node = world.alice.node();
            let plugin = "quorum".into();
            *wrong == Wrong::Verdict { node, plugin }
        },
    ),
    (
        "a node has a signature on record that does not verify",
        |world, bundle| {
            let mut ledger = world.ledger();
            ledger.entries.truncate(3);
            let mut outcome = world.signed();
            let Outcome::Signed(signed) = &mut outcome else {
                unreachable!()
            };
            signed.signatures[0].signature[0] ^= 1;
            let rows = world.rows(&world.payment(), outcome);
            ledger.runs(rows, &world.payment(), vec![world.vote()]);
            *bundle = world.bundle_with(&ledger, &world.alice);
        },
        |world, wrong| matches!(wrong, Wrong::Result { node, .. } if *node == world.alice.node()),
    ),
    (
        "a node has another wallet on record",
        |world, bundle| {
            let mut ledger = world.ledger();
            ledger.entries.truncate(1);
            let mut other = world.wallet();
            other.public_shares = Hash([9; 32]);
            world.acknowledge(&mut other);
            let creation = world.creation();
            let payment = world.payment();
            let rows = world.rows(&creation, Outcome::Created(other));
            ledger.runs(rows, &creation, Vec::new());
            let rows = world.rows(&payment, world.signed());
            ledger.runs(rows, &payment, vec![world.vote()]);
            *bundle = world.bundle_with(&ledger, &world.alice);
        },
        |_, wrong| matches!(wrong, Wrong::Disagreement { .. }),
    ),
    (
        "the coordinator tells another signature",
        |_, bundle| {
            let Some(Outcome::Signed(signed)) = &mut told(bundle).result else {
                unreachable!()
            };
            signed.signatures[0].signature[0] ^= 1;
        },
        |_, wrong| *wrong == Wrong::ToldResult,
    ),
    (
        "the coordinator has a genuine signature, and all nodes say that they failed",
        |world, bundle| {
            let failed = world.ledger_that_ends(failed());
            *log_of(bundle, world.alice.node()) = failed.export(&world.alice);
            *log_of(bundle, world.bob.node()) = failed.export(&world.bob);
        },
        |_, wrong| *wrong == Wrong::Unrecorded,
    ),
    (
        "the coordinator has a genuine signature of a task that no node has",
        |world, bundle| {
            let mut ledger = world.ledger();
            ledger.entries.truncate(3);
            ledger.records.remove(&PAYMENT);
            *log_of(bundle, world.alice.node()) = ledger.export(&world.alice);
            *log_of(bundle, world.bob.node()) = ledger.export(&world.bob);
        },
        |_, wrong| *wrong == Wrong::Unrecorded,
    ),
    (
        "the coordinator tells a false signature, and all nodes say that they failed",
        |world, bundle| {
            let failed = world.ledger_that_ends(failed());
            *log_of(bundle, world.alice.node()) = failed.export(&world.alice);
            *log_of(bundle, world.bob.node()) = failed.export(&world.bob);
            let Some(Outcome::Signed(signed)) = &mut told(bundle).result else {
                unreachable!()
            };
            signed.signatures[0].signature[0] ^= 1;
        },
        |_, wrong| *wrong == Wrong::ToldResult,
    ),
    (
        "the root key of the wallet is another one",
        |world, bundle| {
            let wallet = &mut bundle.wallets[0].generations[0];
            wallet.root_public_key = world.bob.public().to_vec();
        },
        |_, wrong| matches!(wrong, Wrong::Wallet(_)),
    ),
    (
        "an acknowledgement of the wallet is taken away",
        |_, bundle| drop(bundle.wallets[0].generations[0].acks.pop()),
        |_, wrong| matches!(wrong, Wrong::Wallet(_)),
    ),
    (
        "the target of an act is another one",
        |_, bundle| acts_of(bundle)[1].target = "t".into(),
        |_, wrong| *wrong == Wrong::Act { number: 2 },
    ),
    (
        "an act is taken out of the middle",
        |_, bundle| drop(acts_of(bundle).remove(1)),
        |_, wrong| *wrong == Wrong::Act { number: 3 },
    ),
    (
        "the last act is taken away",
        |_, bundle| drop(acts_of(bundle).pop()),
        |_, wrong| *wrong == Wrong::ActsHead,
    ),
    (
        "the acts are made anew by somebody else in the coordinator's name",
        |world, bundle| {
            let log = bundle.coordinator.as_mut().unwrap();
            log.acts = acts(&["put-task"]);
            let mut head = acts_head(&world.bob, &log.acts);
            head.coordinator = log.coordinator;
            log.head = Some(head);
        },
        |_, wrong| *wrong == Wrong::ActsHead,
    ),
    (
        "the coordinator is another one",
        |world, bundle| {
            let log = bundle.coordinator.as_mut().unwrap();
            log.coordinator = world::coordinator_of(&world.bob);
            log.head = Some(acts_head(&world.bob, &log.acts));
        },
        |_, wrong| matches!(wrong, Wrong::CoordinatorId(_)),
    ),
    (
        "a checkpoint says another number",
        |world, bundle| {
            let mut checkpoint = checkpoint(world, 4);
            checkpoint.records += 1;
            log_of(bundle, world.alice.node())
                .checkpoints
                .push(checkpoint);
        },
        |_, wrong| *wrong == Wrong::CheckpointSignature,
    ),
    (
        "a checkpoint is at an entry that deleted nothing",
        |world, bundle| {
            let checkpoint = checkpoint(world, 4);
            log_of(bundle, world.alice.node())
                .checkpoints
                .push(checkpoint);
        },
        |_, wrong| *wrong == Wrong::Checkpoint { at: 3 },
    ),
    (
        "a record is called deleted that was too new",
        |world, bundle| {
            let log = log_of(bundle, world.alice.node());
            let record = log.records.pop().unwrap();
            let hashes = (world.payment().hash(), record_hash(&record.row));
            log.deleted.push(rest(world, record.task, hashes));
            log.checkpoints.push(checkpoint(world, 9));
        },
        |_, wrong| *wrong == Wrong::NotOld { task: PAYMENT },
    ),
    (
        "the rest of a deleted record is that of another one",
        |world, bundle| {
            let log = log_of(bundle, world.alice.node());
            let record = log.records.pop().unwrap();
            let hashes = (world.payment().hash(), Hash([9; 32]));
            log.deleted.push(rest(world, record.task, hashes));
        },
        |_, wrong| matches!(wrong, Wrong::Record { task: PAYMENT, .. }),
    ),
    (
        "the rest of a deleted record is not signed by the node",
        |world, bundle| {
            let log = log_of(bundle, world.alice.node());
            let record = log.records.pop().unwrap();
            let hashes = (world.payment().hash(), record_hash(&record.row));
            let mut rest = rest(world, record.task, hashes);
            rest.signature.0[0] ^= 1;
            log.deleted.push(rest);
        },
        |_, wrong| *wrong == Wrong::RecordSignature { task: PAYMENT },
    ),
    (
        "the rest of a deleted record is that of another order",
        |world, bundle| {
            let log = log_of(bundle, world.alice.node());
            let record = log.records.pop().unwrap();
            let hashes = (Hash([9; 32]), record_hash(&record.row));
            log.deleted.push(rest(world, record.task, hashes));
        },
        |_, wrong| *wrong == Wrong::TwoOrders,
    ),
    (
        "the record of a new key is said to be deleted",
        |world, bundle| {
            let log = log_of(bundle, world.alice.node());
            let record = log.records.remove(0);
            let hashes = (world.creation().hash(), record_hash(&record.row));
            log.deleted.push(rest(world, record.task, hashes));
        },
        |world, wrong| {
            let node = world.alice.node();
            *wrong == Wrong::NotDeletable { node }
        },
    ),
    (
        "the rest of a record is of a task that is not in the log",
        |world, bundle| {
            let log = log_of(bundle, world.alice.node());
            let hashes = (Hash([9; 32]), Hash([9; 32]));
            log.deleted.push(rest(world, TaskId([99; 16]), hashes));
        },
        |_, wrong| matches!(wrong, Wrong::Unlogged { .. }),
    ),
    (
        "a checkpoint tells of a later deletion than its entry",
        |world, bundle| {
            let mut ledger = world.ledger();
            ledger.log(AuditKind::Pruned, None, Some(pruned_hash(BEGIN)));
            let log = log_of(bundle, world.alice.node());
            *log = ledger.export(&world.alice);
            let deleted = (1, END);
            let at = SIGNED;
            let later = Checkpoint::sign(log.node, ledger.head(), deleted, at, &world.alice);
            log.checkpoints.push(later);
        },
        |_, wrong| *wrong == Wrong::Checkpoint { at: 5 },
    ),
];

/// What is done to the bundle.
type Alter = fn(&World, &mut Bundle);
/// Whether it is found for the right reason.
type Reason = fn(&World, &Wrong) -> bool;

/// Alice's record of the payment.
fn record<'a>(world: &World, bundle: &'a mut Bundle) -> &'a mut Record {
    let mut records = log_of(bundle, world.alice.node()).records.iter_mut();
    records.find(|record| record.task == PAYMENT).unwrap()
}

fn acts_of(bundle: &mut Bundle) -> &mut Vec<countersign_audit::Act> {
    &mut bundle.coordinator.as_mut().unwrap().acts
}

fn failed() -> Outcome {
    Outcome::Failed(Failure::new(FailureCode::PeerAborted, "t"))
}

/// What Alice signs of a record that she has deleted.
fn rest(world: &World, task: TaskId, hashes: (Hash, Hash)) -> Deleted {
    Deleted::sign(&world.alice.node(), task, hashes, &world.alice)
}

/// What Alice states of deletions from before her first entry, told by an entry of hers.
fn checkpoint(world: &World, entries: u64) -> Checkpoint {
    let told = world.ledger().entries.into_iter();
    let mut told = told.map(|entry| entry.head());
    let head = told
        .find(|head| head.entries == entries)
        .unwrap_or(AuditHead {
            entries,
            hash: Hash([8; 32]),
        });
    Checkpoint::sign(world.alice.node(), head, (1, BEGIN), SIGNED, &world.alice)
}

#[test]
fn every_alteration_is_found_for_its_own_reason() {
    assert!(ALTERATIONS.len() >= 20);
    let world = World::new();
    for (what, alter, reason) in ALTERATIONS {
        let mut bundle = world.bundle();
        alter(&world, &mut bundle);
        let read = Bundle::read(&bundle.write()).unwrap_or_else(|error| panic!("{what}: {error}"));
        let report = world.verify(&read);
        assert_eq!(report.standing(), Standing::Wrong, "{what}");
        let found = report.findings.iter().any(|one| match &one.fact {
            Fact::Wrong(wrong) => reason(&world, wrong),
            Fact::Proven(_) | Fact::Missing(_) => false,
        });
        assert!(found, "{what}: {:#?}", report.findings);
    }
}

/// It is wrong that there are two, and what the nodes have on record is proven nevertheless.
#[test]
fn an_order_that_somebody_invents_under_the_same_id_does_not_take_the_place_of_the_true_one() {
    let world = World::new();
    let mut stranger = World::new();
    stranger.desk = Identity::new(77);
    let invented = stranger.payment();
    let mut bundle = world.bundle();
    let told = told(&mut bundle);
    told.task = String::from_utf8(invented.bytes).unwrap();
    told.signature = invented.signature;
    world::sort(&mut bundle.coordinator.as_mut().unwrap().tasks);
    let report = world.verify(&bundle);
    let facts: Vec<&Fact> = report.about(Subject::Task(PAYMENT)).collect();
    let requester = world.requester();
    let signatures = 1;
    let proven = world
        .nodes()
        .into_iter()
        .map(|node| Proven::Result { node, signatures })
        .chain([Proven::Requester { requester }]);
    for proven in proven {
        assert!(
            facts.contains(&&Fact::Proven(proven.clone())),
            "{proven}: {facts:#?}"
        );
    }
    assert!(
        facts.contains(&&Fact::Wrong(Wrong::TwoOrders)),
        "{facts:#?}"
    );
}

#[test]
fn a_file_that_was_changed_on_its_way_is_not_read() {
    let file = World::new().bundle().write();
    let at = |text: &str| {
        let place = file
            .windows(text.len())
            .position(|part| part == text.as_bytes());
        place.unwrap()
    };
    let with = |place: usize, byte: u8| {
        let mut changed = file.clone();
        changed[place] = byte;
        Bundle::read(&changed).unwrap_err()
    };
    assert!(matches!(with(at("entry 1") + 6, b'9'), BundleError::Sum));
    assert!(matches!(
        with(at("\"text\":") + 1, b'T'),
        BundleError::Line {
            reason: LineError::Json(_),
            ..
        }
    ));
    assert!(matches!(
        Bundle::read(&file[..file.len() - 1]),
        Err(BundleError::Cut)
    ));
    let end = at("{\"type\":\"end\"");
    assert!(matches!(Bundle::read(&file[..end]), Err(BundleError::Cut)));
    let twice = [&file[..], &file[end..]].concat();
    assert!(matches!(
        Bundle::read(&twice),
        Err(BundleError::Line {
            reason: LineError::Expected(_),
            ..
        })
    ));
    let mut spaced = file.clone();
    spaced.insert(1, b' ');
    assert!(matches!(
        Bundle::read(&spaced),
        Err(BundleError::Line {
            number: 1,
            reason: LineError::Form
        })
    ));
}

#[test]
fn a_section_that_is_there_twice_is_not_read() {
    let world = World::new();
    let mut bundle = world.bundle();
    let again = bundle.nodes[0].clone();
    bundle.nodes.push(again);
    assert!(matches!(
        Bundle::read(&bundle.write()),
        Err(BundleError::Line {
            reason: LineError::Order,
            ..
        })
    ));
}

/// Of no time, nothing could be missing.
#[test]
fn a_bundle_of_no_time_is_not_read() {
    let world = World::new();
    let mut bundle = world.bundle();
    bundle.time = (BEGIN, BEGIN);
    assert!(matches!(
        Bundle::read(&bundle.write()),
        Err(BundleError::Line {
            number: 1,
            reason: LineError::Time
        })
    ));
}
