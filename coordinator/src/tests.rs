//! The API and the nodes' sessions in one process: real router, real store, simulated
//! nodes over in-memory channels.

mod addresses;
mod claims;
mod crowd;
mod drain;
mod events;
mod hostile;
mod intake;
mod keys;
mod metrics;
mod moved;
mod passkeys;
mod preflight;
mod removed;
mod requests;
mod signed;
mod votes;
mod webhooks;
mod world;

use std::path::Path;
use std::time::Duration;

use axum::http::StatusCode;
use countersign_protocol::control::{FromNode, ToNode};
use countersign_protocol::{
    KeyId, NodeId, Operation, Outcome, Payload, PayloadKind, SignedTask, TaskId, Versions, encode,
};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::api_key::{Caller, Credential};
use crate::clock;
use crate::invitation::NotJoined;
use crate::registry::RegistryConfig;
use crate::session::{self, End};
use crate::store::{Store, TaskFilter};
use crate::testkit::*;
use world::*;

#[tokio::test]
async fn a_wallet_and_a_signature_from_order_to_result() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let mut nodes = three(&world).await;
    let wallet = world.make_wallet(&mut nodes).await;
    let shown = world.get(&format!("/v1/wallets/{wallet}")).await;
    assert!(
        shown["extended_public_key"]
            .as_str()
            .unwrap()
            .starts_with("cpub"),
        "{shown}"
    );
    assert_eq!(
        world.get("/v1/wallets").await["wallets"][0]["id"],
        wallet.to_string()
    );

    let signers = crate::testkit::nodes()[1..].to_vec();
    let order = new_task(3, keysign(wallet, Some(signers)));
    let (status, body) = world.post(&order).await;
    assert_eq!(
        (status, body["state"].as_str()),
        (StatusCode::CREATED, Some("approving"))
    );
    let id = nodes[1].approve().await;
    nodes[2].approve().await;
    nodes[1].report(id, Outcome::Signed(signature())).await;
    let task = world.ended(id).await;
    assert_eq!(
        (&task["state"], &task["operation"]),
        (&json!("completed"), &json!("KeySign"))
    );
    assert_eq!(
        task["result"]["signed"]["signatures"][0]["signature"],
        hex::encode(&signature().signatures[0].signature)
    );
    assert_eq!(
        (&task["nodes"][0]["name"], &task["nodes"][0]["online"]),
        (&json!("b"), &json!(true))
    );
    assert!(task["nodes"][0]["outcome"]["signed"].is_object(), "{task}");
    let list = world.get("/v1/tasks?limit=1").await;
    assert_eq!(list["tasks"][0]["id"], id.to_string());
    let page = world
        .get(&format!(
            "/v1/tasks?cursor={}",
            list["next"].as_str().unwrap()
        ))
        .await;
    assert_eq!(
        (&page["tasks"][0]["operation"], &page["next"]),
        (&json!("KeyGen"), &Value::Null)
    );
}

#[tokio::test]
async fn the_same_task_again_is_the_same_and_another_one_with_its_id_is_a_conflict() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let order = new_task(2, keygen());
    assert_eq!(world.post(&order).await.0, StatusCode::CREATED);
    let (status, body) = world.post(&order).await;
    assert_eq!(
        (status, body["sequence"].as_u64()),
        (StatusCode::OK, Some(1))
    );
    let mut other = order.parse().unwrap();
    other.note = Some("another".into());
    let (status, body) = world.post(&sign_task(&other)).await;
    assert_eq!(
        (status, code(&body)),
        (StatusCode::CONFLICT, "task-conflict")
    );
}

