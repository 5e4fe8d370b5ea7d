//! The chain of all plugins of a node. Every plugin that guards a task must approve it; a task that
//! none guards is refused.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use crate::component::host::Host;
use crate::component::plugin::Plugin;
use crate::component::spec::PluginSpec;
use crate::contract::code::Code;
use crate::contract::evaluation::{Evaluation, Observation, StateWrite};
use crate::contract::role::Shadow;
use crate::contract::role::{Subject, subjects};
use crate::contract::services::Services;
use crate::contract::task::Task;
use crate::decision::entry::{Entry, EntrySpec};
use crate::decision::in_force;
use crate::decision::lock::{DecisionGuard, DecisionLock};
use crate::decision::plan::{EvaluationPlan, Outcome};
use crate::decision::preview::Preview;
use crate::decision::recording::{Recorded, Recording};
use crate::sandbox::stop::CallFailure;

/// The entries in force, in the order of the configuration.
#[derive(Debug)]
pub struct Chain {
    entries: Vec<Entry>,
    document: Arc<str>,
    revision: [u8; 32],
}

/// The entry for which a chain was not loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// One plugin was not loaded.
    #[error("plugin `{plugin}`: {reason}")]
    Load {
        /// Name of the entry.
        plugin: String,
        /// Why, as a stable code.
        code: Code,
        /// Why, and what to do.
        reason: String,
    },
    /// Two entries have the same name.
    #[error("there are two plugins `{0}`; add a label, e.g. `{0}:second`")]
    Repeated(String),
    /// A shadow is compared with an entry that does not decide.
    #[error(
        "plugin `{shadow}` shadows `{entry}`, which decides nothing; name an entry in force, or none"
    )]
    NoEntry {
        /// Name of the shadow entry.
        shadow: String,
        /// Name of the entry that it shadows.
        entry: String,
    },
}

impl ChainError {
    /// The stable code of the plugin's error, if it was one.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Load { code, .. } => Some(*code),
            Self::Repeated(_) | Self::NoEntry { .. } => None,
        }
    }
}

impl Chain {
    /// Loads all of `specs` or none. An empty chain is possible, and approves nothing.
    pub async fn load(
        host: &Host,
        specs: Vec<PluginSpec>,
        services: Arc<dyn Services>,
    ) -> Result<Self, ChainError> {
        let specs = specs.into_iter().map(EntrySpec::from).collect();
        let chain = Self::load_what_can_be(host, specs, services, None).await?;
        match chain
            .entries
            .iter()
            .find_map(|entry| Some((entry, entry.failure()?)))
        {
            Some((entry, broken)) => Err(load_error(&entry.name, broken)),
            None => Ok(chain),
        }
    }

    /// Loads every entry; one that fails is broken and refuses what it guards. Entries of `before`
    /// that have the same name lend their counters.
    pub(crate) async fn load_what_can_be(
        host: &Host,
        configured: Vec<EntrySpec>,
        services: Arc<dyn Services>,
        before: Option<&Self>,
    ) -> Result<Self, ChainError> {
        check_names(&configured)?;
        let mut entries = Vec::with_capacity(configured.len());
        for configured in configured {
            let known = before.and_then(|before| before.entry(configured.name()));
            let stats = known.map(|entry| entry.stats.clone()).unwrap_or_default();
            entries.push(Entry::load(host, configured, services.clone(), stats).await);
        }
        let (document, revision) = in_force::describe(&entries);
        Ok(Self {
            entries,
            document,
            revision,
        })
    }

