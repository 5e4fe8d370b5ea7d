//! The embedded risk rules: the incumbent's configuration tree with policies for signatures,
//! applied to the node's own facts only. There is no I/O, and the only memory is that of limits, if
//! there are any. `docs/rules.yaml` shows every key and code.
//!
//! From a file's root inwards: `config` → `key_sign` → `policy` → one module for each
//! section of a policy.

mod assets;
mod calls;
mod config;
mod grants;
mod hours;
mod key_sign;
mod limits;
mod messages;
mod namespace;
mod policy;
mod recipients;
mod standards;
mod trail;
mod transactions;
mod when;

use std::collections::BTreeSet;

use countersign_sdk::{
    Failure, Host, Keygen, Operation, Plugin, Resharing, Task, Verdict, export_plugin,
};

pub use config::{Config, KeyGenEntry, KeyGenRules, KeyReshareEntry, KeyReshareRules, RejectAll};
pub use key_sign::KeySignRules;
use trail::{Ruling, Trail, refuse};

const REJECT_ALL: &str = "reject_all is set for this kind of task";

/// The plugin's type, for the host and for tests.
pub struct Rules;

impl Plugin for Rules {
    type Config = Config;

    const NAME: &'static str = "rules";
    const DESCRIPTION: &'static str =
        "Allow lists for key generation and resharing, policies and limits for signing.";

    fn check(config: &Config, _host: &impl Host) -> Result<(), Failure> {
        if !config.enable {
            return Err(disabled());
        }
        config.validate().map_err(Failure::Misconfigured)
    }

    fn evaluate(config: &Config, task: &Task, host: &impl Host) -> Result<Verdict, Failure> {
        if !config.enable {
            return Err(disabled());
        }
        let trail = Trail::new(host);
        let judged = match &task.operation {
            Operation::Keygen(keygen) => {
                trail.rule("key_gen", judge_keygen(&config.key_gen, keygen))
            }
            Operation::Sign(signing) => config.key_sign.judge(host, task, signing),
            Operation::Reshare(resharing) => {
                trail.rule("key_reshare", judge_reshare(&config.key_reshare, resharing))
            }
            Operation::KeyShareSign(_) => {
                trail.rule("key_share_sign", judge_check_up(&config.key_share_sign))
            }
            Operation::Other(name) => {
                return Err(no_rule(name));
            }
        };
        trail::verdict(judged)
    }

    fn observe(config: &Config, task: &Task, host: &impl Host) -> Result<(), Failure> {
        if !config.enable {
            return Err(disabled());
        }
        match &task.operation {
            Operation::Sign(signing) => trail::counted(config.key_sign.count(host, task, signing)),
            // Limits do not apply to these.
            Operation::Keygen(_) | Operation::Reshare(_) | Operation::KeyShareSign(_) => Ok(()),
            Operation::Other(name) => Err(no_rule(name)),
        }
    }
}

export_plugin!(Rules);

/// The error for `enable: false`, which turns the incumbent's rules off. Here every plugin
/// must approve, so a plugin that is off would either block everything or leave a hole; the
/// operator cannot want either.
fn disabled() -> Failure {
    Failure::Misconfigured(
        "`enable` is not true: set it, or remove this plugin's entry to do without rules".into(),
    )
}

fn no_rule(operation: &str) -> Failure {
    Failure::Unsupported(format!("no rule for the operation `{operation}`"))
}

fn judge_keygen(rules: &KeyGenRules, keygen: &Keygen) -> Ruling {
    if rules.reject_all {
        return refuse("keygen-reject-all", REJECT_ALL);
    }
    let fits = |entry: &KeyGenEntry| {
        entry.threshold == keygen.threshold && is_committee(entry, &keygen.members)
    };
    if rules.allow_list.iter().any(fits) {
        return Ok("an entry of the list allows this committee".into());
    }
    let threshold = keygen.threshold;
    let nodes = nodes(&keygen.members);
    let reason =
        format!("no entry of key_gen.allow_list allows a wallet of {threshold} of {nodes}");
    refuse("keygen-not-allowed", reason)
}

/// Formats a committee, such as `2 nodes (csn1…, csn1…)`.
fn nodes(members: &[String]) -> String {
    format!("{} nodes ({})", members.len(), members.join(", "))
}

fn judge_reshare(rules: &KeyReshareRules, resharing: &Resharing) -> Ruling {
    if rules.reject_all {
        return refuse("keyreshare-reject-all", REJECT_ALL);
    }
    let fits = |entry: &KeyReshareEntry| {
        entry.xpubkey == resharing.key.root_public_key
            && entry.new_threshold == resharing.new_threshold
            && same_set(&entry.new_node_ids, &resharing.new_members)
    };
    if rules.allow_list.iter().any(fits) {
        return Ok("an entry of the list allows this move".into());
    }
    let reason = format!(
        "no entry of key_reshare.allow_list allows {} to go to {} of {}",
        resharing.key.root_public_key,
        resharing.new_threshold,
        nodes(&resharing.new_members)
    );
    refuse("keyreshare-not-allowed", reason)
}

fn judge_check_up(rules: &RejectAll) -> Ruling {
    if rules.reject_all {
        refuse("keysharesign-reject-all", REJECT_ALL)
    } else {
        Ok("check-ups are allowed".into())
    }
}

/// True if an entry's nodes, or its number of nodes, are those of a committee. An entry with both
/// or neither is a mistake and allows none.
fn is_committee(entry: &KeyGenEntry, members: &[String]) -> bool {
    match (&entry.node_ids, entry.nodes) {
        (Some(ids), None) => same_set(ids, members),
        (None, Some(nodes)) => usize::from(nodes) == members.len() && same_set(members, members),
        (Some(_), Some(_)) | (None, None) => false,
    }
}

/// Compares committees regardless of order. A repeated id never equals anything.
fn same_set(listed: &[String], actual: &[String]) -> bool {
    let set: BTreeSet<_> = actual.iter().collect();
    set.len() == actual.len()
        && listed.len() == actual.len()
        && listed.iter().collect::<BTreeSet<_>>() == set
}

#[cfg(test)]
mod tests;
