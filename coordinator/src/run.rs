//! Assembles the parts, runs them, and stops them in order.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use countersign_link::hub::Recorder;
use countersign_link::{Hub, IdentityError};
use countersign_log::Log;
use countersign_metrics::influx::{PushError, Pusher};
use countersign_metrics::listener::{self, Bounds};
use countersign_metrics::{Look, Report, Settings, Sheet, influx};
use countersign_protocol::{CoordinatorId, Versions};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::api_key::ApiKeys;
use crate::config::Config;
use crate::http::{App, Bodies, LIMITS, Patience, Streams, router};
use crate::identity::{self, IdentityFileError};
use crate::invitation::{self, Book, Desk, Invitations, JoinedError};
use crate::metrics::{Sources, TABLE};
use crate::registry::TaskRegistry;
use crate::store::{Store, StoreError};
use crate::tls::{self, Renewal, TlsFileError, TlsFiles};
use crate::webhook::{SigningKeys, WebhookKeyError, Webhooks};
use crate::{clock, metrics, relay, webhook};

/// Name of the file of webhook keys in the data directory.
const WEBHOOK_KEYS_FILE: &str = "webhook.keys";
/// Resolution of deadlines.
const TICK: Duration = Duration::from_millis(200);

/// Why the coordinator did not start, or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The identity file cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityFileError),
    /// The database cannot be opened.
    #[allow(missing_docs, reason = "the fields are named for what they hold")]
    #[error("{path}: {source}")]
    Store { path: PathBuf, source: StoreError },
    /// The keys of webhooks cannot be used.
    #[error(transparent)]
    WebhookKeys(#[from] WebhookKeyError),
    /// Those who joined by invitation cannot be read, or exclude others.
    #[error(transparent)]
    Joined(#[from] JoinedError),
    /// The key of invitations cannot be derived.
    #[error(transparent)]
    Key(#[from] IdentityError),
    /// The QUIC port for nodes is not available.
    #[error(transparent)]
    Quic(#[from] countersign_link::hub::BindError),
    /// The TCP port of the API is not available.
    #[allow(missing_docs, reason = "the fields are named for what they hold")]
    #[error("cannot listen on TCP {address} ({reason}); free the port or change `listen_http`")]
    Http {
        address: SocketAddr,
        reason: std::io::Error,
    },
    /// The certificate of the API cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsFileError),
    /// The address for metrics is not available.
    #[error(
        "cannot listen on metrics.listen: {0}; choose another port, or stop the program that uses it"
    )]
    Metrics(std::io::Error),
    /// The push of metrics cannot be set up.
    #[error(transparent)]
    Push(#[from] PushError),
    /// A part ended that should have run until the stop.
    #[error(
        "a part of the coordinator died ({0}); start it again, and report it if it does not stay up"
    )]
    Died(String),
}

/// Signals from outside.
pub struct Signals<F> {
    /// Resolves when the coordinator is to stop.
    pub shutdown: F,
    /// New configurations, already validated.
    pub reload: mpsc::Receiver<Config>,
    /// The log, which follows the configuration in force; `None`: it stays as it is.
    pub log: Option<Arc<Log>>,
}

impl<F> std::fmt::Debug for Signals<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signals").finish_non_exhaustive()
    }
}

/// A running coordinator. Dropping it stops it without waiting; [`stop`](Self::stop) waits.
pub struct Coordinator {
    /// The identity, which nodes pin.
    pub id: CoordinatorId,
    /// Address of the API.
    pub http: SocketAddr,
    /// Address for nodes.
    pub quic: SocketAddr,
    /// Address of `/metrics`, if the operator wants it.
    pub metrics: Option<SocketAddr>,
    config: Config,
    registry: Arc<TaskRegistry>,
    hub: Arc<Hub>,
    book: Arc<Book>,
    keys: Arc<ApiKeys>,
    /// Names the certificate's files; absent without TLS.
    certificate: Option<watch::Sender<TlsFiles>>,
    stop: watch::Sender<bool>,
    parts: JoinSet<()>,
}

impl std::fmt::Debug for Coordinator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { id, http, quic, .. } = self;
        f.debug_struct("Coordinator")
            .field("id", id)
            .field("http", http)
            .field("quic", quic)
            .finish_non_exhaustive()
    }
}

