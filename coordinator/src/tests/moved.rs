//! Reshared wallets: imports, retention, and notifications.

use countersign_protocol::control::{Held, MAX_GENERATIONS, MAX_HELD};
use countersign_protocol::{Choice, Collect, KeyDescriptor, KeyReshare, UnixMillis};

use super::*;
use crate::approvers::testing::people;

/// A coordinator that admits the whole crowd, all of it online, with the wallet
/// of the first three.
async fn crowded(dir: &Path) -> (World, Vec<FakeNode>, KeyDescriptor) {
    let world = open(dir);
    let mut all = three(&world).await;
    let key = world.make_wallet(&mut all).await;
    let wallet = world.app.registry.store().wallet(key).unwrap().unwrap();
    for number in [3, 4] {
        all.push(FakeNode::connect(&world, number, vec![]).await);
    }
    (world, all, wallet)
}

fn open(dir: &Path) -> World {
    World::open(dir, admit_all)
}

fn admit_all(rules: &mut RegistryConfig) {
    rules.nodes = crowd()
        .into_iter()
        .zip(["a", "b", "c", "d", "e"].map(String::from))
        .collect();
    rules.approvers = people(&[("ann", votes::ANN)], &[]);
}

fn move_task(id: u8, order: &KeyReshare) -> SignedTask {
    new_task(id, Operation::KeyReshare(Box::new(order.clone())))
}

/// The result of an order, acknowledged by these nodes: all parties, where the order does
/// not name the dealers.
fn made(order: &KeyReshare, task: TaskId, by: &[usize]) -> KeyDescriptor {
    let parties = order
        .dealers
        .as_ref()
        .map_or_else(|| some(by), |dealers| order.parties(dealers));
    let mut made = next(order, task, parties);
    ack_by(&mut made, by);
    made
}

impl World {
    /// Orders a reshare and lets these parties approve and start it.
    async fn begin(
        &self,
        all: &mut [FakeNode],
        id: u8,
        order: &KeyReshare,
        parties: &[usize],
    ) -> TaskId {
        assert_eq!(
            self.post(&move_task(id, order)).await.0,
            StatusCode::CREATED
        );
        let task = TaskId([id; 16]);
        for number in parties {
            assert_eq!(all[*number].approve().await, task);
        }
        for number in parties {
            assert_eq!(all[*number].hear().await, ToNode::Start { task });
        }
        task
    }

    /// Carries a reshare out. Only the first party sees its end in the session.
    async fn hand_over(
        &self,
        all: &mut [FakeNode],
        id: u8,
        order: &KeyReshare,
        parties: &[usize],
    ) -> KeyDescriptor {
        let task = self.begin(all, id, order, parties).await;
        let made = made(order, task, parties);
        all[parties[0]]
            .say(FromNode::Outcome {
                task,
                outcome: Outcome::Reshared(made.clone()),
            })
            .await;
        let ended = self.ended(task).await;
        assert_eq!(
            (&ended["state"], &ended["operation"]),
            (&json!("completed"), &json!("KeyReshare"))
        );
        assert_eq!(ended["result"]["reshared"]["generation"], made.generation);
        assert_eq!(ended["wallet"], made.key.to_string());
        for number in &parties[1..] {
            let descriptor = Box::new(made.clone());
            assert_eq!(
                all[*number].hear().await,
                ToNode::Settle { task, descriptor }
            );
        }
        made
    }

