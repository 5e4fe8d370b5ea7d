//! Bundles of a node in one process, with components that are made for the tests.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::file::sha256;
use super::super::file::tests::sign;
use super::super::manifest::tests::{entry, manifest};
use super::super::published::tests::settings;
use super::*;
use crate::specimen::{self, Specimen};

/// Far longer than the tests take, and shorter than any machine has been running.
const DELAY: Duration = Duration::from_secs(60);

/// A node's folder, and its bundles. No plugins run.
struct Fixture {
    dir: tempfile::TempDir,
    journal: Journal,
    config: Config,
    requests: mpsc::Receiver<BundleRequest>,
    life: BundleLife,
    board: Arc<BundleBoard>,
}

impl Fixture {
    fn new() -> Self {
        let (dir, journal) = specimen::journal();
        let mut config = Config::parse("", dir.path()).unwrap();
        config.dir = dir.path().into();
        let own = specimen::entry("own", Path::new("own.wasm"));
        config.policy = Policy {
            bundles: Some(Bundles {
                delay: DELAY,
                ..settings()
            }),
            ..specimen::policy(dir.path(), vec![own])
        };
        let (sender, requests) = mpsc::channel(8);
        let board = Arc::<BundleBoard>::default();
        let world = World::system();
        let life = BundleLife::new(&config, sender, journal.clone(), world, board.clone());
        Self {
            life: life.unwrap().unwrap(),
            dir,
            journal,
            config,
            requests,
            board,
        }
    }

    /// The same after a restart.
    fn restarted(self) -> Self {
        let (sender, requests) = mpsc::channel(8);
        let board = Arc::<BundleBoard>::default();
        let journal = self.journal.clone();
        let world = World::system();
        let life = BundleLife::new(&self.config, sender, journal, world, board.clone());
        Self {
            life: life.unwrap().unwrap(),
            requests,
            board,
            ..self
        }
    }

    fn policy(&self) -> Arc<Policy> {
        let folder = BundleFolder::of(self.dir.path());
        Arc::new(folder.complete(self.config.policy.clone()).unwrap())
    }

    /// A bundle with entries of these labels, signed by these publishers.
    fn bundle(&self, version: u64, labels: &[&str], signers: &[u8]) -> PathBuf {
        let component = Specimen::rejecting().component();
        let files = BTreeMap::from([
            (sha256(&component), component.clone()),
            (sha256(b"{}"), b"{}".to_vec()),
        ]);
        let entries = labels.iter().map(|label| {
            let mut entry = entry(&format!("{}:{label}", specimen::NAME), "", "{}");
            entry.component = sha256(&component);
            entry
        });
        let mut manifest = manifest(version, entries.collect());
        for record in &mut manifest.files {
            record.bytes = files[&record.sha256].len() as u64;
        }
        let bundle = Bundle::new(manifest, files).unwrap();
        let signatures: Vec<_> = signers.iter().map(|seed| sign(&bundle, *seed)).collect();
        let file = self.dir.path().join(format!("{version}.bundle"));
        std::fs::write(&file, bundle.signed(signatures).encode().unwrap()).unwrap();
        file
    }

    async fn ask(
        &mut self,
        request: impl FnOnce(BundleAnswer) -> BundleRequest,
    ) -> Result<BundleStatus, TakeError> {
        let (answer, told) = oneshot::channel();
        let policy = self.policy();
        self.life.heed(request(answer), &policy).await;
        told.await.unwrap()
    }

    async fn take(&mut self, file: PathBuf) -> Result<BundleStatus, TakeError> {
        self.ask(|answer| BundleRequest::Take(file, answer)).await
    }

    /// Takes a bundle, and waits for the judgement.
    async fn take_and_judge(&mut self, file: PathBuf) {
        self.take(file).await.unwrap();
        self.judge().await;
    }

    async fn judge(&mut self) {
        let judged = self.requests.recv().await.unwrap();
        let policy = self.policy();
        self.life.heed(judged, &policy).await;
    }

    /// Lets the node go on, as if this much time had passed.
    async fn advance(&mut self, elapsed: Duration) {
        self.life.counted = self.life.counted.checked_sub(elapsed).unwrap();
        let policy = self.policy();
        self.life.advance(&policy).await;
        self.life.taken_up = true;
    }

    fn present(&self) -> Option<u64> {
        let schedule = BundleFolder::of(self.dir.path()).schedule().unwrap();
        schedule.present.map(|present| present.version)
    }

    /// What is displayed: each version with whether it waits.
    fn displayed(&self) -> Vec<(u64, bool)> {
        let posted = self.board.read().into_iter();
        posted
            .map(|bundle| (bundle.version, bundle.left.is_some()))
            .collect()
    }

