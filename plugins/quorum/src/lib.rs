//! The votes of people: a task is approved when enough of those whom the operator lists have
//! approved it, and nobody with a veto has rejected it. `docs/quorum.yaml` shows every key, and
//! `docs/quorum.md` describes votes and codes.
//!
//! Votes reach this plugin as the claim `votes` of the question. Nothing of it is believed because
//! of who carried it: each vote that counts is verified here, over the hash of the very bytes that
//! the requester signed. There is no I/O and no memory, so the same question always has the same
//! answer at the same time.
//!
//! From a file's root inwards: `config` → `people`, `rule` → `when`, `requirement`. A decision goes
//! through `claim`, which reads votes, and `count`, which counts them; `words` tells of it.

mod claim;
mod config;
mod count;
mod people;
mod requirement;
mod rule;
mod when;
mod words;

use countersign_sdk::{
    Failure, Host, Level, Operation, Plugin, Task, Verdict, approve, export_plugin, reject,
};

pub use claim::{CLAIM, MAX_VOTES};
use claim::{Unreadable, Votes};
pub use config::Config;
use count::{Count, Outcome};

/// The plugin's type, for the host and for tests.
pub struct Quorum;

impl Plugin for Quorum {
    type Config = Config;

    const NAME: &'static str = "quorum";
    const DESCRIPTION: &'static str =
        "Votes of people by Ed25519 keys and passkeys: groups, vetoes and expiry.";

    fn evaluate(config: &Config, task: &Task, host: &impl Host) -> Result<Verdict, Failure> {
        if let Operation::Other(name) = &task.operation {
            return Err(Failure::Unsupported(format!(
                "no rule can be for the operation `{name}`"
            )));
        }
        let log = |level, line: &str| host.log(level, line, &[]);
        let mut rules = config.rules.iter();
        let applies = |rule: &&rule::Rule| match rule.when.mismatch(task) {
            None => true,
            Some(why) => {
                let line = format!("rule {} does not apply: {why}", rule.name);
                log(Level::Debug, &line);
                false
            }
        };
        let Some(rule) = rules.find(applies) else {
            return reject(
                "quorum-no-rule",
                "no rule is for such a task; have one added if people may approve it",
            );
        };
        let votes = match Votes::read(task, &config.people) {
            Ok(votes) => votes,
            Err(Unreadable::TooMany(reason)) => return reject("quorum-too-many-votes", reason),
            Err(Unreadable::Malformed(reason)) => return reject("quorum-votes-malformed", reason),
        };
        let mut count = Count::new(config, rule, task, host.now());
        let outcome = count.judge(votes);
        count
            .copies()
            .iter()
            .for_each(|warning| log(Level::Warn, warning));
        let (level, what) = match &outcome {
            Outcome::Approved(why) => (Level::Debug, why),
            Outcome::Pending(why) | Outcome::Rejected(why) | Outcome::Impossible(why) => {
                (Level::Info, why)
            }
        };
        log(level, &format!("rule {}: {what}", rule.name));
        match outcome {
            Outcome::Approved(_) => approve(),
            Outcome::Pending(why) => reject("quorum-pending", why),
            Outcome::Rejected(why) => reject("quorum-rejected", why),
            Outcome::Impossible(why) => reject("quorum-impossible", why),
        }
    }
}

export_plugin!(Quorum);

#[cfg(test)]
mod tests;
