//! The order in which the entries that guard a task are evaluated.
//!
//! Cheap ones come first: failed entries, local plugins, stateful local plugins, and then those
//! with network, all at once. While these wait, other decisions go on and may change a plugin's
//! memory. So stateful plugins are evaluated again at the end, under the lock, and that answer
//! counts. A plugin that is both stateful and remote is evaluated once, and the lock is held for as
//! long as that takes.

use std::time::Instant;

use futures_util::future::join_all;

use crate::contract::evaluation::Evaluation;
use crate::contract::task::Task;
use crate::decision::entry::Entry;
use crate::decision::lock::{DecisionGuard, DecisionLock};

/// The entries that guard one task.
pub(crate) struct EvaluationPlan<'c> {
    /// Failed entries, and plugins with neither memory nor network.
    plain: Vec<&'c Entry>,
    /// Stateful plugins without network.
    stateful: Vec<&'c Entry>,
    /// Plugins that use the network.
    remote: Vec<&'c Entry>,
}

/// Result of an [`EvaluationPlan`].
pub(crate) enum Outcome {
    /// All approve, or the last evaluation refuses.
    Complete {
        evaluations: Vec<Evaluation>,
        guard: DecisionGuard,
    },
    /// The lock was not free in time.
    NoLock(Vec<Evaluation>),
}

impl<'c> EvaluationPlan<'c> {
    pub(crate) fn new(entries: impl Iterator<Item = &'c Entry>) -> Self {
        let (local, remote): (Vec<_>, Vec<_>) = entries.partition(|entry| entry.is_local());
        let (stateful, mut plain): (Vec<_>, Vec<_>) =
            local.into_iter().partition(|entry| entry.is_stateful());
        plain.sort_by_key(|entry| entry.failure().is_none());
        Self {
            plain,
            stateful,
            remote,
        }
    }

    pub(crate) async fn evaluate(
        &self,
        task: &Task,
        deadline: Instant,
        lock: &DecisionLock,
    ) -> Outcome {
        let mut evaluations =
            Vec::with_capacity(self.plain.len() + self.stateful.len() + self.remote.len());
        let remote_is_stateful = self.remote.iter().any(|entry| entry.is_stateful());
        if !in_order(&self.plain, task, deadline, &mut evaluations).await {
            return over(evaluations);
        }
        if remote_is_stateful || self.remote.is_empty() {
            return self
                .evaluate_once(remote_is_stateful, task, deadline, lock, evaluations)
                .await;
        }
        let certain = evaluations.len();
        if !in_order(&self.stateful, task, deadline, &mut evaluations).await {
            return over(evaluations);
        }
        let tentative = evaluations.len();
        if !at_once(&self.remote, task, deadline, &mut evaluations).await
            || self.stateful.is_empty()
        {
            return over(evaluations);
        }
        let Some(guard) = lock.acquire(deadline).await else {
            return Outcome::NoLock(evaluations);
        };
        evaluations.drain(certain..tentative);
        in_order(&self.stateful, task, deadline, &mut evaluations).await;
        Outcome::Complete { evaluations, guard }
    }

    /// Asks the local entries without effect, in the order of a decision and to the end, whatever
    /// they say. Returns the names of the others with the answers. No lock is taken: nothing is
    /// used up, and every call sees its memory as of one moment.
    pub(crate) async fn preview(
        &self,
        task: &Task,
        deadline: Instant,
    ) -> (Vec<Evaluation>, Vec<String>) {
        let mut evaluations = Vec::with_capacity(self.plain.len() + self.stateful.len());
        for entry in self.plain.iter().chain(&self.stateful) {
            evaluations.push(entry.preview(task, deadline).await);
        }
        let not_asked = self.remote.iter().map(|entry| entry.name.clone());
        (evaluations, not_asked.collect())
    }

    /// Evaluates every entry once, all stateful ones under one lock.
    async fn evaluate_once(
        &self,
        remote_is_stateful: bool,
        task: &Task,
        deadline: Instant,
        lock: &DecisionLock,
        mut evaluations: Vec<Evaluation>,
    ) -> Outcome {
        let mut guard = DecisionGuard::default();
        if remote_is_stateful || !self.stateful.is_empty() {
            let Some(next) = lock.acquire(deadline).await else {
                return Outcome::NoLock(evaluations);
            };
            guard = next;
        }
        if in_order(&self.stateful, task, deadline, &mut evaluations).await {
            at_once(&self.remote, task, deadline, &mut evaluations).await;
        }
        Outcome::Complete { evaluations, guard }
    }
}

fn over(evaluations: Vec<Evaluation>) -> Outcome {
    Outcome::Complete {
        evaluations,
        guard: DecisionGuard::default(),
    }
}

/// Evaluates one after the other, up to the first refusal. Returns true if there was none.
async fn in_order(
    entries: &[&Entry],
    task: &Task,
    deadline: Instant,
    evaluations: &mut Vec<Evaluation>,
) -> bool {
    for entry in entries {
        evaluations.push(entry.ask(task, deadline).await);
        if evaluations
            .last()
            .is_some_and(|last| last.verdict.refusal().is_some())
        {
            return false;
        }
    }
    true
}

/// Evaluates all, so that the wait is the slowest and not the sum. Returns true if none refused.
async fn at_once(
    entries: &[&Entry],
    task: &Task,
    deadline: Instant,
    evaluations: &mut Vec<Evaluation>,
) -> bool {
    let before = evaluations.len();
    evaluations.extend(join_all(entries.iter().map(|entry| entry.ask(task, deadline))).await);
    evaluations[before..]
        .iter()
        .all(|evaluation| evaluation.verdict.refusal().is_none())
}
