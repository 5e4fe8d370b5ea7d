//! Sanitizes frames from nodes: bounded lengths, no control characters. Makes no decisions.

use countersign_protocol::control::{FromNode, Pace};
use countersign_protocol::text::printable;
use countersign_protocol::{Outcome, PluginVerdict, Refusal};

const TEXT: usize = 512;
const VERDICTS: usize = 32;
const NODES: usize = 9;
const PENDING: usize = 1024;

/// Bounds all texts and lists of a frame.
pub fn frame(frame: FromNode) -> FromNode {
    match frame {
        FromNode::Hello {
            protocol,
            software,
            mut pending,
        } => {
            pending.truncate(PENDING);
            FromNode::Hello {
                protocol,
                software: text(&software),
                pending,
            }
        }
        FromNode::Decision {
            task,
            refusal,
            mut verdicts,
        } => {
            verdicts.truncate(VERDICTS);
            let verdicts = verdicts.into_iter().map(verdict).collect();
            FromNode::Decision {
                task,
                refusal: refusal.map(self::refusal),
                verdicts,
            }
        }
        FromNode::Progress {
            task,
            stage,
            mut waiting_for,
        } => {
            waiting_for.truncate(NODES);
            FromNode::Progress {
                task,
                stage,
                waiting_for,
            }
        }
        FromNode::Working {
            task,
            stage,
            mut waiting_for,
            pace,
        } => {
            waiting_for.truncate(NODES);
            let pace = Pace {
                percent: pace.percent.map(|percent| percent.min(100)),
                ..pace
            };
            FromNode::Working {
                task,
                stage,
                waiting_for,
                pace,
            }
        }
        FromNode::Outcome { task, outcome } => FromNode::Outcome {
            task,
            outcome: self::outcome(outcome),
        },
        // Kept only if every field is the task's own or has a fixed size,
        // and the acknowledgement verifies.
        FromNode::Stored { .. } | FromNode::AbortVote { .. } => frame,
        // Fixed size, and kept only if it verifies.
        FromNode::Evidence { .. } => frame,
        // Neither kept nor shown; the registry counts the entries.
        FromNode::Holds { .. } => frame,
        // Kept only if every acknowledgement verifies; the registry counts the entries.
        FromNode::Generations { .. } => frame,
        FromNode::Capacity { .. } => frame,
        FromNode::HelloAs {
            protocol,
            software,
            mut pending,
            instance,
        } => {
            pending.truncate(PENDING);
            FromNode::HelloAs {
                protocol,
                software: text(&software),
                pending,
                instance,
            }
        }
        // Fixed size, and verified.
        FromNode::Alive { .. } => frame,
    }
}

/// Reduces a text to one printable line of about 512 bytes.
pub fn text(text: &str) -> String {
    printable(text, TEXT)
}

fn outcome(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Refused(refused) => Outcome::Refused(refusal(refused)),
        Outcome::Failed(mut failure) => {
            failure.code = text(failure.code.as_str()).as_str().into();
            failure.text = text(&failure.text);
            failure.culprits.truncate(NODES);
            Outcome::Failed(failure)
        }
        // Verified to the last byte before use.
        Outcome::Created(_) | Outcome::Signed(_) | Outcome::Reshared(_) | Outcome::Intact(_) => {
            outcome
        }
    }
}

fn refusal(refusal: Refusal) -> Refusal {
    Refusal {
        code: text(refusal.code.as_str()).as_str().into(),
        reason: text(&refusal.reason),
        plugin: refusal.plugin.map(|plugin| text(&plugin)),
    }
}

fn verdict(verdict: PluginVerdict) -> PluginVerdict {
    PluginVerdict {
        plugin: text(&verdict.plugin),
        version: text(&verdict.version),
        code: text(&verdict.code),
        reason: text(&verdict.reason),
        ..verdict
    }
}
