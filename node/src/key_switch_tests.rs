//! The secrets file follows the journal, from wherever a crash has left it.

use countersign_protocol::{Failure, FailureCode, Outcome, TaskId};
use countersign_store::{AuditEntry, OperationKind, PreparedReshare, ReshareStage, Silent};
use tempfile::TempDir;

use super::*;
use crate::task::fixtures::{
    NOW, acked, decided, empty_journal, generation, key, lose_the_secrets, node, nodes, put_key,
};
use crate::vault::tests::cheap_vault;

/// A node that holds generation 0 with an active key.
struct Node {
    journal: Journal,
    vault: Vault,
    dir: TempDir,
}

impl Node {
    fn new() -> Self {
        let (dir, journal) = empty_journal();
        let vault = cheap_vault(dir.path());
        put_key(&journal, KeyStatus::Active, generation(0, &[1, 2]));
        vault.keep_record(false, &generation(0, &[1, 2]));
        Self {
            journal,
            vault,
            dir,
        }
    }

    /// Has stored and recorded a next share, ordered at this time.
    fn prepare(&self, task: u8, created: u64) {
        let next = next(task);
        let row = decided(next.task, OperationKind::KeyReshare, nodes(&[1, 2, 3]));
        self.journal.approve(NOW, row, Vec::new()).unwrap();
        self.vault.keep_record(true, &next);
        let prepared = PreparedReshare {
            task: next.task,
            descriptor: next,
            joins: true,
            opened: NOW,
            stage: ReshareStage::InDoubt,
            created: UnixMillis(created),
        };
        self.journal.prepare_reshare(prepared).unwrap();
    }

    fn abort(&self, task: u8) {
        let failure = Failure::new(FailureCode::ReshareAborted, "t");
        self.journal
            .finish_reshare(NOW, TaskId([task; 16]), ReshareStage::Aborted, failure)
            .unwrap();
    }

    /// The commit in the journal, which the store has yet to follow.
    fn commit(&self, task: u8) {
        let next = acked(next(task), &[1, 2, 3]);
        let outcome = Outcome::Reshared(next.clone());
        self.journal.end(NOW, next.task, outcome).unwrap();
    }

    fn align(&self) -> Result<(), SwitchError> {
        align(&self.journal, &self.vault, NOW, key())
    }

    /// The generation in force in the store, and the tasks of the next shares.
    fn shares(&self) -> (Option<u32>, Vec<u8>) {
        let held = self.vault.held(key()).unwrap();
        let next = self.vault.next_of(key()).unwrap();
        let tasks = next.iter().map(|share| share.task.0[0]).collect();
        (held.map(|held| held.generation), tasks)
    }

    /// Entries of the audit log that tell of destroyed shares.
    fn destroyed(&self) -> usize {
        let entries = self.journal.audit(0, 1_000).unwrap();
        let told = |entry: &&AuditEntry| entry.kind.name() == "destroyed";
        entries.iter().filter(told).count()
    }
}

fn next(task: u8) -> KeyDescriptor {
    KeyDescriptor {
        task: TaskId([task; 16]),
        parties: nodes(&[1, 2, 3]),
        ..generation(1, &[1, 3])
    }
}

#[test]
fn a_key_without_a_record_keeps_its_shares() {
    let (dir, journal) = empty_journal();
    let vault = cheap_vault(dir.path());
    vault.keep_record(false, &generation(0, &[1, 2]));
    align(&journal, &vault, NOW, key()).unwrap();
    assert!(
        vault.held(key()).unwrap().is_some(),
        "the record may be missing because of a crash"
    );
}

#[test]
fn a_share_stored_the_moment_before_a_crash_changes_nothing() {
    let node = Node::new();
    node.vault.keep_record(true, &next(5));
    node.align().unwrap();
    assert_eq!(node.shares(), (Some(0), vec![5]));
    assert_eq!(node.destroyed(), 0);
}

