//! A whole node against a peer that takes part and cheats: the consequences are the node's
//! own doing, not scripted.

use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use countersign_engine::{
    AgreeParams, CommitteeIndex, Engine, KeygenParams, Message as ToSign, MessageKind, PartyIndex,
    Recipient, ReshareParams, Role, Share, SignParams, Step,
};
use countersign_link::hub::NodeLink;
use countersign_link::mesh::MeshConfig;
use countersign_link::{Hub, Identity, Link, Mesh, MeshEvent, PeerKey, dial};
use countersign_node::admin::{self, Answer, Question};
use countersign_node::config::Config;
use countersign_node::vault::Vault;
use countersign_protocol::control::{FromNode, ToNode};
use countersign_protocol::evidence::Signature;
use countersign_protocol::frame::{
    Body, Frame, HighWater, Mark, Message, NO_TASK, SignedMark, body_hash, broadcast_digest,
    result_digest,
};
use countersign_protocol::session::{EngineMessage, Limits, Room, Rooms, SessionIndex, Setup};
use countersign_protocol::{
    Committee, CoordinatorId, Failure, Hash, IdentitySigner, KeyDescriptor, KeyGen, KeyId,
    KeyReshare, KeySign, NodeId, Operation, Outcome, PROTOCOL_VERSION, Payload, PayloadKind,
    RequesterId, Scheme, Session, SessionEvent, SessionId, SignedAck, SignedTask, Task, TaskId,
    Threshold, UnixMillis, decode, encode,
};
use countersign_store::{AuditEntry, AuditKind, Journal, Passphrase, Quarantine, Stop};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const LONG: Duration = Duration::from_secs(60);

fn identity(seed: u8) -> Arc<Identity> {
    Arc::new(Identity::from_seed(&[seed; 32]).unwrap())
}

