//! Notices changed components, manifests, rule files, keys and authorities, and swaps them in while the node runs: those of
//! plugins whole or not at all, then those of receivers, each by itself.
//!
//! A change counts when the bytes differ and have been still for one look. What is new is validated beside what is in
//! force; if it is bad, what is in force stays, and that is said loudly and written into the audit log.

use super::{Guard, housekeeping, specs};
use crate::config::{PluginEntry, Policy};
use crate::core::Core;
use crate::public::{self, PublicPluginRecord};
use countersign_host::{Chain, Plugin, read_linked};
use countersign_protocol::UnixMillis;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_millis(250);

/// A change that was refused is tried again after this, even if no file has changed: the disk or the memory may have been at
/// fault.
const RETRY: Duration = Duration::from_secs(30);

/// What a file looks like that cannot be read.
const UNREADABLE: [u8; 32] = [0; 32];

/// What the watched files look like: one hash for each.
pub(crate) type Sight = Vec<[u8; 32]>;

/// What is known of some files.
struct Watch {
    /// Whose they are, for messages.
    whose: &'static str,
    /// What they looked like when they were last loaded, or refused.
    tried: Sight,
    /// What they looked like at the last look.
    before: Sight,
    /// When the last try was refused, and why; `None` if it was not.
    refused: Option<(Instant, String)>,
}

/// Runs until the node stops. SIGHUP loads everything at once, changed or not.
pub async fn watch(core: Arc<Core>) {
    let mut plugins = Watch::since("plugins", core.guard.loaded.clone());
    let mut receivers = Watch::since("receivers", core.receivers.loaded().clone());
    let mut hangup = hangup();
    let mut shown = Vec::new();
    while let Some(asked) = core.stopping.run_until_cancelled(next_look(&mut hangup)).await {
        let (policy, entries) = (&core.config.policy, &core.config.receivers);
        let mut swapped = false;
        if plugins.wants(asked, look(policy, &policy.plugins).await) {
            let reloaded = core.guard.reload().await;
            swapped |= reloaded.is_ok();
            core.tally.swap(reloaded.is_ok());
            plugins.tell(&core, reloaded).await;
        }
        // After the guard, which alone decides whether changed keys and authorities are in force.
        let sight = look(policy, entries.iter().map(|entry| &entry.plugin)).await;
        if receivers.wants(asked, sight) && !entries.is_empty() {
            let reloaded = core.receivers.reload().await;
            swapped |= reloaded.is_ok();
            receivers.tell(&core, reloaded).await;
        }
        if swapped {
            housekeeping::sweep(core.clone()).await;
        }
        shown = publish(&core, shown).await;
    }
}

/// Without it a node still looks at its files.
fn hangup() -> Option<Signal> {
    let hangup = signal(SignalKind::hangup());
    hangup.inspect_err(|error| tracing::error!(%error, "SIGHUP cannot be handled; changed files are noticed all the same")).ok()
}

/// Waits until it is time to look; true if an operator asked for it.
async fn next_look(hangup: &mut Option<Signal>) -> bool {
    let asked = async {
        match hangup {
            Some(hangup) => hangup.recv().await,
            None => std::future::pending().await,
        }
    };
    tokio::time::timeout(LOOK, asked).await.is_ok()
}

impl Watch {
    fn since(whose: &'static str, loaded: Sight) -> Watch {
        Watch { whose, tried: loaded.clone(), before: loaded, refused: None }
    }

    /// True if what was seen is to be loaded now. If an operator asked for it, whatever comes of it is told, even if it
    /// was told before.
    fn wants(&mut self, asked: bool, sight: Sight) -> bool {
        if asked {
            self.refused = None;
        }
        self.is_due(Instant::now(), sight) || asked
    }

    fn is_due(&mut self, now: Instant, sight: Sight) -> bool {
        let again = self.refused.as_ref().is_some_and(|(at, _)| now.duration_since(*at) >= RETRY);
        let due = sight == self.before && (sight != self.tried || again);
        if due {
            self.tried.clone_from(&sight);
        }
        self.before = sight;
        due
    }

    /// Logs and records what an operator must hear of a try.
    async fn tell(&mut self, core: &Core, result: Result<String, String>) {
        if let Some(news) = self.tried(Instant::now(), result) {
            announce(core, news).await;
        }
    }

    /// Everything but the same refusal again.
    fn tried(&mut self, now: Instant, result: Result<String, String>) -> Option<String> {
        let before = self.refused.take().map(|(_, why)| why);
        let why = match result {
            Ok(change) => return Some(format!("{} reloaded: {change}", self.whose)),
            Err(why) => why,
        };
        self.refused = Some((now, why.clone()));
        let news = format!("changed {} were refused and the old ones stay in force: {why}", self.whose);
        (before != Some(why)).then_some(news)
    }
}

/// Keeps the public record true: entries break, heal and change also without a reload.
async fn publish(core: &Arc<Core>, shown: Vec<PublicPluginRecord>) -> Vec<PublicPluginRecord> {
    let mut plugins = public::plugins(core);
    plugins.iter_mut().for_each(|plugin| plugin.since = UnixMillis(0));
    if plugins != shown {
        let core = core.clone();
        let written = tokio::task::spawn_blocking(move || public::update(&core)).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(%error, "the public record is out of date");
        }
    }
    plugins
}

