//! The runbooks of `docs/recovery.md`, from the loss of a node to the loss of everything.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use countersign_client::ReshareOrder;
use countersign_protocol::{Committee, KeyDescriptor, Scheme, Threshold};
use countersign_tests::process::{expect_success, program};
use countersign_tests::{Blueprint, Cluster, Plugins};

async fn wallet(cluster: &Cluster, scheme: Scheme, members: &[usize]) -> KeyDescriptor {
    let mut new = cluster.new_wallet("mine", scheme, 2).unwrap();
    new.committee = Committee::new(cluster.ids(members)).unwrap();
    cluster
        .client
        .create_wallet(&new, |_| {})
        .await
        .unwrap_or_else(|e| panic!("{e}\n{}", cluster.logs()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_node_takes_the_place_of_one_that_is_lost_with_its_backups() {
    let blueprint = Blueprint {
        nodes: 4,
        plugins: Plugins::Unguarded,
        ..Blueprint::default()
    };
    let mut cluster = Cluster::start(blueprint).await.unwrap();
    let made = wallet(&cluster, Scheme::Taproot, &[0, 1, 2]).await;
    cluster.nodes[2].daemon().kill().unwrap();
    std::fs::remove_dir_all(cluster.nodes[2].db()).unwrap();
    cluster.nodes[2].daemon = None;

    let order = ReshareOrder::new(
        made.key,
        Committee::new(cluster.ids(&[0, 1, 3])).unwrap(),
        Threshold::try_from(2).unwrap(),
    );
    // A killed node is noticed after a while; one that is away from the start costs nothing.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let moved = cluster.client.reshare(&order, |_| {}).await;
    let moved = moved.unwrap_or_else(|error| panic!("{error}\n{}", cluster.logs()));
    assert_eq!(moved.root_public_key, made.root_public_key);
    for pair in [[0, 3], [1, 3], [0, 1]] {
        let order = cluster
            .order(made.key, "m/0/1", b"still mine", Some(&pair))
            .unwrap();
        cluster.client.sign(&order, |_| {}).await.unwrap();
    }
}

/// Runbook 6. The nodes know all the wallets of the lost coordinator, and prove them
/// to the new one.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_coordinator_takes_the_place_of_one_that_is_lost_with_all_it_knew() {
    let blueprint = Blueprint {
        nodes: 4,
        plugins: Plugins::Unguarded,
        ..Blueprint::default()
    };
    let mut cluster = Cluster::start(blueprint).await.unwrap();
    let stays = wallet(&cluster, Scheme::Ed25519, &[0, 1, 2]).await;
    let moves = wallet(&cluster, Scheme::Ed25519, &[0, 1, 2]).await;
    let order = |members: &[usize]| {
        let committee = Committee::new(cluster.ids(members)).unwrap();
        ReshareOrder::new(moves.key, committee, Threshold::try_from(2).unwrap())
    };
    let to_new = order(&[1, 2, 3]);
    let back = order(&[0, 1, 2]);
    let moved = cluster
        .client
        .reshare(&to_new, |_| {})
        .await
        .unwrap_or_else(|e| panic!("{e}\n{}", cluster.logs()));

    cluster.replace_coordinator().await.unwrap();
    for (wallet, signers) in [(&stays, [0, 2]), (&moved, [1, 3]), (&moved, [2, 3])] {
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        let order = cluster
            .order(wallet.key, "m/0/1", b"still mine", Some(&signers))
            .unwrap();
        while let Err(error) = cluster.client.sign(&order, |_| {}).await {
            assert!(
                std::time::Instant::now() < deadline,
                "{error}\n{}",
                cluster.logs()
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    // All generations are there, and earlier wallets can be reshared.
    let again = cluster
        .client
        .reshare(&back, |_| {})
        .await
        .unwrap_or_else(|e| panic!("{e}\n{}", cluster.logs()));
    assert_eq!(
        (again.generation, &again.root_public_key),
        (2, &moves.root_public_key)
    );
    let order = cluster
        .order(moves.key, "m/0/1", b"still mine", Some(&[0, 1]))
        .unwrap();
    cluster
        .client
        .sign(&order, |_| {})
        .await
        .unwrap_or_else(|e| panic!("{e}\n{}", cluster.logs()));
}

/// The output of `countersign-recover`.
fn recover(dir: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(program("countersign-recover").unwrap());
    expect_success(command.current_dir(dir).args(arguments)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn enough_exported_shares_make_the_private_key_of_every_address() {
    let blueprint = Blueprint {
        plugins: Plugins::Unguarded,
        ..Blueprint::default()
    };
    let mut cluster = Cluster::start(blueprint).await.unwrap();
    let schnorr = wallet(&cluster, Scheme::SchnorrSecp256k1, &[0, 1, 2]).await;
    let ed25519 = wallet(&cluster, Scheme::Ed25519, &[0, 1, 2]).await;
    let dir = cluster.dir().to_path_buf();
    std::fs::write(dir.join("password"), "a password of recovery files").unwrap();
    std::fs::set_permissions(dir.join("password"), std::fs::Permissions::from_mode(0o600)).unwrap();
    for node in &mut cluster.nodes[..2] {
        node.daemon().terminate(Duration::from_secs(30)).unwrap();
        for wallet in [&schnorr, &ed25519] {
            let mut export = node.command("export-share").unwrap();
            export.arg(dir.join(format!("{}-{}.json", wallet.scheme, node.name)));
            export
                .args(["--group-id", &wallet.key.to_string()])
                .arg("--export-key-file")
                .arg(dir.join("password"));
            expect_success(&mut export).unwrap();
        }
    }
    for wallet in [&schnorr, &ed25519] {
        let files = ["alice", "bob"].map(|name| format!("{}-{name}.json", wallet.scheme));
        let key = wallet.key.to_string();
        let passwords = ["--password-file", "password", "--password-file", "password"];
        let verified = recover(
            &dir,
            &[
                &["verify", &files[0], &files[1], "--group-id", &key][..],
                &passwords,
            ]
            .concat(),
        );
        let root = cluster.client.extended_public_key(wallet).unwrap();
        assert!(verified.contains(&root), "{verified}");
        let path = ["--paths", "m/0/7", "--json"];
        let recovered = recover(
            &dir,
            &[
                &["recover", &files[0], &files[1], "--group-id", &key][..],
                &passwords,
                &path,
            ]
            .concat(),
        );
        let recovered: serde_json::Value = serde_json::from_str(&recovered).unwrap();
        let child = countersign_verify::derive_public(
            wallet.scheme,
            &wallet.root_public_key,
            wallet.chain_code.as_bytes(),
            &[0, 7],
        );
        let text = recovered.to_string();
        let secret = find_secret(&recovered).unwrap_or_else(|| panic!("no private key in {text}"));
        assert_eq!(
            public_key(wallet.scheme, &secret),
            child.unwrap().0,
            "{text}"
        );
    }
}

/// The first text of 64 hex digits under a name that contains "private".
fn find_secret(value: &serde_json::Value) -> Option<Vec<u8>> {
    match value {
        serde_json::Value::Object(members) => {
            members.iter().find_map(|(name, value)| match value {
                serde_json::Value::String(text) if name.contains("private") => {
                    hex::decode(text.trim_start_matches("0x"))
                        .ok()
                        .filter(|bytes| bytes.len() == 32)
                }
                value => find_secret(value),
            })
        }
        serde_json::Value::Array(values) => values.iter().find_map(find_secret),
        _ => None,
    }
}

/// Uses libraries that neither the node nor the recovery uses for it.
fn public_key(scheme: Scheme, secret: &[u8]) -> Vec<u8> {
    match scheme {
        Scheme::Ed25519 => {
            let mut little: [u8; 32] = secret.try_into().unwrap();
            little.reverse();
            let scalar = curve25519_dalek::Scalar::from_canonical_bytes(little).unwrap();
            curve25519_dalek::EdwardsPoint::mul_base(&scalar)
                .compress()
                .to_bytes()
                .to_vec()
        }
        _ => {
            let secret = secp256k1::SecretKey::from_byte_array(secret.try_into().unwrap()).unwrap();
            secp256k1::PublicKey::from_secret_key(&secp256k1::Secp256k1::new(), &secret)
                .serialize()
                .to_vec()
        }
    }
}
