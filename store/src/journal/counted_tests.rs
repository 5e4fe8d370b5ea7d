use countersign_protocol::{Cause, Failure, Outcome};

use super::*;
use crate::journal::{Decided, Evidence, Journal, OperationKind, Silent, Written};

const TASK: TaskId = TaskId([1; 16]);
const HASH: Hash = Hash([2; 32]);
const NOW: UnixMillis = UnixMillis(1_000);
const UNTIL: UnixMillis = UnixMillis(9_000);

fn node(seed: u8) -> NodeId {
    let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
    NodeId::from_bytes(key.verifying_key().to_bytes()).unwrap()
}

fn journal() -> (tempfile::TempDir, Journal) {
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    let dir = tempfile::Builder::new()
        .permissions(private)
        .tempdir()
        .unwrap();
    let journal = Journal::create(dir.path()).unwrap();
    (dir, journal)
}

fn write(key: &str, value: u8) -> StateWrite {
    StateWrite {
        plugin: "p".into(),
        key: key.into(),
        value: Some(vec![value]),
        expires: None,
    }
}

fn told(teller: u8, state: Vec<StateWrite>) -> Count {
    Count {
        hash: HASH,
        task: TASK,
        key: KeyId::from_bytes([3; 16]).unwrap(),
        until: UNTIL,
        teller: node(teller),
        state,
        owed: Vec::new(),
        text: String::new(),
    }
}

fn entry(journal: &Journal, key: &str) -> Option<u8> {
    journal
        .state_get("p", key, NOW)
        .unwrap()
        .map(|value| value[0])
}

/// Approves a task of this node that writes the same state.
fn approve(journal: &Journal, id: u8, writes: Vec<StateWrite>) -> TaskId {
    let task = Decided {
        task: TaskId([id; 16]),
        hash: Hash([id; 32]),
        kind: OperationKind::KeySign,
        received_at: NOW,
        verdicts: Vec::new(),
        parties: Vec::new(),
        bytes: b"{}".to_vec(),
        evidence: Evidence::default(),
    };
    journal.approve(NOW, task, writes).unwrap();
    TaskId([id; 16])
}

fn nothing() -> Outcome {
    let code = "c".into();
    let text = "t".into();
    Outcome::Failed(Failure {
        cause: Cause::Environment,
        code,
        text,
        culprits: Vec::new(),
    })
}

#[test]
fn it_counts_until_everybody_who_told_of_it_takes_it_back() {
    let (_dir, journal) = journal();
    assert_eq!(
        journal.count(NOW, told(1, vec![write("a", 7)])).unwrap(),
        Written::Now
    );
    assert_eq!(
        journal.count(NOW, told(1, Vec::new())).unwrap(),
        Written::Already,
        "told twice"
    );
    assert_eq!(
        journal.count(NOW, told(2, Vec::new())).unwrap(),
        Written::Now
    );
    assert_eq!(
        journal.uncount(NOW, HASH, node(1)).unwrap(),
        Written::Already,
        "one alone frees nothing"
    );
    assert_eq!(
        journal.uncount(NOW, HASH, node(9)).unwrap(),
        Written::Already,
        "nor does a stranger"
    );
    assert_eq!(entry(&journal, "a"), Some(7));
    assert_eq!(journal.uncount(NOW, HASH, node(2)).unwrap(), Written::Now);
    assert_eq!(entry(&journal, "a"), None);
    assert_eq!(
        journal.uncount(NOW, Hash([9; 32]), node(2)).unwrap(),
        Written::Already,
        "nothing was counted"
    );
}

/// The signer that released it first may have lied.
#[test]
fn it_counts_again_when_another_signer_tells_of_it_later() {
    let (_dir, journal) = journal();
    journal.count(NOW, told(1, vec![write("a", 7)])).unwrap();
    journal.uncount(NOW, HASH, node(1)).unwrap();
    assert!(!journal.counted(&HASH).unwrap().unwrap().counts());
    assert_eq!(
        journal.count(NOW, told(1, vec![write("a", 7)])).unwrap(),
        Written::Already,
        "it took it back"
    );
    journal.count(NOW, told(2, vec![write("a", 8)])).unwrap();
    assert_eq!(entry(&journal, "a"), Some(8));
    assert!(journal.counted(&HASH).unwrap().unwrap().counts());
}

#[test]
fn what_a_later_task_wrote_stays() {
    let (_dir, journal) = journal();
    let own = approve(&journal, 5, vec![write("a", 1)]);
    journal
        .count(NOW, told(1, vec![write("a", 2), write("b", 2)]))
        .unwrap();
    journal.end_unused(NOW, own, nothing()).unwrap();
    assert_eq!(
        entry(&journal, "a"),
        Some(2),
        "the reservation of before does not undo it"
    );
    approve(&journal, 6, vec![write("b", 3)]);
    journal.uncount(NOW, HASH, node(1)).unwrap();
    assert_eq!(
        (entry(&journal, "a"), entry(&journal, "b")),
        (Some(1), Some(3))
    );
}

#[test]
fn all_of_it_survives_a_restart_and_a_backup_and_ends_with_its_time() {
    let (dir, journal) = journal();
    journal
        .count(
            NOW,
            Count {
                owed: vec!["q".into()],
                ..told(1, vec![write("a", 7)])
            },
        )
        .unwrap();
    drop(journal);
    let journal = Journal::open(dir.path()).unwrap();
    let row = journal.counted(&HASH).unwrap().unwrap();
    assert_eq!((row.counts(), &row.owed[..]), (true, &["q".to_owned()][..]));
    assert_eq!(journal.counted_by_teller().unwrap()[&node(1)], 1);
    journal.verify_audit().unwrap();
    journal.forget_expired(UnixMillis(UNTIL.0 - 1)).unwrap();
    assert!(journal.counted(&HASH).unwrap().is_some());
    journal.forget_expired(UNTIL).unwrap();
    assert!(journal.counted(&HASH).unwrap().is_none());
    assert_eq!(
        entry(&journal, "a"),
        Some(7),
        "what was counted stays counted"
    );
}
