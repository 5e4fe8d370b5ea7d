//! Flipped bits in the journal's file: each is reported as damage or changes nothing, and none
//! makes the program panic.
//!
//! Every run flips some bits of each kind. `COUNTERSIGN_FLIPS=1000` flips that many, and all bits
//! of the header.

use std::path::Path;

use countersign_store::{Journal, JournalOpenError, KeyRecord, KeyStatus, Silent};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::support::*;

/// The whole content of a journal, as text.
fn told(journal: &Journal) -> Result<String, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let keys = journal.keys().map_err(|error| text(&error))?;
    let rows = journal.recent(1000).map_err(|error| text(&error))?;
    let audit = journal.audit(0, 1000).map_err(|error| text(&error))?;
    let state = journal
        .state_list("rules", "", 1000, at(1))
        .map_err(|error| text(&error))?;
    let head = journal.verify_audit().map_err(|error| text(&error))?;
    Ok(format!("{keys:?} {rows:?} {audit:?} {state:?} {head:?}"))
}

fn filled(dir: &Path) -> String {
    let journal = Journal::create(dir).unwrap();
    for number in 1..60 {
        let writes = vec![state(&format!("day/{number}"), Some(&[number; 300]))];
        journal
            .approve(at(5), proven(number, &[number; 900], "limits: {}"), writes)
            .unwrap();
        if number % 2 == 0 {
            journal.end(at(6), task(number), signed(number)).unwrap();
        }
        let record = KeyRecord {
            descriptor: descriptor(number),
            status: KeyStatus::Active,
            created: at(u64::from(number)),
        };
        journal.put_key(record).unwrap();
    }
    told(&journal).unwrap()
}

/// Opens the file and reads all of it. True if damage was reported.
fn is_named(dir: &Path, whole: &str, what: &str) -> bool {
    let said = match Journal::open(dir) {
        Ok(journal) => told(&journal),
        Err(error) => {
            let known = matches!(
                error,
                JournalOpenError::Damaged { .. } | JournalOpenError::NewerFormat { .. }
            );
            assert!(known, "{what}: {error}");
            assert!(
                error.to_string().contains("journal.redb"),
                "{what}: {error}"
            );
            return true;
        }
    };
    match said {
        Ok(said) => {
            // The two long texts are left out.
            assert!(
                said == whole,
                "{what} changes what the journal says, and nobody noticed"
            );
            false
        }
        Err(_) => true,
    }
}

#[test]
fn a_flipped_bit_is_named_or_changes_nothing() {
    let (count, header) = match std::env::var("COUNTERSIGN_FLIPS") {
        Ok(count) => (count.parse().unwrap(), 320),
        Err(_) => (60, 8),
    };
    let dir = temporary();
    let whole = filled(dir.path());
    let path = dir.path().join("journal.redb");
    let bytes = std::fs::read(&path).unwrap();
    let mut random = StdRng::seed_from_u64(9);
    // All of the header or some: it locates everything else.
    let mut bits: Vec<usize> = match header {
        320 => (0..320 * 8).collect(),
        some => (0..some).map(|_| random.gen_range(0..320 * 8)).collect(),
    };
    bits.extend((0..count).map(|_| random.gen_range(0..bytes.len() * 8)));
    let mut named = 0;
    for bit in &bits {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&path, flipped).unwrap();
        named += usize::from(is_named(
            dir.path(),
            &whole,
            &format!("bit {} of byte {}", bit % 8, bit / 8),
        ));
    }
    println!(
        "{} bits flipped in journal.redb: {named} named, the others harmless",
        bits.len()
    );
    assert!(named > 0);
    std::fs::write(&path, bytes).unwrap();
    assert!(!is_named(dir.path(), &whole, "nothing"));
}
