//! The secrets file from outside: the real `age` opens it, and a thief of the disk learns nothing.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use countersign_protocol::Scheme;
use countersign_store::{Passphrase, Secrets, Section};
use countersign_tests::cluster::Node;
use countersign_tests::{Blueprint, Cluster, process};

#[tokio::test(flavor = "multi_thread")]
async fn age_opens_the_store_into_a_file_that_redb_opens() {
    let mut cluster = Cluster::start(Blueprint {
        nodes: 2,
        ..Blueprint::default()
    })
    .await
    .unwrap();
    let wallet = cluster
        .create_wallet("sealed", Scheme::Taproot, 2)
        .await
        .unwrap();
    let node = &mut cluster.nodes[0];
    node.daemon.take();

    let identity = node.dir.join("age-identity");
    std::fs::write(&identity, age_identity(&node.db())).unwrap();
    let opened = node.dir.join("opened.redb");
    let mut age = Command::new("age");
    age.arg("-d")
        .arg("-i")
        .arg(&identity)
        .arg("-o")
        .arg(&opened)
        .arg(node.db().join("secrets.redb.age"));
    process::expect_success(&mut age).unwrap();

    let database = redb::Database::open(&opened).unwrap();
    let read = redb::ReadableDatabase::begin_read(&database).unwrap();
    let names: Vec<String> = read
        .list_tables()
        .unwrap()
        .map(|table| redb::TableHandle::name(&table).to_owned())
        .collect();
    assert!(!names.is_empty(), "no table in it");

    let sealed = std::fs::read(node.db().join("secrets.redb.age")).unwrap();
    let plain = std::fs::read(&opened).unwrap();
    let share = secret_scalar(node, &wallet.key.to_string());
    let finds = |haystack: &[u8]| haystack.windows(share.len()).any(|window| window == share);
    assert!(finds(&plain), "the share is in the opened file");
    for path in files(&node.db()) {
        assert!(
            !finds(&std::fs::read(&path).unwrap()),
            "the share is in clear in {}",
            path.display()
        );
    }
    assert!(sealed.starts_with(b"age-encryption.org/v1\n"));
}

/// All files in and below a folder.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let (folders, others): (Vec<PathBuf>, Vec<PathBuf>) = entries.partition(|path| path.is_dir());
    others
        .into_iter()
        .filter(|path| path.is_file())
        .chain(folders.iter().flat_map(|dir| files(dir)))
        .collect()
}

/// The store's own age identity, opened with the passphrase by the real
/// tool through a pseudo-terminal.
fn age_identity(db: &std::path::Path) -> Vec<u8> {
    let script = format!("age -d '{}'", db.join("identity.age").display());
    let mut child = Command::new("script")
        .args(["-qec", &script, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"a passphrase for tests only\n")
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).replace('\r', "");
    let start = text
        .find("AGE-SECRET-KEY-")
        .unwrap_or_else(|| panic!("no identity in: {text}"));
    let key: String = text[start..]
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || *c == '-')
        .collect();
    key.into_bytes()
}

/// The secret itself: those 32 bytes of the stored record whose public key is
/// the node's public share.
fn secret_scalar(node: &Node, key: &str) -> [u8; 32] {
    let passphrase = Passphrase::from_file(&node.dir.join("passphrase")).unwrap();
    let secrets = Secrets::open(&node.db(), &passphrase, &[]).unwrap();
    let record = secrets.get(Section::Share, key).unwrap().unwrap();
    let share = &record[4 + u32::from_be_bytes(record[..4].try_into().unwrap()) as usize..];
    let public = countersign_engine::Share::from_bytes(share)
        .unwrap()
        .public();
    let mine = &public.public_shares[usize::from(public.index.0)];
    let curve = secp256k1::Secp256k1::new();
    let is_secret = |bytes: &[u8; 32]| {
        let key = secp256k1::SecretKey::from_byte_array(*bytes);
        key.is_ok_and(|key| key.public_key(&curve).serialize()[..] == mine[..])
    };
    let mut windows = share
        .windows(32)
        .map(|window| <[u8; 32]>::try_from(window).unwrap());
    windows
        .find(is_secret)
        .expect("the record holds the share in big-endian bytes")
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_passphrase_second_process_and_damage_are_told_apart() {
    let cluster = Cluster::start(Blueprint {
        nodes: 2,
        ..Blueprint::default()
    })
    .await
    .unwrap();
    let node = &cluster.nodes[0];

    let second = process::run(&mut node.command("start").unwrap()).unwrap();
    let text = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(
        !second.status.success() && text.contains("another process"),
        "{text}"
    );

    let stopped = Cluster::prepare(Blueprint {
        nodes: 2,
        ..Blueprint::default()
    })
    .await
    .unwrap();
    let node = &stopped.nodes[0];
    let passphrase = node.dir.join("passphrase");
    let right = std::fs::read(&passphrase).unwrap();
    std::fs::write(&passphrase, "another passphrase altogether").unwrap();
    let wrong = process::run(&mut node.command("start").unwrap()).unwrap();
    let text = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(
        !wrong.status.success() && text.contains("passphrase"),
        "{text}"
    );
    std::fs::write(&passphrase, right).unwrap();

    let secrets = node.db().join("secrets.redb.age");
    let whole = std::fs::read(&secrets).unwrap();
    for damaged in [
        whole[..whole.len() - 100].to_vec(),
        flip(&whole, whole.len() / 2),
        Vec::new(),
    ] {
        std::fs::write(&secrets, &damaged).unwrap();
        let refused = process::run(&mut node.command("start").unwrap()).unwrap();
        let text = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(
            !refused.status.success() && text.contains("backup"),
            "{text}"
        );
    }
    std::fs::write(&secrets, whole).unwrap();
    countersign_node::vault::Vault::open(
        &node.db(),
        &Passphrase::from_file(&passphrase).unwrap(),
        &[],
    )
    .unwrap();
}

fn flip(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 1;
    bytes
}
