//! Risk control: the one place that can say yes.
//!
//! [`Approved`] exists only after every configured plugin approved; nothing else makes one. A plugin can only refuse.

mod sandbox;
mod services;
mod specs;
mod watch;

pub use sandbox::{SandboxError, sandbox};
pub use services::{CALLBACK_KEY, NodeServices, ServicesError, scratch};
pub use specs::{SpecError, spec, users};
pub use watch::watch;

use crate::config::Policy;
use crate::core::Core;
use crate::task::Job;
use countersign_host::{Chain, CodeCache, Evaluation, Level, Origin, Pipeline, Plugin, Principal, Statement};
use countersign_protocol::{Authenticated, Hash, PluginVerdict, Refusal, SignedTask, Task, UnixMillis};
use countersign_store::StateWrite;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, OwnedMutexGuard};

/// An operation that every configured plugin approved. Made by [`Guard::decide`] alone; nobody else can:
///
/// ```compile_fail,E0451
/// let forged = countersign_node::risk::Approved { plan: "pay me", verdicts: Vec::new() };
/// ```
#[derive(Debug, Clone)]
pub struct Approved<J> {
    plan: J,
    verdicts: Vec<PluginVerdict>,
}

impl<J> Approved<J> {
    /// What was approved.
    pub fn plan(&self) -> &J {
        &self.plan
    }

    /// Who approved.
    pub fn verdicts(&self) -> &[PluginVerdict] {
        &self.verdicts
    }
}

/// What became of the question.
pub enum Decision<J> {
    /// This node takes part.
    Approved {
        /// The evidence.
        approved: Approved<J>,
        /// What plugins remember if the approval becomes durable.
        writes: Vec<StateWrite>,
        /// To be kept until the approval is durable.
        turn: Turn,
    },
    /// It does not.
    Refused {
        /// By whom, and why.
        refusal: Refusal,
        /// What each plugin that was asked said.
        verdicts: Vec<PluginVerdict>,
    },
}

/// The plugins of this node.
pub struct Guard {
    policy: Policy,
    /// `None` only where the operator allowed it in writing.
    pipeline: Option<Pipeline>,
    turns: Turns,
    /// What the plugins' files looked like just before they were loaded.
    loaded: watch::Sight,
}

/// One decision at a time where a plugin remembers something: two tasks that were judged by the same memory could each
/// use up what is left of a limit. Without such a plugin decisions do not wait for each other.
struct Turns(Option<Arc<Mutex<()>>>);

/// The right to decide. While somebody holds it, nobody else reads what plugins remember.
pub struct Turn(Option<OwnedMutexGuard<()>>);

impl Turns {
    fn new(policy: &Policy) -> Turns {
        let remembers = policy.plugins.iter().any(|plugin| plugin.grants.state_bytes > 0);
        Turns(remembers.then(Arc::default))
    }

    async fn next(&self) -> Turn {
        match &self.0 {
            Some(turns) => Turn(Some(turns.clone().lock_owned().await)),
            None => Turn(None),
        }
    }
}

impl Turn {
    /// Lets the next decision begin.
    pub fn end(self) {
        drop(self.0);
    }
}

