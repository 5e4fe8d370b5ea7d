//! `drain`: lets the node finish its tasks and take no others, so that it can be stopped.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use countersign_node::admin::{self, Answer, Question};
use countersign_node::config::Config;
use serde::Serialize;

use super::Args;

/// Interval between two looks at the node.
const LOOK: Duration = Duration::from_millis(200);

#[derive(Debug, clap::Args)]
pub struct Drain {
    /// Take new tasks again. A restarted node does so, too.
    #[arg(long, conflicts_with = "wait")]
    undo: bool,
    /// Seconds to wait for the tasks under way; 0 only begins.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    wait: u64,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// The answer of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct State {
    draining: bool,
    in_effect: bool,
    tasks: u64,
}

impl Drain {
    pub(super) fn run(&self, args: &Args) -> anyhow::Result<()> {
        let config = Config::load(&args.config)?;
        let wanted = !self.undo;
        let mut state = ask(&config, Some(wanted))?;
        if wanted {
            state = wait(&config, state, Duration::from_secs(self.wait))?;
        }
        if self.json {
            println!("{}", serde_json::to_string_pretty(&state)?);
        } else {
            println!("{}", text(state));
        }
        let waited = wanted && self.wait > 0;
        if waited && !state.is_drained() {
            bail!(
                "the node is not drained after {} s, and goes on draining; wait again, or take it back with `countersign-node drain --undo`",
                self.wait
            );
        }
        Ok(())
    }
}

impl State {
    fn is_drained(self) -> bool {
        self.draining && self.in_effect && self.tasks == 0
    }
}

fn text(state: State) -> String {
    let tasks = match state.tasks {
        0 => "no task is under way".into(),
        1 => "1 task is under way".into(),
        tasks => format!("{tasks} tasks are under way"),
    };
    if state.is_drained() {
        return format!("Drained: {tasks}, and the node is offered none. Stop it now.");
    }
    match (state.draining, state.in_effect) {
        (false, _) => format!("The node takes new tasks; {tasks}."),
        (true, true) => format!("Draining: {tasks}, and the node is offered no others."),
        (true, false) => format!("Draining: {tasks}, and the coordinator has not agreed yet."),
    }
}

/// Waits until the node is drained, and says what it waits for.
fn wait(config: &Config, first: State, limit: Duration) -> anyhow::Result<State> {
    let end = Instant::now() + limit;
    let mut told = None;
    let mut state = first;
    while !state.is_drained() && Instant::now() < end {
        if told != Some(state) {
            eprintln!("{}", text(state));
            told = Some(state);
        }
        sleep(LOOK);
        state = ask(config, None).context("the node stopped before it was drained")?;
        if !state.draining {
            bail!("somebody took the node back with `drain --undo`, or it was restarted");
        }
    }
    Ok(state)
}

fn ask(config: &Config, wanted: Option<bool>) -> anyhow::Result<State> {
    match admin::ask(&config.dir, &Question::Drain(wanted))? {
        Answer::Draining {
            draining,
            in_effect,
            tasks,
        } => Ok(State {
            draining,
            in_effect,
            tasks,
        }),
        _ => bail!("unexpected answer from the node"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_node_without_tasks_that_is_offered_none_is_drained() {
        for (draining, in_effect, tasks, drained, said) in [
            (
                true,
                true,
                0,
                true,
                "Drained: no task is under way, and the node is offered none. Stop it now.",
            ),
            (
                true,
                true,
                1,
                false,
                "Draining: 1 task is under way, and the node is offered no others.",
            ),
            (
                true,
                false,
                0,
                false,
                "Draining: no task is under way, and the coordinator has not agreed yet.",
            ),
            (
                false,
                false,
                2,
                false,
                "The node takes new tasks; 2 tasks are under way.",
            ),
        ] {
            let state = State {
                draining,
                in_effect,
                tasks,
            };
            assert_eq!((state.is_drained(), text(state).as_str()), (drained, said));
        }
    }
}