#[tokio::test]
async fn an_invalid_task_is_refused_with_its_code() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |rules| drop(rules.nodes.remove(&nodes()[2])));
    let mut forged = new_task(1, keygen());
    forged.signature = [1; 64].into();
    let unknown_wallet = new_task(1, keysign(KeyId::from_bytes([1; 16]).unwrap(), None));
    let old = sign_task(&task(1, countersign_protocol::UnixMillis(1000), keygen()));
    for (task, expected) in [
        (forged, "requester-signature"),
        (unknown_wallet, "wallet-unknown"),
        (old, "task-expired"),
        (new_task(1, keygen()), "node-unknown"),
        (
            SignedTask {
                bytes: b"{}".to_vec(),
                signature: [0; 64].into(),
            },
            "task-malformed",
        ),
        (
            SignedTask {
                bytes: vec![b' '; SignedTask::MAX_PSBT_BYTES + 1],
                signature: [0; 64].into(),
            },
            "task-too-large",
        ),
    ] {
        let (status, body) = world.post(&task).await;
        assert_eq!((status, code(&body)), (StatusCode::BAD_REQUEST, expected));
    }
    for (body, status, expected) in [
        (
            "nonsense".to_owned(),
            StatusCode::BAD_REQUEST,
            "body-malformed",
        ),
        (
            r#"{"task":"{}","signature":"00"}"#.into(),
            StatusCode::BAD_REQUEST,
            "body-malformed",
        ),
        (
            r#"{"task":"{}","signature":"00","more":1}"#.into(),
            StatusCode::BAD_REQUEST,
            "body-malformed",
        ),
        (
            " ".repeat(3 * 1024 * 1024 + 1),
            StatusCode::PAYLOAD_TOO_LARGE,
            "body-too-large",
        ),
    ] {
        let (is, body) = world.ask(Some(&world.key), "POST", "/v1/tasks", body).await;
        assert_eq!((is, code(&body)), (status, expected));
    }
    assert_eq!(
        world.get("/v1/tasks").await["tasks"],
        json!([]),
        "nothing was kept"
    );
}

/// Over HTTP as text in JSON, and on to the nodes in one frame.
#[tokio::test]
async fn the_largest_psbt_passes_every_bound() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let mut operation = keysign(KeyId::from_bytes([1; 16]).unwrap(), None);
    let Operation::KeySign(sign) = &mut operation else {
        panic!()
    };
    sign.payload = Payload::new(PayloadKind::Psbt, vec![0xff; Payload::MAX_PSBT_BYTES]);
    sign.payload.digests = vec![vec![0xff; 32]; Payload::MAX_DIGESTS];
    let order = new_task(1, operation);
    // It was read, and its wallet looked for.
    let (status, body) = world.post(&order).await;
    assert_eq!(
        (status, code(&body)),
        (StatusCode::BAD_REQUEST, "wallet-unknown")
    );
    let offer = encode(&ToNode::Offer {
        task: order,
        parties: nodes().to_vec(),
    });
    assert!(offer.len() <= countersign_protocol::codec::MAX_FRAME);
    assert_eq!(
        countersign_protocol::codec::MAX_FRAME,
        countersign_link::MAX_CONTROL_FRAME
    );
}

#[tokio::test]
async fn only_listed_requesters_may_order_where_a_list_is_configured() {
    let dir = tempfile::tempdir().unwrap();
    let order = new_task(2, keygen());
    let listed = order.parse().unwrap().requester;
    let world = World::open(dir.path(), |rules| rules.requesters = Some(vec![]));
    let (status, body) = world.post(&order).await;
    assert_eq!(
        (status, code(&body)),
        (StatusCode::BAD_REQUEST, "requester-unknown")
    );
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |rules| rules.requesters = Some(vec![listed]));
    assert_eq!(world.post(&order).await.0, StatusCode::CREATED);
}

#[tokio::test]
async fn signers_must_be_as_many_members_as_the_threshold() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let wallet = world.make_wallet(&mut three(&world).await).await;
    let stranger = node_id(&key(50));
    for signers in [nodes(), vec![nodes()[0], stranger]] {
        let (status, body) = world
            .post(&new_task(3, keysign(wallet, Some(signers))))
            .await;
        assert_eq!(
            (status, code(&body)),
            (StatusCode::BAD_REQUEST, "task-signers")
        );
    }
}

#[tokio::test]
async fn there_is_a_limit_to_tasks_under_way() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |rules| rules.open_tasks = 1);
    assert_eq!(
        world.post(&new_task(1, keygen())).await.0,
        StatusCode::CREATED
    );
    let (status, body) = world.post(&new_task(2, keygen())).await;
    assert_eq!(
        (status, code(&body)),
        (StatusCode::SERVICE_UNAVAILABLE, "too-many-tasks")
    );
}

