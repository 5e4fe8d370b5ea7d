//! The life of a key: made, reshared, refreshed, reshared back. Its addresses stay, and
//! old shares are worthless.

use std::time::{Duration, Instant};

use countersign_client::{ClientError, ReshareOrder};
use countersign_protocol::{Committee, KeyDescriptor, KeyId, Operation, Scheme, Threshold};
use countersign_store::journal::{AuditKind, Journal};
use countersign_tests::process::expect_success;
use countersign_tests::{Blueprint, Cluster, Plugins, PrimeSource};

const PATHS: [&str; 2] = ["m", "m/0/7"];
/// Time until every node knows the outcome of a reshare.
const SETTLED: Duration = Duration::from_secs(10);

fn to(cluster: &Cluster, wallet: KeyId, members: &[usize], threshold: u16) -> ReshareOrder {
    ReshareOrder::new(
        wallet,
        Committee::new(cluster.ids(members)).unwrap(),
        Threshold::try_from(threshold).unwrap(),
    )
}

async fn reshare(
    cluster: &Cluster,
    wallet: KeyId,
    members: &[usize],
    threshold: u16,
) -> KeyDescriptor {
    let order = to(cluster, wallet, members, threshold);
    let reshared = cluster.client.reshare(&order, |_| {}).await;
    reshared.unwrap_or_else(|error| panic!("{error}\n{}", cluster.logs()))
}

/// Signs with exactly these, under the root and a child, and returns the keys that signed.
async fn sign(cluster: &Cluster, wallet: KeyId, signers: &[usize]) -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    for path in PATHS {
        let order = cluster
            .order(wallet, path, b"pay the rent", Some(signers))
            .unwrap();
        let made = cluster.client.sign(&order, |_| {}).await;
        let made = made.unwrap_or_else(|error| panic!("{error}\n{}", cluster.logs()));
        keys.push(made.signed.signatures[0].public_key.clone());
    }
    keys
}

/// 2 of 3, then 3 of so many others, the same with new shares, and back to 2 of 2.
async fn lives(scheme: Scheme, primes: PrimeSource, others: usize) {
    let others: Vec<usize> = (3..3 + others).collect();
    let [first, second, third, .., last] = others[..] else {
        panic!("there are at least four others");
    };
    let limits = "{ prime_sets: 0 }".into();
    let blueprint = Blueprint {
        nodes: 3 + others.len(),
        primes,
        plugins: Plugins::Unguarded,
        limits,
        ..Blueprint::default()
    };
    let cluster = Cluster::start(blueprint).await.unwrap();
    let mut new = cluster.new_wallet("life", scheme, 2).unwrap();
    new.committee = Committee::new(cluster.ids(&[0, 1, 2])).unwrap();
    let made = cluster
        .client
        .create_wallet(&new, |_| {})
        .await
        .unwrap_or_else(|e| panic!("{e}\n{}", cluster.logs()));
    let wallet = made.key;
    let keys = sign(&cluster, wallet, &[0, 2]).await;

    let moved = reshare(&cluster, wallet, &others, 3).await;
    assert_eq!(
        (moved.generation, moved.root_public_key.clone()),
        (1, made.root_public_key.clone())
    );
    assert_eq!(sign(&cluster, wallet, &[first, third, last]).await, keys);
    assert_eq!(sign(&cluster, wallet, &[second, third, last]).await, keys);

    let refreshed = reshare(&cluster, wallet, &others, 3).await;
    assert_eq!(
        (refreshed.generation, refreshed.aux),
        (2, moved.aux),
        "the same committee needs nothing new"
    );
    assert_ne!(refreshed.public_shares, moved.public_shares);
    assert_eq!(sign(&cluster, wallet, &[first, second, last]).await, keys);

    let back = reshare(&cluster, wallet, &[0, 1], 2).await;
    assert_eq!(back.generation, 3);
    assert_eq!(sign(&cluster, wallet, &[0, 1]).await, keys);
    assert_holders(&cluster, wallet, &[0, 1]).await;
    destroyed(cluster, wallet).await;
}

