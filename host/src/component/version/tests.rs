//! Two versions of the contract in one host.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    Chain, Code, Grants, Host, HostLimits, HttpClient, HttpOptions, KeyRing, Keygen, LocalServices,
    Operation, Origin, PluginSpec, Principal, Services, Statement, Task,
};

/// Built on first use, beside the programs.
fn component(package: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let folder = BUILT.get_or_init(|| {
        let here = std::env::current_exe().unwrap();
        let target = here.ancestors().nth(3).unwrap();
        let status = Command::new(env!("CARGO"))
            .args([
                "build",
                "--quiet",
                "--profile",
                "plugin",
                "--target",
                "wasm32-wasip2",
                "--target-dir",
            ])
            .arg(target)
            .args(["-p", "countersign-rules", "-p", "countersign-guest-next"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status();
        assert!(
            status.unwrap().success(),
            "is the target there? `rustup target add wasm32-wasip2`"
        );
        target.join("wasm32-wasip2/plugin")
    });
    folder.join(format!("{}.wasm", package.replace('-', "_")))
}

fn spec(name: &str, package: &str, config: Value) -> PluginSpec {
    PluginSpec {
        name: name.into(),
        file: component(package),
        digest: None,
        config,
        grants: Grants {
            state_bytes: 1000,
            ..Grants::default()
        },
        role: crate::contract::role::Role::default(),
        written: None,
    }
}

fn next(config: Value) -> PluginSpec {
    spec("next", "countersign-guest-next", config)
}

/// Rules of 0.1 that allow [`task`].
fn rules() -> PluginSpec {
    let allowed = json!([{"threshold": 2, "node_ids": ["a", "b"]}]);
    spec(
        "rules",
        "countersign-rules",
        json!({"enable": true, "key_gen": {"allow_list": allowed}}),
    )
}

fn task() -> Task {
    let principal = || Principal {
        id: "id".into(),
        name: "name".into(),
    };
    Task {
        id: "task-1".into(),
        attempt: 3,
        received_at: 1_800_000_000_000,
        requester: principal(),
        coordinator: principal(),
        node: "csn1self".into(),
        operation: Operation::Keygen(Keygen {
            scheme: "ed25519".into(),
            curve: "ed25519".into(),
            threshold: 2,
            members: vec!["a".into(), "b".into()],
        }),
        extra: vec![Statement {
            name: "note".into(),
            value: "hello".into(),
            origin: Origin::Claim,
        }],
        raw: b"{}".to_vec(),
    }
}

fn services() -> Arc<dyn Services> {
    let http = HttpClient::new(&HttpOptions::default()).unwrap();
    Arc::new(LocalServices::new(KeyRing::default(), http))
}

/// Code and reason of a chain's refusal; `None` if it approves.
async fn refusal(specs: Vec<PluginSpec>) -> Option<(String, String)> {
    let host = Host::new(HostLimits::default()).unwrap();
    let chain = Chain::load(&host, specs, services()).await.unwrap();
    let decision = chain
        .decide(&task(), Instant::now() + Duration::from_secs(20))
        .await;
    decision
        .refusal()
        .map(|refusal| (refusal.code, refusal.reason))
}

#[tokio::test]
async fn plugins_of_two_versions_judge_the_same_task_in_one_chain() {
    assert_eq!(refusal(vec![rules(), next(json!("approve"))]).await, None);
    assert_eq!(refusal(vec![next(json!("approve")), rules()]).await, None);
    let (code, _) = refusal(vec![rules(), next(json!("reject"))]).await.unwrap();
    assert_eq!(code, "as-told");
}

#[tokio::test]
async fn a_task_is_told_in_the_words_of_the_version() {
    let (_, reason) = refusal(vec![next(json!("reject"))]).await.unwrap();
    assert_eq!(reason, r#"task-1 3 ["note=hello"] 2"#);
}

#[tokio::test]
async fn an_answer_that_0_1_does_not_know_is_not_an_approval() {
    let (code, _) = refusal(vec![rules(), next(json!("abstain"))])
        .await
        .unwrap();
    assert_eq!(code, Code::Unsupported.as_str());
}

#[tokio::test]
async fn each_version_describes_and_checks_itself() {
    let host = Host::new(HostLimits::default()).unwrap();
    let plugin = host
        .load(&next(json!("approve")), services())
        .await
        .unwrap();
    assert_eq!(
        (plugin.info().name.as_str(), plugin.info().version.as_str()),
        ("next", "9.0.0")
    );
    let error = host
        .load(&next(json!("wrong")), services())
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::Misconfigured, "{error}");
}

#[test]
fn versions_agree_up_to_the_minor_one() {
    for (version, agrees) in [
        ("0.1.0", "0.1"),
        ("0.1.27", "0.1"),
        ("0.2.0", "0.2"),
        ("0.1.0-rc.1", "0.1.0-rc.1"),
    ] {
        assert_eq!(super::minor(version), agrees);
    }
}