/// Their tasks wait for nodes that are offline.
#[tokio::test]
async fn one_requester_or_one_api_key_leaves_room_for_others() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |rules| rules.open_tasks = 4);
    for id in [1, 2] {
        assert_eq!(
            world.post(&new_task(id, keygen())).await.0,
            StatusCode::CREATED
        );
    }
    let (status, body) = world.post(&new_task(3, keygen())).await;
    assert_eq!(
        (status, code(&body)),
        (StatusCode::SERVICE_UNAVAILABLE, "too-many-tasks"),
        "{body}"
    );
    // Another requester finds a place, but not with the API key that has used up its share.
    let key = crate::testkit::key(77);
    let mut order = task(4, clock::now(), keygen());
    order.requester =
        countersign_protocol::RequesterId::from_bytes(key.verifying_key().to_bytes()).unwrap();
    let bytes = order.to_bytes();
    let signature =
        ed25519_dalek::Signer::sign(&key, &SignedTask::signed_message(&bytes)).to_bytes();
    let theirs = SignedTask {
        bytes,
        signature: signature.into(),
    };
    assert_eq!(code(&world.post(&theirs).await.1), "too-many-tasks");
    world
        .app
        .registry
        .submit(theirs, Some(&another_caller()), clock::now())
        .unwrap();
}

fn another_caller() -> Caller {
    let hash = countersign_protocol::Hash([5; 32]);
    Caller {
        key: hash,
        name: "another".into(),
        credential: Credential::Secret(hash),
        wallets: None,
        is_admin: false,
    }
}

#[tokio::test]
async fn nothing_is_answered_without_a_key_of_the_right_scope() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let body = submission(&new_task(1, keygen()));
    for path in [
        "/v1/tasks",
        "/v1/wallets",
        "/v1/nodes",
        "/v1/tasks/00",
        "/v1/nothing",
    ] {
        for key in [None, Some("wrong")] {
            let (status, body) = world.ask(key, "GET", path, String::new()).await;
            assert_eq!(
                (status, code(&body)),
                (StatusCode::UNAUTHORIZED, "unauthorised"),
                "{path}"
            );
        }
    }
    let (status, answer) = world
        .ask(Some(&world.reader), "POST", "/v1/tasks", body)
        .await;
    assert_eq!((status, code(&answer)), (StatusCode::FORBIDDEN, "scope"));
    assert_eq!(
        world
            .ask(Some(&world.reader), "GET", "/v1/tasks", String::new())
            .await
            .0,
        StatusCode::OK
    );
    assert_eq!(
        world.ask(None, "GET", "/live", String::new()).await.0,
        StatusCode::OK
    );
    assert_eq!(
        world.ask(None, "GET", "/ready", String::new()).await.0,
        StatusCode::OK
    );
}

#[tokio::test]
async fn what_does_not_exist_is_said_so_in_json() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let task = format!("/v1/tasks/{}", TaskId([1; 16]));
    let wallet = format!("/v1/wallets/{}", KeyId::from_bytes([1; 16]).unwrap());
    for (method, path, status, expected) in [
        ("GET", task.as_str(), StatusCode::NOT_FOUND, "task-unknown"),
        ("GET", "/v1/tasks/xyz", StatusCode::BAD_REQUEST, "task-id"),
        (
            "GET",
            wallet.as_str(),
            StatusCode::NOT_FOUND,
            "wallet-unknown",
        ),
        (
            "GET",
            "/v1/wallets/xyz",
            StatusCode::BAD_REQUEST,
            "wallet-id",
        ),
        ("GET", "/v1/nothing", StatusCode::NOT_FOUND, "no-such-path"),
        (
            "GET",
            "/v1/tasks?limit=x",
            StatusCode::BAD_REQUEST,
            "query-malformed",
        ),
        (
            "DELETE",
            "/v1/tasks",
            StatusCode::METHOD_NOT_ALLOWED,
            "no-such-method",
        ),
    ] {
        let (is, body) = world
            .ask(Some(&world.key), method, path, String::new())
            .await;
        assert_eq!((is, code(&body)), (status, expected), "{method} {path}");
    }
    let (is, body) = world
        .ask(Some(&world.admin), "GET", "/v1/nothing", String::new())
        .await;
    assert_eq!((is, code(&body)), (StatusCode::NOT_FOUND, "no-such-path"));
}

