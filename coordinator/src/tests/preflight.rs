//! Preflights: nodes are asked, the caller is told, and nothing is kept.

use std::sync::Arc;
use std::time::Duration;

use countersign_api::{Answer, Open, Preflight, Verdict};
use countersign_protocol::control::{FromNode, ToNode};
use countersign_protocol::{
    Forecast, Hash, KeyId, NodeId, NotAsked, Operation, OperationKind, Payload, PayloadKind,
    PluginVerdict, Refusal, SignedTask, TaskId, UnixMillis,
};
use tokio::task::JoinHandle;

use super::world::*;
use crate::clock;
use crate::registry::PreflightError;
use crate::testkit::*;

type Asked = JoinHandle<Result<Preflight, PreflightError>>;

fn begin(world: &World, signed: &SignedTask) -> Asked {
    begin_through(world, signed, None)
}

fn begin_through(world: &World, signed: &SignedTask, through: Option<Hash>) -> Asked {
    let registry = world.app.registry.clone();
    let signed = signed.clone();
    tokio::spawn(async move { registry.preflight(signed, through, clock::now()).await })
}

async fn refused(world: &World, signed: &SignedTask) -> &'static str {
    begin(world, signed).await.unwrap().unwrap_err().code()
}

/// What a node is asked: the number of the question, and the parties.
async fn heard(node: &mut FakeNode) -> (u64, Vec<NodeId>) {
    match node.hear().await {
        ToNode::Preflight { ask, parties, .. } => (ask, parties),
        other => panic!("{other:?}"),
    }
}

async fn answer(node: &mut FakeNode, forecast: Forecast) -> Vec<NodeId> {
    let (ask, parties) = heard(node).await;
    let forecast = Box::new(forecast);
    node.say(FromNode::Preflight { ask, forecast }).await;
    parties
}

fn approving() -> Forecast {
    Forecast {
        verdicts: vec![verdict("rules")],
        ..Forecast::default()
    }
}

fn verdict(plugin: &str) -> PluginVerdict {
    PluginVerdict {
        plugin: plugin.into(),
        version: "1".into(),
        digest: Hash([1; 32]),
        config: Hash([2; 32]),
        approved: true,
        code: String::new(),
        reason: String::new(),
        micros: 9,
    }
}

fn refusing() -> Forecast {
    Forecast::refused(refusal())
}

fn coded(code: &str) -> Forecast {
    Forecast::refused(Refusal {
        code: code.into(),
        reason: "why".into(),
        plugin: None,
    })
}

fn open() -> Forecast {
    let desk = NotAsked {
        plugin: "desk".into(),
        why: "it would call its server".into(),
    };
    Forecast {
        not_asked: vec![desk],
        ..approving()
    }
}

fn of(preflight: &Preflight, node: NodeId) -> (&Answer, bool) {
    let mut nodes = preflight.nodes.iter();
    let found = nodes.find(|forecast| forecast.node == node).unwrap();
    (found.answer.known().unwrap(), found.chosen)
}

/// The signers that the coordinator chooses for this task among all three.
async fn chosen(world: &World, nodes: &mut [FakeNode], signed: &SignedTask) -> Vec<NodeId> {
    let asked = begin(world, signed);
    for node in nodes.iter_mut() {
        answer(node, approving()).await;
    }
    match asked.await.unwrap().unwrap().verdict {
        Open::Known(Verdict::Approved { by }) => by,
        other => panic!("{other:?}"),
    }
}

/// A world with a wallet of three online nodes.
async fn with_wallet(dir: &std::path::Path) -> (World, Vec<FakeNode>, KeyId) {
    let world = World::open(dir, |_| ());
    let mut nodes = three(&world).await;
    let wallet = world.make_wallet(&mut nodes).await;
    (world, nodes, wallet)
}

