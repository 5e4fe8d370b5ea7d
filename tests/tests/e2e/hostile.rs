//! One real node against a coordinator that lies: it can waste time, and nothing else.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use countersign_client::requester_key::RequesterKey;
use countersign_link::hub::NodeLink;
use countersign_link::{Hub, Identity};
use countersign_protocol::control::{FromNode, ToNode};
use countersign_protocol::{
    Committee, CoordinatorId, Forecast, KeyGen, NodeId, Operation, PROTOCOL_VERSION, Refusal,
    Scheme, SignedTask, Task, TaskId, Threshold, UnixMillis, decode, encode,
};
use countersign_tests::cluster::{Node, init_node};
use countersign_tests::{Approver, PrimeSource, Script, process};
use tempfile::TempDir;

/// A node, the link to it, and a requester known to it.
pub(crate) struct Liar {
    pub(crate) node: Node,
    link: NodeLink,
    pub(crate) requester: RequesterKey,
    /// A node that is on the roster and nowhere else.
    absent: NodeId,
    _hub: Hub,
    _dir: TempDir,
}

fn identity(seed: u8) -> Arc<Identity> {
    Arc::new(Identity::from_seed(&[seed; 32]).unwrap())
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_millis() as u64
}

impl Liar {
    async fn start() -> Self {
        Self::start_with(|_| "policy: { allow_unguarded: true }".into()).await
    }

    /// Starts it with the policy that is made for the node.
    pub(crate) async fn start_with(policy: impl FnOnce(&Node) -> String) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let me = identity(1);
        let hub = Hub::bind(
            "127.0.0.1:0".parse().unwrap(),
            &me,
            Arc::new(|_| true),
            None,
        )
        .unwrap();
        let id = CoordinatorId::from_bytes(me.public().0).unwrap();
        let home = dir.path().join("alice");
        let quic = hub.address();
        let text = id.to_string();
        let made =
            tokio::task::spawn_blocking(move || init_node(0, home, &text, quic, PrimeSource::None))
                .await;
        let mut node = made.unwrap().unwrap();
        let requester = RequesterKey::create(&dir.path().join("requester.key")).unwrap();
        let absent = NodeId::from_bytes(identity(2).public().0).unwrap();
        let config = format!(
            "coordinator: {{ address: '{}', id: {id} }}\nrequesters: [ {{ name: r, id: {} }} ]\nroster: [ {{ name: absent, id: {absent} }} ]\n\
             limits: {{ ready_seconds: 1, prime_sets: 0 }}\n{}\n",
            hub.address(),
            requester.id(),
            policy(&node),
        );
        std::fs::write(node.config(), config).unwrap();
        node.start().unwrap();
        let mut link = tokio::time::timeout(Duration::from_secs(20), hub.accept())
            .await
            .unwrap()
            .unwrap();
        let hello = link.control.receiver.recv().await.unwrap().unwrap();
        assert!(matches!(
            decode(&hello).unwrap(),
            FromNode::HelloAs {
                protocol: PROTOCOL_VERSION,
                ..
            }
        ));
        let mut liar = Self {
            node,
            link,
            requester,
            absent,
            _hub: hub,
            _dir: dir,
        };
        liar.say(&ToNode::Welcome {
            protocol: PROTOCOL_VERSION,
            software: "liar".into(),
        })
        .await;
        liar
    }

    pub(crate) async fn say(&mut self, frame: &ToNode) {
        self.link.control.sender.send(&encode(frame)).await.unwrap();
    }

    pub(crate) async fn hear(&mut self) -> FromNode {
        loop {
            let frame =
                tokio::time::timeout(Duration::from_secs(10), self.link.control.receiver.recv())
                    .await;
            match decode(&frame.unwrap().unwrap().unwrap()).unwrap() {
                FromNode::Progress { .. }
                | FromNode::Capacity { .. }
                | FromNode::AskContacts
                | FromNode::Status { .. }
                | FromNode::StatusWithBundles { .. } => {}
                other => return other,
            }
        }
    }

    async fn refusal(&mut self) -> Refusal {
        match self.hear().await {
            FromNode::Decision {
                refusal: Some(refusal),
                ..
            } => refusal,
            other => panic!("expected a refusal, got {other:?}\n{}", self.node.log()),
        }
    }

    pub(crate) fn parties(&self) -> Vec<NodeId> {
        let mut parties = vec![self.node.id, self.absent];
        parties.sort_unstable();
        parties
    }

    pub(crate) fn task(&self, id: u8, members: Vec<NodeId>) -> Task {
        Task {
            version: 1,
            id: TaskId([id; 16]),
            created: UnixMillis(now()),
            not_after: UnixMillis(now() + 60_000),
            requester: self.requester.id(),
            note: None,
            claims: Default::default(),
            collect: None,
            operation: Operation::KeyGen(KeyGen {
                name: "x".into(),
                scheme: Scheme::Ed25519,
                committee: Committee::new(members).unwrap(),
                threshold: Threshold::try_from(2).unwrap(),
            }),
        }
    }

    async fn forecast(&mut self, ask: u64, task: SignedTask, parties: Vec<NodeId>) -> Forecast {
        self.say(&ToNode::Preflight { ask, task, parties }).await;
        match self.hear().await {
            FromNode::Preflight { ask: of, forecast } if of == ask => *forecast,
            other => panic!("expected a forecast, got {other:?}\n{}", self.node.log()),
        }
    }

    async fn offer(&mut self, task: SignedTask, parties: Vec<NodeId>) {
        self.say(&ToNode::Offer { task, parties }).await;
    }
}