#[tokio::test]
async fn a_refusal_rejects_the_task_and_cancels_it_at_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let mut nodes = three(&world).await;
    world.post(&new_task(2, keygen())).await;
    let id = nodes[0].approve().await;
    nodes[1].offered().await;
    nodes[2].offered().await;
    nodes[1]
        .say(FromNode::Decision {
            task: id,
            refusal: Some(refusal()),
            verdicts: vec![],
        })
        .await;
    let task = world.ended(id).await;
    assert_eq!(task["state"], "rejected");
    let reason = &task["reason"];
    assert_eq!(
        (&reason["code"], &reason["plugin"]),
        (&json!("limit"), &json!("rules"))
    );
    assert_eq!(reason["nodes"], json!([nodes[1].id]));
    for number in [0, 2] {
        assert!(matches!(nodes[number].hear().await, ToNode::Cancel { task, .. } if task == id));
    }
}

#[tokio::test]
async fn a_wrong_signature_is_not_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let mut nodes = three(&world).await;
    let wallet = world.make_wallet(&mut nodes).await;
    let signers = crate::testkit::nodes()[..2].to_vec();
    world
        .post(&new_task(3, keysign(wallet, Some(signers))))
        .await;
    let id = nodes[0].approve().await;
    nodes[1].approve().await;
    nodes[0].report(id, wrong_signature()).await;
    nodes[1].report(id, wrong_signature()).await;
    let task = world.ended(id).await;
    assert_eq!(
        (&task["state"], &task["reason"]["code"]),
        (&json!("failed"), &json!("wrong-result"))
    );
    assert_eq!(
        (&task["result"], &task["reason"]["nodes"]),
        (&Value::Null, &json!([nodes[0].id]))
    );
}

#[tokio::test]
async fn a_task_waits_for_its_nodes_and_is_offered_again_when_one_returns() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let (_, body) = world.post(&new_task(2, keygen())).await;
    assert_eq!(body["state"], "waiting");
    let mut nodes = three(&world).await;
    let id = nodes[0].approve().await;
    nodes[1].approve().await;
    nodes.remove(0).disconnect().await;
    nodes[1].approve().await;
    let mut back = FakeNode::connect(&world, 0, vec![]).await;
    back.approve().await;
    for node in nodes.iter_mut().chain([&mut back]) {
        assert_eq!(node.hear().await, ToNode::Start { task: id });
    }
}

#[tokio::test]
async fn the_newer_connection_of_a_node_is_the_node() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let mut nodes = three(&world).await;
    let mut newer = FakeNode::connect(&world, 0, vec![]).await;
    let older = nodes.remove(0);
    world.post(&new_task(2, keygen())).await;
    let id = newer.offered().await;
    // Its session may be over already, which is as good as being ignored.
    older
        .say
        .try_send(encode(&FromNode::Decision {
            task: id,
            refusal: Some(refusal()),
            verdicts: vec![],
        }))
        .ok();
    older.disconnect().await;
    assert_eq!(
        world.get(&format!("/v1/tasks/{id}")).await["state"],
        "approving"
    );
    assert_eq!(
        world.app.registry.online().len(),
        3,
        "the end of the older one takes nobody offline"
    );
}

#[tokio::test]
async fn a_member_that_missed_the_end_is_settled_when_it_asks() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let mut nodes = three(&world).await;
    let order = new_task(2, keygen());
    world.post(&order).await;
    let mut id = TaskId([0; 16]);
    for node in &mut nodes {
        id = node.approve().await;
    }
    assert_eq!(nodes[0].hear().await, ToNode::Start { task: id });
    nodes.remove(0).disconnect().await;
    let made = descriptor(id, order.hash());
    nodes[0].report(id, Outcome::Created(made.clone())).await;
    world.ended(id).await;
    assert_eq!(nodes[1].hear().await, ToNode::Start { task: id });
    let settle = ToNode::Settle {
        task: id,
        descriptor: Box::new(made),
    };
    assert_eq!(nodes[1].hear().await, settle);
    let mut back = FakeNode::connect(&world, 0, vec![TaskId([9; 16]), id]).await;
    assert_eq!(back.hear().await, settle);
}