#[tokio::test]
async fn every_online_member_is_asked_and_each_as_a_signer() {
    let dir = tempfile::tempdir().unwrap();
    let (world, mut nodes, wallet) = with_wallet(dir.path()).await;
    let order = new_task(3, keysign(wallet, None));
    let asked = begin(&world, &order);
    for node in &mut nodes {
        let parties = answer(node, approving()).await;
        assert!(parties.contains(&node.id) && parties.is_sorted() && parties.len() == 2);
    }
    let preflight = asked.await.unwrap().unwrap();
    let Open::Known(Verdict::Approved { by }) = &preflight.verdict else {
        panic!("{preflight:?}")
    };
    assert_eq!((by.len(), preflight.needed), (2, 2));
    assert_eq!(
        (preflight.task, preflight.operation.clone()),
        (TaskId([3; 16]), OperationKind::KeySign.into())
    );
    assert_eq!(preflight.nodes.len(), 3);
    for node in &nodes {
        let (told, is_chosen) = of(&preflight, node.id);
        let Answer::WouldApprove { verdicts, .. } = told else {
            panic!("{told:?}")
        };
        assert_eq!(
            (&verdicts[..], is_chosen),
            (&[verdict("rules")][..], by.contains(&node.id))
        );
    }
}

#[tokio::test]
async fn nothing_is_kept_and_the_task_can_be_ordered_afterwards() {
    let dir = tempfile::tempdir().unwrap();
    let (world, mut nodes, wallet) = with_wallet(dir.path()).await;
    let before = world.get("/v1/tasks").await;
    let order = new_task(3, keysign(wallet, None));
    let by = chosen(&world, &mut nodes, &order).await;
    assert_eq!(world.get("/v1/tasks").await, before);
    assert!(
        world
            .app
            .registry
            .record(TaskId([3; 16]))
            .unwrap()
            .is_none()
    );
    assert_eq!(world.post(&order).await.1["state"], "approving");
    for node in nodes.iter_mut().filter(|node| by.contains(&node.id)) {
        assert_eq!(node.offered().await, TaskId([3; 16]), "the same nodes");
    }
}

#[tokio::test]
async fn a_chosen_node_that_refuses_spoils_the_task_and_others_that_suffice_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let (world, mut nodes, wallet) = with_wallet(dir.path()).await;
    let order = new_task(3, keysign(wallet, None));
    let by = chosen(&world, &mut nodes, &order).await;
    let asked = begin(&world, &order);
    for node in &mut nodes {
        let forecast = if node.id == by[0] {
            refusing()
        } else {
            approving()
        };
        answer(node, forecast).await;
    }
    let preflight = asked.await.unwrap().unwrap();
    let rest: Vec<NodeId> = crate::testkit::nodes()
        .into_iter()
        .filter(|node| *node != by[0])
        .collect();
    let expected = Verdict::Refused {
        by: vec![by[0]],
        instead: rest.clone(),
    };
    assert_eq!(preflight.verdict, expected);
    let (told, _) = of(&preflight, by[0]);
    assert!(matches!(told, Answer::WouldRefuse { refusal: told, .. } if *told == refusal()));
    // A refusal by the third, which is not chosen, spoils nothing.
    let asked = begin(&world, &order);
    for node in &mut nodes {
        let forecast = if by.contains(&node.id) {
            approving()
        } else {
            refusing()
        };
        answer(node, forecast).await;
    }
    assert_eq!(
        asked.await.unwrap().unwrap().verdict,
        Verdict::Approved { by: by.clone() }
    );
    let asked = begin(&world, &order);
    for node in &mut nodes {
        let forecast = if node.id == by[1] {
            approving()
        } else {
            refusing()
        };
        answer(node, forecast).await;
    }
    let expected = Verdict::Refused {
        by: vec![by[0]],
        instead: vec![],
    };
    assert_eq!(
        asked.await.unwrap().unwrap().verdict,
        expected,
        "too few are left"
    );
}

