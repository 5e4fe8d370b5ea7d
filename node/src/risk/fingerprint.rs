//! Fingerprints of the files that plugins, receivers and their keys are loaded from.

use std::path::{Path, PathBuf};

use countersign_host::read_linked;
use sha2::{Digest, Sha256};

use super::specs;
use crate::config::{PluginEntry, Policy};
use crate::off_thread::off_thread;

/// The hash that stands for a file that cannot be read.
const UNREADABLE: [u8; 32] = [0; 32];

/// The state of the watched files: one hash for each.
pub(crate) type Fingerprint = Vec<[u8; 32]>;

/// Takes the fingerprint of all files on which only these entries depend.
pub(crate) async fn look(
    policy: &Policy,
    entries: impl IntoIterator<Item = &PluginEntry>,
) -> Fingerprint {
    let own = entries
        .into_iter()
        .flat_map(|entry| specs::own_files(policy, entry));
    look_at(policy, own.collect()).await
}

/// Takes the fingerprint of keys and authorities, in the order of [`specs::shared_files`].
pub(super) async fn look_at_keys(policy: &Policy) -> Fingerprint {
    look_at(
        policy,
        specs::shared_files(policy).map(|(_, file)| file).collect(),
    )
    .await
}

async fn look_at(policy: &Policy, files: Vec<PathBuf>) -> Fingerprint {
    let limit = policy.compile.component_bytes.max(specs::DOCUMENT);
    off_thread(move || files.iter().map(|file| sight(file, limit)).collect()).await
}

/// Hashes a file. One that cannot be read, such as a pipe or a device, differs from any other.
fn sight(file: &Path, limit: u64) -> [u8; 32] {
    read_linked(file, limit).map_or(UNREADABLE, |bytes| Sha256::digest(bytes).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::specimen::{entry, policy};

    /// Nobody writes into the pipe: whoever opens it as a file waits for ever.
    #[test]
    fn a_pipe_in_place_of_a_file_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("plugin.wasm");
        assert!(
            std::process::Command::new("mkfifo")
                .arg(&pipe)
                .status()
                .unwrap()
                .success()
        );
        let (said, hear) = std::sync::mpsc::sync_channel(1);
        std::thread::spawn(move || said.send(sight(&pipe, 1 << 20)));
        assert_eq!(
            hear.recv_timeout(std::time::Duration::from_secs(10))
                .unwrap(),
            UNREADABLE
        );
    }

    #[tokio::test]
    async fn keys_and_authorities_are_looked_at_whoever_uses_them() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| dir.path().join(name);
        let policy = Policy {
            public_keys: [("approver".to_owned(), file("key.pem"))].into(),
            secrets: [("hook".to_owned(), file("secret"))].into(),
            ca_file: Some(file("ca.pem")),
            ..Policy::default()
        };
        let mut before = look_at_keys(&policy).await;
        for name in ["key.pem", "secret", "ca.pem"] {
            std::fs::write(file(name), "changed").unwrap();
            let after = look_at_keys(&policy).await;
            assert_ne!(after, before, "{name}");
            before = after;
        }
    }

    #[tokio::test]
    async fn an_entry_is_looked_at_by_its_component_and_its_configuration_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| dir.path().join(name);
        let mut plugin = entry("one", &file("one.wasm"));
        plugin.source = crate::config::PluginConfig::File(file("rules.yaml"));
        let policy = policy(dir.path(), vec![plugin]);
        let mut before = look(&policy, &policy.plugins).await;
        for name in ["one.wasm", "rules.yaml"] {
            std::fs::write(file(name), "changed").unwrap();
            let after = look(&policy, &policy.plugins).await;
            assert_ne!(after, before, "{name}");
            before = after;
        }
        std::fs::write(file("one.wasm.sig"), "nobody reads it").unwrap();
        std::fs::write(file("two.wasm"), "of nobody").unwrap();
        assert_eq!(look(&policy, &policy.plugins).await, before);
    }

    #[tokio::test]
    async fn a_signature_that_comes_after_its_component_is_noticed_where_publishers_count() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("one.wasm");
        let mut policy = policy(dir.path(), vec![entry("one", &file)]);
        policy.trusted_publishers = [("mint".to_owned(), [1; 32])].into();
        std::fs::write(&file, "component").unwrap();
        let before = look(&policy, &policy.plugins).await;
        std::fs::write(dir.path().join("one.wasm.sig"), "signature").unwrap();
        assert_ne!(look(&policy, &policy.plugins).await, before);
    }

    #[tokio::test]
    async fn an_installed_component_is_looked_at_by_its_manifest() {
        let dir = tempfile::tempdir().unwrap();
        let mut plugin = entry("one", Path::new(""));
        plugin.component = crate::config::Component::Installed("rules".into());
        let policy = policy(dir.path(), vec![plugin]);
        let before = look(&policy, &policy.plugins).await;
        std::fs::create_dir(&policy.plugin_dir).unwrap();
        std::fs::write(policy.plugin_dir.join("rules.json"), "{}").unwrap();
        assert_ne!(look(&policy, &policy.plugins).await, before);
    }

    #[test]
    fn a_file_beyond_the_limit_looks_as_if_it_could_not_be_read_and_an_empty_one_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("plugin.wasm");
        let seen = |bytes: &[u8]| {
            std::fs::write(&file, bytes).unwrap();
            sight(&file, 4)
        };
        assert_eq!(seen(b"12345"), UNREADABLE);
        assert_ne!(seen(b"1234"), UNREADABLE);
        assert_ne!(seen(b""), UNREADABLE);
    }
}