#[test]
fn a_reshare_in_doubt_keeps_both_shares() {
    let node = Node::new();
    node.prepare(5, 900);
    node.align().unwrap();
    assert_eq!(node.shares(), (Some(0), vec![5]));
    assert_eq!(node.journal.rekey_due().unwrap(), None);
}

#[test]
fn an_aborted_reshare_keeps_both_shares() {
    let node = Node::new();
    node.prepare(5, 900);
    node.abort(5);
    node.align().unwrap();
    assert_eq!(node.shares(), (Some(0), vec![5]));
}

#[test]
fn a_commit_before_a_crash_is_followed_at_the_start() {
    let node = Node::new();
    node.prepare(5, 900);
    node.commit(5);
    assert_eq!(node.shares(), (Some(0), vec![5]), "the crash");
    align_all(&node.journal, &node.vault, NOW).unwrap();
    assert_eq!(node.shares(), (Some(1), vec![]));
    assert_eq!(node.destroyed(), 1);
    assert!(node.journal.rekey_due().unwrap().is_some());
}

#[test]
fn a_switch_that_is_done_is_not_done_again() {
    let node = Node::new();
    node.prepare(5, 900);
    node.commit(5);
    node.align().unwrap();
    let commits = node.journal.commits();
    let secrets = node.vault.generation().unwrap();
    node.align().unwrap();
    align_all(&node.journal, &node.vault, NOW).unwrap();
    assert_eq!(node.journal.commits(), commits);
    assert_eq!(node.vault.generation().unwrap(), secrets);
}

/// A crash between the two writes must not lose the order to renew the storage key, under which
/// older copies of the store still show the share.
#[test]
fn a_destruction_is_on_record_before_the_share_is_gone() {
    let node = Node::new();
    node.prepare(5, 900);
    node.commit(5);
    lose_the_secrets(node.dir.path());
    assert!(matches!(node.align(), Err(SwitchError::Vault(_))));
    assert!(node.journal.rekey_due().unwrap().is_some());
    assert_eq!(node.destroyed(), 1);
}

/// The crash came after the record; the copy of the store that counts still has the share.
#[test]
fn a_destruction_that_a_crash_interrupted_is_completed_and_the_storage_key_due_again() {
    let node = Node::new();
    node.prepare(5, 900);
    node.commit(5);
    node.journal.destroyed(NOW, next(5)).unwrap();
    node.journal.rekeyed(NOW).unwrap();
    assert_eq!(node.shares().0, Some(0));
    align_all(&node.journal, &node.vault, NOW).unwrap();
    assert_eq!(node.shares(), (Some(1), vec![]));
    assert!(node.journal.rekey_due().unwrap().is_some());
}

#[test]
fn a_release_is_on_record_before_the_share_is_gone() {
    let node = Node::new();
    put_key(&node.journal, KeyStatus::Released, generation(1, &[3, 4]));
    lose_the_secrets(node.dir.path());
    assert!(matches!(node.align(), Err(SwitchError::Vault(_))));
    assert!(node.journal.rekey_due().unwrap().is_some());
}

#[test]
fn a_node_that_joins_has_nothing_to_destroy() {
    let node = Node::new();
    node.vault.release_share(key(), &[]).unwrap();
    put_key(&node.journal, KeyStatus::Active, next(5));
    node.prepare(5, 900);
    node.align().unwrap();
    assert_eq!(node.shares(), (Some(1), vec![]));
    assert_eq!(node.destroyed(), 0);
    assert_eq!(node.journal.rekey_due().unwrap(), None);
}

#[test]
fn a_node_that_joins_at_the_second_attempt_records_that_the_first_share_is_gone() {
    let node = Node::new();
    node.vault.release_share(key(), &[]).unwrap();
    node.prepare(6, 800);
    node.abort(6);
    node.prepare(5, 900);
    node.commit(5);
    node.align().unwrap();
    assert_eq!(node.shares(), (Some(1), vec![]));
    assert_eq!(node.destroyed(), 1);
    assert!(node.journal.rekey_due().unwrap().is_some());
}

