//! Builds the components and makes the entries, tasks and services that the tests share.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use countersign_host::rs256::SigningKey;
use countersign_host::{
    Grants, Host, HostLimits, HttpClient, HttpOptions, KeyGrant, KeyRing, KeyUsage, Keygen,
    LocalServices, Operation, Plugin, PluginSpec, Principal, Role, Task,
};
use serde_json::{Value, json};

use crate::callback;

/// File of the component of `package`, built on first use from the test and never from a build
/// script.
pub fn component(package: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let folder = BUILT.get_or_init(build);
    folder.join(format!("{}.wasm", package.replace('-', "_")))
}

fn build() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
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
        .args(["-p", "countersign-rules", "-p", "countersign-jwt-callback"])
        .args([
            "-p",
            "countersign-guest-rogue",
            "-p",
            "countersign-guest-keeper",
        ])
        .args(["-p", "countersign-guest-ledger"])
        .args(["-p", "countersign-fireblocks-callback"])
        .args(["-p", "countersign-webhook", "-p", "countersign-jwt-events"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .unwrap();
    assert!(
        status.success(),
        "the components do not build: is the target there? `rustup target add wasm32-wasip2`"
    );
    target.join("wasm32-wasip2/plugin")
}

/// The host that most tests share, so that each component is compiled once: it is kept as long as a
/// plugin uses it.
pub fn host() -> Host {
    static WARM: OnceLock<(Host, Vec<Plugin>)> = OnceLock::new();
    // On a thread of its own, because the caller is inside a runtime already.
    WARM.get_or_init(|| std::thread::spawn(warm).join().unwrap())
        .0
        .clone()
}

fn warm() -> (Host, Vec<Plugin>) {
    let host = Host::new(HostLimits::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let specs = [
        open_rules(),
        rogue(json!({})),
        callback::spec("http://127.0.0.1:9/", 0),
    ];
    let load = |spec: &PluginSpec| runtime.block_on(host.load(spec, services())).unwrap();
    let plugins = specs.iter().map(load).collect();
    (host, plugins)
}

pub fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

pub fn services() -> Arc<LocalServices> {
    let mut keys = KeyRing::default();
    keys.insert_signing("callback", node_key());
    keys.insert_verifying("cb", server_key().verifying_key());
    Arc::new(LocalServices::new(
        keys,
        HttpClient::new(&HttpOptions::default()).unwrap(),
    ))
}

/// The node's callback key.
pub fn node_key() -> SigningKey {
    static KEY: OnceLock<Vec<u8>> = OnceLock::new();
    key(&KEY)
}

/// The callback server's key.
pub fn server_key() -> SigningKey {
    static KEY: OnceLock<Vec<u8>> = OnceLock::new();
    key(&KEY)
}

fn key(once: &OnceLock<Vec<u8>>) -> SigningKey {
    let der = once.get_or_init(|| SigningKey::generate().unwrap().to_pkcs8().unwrap().to_vec());
    SigningKey::from_pkcs8(der).unwrap()
}

/// An entry of the plugin `rules`, which is granted what its limits may need.
pub fn rules(config: Value) -> PluginSpec {
    PluginSpec {
        name: "rules".into(),
        file: component("countersign-rules"),
        digest: None,
        config,
        grants: Grants {
            state_bytes: 1 << 20,
            ..Grants::default()
        },
        role: Role::default(),
        written: None,
    }
}

/// Rules that allow one key generation.
pub fn open_rules() -> PluginSpec {
    rules(
        json!({"enable": true, "key_gen": {"allow_list": [{"threshold": 2, "node_ids": ["a", "b", "c"]}]}}),
    )
}

/// Rules that allow none.
pub fn closed_rules() -> PluginSpec {
    rules(json!({"enable": true, "key_gen": {"reject_all": true}}))
}

/// An entry of the hostile plugin, which is granted a little of everything.
pub fn rogue(config: Value) -> PluginSpec {
    let grant = |name: &str, usage| KeyGrant {
        name: name.into(),
        usage,
    };
    PluginSpec {
        name: "rogue".into(),
        file: component("countersign-guest-rogue"),
        digest: None,
        config,
        grants: Grants {
            keys: vec![
                grant("callback", KeyUsage::SignJwt),
                grant("cb", KeyUsage::Verify),
            ],
            http: vec!["http://127.0.0.1:9/allowed/".parse().unwrap()],
            state_bytes: 1000,
            cpu_ms: 100,
            wall_ms: 1500,
            ..Grants::trial()
        },
        role: Role::default(),
        written: None,
    }
}

/// The key generation that [`open_rules`] allow.
pub fn keygen() -> Task {
    task(Operation::Keygen(Keygen {
        scheme: "ecdsa-secp256k1".into(),
        curve: "secp256k1".into(),
        threshold: 2,
        members: ["c", "a", "b"].map(String::from).to_vec(),
    }))
}

pub fn task(operation: Operation) -> Task {
    let principal = |name: &str| Principal {
        id: format!("{name}-id"),
        name: name.into(),
    };
    Task {
        id: "task-1".into(),
        attempt: 1,
        received_at: 1_800_000_000_000,
        requester: principal("treasury"),
        coordinator: principal("main"),
        node: "csn1self".into(),
        operation,
        extra: Vec::new(),
        raw: b"{}".to_vec(),
    }
}
