//! The public record: what is written, what is read, and what a plugin shows of itself.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use countersign_host::{Code, Counts};

use super::*;
use crate::test_node::{NOW, TestNode, key_record, node, private_dir};

/// Written by a program of version 1.
const OLD: &str = include_str!("fixtures/public-1.json");

#[test]
fn a_record_of_version_1_is_read_with_its_keys_and_what_is_written_lists_none() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(FILE), OLD).unwrap();
    let old = read(dir.path()).unwrap();
    assert_eq!((old.version, old.keys.len(), old.generation), (1, 2, 21));
    let key = &old.keys[0];
    let described = describe(key.descriptor.clone()).unwrap();
    assert_eq!(described.extended_public_key, key.extended_public_key);
    write(
        dir.path(),
        &PublicRecord {
            version: VERSION,
            ..old
        },
    )
    .unwrap();
    let written = std::fs::read_to_string(dir.path().join(FILE)).unwrap();
    assert!(
        !written.contains("\"keys\"") && written.contains("\"version\": 2"),
        "{written}"
    );
    assert_eq!(read(dir.path()).unwrap().generation, 21);
}

fn record() -> PublicRecord {
    new(node(1), "pem".into())
}

/// Writes the record, and its text changed by `change`.
fn changed(change: impl FnOnce(String) -> String) -> std::io::Result<PublicRecord> {
    let dir = private_dir();
    write(dir.path(), &record()).unwrap();
    let path = dir.path().join(FILE);
    let text = std::fs::read_to_string(&path).unwrap();
    let other = change(text.clone());
    assert_ne!(other, text);
    std::fs::write(&path, other).unwrap();
    read(dir.path())
}

fn plugin(name: &str, state: &str, since: u64) -> PublicPluginRecord {
    PublicPluginRecord {
        name: name.into(),
        state: state.into(),
        version: None,
        digest: None,
        config: None,
        anchors: Vec::new(),
        broken: None,
        ill: None,
        since: UnixMillis(since),
    }
}

fn status(condition: Condition) -> EntryStatus {
    EntryStatus {
        name: "rules".into(),
        version: Some("1.2".into()),
        digest: Some([0xab; 32]),
        revision: Some([0xcd; 32]),
        anchors: Vec::new(),
        condition,
        scope: Default::default(),
        remote: false,
        counts: Counts::default(),
        last_error: None,
        last_code: None,
        health: None,
    }
}

fn described(status: EntryStatus) -> LivePlugin {
    describe_plugin(status, NOW)
}

