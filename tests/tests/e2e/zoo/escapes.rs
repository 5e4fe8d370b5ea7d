//! Files that change while a task is judged. The hashed bytes are the ones that run, to the end of
//! the task. A sound change counts for the next task, whatever it does then; an unsound one counts
//! for none, and the version in force stays so.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use countersign_client::Signature;
use countersign_host::Code;
use countersign_protocol::Hash;
use sha2::{Digest, Sha256};
use tokio::task::JoinSet;

use super::animal::{Animal, VERDICT};
use super::cage::{Cage, Specimen, honest, make_pipe};
use super::files::machine_code;
use super::gate::Gate;
use super::{Zoo, behaviours};

/// Time after which every ordered task is being judged.
const AT_WORK: Duration = Duration::from_millis(500);

/// Afterwards the file is sound, and traps.
const SOUND: &Ways = &[
    ("overwritten", |file| std::fs::write(file, trap()).unwrap()),
    ("made-a-link", |file| {
        let other = file.with_extension("other");
        std::fs::write(&other, trap()).unwrap();
        std::fs::remove_file(file).unwrap();
        symlink(other, file).unwrap();
    }),
];
const UNSOUND: &Ways = &[
    ("cut-off", |file| {
        std::fs::write(file, &honest()[..300]).unwrap()
    }),
    ("removed", |file| std::fs::remove_file(file).unwrap()),
    ("renamed", |file| {
        std::fs::rename(file, file.with_extension("old")).unwrap()
    }),
    ("made-a-pipe", |file| {
        std::fs::remove_file(file).unwrap();
        make_pipe(file);
    }),
    ("made-a-core-module", |file| {
        std::fs::write(file, Animal::default().module()).unwrap()
    }),
    ("made-machine-code", |file| {
        std::fs::write(file, machine_code(&honest())).unwrap()
    }),
];

/// Takes its time to approve.
fn slow() -> Animal {
    Animal::evaluating(format!(
        "(call $sleep (i64.const 3000))(i32.const {VERDICT})"
    ))
    .with(behaviours::SLEEP)
}

fn trap() -> Vec<u8> {
    Animal::evaluating("unreachable").component()
}

/// Ways to change a file, by name.
type Ways = [(&'static str, fn(&Path))];

impl Zoo {
    fn caged(&self, names: &Ways) -> Vec<&Cage> {
        let named = |cage: &&Cage| names.iter().any(|(name, _)| *name == cage.specimen.name);
        self.cages.iter().filter(named).collect()
    }

    /// Changes every file in its way.
    fn meddle(&self, ways: &Ways) {
        for cage in self.caged(ways) {
            let (_, way) = ways
                .iter()
                .find(|(name, _)| *name == cage.specimen.name)
                .unwrap();
            way(cage.file());
        }
    }

    async fn logged(&self, words: &str) {
        for _ in 0..600 {
            if self.cluster.nodes[0].log().contains(words) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!(
            "`{words}` is not in the log:\n{}",
            self.cluster.nodes[0].log()
        );
    }
}

fn digest(bytes: &[u8]) -> Hash {
    Hash(Sha256::digest(bytes).into())
}

/// Signs with all these keys at once.
fn all_at_once(zoo: &Arc<Zoo>, ways: &'static Ways) -> JoinSet<Signature> {
    let mut tasks = JoinSet::new();
    for (name, _) in ways {
        let zoo = zoo.clone();
        tasks.spawn(async move {
            let cage = zoo
                .cages
                .iter()
                .find(|cage| cage.specimen.name == *name)
                .unwrap();
            zoo.sign(cage)
                .await
                .unwrap_or_else(|error| panic!("{name}: {error}"))
        });
    }
    tasks
}

#[tokio::test(flavor = "multi_thread")]
async fn zoo_a_task_is_judged_to_its_end_by_the_file_that_was_hashed() {
    let gate = Gate::open().await;
    let caged = |(name, _): &(&'static str, _)| {
        Specimen::animal(name, slow(), Code::Trap, "unreachable").granted(100, 10_000)
    };
    let zoo = Arc::new(Zoo::open(SOUND.iter().chain(UNSOUND).map(caged).collect(), &gate).await);

    let old = digest(&slow().component());

    let mut tasks = all_at_once(&zoo, SOUND);
    tokio::time::sleep(AT_WORK).await;
    zoo.meddle(SOUND);
    zoo.logged("plugins reloaded").await;
    assert!(
        tasks.try_join_next().is_none(),
        "the swap came too late to be of interest"
    );
    let mut signatures = tasks.join_all().await;
    for cage in zoo.caged(SOUND) {
        let refusal = zoo.attack(cage).await;
        assert_eq!(zoo.verdict(refusal.task).await.digest, digest(&trap()));
    }

    let tasks = all_at_once(&zoo, UNSOUND);
    tokio::time::sleep(AT_WORK).await;
    zoo.meddle(UNSOUND);
    signatures.extend(tasks.join_all().await);
    zoo.logged("the old ones stay in force: plugin `zoo:cut-off`")
        .await;
    signatures.extend(all_at_once(&zoo, UNSOUND).join_all().await);

    let mut zoo = Arc::into_inner(zoo).unwrap();
    for signature in signatures {
        assert_eq!(zoo.verdict(signature.task).await.digest, old);
        zoo.oracle.after_healing(signature).unwrap();
    }
    zoo.heal().await;
    zoo.all_sign().await;
}
