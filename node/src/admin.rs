//! `admin.sock`: what the node's own command line asks while the node runs and holds the journal.
//! It lies in the node's folder, which nobody else can enter. Whoever can reach it can replace
//! every file of the node; what it can change is no more than that: it lifts a quarantine, and has
//! the sealed files copied for a backup.
//!
//! One connection is one question: a line of JSON, answered by JSON until the end of the stream.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream as Client;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_protocol::{GenerationProof, Hash, KeyId, NodeId, TaskId};
use countersign_store::{
    AuditEntry, AuditError, AuditHead, Difference, Generation, Handover, Journal, JournalOpenError,
    KeyRecord, Proof, Quarantine, ReadJournalError, Stop, WriteJournalError, Written,
};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

use crate::backup::Staged;
use crate::core::Core;
use crate::events::LiveReceiver;
use crate::public::{self, LivePlugin};
use crate::task::handover::{self, Learned};

/// The socket's name in the node's folder.
const SOCKET: &str = "admin.sock";
/// Bytes of a question.
const QUESTION: u64 = 64 * 1024;
/// Records of keys in one answer: some hundred kilobytes.
const KEYS: usize = 256;
/// How long a node may take from its start until it listens.
const STARTING: Duration = Duration::from_secs(5);
/// How long a question and its answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    /// The recording of a task's decision.
    Recording(TaskId),
    /// What shadows would have decided otherwise: the newest, so many.
    Differences(usize),
    /// How plugins and receivers fare. Only a node that runs knows.
    Plugins,
    /// The reshares for which this node has stored.
    Handovers,
    /// Records of keys by id, after this one, at most so many.
    Keys {
        /// Absent: from the first on.
        after: Option<KeyId>,
        /// Never more than 256.
        most: usize,
    },
    /// The record of one key.
    Key(KeyId),
    /// The keys that others hold now, or that the node holds in a later generation.
    Moved,
    /// What proves the generations of a key.
    Proof(KeyId),
    /// Take a generation in that somebody proves.
    Learn(Box<GenerationProof>),
    /// Check the whole audit log.
    VerifyAudit,
    /// Lines of the audit log.
    Audit {
        /// From this one on; absent: the last ones.
        from: Option<u64>,
        /// At most so many.
        limit: u64,
    },
    /// Which peers are kept away from which keys, and which keys are stopped.
    Quarantines,
    /// End this quarantine.
    Lift {
        /// Which key.
        key: KeyId,
        /// Which peer; absent: whatever stops the key without naming anybody.
        peer: Option<NodeId>,
    },
    /// The operator has ended the other process with this node's identity.
    LiftTwin,
    /// Copy the files for a backup. Only a node that runs does.
    StageBackup,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// To [`Question::Recording`]; `None` if there is none.
    Recording(Option<TaskRecording>),
    /// To [`Question::Differences`].
    Differences(Vec<Difference>),
    /// To [`Question::Plugins`].
    Plugins {
        /// In the order in which they are asked.
        plugins: Vec<LivePlugin>,
        /// In the order of the configuration.
        receivers: Vec<LiveReceiver>,
    },
    /// To [`Question::Handovers`].
    Handovers(Vec<Handover>),
    /// To [`Question::Keys`] and [`Question::Key`].
    Keys(Vec<KeyRecord>),
    /// To [`Question::Moved`].
    Moved(Vec<MovedKey>),
    /// To [`Question::Proof`], oldest first; empty if the key is not known.
    Proof(Vec<GenerationProof>),
    /// To [`Question::Learn`]: whether it was news.
    Learnt(bool),
    /// To [`Question::VerifyAudit`].
    AuditHead(AuditHead),
    /// To [`Question::Audit`].
    Audit(Vec<AuditEntry>),
    /// To [`Question::Quarantines`].
    Quarantines {
        /// Peers that are kept away from a key.
        peers: Vec<Quarantine>,
        /// Keys that sign no more, with certain signers or at all.
        keys: Vec<Stop>,
    },
    /// To [`Question::Lift`]: whether there was one.
    Lifted(bool),
    /// To [`Question::StageBackup`].
    Staged(Staged),
    /// Why there is no answer.
    Failed(String),
}

/// A key that has come further than it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovedKey {
    /// What this node knows of it.
    pub record: KeyRecord,
    /// Which members have said that they have this generation in force.
    pub in_force: Vec<NodeId>,
    /// Who has not said yet that it knows all that it needs.
    pub unheard: Vec<NodeId>,
}

/// A decision on record, as the journal keeps it and can prove it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRecording {
    /// Number of the audit entry that vouches for all of this.
    pub entry: u64,
    /// False if the recording is of a program that did not vouch for it: the entry speaks for the
    /// verdicts alone.
    pub vouched: bool,
    /// The configuration documents that are kept, by SHA-256.
    pub configurations: BTreeMap<Hash, String>,
    /// For `countersign_host::Recording::decode`.
    #[serde(with = "hex")]
    pub recording: Vec<u8>,
    /// The bytes that the requester signed.
    #[serde(with = "hex")]
    pub task: Vec<u8>,
}

/// Why nothing could be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// The node runs and does not answer.
    #[error("the node that runs does not answer: {0}; try again, and look at its log")]
    Node(String),
    /// The node that runs cannot answer, and says why.
    #[error("{0}")]
    Told(String),
    /// No node runs, and its journal cannot be opened.
    #[error(transparent)]
    Open(#[from] JournalOpenError),
    /// The journal cannot be read, or is not what the node wrote.
    #[error(transparent)]
    Read(#[from] AuditError),
}

/// Puts a question to the node that runs in `dir`, or to its journal if none does.
pub fn ask(dir: &Path, question: &Question) -> Result<Answer, AskError> {
    let deadline = Instant::now() + STARTING;
    loop {
        if let Some(answer) = ask_running(dir, question)? {
            return Ok(answer);
        }
        match Journal::open(dir) {
            // A node that has just been started holds the journal before it listens.
            Err(JournalOpenError::Locked { .. }) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(50));
            }
            journal => return told(answer(&journal?, question)?),
        }
    }
}

