//! The bundles of a running node: takes them, has them judged, counts their wait, and says which
//! one is in force. Every step is in the audit log and on the disk before it counts.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_protocol::{Hash, UnixMillis};
use countersign_store::{Journal, WriteJournalError};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use super::board::{BundleBoard, PostedBundle};
use super::file::{Bundle, FormatError, LARGEST};
use super::folder::{BundleFolder, FolderError};
use super::judge::Judgement;
use super::published::{NotPublished, Published};
use super::schedule::{Schedule, ScheduleError, Waiting};
use super::trial::{self, Trial, TrialError};
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

/// The end of a trial.
#[derive(Debug)]
pub struct Judged {
    bundle: Hash,
    against: Option<Hash>,
    /// The judgement, or the reason why the bundle cannot be used at all.
    outcome: Result<Judgement, String>,
}

/// The state of a node's bundles, for its operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleStatus {
    /// Name of the policy that the node follows.
    pub name: String,
    /// Those whose signatures count.
    pub publishers: Vec<String>,
    /// Number of them who must have signed.
    pub needed: usize,
    /// Milliseconds for which a bundle waits that may loosen the policy.
    pub delay_ms: u64,
    /// What is in force, was before, and waits.
    pub schedule: Schedule,
    /// True if the bundle that waits is being judged.
    pub judging: bool,
    /// True if the running node decides by the bundle in force; `None` if no node is running.
    pub taken_up: Option<bool>,
    /// Entries of the bundle in force in whose place the operator's own stand.
    pub replaced: Vec<String>,
    /// The time by the node's clock.
    pub now: UnixMillis,
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
    /// The step could not be put on record.
    #[error("nothing was changed, since that could not be recorded: {0}")]
    Record(#[from] WriteJournalError),
}

/// The bundles of a running node.
pub struct BundleLife {
    settings: Bundles,
    folder: BundleFolder,
    /// The node's folder.
    dir: PathBuf,
    schedule: Schedule,
    /// The bundle that is being judged.
    judging: Option<Hash>,
    /// True if the guard decides by the bundle in force.
    pub(crate) taken_up: bool,
    /// The last time at which time was counted, and that at which it was written down.
    counted: Instant,
    kept: Instant,
    /// Steps that failed are not tried again before this.
    not_before: Instant,
    requests: mpsc::Sender<BundleRequest>,
    journal: Journal,
    world: World,
    /// Shows the state to other parts of the node.
    board: Arc<BundleBoard>,
}

impl BundleStatus {
    /// The state of the node that is not running and has this configuration.
    pub fn at_rest(config: &Config, now: UnixMillis) -> Result<Self, TakeError> {
        let settings = config.policy.bundles.as_ref();
        let settings = settings.ok_or(TakeError::NotFollowed)?;
        let folder = BundleFolder::of(&config.dir);
        let schedule = folder.schedule()?;
        let replaced = replaced(&folder, &schedule, &config.policy)?;
        Ok(Self::new(settings, schedule, replaced, now))
    }

    fn new(settings: &Bundles, schedule: Schedule, replaced: Vec<String>, now: UnixMillis) -> Self {
        let publishers = settings.publishers.iter();
        Self {
            name: settings.name.clone(),
            publishers: publishers.map(|one| one.name().to_owned()).collect(),
            needed: settings.needed,
            delay_ms: u64::try_from(settings.delay.as_millis()).unwrap_or(u64::MAX),
            schedule,
            judging: false,
            taken_up: None,
            replaced,
            now,
        }
    }
}

/// Entries of the bundle in force that the policy has not from it.
fn replaced(
    folder: &BundleFolder,
    schedule: &Schedule,
    policy: &Policy,
) -> Result<Vec<String>, FolderError> {
    let Some(present) = &schedule.present else {
        return Ok(Vec::new());
    };
    let names = folder.manifest(&present.bundle)?.entries.into_iter();
    let names = names.map(|entry| entry.name);
    Ok(names
        .filter(|name| !policy.from_bundle.contains(name))
        .collect())
}

impl BundleLife {
    /// Goes on with what is on the disk. The guard was loaded with the bundle in force.
    pub fn new(
        config: &Config,
        requests: mpsc::Sender<BundleRequest>,
        journal: Journal,
        world: World,
        board: Arc<BundleBoard>,
    ) -> Result<Option<Self>, FolderError> {
        let Some(settings) = config.policy.bundles.clone() else {
            return Ok(None);
        };
        let folder = BundleFolder::of(&config.dir);
        let now = Instant::now();
        let life = Self {
            settings,
            schedule: folder.expected(&journal)?,
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
                }
                (answer, done)
            }
            BundleRequest::RollBack(answer) => (answer, self.roll_back().await),
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
        let now = Instant::now();
        self.schedule.pass(now.duration_since(self.counted));
        self.counted = now;
        if now < self.not_before {
            return self.post();
        }
        let moved = match self.schedule.due().cloned() {
            Some(due) => self.put_in_force(due).await,
            None => self.write_down(now).await,
        };
        if let Err(error) = moved {
            self.not_before = now + RETRY;
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
        let present = self.schedule.present.as_ref();
        let present = present.map(|present| present.bundle);
        let folder = self.folder.clone();
        let policy = policy.clone();
        off_thread(move || folder.with(Policy::clone(&policy), present.as_ref())).await
    }

