//! The link to the coordinator: dials, says hello, passes offers to the task service and sends
//! reports back. It trusts only messages that somebody else has signed.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_link::dial::DialError;
use countersign_link::{Closed, Link, PeerKey, Reconnect};
use countersign_protocol::contact::{Contact, MAX_CONTACTS};
use countersign_protocol::control::{FromNode, Held, ToNode};
use countersign_protocol::text::escaped;
use countersign_protocol::twin::TwinMark;
use countersign_protocol::version::REFUSED_VERSION;
use countersign_protocol::{NodeStatus, TaskId, Versions, decode, encode};
use countersign_store::Journal;
use rand::RngCore;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::bundle::BundleBoard;
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

/// Shortest time between two writes of the coordinator's proposals.
const KEEP_PAUSE: Duration = Duration::from_secs(5);
/// Shortest time between two lines of the log about proposals.
const TELL_PAUSE: Duration = Duration::from_secs(60);
/// Most names in such a line.
const NAMES: usize = 10;

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
    /// So are its policy bundles.
    pub board: Arc<BundleBoard>,
    /// Records whether the node is online.
    pub counters: Arc<Counters>,
    pub reporter: Reporter,
    /// Reports of tasks, sent while there is a link.
    pub reports: mpsc::Receiver<FromNode>,
    pub drain: Arc<Drain>,
    /// The protocol versions that it speaks.
    pub speaks: Versions,
    /// The one of them that the next hello offers.
    pub offers: u16,
}