fn node_id(identity: &Identity) -> NodeId {
    NodeId::from_bytes(identity.public().0).unwrap()
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

/// The node under test, a coordinator that follows the test's script, and a peer.
struct World {
    node: NodeId,
    peer: Peer,
    link: NodeLink,
    requester: Arc<Identity>,
    tasks: u8,
    made: Option<KeyDescriptor>,
    dir: PathBuf,
    shutdown: CancellationToken,
    _hub: Arc<Hub>,
    _folder: tempfile::TempDir,
}

impl World {
    async fn start() -> Self {
        Self::start_with("").await
    }

    /// Starts with further limits, given as text of the configuration.
    async fn start_with(limits: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let coordinator = identity(1);
        let hub = Hub::bind(
            "127.0.0.1:0".parse().unwrap(),
            &coordinator,
            Arc::new(|_| true),
            None,
        )
        .unwrap();
        let hub = Arc::new(hub);
        let peer = identity(2);
        let requester = identity(3);
        let id = CoordinatorId::from_bytes(coordinator.public().0).unwrap();
        let text = format!(
            "coordinator: {{ address: '{}', id: {id} }}\nrequesters: [ {{ name: r, id: {} }} ]\n\
             roster: [ {{ name: peer, id: {} }}, {{ name: absent, id: {} }} ]\nlimits: {{ prime_sets: 0{limits} }}\npolicy: {{ allow_unguarded: true }}\n",
            hub.address(),
            RequesterId::from_bytes(requester.public().0).unwrap(),
            node_id(&peer),
            node_id(&identity(4)),
        );
        let config = Config::parse(&text, folder.path()).unwrap();
        let vault = init(&config, folder.path().join("passphrase"));
        let me = vault.identity().unwrap().public();
        let dir = config.dir.clone();
        let shutdown = CancellationToken::new();
        tokio::spawn(countersign_node::daemon::run(
            config,
            vault,
            shutdown.clone(),
        ));
        let mut link = soon("link", hub.accept()).await.unwrap();
        welcome(&mut link).await;
        let peer = Peer::join(&hub, coordinator.public(), peer, me).await;
        let node = NodeId::from_bytes(me.0).unwrap();
        Self {
            node,
            peer,
            link,
            requester,
            tasks: 0,
            made: None,
            dir,
            shutdown,
            _hub: hub,
            _folder: folder,
        }
    }

    fn parties(&self) -> Vec<NodeId> {
        let mut parties = vec![self.node, self.peer.id];
        parties.sort_unstable();
        parties
    }

    fn order(&mut self, operation: Operation) -> (TaskId, SignedTask) {
        self.tasks += 1;
        let task = Task {
            version: 1,
            id: TaskId([self.tasks; 16]),
            created: UnixMillis(now()),
            not_after: UnixMillis(now() + 60_000),
            requester: RequesterId::from_bytes(self.requester.public().0).unwrap(),
            note: None,
            claims: Default::default(),
            collect: None,
            operation,
        };
        let bytes = task.to_bytes();
        let signature = self.requester.sign(&SignedTask::signed_message(&bytes));
        (
            task.id,
            SignedTask {
                bytes,
                signature: signature.into(),
            },
        )
    }

    fn keygen(&mut self) -> (TaskId, SignedTask) {
        let committee = Committee::new(self.parties()).unwrap();
        let threshold = Threshold::try_from(2).unwrap();
        self.order(Operation::KeyGen(KeyGen {
            name: "k".into(),
            scheme: Scheme::Ed25519,
            committee,
            threshold,
        }))
    }

    fn keysign(&mut self, key: KeyId) -> (TaskId, SignedTask) {
        let payload = Payload {
            kind: PayloadKind::Message,
            bytes: b"pay".to_vec(),
            digests: Vec::new(),
        };
        let path = "m".parse().unwrap();
        self.order(Operation::KeySign(KeySign {
            key,
            path,
            payload,
            signers: None,
        }))
    }

    /// Orders a reshare to the same members.
    fn reshare(&mut self) -> (TaskId, SignedTask) {
        let from = self.made.clone().unwrap();
        let committee = from.committee.clone();
        let threshold = from.threshold;
        self.order(Operation::KeyReshare(Box::new(KeyReshare {
            from,
            committee,
            threshold,
            dealers: None,
        })))
    }

    async fn say(&mut self, frame: &ToNode) {
        self.link.control.sender.send(&encode(frame)).await.unwrap();
    }

    async fn hear(&mut self) -> FromNode {
        loop {
            let frame = soon("a report", self.link.control.receiver.recv())
                .await
                .unwrap()
                .unwrap();
            match decode(&frame).unwrap() {
                FromNode::Progress { .. }
                | FromNode::Working { .. }
                | FromNode::Holds { .. }
                | FromNode::Stored { .. }
                | FromNode::Capacity { .. }
                | FromNode::AskContacts
                | FromNode::Status { .. }
                | FromNode::StatusWithBundles { .. } => {}
                other => return other,
            }
        }
    }

    /// Offers a task. An error is the code of the refusal.
    async fn offer(&mut self, task: &SignedTask) -> Result<(), String> {
        self.offer_to(task, self.parties()).await
    }

    async fn offer_to(&mut self, task: &SignedTask, parties: Vec<NodeId>) -> Result<(), String> {
        self.say(&ToNode::Offer {
            task: task.clone(),
            parties,
        })
        .await;
        match self.hear().await {
            FromNode::Decision { refusal, .. } => {
                refusal.map_or(Ok(()), |refusal| Err(refusal.code.to_string()))
            }
            other => panic!("no decision: {other:?}"),
        }
    }

    async fn start_task(&mut self, task: TaskId) {
        self.say(&ToNode::Start { task }).await;
    }

    async fn failure(&mut self) -> Failure {
        match self.hear().await {
            FromNode::Outcome {
                outcome: Outcome::Failed(failure),
                ..
            } => failure,
            other => panic!("no failure: {other:?}"),
        }
    }

    /// Generates a key that both hold, honestly.
    async fn key(&mut self) -> (KeyId, Share, Hash) {
        let (id, task) = self.keygen();
        self.offer(&task).await.unwrap();
        self.start_task(id).await;
        let parties = self.parties();
        let mut run = self.peer.run(id, task.hash(), parties, None);
        let share = run.generate(&mut honest).await;
        let digest = run.store(&mut honest).await.unwrap();
        match self.hear().await {
            FromNode::Outcome {
                outcome: Outcome::Created(made),
                ..
            } => {
                assert_eq!(made.digest(), digest);
                let key = made.key;
                self.made = Some(made);
                (key, share, digest)
            }
            other => panic!("no key: {other:?}"),
        }
    }

    /// Signs while the peer alters its messages.
    async fn sign(
        &mut self,
        (key, share, digest): &(KeyId, Share, Hash),
        alter: Alter<'_>,
    ) -> FromNode {
        let (id, task) = self.keysign(*key);
        self.offer(&task).await.unwrap();
        self.start_task(id).await;
        let parties = self.parties();
        self.peer
            .run(id, task.hash(), parties, Some(*digest))
            .sign(share, alter)
            .await;
        self.hear().await
    }

    async fn ask(&self, question: Question) -> Answer {
        let dir = self.dir.clone();
        let asked = tokio::task::spawn_blocking(move || admin::ask_running(&dir, &question));
        asked.await.unwrap().unwrap().unwrap()
    }

    async fn kept_away(&self) -> (Vec<Quarantine>, Vec<Stop>) {
        match self.ask(Question::Quarantines).await {
            Answer::Quarantines { peers, keys } => (peers, keys),
            other => panic!("{other:?}"),
        }
    }

    async fn alarms(&self) -> Vec<String> {
        let Answer::Audit(entries) = self
            .ask(Question::Audit {
                from: Some(0),
                limit: 1_000,
            })
            .await
        else {
            panic!("no audit log")
        };
        let alarm = |entry: AuditEntry| (entry.kind == AuditKind::Alarm).then_some(entry.text);
        entries.into_iter().filter_map(alarm).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

fn init(config: &Config, passphrase: PathBuf) -> Vault {
    let mut options = std::fs::File::options();
    options.write(true).create_new(true).mode(0o600);
    std::io::Write::write_all(
        &mut options.open(&passphrase).unwrap(),
        b"a passphrase for tests",
    )
    .unwrap();
    let passphrase = Passphrase::from_file(&passphrase).unwrap();
    let callback = countersign_host::rs256::SigningKey::generate()
        .unwrap()
        .to_pkcs8()
        .unwrap();
    let vault = Vault::create(&config.dir, &passphrase, &[], callback).unwrap();
    Journal::create(&config.dir).unwrap();
    vault
}

async fn welcome(link: &mut NodeLink) {
    soon("hello", link.control.receiver.recv())
        .await
        .unwrap()
        .unwrap();
    let welcome = ToNode::Welcome {
        protocol: PROTOCOL_VERSION,
        software: "test".into(),
    };
    link.control.sender.send(&encode(&welcome)).await.unwrap();
}

/// A change to each frame before it leaves. If it returns false, the frame is not sent
/// and the run ends.
type Alter<'a> = &'a mut dyn FnMut(&mut Body, SessionId) -> bool;

fn honest(_: &mut Body, _: SessionId) -> bool {
    true
}

struct Signs(Arc<Identity>);

impl IdentitySigner for Signs {
    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message)
    }
}

/// A node that is played by the test.
struct Peer {
    id: NodeId,
    identity: Arc<Identity>,
    node: PeerKey,
    /// The progress that the peer reports of itself.
    mark: Mark,
    mesh: Mesh,
    events: mpsc::Receiver<MeshEvent>,
    /// Messages of the node that belong to no task.
    news: Vec<Body>,
    _link: Link,
    _hub_side: NodeLink,
}

impl Peer {
    async fn join(hub: &Hub, coordinator: PeerKey, identity: Arc<Identity>, node: PeerKey) -> Self {
        let dialled = dial::connect(hub.address(), &identity, coordinator, b"hello");
        let accepted = async {
            let mut link = hub.accept().await.unwrap();
            welcome(&mut link).await;
            link
        };
        let (link, hub_side) = soon("peer", async { tokio::join!(dialled, accepted) }).await;
        let link = link.unwrap();
        let (mesh, events) = Mesh::new(identity.clone(), MeshConfig::default());
        mesh.set_roster([node]);
        mesh.attach(link.pairs.clone());
        let id = node_id(&identity);
        let mark = Mark {
            at: UnixMillis(now()),
            secrets: 5,
            audit: 100,
        };
        let news = Vec::new();
        let mut peer = Self {
            id,
            identity,
            node,
            mark,
            mesh,
            events,
            news,
            _link: link,
            _hub_side: hub_side,
        };
        assert_eq!(
            soon("tunnel", peer.events.recv()).await,
            Some(MeshEvent::Up(node))
        );
        peer
    }

    fn signer(&self) -> Signs {
        Signs(self.identity.clone())
    }

    fn run(
        &mut self,
        task: TaskId,
        task_hash: Hash,
        parties: Vec<NodeId>,
        holds: Option<Hash>,
    ) -> Run<'_> {
        self.mark.at = UnixMillis(now());
        let me = parties.iter().position(|party| *party == self.id).unwrap() as u16;
        let setup = Setup {
            task,
            task_hash,
            parties,
            me: self.id,
            fresh: rand::random(),
            holds,
            mark: self.mark,
            signer: Arc::new(self.signer()),
            limits: Limits::default(),
            rooms: Rooms::new([1, 2].map(|_| Room::of([1 << 16]))),
        };
        let session = Session::new(Instant::now(), setup).unwrap();
        Run {
            session,
            task,
            me,
            peer: self,
            stored: None,
        }
    }

    async fn send(&self, frame: &Frame) {
        self.mesh.send(&self.node, encode(frame)).await.unwrap();
    }

    /// Returns the next message of the node that belongs to no task.
    async fn told(&mut self) -> Body {
        if let Some(said) = self.news.pop() {
            return said;
        }
        loop {
            if let Some(MeshEvent::Frame(_, bytes)) = soon("a frame", self.events.recv()).await {
                let frame: Frame = decode(&bytes).unwrap();
                if frame.task == NO_TASK {
                    return frame.body;
                }
            }
        }
    }
}

