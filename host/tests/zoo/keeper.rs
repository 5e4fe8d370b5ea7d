//! Locks specimens up, asks them, and looks after each whether its neighbour still answers.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use countersign_host::rs256::SigningKey;
use countersign_host::{
    Code, Evaluation, Grants, Host, HostLimits, HttpClient, HttpOptions, KeyGrant, KeyRing,
    KeyUsage, Keygen, LoadError, LocalServices, Operation, Plugin, PluginSpec, Principal, Role,
    Task, Verdict,
};
use serde_json::Value;

use crate::animal::Animal;

/// A specimen's own folder, and the entry that an operator would write for it.
pub struct Cage {
    pub dir: tempfile::TempDir,
    pub spec: PluginSpec,
}

impl Cage {
    pub fn of(animal: &Animal) -> Self {
        Self::holding(&animal.component())
    }

    pub fn holding(bytes: &[u8]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("zoo.wasm");
        std::fs::write(&file, bytes).unwrap();
        Self {
            spec: entry("zoo", file, Value::Null),
            dir,
        }
    }

    pub fn granted(mut self, change: impl FnOnce(&mut Grants)) -> Self {
        change(&mut self.spec.grants);
        self
    }

    pub fn file(&self) -> &Path {
        &self.spec.file
    }

    pub async fn load(&self) -> Result<Plugin, LoadError> {
        host().load(&self.spec, services()).await
    }
}

fn entry(name: &str, file: PathBuf, config: Value) -> PluginSpec {
    let grants = Grants {
        cpu_ms: 100,
        wall_ms: 1_500,
        memory_bytes: 8 << 20,
        ..Grants::default()
    };
    PluginSpec {
        name: name.into(),
        file,
        digest: None,
        config,
        grants,
        role: Role::default(),
        written: None,
    }
}

/// The guest that misbehaves as it is told, with a little of everything granted.
pub fn rogue(deed: Value) -> PluginSpec {
    let grant = |name: &str, usage| KeyGrant {
        name: name.into(),
        usage,
    };
    let mut spec = entry(
        "rogue",
        rogue_file(),
        serde_json::json!({ "evaluate": deed }),
    );
    spec.grants.memory_bytes = 32 << 20;
    spec.grants.keys = vec![
        grant("callback", KeyUsage::SignJwt),
        grant("cb", KeyUsage::Verify),
    ];
    spec.grants.http = vec!["http://127.0.0.1:9/allowed/".parse().unwrap()];
    spec.grants.state_bytes = 1000;
    spec
}

fn rogue_file() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        let status = std::process::Command::new(env!("CARGO"))
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
            .args(["-p", "countersign-guest-rogue"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status();
        assert!(
            status.unwrap().success(),
            "run `rustup target add wasm32-wasip2`"
        );
        target.join("wasm32-wasip2/plugin/countersign_guest_rogue.wasm")
    };
    BUILT.get_or_init(build).clone()
}

/// The host of all cases: what one specimen does must not show at the next.
pub fn host() -> Host {
    static HOST: OnceLock<Host> = OnceLock::new();
    HOST.get_or_init(|| Host::new(HostLimits::default()).unwrap())
        .clone()
}

pub fn services() -> Arc<LocalServices> {
    static KEYS: OnceLock<(Vec<u8>, Vec<u8>)> = OnceLock::new();
    let make = || SigningKey::generate().unwrap().to_pkcs8().unwrap().to_vec();
    let (own, other) = KEYS.get_or_init(|| (make(), make()));
    let mut keys = KeyRing::default();
    keys.insert_signing("callback", SigningKey::from_pkcs8(own).unwrap());
    keys.insert_verifying("cb", SigningKey::from_pkcs8(other).unwrap().verifying_key());
    Arc::new(LocalServices::new(
        keys,
        HttpClient::new(&HttpOptions::default()).unwrap(),
    ))
}

pub fn task() -> Task {
    let principal = |name: &str| Principal {
        id: format!("{name}-id"),
        name: name.into(),
    };
    Task {
        id: "00112233445566778899aabbccddeeff".into(),
        attempt: 1,
        received_at: 1_800_000_000_000,
        requester: principal("treasury"),
        coordinator: principal("main"),
        node: "csn1self".into(),
        operation: Operation::Keygen(Keygen {
            scheme: "ed25519".into(),
            curve: "ed25519".into(),
            threshold: 2,
            members: ["a", "b", "c"].map(String::from).to_vec(),
        }),
        extra: Vec::new(),
        raw: b"{}".to_vec(),
    }
}

pub fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

/// The specimen never becomes a plugin.
pub async fn is_not_loaded(cage: &Cage, code: Code, words: &str) {
    let error = match cage.load().await {
        Ok(plugin) => panic!("loaded: {plugin:?}"),
        Err(error) => error,
    };
    let text = error.to_string();
    assert_eq!((error.code(), text.contains(words)), (code, true), "{text}");
    is_one_clear_sentence(&text);
    neighbour_approves().await;
}

/// The specimen is asked, and the host stops it.
pub async fn is_stopped(cage: &Cage, code: Code, words: &str) {
    let plugin = cage.load().await.unwrap();
    refused_by_host(&plugin.evaluate(&task(), soon()).await, code, words);
    neighbour_approves().await;
}

/// The same for the guest with a deed.
pub async fn deed_is_stopped(deed: Value, code: Code, words: &str) {
    let plugin = host().load(&rogue(deed), services()).await.unwrap();
    refused_by_host(&plugin.evaluate(&task(), soon()).await, code, words);
    neighbour_approves().await;
}

/// The guest lives; what it tried was denied, and it says so.
pub async fn deed_is_denied(spec: PluginSpec, code: &str, words: &str) {
    let plugin = host().load(&spec, services()).await.unwrap();
    let evaluation = plugin.evaluate(&task(), soon()).await;
    let Verdict::Reject {
        code: actual,
        reason,
    } = &evaluation.verdict
    else {
        panic!("{:?}", evaluation.verdict);
    };
    assert_eq!(
        (actual.as_str(), reason.contains(words)),
        (code, true),
        "{reason}"
    );
    neighbour_approves().await;
}

pub fn refused_by_host(evaluation: &Evaluation, code: Code, words: &str) {
    let Verdict::Failed {
        code: actual,
        reason,
    } = &evaluation.verdict
    else {
        panic!("{:?}", evaluation.verdict);
    };
    assert_eq!((*actual, reason.contains(words)), (code, true), "{reason}");
    assert!(evaluation.writes.is_empty());
    is_one_clear_sentence(reason);
}

/// What an operator reads: no control characters, no backtrace of the node, of bounded length. What
/// the guest printed may say anything else.
pub fn is_one_clear_sentence(text: &str) {
    assert!(!text.chars().any(char::is_control), "{text:?}");
    let own = text.split("; it printed:").next().unwrap_or_default();
    assert!(
        !own.contains("backtrace") && !own.contains(".rs:"),
        "{text}"
    );
    assert!(text.len() < 1_400, "{} bytes", text.len());
}

/// A harmless component of the same host approves.
pub async fn neighbour_approves() {
    static HARMLESS: OnceLock<Vec<u8>> = OnceLock::new();
    let cage = Cage::holding(HARMLESS.get_or_init(|| Animal::default().component()));
    let plugin = cage.load().await.unwrap();
    assert_eq!(
        plugin.evaluate(&task(), soon()).await.verdict,
        Verdict::Approve
    );
}
