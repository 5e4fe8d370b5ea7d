//! The bundles of a running node: takes them, has them judged, counts their wait, and says which
//! one is in force. Every step is in the audit log and on the disk before it counts.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_protocol::{Hash, UnixMillis};
use countersign_store::{Journal, WriteJournalError};
use tokio::sync::{mpsc, oneshot};

use super::board::{BundleBoard, PostedBundle};
use super::file::{FormatError, LARGEST};
use super::folder::{BundleFolder, FolderError};
use super::judge::Judgement;
use super::judging::{Judged, Judging};
use super::published::{NotPublished, Published};
use super::schedule::{Schedule, ScheduleError, Waiting};
use super::status::{BundleStatus, replaced};
use super::trial::{Trial, TrialError};
use crate::config::{Bundles, Config, Policy};
use crate::off_thread::{off_thread, record_alarm, with_journal};
use crate::world::World;

/// Interval at which the time that was waited is written down. A crash loses no more than this, and
/// the wait becomes longer by it.
const KEEP: Duration = Duration::from_secs(60);
/// Time after which a step that failed is tried again.
const RETRY: Duration = Duration::from_secs(30);

/// Takes the state of the bundles after a request, or the reason why it was refused.
pub type BundleAnswer = oneshot::Sender<Result<BundleStatus, TakeError>>;

/// What is asked of the bundles of a running node.
#[derive(Debug)]
pub enum BundleRequest {
    /// Take the bundle in this file.
    Take(PathBuf, BundleAnswer),
    /// Return to the bundle before the present one.
    RollBack(BundleAnswer),
    /// Take back the bundle that waits.
    Withdraw(BundleAnswer),
    /// Only tell.
    Tell(BundleAnswer),
    /// A bundle was judged.
    Judged(Judged),
}

