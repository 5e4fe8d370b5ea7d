//! Every message of a key's life is withheld once.

use countersign_coordinator::{Config, Coordinator};
use countersign_protocol::{Committee, KeyId, Scheme};
use countersign_tests::{Blueprint, Cluster, Gate};

use super::{blueprint, reshare, settled, signs, some_of};

/// More messages than any run here has.
const MESSAGES: usize = 200;

/// Starts a cluster's coordinator as one that withholds messages on request.
pub async fn start_gated(cluster: &Cluster) -> (Coordinator, Gate) {
    let gate = Gate::default();
    let config = Config::load(&cluster.coordinator_config()).unwrap();
    let coordinator = Coordinator::start_recorded(config, Some(gate.recorder()));
    (coordinator.await.unwrap(), gate)
}

/// A cluster with such a coordinator.
async fn gated(blueprint: Blueprint) -> (Cluster, Coordinator, Gate) {
    let mut cluster = Cluster::prepare(blueprint).await.unwrap();
    let (coordinator, gate) = start_gated(&cluster).await;
    cluster
        .nodes
        .iter_mut()
        .for_each(|node| node.start().unwrap());
    cluster.wait_online().await.unwrap();
    (cluster, coordinator, gate)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_message_of_a_reshare_may_be_kept_back() {
    let (cluster, coordinator, gate) = gated(blueprint()).await;
    each_message_of_a_reshare(&cluster, &gate, Scheme::Ed25519, MESSAGES).await;
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_message_of_a_reshare_may_be_kept_back_taproot() {
    let (cluster, coordinator, gate) = gated(blueprint()).await;
    each_message_of_a_reshare(&cluster, &gate, Scheme::Taproot, MESSAGES).await;
    coordinator.stop().await;
}

async fn wallet_of(cluster: &Cluster, name: &str, scheme: Scheme, members: [usize; 2]) -> KeyId {
    let mut new = cluster.new_wallet(name, scheme, 2).unwrap();
    new.committee = Committee::new(cluster.ids(&members)).unwrap();
    cluster
        .client
        .create_wallet(&new, |_| {})
        .await
        .unwrap()
        .key
}

/// `few` of the messages, at random, or all.
pub async fn each_message_of_a_reshare(cluster: &Cluster, gate: &Gate, scheme: Scheme, few: usize) {
    let wallet = wallet_of(cluster, "withheld", scheme, [0, 1]).await;
    // A key that stays with a committee keeps its auxiliary information in use: no
    // reshare here makes any.
    wallet_of(cluster, "stays", scheme, [0, 1]).await;
    wallet_of(cluster, "stays too", scheme, [1, 2]).await;
    reshare(cluster, wallet, &[1, 2]).await.unwrap();
    gate.close_after(usize::MAX);
    reshare(cluster, wallet, &[0, 1]).await.unwrap();
    let messages = gate.passed();
    assert!(
        (20..MESSAGES).contains(&messages),
        "a reshare does not have {messages} messages"
    );
    gate.open();
    // Messages may travel in more pieces than they did: all of them are tried
    // until nothing is withheld.
    let chosen = if few < MESSAGES {
        some_of(messages, few)
    } else {
        (0..MESSAGES).collect()
    };
    let mut kept_back = 0;
    let mut switched = 2;
    for passing in &chosen {
        // The members change between the two, so one deals and goes, one stays and one comes.
        let members: &[usize] = if switched % 2 == 0 { &[1, 2] } else { &[0, 1] };
        gate.close_after(*passing);
        let result = reshare(cluster, wallet, members).await;
        let kept = gate.open();
        let when = format!("after {passing} messages");
        settled(cluster, &when).await;
        signs(cluster, wallet, &when).await;
        let now = cluster
            .client
            .find_wallet(&wallet.to_string())
            .await
            .unwrap();
        assert!(
            now.generation == switched || now.generation == switched + 1,
            "{when}"
        );
        assert!(
            result.is_err() || now.generation == switched + 1,
            "{when}: a result was taken back"
        );
        switched = now.generation;
        // On a busy machine a run can be late all by itself.
        if !kept && result.is_ok() {
            break;
        }
        kept_back += usize::from(kept);
    }
    println!("{scheme}: {kept_back} of about {messages} messages kept back");
    assert!(
        kept_back >= few.min(20) / 2,
        "{kept_back} of {messages} messages were kept back"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_message_of_a_key_generation_and_of_a_signature_may_be_kept_back() {
    let (cluster, coordinator, gate) = gated(blueprint()).await;
    let mut generated = 0;
    for passing in 0..MESSAGES {
        gate.close_after(passing);
        let result = cluster
            .create_wallet(&format!("w{passing}"), Scheme::Ed25519, 2)
            .await;
        let kept = gate.open();
        if let Ok(wallet) = &result {
            signs(
                &cluster,
                wallet.key,
                &format!("KeyGen after {passing} messages"),
            )
            .await;
        }
        if !kept && result.is_ok() {
            break;
        }
        generated += usize::from(kept);
    }
    assert!(
        (10..MESSAGES).contains(&generated),
        "a key generation does not have {generated} messages"
    );
    let wallet = cluster
        .create_wallet("signs", Scheme::Ed25519, 2)
        .await
        .unwrap()
        .key;
    let mut signed = 0;
    for passing in 0..MESSAGES {
        gate.close_after(passing);
        let order = cluster.order(wallet, "m", b"pay", Some(&[0, 1])).unwrap();
        let result = cluster.client.sign(&order, |_| {}).await;
        let kept = gate.open();
        // The same signers again: three failures in a row would stop them.
        let again = cluster
            .order(wallet, "m/1", b"still mine", Some(&[0, 1]))
            .unwrap();
        cluster
            .client
            .sign(&again, |_| {})
            .await
            .unwrap_or_else(|error| {
                panic!(
                    "KeySign after {passing} messages: {error}\n{}",
                    cluster.logs()
                )
            });
        if !kept && result.is_ok() {
            break;
        }
        signed += usize::from(kept);
    }
    assert!(
        (4..MESSAGES).contains(&signed),
        "a signature does not have {signed} messages"
    );
    coordinator.stop().await;
}
