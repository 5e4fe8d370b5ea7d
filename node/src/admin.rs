//! `admin.sock`: serves the node's own command line while the node runs and holds the journal. The
//! socket lies in the node's folder, which only the node's user can enter. Anyone who can reach it
//! can replace every file of the node anyway; it grants no more than that: lifting a quarantine or
//! a twin, accepting the proof of a generation, copying the sealed files for a backup, noting that
//! a backup was made or tried, draining the node, having it read its configuration again,
//! moving between published policy bundles, and signing what its journal says for an auditor: never
//! bytes that come through the socket.
//!
//! Each connection carries one question, a line of JSON, answered by JSON until the
//! end of the stream.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream as Client;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_audit::{Checkpoint, Policy, SignedHead};
use countersign_protocol::{GenerationProof, Hash, KeyId, NodeId, TaskId, UnixMillis};
use countersign_store::{
    AuditEntry, AuditError, AuditHead, Difference, Generation, Journal, JournalOpenError,
    KeyRecord, PreparedReshare, Proof, Quarantine, ReadJournalError, Stop, WriteJournalError,
    Written,
};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::audit_export::{self, Exported};
use crate::backup::Staged;
use crate::bundle::life::{BundleAnswer, BundleRequest};
use crate::bundle::status::BundleStatus;
use crate::drain::Drain;
use crate::events::{LiveReceiver, Receivers};
use crate::off_thread::{off_thread, with_journal};
use crate::overview::{Look, Overview};
use crate::past_decisions::PastDecisions;
use crate::public::{self, LivePlugin, PublicFile};
use crate::reload::ContactsRequest;
pub use crate::reload::TakenUp;
use crate::task::Participant;
use crate::task::participant::{self, Learned};
use crate::twins::Twins;
use crate::vault::Vault;
use crate::world::now;

const SOCKET: &str = "admin.sock";
/// Maximum size of a question in bytes.
const QUESTION: u64 = 64 * 1024;
/// Maximum key records per answer: a few hundred kilobytes.
const KEYS: usize = 256;
/// Maximum time between a node's start and its listening on the socket.
const STARTING: Duration = Duration::from_secs(5);
/// Time limit for reading a question, and for most answers.
const PATIENCE: Duration = Duration::from_secs(10);
/// Time limit for answers for which all of the audit log is read.
const LONG_PATIENCE: Duration = Duration::from_secs(10 * 60);

/// A question of the command line to the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    /// The recording of the decision on a task.
    Recording(TaskId),
    /// A page of the recorded decisions of one plugin, the oldest first.
    PastDecisions {
        /// The plugin's entry in the configuration.
        plugin: String,
        /// Only tasks that were received at this time or later.
        since: UnixMillis,
        /// The position at which the page begins: 0, or [`PastDecisions::next`] of the one before.
        from: u64,
    },
    /// The newest decisions with which a shadow plugin disagreed, at most this many.
    Differences(usize),
    /// The state of plugins and receivers. Only a running node can tell.
    Plugins,
    /// The prepared reshares: those for which this node has stored a next share.
    PreparedReshares,
    /// Key records in the order of their ids.
    Keys {
        /// Start after this key; from the first one if absent.
        after: Option<KeyId>,
        /// Maximum number of records, capped at 256.
        most: usize,
    },
    /// The record of this key; the answer is empty if it is unknown.
    Key(KeyId),
    /// The keys that other nodes hold now, or that this node holds in a later generation.
    Moved,
    /// The proofs of a key's generations.
    Proof(KeyId),
    /// Adopt a generation that comes with its proof.
    Learn(Box<GenerationProof>),
    /// Verify the hash chain of the whole audit log.
    VerifyAudit,
    /// Entries of the audit log.
    Audit {
        /// Number of the first entry; the last `limit` entries if absent.
        from: Option<u64>,
        /// Maximum number of entries.
        limit: u64,
    },
    /// The records of these tasks, signed. Only a running node signs.
    AuditRecords(Vec<TaskId>),
    /// The configurations with these digests, at most 64.
    AuditPolicies(Vec<Hash>),
    /// What this node has signed about its deletions.
    AuditCheckpoints,
    /// Find the part of the audit log that is about a time, and sign what it is. Only a running
    /// node signs.
    SignAudit {
        /// The beginning of the time.
        from: UnixMillis,
        /// Its end, which is not part of it.
        to: UnixMillis,
    },
    /// The peers quarantined for certain keys, and the keys that are stopped.
    Quarantines,
    /// End the quarantine of a peer, or the stop of a key.
    Lift {
        /// The quarantined or stopped key.
        key: KeyId,
        /// The quarantined peer; if absent, lifts the stop that names no peer.
        peer: Option<NodeId>,
    },
    /// The operator has ended the other process that used this node's identity.
    LiftTwin,
    /// Copy the files for a backup. Only a running node does.
    StageBackup,
    /// Note that the operator has done this now.
    Note(Care),
    /// Take no new tasks, or take them again; absent: only tell. Only a running node does.
    Drain(Option<bool>),
    /// Put new entries of `requesters` and `roster` in force. Only a running node does.
    TakeContacts,
    /// An overview. Only a running node has one.
    Overview,
    /// Take the policy bundle in this file. Only a running node does.
    TakeBundle(PathBuf),
    /// Return to the policy bundle before the present one. Only a running node does.
    RollBackBundle,
    /// Take back the policy bundle that waits. Only a running node does.
    WithdrawBundle,
    /// The state of the policy bundles. Only a running node tells.
    Bundles,
}

