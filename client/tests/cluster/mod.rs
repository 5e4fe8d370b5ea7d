//! A real coordinator in this process, and four nodes that play the protocol without computing: the
//! wallet's private key is in the test. Optionally, a proxy in front of the coordinator
//! that changes its answers.

mod shares;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use countersign_client::{Profile, RequesterKey};
use countersign_coordinator::{Config, Coordinator, api_key, identity};
use countersign_link::{Identity, PeerKey, dial};
use countersign_protocol::control::{FromNode, ToNode};
use countersign_protocol::{
    Forecast, Hash, InputSignature, KeyDescriptor, KeyGen, KeyId, KeyReshare, KeySign, NodeId,
    Operation, Outcome, PROTOCOL_VERSION, Refusal, Scheme, SessionId, Signed, SignedAck,
    SignedTask, TaskId, decode, encode,
};

/// The nodes' behaviour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Honest,
    /// Refuse every signature.
    Strict,
    /// The first refuses every signature, the others obey.
    OneStrict,
    /// Have lost their shares.
    Forgetful,
}

pub struct Cluster {
    pub dir: tempfile::TempDir,
    pub coordinator: Coordinator,
    /// Four, of which the first three create the wallet.
    pub nodes: Vec<NodeId>,
    /// In the same order.
    players: Vec<tokio::task::JoinHandle<()>>,
}

