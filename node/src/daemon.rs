//! Wires a node from its configuration, runs it, and stops it without losing a session that can
//! still finish.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use countersign_host::CodeCache;
use countersign_link::mesh::MeshConfig;
use countersign_link::{Identity, Mesh, PeerKey};
use countersign_protocol::{IdError, KeyId, NodeId};
use countersign_store::{
    Journal, JournalOpenError, KeyRecord, KeyStatus, ReadJournalError, WriteJournalError,
};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::aux_cache::AuxCache;
use crate::check_ups::{self, CheckUps};
use crate::config::{Config, ConfigError};
use crate::core::{Core, Signer, now};
use crate::dispatch::Dispatch;
use crate::events::{Events, Receivers};
use crate::heavy::{Program, Queue};
use crate::high_water::{self, OwnMark};
use crate::key_switch::KeySwitch;
use crate::metrics::influx::{PushError, Pusher};
use crate::metrics::{self, Reading};
use crate::parts::Parts;
use crate::patience;
use crate::primes::PrimePool;
use crate::public::{self, PublicFile};
use crate::report::Reporter;
use crate::risk::{Asker, Guard, GuardError, NodeServices, SandboxError, ServicesError};
use crate::session::{Lanes, Router};
use crate::store_watch;
use crate::task::handover::{self, HandoverError};
use crate::task::uses::{self, Uses};
use crate::task::{Desk, Register, counting, gossip, settle};
use crate::twins::Twins;
use crate::vault::{Vault, VaultError};

