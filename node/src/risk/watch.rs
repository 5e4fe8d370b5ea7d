//! Notices changed components, manifests and rule files, and swaps them in while the node runs:
//! those of plugins all or nothing, then those of receivers one by one.
//!
//! A change counts once the bytes differ and have been the same at two successive looks. New files
//! are validated beside those in force; if they are bad, the old ones stay in force, and a warning
//! goes to the log and the audit log. Keys and authorities are never reloaded unless an operator
//! asks for it (SIGHUP): a change of their files is only reported.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_protocol::UnixMillis;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use super::fingerprint::{Fingerprint, look, look_at_keys};
use super::news::{self, News};
use super::{Guard, Housekeeping, ServicesError, specs};
use crate::bundle::life::{BundleLife, BundleRequest};
use crate::config::{Config, Policy};
use crate::metrics::Counters;
use crate::off_thread::{off_thread, record_alarm, with_journal};
use crate::public::{PublicFile, PublicPluginRecord};
use crate::reload::{ContactsRequest, Guards, Reload, TakeUpError};
use crate::world::World;

/// Interval between two looks at the files.
const LOOK: Duration = Duration::from_millis(250);

/// Time after which a refused change is retried, even if no file has changed: the disk or the
/// memory may have been at fault.
const RETRY: Duration = Duration::from_secs(30);

/// The state of a set of watched files.
struct Watch {
    /// The owners of the files, for messages: `plugins` or `receivers`.
    whose: &'static str,
    /// Fingerprint of the files when they were last loaded, or refused.
    tried: Fingerprint,
    /// Fingerprint of the files at the last look.
    before: Fingerprint,
    /// The time and reason of the last try's refusal; `None` if it was not refused.
    refused: Option<(Instant, String)>,
}

/// Keys and authorities on disk, which take effect when an operator asks for it.
struct Untaken {
    /// Fingerprint of the files that are in force.
    taken: Fingerprint,
    /// Fingerprint of the files at the last look.
    before: Fingerprint,
    /// Fingerprint that was last reported to the operator.
    told: Fingerprint,
}

/// A reason to look at the files.
enum Occasion {
    /// It is time.
    Interval,
    /// An operator wants everything to be read again (SIGHUP).
    Hangup,
    /// The command line has added contacts to the configuration.
    Contacts(ContactsRequest),
    /// The command line, or a judgement, concerns the policy bundles.
    Bundle(BundleRequest),
}

/// The result of a successful reload.
#[derive(Debug)]
pub(super) struct Reloaded {
    /// Description of the new state, for logs.
    pub(super) text: String,
    /// Entry for the audit log, if anything changed that affects decisions.
    pub(super) record: Option<(News, countersign_store::Configuration)>,
}

/// Watches the files of plugins and receivers.
pub struct PolicyWatch {
    /// The plugins and receivers in force; removes unused files after a swap.
    pub housekeeping: Housekeeping,
    /// Counts the changes that were put in force or refused.
    pub counters: Arc<Counters>,
    /// Reads the configuration file again when an operator asks for it.
    pub(crate) reload: Reload,
    /// The public record, which shows the plugins in force.
    pub public: Arc<PublicFile>,
    /// Requests of the command line for new contacts to be put in force.
    pub(crate) contacts: mpsc::Receiver<ContactsRequest>,
    /// The policy bundles; `None` if the operator follows none.
    pub(crate) bundles: Option<BundleLife>,
    /// Requests about policy bundles.
    pub(crate) bundle_requests: mpsc::Receiver<BundleRequest>,
    /// Clock and randomness of the node.
    pub world: World,
}

/// What the watch has seen and told so far.
struct Seen {
    plugins: Watch,
    receivers: Watch,
    keys: Untaken,
    shown: Vec<PublicPluginRecord>,
    /// Files of the policy with the bundle in force, while the guard has not followed it.
    bundle: Settling,
}

/// Files that are loaded once they are the same at two successive looks.
#[derive(Default)]
struct Settling(Option<Fingerprint>);