#[test]
fn a_commit_destroys_aborted_shares_that_were_ordered_before_and_keeps_later_ones() {
    for (created, kept) in [(800, vec![]), (1_000, vec![6])] {
        let node = Node::new();
        node.prepare(6, created);
        node.abort(6);
        node.prepare(5, 900);
        node.commit(5);
        node.align().unwrap();
        assert_eq!(node.shares(), (Some(1), kept), "ordered at {created}");
    }
}

#[test]
fn a_leaving_node_keeps_its_share_and_a_released_one_does_not() {
    let node = Node::new();
    put_key(&node.journal, KeyStatus::Leaving, generation(1, &[3, 4]));
    node.align().unwrap();
    assert_eq!(node.shares(), (Some(0), vec![]));
    put_key(&node.journal, KeyStatus::Released, generation(1, &[3, 4]));
    node.align().unwrap();
    assert_eq!(node.shares(), (None, vec![]));
    assert_eq!(node.destroyed(), 1);
}

#[test]
fn a_released_node_keeps_the_next_share_of_a_reshare_in_doubt() {
    let node = Node::new();
    node.prepare(5, 900);
    put_key(&node.journal, KeyStatus::Released, generation(3, &[3, 4]));
    node.align().unwrap();
    assert_eq!(node.shares(), (None, vec![5]));
}

#[test]
fn orphaned_shares_go_once_the_key_is_past_their_generation_and_not_before() {
    let node = Node::new();
    node.vault.keep_record(true, &next(6));
    put_key(&node.journal, KeyStatus::Leaving, generation(1, &[3, 4]));
    node.align().unwrap();
    assert_eq!(node.shares().1, [6], "it may be of the generation in force");
    put_key(&node.journal, KeyStatus::Leaving, generation(2, &[3, 4]));
    node.align().unwrap();
    assert!(node.shares().1.is_empty());
}

#[test]
fn the_destruction_of_an_orphaned_share_is_on_record_before_it_is_gone() {
    let node = Node::new();
    node.vault.keep_record(true, &next(6));
    put_key(&node.journal, KeyStatus::Leaving, generation(2, &[3, 4]));
    lose_the_secrets(node.dir.path());
    assert!(matches!(node.align(), Err(SwitchError::Vault(_))));
    assert!(node.journal.rekey_due().unwrap().is_some());
    assert_eq!(node.destroyed(), 1);
}

#[test]
fn a_missing_share_is_named_with_what_to_do_and_the_other_keys_go_on() {
    let node = Node::new();
    put_key(&node.journal, KeyStatus::Active, next(5));
    let error = node.align().unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&key().to_string()) && text.contains("generation 1"));
    assert!(text.contains("restore the newest backup"), "{text}");
    let other = KeyDescriptor {
        key: KeyId::from_bytes([9; 16]).unwrap(),
        ..generation(1, &[3, 4])
    };
    put_key(&node.journal, KeyStatus::Released, other.clone());
    node.vault.keep_record(false, &other);
    align_all(&node.journal, &node.vault, NOW).unwrap();
    assert_eq!(node.vault.held(other.key).unwrap(), None);
    assert_eq!(node.shares().0, Some(0), "nothing of it was destroyed");
}

#[test]
fn a_key_that_waits_for_its_members_is_left_alone() {
    let node = Node::new();
    put_key(&node.journal, KeyStatus::Pending, generation(0, &[1, 2]));
    node.align().unwrap();
    assert_eq!(node.shares(), (Some(0), vec![]));
}

#[test]
fn an_aligned_switch_returns_the_record_that_counts_now() {
    let Node {
        journal,
        vault,
        dir: _dir,
    } = Node::new();
    let switch = KeySwitch::new(journal, vault.into());
    let record = switch.alone().align(NOW, key()).unwrap().unwrap();
    assert_eq!(record.status, KeyStatus::Active);
    let unknown = KeyId::from_bytes([9; 16]).unwrap();
    assert!(switch.alone().align(NOW, unknown).unwrap().is_none());
    assert!(record.descriptor.committee.index_of(&node(1)).is_some());
}
