//! How far nodes have come: peers remember it of each other, so that an older copy of a node's files is noticed.
//!
//! A thief or an unlucky administrator who puts back an old disk image brings back old shares and an old task register. The
//! node itself cannot know; its peers can. Nothing is decided by what a peer says: it makes alarms, for both operators.

use crate::core::Core;
use crate::session::PeerNews;
use countersign_link::PeerKey;
use countersign_protocol::control::{Held, MAX_HELD};
use countersign_protocol::frame::{Body, Frame, HighWater, NO_TASK};
use countersign_protocol::{KeyId, NodeId, encode};
use countersign_store::{Journal, PeerMark, ReadJournalError};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Alarms that are not raised again until the node restarts.
const MAX_RAISED: usize = 1024;

/// Tells peers how far this node has come, and compares what they say, until the node stops.
pub async fn follow(core: Arc<Core>, mut news: mpsc::Receiver<PeerNews>) {
    let mut raised = HashSet::new();
    while let Some(Some(news)) = core.stopping.run_until_cancelled(news.recv()).await {
        match news {
            PeerNews::Up(peer) => tell(&core, peer).await,
            PeerNews::Said(peer, Body::HighWater(said)) => compare(&core, peer, said, &mut raised).await,
            PeerNews::Said(peer, Body::Behind(then)) => {
                let text = format!(
                    "{peer} remembers this node at generation {} of its secrets and {} audit entries, which is further than it is now: this store is an older copy, stop the node and restore the newest backup",
                    then.secrets, then.audit
                );
                alarm(&core, text, &mut raised).await;
            }
            PeerNews::Said(..) => {}
        }
    }
}

async fn tell(core: &Arc<Core>, peer: NodeId) {
    let Ok(secrets) = core.vault.generation() else { return };
    let me = core.me;
    match core.journal(move |journal| mine(journal, secrets, &me, &peer)).await {
        Ok(mine) => send(core, peer, Body::HighWater(mine)).await,
        Err(error) => tracing::warn!(%error, "how far this node has come is not known"),
    }
}

async fn send(core: &Core, peer: NodeId, body: Body) {
    let frame = encode(&Frame { task: NO_TASK, seq: 0, body });
    if let Err(error) = core.router.mesh().send(&PeerKey(*peer.as_bytes()), frame).await {
        tracing::debug!(%peer, %error, "how far this node has come was not sent");
    }
}

/// What this node says to `peer`.
fn mine(journal: &Journal, secrets: u64, me: &NodeId, peer: &NodeId) -> Result<HighWater, ReadJournalError> {
    Ok(HighWater { secrets, audit: journal.audit_entries()?, keys: shared(journal, me, peer)? })
}

/// The keys that both hold.
fn shared(journal: &Journal, me: &NodeId, peer: &NodeId) -> Result<Vec<Held>, ReadJournalError> {
    let held = journal.shared_keys(&[*me, *peer])?.into_iter().take(MAX_HELD);
    Ok(held.map(|(key, generation)| Held { key, generation }).collect())
}

async fn compare(core: &Arc<Core>, peer: NodeId, said: HighWater, raised: &mut HashSet<String>) {
    let (me, now) = (core.me, core.now());
    let compared = core.journal(move |journal| {
        let findings = findings(journal, &me, &peer, &said)?;
        let mark = PeerMark { secrets: said.secrets, audit: said.audit, at: now };
        journal.raise_peer(peer, mark).map_err(|error| error.to_string())?;
        Ok::<_, String>(findings)
    });
    match compared.await {
        Ok(Findings { behind, alarms }) => {
            if let Some(then) = behind {
                send(core, peer, Body::Behind(then)).await;
            }
            for text in alarms {
                alarm(core, text, raised).await;
            }
        }
        Err(error) => tracing::warn!(%peer, error, "what the peer says of itself was not compared"),
    }
}

/// What follows from a peer's word.
#[derive(Debug, Default, PartialEq, Eq)]
struct Findings {
    /// What it had said before, if that was more.
    behind: Option<HighWater>,
    alarms: Vec<String>,
}

fn findings(journal: &Journal, me: &NodeId, peer: &NodeId, said: &HighWater) -> Result<Findings, String> {
    let read = |error: ReadJournalError| error.to_string();
    let mut findings = Findings::default();
    if let Some(known) = journal.peer(peer).map_err(read)?.filter(|known| known.is_above(said)) {
        findings.alarms.push(format!(
            "{peer} had come to generation {} of its secrets and {} audit entries, and now says {} and {}: its store is an older copy; ask its operator",
            known.secrets, known.audit, said.secrets, said.audit
        ));
        findings.behind = Some(HighWater { secrets: known.secrets, audit: known.audit, keys: Vec::new() });
    }
    let mine: HashMap<KeyId, u32> =
        shared(journal, me, peer).map_err(read)?.iter().map(|held| (held.key, held.generation)).collect();
    let mut others = BTreeMap::new();
    for held in
        said.keys.iter().filter(|held| mine.get(&held.key).is_some_and(|mine| *mine != held.generation))
    {
        others.entry(held.key).or_insert(held.generation);
    }
    for (key, generation) in others {
        findings.alarms.push(format!(
            "{peer} holds generation {generation} of {key}, and this node generation {}: a reshare is not settled, or one of the two stores is an older copy",
            mine[&key]
        ));
    }
    Ok(findings)
}

/// Once for each text: a peer whose tunnel comes and goes fills no log.
async fn alarm(core: &Arc<Core>, text: String, raised: &mut HashSet<String>) {
    if raised.len() >= MAX_RAISED || !raised.insert(text.clone()) {
        return;
    }
    tracing::error!("{text}");
    let now = core.now();
    if let Err(error) = core.journal(move |journal| journal.alarm(now, None, &text)).await {
        tracing::error!(%error, "the alarm was not recorded");
    }
}
