//! What can go wrong for a requester, and the exit code that it leads to.

use std::path::PathBuf;

use countersign_payload::{DecodeError, FinishError};
use countersign_protocol::{KeyId, NodeId, TaskId};

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// A file that cannot be used.
    #[error("{path}: {reason}; {advice}")]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        reason: String,
        /// What to do.
        advice: &'static str,
    },
    /// What was asked for makes no sense.
    #[error("{0}")]
    Usage(String),
    /// A payload that nobody signs.
    #[error(transparent)]
    Payload(#[from] DecodeError),
    /// Signatures that make nothing of their payload.
    #[error(transparent)]
    Finish(#[from] FinishError),
    /// The coordinator cannot be reached.
    #[error(
        "the coordinator at {url} does not answer ({reason}); see that it runs and that the URL in the profile is right"
    )]
    Unreachable {
        /// Where it should be.
        url: String,
        /// What the network said.
        reason: String,
        /// True if the request may have arrived.
        sent: bool,
    },
    /// The coordinator said no.
    #[error("the coordinator refused: {message} [{code}]")]
    Api {
        /// HTTP status.
        status: u16,
        /// Stable code.
        code: String,
        /// Its sentence.
        message: String,
    },
    /// The answer is none of this protocol.
    #[error(
        "the coordinator's answer cannot be read ({0}); check the URL, and update the older of the two programs"
    )]
    Answer(String),
    /// A node refused.
    #[error(
        "refused by {node}{by}, as the coordinator tells it: {reason} [{code}]; ask that node's operator, then send a new task",
        by = by(.plugin)
    )]
    Rejected {
        /// Which task.
        task: TaskId,
        /// Who refused.
        node: Box<str>,
        /// Which plugin, if it was one.
        plugin: Option<String>,
        /// Stable code.
        code: String,
        /// One sentence.
        reason: String,
        /// Other members that could sign without those who refused; as many as are needed, or none.
        others: Box<[NodeId]>,
    },
    /// The task came to nothing.
    #[error("task {task} {state}: {message} [{code}]")]
    Failed {
        /// Which task.
        task: TaskId,
        /// `failed` or `expired`.
        state: &'static str,
        /// Stable code.
        code: String,
        /// One sentence that ends with what to do.
        message: String,
        /// The nodes it is about.
        nodes: Vec<NodeId>,
    },
    /// No end in time.
    #[error(
        "task {0} has not ended in time and may still end; look with `countersign task show {0}` before sending a new one"
    )]
    TimedOut(TaskId),
    /// A result that does not verify.
    #[error(
        "the result of task {task} is not valid ({reason}); do not use it, and do not trust this coordinator"
    )]
    Invalid {
        /// Which task.
        task: TaskId,
        /// What is wrong.
        reason: String,
    },
    /// A wallet that does not verify, or is not the one seen before.
    #[error(
        "wallet {wallet} is not trustworthy: {reason}; do not use it, and do not trust this coordinator"
    )]
    Wallet {
        /// Which wallet.
        wallet: KeyId,
        /// What is wrong.
        reason: String,
    },
    /// A wallet whose parts prove each other and nothing else: nobody whom this client knows stands
    /// behind it.
    #[error(
        "wallet {wallet} is not believed: {reasons}; do not use it or its addresses. If you know by another way that it is right, add who is missing to the profile, or look at `countersign wallet trust {wallet}`"
    )]
    Distrusted {
        /// Which wallet.
        wallet: KeyId,
        /// Who is not known.
        reasons: String,
        /// The wallet as the coordinator tells it, for people to compare.
        lines: Vec<String>,
    },
    /// A coordinator that knows less than this client.
    #[error(
        "the coordinator tells of generation {told} of wallet {wallet}, and this client has verified {known}; have its newest backup restored, and do not trust it before"
    )]
    Stale {
        /// Which wallet.
        wallet: KeyId,
        /// What the coordinator tells.
        told: u32,
        /// What the wallet book has.
        known: u32,
    },
}

impl ClientError {
    /// 1 usage or environment, 2 refused by a node's policy, 3 failed, not in time, or not valid.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::File { .. }
            | Self::Usage(_)
            | Self::Payload(_)
            | Self::Finish(FinishError::Missing(_))
            | Self::Unreachable { .. }
            | Self::Api { .. }
            | Self::Answer(_) => 1,
            Self::Rejected { .. } => 2,
            Self::Failed { .. }
            | Self::TimedOut(_)
            | Self::Finish(_)
            | Self::Invalid { .. }
            | Self::Wallet { .. }
            | Self::Distrusted { .. }
            | Self::Stale { .. } => 3,
        }
    }

    /// Stable, for programs.
    pub fn code(&self) -> &str {
        match self {
            Self::File { .. } => "file",
            Self::Usage(_) => "usage",
            Self::Payload(error) => error.code().as_str(),
            Self::Finish(_) => "finish",
            Self::Unreachable { .. } => "unreachable",
            Self::Api { code, .. } | Self::Rejected { code, .. } | Self::Failed { code, .. } => {
                code
            }
            Self::Answer(_) => "answer",
            Self::TimedOut(_) => "timeout",
            Self::Invalid { .. } => "invalid-result",
            Self::Wallet { .. } => "invalid-wallet",
            Self::Distrusted { .. } => "wallet-distrusted",
            Self::Stale { .. } => "stale-coordinator",
        }
    }

    /// What there is to see beside the sentence, line by line. Nothing of it is believed.
    pub fn details(&self) -> &[String] {
        match self {
            Self::Distrusted { lines, .. } => lines,
            _ => &[],
        }
    }

    /// Who could sign in the place of whoever refused.
    pub fn others(&self) -> &[NodeId] {
        match self {
            Self::Rejected { others, .. } => others,
            _ => &[],
        }
    }

    /// The task it is about, if there is one.
    pub fn task(&self) -> Option<TaskId> {
        match self {
            Self::Rejected { task, .. }
            | Self::Failed { task, .. }
            | Self::TimedOut(task)
            | Self::Invalid { task, .. } => Some(*task),
            _ => None,
        }
    }
}

fn by(plugin: &Option<String>) -> String {
    plugin
        .as_ref()
        .map_or(String::new(), |plugin| format!(", plugin {plugin}"))
}

#[cfg(test)]
mod tests {
    /// Between quotation marks after `=>`, in the arms of `fn code`.
    fn codes() -> Vec<String> {
        let source = include_str!("error.rs");
        let body = source
            .split("pub fn code(")
            .nth(1)
            .unwrap()
            .split("\n    }\n")
            .next()
            .unwrap();
        let literal = |arm: &str| {
            Some(
                arm.trim_start()
                    .strip_prefix('"')?
                    .split('"')
                    .next()?
                    .to_owned(),
            )
        };
        body.split("=>").skip(1).filter_map(literal).collect()
    }

    #[test]
    fn the_table_of_codes_is_complete() {
        let page = include_str!("../../docs/codes.md");
        let section = page
            .split("\n## The requester's client\n")
            .nth(1)
            .unwrap()
            .split("\n## ")
            .next()
            .unwrap();
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
        let table: Vec<String> = rows
            .map(|row| row.split('`').next().unwrap().to_owned())
            .collect();
        assert_eq!(table, codes());
    }
}
