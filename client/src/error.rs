//! Errors of a requester, with their exit codes.

use std::path::PathBuf;

use countersign_payload::{DecodeError, FinishError};
use countersign_protocol::{NodeId, TaskId, UnixMillis};
use countersign_requester::BeliefError;

use crate::client::VoteError;
use crate::utc;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// A file that cannot be used.
    #[allow(missing_docs, reason = "the fields are named for what they hold")]
    #[error("{path}: {reason}; {advice}")]
    File {
        path: PathBuf,
        reason: String,
        advice: &'static str,
    },
    /// The order or argument makes no sense.
    #[error("{0}")]
    Usage(String),
    /// A payload that nobody signs.
    #[error(transparent)]
    Payload(#[from] DecodeError),
    /// The signatures do not complete their payload.
    #[error(transparent)]
    Finish(#[from] FinishError),
    /// The coordinator cannot be reached.
    #[error(
        "the coordinator at {url} does not answer ({reason}); check that it runs and that the URL in the profile is right"
    )]
    Unreachable {
        /// URL from the profile.
        url: String,
        /// The innermost cause of the network error.
        reason: String,
        /// True if the request may have arrived.
        sent: bool,
    },
    /// The coordinator refused the request.
    #[error("the coordinator refused: {message} [{code}]")]
    Api {
        /// HTTP status of the answer.
        status: u16,
        /// Stable code from `docs/codes.md`.
        code: String,
        /// One sentence, as sent by the coordinator.
        message: String,
    },
    /// The answer does not follow the protocol.
    #[error(
        "the coordinator's answer cannot be read ({0}); check the URL, and update the older of the two programs"
    )]
    Answer(String),
    /// A node refused the task, by the coordinator's word.
    #[error(
        "refused by {node}{by}, as reported by the coordinator: {reason} [{code}]; ask that node's operator{then}",
        by = by(.plugin),
        then = open(.open_until).unwrap_or_else(|| ", then send a new task".into())
    )]
    Rejected {
        /// Id of the refused task.
        task: TaskId,
        /// The refusing node, by the profile's name or by its id.
        node: Box<str>,
        /// The plugin that refused, if it was one.
        plugin: Option<String>,
        /// Stable code from `docs/codes.md`.
        code: String,
        /// One sentence, as sent by the node.
        reason: Box<str>,
        /// The end of the order, if that is to come: until then the nodes may still carry it out,
        /// whatever the coordinator says.
        open_until: Option<UnixMillis>,
    },
    /// The task ended without a result, by the coordinator's word.
    #[allow(missing_docs, reason = "the fields are named for what they hold")]
    #[error("task {task} {state}: {message} [{code}]{then}", then = open(.open_until).unwrap_or_default())]
    Failed {
        task: TaskId,
        /// `failed`, `expired` or `cancelled`.
        state: &'static str,
        code: Box<str>,
        /// One sentence that ends with what to do.
        message: Box<str>,
        nodes: Box<[NodeId]>,
        /// As many members as are needed that could sign without those that were not online; none
        /// if a node refused, or if the order may still be carried out.
        others: Box<[NodeId]>,
        /// As in [`Self::Rejected`].
        open_until: Option<UnixMillis>,
    },
    /// The task did not end in time.
    #[error(
        "task {0} has not ended in time and may still end; look with `countersign task show {0}` before sending a new one"
    )]
    TimedOut(TaskId),
    /// Too few people had approved the task when it was not waited for any longer.
    #[allow(missing_docs, reason = "the fields are named for what they hold")]
    #[error(
        "task {task} still waits for people's approval{count} and goes on once it has it; they vote with `countersign task vote {task} --approve`, and `countersign task cancel {task}` ends it"
    )]
    Pending {
        task: TaskId,
        /// The count of votes, in brackets, by the coordinator's word; empty if it tells none.
        count: Box<str>,
    },
    /// The task has ended in a state that this version does not know.
    #[allow(missing_docs, reason = "the fields are named for what they hold")]
    #[error(
        "task {task} is `{state}`, which this version does not know, and may have a result; update this program, then look with `countersign task show {task}` before sending a new one"
    )]
    UnknownState { task: TaskId, state: String },
    /// A result that does not verify.
    #[allow(missing_docs, reason = "the fields are named for what they hold")]
    #[error(
        "the result of task {task} is not valid ({reason}); do not use it, and do not trust this coordinator"
    )]
    Invalid { task: TaskId, reason: String },
    /// A wallet that is not believed.
    #[error(transparent)]
    Belief(#[from] BeliefError),
    /// There is no vote.
    #[error(transparent)]
    Vote(#[from] VoteError),
}

impl ClientError {
    /// 1 usage or environment, 2 refused by a node's policy, 3 failed or not valid, 4 not ended in
    /// time: it is pending, and may still end in any way, 6 not approved by people in time, which
    /// may still come.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::File { .. }
            | Self::Usage(_)
            | Self::Payload(_)
            | Self::Finish(FinishError::Missing(_))
            | Self::Belief(BeliefError::Usage(_))
            | Self::Unreachable { .. }
            | Self::Api { .. }
            | Self::Answer(_) => 1,
            Self::Rejected { .. } => 2,
            Self::Failed { .. } | Self::Finish(_) | Self::Invalid { .. } | Self::Belief(_) => 3,
            Self::TimedOut(_) | Self::UnknownState { .. } => 4,
            Self::Pending { .. } => 6,
            Self::Vote(error) => error.exit_code(),
        }
    }

    /// The stable code, for programs.
    pub fn code(&self) -> &str {
        match self {
            Self::File { .. } => "file",
            Self::Usage(_) => "usage",
            Self::Payload(error) => error.code().as_str(),
            Self::Finish(_) => "finish",
            Self::Unreachable { .. } => "unreachable",
            Self::Api { code, .. } | Self::Rejected { code, .. } => code,
            Self::Failed { code, .. } => code,
            Self::Answer(_) => "answer",
            Self::TimedOut(_) => "timeout",
            Self::Pending { .. } => "pending",
            Self::UnknownState { .. } => "unknown-state",
            Self::Invalid { .. } => "invalid-result",
            Self::Belief(error) => error.code(),
            Self::Vote(error) => error.code(),
        }
    }

    /// True if the coordinator has certainly not done what it was asked for. A repeated request was
    /// accepted the first time.
    pub fn is_certainly_undone(&self) -> bool {
        match self {
            Self::Unreachable { sent, .. } => !sent,
            Self::Api { status, code, .. } => {
                (400..=499).contains(status) && code != "request-repeated"
            }
            Self::File { .. }
            | Self::Usage(_)
            | Self::Payload(_)
            | Self::Finish(_)
            | Self::Answer(_)
            | Self::Rejected { .. }
            | Self::Failed { .. }
            | Self::TimedOut(_)
            | Self::Pending { .. }
            | Self::UnknownState { .. }
            | Self::Invalid { .. }
            | Self::Belief(_)
            | Self::Vote(_) => false,
        }
    }

    /// Further details for people, line by line. Nothing of it is believed.
    pub fn details(&self) -> &[String] {
        match self {
            Self::Belief(error) => error.details(),
            _ => &[],
        }
    }

    /// Nodes that could sign in place of those that were not online.
    pub fn others(&self) -> &[NodeId] {
        match self {
            Self::Failed { others, .. } => others,
            _ => &[],
        }
    }

    /// The time until which the nodes may still carry out the order, whatever the coordinator says.
    pub fn open_until(&self) -> Option<UnixMillis> {
        match self {
            Self::Rejected { open_until, .. } | Self::Failed { open_until, .. } => *open_until,
            // No end is told, or nothing was ordered.
            Self::Unreachable { .. }
            | Self::Api { .. }
            | Self::File { .. }
            | Self::Usage(_)
            | Self::Payload(_)
            | Self::Finish(_)
            | Self::Answer(_)
            | Self::TimedOut(_)
            | Self::Pending { .. }
            | Self::UnknownState { .. }
            | Self::Invalid { .. }
            | Self::Belief(_)
            | Self::Vote(_) => None,
        }
    }

    /// The task concerned, if there is one.
    pub fn task(&self) -> Option<TaskId> {
        match self {
            Self::Rejected { task, .. }
            | Self::Failed { task, .. }
            | Self::TimedOut(task)
            | Self::Pending { task, .. }
            | Self::UnknownState { task, .. }
            | Self::Invalid { task, .. } => Some(*task),
            Self::Vote(error) => error.task(),
            _ => None,
        }
    }
}