    /// Removes the files of bundles that nobody needs.
    pub async fn sweep(&self) {
        let folder = self.folder.clone();
        let schedule = self.schedule.clone();
        if let Err(error) = off_thread(move || folder.sweep(&schedule)).await {
            tracing::warn!(%error, "old policy bundles could not be removed");
        }
    }

    async fn take(&mut self, file: PathBuf, policy: &Arc<Policy>) -> Result<(), TakeError> {
        if policy.plugins.is_empty() {
            return Err(TakeError::Unguarded);
        }
        let settings = self.settings.clone();
        let published = off_thread(move || read_published(file, &settings)).await?;
        let mut next = self.schedule.clone();
        next.take(
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
        self.step(next, &text).await?;
        self.begin_wait();
        Ok(())
    }

    /// Stores a bundle if its entries ask for nothing that the operator does not grant.
    async fn store(&self, published: Published, policy: &Arc<Policy>) -> Result<(), FolderError> {
        let folder = self.folder.clone();
        let policy = policy.clone();
        off_thread(move || {
            let bundle = published.bundle();
            folder.store(bundle)?;
            let with = folder.with(Policy::clone(&policy), Some(&bundle.hash()));
            with.map(drop)
        })
        .await
    }

    async fn roll_back(&mut self) -> Result<(), TakeError> {
        let mut next = self.schedule.clone();
        next.roll_back(self.settings.delay, self.world.now())?;
        self.step(
            next,
            "wanted back by the operator; it is judged and waits like any other",
        )
        .await?;
        self.begin_wait();
        Ok(())
    }

    /// What waited before is not judged any more, and time that passed before does not count.
    fn begin_wait(&mut self) {
        self.judging = None;
        self.counted = Instant::now();
    }

    async fn withdraw(&mut self) -> Result<(), TakeError> {
        let mut next = self.schedule.clone();
        let withdrawn = next.withdraw()?;
        let text = about(&withdrawn, "withdrawn by the operator");
        self.record(text).await?;
        self.keep(next).await?;
        self.judging = None;
        Ok(())
    }

    async fn put_in_force(&mut self, due: Waiting) -> Result<(), TakeError> {
        if let Err(error) = self.verify_again(&due).await {
            let mut next = self.schedule.clone();
            next.withdraw()?;
            self.board.refuse(error.code());
            let text = format!("it does not take effect: {error}");
            self.alarm(about(&due, &text)).await;
            return Ok(self.keep(next).await?);
        }
        let mut next = self.schedule.clone();
        next.put_in_force(self.world.now());
        let why = match due.judgement {
            Some(Judgement::Tightens) => "it is shown to refuse whatever the one before refused",
            Some(Judgement::MayLoosen(_)) | None => "it has waited for its delay",
        };
        self.record(about(&due, &format!("takes effect, since {why}")))
            .await?;
        let now = self.world.now();
        with_journal(&self.journal, move |journal| journal.bundled(now)).await?;
        self.keep(next).await?;
        self.taken_up = false;
        Ok(())
    }

    /// Publishers may have been taken off the list since, and files may have been damaged.
    async fn verify_again(&self, due: &Waiting) -> Result<(), TakeError> {
        let folder = self.folder.clone();
        let settings = self.settings.clone();
        let bundle = due.bundle;
        off_thread(move || {
            Published::verify(folder.bundle(&bundle)?, &settings)?;
            Ok(())
        })
        .await
    }

    async fn write_down(&mut self, now: Instant) -> Result<(), TakeError> {
        if self.schedule.waiting.is_some() && now.duration_since(self.kept) >= KEEP {
            self.keep(self.schedule.clone()).await?;
        }
        Ok(())
    }

    /// Records a step of the bundle that waits in `next`, and goes there.
    async fn step(&mut self, next: Schedule, text: &str) -> Result<(), TakeError> {
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
        let replaced = if self.taken_up {
            replaced(&self.folder, &self.schedule, policy)?
        } else {
            Vec::new()
        };
        let now = self.world.now();
        let status = BundleStatus::new(&self.settings, self.schedule.clone(), replaced, now);
        Ok(BundleStatus {
            judging: self.judging.is_some(),
            taken_up: Some(self.taken_up),
            ..status
        })
    }

    /// Begins to judge the bundle that waits, unless that is done or under way.
    fn begin_trial(&mut self, policy: &Arc<Policy>) {
        let Some(waiting) = &self.schedule.waiting else {
            return;
        };
        if waiting.judgement.is_some() || self.judging == Some(waiting.bundle) || !self.taken_up {
            return;
        }
        let bundle = waiting.bundle;
        self.judging = Some(bundle);
        let present = self.schedule.present.clone();
        let against = present.as_ref().map(|present| present.bundle);
        let since = trial::since(present.as_ref(), &self.settings, self.world.now());
        let policy = policy.clone();
        let folder = self.folder.clone();
        let dir = self.dir.clone();
        let judging = tokio::spawn(async move {
            let prepared = off_thread(move || {
                let next = folder.manifest(&bundle)?;
                let policy = Policy::clone(&policy);
                Trial::prepare(&folder, policy, present.as_ref(), next, since)
            });
            let judged: Result<Judgement, TrialError> = prepared.await?.run(&dir, |_| {}).await;
            judged
        });
        let requests = self.requests.clone();
        tokio::spawn(async move {
            let outcome = match judging.await {
                Ok(Err(error)) if !error.is_of_the_bundle() => {
                    Ok(trial::unknown(&error.to_string()))
                }
                Ok(judged) => judged.map_err(|error| error.to_string()),
                Err(_) => Ok(trial::unknown("the judging ended before its time")),
            };
            let judged = Judged {
                bundle,
                against,
                outcome,
            };
            // The node may be stopping; it judges again after the next start.
            drop(requests.send(BundleRequest::Judged(judged)).await);
        });
    }

    async fn judged(&mut self, judged: Judged) {
        let Judged {
            bundle,
            against,
            outcome,
        } = judged;
        if self.judging == Some(bundle) {
            self.judging = None;
        }
        let Some(waiting) = self.schedule.waiting.clone() else {
            return;
        };
        let mut next = self.schedule.clone();
        let done = match outcome {
            Ok(judgement) => {
                let text = match &judgement {
                    Judgement::Tightens => {
                        "judged: it refuses whatever the present one refused".into()
                    }
                    Judgement::MayLoosen(reasons) => {
                        let reasons: Vec<_> = reasons.iter().map(ToString::to_string).collect();
                        format!("judged: it may loosen, and waits; {}", reasons.join("; "))
                    }
                };
                if !next.judged(bundle, against, judgement) {
                    return;
                }
                self.step(next, &text).await
            }
            Err(why) if waiting.bundle == bundle => {
                self.board.refuse("unusable");
                self.alarm(about(&waiting, &format!("it cannot be used: {why}")))
                    .await;
                drop(next.withdraw());
                self.keep(next).await.map_err(TakeError::from)
            }
            Err(_) => return,
        };
        if let Err(error) = done {
            tracing::error!(%error, "the judgement on a policy bundle was not kept; it waits for its delay");
            self.try_later();
        }
    }
}

/// Puts a bundle in force at a node that is stopped and has none: its entries are all new, so they
/// can only refuse more. `journal` is the node's.
pub fn take_first(
    config: &Config,
    journal: &Journal,
    file: &Path,
    now: UnixMillis,
) -> Result<BundleStatus, TakeError> {
    let settings = config.policy.bundles.as_ref();
    let settings = settings.ok_or(TakeError::NotFollowed)?;
    let folder = BundleFolder::of(&config.dir);
    let mut schedule = folder.schedule()?;
    if schedule != Schedule::default() {
        return Err(TakeError::Stopped);
    }
    let published = read_published(file.into(), settings)?;
    let bundle = published.bundle();
    let hash = bundle.hash();
    let signers = published.signers();
    schedule.take(hash, bundle.manifest(), signers, settings.delay, now)?;
    schedule.judged(hash, None, Judgement::Tightens);
    folder.store(bundle)?;
    let policy = folder.with(config.policy.clone(), Some(&hash))?;
    if let Some(waiting) = &schedule.waiting {
        let text = format!(
            "taken while the node is stopped, signed by {}; takes effect as the first one",
            signers.join(", ")
        );
        journal.policy(now, &about(waiting, &text), None)?;
    }
    journal.bundled(now)?;
    schedule.put_in_force(now);
    folder.keep(&schedule)?;
    let replaced = replaced(&folder, &schedule, &policy)?;
    Ok(BundleStatus::new(settings, schedule, replaced, now))
}

fn read_published(file: PathBuf, settings: &Bundles) -> Result<Published, TakeError> {
    let bytes = countersign_files::read(&file, LARGEST);
    let bytes = bytes.map_err(|source| TakeError::Unreadable { file, source })?;
    Ok(Published::verify(Bundle::decode(&bytes)?, settings)?)
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
