//! Wires a node from its configuration, runs it, and stops it without losing a session
//! that can still finish.

use std::sync::Arc;
use std::time::Duration;

use countersign_metrics::listener::{self, Bounds};
use countersign_metrics::{Look, influx};
use countersign_protocol::Versions;
use countersign_store::Journal;
use tokio::signal::unix::Signal;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::admin::Administered;
use crate::bundle::life::BundleLife;
use crate::calendar::Schedule;
use crate::config::Config;
use crate::dispatch::Dispatch;
use crate::events::Deliveries;
use crate::high_water::{self, Watermarks};
use crate::key_switch;
use crate::metrics::{Snapshot, Sources, TABLE};
use crate::parts::Parts;
pub use crate::reload::OnReload;
use crate::reload::Reload;
use crate::retention::Retention;
use crate::risk::{Housekeeping, PolicyWatch};
pub use crate::start_error::{PART_DIED, STORE_FAILED, StartError};
use crate::store_watch;
use crate::task::gossip::{self, Exchange};
use crate::task::{AdmissionControl, JobContext, Services, Sessions, TaskService, counting, uses};
use crate::vault::Vault;
use crate::wiring::Node;
use crate::world::World;

/// Time for running sessions to finish once the node is told to stop.
const GRACE: Duration = Duration::from_secs(25);
/// Time for monitoring to read the reason before a failed node exits. Every
/// task is refused meanwhile.
const FAREWELL: Duration = Duration::from_secs(2);
/// Time for the coordinator to agree that it offers nothing more.
const LAST_OFFERS: Duration = Duration::from_secs(2);
/// Time for the last reports to leave.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// Runs a node until `shutdown` is cancelled or a vital part fails.
pub async fn run(
    config: Config,
    vault: Vault,
    shutdown: CancellationToken,
) -> Result<(), StartError> {
    run_with(config, vault, shutdown, Arc::new(|_| ())).await
}

/// Like [`run`], and tells the caller of each configuration that was read again and put in force.
pub async fn run_with(
    config: Config,
    vault: Vault,
    shutdown: CancellationToken,
    told: OnReload,
) -> Result<(), StartError> {
    run_speaking(config, vault, shutdown, told, Versions::SPOKEN).await
}

/// Like [`run_with`], in these protocol versions: tests play an earlier release with them.
pub async fn run_speaking(
    config: Config,
    vault: Vault,
    shutdown: CancellationToken,
    told: OnReload,
    speaks: Versions,
) -> Result<(), StartError> {
    let hangup = crate::risk::hangup();
    let mut node = Node::build(config, vault, World::system()).await?;
    node.speaks = speaks;
    key_switch::align_all(&node.journal, &node.vault, node.world.now())?;
    node.reconcile()?;
    crate::risk::note_start(&node.guard, &node.config, &node.journal, node.world.now())?;
    node.publish()?;
    node.run(hangup, told, shutdown).await
}

impl Node {
    /// Starts every part, then runs until the node has to stop.
    async fn run(
        mut self,
        hangup: Option<Signal>,
        told: OnReload,
        shutdown: CancellationToken,
    ) -> Result<(), StartError> {
        let mut parts = Parts::default();
        self.watch_policy(hangup, told, &mut parts)?;
        self.deliver_events(&mut parts);
        self.show_metrics(&mut parts);
        tracing::info!(node = %self.own.id(), "node started");
        if self.twins.is_known() {
            tracing::error!(
                "another process runs with the identity of this node, which takes part in nothing until you run `countersign-node quarantine lift-twin`"
            );
        }
        self.talk_to_peers(&mut parts);
        self.look_after_itself(&mut parts)?;
        self.serve(parts, shutdown).await
    }

