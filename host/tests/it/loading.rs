//! Loading of components, and refusals before any of their code runs.

use std::collections::BTreeSet;
use std::time::Instant;

use countersign_host::{Chain, Code, Grants, Host, HostLimits, LoadError, PluginSpec};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::guests::{
    closed_rules, component, host, keygen, open_rules, rogue, rules, services, soon,
};

/// Interfaces that a plugin imports which asks a server and signs what it asks.
const CALLBACK_IMPORTS: &str = "clock config http keys logging types";

async fn load(spec: &PluginSpec) -> Result<(), LoadError> {
    host().load(spec, services()).await.map(drop)
}

async fn assert_refused(spec: &PluginSpec, code: Code) -> String {
    let error = load(spec).await.expect_err("it was loaded");
    assert_eq!(error.code(), code, "{error}");
    error.to_string()
}

fn file(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PluginSpec) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    std::fs::write(&file, bytes).unwrap();
    (
        folder,
        PluginSpec {
            file,
            ..open_rules()
        },
    )
}

#[tokio::test]
async fn rules_approve_and_reject() {
    let plugin = host().load(&open_rules(), services()).await.unwrap();
    assert_eq!(plugin.info().name, "rules");
    assert_eq!(
        plugin.digest(),
        <[u8; 32]>::from(Sha256::digest(std::fs::read(open_rules().file).unwrap()))
    );
    assert_eq!(
        plugin.evaluate(&keygen(), soon()).await.verdict.refusal(),
        None
    );

    let plugin = host().load(&closed_rules(), services()).await.unwrap();
    let evaluation = plugin.evaluate(&keygen(), soon()).await;
    assert_eq!(evaluation.verdict.refusal().unwrap().0, "keygen-reject-all");
}

#[tokio::test]
async fn rules_need_no_grant_but_for_what_they_remember() {
    let PluginSpec { grants, .. } = open_rules();
    assert_eq!(
        grants,
        Grants {
            state_bytes: grants.state_bytes,
            ..Grants::default()
        }
    );
    load(&open_rules()).await.unwrap();
}

#[tokio::test]
async fn a_missing_file_is_refused() {
    let spec = PluginSpec {
        file: "no-such-file.wasm".into(),
        ..open_rules()
    };
    assert!(
        assert_refused(&spec, Code::Missing)
            .await
            .contains("install")
    );
}

/// It is kept with the decisions that are made under it.
#[tokio::test]
async fn a_configuration_of_more_than_four_mebibytes_is_refused() {
    let config = json!({"enable": true, "padding": "x".repeat(4 << 20)});
    assert!(
        assert_refused(
            &PluginSpec {
                config,
                ..open_rules()
            },
            Code::Config
        )
        .await
        .contains("shorten")
    );
}

#[tokio::test]
async fn only_the_pinned_file_is_loaded() {
    let bytes = std::fs::read(open_rules().file).unwrap();
    let digest: [u8; 32] = Sha256::digest(&bytes).into();
    load(&PluginSpec {
        digest: Some(digest),
        ..open_rules()
    })
    .await
    .unwrap();
    assert_refused(
        &PluginSpec {
            digest: Some([0; 32]),
            ..open_rules()
        },
        Code::Digest,
    )
    .await;

    let mut changed = bytes;
    *changed.last_mut().unwrap() ^= 1;
    let (_folder, spec) = file("rules.wasm", &changed);
    assert_refused(
        &PluginSpec {
            digest: Some(digest),
            ..spec
        },
        Code::Digest,
    )
    .await;
}

#[tokio::test]
async fn what_is_not_a_component_is_refused() {
    let truncated = &std::fs::read(open_rules().file).unwrap()[..1000];
    let module = wat::parse_str("(module)").unwrap();
    for bytes in [
        &b""[..],
        b"garbage",
        b"\0asm",
        truncated,
        &module,
        b"(component)",
    ] {
        let (_folder, spec) = file("x.wasm", bytes);
        assert_refused(&spec, Code::NotAComponent).await;
    }
}

#[tokio::test]
async fn a_file_over_the_limit_is_not_even_hashed() {
    let host = Host::new(HostLimits {
        component_bytes: 1000,
        ..HostLimits::default()
    })
    .unwrap();
    let spec = PluginSpec {
        digest: Some([0; 32]),
        ..open_rules()
    };
    assert_eq!(
        host.load(&spec, services()).await.unwrap_err().code(),
        Code::TooLarge
    );
}

#[tokio::test]
async fn imports_need_grants() {
    let granted = rogue(json!({})).grants;
    for (grants, import) in [
        (
            Grants {
                keys: Vec::new(),
                ..granted.clone()
            },
            "keys",
        ),
        (
            Grants {
                http: Vec::new(),
                ..granted.clone()
            },
            "http",
        ),
        (
            Grants {
                state_bytes: 0,
                ..granted
            },
            "state",
        ),
    ] {
        let spec = PluginSpec {
            grants,
            ..rogue(json!({}))
        };
        let text = assert_refused(&spec, Code::NotGranted).await;
        assert!(
            text.contains(&format!("countersign:policy/{import}@0.1.0")),
            "{text}"
        );
    }
}

