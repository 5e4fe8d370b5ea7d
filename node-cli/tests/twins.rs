//! A whole node that hears of another process with its identity: it believes nothing but proof, and
//! takes part in nothing until its operator has decided.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use countersign_link::hub::NodeLink;
use countersign_link::{Hub, Identity};
use countersign_node::admin::{self, Answer, Question};
use countersign_node::config::Config;
use countersign_node::vault::Vault;
use countersign_protocol::control::{FromNode, ToNode};
use countersign_protocol::twin::{Instance, TwinMark};
use countersign_protocol::{
    Committee, CoordinatorId, IdentitySigner, KeyGen, NodeId, Operation, PROTOCOL_VERSION,
    RequesterId, Scheme, SignedTask, Task, TaskId, Threshold, UnixMillis, decode, encode,
};
use countersign_store::{AuditEntry, AuditKind, Journal, Passphrase};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

struct Key(Identity);

impl IdentitySigner for Key {
    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message)
    }
}

fn identity(seed: u8) -> Identity {
    Identity::from_seed(&[seed; 32]).unwrap()
}

fn node_id(identity: &Identity) -> NodeId {
    NodeId::from_bytes(identity.public().0).unwrap()
}

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future)
        .await
        .unwrap_or_else(|_| panic!("timed out: {what}"))
}

/// The node's link as seen by its coordinator.
struct Coordinator(NodeLink);

impl Coordinator {
    async fn say(&mut self, frame: ToNode) {
        self.0.control.sender.send(&encode(&frame)).await.unwrap();
    }

    async fn hear(&mut self) -> FromNode {
        decode(
            &soon("a frame", self.0.control.receiver.recv())
                .await
                .unwrap()
                .unwrap(),
        )
        .unwrap()
    }

