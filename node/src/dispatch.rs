//! The link to the coordinator: dials, says hello, passes offers to the task service and sends
//! reports back. It trusts only messages that somebody else has signed.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_link::dial::DialError;
use countersign_link::{Closed, Link, PeerKey, Reconnect};
use countersign_protocol::contact::Contact;
use countersign_protocol::control::{FromNode, Held, ToNode};
use countersign_protocol::text::escaped;
use countersign_protocol::twin::TwinMark;
use countersign_protocol::{NodeStatus, TaskId, Versions, decode, encode};
use countersign_store::Journal;
use rand::RngCore;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::config::Coordinator;
use crate::contacts;
use crate::drain::Drain;
use crate::metrics::Counters;
use crate::node_key::NodeKey;
use crate::off_thread::{off_thread, with_journal};
use crate::report::Reporter;
use crate::risk::Guard;
use crate::session::Router;
use crate::status::{self, SOFTWARE};
use crate::task::{Asked, Offered, Participant, TaskService, participant, settle};
use crate::twins::Twins;
use crate::world::World;

/// Interval between two looks at what the node says of itself.
const LOOK: Duration = Duration::from_secs(1);
/// The node says it again after this time although nothing has changed, so that its clock can be
/// compared.
const REPEAT_MS: u64 = 300_000;

/// The reason why a link ended.
type Ended = String;

/// The coordinator's answer to the first frame.
enum Welcomed {
    /// The link is up. `software` is safe to print.
    Linked { software: String },
    /// The link is refused: another process is alive under this node's identity.
    Twin(Box<TwinMark>),
}

pub struct Dispatch {
    pub own: NodeKey,
    /// Provides the randomness of the pauses between attempts.
    pub world: World,
    pub coordinator: Coordinator,
    /// The node's folder, which has the coordinator's proposals.
    pub dir: PathBuf,
    /// Reported to the coordinator as this node's capacity.
    pub tasks: usize,
    pub participant: Arc<Participant>,
    pub service: Arc<TaskService>,
    /// Runs the tunnels to other nodes through the link.
    pub router: Arc<Router>,
    pub twins: Arc<Twins>,
    /// Its plugins are described to the coordinator.
    pub guard: Arc<Guard>,
    /// Records whether the node is online.
    pub counters: Arc<Counters>,
    pub reporter: Reporter,
    /// Reports of tasks, sent while there is a link.
    pub reports: mpsc::Receiver<FromNode>,
    pub drain: Arc<Drain>,
    pub versions: Offers,
}

/// The protocol version that the next hello offers.
#[derive(Debug)]
pub struct Offers(u16);

impl Default for Offers {
    fn default() -> Self {
        Self(Versions::SPOKEN.newest)
    }
}

impl Offers {
    /// Takes the version to offer now. The attempt after this one offers the newest again: the
    /// coordinator may have been updated, or have closed for another reason than the version.
    fn take(&mut self) -> u16 {
        std::mem::take(self).0
    }

    /// Lets the next attempt offer the version before `version`, with which the coordinator closed
    /// the connection.
    fn closed(&mut self, version: u16) {
        self.0 = Versions::SPOKEN.after(version);
    }
}