/// Something that an operator does regularly. Metrics show when it was done last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Care {
    /// A backup of this node was made.
    Backup,
    /// A backup of this node was proven to be usable.
    Drill,
}

/// An answer of the node; the variants correspond to those of [`Question`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Answers [`Question::Recording`]; `None` if there is none.
    Recording(Option<TaskRecording>),
    /// Answers [`Question::PastDecisions`].
    PastDecisions(PastDecisions),
    /// Answers [`Question::Differences`], the newest first.
    Differences(Vec<Difference>),
    /// Answers [`Question::Plugins`] of a running node.
    Plugins {
        /// In the order in which the plugins are asked.
        plugins: Vec<LivePlugin>,
        /// In the order of the configuration.
        receivers: Vec<LiveReceiver>,
    },
    /// Answers [`Question::PreparedReshares`] from the journal.
    PreparedReshares(Vec<PreparedReshare>),
    /// Answers [`Question::Keys`] and [`Question::Key`].
    Keys(Vec<KeyRecord>),
    /// Answers [`Question::Moved`] from the journal.
    Moved(Vec<MovedKey>),
    /// Answers [`Question::Proof`], oldest first; empty if the key is unknown.
    Proof(Vec<GenerationProof>),
    /// Answers [`Question::Learn`]; true if the generation was new.
    Learnt(bool),
    /// Answers [`Question::VerifyAudit`] if the log is intact.
    AuditHead(AuditHead),
    /// Answers [`Question::Audit`], oldest entry first.
    Audit(Vec<AuditEntry>),
    /// Answers [`Question::AuditRecords`]: the first of them, as many as fit into an answer.
    AuditRecords(Vec<Exported>),
    /// Answers [`Question::AuditPolicies`], without those that are not kept.
    AuditPolicies(Vec<Policy>),
    /// Answers [`Question::AuditCheckpoints`], the oldest first.
    AuditCheckpoints(Vec<Checkpoint>),
    /// Answers [`Question::SignAudit`].
    SignedAudit(SignedHead),
    /// Answers [`Question::Quarantines`] from the journal.
    Quarantines {
        /// Quarantined peers, one entry per key and peer.
        peers: Vec<Quarantine>,
        /// Keys that no longer sign, with certain signers or at all.
        keys: Vec<Stop>,
    },
    /// Answers [`Question::Lift`]; true if there was one.
    Lifted(bool),
    /// Answers [`Question::StageBackup`]: the location of the copies.
    Staged(Staged),
    /// Answers [`Question::Note`], which is now in the journal.
    Noted,
    /// Answers [`Question::TakeContacts`].
    TakenUp(TakenUp),
    /// Answers [`Question::Overview`].
    Overview(Box<Overview>),
    /// Answers the questions about policy bundles: their state afterwards.
    Bundles(Box<BundleStatus>),
    /// Answers [`Question::Drain`].
    Draining {
        /// True if no new tasks are wanted.
        draining: bool,
        /// True if no new task can reach the node any more.
        in_effect: bool,
        /// Number of tasks under way.
        tasks: u64,
    },
    /// The question could not be answered, for this reason.
    Failed(String),
}

