//! Decisions of whole chains, and their replacement while tasks are being judged.

use std::sync::Arc;
use std::time::Duration;

use countersign_host::{Chain, Code, Decision, Pipeline, PluginSpec, Verdict};
use serde_json::json;

use crate::guests::{closed_rules, host, keygen, open_rules, rogue, rules, services, soon};

async fn decide(specs: Vec<PluginSpec>) -> Decision {
    Chain::load(&host(), specs, services())
        .await
        .unwrap()
        .decide(&keygen(), soon())
        .await
}

#[tokio::test]
async fn every_plugin_must_approve() {
    let decision = decide(vec![open_rules(), rogue(json!({}))]).await;
    assert!(decision.approved());
    assert_eq!(decision.evaluations().len(), 2);

    let decision = decide(vec![open_rules(), rogue(json!({"evaluate": "panic"}))]).await;
    assert!(!decision.approved());
    assert_eq!(decision.refusal().unwrap().code, Code::Trap.as_str());
    assert_eq!(decision.refusal().unwrap().plugin.as_deref(), Some("rogue"));
}

#[tokio::test]
async fn an_empty_chain_approves_nothing() {
    let decision = decide(Vec::new()).await;
    assert!(!decision.approved());
    assert_eq!(decision.refusal().unwrap().code, "policy-missing");
}

/// The entry with a network grant comes first in the configuration and is not asked when local
/// rules refuse.
#[tokio::test]
async fn local_rules_come_before_the_network() {
    let decision = decide(vec![rogue(json!({})), closed_rules()]).await;
    assert_eq!(decision.refusal().unwrap().code, "keygen-reject-all");
    assert_eq!(decision.evaluations().len(), 1);
}

#[tokio::test]
async fn plugins_with_network_are_asked_at_once() {
    let slow = |name: &str| PluginSpec {
        name: name.into(),
        ..rogue(json!({"evaluate": {"sleep": 300}}))
    };
    let chain = Chain::load(
        &host(),
        vec![slow("rogue:a"), slow("rogue:b"), slow("rogue:c")],
        services(),
    )
    .await
    .unwrap();
    let started = std::time::Instant::now();
    assert!(chain.decide(&keygen(), soon()).await.approved());
    assert!(
        started.elapsed() < Duration::from_millis(800),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn a_refusal_writes_nothing() {
    let remembering = || rogue(json!({"evaluate": {"remember": 10}}));
    let approved = decide(vec![remembering()]).await;
    assert_eq!(approved.writes().count(), 1);
    let panicking = PluginSpec {
        name: "rogue:b".into(),
        ..rogue(json!({"evaluate": "panic"}))
    };
    let refused = decide(vec![remembering(), panicking]).await;
    assert_eq!(refused.writes().count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_decision_names_the_configuration_that_made_it() {
    let pipeline = Arc::new(
        Pipeline::load(host(), vec![open_rules()], services())
            .await
            .unwrap(),
    );
    let open = pipeline.chain().plugins()[0].revision();
    let judges: Vec<_> = (0..4)
        .map(|_| tokio::spawn(judge(pipeline.clone(), open)))
        .collect();
    for i in 0..20 {
        let spec = if i % 2 == 0 {
            closed_rules()
        } else {
            open_rules()
        };
        pipeline.reload(vec![spec]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    pipeline.reload(Vec::<PluginSpec>::new()).await.unwrap();
    let mut approved = 0;
    let mut refused = 0;
    for judge in judges {
        let (a, r) = judge.await.unwrap();
        approved += a;
        refused += r;
    }
    assert!(
        approved > 0 && refused > 0,
        "{approved} approved, {refused} refused"
    );
}

/// Judges until the chain is empty; returns how often either configuration was in force.
async fn judge(pipeline: Arc<Pipeline>, open: [u8; 32]) -> (u32, u32) {
    let mut approved = 0;
    let mut refused = 0;
    loop {
        let (decision, _turn) = pipeline.decide(&keygen(), soon()).await;
        let Some(evaluation) = decision.evaluations().first() else {
            return (approved, refused);
        };
        match &evaluation.verdict {
            Verdict::Approve if evaluation.revision == open => approved += 1,
            Verdict::Reject { code, .. }
                if evaluation.revision != open && code == "keygen-reject-all" =>
            {
                refused += 1
            }
            other => panic!("{other:?} by revision {:?}", evaluation.revision),
        }
    }
}

#[tokio::test]
async fn a_bad_replacement_leaves_the_old_chain_in_force() {
    let pipeline = Pipeline::load(host(), vec![open_rules()], services())
        .await
        .unwrap();
    let before = pipeline.chain().revision();
    for (bad, code) in [
        (
            rules(json!({"enable": true, "keygen": {}})),
            Code::Misconfigured,
        ),
        (
            PluginSpec {
                file: "no-such-file.wasm".into(),
                ..open_rules()
            },
            Code::Missing,
        ),
        (
            PluginSpec {
                digest: Some([1; 32]),
                ..open_rules()
            },
            Code::Digest,
        ),
        (
            PluginSpec {
                file: rogue(json!({})).file,
                ..open_rules()
            },
            Code::NotGranted,
        ),
    ] {
        let error = pipeline.reload(vec![bad]).await.unwrap_err();
        assert_eq!(error.code(), Some(code), "{error}");
        assert_eq!(pipeline.chain().revision(), before);
        assert!(pipeline.decide(&keygen(), soon()).await.0.approved());
    }
}

#[tokio::test]
async fn a_task_under_way_keeps_its_chain() {
    let slow = rogue(json!({"evaluate": {"sleep": 300}}));
    let pipeline = Arc::new(
        Pipeline::load(host(), vec![slow], services())
            .await
            .unwrap(),
    );
    let before = pipeline.chain().revision();
    let under_way = tokio::spawn({
        let pipeline = pipeline.clone();
        async move { pipeline.decide(&keygen(), soon()).await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    pipeline.reload(vec![closed_rules()]).await.unwrap();
    assert!(!pipeline.decide(&keygen(), soon()).await.0.approved());
    let (decision, _turn) = under_way.await.unwrap();
    assert!(decision.approved());
    assert_eq!(decision.chain().0, before);
}