async fn announce(core: &Core, text: String) {
    tracing::warn!("{text}");
    let now = core.now();
    if let Err(error) = core.journal(move |journal| journal.alarm(now, None, &text)).await {
        tracing::error!(%error, "the alarm was not recorded");
    }
}

/// Looks at everything on which these entries depend.
pub(crate) async fn look(policy: &Policy, entries: impl IntoIterator<Item = &PluginEntry>) -> Sight {
    let own = entries.into_iter().flat_map(|entry| specs::own_files(policy, entry));
    let files: Vec<_> = own.chain(specs::shared_files(policy)).collect();
    let limit = policy.compile.component_bytes.max(specs::DOCUMENT);
    let looked = tokio::task::spawn_blocking(move || files.iter().map(|file| sight(file, limit)).collect());
    looked.await.unwrap_or_default()
}

/// A file that cannot be read, as a pipe or a device, looks different from every file that can.
fn sight(file: &Path, limit: u64) -> [u8; 32] {
    read_linked(file, limit).map_or(UNREADABLE, |bytes| Sha256::digest(bytes).into())
}

impl Guard {
    /// Loads what is on disk now, and swaps it in if it is good. Tells what that changed.
    async fn reload(&self) -> Result<String, String> {
        let _alone = self.changing.lock().await;
        let before = self.services.renew(&self.policy).map_err(|error| error.to_string())?;
        let Some(pipeline) = &self.pipeline else {
            return Ok("there are none; keys and authorities were read again".into());
        };
        let old = pipeline.chain();
        let reloaded = pipeline.reload(specs::configured(&self.policy)).await;
        let new = reloaded.map_err(|error| {
            self.services.restore(before);
            error.to_string()
        })?;
        self.note();
        Ok(change(&old, &new))
    }
}

/// From which chain to which, and which entries make the difference.
fn change(old: &Chain, new: &Chain) -> String {
    if old.revision() == new.revision() {
        let revision = hex::encode(old.revision());
        return format!("chain {revision} is still what is on disk; keys and authorities were read again");
    }
    let describe = |plugin: &Plugin| {
        let (digest, config) = (hex::encode(plugin.digest()), hex::encode(plugin.revision()));
        format!("{} {} sha256:{digest} with config {config}", plugin.name(), plugin.info().version)
    };
    let before: BTreeSet<String> = old.plugins().into_iter().map(describe).collect();
    let changed = new.plugins().into_iter().map(describe).filter(|plugin| !before.contains(plugin));
    let changed: Vec<String> = changed.collect();
    format!(
        "chain {} becomes {}; now in force: {}",
        hex::encode(old.revision()),
        hex::encode(new.revision()),
        changed.join("; ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(version: u8) -> Sight {
        vec![[version; 32]]
    }

    /// Nobody writes into the pipe: whoever opens it as a file waits for ever.
    #[test]
    fn a_pipe_in_place_of_a_file_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("plugin.wasm");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let (said, hear) = std::sync::mpsc::sync_channel(1);
        std::thread::spawn(move || said.send(sight(&pipe, 1 << 20)));
        assert_eq!(hear.recv_timeout(Duration::from_secs(10)).unwrap(), UNREADABLE);
    }

    #[test]
    fn a_change_counts_once_it_has_been_still_for_one_look() {
        let now = Instant::now();
        let mut watch = Watch::since("plugins", seen(1));
        let looks = [1, 2, 3, 3, 3, 3].map(|version| watch.is_due(now, seen(version)));
        assert_eq!(looks, [false, false, false, true, false, false]);
    }

    #[tokio::test]
    async fn keys_and_authorities_are_looked_at_whoever_uses_them() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| dir.path().join(name);
        let policy = Policy {
            public_keys: [("approver".to_owned(), file("key.pem"))].into(),
            secrets: [("hook".to_owned(), file("secret"))].into(),
            ca_file: Some(file("ca.pem")),
            ..Policy::default()
        };
        let mut before = look(&policy, &policy.plugins).await;
        for name in ["key.pem", "secret", "ca.pem"] {
            std::fs::write(file(name), "changed").unwrap();
            let after = look(&policy, &policy.plugins).await;
            assert_ne!(after, before, "{name}");
            before = after;
        }
    }

    #[test]
    fn a_refusal_is_told_again_to_who_asks() {
        let now = Instant::now();
        let mut watch = Watch::since("plugins", seen(1));
        assert!(watch.tried(now, Err("bad".into())).is_some());
        assert_eq!(watch.tried(now, Err("bad".into())), None);
        assert!(watch.wants(true, seen(1)));
        assert!(watch.tried(now, Err("bad".into())).is_some());
    }

    #[test]
    fn what_was_refused_is_tried_again_after_a_while_and_told_once() {
        let start = Instant::now();
        let mut watch = Watch::since("plugins", seen(1));
        let refused = || Err(String::from("bad"));
        assert!(!watch.is_due(start, seen(2)) && watch.is_due(start, seen(2)));
        assert!(watch.tried(start, refused()).is_some());
        assert!(!watch.is_due(start + RETRY / 2, seen(2)));
        assert!(watch.is_due(start + RETRY, seen(2)));
        assert_eq!(watch.tried(start + RETRY, refused()), None);
        assert!(
            !watch.is_due(start + RETRY, seen(1)) && watch.is_due(start + RETRY, seen(1)),
            "a change counts at once"
        );
        assert!(watch.tried(start + RETRY, Ok(String::new())).is_some());
        assert!(!watch.is_due(start + 9 * RETRY, seen(1)), "what is in force is not loaded again");
    }
}
