//! Wires a node from its configuration, without running anything yet.

use std::collections::BTreeSet;
use std::sync::Arc;

use countersign_host::CodeCache;
use countersign_link::mesh::{MeshConfig, MeshEvent};
use countersign_link::{Mesh, PeerKey};
use countersign_metrics::influx::Pusher;
use countersign_metrics::listener;
use countersign_protocol::control::FromNode;
use countersign_protocol::{KeyId, Versions};
use countersign_store::{Journal, KeyRecord, KeyStatus};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::activation::Activation;
use crate::aux_cache::AuxCache;
use crate::bundle::{BundleBoard, BundleRequest};
use crate::check_ups::CheckUps;
use crate::config::{Config, Coordinator, LiveConfig};
use crate::drain::Drain;
use crate::events::{Events, Receivers};
use crate::heavy::{Program, Queue};
use crate::high_water::OwnMark;
use crate::key_switch::KeySwitch;
use crate::metrics;
use crate::node_key::NodeKey;
use crate::patience;
use crate::primes::PrimePool;
use crate::public::{self, PublicFile};
use crate::reload::ContactsRequest;
use crate::report::Reporter;
use crate::risk::{Asker, Guard, NodeServices};
use crate::session::{CpuPools, Router};
use crate::start_error::StartError;
use crate::task::uses::Uses;
use crate::task::{AuxMaker, Participant, Register, settle};
use crate::twins::Twins;
use crate::vault::{Vault, VaultError};
use crate::world::World;

/// The wired parts of a node that is not running yet.
pub(crate) struct Node {
    pub(crate) config: Arc<Config>,
    /// The same, for parts that follow changes.
    pub(crate) live: Arc<LiveConfig>,
    pub(crate) coordinator: Coordinator,
    /// The protocol versions that it speaks with its coordinator.
    pub(crate) speaks: Versions,
    pub(crate) world: World,
    pub(crate) own: NodeKey,
    pub(crate) vault: Arc<Vault>,
    pub(crate) journal: Journal,
    pub(crate) register: Register,
    pub(crate) guard: Arc<Guard>,
    pub(crate) receivers: Arc<Receivers>,
    pub(crate) asker: Arc<Asker>,
    pub(crate) router: Arc<Router>,
    pub(crate) frames: mpsc::Receiver<MeshEvent>,
    pub(crate) twins: Arc<Twins>,
    pub(crate) own_mark: Arc<OwnMark>,
    pub(crate) check_ups: Arc<CheckUps>,
    pub(crate) public: Arc<PublicFile>,
    pub(crate) aux: Arc<AuxMaker>,
    pub(crate) participant: Arc<Participant>,
    pub(crate) uses: Arc<Uses>,
    pub(crate) reporter: Reporter,
    pub(crate) reports: mpsc::Receiver<FromNode>,
    pub(crate) metrics: Option<TcpListener>,
    pub(crate) pusher: Option<Pusher>,
    pub(crate) drain: Arc<Drain>,
    /// Requests through the admin socket for new contacts to be put in force.
    pub(crate) contacts: mpsc::Sender<ContactsRequest>,
    pub(crate) asked: Option<mpsc::Receiver<ContactsRequest>>,
    /// Requests through the admin socket about policy bundles.
    pub(crate) bundles: mpsc::Sender<BundleRequest>,
    pub(crate) bundle_requests: Option<mpsc::Receiver<BundleRequest>>,
    /// Shows the policy bundles to parts that only display them.
    pub(crate) board: Arc<BundleBoard>,
    pub(crate) stopping: CancellationToken,
}