#[tokio::test]
async fn a_node_that_speaks_nonsense_is_disconnected_and_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let nodes = three(&world).await;
    nodes[0].say.send(vec![0xff; 40]).await.unwrap();
    nodes[1]
        .say(FromNode::Hello {
            protocol: 1,
            software: String::new(),
            pending: vec![],
        })
        .await;
    let mut nodes = nodes.into_iter();
    for _ in 0..2 {
        let node = nodes.next().unwrap();
        assert!(matches!(node.end.await.unwrap(), End::Misbehaved(_)));
    }
    let online: Vec<NodeId> = world.app.registry.online().into_keys().collect();
    assert_eq!(online, vec![crate::testkit::nodes()[2]]);
    let shown = world.get("/v1/nodes").await;
    assert_eq!(
        (&shown["nodes"][2]["online"], &shown["nodes"][2]["software"]),
        (&json!(true), &json!("fake 1"))
    );
}

#[tokio::test]
async fn another_protocol_version_and_a_missing_hello_end_the_connection() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let hello = FromNode::Hello {
        protocol: 7,
        software: String::new(),
        pending: vec![],
    };
    let early = FromNode::Decision {
        task: TaskId([1; 16]),
        refusal: None,
        verdicts: vec![],
    };
    for (first, version) in [(hello, true), (early, false)] {
        let (say, from_node) = mpsc::channel(1);
        say.send(encode(&first)).await.unwrap();
        let end = session::serve(
            &world.app.registry,
            Versions::SPOKEN,
            nodes()[0],
            from_node,
            mpsc::channel(1).0,
            || {},
            |_| std::future::ready(Err(NotJoined::Token)),
        )
        .await;
        assert_eq!(
            matches!(end, End::Version { offered: 7, .. }),
            version,
            "{end}"
        );
        assert_eq!(matches!(end, End::Misbehaved(_)), !version, "{end}");
    }
}

/// A node refuses for good any offer beyond its places.
#[tokio::test]
async fn what_the_nodes_do_not_take_now_waits_for_its_turn() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let registry = &world.app.registry;
    let joined: Vec<_> = nodes()
        .into_iter()
        .map(|node| registry.join(node, None, "", &[], clock::now()).unwrap())
        .collect();
    for (connection, _) in &joined {
        registry
            .receive(*connection, FromNode::Capacity { tasks: 4 }, clock::now())
            .unwrap();
    }
    let ids: Vec<_> = (1..=9)
        .map(|id| {
            registry
                .submit(new_task(id, keygen()), None, clock::now())
                .unwrap()
        })
        .collect();
    let offered = || {
        let state = |id| registry.record(TaskId([id; 16])).unwrap().unwrap().state;
        (1..=9)
            .filter(|id| state(*id) == countersign_api::State::Approving)
            .collect::<Vec<u8>>()
    };
    assert_eq!((ids.len(), offered()), (9, vec![1, 2, 3, 4]));
    let no = FromNode::Decision {
        task: TaskId([2; 16]),
        refusal: Some(refusal()),
        verdicts: vec![],
    };
    registry.receive(joined[0].0, no, clock::now()).unwrap();
    registry.tick(clock::now());
    assert_eq!(offered(), [1, 3, 4, 5]);
}

#[tokio::test]
async fn a_node_that_does_not_read_is_given_up_and_nobody_waits_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |rules| rules.open_tasks = 10_000);
    let registry = &world.app.registry;
    let join = |node| {
        let joined = registry.join(node, None, "", &[], clock::now());
        let (connection, queue) = joined.unwrap();
        registry
            .receive(
                connection,
                FromNode::Capacity { tasks: 10_000 },
                clock::now(),
            )
            .unwrap();
        queue
    };
    let mut queues: Vec<_> = nodes().into_iter().map(join).collect();
    for sent in 1u128.. {
        let mut order = task(1, clock::now(), keygen());
        order.id = TaskId(sent.to_be_bytes());
        registry
            .submit(sign_task(&order), None, clock::now())
            .unwrap();
        assert!(queues[1].try_recv().is_ok() && queues[2].try_recv().is_ok());
        if !registry.online().contains_key(&nodes()[0]) {
            break;
        }
        assert!(
            sent < 3000,
            "the queue of a node that does not read has no bound"
        );
    }
    assert_eq!(registry.online().len(), 2);
    while queues[0].try_recv().is_ok() {}
    assert!(queues[0].is_closed());
}

