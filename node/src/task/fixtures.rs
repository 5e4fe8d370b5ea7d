//! Fixtures of the tests of tasks, keys and secrets: nodes, orders, records, shares of a real key,
//! and the parts of one node.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use countersign_engine::{
    Engine, KeygenParams, MessageKind, PartyIndex, Recipient, Share, Step, keygen,
};
use countersign_host::{Principal, rs256};
use countersign_link::mesh::MeshConfig;
use countersign_link::{Identity, Mesh};
use countersign_protocol::control::FromNode;
use countersign_protocol::outcome::public_shares_hash;
use countersign_protocol::{
    Authenticated, Committee, CoordinatorId, Hash, KeyDescriptor, KeyId, KeySign, NodeId,
    Operation, Payload, PayloadKind, RequesterId, Scheme, SessionId, SignedAck, SignedTask, Task,
    TaskId, Threshold, UnixMillis,
};
use countersign_store::{
    Decided, Evidence, Journal, KeyRecord, KeyStatus, OperationKind, Quarantine,
};
use futures_util::FutureExt;
use tempfile::TempDir;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::{AdmissionControl, AuxMaker, JobContext, Participant, Register, Services, Sessions};
use crate::activation::Activation;
use crate::aux_cache::AuxCache;
use crate::config::{Config, LiveConfig, Policy};
use crate::events::{Events, Wanted};
use crate::heavy::{Program, Queue};
use crate::high_water::OwnMark;
use crate::key_switch::KeySwitch;
use crate::node_key::NodeKey;
use crate::primes::PrimePool;
use crate::public::PublicFile;
use crate::report::Reporter;
use crate::risk::{Approved, Asker, Decision, Guard, NodeServices};
use crate::session::{CpuPools, Router};
use crate::twins::Twins;
use crate::vault::Vault;
use crate::vault::tests::cheap_vault;
use crate::world::World;

pub(crate) const NOW: UnixMillis = UnixMillis(1_700_000_000_000);
/// The end of the life of every order made here.
pub(crate) const UNTIL: UnixMillis = UnixMillis(NOW.0 + 60_000);
pub(crate) const TASK: TaskId = TaskId([1; 16]);
/// The seed of the only requester that the nodes list.
pub(crate) const REQUESTER: u8 = 200;

pub(crate) fn identity(seed: u8) -> Identity {
    Identity::from_seed(&[seed; 32]).unwrap()
}

pub(crate) fn node(seed: u8) -> NodeId {
    NodeId::from_bytes(identity(seed).public().0).unwrap()
}

/// These nodes in the order of their ids.
pub(crate) fn nodes(seeds: &[u8]) -> Vec<NodeId> {
    let mut nodes: Vec<NodeId> = seeds.iter().copied().map(node).collect();
    nodes.sort_unstable();
    nodes
}

pub(crate) fn key() -> KeyId {
    KeyId::from_bytes([2; 16]).unwrap()
}

pub(crate) fn folder() -> TempDir {
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    tempfile::Builder::new()
        .permissions(private)
        .tempdir()
        .unwrap()
}

pub(crate) fn empty_journal() -> (TempDir, Journal) {
    let dir = folder();
    let journal = Journal::create(dir.path()).unwrap();
    (dir, journal)
}

/// Removes the secrets file under a running node: no write to it succeeds any more.
pub(crate) fn lose_the_secrets(dir: &Path) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().contains("secrets") {
            std::fs::remove_file(path).unwrap();
        }
    }
}

/// A generation of an Ed25519 key, 2 of these members, that nobody has acknowledged. Its root is
/// the base point, so that child keys can be derived.
pub(crate) fn generation(number: u32, members: &[u8]) -> KeyDescriptor {
    let mut root_public_key = vec![0x66; 32];
    root_public_key[0] = 0x58;
    KeyDescriptor {
        key: key(),
        task: TaskId([number as u8 + 1; 16]),
        session: SessionId([3; 32]),
        name: "treasury".into(),
        scheme: Scheme::Ed25519,
        committee: Committee::new(members.iter().copied().map(node).collect()).unwrap(),
        threshold: Threshold::try_from(2).unwrap(),
        generation: number,
        root_public_key,
        chain_code: Hash([5; 32]),
        public_shares: Hash([number as u8; 32]),
        aux: None,
        parties: Vec::new(),
        acks: Vec::new(),
    }
}

