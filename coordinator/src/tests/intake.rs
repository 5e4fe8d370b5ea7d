//! Wallets of another coordinator, imported by a client: those accepted, and those of nodes that
//! this coordinator does not know.

use countersign_protocol::{Committee, KeyDescriptor, Threshold, UnixMillis};

use super::*;
use crate::approvers::testing::people;

/// Admits the whole crowd; nobody is online.
pub(super) fn anew(dir: &Path) -> World {
    World::open(dir, |rules| {
        rules.nodes = crowd()
            .into_iter()
            .zip(["a", "b", "c", "d", "e"].map(String::from))
            .collect();
        rules.approvers = people(&[("ann", super::votes::ANN)], &[]);
    })
}

/// A wallet that was reshared twice elsewhere: its order and its generations.
pub(super) fn history() -> (SignedTask, Vec<KeyDescriptor>) {
    let order = new_task(2, keygen());
    let first = descriptor(TaskId([2; 16]), order.hash());
    let second = moved_on(&first, 3, &[0, 1, 3], &[0, 1]);
    let third = moved_on(&second, 4, &[1, 3, 4], &[1, 3]);
    (order, vec![first, second, third])
}

fn moved_on(from: &KeyDescriptor, task: u8, members: &[usize], dealers: &[usize]) -> KeyDescriptor {
    let mut numbers: Vec<usize> = members.iter().chain(dealers).copied().collect();
    numbers.sort_unstable();
    numbers.dedup();
    let mut parties = some(&numbers);
    parties.sort_unstable();
    let mut made = next(
        &reshare(from, members, Some(dealers)),
        TaskId([task; 16]),
        parties,
    );
    ack_by(&mut made, &numbers);
    made
}

fn body(generations: &[KeyDescriptor], order: Option<&SignedTask>) -> String {
    let order: Value = order.map_or(Value::Null, |order| {
        serde_json::from_str(&submission(order)).unwrap()
    });
    json!({"generations": generations, "order": order}).to_string()
}

impl World {
    async fn bring(
        &self,
        generations: &[KeyDescriptor],
        order: Option<&SignedTask>,
    ) -> (StatusCode, Value) {
        self.ask(
            Some(&self.key),
            "POST",
            "/v1/wallets",
            body(generations, order),
        )
        .await
    }
}

#[tokio::test]
async fn a_coordinator_that_was_made_anew_is_given_its_wallets_with_their_whole_history() {
    let dir = tempfile::tempdir().unwrap();
    let world = anew(dir.path());
    let (order, all) = history();
    let key = all[0].key;
    // A node's word alone gave it the newest one before.
    assert!(world.bring(&all[2..], None).await.0.is_success());
    let (status, taken) = world.bring(&all, Some(&order)).await;
    assert_eq!(
        (status, &taken["generation"]),
        (StatusCode::OK, &json!(2)),
        "{taken}"
    );
    let told = world.get(&format!("/v1/wallets/{key}/generations")).await;
    assert_eq!(told["generations"], json!(all));
    let task = world.get(&format!("/v1/tasks/{}", all[0].task)).await;
    assert_eq!(
        (&task["state"], &task["wallet"]),
        (&json!("completed"), &json!(key)),
        "{task}"
    );
    assert_eq!(task["task"].as_str().unwrap().as_bytes(), order.bytes);
    assert_eq!(
        world.bring(&all, Some(&order)).await.0,
        StatusCode::OK,
        "again"
    );
    assert_eq!(
        world.get("/v1/tasks").await["tasks"]
            .as_array()
            .unwrap()
            .len(),
        1
    );

    // And it signs with it.
    let mut nodes = Vec::new();
    for number in [1, 3, 4] {
        nodes.push(FakeNode::connect(&world, number, vec![]).await);
    }
    let signing = new_task(9, keysign(key, Some(vec![crowd()[3], crowd()[4]])));
    assert_eq!(world.post(&signing).await.0, StatusCode::CREATED);
    assert_eq!(nodes[1].offered().await, TaskId([9; 16]));
}

#[tokio::test]
async fn what_was_taken_in_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (order, all) = history();
    let world = anew(dir.path());
    assert!(world.bring(&all, Some(&order)).await.0.is_success());
    drop(world);
    let world = anew(dir.path());
    let told = world.get(&format!("/v1/wallets/{}", all[0].key)).await;
    assert_eq!(told["generation"], 2);
    assert_eq!(
        world.post(&new_task(9, keysign(all[0].key, None))).await.0,
        StatusCode::CREATED
    );
}

