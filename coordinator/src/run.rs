//! Puts the parts together, runs them, and stops them in order.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use countersign_link::Hub;
use countersign_link::hub::Recorder;
use countersign_protocol::CoordinatorId;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{error, info};

use crate::config::Config;
use crate::desk::Desk;
use crate::http::{App, router, server};
use crate::identity::{self, IdentityFileError};
use crate::store::{Store, StoreError};
use crate::{clock, relay};

/// Why the coordinator does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// No identity.
    #[error(transparent)]
    Identity(#[from] IdentityFileError),
    /// No store.
    #[error("{path}: {source}")]
    Store {
        /// The database.
        path: PathBuf,
        /// What is wrong.
        source: StoreError,
    },
    /// The nodes' port.
    #[error(transparent)]
    Quic(#[from] countersign_link::hub::BindError),
    /// The API's port.
    #[error("cannot listen on TCP {address} ({reason}); free the port or change `listen_http`")]
    Http {
        /// Which address.
        address: SocketAddr,
        /// What the system said.
        reason: std::io::Error,
    },
}

/// A running coordinator. Dropping it stops it without waiting; [`stop`](Self::stop) waits.
#[derive(Debug)]
pub struct Coordinator {
    /// Its identity, which nodes pin.
    pub id: CoordinatorId,
    /// Where the API listens.
    pub http: SocketAddr,
    /// Where nodes connect.
    pub quic: SocketAddr,
    desk: Arc<Desk>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

/// Runs until `shutdown` resolves, then stops in order.
pub async fn run(config: Config, shutdown: impl Future<Output = ()>) -> Result<(), RunError> {
    let coordinator = Coordinator::start(config).await?;
    shutdown.await;
    coordinator.stop().await;
    Ok(())
}

impl Coordinator {
    /// Binds the ports and starts. Port 0 becomes a free port.
    pub async fn start(config: Config) -> Result<Coordinator, RunError> {
        Coordinator::start_recorded(config, None).await
    }

    /// Starts, and shows a recorder every byte that is relayed between nodes: how tests prove that the coordinator can read
    /// none of it.
    pub async fn start_recorded(config: Config, recorder: Option<Recorder>) -> Result<Coordinator, RunError> {
        let (identity, id) = identity::load(&config.identity_file())?;
        let desk = Arc::new(open_desk(&config)?);
        let hub = Hub::bind(config.listen_quic, &identity, relay::admits(&desk), recorder)?;
        let quic = hub.address();
        let (listener, http) = listen(config.listen_http).await?;
        let stop = watch::Sender::new(false);
        let mut tasks = JoinSet::new();
        tasks.spawn(relay::serve(hub, desk.clone(), stop.subscribe()));
        tasks.spawn(tell_time(desk.clone(), stop.subscribe()));
        let app = Arc::new(App { desk: desk.clone(), keys: config.api_keys, stop: stop.subscribe() });
        tasks.spawn(server::serve(listener, router(app), stop.subscribe()));
        info!(%id, %http, %quic, "coordinator runs");
        Ok(Coordinator { id, http, quic, desk, stop, tasks })
    }

    /// Stops taking requests, lets those under way finish, tells the nodes, and commits what is pending.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                error!(%error, "a part of the coordinator panicked");
            }
        }
        let store = self.desk.store();
        if let Err(error) = store.durable(store.now()).await {
            error!(%error, "the last changes are not stored");
        }
        info!("coordinator stopped");
    }
}

/// Resolves when the coordinator is to stop. That the sender is gone is a stop as well.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        tracing::debug!("the coordinator was dropped");
    }
}

fn open_desk(config: &Config) -> Result<Desk, RunError> {
    let path = config.database_file();
    let desk = Store::open(&path).and_then(|store| Desk::open(config.rules.clone(), store));
    desk.map_err(|source| RunError::Store { path, source })
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), RunError> {
    let failed = |reason| RunError::Http { address, reason };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

async fn tell_time(desk: Arc<Desk>, mut stop: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => desk.tick(clock::now()),
            () = stopped(&mut stop) => return,
        }
    }
}

/// How exactly deadlines are kept.
const TICK: Duration = Duration::from_millis(200);
