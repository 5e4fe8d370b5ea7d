//! A specimen, and the plugin entry behind which it guards one key.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use countersign_host::Code;
use countersign_protocol::KeyId;
use countersign_tests::cluster::Node;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::animal::Animal;
use super::gate::Gate;

/// A hostile guest, and the expected refusal.
#[derive(Clone)]
pub struct Specimen {
    /// Label of its entry.
    pub name: &'static str,
    pub body: Body,
    /// Code of the refusal.
    pub code: &'static str,
    /// A part of the reason.
    pub words: &'static str,
    pub cpu_ms: u64,
    pub wall_ms: u64,
    /// True if the entry pins the digest of the honest component.
    pub pinned: bool,
}

/// The file at the place of its component.
#[derive(Clone)]
pub enum Body {
    /// A file.
    Bytes(Vec<u8>),
    /// The guest `rogue`, with this behaviour.
    Deed(Value),
    Nothing,
    Folder,
    /// A pipe that nobody writes into.
    Pipe,
    /// A link to a file of the system.
    LinkTo(&'static str),
}

impl Specimen {
    pub fn new(name: &'static str, body: Body, code: &'static str, words: &'static str) -> Self {
        Self {
            name,
            body,
            code,
            words,
            cpu_ms: 100,
            wall_ms: 1_500,
            pinned: false,
        }
    }

    /// One that the host stops.
    pub fn animal(name: &'static str, animal: Animal, code: Code, words: &'static str) -> Self {
        Self::new(name, Body::Bytes(animal.component()), code.as_str(), words)
    }

    pub fn deed(name: &'static str, deed: Value, code: &'static str, words: &'static str) -> Self {
        Self::new(name, Body::Deed(deed), code, words)
    }

    pub fn granted(self, cpu_ms: u64, wall_ms: u64) -> Self {
        Self {
            cpu_ms,
            wall_ms,
            ..self
        }
    }

    /// With so much CPU time that another limit stops it first.
    pub fn with_ample_cpu(self) -> Self {
        Self {
            cpu_ms: self.wall_ms,
            ..self
        }
    }

    pub fn pinned(self) -> Self {
        Self {
            pinned: true,
            ..self
        }
    }
}

/// The harmless component that replaces a specimen.
pub fn honest() -> Vec<u8> {
    Animal::default().component()
}

/// The harmless configuration of `rogue`.
fn idle() -> Value {
    json!({ "evaluate": "nothing" })
}

/// A specimen in front of a key.
pub struct Cage {
    pub specimen: Specimen,
    pub key: KeyId,
    /// Its component, or the configuration of `rogue`.
    file: PathBuf,
}

impl Cage {
    pub fn new(specimen: Specimen, key: KeyId, dir: &Path) -> Self {
        let extension = if matches!(specimen.body, Body::Deed(_)) {
            "json"
        } else {
            "wasm"
        };
        let file = dir.join(format!("{}.{extension}", specimen.name));
        Self {
            specimen,
            key,
            file,
        }
    }

    pub fn file(&self) -> &Path {
        &self.file
    }

    fn is_rogue(&self) -> bool {
        matches!(self.specimen.body, Body::Deed(_))
    }

    /// Name of its entry.
    pub fn entry(&self) -> String {
        format!(
            "{}:{}",
            if self.is_rogue() { "rogue" } else { "zoo" },
            self.specimen.name
        )
    }

    /// Puts the specimen in place.
    pub fn lock_up(&self) {
        match &self.specimen.body {
            Body::Bytes(bytes) => std::fs::write(&self.file, bytes).unwrap(),
            Body::Deed(deed) => {
                std::fs::write(&self.file, json!({ "evaluate": deed }).to_string()).unwrap();
            }
            Body::Nothing => {}
            Body::Folder => std::fs::create_dir(&self.file).unwrap(),
            Body::Pipe => make_pipe(&self.file),
            Body::LinkTo(target) => symlink(target, &self.file).unwrap(),
        }
    }

    /// Puts something harmless in its place.
    pub fn replace_by_honest(&self) {
        let bytes = if self.is_rogue() {
            idle().to_string().into_bytes()
        } else {
            honest()
        };
        self.replace_by(&bytes);
    }

    /// Installs a file as an operator should: written beside the target, then renamed.
    pub fn replace_by(&self, bytes: &[u8]) {
        let beside = self.file.with_extension("new");
        std::fs::write(&beside, bytes).unwrap();
        if self.file.is_dir() {
            std::fs::remove_dir(&self.file).unwrap();
        }
        std::fs::rename(beside, &self.file).unwrap();
    }

    /// True if the node has the harmless one in force, and nothing else, by its own public record.
    pub fn is_honest_in(&self, node: &Node) -> bool {
        let entry = self.entry();
        let plugins = countersign_node::public::read(&node.db()).unwrap().plugins;
        let plugin = plugins.iter().find(|plugin| plugin.name == entry).unwrap();
        let (shown, expected) = if self.is_rogue() {
            (&plugin.config, Sha256::digest(idle().to_string()))
        } else {
            (&plugin.digest, Sha256::digest(honest()))
        };
        plugin.state == "in-force" && shown.as_deref() == Some(hex::encode(expected).as_str())
    }

    /// Its entry of `policy.plugins`, which grants a little of everything it uses.
    pub fn policy(&self, rogue: &Path, gate: &Gate) -> String {
        let Specimen {
            cpu_ms,
            wall_ms,
            pinned,
            ..
        } = self.specimen;
        let file = self.file.display();
        let limits = format!("cpu_ms: {cpu_ms}, wall_ms: {wall_ms}");
        let rest = if self.is_rogue() {
            let urls = [
                Some("http://127.0.0.1:9/allowed/".into()),
                Some(gate.url("/allowed/")),
            ];
            let urls: Vec<String> = urls
                .into_iter()
                .chain([gate.url_by_name("/allowed/")])
                .flatten()
                .collect();
            format!(
                "file: '{}', config_file: '{file}', grants: {{ {limits}, memory_bytes: 33554432, state_bytes: 1000, \
                 keys: [callback, cb], http: ['{}'] }}",
                rogue.display(),
                urls.join("', '")
            )
        } else {
            let digest = format!(
                "digest: 'sha256:{}', ",
                hex::encode(Sha256::digest(honest()))
            );
            let digest = if pinned { digest.as_str() } else { "" };
            format!("file: '{file}', {digest}grants: {{ {limits}, memory_bytes: 8388608 }}")
        };
        format!(
            "    - {{ name: '{}', {rest}, scope: {{ keys: [{}] }} }}\n",
            self.entry(),
            self.key
        )
    }
}

/// A pipe that never has a writer.
pub fn make_pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}
