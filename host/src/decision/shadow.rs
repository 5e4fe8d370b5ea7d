//! Shadow entries, which decide nothing: they are evaluated after all others, beside the task, and
//! compared with the decision. Nothing that happens to them affects the task.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use crate::contract::evaluation::Difference;
use crate::contract::role::Shadow;
use crate::contract::role::subjects;
use crate::contract::services::Services;
use crate::contract::task::Task;
use crate::decision::chain::{Chain, Decision};
use crate::decision::entry::Entry;

/// Shadows that are asked at the same time; further ones are left out.
const AT_ONCE: usize = 8;

/// Evaluates shadows alongside the tasks that they observe.
pub(crate) struct ShadowRunner(Arc<Semaphore>);

impl Default for ShadowRunner {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl ShadowRunner {
    /// Starts the shadows of `chain` on the task that was just decided. Their view of memory is
    /// taken now, before the decision becomes part of it.
    pub(crate) fn run(
        &self,
        chain: &Arc<Chain>,
        services: &Arc<dyn Services>,
        task: &Task,
        decision: &Decision,
    ) {
        if chain
            .entries()
            .iter()
            .all(|entry| entry.role.shadow.is_none())
        {
            return;
        }
        let subjects = subjects(&task.operation);
        let concerned = |entry: &Entry| {
            subjects
                .iter()
                .any(|subject| entry.role.scope.covers(subject))
        };
        let task = Arc::new(task.clone());
        for (at, entry) in chain.entries().iter().enumerate() {
            if let (Some(shadow), true) = (&entry.role.shadow, concerned(entry)) {
                let begun = self.begin(chain, services, at, decided(shadow, decision), &task);
                begun.unwrap_or_else(|| entry.stats.skip());
            }
        }
    }

    /// `None` if there is nothing to compare with, or no room.
    fn begin(
        &self,
        chain: &Arc<Chain>,
        services: &Arc<dyn Services>,
        at: usize,
        decided: Option<Option<String>>,
        task: &Arc<Task>,
    ) -> Option<()> {
        let decided = decided?;
        let plugin = chain.entries()[at].plugin()?;
        let room = self.0.clone().try_acquire_owned().ok()?;
        let memory = match plugin.grants().state_bytes {
            0 => None,
            _ => Some(services.memory(plugin.memory_of()).ok()?),
        };
        let deadline = Instant::now() + Duration::from_millis(plugin.grants().wall_ms);
        let chain = chain.clone();
        let services = services.clone();
        let task = task.clone();
        tokio::spawn(async move {
            let entry = &chain.entries()[at];
            let evaluation = entry.ask_with(memory, &task, deadline).await;
            if evaluation.verdict.code() != decided.as_deref() {
                entry.stats.differ();
                let against = entry
                    .role
                    .shadow
                    .as_ref()
                    .and_then(Shadow::entry)
                    .map(str::to_owned);
                services.differs(Difference {
                    task: task.id.clone(),
                    against,
                    decided,
                    evaluation,
                });
            }
            drop(room);
        });
        Some(())
    }
}

/// Code of the refusal that a shadow is compared with: `Some(None)` if that was an approval, `None`
/// if there was no evaluation.
fn decided(shadow: &Shadow, decision: &Decision) -> Option<Option<String>> {
    match shadow {
        Shadow::Chain => Some(decision.refusal().map(|refusal| refusal.code)),
        Shadow::Entry(name) => {
            let evaluation = decision
                .evaluations()
                .iter()
                .find(|evaluation| evaluation.plugin == *name)?;
            Some(evaluation.verdict.code().map(str::to_owned))
        }
    }
}