#[tokio::test]
async fn tasks_and_wallets_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (wallet, open) = {
        let world = World::open(dir.path(), |_| ());
        let mut nodes = three(&world).await;
        let wallet = world.make_wallet(&mut nodes).await;
        let signers = crate::testkit::nodes()[..2].to_vec();
        let order = new_task(3, keysign(wallet, Some(signers)));
        world.post(&order).await;
        let id = nodes[0].approve().await;
        for node in nodes {
            node.disconnect().await;
        }
        (wallet, (id, order))
    };
    let world = World::open(dir.path(), |_| ());
    let (id, order) = open;
    assert_eq!(
        world.get(&format!("/v1/wallets/{wallet}")).await["name"],
        "hot"
    );
    assert_eq!(
        world.get(&format!("/v1/tasks/{id}")).await["state"],
        "approving"
    );
    let (status, body) = world.post(&order).await;
    assert_eq!((status, &body["sequence"]), (StatusCode::OK, &json!(2)));
    let mut first = FakeNode::connect(&world, 0, vec![]).await;
    let mut second = FakeNode::connect(&world, 1, vec![]).await;
    assert_eq!(first.approve().await, id);
    second.approve().await;
    first.report(id, Outcome::Signed(signature())).await;
    assert_eq!(world.ended(id).await["state"], "completed");
    assert_eq!(world.post(&new_task(4, keygen())).await.1["sequence"], 3);
}

#[tokio::test]
async fn an_end_that_was_shown_is_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let mut nodes = three(&world).await;
    world.post(&new_task(2, keygen())).await;
    let id = nodes[0].offered().await;
    nodes[0]
        .say(FromNode::Decision {
            task: id,
            refusal: Some(refusal()),
            verdicts: vec![],
        })
        .await;
    let shown = world.ended(id).await;
    let page = world
        .app
        .registry
        .store()
        .tasks(&TaskFilter::default(), None, 1)
        .unwrap();
    let (_, on_disk) = &page.tasks[0];
    assert_eq!(Some(on_disk.revision), shown["revision"].as_u64());
}

#[tokio::test]
async fn an_outcome_that_comes_after_a_restart_and_the_end_still_counts() {
    let dir = tempfile::tempdir().unwrap();
    let order = new_task(2, keygen());
    let id = order.parse().unwrap().id;
    {
        let world = World::open(dir.path(), |rules| rules.timings.keygen = 1);
        let mut nodes = three(&world).await;
        world.post(&order).await;
        for node in &mut nodes {
            node.approve().await;
        }
        for node in &mut nodes {
            assert_eq!(node.hear().await, ToNode::Start { task: id });
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        world.app.registry.tick(clock::now());
        assert_eq!(world.ended(id).await["state"], "failed");
        for node in nodes {
            node.disconnect().await;
        }
    }
    let world = World::open(dir.path(), |_| ());
    let node = FakeNode::connect(&world, 0, vec![]).await;
    let outcome = Outcome::Created(descriptor(id, order.hash()));
    node.say(FromNode::Outcome { task: id, outcome }).await;
    let wallet = format!("/v1/wallets/{}", KeyId::of_task(&order.hash()));
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        if world
            .ask(Some(&world.key), "GET", &wallet, String::new())
            .await
            .0
            == StatusCode::OK
        {
            break;
        }
    }
    assert_eq!(world.get(&wallet).await["name"], "hot");
    assert_eq!(
        world.get(&format!("/v1/tasks/{id}")).await["state"],
        "completed"
    );
}