    /// The codes of what was refused.
    fn refused(&self) -> Vec<(&'static str, u64)> {
        let mut refused = self.board.refused();
        refused.retain(|(_, count)| *count > 0);
        refused
    }

    fn audit(&self) -> Vec<String> {
        let entries = self.journal.audit(0, 100).unwrap().into_iter();
        entries.map(|entry| entry.text).collect()
    }
}

/// A node with the entries `a` and `b` in force.
async fn with_two() -> Fixture {
    let mut node = Fixture::new();
    let file = node.bundle(1, &["a", "b"], &[1, 2]);
    node.take_and_judge(file).await;
    node.advance(Duration::ZERO).await;
    assert_eq!(node.present(), Some(1));
    node
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_adds_entries_takes_effect_once_it_is_judged() {
    let mut node = with_two().await;
    let names: Vec<String> = node.policy().from_bundle.iter().cloned().collect();
    assert_eq!(names, ["specimen:a", "specimen:b"]);
    let file = node.bundle(2, &["a", "b", "c"], &[2, 3]);
    node.take_and_judge(file).await;
    node.advance(Duration::ZERO).await;
    assert_eq!(node.present(), Some(2));
    assert_eq!(node.policy().plugins.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loosening_takes_effect_after_a_restart_in_the_middle_of_its_wait() {
    let mut node = with_two().await;
    let file = node.bundle(2, &["a"], &[1, 3]);
    node.take_and_judge(file).await;
    node.life.kept = node.life.kept.checked_sub(KEEP).unwrap();
    node.advance(DELAY / 2).await;
    assert_eq!(node.present(), Some(1));
    let mut node = node.restarted();
    assert_eq!(node.displayed(), [(1, false), (2, true)]);
    assert!(node.board.read()[1].left.unwrap() <= DELAY / 2);
    let waiting = node.life.schedule.waiting.clone().unwrap();
    assert!(waiting.waited_ms >= 30_000 && !waiting.reasons().is_empty());
    node.advance(Duration::ZERO).await;
    assert_eq!(node.present(), Some(1));
    node.advance(DELAY / 2).await;
    assert_eq!(node.present(), Some(2));
    // The guard has not followed when this is posted.
    assert_eq!(node.displayed(), [(2, true)]);
    node.advance(Duration::ZERO).await;
    assert_eq!(node.displayed(), [(2, false)]);
    let audit = node.audit().join("\n");
    for step in [
        "taken, signed by publisher 1, publisher 3",
        "it may loosen, and waits; specimen:b: it is removed",
        "takes effect, since it has waited for its delay",
    ] {
        assert!(audit.contains(step), "{step}: {audit}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_that_was_not_judged_before_a_crash_is_judged_after_it() {
    let mut node = with_two().await;
    let file = node.bundle(2, &["a", "b", "c"], &[1, 2]);
    node.take(file).await.unwrap();
    let mut node = node.restarted();
    node.advance(Duration::ZERO).await;
    assert_eq!(node.present(), Some(1), "it waits until it is judged");
    node.judge().await;
    node.advance(Duration::ZERO).await;
    assert_eq!(node.present(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn publishers_that_were_taken_off_the_list_do_not_count_when_the_wait_is_over() {
    let mut node = with_two().await;
    let file = node.bundle(2, &["a"], &[1, 3]);
    node.take_and_judge(file).await;
    let bundles = node.config.policy.bundles.as_mut().unwrap();
    bundles.publishers.retain(|one| one.name() != "publisher 3");
    let mut node = node.restarted();
    node.advance(DELAY).await;
    assert_eq!(node.present(), Some(1));
    assert_eq!(node.life.schedule.waiting, None);
    let audit = node.audit().join("\n");
    assert!(audit.contains("it does not take effect: 1 of"), "{audit}");
    assert_eq!(node.refused(), [("not-published", 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_withdrawn_does_not_come_back_after_a_restart() {
    let mut node = with_two().await;
    let file = node.bundle(2, &["a"], &[1, 2]);
    node.take_and_judge(file).await;
    node.ask(BundleRequest::Withdraw).await.unwrap();
    let mut node = node.restarted();
    node.advance(DELAY).await;
    assert_eq!(node.present(), Some(1));
    assert!(
        node.audit()
            .join("\n")
            .contains("withdrawn by the operator")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_is_judged_and_waits() {
    let mut node = with_two().await;
    let file = node.bundle(2, &["a", "b", "c"], &[1, 2]);
    node.take_and_judge(file).await;
    node.advance(Duration::ZERO).await;
    let asked = node.ask(BundleRequest::RollBack).await.unwrap();
    assert!(asked.schedule.waiting.unwrap().rollback);
    node.judge().await;
    node.advance(Duration::ZERO).await;
    assert_eq!(node.present(), Some(2), "`c` would be gone");
    node.advance(DELAY).await;
    assert_eq!(node.present(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_whose_component_cannot_be_loaded_is_dropped_with_an_alarm() {
    let mut node = Fixture::new();
    let file = node.bundle(1, &["a"], &[1, 2]);
    let whole = Bundle::decode(&std::fs::read(&file).unwrap()).unwrap();
    let mut manifest = whole.manifest().clone();
    let junk = b"junk".to_vec();
    manifest.entries[0].component = sha256(&junk);
    let files = BTreeMap::from([(sha256(&junk), junk), (sha256(b"{}"), b"{}".to_vec())]);
    manifest.files = files
        .iter()
        .map(|(sha256, content)| super::super::manifest::FileRecord {
            sha256: *sha256,
            bytes: content.len() as u64,
        })
        .collect();
    let bundle = Bundle::new(manifest, files).unwrap();
    let signatures = [sign(&bundle, 1), sign(&bundle, 2)];
    std::fs::write(&file, bundle.signed(signatures).encode().unwrap()).unwrap();
    node.take_and_judge(file).await;
    assert_eq!(node.life.schedule.waiting, None);
    node.advance(DELAY).await;
    assert_eq!(node.present(), None);
    assert!(node.audit().join("\n").contains("it cannot be used"));
    assert_eq!(node.refused(), [("unusable", 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_cannot_be_written_is_not_taken() {
    let mut node = with_two().await;
    let file = node.bundle(2, &["a", "b", "c"], &[1, 2]);
    let folder = node.dir.path().join("bundles");
    std::fs::rename(&folder, node.dir.path().join("away")).unwrap();
    std::fs::write(&folder, "in the way").unwrap();
    let policy = Arc::new(node.config.policy.clone());
    let (answer, told) = oneshot::channel();
    let request = BundleRequest::Take(file, answer);
    node.life.heed(request, &policy).await;
    assert!(matches!(told.await.unwrap(), Err(TakeError::Folder(_))));
    assert_eq!(node.life.schedule.waiting, None);
    assert_eq!(node.refused(), [("store", 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_bundle_is_lost_does_not_start_until_it_is_taken_again() {
    let node = with_two().await;
    let begin = |node: &Fixture| {
        let sender = mpsc::channel(1).0;
        let journal = node.journal.clone();
        BundleLife::new(
            &node.config,
            sender,
            journal,
            World::system(),
            Arc::default(),
        )
    };
    std::fs::remove_dir_all(node.dir.path().join("bundles")).unwrap();
    assert!(matches!(begin(&node), Err(FolderError::Lost(_))));
    let file = node.dir.path().join("1.bundle");
    let taken = take_first(&node.config, &node.journal, &file, UnixMillis(7)).unwrap();
    assert_eq!(taken.schedule.present.unwrap().version, 1);
    assert!(begin(&node).is_ok());
    assert_eq!(node.policy().from_bundle.len(), 2);
    let again = take_first(&node.config, &node.journal, &file, UnixMillis(8));
    assert!(matches!(again, Err(TakeError::Stopped)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_node_counts_signatures_too() {
    let node = Fixture::new();
    let file = node.bundle(1, &["a"], &[1]);
    let refused = take_first(&node.config, &node.journal, &file, UnixMillis(7));
    assert!(matches!(refused, Err(TakeError::NotPublished(_))));
    assert_eq!(node.present(), None);
    assert_eq!(node.journal.bundled_at().unwrap(), None);
}

#[tokio::test]
async fn a_node_without_plugins_takes_no_bundle() {
    let mut node = Fixture::new();
    node.config.policy.plugins.clear();
    let file = node.bundle(1, &["a"], &[1, 2]);
    let refused = node.take(file).await;
    assert!(matches!(refused, Err(TakeError::Unguarded)));
    assert_eq!(node.refused(), [("not-here", 1)]);
    assert!(node.displayed().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_counted_by_its_code_and_nothing_waits() {
    let mut node = with_two().await;
    let unsigned = node.bundle(2, &["a"], &[1]);
    let cut = node.dir.path().join("cut");
    std::fs::write(&cut, b"countersign policy bundle 1\n{").unwrap();
    let old = node.bundle(1, &["a"], &[1, 2]);
    let missing = node.dir.path().join("missing");
    for file in [unsigned.clone(), unsigned, cut, old, missing] {
        node.take(file).await.unwrap_err();
        assert_eq!(node.displayed(), [(1, false)]);
    }
    let counted = [
        ("unreadable", 1),
        ("malformed", 1),
        ("not-published", 2),
        ("out-of-turn", 1),
    ];
    assert_eq!(node.refused(), counted);
}
