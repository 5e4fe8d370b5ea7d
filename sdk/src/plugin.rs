//! The only trait that a plugin's author implements. It holds no state: every call may run in a new
//! instance.

use serde::de::DeserializeOwned;

use crate::{Failure, Host, Rejection, Task, Verdict};

/// A risk plugin. Export it with [`export_plugin!`](crate::export_plugin).
pub trait Plugin {
    /// The plugin's configuration, parsed from the node's JSON once per instance: put costly work,
    /// such as sorting a list, into its [`Deserialize`](serde::Deserialize), e.g. by
    /// `#[serde(try_from = "...")]`. Use `#[serde(deny_unknown_fields)]`, so that a misspelt rule
    /// is not silently ignored.
    type Config: DeserializeOwned;

    /// Name by which configuration refers to the plugin, e.g. `rules`.
    const NAME: &'static str;

    /// One line about the plugin, for operators.
    const DESCRIPTION: &'static str;

    /// JSON Schema of [`Config`](Self::Config), if there is one.
    const CONFIG_SCHEMA: Option<&'static str> = None;

    /// Validates the configuration beyond its syntax. Called before it takes effect.
    fn check(config: &Self::Config, host: &impl Host) -> Result<(), Failure> {
        let _ = (config, host); // The form was checked when `config` was parsed.
        Ok(())
    }

    /// Checks that the plugin's dependencies, such as an approval server, are reachable. Called at
    /// an interval; the result decides nothing.
    fn probe(config: &Self::Config, host: &impl Host) -> Result<(), Failure> {
        let _ = (config, host); // Depends on nothing.
        Ok(())
    }

    /// Counts a `task` that another member of the key's committee approved, and that this node does
    /// not sign: as if it had been approved here, even if it exceeds a limit. Nothing depends on
    /// the result. Writes are kept on success, and taken back if it turns out that nothing was
    /// signed. [`Host::send`] and keys are not available. A limit that is only counted in
    /// [`evaluate`](Self::evaluate) bounds each node, not the key.
    fn observe(config: &Self::Config, task: &Task, host: &impl Host) -> Result<(), Failure> {
        let _ = (config, task, host); // Counts nothing.
        Ok(())
    }

    /// Decides if the node may take part in `task`. Only `Ok(Verdict::Approve)` lets it do so.
    fn evaluate(config: &Self::Config, task: &Task, host: &impl Host) -> Result<Verdict, Failure>;
}

/// Approves the task: the plugin has no objection.
pub fn approve() -> Result<Verdict, Failure> {
    Ok(Verdict::Approve)
}

/// Rejects the task with a sentence for people and a stable `code`, which consists of lower-case
/// letters, digits, `-` and `.` only.
pub fn reject(code: impl Into<String>, reason: impl Into<String>) -> Result<Verdict, Failure> {
    Ok(Verdict::Reject(Rejection {
        code: code.into(),
        reason: reason.into(),
    }))
}
