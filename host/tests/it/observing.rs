//! Plugins observe tasks that others sign: they only count them.

use std::time::{Duration, Instant};

use countersign_host::{
    Code, Grants, Host, HostOptions, Input, Intent, Key, Observation, Operation, Pipeline,
    PluginSpec, PreInitLimits, Role, Signing, Task,
};
use serde_json::{Value, json};

use crate::guests::{component, host, open_rules, rogue, rules, services, soon, task};

fn keysign() -> Task {
    let key = Key {
        id: "key-1".into(),
        scheme: "ed25519".into(),
        curve: "ed25519".into(),
        root_public_key: "cpub".into(),
        threshold: 2,
        members: ["a", "b", "c"].map(String::from).to_vec(),
    };
    let input = Input {
        path: "m".into(),
        public_key: vec![1; 32],
        digest: b"hello".to_vec(),
        tweak: None,
    };
    task(Operation::Sign(Signing {
        key,
        signers: vec!["a".into(), "b".into()],
        inputs: vec![input],
        payload: "message".into(),
        blind: false,
        intent: Intent::Message(b"hello".to_vec()),
    }))
}

fn ledger(state_bytes: u64) -> PluginSpec {
    PluginSpec {
        name: "ledger".into(),
        file: component("countersign-guest-ledger"),
        config: json!({"limit": 0}),
        grants: Grants {
            state_bytes,
            ..Grants::default()
        },
        ..open_rules()
    }
}

async fn observe(host: Host, specs: Vec<PluginSpec>) -> Vec<Observation> {
    let pipeline = Pipeline::load(host, specs, services()).await.unwrap();
    let (observations, turn) = pipeline
        .observe(&keysign(), |_| true, soon())
        .await
        .unwrap();
    turn.release();
    observations
}

/// The observation by a plugin that misbehaves in this way of a task that others sign.
async fn observed(deed: Value) -> (Code, String) {
    let [observation] =
        <[_; 1]>::try_from(observe(host(), vec![rogue(json!({"observe": deed}))]).await).unwrap();
    assert!(observation.writes.is_empty());
    observation.result.unwrap_err()
}

#[tokio::test]
async fn a_plugin_counts_what_others_sign_whatever_it_would_have_said() {
    let [observation] = <[_; 1]>::try_from(observe(host(), vec![ledger(100_000)]).await).unwrap();
    assert_eq!(
        (observation.plugin.as_str(), &observation.result),
        ("ledger", &Ok(()))
    );
    assert_eq!(observation.writes.len(), 1);
}

#[tokio::test]
async fn nothing_outside_the_node_is_in_reach_though_it_is_granted() {
    let (code, reason) = observed(json!({"sign": "callback"})).await;
    assert_eq!((code, reason.as_str()), (Code::Internal, "as it should be"));
    let (code, reason) =
        observed(json!({"request": ["http://127.0.0.1:9/allowed/x", "x-test"]})).await;
    assert_eq!(code, Code::Internal);
    assert!(!reason.contains("connect"), "nobody was asked: {reason}");
}

#[tokio::test]
async fn limits_hold_as_ever_and_a_failure_writes_nothing() {
    assert_eq!(observed(json!("loop")).await.0, Code::Cpu);
    assert_eq!(observed(json!("allocate")).await.0, Code::Memory);
    assert_eq!(observed(json!({"sleep": 60_000})).await.0, Code::Timeout);
    assert_eq!(
        observed(json!({"fail": "unavailable"})).await.0,
        Code::Unavailable
    );
}

#[tokio::test]
async fn only_who_guards_the_task_and_may_remember_is_told() {
    assert!(observe(host(), vec![ledger(0)]).await.is_empty());
    let shadow = Some(countersign_host::Shadow::Chain);
    let shadow = PluginSpec {
        role: Role {
            shadow,
            ..Role::default()
        },
        ..ledger(1000)
    };
    assert!(
        observe(host(), vec![open_rules(), shadow])
            .await
            .iter()
            .all(|told| told.plugin == "rules")
    );
    let pipeline = Pipeline::load(host(), vec![ledger(1000), open_rules()], services())
        .await
        .unwrap();
    let (told, turn) = pipeline
        .observe(&keysign(), |name| name == "rules", soon())
        .await
        .unwrap();
    turn.release();
    assert_eq!(
        told.iter()
            .map(|told| told.plugin.as_str())
            .collect::<Vec<_>>(),
        ["rules"]
    );
}

#[tokio::test]
async fn it_waits_for_its_turn_and_no_longer_than_it_may() {
    let pipeline = Pipeline::load(host(), vec![ledger(1000)], services())
        .await
        .unwrap();
    let (_, turn) = pipeline
        .observe(&keysign(), |_| true, soon())
        .await
        .unwrap();
    let late = Instant::now() + Duration::from_millis(20);
    assert!(pipeline.observe(&keysign(), |_| true, late).await.is_none());
    turn.release();
    assert!(
        pipeline
            .observe(&keysign(), |_| true, soon())
            .await
            .is_some()
    );
}

#[tokio::test]
async fn rules_with_a_pre_initialised_configuration_count_too() {
    let pre_init = Some(PreInitLimits::default());
    let host = Host::with(HostOptions {
        pre_init,
        ..HostOptions::default()
    })
    .unwrap();
    let policy = json!({"name": "p", "messages": {}, "limits": [{"per": "day", "tasks": 1}]});
    let padding: Vec<String> = (0..200).map(|i| format!("0x{i:040x}")).collect();
    let spec = rules(json!({"enable": true, "key_sign": {"deny": padding, "policies": [policy]}}));
    assert!(
        host.load(&spec, services())
            .await
            .unwrap()
            .is_pre_initialised()
    );
    let [observation] = <[_; 1]>::try_from(observe(host, vec![spec]).await).unwrap();
    assert_eq!(observation.result, Ok(()));
    assert!(
        observation.writes[0].key.starts_with("used/p/key-1/"),
        "{}",
        observation.writes[0].key
    );
}