    /// The first entry that is broken here and is not broken in `before`.
    pub(crate) fn worse_than(&self, before: &Self) -> Option<ChainError> {
        let newly = |entry: &&Entry| {
            before
                .entry(&entry.name)
                .is_none_or(|before| before.failure().is_none())
        };
        let mut broken = self
            .entries
            .iter()
            .filter(|entry| entry.failure().is_some());
        let entry = broken.find(newly)?;
        entry
            .failure()
            .map(|broken| load_error(&entry.name, broken))
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(crate) fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// The plugins that were loaded, shadows too.
    pub fn plugins(&self) -> Vec<&Plugin> {
        self.entries.iter().filter_map(Entry::plugin).collect()
    }

    /// SHA-256 of [`document`](Self::document): what is in force, in one value.
    pub fn revision(&self) -> [u8; 32] {
        self.revision
    }

    /// Names, roles, grants, digests of components, configurations, keys and authorities:
    /// an `InForce` as JSON.
    pub fn document(&self) -> &Arc<str> {
        &self.document
    }

    /// Puts `task` to the plugins that guard it: first those without network, in order, up to the
    /// first refusal; then all others at once. Nobody else's decision is waited for;
    /// [`Pipeline::decide`](crate::Pipeline::decide) is for nodes.
    pub async fn decide(&self, task: &Task, deadline: Instant) -> Decision {
        self.decide_under(task, deadline, &DecisionLock::default())
            .await
            .0
    }

    /// The same under the lock that it shares with other decisions, if a plugin is stateful.
    pub(crate) async fn decide_under(
        &self,
        task: &Task,
        deadline: Instant,
        lock: &DecisionLock,
    ) -> (Decision, DecisionGuard) {
        let chain = (self.revision, self.document.clone());
        let subjects = subjects(&task.operation);
        if let Some(refusal) = self.unguarded(&subjects) {
            return (
                Decision {
                    evaluations: Vec::new(),
                    stopped: Some(refusal),
                    chain,
                },
                DecisionGuard::default(),
            );
        }
        match self.plan(&subjects).evaluate(task, deadline, lock).await {
            Outcome::Complete { evaluations, guard } => (
                Decision {
                    evaluations,
                    stopped: None,
                    chain,
                },
                guard,
            ),
            Outcome::NoLock(evaluations) => (
                Decision {
                    evaluations,
                    stopped: Some(no_lock()),
                    chain,
                },
                DecisionGuard::default(),
            ),
        }
    }

    /// Says what the entries that need nothing from outside the node would answer now. Nothing is
    /// counted, written or waited for.
    pub async fn preview(&self, task: &Task, deadline: Instant) -> Preview {
        let subjects = subjects(&task.operation);
        if let Some(refusal) = self.unguarded(&subjects) {
            return Preview::stopped(refusal);
        }
        let (evaluations, not_asked) = self.plan(&subjects).preview(task, deadline).await;
        Preview::new(evaluations, not_asked)
    }

    /// The entries that guard these.
    fn plan(&self, subjects: &[Subject]) -> EvaluationPlan<'_> {
        let guards = |entry: &&Entry| subjects.iter().any(|subject| entry.guards(subject));
        EvaluationPlan::new(self.entries.iter().filter(guards))
    }

    /// Reports `task`, which others sign, to the entries that guard it and count. Their writes must
    /// be in [`Services::memory`] before the guard is released. `wanted` chooses among them by
    /// name. Returns `None` if the lock was not free before `deadline`.
    pub(crate) async fn observe(
        &self,
        task: &Task,
        wanted: impl Fn(&str) -> bool,
        deadline: Instant,
        lock: &DecisionLock,
    ) -> Option<(Vec<Observation>, DecisionGuard)> {
        let subjects = subjects(&task.operation);
        let guards = |entry: &&Entry| subjects.iter().any(|subject| entry.guards(subject));
        let concerned = self
            .entries
            .iter()
            .filter(guards)
            .filter(|entry| wanted(&entry.name));
        let counting: Vec<&Plugin> = concerned
            .filter_map(Entry::plugin)
            .filter(|plugin| plugin.counts())
            .collect();
        if counting.is_empty() {
            return Some((Vec::new(), DecisionGuard::default()));
        }
        let guard = lock.acquire(deadline).await?;
        let mut observations = Vec::with_capacity(counting.len());
        for plugin in counting {
            observations.push(plugin.observe(task, deadline).await);
        }
        Some((observations, guard))
    }

    /// A refusal, if anything that the task uses has no guard.
    fn unguarded(&self, subjects: &[Subject]) -> Option<Refusal> {
        let alone = |subject: &Subject| !self.entries.iter().any(|entry| entry.guards(subject));
        let reason = if self.entries.is_empty() {
            "no plugin is configured, so nobody can approve; configure one"
        } else {
            "no plugin guards this task, so nobody can approve; widen the scope of an entry"
        };
        subjects
            .iter()
            .any(alone)
            .then(|| refusal(Code::NoPlugin, reason))
    }
}