impl Dispatch {
    /// Keeps the link up until `stop` is cancelled.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut reconnect = Reconnect::link();
        while !stop.is_cancelled() {
            let ended = stop.run_until_cancelled(self.once(&mut reconnect)).await;
            self.counters.set_online(false);
            self.drain.unlinked();
            self.router.mesh().detach();
            let Some(reason) = ended else { break };
            let delay = reconnect.lost(Instant::now(), self.world.rng().next_u64());
            tracing::warn!(%reason, retry_ms = delay.as_millis() as u64, "no link to the coordinator");
            self.idle(delay, &stop).await;
        }
    }

    /// Runs one link, from dialling until it ends.
    async fn once(&mut self, reconnect: &mut Reconnect) -> Ended {
        let version = self.versions.take();
        let link = match self.dial(version).await {
            Ok(link) => link,
            Err(error) => return error,
        };
        let mut sender = link.control.sender;
        let mut receiver = link.control.receiver;
        match welcomed(&link.welcome, version) {
            Ok(Welcomed::Twin(mark)) => {
                if self.twins.learn(&mark).await {
                    self.service
                        .cancel_all("another process has the identity of this node");
                }
                // Proves to the other process that the coordinator did not invent this one.
                if let Err(error) = sender.send(&encode(&self.twins.alive(mark.instance))).await {
                    return error.to_string();
                }
                return link.handle.closed().await.to_string();
            }
            Ok(Welcomed::Linked { software }) => {
                tracing::info!(coordinator = %self.coordinator.id, %software, "linked");
            }
            Err(ended) => return ended,
        }
        reconnect.connected(Instant::now());
        self.router.mesh().attach(link.pairs);
        self.counters.set_online(true);
        self.drain.linked(version);
        let own = self.own.clone();
        let news = with_journal(self.journal(), move |journal| {
            participant::news(&own, journal)
        })
        .await;
        let news = news.unwrap_or_else(|error| {
            tracing::error!(%error, "the keys of this node were not reported to the coordinator");
            Vec::new()
        });
        let tasks = self.tasks as u32;
        let mut told = status::look(&self.guard, &self.world);
        let capacity = FromNode::Capacity { tasks };
        let first = [capacity, described(&told), FromNode::AskContacts];
        let news = first.into_iter().chain(news);
        for news in news.filter(|frame| frame.since() <= version) {
            if let Err(error) = sender.send(&encode(&news)).await {
                return error.to_string();
            }
        }
        let drain = self.drain.clone();
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = looks.tick() => {
                    let seen = status::look(&self.guard, &self.world);
                    let is_old = seen.clock.0.saturating_sub(told.clock.0) >= REPEAT_MS;
                    if is_old || !status::is_same(&told, &seen) {
                        told = seen;
                        if let Err(error) = sender.send(&encode(&described(&told))).await {
                            return error.to_string();
                        }
                    }
                }
                frame = receiver.recv() => match frame {
                    Ok(Some(frame)) => self.dispatch(&frame).await,
                    Ok(None) => return link.handle.closed().await.to_string(),
                    Err(_) => return link.handle.closed().await.to_string(),
                },
                () = drain.changed() => {
                    let Some(frame) = drain.untold() else { continue };
                    if let Err(error) = sender.send(&encode(&frame)).await {
                        return error.to_string();
                    }
                }
                Some(report) = self.reports.recv() => {
                    if let Err(error) = sender.send(&encode(&report)).await {
                        return error.to_string();
                    }
                }
            }
        }
    }

    async fn dial(&mut self, version: u16) -> Result<Link, Ended> {
        let coordinator = &self.coordinator;
        let address = resolve(&coordinator.address).await?;
        let hello = FromNode::HelloAs {
            instance: self.twins.instance(),
            protocol: version,
            software: SOFTWARE.into(),
            pending: self.pending().await,
        };
        let coordinator = PeerKey(*coordinator.id.as_bytes());
        let link = countersign_link::dial::connect(
            address,
            self.own.identity(),
            coordinator,
            &encode(&hello),
        )
        .await;
        if let Err(DialError::Closed(Closed::ByPeer { .. })) = &link {
            self.versions.closed(version);
        }
        link.map_err(|error| error.to_string())
    }

    fn journal(&self) -> &Journal {
        &self.participant.register.journal
    }

    async fn pending(&self) -> Vec<TaskId> {
        with_journal(self.journal(), settle::waiting)
            .await
            .unwrap_or_default()
    }

    async fn dispatch(&self, frame: &[u8]) {
        match decode::<ToNode>(frame) {
            Ok(ToNode::Offer { task, parties }) => self.service.offer(Offered {
                signed: task,
                parties,
            }),
            Ok(ToNode::Preflight { ask, task, parties }) => self.service.preflight(Asked {
                ask,
                signed: task,
                parties,
            }),
            Ok(ToNode::Start { task }) => self.service.start(task),
            Ok(ToNode::Cancel { task, reason }) => self.service.cancel(task, &reason),
            Ok(ToNode::Settle { task, descriptor }) => {
                self.participant.settle(task, *descriptor).await;
            }
            Ok(ToNode::AbortVote { task, ack }) => self.participant.abort_vote(task, ack).await,
            Ok(ToNode::Replaced { generations }) => self.participant.replaced(generations).await,
            Ok(ToNode::Show { keys }) => self.show(keys).await,
            Ok(ToNode::Probe { other }) => self.reporter.send(self.twins.alive(other)),
            Ok(ToNode::Twin { mark }) => {
                if self.twins.learn(&mark).await {
                    self.service
                        .cancel_all("another process has the identity of this node");
                }
            }
            Ok(ToNode::Twins { node, marks }) => self.twins.hear_of(node, &marks).await,
            Ok(ToNode::Draining { .. }) => self.drain.answered(),
            Ok(ToNode::Contacts { contacts }) => self.keep(contacts).await,
            Ok(ToNode::Welcome { .. } | ToNode::NotJoined { .. }) => {
                tracing::warn!("a second welcome was ignored");
            }
            Err(error) => tracing::warn!(%error, "a frame from the coordinator was ignored"),
        }
    }

    /// Keeps what the coordinator proposes, for the operator.
    async fn keep(&self, contacts: Vec<Contact>) {
        let dir = self.dir.clone();
        let me = self.own.id();
        match off_thread(move || contacts::propose(&dir, &me, contacts)).await {
            Ok(news) if news.is_empty() => {}
            Ok(news) => {
                let names: Vec<&str> = news.iter().map(Contact::name).collect();
                tracing::info!(
                    "the coordinator proposes {}; compare their words with their owners, then run `countersign-node roster confirm`",
                    names.join(", ")
                );
            }
            Err(error) => {
                tracing::warn!(%error, "what the coordinator proposes was not kept; check the disk");
            }
        }
    }

    /// Sends the proofs of generations that the coordinator does not know.
    async fn show(&self, keys: Vec<Held>) {
        match with_journal(self.journal(), move |journal| {
            participant::shown(journal, &keys)
        })
        .await
        {
            Ok(generations) => self.reporter.send(FromNode::Generations { generations }),
            Err(error) => {
                tracing::error!(%error, "the generations of this node's keys were not sent to the coordinator")
            }
        }
    }

    /// Waits, and drops the reports of tasks meanwhile: the coordinator asks again.
    async fn idle(&mut self, delay: Duration, stop: &CancellationToken) {
        let until = tokio::time::Instant::now() + delay;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep_until(until) => return,
                Some(_) = self.reports.recv() => {}
            }
        }
    }
}