#[tokio::test]
async fn plugins_that_were_not_asked_leave_the_answer_open() {
    let dir = tempfile::tempdir().unwrap();
    let (world, mut nodes, wallet) = with_wallet(dir.path()).await;
    let signers = crate::testkit::nodes()[..2].to_vec();
    let order = new_task(3, keysign(wallet, Some(signers.clone())));
    let asked = begin(&world, &order);
    answer(&mut nodes[0], open()).await;
    let parties = answer(&mut nodes[1], approving()).await;
    assert_eq!(parties, signers);
    let preflight = asked.await.unwrap().unwrap();
    let expected = Verdict::Open {
        by: signers.clone(),
        undecided: vec![signers[0]],
    };
    assert_eq!(preflight.verdict, expected);
    assert_eq!(preflight.nodes.len(), 2, "the third could not take part");
    let shown = serde_json::to_value(&preflight).unwrap();
    assert_eq!(shown["verdict"]["kind"], "open");
    assert_eq!(shown["nodes"][0]["answer"], "would-approve");
    assert_eq!(shown["nodes"][0]["not_asked"][0]["plugin"], "desk");
}

#[tokio::test]
async fn nodes_that_say_nothing_are_not_taken_for_willing() {
    let dir = tempfile::tempdir().unwrap();
    let (world, mut nodes, wallet) = with_wallet(dir.path()).await;
    let signers = crate::testkit::nodes()[..2].to_vec();
    let order = new_task(3, keysign(wallet, Some(signers.clone())));
    for (code, expected) in [
        ("preflight-off", Answer::SwitchedOff),
        ("preflight-rate", Answer::Busy),
    ] {
        let asked = begin(&world, &order);
        answer(&mut nodes[0], approving()).await;
        answer(&mut nodes[1], coded(code)).await;
        let preflight = asked.await.unwrap().unwrap();
        assert_eq!(
            preflight.verdict,
            Verdict::Unknown {
                of: vec![signers[1]]
            }
        );
        assert_eq!(*of(&preflight, signers[1]).0, expected);
    }
    let asked = begin(&world, &order);
    answer(&mut nodes[0], approving()).await;
    heard(&mut nodes[1]).await;
    let preflight = asked.await.unwrap().unwrap();
    assert_eq!(*of(&preflight, signers[1]).0, Answer::NoAnswer);
    assert_eq!(
        preflight.verdict,
        Verdict::Unknown {
            of: vec![signers[1]]
        }
    );
}

#[tokio::test]
async fn offline_nodes_are_waited_for_unless_another_refuses_anyway() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let mut first = FakeNode::connect(&world, 0, vec![]).await;
    let order = new_task(2, keygen());
    let asked = begin(&world, &order);
    let parties = answer(&mut first, approving()).await;
    assert_eq!(parties, nodes());
    let preflight = asked.await.unwrap().unwrap();
    let missing = nodes()[1..].to_vec();
    assert_eq!(preflight.verdict, Verdict::Waiting { missing });
    assert_eq!(*of(&preflight, nodes()[1]).0, Answer::Offline);
    let asked = begin(&world, &order);
    answer(&mut first, refusing()).await;
    let expected = Verdict::Refused {
        by: vec![nodes()[0]],
        instead: vec![],
    };
    assert_eq!(asked.await.unwrap().unwrap().verdict, expected);
}

#[tokio::test]
async fn a_node_that_leaves_is_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let mut node = FakeNode::connect(&world, 0, vec![]).await;
    let asked = begin(&world, &new_task(2, keygen()));
    heard(&mut node).await;
    node.disconnect().await;
    let soon = tokio::time::timeout(Duration::from_secs(2), asked).await;
    let preflight = soon.expect("no wait").unwrap().unwrap();
    assert_eq!(*of(&preflight, nodes()[0]).0, Answer::Offline);
}

#[tokio::test]
async fn what_would_not_be_accepted_is_refused_with_the_same_code_and_nobody_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let (world, mut nodes, _) = with_wallet(dir.path()).await;
    let mut forged = new_task(9, keygen());
    forged.signature = [1; 64].into();
    let unknown = new_task(9, keysign(KeyId::from_bytes([1; 16]).unwrap(), None));
    let old = sign_task(&task(9, UnixMillis(1000), keygen()));
    for (signed, code) in [
        (forged, "requester-signature"),
        (unknown, "wallet-unknown"),
        (old, "task-expired"),
        (
            new_task(2, check_up(KeyId::from_bytes([1; 16]).unwrap(), &[0])),
            "task-conflict",
        ),
    ] {
        assert_eq!(refused(&world, &signed).await, code);
    }
    assert!(nodes[0].hear.try_recv().is_err());
}

