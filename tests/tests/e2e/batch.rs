//! Many signatures in one task: the rounds of one session carry them all.

use std::io::Write;
use std::time::Duration;

use countersign_protocol::{Payload, PayloadKind, Scheme};
use countersign_tests::{Blueprint, Cluster, Plugins, PrimeSource};

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_digests_is_signed_in_one_session_each_by_its_own_child() {
    let blueprint = Blueprint {
        primes: PrimeSource::Fixture,
        plugins: Plugins::Unguarded,
        ..Blueprint::default()
    };
    let mut cluster = Cluster::start(blueprint).await.unwrap();
    let mut wallets = Vec::new();
    for (scheme, entries) in [
        (Scheme::Ed25519, 64),
        (Scheme::Taproot, 3),
        (Scheme::EcdsaSecp256k1, 18),
    ] {
        wallets.push((
            cluster
                .create_wallet(scheme.name(), scheme, 2)
                .await
                .unwrap(),
            entries,
        ));
    }
    let blind: Vec<String> = wallets
        .iter()
        .map(|(wallet, _)| wallet.key.to_string())
        .collect();
    for node in &mut cluster.nodes {
        node.daemon().terminate(Duration::from_secs(30)).unwrap();
        let mut config = std::fs::File::options()
            .append(true)
            .open(node.config())
            .unwrap();
        writeln!(config, "keys: {{ allow_blind: [{}] }}", blind.join(", ")).unwrap();
        node.start().unwrap();
    }
    cluster.wait_online().await.unwrap();
    for (wallet, entries) in &wallets {
        let entry = |number: usize| serde_json::json!({"path": format!("m/9/{number}"), "digest": hex::encode([number as u8; 32])});
        let list = serde_json::to_vec(&(0..*entries).map(entry).collect::<Vec<_>>()).unwrap();
        let mut order = cluster.order(wallet.key, "m", b"", None).unwrap();
        order.payload = Payload::new(PayloadKind::Digests, list);
        let made = cluster.client.sign(&order, |_| {}).await;
        let made =
            made.unwrap_or_else(|error| panic!("{}: {error}\n{}", wallet.scheme, cluster.logs()));
        assert_eq!(made.signed.signatures.len(), *entries);
        for (number, signed) in made.signed.signatures.iter().enumerate() {
            assert_eq!(signed.path.to_string(), format!("m/9/{number}"));
            assert_eq!(signed.signed_bytes, [number as u8; 32]);
        }
    }
}