/// Why there is no risk control, and so no node.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GuardError {
    /// The sandbox cannot run here.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// A plugin's entry cannot be used.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// What plugins are given.
    #[error(transparent)]
    Services(#[from] ServicesError),
    /// A plugin was refused.
    #[error(transparent)]
    Chain(#[from] countersign_host::ChainError),
}

impl Guard {
    /// Loads every configured plugin; one that cannot be loaded stops the node.
    /// `cache` keeps machine code between starts.
    pub async fn load(
        policy: Policy,
        cache: Option<CodeCache>,
        services: Arc<NodeServices>,
    ) -> Result<Guard, GuardError> {
        let loaded = watch::look(&policy).await;
        let pipeline = match policy.plugins.is_empty() {
            true => None,
            false => {
                let host = sandbox(&policy, cache)?;
                Some(Pipeline::load(host, specs::read(&policy)?, services).await?)
            }
        };
        Ok(Guard { turns: Turns::new(&policy), policy, pipeline, loaded })
    }

    /// Asks every plugin, in turn with other tasks if one of them remembers anything.
    pub async fn decide<J: Job>(
        &self,
        core: &Core,
        task: &Authenticated<Task>,
        signed: &SignedTask,
        job: J,
    ) -> Decision<J> {
        let turn = self.turns.next().await;
        let Some(pipeline) = &self.pipeline else {
            tracing::warn!(task = %task.id, "no plugin guards this node: approved because policy.allow_unguarded is set");
            return Decision::Approved {
                approved: Approved { plan: job, verdicts: Vec::new() },
                writes: Vec::new(),
                turn,
            };
        };
        let question = question(core, task, signed, &job);
        let left = Duration::from_millis(task.not_after.0.saturating_sub(core.now().0));
        let decision = pipeline.decide(&question, Instant::now() + left.min(self.policy.deadline)).await;
        decision.evaluations().iter().for_each(|evaluation| pass_on_logs(&question.id, evaluation));
        conclude(core.now(), job, &decision, turn)
    }
}

fn conclude<J: Job>(
    now: UnixMillis,
    job: J,
    decision: &countersign_host::Decision,
    turn: Turn,
) -> Decision<J> {
    let verdicts: Vec<PluginVerdict> = decision.evaluations().iter().map(verdict).collect();
    match decision.refusal() {
        None => Decision::Approved {
            writes: decision.writes().map(|(plugin, write)| state_write(now, plugin, write)).collect(),
            approved: Approved { plan: job, verdicts },
            turn,
        },
        Some(refused) => Decision::Refused {
            refusal: Refusal { code: refused.code, reason: refused.reason, plugin: refused.plugin },
            verdicts,
        },
    }
}

/// Loads every plugin as `start` would, and says what each is.
pub async fn check(policy: &Policy) -> Result<Vec<String>, GuardError> {
    let host = sandbox(policy, None)?;
    let chain = Chain::load(&host, specs::read(policy)?, Arc::new(scratch(policy)?)).await?;
    let describe = |plugin: &Plugin| {
        format!("{} {} sha256:{}", plugin.name(), plugin.info().version, hex::encode(plugin.digest()))
    };
    Ok(chain.plugins().iter().map(describe).collect())
}

fn question<J: Job>(
    core: &Core,
    task: &Authenticated<Task>,
    signed: &SignedTask,
    job: &J,
) -> countersign_host::Task {
    let requester = core.config.requesters.get(&task.requester).cloned().unwrap_or_default();
    let note = task.note.iter().map(|note| Statement {
        name: "note".into(),
        value: note.clone(),
        origin: Origin::Claim,
    });
    countersign_host::Task {
        id: task.id.to_string(),
        attempt: 1,
        received_at: core.now().0,
        requester: Principal { id: task.requester.to_string(), name: requester },
        coordinator: Principal {
            id: core.config.coordinator.to_string(),
            name: core.config.coordinator_address.clone(),
        },
        node: core.me.to_string(),
        operation: job.question(),
        extra: note.collect(),
        raw: signed.bytes.clone(),
    }
}

/// What plugins log, under the node's own name for them. The host has bounded and cleaned it.
fn pass_on_logs(task: &str, evaluation: &Evaluation) {
    let plugin = &evaluation.plugin;
    for line in &evaluation.logs {
        let (message, fields) = (&line.message, &line.fields);
        match line.level {
            Level::Trace | Level::Debug => tracing::debug!(task, plugin, ?fields, "{message}"),
            Level::Info => tracing::info!(task, plugin, ?fields, "{message}"),
            Level::Warn | Level::Error => tracing::warn!(task, plugin, ?fields, "{message}"),
        }
    }
}

fn verdict(evaluation: &Evaluation) -> PluginVerdict {
    let refusal = evaluation.verdict.refusal();
    PluginVerdict {
        plugin: evaluation.plugin.clone(),
        version: evaluation.version.clone(),
        digest: Hash(evaluation.digest),
        config: Hash(evaluation.revision),
        approved: refusal.is_none(),
        code: refusal.map(|(code, _)| code.to_owned()).unwrap_or_default(),
        reason: refusal.map(|(_, reason)| reason.to_owned()).unwrap_or_default(),
        micros: evaluation.elapsed.as_micros() as u64,
    }
}

fn state_write(now: UnixMillis, plugin: &str, write: &countersign_host::StateWrite) -> StateWrite {
    let expiry = |seconds: u64| UnixMillis(now.0.saturating_add(seconds.saturating_mul(1000)));
    StateWrite {
        plugin: plugin.into(),
        key: write.key.clone(),
        value: write.value.clone(),
        expires: write.ttl_seconds.map(expiry),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Component, PluginConfig, PluginEntry, RawGrants, RawScope};
    use futures_util::FutureExt;

    fn turns(state_bytes: u64) -> Turns {
        let entry = PluginEntry {
            name: "rules".into(),
            component: Component::Installed("rules".into()),
            digest: None,
            scope: RawScope::default(),
            shadow: None,
            monitor_interval: None,
            source: PluginConfig::Inline(serde_json::Value::Null),
            grants: RawGrants { state_bytes, ..RawGrants::default() },
        };
        Turns::new(&Policy { plugins: vec![entry], ..Policy::default() })
    }

    #[test]
    fn with_a_plugin_that_remembers_a_decision_waits_for_the_one_before_to_be_durable() {
        let turns = turns(1);
        let first = turns.next().now_or_never().expect("nobody decides");
        assert!(turns.next().now_or_never().is_none(), "the first decision is not durable yet");
        first.end();
        assert!(turns.next().now_or_never().is_some());
    }

    #[test]
    fn without_one_decisions_do_not_wait() {
        let turns = turns(0);
        let _first = turns.next().now_or_never().expect("nobody decides");
        assert!(turns.next().now_or_never().is_some());
    }
}
