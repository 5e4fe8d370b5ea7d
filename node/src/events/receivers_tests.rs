//! Receivers that are there, that are not, and that come back.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use countersign_store::Journal;

use super::*;
use crate::specimen::{self, NAME, REASON, Specimen, entry};
use crate::world::World;

/// Receivers of a node.
pub(in crate::events) struct Fixture {
    dir: tempfile::TempDir,
    pub(in crate::events) journal: Journal,
    policy: Policy,
    pub(in crate::events) entries: Vec<ReceiverEntry>,
}

impl Fixture {
    /// An entry for each label; one without a component has no file.
    pub(in crate::events) fn with(receivers: &[(&str, Option<Specimen>)]) -> Self {
        let (dir, journal) = specimen::journal();
        let policy = specimen::policy(dir.path(), Vec::new());
        let mut fixture = Self {
            dir,
            journal,
            policy,
            entries: Vec::new(),
        };
        for (label, component) in receivers {
            let file = fixture.file(label);
            if let Some(component) = component {
                component.write(&file);
            }
            fixture.entries.push(ReceiverEntry {
                plugin: entry(label, &file),
                wanted: BTreeSet::new(),
                retry_times: None,
                pause: Duration::from_secs(10),
            });
        }
        fixture
    }

    pub(in crate::events) fn file(&self, label: &str) -> PathBuf {
        self.dir.path().join(format!("{label}.wasm"))
    }

    fn services(&self) -> Arc<NodeServices> {
        specimen::services(&self.policy, &self.journal, &World::system())
    }

    async fn reload(&self, receivers: &Receivers) -> Result<String, ReloadReceiversError> {
        let policy = Arc::new(self.policy.clone());
        receivers.reload(policy, self.services()).await
    }

    pub(in crate::events) async fn receivers(&self) -> Receivers {
        let cache = CodeCache::new(self.dir.path().join("cache"), [1; 32]);
        let services = self.services();
        let receivers = Receivers::new(&self.policy, &self.entries, cache, services);
        receivers.await.unwrap()
    }
}

fn versions(receivers: &Receivers) -> Vec<Option<String>> {
    let live = receivers.live().into_iter();
    live.map(|receiver| receiver.version).collect()
}

#[tokio::test]
async fn a_receiver_that_cannot_be_loaded_costs_no_other_anything() {
    let fixture = Fixture::with(&[("gone", None), ("there", Some(Specimen::receiving()))]);
    let receivers = fixture.receivers().await;
    receivers.load_all().await;
    let [gone, there] = &receivers.live()[..] else {
        panic!("two entries")
    };
    assert_eq!(gone.name, "specimen:gone");
    assert!(gone.version.is_none() && gone.digest.is_none());
    let trouble = gone.trouble.as_deref().unwrap();
    assert!(trouble.contains("gone.wasm"), "{trouble}");
    assert_eq!(
        (there.version.as_deref(), &there.trouble),
        (Some("1.0.0"), &None)
    );
}

#[tokio::test]
async fn a_receiver_whose_file_comes_later_is_loaded_when_it_is_needed() {
    let fixture = Fixture::with(&[("late", None)]);
    let receivers = fixture.receivers().await;
    assert!(receivers.get(0).await.is_err());
    Specimen::receiving().write(&fixture.file("late"));
    assert_eq!(receivers.get(0).await.unwrap().info().version, "1.0.0");
    assert_eq!(receivers.live()[0].trouble, None, "it is over");
}

#[tokio::test]
async fn a_receiver_is_loaded_once_and_kept_though_its_file_changes() {
    let fixture = Fixture::with(&[("one", Some(Specimen::receiving()))]);
    let receivers = fixture.receivers().await;
    let first = receivers.get(0).await.unwrap();
    std::fs::remove_file(fixture.file("one")).unwrap();
    let again = receivers.get(0).await.unwrap();
    assert!(Arc::ptr_eq(&first, &again));
}

#[tokio::test]
async fn a_reload_puts_each_good_receiver_in_its_place_and_leaves_the_others_as_they_were() {
    let fixture = Fixture::with(&[
        ("one", Some(Specimen::receiving())),
        ("two", Some(Specimen::receiving())),
    ]);
    let receivers = fixture.receivers().await;
    receivers.load_all().await;
    std::fs::write(fixture.file("one"), "half").unwrap();
    Specimen::receiving()
        .version("2.0.0")
        .write(&fixture.file("two"));
    let error = fixture.reload(&receivers).await.unwrap_err();
    let error = error.to_string();
    assert!(
        error.starts_with("specimen:one: ") && !error.contains("specimen:two"),
        "{error}"
    );
    assert_eq!(
        versions(&receivers),
        ["1.0.0", "2.0.0"].map(|text| Some(text.into()))
    );
    let live = receivers.live();
    assert!(live[0].trouble.is_some() && live[1].trouble.is_none());
}