    fn watch_policy(
        &mut self,
        hangup: Option<Signal>,
        told: OnReload,
        parts: &mut Parts,
    ) -> Result<(), StartError> {
        let housekeeping = Housekeeping {
            config: self.config.clone(),
            guard: self.guard.clone(),
            receivers: self.receivers.clone(),
            journal: self.journal.clone(),
        };
        let Some(contacts) = self.asked.take() else {
            return Ok(());
        };
        let Some(bundle_requests) = self.bundle_requests.take() else {
            return Ok(());
        };
        let bundles = BundleLife::new(
            &self.config,
            self.bundles.clone(),
            self.journal.clone(),
            self.world.clone(),
            self.board.clone(),
        )?;
        let watch = PolicyWatch {
            housekeeping: housekeeping.clone(),
            counters: self.register.counters.clone(),
            reload: Reload {
                live: self.live.clone(),
                router: self.router.clone(),
                twins: self.twins.clone(),
                journal: self.journal.clone(),
                world: self.world.clone(),
                told,
            },
            public: self.public.clone(),
            contacts,
            bundles,
            bundle_requests,
            world: self.world.clone(),
        };
        parts.run(
            "the plugin watch",
            watch.follow(hangup, self.stopping.clone()),
        );
        let receivers = self.receivers.clone();
        parts.send("the receiver loader", async move {
            receivers.load_all().await;
            housekeeping.sweep().await;
        });
        let guard = self.guard.clone();
        let stopping = self.stopping.clone();
        parts.run("the plugin health checks", async move {
            stopping.run_until_cancelled(guard.monitor()).await;
        });
        Ok(())
    }

    fn deliver_events(&self, parts: &mut Parts) {
        let deliveries = Deliveries {
            events: self.register.events.clone(),
            journal: self.journal.clone(),
            receivers: self.receivers.clone(),
            entries: self.config.receivers.clone(),
            counters: self.register.counters.clone(),
            world: self.world.clone(),
            stopping: self.stopping.clone(),
        };
        crate::events::deliver(deliveries, parts);
    }

    fn sources(&self) -> Sources {
        Sources {
            me: self.own.id(),
            dir: self.config.dir.clone(),
            config: self.live.clone(),
            counters: self.register.counters.clone(),
            journal: self.journal.clone(),
            vault: self.vault.clone(),
            twins: self.twins.clone(),
            router: self.router.clone(),
            guard: self.guard.clone(),
            receivers: self.receivers.clone(),
            check_ups: self.check_ups.clone(),
            aux: self.aux.clone(),
            board: self.board.clone(),
            pushes: self.config.metrics.influx.is_some(),
            stopping: self.stopping.clone(),
        }
    }

    fn show_metrics(&mut self, parts: &mut Parts) {
        let sources = self.sources();
        let look: Look = Arc::new(move || {
            let sources = sources.clone();
            Box::pin(async move { Snapshot::of(sources).await.report() })
        });
        let stop = self.stopping.clone();
        if let Some(pusher) = self.pusher.take() {
            let counters = self.register.counters.clone();
            let count = move |written| counters.push(written);
            parts.run(
                "the metrics push",
                influx::follow(pusher, look.clone(), count, stop.clone()),
            );
        }
        if let Some(listener) = self.metrics.take() {
            let settings = self.config.metrics.clone();
            let bounds = Bounds::default();
            parts.run(
                "the metrics listener",
                listener::serve(listener, TABLE, settings, look, bounds, stop),
            );
        }
    }

    fn talk_to_peers(&self, parts: &mut Parts) {
        let exchange = Exchange {
            participant: self.participant.clone(),
            router: self.router.clone(),
        };
        let watermarks = Watermarks {
            own: self.own.clone(),
            world: self.world.clone(),
            journal: self.journal.clone(),
            own_mark: self.own_mark.clone(),
            router: self.router.clone(),
            exchange: exchange.clone(),
            counters: self.register.counters.clone(),
        };
        parts.run(
            "the high-water exchange",
            high_water::follow(watermarks, self.stopping.clone()),
        );
        if let Some(hearing) = self.router.hearing() {
            parts.run(
                "the generation exchange",
                gossip::follow(exchange, hearing, self.stopping.clone()),
            );
        }
        if let Some(counting) = self.router.counting() {
            parts.run(
                "the reports of signatures",
                uses::tell(
                    self.uses.clone(),
                    self.world.clone(),
                    self.router.clone(),
                    counting.answers,
                    self.stopping.clone(),
                ),
            );
            let counter = counting::Counter {
                world: self.world.clone(),
                journal: self.journal.clone(),
                admission: self.admission(),
                asker: self.asker.clone(),
                guard: self.guard.clone(),
                router: self.router.clone(),
            };
            parts.run(
                "the count of peers' signatures",
                counting::hear(counter, counting.told, self.stopping.clone()),
            );
        }
    }

