//! Seven checks that must hold after every attack, whatever the attack was:
//!
//! 1. nobody holds a signature that policy did not approve;
//! 2. the key still signs, once everybody is honest again;
//! 3. the refusal has a documented code and one clear sentence;
//! 4. no planted secret is in any log;
//! 5. the audit chain of every node that refused is whole and tells of it;
//! 6. every process is alive, with its files and its memory in bounds;
//! 7. no nonce commitment is seen twice.
//!
//! ```no_run
//! # async fn example(cluster: countersign_tests::Cluster, key: countersign_protocol::KeyId) -> anyhow::Result<()> {
//! use countersign_tests::oracle::{Oracle, refused};
//!
//! let mut oracle = Oracle::new(&cluster)?;
//! let order = cluster.order(key, "m", b"pay", None)?;
//! // ... make somebody evil ...
//! let refusal = refused(cluster.client.sign(&order, |_| {}).await)?;
//! oracle.after_attack(&cluster, &refusal)?;
//! // ... make everybody honest ...
//! oracle.after_healing(cluster.client.sign(&order, |_| {}).await?)?;
//! # Ok(())
//! # }
//! ```

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use aho_corasick::AhoCorasick;
use anyhow::{Context, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use countersign_client::{ClientError, Signature};
use countersign_host::Code;
use countersign_protocol::{InputSignature, Outcome, TaskId};
use countersign_store::journal::{Journal, State};
use countersign_store::{Passphrase, Secrets, Section};

use crate::cluster::{Cluster, Node};
use crate::process;

/// Number of files that a process may have open beyond the first count.
const FILES: usize = 64;
/// KiB of memory that a process may hold beyond the first measurement.
const MEMORY_KIB: usize = 192 << 10;
/// Codes of plugins that ship and of the node's own task service that an attack may end with,
/// besides those of the host.
const CODES: [&str; 12] = [
    "callback-rejected",
    "callback-ignored",
    "callback-undecided",
    "webhook-rejected",
    // The host's replacement for a code that is not allowed.
    "rejected",
    "task-expired",
    "digest-mismatch",
    "payload-malformed",
    "keygen-not-allowed",
    "keysign-reject-all",
    "key-unknown",
    "blind-signing",
];

/// The state before the first attack, which must not change.
pub struct Oracle {
    before: Vec<Usage>,
    canaries: Canaries,
    nonces: BTreeSet<Vec<u8>>,
    codes: &'static [&'static str],
}

/// A refusal, as the requester sees it.
#[derive(Debug)]
pub struct Refusal {
    /// Id of the refused task.
    pub task: TaskId,
    /// Stable code, as in `docs/codes.md`.
    pub code: String,
    /// One sentence, for people.
    pub reason: String,
}

/// The refusal in a client's answer; any other answer is an error, a signature above all.
pub fn refused<T: std::fmt::Debug>(result: Result<T, ClientError>) -> anyhow::Result<Refusal> {
    match result {
        Err(ClientError::Rejected {
            task, code, reason, ..
        }) => Ok(Refusal {
            task,
            code,
            reason: reason.into(),
        }),
        other => bail!("expected a refusal, got {other:?}"),
    }
}

impl Oracle {
    /// Records the state of a running cluster, and its secrets.
    pub fn new(cluster: &Cluster) -> anyhow::Result<Self> {
        let mut canaries = Vec::new();
        for node in &cluster.nodes {
            canaries.extend(secrets(node)?);
        }
        let before = cluster
            .nodes
            .iter()
            .map(Usage::of)
            .collect::<anyhow::Result<_>>()?;
        let canaries = Canaries::new(canaries)?;
        Ok(Self {
            before,
            canaries,
            nonces: BTreeSet::new(),
            codes: &[],
        })
    }