#[tokio::test]
async fn what_proves_itself_to_nobody_here_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (order, all) = history();
    let world = anew(dir.path());
    let mut forged = all[0].clone();
    forged.root_public_key[0] ^= 1;
    let mut unacked = all[2].clone();
    unacked.acks.pop();
    let other_order = new_task(7, keygen());
    let cases: [(&[KeyDescriptor], Option<&SignedTask>, &str); 8] = [
        (&[], None, "wallet-generations"),
        (&vec![all[0].clone(); 257], None, "wallet-generations"),
        (&[forged], None, "wallet-unproven"),
        (&[unacked], None, "wallet-unproven"),
        (&[all[0].clone(), all[2].clone()], None, "wallet-unproven"),
        (&[all[1].clone(), all[0].clone()], None, "wallet-unproven"),
        (&all, Some(&other_order), "wallet-order"),
        (&all[1..], Some(&order), "wallet-order"),
    ];
    for (generations, order, expected) in cases {
        let (status, refused) = world.bring(generations, order).await;
        assert_eq!(
            (status, code(&refused)),
            (StatusCode::BAD_REQUEST, expected),
            "{refused}"
        );
    }
    let (status, refused) = world
        .ask(
            Some(&world.key),
            "POST",
            "/v1/wallets",
            r#"{"generations": 5}"#.into(),
        )
        .await;
    assert_eq!(
        (status, code(&refused)),
        (StatusCode::BAD_REQUEST, "body-malformed")
    );
    let reader = world
        .ask(Some(&world.reader), "POST", "/v1/wallets", body(&all, None))
        .await;
    assert_eq!(reader.0, StatusCode::FORBIDDEN);
    assert_eq!(world.get("/v1/wallets").await["wallets"], json!([]));
}

/// Everything fits together, except that a member is not admitted here.
#[tokio::test]
async fn a_wallet_of_nodes_that_are_not_admitted_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (order, all) = history();
    let world = World::open(dir.path(), |_| ());
    let (_, refused) = world.bring(&all, Some(&order)).await;
    assert_eq!(code(&refused), "node-unknown", "{refused}");
    assert_eq!(world.get("/v1/wallets").await["wallets"], json!([]));
}

#[tokio::test]
async fn another_story_that_is_no_longer_than_the_known_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (order, all) = history();
    let world = anew(dir.path());
    assert!(world.bring(&all[..2], Some(&order)).await.0.is_success());
    let fork = moved_on(&all[0], 8, &[0, 2, 4], &[0, 2]);
    let (status, refused) = world.bring(&[all[0].clone(), fork.clone()], None).await;
    assert_eq!(
        (status, code(&refused)),
        (StatusCode::CONFLICT, "wallet-conflict")
    );
    // Ahead of what is known, and not derived from it.
    let ahead = moved_on(&fork, 5, &[0, 2, 4], &[0, 4]);
    let (status, refused) = world.bring(std::slice::from_ref(&ahead), None).await;
    assert_eq!(
        (status, code(&refused)),
        (StatusCode::CONFLICT, "wallet-conflict")
    );
    let mut same_id = descriptor(TaskId([2; 16]), order.hash());
    same_id.committee = Committee::new(crowd()[..2].to_vec()).unwrap();
    same_id.threshold = Threshold::try_from(2).unwrap();
    ack_by(&mut same_id, &[0, 1]);
    assert_eq!(
        code(&world.bring(&[same_id], None).await.1),
        "wallet-conflict"
    );
    let told = world
        .get(&format!("/v1/wallets/{}/generations", all[0].key))
        .await;
    assert_eq!(told["generations"], json!(all[..2]));
    // The next step is imported.
    assert!(world.bring(&all[2..], None).await.0.is_success());
}

/// Two histories that verify: only a lying quorum can have made them. The longer one
/// stays, whoever imports it.
#[tokio::test]
async fn of_two_stories_the_longer_one_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (order, all) = history();
    let world = anew(dir.path());
    assert!(world.bring(&all[..2], Some(&order)).await.0.is_success());
    let fork = moved_on(&all[0], 8, &[0, 2, 4], &[0, 2]);
    let ahead = moved_on(&fork, 5, &[0, 2, 4], &[0, 4]);
    let longer = [all[0].clone(), fork, ahead];
    assert!(world.bring(&longer, None).await.0.is_success());
    let told = world
        .get(&format!("/v1/wallets/{}/generations", all[0].key))
        .await;
    assert_eq!(told["generations"], json!(longer));
    let (_, refused) = world.bring(&all, None).await;
    assert_eq!(code(&refused), "wallet-conflict", "{refused}");
}