#[test]
fn a_lost_record_is_not_an_empty_one() {
    let dir = private_dir();
    let error = read(dir.path()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
}

#[test]
fn a_changed_record_is_refused_with_what_to_do() {
    for (from, to) in [
        ("\"pem\"", "\"another\""),
        ("\"generation\": 0", "\"generation\": 1"),
        ("\"plugins\"", "\"plugin\""),
        ("\"sha256\": \"", "\"sha256\": \"0"),
    ] {
        let told = changed(|text| text.replace(from, to))
            .unwrap_err()
            .to_string();
        assert_eq!(
            told,
            "it was changed since the node wrote it; start the node, which rewrites it"
        );
    }
}

#[test]
fn a_record_that_was_only_formatted_differently_is_read() {
    let read = changed(|text| {
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        value.to_string()
    });
    assert_eq!(read.unwrap().node, node(1));
}

#[test]
fn a_record_that_was_cut_off_is_refused() {
    assert!(changed(|text| text[..text.len() / 2].to_owned()).is_err());
}

#[test]
fn a_record_replaces_the_one_before_and_leaves_no_other_file() {
    let dir = private_dir();
    write(dir.path(), &record()).unwrap();
    let generation = 7;
    let next = PublicRecord {
        generation,
        ..record()
    };
    write(dir.path(), &next).unwrap();
    assert_eq!(read(dir.path()).unwrap().generation, generation);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_new_record_names_the_node_and_claims_nothing_else() {
    let record = record();
    assert_eq!((record.version, record.node), (VERSION, node(1)));
    assert_eq!((record.generation, record.check_up), (0, None));
    assert!(record.keys.is_empty() && record.plugins.is_empty());
}

#[test]
fn a_plugin_keeps_its_since_while_nothing_about_it_changes() {
    let before = [plugin("a", "in-force", 5), plugin("b", "in-force", 6)];
    let now = vec![plugin("b", "in-force", 9), plugin("a", "in-force", 9)];
    let shown = since(now, &before);
    assert_eq!(
        shown,
        [plugin("b", "in-force", 6), plugin("a", "in-force", 5)]
    );
}

#[test]
fn a_plugin_in_another_state_has_a_new_since() {
    let before = [plugin("a", "in-force", 5)];
    let renewed = PublicPluginRecord {
        digest: Some("00".into()),
        ..plugin("a", "in-force", 9)
    };
    for now in [
        plugin("a", "broken", 9),
        plugin("c", "in-force", 9),
        renewed,
    ] {
        assert_eq!(since(vec![now.clone()], &before), [now]);
    }
}

#[test]
fn a_plugin_is_shown_in_force_or_as_a_shadow_with_its_digests() {
    let shown = described(status(Condition::InForce)).shown;
    assert_eq!((shown.state.as_str(), shown.broken), ("in-force", None));
    assert_eq!(shown.digest, Some("ab".repeat(32)));
    assert_eq!(shown.config, Some("cd".repeat(32)));
    assert_eq!(shown.since, NOW);
    let shown = described(status(Condition::Shadow)).shown;
    assert_eq!((shown.state.as_str(), shown.broken), ("shadow", None));
}

#[test]
fn a_broken_plugin_is_shown_with_code_and_reason() {
    let shown = described(status(Condition::Broken {
        code: Code::Digest,
        reason: "r".into(),
    }))
    .shown;
    assert_eq!(shown.state, "broken");
    assert_eq!(shown.broken, Some(("plugin-digest".into(), "r".into())));
}

#[test]
fn a_plugin_is_ill_while_its_last_probe_failed() {
    let probed = |result| {
        let at = UNIX_EPOCH + Duration::from_millis(77);
        described(EntryStatus {
            health: Some(Health { at, result }),
            ..status(Condition::InForce)
        })
    };
    let ill = probed(Err((Code::Unavailable, "r".into())));
    let expected = ("plugin-failed:unavailable".into(), "r".into());
    assert_eq!(ill.shown.ill, Some(expected));
    assert_eq!(ill.shown.state, "in-force", "it still decides");
    assert_eq!(ill.probed, Some(UnixMillis(77)));
    let well = probed(Ok(()));
    assert_eq!((well.shown.ill, well.probed), (None, Some(UnixMillis(77))));
}

#[test]
fn a_plugin_that_was_never_asked_has_no_durations() {
    let live = described(status(Condition::InForce));
    assert_eq!((live.asked, live.probed), (0, None));
    assert_eq!((live.mean_micros, live.slowest_micros), (None, None));
}

#[test]
fn the_mean_is_over_all_evaluations_whatever_they_said() {
    let counts = Counts {
        approved: 1,
        rejected: 2,
        failed: 1,
        differed: 5,
        skipped: 6,
        micros: 10,
        slowest: 7,
        ..Counts::default()
    };
    let live = described(EntryStatus {
        counts,
        ..status(Condition::InForce)
    });
    assert_eq!((live.asked, live.differed, live.skipped), (4, 5, 6));
    assert_eq!((live.mean_micros, live.slowest_micros), (Some(2), Some(7)));
}

#[test]
fn a_probe_by_a_clock_before_1970_is_shown_at_0() {
    let at = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
    let result = Ok(());
    assert_eq!(probed_at(&Health { at, result }), UnixMillis(0));
}

#[test]
fn a_key_that_is_not_one_has_no_extended_public_key() {
    let mut descriptor = key_record(1, 0).descriptor;
    descriptor.root_public_key = vec![4; 31];
    assert!(describe(descriptor).is_err());
}

#[tokio::test]
async fn an_update_shows_the_secrets_generation_and_the_last_check_up() {
    let node = TestNode::build().await;
    let public = &node.parts.public;
    let round = Round {
        at: NOW,
        intact: 3,
        damaged: Vec::new(),
    };
    node.check_ups.put(round.clone());
    public.update().unwrap();
    let record = read(node.dir.path()).unwrap();
    assert_eq!(record.generation, node.parts.vault.generation().unwrap());
    assert!(record.generation > 0);
    assert_eq!(record.check_up, Some(round));
    assert_eq!(record.callback_public_key, "pem", "the rest stays");
}

/// After a restart no round has run yet.
#[tokio::test]
async fn an_update_keeps_the_check_up_of_an_earlier_run() {
    let node = TestNode::build().await;
    let round = Round {
        at: NOW,
        intact: 3,
        damaged: Vec::new(),
    };
    let check_up = Some(round);
    let before = PublicRecord {
        check_up: check_up.clone(),
        ..read(node.dir.path()).unwrap()
    };
    write(node.dir.path(), &before).unwrap();
    node.parts.public.update().unwrap();
    assert_eq!(read(node.dir.path()).unwrap().check_up, check_up);
}

/// It is written at every change of a key.
#[tokio::test]
async fn the_record_is_as_long_with_many_keys_as_with_none() {
    let node = TestNode::build().await;
    let length = || {
        node.parts.public.update().unwrap();
        let file = node.dir.path().join(FILE);
        std::fs::metadata(file).unwrap().len()
    };
    let before = length();
    for seed in 1..=20 {
        node.journal.put_key(key_record(seed, 0)).unwrap();
    }
    assert_eq!(length(), before);
}
