//! The cost of a new key in bytes: it does not grow with the keys that are there.

use countersign_protocol::{
    Committee, Hash, KeyDescriptor, KeyId, NodeId, Scheme, SessionId, TaskId, Threshold, UnixMillis,
};

use super::crash::{empty, journal};
use super::testing::Disk;
use crate::journal::{KeyRecord, KeyStatus};

/// New keys of which the cost is summed up, since a page is split now and then.
const NEW: u32 = 8;

fn node(seed: u8) -> NodeId {
    let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
    NodeId::from_bytes(key.verifying_key().to_bytes()).unwrap()
}

fn record(number: u32, status: KeyStatus) -> KeyRecord {
    let hash = Hash::of("test", &number.to_be_bytes());
    let descriptor = KeyDescriptor {
        key: KeyId::of_task(&hash),
        task: TaskId([7; 16]),
        session: SessionId([7; 32]),
        name: "n".into(),
        scheme: Scheme::Ed25519,
        committee: Committee::new(vec![node(1), node(2)]).unwrap(),
        threshold: Threshold::try_from(2).unwrap(),
        generation: 0,
        root_public_key: vec![4; 32],
        chain_code: Hash([5; 32]),
        public_shares: Hash([6; 32]),
        aux: None,
        parties: Vec::new(),
        acks: Vec::new(),
    };
    KeyRecord {
        descriptor,
        status,
        created: UnixMillis(1),
    }
}

/// The bytes that new keys write into a journal with this many.
fn cost(keys: u32) -> u64 {
    let disk = Disk::with(empty());
    let journal = journal(&disk);
    for number in 0..keys {
        journal.put_key(record(number, KeyStatus::Active)).unwrap();
    }
    let before = disk.written();
    for number in keys..keys + NEW {
        journal.put_key(record(number, KeyStatus::Pending)).unwrap();
        journal.put_key(record(number, KeyStatus::Active)).unwrap();
    }
    disk.written() - before
}

#[test]
fn a_new_key_writes_as_much_among_many_as_among_few() {
    let few = cost(40);
    let many = cost(2_000);
    assert!(few > 0 && many < 2 * few, "{few} and {many} bytes");
}