/// A key that is in a later generation than the one it was created in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovedKey {
    /// The latest generation known to this node.
    pub record: KeyRecord,
    /// Members that have confirmed that this generation is in force with them.
    pub in_force: Vec<NodeId>,
    /// Members that have not yet confirmed that they know everything they need.
    pub unheard: Vec<NodeId>,
}

/// A recorded decision, as the journal keeps it and can prove it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRecording {
    /// Number of the audit entry that vouches for the rest.
    pub entry: u64,
    /// False if an older program wrote the recording without vouching for it: the entry then
    /// covers the verdicts only.
    pub vouched: bool,
    /// Configuration documents that were kept, by their SHA-256 digest.
    pub configurations: BTreeMap<Hash, String>,
    /// The recording; pass it to `countersign_host::Recording::decode`.
    #[serde(with = "hex")]
    pub recording: Vec<u8>,
    /// The exact bytes that the requester signed.
    #[serde(with = "hex")]
    pub task: Vec<u8>,
}

/// Reasons why a question was not answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// A node is running but does not answer.
    #[error("the running node does not answer: {0}; try again, and check its log")]
    Node(String),
    /// The running node cannot answer, and gives this reason.
    #[error("{0}")]
    Told(String),
    /// No node is running, and its journal cannot be opened.
    #[error(transparent)]
    Open(#[from] JournalOpenError),
    /// The journal cannot be read, or has been tampered with.
    #[error(transparent)]
    Read(#[from] AuditError),
}

/// Asks the node running in `dir`, or reads its journal if none is running.
pub fn ask(dir: &Path, question: &Question) -> Result<Answer, AskError> {
    Conversation::with(dir).ask(question)
}

/// Several questions to the node in one folder. If none is running, its journal is opened at the
/// first question and closed with this, and no node can start meanwhile.
pub struct Conversation {
    dir: PathBuf,
    journal: Option<Journal>,
}

impl Conversation {
    /// Begins with the node in `dir`.
    pub fn with(dir: &Path) -> Self {
        Self {
            dir: dir.into(),
            journal: None,
        }
    }

    /// Asks the running node, or reads the journal.
    pub fn ask(&mut self, question: &Question) -> Result<Answer, AskError> {
        let deadline = Instant::now() + STARTING;
        loop {
            if let Some(journal) = &self.journal {
                return told(answer(journal, question)?);
            }
            if let Some(answer) = ask_running(&self.dir, question)? {
                return Ok(answer);
            }
            match Journal::open(&self.dir) {
                // A node that has just been started holds the journal before it listens.
                Err(JournalOpenError::Locked { .. }) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                journal => self.journal = Some(journal?),
            }
        }
    }
}

/// Asks the node running in `dir`; returns `None` if none is running.
pub fn ask_running(dir: &Path, question: &Question) -> Result<Option<Answer>, AskError> {
    let Ok(node) = Client::connect(dir.join(SOCKET)) else {
        return Ok(None);
    };
    let answer = ask_node(node, question).map_err(|error| AskError::Node(error.to_string()))?;
    told(answer).map(Some)
}

fn told(answer: Answer) -> Result<Answer, AskError> {
    match answer {
        Answer::Failed(why) => Err(AskError::Told(why)),
        answer => Ok(answer),
    }
}

impl Question {
    /// The time limit for its answer.
    fn patience(&self) -> Duration {
        match self {
            Self::VerifyAudit | Self::SignAudit { .. } => LONG_PATIENCE,
            _ => PATIENCE,
        }
    }
}

fn ask_node(mut node: Client, question: &Question) -> io::Result<Answer> {
    node.set_read_timeout(Some(question.patience()))?;
    let mut line = serde_json::to_vec(question)?;
    line.push(b'\n');
    node.write_all(&line)?;
    let mut answer = Vec::new();
    node.read_to_end(&mut answer)?;
    Ok(serde_json::from_slice(&answer)?)
}

fn answer(journal: &Journal, question: &Question) -> Result<Answer, AuditError> {
    Ok(match question {
        Question::VerifyAudit => Answer::AuditHead(journal.verify_audit()?),
        Question::Audit { from, limit } => {
            let from = from.unwrap_or(journal.audit_entries()?.saturating_sub(*limit));
            Answer::Audit(journal.audit(from, *limit as usize)?)
        }
        Question::AuditPolicies(digests) => {
            Answer::AuditPolicies(audit_export::policies(journal, digests)?)
        }
        Question::AuditCheckpoints => Answer::AuditCheckpoints(journal.checkpoints()?),
        Question::AuditRecords(_) | Question::SignAudit { .. } => Answer::Failed(
            "no node is running here; start it, for it signs what is exported".into(),
        ),
        Question::Quarantines => Answer::Quarantines {
            peers: journal.quarantines()?,
            keys: journal.stops()?,
        },
        Question::Lift { key, peer } => match lift(journal, *key, *peer) {
            Ok(written) => Answer::Lifted(written == Written::Now),
            Err(error) => Answer::Failed(error.to_string()),
        },
        Question::LiftTwin => match journal.lift_twin(now()) {
            Ok(written) => Answer::Lifted(written == Written::Now),
            Err(error) => Answer::Failed(error.to_string()),
        },
        Question::Note(care) => match note(journal, *care) {
            Ok(_) => Answer::Noted,
            Err(error) => Answer::Failed(error.to_string()),
        },
        Question::StageBackup => Answer::Failed("no node is running here".into()),
        Question::Recording(task) => {
            Answer::Recording(journal.proof(task)?.map(TaskRecording::from))
        }
        Question::PastDecisions {
            plugin,
            since,
            from,
        } => Answer::PastDecisions(journal.past_decisions(plugin, *since, *from)?.into()),
        Question::Differences(most) => Answer::Differences(journal.differences(*most)?),
        Question::PreparedReshares => Answer::PreparedReshares(journal.prepared_reshares()?),
        Question::Keys { after, most } => {
            Answer::Keys(journal.keys_after(*after, (*most).min(KEYS))?)
        }
        Question::Key(key) => Answer::Keys(journal.key(key)?.into_iter().collect()),
        Question::Moved => Answer::Moved(moved(journal)?),
        Question::Proof(key) => Answer::Proof(participant::proofs(journal, *key)?),
        Question::Learn(_) => Answer::Failed("no node is running here".into()),
        Question::Plugins
        | Question::Overview
        | Question::TakeContacts
        | Question::TakeBundle(_)
        | Question::RollBackBundle
        | Question::WithdrawBundle
        | Question::Bundles => Answer::Failed("no node is running here; start it".into()),
        Question::Drain(_) => {
            Answer::Failed("no node is running here, so there is nothing to drain".into())
        }
    })
}

/// Returns all key records, fetched in batches.
pub fn keys(dir: &Path) -> Result<Vec<KeyRecord>, AskError> {
    let mut keys: Vec<KeyRecord> = Vec::new();
    loop {
        let after = keys.last().map(KeyRecord::key);
        let Answer::Keys(more) = ask(dir, &Question::Keys { after, most: KEYS })? else {
            return Err(AskError::Told("unexpected answer from the node".into()));
        };
        if more.is_empty() {
            return Ok(keys);
        }
        keys.extend(more);
    }
}

fn moved(journal: &Journal) -> Result<Vec<MovedKey>, ReadJournalError> {
    let mut moved = Vec::new();
    for (key, _) in journal
        .known_keys()?
        .into_iter()
        .filter(|(_, known)| known.generation > 0)
    {
        let Some(record) = journal.key(&key)? else {
            continue;
        };
        let kept = journal.generation(&record.key(), record.descriptor.generation)?;
        let kept = kept.filter(|kept| kept.is(&record.descriptor));
        let unheard = kept.iter().flat_map(Generation::unheard).copied().collect();
        let in_force = kept
            .iter()
            .flat_map(|kept| &kept.proof.in_force)
            .map(|mark| mark.node)
            .collect();
        moved.push(MovedKey {
            record,
            in_force,
            unheard,
        });
    }
    Ok(moved)
}

fn lift(journal: &Journal, key: KeyId, peer: Option<NodeId>) -> Result<Written, WriteJournalError> {
    match peer {
        Some(peer) => journal.lift(now(), key, peer),
        None => journal.start_again(now(), key),
    }
}

fn note(journal: &Journal, care: Care) -> Result<Written, WriteJournalError> {
    match care {
        Care::Backup => journal.backed_up(now()),
        Care::Drill => journal.drilled(now()),
    }
}

impl From<Proof> for TaskRecording {
    fn from(proof: Proof) -> Self {
        let Proof {
            row,
            entry,
            recording,
            configurations,
        } = proof;
        let vouched = row.recording.is_some();
        let configurations = configurations
            .into_iter()
            .map(|kept| (kept.digest, kept.document.to_string()))
            .collect();
        Self {
            entry,
            vouched,
            configurations,
            recording,
            task: row.bytes,
        }
    }
}

/// The parts of the node that the admin socket serves.
#[allow(missing_docs, reason = "the fields are named for what they hold")]
pub struct Administered {
    pub dir: PathBuf,
    pub vault: Arc<Vault>,
    pub public: Arc<PublicFile>,
    pub receivers: Arc<Receivers>,
    pub twins: Arc<Twins>,
    pub participant: Arc<Participant>,
    pub drain: Arc<Drain>,
    pub contacts: mpsc::Sender<ContactsRequest>,
    pub bundles: mpsc::Sender<BundleRequest>,
    pub look: Look,
}

/// Answers questions until the node stops. A node that cannot listen here works without the socket.
pub async fn serve(node: Administered, stopping: CancellationToken) {
    let path = node.dir.join(SOCKET);
    // A killed node may have left its socket behind. The journal's lock keeps two nodes
    // out of one folder.
    drop(std::fs::remove_file(&path));
    let listener = match UnixListener::bind(&path) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::warn!(%error, socket = %path.display(), "`plugin list`, `plugin replay`, `plugin backtest` and `plugin shadow` cannot reach this node");
            return stopping.cancelled().await;
        }
    };
    // One connection at a time: only the operator can connect.
    while let Some(accepted) = stopping.run_until_cancelled(listener.accept()).await {
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        if let Err(error) = reply(&node, stream).await {
            tracing::debug!(%error, "a question on the admin socket was not answered");
        }
    }
    drop(std::fs::remove_file(&path));
}

