//! The entries that decide on one task, in the order in which they are asked.
//!
//! Cheap ones first: broken entries, local plugins, local plugins that remember, and then those
//! with network, all at once. What a plugin remembers may change while others wait for the network,
//! without holding anybody up. So those that remember are asked again at the end, in turn: that
//! answer counts. A plugin that both remembers and uses the network is asked once, and the turn
//! lasts as long as it takes.

use std::time::Instant;

use futures_util::future::join_all;

use crate::slot::Entry;
use crate::turns::{Turn, Turns};
use crate::{Evaluation, Task};

/// Who decides on one task.
pub(crate) struct Panel<'c> {
    /// Broken ones, and those that need neither memory nor network.
    plain: Vec<&'c Entry>,
    /// Local ones that remember.
    mindful: Vec<&'c Entry>,
    /// Those with network.
    remote: Vec<&'c Entry>,
}

/// What a panel says.
pub(crate) enum Heard {
    /// All approve, or the last of them refuses.
    All {
        evaluations: Vec<Evaluation>,
        turn: Turn,
    },
    /// The turn did not come in time.
    NoTurn(Vec<Evaluation>),
}

impl<'c> Panel<'c> {
    pub(crate) fn new(entries: impl Iterator<Item = &'c Entry>) -> Self {
        let (local, remote): (Vec<_>, Vec<_>) = entries.partition(|entry| entry.is_local());
        let (mindful, mut plain): (Vec<_>, Vec<_>) =
            local.into_iter().partition(|entry| entry.remembers());
        plain.sort_by_key(|entry| entry.broken().is_none());
        Self {
            plain,
            mindful,
            remote,
        }
    }

    pub(crate) async fn hear(&self, task: &Task, deadline: Instant, turns: &Turns) -> Heard {
        let mut heard =
            Vec::with_capacity(self.plain.len() + self.mindful.len() + self.remote.len());
        let one_turn = self.remote.iter().any(|entry| entry.remembers());
        if !in_order(&self.plain, task, deadline, &mut heard).await {
            return over(heard);
        }
        if one_turn || self.remote.is_empty() {
            return self.hear_once(one_turn, task, deadline, turns, heard).await;
        }
        let certain = heard.len();
        if !in_order(&self.mindful, task, deadline, &mut heard).await {
            return over(heard);
        }
        let tentative = heard.len();
        if !at_once(&self.remote, task, deadline, &mut heard).await || self.mindful.is_empty() {
            return over(heard);
        }
        let Some(turn) = turns.next(deadline).await else {
            return Heard::NoTurn(heard);
        };
        heard.drain(certain..tentative);
        in_order(&self.mindful, task, deadline, &mut heard).await;
        Heard::All {
            evaluations: heard,
            turn,
        }
    }

    /// What remembers is asked once, in turn from the first to the last.
    async fn hear_once(
        &self,
        remote_remembers: bool,
        task: &Task,
        deadline: Instant,
        turns: &Turns,
        mut heard: Vec<Evaluation>,
    ) -> Heard {
        let mut turn = Turn::default();
        if remote_remembers || !self.mindful.is_empty() {
            let Some(next) = turns.next(deadline).await else {
                return Heard::NoTurn(heard);
            };
            turn = next;
        }
        if in_order(&self.mindful, task, deadline, &mut heard).await {
            at_once(&self.remote, task, deadline, &mut heard).await;
        }
        Heard::All {
            evaluations: heard,
            turn,
        }
    }
}

fn over(evaluations: Vec<Evaluation>) -> Heard {
    Heard::All {
        evaluations,
        turn: Turn::default(),
    }
}

/// Asks one after the other, up to the first refusal. True if there was none.
async fn in_order(
    entries: &[&Entry],
    task: &Task,
    deadline: Instant,
    heard: &mut Vec<Evaluation>,
) -> bool {
    for entry in entries {
        heard.push(entry.ask(task, deadline).await);
        if heard
            .last()
            .is_some_and(|last| last.verdict.refusal().is_some())
        {
            return false;
        }
    }
    true
}

/// Asks all, so that the wait is the slowest and not the sum. True if none refused.
async fn at_once(
    entries: &[&Entry],
    task: &Task,
    deadline: Instant,
    heard: &mut Vec<Evaluation>,
) -> bool {
    let before = heard.len();
    heard.extend(join_all(entries.iter().map(|entry| entry.ask(task, deadline))).await);
    heard[before..]
        .iter()
        .all(|evaluation| evaluation.verdict.refusal().is_none())
}
