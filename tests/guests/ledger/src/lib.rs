//! A guest that approves a limited number of tasks, and remembers each under its own name.

use std::time::Duration;

use countersign_sdk::{Failure, Host, Plugin, Task, Verdict, approve, export_plugin, reject};
use serde::Deserialize;

/// The guest's configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Number of tasks that it approves.
    pub limit: usize,
}

/// The plugin `ledger`.
pub struct Ledger;

impl Plugin for Ledger {
    type Config = Config;

    const NAME: &'static str = "ledger";
    const DESCRIPTION: &'static str = "Approves a limited number of tasks.";

    fn observe(_config: &Config, task: &Task, host: &impl Host) -> Result<(), Failure> {
        Ok(host.state_set(
            &format!("spent/{}", task.id),
            b"1",
            Some(Duration::from_secs(3600)),
        )?)
    }

    fn evaluate(config: &Config, task: &Task, host: &impl Host) -> Result<Verdict, Failure> {
        let spent = host.state_entries("spent/", 1000)?.len();
        if spent >= config.limit {
            return reject("limit", format!("{spent} were approved"));
        }
        host.state_set(
            &format!("spent/{}", task.id),
            b"1",
            Some(Duration::from_secs(3600)),
        )?;
        approve()
    }
}

export_plugin!(Ledger);