#[tokio::test]
async fn a_reload_that_fails_for_several_names_each_with_its_reason() {
    let fixture = Fixture::with(&[("one", None), ("two", None)]);
    let receivers = fixture.receivers().await;
    let error = fixture.reload(&receivers).await.unwrap_err();
    let error = error.to_string();
    let [one, two] = &error.split("; specimen:two: ").collect::<Vec<_>>()[..] else {
        panic!("{error}")
    };
    assert!(
        one.starts_with("specimen:one: ") && one.contains("one.wasm"),
        "{error}"
    );
    assert!(two.contains("two.wasm"), "{error}");
}

#[tokio::test]
async fn a_reload_tells_name_version_and_digest_of_what_is_in_place() {
    let fixture = Fixture::with(&[("one", Some(Specimen::receiving()))]);
    let receivers = fixture.receivers().await;
    let told = fixture.reload(&receivers).await.unwrap();
    let digest = receivers.live()[0].digest.clone().unwrap();
    assert_eq!(told, format!("specimen:one 1.0.0 sha256:{digest}"));
    let digests: Vec<_> = receivers.digests().into_iter().map(hex::encode).collect();
    assert_eq!(digests, [digest]);
}

#[tokio::test]
async fn a_risk_plugin_is_not_taken_for_a_receiver() {
    let fixture = Fixture::with(&[("one", Some(Specimen::approving()))]);
    let receivers = fixture.receivers().await;
    assert!(receivers.get(0).await.is_err());
    assert!(receivers.digests().is_empty());
}

#[tokio::test]
async fn a_receiver_that_calls_itself_otherwise_than_its_entry_is_not_loaded() {
    let mut fixture = Fixture::with(&[("one", Some(Specimen::receiving()))]);
    fixture.entries[0].plugin.name = "jwt-events".into();
    let receivers = fixture.receivers().await;
    let error = receivers.get(0).await.unwrap_err().to_string();
    assert!(error.contains(NAME), "{error}");
}

#[tokio::test]
async fn without_entries_there_is_no_sandbox_for_receivers() {
    let receivers = Fixture::with(&[]).receivers().await;
    assert!(receivers.host().is_none() && receivers.live().is_empty());
}

#[tokio::test]
async fn a_changed_component_of_a_receiver_changes_what_was_seen_before_the_first_load() {
    let fixture = Fixture::with(&[("one", Some(Specimen::receiving()))]);
    let before = fixture.receivers().await.loaded().clone();
    assert_eq!(*fixture.receivers().await.loaded(), before);
    Specimen::unavailable().write(&fixture.file("one"));
    assert_ne!(*fixture.receivers().await.loaded(), before);
}

#[tokio::test]
async fn a_check_before_the_start_says_which_receiver_is_at_fault() {
    let fixture = Fixture::with(&[("one", Some(Specimen::receiving())), ("two", None)]);
    let receivers = fixture.receivers().await;
    let host = receivers.host().unwrap();
    let checked = |entries| check(&fixture.policy, entries, host, fixture.services());
    let good = checked(&fixture.entries[..1]).await.unwrap();
    assert!(
        good[0].starts_with("specimen:one 1.0.0 sha256:"),
        "{good:?}"
    );
    let (name, _) = checked(&fixture.entries).await.unwrap_err();
    assert_eq!(name, "specimen:two");
}

#[tokio::test]
async fn what_a_receiver_fails_with_is_told_with_code_and_reason() {
    let fixture = Fixture::with(&[("one", Some(Specimen::unavailable()))]);
    let receivers = fixture.receivers().await;
    let receiver = receivers.get(0).await.unwrap();
    let ping = countersign_host::Event {
        id: "1".into(),
        at: 1,
        node: "n".into(),
        task: None,
        raw: Vec::new(),
        what: countersign_host::What::Ping,
    };
    let soon = std::time::Instant::now() + Duration::from_secs(20);
    let (code, reason) = receiver.deliver(&ping, 0, soon).await.result.unwrap_err();
    assert_eq!(
        (code.as_str(), reason.as_str()),
        ("plugin-failed:unavailable", REASON)
    );
}