    /// A task that had failed may still be completed.
    async fn completed(&self, task: TaskId) {
        for _ in 0..500 {
            if self.get(&format!("/v1/tasks/{task}")).await["state"] == "completed" {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it stays failed");
    }

    async fn refused(&self, task: SignedTask) -> (StatusCode, String) {
        let (status, body) = self.post(&task).await;
        (status, code(&body).to_owned())
    }
}

#[tokio::test]
async fn a_wallet_moves_and_whoever_took_no_part_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = {
        let (world, mut all, wallet) = crowded(dir.path()).await;
        let order = reshare(&wallet, &[0, 1, 3], Some(&[0, 1]));
        let first = world.hand_over(&mut all, 3, &order, &[0, 1, 3]).await;
        assert_eq!(
            all[2].hear().await,
            ToNode::Replaced {
                generations: vec![first.clone()]
            }
        );
        let order = reshare(&first, &[0, 4], Some(&[0, 1]));
        let second = world.hand_over(&mut all, 4, &order, &[0, 4, 1]).await;
        assert_eq!(
            all[3].hear().await,
            ToNode::Replaced {
                generations: vec![second.clone()]
            }
        );
        let shown = world.get(&format!("/v1/wallets/{}", wallet.key)).await;
        assert_eq!(
            (&shown["generation"], &shown["name"]),
            (&json!(2), &json!("hot"))
        );
        for node in all {
            node.disconnect().await;
        }
        (first, second)
    };
    let world = open(dir.path());
    let history = world
        .get(&format!("/v1/wallets/{}/generations", first.key))
        .await;
    let history: Vec<KeyDescriptor> =
        serde_json::from_value(history["generations"].clone()).unwrap();
    assert!(first.succeeds(&history[0]) && second.succeeds(&first));
    assert_eq!(history[1..], [first, second]);
    let unknown = format!(
        "/v1/wallets/{}/generations",
        KeyId::from_bytes([1; 16]).unwrap()
    );
    let (status, body) = world
        .ask(Some(&world.key), "GET", &unknown, String::new())
        .await;
    assert_eq!(
        (status, code(&body)),
        (StatusCode::NOT_FOUND, "wallet-unknown")
    );
}

#[tokio::test]
async fn a_reshare_must_begin_where_the_wallet_is() {
    let dir = tempfile::tempdir().unwrap();
    let (world, mut all, wallet) = crowded(dir.path()).await;
    let mut unknown = wallet.clone();
    unknown.key = KeyId::from_bytes([1; 16]).unwrap();
    ack(&mut unknown);
    let to = |from: &KeyDescriptor, members: &[usize]| move_task(9, &reshare(from, members, None));
    assert_eq!(
        world.refused(to(&unknown, &[0, 3])).await,
        (StatusCode::BAD_REQUEST, "wallet-unknown".into())
    );
    let mut other = wallet.clone();
    other.public_shares.0[0] ^= 1;
    ack(&mut other);
    assert_eq!(
        world.refused(to(&other, &[0, 3])).await,
        (StatusCode::CONFLICT, "wallet-stale".into())
    );

    let order = reshare(&wallet, &[0, 1, 3], Some(&[0, 1]));
    let task = world.begin(&mut all, 3, &order, &[0, 1, 3]).await;
    assert_eq!(
        world.refused(to(&wallet, &[0, 4])).await,
        (StatusCode::CONFLICT, "wallet-moving".into())
    );
    let first = made(&order, task, &[0, 1, 3]);
    all[0]
        .say(FromNode::Outcome {
            task,
            outcome: Outcome::Reshared(first.clone()),
        })
        .await;
    world.ended(task).await;
    let (status, body) = world.post(&to(&wallet, &[0, 4])).await;
    assert_eq!(
        (status, code(&body)),
        (StatusCode::CONFLICT, "wallet-stale")
    );
    assert!(
        body["detail"].as_str().unwrap().contains("generation 1"),
        "{body}"
    );
    assert_eq!(
        world.post(&to(&first, &[0, 4])).await.0,
        StatusCode::CREATED
    );
}

#[tokio::test]
async fn only_admitted_nodes_join_and_only_members_are_checked() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let key = world.make_wallet(&mut three(&world).await).await;
    let wallet = world.app.registry.store().wallet(key).unwrap().unwrap();
    let refused = world
        .refused(move_task(9, &reshare(&wallet, &[0, 3], None)))
        .await;
    assert_eq!(refused, (StatusCode::BAD_REQUEST, "node-unknown".into()));
    let refused = world.refused(new_task(9, check_up(key, &[0, 3]))).await;
    assert_eq!(refused, (StatusCode::BAD_REQUEST, "wallet-holders".into()));
    let stranger = KeyId::from_bytes([1; 16]).unwrap();
    let refused = world.refused(new_task(9, check_up(stranger, &[0]))).await;
    assert_eq!(refused, (StatusCode::BAD_REQUEST, "wallet-unknown".into()));
}

