//! The embedded risk rules: the incumbent's configuration tree with policies for signatures, judged on the node's own
//! facts only. Asks nobody; remembers what limits count, if there are any. `docs/rules.yaml` shows every key and code.
//!
//! From a file's root inwards: `config` → `key_sign` → `policy` → one module for each section of a policy.

mod assets;
mod calls;
mod choice;
mod config;
mod grants;
mod hours;
mod key_sign;
mod limits;
mod messages;
mod policy;
mod trail;
mod transactions;
mod when;

use std::collections::BTreeSet;

use countersign_sdk::{
    Failure, Host, KeyShareSigning, Keygen, Operation, Plugin, Resharing, Task, Verdict, approve,
    export_plugin, reject,
};

pub use config::{Config, KeyGenEntry, KeyGenRules, KeyReshareEntry, KeyReshareRules, RejectAll};
pub use key_sign::KeySignRules;

/// The plugin `rules`.
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
        match &task.operation {
            Operation::Keygen(keygen) => judge_keygen(&config.key_gen, keygen),
            Operation::Sign(signing) => trail::verdict(config.key_sign.judge(host, task, signing)),
            Operation::Reshare(resharing) => judge_reshare(&config.key_reshare, resharing),
            Operation::KeyShareSign(check_up) => judge_check_up(&config.key_share_sign, check_up),
            Operation::Other(name) => {
                Err(Failure::Unsupported(format!("no rule for the operation `{name}`")))
            }
        }
    }
}

export_plugin!(Rules);

/// For the incumbent `enable: false` turns the rules off. Here every plugin must approve, so a plugin that is turned
/// off would either block everything or be a hole; neither is what was meant.
fn disabled() -> Failure {
    Failure::Misconfigured(
        "`enable` is not true: set it, or remove this plugin's entry to do without rules".into(),
    )
}

fn judge_keygen(rules: &KeyGenRules, keygen: &Keygen) -> Result<Verdict, Failure> {
    if rules.reject_all {
        return unless(true, "keygen-reject-all");
    }
    let fits = |entry: &KeyGenEntry| {
        entry.threshold == keygen.threshold && same_set(&entry.node_ids, &keygen.members)
    };
    if rules.allow_list.iter().any(fits) {
        return approve();
    }
    let reason = format!("no entry of key_gen.allow_list is {} of {:?}", keygen.threshold, keygen.members);
    reject("keygen-not-allowed", reason)
}

fn judge_reshare(rules: &KeyReshareRules, resharing: &Resharing) -> Result<Verdict, Failure> {
    if rules.reject_all {
        return unless(true, "keyreshare-reject-all");
    }
    let fits = |entry: &KeyReshareEntry| {
        entry.xpubkey == resharing.key.root_public_key
            && entry.new_threshold == resharing.new_threshold
            && same_set(&entry.new_node_ids, &resharing.new_members)
    };
    if rules.allow_list.iter().any(fits) {
        return approve();
    }
    let reason = format!(
        "no entry of key_reshare.allow_list moves {} to {} of {:?}",
        resharing.key.root_public_key, resharing.new_threshold, resharing.new_members
    );
    reject("keyreshare-not-allowed", reason)
}

fn judge_check_up(rules: &RejectAll, _check_up: &KeyShareSigning) -> Result<Verdict, Failure> {
    unless(rules.reject_all, "keysharesign-reject-all")
}

fn unless(reject_all: bool, code: &str) -> Result<Verdict, Failure> {
    if reject_all { reject(code, "reject_all is set for this kind of task") } else { approve() }
}

/// Equality of committees: order does not matter, and a repeated id never equals anything.
fn same_set(listed: &[String], actual: &[String]) -> bool {
    let set: BTreeSet<_> = actual.iter().collect();
    set.len() == actual.len() && listed.len() == actual.len() && listed.iter().collect::<BTreeSet<_>>() == set
}

#[cfg(test)]
mod tests;
