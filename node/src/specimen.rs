//! Parts for tests: small components made from core modules in text form, the entries and services
//! with which they are loaded, and tasks that they are asked about.
//!
//! The layouts are those of the canonical ABI for `wit/policy.wit`: `info` and all results are
//! returned by address, and a result of zeros is "sound", "approve" or "passed on".

use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use countersign_host::{Key, Keygen, Operation, Principal, Task, rs256};
use countersign_link::Identity;
use countersign_protocol::NodeId;
use countersign_store::Journal;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::config::{Component, PluginConfig, PluginEntry, Policy, RawGrants, RawScope};
use crate::risk::NodeServices;
use crate::world::World;

/// The name by which all specimens describe themselves; entries add a label.
pub(crate) const NAME: &str = "specimen";
/// The code and the reason with which they refuse.
pub(crate) const CODE: &str = "not-today";
pub(crate) const REASON: &str = "Closed on Sundays.";

const WIT: &str = include_str!("../../wit/policy.wit");
/// Addresses of the result of `check`, of the answer, and of what an import answers.
const CHECKED: u32 = 128;
const ANSWER: u32 = 160;
const IMPORTED: u32 = 512;
/// Addresses of the texts of a refusal, and of a value to be remembered.
const CODE_AT: u32 = 256;
const REASON_AT: u32 = 320;
const VALUE_AT: u32 = 1024;

static CALLBACK: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let key = rs256::SigningKey::generate().unwrap();
    key.to_pkcs8().unwrap().to_vec()
});

/// A component in parts.
pub(crate) struct Specimen {
    world: &'static str,
    interface: &'static str,
    method: &'static str,
    imports: &'static str,
    body: String,
    version: &'static str,
}

impl Specimen {
    pub(crate) fn approving() -> Self {
        Self::plugin(answer(&[]))
    }

    /// A plugin that rejects with [`CODE`] and [`REASON`].
    pub(crate) fn rejecting() -> Self {
        Self::plugin(rejection())
    }

    pub(crate) fn trapping() -> Self {
        Self::plugin("unreachable".into())
    }

    /// A plugin that remembers `bytes` bytes under the key [`CODE`], and rejects if it may not.
    pub(crate) fn remembering(bytes: u32) -> Self {
        let key = format!("(i32.const {CODE_AT}) (i32.const {})", CODE.len());
        let value = format!("(i32.const {VALUE_AT}) (i32.const {bytes})");
        let set =
            format!("(call $set {key} {value} (i32.const 0) (i64.const 0) (i32.const {IMPORTED}))");
        let refused = format!("(i32.load8_u (i32.const {IMPORTED}))");
        let reject = rejection();
        let approve = answer(&[]);
        Self {
            imports: r#"(import "countersign:policy/state@0.1.0" "set"
                (func $set (param i32 i32 i32 i32 i32 i64 i32)))"#,
            ..Self::plugin(format!(
                "{set} (if (result i32) {refused} (then {reject}) (else {approve}))"
            ))
        }
    }

    /// A plugin that approves a tenth of a second later.
    pub(crate) fn slow() -> Self {
        let approve = answer(&[]);
        Self {
            imports: r#"(import "countersign:policy/clock@0.1.0" "sleep" (func $sleep (param i64)))"#,
            ..Self::plugin(format!("(call $sleep (i64.const 100)) {approve}"))
        }
    }

    /// A receiver that passes every event on.
    pub(crate) fn receiving() -> Self {
        Self::receiver(answer(&[]))
    }

    /// A receiver whose server is away: [`REASON`].
    pub(crate) fn unavailable() -> Self {
        let words = [(0, 1), (4, 1), (8, REASON_AT), (12, REASON.len() as u32)];
        Self::receiver(answer(&words))
    }

    /// The same of another version, which has five characters.
    pub(crate) fn version(self, version: &'static str) -> Self {
        Self { version, ..self }
    }

    fn plugin(body: String) -> Self {
        Self {
            world: "risk-plugin",
            interface: "countersign:policy/plugin@0.1.0",
            method: "evaluate",
            imports: "",
            body,
            version: "1.0.0",
        }
    }

    fn receiver(body: String) -> Self {
        Self {
            world: "event-plugin",
            interface: "countersign:policy/event-receiver@0.1.0",
            method: "deliver",
            ..Self::plugin(body)
        }
    }

    fn text(&self) -> String {
        let Self {
            interface,
            method,
            imports,
            body,
            version,
            ..
        } = self;
        format!(
            r#"(module
            {imports}
            (memory (export "memory") 4)
            (global $top (mut i32) (i32.const 131072))
            (data (i32.const 16) "{NAME}") (data (i32.const 32) "{version}") (data (i32.const 48) "For tests.")
            (data (i32.const 64) "\10\00\00\00\08\00\00\00\20\00\00\00\05\00\00\00\30\00\00\00\0a\00\00\00")
            (data (i32.const {CODE_AT}) "{CODE}") (data (i32.const {REASON_AT}) "{REASON}")
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                (local $at i32)
                (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
                (global.set $top (i32.add (local.get $at) (local.get 3)))
                (local.get $at))
            (func (export "{interface}#describe") (result i32) (i32.const 64))
            (func (export "{interface}#check") (result i32) (i32.const {CHECKED}))
            (func (export "{interface}#{method}") (param i32) (result i32) {body}))"#
        )
    }

    /// The component's bytes.
    pub(crate) fn component(&self) -> Vec<u8> {
        let mut module = wat::parse_str(self.text()).unwrap();
        let mut resolve = Resolve::default();
        let package = resolve.push_str("policy.wit", WIT).unwrap();
        let world = resolve.select_world(&[package], Some(self.world)).unwrap();
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
        ComponentEncoder::default()
            .module(&module)
            .unwrap()
            .encode()
            .unwrap()
    }

    pub(crate) fn write(&self, file: &Path) {
        std::fs::write(file, self.component()).unwrap();
    }
}