    /// The same for test plugins that refuse with these codes, too.
    #[must_use]
    pub fn with_codes(self, codes: &'static [&'static str]) -> Self {
        Self { codes, ..self }
    }

    /// Makes the checks 1, 3, 4, 5 and 6.
    pub fn after_attack(&self, cluster: &Cluster, refusal: &Refusal) -> anyhow::Result<()> {
        self.clear(refusal)?;
        self.silent(cluster)?;
        let mut told = 0;
        for (node, before) in cluster.nodes.iter().zip(&self.before) {
            before
                .bounds(&Usage::of(node)?)
                .with_context(|| format!("{} (check 6)", node.name))?;
            let tells = with_journal(node, |journal| tells(journal, refusal));
            told += usize::from(tells.with_context(|| format!("{} (check 5)", node.name))?);
        }
        ensure!(
            told > 0,
            "no node's audit log tells of {refusal:?} (check 5)"
        );
        Ok(())
    }

    /// Checks 2 and 7: these signatures exist, and no other one has their nonce commitments.
    pub fn after_healing(&mut self, signature: Signature) -> anyhow::Result<()> {
        for InputSignature {
            signature: bytes, ..
        } in &signature.signed.signatures
        {
            // Schnorr and EdDSA signatures begin with the commitment, ECDSA ones with its
            // x-coordinate.
            let fresh = self.nonces.insert(bytes[..bytes.len() - 32].to_vec());
            ensure!(
                fresh,
                "a nonce commitment was used twice (check 7): {signature:?}"
            );
        }
        Ok(())
    }

    /// Check 4 for a text that a node wrote or sent.
    pub fn discreet(&self, what: &str, text: &str) -> anyhow::Result<()> {
        let found = self.canaries.find(text);
        ensure!(
            found.is_none(),
            "{} is in {what} (check 4)",
            found.unwrap_or_default()
        );
        Ok(())
    }

    fn silent(&self, cluster: &Cluster) -> anyhow::Result<()> {
        let logs = cluster.logs();
        self.discreet("a log", &logs)?;
        // The output of a guest is within a line of the node's.
        let panicked = logs
            .lines()
            .find(|line| line.starts_with("thread '") && line.contains("panicked at"));
        ensure!(panicked.is_none(), "a process panicked (check 3):\n{logs}");
        Ok(())
    }

    /// Makes check 3.
    fn clear(&self, refusal: &Refusal) -> anyhow::Result<()> {
        let Refusal { code, reason, .. } = refusal;
        let documented = self.codes.iter().chain(&CODES).any(|known| known == code)
            || Code::ALL.iter().any(|known| known.as_str() == code);
        ensure!(
            documented,
            "the code is not documented (check 3): {refusal:?}"
        );
        let sentence =
            !reason.is_empty() && !reason.contains(char::is_control) && reason.len() <= 1100;
        // The output of a guest may say anything.
        let own = reason.split("; it printed:").next().unwrap_or_default();
        let bare = ["panicked", "unwrap", "RUST_BACKTRACE", ".rs:"]
            .iter()
            .all(|word| !own.contains(word));
        ensure!(
            sentence && bare,
            "the reason is not a clear sentence (check 3): {refusal:?}"
        );
        Ok(())
    }
}

/// Opens a copy of a node's journal, whether the node runs or not.
pub fn with_journal<T>(
    node: &Node,
    look: impl Fn(&Journal) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let once = || look(&Journal::open(copy(&node.db())?.path())?);
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        // A copy of a file that is being written can be torn; the next one is not.
        match once() {
            Err(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(100)),
            looked => return looked,
        }
    }
}

/// Checks 1 and 5 at one node: its audit log records the refusal.
fn tells(journal: &Journal, refusal: &Refusal) -> anyhow::Result<bool> {
    journal.verify_audit()?;
    if let Some(row) = journal.row(&refusal.task)?
        && let State::Ended { outcome, .. } = &row.state
    {
        ensure!(
            !matches!(**outcome, Outcome::Signed { .. }),
            "the node holds a signature (check 1)"
        );
    }
    let entries = journal.audit(0, usize::MAX)?;
    Ok(entries.iter().any(|entry| entry.task == Some(refusal.task)))
}

fn copy(db: &Path) -> anyhow::Result<tempfile::TempDir> {
    let to = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o700))
        .tempdir()?;
    for entry in std::fs::read_dir(db)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            std::fs::copy(entry.path(), to.path().join(entry.file_name()))?;
        }
    }
    Ok(to)
}

/// A secret that must not be in a log in any spelling.
struct Canary {
    name: String,
    spellings: Vec<String>,
}