/// The peer's part in a single task.
struct Run<'a> {
    session: Session,
    task: TaskId,
    me: u16,
    peer: &'a mut Peer,
    /// Digest that the node has reported as stored.
    stored: Option<Hash>,
}

impl Run<'_> {
    async fn generate(&mut self, alter: Alter<'_>) -> Share {
        let me = PartyIndex(self.me);
        let build = |session: SessionId| {
            let params = KeygenParams {
                session: &session.0,
                me,
                parties: 2,
                threshold: 2,
            };
            countersign_engine::keygen(Scheme::Ed25519, params, rand::rngs::OsRng).unwrap()
        };
        self.engine(build, alter)
            .await
            .expect("the key was not generated")
    }

    async fn sign(&mut self, share: &Share, alter: Alter<'_>) {
        let me = PartyIndex(self.me);
        let build = |session: SessionId| {
            let params = SignParams {
                session: &[&session.0[..], &[0]].concat(),
                me,
                signers: &[CommitteeIndex(0), CommitteeIndex(1)],
                path: &[],
                script_root: None,
                message: ToSign::Raw(b"pay".to_vec()),
            };
            let one = countersign_engine::sign(params, share, None, rand::rngs::OsRng).unwrap();
            countersign_engine::batch(vec![one])
        };
        self.engine(build, alter).await;
    }

    /// Reshares a key of both to both, up to the point at which the node has the share to store.
    async fn hand_on(&mut self, share: &Share) -> Option<()> {
        let id = self.begin(&mut honest).await?;
        let me = PartyIndex(self.me);
        let old = share.public();
        let session = &id.0;
        let both = [PartyIndex(0), PartyIndex(1)];
        let params = AgreeParams {
            session,
            me,
            parties: 2,
            speakers: &both,
        };
        let disclosed =
            countersign_engine::agree(params, Some(encode(&old.public_shares))).unwrap();
        self.phase(0, disclosed, id, &mut honest).await?;
        let parties = &both.map(|index| Role {
            deals: Some(CommitteeIndex(index.0)),
            joins: true,
        });
        let params = ReshareParams {
            session,
            me,
            parties,
            threshold: 2,
            old: &old,
            generation: 1,
        };
        let dealt = countersign_engine::reshare(params, Some(share), rand::rngs::OsRng).unwrap();
        self.phase(1, dealt, id, &mut honest).await.map(|_| ())
    }

    /// Runs the task's only engine. `None`: the node gave up, or the peer does.
    async fn engine<T>(
        &mut self,
        build: impl FnOnce(SessionId) -> Box<dyn Engine<Output = T>>,
        alter: Alter<'_>,
    ) -> Option<T> {
        let id = self.begin(alter).await?;
        self.phase(0, build(id), id, alter).await
    }

    async fn begin(&mut self, alter: Alter<'_>) -> Option<SessionId> {
        match self.event(alter, SessionId([0; 32])).await? {
            SessionEvent::Begun { session, .. } => Some(session),
            SessionEvent::Failed(_) => None,
            other => panic!("{other:?}"),
        }
    }

    async fn phase<T>(
        &mut self,
        phase: u8,
        mut engine: Box<dyn Engine<Output = T>>,
        id: SessionId,
        alter: Alter<'_>,
    ) -> Option<T> {
        self.session.begin_phase(Instant::now(), phase, LONG);
        loop {
            match engine.step().unwrap() {
                Step::Send(message) => match message.to {
                    Recipient::All => self.session.send_broadcast(message.body.to_vec()),
                    Recipient::One(to) => self
                        .session
                        .send_direct(SessionIndex(to.0), message.body.to_vec()),
                },
                Step::Done(result) => {
                    self.transmit(alter, id).await?;
                    return Some(result);
                }
                Step::NeedMessage => match self.event(alter, id).await? {
                    SessionEvent::Message(EngineMessage {
                        from,
                        broadcast,
                        body,
                    }) => {
                        let kind = if broadcast {
                            MessageKind::Broadcast
                        } else {
                            MessageKind::Direct
                        };
                        engine.receive(PartyIndex(from.0), kind, &body).unwrap();
                    }
                    SessionEvent::Failed(_) => return None,
                    other => panic!("{other:?}"),
                },
            }
        }
    }

    /// Waits for the digest that the node has stored.
    async fn stored(&mut self) -> Hash {
        loop {
            match self.stored {
                Some(digest) => return digest,
                None => self.arrive().await,
            }
        }
    }

    /// Acknowledges the digest that the node has stored.
    async fn store(&mut self, alter: Alter<'_>) -> Option<Hash> {
        let digest = self.stored().await;
        self.session.stored(Instant::now(), digest);
        let id = SessionId([0; 32]);
        match self.event(alter, id).await? {
            SessionEvent::AllStored(_) => {
                self.transmit(alter, id).await?;
                Some(digest)
            }
            SessionEvent::Failed(_) => None,
            other => panic!("{other:?}"),
        }
    }

    async fn event(&mut self, alter: Alter<'_>, id: SessionId) -> Option<SessionEvent> {
        loop {
            self.transmit(alter, id).await?;
            match self.session.poll_event() {
                Some(event) => return Some(event),
                None => self.arrive().await,
            }
        }
    }

    async fn transmit(&mut self, alter: Alter<'_>, id: SessionId) -> Option<()> {
        while let Some((_, mut frame)) = self.session.poll_transmit() {
            let session = match &frame.body {
                Body::Run { session, .. } => *session,
                _ => id,
            };
            if !alter(&mut frame.body, session) {
                return None;
            }
            self.peer.send(&frame).await;
            if let Body::Abort(_) = frame.body {
                return None;
            }
        }
        Some(())
    }

    async fn arrive(&mut self) {
        let Some(MeshEvent::Frame(_, bytes)) = soon("a frame", self.peer.events.recv()).await
        else {
            return;
        };
        let frame: Frame = decode(&bytes).unwrap();
        if frame.task == NO_TASK {
            return self.peer.news.push(frame.body);
        }
        if frame.task != self.task {
            return;
        }
        if let Body::Run {
            message: Message::Stored(claim),
            ..
        } = &frame.body
        {
            self.stored = Some(claim.digest);
        }
        let node = NodeId::from_bytes(self.peer.node.0).unwrap();
        self.session.handle_frame(Instant::now(), &node, frame);
    }
}

