//! Sanitizes frames from nodes: bounded lengths, no control characters. Makes no decisions.

use countersign_protocol::control::{FromNode, Pace};
use countersign_protocol::forecast::MAX_FORECAST;
use countersign_protocol::node_status::{
    BundleStatus, Guards, MAX_BUNDLES, MAX_GUARDED, MAX_PLUGINS, NodeStatus, PluginStatus,
};
use countersign_protocol::text::printable;
use countersign_protocol::{Forecast, NotAsked, Outcome, PluginVerdict, Refusal};

const TEXT: usize = 512;
const NAME: usize = 100;
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
        FromNode::Capacity { .. } | FromNode::Draining { .. } => frame,
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
        // Refused after the first frame.
        FromNode::Join { .. } => frame,
        FromNode::AskContacts => frame,
        FromNode::Preflight { ask, forecast } => FromNode::Preflight {
            ask,
            forecast: Box::new(self::forecast(*forecast)),
        },
        FromNode::Status { status } => FromNode::Status {
            status: Box::new(self::status(*status)),
        },
        FromNode::StatusWithBundles { status } => FromNode::StatusWithBundles {
            status: Box::new(self::status(*status)),
        },
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

fn forecast(mut forecast: Forecast) -> Forecast {
    forecast.verdicts.truncate(MAX_FORECAST);
    forecast.not_asked.truncate(MAX_FORECAST);
    let not_asked = forecast.not_asked.into_iter().map(|left_out| NotAsked {
        plugin: text(&left_out.plugin),
        why: text(&left_out.why),
    });
    Forecast {
        refusal: forecast.refusal.map(refusal),
        verdicts: forecast.verdicts.into_iter().map(verdict).collect(),
        not_asked: not_asked.collect(),
    }
}

fn status(mut status: NodeStatus) -> NodeStatus {
    let more_plugins = status.plugins.len().saturating_sub(MAX_PLUGINS) as u32;
    status.plugins.truncate(MAX_PLUGINS);
    status.bundles.truncate(MAX_BUNDLES);
    NodeStatus {
        software: text(&status.software),
        clock: status.clock,
        schemes: names(status.schemes),
        plugins: status.plugins.into_iter().map(plugin).collect(),
        more_plugins: status.more_plugins.saturating_add(more_plugins),
        bundles: status.bundles.into_iter().map(bundle).collect(),
    }
}

fn bundle(bundle: BundleStatus) -> BundleStatus {
    BundleStatus {
        name: text(&bundle.name),
        ..bundle
    }
}

fn plugin(plugin: PluginStatus) -> PluginStatus {
    let guards = plugin.guards;
    let more_keys = guards.keys.len().saturating_sub(MAX_GUARDED) as u32;
    PluginStatus {
        name: text(&plugin.name),
        version: plugin.version.map(|version| text(&version)),
        guards: Guards {
            operations: names(guards.operations),
            keys: names(guards.keys),
            more_keys: guards.more_keys.saturating_add(more_keys),
            schemes: names(guards.schemes),
        },
        ..plugin
    }
}

/// Names of schemes, operations and keys.
fn names(mut names: Vec<String>) -> Vec<String> {
    names.truncate(MAX_GUARDED);
    names.iter().map(|name| printable(name, NAME)).collect()
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