/// How long sessions under way may finish when the node is told to stop.
const GRACE: Duration = Duration::from_secs(25);
/// How long a node that has to stop says why to whoever looks at it. Meanwhile it refuses every
/// task.
const FAREWELL: Duration = Duration::from_secs(2);
/// How long the last reports have to leave.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// Exit code of a node of which a part has died (`EX_SOFTWARE` of `sysexits.h`).
pub const PART_DIED: u8 = 70;
/// Exit code of a node whose store failed, or lies no more where it was (`EX_IOERR` of
/// `sysexits.h`).
pub const STORE_FAILED: u8 = 74;

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Something is missing in the configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Secrets.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The journal cannot be opened.
    #[error(transparent)]
    OpenJournal(#[from] JournalOpenError),
    /// The journal cannot be read.
    #[error(transparent)]
    ReadJournal(#[from] ReadJournalError),
    /// The journal cannot be written.
    #[error(transparent)]
    WriteJournal(#[from] WriteJournalError),
    /// A reshare that was under way.
    #[error(transparent)]
    Handover(#[from] HandoverError),
    /// What plugins are given.
    #[error(transparent)]
    Services(#[from] ServicesError),
    /// Plugins.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// The sandbox of receivers.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The identity in the store is none.
    #[error(transparent)]
    Identity(#[from] IdError),
    /// The operating system.
    #[error("the node cannot start: {0}; free resources and try again")]
    System(#[from] std::io::Error),
    /// Nobody could look at the node.
    #[error("cannot listen on metrics.listen: {0}; choose another port, or end what uses it")]
    Metrics(std::io::Error),
    /// Metrics could never be pushed.
    #[error(transparent)]
    Push(#[from] PushError),
    /// A part of the node that lives as long as the node.
    #[error("{0} ended by itself and the node stops; start it again, and report this with the log")]
    Died(&'static str),
    /// The journal or the secrets can no longer be written. The text ends with what to do.
    #[error("the store of the node has failed and the node stops: {0}")]
    Store(String),
}

impl StartError {
    /// The exit code of the node's program: [`PART_DIED`], [`STORE_FAILED`], or 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Died(_) => PART_DIED,
            Self::Store(_) => STORE_FAILED,
            Self::WriteJournal(error) => match error {
                WriteJournalError::Refused(_) | WriteJournalError::Read(_) => 1,
                _ => STORE_FAILED,
            },
            Self::Config(_)
            | Self::Vault(_)
            | Self::OpenJournal(_)
            | Self::ReadJournal(_)
            | Self::Handover(_)
            | Self::Services(_)
            | Self::Guard(_)
            | Self::Sandbox(_)
            | Self::Identity(_)
            | Self::System(_)
            | Self::Metrics(_)
            | Self::Push(_) => 1,
        }
    }
}

/// Runs a node until `shutdown`.
pub async fn run(
    config: Config,
    vault: Vault,
    shutdown: CancellationToken,
) -> Result<(), StartError> {
    let hangup = crate::risk::hangup();
    let coordinator = config.check_complete()?.clone();
    let vault = Arc::new(vault);
    let identity = Arc::new(vault.identity()?);
    let me = NodeId::from_bytes(identity.public().0)?;
    let register = Register {
        journal: patience::open_journal(&config.dir)?,
        events: Arc::new(Events::new(me, &config.receivers)),
        tally: Arc::default(),
    };
    end_unfinished(&register)?;
    let journal = register.journal.clone();
    let services = Arc::new(services(&config, &vault, &journal)?);
    let guard = Guard::load(
        config.policy.clone(),
        Some(code_cache(&config, &vault)?),
        services.clone(),
    )
    .await?;
    let cache = code_cache(&config, &vault)?;
    let receivers = Receivers::new(&config.policy, &config.receivers, cache, services).await?;
    let listener = metrics::listen(&config.metrics)
        .await
        .map_err(StartError::Metrics)?;
    let pusher = Pusher::of(&config)?;
    let (mesh, frames) = Mesh::new(identity.clone(), MeshConfig::default());
    mesh.set_roster(config.roster.keys().map(|node| PeerKey(*node.as_bytes())));
    let (reporter, reports) = Reporter::new();
    let router = Router::new(mesh, config.roster.clone());
    let core = Arc::new(Core {
        asker: Asker::new(me, &coordinator, config.requesters.clone()),
        public: PublicFile::new(config.dir.clone()),
        switch: KeySwitch::new(journal.clone(), vault.clone()),
        own_mark: OwnMark::new(journal.clone(), vault.clone()),
        restored: journal.restored_at()?,
        twins: Twins::new(journal.twin_since()?.is_some()),
        me,
        events: register.events.clone(),
        receivers,
        signer: Arc::new(Signer(identity.clone())),
        vault,
        journal,
        guard,
        router,
        lanes: Lanes::new(),
        queue: Queue::new(),
        aux_program: Program::default(),
        auxes: AuxCache::default(),
        primes: PrimePool::new(),
        reporter,
        check_ups: CheckUps::default(),
        tally: register.tally.clone(),
        register,
        uses: Uses::default(),
        gossip: tokio::sync::Notify::new(),
        stopping: CancellationToken::new(),
        coordinator,
        config,
    });
    handover::align_all(&core.journal, &core.vault, now())?;
    reconcile(&core)?;
    crate::risk::note_start(&core)?;
    publish(&core)?;
    let mut parts = Parts::default();
    parts.run(
        "the watch over plugins",
        crate::risk::watch(core.clone(), hangup),
    );
    crate::events::deliver(&core, &mut parts);
    parts.send("the loading of receivers", settle_in(core.clone()));
    let seen = core.clone();
    let look: metrics::Look = Arc::new(move || Box::pin(Reading::of(seen.clone())) as _);
    if let Some(pusher) = pusher {
        let counted = core.clone();
        let stop = core.stopping.clone();
        let count = move |written| counted.tally.push(written);
        parts.run(
            "the push of metrics",
            metrics::influx::follow(pusher, look.clone(), count, stop),
        );
    }
    if let Some(listener) = listener {
        let names = core.config.metrics.clone();
        let stop = core.stopping.clone();
        parts.run(
            "the listener of metrics",
            metrics::serve(listener, names, look, metrics::Bounds::default(), stop),
        );
    }
    tracing::info!(node = %core.me, "node started");
    if core.twins.is_known() {
        tracing::error!(
            "this node was told of another process with its identity, and takes part in nothing until you run `countersign-node quarantine lift-twin`"
        );
    }
    parts.run(
        "the memory of how far peers have come",
        high_water::follow(core.clone()),
    );
    if let Some(hearing) = core.router.hearing() {
        parts.run(
            "the exchange of generations",
            gossip::follow(core.clone(), hearing),
        );
    }
    if let Some(counting) = core.router.counting() {
        parts.run(
            "the telling of signatures",
            uses::tell(core.clone(), counting.answers),
        );
        parts.run(
            "the counting of others' signatures",
            counting::hear(core.clone(), counting.told),
        );
    }
    let router = core.router.clone();
    let routed = tokio::spawn(async move { router.run(frames).await });
    serve(core, identity, reports, (routed, parts), shutdown).await
}

/// What plugins and receivers are given.
fn services(config: &Config, vault: &Vault, journal: &Journal) -> Result<NodeServices, StartError> {
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
    )?)
}

/// Whoever could forge machine code would run in the node, so its MAC's key comes from a secret of
/// the store.
fn code_cache(config: &Config, vault: &Vault) -> Result<CodeCache, StartError> {
    let mut key = Sha256::new_with_prefix(b"countersign/1 key of compiled plugins");
    key.update(&*vault.callback_key()?);
    Ok(CodeCache::new(
        config.dir.join("compiled-plugins"),
        key.finalize().into(),
    ))
}

/// What can wait until the node runs.
async fn settle_in(core: Arc<Core>) {
    core.receivers.load_all().await;
    crate::risk::sweep(core).await;
}

async fn serve(
    core: Arc<Core>,
    identity: Arc<Identity>,
    reports: tokio::sync::mpsc::Receiver<countersign_protocol::control::FromNode>,
    (mut routed, mut parts): (JoinHandle<()>, Parts),
    shutdown: CancellationToken,
) -> Result<(), StartError> {
    let mut trouble = troubles(&core);
    let primes = core.primes.keep_full(
        core.vault.clone(),
        core.config.prime_sets,
        core.stopping.clone(),
    )?;
    parts.run("the pool of primes", primes);
    parts.run("the admin socket", crate::admin::serve(core.clone()));
    parts.run("the probing of plugins", crate::risk::monitor(core.clone()));
    parts.run("the settling of reshares", handover::follow(core.clone()));
    if core.config.check_up.is_some() {
        parts.run("the check-ups", check_ups::follow(core.clone()));
    }
    parts.run(
        "the watch over the store",
        store_watch::follow(core.clone()),
    );
    let desk = Desk::new(core.clone());
    let hang_up = CancellationToken::new();
    let dispatch = Dispatch {
        core: core.clone(),
        desk: desk.clone(),
        identity,
        reports,
    };
    let mut linked = tokio::spawn(dispatch.run(hang_up.clone()));
    let reason = until_end(
        &shutdown,
        &mut trouble,
        &mut parts,
        &mut routed,
        &mut linked,
    )
    .await;
    if reason.is_err() {
        core.tally.fail();
        // Whoever looks at the node each second learns why; every task is refused meanwhile.
        tokio::time::sleep(FAREWELL).await;
    }
    core.stopping.cancel();
    // Without its link or its router no session can finish.
    desk.drain(if reason.is_ok() {
        GRACE
    } else {
        Duration::ZERO
    })
    .await;
    tokio::time::sleep(LAST_WORDS).await;
    hang_up.cancel();
    if !linked.is_finished()
        && let Err(error) = linked.await
    {
        tracing::error!(%error, "the link did not end cleanly");
    }
    // The admin socket is removed, for one; all were told to stop.
    drop(tokio::time::timeout(LAST_WORDS, parts.ended()).await);
    tracing::info!("stopped");
    reason
}

/// What ends the store, as soon as it does.
fn troubles(core: &Core) -> mpsc::Receiver<String> {
    let (told, troubles) = mpsc::channel(2);
    for trouble in [core.journal.trouble(), core.vault.trouble()] {
        let told = told.clone();
        // There is room for both; a node that has ended does not hear it.
        trouble.listen(move |why| drop(told.try_send(why.to_owned())));
    }
    troubles
}

/// Waits until the node is told to stop, or until something that it cannot do without has ended.
async fn until_end(
    shutdown: &CancellationToken,
    trouble: &mut mpsc::Receiver<String>,
    parts: &mut Parts,
    routed: &mut JoinHandle<()>,
    linked: &mut JoinHandle<()>,
) -> Result<(), StartError> {
    let (what, ended) = tokio::select! {
        biased;
        () = shutdown.cancelled() => {
            tracing::info!("stopping: sessions under way may finish");
            return Ok(());
        }
        Some(why) = trouble.recv() => {
            tracing::error!(why, "ALARM: the store of the node has failed; it signs nothing more and stops");
            return Err(StartError::Store(why));
        }
        died = parts.died() => {
            tracing::error!(how = died.how, "ALARM: {} ended by itself, and the node stops", died.part);
            return Err(StartError::Died(died.part));
        }
        ended = routed => ("the router of frames", ended),
        ended = linked => ("the link to the coordinator", ended),
    };
    let how = ended
        .err()
        .map_or_else(|| "without error".into(), |error| error.to_string());
    tracing::error!(how, "ALARM: {what} ended by itself, and the node stops");
    Err(StartError::Died(what))
}

/// Nothing is resumed: what was under way when the node stopped is over, but for tasks whose new
/// share waits for the other members.
fn end_unfinished(register: &Register) -> Result<(), StartError> {
    let settling = settle::waiting(&register.journal)?;
    for task in register.abort_unfinished(now(), settling)? {
        tracing::warn!(%task, "was under way when the node stopped, and is recorded as failed");
    }
    Ok(())
}

/// A share without a record was stored the moment before a crash; its record is made up for.
fn reconcile(core: &Core) -> Result<(), StartError> {
    let known: BTreeSet<KeyId> = core
        .journal
        .known_keys()?
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    for key in core
        .vault
        .held_keys()?
        .into_iter()
        .filter(|key| !known.contains(key))
    {
        let Some(announcement) = core.vault.announced(key)? else {
            continue;
        };
        tracing::warn!(%key, "a share without a record; the key waits for its members' confirmation");
        core.journal.put_key(KeyRecord {
            announcement,
            status: KeyStatus::Pending,
            created: now(),
        })?;
    }
    for digest in core.journal.auxes_in_use()? {
        core.auxes
            .build_tables(digest, core.vault.clone(), core.lanes.aux.clone());
    }
    Ok(())
}

fn publish(core: &Core) -> Result<(), StartError> {
    if public::read(&core.config.dir).is_err() {
        let callback_public_key = public::callback_pem(&core.vault)?;
        public::write(&core.config.dir, &public::new(core.me, callback_public_key))?;
    }
    Ok(public::update(core)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending() -> JoinHandle<()> {
        tokio::spawn(std::future::pending())
    }

    #[tokio::test]
    async fn a_part_that_dies_ends_the_node_with_an_error() {
        let shutdown = CancellationToken::new();
        let mut lives = tokio::spawn(std::future::pending());
        let mut dies = tokio::spawn(async { panic!("for the test") });
        let (told, mut trouble) = mpsc::channel(2);
        let mut parts = Parts::default();
        let end = until_end(&shutdown, &mut trouble, &mut parts, &mut lives, &mut dies).await;
        assert!(matches!(end, Err(StartError::Died(what)) if what.contains("link")));
        let mut ends = tokio::spawn(async {});
        let end = until_end(&shutdown, &mut trouble, &mut parts, &mut ends, &mut lives).await;
        assert!(matches!(end, Err(StartError::Died(what)) if what.contains("router")));
        parts.run("a part", async { panic!("for the test") });
        let end = until_end(
            &shutdown,
            &mut trouble,
            &mut parts,
            &mut lives,
            &mut pending(),
        )
        .await;
        assert!(matches!(&end, Err(StartError::Died("a part"))));
        assert_eq!(end.unwrap_err().exit_code(), PART_DIED);
        told.send("the disk is full".into()).await.unwrap();
        let end = until_end(
            &shutdown,
            &mut trouble,
            &mut parts,
            &mut lives,
            &mut pending(),
        )
        .await;
        assert!(matches!(&end, Err(StartError::Store(why)) if why.contains("full")));
        assert_eq!(end.unwrap_err().exit_code(), STORE_FAILED);
        shutdown.cancel();
        let mut ends = tokio::spawn(async {});
        let end = until_end(&shutdown, &mut trouble, &mut parts, &mut ends, &mut lives).await;
        assert!(end.is_ok(), "it was told to");
    }
}