/// Flips a bit of the peer's second broadcast, its share of the signature, and signs the result.
fn wrong_share(task: Hash, peer: &Arc<Identity>) -> impl FnMut(&mut Body, SessionId) -> bool {
    let id = node_id(peer);
    let peer = peer.clone();
    move |body, session| {
        if let Body::Run {
            message:
                Message::Broadcast {
                    phase,
                    number: 1,
                    body,
                    signature,
                },
            ..
        } = body
        {
            let at = body.len() - 3;
            body[at] ^= 1;
            let digest = broadcast_digest(task, session, &id, *phase, 1, body_hash(body));
            *signature = peer.sign(digest.as_bytes());
        }
        true
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signer_that_alters_its_share_is_kept_away_also_from_what_was_approved_before() {
    let mut world = World::start().await;
    let (key, share, digest) = world.key().await;
    let (waiting, waits) = world.keysign(key);
    world.offer(&waits).await.unwrap();
    let (waiting_too, waits) = world.keygen();
    world.offer(&waits).await.unwrap();

    let (id, task) = world.keysign(key);
    world.offer(&task).await.unwrap();
    world.start_task(id).await;
    let parties = world.parties();
    let identity = world.peer.identity.clone();
    let mut alter = wrong_share(task.hash(), &identity);
    world
        .peer
        .run(id, task.hash(), parties, Some(digest))
        .sign(&share, &mut alter)
        .await;
    let failure = world.failure().await;
    assert_eq!(
        (failure.code.as_str(), &failure.culprits[..]),
        ("protocol", &[world.peer.id][..])
    );

    let (kept, stops) = world.kept_away().await;
    assert_eq!(
        (kept.len(), kept[0].peer, kept[0].key, stops.len()),
        (1, world.peer.id, key, 0)
    );
    world.start_task(waiting).await;
    assert_eq!(
        world.failure().await.code,
        "peer-quarantined",
        "approved before the cheat was seen"
    );
    world.start_task(waiting_too).await;
    assert_eq!(
        world.failure().await.code,
        "peer-quarantined",
        "nor is a key made that was approved before"
    );
    let (_, next) = world.keysign(key);
    assert_eq!(world.offer(&next).await, Err("peer-quarantined".into()));
    let (_, next) = world.keygen();
    assert_eq!(
        world.offer(&next).await,
        Err("peer-quarantined".into()),
        "nor is a new key made with it"
    );
    let (_, next) = world.reshare();
    assert_eq!(
        world.offer(&next).await,
        Err("peer-quarantined".into()),
        "nor is the key handed on"
    );

    let lifted = world
        .ask(Question::Lift {
            key,
            peer: Some(world.peer.id),
        })
        .await;
    assert_eq!(lifted, Answer::Lifted(true));
    let signed = world.sign(&(key, share, digest), &mut honest).await;
    assert!(
        matches!(
            signed,
            FromNode::Outcome {
                outcome: Outcome::Signed(_),
                ..
            }
        ),
        "{signed:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn signers_stop_after_three_signatures_that_the_peer_breaks_off() {
    let mut world = World::start().await;
    let key = world.key().await;
    for lost in 0..3 {
        // The peer leaves after its first message, when the node's own is out.
        let mut sent = 0;
        let mut breaks_off = |body: &mut Body, _: SessionId| {
            sent += usize::from(matches!(body, Body::Run { .. }));
            if sent > 1 {
                *body = Body::Abort(countersign_protocol::frame::Abort {
                    cause: countersign_protocol::Cause::Environment,
                    code: "cancelled".into(),
                    text: "never mind".into(),
                    accused: Vec::new(),
                    evidence: None,
                    result: None,
                });
            }
            true
        };
        match world.sign(&key, &mut breaks_off).await {
            FromNode::Outcome {
                outcome: Outcome::Failed(failure),
                ..
            } => {
                assert_eq!(
                    (failure.code.as_str(), failure.culprits.len()),
                    ("peer-aborted", 0),
                    "{lost}"
                );
            }
            other => panic!("{other:?}"),
        }
    }
    let (kept, stops) = world.kept_away().await;
    assert_eq!(
        (kept.len(), stops.len(), &stops[0].signers),
        (0, 1, &world.parties())
    );
    assert!(
        world
            .alarms()
            .await
            .iter()
            .any(|text| text.starts_with("stopped"))
    );
    let (_, next) = world.keysign(key.0);
    assert_eq!(world.offer(&next).await, Err("key-stopped".into()));
    assert_eq!(
        world
            .ask(Question::Lift {
                key: key.0,
                peer: None
            })
            .await,
        Answer::Lifted(true)
    );
    let signed = world.sign(&key, &mut honest).await;
    assert!(
        matches!(
            signed,
            FromNode::Outcome {
                outcome: Outcome::Signed(_),
                ..
            }
        ),
        "{signed:?}"
    );
}

/// Each of them costs the node as much as one that completes.
#[tokio::test(flavor = "multi_thread")]
async fn reshares_that_a_peer_breaks_off_count() {
    let mut world = World::start_with(", reshares: 2").await;
    world.key().await;
    // Admitted before any reshare was started.
    let (late, admitted) = world.reshare();
    world.offer(&admitted).await.unwrap();
    let broken_off = async |world: &mut World, id: TaskId, task: &SignedTask| {
        world.start_task(id).await;
        let parties = world.parties();
        let mut run = world.peer.run(id, task.hash(), parties, None);
        let begun = run.event(&mut honest, SessionId([0; 32])).await;
        assert!(
            matches!(begun, Some(SessionEvent::Begun { .. })),
            "{begun:?}"
        );
        run.session.abort(Failure {
            cause: countersign_protocol::Cause::Environment,
            code: "cancelled".into(),
            text: "never mind".into(),
            culprits: Vec::new(),
        });
        run.transmit(&mut honest, SessionId([0; 32])).await;
        let failure = world.failure().await;
        let abort_vote = world.hear().await;
        assert!(
            matches!(abort_vote, FromNode::AbortVote { task, .. } if task == id),
            "{abort_vote:?}"
        );
        failure.code
    };
    for _ in 0..2 {
        let (id, task) = world.reshare();
        world.offer(&task).await.unwrap();
        assert_eq!(broken_off(&mut world, id, &task).await, "peer-aborted");
    }
    let (_, next) = world.reshare();
    assert_eq!(world.offer(&next).await, Err("reshare-rate".into()));
    assert_eq!(
        broken_off(&mut world, late, &admitted).await,
        "reshare-rate"
    );
}

/// When one reshare is complete, the share that the other needs may be gone. Both were admitted
/// before either was started.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_stores_for_one_reshare_of_a_key_at_a_time() {
    let mut world = World::start().await;
    let (_, share, _) = world.key().await;
    let [first, second] = [world.reshare(), world.reshare()];
    for (_, task) in [&first, &second] {
        world.offer(task).await.unwrap();
    }
    let parties = world.parties();
    let (id, task) = first;
    world.start_task(id).await;
    let mut run = world.peer.run(id, task.hash(), parties.clone(), None);
    run.hand_on(&share).await.unwrap();
    // The peer never acknowledges that it has stored.
    run.stored().await;

    let (_, next) = world.reshare();
    assert_eq!(world.offer(&next).await, Err("reshare-unsettled".into()));
    let (id, task) = second;
    world.start_task(id).await;
    world
        .peer
        .run(id, task.hash(), parties, None)
        .hand_on(&share)
        .await;
    let failure = world.failure().await;
    assert_eq!(failure.code, "store");
    assert!(
        failure.text.contains("is not settled at this node"),
        "{failure:?}"
    );
}

/// All of its acknowledgements verify: two of the node's peers state that they hold the key.
#[tokio::test(flavor = "multi_thread")]
async fn a_generation_that_others_invent_is_not_handed_on() {
    let mut world = World::start().await;
    let (key, ..) = world.key().await;
    let holders = [world.peer.identity.clone(), identity(4)];
    let mut ids = holders.each_ref().map(|holder| node_id(holder));
    ids.sort_unstable();
    let committee = Committee::new(ids.to_vec()).unwrap();
    let mut from = KeyDescriptor {
        committee,
        ..world.made.clone().unwrap()
    };
    let digest = from.digest();
    from.acks = holders
        .iter()
        .map(|holder| SignedAck {
            node: node_id(holder),
            signature: holder.sign(digest.as_bytes()).to_vec(),
        })
        .collect();
    from.acks.sort_by_key(|mark| mark.node);
    assert!(from.key == key && from.has_all_acks());
    let committee = Committee::new(world.parties()).unwrap();
    let threshold = from.threshold;
    let reshare = KeyReshare {
        from,
        committee,
        threshold,
        dealers: None,
    };
    let (_, task) = world.order(Operation::KeyReshare(Box::new(reshare)));
    let mut parties = [world.parties(), vec![node_id(&identity(4))]].concat();
    parties.sort_unstable();
    assert_eq!(
        world.offer_to(&task, parties).await,
        Err("generation-mismatch".into())
    );
}

/// The task then remains open, but its author is quarantined all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_false_acknowledgement_keeps_its_author_away_and_its_proof_reaches_the_coordinator() {
    let mut world = World::start().await;
    let (id, task) = world.keygen();
    world.offer(&task).await.unwrap();
    world.start_task(id).await;
    let parties = world.parties();
    let peer = world.peer.identity.clone();
    let mut false_ack = |body: &mut Body, session: SessionId| {
        if let Body::Run {
            message: Message::Stored(claim),
            ..
        } = body
        {
            claim.ack.0[0] ^= 1;
            let digest = result_digest(task.hash(), session, &node_id(&peer), claim);
            claim.signature = Signature(peer.sign(digest.as_bytes()));
        }
        true
    };
    let mut run = world.peer.run(id, task.hash(), parties.clone(), None);
    run.generate(&mut honest).await;
    run.store(&mut false_ack).await;
    match world.hear().await {
        FromNode::Evidence { task: of, evidence } => {
            assert_eq!((of, evidence.node), (id, world.peer.id));
            assert!(evidence.verify(task.hash(), &parties));
        }
        other => panic!("no proof: {other:?}"),
    }
    assert_eq!(world.failure().await.code, "peer-misbehaved");
    let (kept, _) = world.kept_away().await;
    assert!(kept.len() == 1 && kept[0].evidence.is_some(), "{kept:?}");
    let (_, next) = world.keygen();
    assert_eq!(world.offer(&next).await, Err("peer-quarantined".into()));
}

/// No tunnel is opened or closed in between.
#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_is_rolled_back_within_one_link_is_noticed_at_its_next_task() {
    let mut world = World::start().await;
    let key = world.key().await;
    world.peer.mark.audit += 11;
    world.sign(&key, &mut honest).await;
    assert!(world.alarms().await.is_empty());
    world.peer.mark.audit -= 5;
    world.sign(&key, &mut honest).await;
    let then = loop {
        match world.peer.told().await {
            Body::Behind(then) => break then,
            Body::HighWater(_) | Body::Generations(_) | Body::Heard(_) | Body::Lacks(_) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(then.mark.audit, 111);
    assert!(then.verifies(&world.peer.id), "the peer's own words");
    assert!(
        world
            .alarms()
            .await
            .iter()
            .any(|text| text.contains("older copy"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_peer_can_make_a_healthy_node_believe_that_it_was_rolled_back() {
    let mut world = World::start().await;
    let peer = &mut world.peer;
    let frame = |body| Frame {
        task: NO_TASK,
        seq: 0,
        body,
    };
    let huge = Mark {
        at: UnixMillis(now()),
        secrets: 1_000_000,
        audit: 1_000_000,
    };
    let signed = SignedMark::alone(huge, &peer.id, &peer.signer());
    for _ in 0..2_000 {
        peer.send(&frame(Body::Behind(signed))).await;
    }
    // The peer's own statement is heard after all of that.
    let said = |audit, after| {
        let mark = Mark {
            at: UnixMillis(now() + after),
            secrets: 5,
            audit,
        };
        let signed = SignedMark::alone(mark, &peer.id, &peer.signer());
        frame(Body::HighWater(HighWater {
            signed,
            keys: Vec::new(),
        }))
    };
    // An unsigned statement does not count.
    let mut unsigned = said(10_000, 500);
    if let Body::HighWater(high) = &mut unsigned.body {
        high.signed.signature[0] ^= 1;
    }
    peer.send(&unsigned).await;
    peer.send(&said(100, 1_000)).await;
    peer.send(&said(90, 2_000)).await;
    while !matches!(peer.told().await, Body::Behind(_)) {}
    let alarms = world.alarms().await;
    assert_eq!(alarms.len(), 1, "{alarms:?}");
    assert!(alarms[0].contains(&world.peer.id.to_string()), "{alarms:?}");
    assert!(alarms[0].contains("and 100 audit entries"), "{alarms:?}");
}
