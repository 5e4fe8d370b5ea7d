//! Risk control: the only place that can approve an operation.
//!
//! An [`Approved`] is constructed only after every configured plugin has approved. A plugin on its
//! own can only refuse.

mod approved;
mod fingerprint;
mod forecast;
mod housekeeping;
mod news;
mod question;
mod sandbox;
mod services;
mod specs;
mod watch;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use countersign_host::{
    Chain, CodeCache, Condition, DecisionGuard, EntryStatus, Evaluation, Host, Level, LogLine,
    Observation, Pipeline, PluginStore, Services,
};
use countersign_protocol::{Hash, PluginVerdict, Refusal, UnixMillis};
use countersign_store::{Configuration, Evidence, Journal, StateWrite, WriteJournalError};

use self::news::News;
use crate::config::{Config, ConfigError, Policy};
pub use crate::own_keys::{CALLBACK_KEY, EVENT_KEY, is_own_key};
use crate::world::World;
pub use approved::{Approved, PartOf};
pub(crate) use fingerprint::{Fingerprint, look};
pub use housekeeping::Housekeeping;
pub use question::{Asker, voted};
pub use sandbox::{SandboxError, sandbox};
pub use services::{NodeServices, ServicesError, scratch};
pub(crate) use specs::component;
pub use specs::{SpecError, spec, users};
pub use watch::{PolicyWatch, hangup};

/// The decision on a task.
pub enum Decision<J> {
    /// This node takes part in the task.
    Approved {
        /// The proof of the approval.
        approved: Approved<J>,
        /// Writes to the plugins' memory, effective if the approval becomes durable.
        writes: Vec<StateWrite>,
        /// Everything that a replay needs.
        evidence: Evidence,
        /// Must be held until the approval is durable.
        guard: DecisionGuard,
    },
    /// This node does not take part in the task.
    Refused {
        /// The refusing plugin and its reason.
        refusal: Refusal,
        /// The verdicts of all plugins that were asked.
        verdicts: Vec<PluginVerdict>,
        /// Everything that a replay needs.
        evidence: Evidence,
    },
}

/// The plugins of this node.
pub struct Guard {
    /// The policy in force.
    policy: ArcSwap<Policy>,
    /// `None` only if the operator allowed it in the configuration.
    pipeline: Option<Pipeline>,
    /// The host that they run in; `None` if there are none.
    host: Option<Host>,
    /// The keys and authorities that are in force.
    services: ArcSwap<NodeServices>,
    /// Fingerprint of the plugins' files, taken just before they were loaded.
    loaded: Fingerprint,
    /// Fingerprint of keys and authorities, taken likewise.
    trusted: Fingerprint,
    /// Components that have been in force since the node started: they may still decide a task.
    has_been: Mutex<BTreeSet<[u8; 32]>>,
    /// Held while plugins are loaded, and while files are removed, so that a load loses no file.
    changing: tokio::sync::Mutex<()>,
}