/// A policy by which the node asks this approver.
fn asking(node: &Node, approver: &Approver) -> String {
    let key = countersign_node::public::read(&node.db())
        .unwrap()
        .callback_public_key;
    approver.trust(&key).unwrap();
    std::fs::write(
        node.dir.join("approver.pem"),
        approver.public_key_pem().unwrap(),
    )
    .unwrap();
    let file = process::plugin("jwt-callback").unwrap();
    let url = approver.url();
    format!(
        "policy:\n  public_keys: {{ approver: approver.pem }}\n  plugins:\n    - name: jwt-callback\n      file: '{}'\n      \
         config: {{ retry_times: 0, request_timeout: 60, servers: [ {{ url: '{url}', key: approver }} ] }}\n      \
         grants: {{ keys: [callback, approver], http: ['{url}'] }}",
        file.display()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_done_without_the_requesters_signature_over_these_very_bytes() {
    let mut liar = Liar::start().await;
    let parties = liar.parties();
    let good = liar.requester.sign(&liar.task(1, parties.clone()));

    let mut forged = good.clone();
    forged.bytes = String::from_utf8(forged.bytes)
        .unwrap()
        .replace("\"threshold\":2", "\"threshold\": 2")
        .into();
    liar.offer(forged, parties.clone()).await;
    assert_eq!(liar.refusal().await.code, "requester-signature");

    liar.offer(good.clone(), parties.clone()).await;
    assert!(
        matches!(liar.hear().await, FromNode::Decision { refusal: None, .. }),
        "the genuine task is approved"
    );

    let mut expired = liar.task(2, parties.clone());
    (expired.created, expired.not_after) =
        (UnixMillis(now() - 120_000), UnixMillis(now() - 60_000));
    let expired = liar.requester.sign(&expired);
    liar.offer(expired, parties).await;
    assert_eq!(liar.refusal().await.code, "task-expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_id_means_one_thing_for_ever_even_after_a_restart() {
    let mut liar = Liar::start().await;
    let parties = liar.parties();
    let first = liar.requester.sign(&liar.task(1, parties.clone()));
    liar.offer(first.clone(), parties.clone()).await;
    assert!(matches!(
        liar.hear().await,
        FromNode::Decision { refusal: None, .. }
    ));

    let mut other = liar.task(1, parties.clone());
    other.note = Some("something else".into());
    let other = liar.requester.sign(&other);

    liar.node.daemon().kill().unwrap();
    liar.node.start().unwrap();
    let hub = &liar._hub;
    let mut link = tokio::time::timeout(Duration::from_secs(20), hub.accept())
        .await
        .unwrap()
        .unwrap();
    link.control.receiver.recv().await.unwrap().unwrap();
    liar.link = link;
    liar.say(&ToNode::Welcome {
        protocol: PROTOCOL_VERSION,
        software: "liar".into(),
    })
    .await;

    liar.offer(other, parties.clone()).await;
    assert_eq!(liar.refusal().await.code, "task-id-reused");
    liar.offer(first, parties).await;
    match liar.hear().await {
        FromNode::Outcome {
            outcome: countersign_protocol::Outcome::Failed(failure),
            ..
        } => {
            assert_eq!(failure.code, "aborted-by-restart");
        }
        other => panic!("the recorded outcome is repeated, got {other:?}"),
    }
}

/// Cancelling and offering again must not make people approve the same thing again and again.
#[tokio::test(flavor = "multi_thread")]
async fn an_approver_is_asked_once_for_a_task_and_a_late_approval_is_on_record() {
    let approver = Approver::start().await.unwrap();
    approver.script(Script::Held);
    let mut liar = Liar::start_with(|node| asking(node, &approver)).await;
    let parties = liar.parties();
    let task = liar.requester.sign(&liar.task(1, parties.clone()));
    liar.offer(task.clone(), parties.clone()).await;
    tokio::time::timeout(Duration::from_secs(20), approver.asked(1))
        .await
        .unwrap();
    liar.say(&ToNode::Cancel {
        task: TaskId([1; 16]),
        reason: "never mind".into(),
    })
    .await;
    assert_eq!(liar.refusal().await.code, "cancelled");
    for _ in 0..3 {
        liar.offer(task.clone(), parties.clone()).await;
        assert_eq!(liar.refusal().await.code, "cancelled");
    }
    assert_eq!(approver.seen().len(), 1);

    approver.script(Script::Approve);
    let recorded = || {
        let shown = liar
            .node
            .command("audit")
            .unwrap()
            .arg("show")
            .output()
            .unwrap();
        String::from_utf8(shown.stdout)
            .unwrap()
            .contains("approved by jwt-callback after the task")
    };
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while !recorded() {
        assert!(std::time::Instant::now() < deadline, "{}", liar.node.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    liar.offer(task, parties).await;
    assert_eq!(
        liar.refusal().await.code,
        "cancelled",
        "the approval came too late"
    );
    assert_eq!(approver.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_coordinator_chooses_neither_peers_nor_parties() {
    let mut liar = Liar::start().await;
    let parties = liar.parties();
    let stranger = NodeId::from_bytes(identity(3).public().0).unwrap();

    let task = liar
        .requester
        .sign(&liar.task(1, vec![liar.node.id, stranger]));
    let mut with_stranger = vec![liar.node.id, stranger];
    with_stranger.sort_unstable();
    liar.offer(task, with_stranger).await;
    assert_eq!(liar.refusal().await.code, "peer-unknown");

    let task = liar.requester.sign(&liar.task(2, parties));
    let mut swapped = vec![liar.node.id, stranger];
    swapped.sort_unstable();
    liar.offer(task, swapped).await;
    assert_eq!(liar.refusal().await.code, "parties-mismatch");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absent_peer_is_named_within_its_deadline_and_garbage_is_survived() {
    let mut liar = Liar::start().await;
    let parties = liar.parties();
    liar.link
        .control
        .sender
        .send(b"\xff\xff garbage")
        .await
        .unwrap();
    let mut huge = liar.task(1, parties.clone());
    huge.note = Some("x".repeat(300));
    let huge = liar.requester.sign(&huge);
    liar.offer(huge, parties.clone()).await;
    let task = liar.requester.sign(&liar.task(2, parties.clone()));
    liar.offer(task, parties).await;
    assert!(matches!(
        liar.hear().await,
        FromNode::Decision { refusal: None, .. }
    ));
    liar.say(&ToNode::Start {
        task: TaskId([2; 16]),
    })
    .await;
    let started = std::time::Instant::now();
    match liar.hear().await {
        FromNode::Outcome {
            outcome: countersign_protocol::Outcome::Failed(failure),
            ..
        } => {
            assert_eq!(failure.culprits, [liar.absent]);
            assert!(
                started.elapsed() < Duration::from_secs(3),
                "{:?}",
                started.elapsed()
            );
        }
        other => panic!("expected a failure, got {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_with_another_key_is_not_talked_to() {
    let dir = tempfile::tempdir().unwrap();
    let impostor = Hub::bind(
        "127.0.0.1:0".parse().unwrap(),
        &identity(9),
        Arc::new(|_| true),
        None,
    )
    .unwrap();
    let genuine = CoordinatorId::from_bytes(identity(1).public().0)
        .unwrap()
        .to_string();
    let home = dir.path().join("alice");
    let quic = impostor.address();
    let made =
        tokio::task::spawn_blocking(move || init_node(0, home, &genuine, quic, PrimeSource::None))
            .await;
    let mut node = made.unwrap().unwrap();
    node.start().unwrap();
    for _ in 0..200 {
        if node.log().contains("no link to the coordinator") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let log = node.log();
    assert!(
        log.contains("not the pinned one") || log.contains("pinned"),
        "{log}"
    );
    assert!(impostor.connected().is_empty(), "the impostor has a link");
    assert!(
        process::run(&mut node.command("info").unwrap())
            .unwrap()
            .status
            .success()
    );
}

/// A coordinator can ask as often as it likes: no person is asked, and the order is decided as
/// ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_asks_no_approver_and_does_not_use_up_the_task() {
    let approver = Approver::start().await.unwrap();
    let mut liar = Liar::start_with(|node| {
        let rules = process::plugin("rules").unwrap();
        let absent = NodeId::from_bytes(identity(2).public().0).unwrap();
        let committee = format!("{{ threshold: 2, node_ids: ['{}', '{absent}'] }}", node.id);
        format!(
            "{}\n    - name: rules\n      file: '{}'\n      config: {{ enable: true, key_gen: {{ allow_list: [ {committee} ] }} }}\n      \
             grants: {{ state_bytes: 100000 }}",
            asking(node, &approver),
            rules.display()
        )
    })
    .await;
    let parties = liar.parties();
    let good = liar.requester.sign(&liar.task(1, parties.clone()));
    for ask in 0..3 {
        let forecast = liar.forecast(ask, good.clone(), parties.clone()).await;
        assert_eq!(forecast.refusal, None, "{}", liar.node.log());
        let said: Vec<_> = forecast.verdicts.iter().map(|said| &*said.plugin).collect();
        assert_eq!(said, ["rules"]);
        assert_eq!(forecast.not_asked[0].plugin, "jwt-callback");
    }
    assert!(approver.seen().is_empty(), "nobody was asked");
    let mut forged = good.clone();
    forged.signature = [1; 64].into();
    let forecast = liar.forecast(9, forged, parties.clone()).await;
    assert_eq!(forecast.refusal.unwrap().code, "requester-signature");
    liar.offer(good, parties).await;
    let decision = liar.hear().await;
    assert!(
        matches!(decision, FromNode::Decision { refusal: None, .. }),
        "{decision:?}"
    );
    assert_eq!(approver.seen().len(), 1);
}
