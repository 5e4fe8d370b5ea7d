//! A store whose bytes were altered: it is refused, or it returns what was written; nothing panics.

use countersign_coordinator::store::Store;
use countersign_protocol::TaskId;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use redb::{Database, TableDefinition};

#[test]
fn a_damaged_page_is_found_before_it_is_believed() {
    const TASKS: TableDefinition<[u8; 16], &[u8]> = TableDefinition::new("tasks");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("coordinator.redb");
    drop(Store::open(&path).unwrap());
    let db = Database::open(&path).unwrap();
    let write = db.begin_write().unwrap();
    for id in 0..100 {
        let row = &include_bytes!("../fixtures/task-row-v1.bin")[..];
        write
            .open_table(TASKS)
            .unwrap()
            .insert([id; 16], row)
            .unwrap();
    }
    write.commit().unwrap();
    drop(db);
    let whole = std::fs::read(&path).unwrap();
    let mut random = StdRng::seed_from_u64(1);
    let mut refused = 0;
    for _ in 0..100 {
        let mut damaged = whole.clone();
        for _ in 0..8 {
            let at = random.gen_range(0..damaged.len());
            damaged[at] ^= random.gen_range(1..=255);
        }
        std::fs::write(&path, &damaged).unwrap();
        match Store::open(&path) {
            // The altered byte belongs to no page.
            Ok(store) => {
                (0..100).for_each(|id| drop(store.task(TaskId([id; 16])).unwrap().unwrap()))
            }
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 20, "{refused} of 100");
}