#[tokio::test]
async fn a_generation_that_does_not_reach_what_is_known_waits_for_those_between() {
    let dir = tempfile::tempdir().unwrap();
    let (order, all) = history();
    let world = anew(dir.path());
    assert!(world.bring(&all[..1], Some(&order)).await.0.is_success());
    let (status, refused) = world.bring(&all[2..], None).await;
    assert_eq!(
        (status, code(&refused)),
        (StatusCode::BAD_REQUEST, "wallet-gap"),
        "{refused}"
    );
    assert!(world.bring(&all[1..], None).await.0.is_success());
}

/// Nodes that are admitted here but are not members of the wallet sign a beginning of their own,
/// and a step on from there.
fn invented(real: &KeyDescriptor) -> [KeyDescriptor; 2] {
    let mut first = real.clone();
    first.committee = Committee::new(crowd()[3..].to_vec()).unwrap();
    first.parties = Vec::new();
    ack_by(&mut first, &[3, 4]);
    let second = moved_on(&first, 8, &[3, 4], &[3, 4]);
    assert!(first.has_all_acks() && second.succeeds(&first));
    [first, second]
}

#[tokio::test]
async fn an_invented_beginning_never_takes_the_place_of_a_wallet_that_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let (order, all) = history();
    let world = anew(dir.path());
    assert!(world.bring(&all[..1], None).await.0.is_success());
    let forged = invented(&all[0]);
    let (status, refused) = world.bring(&forged, None).await;
    assert_eq!(
        (status, code(&refused)),
        (StatusCode::CONFLICT, "wallet-conflict"),
        "{refused}"
    );
    assert_eq!(
        code(&world.bring(&forged[..1], Some(&order)).await.1),
        "wallet-order"
    );
    let told = world
        .get(&format!("/v1/wallets/{}/generations", all[0].key))
        .await;
    assert_eq!(told["generations"], json!(all[..1]));
}

#[tokio::test]
async fn the_order_that_made_a_wallet_puts_an_invented_one_out_of_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let (order, all) = history();
    let world = anew(dir.path());
    let forged = invented(&all[0]);
    assert!(world.bring(&forged, None).await.0.is_success());
    assert_eq!(
        code(&world.bring(&all[..1], None).await.1),
        "wallet-conflict",
        "neither is proven"
    );
    assert!(world.bring(&all[..1], Some(&order)).await.0.is_success());
    // Nothing of it is left before or after a restart, and it does not come back.
    let look = async |world: World| {
        assert_eq!(
            world
                .app
                .registry
                .store()
                .generation(all[0].key, 1)
                .unwrap(),
            None
        );
        let told = world
            .get(&format!("/v1/wallets/{}/generations", all[0].key))
            .await;
        assert_eq!(told["generations"], json!(all[..1]));
        assert_eq!(code(&world.bring(&forged, None).await.1), "wallet-conflict");
    };
    look(world).await;
    look(anew(dir.path())).await;
    let world = anew(dir.path());
    assert!(world.bring(&all[1..], None).await.0.is_success());
}

/// `just contract` imports this wallet, so that its operations on wallets have one. The fixture is
/// written with `COUNTERSIGN_WRITE_FIXTURES=1`.
#[tokio::test]
async fn the_wallet_of_the_contract_test_is_taken_in() {
    let order = sign_task(&task(2, UnixMillis(1_764_453_908_123), keygen()));
    let made = descriptor(TaskId([2; 16]), order.hash());
    let names: serde_json::Map<String, Value> = ["a", "b", "c"]
        .into_iter()
        .zip(crate::testkit::nodes())
        .map(|(name, node)| (name.into(), json!(node)))
        .collect();
    let order: Value = serde_json::from_str(&submission(&order)).unwrap();
    let import = json!({"generations": [made], "order": order});
    let seed = json!({"nodes": names, "import": import});
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/contract/seed.json");
    if std::env::var_os("COUNTERSIGN_WRITE_FIXTURES").is_some() {
        let text = serde_json::to_string_pretty(&seed).unwrap();
        std::fs::write(file, text + "\n").unwrap();
    }
    let kept: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!(kept, seed);
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let body = kept["import"].to_string();
    let (status, wallet) = world
        .ask(Some(&world.key), "POST", "/v1/wallets", body)
        .await;
    assert_eq!(
        (status, &wallet["id"]),
        (StatusCode::CREATED, &json!(made.key))
    );
    let task = world.get(&format!("/v1/tasks/{}", TaskId([2; 16]))).await;
    assert_eq!(task["state"], "completed");
}