/// Puts a question to the node that runs in `dir`; `None` if none does.
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

fn ask_node(mut node: Client, question: &Question) -> io::Result<Answer> {
    node.set_read_timeout(Some(PATIENCE))?;
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
        Question::Quarantines => Answer::Quarantines {
            peers: journal.quarantines()?,
            keys: journal.stops()?,
        },
        Question::Lift { key, peer } => match lift(journal, *key, *peer) {
            Ok(written) => Answer::Lifted(written == Written::Now),
            Err(error) => Answer::Failed(error.to_string()),
        },
        Question::LiftTwin => match journal.lift_twin(crate::core::now()) {
            Ok(written) => Answer::Lifted(written == Written::Now),
            Err(error) => Answer::Failed(error.to_string()),
        },
        Question::StageBackup => Answer::Failed("no node runs here".into()),
        Question::Recording(task) => {
            Answer::Recording(journal.proof(task)?.map(TaskRecording::from))
        }
        Question::Differences(most) => Answer::Differences(journal.differences(*most)?),
        Question::Handovers => Answer::Handovers(journal.handovers()?),
        Question::Keys { after, most } => {
            Answer::Keys(journal.keys_after(*after, (*most).min(KEYS))?)
        }
        Question::Key(key) => Answer::Keys(journal.key(key)?.into_iter().collect()),
        Question::Moved => Answer::Moved(moved(journal)?),
        Question::Proof(key) => Answer::Proof(handover::proofs(journal, *key)?),
        Question::Learn(_) => Answer::Failed("no node runs here".into()),
        Question::Plugins => Answer::Failed("no node runs here; start it".into()),
    })
}

/// All records of keys, asked for a few at a time.
pub fn keys(dir: &Path) -> Result<Vec<KeyRecord>, AskError> {
    let mut keys: Vec<KeyRecord> = Vec::new();
    loop {
        let after = keys.last().map(KeyRecord::key);
        let Answer::Keys(more) = ask(dir, &Question::Keys { after, most: KEYS })? else {
            return Err(AskError::Told("the node answered something else".into()));
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
        let kept = journal.generation(&record.key(), record.announcement.generation)?;
        let kept = kept.filter(|kept| kept.is(&record.announcement));
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
        Some(peer) => journal.lift(crate::core::now(), key, peer),
        None => journal.start_again(crate::core::now(), key),
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

/// Answers until the node stops. A node that cannot listen works all the same.
pub async fn serve(core: Arc<Core>) {
    let path = core.config.dir.join(SOCKET);
    // What a node that was killed left behind. The journal's lock keeps two nodes out of one
    // folder.
    drop(std::fs::remove_file(&path));
    let listener = match UnixListener::bind(&path) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::warn!(%error, socket = %path.display(), "`plugin list`, `plugin replay` and `plugin shadow` cannot ask this node");
            return core.stopping.cancelled().await;
        }
    };
    // One at a time: nobody but the operator is there.
    while let Some(accepted) = core.stopping.run_until_cancelled(listener.accept()).await {
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        if let Ok(Err(error)) = tokio::time::timeout(PATIENCE, reply(&core, stream)).await {
            tracing::debug!(%error, "a question on the admin socket was not answered");
        }
    }
    drop(std::fs::remove_file(&path));
}

async fn reply(core: &Arc<Core>, stream: UnixStream) -> io::Result<()> {
    let (from, mut to) = stream.into_split();
    let mut line = String::new();
    BufReader::new(from.take(QUESTION))
        .read_line(&mut line)
        .await?;
    let answer = match serde_json::from_str::<Question>(&line) {
        Err(error) => Answer::Failed(error.to_string()),
        Ok(Question::Plugins) => plugins(core.clone()).await,
        Ok(Question::StageBackup) => stage(core.clone()).await,
        Ok(Question::Learn(proof)) => match handover::heed(core, *proof).await {
            Ok(learned) => {
                core.gossip.notify_one();
                Answer::Learnt(learned != Learned::Nothing)
            }
            Err(error) => Answer::Failed(error.to_string()),
        },
        Ok(question) => {
            let lifts = question == Question::LiftTwin;
            let answered = core
                .journal(move |journal| answer(journal, &question))
                .await;
            let answer = answered.unwrap_or_else(|error| Answer::Failed(error.to_string()));
            if lifts && matches!(answer, Answer::Lifted(_)) {
                core.twins.lift();
            }
            answer
        }
    };
    to.write_all(&serde_json::to_vec(&answer)?).await?;
    to.shutdown().await
}

async fn stage(core: Arc<Core>) -> Answer {
    let staged = tokio::task::spawn_blocking(move || {
        crate::backup::stage(&core.vault, &core.journal, core.me, &core.config.dir)
    });
    match staged.await.map_err(io::Error::other).flatten() {
        Ok(staged) => Answer::Staged(staged),
        Err(error) => Answer::Failed(format!(
            "the files cannot be copied: {error}; check space and owner"
        )),
    }
}

async fn plugins(core: Arc<Core>) -> Answer {
    let receivers = core.receivers.live();
    let plugins = tokio::task::spawn_blocking(move || public::live(&core)).await;
    match plugins.map_err(io::Error::other).flatten() {
        Ok(plugins) => Answer::Plugins { plugins, receivers },
        Err(error) => Answer::Failed(format!("{} cannot be read: {error}", public::FILE)),
    }
}