/// Runs until it is told to stop, then stops in order. If a part of it dies it stops as well, with
/// an error: a supervisor then restarts it, where a crippled coordinator would take tasks
/// and never advance them.
pub async fn run(
    config: Config,
    signals: Signals<impl Future<Output = ()>>,
) -> Result<(), RunError> {
    Coordinator::start(config).await?.attend(signals).await
}

impl Coordinator {
    /// Binds the ports and starts. Port 0 becomes a free port.
    pub async fn start(config: Config) -> Result<Self, RunError> {
        Self::begin(config, Versions::SPOKEN, None).await
    }

    /// Starts with these protocol versions: tests play an earlier release with them.
    pub async fn start_speaking(config: Config, spoken: Versions) -> Result<Self, RunError> {
        Self::begin(config, spoken, None).await
    }

    /// Starts with a recorder that sees every byte relayed between nodes: tests prove with it that
    /// the coordinator can read none of them.
    pub async fn start_recorded(
        config: Config,
        recorder: Option<Recorder>,
    ) -> Result<Self, RunError> {
        Self::begin(config, Versions::SPOKEN, recorder).await
    }

    async fn begin(
        config: Config,
        spoken: Versions,
        recorder: Option<Recorder>,
    ) -> Result<Self, RunError> {
        let (identity, id) = identity::load(&config.identity_file())?;
        let certificate = config.tls.clone().map(watch::Sender::new);
        let renewed = certificate
            .as_ref()
            .map(|files| Renewal::begin(files.subscribe()));
        let (tls, renewal) = renewed.transpose()?.unzip();
        let registry = Arc::new(open_registry(&config)?);
        let keys = Arc::new(ApiKeys::new(config.api_keys.clone()));
        keys.load(registry.store())
            .map_err(|source| RunError::Store {
                path: config.database_file(),
                source,
            })?;
        let book = Book::new(config.clone(), registry.clone(), keys.clone());
        let book = Arc::new(book);
        // Compares the files with each other and with the keys that were made.
        book.replace(config.clone())?;
        let invitations = Invitations::of(&config.data, &identity, id)?;
        let desk = Arc::new(Desk::new(invitations, book.clone(), registry.clone()));
        let hub = Arc::new(Hub::bind_open(
            config.listen_quic,
            &identity,
            relay::admits(&registry),
            relay::guests(&desk),
            recorder,
        )?);
        let quic = hub.address();
        let (listener, http) = listen(config.listen_http).await?;
        let watched = listener::bind(&config.metrics).await;
        let watched = watched.map_err(RunError::Metrics)?;
        let pusher = metrics::pusher(&config)?;
        let stop = watch::Sender::new(false);
        keys.accepted().set_window(config.request_window);
        let mut parts = JoinSet::new();
        parts.spawn(relay::serve(
            hub.clone(),
            registry.clone(),
            desk.clone(),
            spoken,
            stop.subscribe(),
        ));
        parts.spawn(invitation::look_after(desk, stop.subscribe()));
        parts.spawn(tell_time(registry.clone(), stop.subscribe()));
        let keys_file = config.data.join(WEBHOOK_KEYS_FILE);
        let signing = SigningKeys::open(&keys_file, clock::now())?;
        let webhooks =
            Webhooks::open(registry.clone(), signing).map_err(|source| RunError::Store {
                path: config.database_file(),
                source,
            })?;
        let webhooks = Arc::new(webhooks);
        parts.spawn(webhook::serve(webhooks.clone(), stop.subscribe()));
        let app = App {
            id,
            identity: identity.clone(),
            registry: registry.clone(),
            keys: keys.clone(),
            stop: stop.subscribe(),
            patience: Patience::default(),
            bodies: Bodies::default(),
            streams: Streams::default(),
            webhooks,
        };
        let sources = Sources {
            registry: registry.clone(),
            webhooks: app.webhooks.clone(),
            streams: app.streams.clone(),
            database: config.database_file(),
            tls: tls.clone(),
        };
        let metrics = watched
            .as_ref()
            .and_then(|listener| listener.local_addr().ok());
        show_metrics(sources, &config.metrics, watched, pusher, &stop, &mut parts);
        let mut told = stop.subscribe();
        let until = async move { stopped(&mut told).await };
        let router = router(Arc::new(app));
        match tls.clone() {
            Some(tls) => parts.spawn(countersign_door::serve_tls(
                listener, tls, router, LIMITS, until,
            )),
            None => parts.spawn(countersign_door::serve(listener, router, LIMITS, until)),
        };
        if let Some(renewal) = renewal {
            parts.spawn(renewal.run(tls::PERIOD, stop.subscribe()));
        }
        info!(%id, %http, %quic, tls = tls.is_some(), "coordinator runs");
        Ok(Self {
            id,
            http,
            quic,
            metrics,
            config,
            registry,
            hub,
            book,
            keys,
            certificate,
            stop,
            parts,
        })
    }

