//! Bundles of a node in one process, with components that are made for the tests.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::file::tests::sign;
use super::super::file::{Bundle, sha256};
use super::super::first::take_first;
use super::super::manifest::tests::{entry, manifest};
use super::super::published::tests::settings;
use super::*;
use crate::config::Shadow;
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
        let config = self.complete();
        let journal = self.journal.clone();
        let world = World::system();
        let life = BundleLife::new(&config, sender, journal, world, board.clone());
        Self {
            life: life.unwrap().unwrap(),
            requests,
            board,
            ..self
        }
    }

    /// The configuration as the node reads it at a start.
    fn complete(&self) -> Config {
        Config {
            policy: Policy::clone(&self.policy()),
            ..self.config.clone()
        }
    }

    /// What the node finds when it starts with this configuration.
    fn begin(&self, config: &Config) -> Result<Option<BundleLife>, FolderError> {
        let sender = mpsc::channel(1).0;
        let journal = self.journal.clone();
        BundleLife::new(config, sender, journal, World::system(), Arc::default())
    }

    fn folder(&self) -> BundleFolder {
        BundleFolder::of(self.dir.path())
    }

    fn policy(&self) -> Arc<Policy> {
        let folder = BundleFolder::of(self.dir.path());
        Arc::new(folder.complete(self.config.policy.clone()).unwrap())
    }

    /// A bundle with entries of these labels, signed by these publishers.
    fn bundle(&self, version: u64, labels: &[&str], signers: &[u8]) -> PathBuf {
        let component = Specimen::rejecting().component();
        self.bundle_of(component, version, labels, signers)
    }

    /// The same with this component.
    fn bundle_of(
        &self,
        component: Vec<u8>,
        version: u64,
        labels: &[&str],
        signers: &[u8],
    ) -> PathBuf {
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
        if !self.life.taken_up {
            // As the guard does.
            let own = Arc::new(self.config.policy.clone());
            self.life.complete(&own).await.unwrap();
            self.life.follow_up().await;
        }
    }

    /// Has the next step tried at once, though one has failed.
    async fn try_now(&mut self) {
        self.life.not_before = Instant::now();
        self.advance(Duration::ZERO).await;
    }

    /// The number of bundles on the disk.
    fn stored(&self) -> usize {
        let files = std::fs::read_dir(self.dir.path().join("bundles")).unwrap();
        files
            .filter(|file| file.as_ref().unwrap().path().is_dir())
            .count()
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
    let file = node.bundle_of(b"junk".to_vec(), 1, &["a"], &[1, 2]);
    node.take_and_judge(file).await;
    assert_eq!(node.life.schedule.waiting, None);
    node.advance(DELAY).await;
    assert_eq!(node.present(), None);
    assert!(node.audit().join("\n").contains("it cannot be used"));
    assert_eq!(node.refused(), [("unusable", 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_of_the_machine_leaves_a_bundle_unjudged_until_it_is_over() {
    let mut node = with_two().await;
    let keys = &mut node.config.policy.public_keys;
    keys.insert("approver".into(), "/nonexistent/approver.pem".into());
    let file = node.bundle(2, &["a", "b", "c"], &[1, 2]);
    node.take_and_judge(file).await;
    let waiting = node.life.schedule.waiting.clone().unwrap();
    assert_eq!(waiting.judgement, None, "nothing was found out");
    node.config.policy.public_keys.clear();
    node.try_now().await;
    node.judge().await;
    node.advance(Duration::ZERO).await;
    assert_eq!(node.present(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_guards_what_nothing_guarded_waits() {
    let mut node = Fixture::new();
    let scope = &mut node.config.policy.plugins[0].scope;
    scope.operations = vec![countersign_protocol::OperationKind::KeyGen];
    let mut node = node.restarted();
    let file = node.bundle(1, &["a"], &[1, 2]);
    node.take_and_judge(file).await;
    node.advance(Duration::ZERO).await;
    assert_eq!(node.present(), None);
    let audit = node.audit().join("\n");
    assert!(
        audit.contains("specimen:a: its scope is not within"),
        "{audit}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_that_no_longer_fits_is_dropped_when_its_wait_is_over() {
    let mut node = with_two().await;
    let file = node.bundle(2, &["a", "c"], &[1, 2]);
    node.take_and_judge(file).await;
    let mut shadow = specimen::entry("c", Path::new("own.wasm"));
    shadow.shadow = Some(Shadow::Chain);
    node.config.policy.plugins.push(shadow);
    let mut node = node.restarted();
    node.advance(DELAY).await;
    assert_eq!(node.present(), Some(1));
    assert_eq!(node.life.schedule.waiting, None);
    let audit = node.audit().join("\n");
    assert!(
        audit.contains("it does not take effect: its entry"),
        "{audit}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_to_what_too_few_have_signed_by_now_is_refused_at_once() {
    let mut node = with_two().await;
    let file = node.bundle(2, &["a", "b", "c"], &[2, 3]);
    node.take_and_judge(file).await;
    node.advance(Duration::ZERO).await;
    let bundles = node.config.policy.bundles.as_mut().unwrap();
    bundles.publishers.retain(|one| one.name() != "publisher 1");
    let mut node = node.restarted();
    let refused = node.ask(BundleRequest::RollBack).await.unwrap_err();
    assert!(matches!(refused, TakeError::NotPublished(_)), "{refused}");
    assert_eq!(node.life.schedule.waiting, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_cannot_be_kept_is_not_in_force_and_not_noted() {
    let mut node = Fixture::new();
    let file = node.bundle(1, &["a"], &[1, 2]);
    node.take_and_judge(file).await;
    let state = node.dir.path().join("bundles/state.json");
    let aside = node.dir.path().join("aside.json");
    std::fs::rename(&state, &aside).unwrap();
    std::fs::create_dir(&state).unwrap();
    let own = Arc::new(node.config.policy.clone());
    node.life.advance(&own).await;
    assert_eq!(node.life.schedule.present, None);
    assert!(node.life.taken_up && node.life.schedule.waiting.is_some());
    assert_eq!(node.journal.bundle_mark().unwrap(), None);
    std::fs::remove_dir(&state).unwrap();
    std::fs::rename(&aside, &state).unwrap();
    // Nothing locks the operator out meanwhile.
    let mut node = node.restarted();
    node.advance(Duration::ZERO).await;
    assert_eq!(node.present(), Some(1));
    let noted = node.journal.bundle_mark().unwrap();
    assert_eq!(noted, node.life.schedule.mark());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_that_took_effect_before_the_journal_knew_of_it_is_noted_after_a_crash() {
    let mut node = Fixture::new();
    let file = node.bundle(1, &["a"], &[1, 2]);
    node.take_and_judge(file).await;
    let mut schedule = node.life.schedule.clone();
    assert!(schedule.put_in_force(UnixMillis(7)));
    node.folder().keep(&schedule).unwrap();
    let mut node = node.restarted();
    assert_eq!(node.journal.bundle_mark().unwrap(), None);
    node.advance(Duration::ZERO).await;
    assert_eq!(node.journal.bundle_mark().unwrap(), schedule.mark());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_waited_is_written_down_when_the_node_stops() {
    let mut node = with_two().await;
    let file = node.bundle(2, &["a"], &[1, 2]);
    node.take_and_judge(file).await;
    node.life.counted = node.life.counted.checked_sub(DELAY / 2).unwrap();
    let folder = node.folder();
    node.life.stop().await;
    let waiting = folder.schedule().unwrap().waiting.unwrap();
    assert!(waiting.waited_ms >= 30_000, "{}", waiting.waited_ms);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_that_another_one_replaces_is_on_record_and_leaves_nothing() {
    let mut node = with_two().await;
    for (version, label) in [(2, "c"), (3, "d")] {
        let file = node.bundle(version, &[label], &[1, 2]);
        node.take_and_judge(file).await;
    }
    let audit = node.audit().join("\n");
    assert!(audit.contains("policy bundle 2 "), "{audit}");
    assert!(
        audit.contains("another bundle waits in its place"),
        "{audit}"
    );
    assert_eq!(node.stored(), 2);
    node.ask(BundleRequest::Withdraw).await.unwrap();
    assert_eq!(node.stored(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_files_of_the_bundle_in_force_are_mended_by_taking_it_again() {
    let mut node = with_two().await;
    let file = node.dir.path().join("1.bundle");
    let present = node.life.schedule.present.clone().unwrap().bundle;
    let component = sha256(&Specimen::rejecting().component());
    let stored = node
        .dir
        .path()
        .join(format!("bundles/{present}/{component}"));
    std::fs::write(&stored, "junk").unwrap();
    assert!(node.folder().bundle(&present).is_err());
    let status = node.take(file.clone()).await.unwrap();
    assert_eq!(status.schedule.waiting, None);
    node.folder().bundle(&present).unwrap();
    std::fs::write(&stored, "junk").unwrap();
    let taken = take_first(&node.config, &node.journal, &file, UnixMillis(7)).await;
    assert_eq!(taken.unwrap().schedule.present.unwrap().bundle, present);
    node.folder().bundle(&present).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_bundle_was_taken_after_it_read_its_configuration_does_not_start() {
    let node = with_two().await;
    let stale = node.begin(&node.config);
    assert!(matches!(stale, Err(FolderError::Overtaken)));
    assert!(node.begin(&node.complete()).is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_node_believes_no_folder_that_was_changed_behind_it() {
    let node = with_two().await;
    let state = node.dir.path().join("bundles/state.json");
    std::fs::remove_file(&state).unwrap();
    // Without a state, the configuration is read without the entries of a bundle.
    let read = node.complete();
    assert!(read.policy.from_bundle.is_empty());
    let renewed = node.life.renewed(read.clone()).await.unwrap();
    assert_eq!(renewed.policy.from_bundle.len(), 2);
    std::fs::rename(
        node.dir.path().join("bundles"),
        node.dir.path().join("away"),
    )
    .unwrap();
    assert!(node.life.renewed(read).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_removal_of_the_section_is_an_alarm() {
    let mut node = with_two().await;
    node.config.policy.bundles = None;
    assert!(node.begin(&node.config).unwrap().is_none());
    let audit = node.audit().join("\n");
    assert!(audit.contains("policy.bundles was removed"), "{audit}");
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
    std::fs::remove_dir_all(node.dir.path().join("bundles")).unwrap();
    let lost = node.begin(&node.config);
    assert!(matches!(lost, Err(FolderError::Lost(_))));
    let asked = BundleStatus::at_rest(&node.config, &node.journal, UnixMillis(7));
    assert!(asked.is_err(), "nobody is told that there is none");
    let file = node.dir.path().join("1.bundle");
    let taken = take_first(&node.config, &node.journal, &file, UnixMillis(7)).await;
    assert_eq!(taken.unwrap().schedule.present.unwrap().version, 1);
    assert!(node.begin(&node.complete()).is_ok());
    assert_eq!(node.policy().from_bundle.len(), 2);
    let other = node.bundle(2, &["a", "b", "c"], &[1, 2]);
    let again = take_first(&node.config, &node.journal, &other, UnixMillis(8)).await;
    assert!(matches!(again, Err(TakeError::Stopped)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_bundle_does_not_take_the_place_of_one_that_is_lost() {
    let mut node = with_two().await;
    let file = node.bundle(5, &["a", "b", "c"], &[1, 2]);
    node.take_and_judge(file).await;
    node.advance(Duration::ZERO).await;
    std::fs::remove_dir_all(node.dir.path().join("bundles")).unwrap();
    let other = node.bundle(4, &["a"], &[1, 2]);
    for older in [node.dir.path().join("1.bundle"), other] {
        let refused = take_first(&node.config, &node.journal, &older, UnixMillis(7)).await;
        assert!(matches!(refused, Err(TakeError::Schedule(_))));
    }
    let later = node.bundle(6, &["a", "b", "c"], &[1, 2]);
    let taken = take_first(&node.config, &node.journal, &later, UnixMillis(7)).await;
    let schedule = taken.unwrap().schedule;
    assert_eq!(node.journal.bundle_mark().unwrap(), schedule.mark());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_node_counts_signatures_and_loads_what_it_takes() {
    let node = Fixture::new();
    let unsigned = node.bundle(1, &["a"], &[1]);
    let refused = take_first(&node.config, &node.journal, &unsigned, UnixMillis(7)).await;
    assert!(matches!(refused, Err(TakeError::NotPublished(_))));
    let junk = node.bundle_of(b"junk".to_vec(), 2, &["a"], &[1, 2]);
    let refused = take_first(&node.config, &node.journal, &junk, UnixMillis(7)).await;
    assert!(matches!(refused, Err(TakeError::Trial(_))));
    assert_eq!((node.present(), node.stored()), (None, 0));
    assert_eq!(node.journal.bundle_mark().unwrap(), None);
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
