//! One entry of a chain: a plugin, or the reason why there is none. Nobody stands in for a plugin
//! that is broken.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::call::Broken;
use crate::host::Host;
use crate::load::PluginSpec;
use crate::role::Subject;
use crate::status::{Condition, EntryStatus, Stats};
use crate::{Code, Evaluation, Memory, Plugin, Role, Services, Task, Trace, Verdict};

/// An entry as the operator configured it, or what is wrong with the configuration.
#[derive(Clone, Debug)]
pub enum Configured {
    /// It can be tried.
    Spec(Box<PluginSpec>),
    /// It cannot: what it guards is refused.
    Unusable {
        /// Name of the entry.
        name: String,
        /// What it would have a say in.
        role: Role,
        /// What is wrong, and what to do.
        reason: String,
    },
}

impl From<PluginSpec> for Configured {
    fn from(spec: PluginSpec) -> Self {
        Self::Spec(Box::new(spec))
    }
}

impl Configured {
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
    pub(crate) slot: Slot,
    pub(crate) stats: Arc<Stats>,
}

/// What is in an entry's place.
#[derive(Debug)]
pub(crate) enum Slot {
    Ready(Box<Plugin>),
    Broken(Broken),
}

impl Entry {
    /// Loads the entry, whatever comes of it.
    pub(crate) async fn load(
        host: &Host,
        configured: Configured,
        services: Arc<dyn Services>,
        stats: Arc<Stats>,
    ) -> Self {
        match configured {
            Configured::Unusable { name, role, reason } => Self {
                name,
                role,
                slot: Slot::Broken(Broken::new(Code::Config, reason)),
                stats,
            },
            Configured::Spec(spec) => {
                let slot = match host.load(&spec, services).await {
                    Ok(plugin) => Slot::Ready(Box::new(plugin)),
                    Err(error) => Slot::Broken(Broken::new(error.code(), error.to_string())),
                };
                Self {
                    name: spec.name,
                    role: spec.role,
                    slot,
                    stats,
                }
            }
        }
    }

    pub(crate) fn plugin(&self) -> Option<&Plugin> {
        match &self.slot {
            Slot::Ready(plugin) => Some(plugin),
            Slot::Broken(_) => None,
        }
    }

    pub(crate) fn broken(&self) -> Option<&Broken> {
        match &self.slot {
            Slot::Ready(_) => None,
            Slot::Broken(broken) => Some(broken),
        }
    }

    /// Whether it decides on this.
    pub(crate) fn guards(&self, subject: &Subject) -> bool {
        self.role.shadow.is_none() && self.role.scope.covers(subject)
    }

    /// Needs nothing from outside the node.
    pub(crate) fn is_local(&self) -> bool {
        self.plugin()
            .is_none_or(|plugin| plugin.grants().http.is_empty())
    }

    pub(crate) fn remembers(&self) -> bool {
        self.plugin()
            .is_some_and(|plugin| plugin.grants().state_bytes > 0)
    }

    /// Puts the task to it.
    pub(crate) async fn ask(&self, task: &Task, deadline: Instant) -> Evaluation {
        self.ask_seeing(None, task, deadline).await
    }

    /// Puts the task to it, with its memory as it is to see it.
    pub(crate) async fn ask_seeing(
        &self,
        memory: Option<Box<dyn Memory>>,
        task: &Task,
        deadline: Instant,
    ) -> Evaluation {
        let evaluation = match &self.slot {
            Slot::Ready(plugin) => plugin.evaluate_seeing(memory, task, deadline).await,
            Slot::Broken(broken) => self.refusal(broken),
        };
        self.stats.count(&evaluation);
        evaluation
    }

    fn refusal(&self, broken: &Broken) -> Evaluation {
        Evaluation {
            plugin: self.name.clone(),
            version: String::new(),
            digest: [0; 32],
            revision: [0; 32],
            document: Arc::from(""),
            anchors: Arc::from([]),
            conditions: None,
            verdict: Verdict::Failed {
                code: broken.code,
                reason: broken.reason.clone(),
            },
            elapsed: Duration::ZERO,
            logs: Vec::new(),
            writes: Vec::new(),
            trace: Trace::default(),
        }
    }

    pub(crate) fn status(&self) -> EntryStatus {
        let plugin = self.plugin();
        let condition = match (&self.slot, &self.role.shadow) {
            (Slot::Broken(Broken { code, reason }), _) => Condition::Broken {
                code: *code,
                reason: reason.clone(),
            },
            (Slot::Ready(_), Some(_)) => Condition::Shadow,
            (Slot::Ready(_), None) => Condition::InForce,
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
            counts: self.stats.counts(),
            last_error: self.stats.last_error(),
            last_code: self.stats.last_code(),
            health: self.stats.health(),
        }
    }
}
