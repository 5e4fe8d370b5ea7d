//! A limit belongs to the key: members count each other's signatures as far as these are proven.

mod node;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use countersign_link::hub::NodeLink;
use countersign_link::mesh::MeshConfig;
use countersign_link::{Hub, Identity, Link, Mesh, MeshEvent, PeerKey, dial};
use countersign_node::admin::{self, Answer, Question};
use countersign_protocol::control::{FromNode, ToNode};
use countersign_protocol::frame::{Body, Frame, NO_TASK, Use};
use countersign_protocol::{
    Committee, CoordinatorId, Hash, KeyDescriptor, KeyGen, KeyId, KeySign, NodeId, Operation,
    Outcome, PROTOCOL_VERSION, Payload, PayloadKind, RequesterId, Scheme, SessionId, SignedTask,
    Task, TaskId, Threshold, UnixMillis, decode, encode,
};
use countersign_store::{AuditKind, Journal, KeyRecord, KeyStatus};
use tokio::sync::mpsc;

use node::Node;

const LONG: Duration = Duration::from_secs(120);

/// A requester that the nodes list, unless another one signs.
const REQUESTER: u8 = 3;

fn identity(seed: u8) -> Arc<Identity> {
    Arc::new(Identity::from_seed(&[seed; 32]).unwrap())
}

fn node_id(seed: u8) -> NodeId {
    NodeId::from_bytes(identity(seed).public().0).unwrap()
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_millis() as u64
}

/// Fails a test instead of letting it hang.
async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG, future)
        .await
        .unwrap_or_else(|_| panic!("timed out: {what}"))
}

/// Creates tasks, each with an id of its own.
#[derive(Default)]
struct Orders(u8);

impl Orders {
    fn order(&mut self, operation: Operation) -> SignedTask {
        self.signed_by(REQUESTER, now() + 300_000, operation)
    }

    fn signed_by(&mut self, seed: u8, not_after: u64, operation: Operation) -> SignedTask {
        self.0 += 1;
        let requester = identity(seed);
        let task = Task {
            version: 1,
            id: TaskId([self.0; 16]),
            created: UnixMillis(not_after - 300_000),
            not_after: UnixMillis(not_after),
            requester: RequesterId::from_bytes(requester.public().0).unwrap(),
            note: None,
            claims: Default::default(),
            collect: None,
            operation,
        };
        let bytes = task.to_bytes();
        let signature = requester.sign(&SignedTask::signed_message(&bytes));
        SignedTask {
            bytes,
            signature: signature.into(),
        }
    }
}

fn keysign(key: KeyId, signers: Option<&[NodeId]>) -> Operation {
    let payload = Payload {
        kind: PayloadKind::Message,
        bytes: b"pay".to_vec(),
        digests: Vec::new(),
    };
    let path = "m".parse().unwrap();
    let signers = signers.map(<[_]>::to_vec);
    Operation::KeySign(KeySign {
        key,
        path,
        payload,
        signers,
    })
}

fn sorted(nodes: &[NodeId]) -> Vec<NodeId> {
    let mut nodes = nodes.to_vec();
    nodes.sort_unstable();
    nodes
}

/// Writes the configuration of a node with a limit of this many tasks per day.
fn configure(node: &Node, hub: &Hub, roster: &[NodeId], tasks: usize) {
    let component = Path::new(env!("CARGO_BIN_EXE_countersign-node"))
        .parent()
        .and_then(Path::parent)
        .unwrap();
    let component = component.join("wasm32-wasip2/plugin/countersign_rules.wasm");
    assert!(
        component.exists(),
        "{} is not built; run `just build` first",
        component.display()
    );
    node.write("rules.wasm", std::fs::read(component).unwrap());
    let listed: Vec<String> = roster.iter().map(NodeId::to_string).collect();
    let entries: Vec<String> = listed
        .iter()
        .map(|id| format!("{{name: n{id}, id: {id}}}"))
        .collect();
    node.write(
        "node.yaml",
        format!(
            "coordinator: {{address: '{}', id: {}}}\nrequesters: [{{name: r, id: {}}}]\nroster: [{}]\n\
             limits: {{prime_sets: 0}}\npolicy:\n  plugins:\n  - name: rules\n    file: rules.wasm\n    \
             grants: {{state_bytes: 100000}}\n    config:\n      enable: true\n      key_gen: {{allow_list: \
             [{{threshold: 2, node_ids: [{}]}}]}}\n      key_sign: {{policies: [{{name: p, messages: {{}}, \
             limits: [{{per: day, tasks: {tasks}}}]}}]}}\n",
            hub.address(),
            CoordinatorId::from_bytes(identity(1).public().0).unwrap(),
            RequesterId::from_bytes(identity(REQUESTER).public().0).unwrap(),
            entries.join(", "),
            listed.join(", "),
        ),
    );
}