impl Canary {
    fn new(name: impl Into<String>, bytes: &[u8]) -> Self {
        // Two pieces from the middle: beginnings are the same in every key, and a log
        // may cut an end.
        let middle = &bytes[bytes.len() / 3..];
        let piece = &middle[..middle.len().min(24)];
        // Base64 of a piece at each of the three alignments, without the characters that its
        // neighbours change.
        let base64 = (0..3)
            .map(|skip| STANDARD_NO_PAD.encode(&piece[skip..skip + (piece.len() - skip) / 3 * 3]));
        let listed = piece
            .iter()
            .map(u8::to_string)
            .collect::<Vec<_>>()
            .join(", ");
        let spellings = base64.chain([hex::encode(piece), hex::encode_upper(piece), listed]);
        Self {
            name: name.into(),
            spellings: spellings.collect(),
        }
    }
}

/// All of them, found in one pass over a text: there may be hundreds.
struct Canaries {
    /// The owner of each spelling.
    names: Vec<String>,
    spellings: AhoCorasick,
}

impl Canaries {
    fn new(canaries: Vec<Canary>) -> anyhow::Result<Self> {
        let named = |Canary { name, spellings }| {
            spellings
                .into_iter()
                .map(move |spelling| (name.clone(), spelling))
        };
        let (names, spellings): (Vec<String>, Vec<String>) =
            canaries.into_iter().flat_map(named).unzip();
        ensure!(
            spellings.iter().all(|spelling| !spelling.is_empty()),
            "a secret has no spelling"
        );
        Ok(Self {
            names,
            spellings: AhoCorasick::new(spellings)?,
        })
    }

    fn find(&self, text: &str) -> Option<&str> {
        self.spellings
            .find(text)
            .map(|found| self.names[found.pattern()].as_str())
    }
}

fn secrets(node: &Node) -> anyhow::Result<Vec<Canary>> {
    let file = node.dir.join("passphrase");
    let passphrase = std::fs::read_to_string(&file)?.trim().to_owned();
    let copy = copy(&node.db())?;
    let store = Secrets::open(copy.path(), &Passphrase::from_file(&file)?, &[])?;
    let mut canaries = vec![Canary {
        name: format!("{}'s passphrase", node.name),
        spellings: vec![passphrase],
    }];
    for section in [
        Section::Identity,
        Section::CallbackKey,
        Section::EventKey,
        Section::Share,
    ] {
        for key in store.keys(section)? {
            let value = store.get(section, &key)?.context("it was listed")?;
            // A share's record begins with public data.
            let secret = match section {
                Section::Share => &value[4 + u32::from_be_bytes(value[..4].try_into()?) as usize..],
                _ => &value[..],
            };
            canaries.push(Canary::new(
                format!("a secret of {} ({key})", node.name),
                secret,
            ));
        }
    }
    ensure!(
        canaries.len() >= 3,
        "a node has an identity and a callback key"
    );
    Ok(canaries)
}

/// The resources of a node's process.
struct Usage {
    process: u32,
    files: usize,
    memory_kib: usize,
}

impl Usage {
    fn of(node: &Node) -> anyhow::Result<Self> {
        let process = node
            .daemon
            .as_ref()
            .map(process::Daemon::id)
            .context("the node was started")?;
        let gone = || format!("{} is gone", node.name);
        let files = std::fs::read_dir(format!("/proc/{process}/fd"))
            .with_context(gone)?
            .count();
        let status =
            std::fs::read_to_string(format!("/proc/{process}/status")).with_context(gone)?;
        let memory = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .with_context(gone)?;
        let memory_kib = memory.trim().trim_end_matches("kB").trim().parse()?;
        Ok(Self {
            process,
            files,
            memory_kib,
        })
    }

    fn bounds(&self, now: &Self) -> anyhow::Result<()> {
        ensure!(now.process == self.process, "it was started again");
        ensure!(
            now.files <= self.files + FILES,
            "{} files are open, {} at first",
            now.files,
            self.files
        );
        let held = now.memory_kib;
        let first = self.memory_kib;
        ensure!(
            held <= first + MEMORY_KIB,
            "it holds {held} KiB, {first} at first"
        );
        Ok(())
    }
}