impl PolicyWatch {
    /// Runs until the node stops. SIGHUP reloads everything at once, changed or not, with the
    /// policy of the configuration file, keys and authorities.
    pub async fn follow(mut self, mut hangup: Option<Signal>, stopping: CancellationToken) {
        let mut seen = Seen {
            plugins: Watch::since("plugins", self.housekeeping.guard.loaded.clone()),
            receivers: Watch::since("receivers", self.housekeeping.receivers.loaded().clone()),
            keys: Untaken::since(self.housekeeping.guard.trusted.clone()),
            shown: Vec::new(),
            bundle: Settling::default(),
        };
        let mut looks = looks();
        while let Some(occasion) = stopping
            .run_until_cancelled(next_look(
                &mut looks,
                &mut hangup,
                &mut self.contacts,
                &mut self.bundle_requests,
            ))
            .await
        {
            match occasion {
                Occasion::Interval => {
                    self.advance_bundles(&mut seen).await;
                    self.look(&mut seen, false).await;
                }
                Occasion::Hangup => self.look(&mut seen, true).await,
                Occasion::Contacts(answer) => {
                    let guards = self.guards(&seen).await;
                    // Whoever has asked may have gone.
                    drop(answer.send(self.reload.take_contacts(&guards).await));
                }
                Occasion::Bundle(request) => {
                    let policy = self.housekeeping.guard.policy();
                    match &mut self.bundles {
                        Some(bundles) => bundles.heed(request, &policy).await,
                        None => request.refuse(),
                    }
                }
            }
        }
        if let Some(bundles) = self.bundles {
            bundles.stop().await;
        }
    }

    /// Puts the policy bundle that is due in force. The guard follows at once, and tries again
    /// later if it could not.
    async fn advance_bundles(&mut self, seen: &mut Seen) {
        let present = self.housekeeping.guard.policy();
        let Some(bundles) = &mut self.bundles else {
            return;
        };
        bundles.advance(&present).await;
        if bundles.taken_up || !bundles.may_try() {
            return;
        }
        let wanted = match bundles.complete(&present).await {
            Ok(wanted) => Arc::new(wanted),
            Err(error) => {
                tracing::error!(%error, "the policy bundle in force cannot be read");
                return bundles.try_later();
            }
        };
        let sight = look(&wanted, &wanted.plugins).await;
        if wanted != present && !seen.bundle.is_still(sight) {
            // Files of the operator's entries are loaded too, and may be half written.
            return;
        }
        let taken = wanted == present || self.follow_bundle(seen, wanted).await;
        let Some(bundles) = &mut self.bundles else {
            return;
        };
        if taken {
            bundles.follow_up().await;
        } else {
            bundles.try_later();
        }
    }

    /// Loads the entries of another bundle beside those in force. Keys and authorities stay: only
    /// an operator has them read again.
    async fn follow_bundle(&self, seen: &mut Seen, wanted: Arc<Policy>) -> bool {
        if !wanted.can_follow(&self.housekeeping.guard.policy()) {
            tracing::error!("the policy bundle in force waits for a restart of the node");
            return false;
        }
        let sight = look(&wanted, &wanted.plugins).await;
        let reloaded = self.housekeeping.guard.reload(false, wanted.clone()).await;
        let swapped = reloaded.is_ok();
        self.counters.swap(swapped);
        seen.plugins.tell(self, reloaded).await;
        if swapped {
            seen.plugins.go_on_with(sight);
            self.reload.live.take(Config {
                policy: Policy::clone(&wanted),
                ..Config::clone(&self.reload.live.now())
            });
            self.housekeeping.sweep().await;
        }
        swapped
    }

    async fn look(&self, seen: &mut Seen, asked: bool) {
        let file = if asked {
            Some(self.read_again().await)
        } else {
            None
        };
        let swapped = self
            .follow_plugins(seen, asked, self.wanted(file.as_ref()))
            .await;
        // After the guard: new permissions may be meant for its new rules.
        if let Some(file) = file {
            let guards = self.guards(seen).await;
            self.reload.run(file, &guards).await;
        }
        let policy = self.housekeeping.guard.policy();
        let trusted = look_at_keys(&policy).await;
        if seen.keys.is_news(trusted.clone()) {
            self.tell_untaken(&policy, &seen.keys.taken, &trusted).await;
        }
        // After the guard, which decides whether changed keys and authorities take effect.
        let swapped = self.follow_receivers(seen, asked, policy).await || swapped;
        if swapped {
            self.housekeeping.sweep().await;
        }
        seen.shown = self.publish(std::mem::take(&mut seen.shown)).await;
    }