/// Only these show the key, and the coordinator would not even ask others.
async fn assert_holders(cluster: &Cluster, wallet: KeyId, holders: &[usize]) {
    let deadline = Instant::now() + SETTLED;
    for (index, node) in cluster.nodes.iter().enumerate() {
        let holds = || {
            let printed = expect_success(node.command("info").unwrap().args(["--json", "group"]))
                .unwrap_or_default();
            printed.contains(&wallet.to_string())
        };
        while holds() != holders.contains(&index) {
            assert!(
                Instant::now() < deadline,
                "{} holds {}\n{}",
                node.name,
                holds(),
                node.log()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    let gone = (0..cluster.nodes.len())
        .find(|index| !holders.contains(index))
        .unwrap();
    let order = cluster
        .order(wallet, "m", b"pay", Some(&[holders[0], gone]))
        .unwrap();
    assert!(cluster.client.sign(&order, |_| {}).await.is_err());
}

/// Every holder of an earlier generation has a record that the share is gone, and it is.
async fn destroyed(mut cluster: Cluster, wallet: KeyId) {
    let deadline = Instant::now() + SETTLED;
    let kept = |node: &countersign_tests::Node| {
        let printed = expect_success(node.command("info").unwrap().args(["--json", "moved"]));
        printed.unwrap().contains("\"Leaving\"")
    };
    while cluster.nodes.iter().any(kept) {
        assert!(
            Instant::now() < deadline,
            "shares are kept\n{}",
            cluster.logs()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for node in &mut cluster.nodes {
        node.daemon().terminate(Duration::from_secs(30)).unwrap();
        let journal = Journal::open(&node.db()).unwrap();
        journal.verify_audit().unwrap();
        let entries = journal.audit(0, 10_000).unwrap();
        let destroyed = entries
            .iter()
            .filter(|entry| entry.kind == AuditKind::Destroyed)
            .count();
        let first = ["alice", "bob", "carol"].contains(&node.name.as_str());
        let expected = if first { 1 } else { 2 };
        assert_eq!(destroyed, expected, "{}: {entries:?}", node.name);
        let vault = cluster_vault(node);
        assert_eq!(
            vault
                .stored_keys()
                .unwrap()
                .iter()
                .any(|key| key.key == wallet),
            ["alice", "bob"].contains(&node.name.as_str())
        );
        assert!(vault.next_keys().unwrap().is_empty());
    }
}

fn cluster_vault(node: &countersign_tests::Node) -> countersign_node::vault::Vault {
    let passphrase =
        countersign_store::Passphrase::from_file(&node.dir.join("passphrase")).unwrap();
    countersign_node::vault::Vault::open(&node.db(), &passphrase, &[]).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ed25519_wallet_lives_through_four_generations() {
    lives(Scheme::Ed25519, PrimeSource::None, 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taproot_wallet_lives_through_four_generations() {
    lives(Scheme::Taproot, PrimeSource::None, 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ecdsa_wallet_lives_through_four_generations() {
    lives(Scheme::EcdsaSecp256k1, PrimeSource::Fixtures(2), 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reshare_needs_everybodys_rules_and_the_present_generation() {
    let cluster = Cluster::start(Blueprint::default()).await.unwrap();
    let wallet = cluster
        .create_wallet("guarded", Scheme::Ed25519, 2)
        .await
        .unwrap();
    let order = to(&cluster, wallet.key, &[0, 1], 2);
    let (code, _) = crate::refusal(cluster.client.reshare(&order, |_| {}).await);
    assert_eq!(code, "keyreshare-not-allowed");

    let key = cluster.client.extended_public_key(&wallet).unwrap();
    for node in &cluster.nodes {
        let ids: Vec<String> = cluster
            .ids(&[0, 1])
            .iter()
            .map(ToString::to_string)
            .collect();
        let rules = format!(
            "{}key_reshare:\n  allow_list:\n    - {{ xpubkey: {key}, new_threshold: 2, new_node_ids: [{}] }}\n",
            cluster.permissive_rules(),
            ids.join(", ")
        );
        std::fs::write(node.rules(), rules).unwrap();
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    let moved = loop {
        match cluster.client.reshare(&order, |_| {}).await {
            Ok(moved) => break moved,
            Err(ClientError::Rejected { code, .. }) if code == "keyreshare-not-allowed" => {
                assert!(Instant::now() < deadline, "{}", cluster.logs());
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Err(error) => panic!("{error}\n{}", cluster.logs()),
        }
    };
    assert_eq!(moved.generation, 1);
    assert_holders(&cluster, wallet.key, &[0, 1]).await;

    // Bypassing the client and its book does not help.
    let stale = Operation::KeyReshare(Box::new(countersign_protocol::KeyReshare {
        from: wallet.clone(),
        committee: wallet.committee.clone(),
        threshold: wallet.threshold,
        dealers: None,
    }));
    let error = cluster.submit(stale).await.unwrap_err().to_string();
    assert!(error.contains("generation"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_holder_proves_its_share_before_and_after() {
    let blueprint = Blueprint {
        plugins: Plugins::Unguarded,
        ..Blueprint::default()
    };
    let cluster = Cluster::start(blueprint).await.unwrap();
    for scheme in [Scheme::Ed25519, Scheme::Taproot] {
        let wallet = cluster.create_wallet("checked", scheme, 2).await.unwrap();
        let intact = cluster
            .client
            .check_up(wallet.key, None, None, |_| {})
            .await
            .unwrap();
        assert_eq!(intact.intact.len(), 3);
        let moved = reshare(&cluster, wallet.key, &[0, 1], 2).await;
        let intact = cluster
            .client
            .check_up(wallet.key, None, None, |_| {})
            .await
            .unwrap();
        let expected: Vec<_> = moved
            .committee
            .members()
            .iter()
            .map(|node| (*node, 1))
            .collect();
        let found: Vec<_> = intact
            .intact
            .iter()
            .map(|proof| (proof.node, proof.generation))
            .collect();
        assert_eq!(found, expected);
    }
}