#[tokio::test]
async fn a_task_that_was_submitted_is_not_asked_about() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let order = new_task(2, keygen());
    world.post(&order).await;
    assert_eq!(refused(&world, &order).await, "task-submitted");
}

#[tokio::test]
async fn an_answer_counts_once_and_only_from_who_was_asked() {
    let dir = tempfile::tempdir().unwrap();
    let (world, mut nodes, wallet) = with_wallet(dir.path()).await;
    let signers = crate::testkit::nodes()[..2].to_vec();
    let order = new_task(3, keysign(wallet, Some(signers.clone())));
    let asked = begin(&world, &order);
    let (ask, _) = heard(&mut nodes[0]).await;
    let say = |forecast: Forecast, ask| FromNode::Preflight {
        ask,
        forecast: Box::new(forecast),
    };
    nodes[2].say(say(refusing(), ask)).await;
    nodes[0].say(say(refusing(), ask + 1)).await;
    nodes[0].say(say(approving(), ask)).await;
    nodes[0].say(say(refusing(), ask)).await;
    answer(&mut nodes[1], approving()).await;
    let preflight = asked.await.unwrap().unwrap();
    assert_eq!(preflight.verdict, Verdict::Approved { by: signers });
    assert_eq!(preflight.nodes.len(), 2);
}

#[tokio::test]
async fn texts_of_nodes_are_bounded_and_printable() {
    let dir = tempfile::tempdir().unwrap();
    let (world, mut nodes, wallet) = with_wallet(dir.path()).await;
    let signers = crate::testkit::nodes()[..2].to_vec();
    let order = new_task(3, keysign(wallet, Some(signers)));
    let asked = begin(&world, &order);
    let long = format!("\u{1b}[2J{}", "x".repeat(10_000));
    let loud = Forecast {
        refusal: Some(Refusal {
            code: long.as_str().into(),
            reason: long.clone(),
            plugin: Some(long.clone()),
        }),
        verdicts: vec![verdict(&long); 1000],
        not_asked: vec![
            NotAsked {
                plugin: long.clone(),
                why: long.clone()
            };
            1000
        ],
    };
    answer(&mut nodes[0], loud).await;
    answer(&mut nodes[1], approving()).await;
    let shown = serde_json::to_string(&asked.await.unwrap().unwrap()).unwrap();
    assert!(!shown.contains("u001b"), "no control characters");
    assert!(shown.len() < 200_000, "{}", shown.len());
}

/// Alone, a caller may have half of all at a time.
#[tokio::test]
async fn a_caller_with_many_questions_leaves_room_for_others_and_their_end_frees_it() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let mut node = FakeNode::connect(&world, 0, vec![]).await;
    let key = Some(Hash([1; 32]));
    let mut asked = Vec::new();
    for id in 0..16 {
        asked.push(begin_through(&world, &new_task(id + 10, keygen()), key));
        heard(&mut node).await;
    }
    let one_more = begin_through(&world, &new_task(60, keygen()), key);
    let refused = one_more.await.unwrap().unwrap_err();
    assert_eq!(refused.code(), "too-many-preflights");
    assert!(matches!(refused, PreflightError::Share(16)), "{refused}");
    // A caller that has hung up takes no place.
    for task in asked {
        task.abort();
        drop(task.await);
    }
    let asked = begin_through(&world, &new_task(61, keygen()), key);
    answer(&mut node, approving()).await;
    assert!(asked.await.unwrap().is_ok());
}