    /// The configuration file with the entries of the bundle in force.
    async fn read_again(&self) -> Result<Config, TakeUpError> {
        let config = self.reload.read().await?;
        match &self.bundles {
            Some(bundles) => Ok(bundles.renewed(config).await?),
            None => Ok(config),
        }
    }

    /// The policy of the file, or the one in force if a running node cannot take it up.
    fn wanted(&self, file: Option<&Result<Config, TakeUpError>>) -> Arc<Policy> {
        let in_force = self.housekeeping.guard.policy();
        match file {
            Some(Ok(config)) if config.policy.can_follow(&in_force) => {
                Arc::new(config.policy.clone())
            }
            Some(Ok(_) | Err(_)) | None => in_force,
        }
    }

    /// Loads what the plugins are made of, if it has changed or an operator has asked. Returns true
    /// if it is in force now.
    async fn follow_plugins(&self, seen: &mut Seen, asked: bool, wanted: Arc<Policy>) -> bool {
        let guard = &self.housekeeping.guard;
        let trusted = look_at_keys(&wanted).await;
        let sight = look(&wanted, &wanted.plugins).await;
        if !seen.plugins.wants(asked, sight.clone()) {
            return false;
        }
        let reloaded = guard.reload(asked, wanted.clone()).await;
        let swapped = reloaded.is_ok();
        self.counters.swap(swapped);
        if asked && swapped {
            seen.keys.take(trusted);
        }
        seen.plugins.tell(self, reloaded).await;
        let policy = guard.policy();
        if swapped {
            seen.plugins.go_on_with(sight);
        } else if policy != wanted {
            seen.plugins
                .go_on_with(look(&policy, &policy.plugins).await);
        }
        swapped
    }

    async fn follow_receivers(&self, seen: &mut Seen, asked: bool, policy: Arc<Policy>) -> bool {
        let Housekeeping {
            config,
            guard,
            receivers,
            ..
        } = &self.housekeeping;
        let entries = config.receivers.iter().map(|entry| &entry.plugin);
        let sight = look(&policy, entries).await;
        if !seen.receivers.wants(asked, sight) || config.receivers.is_empty() {
            return false;
        }
        let reloaded = receivers.reload(policy, guard.services()).await;
        let swapped = reloaded.is_ok();
        let reloaded = reloaded.map(|text| Reloaded { text, record: None });
        seen.receivers.tell(self, reloaded).await;
        swapped
    }

    /// The guards in force, compared with what is on the disk now.
    async fn guards(&self, seen: &Seen) -> Guards {
        let policy = self.housekeeping.guard.policy();
        let plugins = look(&policy, &policy.plugins).await;
        let keys = look_at_keys(&policy).await;
        Guards {
            as_on_disk: seen.plugins.is_loaded(&plugins) && keys == seen.keys.taken,
            policy,
        }
    }

    /// Reports that keys or authorities on disk differ from those in force.
    async fn tell_untaken(&self, policy: &Policy, taken: &Fingerprint, seen: &Fingerprint) {
        let text = untaken(policy, taken, seen);
        tracing::warn!("{text}");
        let now = self.world.now();
        if let Err(error) = with_journal(&self.housekeeping.journal, move |journal| {
            journal.policy(now, &text, None)
        })
        .await
        {
            tracing::error!(%error, "the change was not recorded");
        }
    }

    /// Keeps the public record up to date: entries also break, heal and change without a reload.
    async fn publish(&self, shown: Vec<PublicPluginRecord>) -> Vec<PublicPluginRecord> {
        let mut plugins = self.public.plugins();
        plugins
            .iter_mut()
            .for_each(|plugin| plugin.since = UnixMillis(0));
        if plugins != shown {
            let public = self.public.clone();
            if let Err(error) = off_thread(move || public.update()).await {
                tracing::warn!(%error, "the public record is out of date");
            }
        }
        plugins
    }
}