#[tokio::test]
async fn a_check_up_from_order_to_result() {
    let dir = tempfile::tempdir().unwrap();
    let (world, mut all, wallet) = crowded(dir.path()).await;
    let order = new_task(3, check_up(wallet.key, &[0, 2]));
    assert_eq!(world.post(&order).await.0, StatusCode::CREATED);
    for number in [0, 2] {
        all[number].approve().await;
    }
    let task = TaskId([3; 16]);
    for number in [0, 2] {
        let outcome = Outcome::Intact(intact(&wallet, order.hash(), crowd()[number]));
        all[number].report(task, outcome).await;
    }
    let ended = world.ended(task).await;
    assert_eq!(
        (&ended["state"], &ended["operation"]),
        (&json!("completed"), &json!("KeyShareSign"))
    );
    assert_eq!(ended["result"]["intact"][1]["node"], crowd()[2].to_string());
    assert_eq!(ended["wallet"], wallet.key.to_string());
}

#[tokio::test]
async fn acks_meet_at_the_coordinator_after_the_task_has_failed() {
    let dir = tempfile::tempdir().unwrap();
    let (order, task, wallet) = {
        let (world, mut all, wallet) = crowded(dir.path()).await;
        let order = reshare(&wallet, &[3, 4], Some(&[0, 1]));
        let task = world.begin(&mut all, 3, &order, &[0, 1, 3, 4]).await;
        let lost = failed("session-timeout");
        for number in [0, 1, 3, 4] {
            all[number]
                .say(FromNode::Outcome {
                    task,
                    outcome: lost.clone(),
                })
                .await;
        }
        assert_eq!(world.ended(task).await["state"], "failed");
        for node in all {
            node.disconnect().await;
        }
        (order, task, wallet)
    };
    let world = open(dir.path());
    let stored = |number| FromNode::Stored {
        task,
        descriptor: Box::new(made(&order, task, &[number])),
    };
    let mut third = FakeNode::connect(&world, 3, vec![]).await;
    let mut first = FakeNode::connect(&world, 0, vec![task]).await;
    // Asked because another one is in doubt, the node repeats what it recorded.
    assert_eq!(third.offered().await, task);
    third.say(stored(3)).await;
    first.say(stored(0)).await;
    let mut fourth = FakeNode::connect(&world, 4, vec![task]).await;
    fourth.say(stored(4)).await;
    let second = FakeNode::connect(&world, 1, vec![]).await;
    second.say(stored(1)).await;
    world.completed(task).await;
    let generations = world
        .app
        .registry
        .store()
        .generations(wallet.key, 0, 9)
        .unwrap();
    assert_eq!(generations, [wallet, made(&order, task, &[0, 1, 3, 4])]);
    for node in [&mut first, &mut third, &mut fourth] {
        loop {
            match node.hear().await {
                ToNode::Settle {
                    task: settled,
                    descriptor,
                } => {
                    assert_eq!((settled, descriptor.generation), (task, 1));
                    break;
                }
                ToNode::Offer { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_signature_that_waits_is_made_by_the_newest_members() {
    let dir = tempfile::tempdir().unwrap();
    let (world, mut all, wallet) = crowded(dir.path()).await;
    let order = reshare(&wallet, &[3, 4], Some(&[0, 1]));
    let task = world.begin(&mut all, 3, &order, &[0, 1, 3, 4]).await;
    for number in [0, 1, 3, 4] {
        all[number]
            .say(FromNode::Outcome {
                task,
                outcome: failed("session-timeout"),
            })
            .await;
    }
    assert_eq!(world.ended(task).await["state"], "failed");
    for node in all {
        node.disconnect().await;
    }
    assert_eq!(
        world.post(&new_task(5, keysign(wallet.key, None))).await.1["state"],
        "waiting"
    );
    let first = FakeNode::connect(&world, 0, vec![]).await;
    let outcome = Outcome::Reshared(made(&order, task, &[0, 1, 3, 4]));
    first.say(FromNode::Outcome { task, outcome }).await;
    while world
        .app
        .registry
        .store()
        .wallet(wallet.key)
        .unwrap()
        .unwrap()
        .generation
        == 0
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut signers = Vec::new();
    for number in [3, 4] {
        signers.push(FakeNode::connect(&world, number, vec![]).await);
    }
    for node in &mut signers {
        assert_eq!(node.offered().await, TaskId([5; 16]));
    }
}

#[tokio::test]
async fn a_party_that_never_stored_frees_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let (world, mut all, wallet) = crowded(dir.path()).await;
    let order = reshare(&wallet, &[0, 1, 3], Some(&[0, 1]));
    let task = world.begin(&mut all, 3, &order, &[0, 1, 3]).await;
    let descriptor = Box::new(made(&order, task, &[0]));
    all[0].say(FromNode::Stored { task, descriptor }).await;
    let ack = abort_vote_of(3, move_task_hash(&world, task).await);
    all[3]
        .say(FromNode::AbortVote {
            task,
            ack: ack.clone(),
        })
        .await;
    let ended = world.ended(task).await;
    assert_eq!(
        (&ended["state"], &ended["reason"]["code"]),
        (&json!("failed"), &json!("reshare-void"))
    );
    loop {
        match all[0].hear().await {
            ToNode::AbortVote {
                task: voted_abort,
                ack: told,
            } => {
                break assert_eq!((voted_abort, told), (task, ack.clone()));
            }
            ToNode::Cancel { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    let mut back = FakeNode::connect(&world, 0, vec![task]).await;
    assert_eq!(back.hear().await, ToNode::AbortVote { task, ack });
    assert_eq!(
        world.app.registry.store().wallet(wallet.key).unwrap(),
        Some(wallet)
    );
}

#[tokio::test]
async fn a_key_is_not_handed_on_twice_while_nodes_wait_for_the_first_time() {
    let dir = tempfile::tempdir().unwrap();
    let (again, task, hash) = {
        let (world, mut all, wallet) = crowded(dir.path()).await;
        let order = reshare(&wallet, &[0, 1, 3], Some(&[0, 1]));
        let task = world.begin(&mut all, 3, &order, &[0, 1, 3]).await;
        for number in [0, 1, 3] {
            all[number]
                .say(FromNode::Outcome {
                    task,
                    outcome: failed("session-timeout"),
                })
                .await;
        }
        assert_eq!(world.ended(task).await["state"], "failed");
        all[0]
            .say(FromNode::Stored {
                task,
                descriptor: Box::new(made(&order, task, &[0])),
            })
            .await;
        // The others are asked once its word has arrived.
        assert_eq!(all[1].offered().await, task);
        let shown = world.get(&format!("/v1/tasks/{task}")).await;
        let stored = |number: usize| {
            let shown = shown["nodes"].as_array().unwrap().iter();
            shown
                .filter(|node| node["node"] == crowd()[number].to_string())
                .all(|node| node["stored"] == true)
        };
        assert_eq!([0, 1, 3].map(stored), [true, false, false], "{shown}");
        let again = reshare(&wallet, &[1, 2], Some(&[1, 2]));
        assert_eq!(world.refused(move_task(4, &again)).await.1, "wallet-moving");
        let hash = move_task_hash(&world, task).await;
        for node in all {
            node.disconnect().await;
        }
        (again, task, hash)
    };
    let world = open(dir.path());
    assert_eq!(
        world.refused(move_task(4, &again)).await.1,
        "wallet-moving",
        "nor after a restart"
    );
    let mut third = FakeNode::connect(&world, 3, vec![]).await;
    assert_eq!(third.offered().await, task, "it owes a word");
    third
        .say(FromNode::AbortVote {
            task,
            ack: abort_vote_of(3, hash),
        })
        .await;
    for _ in 0..500 {
        if world.post(&move_task(4, &again)).await.0 == StatusCode::CREATED {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the wallet never becomes free");
}

#[tokio::test]
async fn a_wallet_is_free_again_once_all_that_stored_gave_the_task_up() {
    let dir = tempfile::tempdir().unwrap();
    let (world, mut all, wallet) = crowded(dir.path()).await;
    let order = reshare(&wallet, &[0, 1, 3], Some(&[0, 1]));
    let task = world.begin(&mut all, 3, &order, &[0, 1, 3]).await;
    for number in [0, 1] {
        all[number]
            .say(FromNode::Stored {
                task,
                descriptor: Box::new(made(&order, task, &[number])),
            })
            .await;
    }
    for number in [0, 1, 3] {
        all[number]
            .say(FromNode::Outcome {
                task,
                outcome: failed("session-timeout"),
            })
            .await;
    }
    assert_eq!(world.ended(task).await["state"], "failed");
    let again = reshare(&wallet, &[1, 2], Some(&[1, 2]));
    let abandoned = || FromNode::Outcome {
        task,
        outcome: failed("reshare-abandoned"),
    };
    all[0].say(abandoned()).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(
        world.refused(move_task(4, &again)).await.1,
        "wallet-moving",
        "the other may have switched"
    );
    all[1].say(abandoned()).await;
    for _ in 0..500 {
        if world.post(&move_task(4, &again)).await.0 == StatusCode::CREATED {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the wallet never becomes free");
}

/// A reshare that waits for people does not keep the wallet from being reshared at once. Its own
/// start is put off.
#[tokio::test]
async fn a_reshare_that_waits_for_votes_holds_up_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let (world, mut all, wallet) = crowded(dir.path()).await;
    let mut patient = move_task(3, &reshare(&wallet, &[0, 1, 3], Some(&[0, 1])))
        .parse()
        .unwrap();
    patient.collect = Some(Collect {
        votes: 1,
        until: patient.not_after,
    });
    let patient = sign_task(&patient);
    assert_eq!(world.post(&patient).await.1["state"], "pending");
    let urgent = reshare(&wallet, &[0, 1, 4], Some(&[0, 1]));
    world.begin(&mut all, 4, &urgent, &[0, 1, 4]).await;
    let vote = votes::vote(votes::ANN, patient.hash(), Choice::Approve);
    let id = patient.parse().unwrap().id;
    let path = format!("/v1/tasks/{id}/votes");
    let key = Some(world.key.as_str());
    let (status, body) = world.ask(key, "POST", &path, vote.to_json()).await;
    assert_eq!(status, StatusCode::CREATED, "{body}");
    let shown = world.get(&format!("/v1/tasks/{id}")).await;
    assert_eq!(shown["state"], "pending", "the other is under way");
}

/// The hash of a task as the coordinator has it.
async fn move_task_hash(world: &World, task: TaskId) -> countersign_protocol::Hash {
    let record = world.app.registry.record(task).unwrap().unwrap();
    SignedTask {
        bytes: record.task.into_bytes(),
        signature: record.signature,
    }
    .hash()
}

/// The wallet with this many generations after the first, held by the first three
/// nodes all the time.
fn long_history(dir: &Path, last: u32) -> Vec<KeyDescriptor> {
    let store = Store::open(&dir.join("coordinator.redb")).unwrap();
    let order = sign_task(&task(2, UnixMillis(1), keygen()));
    let mut all = vec![descriptor(TaskId([2; 16]), order.hash())];
    for number in 1..=last {
        let task = TaskId([number as u8; 16]);
        all.push(made(
            &reshare(&all[all.len() - 1], &[0, 1, 2], None),
            task,
            &[0, 1, 2],
        ));
    }
    for wallet in &all {
        assert!(store.put_wallet(wallet, None).unwrap());
    }
    all
}

#[tokio::test]
async fn a_node_that_was_away_is_told_all_that_it_missed_in_parts() {
    let dir = tempfile::tempdir().unwrap();
    let last = MAX_GENERATIONS as u32 + 6;
    let all = long_history(dir.path(), last);
    let key = all[0].key;
    let world = open(dir.path());
    let mut node = FakeNode::connect(&world, 0, vec![]).await;
    let holds = |generation| FromNode::Holds {
        keys: vec![Held { key, generation }],
    };
    node.say(holds(0)).await;
    let first = ToNode::Replaced {
        generations: all[1..=MAX_GENERATIONS].to_vec(),
    };
    assert!(encode(&first).len() < countersign_protocol::codec::MAX_FRAME / 2);
    assert_eq!(node.hear().await, first);
    node.say(holds(MAX_GENERATIONS as u32)).await;
    let rest = ToNode::Replaced {
        generations: all[MAX_GENERATIONS + 1..].to_vec(),
    };
    assert_eq!(node.hear().await, rest);

    // Nothing for nodes that are up to date, or were never members. A node that claims more than is
    // known here must show it.
    node.say(holds(last)).await;
    let other = Held {
        key: KeyId::from_bytes([1; 16]).unwrap(),
        generation: 3,
    };
    for (said, asked) in [
        (
            Held {
                key,
                generation: last + 3,
            },
            Held {
                key,
                generation: last + 1,
            },
        ),
        (
            other,
            Held {
                generation: 0,
                ..other
            },
        ),
    ] {
        node.say(FromNode::Holds { keys: vec![said] }).await;
        assert_eq!(node.hear().await, ToNode::Show { keys: vec![asked] });
        node.say(FromNode::Generations {
            generations: Vec::new(),
        })
        .await;
    }
    let mut stranger = FakeNode::connect(&world, 3, vec![]).await;
    stranger.say(holds(0)).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(node.hear.try_recv().is_err() && stranger.hear.try_recv().is_err());

    let too_many = vec![
        Held {
            key,
            generation: last
        };
        MAX_HELD + 1
    ];
    node.say(FromNode::Holds { keys: too_many }).await;
    assert!(matches!(node.end.await.unwrap(), End::Misbehaved(_)));
}

#[tokio::test]
async fn a_node_that_missed_much_is_told_as_it_reads() {
    let dir = tempfile::tempdir().unwrap();
    let mut keys = Vec::new();
    {
        let store = Store::open(&dir.path().join("coordinator.redb")).unwrap();
        for number in 0..1500u32 {
            let mut wallet = descriptor(TaskId([2; 16]), countersign_protocol::Hash([1; 32]));
            let mut id = [1; 16];
            id[..4].copy_from_slice(&number.to_be_bytes());
            wallet.key = KeyId::from_bytes(id).unwrap();
            store.put_wallet(&wallet, None).unwrap();
            wallet.generation = 1;
            store.put_wallet(&wallet, None).unwrap();
            keys.push(Held {
                key: wallet.key,
                generation: 0,
            });
        }
    }
    let world = open(dir.path());
    let registry = &world.app.registry;
    let joined = registry.join(nodes()[0], None, "", &[], clock::now());
    let (connection, mut queue) = joined.unwrap();
    registry
        .receive(connection, FromNode::Holds { keys }, clock::now())
        .unwrap();
    for _ in 0..100 {
        registry.tick(clock::now());
    }
    assert!(
        registry.online().contains_key(&nodes()[0]),
        "it is not given up"
    );
    let mut told = 0;
    loop {
        let before = told;
        while queue.try_recv().is_ok() {
            told += 1;
        }
        registry.tick(clock::now());
        if told == before && told > 0 && queue.is_empty() {
            break;
        }
    }
    assert_eq!(told, 1500);
}

#[tokio::test]
async fn the_store_keeps_the_newest_in_front_and_reads_wallets_of_before() {
    let dir = tempfile::tempdir().unwrap();
    let all = long_history(dir.path(), 2);
    let key = all[0].key;
    let path = dir.path().join("old.redb");
    drop(Store::open(&path).unwrap());
    {
        // Written by a program that knew of no generations.
        const WALLETS: redb::TableDefinition<[u8; 16], &[u8]> =
            redb::TableDefinition::new("wallets");
        let db = redb::Database::open(&path).unwrap();
        let write = db.begin_write().unwrap();
        let row = [&[1][..], &serde_json::to_vec(&all[0]).unwrap()].concat();
        write
            .open_table(WALLETS)
            .unwrap()
            .insert(key.as_bytes(), &row[..])
            .unwrap();
        write
            .delete_table(redb::TableDefinition::<[u8; 20], &[u8]>::new("generations"))
            .unwrap();
        write.commit().unwrap();
    }
    let store = Store::open(&path).unwrap();
    assert_eq!(store.generation(key, 0).unwrap().as_ref(), Some(&all[0]));
    assert_eq!(store.generations(key, 0, 9).unwrap(), all[..1]);
    assert!(store.moved().unwrap().is_empty());
    assert!(store.put_wallet(&all[1], None).unwrap());
    assert!(store.put_wallet(&all[2], None).unwrap());
    assert!(!store.put_wallet(&all[1], None).unwrap(), "an older one");
    let mut fork = all[2].clone();
    fork.public_shares.0[0] ^= 1;
    assert!(
        !store.put_wallet(&fork, None).unwrap(),
        "another one of the same number"
    );
    for store in [
        store,
        Store::open(&dir.path().join("coordinator.redb")).unwrap(),
    ] {
        store.durable(store.now()).await.unwrap();
        assert_eq!(store.wallet(key).unwrap().as_ref(), Some(&all[2]));
        assert_eq!(store.wallets(None, 9).unwrap(), all[2..]);
        assert_eq!(store.generations(key, 0, 9).unwrap(), all);
        assert_eq!(store.generations(key, 1, 1).unwrap(), all[1..2]);
        assert_eq!(store.moved().unwrap(), [(key, 2)].into());
    }
}