#[tokio::test]
async fn the_largest_psbt_passes_in_a_preflight_too() {
    let mut operation = keysign(KeyId::from_bytes([1; 16]).unwrap(), None);
    let Operation::KeySign(sign) = &mut operation else {
        panic!()
    };
    sign.payload = Payload::new(PayloadKind::Psbt, vec![0xff; Payload::MAX_PSBT_BYTES]);
    sign.payload.digests = vec![vec![0xff; 32]; Payload::MAX_DIGESTS];
    let frame = countersign_protocol::encode(&ToNode::Preflight {
        ask: u64::MAX,
        task: new_task(1, operation),
        parties: nodes(),
    });
    assert!(frame.len() <= countersign_protocol::codec::MAX_FRAME);
}

#[tokio::test]
async fn a_reshare_asks_old_and_new_members() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |rules| {
        rules.nodes.insert(crowd()[3], "d".into());
    });
    let mut all = three(&world).await;
    let wallet = world.make_wallet(&mut all).await;
    all.push(FakeNode::connect(&world, 3, vec![]).await);
    let from = world.app.registry.store().wallet(wallet).unwrap().unwrap();
    let order = reshare(&from, &[1, 2, 3], None);
    let asked = begin(
        &world,
        &new_task(5, Operation::KeyReshare(order.clone().into())),
    );
    for node in &mut all {
        let parties = answer(node, approving()).await;
        assert!(parties.contains(&node.id));
        assert!(
            order.dealers_among(&parties).is_some(),
            "a node would admit it"
        );
    }
    let preflight = asked.await.unwrap().unwrap();
    assert_eq!(preflight.nodes.len(), 4);
    assert!(
        matches!(preflight.verdict, Open::Known(Verdict::Approved { .. })),
        "{preflight:?}"
    );
}

/// What a screen shows of nodes.
mod status {
    use countersign_protocol::NodeStatus;
    use countersign_protocol::node_status::{
        BundleState, BundleStatus, Guards, PluginState, PluginStatus,
    };

    use super::*;

    fn status(clock: u64, plugins: usize) -> NodeStatus {
        let long = format!("\u{1b}[2J{}", "x".repeat(10_000));
        let plugin = PluginStatus {
            name: long.clone(),
            state: PluginState::InForce,
            version: Some(long.clone()),
            digest: Some(Hash([1; 32])),
            config: None,
            remote: false,
            guards: Guards {
                operations: vec![long.clone(); 1000],
                keys: vec![long.clone(); 1000],
                more_keys: 1,
                schemes: vec![long.clone(); 1000],
            },
        };
        NodeStatus {
            software: long.clone(),
            clock: UnixMillis(clock),
            schemes: vec!["ed25519".into()],
            plugins: vec![plugin; plugins],
            more_plugins: 2,
            bundles: vec![bundle(&long); plugins],
        }
    }

    fn bundle(name: &str) -> BundleStatus {
        BundleStatus {
            name: name.into(),
            version: 7,
            digest: Hash([2; 32]),
            state: BundleState::Waiting,
            until: Some(UnixMillis(9_000)),
            signed: 2,
            needed: 3,
        }
    }

    fn registry(world: &World) -> Arc<crate::registry::TaskRegistry> {
        world.app.registry.clone()
    }

    #[tokio::test]
    async fn a_node_is_shown_as_it_describes_itself_with_the_skew_of_its_clock() {
        let dir = tempfile::tempdir().unwrap();
        let registry = registry(&World::open(dir.path(), |_| ()));
        let node = nodes()[0];
        let (connection, _frames) = registry
            .join(node, None, "node\u{7} 1", &[], UnixMillis(1_000))
            .unwrap();
        let seen = registry.nodes()[&node].clone();
        assert!(seen.online && seen.status.is_none());
        assert!(seen.software.starts_with("node") && !seen.software.contains('\u{7}'));
        for (clock, skew) in [(5_000, 3_000), (1_000, -1_000), (u64::MAX, i64::MAX)] {
            let status = Box::new(status(clock, 1));
            let frame = FromNode::Status { status };
            registry
                .receive(connection, frame, UnixMillis(2_000))
                .unwrap();
            let reported = registry.nodes()[&node].status.clone().unwrap();
            assert_eq!((reported.skew_ms, reported.at), (skew, UnixMillis(2_000)));
        }
        assert_eq!(registry.nodes()[&node].last_seen, UnixMillis(2_000));
    }

