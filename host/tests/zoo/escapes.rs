//! Files that change under the host's eyes. The bytes that were hashed run to the end of the task.

use std::os::unix::fs::symlink;
use std::time::Duration;

use countersign_host::{Code, Verdict};

use crate::animal::{Animal, VERDICT};
use crate::keeper::{Cage, host, is_not_loaded, services, soon, task};

/// Takes half a second to approve.
fn slow() -> Animal {
    Animal::evaluating(format!(
        "(call $sleep (i64.const 500))(i32.const {VERDICT})"
    ))
    .with(r#"(import "countersign:policy/clock@0.1.0" "sleep" (func $sleep (param i64)))"#)
}

/// Judges a task by the slow component while `meddle` does something to its file.
async fn judged_while(meddle: impl FnOnce(&Cage)) -> (Verdict, bool) {
    let cage = Cage::of(&slow());
    let plugin = cage.load().await.unwrap();
    let digest = plugin.digest();
    let judging = tokio::spawn(async move { plugin.evaluate(&task(), soon()).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    meddle(&cage);
    let evaluation = judging.await.unwrap();
    (evaluation.verdict, evaluation.digest == digest)
}

fn traps() -> Vec<u8> {
    Animal::evaluating("unreachable").component()
}

#[tokio::test]
async fn zoo_file_replaced_during_a_task() {
    let answer = judged_while(|cage| std::fs::write(cage.file(), traps()).unwrap()).await;
    assert_eq!(answer, (Verdict::Approve, true));
}

#[tokio::test]
async fn zoo_file_removed_during_a_task() {
    let answer = judged_while(|cage| std::fs::remove_file(cage.file()).unwrap()).await;
    assert_eq!(answer, (Verdict::Approve, true));
}

#[tokio::test]
async fn zoo_file_renamed_during_a_task() {
    let answer =
        judged_while(|cage| std::fs::rename(cage.file(), cage.dir.path().join("x")).unwrap()).await;
    assert_eq!(answer, (Verdict::Approve, true));
}

#[tokio::test]
async fn zoo_file_made_a_link_during_a_task() {
    let answer = judged_while(|cage| {
        let other = cage.dir.path().join("other.wasm");
        std::fs::write(&other, traps()).unwrap();
        std::fs::remove_file(cage.file()).unwrap();
        symlink(other, cage.file()).unwrap();
    })
    .await;
    assert_eq!(answer, (Verdict::Approve, true));
}

#[tokio::test]
async fn zoo_a_replaced_file_is_another_digest() {
    let mut cage = Cage::of(&Animal::default());
    cage.spec.digest = Some(cage.load().await.unwrap().digest());
    std::fs::write(cage.file(), traps()).unwrap();
    is_not_loaded(&cage, Code::Digest, "pinned").await;
}

#[tokio::test]
async fn zoo_a_pipe_in_place_of_a_file() {
    let cage = Cage::of(&Animal::default());
    std::fs::remove_file(cage.file()).unwrap();
    let made = std::process::Command::new("mkfifo")
        .arg(cage.file())
        .status()
        .unwrap();
    assert!(made.success());
    // Nobody writes into the pipe: whoever opens it as a file waits for ever.
    let loading = tokio::time::timeout(
        Duration::from_secs(10),
        is_not_loaded(&cage, Code::Missing, "not a regular file"),
    );
    loading.await.expect("the host does not wait for a pipe");
}

#[tokio::test]
async fn zoo_a_device_without_end() {
    let mut cage = Cage::of(&Animal::default());
    cage.spec.file = "/dev/zero".into();
    is_not_loaded(&cage, Code::Missing, "not a regular file").await;
}

#[tokio::test]
async fn zoo_two_entries_of_one_file_share_nothing() {
    let cage = Cage::of(&Animal::default());
    let mut other = cage.spec.clone();
    other.name = "zoo:second".into();
    let first = cage.load().await.unwrap();
    let second = host().load(&other, services()).await.unwrap();
    assert_eq!(first.digest(), second.digest());
    assert_eq!(second.evaluate(&task(), soon()).await.plugin, "zoo:second");
}