fn id_of(node: &Node) -> NodeId {
    countersign_node::public::read(&node.path("db"))
        .unwrap()
        .node
}

fn hub() -> Hub {
    Hub::bind(
        "127.0.0.1:0".parse().unwrap(),
        &identity(1),
        Arc::new(|_| true),
        None,
    )
    .unwrap()
}

async fn accept(hub: &Hub) -> NodeLink {
    let mut link = soon("a link", hub.accept()).await.unwrap();
    soon("hello", link.control.receiver.recv())
        .await
        .unwrap()
        .unwrap();
    let welcome = ToNode::Welcome {
        protocol: PROTOCOL_VERSION,
        software: "test".into(),
    };
    link.control.sender.send(&encode(&welcome)).await.unwrap();
    link
}

async fn say(link: &mut NodeLink, frame: &ToNode) {
    link.control.sender.send(&encode(frame)).await.unwrap();
}

/// Returns the next decision or outcome.
async fn hear(link: &mut NodeLink) -> FromNode {
    loop {
        let frame = soon("a report", link.control.receiver.recv())
            .await
            .unwrap()
            .unwrap();
        let frame = decode(&frame).unwrap();
        if matches!(frame, FromNode::Decision { .. } | FromNode::Outcome { .. }) {
            return frame;
        }
    }
}

/// Offers a task. An error is the code of the refusal.
async fn offer(link: &mut NodeLink, task: &SignedTask, parties: &[NodeId]) -> Result<(), String> {
    say(
        link,
        &ToNode::Offer {
            task: task.clone(),
            parties: sorted(parties),
        },
    )
    .await;
    match hear(link).await {
        FromNode::Decision { refusal, .. } => {
            refusal.map_or(Ok(()), |refusal| Err(refusal.code.to_string()))
        }
        other => panic!("no decision: {other:?}"),
    }
}

async fn outcome(link: &mut NodeLink) -> Outcome {
    match hear(link).await {
        FromNode::Outcome { outcome, .. } => outcome,
        other => panic!("no outcome: {other:?}"),
    }
}

/// Returns the audit log's entries about signatures of others.
async fn counted(node: &Node) -> Vec<String> {
    let dir = node.path("db");
    let audit = Question::Audit {
        from: Some(0),
        limit: 1_000,
    };
    let asked = tokio::task::spawn_blocking(move || admin::ask_running(&dir, &audit)).await;
    let Ok(Some(Answer::Audit(entries))) = asked.unwrap() else {
        panic!("no audit log")
    };
    entries
        .into_iter()
        .filter(|entry| entry.kind == AuditKind::Counted)
        .map(|entry| entry.text)
        .collect()
}

