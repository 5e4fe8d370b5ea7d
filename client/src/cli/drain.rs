//! `countersign drain`: lets the coordinator finish its tasks, so that it can be stopped.

use std::time::{Duration, Instant};

use clap::Args;
use countersign_client::api::DrainView;
use countersign_client::{Client, ClientError};
use serde_json::json;

use super::exit::Exit;
use super::line::Line;
use super::output::Output;

/// Interval between two looks at the coordinator.
const LOOK: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
pub struct DrainArgs {
    /// Begin tasks again. A restarted coordinator does so, too.
    #[arg(long, conflicts_with = "wait")]
    undo: bool,
    /// Seconds to wait for the tasks under way; 0 only begins.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    wait: u64,
}

pub async fn execute(
    args: DrainArgs,
    client: &Client,
    output: &Output,
) -> Result<Exit, ClientError> {
    let wanted = !args.undo;
    let mut state = client.api().set_drain(wanted).await?;
    if wanted {
        state = wait(state, Duration::from_secs(args.wait), client, output).await?;
    }
    output.result(&json!(state), &[Line::from(text(state))])?;
    let waited = wanted && args.wait > 0;
    Ok(if waited && !is_drained(state) {
        Exit::Undecided
    } else {
        Exit::Done
    })
}

async fn wait(
    first: DrainView,
    limit: Duration,
    client: &Client,
    output: &Output,
) -> Result<DrainView, ClientError> {
    let end = Instant::now() + limit;
    let mut told = None;
    let mut state = first;
    while state.draining && !is_drained(state) && Instant::now() < end {
        if told != Some(state) {
            output.note(text(state));
            told = Some(state);
        }
        tokio::time::sleep(LOOK).await;
        state = client.api().drain().await?;
    }
    Ok(state)
}

fn is_drained(state: DrainView) -> bool {
    state.draining && state.under_way == 0
}

fn text(state: DrainView) -> String {
    let DrainView {
        draining,
        under_way,
        waiting,
    } = state;
    if is_drained(state) {
        return format!(
            "drained: no task is under way, and {waiting} wait for a restart of the coordinator or `countersign drain --undo`"
        );
    }
    let what = if draining {
        "draining"
    } else {
        "the coordinator begins tasks"
    };
    format!("{what}: {under_way} under way, {waiting} waiting")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coordinator_with_tasks_under_way_is_not_drained() {
        for (draining, under_way, drained) in [(true, 0, true), (true, 1, false), (false, 0, false)]
        {
            let state = DrainView {
                draining,
                under_way,
                waiting: 3,
            };
            assert_eq!(is_drained(state), drained);
            assert_eq!(
                text(state).starts_with("drained:"),
                drained,
                "{}",
                text(state)
            );
        }
    }
}