    /// Runs until told to stop, or until a part dies.
    async fn attend(mut self, signals: Signals<impl Future<Output = ()>>) -> Result<(), RunError> {
        let Signals {
            shutdown,
            mut reload,
            log,
        } = signals;
        let mut shutdown = std::pin::pin!(shutdown);
        let ended = loop {
            tokio::select! {
                () = &mut shutdown => break Ok(()),
                Some(config) = reload.recv() => {
                    self.reload(config);
                    follow(log.clone(), self.config.log.clone()).await;
                }
                died = self.part_died() => break Err(died),
            }
        };
        self.stop().await;
        ended
    }

    /// Applies the settings that may change at run time: nodes, requesters, API keys, limits and
    /// the files of the certificate, which are read again in any case. Logs those that need a
    /// restart.
    pub fn reload(&mut self, config: Config) {
        for (key, changed) in [
            ("listen_http", config.listen_http != self.config.listen_http),
            ("listen_quic", config.listen_quic != self.config.listen_quic),
            ("data", config.data != self.config.data),
            ("tls", config.tls.is_some() != self.certificate.is_some()),
            ("metrics", config.metrics != self.config.metrics),
        ] {
            if changed {
                warn!("`{key}` has changed, which takes effect at the next start");
            }
        }
        let rules = self.config.rules != config.rules;
        let keys = self.config.api_keys != config.api_keys;
        if let Err(error) = self.book.replace(config.clone()) {
            return error!(%error, "the new configuration is not applied; the present one stays in force");
        }
        self.keys.accepted().set_window(config.request_window);
        if let (Some(certificate), Some(files)) = (&self.certificate, &config.tls) {
            certificate.send_replace(files.clone());
        }
        relay::dismiss(&self.hub, &self.registry);
        info!(
            rules,
            keys,
            nodes = self.registry.rules().nodes.len(),
            "the configuration was read again"
        );
        let listen_http = self.config.listen_http;
        let listen_quic = self.config.listen_quic;
        let data = self.config.data.clone();
        let metrics = self.config.metrics.clone();
        self.config = Config {
            listen_http,
            listen_quic,
            data,
            metrics,
            ..config
        };
    }

    /// Resolves if a part ends that should run until the stop.
    async fn part_died(&mut self) -> RunError {
        match self.parts.join_next().await {
            Some(Err(error)) => RunError::Died(error.to_string()),
            Some(Ok(())) => match self.registry.store().check() {
                Err(error) => RunError::Died(error.to_string()),
                Ok(()) => RunError::Died("it ended by itself".into()),
            },
            None => RunError::Died("no part runs".into()),
        }
    }

    /// Stops taking requests, lets those under way finish, tells the nodes, and
    /// commits what is pending.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while let Some(ended) = self.parts.join_next().await {
            if let Err(error) = ended {
                error!(%error, "a part of the coordinator panicked");
            }
        }
        let store = self.registry.store();
        if let Err(error) = store.durable(store.now()).await {
            error!(%error, "the last changes are not stored");
        }
        info!("coordinator stopped");
    }
}

/// Resolves when the coordinator is to stop. A dropped sender counts as a stop.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        tracing::debug!("the coordinator was dropped");
    }
}

/// Puts settings of the log in force, and opens its file again, on a thread that may block.
async fn follow(log: Option<Arc<Log>>, settings: countersign_log::Settings) {
    let Some(log) = log else { return };
    let applied = tokio::task::spawn_blocking(move || log.apply(&settings)).await;
    match applied {
        Ok(Ok(())) => {}
        Ok(Err(error)) => error!(%error, "the settings of the log did not change"),
        Err(error) => error!(%error, "the settings of the log did not change; report this"),
    }
}