pub(crate) fn ack(seed: u8, message: Hash) -> SignedAck {
    SignedAck {
        node: node(seed),
        signature: identity(seed).sign(message.as_bytes()).to_vec(),
    }
}

/// The descriptor with the acknowledgements of these.
pub(crate) fn acked(descriptor: KeyDescriptor, seeds: &[u8]) -> KeyDescriptor {
    let digest = descriptor.digest();
    let mut acks: Vec<SignedAck> = seeds.iter().map(|seed| ack(*seed, digest)).collect();
    acks.sort_by_key(|ack| ack.node);
    KeyDescriptor { acks, ..descriptor }
}

pub(crate) fn put_key(journal: &Journal, status: KeyStatus, descriptor: KeyDescriptor) {
    let record = KeyRecord {
        descriptor,
        status,
        created: NOW,
    };
    journal.put_key(record).unwrap();
}

pub(crate) fn quarantined(peer: u8, key: KeyId) -> Quarantine {
    Quarantine {
        key,
        peer: node(peer),
        task: TASK,
        since: NOW,
        code: "protocol".into(),
        text: "t".into(),
        evidence: None,
    }
}

/// The row of a task that is decided now.
pub(crate) fn decided(task: TaskId, kind: OperationKind, parties: Vec<NodeId>) -> Decided {
    Decided {
        task,
        hash: Hash([task.0[0]; 32]),
        kind,
        received_at: NOW,
        verdicts: Vec::new(),
        parties,
        bytes: b"{}".to_vec(),
        evidence: Evidence::default(),
    }
}

/// An order to sign a text with [`key`].
pub(crate) fn keysign(text: &str, signers: Option<Vec<NodeId>>) -> KeySign {
    KeySign {
        key: key(),
        path: "m".parse().unwrap(),
        payload: Payload::new(PayloadKind::Message, text.into()),
        signers,
    }
}

pub(crate) fn task(operation: Operation) -> Task {
    Task {
        version: 1,
        id: TASK,
        created: NOW,
        not_after: UNTIL,
        requester: RequesterId::from_bytes(identity(REQUESTER).public().0).unwrap(),
        note: None,
        claims: Default::default(),
        collect: None,
        operation,
    }
}

/// Signed by the requester.
pub(crate) fn sign(task: &Task) -> SignedTask {
    let bytes = task.to_bytes();
    let signature = identity(REQUESTER).sign(&SignedTask::signed_message(&bytes));
    SignedTask {
        bytes,
        signature: signature.into(),
    }
}

pub(crate) fn authentic(operation: Operation) -> Authenticated {
    sign(&task(operation))
        .authenticate(|_| true, None, NOW)
        .unwrap()
}

/// The configuration of node 1, which lists nodes 2, 3 and 4, and one requester. `more`: further
/// sections, as YAML.
pub(crate) fn config(more: &str) -> Config {
    let peers = [2, 3, 4].map(|seed| format!("{{ name: n{seed}, id: {} }}", node(seed)));
    let text = format!(
        "coordinator: {{ address: '127.0.0.1:1', id: {} }}\n\
         requesters: [{{ name: treasurer, id: {} }}]\n\
         roster: [{}]\npolicy: {{ allow_unguarded: true }}\n{more}\n",
        CoordinatorId::from_bytes(*node(1).as_bytes()).unwrap(),
        RequesterId::from_bytes(identity(REQUESTER).public().0).unwrap(),
        peers.join(", "),
    );
    Config::parse(&text, Path::new("/")).unwrap()
}

/// The same, which lists another requester, too.
pub(crate) fn config_listing(requester: &RequesterId, more: &str) -> Config {
    let text = config(more).source.text;
    let entry = format!("requesters: [{{ name: ann, id: {requester} }}, ");
    let listed = text.replacen("requesters: [", &entry, 1);
    assert_ne!(listed, text);
    Config::parse(&listed, Path::new("/")).unwrap()
}