/// Names the keys and authorities that differ, with what to do.
fn untaken(policy: &Policy, taken: &Fingerprint, seen: &Fingerprint) -> String {
    let changed = specs::shared_files(policy)
        .zip(taken.iter().zip(seen))
        .filter(|(_, (taken, seen))| taken != seen);
    let changed: Vec<_> = changed
        .map(|((name, file), _)| format!("{name} ({})", file.display()))
        .collect();
    if changed.is_empty() {
        return "the files of keys and authorities are again those in force".to_owned();
    }
    format!(
        "changed on disk and not in force: {}; if this is intended, send SIGHUP to the node",
        changed.join(", ")
    )
}

impl Settling {
    /// True if the files have not changed since the last look. Then the next look is the first one
    /// again.
    fn is_still(&mut self, sight: Fingerprint) -> bool {
        let still = self.0.as_ref() == Some(&sight);
        self.0 = (!still).then_some(sight);
        still
    }
}

impl Untaken {
    fn since(taken: Fingerprint) -> Self {
        Self {
            before: taken.clone(),
            told: taken.clone(),
            taken,
        }
    }

    fn take(&mut self, sight: Fingerprint) {
        (self.before, self.told, self.taken) = (sight.clone(), sight.clone(), sight);
    }

    /// True if the files have not changed since the last look and were not reported yet.
    fn is_news(&mut self, sight: Fingerprint) -> bool {
        let news = sight == self.before && sight != self.told;
        if news {
            self.told.clone_from(&sight);
        }
        self.before = sight;
        news
    }
}

/// Subscribes to SIGHUP, which would otherwise end the process. On failure returns `None`: the node
/// still looks at its files.
pub fn hangup() -> Option<Signal> {
    let hangup = signal(SignalKind::hangup());
    hangup.inspect_err(|error| tracing::error!(%error, "SIGHUP cannot be handled; changed files are still noticed")).ok()
}