    #[tokio::test]
    async fn a_description_is_bounded_and_says_what_was_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let registry = registry(&World::open(dir.path(), |_| ()));
        let node = nodes()[0];
        let (connection, _frames) = registry.join(node, None, "n", &[], UnixMillis(1)).unwrap();
        let status = Box::new(status(1, 70));
        let frame = FromNode::StatusWithBundles { status };
        registry.receive(connection, frame, UnixMillis(2)).unwrap();
        let status = registry.nodes()[&node].status.clone().unwrap().status;
        let status = status.known().unwrap();
        assert_eq!((status.plugins.len(), status.more_plugins), (32, 40));
        assert_eq!(status.bundles.len(), 8);
        let named = bundle(&status.bundles[0].name);
        assert_eq!(status.bundles[0], named, "only its name is cut");
        let guards = &status.plugins[0].guards;
        assert_eq!((guards.keys.len(), guards.more_keys), (32, 969));
        let shown = serde_json::to_string(&status).unwrap();
        assert!(
            !shown.contains("u001b") && shown.len() < 500_000,
            "{}",
            shown.len()
        );
    }

    /// The program of a node may be replaced by an earlier one.
    #[tokio::test]
    async fn a_description_of_an_earlier_version_replaces_one_with_bundles() {
        let dir = tempfile::tempdir().unwrap();
        let registry = registry(&World::open(dir.path(), |_| ()));
        let node = nodes()[0];
        let (connection, _frames) = registry.join(node, None, "n", &[], UnixMillis(1)).unwrap();
        let described = |frame: &FromNode| {
            // As it travels.
            let frame = countersign_protocol::decode(&countersign_protocol::encode(frame));
            let now = UnixMillis(2);
            registry.receive(connection, frame.unwrap(), now).unwrap();
            let status = registry.nodes()[&node].status.clone().unwrap().status;
            status.into_known().unwrap().bundles.len()
        };
        let status = || {
            Box::new(NodeStatus {
                bundles: vec![bundle("treasury"); 3],
                ..status(1, 0)
            })
        };
        let later = FromNode::StatusWithBundles { status: status() };
        let earlier = FromNode::Status { status: status() };
        assert_eq!([&later, &earlier, &later].map(described), [3, 0, 3]);
    }

    #[tokio::test]
    async fn a_node_that_left_is_remembered_and_one_that_was_struck_off_is_not_shown() {
        let dir = tempfile::tempdir().unwrap();
        let registry = registry(&World::open(dir.path(), |_| ()));
        let node = nodes()[0];
        let (connection, _frames) = registry.join(node, None, "n", &[], UnixMillis(1)).unwrap();
        let status = Box::new(status(1, 0));
        let frame = FromNode::Status { status };
        registry.receive(connection, frame, UnixMillis(2)).unwrap();
        registry.leave(connection, UnixMillis(9));
        let seen = registry.nodes()[&node].clone();
        assert!(!seen.online && seen.status.is_some());
        assert_eq!((seen.since, seen.last_seen), (UnixMillis(1), UnixMillis(9)));
        // What an old connection says does not count.
        let (_new, _frames) = registry.join(node, None, "m", &[], UnixMillis(20)).unwrap();
        let late = FromNode::Capacity { tasks: 1 };
        registry.receive(connection, late, UnixMillis(30)).unwrap();
        let seen = registry.nodes()[&node].clone();
        assert_eq!(
            (seen.last_seen, seen.software.as_str()),
            (UnixMillis(20), "m")
        );
        assert!(seen.status.is_some(), "until it describes itself anew");
        let mut rules = (*registry.rules()).clone();
        rules.nodes.remove(&node);
        registry.set_rules(rules);
        assert!(registry.nodes().is_empty());
    }
}
