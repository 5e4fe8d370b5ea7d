//! Helpers for the tests of the store.

use std::path::Path;

use countersign_protocol::{
    Committee, Hash, InputSignature, KeyDescriptor, KeyId, NodeId, Outcome, PluginVerdict, Refusal,
    Scheme, SessionId, Signed, TaskId, Threshold, UnixMillis,
};
use countersign_store::{
    Change, Configuration, Decided, Evidence, Journal, OperationKind, Passphrase, Secrets, Section,
    StateWrite,
};
use redb::{Database, TableDefinition};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// The lowest work factor, since the tests are about files, not about scrypt.
pub const WORK_FACTOR: u8 = 1;
pub const WORDS: &str = "correct horse battery staple";

pub fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(Zeroizing::new(text.into()))
}

/// A directory that only its owner can look into.
pub fn temporary() -> tempfile::TempDir {
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    tempfile::Builder::new()
        .permissions(private)
        .tempdir()
        .unwrap()
}

pub fn create(dir: &Path) -> Secrets {
    Secrets::create(dir, &passphrase(WORDS), &[], WORK_FACTOR).unwrap()
}

pub fn open(dir: &Path) -> Secrets {
    Secrets::open(dir, &passphrase(WORDS), &[]).unwrap()
}

pub fn put(section: Section, key: &str, value: &[u8]) -> Change {
    Change::Put {
        section,
        key: key.into(),
        value: Zeroizing::new(value.to_vec()),
    }
}

pub fn delete(section: Section, key: &str) -> Change {
    Change::Delete {
        section,
        key: key.into(),
    }
}

pub fn get(secrets: &Secrets, section: Section, key: &str) -> Option<Vec<u8>> {
    secrets
        .get(section, key)
        .unwrap()
        .map(|value| value.to_vec())
}

pub fn mode(path: &Path) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions()) & 0o777
}

/// The names in a directory, sorted.
pub fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

pub fn at(millis: u64) -> UnixMillis {
    UnixMillis(millis)
}

pub fn node(seed: u8) -> NodeId {
    let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
    NodeId::from_bytes(key.verifying_key().to_bytes()).unwrap()
}

pub fn task(number: u8) -> TaskId {
    TaskId([number; 16])
}

pub fn decided(number: u8) -> Decided {
    Decided {
        task: task(number),
        hash: Hash([number; 32]),
        kind: OperationKind::KeySign,
        received_at: at(1_000 + u64::from(number)),
        verdicts: vec![PluginVerdict {
            plugin: "rules".into(),
            version: "1.2.3".into(),
            digest: Hash([7; 32]),
            config: Hash([8; 32]),
            approved: true,
            code: String::new(),
            reason: String::new(),
            micros: 42,
        }],
        parties: vec![node(1), node(2)],
        bytes: format!("{{\"task\":{number}}}").into_bytes(),
        evidence: Evidence::default(),
    }
}

/// A decided task with a recording, made under the configuration `document`.
pub fn proven(number: u8, recording: &[u8], document: &str) -> Decided {
    let configuration = configuration(document);
    let mut decided = decided(number);
    decided.verdicts[0].config = configuration.digest;
    let recording = recording.to_vec();
    let configurations = vec![configuration];
    Decided {
        evidence: Evidence {
            recording,
            configurations,
            chain: None,
            order: None,
        },
        ..decided
    }
}

/// A decided task with a recording, made under a chain that `chain` describes.
pub fn proven_under(chain: &str, number: u8, recording: &[u8], document: &str) -> Decided {
    let mut decided = proven(number, recording, document);
    let chain = configuration(chain);
    decided.evidence.chain = Some(chain.digest);
    decided.evidence.configurations.push(chain);
    decided
}

pub fn configuration(document: &str) -> Configuration {
    Configuration {
        digest: Hash(Sha256::digest(document).into()),
        document: document.into(),
    }
}

pub fn signed(number: u8) -> Outcome {
    Outcome::Signed(Signed {
        session: SessionId([number; 32]),
        signatures: vec![InputSignature {
            path: "m/0/7".parse().unwrap(),
            public_key: vec![2; 33],
            signed_bytes: vec![3; 32],
            signature: vec![4; 64],
            recovery_id: Some(1),
        }],
    })
}

pub fn refusal() -> Refusal {
    Refusal {
        code: "limit".into(),
        reason: "too much".into(),
        plugin: Some("rules".into()),
    }
}

pub fn state(key: &str, value: Option<&[u8]>) -> StateWrite {
    StateWrite {
        plugin: "rules".into(),
        key: key.into(),
        value: value.map(<[u8]>::to_vec),
        expires: None,
    }
}

/// The node's age identity, read from its file by age alone.
pub fn identity(dir: &Path, words: &str) -> age::x25519::Identity {
    let sealed = std::fs::read(dir.join(countersign_store::secrets::IDENTITY_FILE)).unwrap();
    let passphrase = age::scrypt::Identity::new(age::secrecy::SecretString::from(words));
    let text = String::from_utf8(age::decrypt(&passphrase, &sealed).unwrap()).unwrap();
    text.lines()
        .find(|line| !line.starts_with('#'))
        .unwrap()
        .parse()
        .unwrap()
}

/// Puts several identities into the identity file, as an interrupted renewal does.
pub fn seal_identities(dir: &Path, texts: &[String], words: &str) {
    let mut recipient = age::scrypt::Recipient::new(age::secrecy::SecretString::from(words));
    recipient.set_work_factor(WORK_FACTOR);
    let sealed = age::encrypt(&recipient, texts.join("\n").as_bytes()).unwrap();
    std::fs::write(dir.join(countersign_store::secrets::IDENTITY_FILE), sealed).unwrap();
}

pub fn secret_text(identity: &age::x25519::Identity) -> String {
    use age::secrecy::ExposeSecret;
    identity.to_string().expose_secret().to_owned()
}

pub fn descriptor(number: u8) -> KeyDescriptor {
    KeyDescriptor {
        key: KeyId::from_bytes([number; 16]).unwrap(),
        task: task(number),
        session: SessionId([number; 32]),
        name: "treasury".into(),
        scheme: Scheme::Ed25519,
        committee: Committee::new(vec![node(1), node(2), node(3)]).unwrap(),
        threshold: Threshold::try_from(2).unwrap(),
        generation: 0,
        root_public_key: vec![5; 32],
        chain_code: Hash([6; 32]),
        public_shares: Hash([7; 32]),
        aux: None,
        parties: Vec::new(),
        acks: Vec::new(),
    }
}

pub fn created(number: u8) -> Outcome {
    Outcome::Created(descriptor(number))
}

/// Changes the closed file behind the journal's back.
pub fn tamper<K: redb::Key, V: redb::Value>(
    dir: &Path,
    table: TableDefinition<K, V>,
    change: impl FnOnce(&mut redb::Table<'_, K, V>),
) -> Journal {
    let database = Database::open(dir.join("journal.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    change(&mut transaction.open_table(table).unwrap());
    transaction.commit().unwrap();
    drop(database);
    Journal::open(dir).unwrap()
}