fn described(status: &NodeStatus) -> FromNode {
    let status = Box::new(status.clone());
    FromNode::Status { status }
}

/// Reads the coordinator's answer to a hello of this version.
fn welcomed(welcome: &[u8], version: u16) -> Result<Welcomed, Ended> {
    match decode::<ToNode>(welcome) {
        Ok(ToNode::Twin { mark }) => Ok(Welcomed::Twin(mark)),
        Ok(ToNode::Welcome { protocol, software }) if protocol == version => {
            let software = escaped(&software);
            Ok(Welcomed::Linked { software })
        }
        Ok(_) | Err(_) => {
            Err("the coordinator speaks another version; update the older program".into())
        }
    }
}

async fn resolve(address: &str) -> Result<SocketAddr, Ended> {
    let advice = "correct coordinator.address in the configuration";
    let mut found = tokio::net::lookup_host(address)
        .await
        .map_err(|error| format!("cannot resolve {address}: {error}; {advice}"))?;
    found
        .next()
        .ok_or_else(|| format!("{address} resolves to nothing; {advice}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::gossip::tests::own;

    fn welcome(protocol: u16, software: &str) -> Vec<u8> {
        encode(&ToNode::Welcome {
            protocol,
            software: software.into(),
        })
    }

    #[test]
    fn an_older_version_is_offered_once_after_a_refusal_and_then_the_newest_again() {
        let Versions { oldest, newest } = Versions::SPOKEN;
        let mut versions = Offers::default();
        assert_eq!(versions.take(), newest);
        versions.closed(newest);
        assert_eq!(versions.take(), newest - 1);
        // It was linked, or nobody answered.
        assert_eq!(versions.take(), newest);
        versions.closed(newest);
        assert_eq!(versions.take(), oldest);
        versions.closed(oldest);
        assert_eq!(versions.take(), newest);
    }

    #[test]
    fn a_coordinator_of_this_version_is_welcome_and_cannot_write_to_the_terminal() {
        let Ok(Welcomed::Linked { software }) = welcomed(&welcome(1, "c 1\u{1b}[2J"), 1) else {
            panic!("linked")
        };
        assert!(software.starts_with("c 1") && !software.contains('\u{1b}'));
    }

    #[test]
    fn a_coordinator_of_another_version_is_left_with_the_advice_to_update() {
        let stray = encode(&ToNode::Start {
            task: TaskId([1; 16]),
        });
        for answer in [
            welcome(3, "c 3"),
            welcome(1, "c 1"),
            stray,
            Vec::new(),
            vec![0xff; 9],
        ] {
            let ended = welcomed(&answer, 2).err().unwrap();
            assert!(ended.ends_with("update the older program"), "{ended}");
        }
    }

    #[test]
    fn a_link_that_is_refused_because_of_a_twin_carries_the_proof() {
        let own = own(1);
        let mark = TwinMark::sign(&own.id(), [1; 16], [2; 16], &own);
        let refused = encode(&ToNode::Twin {
            mark: mark.clone().into(),
        });
        assert!(matches!(welcomed(&refused, 2), Ok(Welcomed::Twin(proof)) if *proof == mark));
    }

    #[tokio::test]
    async fn an_address_that_cannot_be_dialled_is_to_be_corrected_in_the_configuration() {
        let refused = resolve("no port").await.unwrap_err();
        assert!(refused.starts_with("cannot resolve no port: "), "{refused}");
        assert!(refused.ends_with("correct coordinator.address in the configuration"));
        assert_eq!(
            resolve("127.0.0.1:4433").await.unwrap(),
            SocketAddr::from(([127, 0, 0, 1], 4433))
        );
    }
}
