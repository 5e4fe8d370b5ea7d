//! The link to the coordinator: dials, says hello, brings offers to the desk and reports back.
//! Never believes a word that is not signed by somebody else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use countersign_link::{Identity, Link, PeerKey, Reconnect};
use countersign_protocol::control::{FromNode, Held, ToNode};
use countersign_protocol::text::escaped;
use countersign_protocol::{PROTOCOL_VERSION, TaskId, decode, encode};
use rand::RngCore;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::core::Core;
use crate::task::{Desk, Offered, handover, settle};
use crate::twins;

/// How a link ended.
type Ended = String;

/// The link of one node.
pub struct Dispatch {
    /// What tasks share.
    pub core: Arc<Core>,
    /// Where offers go.
    pub desk: Arc<Desk>,
    /// This node's key.
    pub identity: Arc<Identity>,
    /// What tasks report.
    pub reports: mpsc::Receiver<FromNode>,
}

impl Dispatch {
    /// Keeps the link up until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut reconnect = Reconnect::link();
        while !stop.is_cancelled() {
            let ended = stop.run_until_cancelled(self.once(&mut reconnect)).await;
            self.core.tally.set_online(false);
            self.core.router.mesh().detach();
            let Some(reason) = ended else { break };
            let delay = reconnect.lost(Instant::now(), rand::rngs::OsRng.next_u64());
            tracing::warn!(%reason, retry_ms = delay.as_millis() as u64, "no link to the coordinator");
            self.idle(delay, &stop).await;
        }
    }

    /// One link from dialling to its end.
    async fn once(&mut self, reconnect: &mut Reconnect) -> Ended {
        let link = match self.dial().await {
            Ok(link) => link,
            Err(error) => return error,
        };
        let mut sender = link.control.sender;
        let mut receiver = link.control.receiver;
        match decode::<ToNode>(&link.welcome) {
            Ok(ToNode::Twin { mark }) => {
                if twins::learn(&self.core, &mark).await {
                    self.desk
                        .cancel_all("another process has the identity of this node");
                }
                // For the other one, which learns by it that this one is no invention of the
                // coordinator.
                if let Err(error) = sender
                    .send(&encode(&twins::alive(&self.core, mark.instance)))
                    .await
                {
                    return error.to_string();
                }
                return link.handle.closed().await.to_string();
            }
            Ok(ToNode::Welcome {
                protocol: PROTOCOL_VERSION,
                software,
            }) => {
                let software = escaped(&software);
                tracing::info!(coordinator = %self.core.coordinator.id, %software, "linked");
            }
            Ok(_) | Err(_) => {
                return "the coordinator speaks another version; update the older program".into();
            }
        }
        reconnect.connected(Instant::now());
        self.core.router.mesh().attach(link.pairs);
        self.core.tally.set_online(true);
        let core = self.core.clone();
        let news = self
            .core
            .journal(move |journal| handover::news(core.me, &*core.signer, journal))
            .await;
        let news = news.unwrap_or_else(|error| {
            tracing::error!(%error, "the coordinator is not told which keys this node holds");
            Vec::new()
        });
        let tasks = u32::try_from(self.core.config.tasks).unwrap_or(u32::MAX);
        for news in [FromNode::Capacity { tasks }].into_iter().chain(news) {
            if let Err(error) = sender.send(&encode(&news)).await {
                return error.to_string();
            }
        }
        loop {
            tokio::select! {
                frame = receiver.recv() => match frame {
                    Ok(Some(frame)) => self.dispatch(&frame).await,
                    Ok(None) => return link.handle.closed().await.to_string(),
                    Err(_) => return link.handle.closed().await.to_string(),
                },
                Some(report) = self.reports.recv() => {
                    if let Err(error) = sender.send(&encode(&report)).await {
                        return error.to_string();
                    }
                }
            }
        }
    }

    async fn dial(&self) -> Result<Link, Ended> {
        let coordinator = &self.core.coordinator;
        let address = resolve(&coordinator.address).await?;
        let hello = FromNode::HelloAs {
            instance: self.core.twins.instance(),
            protocol: PROTOCOL_VERSION,
            software: format!("countersign-node {}", env!("CARGO_PKG_VERSION")),
            pending: self.pending().await,
        };
        let coordinator = PeerKey(*coordinator.id.as_bytes());
        let link =
            countersign_link::dial::connect(address, &self.identity, coordinator, &encode(&hello))
                .await;
        link.map_err(|error| error.to_string())
    }

    async fn pending(&self) -> Vec<TaskId> {
        self.core.journal(settle::waiting).await.unwrap_or_default()
    }

    async fn dispatch(&self, frame: &[u8]) {
        match decode::<ToNode>(frame) {
            Ok(ToNode::Offer { task, parties }) => self.desk.offer(Offered {
                signed: task,
                parties,
            }),
            Ok(ToNode::Start { task }) => self.desk.start(task),
            Ok(ToNode::Cancel { task, reason }) => self.desk.cancel(task, &reason),
            Ok(ToNode::Settle { task, announcement }) => {
                handover::settle(&self.core, task, *announcement).await;
            }
            Ok(ToNode::Void { task, mark }) => handover::void(&self.core, task, mark).await,
            Ok(ToNode::Replaced { generations }) => {
                handover::replaced(&self.core, generations).await
            }
            Ok(ToNode::Show { keys }) => self.show(keys).await,
            Ok(ToNode::Probe { other }) => self.core.reporter.send(twins::alive(&self.core, other)),
            Ok(ToNode::Twin { mark }) => {
                if twins::learn(&self.core, &mark).await {
                    self.desk
                        .cancel_all("another process has the identity of this node");
                }
            }
            Ok(ToNode::Twins { node, marks }) => twins::hear_of(&self.core, node, &marks).await,
            Ok(ToNode::Welcome { .. }) => tracing::warn!("a second welcome was ignored"),
            Err(error) => tracing::warn!(%error, "a frame of the coordinator was ignored"),
        }
    }

    /// Shows what this node has of keys that the coordinator does not know.
    async fn show(&self, keys: Vec<Held>) {
        match self
            .core
            .journal(move |journal| handover::shown(journal, &keys))
            .await
        {
            Ok(generations) => self
                .core
                .reporter
                .send(FromNode::Generations { generations }),
            Err(error) => {
                tracing::error!(%error, "the coordinator is not shown the keys of this node")
            }
        }
    }

    /// Waits; what tasks report meanwhile is dropped, because the coordinator asks again.
    async fn idle(&mut self, delay: std::time::Duration, stop: &CancellationToken) {
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

async fn resolve(address: &str) -> Result<SocketAddr, Ended> {
    let advice = "correct coordinator.address in the configuration";
    let mut found = tokio::net::lookup_host(address)
        .await
        .map_err(|error| format!("cannot resolve {address}: {error}; {advice}"))?;
    found
        .next()
        .ok_or_else(|| format!("{address} resolves to nothing; {advice}"))
}