    fn look_after_itself(&self, parts: &mut Parts) -> Result<(), StartError> {
        let stopping = || self.stopping.clone();
        let primes =
            self.aux
                .primes
                .keep_full(self.vault.clone(), self.config.prime_sets, stopping())?;
        parts.run("the prime pool", primes);
        let sources = self.sources();
        let administered = Administered {
            dir: self.config.dir.clone(),
            vault: self.vault.clone(),
            public: self.public.clone(),
            receivers: self.receivers.clone(),
            twins: self.twins.clone(),
            participant: self.participant.clone(),
            drain: self.drain.clone(),
            contacts: self.contacts.clone(),
            bundles: self.bundles.clone(),
            look: Arc::new(move || Box::pin(Snapshot::of(sources.clone()))),
        };
        parts.run(
            "the admin socket",
            crate::admin::serve(administered, stopping()),
        );
        parts.run(
            "the settlement of reshares",
            self.participant.clone().follow(stopping()),
        );
        if let Some(every) = self.config.check_up {
            let schedule = Schedule {
                every,
                me: self.own.id(),
                world: self.world.clone(),
                journal: self.journal.clone(),
                vault: self.vault.clone(),
                results: self.check_ups.clone(),
                public: self.public.clone(),
            };
            parts.run("the check-ups", schedule.follow(stopping()));
        }
        if let Some(keep) = self.config.retention {
            let retention = Retention {
                keep,
                own: self.own.clone(),
                journal: self.journal.clone(),
                world: self.world.clone(),
            };
            parts.run("the retention", retention.follow(stopping()));
        }
        parts.run(
            "the store watch",
            store_watch::follow(self.journal.clone(), self.vault.clone(), stopping()),
        );
        Ok(())
    }

    fn admission(&self) -> Arc<AdmissionControl> {
        Arc::new(AdmissionControl {
            me: self.own.id(),
            world: self.world.clone(),
            journal: self.journal.clone(),
            config: self.live.clone(),
        })
    }

    fn tasks(&self) -> Result<Arc<TaskService>, StartError> {
        let jobs = JobContext {
            own: self.own.clone(),
            world: self.world.clone(),
            config: self.live.clone(),
            pools: self.aux.pools.clone(),
            vault: self.vault.clone(),
            aux: self.aux.clone(),
            participant: self.participant.clone(),
        };
        let sessions = Sessions {
            own: self.own.clone(),
            world: self.world.clone(),
            router: self.router.clone(),
            own_mark: self.own_mark.clone(),
            reporter: self.reporter.clone(),
            jobs: Arc::new(jobs),
        };
        Ok(TaskService::new(Services {
            me: self.own.id(),
            world: self.world.clone(),
            register: self.register.clone(),
            admission: self.admission(),
            asker: self.asker.clone(),
            guard: self.guard.clone(),
            sessions: Arc::new(sessions),
            participant: self.participant.clone(),
            uses: self.uses.clone(),
            aux: self.aux.clone(),
            reporter: self.reporter.clone(),
            twins: self.twins.clone(),
            restored: self.journal.restored_at()?,
            tasks: self.config.tasks,
            drain: self.drain.clone(),
            stopping: self.stopping.clone(),
        }))
    }

    async fn serve(self, mut parts: Parts, shutdown: CancellationToken) -> Result<(), StartError> {
        let mut trouble = troubles(&self.journal, &self.vault);
        let service = self.tasks()?;
        let router = self.router.clone();
        let mut routed = tokio::spawn(async move { router.run(self.frames).await });
        let hang_up = CancellationToken::new();
        let counters = self.register.counters.clone();
        let dispatch = Dispatch {
            own: self.own,
            world: self.world,
            coordinator: self.coordinator,
            dir: self.config.dir.clone(),
            tasks: self.config.tasks,
            participant: self.participant,
            service: service.clone(),
            router: self.router,
            twins: self.twins,
            guard: self.guard,
            board: self.board,
            counters: counters.clone(),
            reporter: self.reporter,
            reports: self.reports,
            drain: self.drain.clone(),
            speaks: self.speaks,
            offers: self.speaks.newest,
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
            counters.fail();
            // A monitor that polls every second sees the reason; every task is refused meanwhile.
            tokio::time::sleep(FAREWELL).await;
        } else {
            // A task that is offered to a node that is gone waits for its time limit.
            self.drain.want(true);
            drop(tokio::time::timeout(LAST_OFFERS, self.drain.taken_effect()).await);
        }
        self.stopping.cancel();
        // No session can finish without the link or the router.
        let grace = if reason.is_ok() {
            GRACE
        } else {
            Duration::ZERO
        };
        service.drain(grace).await;
        tokio::time::sleep(LAST_WORDS).await;
        hang_up.cancel();
        if !linked.is_finished()
            && let Err(error) = linked.await
        {
            tracing::error!(%error, "the link did not end cleanly");
        }
        // All parts were told to stop; this lets the admin socket, for one, remove its file.
        drop(tokio::time::timeout(LAST_WORDS, parts.ended()).await);
        tracing::info!("stopped");
        reason
    }
}

