//! The coordinator over real QUIC: admission, and notice of its stop.

use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use countersign_coordinator::{Config, Coordinator, identity};
use countersign_link::dial::{self, DialError};
use countersign_link::{Closed, Identity, Link, PeerKey};
use countersign_protocol::control::{FromNode, ToNode};
use countersign_protocol::twin::{Instance, TwinMark, proves_twins};
use countersign_protocol::{IdentitySigner, NodeId, PROTOCOL_VERSION, decode, encode};

const FIRST: Instance = [1; 16];
const SECOND: Instance = [2; 16];
const UNPROVEN: Instance = [4; 16];

fn node(seed: u8) -> Arc<Identity> {
    Arc::new(Identity::from_seed(&[seed; 32]).unwrap())
}

async fn start(dir: &Path) -> Coordinator {
    identity::create(&dir.join("identity.key")).unwrap();
    let admitted = NodeId::from_bytes(node(1).public().0).unwrap();
    let nodes = format!("nodes: [{{name: a, id: {admitted}}}]");
    let text = format!("listen_quic: 127.0.0.1:0\nlisten_http: 127.0.0.1:0\ndata: .\n{nodes}\n");
    Coordinator::start(Config::parse(&text, dir).unwrap())
        .await
        .unwrap()
}

async fn connect(coordinator: &Coordinator, seed: u8) -> Result<Link, DialError> {
    let hello = FromNode::Hello {
        protocol: PROTOCOL_VERSION,
        software: "test".into(),
        pending: vec![],
    };
    let key = PeerKey(*coordinator.id.as_bytes());
    dial::connect(coordinator.quic, &node(seed), key, &encode(&hello)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn only_listed_nodes_get_in_and_all_hear_of_the_stop() {
    let dir = tempfile::tempdir().unwrap();
    let coordinator = start(dir.path()).await;
    let link = connect(&coordinator, 1).await.unwrap();
    assert!(matches!(
        decode(&link.welcome).unwrap(),
        ToNode::Welcome {
            protocol: PROTOCOL_VERSION,
            ..
        }
    ));
    let refused = connect(&coordinator, 2).await.unwrap_err();
    assert!(
        matches!(refused, DialError::Closed(Closed::NotAdmitted)),
        "{refused}"
    );
    let closed = link.handle.closed();
    coordinator.stop().await;
    let reason = closed.await;
    assert!(
        matches!(&reason, Closed::ByPeer { reason } if reason.contains("stops")),
        "{reason}"
    );
}

/// Log lines of a test's own thread.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// On one thread, so that all tasks log to the test's own subscriber.
#[tokio::test(flavor = "current_thread")]
async fn the_log_names_key_and_address_of_whoever_is_not_let_in() {
    let lines = Lines::default();
    let writer = lines.clone();
    let log = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .finish();
    // For all threads: a line first reached on a thread without a subscriber
    // would be disabled everywhere.
    tracing::subscriber::set_global_default(log).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let coordinator = start(dir.path()).await;
    let _admitted = connect(&coordinator, 1).await.unwrap();
    connect(&coordinator, 77).await.unwrap_err();
    let line = async |words: &str, id: NodeId| loop {
        let text = lines.text();
        match text
            .lines()
            .find(|line| line.contains(words) && line.contains(&id.to_string()))
        {
            Some(line) => return line.to_owned(),
            None => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    let said = async {
        (
            line("handshake refused", id(77)).await,
            line("node connected", id(1)).await,
        )
    };
    let said = tokio::time::timeout(Duration::from_secs(8), said).await;
    let (refused, admitted) = said.unwrap_or_else(|_| panic!("not all is said: {}", lines.text()));
    assert!(
        refused.contains(&format!("key={}", id(77))) && refused.contains("not admitted"),
        "{refused}"
    );
    assert!(refused.contains("address=127.0.0.1:"), "{refused}");
    assert!(admitted.contains("address=127.0.0.1:"), "{admitted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_come_and_go_with_the_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let mut coordinator = start(dir.path()).await;
    let link = connect(&coordinator, 1).await.unwrap();
    let admitted = NodeId::from_bytes(node(2).public().0).unwrap();
    let text = format!(
        "listen_quic: 127.0.0.1:0\nlisten_http: 127.0.0.1:0\ndata: .\nnodes: [{{name: b, id: {admitted}}}]\n"
    );
    coordinator.reload(Config::parse(&text, dir.path()).unwrap());
    let reason = link.handle.closed().await;
    assert!(
        matches!(&reason, Closed::ByPeer { reason } if reason.contains("removed")),
        "{reason}"
    );
    connect(&coordinator, 2).await.unwrap();
    let refused = connect(&coordinator, 1).await.unwrap_err();
    assert!(
        matches!(refused, DialError::Closed(Closed::NotAdmitted)),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_speaks_nonsense_is_told_why_it_is_disconnected() {
    let dir = tempfile::tempdir().unwrap();
    let coordinator = start(dir.path()).await;
    let mut link = connect(&coordinator, 1).await.unwrap();
    link.control.sender.send(&[0xff; 9]).await.unwrap();
    let reason = link.handle.closed().await;
    assert!(
        matches!(&reason, Closed::ByPeer { reason } if reason.contains("misbehaved")),
        "{reason}"
    );
    connect(&coordinator, 1).await.unwrap();
}

struct Key(Arc<Identity>);

impl IdentitySigner for Key {
    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message)
    }
}

fn id(seed: u8) -> NodeId {
    NodeId::from_bytes(node(seed).public().0).unwrap()
}

async fn connect_as(coordinator: &Coordinator, seed: u8, instance: Instance) -> Link {
    let protocol = PROTOCOL_VERSION;
    let software = "test".into();
    let hello = FromNode::HelloAs {
        protocol,
        software,
        pending: vec![],
        instance,
    };
    let key = PeerKey(*coordinator.id.as_bytes());
    dial::connect(coordinator.quic, &node(seed), key, &encode(&hello))
        .await
        .unwrap()
}

fn is_welcome(link: &Link) -> bool {
    matches!(decode(&link.welcome).unwrap(), ToNode::Welcome { .. })
}

async fn hear(link: &mut Link) -> ToNode {
    let frame = tokio::time::timeout(Duration::from_secs(30), link.control.receiver.recv()).await;
    decode(
        &frame
            .expect("a frame in time")
            .unwrap()
            .expect("an open link"),
    )
    .unwrap()
}

async fn start_two(dir: &Path) -> Coordinator {
    let mut coordinator = start(dir).await;
    let nodes = format!(
        "nodes: [{{name: a, id: {}}}, {{name: b, id: {}}}]",
        id(1),
        id(2)
    );
    let text = format!("listen_quic: 127.0.0.1:0\nlisten_http: 127.0.0.1:0\ndata: .\n{nodes}\n");
    coordinator.reload(Config::parse(&text, dir).unwrap());
    coordinator
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_with_one_identity_is_refused_and_everybody_has_it_proven() {
    let dir = tempfile::tempdir().unwrap();
    let coordinator = start_two(dir.path()).await;
    let mut peer = connect_as(&coordinator, 2, [9; 16]).await;
    let mut first = connect_as(&coordinator, 1, FIRST).await;
    assert!(is_welcome(&first) && is_welcome(&peer));
    let alive = |instance, other| TwinMark::sign(&id(1), instance, other, &Key(node(1)));
    // One that proves nothing of itself is refused all the same, and nobody is told of it.
    let (mut unproven, ()) = tokio::join!(connect_as(&coordinator, 1, UNPROVEN), async {
        assert_eq!(hear(&mut first).await, ToNode::Probe { other: UNPROVEN });
        let mark = alive(FIRST, UNPROVEN);
        first
            .control
            .sender
            .send(&encode(&FromNode::Alive { mark }))
            .await
            .unwrap();
    });
    assert!(!is_welcome(&unproven));
    let mark = TwinMark::sign(&id(1), UNPROVEN, FIRST, &Key(node(2)));
    unproven
        .control
        .sender
        .send(&encode(&FromNode::Alive { mark }))
        .await
        .unwrap();
    unproven.handle.closed().await;

    let (mut second, ()) = tokio::join!(connect_as(&coordinator, 1, SECOND), async {
        assert_eq!(hear(&mut first).await, ToNode::Probe { other: SECOND });
        let mark = alive(FIRST, SECOND);
        first
            .control
            .sender
            .send(&encode(&FromNode::Alive { mark }))
            .await
            .unwrap();
    });
    let ToNode::Twin { mark } = decode(&second.welcome).unwrap() else {
        panic!("the second is welcome")
    };
    assert!(mark.convinces(&id(1), SECOND) && mark.instance == FIRST);
    let theirs = FromNode::Alive {
        mark: alive(SECOND, FIRST),
    };
    second.control.sender.send(&encode(&theirs)).await.unwrap();
    let ToNode::Twin { mark } = hear(&mut first).await else {
        panic!("the first is not told")
    };
    assert!(mark.convinces(&id(1), FIRST));
    let ToNode::Twins { node, marks } = hear(&mut peer).await else {
        panic!("the peer is not told")
    };
    assert!(node == id(1) && proves_twins(&node, &marks));
    let closed = second.handle.closed().await;
    assert!(
        matches!(&closed, Closed::ByPeer { reason } if reason.contains("another process")),
        "{closed}"
    );
    // The first is still the node: the next one is compared with it.
    let (third, ()) = tokio::join!(connect_as(&coordinator, 1, [3; 16]), async {
        assert_eq!(hear(&mut first).await, ToNode::Probe { other: [3; 16] });
        let mark = alive(FIRST, [3; 16]);
        first
            .control
            .sender
            .send(&encode(&FromNode::Alive { mark }))
            .await
            .unwrap();
    });
    assert!(!is_welcome(&third));
}

/// The older connection is up but dead, as after a `kill -9`; and the same process returns
/// after a broken network.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_started_again_takes_the_place_of_what_is_silent() {
    let dir = tempfile::tempdir().unwrap();
    let coordinator = start_two(dir.path()).await;
    let mut silent = connect_as(&coordinator, 1, FIRST).await;
    // Signatures of another key, or about a process that was not asked, are not an answer.
    let (again, ()) = tokio::join!(connect_as(&coordinator, 1, SECOND), async {
        hear(&mut silent).await;
        let stranger = TwinMark::sign(&id(1), FIRST, SECOND, &Key(node(2)));
        let earlier = TwinMark::sign(&id(1), [9; 16], SECOND, &Key(node(1)));
        for mark in [stranger, earlier] {
            silent
                .control
                .sender
                .send(&encode(&FromNode::Alive { mark }))
                .await
                .unwrap();
        }
    });
    assert!(is_welcome(&again));
    silent.handle.closed().await;
    let same = connect_as(&coordinator, 1, SECOND).await;
    assert!(is_welcome(&same));
    again.handle.closed().await;
    // Earlier programs have no number, and take over as ever.
    let old = connect(&coordinator, 1).await.unwrap();
    assert!(is_welcome(&old));
    same.handle.closed().await;
}