impl Cluster {
    pub async fn start(mood: Mood) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let identities: Vec<Arc<Identity>> = (1..=4).map(node).collect();
        let nodes: Vec<NodeId> = identities.iter().map(|identity| id(identity)).collect();
        identity::create(&dir.path().join("identity.key")).unwrap();
        let config = Config::parse(&config(dir.path(), &nodes), dir.path()).unwrap();
        let coordinator = Coordinator::start(config).await.unwrap();
        let id = PeerKey(*coordinator.id.as_bytes());
        let players = identities.into_iter();
        let players = players.map(|one| tokio::spawn(play(one, coordinator.quic, id, mood)));
        let players = players.collect();
        RequesterKey::create(&dir.path().join("requester.key")).unwrap();
        let cluster = Self {
            dir,
            coordinator,
            nodes,
            players,
        };
        cluster.write_profile(cluster.coordinator.http);
        cluster
    }

    /// Takes a node away, and waits until the coordinator knows.
    pub async fn leave(&self, number: usize) {
        self.players[number].abort();
        let client = countersign_client::Client::new(self.profile()).unwrap();
        let here = |nodes: Vec<countersign_client::api::NodeView>| {
            let node = nodes.into_iter().find(|node| node.id == self.nodes[number]);
            node.is_some_and(|node| node.online)
        };
        while here(client.nodes().await.unwrap()) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// Directs the profile to this address.
    pub fn write_profile(&self, address: SocketAddr) {
        let names: String = self
            .nodes
            .iter()
            .enumerate()
            .map(|(n, node)| format!("  n{n}: {node}\n"))
            .collect();
        let keys = "api_key_file: api.key\nrequester_key_file: requester.key";
        let text = format!("coordinator: http://{address}\n{keys}\nnodes:\n{names}");
        std::fs::write(self.profile_path(), text).unwrap();
    }

    pub fn profile_path(&self) -> PathBuf {
        self.dir.path().join("profile.yaml")
    }

    pub fn profile(&self) -> Profile {
        Profile::load(&self.profile_path()).unwrap()
    }

    /// Puts a liar between client and coordinator that replaces one text in each answer by another.
    pub async fn lie(&self, from: &str, to: &str) {
        let from = from.to_owned();
        let to = to.to_owned();
        let base = format!("http://{}", self.coordinator.http);
        let app = axum::Router::new().fallback(async move |request: axum::extract::Request| {
            let (head, body) = request.into_parts();
            let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
            let real = reqwest::Client::new().request(head.method, format!("{base}{}", head.uri));
            let real = real.headers(head.headers).body(body).send().await.unwrap();
            (
                real.status(),
                real.text().await.unwrap().replace(&from, &to),
            )
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        self.write_profile(listener.local_addr().unwrap());
        tokio::spawn(axum::serve(listener, app).into_future());
    }
}

/// Forwards the first request and cuts the connection instead of answering it.
pub async fn swallow_first_answer(cluster: &Cluster) {
    use tokio::io::{AsyncReadExt, copy_bidirectional};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    cluster.write_profile(listener.local_addr().unwrap());
    let real = cluster.coordinator.http;
    tokio::spawn(async move {
        let mut first = true;
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            let mut far = tokio::net::TcpStream::connect(real).await.unwrap();
            if std::mem::take(&mut first) {
                let (mut read, mut write) = near.split();
                let carry = tokio::io::copy(&mut read, &mut far);
                tokio::select! {
                    carried = carry => drop(carried.unwrap()),
                    () = tokio::time::sleep(std::time::Duration::from_millis(300)) => {}
                }
                tokio::io::AsyncWriteExt::shutdown(&mut write)
                    .await
                    .unwrap();
                assert!(far.read(&mut [0; 64]).await.unwrap() > 0, "it was answered");
                continue;
            }
            tokio::spawn(async move { copy_bidirectional(&mut near, &mut far).await });
        }
    });
}

fn config(dir: &Path, nodes: &[NodeId]) -> String {
    let (key, entry) =
        api_key::generate("test", vec![api_key::Scope::Read, api_key::Scope::Create]);
    write_private(&dir.join("api.key"), key.expose());
    let nodes: String = nodes
        .iter()
        .enumerate()
        .map(|(n, node)| format!("  - {{name: n{n}, id: {node}}}\n"))
        .collect();
    let entry = serde_json::to_string(&entry).unwrap();
    format!(
        "listen_quic: 127.0.0.1:0\nlisten_http: 127.0.0.1:0\ndata: .\nnodes:\n{nodes}api_keys:\n  - {entry}\n"
    )
}

fn write_private(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn node(seed: u8) -> Arc<Identity> {
    Arc::new(Identity::from_seed(&[seed; 32]).unwrap())
}

fn id(identity: &Identity) -> NodeId {
    NodeId::from_bytes(identity.public().0).unwrap()
}

/// The private key of every wallet here. Its public half is the root key.
fn wallet_key() -> Identity {
    Identity::from_seed(&[77; 32]).unwrap()
}

async fn play(me: Arc<Identity>, address: SocketAddr, coordinator: PeerKey, mood: Mood) {
    let hello = FromNode::Hello {
        protocol: PROTOCOL_VERSION,
        software: "played".into(),
        pending: vec![],
    };
    let link = dial::connect(address, &me, coordinator, &encode(&hello))
        .await
        .unwrap();
    let mut control = link.control;
    let mut memory = Memory {
        me: id(&me),
        mood,
        orders: HashMap::new(),
        held: HashMap::new(),
    };
    while let Ok(Some(frame)) = control.receiver.recv().await {
        let answer = match decode(&frame).unwrap() {
            ToNode::Offer { task, parties } | ToNode::OfferVoted { task, parties, .. } => {
                let parsed = task.parse().unwrap();
                memory.orders.insert(parsed.id, (task, parties));
                FromNode::Decision {
                    task: parsed.id,
                    refusal: memory.objection(&parsed.operation),
                    verdicts: vec![],
                }
            }
            ToNode::Preflight { ask, task, .. } => FromNode::Preflight {
                ask,
                forecast: Box::new(Forecast {
                    refusal: memory.objection(&task.parse().unwrap().operation),
                    ..Forecast::default()
                }),
            },
            ToNode::Start { task } => FromNode::Outcome {
                task,
                outcome: memory.outcome(task),
            },
            ToNode::Welcome { .. }
            | ToNode::Cancel { .. }
            | ToNode::Settle { .. }
            | ToNode::AbortVote { .. }
            | ToNode::Replaced { .. }
            | ToNode::Show { .. }
            | ToNode::Probe { .. }
            | ToNode::Twin { .. }
            | ToNode::Twins { .. }
            | ToNode::Draining { .. }
            | ToNode::Contacts { .. }
            | ToNode::NotJoined { .. } => continue,
        };
        if control.sender.send(&encode(&answer)).await.is_err() {
            return;
        }
    }
}

struct Memory {
    me: NodeId,
    mood: Mood,
    orders: HashMap<TaskId, (SignedTask, Vec<NodeId>)>,
    held: HashMap<KeyId, KeyDescriptor>,
}

impl Memory {
    fn objection(&self, operation: &Operation) -> Option<Refusal> {
        let first = self.me == id(&node(1));
        let strict = self.mood == Mood::Strict || (self.mood == Mood::OneStrict && first);
        (strict && matches!(operation, Operation::KeySign(_))).then(refusal)
    }

    fn outcome(&mut self, task: TaskId) -> Outcome {
        let (order, parties) = &self.orders[&task];
        let made = match order.parse().unwrap().operation {
            Operation::KeyGen(keygen) => Outcome::Created(descriptor(order, &keygen)),
            Operation::KeySign(keysign) => Outcome::Signed(signed(&keysign)),
            Operation::KeyReshare(reshare) => Outcome::Reshared(next(task, &reshare, parties)),
            Operation::KeyShareSign(check_up) => {
                let mut intact = shares::prove(&self.held[&check_up.key], order.hash(), self.me);
                if self.mood == Mood::Forgetful {
                    intact.proof.0[50] ^= 1;
                }
                Outcome::Intact(intact)
            }
        };
        if let Outcome::Created(made) | Outcome::Reshared(made) = &made {
            self.held.insert(made.key, made.clone());
        }
        made
    }
}

fn refusal() -> Refusal {
    Refusal {
        code: "limit".into(),
        reason: "over the limit".into(),
        plugin: Some("rules".into()),
    }
}

/// A complete descriptor for this order, with the acknowledgements of all its members.
fn descriptor(order: &SignedTask, keygen: &KeyGen) -> KeyDescriptor {
    let mut made = KeyDescriptor {
        key: KeyId::of_task(&order.hash()),
        task: order.parse().unwrap().id,
        session: SessionId([5; 32]),
        name: keygen.name.clone(),
        scheme: Scheme::Ed25519,
        committee: keygen.committee.clone(),
        threshold: keygen.threshold,
        generation: 0,
        root_public_key: wallet_key().public().0.to_vec(),
        chain_code: Hash([6; 32]),
        public_shares: shares::hash(keygen.committee.members().len()),
        aux: None,
        parties: Vec::new(),
        acks: Vec::new(),
    };
    ack(&mut made, keygen.committee.members());
    made
}

/// The result of this reshare, with the acknowledgements of all its parties.
fn next(task: TaskId, reshare: &KeyReshare, parties: &[NodeId]) -> KeyDescriptor {
    let mut made = KeyDescriptor {
        task,
        session: SessionId([9; 32]),
        committee: reshare.committee.clone(),
        threshold: reshare.threshold,
        generation: reshare.generation(),
        public_shares: shares::hash(reshare.committee.members().len()),
        parties: parties.to_vec(),
        ..reshare.from.clone()
    };
    ack(&mut made, parties);
    made
}

fn ack(made: &mut KeyDescriptor, by: &[NodeId]) {
    let digest = made.digest();
    let keys: Vec<_> = (1..=4).map(node).collect();
    let key = |who: &NodeId| keys.iter().find(|key| id(key) == *who).unwrap();
    let ack = |who: &NodeId| SignedAck {
        node: *who,
        signature: key(who).sign(digest.as_bytes()).to_vec(),
    };
    made.acks = by.iter().map(ack).collect();
}

fn signed(keysign: &KeySign) -> Signed {
    // Ed25519 signs every payload as it is.
    let bytes = keysign.payload.bytes.clone();
    Signed {
        session: SessionId([8; 32]),
        signatures: vec![InputSignature {
            path: keysign.path.clone(),
            public_key: wallet_key().public().0.to_vec(),
            signature: wallet_key().sign(&bytes).to_vec(),
            signed_bytes: bytes,
            recovery_id: None,
        }],
    }
}
