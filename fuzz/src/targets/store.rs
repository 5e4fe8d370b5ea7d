//! Damaged files of a node's store: they are refused, or read as something, and nothing panics.
//!
//! Journals are real files, since that is how they are opened; they are in memory where the system
//! offers a place for that.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use countersign_protocol::{Hash, KeyId, TaskId, UnixMillis};
use countersign_store::{Journal, Passphrase, Secrets, Section};
use redb::{Database, TableDefinition};
use tempfile::TempDir;

use crate::input::Input;

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../../../store/tests/fixtures/", $name))
    };
}

const JOURNALS: [&[u8]; 3] = [
    fixture!("v1/journal.redb"),
    fixture!("v2/journal.redb"),
    fixture!("v3/journal.redb"),
];
const JOURNAL: &str = "journal.redb";
const RECORDS: [&str; 4] = [
    include_str!("../../../store/tests/fixtures/v1/records.txt"),
    include_str!("../../../store/tests/fixtures/v2/records.txt"),
    include_str!("../../../store/tests/fixtures/v3/records.txt"),
    include_str!("../../../store/tests/fixtures/v4/records.txt"),
];

fn folder() -> TempDir {
    let in_memory = Path::new("/dev/shm");
    let base = if in_memory.is_dir() {
        in_memory.to_path_buf()
    } else {
        std::env::temp_dir()
    };
    let folder = tempfile::Builder::new()
        .prefix("countersign-fuzz")
        .tempdir_in(base)
        .expect("a folder");
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o700)).expect("own folder");
    folder
}

fn put(folder: &TempDir, name: &str, bytes: &[u8]) {
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("a file");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("own file");
}

/// Alters a file. Each change: two bytes for the place, one for the number of bytes, and those. The
/// last byte decides if the file is cut there.
fn damage(file: &[u8], mut input: Input) -> Vec<u8> {
    let mut file = file.to_vec();
    while !input.is_empty() && !file.is_empty() {
        let place = usize::from(u16::from_be_bytes(input.array()));
        let count = input.byte();
        if count == 0xff {
            file.truncate(place);
            continue;
        }
        // Places beyond two bytes are reached from the end of the file.
        let start = if count & 0x80 == 0 {
            place
        } else {
            file.len().saturating_sub(place + 1)
        };
        for at in start..start + usize::from(count & 0x7f) {
            let byte = input.byte();
            if let Some(place) = file.get_mut(at) {
                *place = byte;
            }
        }
    }
    file
}

/// Makes every query of a journal.
fn read_all(journal: &Journal) -> bool {
    let task = TaskId([1; 16]);
    let answers = [
        journal.recent(100).is_ok(),
        journal.row(&task).is_ok(),
        journal.look_up(&task, &Hash([0; 32])).is_ok(),
        journal.unfinished().is_ok(),
        journal.keys().is_ok(),
        journal.key(&KeyId::of_task(&Hash([6; 32]))).is_ok(),
        journal.prepared_reshares().is_ok(),
        journal.quarantines().is_ok(),
        journal.unheard().is_ok(),
        journal.differences(100).is_ok(),
        journal.outbox("desk", 100).is_ok(),
        journal.given_up(100).is_ok(),
        journal.outbox_len().is_ok(),
        journal.audit(0, 100).is_ok(),
        journal.verify_audit().is_ok(),
        journal.proof(&task).is_ok(),
        journal.recording(&task).is_ok(),
        journal.recorded_components().is_ok(),
        journal.state_list("rules", "", 100, UnixMillis(0)).is_ok(),
    ];
    answers.iter().all(|sound| *sound)
}

/// A journal with bytes changed anywhere. Input: one byte for the format, then the changes.
pub(super) fn journal_files(input: &[u8]) -> bool {
    let mut input = Input::new(input);
    let file = damage(input.choose(&JOURNALS), input);
    let folder = folder();
    put(&folder, JOURNAL, &file);
    Journal::open(folder.path()).is_ok_and(|journal| read_all(&journal))
}

type Id = &'static [u8; 16];
type Bytes = &'static [u8];

/// A sound database with one row of any bytes. Input: one byte for the table, then the row.
pub(super) fn journal_rows(input: &[u8]) -> bool {
    let mut input = Input::new(input);
    let table = input.byte();
    let folder = folder();
    put(&folder, JOURNAL, JOURNALS[2]);
    write_row(&folder.path().join(JOURNAL), table, input.rest())
        .expect("a sound database takes any row");
    let journal = Journal::open(folder.path()).expect("rows are read when they are asked for");
    read_all(&journal)
}