impl Dispatch {
    /// Keeps the link up until `stop` is cancelled.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut reconnect = Reconnect::link();
        while !stop.is_cancelled() {
            let offered = self.offers;
            let ended = stop.run_until_cancelled(self.once(&mut reconnect)).await;
            self.counters.set_online(false);
            self.drain.unlinked();
            self.router.mesh().detach();
            let Some(reason) = ended else { break };
            if self.offers < offered {
                tracing::info!(%reason, "the coordinator is offered an older version");
                continue;
            }
            let delay = reconnect.lost(Instant::now(), self.world.rng().next_u64());
            tracing::warn!(%reason, retry_ms = delay.as_millis() as u64, "no link to the coordinator");
            self.idle(delay, &stop).await;
        }
    }

    /// Runs one link, from dialling until it ends.
    async fn once(&mut self, reconnect: &mut Reconnect) -> Ended {
        let version = self.offers;
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
                tracing::info!(coordinator = %self.coordinator.id, %software, version, "linked");
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
        let mut told = status::look(&self.guard, &self.board, &self.world);
        let capacity = FromNode::Capacity { tasks };
        let first = [capacity, described(&told, version), FromNode::AskContacts];
        let news = first.into_iter().chain(news);
        for news in news.filter(|frame| frame.since() <= version) {
            if let Err(error) = sender.send(&encode(&news)).await {
                return error.to_string();
            }
        }
        let drain = self.drain.clone();
        let mut proposals = Proposals::default();
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = looks.tick() => {
                    self.keep(&mut proposals).await;
                    let seen = status::look(&self.guard, &self.board, &self.world);
                    let is_old = seen.clock.0.saturating_sub(told.clock.0) >= REPEAT_MS;
                    if is_old || !status::is_same(&told, &seen) {
                        told = seen;
                        let frame = described(&told, version);
                        if let Err(error) = sender.send(&encode(&frame)).await {
                            return error.to_string();
                        }
                    }
                }
                frame = receiver.recv() => match frame {
                    Ok(Some(frame)) => self.dispatch(&frame, &mut proposals).await,
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
        self.offers = next_offer(&link, self.speaks, version);
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

    async fn dispatch(&self, frame: &[u8], proposals: &mut Proposals) {
        match decode::<ToNode>(frame) {
            Ok(ToNode::Offer { task, parties }) => self.service.offer(Offered {
                signed: task,
                parties,
                votes: Vec::new(),
            }),
            Ok(ToNode::OfferVoted {
                task,
                parties,
                votes,
            }) => self.service.offer(Offered {
                signed: task,
                parties,
                votes,
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
            Ok(ToNode::Contacts { contacts }) => proposals.hear(contacts),
            Ok(ToNode::Welcome { .. } | ToNode::NotJoined { .. }) => {
                tracing::warn!("a second welcome was ignored");
            }
            Err(error) => tracing::warn!(%error, "a frame from the coordinator was ignored"),
        }
    }

    /// Keeps what the coordinator proposes, for the operator.
    async fn keep(&self, proposals: &mut Proposals) {
        if let Some(contacts) = proposals.due(Instant::now()) {
            let dir = self.dir.clone();
            let me = self.own.id();
            match off_thread(move || contacts::propose(&dir, &me, contacts)).await {
                Ok(news) => proposals.note(&news),
                Err(error) => {
                    tracing::warn!(%error, "what the coordinator proposes was not kept; check the disk");
                }
            }
        }
        if let Some(line) = proposals.line(Instant::now()) {
            tracing::info!("{line}");
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

/// The version to offer after this attempt. Only a coordinator that does not speak a version makes
/// the node go back to an older one. After every link the newest is due again: the coordinator may
/// have been updated.
fn next_offer<L>(attempt: &Result<L, DialError>, speaks: Versions, offered: u16) -> u16 {
    match attempt {
        Ok(_) => speaks.newest,
        Err(DialError::Closed(Closed::ByPeer { reason })) if reason.contains(REFUSED_VERSION) => {
            speaks.after(offered)
        }
        Err(_) => offered,
    }
}

/// What the coordinator proposes over one link. It costs one write in a while, and one line of the
/// log in a longer one, however often the coordinator changes its mind.
#[derive(Debug, Default)]
struct Proposals {
    /// The last that were heard.
    heard: Option<Vec<Contact>>,
    /// True if they are not kept yet.
    changed: bool,
    kept: Option<Instant>,
    /// Those that the log has not told of: their number, and the first names.
    untold: usize,
    names: Vec<String>,
    told: Option<Instant>,
}

impl Proposals {
    fn hear(&mut self, mut contacts: Vec<Contact>) {
        contacts.truncate(MAX_CONTACTS);
        if self.heard.as_ref() != Some(&contacts) {
            self.heard = Some(contacts);
            self.changed = true;
        }
    }

    /// The proposals that are to be kept now, if any are.
    fn due(&mut self, now: Instant) -> Option<Vec<Contact>> {
        if !self.changed || !has_passed(KEEP_PAUSE, self.kept, now) {
            return None;
        }
        self.changed = false;
        self.kept = Some(now);
        self.heard.clone()
    }

    fn note(&mut self, news: &[Contact]) {
        self.untold += news.len();
        let room = NAMES.saturating_sub(self.names.len());
        let names = news.iter().map(|contact| contact.name().to_owned());
        self.names.extend(names.take(room));
    }

    /// The line for the log, if it is time for one.
    fn line(&mut self, now: Instant) -> Option<String> {
        if self.untold == 0 || !has_passed(TELL_PAUSE, self.told, now) {
            return None;
        }
        self.told = Some(now);
        let names = std::mem::take(&mut self.names);
        let more = match std::mem::take(&mut self.untold) - names.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Some(format!(
            "the coordinator proposes {}{more}; compare their words with their owners, then run `countersign-node roster confirm`",
            names.join(", ")
        ))
    }
}

fn has_passed(pause: Duration, last: Option<Instant>, now: Instant) -> bool {
    last.is_none_or(|last| now.saturating_duration_since(last) >= pause)
}

/// The frame that describes the node in this version.
fn described(status: &NodeStatus, version: u16) -> FromNode {
    let whole = FromNode::StatusWithBundles {
        status: Box::new(status.clone()),
    };
    if whole.since() <= version {
        return whole;
    }
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
    fn a_coordinator_of_this_version_is_welcome_and_cannot_write_to_the_terminal() {
        let Ok(Welcomed::Linked { software }) = welcomed(&welcome(1, "c 1\u{1b}[2J"), 1) else {
            panic!("linked")
        };
        assert!(software.starts_with("c 1") && !software.contains('\u{1b}'));
    }

    fn contact(name: String) -> Contact {
        let id = own(2).id();
        Contact::Node { name, id }
    }

    #[test]
    fn a_coordinator_that_changes_its_proposals_all_the_time_costs_few_writes_and_lines() {
        let mut proposals = Proposals::default();
        let start = Instant::now();
        let mut writes = Vec::new();
        let mut lines = Vec::new();
        for second in 0..120 {
            proposals.hear(vec![contact(format!("n{second}"))]);
            let now = start + Duration::from_secs(second);
            if let Some(kept) = proposals.due(now) {
                proposals.note(&kept);
                writes.push(kept[0].name().to_owned());
            }
            lines.extend(proposals.line(now));
        }
        assert_eq!(writes.len(), 24);
        assert_eq!(writes.last().unwrap(), "n115", "the newest");
        assert_eq!(lines.len(), 2);
        assert!(
            lines[0].starts_with("the coordinator proposes n0;"),
            "{lines:?}"
        );
        assert!(lines[1].contains("n50 and 2 more;"), "{lines:?}");
    }

    #[test]
    fn proposals_that_did_not_change_are_not_written_again() {
        let mut proposals = Proposals::default();
        let start = Instant::now();
        let all = vec![contact("n".into()); MAX_CONTACTS + 5];
        proposals.hear(all.clone());
        assert_eq!(proposals.due(start).unwrap().len(), MAX_CONTACTS);
        proposals.hear(all);
        let later = start + KEEP_PAUSE * 2;
        assert_eq!(proposals.due(later), None);
        proposals.hear(vec![]);
        assert_eq!(proposals.due(later), Some(vec![]));
        assert_eq!(proposals.line(later), None, "there is no news");
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
    fn only_a_coordinator_that_does_not_speak_a_version_is_offered_an_older_one() {
        let speaks = Versions {
            oldest: 3,
            newest: 5,
        };
        let closed = |reason: &str| {
            let reason = reason.into();
            Err::<(), _>(DialError::Closed(Closed::ByPeer { reason }))
        };
        // The words of the first release.
        let refused =
            "the node speaks protocol version 5, this coordinator 1; update the older one";
        for (attempt, offered, next) in [
            (closed(refused), 5, 4),
            (closed(refused), 4, 3),
            (closed(refused), 3, 5),
            (closed("the coordinator stops"), 5, 5),
            (closed("the coordinator stops"), 4, 4),
            (Err(DialError::TimedOut), 4, 4),
            (Ok(()), 4, 5),
        ] {
            assert_eq!(next_offer(&attempt, speaks, offered), next, "{attempt:?}");
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

    /// A coordinator of the first version would refuse the frame, and close the link.
    #[test]
    fn a_coordinator_of_the_first_version_is_told_nothing_of_bundles() {
        let status = NodeStatus::default();
        let since = |version| described(&status, version).since();
        assert_eq!([1, 2].map(since), [1, 2]);
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