async fn reply(node: &Administered, stream: UnixStream) -> io::Result<()> {
    let (from, mut to) = stream.into_split();
    let mut line = String::new();
    let mut from = BufReader::new(from.take(QUESTION));
    tokio::time::timeout(PATIENCE, from.read_line(&mut line)).await??;
    let question = serde_json::from_str::<Question>(&line);
    let patience = question.as_ref().map_or(PATIENCE, Question::patience);
    let answering = async {
        let answer = answer_to(node, question).await;
        to.write_all(&serde_json::to_vec(&answer)?).await?;
        to.shutdown().await
    };
    tokio::time::timeout(patience, answering).await?
}

async fn answer_to(node: &Administered, question: serde_json::Result<Question>) -> Answer {
    match question {
        Err(error) => Answer::Failed(error.to_string()),
        Ok(Question::Plugins) => plugins(node).await,
        Ok(Question::StageBackup) => stage(node).await,
        Ok(Question::Drain(wanted)) => drain(node, wanted),
        Ok(Question::Overview) => overview(node).await,
        Ok(Question::TakeContacts) => take_contacts(node).await,
        Ok(Question::AuditRecords(tasks)) => records(node, tasks).await,
        Ok(Question::SignAudit { from, to }) => sign_audit(node, (from, to)).await,
        Ok(Question::TakeBundle(file)) => {
            bundles(node, |answer| BundleRequest::Take(file, answer)).await
        }
        Ok(Question::RollBackBundle) => bundles(node, BundleRequest::RollBack).await,
        Ok(Question::WithdrawBundle) => bundles(node, BundleRequest::Withdraw).await,
        Ok(Question::Bundles) => bundles(node, BundleRequest::Tell).await,
        Ok(Question::Learn(proof)) => match node.participant.heed(*proof).await {
            Ok(learned) => {
                node.participant.changed.notify_one();
                Answer::Learnt(learned != Learned::Nothing)
            }
            Err(error) => Answer::Failed(error.to_string()),
        },
        Ok(question) => {
            let lifts = question == Question::LiftTwin;
            let answered = with_journal(&node.participant.register.journal, move |journal| {
                answer(journal, &question)
            })
            .await;
            let answer = answered.unwrap_or_else(|error| Answer::Failed(error.to_string()));
            if lifts && matches!(answer, Answer::Lifted(_)) {
                node.twins.lift();
            }
            answer
        }
    }
}

