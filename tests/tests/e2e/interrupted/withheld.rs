//! Every message of a key's life kept back once.

use countersign_coordinator::{Config, Coordinator};
use countersign_protocol::{Committee, Scheme};
use countersign_tests::{Blueprint, Cluster, Gate};

use super::{blueprint, ecdsa_blueprint, reshare, settled, signs};

/// More messages than any run here has.
const MESSAGES: usize = 200;

/// A cluster whose coordinator keeps back what it is told to.
async fn gated(blueprint: Blueprint) -> (Cluster, Coordinator, Gate) {
    let mut cluster = Cluster::prepare(blueprint).await.unwrap();
    let gate = Gate::default();
    let config = Config::load(&cluster.coordinator_config()).unwrap();
    let coordinator = Coordinator::start_recorded(config, Some(gate.recorder())).await.unwrap();
    cluster.nodes.iter_mut().for_each(|node| node.start().unwrap());
    cluster.wait_online().await.unwrap();
    (cluster, coordinator, gate)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_message_of_a_reshare_may_be_kept_back() {
    each_message_of_a_reshare(Scheme::Ed25519, blueprint()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_message_of_a_reshare_may_be_kept_back_taproot() {
    each_message_of_a_reshare(Scheme::Taproot, blueprint()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes; `just interruptions` runs it"]
async fn each_message_of_a_reshare_may_be_kept_back_ecdsa() {
    each_message_of_a_reshare(Scheme::EcdsaSecp256k1, ecdsa_blueprint()).await;
}

async fn each_message_of_a_reshare(scheme: Scheme, blueprint: Blueprint) {
    let (cluster, coordinator, gate) = gated(blueprint).await;
    let mut new = cluster.new_wallet("withheld", scheme, 2).unwrap();
    new.committee = Committee::new(cluster.ids(&[0, 1])).unwrap();
    let wallet = cluster.client.create_wallet(&new, |_| {}).await.unwrap().key;
    // Both committees have what they need from now on: auxiliary information uses up primes.
    for members in [[1, 2], [0, 1]] {
        reshare(&cluster, wallet, &members).await.unwrap();
    }
    let (mut kept_back, mut switched) = (0, 2);
    for passing in 0..MESSAGES {
        // The members change between the two, so one deals and goes, one stays and one comes.
        let members: &[usize] = if switched % 2 == 0 { &[1, 2] } else { &[0, 1] };
        gate.close_after(passing);
        let result = reshare(&cluster, wallet, members).await;
        let kept = gate.open();
        let when = format!("after {passing} messages");
        settled(&cluster, &when).await;
        signs(&cluster, wallet, &when).await;
        let now = cluster.client.find_wallet(&wallet.to_string()).await.unwrap();
        assert!(now.generation == switched || now.generation == switched + 1, "{when}");
        assert!(result.is_err() || now.generation == switched + 1, "{when}: a result was taken back");
        switched = now.generation;
        // On a busy machine a run can be late all by itself.
        if !kept && result.is_ok() {
            break;
        }
        kept_back += usize::from(kept);
    }
    assert!((20..MESSAGES).contains(&kept_back), "a reshare does not have {kept_back} messages");
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_message_of_a_key_generation_and_of_a_signature_may_be_kept_back() {
    let (cluster, coordinator, gate) = gated(blueprint()).await;
    let mut generated = 0;
    for passing in 0..MESSAGES {
        gate.close_after(passing);
        let result = cluster.create_wallet(&format!("w{passing}"), Scheme::Ed25519, 2).await;
        let kept = gate.open();
        if let Ok(wallet) = &result {
            signs(&cluster, wallet.key, &format!("KeyGen after {passing} messages")).await;
        }
        if !kept && result.is_ok() {
            break;
        }
        generated += usize::from(kept);
    }
    assert!((10..MESSAGES).contains(&generated), "a key generation does not have {generated} messages");
    let wallet = cluster.create_wallet("signs", Scheme::Ed25519, 2).await.unwrap().key;
    let mut signed = 0;
    for passing in 0..MESSAGES {
        gate.close_after(passing);
        let order = cluster.order(wallet, "m", b"pay", Some(&[0, 1])).unwrap();
        let result = cluster.client.sign(&order, |_| {}).await;
        let kept = gate.open();
        signs(&cluster, wallet, &format!("KeySign after {passing} messages")).await;
        if !kept && result.is_ok() {
            break;
        }
        signed += usize::from(kept);
    }
    assert!((4..MESSAGES).contains(&signed), "a signature does not have {signed} messages");
    coordinator.stop().await;
}