/// Serves metrics and pushes them, as far as the operator wants it.
fn show_metrics(
    sources: Sources,
    settings: &Settings,
    listener: Option<TcpListener>,
    pusher: Option<Pusher>,
    stop: &watch::Sender<bool>,
    parts: &mut JoinSet<()>,
) {
    let counters = sources.registry.counters().clone();
    let look: Look = Arc::new(move || {
        let sources = sources.clone();
        Box::pin(async move {
            let report = tokio::task::spawn_blocking(move || sources.report()).await;
            report.unwrap_or_else(|error| Report {
                sheet: Sheet::default(),
                not_ready: vec![format!("the metrics cannot be read ({error}); report this")],
            })
        })
    });
    let ended = CancellationToken::new();
    if let Some(pusher) = pusher {
        let count = move |written| counters.push(written);
        parts.spawn(influx::follow(pusher, look.clone(), count, ended.clone()));
    }
    if let Some(listener) = listener {
        let settings = settings.clone();
        let bounds = Bounds::default();
        let stop = ended.clone();
        parts.spawn(listener::serve(
            listener, TABLE, settings, look, bounds, stop,
        ));
    }
    let mut told = stop.subscribe();
    parts.spawn(async move {
        stopped(&mut told).await;
        ended.cancel();
    });
}

fn open_registry(config: &Config) -> Result<TaskRegistry, RunError> {
    let path = config.database_file();
    let registry =
        Store::open(&path).and_then(|store| TaskRegistry::open(config.rules.clone(), store));
    registry.map_err(|source| RunError::Store { path, source })
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), RunError> {
    let failed = |reason| RunError::Http { address, reason };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// Enforces deadlines, until the stop or until nothing can be stored any more.
async fn tell_time(registry: Arc<TaskRegistry>, mut stop: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => registry.tick(clock::now()),
            () = stopped(&mut stop) => return,
        }
        if let Err(error) = registry.store().check() {
            return error!(%error, "nothing can be stored any more: the coordinator stops");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A coordinator on ports of its own, without signals.
    async fn started(
        dir: &std::path::Path,
    ) -> (Coordinator, mpsc::Sender<Config>, mpsc::Receiver<Config>) {
        identity::create(&dir.join(crate::config::IDENTITY_FILE)).unwrap();
        let text = "data: .\nlisten_http: 127.0.0.1:0\nlisten_quic: 127.0.0.1:0\n";
        let config = Config::parse(text, dir).unwrap();
        let (sender, reload) = mpsc::channel(1);
        (Coordinator::start(config).await.unwrap(), sender, reload)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_coordinator_of_which_a_part_has_died_ends() {
        let dir = tempfile::tempdir().unwrap();
        let (mut coordinator, _sender, reload) = started(dir.path()).await;
        coordinator.parts.spawn(async { panic!("on purpose") });
        let ended = coordinator
            .attend(Signals {
                shutdown: std::future::pending(),
                reload,
                log: None,
            })
            .await;
        assert!(matches!(ended, Err(RunError::Died(_))), "{ended:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_coordinator_that_is_told_to_stop_ends_well() {
        let dir = tempfile::tempdir().unwrap();
        let (coordinator, _sender, reload) = started(dir.path()).await;
        coordinator
            .attend(Signals {
                shutdown: std::future::ready(()),
                reload,
                log: None,
            })
            .await
            .unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn metrics_are_served_where_the_operator_wants_them_until_the_stop() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let dir = tempfile::tempdir().unwrap();
        identity::create(&dir.path().join(crate::config::IDENTITY_FILE)).unwrap();
        let text = "data: .\nlisten_http: 127.0.0.1:0\nlisten_quic: 127.0.0.1:0\n\
                    metrics: {listen: '127.0.0.1:0', job: tests, name_prefix: my_}\n";
        let config = Config::parse(text, dir.path()).unwrap();
        let coordinator = Coordinator::start(config).await.unwrap();
        let address = coordinator.metrics.unwrap();
        let ask = async |path: &str| {
            let mut stream = tokio::net::TcpStream::connect(address).await?;
            let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            Ok::<_, std::io::Error>(answer)
        };
        let metrics = ask("/metrics").await.unwrap();
        let ready = "my_countersign_coordinator_ready{job=\"tests\"} 1.0\n";
        assert!(metrics.contains(ready), "{metrics}");
        assert!(ask("/ready").await.unwrap().ends_with("ready\n"));
        coordinator.stop().await;
        assert!(ask("/live").await.is_err());
    }
}