    /// Offers a task; returns the code of the refusal, if it is refused.
    async fn offer(&mut self, number: u8, me: NodeId) -> Option<String> {
        let requester = identity(3);
        let mut parties = vec![me, node_id(&identity(2))];
        parties.sort_unstable();
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap()
            .as_millis() as u64;
        let task = Task {
            version: 1,
            id: TaskId([number; 16]),
            created: UnixMillis(now),
            not_after: UnixMillis(now + 60_000),
            requester: RequesterId::from_bytes(requester.public().0).unwrap(),
            note: None,
            claims: Default::default(),
            collect: None,
            operation: Operation::KeyGen(KeyGen {
                name: "k".into(),
                scheme: Scheme::Ed25519,
                committee: Committee::new(parties.clone()).unwrap(),
                threshold: Threshold::try_from(2).unwrap(),
            }),
        };
        let bytes = task.to_bytes();
        let signature = requester.sign(&SignedTask::signed_message(&bytes));
        self.say(ToNode::Offer {
            task: SignedTask {
                bytes,
                signature: signature.into(),
            },
            parties,
        })
        .await;
        loop {
            if let FromNode::Decision { task, refusal, .. } = self.hear().await
                && task == TaskId([number; 16])
            {
                return refusal.map(|refusal| refusal.code.to_string());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_has_a_twin_proven_signs_nothing_until_its_operator_decides() {
    let folder = tempfile::tempdir().unwrap();
    let hub_key = Arc::new(identity(1));
    let hub = Hub::bind(
        "127.0.0.1:0".parse().unwrap(),
        &hub_key,
        Arc::new(|_| true),
        None,
    )
    .unwrap();
    let text = format!(
        "coordinator: {{ address: '{}', id: {} }}\nrequesters: [ {{ name: r, id: {} }} ]\nroster: [ {{ name: peer, id: {} }} ]\n\
         limits: {{ prime_sets: 0 }}\npolicy: {{ allow_unguarded: true }}\n",
        hub.address(),
        CoordinatorId::from_bytes(hub_key.public().0).unwrap(),
        RequesterId::from_bytes(identity(3).public().0).unwrap(),
        node_id(&identity(2)),
    );
    let config = Config::parse(&text, folder.path()).unwrap();
    let passphrase = Passphrase::new(Zeroizing::new("a passphrase for tests".into()));
    let callback = countersign_host::rs256::SigningKey::generate()
        .unwrap()
        .to_pkcs8()
        .unwrap();
    let vault = Vault::create(&config.dir, &passphrase, &[], callback).unwrap();
    Journal::create(&config.dir).unwrap();
    let key = Key(vault.identity().unwrap());
    let me = node_id(&key.0);
    let dir = config.dir.clone();
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(countersign_node::daemon::run(
        config,
        vault,
        shutdown.clone(),
    ));

    let mut coordinator = Coordinator(soon("link", hub.accept()).await.unwrap());
    let FromNode::HelloAs { instance, .. } = coordinator.hear().await else {
        panic!("no number")
    };
    coordinator
        .say(ToNode::Welcome {
            protocol: PROTOCOL_VERSION,
            software: "test".into(),
        })
        .await;
    let twin: Instance = [7; 16];
    coordinator.say(ToNode::Probe { other: twin }).await;
    let alive = loop {
        if let FromNode::Alive { mark } = coordinator.hear().await {
            break mark;
        }
    };
    assert!(alive.instance == instance && alive.convinces(&me, twin));

    // Everything that a coordinator can make up: its own signature, the node's own statement, and a
    // statement of an earlier process.
    let stranger = TwinMark::sign(&me, twin, instance, &Key(identity(1)));
    let earlier = TwinMark::sign(&me, twin, [8; 16], &key);
    for mark in [stranger, alive, earlier] {
        coordinator
            .say(ToNode::Twin {
                mark: Box::new(mark),
            })
            .await;
    }
    assert_eq!(
        coordinator.offer(1, me).await,
        None,
        "words without proof stop nobody"
    );

    // The node believes statements about two processes of a node only if both have signed them,
    // and only about peers.
    let marks = |node: &NodeId, seed: u8, other_seed: u8| {
        let mark =
            |instance, other, seed| TwinMark::sign(node, instance, other, &Key(identity(seed)));
        Box::new([
            mark([1; 16], [2; 16], seed),
            mark([2; 16], [1; 16], other_seed),
        ])
    };
    let peer = node_id(&identity(2));
    let stranger = node_id(&identity(4));
    for (node, marks) in [
        (stranger, marks(&stranger, 4, 4)),
        (peer, marks(&peer, 2, 4)),
        (peer, marks(&peer, 2, 2)),
    ] {
        coordinator.say(ToNode::Twins { node, marks }).await;
    }

    let proof = TwinMark::sign(&me, twin, instance, &key);
    coordinator
        .say(ToNode::Twin {
            mark: Box::new(proof),
        })
        .await;
    assert_eq!(coordinator.offer(2, me).await.as_deref(), Some("twin"));

    let ask = |question: Question| {
        let dir = dir.clone();
        tokio::task::spawn_blocking(move || admin::ask(&dir, &question).unwrap())
    };
    let Answer::Audit(entries) = ask(Question::Audit {
        from: None,
        limit: 50,
    })
    .await
    .unwrap() else {
        panic!()
    };
    let told = |text: &str| text.contains("another process");
    assert!(
        entries
            .iter()
            .any(|entry| entry.kind == AuditKind::Alarm && told(&entry.text)),
        "{entries:?}"
    );
    let of_peers = |entry: &&AuditEntry| {
        entry
            .text
            .contains("two processes run with the identity of")
    };
    let [alarm] = &entries.iter().filter(of_peers).collect::<Vec<_>>()[..] else {
        panic!("{entries:?}")
    };
    assert!(
        alarm.kind == AuditKind::Alarm && alarm.text.contains(&peer.to_string()),
        "{alarm:?}"
    );
    assert_eq!(ask(Question::LiftTwin).await.unwrap(), Answer::Lifted(true));
    assert_eq!(coordinator.offer(3, me).await, None);
    assert_eq!(
        ask(Question::LiftTwin).await.unwrap(),
        Answer::Lifted(false)
    );

    // The knowledge outlives the process.
    let proof = TwinMark::sign(&me, twin, instance, &key);
    coordinator
        .say(ToNode::Twin {
            mark: Box::new(proof),
        })
        .await;
    assert_eq!(coordinator.offer(4, me).await.as_deref(), Some("twin"));
    shutdown.cancel();
    soon("the end", running).await.unwrap().unwrap();
    assert!(Journal::open(&dir).unwrap().twin_since().unwrap().is_some());
}