/// Reasons why risk control, and thus the node, cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GuardError {
    /// The sandbox cannot run here.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// No plugin guards the shares, and the operator has not allowed that.
    #[error(transparent)]
    Unguarded(#[from] ConfigError),
    /// A plugin's entry cannot be used.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The services for plugins cannot be set up.
    #[error(transparent)]
    Services(#[from] ServicesError),
    /// A plugin cannot be loaded.
    #[error(transparent)]
    Chain(#[from] countersign_host::ChainError),
}

impl Guard {
    /// Loads every configured plugin. One that cannot be loaded does not stop the node: everything
    /// that it guards is refused. `cache` keeps machine code between starts.
    pub async fn load(
        policy: Policy,
        cache: Option<CodeCache>,
        services: Arc<NodeServices>,
    ) -> Result<Self, GuardError> {
        policy.check_guarded()?;
        let trusted = fingerprint::look_at_keys(&policy).await;
        // Read after the fingerprint was taken, so that a change in between is noticed later.
        let services = Arc::new(services.renewed(&policy)?);
        let loaded = fingerprint::look(&policy, &policy.plugins).await;
        let host = if policy.plugins.is_empty() {
            None
        } else {
            Some(sandbox(&policy, cache)?.keeping(PluginStore::new(&policy.plugin_dir)))
        };
        let pipeline = match host.clone() {
            None => None,
            Some(host) => {
                Some(Pipeline::load(host, specs::configured(&policy), services.clone()).await?)
            }
        };
        let (has_been, changing) = Default::default();
        let services = ArcSwap::new(services);
        let guard = Self {
            policy: ArcSwap::from_pointee(policy),
            pipeline,
            host,
            services,
            loaded,
            trusted,
            has_been,
            changing,
        };
        guard.note();
        guard.status().iter().for_each(report_broken);
        Ok(guard)
    }

    /// Notes the components in force now; returns all that have been noted.
    fn note(&self) -> BTreeSet<[u8; 32]> {
        let mut has_been = self.has_been.lock().unwrap_or_else(PoisonError::into_inner);
        has_been.extend(self.status().into_iter().filter_map(|entry| entry.digest));
        has_been.clone()
    }

    /// Returns the state of each plugin entry.
    pub fn status(&self) -> Vec<EntryStatus> {
        self.pipeline
            .as_ref()
            .map(Pipeline::status)
            .unwrap_or_default()
    }

    /// Returns the policy in force.
    pub(crate) fn policy(&self) -> Arc<Policy> {
        self.policy.load_full()
    }

    /// Returns the services with the keys and authorities in force.
    pub(crate) fn services(&self) -> Arc<NodeServices> {
        self.services.load_full()
    }

    /// Asks plugins for ever, at the intervals of their entries, whether their dependencies are
    /// reachable. Without plugins it just waits.
    pub async fn monitor(&self) {
        match &self.pipeline {
            Some(pipeline) => pipeline.monitor().await,
            None => std::future::pending().await,
        }
    }

    /// Asks every plugin about a task that expires at `until`. Tasks take turns if one of the
    /// plugins has a memory.
    pub async fn decide<J>(
        &self,
        world: &World,
        until: UnixMillis,
        question: Arc<countersign_host::Task>,
        plan: J,
    ) -> Decision<J> {
        let Some(pipeline) = &self.pipeline else {
            tracing::warn!(task = %question.id, "no plugin guards this node: approved because policy.allow_unguarded is set");
            return Decision::Approved {
                approved: Approved::new(plan, Vec::new()),
                writes: Vec::new(),
                evidence: Evidence::default(),
                guard: DecisionGuard::default(),
            };
        };
        let left = Duration::from_millis(until.0.saturating_sub(world.now().0));
        let deadline = Instant::now() + left.min(self.policy().deadline);
        let (decision, guard) = pipeline.decide(&question, deadline).await;
        for evaluation in decision.evaluations() {
            pass_on_logs(&question.id, &evaluation.plugin, &evaluation.logs);
        }
        let evidence = evidence(&decision, Arc::unwrap_or_clone(question));
        conclude(world.now(), plan, &decision, guard, evidence)
    }
}

impl Guard {
    /// Reports a task that others sign to the plugins that count such tasks and that `wanted`
    /// selects. Returns `None` if other decisions were under way until `deadline`.
    pub async fn observe(
        &self,
        world: &World,
        question: countersign_host::Task,
        wanted: impl Fn(&str) -> bool,
        deadline: Instant,
    ) -> Option<Observed> {
        let Some(pipeline) = &self.pipeline else {
            return Some(Observed::default());
        };
        let (observations, guard) = pipeline.observe(&question, wanted, deadline).await?;
        let mut observed = Observed {
            guard,
            ..Observed::default()
        };
        for Observation {
            plugin,
            result,
            logs,
            writes,
        } in observations
        {
            pass_on_logs(&question.id, &plugin, &logs);
            let warned = logs.iter().filter(|line| line.level >= Level::Warn);
            observed
                .warnings
                .extend(warned.map(|line| format!("{plugin}: {}", line.message)));
            observed.writes.extend(
                writes
                    .iter()
                    .map(|write| state_write(world.now(), &plugin, write)),
            );
            if let Err((code, reason)) = result {
                tracing::warn!(task = question.id, plugin, %code, reason, "the plugin did not count what other members sign");
                observed
                    .warnings
                    .push(format!("{plugin} did not count it: {reason} ({code})"));
                observed.owed.push(plugin);
            }
        }
        Some(observed)
    }
}

/// The result of reporting a task that others sign.
#[derive(Default)]
pub struct Observed {
    /// Writes to the plugins' memory, effective once durable.
    pub writes: Vec<StateWrite>,
    /// Entries that did not count the task, but may do so when they are told again.
    pub owed: Vec<String>,
    /// Remarks of the plugins that an operator should see.
    pub warnings: Vec<String>,
    /// Must be held until the writes are durable.
    pub guard: DecisionGuard,
}

fn report_broken(entry: &EntryStatus) {
    if let Condition::Broken { code, reason } = &entry.condition {
        tracing::error!(plugin = entry.name, %code, reason, "the plugin cannot be used, and everything that it guards is refused");
    }
}

fn conclude<J>(
    now: UnixMillis,
    job: J,
    decision: &countersign_host::Decision,
    guard: DecisionGuard,
    evidence: Evidence,
) -> Decision<J> {
    let verdicts: Vec<PluginVerdict> = decision.evaluations().iter().map(verdict).collect();
    match decision.refusal() {
        None => Decision::Approved {
            writes: decision
                .writes()
                .map(|(plugin, write)| state_write(now, plugin, write))
                .collect(),
            approved: Approved::new(job, verdicts),
            evidence,
            guard,
        },
        Some(refused) => Decision::Refused {
            refusal: Refusal {
                code: refused.code.as_str().into(),
                reason: refused.reason,
                plugin: refused.plugin,
            },
            verdicts,
            evidence,
        },
    }
}

/// Collects the plugins' inputs, and the configurations under which they decided.
fn evidence(decision: &countersign_host::Decision, question: countersign_host::Task) -> Evidence {
    let configuration = |(digest, document): (_, &Arc<str>)| Configuration {
        digest: Hash(digest),
        document: document.clone(),
    };
    let (revision, description) = decision.chain();
    let chain = configuration((revision, description));
    Evidence {
        recording: decision.recording(question).encode(),
        chain: Some(chain.digest),
        configurations: decision
            .documents()
            .map(configuration)
            .chain([chain])
            .collect(),
        ..Evidence::default()
    }
}

/// Records in the audit log which chain is in force as the node starts.
pub fn note_start(
    guard: &Guard,
    config: &Config,
    journal: &Journal,
    now: UnixMillis,
) -> Result<(), WriteJournalError> {
    let Some(pipeline) = &guard.pipeline else {
        return journal.policy(now, "the node starts without plugins", None);
    };
    let chain = pipeline.chain();
    let text = News::at_start(config, &chain);
    let described = news::described(&chain);
    tracing::info!("{}", text.short());
    journal.policy(now, text.long(), Some(described))
}

/// Loads every plugin as `start` would, and returns the chain that would be in force.
pub async fn check(
    policy: &Policy,
    host: &Host,
    services: Arc<dyn Services>,
) -> Result<Chain, GuardError> {
    Ok(Chain::load(host, specs::read(policy)?, services).await?)
}

/// Logs a plugin's lines under its entry's name. The host has bounded and sanitised them.
fn pass_on_logs(task: &str, plugin: &str, logs: &[LogLine]) {
    for line in logs {
        let message = &line.message;
        let fields = &line.fields;
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
        reason: refusal
            .map(|(_, reason)| reason.to_owned())
            .unwrap_or_default(),
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
mod tests;
