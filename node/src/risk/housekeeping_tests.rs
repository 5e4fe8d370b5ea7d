//! The sweep removes replaced components and leaves those in use.

use std::path::Path;

use countersign_host::CodeCache;
use countersign_protocol::{Hash, PluginVerdict, TaskId, UnixMillis};
use countersign_store::{Decided, Evidence, OperationKind, Silent};

use super::super::tests::Fixture;
use super::*;
use crate::specimen::Specimen;

/// A node that started anew after its only component was replaced: what was kept of the one before,
/// and what decides now.
struct Replaced {
    fixture: Fixture,
    guard: Arc<Guard>,
    before: Digest,
    now: Digest,
}

impl Replaced {
    async fn new() -> Self {
        let fixture = Fixture::with(&[("one", Specimen::approving())]);
        let before = digest_of(&fixture.guard().await.unwrap());
        Specimen::rejecting().write(&fixture.file("one"));
        let guard = Arc::new(fixture.guard().await.unwrap());
        let now = digest_of(&guard);
        Self {
            fixture,
            guard,
            before,
            now,
        }
    }

    /// Sweeps, and tells which of the two are still there.
    async fn sweep(&self) -> (bool, bool) {
        let text = "policy: {allow_unguarded: true}\n";
        let mut config = Config::parse(text, Path::new("/")).unwrap();
        config.policy = self.fixture.policy.clone();
        let cache = CodeCache::new(self.fixture.dir.path().join("cache"), [1; 32]);
        let services = self.fixture.services();
        let receivers = Receivers::new(&config.policy, &[], cache, services).await;
        let housekeeping = Housekeeping {
            config: Arc::new(config),
            guard: self.guard.clone(),
            receivers: Arc::new(receivers.unwrap()),
            journal: self.fixture.journal.clone(),
        };
        housekeeping.sweep().await;
        let store = PluginStore::new(&self.fixture.policy.plugin_dir);
        let there = |digest| store.component(digest).is_some();
        (there(&self.before), there(&self.now))
    }
}

fn digest_of(guard: &Guard) -> Digest {
    guard.status()[0].digest.unwrap()
}

#[tokio::test]
async fn a_component_that_was_replaced_before_the_start_is_removed_and_the_one_in_force_stays() {
    let node = Replaced::new().await;
    assert_ne!(node.before, node.now);
    assert_eq!(node.sweep().await, (false, true));
}

#[tokio::test]
async fn a_component_that_was_in_force_since_the_start_stays_after_a_swap() {
    let node = Replaced::new().await;
    Specimen::approving().write(&node.fixture.file("one"));
    node.guard.reload(false, node.guard.policy()).await.unwrap();
    assert_eq!(node.sweep().await, (true, true));
}

#[tokio::test]
async fn a_component_whose_decision_can_be_replayed_stays() {
    let node = Replaced::new().await;
    let verdict = PluginVerdict {
        plugin: "specimen:one".into(),
        version: "1.0.0".into(),
        digest: Hash(node.before),
        config: Hash([2; 32]),
        approved: true,
        code: String::new(),
        reason: String::new(),
        micros: 1,
    };
    let decided = Decided {
        task: TaskId([1; 16]),
        hash: Hash([1; 32]),
        kind: OperationKind::KeySign,
        received_at: UnixMillis(1),
        verdicts: vec![verdict],
        parties: Vec::new(),
        bytes: Vec::new(),
        evidence: Evidence {
            recording: b"a recording".to_vec(),
            ..Evidence::default()
        },
    };
    let journal = &node.fixture.journal;
    journal.approve(UnixMillis(1), decided, Vec::new()).unwrap();
    assert_eq!(node.sweep().await, (true, true));
}

#[tokio::test]
async fn a_component_that_the_configuration_pins_stays_though_another_is_there() {
    let mut node = Replaced::new().await;
    node.fixture.policy.plugins[0].digest = Some(node.before);
    node.guard.policy.store(node.fixture.policy.clone().into());
    assert_eq!(node.sweep().await, (true, true));
}

#[tokio::test]
async fn nothing_is_removed_while_a_manifest_cannot_be_read() {
    let node = Replaced::new().await;
    let manifest = node.fixture.policy.plugin_dir.join("rules.json");
    std::fs::write(&manifest, "{").unwrap();
    assert_eq!(node.sweep().await, (true, true));
    std::fs::remove_file(&manifest).unwrap();
    assert_eq!(node.sweep().await, (false, true));
}

#[tokio::test]
async fn files_that_the_node_did_not_put_there_are_not_touched() {
    let node = Replaced::new().await;
    let note = node.fixture.policy.plugin_dir.join("notes.txt");
    std::fs::write(&note, "of the operator").unwrap();
    node.sweep().await;
    assert!(note.exists());
}