/// Forwards failures of the journal and the vault.
fn troubles(journal: &Journal, vault: &Vault) -> mpsc::Receiver<String> {
    let (told, troubles) = mpsc::channel(2);
    for trouble in [journal.trouble(), vault.trouble()] {
        let told = told.clone();
        // There is room for both; a failed send means that the node has ended.
        trouble.listen(move |why| drop(told.try_send(why.to_owned())));
    }
    troubles
}

/// Waits until the node is told to stop, or until a part that it cannot do without has ended.
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
            tracing::error!(why, "ALARM: the node's store has failed; the node signs nothing more and stops");
            return Err(StartError::Store(why));
        }
        died = parts.died() => {
            tracing::error!(how = died.how, "ALARM: {} ended unexpectedly; the node stops", died.part);
            return Err(StartError::Died(died.part));
        }
        ended = routed => ("the frame router", ended),
        ended = linked => ("the link to the coordinator", ended),
    };
    let how = ended
        .err()
        .map_or_else(|| "without error".into(), |error| error.to_string());
    tracing::error!(how, "ALARM: {what} ended unexpectedly; the node stops");
    Err(StartError::Died(what))
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

    #[test]
    fn systemd_lets_a_node_end_by_itself() {
        let folder = env!("CARGO_MANIFEST_DIR");
        let unit = format!("{folder}/../packaging/systemd/countersign-node.service");
        let unit = std::fs::read_to_string(unit).unwrap();
        let mut lines = unit.lines();
        let limit = lines.find_map(|line| line.strip_prefix("TimeoutStopSec="));
        let limit = Duration::from_secs(limit.unwrap().parse().unwrap());
        let own = LAST_OFFERS.max(FAREWELL) + GRACE + crate::task::GOODBYE + 2 * LAST_WORDS;
        assert!(limit > own, "{own:?}");
    }

    /// A full disk also ends the parts that write to it.
    #[tokio::test]
    async fn a_failed_store_is_the_reason_though_parts_have_died_of_it() {
        let shutdown = CancellationToken::new();
        let (told, mut trouble) = mpsc::channel(2);
        told.send("the disk is full".into()).await.unwrap();
        let mut parts = Parts::default();
        parts.run("a part", async {});
        tokio::task::yield_now().await;
        let mut routed = tokio::spawn(async {});
        let end = until_end(
            &shutdown,
            &mut trouble,
            &mut parts,
            &mut routed,
            &mut pending(),
        )
        .await;
        assert!(matches!(&end, Err(StartError::Store(_))), "{end:?}");
    }

    #[tokio::test]
    async fn a_node_that_was_told_to_stop_stops_without_error_whatever_fails_meanwhile() {
        let shutdown = CancellationToken::new();
        shutdown.cancel();
        let (told, mut trouble) = mpsc::channel(2);
        told.send("the disk is full".into()).await.unwrap();
        let mut parts = Parts::default();
        parts.run("a part", async {});
        tokio::task::yield_now().await;
        let end = until_end(
            &shutdown,
            &mut trouble,
            &mut parts,
            &mut pending(),
            &mut pending(),
        )
        .await;
        assert!(end.is_ok(), "{end:?}");
    }

    #[tokio::test]
    async fn trouble_of_the_journal_and_of_the_secrets_is_told() {
        let node = crate::test_node::TestNode::build().await;
        let mut trouble = troubles(&node.journal, &node.parts.vault);
        assert!(trouble.try_recv().is_err());
        let dir = node.dir.path();
        std::fs::remove_file(dir.join(countersign_store::journal::JOURNAL_FILE)).unwrap();
        assert!(node.journal.check().is_err());
        assert!(trouble.try_recv().is_ok(), "of the journal");
        std::fs::remove_file(dir.join("secrets.redb.age")).unwrap();
        assert!(node.parts.vault.check().is_err());
        assert!(trouble.try_recv().is_ok(), "of the secrets");
    }
}