fn no_lock() -> Refusal {
    refusal(
        Code::Busy,
        "other decisions were under way until the deadline; try again with a new task",
    )
}

fn refusal(code: Code, reason: &str) -> Refusal {
    Refusal {
        plugin: None,
        code: code.as_str().into(),
        reason: reason.into(),
    }
}

fn load_error(name: &str, broken: &CallFailure) -> ChainError {
    ChainError::Load {
        plugin: name.into(),
        code: broken.code,
        reason: broken.reason.clone(),
    }
}

/// The answer of a chain. Only [`Chain::decide`] makes one, and it skips plugins
/// only after a refusal.
#[derive(Clone, Debug)]
pub struct Decision {
    evaluations: Vec<Evaluation>,
    /// The host's own refusal, where no plugin refused.
    stopped: Option<Refusal>,
    chain: ([u8; 32], Arc<str>),
}

/// The first objection of a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Name of the plugin's entry; `None` if it was none of them.
    pub plugin: Option<String>,
    /// Stable code: the plugin's own, or one of [`Code`].
    pub code: String,
    /// One sentence for people.
    pub reason: String,
}

impl Decision {
    /// True if everything that the task uses is guarded, and every guard approved.
    pub fn approved(&self) -> bool {
        self.refusal().is_none()
    }

    /// The first objection; `None` if approved.
    pub fn refusal(&self) -> Option<Refusal> {
        first_refusal(&self.evaluations).or_else(|| self.stopped.clone())
    }

    /// The answers of the plugins that were asked, in the order of asking.
    pub fn evaluations(&self) -> &[Evaluation] {
        &self.evaluations
    }

    /// The part of the decision that a replay needs. Takes the question, which is as
    /// large as the task.
    pub fn recording(&self, question: Task) -> Recording {
        let evaluations = self.evaluations.iter().map(Recorded::from).collect();
        Recording {
            chain: self.chain.0,
            question: Some(question),
            evaluations,
        }
    }

    /// The configuration documents under which plugins judged, each with its SHA-256.
    pub fn documents(&self) -> impl Iterator<Item = ([u8; 32], &Arc<str>)> {
        let judged = self
            .evaluations
            .iter()
            .filter(|evaluation| evaluation.conditions.is_some());
        judged.map(|evaluation| (evaluation.revision, &evaluation.document))
    }

    /// [`Chain::revision`] of the chain that decided, and its [`Chain::document`].
    pub fn chain(&self) -> ([u8; 32], &Arc<str>) {
        (self.chain.0, &self.chain.1)
    }

    /// The writes to commit with an approval, with the name of the plugin. Empty if the
    /// decision is a refusal.
    pub fn writes(&self) -> impl Iterator<Item = (&str, &StateWrite)> {
        let approved = self.evaluations.iter().filter(|_| self.approved());
        approved.flat_map(|evaluation| {
            evaluation
                .writes
                .iter()
                .map(|write| (evaluation.plugin.as_str(), write))
        })
    }
}

pub(super) fn first_refusal(evaluations: &[Evaluation]) -> Option<Refusal> {
    evaluations.iter().find_map(|evaluation| {
        let (code, reason) = evaluation.verdict.refusal()?;
        Some(Refusal {
            plugin: Some(evaluation.plugin.clone()),
            code: code.into(),
            reason: reason.into(),
        })
    })
}

fn check_names(configured: &[EntrySpec]) -> Result<(), ChainError> {
    let mut names = BTreeSet::new();
    if let Some(twice) = configured.iter().find(|entry| !names.insert(entry.name())) {
        return Err(ChainError::Repeated(twice.name().into()));
    }
    let decides = |name: &str| {
        configured
            .iter()
            .any(|entry| entry.name() == name && entry.role().shadow.is_none())
    };
    let shadowed = |entry: &EntrySpec| {
        let name = entry.role().shadow.as_ref().and_then(Shadow::entry)?;
        (!decides(name)).then(|| ChainError::NoEntry {
            shadow: entry.name().into(),
            entry: name.into(),
        })
    };
    configured.iter().find_map(shadowed).map_or(Ok(()), Err)
}