/// Code that stores these words at their offsets in the answer, and leaves its address.
fn answer(words: &[(u32, u32)]) -> String {
    let stores = words.iter().map(|(offset, word)| {
        let at = ANSWER + offset;
        format!("(i32.store (i32.const {at}) (i32.const {word}))")
    });
    format!("{} (i32.const {ANSWER})", stores.collect::<String>())
}

fn rejection() -> String {
    let code = [(4, 1), (8, CODE_AT), (12, CODE.len() as u32)];
    let reason = [(16, REASON_AT), (20, REASON.len() as u32)];
    answer(&[&code[..], &reason].concat())
}

/// An entry `specimen:<label>` for this component.
pub(crate) fn entry(label: &str, file: &Path) -> PluginEntry {
    PluginEntry {
        name: format!("{NAME}:{label}"),
        component: Component::File(file.into()),
        digest: None,
        source: PluginConfig::Inline(serde_json::Value::Null),
        scope: RawScope::default(),
        shadow: None,
        monitor_interval: None,
        grants: RawGrants::default(),
    }
}

/// A policy with these entries, which keeps components in `dir`.
pub(crate) fn policy(dir: &Path, plugins: Vec<PluginEntry>) -> Policy {
    Policy {
        plugin_dir: dir.join("plugins"),
        plugins,
        ..Policy::default()
    }
}

/// Services with a callback key, and without an event key.
pub(crate) fn services(policy: &Policy, journal: &Journal, world: &World) -> Arc<NodeServices> {
    let services = NodeServices::new(policy, &CALLBACK, None, journal.clone(), world.clone());
    Arc::new(services.unwrap())
}

/// An empty journal in a folder of its own.
pub(crate) fn journal() -> (tempfile::TempDir, Journal) {
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    let dir = tempfile::Builder::new()
        .permissions(private)
        .tempdir()
        .unwrap();
    let journal = Journal::create(dir.path()).unwrap();
    (dir, journal)
}

pub(crate) fn node(seed: u8) -> NodeId {
    let identity = Identity::from_seed(&[seed; 32]).unwrap();
    NodeId::from_bytes(identity.public().0).unwrap()
}

/// A task as plugins and events see it.
pub(crate) fn question(operation: Operation) -> Task {
    let principal = |name: &str| Principal {
        id: format!("{name}-id"),
        name: name.into(),
    };
    Task {
        id: "01".repeat(16),
        attempt: 1,
        received_at: 1_000,
        requester: principal("treasury"),
        coordinator: principal("main"),
        node: node(1).to_string(),
        operation,
        extra: Vec::new(),
        raw: b"{\"signed\":1}".to_vec(),
    }
}

pub(crate) fn keygen() -> Operation {
    Operation::Keygen(Keygen {
        scheme: "ed25519".into(),
        curve: "ed25519".into(),
        threshold: 2,
        members: ["a", "b"].map(String::from).to_vec(),
    })
}

/// A key of two members.
pub(crate) fn key(id: &str, scheme: &str) -> Key {
    Key {
        id: id.into(),
        scheme: scheme.into(),
        curve: "secp256k1".into(),
        root_public_key: "xpub".into(),
        threshold: 2,
        members: ["a", "b"].map(String::from).to_vec(),
    }
}

/// Waits for what happens at once, unless it never happens.
pub(crate) async fn soon<F: Future>(what: F) -> F::Output {
    let waited = tokio::time::timeout(Duration::from_secs(20), what).await;
    waited.expect("it does not happen")
}
