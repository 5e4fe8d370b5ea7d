//! The one trait that an author implements. It holds no state: every call may run
//! in a new instance.

use serde::de::DeserializeOwned;

use crate::{Failure, Host, Rejection, Task, Verdict};

/// A risk plugin. Export it with [`export_plugin!`](crate::export_plugin).
pub trait Plugin {
    /// The plugin's configuration, read from the node's JSON once per instance: put costly work,
    /// such as sorting a list, into its [`Deserialize`](serde::Deserialize), e.g. by
    /// `#[serde(try_from = "...")]`. Use `#[serde(deny_unknown_fields)]`: a misspelt rule must
    /// not be silently absent.
    type Config: DeserializeOwned;

    /// Name by which configuration refers to the plugin, e.g. `rules`.
    const NAME: &'static str;

    /// One line about the plugin, for operators.
    const DESCRIPTION: &'static str;

    /// JSON Schema of [`Config`](Self::Config), if there is one.
    const CONFIG_SCHEMA: Option<&'static str> = None;

    /// Checks the configuration beyond its form. Called before it takes effect.
    fn check(config: &Self::Config, host: &impl Host) -> Result<(), Failure> {
        let _ = (config, host); // The form was checked when `config` was parsed.
        Ok(())
    }

    /// Checks that the plugin's dependencies are in reach, e.g. an approval server. Called now
    /// and then; decides nothing.
    fn probe(config: &Self::Config, host: &impl Host) -> Result<(), Failure> {
        let _ = (config, host); // Depends on nothing.
        Ok(())
    }

    /// Another member of the key's committee approved `task`, and this node is not among its
    /// signers: count it as if it had been approved here, even if it goes beyond a limit. Nothing
    /// depends on the answer; writes are kept if this succeeds, and taken back if it turns out that
    /// nothing was signed. [`Host::send`] and keys are out of reach.
    ///
    /// A limit counted in [`evaluate`](Self::evaluate) and not here is one of each node,
    /// not of the key.
    fn observe(config: &Self::Config, task: &Task, host: &impl Host) -> Result<(), Failure> {
        let _ = (config, task, host); // Counts nothing.
        Ok(())
    }

    /// Decides if the node may take part in `task`. Everything but
    /// `Ok(Verdict::Approve)` keeps it out.
    fn evaluate(config: &Self::Config, task: &Task, host: &impl Host) -> Result<Verdict, Failure>;
}

/// Approves: there is no objection.
pub fn approve() -> Result<Verdict, Failure> {
    Ok(Verdict::Approve)
}

/// Objects, with a stable `code` (lower-case letters, digits, `-`, `.`) and a sentence for people.
pub fn reject(code: impl Into<String>, reason: impl Into<String>) -> Result<Verdict, Failure> {
    Ok(Verdict::Reject(Rejection {
        code: code.into(),
        reason: reason.into(),
    }))
}