fn write_row(path: &Path, table: u8, row: &[u8]) -> Result<(), redb::Error> {
    let database = Database::open(path)?;
    let transaction = database.begin_write()?;
    let by_id = |name| TableDefinition::<Id, Bytes>::new(name);
    let by_number = |name| TableDefinition::<u64, Bytes>::new(name);
    match table % 9 {
        0 => drop(
            transaction
                .open_table(by_id("tasks"))?
                .insert(&[1; 16], row)?,
        ),
        1 => drop(
            transaction
                .open_table(by_id("keys"))?
                .insert(&[1; 16], row)?,
        ),
        2 => drop(
            transaction
                .open_table(by_id("handovers"))?
                .insert(&[1; 16], row)?,
        ),
        3 => drop(
            transaction
                .open_table(by_id("recordings"))?
                .insert(&[1; 16], row)?,
        ),
        4 => drop(transaction.open_table(by_number("audit"))?.insert(1, row)?),
        5 => drop(
            transaction
                .open_table(by_number("differences"))?
                .insert(1, row)?,
        ),
        6 => drop(
            transaction
                .open_table(by_number("outbox"))?
                .insert(1, row)?,
        ),
        7 => {
            let table = TableDefinition::<(Id, &'static [u8; 32]), Bytes>::new("quarantine");
            drop(
                transaction
                    .open_table(table)?
                    .insert((&[1; 16], &[1; 32]), row)?,
            );
        }
        _ => {
            let table = TableDefinition::<(&str, &str), Bytes>::new("state");
            drop(
                transaction
                    .open_table(table)?
                    .insert(("rules", "key"), row)?,
            );
        }
    }
    transaction.commit()?;
    Ok(())
}

/// Secrets with bytes changed anywhere, under the right passphrase. Input: one byte that chooses
/// the file, then the changes.
pub(super) fn secrets_files(input: &[u8]) -> bool {
    let mut input = Input::new(input);
    let (secrets, identity): (&[u8], &[u8]) =
        (fixture!("v1/secrets.redb.age"), fixture!("v1/identity.age"));
    let (secrets, identity) = match input.byte() & 1 {
        0 => (damage(secrets, input), identity.to_vec()),
        _ => (secrets.to_vec(), damage(identity, input)),
    };
    // The file chooses the cost of the passphrase, up to a bound; here it costs nothing.
    if work_factor(&identity).is_some_and(|factor| factor > "2") {
        return false;
    }
    let folder = folder();
    put(&folder, "secrets.redb.age", &secrets);
    put(&folder, "identity.age", &identity);
    let passphrase = Passphrase::new(
        include_str!("../../../store/tests/fixtures/v1/passphrase")
            .trim()
            .to_owned()
            .into(),
    );
    let Ok(opened) = Secrets::open(folder.path(), &passphrase, &[]) else {
        return false;
    };
    assert_eq!(
        opened.generation().ok(),
        Some(3),
        "what was opened is what was sealed"
    );
    for section in Section::ALL {
        let value = opened
            .get(section, "name")
            .expect("what was opened is sound")
            .expect("a value");
        assert_eq!(
            *value,
            section.name().as_bytes(),
            "what was opened is what was sealed"
        );
    }
    true
}

/// The scrypt line of the age file: `-> scrypt <salt> <work factor>`.
fn work_factor(identity: &[u8]) -> Option<&str> {
    let line = identity.split(|byte| *byte == b'\n').nth(1)?;
    std::str::from_utf8(line).ok()?.split(' ').nth(3)
}

pub(super) fn journal_file_seeds() -> Vec<Vec<u8>> {
    let whole = (0..3).map(|format| vec![format]);
    // The header, a page in the middle, a cut.
    let damaged = [
        vec![0, 0, 0, 4, 1, 2, 3, 4],
        vec![1, 0x40, 0, 2, 0xff, 0xff],
        vec![2, 0x80, 0, 0xff],
    ];
    whole.chain(damaged).collect()
}

pub(super) fn journal_row_seeds() -> Vec<Vec<u8>> {
    let table = |name: &str| match name {
        "key" | "released" | "leaving" => 1,
        "handover" => 2,
        "audit" | "policy" => 4,
        "delivery" => 6,
        "quarantine" => 7,
        "state" => 8,
        _ => 0,
    };
    let lines = RECORDS
        .iter()
        .flat_map(|file| file.lines())
        .filter_map(|line| line.split_once(' '));
    lines
        .flat_map(|(name, row)| {
            let row = hex::decode(row.trim()).expect("a fixture");
            // Rows are written with their version in front, except in the first fixtures.
            [
                [&[table(name)], &row[..]].concat(),
                [&[table(name), 1], &row[..]].concat(),
            ]
        })
        .collect()
}

pub(super) fn secrets_file_seeds() -> Vec<Vec<u8>> {
    vec![
        vec![0],
        vec![1],
        vec![0, 0, 0, 4, 1, 2, 3, 4],
        vec![1, 0, 60, 2, b'A', b'A'],
        vec![0, 0, 9, 0x82, 0, 0],
    ]
}
