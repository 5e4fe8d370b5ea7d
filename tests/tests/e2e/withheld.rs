//! Every message of a key's life kept back once, and nodes killed at any moment: a key signs with the old or the new
//! generation, never with neither.

use countersign_client::{ClientError, ReshareOrder};
use countersign_coordinator::{Config, Coordinator};
use countersign_protocol::{Announcement, Committee, KeyId, Scheme, Threshold};
use countersign_store::HandoverStage;
use countersign_tests::{Blueprint, Cluster, Gate, Plugins};
use std::time::{Duration, Instant};

/// From the moment that everything passes again to a definite state.
const SETTLED: Duration = Duration::from_secs(25);

/// More messages than any run here has.
const MESSAGES: usize = 200;

fn blueprint() -> Blueprint {
    let limits =
        "{ ready_seconds: 1, keygen_seconds: 1, frost_seconds: 1, storing_seconds: 1, prime_sets: 0 }";
    Blueprint { limits: limits.into(), plugins: Plugins::Unguarded, ..Blueprint::default() }
}

/// A cluster whose coordinator keeps back what it is told to.
async fn gated() -> (Cluster, Coordinator, Gate) {
    let mut cluster = Cluster::prepare(blueprint()).await.unwrap();
    let gate = Gate::default();
    let config = Config::load(&cluster.coordinator_config()).unwrap();
    let coordinator = Coordinator::start_recorded(config, Some(gate.recorder())).await.unwrap();
    cluster.nodes.iter_mut().for_each(|node| node.start().unwrap());
    cluster.wait_online().await.unwrap();
    (cluster, coordinator, gate)
}

async fn reshare(cluster: &Cluster, wallet: KeyId, members: &[usize]) -> Result<Announcement, ClientError> {
    let order = ReshareOrder::new(
        wallet,
        Committee::new(cluster.ids(members)).unwrap(),
        Threshold::try_from(2).unwrap(),
    );
    cluster.client.reshare(&order, |_| {}).await
}

/// Signs with whoever holds the key now, as soon as that is settled.
async fn signs(cluster: &Cluster, wallet: KeyId, when: &str) {
    let deadline = Instant::now() + SETTLED;
    loop {
        let order = cluster.order(wallet, "m/1", b"still mine", None).unwrap();
        match cluster.client.sign(&order, |_| {}).await {
            Ok(_) => return,
            Err(error) => assert!(Instant::now() < deadline, "{when}: {error}\n{}", cluster.logs()),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Every node knows what became of every reshare.
async fn settled(cluster: &Cluster, when: &str) {
    let deadline = Instant::now() + SETTLED;
    for node in &cluster.nodes {
        loop {
            let mut list = node.command("task").unwrap();
            let printed = countersign_tests::process::expect_success(list.args(["list", "--json"])).unwrap();
            let handovers: Vec<countersign_store::Handover> = serde_json::from_str(&printed).unwrap();
            if handovers.iter().all(|handover| handover.stage != HandoverStage::Open) {
                break;
            }
            assert!(Instant::now() < deadline, "{when}: {} waits\n{}", node.name, cluster.logs());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_message_of_a_reshare_may_be_kept_back() {
    let (cluster, coordinator, gate) = gated().await;
    let mut new = cluster.new_wallet("withheld", Scheme::Ed25519, 2).unwrap();
    new.committee = Committee::new(cluster.ids(&[0, 1])).unwrap();
    let wallet = cluster.client.create_wallet(&new, |_| {}).await.unwrap().key;
    let (mut kept_back, mut switched) = (0, 0);
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
    let (cluster, coordinator, gate) = gated().await;
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

/// How often a node is killed; `COUNTERSIGN_KILLS` asks for more.
fn rounds() -> u32 {
    std::env::var("COUNTERSIGN_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(12)
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_may_be_killed_at_any_moment_of_key_generation_and_reshare() {
    let mut cluster = Cluster::start(blueprint()).await.unwrap();
    let mut new = cluster.new_wallet("killed", Scheme::Ed25519, 2).unwrap();
    new.committee = Committee::new(cluster.ids(&[0, 1])).unwrap();
    let wallet = cluster.client.create_wallet(&new, |_| {}).await.unwrap().key;
    let mut acknowledged = vec![wallet];
    for round in 0..rounds() {
        let victim = (round % 3) as usize;
        let after = Duration::from_millis(rand::random::<u64>() % 120);
        let generation = cluster.client.find_wallet(&wallet.to_string()).await.unwrap().generation;
        let members: &[usize] = if generation % 2 == 0 { &[1, 2] } else { &[0, 1] };
        let mut daemon = cluster.nodes[victim].daemon.take().unwrap();
        let kill = async {
            tokio::time::sleep(after).await;
            daemon.kill().unwrap();
        };
        match round % 2 {
            0 => drop(tokio::join!(reshare(&cluster, wallet, members), kill)),
            _ => {
                let name = format!("round {round}");
                let (made, ()) = tokio::join!(cluster.create_wallet(&name, Scheme::Ed25519, 2), kill);
                acknowledged.extend(made.ok().map(|made| made.key));
            }
        }
        cluster.nodes[victim].start().unwrap();
        cluster.wait_online().await.unwrap();
        let when = format!("round {round}: node {victim} killed after {after:?}");
        settled(&cluster, &when).await;
        signs(&cluster, wallet, &when).await;
    }
    for key in acknowledged {
        signs(&cluster, key, "at the end").await;
    }
}