/// A coordinator can say that an order has ended while its nodes go on.
fn open(until: &Option<UnixMillis>) -> Option<String> {
    let until = utc((*until)?);
    Some(format!(
        "; this is the coordinator's word alone, and until {until} the nodes may still begin with the order: order nothing in its place before"
    ))
}

fn by(plugin: &Option<String>) -> String {
    plugin
        .as_ref()
        .map_or(String::new(), |plugin| format!(", plugin {plugin}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Extracts the literals after `=>` in the arms of `fn code`.
    fn codes(source: &str) -> Vec<String> {
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
    fn a_task_that_is_pending_has_neither_failed_nor_succeeded() {
        let task = TaskId([7; 16]);
        let pending = ClientError::TimedOut(task);
        assert_eq!((pending.exit_code(), pending.code()), (4, "timeout"));
        let unapproved = ClientError::Pending {
            task,
            count: "".into(),
        };
        assert_eq!((unapproved.exit_code(), unapproved.code()), (6, "pending"));
        let failed = ClientError::Failed {
            task,
            state: "expired",
            code: "expired".into(),
            message: "".into(),
            nodes: Box::default(),
            others: Box::default(),
            open_until: None,
        };
        assert_eq!(failed.exit_code(), 3);
    }

    /// A secret whose hash the coordinator may have is not deleted.
    #[test]
    fn only_a_refusal_or_a_request_that_was_not_sent_is_certainly_undone() {
        let api = |status, code: &str| ClientError::Api {
            status,
            code: code.into(),
            message: String::new(),
        };
        let unreachable = |sent| ClientError::Unreachable {
            url: String::new(),
            reason: String::new(),
            sent,
        };
        for (error, undone) in [
            (api(400, "malformed"), true),
            (api(409, "conflict"), true),
            (api(409, "request-repeated"), false),
            (api(500, "internal"), false),
            (api(503, "timeout"), false),
            (unreachable(false), true),
            (unreachable(true), false),
            (ClientError::Answer(String::new()), false),
            (ClientError::Usage(String::new()), false),
        ] {
            assert_eq!(error.is_certainly_undone(), undone, "{error}");
        }
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
        let mut known = codes(include_str!("error.rs"));
        let beliefs = codes(include_str!("../../requester/src/error.rs"));
        known.extend(beliefs.into_iter().filter(|code| code != "usage"));
        known.extend(codes(include_str!("../../requester/src/webhook.rs")));
        // Of the packages for other languages, which ask passkeys for orders.
        let module = include_str!("../../clients/wasm/src/order.rs");
        let of_module = module.contains("Failure::new(\"order-not-made\"");
        known.extend(of_module.then(|| "order-not-made".to_owned()));
        known.extend(codes(include_str!("client/voting.rs")));
        assert_eq!(table, known);
    }
}