#[tokio::test]
async fn a_long_poll_answers_at_news_and_at_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let (_, body) = world.post(&new_task(2, keygen())).await;
    let id = body["id"].as_str().unwrap();
    let revision = body["revision"].as_u64().unwrap();
    let began = std::time::Instant::now();
    let same = world
        .get(&format!("/v1/tasks/{id}?wait=1&revision={revision}"))
        .await;
    assert_eq!(same["revision"], revision);
    assert!(began.elapsed() >= Duration::from_millis(900));
    let path = format!("/v1/tasks/{id}?wait=30&revision={revision}");
    let (news, _nodes) = tokio::join!(world.get(&path), three(&world));
    assert_eq!(news["state"], "approving");
    let path = format!("/v1/tasks/{id}?wait=30&revision=1000");
    tokio::join!(world.get(&path), async { world.stop.send_replace(true) });
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_row_of_a_later_version_is_refused_and_this_version_is_read_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("coordinator.redb");
    drop(Store::open(&path).unwrap());
    const TASKS: redb::TableDefinition<[u8; 16], &[u8]> = redb::TableDefinition::new("tasks");
    let put = |id: u8, row: &[u8]| {
        let db = redb::Database::open(&path).unwrap();
        let write = db.begin_write().unwrap();
        write
            .open_table(TASKS)
            .unwrap()
            .insert([id; 16], row)
            .unwrap();
        write.commit().unwrap();
    };
    put(1, include_bytes!("../fixtures/task-row-v1.bin"));
    put(2, b"\x02{}");
    put(3, include_bytes!("../fixtures/reshare-row-v1.bin"));
    let store = Store::open(&path).unwrap();
    let record = store.task(TaskId([1; 16])).unwrap().unwrap();
    assert_eq!(record.parties.len(), 3);
    assert!(record.result.is_some());
    let record = store.task(TaskId([3; 16])).unwrap().unwrap();
    assert_eq!(
        (
            record.stored.iter().len(),
            record.abort_vote.len(),
            record.asked.is_some()
        ),
        (1, 1, true)
    );
    let error = store.task(TaskId([2; 16])).unwrap_err().to_string();
    assert!(error.contains("version 2"), "{error}");
}

#[tokio::test]
async fn a_task_can_be_cancelled_until_it_begins_and_no_longer() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let cancel = async |id: TaskId, key: &str| {
        let path = format!("/v1/tasks/{id}/cancel");
        world.ask(Some(key), "POST", &path, String::new()).await
    };
    let waiting = new_task(7, keygen());
    world.post(&waiting).await;
    let id = waiting.parse().unwrap().id;
    assert_eq!(cancel(id, &world.reader).await.0, StatusCode::FORBIDDEN);
    let (status, body) = cancel(TaskId([99; 16]), &world.key).await;
    assert_eq!(
        (status, code(&body)),
        (StatusCode::NOT_FOUND, "task-unknown")
    );
    for _ in 0..2 {
        let (status, body) = cancel(id, &world.key).await;
        assert_eq!(
            (status, &body["state"]),
            (StatusCode::OK, &json!("cancelled"))
        );
        assert_eq!(body["reason"]["code"], "cancelled");
    }

    let mut nodes = three(&world).await;
    let offered = new_task(8, keygen());
    world.post(&offered).await;
    let id = nodes[0].offered().await;
    cancel(id, &world.key).await;
    let told = nodes[0].hear().await;
    assert!(
        matches!(told, ToNode::Cancel { task, .. } if task == id),
        "{told:?}"
    );

    let begun = new_task(9, keygen());
    world.post(&begun).await;
    let id = begun.parse().unwrap().id;
    nodes[0].approve().await;
    for node in &mut nodes[1..] {
        // The task before was offered to it, and taken back.
        node.offered().await;
        assert!(matches!(node.hear().await, ToNode::Cancel { .. }));
        node.approve().await;
    }
    assert_eq!(nodes[0].hear().await, ToNode::Start { task: id });
    let (status, body) = cancel(id, &world.key).await;
    assert_eq!(
        (status, code(&body)),
        (StatusCode::CONFLICT, "task-running")
    );
    let failed = Outcome::Failed(countersign_protocol::Failure::new("storage".into(), "x"));
    for node in &nodes {
        let outcome = failed.clone();
        node.say(FromNode::Outcome { task: id, outcome }).await;
    }
    world.ended(id).await;
    let (status, body) = cancel(id, &world.key).await;
    assert_eq!((status, code(&body)), (StatusCode::CONFLICT, "task-ended"));
}