/// Reasons why a request about bundles was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TakeError {
    /// The operator follows no bundles.
    #[error(
        "this node takes no policy bundles; write policy.bundles into its configuration, and restart it"
    )]
    NotFollowed,
    /// The node runs without plugins.
    #[error(
        "this node runs without plugins, and takes its first one at a start only; stop it, take the bundle, and start it"
    )]
    Unguarded,
    /// The node is stopped, and it has had a bundle.
    #[error("no node is running here, and only a running one judges a bundle; start it")]
    Stopped,
    /// The file cannot be read.
    #[error("cannot read {}: {source}; name a file that the node's user can read", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// The file is not a bundle.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// Too few have signed it, or it is another policy.
    #[error(transparent)]
    NotPublished(#[from] NotPublished),
    /// It does not follow what is in force.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// It cannot be stored, or asks for too much.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// Its entries cannot be loaded here.
    #[error(transparent)]
    Trial(#[from] TrialError),
    /// The step could not be put on record.
    #[error("nothing was changed, since that could not be recorded: {0}")]
    Record(#[from] WriteJournalError),
}

impl TakeError {
    /// True if the bundle itself is at fault, so that another try would end likewise.
    pub fn is_of_the_bundle(&self) -> bool {
        match self {
            Self::Format(_) | Self::NotPublished(_) => true,
            Self::Folder(error) => error.is_of_the_bundle(),
            Self::Trial(error) => error.is_of_the_bundle(),
            Self::NotFollowed
            | Self::Unguarded
            | Self::Stopped
            | Self::Unreadable { .. }
            | Self::Schedule(_)
            | Self::Record(_) => false,
        }
    }
}

impl BundleRequest {
    /// Tells whoever asked that the node follows no bundles.
    pub fn refuse(self) {
        let answer = match self {
            Self::Take(_, answer)
            | Self::RollBack(answer)
            | Self::Withdraw(answer)
            | Self::Tell(answer) => answer,
            Self::Judged(_) => return,
        };
        // Whoever has asked may have gone.
        drop(answer.send(Err(TakeError::NotFollowed)));
    }
}

/// The bundles of a running node.
pub struct BundleLife {
    pub(super) settings: Bundles,
    pub(super) folder: BundleFolder,
    /// The node's folder.
    pub(super) dir: PathBuf,
    pub(super) schedule: Schedule,
    /// The trial of the bundle that waits.
    pub(super) judging: Option<Judging>,
    /// True if the guard decides by the bundle in force.
    pub(crate) taken_up: bool,
    /// True if the journal knows of the bundle in force.
    noted: bool,
    /// The last time at which time was counted, and that at which it was written down.
    counted: Instant,
    kept: Instant,
    /// Steps that failed are not tried again before this.
    not_before: Instant,
    pub(super) requests: mpsc::Sender<BundleRequest>,
    journal: Journal,
    pub(super) world: World,
    /// Shows the state to other parts of the node.
    pub(super) board: Arc<BundleBoard>,
}

impl BundleLife {
    /// Goes on with what is on the disk. The guard was loaded with the bundle in force. Fails if
    /// that is another one by now: it could be taken until the journal was open.
    pub fn new(
        config: &Config,
        requests: mpsc::Sender<BundleRequest>,
        journal: Journal,
        world: World,
        board: Arc<BundleBoard>,
    ) -> Result<Option<Self>, FolderError> {
        let mark = journal.bundle_mark()?;
        let Some(settings) = config.policy.bundles.clone() else {
            if mark.is_some() {
                warn_of_removal(&journal, world.now());
            }
            return Ok(None);
        };
        let folder = BundleFolder::of(&config.dir);
        let schedule = folder.expected(&journal)?;
        let present = schedule.present.as_ref().map(|present| present.bundle);
        if folder.with(config.policy.clone(), present.as_ref())? != config.policy {
            return Err(FolderError::Overtaken);
        }
        let now = Instant::now();
        let life = Self {
            settings,
            noted: schedule.mark() == mark,
            schedule,
            folder,
            dir: config.dir.clone(),
            judging: None,
            taken_up: true,
            counted: now,
            kept: now,
            not_before: now,
            requests,
            journal,
            world,
            board,
        };
        life.post();
        Ok(Some(life))
    }

    /// Does what is asked. `policy` is the one in force.
    pub async fn heed(&mut self, request: BundleRequest, policy: &Arc<Policy>) {
        self.act(request, policy).await;
        self.post();
    }

    async fn act(&mut self, request: BundleRequest, policy: &Arc<Policy>) {
        let (answer, done) = match request {
            BundleRequest::Take(file, answer) => {
                let done = self.take(file, policy).await;
                if let Err(error) = &done {
                    self.board.refuse(error.code());
                    self.sweep().await;
                }
                (answer, done)
            }
            BundleRequest::RollBack(answer) => (answer, self.roll_back(policy).await),
            BundleRequest::Withdraw(answer) => (answer, self.withdraw().await),
            BundleRequest::Tell(answer) => (answer, Ok(())),
            BundleRequest::Judged(judged) => return self.judged(judged).await,
        };
        self.begin_trial(policy);
        let status = done.and_then(|()| self.status(policy));
        // Whoever has asked may have gone.
        drop(answer.send(status));
    }

    /// Counts the time that has passed, and puts the bundle that is due in force. The guard has to
    /// follow.
    pub async fn advance(&mut self, policy: &Arc<Policy>) {
        let now = self.count();
        if now < self.not_before {
            return self.post();
        }
        if let Err(error) = self.go_on(now, policy).await {
            self.try_later();
            tracing::error!(%error, "the policy bundles did not advance");
        }
        self.begin_trial(policy);
        self.post();
    }

    /// Shows other parts of the node the state as it is.
    fn post(&self) {
        let bundles = PostedBundle::all(&self.settings, &self.schedule, self.taken_up);
        self.board.post(bundles);
    }

    /// Writes down the time that was waited. The node stops.
    pub async fn stop(mut self) {
        self.count();
        self.judging = None;
        if self.schedule.waiting.is_some()
            && let Err(error) = self.keep(self.schedule.clone()).await
        {
            tracing::warn!(%error, "the wait of a policy bundle was not written down; it becomes longer");
        }
    }

    /// False for a while after a step has failed.
    pub fn may_try(&self) -> bool {
        Instant::now() >= self.not_before
    }

    /// Waits a while before the next step.
    pub fn try_later(&mut self) {
        self.not_before = Instant::now() + RETRY;
    }

    /// The policy with the entries of the bundle in force.
    pub async fn complete(&self, policy: &Arc<Policy>) -> Result<Policy, FolderError> {
        let present = self.present();
        let folder = self.folder.clone();
        let policy = policy.clone();
        off_thread(move || folder.with(Policy::clone(&policy), present.as_ref())).await
    }

    /// A configuration that was read again, with the entries of the bundle in force. Which one that
    /// is, a running node knows: its folder may have been moved away.
    pub async fn renewed(&self, config: Config) -> Result<Config, FolderError> {
        if config.policy.bundles.is_none() {
            // This waits for a restart.
            return Ok(config);
        }
        let policy = self.complete(&Arc::new(config.policy.clone())).await?;
        Ok(Config { policy, ..config })
    }

    /// Notes that the guard decides by the bundle in force.
    pub async fn follow_up(&mut self) {
        self.taken_up = true;
        self.sweep().await;
    }

    /// Removes the files of bundles that nobody needs. The guard may need those of earlier ones
    /// until it has followed.
    pub(super) async fn sweep(&self) {
        if !self.taken_up {
            return;
        }
        let folder = self.folder.clone();
        let schedule = self.schedule.clone();
        if let Err(error) = off_thread(move || folder.sweep(&schedule)).await {
            tracing::warn!(%error, "old policy bundles could not be removed");
        }
    }

    fn present(&self) -> Option<Hash> {
        let present = self.schedule.present.as_ref();
        present.map(|present| present.bundle)
    }

    /// Counts the time since it was last counted.
    fn count(&mut self) -> Instant {
        let now = Instant::now();
        self.schedule.pass(now.duration_since(self.counted));
        self.counted = now;
        now
    }

    async fn go_on(&mut self, now: Instant, policy: &Arc<Policy>) -> Result<(), TakeError> {
        if !self.noted {
            self.note().await?;
        }
        match self.schedule.due().cloned() {
            Some(due) => self.put_in_force(due, policy).await,
            None => self.write_down(now).await,
        }
    }

    async fn take(&mut self, file: PathBuf, policy: &Arc<Policy>) -> Result<(), TakeError> {
        if policy.plugins.is_empty() {
            return Err(TakeError::Unguarded);
        }
        let settings = self.settings.clone();
        let published = off_thread(move || read_published(file, &settings)).await?;
        if self.schedule.has_in_force(&published.hash()) {
            // Its files may be damaged.
            return Ok(self.store(published, policy).await?);
        }
        let mut next = self.schedule.clone();
        let replaced = next.take(
            published.hash(),
            published.bundle().manifest(),
            published.signers(),
            self.settings.delay,
            self.world.now(),
        )?;
        let text = format!(
            "taken, signed by {}; it waits {} s unless it is shown to refuse whatever the present one refused",
            published.signers().join(", "),
            self.settings.delay.as_secs()
        );
        self.store(published, policy).await?;
        self.have_wait(next, replaced, &text).await
    }

    /// Stores a bundle if its entries ask for nothing that the operator does not grant.
    async fn store(&self, published: Published, policy: &Arc<Policy>) -> Result<(), FolderError> {
        let folder = self.folder.clone();
        let policy = policy.clone();
        off_thread(move || {
            folder.admits(&policy, published.bundle())?;
            folder.store(published.bundle())
        })
        .await
    }

    async fn roll_back(&mut self, policy: &Arc<Policy>) -> Result<(), TakeError> {
        let mut next = self.schedule.clone();
        let replaced = next.roll_back(self.settings.delay, self.world.now())?;
        if let Some(waiting) = &next.waiting {
            self.check(waiting.bundle, policy).await?;
        }
        let text = "wanted back by the operator; it is judged and waits like any other";
        self.have_wait(next, replaced, text).await
    }

    /// Has a bundle wait, in place of the one that waits.
    async fn have_wait(
        &mut self,
        next: Schedule,
        replaced: Option<Waiting>,
        text: &str,
    ) -> Result<(), TakeError> {
        if let Some(replaced) = replaced {
            self.record(about(&replaced, "another bundle waits in its place"))
                .await?;
        }
        self.step(next, text).await?;
        self.begin_wait();
        self.sweep().await;
        Ok(())
    }

    /// What waited before is not judged any more, and time that passed before does not count.
    fn begin_wait(&mut self) {
        self.judging = None;
        self.counted = Instant::now();
        self.not_before = self.counted;
    }

    async fn withdraw(&mut self) -> Result<(), TakeError> {
        let mut next = self.schedule.clone();
        let withdrawn = next.withdraw()?;
        let text = about(&withdrawn, "withdrawn by the operator");
        self.record(text).await?;
        self.keep(next).await?;
        self.judging = None;
        self.sweep().await;
        Ok(())
    }

    /// Drops the bundle that waits, for this reason.
    pub(super) async fn drop_waiting(
        &mut self,
        waiting: &Waiting,
        why: &str,
    ) -> Result<(), TakeError> {
        let mut next = self.schedule.clone();
        next.withdraw()?;
        self.alarm(about(waiting, why)).await;
        self.keep(next).await?;
        self.judging = None;
        self.sweep().await;
        Ok(())
    }

    async fn put_in_force(&mut self, due: Waiting, policy: &Arc<Policy>) -> Result<(), TakeError> {
        match self.check(due.bundle, policy).await {
            Ok(()) => {}
            Err(error) if error.is_of_the_bundle() => {
                self.board.refuse(error.code());
                let text = format!("it does not take effect: {error}");
                return self.drop_waiting(&due, &text).await;
            }
            Err(error) => return Err(error),
        }
        let mut next = self.schedule.clone();
        if !next.put_in_force(self.world.now()) {
            return Ok(());
        }
        let why = match due.judgement {
            Some(Judgement::Tightens) => "it is shown to refuse whatever the one before refused",
            Some(Judgement::MayLoosen(_)) | None => "it has waited for its delay",
        };
        self.record(about(&due, &format!("takes effect, since {why}")))
            .await?;
        self.keep(next).await?;
        self.taken_up = false;
        self.judging = None;
        // After the state: a node that knows of a bundle does not start without it.
        self.noted = false;
        self.note().await
    }

    /// Checks a stored bundle as if it were taken now: publishers may have been taken off the list
    /// since, the operator may grant less, and files may have been damaged.
    async fn check(&self, bundle: Hash, policy: &Arc<Policy>) -> Result<(), TakeError> {
        let folder = self.folder.clone();
        let settings = self.settings.clone();
        let present = self.present();
        let policy = Policy::clone(policy);
        let now = self.world.now();
        let trial = off_thread(move || {
            Published::verify(folder.bundle(&bundle)?, &settings)?;
            let trial = Trial::prepare(&folder, policy, present.as_ref(), &bundle, now);
            trial.map_err(TakeError::from)
        });
        Ok(trial.await?.load_all().await?)
    }

    /// Notes in the journal which bundle is in force.
    async fn note(&mut self) -> Result<(), TakeError> {
        if let Some(mark) = self.schedule.mark() {
            with_journal(&self.journal, move |journal| journal.bundled(mark)).await?;
        }
        self.noted = true;
        Ok(())
    }

    async fn write_down(&mut self, now: Instant) -> Result<(), TakeError> {
        if self.schedule.waiting.is_some() && now.duration_since(self.kept) >= KEEP {
            self.keep(self.schedule.clone()).await?;
        }
        Ok(())
    }

    /// Records a step of the bundle that waits in `next`, and goes there.
    pub(super) async fn step(&mut self, next: Schedule, text: &str) -> Result<(), TakeError> {
        if let Some(waiting) = &next.waiting {
            self.record(about(waiting, text)).await?;
        }
        Ok(self.keep(next).await?)
    }

    async fn record(&self, text: String) -> Result<(), WriteJournalError> {
        tracing::info!("{text}");
        let now = self.world.now();
        with_journal(&self.journal, move |journal| {
            journal.policy(now, &text, None)
        })
        .await
    }

    async fn alarm(&self, text: String) {
        tracing::warn!("{text}");
        record_alarm(&self.journal, self.world.now(), text).await;
    }

    async fn keep(&mut self, next: Schedule) -> Result<(), FolderError> {
        let folder = self.folder.clone();
        let kept = next.clone();
        off_thread(move || folder.keep(&kept)).await?;
        self.schedule = next;
        self.kept = Instant::now();
        Ok(())
    }

    fn status(&self, policy: &Policy) -> Result<BundleStatus, TakeError> {
        let replaced = replaced(&self.folder, &self.schedule, policy)?;
        let now = self.world.now();
        let status = BundleStatus::new(&self.settings, self.schedule.clone(), replaced, now);
        Ok(BundleStatus {
            judging: self.judging.is_some(),
            taken_up: Some(self.taken_up),
            ..status
        })
    }
}

/// Reads a bundle that enough publishers have signed.
pub(super) fn read_published(file: PathBuf, settings: &Bundles) -> Result<Published, TakeError> {
    let bytes = countersign_files::read(&file, LARGEST);
    let bytes = bytes.map_err(|source| TakeError::Unreadable { file, source })?;
    Published::decode(&bytes, settings)
}

/// Puts on record that the entries of a bundle decide no more, since the operator follows none.
fn warn_of_removal(journal: &Journal, now: UnixMillis) {
    let text = "policy.bundles was removed from the configuration, so the entries of the policy bundle that was in force decide no more";
    tracing::warn!("{text}");
    if let Err(error) = journal.alarm(now, None, text) {
        tracing::error!(%error, "the alarm was not recorded");
    }
}

/// A line of the audit log about a bundle.
fn about(waiting: &Waiting, text: &str) -> String {
    let Waiting {
        bundle, version, ..
    } = waiting;
    format!("policy bundle {version} ({bundle}): {text}")
}

#[cfg(test)]
#[path = "life_tests.rs"]
mod tests;
