//! The cost of a start and of a change of one key at a node that holds many: rows of the journal
//! and records of the store that are read.

use countersign_store::{Journal, Silent};

use super::tests::{NOW, empty_journal, empty_vault, generation, identity};
use super::*;
use crate::key_switch::{align, align_all};
use crate::task::history::steps;
use crate::task::settle;
use crate::vault::record::READ;

/// A node with this many keys, just started: it knows only what is on the disk.
fn node_with(keys: u32) -> (tempfile::TempDir, Journal, Vault) {
    let (dir, journal) = empty_journal();
    let vault = empty_vault(&dir);
    for number in 0..keys {
        let descriptor = key_of(number);
        vault.keep_record(false, &descriptor);
        journal
            .put_key(KeyRecord {
                descriptor,
                status: KeyStatus::Active,
                created: NOW,
            })
            .unwrap();
    }
    (dir, journal, vault)
}

fn key_of(number: u32) -> KeyDescriptor {
    let key = KeyId::of_task(&Hash::of("test", &number.to_be_bytes()));
    let aux = Some(Hash::of("aux", &number.to_be_bytes()));
    KeyDescriptor {
        key,
        aux,
        ..generation(0, [1, 2], &[1, 2])
    }
}

/// The rows and records that this reads.
fn cost(journal: &Journal, of: impl FnOnce()) -> (u64, usize) {
    let before = (journal.rows_read(), READ.get());
    of();
    (journal.rows_read() - before.0, READ.get() - before.1)
}

#[test]
fn a_start_reads_each_row_and_each_record_once() {
    for keys in [5, 40] {
        let (_dir, journal, vault) = node_with(keys);
        let cost = cost(&journal, || {
            journal
                .abort_unfinished(NOW, &settle::waiting(&journal).unwrap())
                .unwrap();
            align_all(&journal, &vault, NOW).unwrap();
            assert_eq!(
                vault.held_keys().unwrap().len(),
                journal.known_keys().unwrap().len()
            );
            journal.auxes_in_use().unwrap();
            news(&NodeKey::new(identity(1).into()).unwrap(), &journal).unwrap();
        });
        assert_eq!(cost, (u64::from(keys), keys as usize));
    }
}

#[test]
fn a_change_of_one_key_reads_no_other() {
    let cost = |keys| {
        let (_dir, journal, vault) = node_with(keys);
        align_all(&journal, &vault, NOW).unwrap();
        cost(&journal, || {
            // A new key: asked for its auxiliary information, stored, confirmed.
            let new = key_of(keys);
            assert_eq!(
                journal.newest_aux(&new.committee).unwrap().is_some(),
                keys > 0
            );
            vault.keep_record(false, &new);
            let record = KeyRecord {
                descriptor: new.clone(),
                status: KeyStatus::Pending,
                created: NOW,
            };
            journal.put_key(record.clone()).unwrap();
            assert_eq!(settle::waiting(&journal).unwrap().len(), 1);
            journal
                .put_key(KeyRecord {
                    status: KeyStatus::Active,
                    ..record
                })
                .unwrap();
            align(&journal, &vault, NOW, new.key).unwrap();
            // Then it moves on, and its share is destroyed.
            assert!(steps(&journal, new.key).unwrap().is_empty());
            journal
                .replace(
                    NOW,
                    KeyDescriptor {
                        generation: 1,
                        ..new.clone()
                    },
                )
                .unwrap();
            assert!(release(&journal, &vault, NOW, new.key, false).is_ok_and(|gone| !gone));
            journal.release(new.key).unwrap();
            align(&journal, &vault, NOW, new.key).unwrap();
            assert_eq!(vault.held(new.key).unwrap(), None);
            settle::lacking(&journal).unwrap();
        })
    };
    assert_eq!(cost(3), cost(30));
}

#[test]
fn what_is_known_of_shares_is_what_the_store_has() {
    let (dir, journal, vault) = node_with(3);
    let same = |vault: &Vault| {
        let keys: Vec<_> = vault.held_keys().unwrap();
        let held: Vec<_> = keys.iter().map(|key| vault.held(*key).unwrap()).collect();
        let next: Vec<_> = keys
            .iter()
            .map(|key| vault.next_of(*key).unwrap())
            .collect();
        (keys, held, next)
    };
    align_all(&journal, &vault, NOW).unwrap();
    let next = |number, task, aux| KeyDescriptor {
        generation: 1,
        task: TaskId([task; 16]),
        aux,
        ..key_of(number)
    };
    vault.keep_record(true, &next(0, 5, None));
    vault.keep_record(true, &next(1, 6, key_of(2).aux));
    vault.keep_record(true, &next(1, 7, key_of(1).aux));
    vault.promote_share(&next(0, 5, None), &[]).unwrap();
    vault.release_share(key_of(2).key, &[]).unwrap();
    vault.drop_next_share(&next(1, 7, None)).unwrap();
    let known = same(&vault);
    assert_eq!(known.0.len(), 2);
    drop(vault);
    let vault = Vault::open(dir.path(), &super::tests::passphrase(), &[]).unwrap();
    assert_eq!(same(&vault), known);
}
