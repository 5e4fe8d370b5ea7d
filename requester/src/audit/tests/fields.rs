//! Every field of a statement is under its signature or its hash.

use countersign_audit::{
    ActsHead, AuditHead, Checkpoint, Deleted, Extent, Record, SignedHead, Vouched,
};
use countersign_protocol::{Hash, TaskId, UnixMillis};

use super::world::{World, acts, acts_head, coordinator_of};

const HEAD: AuditHead = AuditHead {
    entries: 3,
    hash: Hash([1; 32]),
};
const AT: UnixMillis = UnixMillis(1_000);
const EXTENT: Extent = Extent {
    from: UnixMillis(1),
    to: UnixMillis(2),
    first: 1,
    end: HEAD,
    log: 5,
};

/// A change of a statement, by name.
type Change<T> = (&'static str, fn(&mut T, &World));
/// The same, which needs nothing else.
type Alone<T> = (&'static str, fn(&mut T));

#[test]
fn a_head_is_signed_field_by_field() {
    let world = World::new();
    let good = SignedHead::sign(world.alice.node(), EXTENT, AT, &world.alice);
    assert!(good.verifies());
    let changes: [Change<SignedHead>; 9] = [
        ("node", |head, world| head.node = world.bob.node()),
        ("from", |head, _| head.from.0 += 1),
        ("to", |head, _| head.to.0 += 1),
        ("first", |head, _| head.first += 1),
        ("entries", |head, _| head.entries += 1),
        ("hash", |head, _| head.hash = Hash([2; 32])),
        ("log", |head, _| head.log += 1),
        ("at", |head, _| head.at.0 += 1),
        ("signature", |head, _| head.signature.0[0] ^= 1),
    ];
    for (field, change) in changes {
        let mut head = good;
        change(&mut head, &world);
        assert!(!head.verifies(), "{field}");
    }
}

#[test]
fn a_checkpoint_is_signed_field_by_field_and_is_no_head() {
    let world = World::new();
    let good = Checkpoint::sign(world.alice.node(), HEAD, (5, AT), AT, &world.alice);
    assert!(good.verifies());
    let changes: [Change<Checkpoint>; 7] = [
        ("node", |one, world| one.node = world.bob.node()),
        ("entries", |one, _| one.entries += 1),
        ("hash", |one, _| one.hash = Hash([2; 32])),
        ("records", |one, _| one.records += 1),
        ("before", |one, _| one.before.0 += 1),
        ("at", |one, _| one.at.0 += 1),
        ("signature", |one, _| one.signature.0[0] ^= 1),
    ];
    for (field, change) in changes {
        let mut checkpoint = good;
        change(&mut checkpoint, &world);
        assert!(!checkpoint.verifies(), "{field}");
    }
    let mut head = SignedHead::sign(good.node, EXTENT, AT, &world.alice);
    head.signature = good.signature;
    assert!(!head.verifies(), "it has a label of its own");
}

#[test]
fn a_record_is_signed_field_by_field_and_for_one_node() {
    let world = World::new();
    let node = world.alice.node();
    let beside = Vouched {
        order: Some([1; 64].into()),
        votes: Some(vec![world.vote()]),
    };
    let good = Record::sign(&node, TaskId([1; 16]), vec![1], beside, &world.alice);
    assert!(good.verifies(&node));
    assert!(!good.verifies(&world.bob.node()));
    let changes: [Alone<Record>; 7] = [
        ("task", |one| one.task = TaskId([2; 16])),
        ("row", |one| one.row.push(0)),
        ("another order", |one| {
            one.beside.order = Some([2; 64].into())
        }),
        ("no order", |one| one.beside.order = None),
        ("no votes", |one| one.beside.votes = Some(Vec::new())),
        ("votes unknown", |one| one.beside.votes = None),
        ("a vote twice", |one| {
            let votes = one.beside.votes.as_mut().unwrap();
            votes.push(votes[0].clone());
        }),
    ];
    for (field, change) in changes {
        let mut record = good.clone();
        change(&mut record);
        assert!(!record.verifies(&node), "{field}");
    }
    let mut unknown = good.clone();
    unknown.beside.votes = None;
    let unknown = Record::sign(
        &node,
        unknown.task,
        unknown.row,
        unknown.beside,
        &world.alice,
    );
    let mut none = unknown.clone();
    none.beside.votes = Some(Vec::new());
    assert!(
        !none.verifies(&node),
        "no votes are not the same as none known"
    );
}

#[test]
fn the_rest_of_a_record_is_signed_field_by_field_and_for_one_node() {
    let world = World::new();
    let node = world.alice.node();
    let hashes = (Hash([1; 32]), Hash([2; 32]));
    let good = Deleted::sign(&node, TaskId([1; 16]), hashes, &world.alice);
    assert!(good.verifies(&node));
    assert!(!good.verifies(&world.bob.node()));
    let changes: [Alone<Deleted>; 4] = [
        ("task", |one| one.task = TaskId([2; 16])),
        ("hash", |one| one.hash = Hash([3; 32])),
        ("record", |one| one.record = Hash([3; 32])),
        ("signature", |one| one.signature.0[0] ^= 1),
    ];
    for (field, change) in changes {
        let mut rest = good;
        change(&mut rest);
        assert!(!rest.verifies(&node), "{field}");
    }
}

#[test]
fn the_end_of_acts_is_signed_and_each_act_hashed_field_by_field() {
    let world = World::new();
    let chain = acts(&["one", "two"]);
    let good = acts_head(&world.coordinator, &chain);
    assert!(good.verifies());
    let changes: [Change<ActsHead>; 4] = [
        ("coordinator", |head, world| {
            head.coordinator = coordinator_of(&world.bob);
        }),
        ("number", |head, _| head.number += 1),
        ("hash", |head, _| head.hash = Hash([2; 32])),
        ("at", |head, _| head.at.0 += 1),
    ];
    for (field, change) in changes {
        let mut head = good;
        change(&mut head, &world);
        assert!(!head.verifies(), "{field}");
    }
    let requester = world.requester();
    let mut altered = vec![chain[1].clone(); 8];
    altered[0].at.0 += 1;
    altered[1].by.push('x');
    altered[2].sha256 = None;
    altered[3].requester = Some(requester);
    altered[4].action.push('x');
    altered[5].target.push('x');
    altered[6].link.as_mut().unwrap().number += 1;
    altered[7].link.as_mut().unwrap().previous = Hash([2; 32]);
    assert!(chain.iter().all(|act| act.is_whole()));
    for (field, act) in altered.iter().enumerate() {
        assert!(!act.is_whole(), "{field}");
    }
}