#[tokio::test]
async fn a_task_is_explained_at_every_stage() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let order = new_task(7, keygen());
    world.post(&order).await;
    let id = order.parse().unwrap().id;
    let explain = async || world.get(&format!("/v1/tasks/{id}/explain")).await;
    let has = |told: &Value, words: &str| {
        let summary = told["summary"].as_str().unwrap();
        assert!(summary.contains(words), "{told}");
    };
    let told = explain().await;
    has(&told, "waits for a, b and c to come online");
    assert_eq!(told["waiting_for"].as_array().unwrap().len(), 3);
    let mut nodes = three(&world).await;
    nodes[0].approve().await;
    loop {
        let told = explain().await;
        if told["waiting_for"].as_array().unwrap().len() == 2 {
            has(&told, "waits for the decision of b and c");
            assert_eq!(
                told["nodes"][0]["text"],
                "It approved; no plugin guards this at it."
            );
            assert!(told["until"].is_u64());
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    nodes[1]
        .say(FromNode::Decision {
            task: id,
            refusal: Some(refusal()),
            verdicts: vec![],
        })
        .await;
    world.ended(id).await;
    let told = explain().await;
    has(&told, "was refused at b");
    has(&told, &refusal().reason);
    assert!(
        told["nodes"][1]["text"]
            .as_str()
            .unwrap()
            .contains("refused"),
        "{told}"
    );
    assert_eq!(told["waiting_for"], json!([]));
    assert!(
        told["advice"].as_str().unwrap().contains("new task"),
        "{told}"
    );
}

#[tokio::test]
async fn tasks_are_listed_by_wallet_state_kind_requester_and_time() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let mut nodes = three(&world).await;
    let wallet = world.make_wallet(&mut nodes).await;
    let order = new_task(3, keysign(wallet, Some(some(&[1, 2]))));
    world.post(&order).await;
    world.post(&new_task(4, keygen())).await;
    let sequences = async |query: &str| {
        let list = world.get(&format!("/v1/tasks?{query}")).await;
        let tasks = list["tasks"].as_array().unwrap().clone();
        let sequences = tasks.iter().map(|task| task["sequence"].as_u64().unwrap());
        sequences.collect::<Vec<_>>()
    };
    assert_eq!(sequences("").await, [3, 2, 1]);
    assert_eq!(sequences(&format!("wallet={wallet}")).await, [2, 1]);
    assert_eq!(sequences("state=completed").await, [1]);
    assert_eq!(sequences("state=completed,approving").await, [3, 2, 1]);
    assert_eq!(sequences("operation=KeySign").await, [2]);
    let task = world.get("/v1/tasks").await["tasks"][1].clone();
    let requester = task["requester"].as_str().unwrap();
    assert_eq!(
        sequences(&format!("requester={requester}")).await,
        [3, 2, 1]
    );
    let at = task["submitted"].as_u64().unwrap();
    assert_eq!(
        sequences(&format!("until={at}&operation=KeySign")).await,
        [0; 0]
    );
    assert_eq!(
        sequences(&format!("since={at}&operation=KeySign")).await,
        [2]
    );
    for bad in [
        "state=gone",
        "wallet=x",
        "until=-1",
        "limit=x",
        "limit=0",
        "limit=201",
        "color=red",
        "state=failed&state=failed",
    ] {
        let path = format!("/v1/tasks?{bad}");
        let (status, body) = world
            .ask(Some(&world.key), "GET", &path, String::new())
            .await;
        assert_eq!(
            (status, code(&body)),
            (StatusCode::BAD_REQUEST, "query-malformed"),
            "{bad}"
        );
    }
}

#[tokio::test]
async fn the_document_and_the_reference_are_open_to_everybody() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let (status, document) = world
        .ask(None, "GET", "/v1/openapi.json", String::new())
        .await;
    assert_eq!(
        (status, &document["openapi"]),
        (StatusCode::OK, &json!("3.1.0"))
    );
    let (status, _) = world.ask(None, "GET", "/v1/docs", String::new()).await;
    assert_eq!(status, StatusCode::OK);
}