async fn stage(node: &Administered) -> Answer {
    let participant = node.participant.clone();
    let vault = node.vault.clone();
    let dir = node.dir.clone();
    let staged = off_thread(move || {
        let journal = &participant.register.journal;
        crate::backup::stage(&vault, journal, participant.own.id(), &dir)
    });
    match staged.await {
        Ok(staged) => Answer::Staged(staged),
        Err(error) => Answer::Failed(format!(
            "the files cannot be copied: {error}; check space and owner"
        )),
    }
}

async fn records(node: &Administered, tasks: Vec<TaskId>) -> Answer {
    let own = node.participant.own.clone();
    let records = with_journal(&node.participant.register.journal, move |journal| {
        audit_export::records(journal, &tasks, &own)
    });
    match records.await {
        Ok(records) => Answer::AuditRecords(records),
        Err(error) => Answer::Failed(error.to_string()),
    }
}

async fn sign_audit(node: &Administered, time: (UnixMillis, UnixMillis)) -> Answer {
    let own = node.participant.own.clone();
    // Nothing later than this is known to be in the log.
    let at = node.participant.world.now();
    let signed = with_journal(&node.participant.register.journal, move |journal| {
        audit_export::sign(journal, time, at, &own)
    });
    match signed.await {
        Ok(head) => Answer::SignedAudit(head),
        Err(error) => Answer::Failed(error.to_string()),
    }
}

