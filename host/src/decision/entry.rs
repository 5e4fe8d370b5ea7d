//! One entry of a chain: a plugin, or the failure to load it. A failed entry has no substitute.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::capability::table;
use crate::component::host::Host;
use crate::component::plugin::Plugin;
use crate::component::spec::PluginSpec;
use crate::contract::code::Code;
use crate::contract::evaluation::{Evaluation, Verdict};
use crate::contract::role::Role;
use crate::contract::role::Subject;
use crate::contract::services::{Memory, Services};
use crate::contract::task::Task;
use crate::contract::trace::Trace;
use crate::decision::status::{Condition, EntryStatus, Stats};
use crate::sandbox::stop::CallFailure;

/// An entry as the operator configured it, or the mistake in its configuration.
#[derive(Clone, Debug)]
pub enum EntrySpec {
    /// The entry can be loaded.
    Spec(Box<PluginSpec>),
    /// The entry is unusable: the tasks that it guards are refused.
    Unusable {
        /// Name of the entry.
        name: String,
        /// The tasks that it would guard.
        role: Role,
        /// The mistake, and the advice to the operator.
        reason: String,
    },
}

impl From<PluginSpec> for EntrySpec {
    fn from(spec: PluginSpec) -> Self {
        Self::Spec(Box::new(spec))
    }
}

impl EntrySpec {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Spec(spec) => &spec.name,
            Self::Unusable { name, .. } => name,
        }
    }

    pub(crate) fn role(&self) -> &Role {
        match self {
            Self::Spec(spec) => &spec.role,
            Self::Unusable { role, .. } => role,
        }
    }
}

/// An entry of a chain.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) state: PluginState,
    pub(crate) stats: Arc<Stats>,
}

#[derive(Debug)]
pub(crate) enum PluginState {
    Loaded(Box<Plugin>),
    Failed(CallFailure),
}

impl Entry {
    /// Loads the entry; a failure is its state.
    pub(crate) async fn load(
        host: &Host,
        spec: EntrySpec,
        services: Arc<dyn Services>,
        stats: Arc<Stats>,
    ) -> Self {
        match spec {
            EntrySpec::Unusable { name, role, reason } => Self {
                name,
                role,
                state: PluginState::Failed(CallFailure::new(Code::Config, reason)),
                stats,
            },
            EntrySpec::Spec(spec) => {
                let state = match host.load(&spec, services).await {
                    Ok(plugin) => PluginState::Loaded(Box::new(plugin)),
                    Err(error) => {
                        PluginState::Failed(CallFailure::new(error.code(), error.to_string()))
                    }
                };
                Self {
                    name: spec.name,
                    role: spec.role,
                    state,
                    stats,
                }
            }
        }
    }

    pub(crate) fn plugin(&self) -> Option<&Plugin> {
        match &self.state {
            PluginState::Loaded(plugin) => Some(plugin),
            PluginState::Failed(_) => None,
        }
    }

    pub(crate) fn failure(&self) -> Option<&CallFailure> {
        match &self.state {
            PluginState::Loaded(_) => None,
            PluginState::Failed(failure) => Some(failure),
        }
    }

    /// True if it decides on this subject.
    pub(crate) fn guards(&self, subject: &Subject) -> bool {
        self.role.shadow.is_none() && self.role.scope.covers(subject)
    }

    /// True if it needs nothing from outside the node.
    pub(crate) fn is_local(&self) -> bool {
        self.plugin()
            .is_none_or(|plugin| !table::reaches_outside(plugin.grants()))
    }

    pub(crate) fn is_stateful(&self) -> bool {
        self.plugin()
            .is_some_and(|plugin| plugin.grants().state_bytes > 0)
    }

    pub(crate) async fn ask(&self, task: &Task, deadline: Instant) -> Evaluation {
        self.ask_with(None, task, deadline).await
    }

    /// Puts the task to it with a given view of its memory.
    pub(crate) async fn ask_with(
        &self,
        memory: Option<Box<dyn Memory>>,
        task: &Task,
        deadline: Instant,
    ) -> Evaluation {
        let evaluation = match &self.state {
            PluginState::Loaded(plugin) => plugin.evaluate_with(memory, task, deadline).await,
            PluginState::Failed(failure) => self.refusal(failure),
        };
        self.stats.count(&evaluation);
        evaluation
    }

    /// Puts the task to it without counting that, and drops what it writes. It is for local
    /// entries, and is denied everything outside the node.
    pub(crate) async fn preview(&self, task: &Task, deadline: Instant) -> Evaluation {
        match &self.state {
            PluginState::Loaded(plugin) => plugin.preview(task, deadline).await,
            PluginState::Failed(failure) => self.refusal(failure),
        }
    }

    fn refusal(&self, failure: &CallFailure) -> Evaluation {
        Evaluation {
            plugin: self.name.clone(),
            version: String::new(),
            digest: [0; 32],
            revision: [0; 32],
            document: Arc::from(""),
            anchors: Arc::from([]),
            conditions: None,
            verdict: Verdict::Failed {
                code: failure.code,
                reason: failure.reason.clone(),
            },
            elapsed: Duration::ZERO,
            logs: Vec::new(),
            writes: Vec::new(),
            trace: Trace::default(),
        }
    }

    pub(crate) fn status(&self) -> EntryStatus {
        let plugin = self.plugin();
        let condition = match (&self.state, &self.role.shadow) {
            (PluginState::Failed(CallFailure { code, reason }), _) => Condition::Broken {
                code: *code,
                reason: reason.clone(),
            },
            (PluginState::Loaded(_), Some(_)) => Condition::Shadow,
            (PluginState::Loaded(_), None) => Condition::InForce,
        };
        EntryStatus {
            name: self.name.clone(),
            version: plugin.map(|plugin| plugin.info().version.clone()),
            digest: plugin.map(Plugin::digest),
            revision: plugin.map(Plugin::revision),
            anchors: plugin
                .map(|plugin| plugin.anchors().to_vec())
                .unwrap_or_default(),
            condition,
            scope: self.role.scope.clone(),
            remote: !self.is_local(),
            counts: self.stats.counts(),
            last_error: self.stats.last_error(),
            last_code: self.stats.last_code(),
            health: self.stats.health(),
        }
    }
}