/// The SDK has a method for every import, and a plugin imports only those that it calls.
#[tokio::test]
async fn the_plugins_that_ship_import_what_they_use() {
    for (package, used) in [
        ("countersign-rules", "config logging state types"),
        ("countersign-jwt-callback", CALLBACK_IMPORTS),
        ("countersign-fireblocks-callback", CALLBACK_IMPORTS),
        ("countersign-webhook", CALLBACK_IMPORTS),
        (
            "countersign-jwt-events",
            "clock config events http keys types",
        ),
    ] {
        let seen = host().inspect(&component(package)).await.unwrap();
        let ours = seen.imports.iter().filter_map(|import| {
            let name = import.strip_prefix("countersign:policy/")?;
            name.split('@').next()
        });
        let ours: BTreeSet<_> = ours.collect();
        assert_eq!(ours, used.split(' ').collect(), "{package}");
    }
}

#[tokio::test]
async fn files_and_sockets_cannot_be_granted() {
    for import in [
        "wasi:filesystem/preopens@0.2.0",
        "wasi:sockets/network@0.2.0",
        "wasi:http/types@0.2.0",
    ] {
        let text = format!(r#"(component (import "{import}" (instance)))"#);
        let (_folder, spec) = file("x.wasm", &wat::parse_str(text).unwrap());
        let spec = PluginSpec {
            grants: rogue(json!({})).grants,
            ..spec
        };
        assert_refused(&spec, Code::NotGranted).await;
    }
}

#[tokio::test]
async fn a_component_must_export_the_contract() {
    let (_folder, spec) = file("x.wasm", &wat::parse_str("(component)").unwrap());
    assert_refused(&spec, Code::Incompatible).await;
}

#[tokio::test]
async fn the_entry_bears_the_component_s_name() {
    load(&PluginSpec {
        name: "rules:treasury".into(),
        ..open_rules()
    })
    .await
    .unwrap();
    for name in ["other", "rulesx", "rule", ""] {
        assert_refused(
            &PluginSpec {
                name: name.into(),
                ..open_rules()
            },
            Code::Name,
        )
        .await;
    }
}

#[tokio::test]
async fn a_wrong_configuration_is_refused() {
    let text = assert_refused(
        &rules(json!({"enable": true, "keygen": {}})),
        Code::Misconfigured,
    )
    .await;
    assert!(
        text.contains("keygen") && text.contains("key_gen"),
        "{text}"
    );
    for config in [
        json!(null),
        json!({}),
        json!({"enable": false}),
        json!([]),
        json!("enable"),
    ] {
        assert_refused(&rules(config), Code::Misconfigured).await;
    }
}

#[tokio::test]
async fn a_hostile_check_is_contained() {
    for (deed, code) in [
        ("loop", Code::Cpu),
        ("allocate", Code::Memory),
        ("panic", Code::Trap),
        ("exit", Code::Exit),
    ] {
        assert_refused(&rogue(json!({"check": deed})), code).await;
    }
}

#[tokio::test]
async fn grants_stay_within_the_host() {
    let most = HostLimits::default().memory_bytes;
    for grants in [
        Grants {
            memory_bytes: most + 1,
            ..Grants::default()
        },
        Grants {
            cpu_ms: 0,
            ..Grants::default()
        },
        Grants {
            wall_ms: 0,
            ..Grants::default()
        },
    ] {
        assert_refused(
            &PluginSpec {
                grants,
                ..open_rules()
            },
            Code::Grants,
        )
        .await;
    }
}

#[tokio::test]
async fn a_description_cannot_steer_a_terminal() {
    let plugin = host().load(&rogue(json!({})), services()).await.unwrap();
    assert_eq!(plugin.info().description, "Misbehaves as told.\\u{1b}[31m");
}

#[tokio::test]
async fn names_in_a_chain_are_unique() {
    let error = Chain::load(&host(), vec![open_rules(), open_rules()], services())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("rules:second"), "{error}");
    let second = PluginSpec {
        name: "rules:second".into(),
        ..open_rules()
    };
    assert!(
        Chain::load(&host(), vec![open_rules(), second], services())
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn an_unchanged_component_is_compiled_once() {
    let host = Host::new(HostLimits::default()).unwrap();
    let started = Instant::now();
    let _first = host.load(&open_rules(), services()).await.unwrap();
    let compiling = started.elapsed();
    let started = Instant::now();
    for _ in 0..4 {
        host.load(&closed_rules(), services()).await.unwrap();
    }
    assert!(
        started.elapsed() < compiling * 2,
        "{:?}, the first {compiling:?}",
        started.elapsed()
    );
}