async fn until_counted(node: &Node, times: usize) -> Vec<String> {
    let end = Instant::now() + LONG;
    loop {
        let counted = counted(node).await;
        if counted.len() >= times {
            return counted;
        }
        assert!(
            Instant::now() < end,
            "what others sign does not count: {counted:?}\n{}",
            node.log()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Three nodes with a key of which two sign.
struct Members {
    nodes: Vec<Node>,
    ids: Vec<NodeId>,
    links: BTreeMap<NodeId, NodeLink>,
    orders: Orders,
    key: KeyId,
    _hub: Hub,
}

impl Members {
    async fn start(tasks: usize) -> Self {
        let hub = hub();
        let mut nodes: Vec<Node> = (0..3).map(|_| Node::new("")).collect();
        let ids: Vec<NodeId> = nodes.iter().map(id_of).collect();
        let mut links = BTreeMap::new();
        for node in &mut nodes {
            configure(node, &hub, &ids, tasks);
            node.start();
            let link = accept(&hub).await;
            links.insert(NodeId::from_bytes(link.peer.0).unwrap(), link);
        }
        for node in &nodes {
            node.wait_for("tunnel up", 2);
        }
        let key = KeyId::from_bytes([9; 16]).unwrap();
        let mut members = Self {
            nodes,
            ids,
            links,
            orders: Orders::default(),
            key,
            _hub: hub,
        };
        members.key = members.keygen().await;
        members
    }

    async fn keygen(&mut self) -> KeyId {
        let committee = Committee::new(self.ids.clone()).unwrap();
        let threshold = Threshold::try_from(2).unwrap();
        let scheme = Scheme::Ed25519;
        let task = self.orders.order(Operation::KeyGen(KeyGen {
            name: "k".into(),
            scheme,
            committee,
            threshold,
        }));
        assert_eq!(
            self.offer(&task, &[0, 1, 2]).await,
            [Ok(()), Ok(()), Ok(())]
        );
        let mut keys: Vec<KeyId> = Vec::new();
        for made in self.finish(&task, &[0, 1, 2]).await {
            match made {
                Outcome::Created(key) => keys.push(key.key),
                other => panic!("no key: {other:?}"),
            }
        }
        keys[0]
    }

    /// Returns the decision of each signer.
    async fn offer(&mut self, task: &SignedTask, signers: &[usize]) -> Vec<Result<(), String>> {
        let parties: Vec<NodeId> = signers.iter().map(|at| self.ids[*at]).collect();
        let mut decisions = Vec::new();
        for party in &parties {
            decisions.push(offer(self.links.get_mut(party).unwrap(), task, &parties).await);
        }
        decisions
    }

    async fn finish(&mut self, task: &SignedTask, signers: &[usize]) -> Vec<Outcome> {
        let task = task.parse().unwrap().id;
        for at in signers {
            say(
                self.links.get_mut(&self.ids[*at]).unwrap(),
                &ToNode::Start { task },
            )
            .await;
        }
        let mut outcomes = Vec::new();
        for at in signers {
            outcomes.push(outcome(self.links.get_mut(&self.ids[*at]).unwrap()).await);
        }
        outcomes
    }

    fn keysign(&mut self, signers: &[usize]) -> SignedTask {
        let signers: Vec<NodeId> = signers.iter().map(|at| self.ids[*at]).collect();
        self.orders
            .order(keysign(self.key, Some(&sorted(&signers))))
    }

    async fn sign(&mut self, signers: &[usize]) {
        let task = self.keysign(signers);
        assert_eq!(self.offer(&task, signers).await, [Ok(()), Ok(())]);
        let outcomes = self.finish(&task, signers).await;
        assert!(
            outcomes
                .iter()
                .all(|outcome| matches!(outcome, Outcome::Signed(_))),
            "{outcomes:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_of_two_tasks_lets_two_of_three_members_sign_two_whoever_they_are() {
    let mut members = Members::start(2).await;
    members.sign(&[0, 1]).await;
    assert!(until_counted(&members.nodes[2], 1).await[0].contains("approved a use"));
    let given_up = members.keysign(&[1, 2]);
    assert_eq!(members.offer(&given_up, &[1, 2]).await, [Ok(()), Ok(())]);
    // Both have reported the use before either withdraws it.
    until_counted(&members.nodes[0], 2).await;
    let task = given_up.parse().unwrap().id;
    for at in [1, 2] {
        let link = members.links.get_mut(&members.ids[at]).unwrap();
        say(
            link,
            &ToNode::Cancel {
                task,
                reason: "for the test".into(),
            },
        )
        .await;
        assert!(matches!(outcome(link).await, Outcome::Failed(_)));
    }
    let freed = until_counted(&members.nodes[0], 3).await;
    assert!(freed[2].contains("no longer counts"), "{freed:?}");
    members.sign(&[1, 2]).await;
    until_counted(&members.nodes[0], 4).await;
    let third = members.keysign(&[2, 0]);
    let refused = Err("keysign-limit-tasks".to_owned());
    assert_eq!(
        members.offer(&third, &[2, 0]).await,
        [refused.clone(), refused]
    );
}

/// A holder of the key that is played by the test.
struct Peer {
    node: PeerKey,
    mesh: Mesh,
    events: mpsc::Receiver<MeshEvent>,
    _link: Link,
    _hub_side: NodeLink,
}

impl Peer {
    async fn join(hub: &Hub, seed: u8, node: PeerKey) -> Self {
        let identity = identity(seed);
        let dialled = dial::connect(
            hub.address(),
            &identity,
            self::identity(1).public(),
            b"hello",
        );
        let (link, hub_side) = soon("a peer", async { tokio::join!(dialled, accept(hub)) }).await;
        let link = link.unwrap();
        let (mesh, events) = Mesh::new(identity.clone(), MeshConfig::default());
        mesh.set_roster([node]);
        mesh.attach(link.pairs.clone());
        let mut peer = Self {
            node,
            mesh,
            events,
            _link: link,
            _hub_side: hub_side,
        };
        peer.until_up().await;
        peer
    }

    async fn until_up(&mut self) {
        while soon("a tunnel", self.events.recv()).await != Some(MeshEvent::Up(self.node)) {}
    }

    async fn say(&self, body: Body) {
        self.mesh
            .send(
                &self.node,
                encode(&Frame {
                    task: NO_TASK,
                    seq: 0,
                    body,
                }),
            )
            .await
            .unwrap();
    }

    /// Returns the node's next message about tasks that others sign.
    async fn hear(&mut self) -> Body {
        loop {
            if let Some(MeshEvent::Frame(_, bytes)) = soon("a frame", self.events.recv()).await {
                let body = decode::<Frame>(&bytes).unwrap().body;
                if matches!(
                    body,
                    Body::Used(_) | Body::Released(_) | Body::Counted { .. }
                ) {
                    return body;
                }
            }
        }
    }

    /// Reports a use, and returns true if it counts: the message that follows is answered in any
    /// case, and after it.
    async fn tell(&mut self, task: &SignedTask, signers: &[NodeId]) -> bool {
        for part in (Use {
            task: task.clone(),
            signers: sorted(signers),
        })
        .parts()
        {
            self.say(Body::Used(part)).await;
        }
        let mark = Hash([0xee; 32]);
        let mut counts = false;
        self.say(Body::Released(mark)).await;
        loop {
            match self.hear().await {
                Body::Counted {
                    task: hash,
                    released: false,
                } if hash == task.hash() => counts = true,
                Body::Counted {
                    task,
                    released: true,
                } if task == mark => return counts,
                other => panic!("{other:?}"),
            }
        }
    }

    async fn release(&mut self, task: &SignedTask) {
        self.say(Body::Released(task.hash())).await;
        assert_eq!(
            self.hear().await,
            Body::Counted {
                task: task.hash(),
                released: true
            }
        );
    }
}

/// The record of a key that the node holds with others. The node signs nothing here, so
/// its share is missing.
fn record(committee: Vec<NodeId>) -> KeyRecord {
    let descriptor = KeyDescriptor {
        key: KeyId::from_bytes([2; 16]).unwrap(),
        task: TaskId([0xaa; 16]),
        session: SessionId([3; 32]),
        name: "n".into(),
        scheme: Scheme::Ed25519,
        committee: Committee::new(committee).unwrap(),
        threshold: Threshold::try_from(2).unwrap(),
        generation: 0,
        root_public_key: identity(50).public().0.to_vec(),
        chain_code: Hash([5; 32]),
        public_shares: Hash([6; 32]),
        aux: None,
        parties: Vec::new(),
        acks: Vec::new(),
    };
    KeyRecord {
        descriptor,
        status: KeyStatus::Active,
        created: UnixMillis(1),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_signers_with_a_requesters_task_are_believed_and_all_must_take_it_back() {
    let hub = hub();
    let mut node = Node::new("");
    let me = id_of(&node);
    let one = node_id(11);
    let two = node_id(12);
    let three = node_id(13);
    let four = node_id(14);
    let stranger = node_id(15);
    configure(&node, &hub, &[one, two, three, four, stranger], 1);
    let record = record(vec![me, one, two, three, four]);
    let key = record.key();
    Journal::open(&node.path("db"))
        .unwrap()
        .put_key(record)
        .unwrap();
    node.start();
    let mut link = accept(&hub).await;
    let mut peers = Vec::new();
    for seed in 11..=15 {
        peers.push(Peer::join(&hub, seed, link.peer).await);
    }
    let [a, b, c, d, e] = &mut peers[..] else {
        unreachable!()
    };
    let mut orders = Orders::default();

    let mut forged = orders.order(keysign(key, None));
    forged.signature = [1; 64].into();
    assert!(!c.tell(&forged, &[three, one]).await, "nobody signed it");
    assert!(
        !d.tell(&orders.order(keysign(key, None)), &[one, three])
            .await,
        "the teller does not sign"
    );
    assert!(
        !e.tell(&orders.order(keysign(key, None)), &[stranger, one])
            .await,
        "it holds no share"
    );
    for (task, signers, why) in [
        (
            orders.signed_by(7, now() + 300_000, keysign(key, None)),
            vec![one, two],
            "of a stranger",
        ),
        (
            orders.signed_by(REQUESTER, now() - 1, keysign(key, None)),
            vec![one, two],
            "it is over",
        ),
        (
            orders.order(keysign(key, Some(&sorted(&[one, three])))),
            vec![one, two],
            "others are to sign",
        ),
        (
            orders.order(keysign(key, None)),
            vec![one, two, three],
            "more than sign",
        ),
        (
            orders.order(keysign(KeyId::from_bytes([8; 16]).unwrap(), None)),
            vec![one, two],
            "no such key here",
        ),
    ] {
        assert!(!a.tell(&task, &signers).await, "{why}");
    }
    assert_eq!(counted(&node).await, Vec::<String>::new());

    let real = orders.order(keysign(key, None));
    for _ in 0..2 {
        assert!(a.tell(&real, &[one, two]).await);
        assert!(b.tell(&real, &[one, two]).await);
    }
    assert_eq!(counted(&node).await.len(), 2, "each signer once");
    let limit = Err("keysign-limit-tasks".to_owned());
    let mine = |orders: &mut Orders| orders.order(keysign(key, Some(&sorted(&[me, one]))));
    assert_eq!(
        offer(&mut link, &mine(&mut orders), &[me, one]).await,
        limit
    );
    a.release(&real).await;
    assert_eq!(
        offer(&mut link, &mine(&mut orders), &[me, one]).await,
        limit,
        "one alone frees nothing"
    );

    let beyond = orders.order(keysign(key, None));
    assert!(
        a.tell(&beyond, &[one, three]).await,
        "what exceeds the limit counts too"
    );
    let warned = counted(&node).await;
    assert!(
        warned.last().unwrap().contains("other members"),
        "{warned:?}"
    );
    a.release(&beyond).await;

    // A clean shutdown: its place at the hub is free at once.
    let id = node.daemon.as_ref().unwrap().id().to_string();
    assert!(
        std::process::Command::new("kill")
            .args(["-TERM", &id])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(node.ends(), Some(0));
    node.start();
    let mut link = accept(&hub).await;
    for peer in [&mut *a, &mut *b] {
        peer.until_up().await;
    }
    assert_eq!(
        offer(&mut link, &mine(&mut orders), &[me, one]).await,
        limit,
        "after a restart"
    );
    b.release(&real).await;

    let last = mine(&mut orders);
    assert_eq!(offer(&mut link, &last, &[me, one]).await, Ok(()));
    match b.hear().await {
        Body::Used(part) => assert_eq!((part.task, part.of), (last.hash(), 1)),
        other => panic!("{other:?}"),
    }
    say(
        &mut link,
        &ToNode::Cancel {
            task: last.parse().unwrap().id,
            reason: "for the test".into(),
        },
    )
    .await;
    assert!(matches!(outcome(&mut link).await, Outcome::Failed(_)));
    // The use may have been reported again meanwhile.
    let end = loop {
        match b.hear().await {
            Body::Used(part) if part.task == last.hash() => {}
            other => break other,
        }
    };
    assert_eq!(end, Body::Released(last.hash()));
}