async fn take_contacts(node: &Administered) -> Answer {
    let (answer, taken) = oneshot::channel();
    let gone = || Answer::Failed("the node is stopping; start it again".into());
    if node.contacts.send(answer).await.is_err() {
        return gone();
    }
    match taken.await {
        Ok(Ok(taken)) => Answer::TakenUp(taken),
        Ok(Err(error)) => Answer::Failed(error.to_string()),
        Err(_) => gone(),
    }
}

async fn bundles(
    node: &Administered,
    request: impl FnOnce(BundleAnswer) -> BundleRequest,
) -> Answer {
    let (answer, told) = oneshot::channel();
    if node.bundles.send(request(answer)).await.is_err() {
        return Answer::Failed("the node is stopping; start it again".into());
    }
    match told.await {
        Ok(Ok(status)) => Answer::Bundles(Box::new(status)),
        Ok(Err(error)) => Answer::Failed(error.to_string()),
        Err(_) => Answer::Failed("the node is stopping; start it again".into()),
    }
}

fn drain(node: &Administered, wanted: Option<bool>) -> Answer {
    if let Some(wanted) = wanted {
        node.drain.want(wanted);
        tracing::info!(
            draining = wanted,
            "the operator changed whether this node takes new tasks"
        );
    }
    let (tasks, _) = node.participant.register.counters.offers();
    Answer::Draining {
        draining: node.drain.wanted(),
        in_effect: node.drain.has_taken_effect(),
        tasks,
    }
}

async fn overview(node: &Administered) -> Answer {
    let snapshot = (node.look)().await;
    match with_journal(&node.participant.register.journal, Overview::recent).await {
        Ok(recent) => {
            let now = node.participant.world.now();
            let overview = Overview::of(&snapshot, &recent, node.drain.wanted(), now);
            Answer::Overview(Box::new(overview))
        }
        Err(error) => Answer::Failed(error.to_string()),
    }
}

async fn plugins(node: &Administered) -> Answer {
    let receivers = node.receivers.live();
    let public = node.public.clone();
    match off_thread(move || public.live()).await {
        Ok(plugins) => Answer::Plugins { plugins, receivers },
        Err(error) => Answer::Failed(format!("{} cannot be read: {error}", public::FILE)),
    }
}

#[cfg(test)]
#[path = "admin_tests.rs"]
mod tests;