/// The times of the looks. Requests do not put them off, and a look that took long is followed by a
/// pause.
fn looks() -> Interval {
    let mut looks = interval_at(tokio::time::Instant::now() + LOOK, LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    looks
}

/// Waits for the next reason to look.
async fn next_look(
    looks: &mut Interval,
    hangup: &mut Option<Signal>,
    contacts: &mut mpsc::Receiver<ContactsRequest>,
    bundles: &mut mpsc::Receiver<BundleRequest>,
) -> Occasion {
    let signalled = async {
        match hangup {
            Some(hangup) => hangup.recv().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = signalled => Occasion::Hangup,
        Some(answer) = contacts.recv() => Occasion::Contacts(answer),
        Some(request) = bundles.recv() => Occasion::Bundle(request),
        _ = looks.tick() => Occasion::Interval,
    }
}

impl Watch {
    fn since(whose: &'static str, loaded: Fingerprint) -> Self {
        Self {
            whose,
            tried: loaded.clone(),
            before: loaded,
            refused: None,
        }
    }

    /// True if the files are to be loaded now. If an operator asked for it, the result is reported
    /// even if it was reported before.
    fn wants(&mut self, asked: bool, sight: Fingerprint) -> bool {
        if asked {
            self.refused = None;
        }
        self.is_due(Instant::now(), sight) || asked
    }

    /// True if these files are those in force.
    fn is_loaded(&self, sight: &Fingerprint) -> bool {
        self.refused.is_none() && *sight == self.tried
    }

    /// Watches these files, which are in force.
    fn go_on_with(&mut self, sight: Fingerprint) {
        self.tried.clone_from(&sight);
        self.before = sight;
    }

    fn is_due(&mut self, now: Instant, sight: Fingerprint) -> bool {
        let again = self
            .refused
            .as_ref()
            .is_some_and(|(at, _)| now.duration_since(*at) >= RETRY);
        let due = sight == self.before && (sight != self.tried || again);
        if due {
            self.tried.clone_from(&sight);
        }
        self.before = sight;
        due
    }

    /// Logs and records the result of a reload for the operator. Only a refusal is an alarm.
    async fn tell<E: fmt::Display>(&mut self, node: &PolicyWatch, result: Result<Reloaded, E>) {
        let now = node.world.now();
        let recorded = match self.tried(Instant::now(), result) {
            Ok(Reloaded { text, record }) => {
                tracing::info!("{} reloaded: {text}", self.whose);
                let Some((news, chain)) = record else { return };
                with_journal(&node.housekeeping.journal, move |journal| {
                    journal.policy(now, news.long(), Some(chain))
                })
                .await
            }
            Err(None) => return,
            Err(Some(why)) => {
                let whose = self.whose;
                let text =
                    format!("changed {whose} were refused and the old ones stay in force: {why}");
                tracing::warn!("{text}");
                return record_alarm(&node.housekeeping.journal, now, text).await;
            }
        };
        if let Err(error) = recorded {
            tracing::error!(%error, "the change was not recorded");
        }
    }

    /// Drops the reason of a refusal if it was reported before.
    fn tried<T, E: fmt::Display>(
        &mut self,
        now: Instant,
        result: Result<T, E>,
    ) -> Result<T, Option<String>> {
        let before = self.refused.take().map(|(_, why)| why);
        result.map_err(|error| {
            let why = error.to_string();
            self.refused = Some((now, why.clone()));
            (before.as_ref() != Some(&why)).then_some(why)
        })
    }
}

/// Reasons why the files on disk were not put in force.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReloadError {
    #[error(transparent)]
    Services(#[from] ServicesError),
    #[error(transparent)]
    Chain(#[from] countersign_host::ChainError),
}

impl Guard {
    /// Loads what `policy` names, keys and authorities only if an operator `asked`, and puts all of
    /// it in force if it is good.
    pub(super) async fn reload(
        &self,
        asked: bool,
        policy: Arc<Policy>,
    ) -> Result<Reloaded, ReloadError> {
        let _alone = self.changing.lock().await;
        let services = if asked {
            Arc::new(self.services().renewed(&policy)?)
        } else {
            self.services()
        };
        let Some(pipeline) = &self.pipeline else {
            self.services.store(services);
            self.policy.store(policy);
            return Ok(Reloaded {
                text: "there are none; keys and authorities were read again".into(),
                record: None,
            });
        };
        let old = pipeline.chain();
        let new = pipeline
            .renew(specs::configured(&policy), services.clone())
            .await?;
        self.services.store(services);
        self.policy.store(policy);
        self.note();
        Ok(match News::of_change(&old, &new) {
            Some(news) => Reloaded {
                text: news.short(),
                record: Some((news, news::described(&new))),
            },
            None => Reloaded {
                text: "what is on disk is in force already".into(),
                record: None,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(version: u8) -> Fingerprint {
        vec![[version; 32]]
    }

    #[test]
    fn a_change_counts_once_it_has_been_still_for_one_look() {
        let now = Instant::now();
        let mut watch = Watch::since("plugins", seen(1));
        let looks = [1, 2, 3, 3, 3, 3].map(|version| watch.is_due(now, seen(version)));
        assert_eq!(looks, [false, false, false, true, false, false]);
    }

    #[test]
    fn files_beside_a_bundle_are_loaded_once_they_are_the_same_at_two_looks() {
        let mut files = Settling::default();
        let still = [1, 2, 2, 2, 3, 3].map(|version| files.is_still(seen(version)));
        assert_eq!(still, [false, false, true, false, false, true]);
    }

    /// Whoever asks all the time must not keep a bundle from taking effect.
    #[tokio::test]
    async fn requests_do_not_put_a_look_off() {
        let (_asks, mut contacts) = mpsc::channel(1);
        let (ask, mut bundles) = mpsc::channel(1);
        let asking = tokio::spawn(async move {
            let request = || BundleRequest::Tell(tokio::sync::oneshot::channel().0);
            while ask.send(request()).await.is_ok() {
                tokio::time::sleep(LOOK / 5).await;
            }
        });
        let mut looks = looks();
        let mut hangup = None;
        let looked = async {
            loop {
                let next = next_look(&mut looks, &mut hangup, &mut contacts, &mut bundles);
                if matches!(next.await, Occasion::Interval) {
                    return;
                }
            }
        };
        crate::specimen::soon(looked).await;
        asking.abort();
    }

    #[test]
    fn a_refusal_is_told_again_to_who_asks() {
        let now = Instant::now();
        let mut watch = Watch::since("plugins", seen(1));
        let refuse = |watch: &mut Watch| watch.tried::<(), _>(now, Err("bad")).unwrap_err();
        assert!(refuse(&mut watch).is_some());
        assert_eq!(refuse(&mut watch), None);
        assert!(watch.wants(true, seen(1)));
        assert!(refuse(&mut watch).is_some());
    }

    #[test]
    fn what_was_refused_is_tried_again_after_a_while_and_told_once() {
        let start = Instant::now();
        let mut watch = Watch::since("plugins", seen(1));
        let refused = || Err::<(), _>(String::from("bad"));
        assert!(!watch.is_due(start, seen(2)) && watch.is_due(start, seen(2)));
        assert!(watch.tried(start, refused()).unwrap_err().is_some());
        assert!(!watch.is_due(start + RETRY / 2, seen(2)));
        assert!(watch.is_due(start + RETRY, seen(2)));
        assert_eq!(watch.tried(start + RETRY, refused()), Err(None));
        assert!(
            !watch.is_due(start + RETRY, seen(1)) && watch.is_due(start + RETRY, seen(1)),
            "a change counts at once"
        );
        assert_eq!(watch.tried::<_, String>(start + RETRY, Ok(())), Ok(()));
        assert!(
            !watch.is_due(start + 9 * RETRY, seen(1)),
            "what is in force is not loaded again"
        );
    }

    #[test]
    fn keys_on_disk_are_told_once_and_never_taken_unasked() {
        let mut keys = Untaken::since(seen(1));
        let news = [2, 2, 2, 3, 3, 1, 1].map(|version| keys.is_news(seen(version)));
        assert_eq!(news, [false, true, false, false, true, false, true]);
        assert_eq!(keys.taken, seen(1));
        keys.take(seen(3));
        assert!(!keys.is_news(seen(3)));
    }

    #[test]
    fn an_operator_who_asks_gets_a_reload_of_what_has_not_changed() {
        let mut watch = Watch::since("plugins", seen(1));
        assert!(!watch.wants(false, seen(1)));
        assert!(watch.wants(true, seen(1)));
        assert!(watch.wants(true, seen(2)), "even while it changes");
    }

    #[test]
    fn another_reason_for_a_refusal_is_told_though_the_last_one_was() {
        let now = Instant::now();
        let mut watch = Watch::since("plugins", seen(1));
        let refuse =
            |watch: &mut Watch, why: &str| watch.tried::<(), _>(now, Err(why)).unwrap_err();
        assert_eq!(refuse(&mut watch, "bad").as_deref(), Some("bad"));
        assert_eq!(refuse(&mut watch, "worse").as_deref(), Some("worse"));
        assert_eq!(refuse(&mut watch, "worse"), None);
    }

    #[test]
    fn a_refusal_after_a_success_is_told_again() {
        let now = Instant::now();
        let mut watch = Watch::since("plugins", seen(1));
        assert!(watch.tried::<(), _>(now, Err("bad")).unwrap_err().is_some());
        assert_eq!(watch.tried::<_, String>(now, Ok(())), Ok(()));
        assert!(watch.tried::<(), _>(now, Err("bad")).unwrap_err().is_some());
    }

    #[test]
    fn keys_that_changed_on_disk_are_named_with_their_files_and_what_to_do() {
        let policy = Policy {
            public_keys: [("approver".to_owned(), "/k/approver.pem".into())].into(),
            secrets: [("hook".to_owned(), "/k/hook".into())].into(),
            ca_file: Some("/k/ca.pem".into()),
            ..Policy::default()
        };
        let taken = vec![[1; 32], [2; 32], [3; 32]];
        let changed = |seen| untaken(&policy, &taken, &seen);
        assert_eq!(
            changed(vec![[1; 32], [9; 32], [9; 32]]),
            "changed on disk and not in force: policy.secrets.hook (/k/hook), \
             policy.ca_file (/k/ca.pem); if this is intended, send SIGHUP to the node"
        );
        assert_eq!(
            changed(taken.clone()),
            "the files of keys and authorities are again those in force"
        );
    }
}
