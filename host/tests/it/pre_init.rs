//! Pre-initialisation: configurations are read once, and nothing secret or random is kept.

use std::time::Duration;

use countersign_host::{Grants, Host, HostOptions, Plugin, PluginSpec, PreInitLimits};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::guests::{component, host, keygen, open_rules, rogue, services, soon};

pub fn pre_init(limits: PreInitLimits) -> Host {
    Host::with(HostOptions {
        pre_init: Some(limits),
        ..HostOptions::default()
    })
    .unwrap()
}

pub fn keeper(deed: &str, padding: usize) -> PluginSpec {
    let deed: Value = deed.into();
    PluginSpec {
        name: "keeper".into(),
        file: component("countersign-guest-keeper"),
        config: json!({"check": deed, "padding": "x".repeat(padding)}),
        grants: Grants {
            state_bytes: 1000,
            ..Grants::default()
        },
        ..open_rules()
    }
}

async fn load(host: &Host, spec: &PluginSpec) -> Plugin {
    host.load(spec, services()).await.unwrap()
}

/// How many calls the memory of this call remembers; `check` counts as one.
async fn remembered(plugin: &Plugin) -> String {
    plugin
        .evaluate(&keygen(), soon())
        .await
        .verdict
        .refusal()
        .unwrap()
        .0
        .to_owned()
}

#[tokio::test]
async fn a_large_configuration_is_read_once_and_no_call_sees_another() {
    let host = pre_init(PreInitLimits::default());
    let plugin = load(&host, &keeper("nothing", 5000)).await;
    assert!(plugin.is_pre_initialised());
    for _ in 0..3 {
        assert_eq!(remembered(&plugin).await, "kept-1");
    }
    let file = std::fs::read(component("countersign-guest-keeper")).unwrap();
    assert_eq!(
        plugin.digest(),
        <[u8; 32]>::from(Sha256::digest(file)),
        "records name the component itself"
    );
}

#[tokio::test]
async fn a_small_configuration_or_a_host_without_it_pre_initialises_nothing() {
    let small = load(&pre_init(PreInitLimits::default()), &keeper("nothing", 10)).await;
    let unasked = load(
        &Host::with(HostOptions::default()).unwrap(),
        &keeper("nothing", 5000),
    )
    .await;
    for plugin in [small, unasked] {
        assert!(!plugin.is_pre_initialised());
        assert_eq!(remembered(&plugin).await, "kept-0");
    }
}

/// Otherwise a nonce, an hour or an amount spent of then would be taken for one of now.
#[tokio::test]
async fn a_plugin_that_saw_randomness_time_or_memory_in_check_is_not_pre_initialised() {
    let host = pre_init(PreInitLimits::default());
    for deed in ["random", "time", "wasi-time", "state", "print"] {
        let plugin = load(&host, &keeper(deed, 5000)).await;
        assert!(!plugin.is_pre_initialised(), "{deed}");
        assert_eq!(remembered(&plugin).await, "kept-0", "{deed}");
    }
}

#[tokio::test]
async fn a_plugin_that_can_show_a_nonce_to_others_is_not_pre_initialised() {
    let host = pre_init(PreInitLimits {
        document_bytes: 0,
        ..PreInitLimits::default()
    });
    assert!(!load(&host, &rogue(json!({}))).await.is_pre_initialised());
}

#[tokio::test]
async fn a_plugin_that_costs_too_much_is_not_pre_initialised() {
    for limits in [
        PreInitLimits {
            component_bytes: 1000,
            ..PreInitLimits::default()
        },
        PreInitLimits {
            snapshot_bytes: 1000,
            ..PreInitLimits::default()
        },
        PreInitLimits {
            wall: Duration::from_millis(1),
            ..PreInitLimits::default()
        },
    ] {
        let plugin = load(&pre_init(limits), &keeper("nothing", 5000)).await;
        assert!(!plugin.is_pre_initialised());
        assert_eq!(remembered(&plugin).await, "kept-0");
    }
}

#[tokio::test]
async fn a_pre_initialised_plugin_judges_as_before() {
    let host = pre_init(PreInitLimits {
        document_bytes: 0,
        ..PreInitLimits::default()
    });
    let plugin = load(&host, &open_rules()).await;
    assert!(plugin.is_pre_initialised());
    assert_eq!(
        plugin.evaluate(&keygen(), soon()).await.verdict.refusal(),
        None
    );
}

/// Rules with so many entries, of which the first allows the task.
fn rules_with(entries: usize) -> PluginSpec {
    let first = json!({"threshold": 2, "node_ids": ["a", "b", "c"]});
    let other =
        |i: usize| json!({"threshold": 3, "node_ids": [format!("node-{i}"), "b", "c", "d"]});
    let entries: Vec<Value> = std::iter::once(first)
        .chain((1..entries).map(other))
        .collect();
    PluginSpec {
        config: json!({"enable": true, "key_gen": {"allow_list": entries}}),
        ..open_rules()
    }
}

/// The fastest of many calls: what others do on this machine only slows calls down.
async fn fastest(plugin: &Plugin) -> Duration {
    let mut fastest = Duration::MAX;
    for _ in 0..500 {
        let evaluation = plugin.evaluate(&keygen(), soon()).await;
        assert_eq!(evaluation.verdict.refusal(), None);
        fastest = fastest.min(evaluation.elapsed);
    }
    fastest
}

#[tokio::test]
async fn a_hundred_times_the_configuration_costs_at_most_twice_the_time() {
    let pre_init = pre_init(PreInitLimits {
        document_bytes: 0,
        ..PreInitLimits::default()
    });
    let small = fastest(&load(&pre_init, &rules_with(10)).await).await;
    let large = fastest(&load(&pre_init, &rules_with(1000)).await).await;
    let parsing = fastest(&load(&host(), &rules_with(1000)).await).await;
    println!("10 entries {small:?}, 1,000 entries {large:?}, read in every call {parsing:?}");
    assert!(
        large < small * 2,
        "10 entries {small:?}, 1,000 entries {large:?}"
    );
    assert!(
        large * 4 < parsing,
        "1,000 entries {large:?}, read in every call {parsing:?}"
    );
}
