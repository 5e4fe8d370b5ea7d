//! Previews: what the chain would say, without consequences.

use countersign_host::{
    Chain, Code, Condition, EntrySpec, Pipeline, PluginSpec, Preview, Role, Verdict,
};
use serde_json::json;

use crate::callback;
use crate::guests::{closed_rules, component, host, keygen, open_rules, services, soon};

/// Another entry of the plugin `rules`.
fn labelled(label: &str, spec: PluginSpec) -> PluginSpec {
    PluginSpec {
        name: format!("rules:{label}"),
        ..spec
    }
}

/// A plugin that counts in its memory, and approves so many.
fn ledger(limit: u64) -> PluginSpec {
    PluginSpec {
        name: "ledger".into(),
        file: component("countersign-guest-ledger"),
        config: json!({"limit": limit}),
        ..open_rules()
    }
}

async fn pipeline<C: Into<EntrySpec>>(configured: Vec<C>) -> Pipeline {
    Pipeline::load(host(), configured, services())
        .await
        .unwrap()
}

fn said(preview: &Preview) -> Vec<(&str, bool)> {
    let evaluations = preview.evaluations().iter();
    evaluations
        .map(|said| (said.plugin.as_str(), said.verdict == Verdict::Approve))
        .collect()
}

#[tokio::test]
async fn a_preview_says_what_a_decision_would_and_counts_nothing() {
    let pipeline = pipeline(vec![open_rules(), ledger(9)]).await;
    let preview = pipeline.preview(&keygen(), soon()).await;
    assert_eq!(said(&preview), [("rules", true), ("ledger", true)]);
    assert_eq!((preview.refusal(), preview.not_asked()), (None, &[][..]));
    for evaluation in preview.evaluations() {
        assert!(evaluation.writes.is_empty(), "{evaluation:?}");
        assert!(evaluation.logs.is_empty() && evaluation.trace.calls.is_empty());
    }
    assert!(
        pipeline
            .status()
            .iter()
            .all(|entry| entry.counts.asked() == 0)
    );
    let (decision, guard) = pipeline.decide(&keygen(), soon()).await;
    assert!(decision.approved());
    assert!(decision.writes().count() > 0, "the memory is in use");
    guard.release();
}

/// Their servers would ask people for approvals that nobody needs.
#[tokio::test]
async fn a_plugin_with_network_is_named_and_not_run() {
    let remote = callback::spec("http://127.0.0.1:9/", 0);
    let name = remote.name.clone();
    let pipeline = pipeline(vec![remote, open_rules()]).await;
    let preview = pipeline.preview(&keygen(), soon()).await;
    assert_eq!(said(&preview), [("rules", true)]);
    assert_eq!(preview.not_asked(), [name]);
    assert_eq!(preview.refusal(), None);
}

#[tokio::test]
async fn every_objection_is_told_and_the_first_is_that_of_a_decision() {
    let specs = vec![
        labelled("one", closed_rules()),
        labelled("two", open_rules()),
        labelled("three", closed_rules()),
    ];
    let pipeline = pipeline(specs).await;
    let preview = pipeline.preview(&keygen(), soon()).await;
    let expected = [
        ("rules:one", false),
        ("rules:two", true),
        ("rules:three", false),
    ];
    assert_eq!(said(&preview), expected);
    let (decision, _guard) = pipeline.decide(&keygen(), soon()).await;
    assert_eq!(preview.refusal(), decision.refusal());
    assert_eq!(
        preview.refusal().unwrap().plugin.as_deref(),
        Some("rules:one")
    );
}

#[tokio::test]
async fn a_task_without_a_guard_and_a_broken_guard_refuse_in_a_preview_too() {
    let none = Chain::load(&host(), Vec::new(), services()).await.unwrap();
    let refusal = none.preview(&keygen(), soon()).await.refusal().unwrap();
    assert_eq!(
        (refusal.code.as_str(), refusal.plugin),
        (Code::NoPlugin.as_str(), None)
    );
    let broken = EntrySpec::Unusable {
        name: "broken".into(),
        role: Role::default(),
        reason: "a mistake".into(),
    };
    let pipeline = pipeline(vec![broken, open_rules().into()]).await;
    let preview = pipeline.preview(&keygen(), soon()).await;
    assert_eq!(said(&preview), [("broken", false), ("rules", true)]);
    assert_eq!(preview.refusal().unwrap().plugin.as_deref(), Some("broken"));
}

/// A task that is being decided holds the lock of those with a memory.
#[tokio::test]
async fn a_preview_neither_waits_for_a_decision_nor_holds_one_up() {
    let pipeline = pipeline(vec![ledger(9)]).await;
    let (decision, guard) = pipeline.decide(&keygen(), soon()).await;
    assert!(decision.approved());
    let preview = pipeline.preview(&keygen(), soon()).await;
    assert_eq!(said(&preview), [("ledger", true)]);
    guard.release();
    let (decision, guard) = pipeline.decide(&keygen(), soon()).await;
    assert!(decision.approved());
    guard.release();
}

#[tokio::test]
async fn a_shadow_says_nothing_in_a_preview() {
    let shadow = PluginSpec {
        role: Role {
            shadow: Some(countersign_host::Shadow::Chain),
            ..Role::default()
        },
        ..labelled("shadow", closed_rules())
    };
    let pipeline = pipeline(vec![open_rules(), shadow]).await;
    let preview = pipeline.preview(&keygen(), soon()).await;
    assert_eq!(said(&preview), [("rules", true)]);
    let status = pipeline.status();
    assert_eq!(status[1].condition, Condition::Shadow);
    assert!(status.iter().all(|entry| entry.counts.asked() == 0));
}

#[tokio::test]
async fn a_status_tells_whether_an_entry_reaches_outside() {
    let remote = callback::spec("http://127.0.0.1:9/", 0);
    let pipeline = pipeline(vec![remote, open_rules()]).await;
    let remote: Vec<bool> = pipeline.status().iter().map(|entry| entry.remote).collect();
    assert_eq!(remote, [true, false]);
}