/// A guard without plugins, which approves everything.
pub(crate) fn guard() -> Arc<Guard> {
    static GUARD: OnceLock<Arc<Guard>> = OnceLock::new();
    let load = || {
        let policy = Policy {
            allow_unguarded: true,
            ..Policy::default()
        };
        let callback = rs256::SigningKey::generate().unwrap().to_pkcs8().unwrap();
        let (_dir, journal) = empty_journal();
        let services =
            NodeServices::new(&policy, &callback, None, journal, World::system()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let loaded = Guard::load(policy, None, services.into());
        Arc::new(runtime.unwrap().block_on(loaded).unwrap())
    };
    // The test may be inside a runtime already, which cannot start another.
    let in_thread = || std::thread::spawn(load).join().unwrap();
    GUARD.get_or_init(in_thread).clone()
}

/// The question to the plugins about an operation of which only the name is known.
pub(crate) fn question() -> Arc<countersign_host::Task> {
    let nobody = || Principal {
        id: String::new(),
        name: String::new(),
    };
    Arc::new(countersign_host::Task {
        id: TASK.to_string(),
        attempt: 1,
        received_at: NOW.0,
        requester: nobody(),
        coordinator: nobody(),
        node: node(1).to_string(),
        operation: countersign_host::Operation::Other("test".into()),
        extra: Vec::new(),
        raw: Vec::new(),
    })
}

pub(crate) fn approved<J>(plan: J) -> Approved<J> {
    let guard = guard();
    let world = World::system().at(NOW);
    let decision = guard.decide(&world, UNTIL, question(), plan).now_or_never();
    match decision.expect("nobody is asked") {
        Decision::Approved { approved, .. } => approved,
        Decision::Refused { refusal, .. } => panic!("{refusal:?}"),
    }
}

/// The share of this member, by its position, of one Ed25519 key that two nodes made.
pub(crate) fn share_at(position: usize) -> Share {
    static MADE: OnceLock<Vec<Zeroizing<Vec<u8>>>> = OnceLock::new();
    let make = || {
        let engine = |me| {
            let params = KeygenParams {
                session: &[1; 32],
                me: PartyIndex(me),
                parties: 2,
                threshold: 2,
            };
            keygen(Scheme::Ed25519, params, rand::rngs::OsRng).unwrap()
        };
        let shares = run([0, 1].map(engine));
        shares.iter().map(Share::to_bytes).collect()
    };
    Share::from_bytes(&MADE.get_or_init(make)[position]).unwrap()
}

/// Runs the engines of two parties to their end.
fn run<O>(mut engines: [Box<dyn Engine<Output = O>>; 2]) -> Vec<O> {
    let mut outputs = [None, None];
    while outputs.iter().any(Option::is_none) {
        for me in 0..2 {
            let other = 1 - me;
            match engines[me].step() {
                _ if outputs[me].is_some() => {}
                Ok(Step::Done(output)) => outputs[me] = Some(output),
                Ok(Step::NeedMessage) => {}
                Ok(Step::Send(message)) => {
                    let kind = match message.to {
                        Recipient::All => MessageKind::Broadcast,
                        Recipient::One(_) => MessageKind::Direct,
                    };
                    engines[other]
                        .receive(PartyIndex(me as u16), kind, &message.body)
                        .unwrap();
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
    outputs.into_iter().flatten().collect()
}

/// The key that the shares of [`share_at`] belong to, acknowledged by its holders 1 and 2.
pub(crate) fn wallet() -> KeyDescriptor {
    let public = share_at(0).public();
    let descriptor = KeyDescriptor {
        public_shares: public_shares_hash(public.public_shares.iter().map(Vec::as_slice)),
        root_public_key: public.root_public_key,
        chain_code: Hash(public.chain_code),
        ..generation(0, &[1, 2])
    };
    acked(descriptor, &[1, 2])
}

/// The share of node 1.
pub(crate) fn own_share() -> Share {
    let position = wallet().committee.index_of(&node(1)).unwrap();
    share_at(usize::from(position.0))
}

/// Writes to this journal, and tells a receiver named `r` of these events.
pub(crate) fn register(journal: &Journal, wanted: &[&str]) -> Register {
    let wanted: Vec<Wanted> = wanted.iter().map(|name| name.parse().unwrap()).collect();
    let receivers = vec![("r".to_owned(), wanted.into_iter().collect())];
    let events = Events::told_to(node(1), World::system().at(NOW), receivers);
    Register {
        journal: journal.clone(),
        events: events.into(),
        counters: Arc::default(),
    }
}

/// The parts of node 1, which compute but talk to nobody.
pub(crate) struct Parts {
    pub jobs: Arc<JobContext>,
    pub reporter: Reporter,
    /// Its reports to the coordinator.
    pub reports: mpsc::Receiver<FromNode>,
    pub dir: TempDir,
}

impl Parts {
    pub(crate) fn new() -> Self {
        let (dir, journal) = empty_journal();
        let vault = Arc::new(cheap_vault(dir.path()));
        let own = NodeKey::new(identity(1).into()).unwrap();
        let world = World::system().at(NOW);
        let live = Arc::new(LiveConfig::from(config("")));
        let (reporter, reports) = Reporter::new();
        let pools = CpuPools::new();
        let auxes = AuxCache::default();
        let public = PublicFile::new(
            dir.path().into(),
            vault.clone(),
            guard(),
            Arc::default(),
            world.clone(),
        );
        let participant = Participant {
            own: own.clone(),
            world: world.clone(),
            register: register(&journal, &[]),
            switch: KeySwitch::new(journal.clone(), vault.clone()),
            activation: Activation {
                auxes: auxes.clone(),
                vault: vault.clone(),
                pool: pools.aux.clone(),
                public: public.into(),
            },
            reporter: reporter.clone(),
            changed: Notify::new(),
        };
        let aux = AuxMaker {
            me: own.id(),
            journal,
            vault: vault.clone(),
            auxes,
            queue: Queue::new(),
            program: Program::default(),
            primes: PrimePool::new(),
            pools: pools.clone(),
            config: live.clone(),
        };
        let jobs = Arc::new(JobContext {
            own,
            world,
            config: live.clone(),
            pools,
            vault,
            aux: aux.into(),
            participant: participant.into(),
        });
        Self {
            jobs,
            reporter,
            reports,
            dir,
        }
    }

    pub(crate) fn journal(&self) -> &Journal {
        self.jobs.journal()
    }

    pub(crate) fn vault(&self) -> &Vault {
        &self.jobs.vault
    }

    /// Holds the [`wallet`]: the key is active, and its share is in the store.
    pub(crate) fn holding(status: KeyStatus) -> Self {
        let parts = Self::new();
        put_key(parts.journal(), status, wallet());
        parts.vault().keep_share(&wallet(), &own_share());
        parts
    }

    /// From now on the secrets file cannot be written.
    pub(crate) fn lose_the_secrets(&self) {
        lose_the_secrets(self.dir.path());
    }

    /// Takes the reports that it has made so far.
    pub(crate) fn reported(&mut self) -> Vec<FromNode> {
        std::iter::from_fn(|| self.reports.try_recv().ok()).collect()
    }
}

/// The services of a node that talks to nobody, with `more` in its configuration, and with room for
/// two tasks.
pub(crate) fn services(parts: &Parts, more: &str) -> Services {
    let jobs = &parts.jobs;
    let world = jobs.world.clone();
    let journal = parts.journal().clone();
    let config = config(more);
    let live = Arc::new(LiveConfig::from(config.clone()));
    let coordinator = config.coordinator.clone().unwrap();
    let mesh = Mesh::new(identity(1).into(), MeshConfig::default()).0;
    let router = Router::new(mesh, Default::default());
    let own_mark = OwnMark::new(world.clone(), journal.clone(), jobs.vault.clone());
    let roster = config.roster.clone();
    let twins = Twins::new(jobs.own.clone(), journal.clone(), world.clone(), roster);
    Services {
        me: node(1),
        world: world.clone(),
        register: jobs.participant.register.clone(),
        admission: Arc::new(AdmissionControl {
            me: node(1),
            world: world.clone(),
            journal,
            config: live.clone(),
        }),
        asker: Arc::new(Asker::new(node(1), &coordinator, live)),
        guard: guard(),
        sessions: Arc::new(Sessions {
            own: jobs.own.clone(),
            world,
            router,
            own_mark: own_mark.into(),
            reporter: parts.reporter.clone(),
            jobs: jobs.clone(),
        }),
        participant: jobs.participant.clone(),
        uses: Arc::default(),
        aux: jobs.aux.clone(),
        reporter: parts.reporter.clone(),
        twins: Arc::new(twins.unwrap()),
        restored: None,
        tasks: 2,
        drain: Arc::default(),
        stopping: CancellationToken::new(),
    }
}