impl Node {
    /// Opens the journal, loads the plugins and binds the listener of metrics.
    pub async fn build(config: Config, vault: Vault, world: World) -> Result<Self, StartError> {
        let coordinator = config.check_complete()?.clone();
        let vault = Arc::new(vault);
        let identity = Arc::new(vault.identity()?);
        let own = NodeKey::new(identity.clone())?;
        let register = Register {
            journal: patience::open_journal(&config.dir)?,
            events: Arc::new(Events::new(own.id(), world.clone(), &config.receivers)),
            counters: Arc::default(),
        };
        end_unfinished(&register, &world)?;
        let journal = register.journal.clone();
        let services = Arc::new(services(&config, &vault, &journal, &world)?);
        let cache = code_cache(&config, &vault)?;
        let guard = Guard::load(config.policy.clone(), Some(cache), services.clone()).await?;
        let guard = Arc::new(guard);
        let cache = code_cache(&config, &vault)?;
        let receivers = Receivers::new(&config.policy, &config.receivers, cache, services).await?;
        let metrics = listener::bind(&config.metrics)
            .await
            .map_err(StartError::Metrics)?;
        let pusher = metrics::pusher(&config)?;
        let (mesh, frames) = Mesh::new(identity, MeshConfig::default());
        mesh.set_roster(config.roster.keys().map(|node| PeerKey(*node.as_bytes())));
        let (reporter, reports) = Reporter::new();
        let check_ups = Arc::<CheckUps>::default();
        // The last round before the start is the last one until the next.
        let known = public::read(&config.dir)
            .ok()
            .and_then(|known| known.check_up);
        known.into_iter().for_each(|round| check_ups.put(round));
        let public = Arc::new(PublicFile::new(
            config.dir.clone(),
            vault.clone(),
            guard.clone(),
            check_ups.clone(),
            world.clone(),
        ));
        let live = Arc::new(LiveConfig::from(config.clone()));
        let (contacts, asked) = mpsc::channel(1);
        let (bundles, bundle_requests) = mpsc::channel(1);
        let pools = CpuPools::new();
        let auxes = AuxCache::default();
        let activation = Activation {
            auxes: auxes.clone(),
            vault: vault.clone(),
            pool: pools.aux.clone(),
            public: public.clone(),
        };
        let aux = AuxMaker {
            me: own.id(),
            journal: journal.clone(),
            vault: vault.clone(),
            auxes,
            queue: Queue::new(),
            program: Program::default(),
            primes: PrimePool::new(),
            pools,
            config: live.clone(),
        };
        let participant = Participant {
            own: own.clone(),
            world: world.clone(),
            register: register.clone(),
            switch: KeySwitch::new(journal.clone(), vault.clone()),
            activation,
            reporter: reporter.clone(),
            changed: Notify::new(),
        };
        let roster = config.roster.clone();
        let twins = Twins::new(own.clone(), journal.clone(), world.clone(), roster.clone())?;
        Ok(Self {
            asker: Arc::new(Asker::new(own.id(), &coordinator, live.clone())),
            live,
            own_mark: Arc::new(OwnMark::new(world.clone(), journal.clone(), vault.clone())),
            router: Router::new(mesh, roster),
            config: Arc::new(config),
            receivers: Arc::new(receivers),
            twins: Arc::new(twins),
            aux: Arc::new(aux),
            participant: Arc::new(participant),
            uses: Arc::default(),
            drain: Arc::default(),
            contacts,
            asked: Some(asked),
            bundles,
            bundle_requests: Some(bundle_requests),
            board: Arc::default(),
            stopping: CancellationToken::new(),
            coordinator,
            speaks: Versions::SPOKEN,
            world,
            own,
            vault,
            journal,
            register,
            guard,
            frames,
            check_ups,
            public,
            reporter,
            reports,
            metrics,
            pusher,
        })
    }

    /// Makes up for the missing record of a share that was stored the moment before a crash.
    pub fn reconcile(&self) -> Result<(), StartError> {
        let known = self.journal.known_keys()?.into_iter().map(|(key, _)| key);
        let known: BTreeSet<KeyId> = known.collect();
        let held = self.vault.held_keys()?.into_iter();
        for key in held.filter(|key| !known.contains(key)) {
            let Some(descriptor) = self.vault.descriptor(key)? else {
                continue;
            };
            tracing::warn!(%key, "a share without a record; the key waits for its members' confirmation");
            self.journal.put_key(KeyRecord {
                descriptor,
                status: KeyStatus::Pending,
                created: self.world.now(),
            })?;
        }
        for digest in self.journal.auxes_in_use()? {
            self.participant.activation.build_tables(digest);
        }
        Ok(())
    }

    /// Brings the public record up to date, and recreates it if it was lost.
    pub fn publish(&self) -> Result<(), StartError> {
        let dir = &self.config.dir;
        if public::read(dir).is_err() {
            let callback_public_key = public::callback_pem(&self.vault)?;
            public::write(dir, &public::new(self.own.id(), callback_public_key))?;
        }
        Ok(self.public.update()?)
    }
}

/// Builds the services that plugins and receivers are given.
fn services(
    config: &Config,
    vault: &Vault,
    journal: &Journal,
    world: &World,
) -> Result<NodeServices, StartError> {
    let event_key = vault.event_key().map_err(VaultError::from)?;
    if event_key.is_none() && !config.receivers.is_empty() {
        tracing::warn!("there is no event key; make one with `countersign-node event key create`");
    }
    let event_key = event_key.as_ref().map(|key| &key[..]);
    Ok(NodeServices::new(
        &config.policy,
        &vault.callback_key()?,
        event_key,
        journal.clone(),
        world.clone(),
    )?)
}

/// Opens the cache of compiled plugins. Forged machine code would run inside the node, so the key
/// of its MAC is derived from a secret of the store.
fn code_cache(config: &Config, vault: &Vault) -> Result<CodeCache, StartError> {
    let mut key = Sha256::new_with_prefix(b"countersign/1 key of compiled plugins");
    key.update(&*vault.callback_key()?);
    Ok(CodeCache::new(
        config.dir.join("compiled-plugins"),
        key.finalize().into(),
    ))
}

/// Ends unfinished tasks: nothing is resumed after a restart, except for tasks whose new share
/// waits for the other members.
fn end_unfinished(register: &Register, world: &World) -> Result<(), StartError> {
    let settling = settle::waiting(&register.journal)?;
    for task in register.abort_unfinished(world.now(), settling)? {
        tracing::warn!(%task, "was running when the node stopped, and is recorded as failed");
    }
    Ok(())
}
