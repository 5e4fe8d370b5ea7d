//! The parts of a node without peers and plugins in a temporary folder, for tests.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, LazyLock};

use countersign_host::{CodeCache, rs256};
use countersign_link::Identity;
use countersign_protocol::{
    Committee, Hash, KeyDescriptor, KeyId, NodeId, Scheme, SessionId, TaskId, Threshold, UnixMillis,
};
use countersign_store::{Journal, KeyRecord, KeyStatus, Passphrase};
use tokio::sync::Notify;
use zeroize::Zeroizing;

use crate::activation::Activation;
use crate::admin::Administered;
use crate::aux_cache::AuxCache;
use crate::check_ups::CheckUps;
use crate::config::Policy;
use crate::events::{Events, Receivers};
use crate::key_switch::KeySwitch;
use crate::node_key::NodeKey;
use crate::public::{self, PublicFile};
use crate::report::Reporter;
use crate::risk::{Guard, NodeServices};
use crate::session::CpuPools;
use crate::task::{Participant, Register};
use crate::twins::Twins;
use crate::vault::Vault;
use crate::world::World;

/// The time that the node's clock shows.
pub(crate) const NOW: UnixMillis = UnixMillis(1_000_000);

/// Made once, since it takes a moment.
static CALLBACK_KEY: LazyLock<Zeroizing<Vec<u8>>> =
    LazyLock::new(|| rs256::SigningKey::generate().unwrap().to_pkcs8().unwrap());

/// A node whose parts are wired but do not run.
pub(crate) struct TestNode {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) parts: Administered,
    pub(crate) journal: Journal,
    pub(crate) check_ups: Arc<CheckUps>,
}

pub(crate) fn private_dir() -> tempfile::TempDir {
    let private = std::fs::Permissions::from_mode(0o700);
    tempfile::Builder::new()
        .permissions(private)
        .tempdir()
        .unwrap()
}

pub(crate) fn empty_journal() -> (tempfile::TempDir, Journal) {
    let dir = private_dir();
    let journal = Journal::create(dir.path()).unwrap();
    (dir, journal)
}

pub(crate) fn empty_vault() -> (tempfile::TempDir, Vault) {
    let dir = private_dir();
    let passphrase = Passphrase::new("a passphrase for tests".to_owned().into());
    let vault = Vault::create(dir.path(), &passphrase, &[], CALLBACK_KEY.clone()).unwrap();
    (dir, vault)
}

pub(crate) fn node_key(seed: u8) -> NodeKey {
    NodeKey::new(Arc::new(Identity::from_seed(&[seed; 32]).unwrap())).unwrap()
}

pub(crate) fn node(seed: u8) -> NodeId {
    node_key(seed).id()
}

pub(crate) fn key(seed: u8) -> KeyId {
    KeyId::from_bytes([seed; 16]).unwrap()
}

/// An active key of nodes 1 and 2, whose share nobody has.
pub(crate) fn key_record(seed: u8, generation: u32) -> KeyRecord {
    let descriptor = KeyDescriptor {
        key: key(seed),
        task: TaskId([seed; 16]),
        session: SessionId([seed; 32]),
        name: "n".into(),
        scheme: Scheme::Ed25519,
        committee: Committee::new(vec![node(1), node(2)]).unwrap(),
        threshold: Threshold::try_from(2).unwrap(),
        generation,
        root_public_key: vec![4; 32],
        chain_code: Hash([5; 32]),
        public_shares: Hash([6; 32]),
        aux: None,
        parties: Vec::new(),
        acks: Vec::new(),
    };
    KeyRecord {
        descriptor,
        status: KeyStatus::Active,
        created: NOW,
    }
}

impl TestNode {
    pub(crate) async fn build() -> Self {
        let (dir, vault) = empty_vault();
        let vault = Arc::new(vault);
        let journal = Journal::create(dir.path()).unwrap();
        let world = World::system().at(NOW);
        let own = NodeKey::new(Arc::new(vault.identity().unwrap())).unwrap();
        public::write(dir.path(), &public::new(own.id(), "pem".into())).unwrap();
        let policy = Policy {
            allow_unguarded: true,
            ..Policy::default()
        };
        let services =
            NodeServices::new(&policy, &CALLBACK_KEY, None, journal.clone(), world.clone());
        let services = Arc::new(services.unwrap());
        let guard = Guard::load(policy.clone(), None, services.clone());
        let guard = Arc::new(guard.await.unwrap());
        let cache = CodeCache::new(dir.path().join("compiled-plugins"), [0; 32]);
        let receivers = Receivers::new(&policy, &[], cache, services).await.unwrap();
        let check_ups = Arc::<CheckUps>::default();
        let public = Arc::new(PublicFile::new(
            dir.path().into(),
            vault.clone(),
            guard,
            check_ups.clone(),
            world.clone(),
        ));
        let register = Register {
            journal: journal.clone(),
            events: Arc::new(Events::new(own.id(), world.clone(), &[])),
            counters: Arc::default(),
        };
        let activation = Activation {
            auxes: AuxCache::default(),
            vault: vault.clone(),
            pool: CpuPools::new().aux,
            public: public.clone(),
        };
        let participant = Participant {
            own: own.clone(),
            world: world.clone(),
            register,
            switch: KeySwitch::new(journal.clone(), vault.clone()),
            activation,
            reporter: Reporter::new().0,
            changed: Notify::new(),
        };
        let twins = Twins::new(own, journal.clone(), world, BTreeMap::new()).unwrap();
        let parts = Administered {
            dir: dir.path().into(),
            vault,
            public,
            receivers: Arc::new(receivers),
            twins: Arc::new(twins),
            participant: Arc::new(participant),
            drain: Arc::default(),
            contacts: tokio::sync::mpsc::channel(1).0,
            bundles: tokio::sync::mpsc::channel(1).0,
            look: Arc::new(|| Box::pin(async { crate::metrics::tests::snapshot() })),
        };
        Self {
            dir,
            parts,
            journal,
            check_ups,
        }
    }
}
