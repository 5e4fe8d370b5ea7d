//! All plugins of a node as one judge. Every one that guards a task must approve; none means
//! refusal.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use crate::call::Broken;
use crate::host::Host;
use crate::in_force;
use crate::load::PluginSpec;
use crate::panel::{Heard, Panel};
use crate::recording::{Recorded, Recording};
use crate::role::{Subject, subjects};
use crate::slot::{Configured, Entry};
use crate::turns::{Turn, Turns};
use crate::{Code, Evaluation, Observation, Plugin, Services, Shadow, StateWrite, Task};

/// The entries in force, in the order of the configuration.
#[derive(Debug)]
pub struct Chain {
    entries: Vec<Entry>,
    /// See [`InForce`].
    document: Arc<str>,
    revision: [u8; 32],
}

/// Why a chain was not loaded, and whose fault it is.
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
        /// The shadow.
        shadow: String,
        /// What it names.
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
        let specs = specs.into_iter().map(Configured::from).collect();
        let chain = Self::load_what_can_be(host, specs, services, None).await?;
        match chain
            .entries
            .iter()
            .find_map(|entry| Some((entry, entry.broken()?)))
        {
            Some((entry, broken)) => Err(load_error(&entry.name, broken)),
            None => Ok(chain),
        }
    }

    /// Loads every entry; one that fails is broken and refuses what it guards. Entries of `before`
    /// that have the same name lend their counters.
    pub(crate) async fn load_what_can_be(
        host: &Host,
        configured: Vec<Configured>,
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
                .is_none_or(|before| before.broken().is_none())
        };
        let mut broken = self.entries.iter().filter(|entry| entry.broken().is_some());
        let entry = broken.find(newly)?;
        entry.broken().map(|broken| load_error(&entry.name, broken))
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

    /// Names, roles, grants, digests of components, configurations, keys and authorities: an
    /// `InForce` as JSON.
    pub fn document(&self) -> &Arc<str> {
        &self.document
    }

    /// Puts `task` to the plugins that guard it: first those without network, in order, up to the
    /// first refusal; then all others at once. Nobody else's decision is waited for;
    /// [`Pipeline::decide`](crate::Pipeline::decide) is for nodes.
    pub async fn decide(&self, task: &Task, deadline: Instant) -> Decision {
        self.decide_in_turn(task, deadline, &Turns::default())
            .await
            .0
    }

    /// The same in turn with other decisions, as far as plugins remember.
    pub(crate) async fn decide_in_turn(
        &self,
        task: &Task,
        deadline: Instant,
        turns: &Turns,
    ) -> (Decision, Turn) {
        let chain = (self.revision, self.document.clone());
        let subjects = subjects(&task.operation);
        if let Some(refusal) = self.unguarded(&subjects) {
            return (
                Decision {
                    evaluations: Vec::new(),
                    stopped: Some(refusal),
                    chain,
                },
                Turn::default(),
            );
        }
        let guards = |entry: &&Entry| subjects.iter().any(|subject| entry.guards(subject));
        let panel = Panel::new(self.entries.iter().filter(guards));
        match panel.hear(task, deadline, turns).await {
            Heard::All { evaluations, turn } => (
                Decision {
                    evaluations,
                    stopped: None,
                    chain,
                },
                turn,
            ),
            Heard::NoTurn(evaluations) => (
                Decision {
                    evaluations,
                    stopped: Some(no_turn()),
                    chain,
                },
                Turn::default(),
            ),
        }
    }

    /// Tells the entries that guard `task` and count what others sign, in turn with decisions: what
    /// they write must be in [`Services::memory`] before the turn ends. `wanted` chooses among them
    /// by name. `None`: the turn did not come before `deadline`.
    pub(crate) async fn observe(
        &self,
        task: &Task,
        wanted: impl Fn(&str) -> bool,
        deadline: Instant,
        turns: &Turns,
    ) -> Option<(Vec<Observation>, Turn)> {
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
            return Some((Vec::new(), Turn::default()));
        }
        let turn = turns.next(deadline).await?;
        let mut observations = Vec::with_capacity(counting.len());
        for plugin in counting {
            observations.push(plugin.observe(task, deadline).await);
        }
        Some((observations, turn))
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

fn no_turn() -> Refusal {
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

fn load_error(name: &str, broken: &Broken) -> ChainError {
    ChainError::Load {
        plugin: name.into(),
        code: broken.code,
        reason: broken.reason.clone(),
    }
}

/// What a chain answered. Only [`Chain::decide`] makes one, and it leaves plugins unasked only
/// after a refusal.
#[derive(Clone, Debug)]
pub struct Decision {
    evaluations: Vec<Evaluation>,
    /// Why it went no further, although no plugin refused.
    stopped: Option<Refusal>,
    /// Revision and document.
    chain: ([u8; 32], Arc<str>),
}

/// The first objection of a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Name of the plugin's entry; `None` if it was none of them.
    pub plugin: Option<String>,
    /// Stable code: the plugin's own, or one of [`Code`].
    pub code: String,
    /// One sentence.
    pub reason: String,
}

impl Decision {
    /// True if everything that the task uses is guarded, and every guard approved.
    pub fn approved(&self) -> bool {
        self.refusal().is_none()
    }

    /// Why not, if not.
    pub fn refusal(&self) -> Option<Refusal> {
        let first = self.evaluations.iter().find_map(|evaluation| {
            let (code, reason) = evaluation.verdict.refusal()?;
            Some(Refusal {
                plugin: Some(evaluation.plugin.clone()),
                code: code.into(),
                reason: reason.into(),
            })
        });
        first.or_else(|| self.stopped.clone())
    }

    /// What each plugin that was asked said, in the order of asking.
    pub fn evaluations(&self) -> &[Evaluation] {
        &self.evaluations
    }

    /// What there is to keep of the decision for a replay. Takes the question, which is as large as
    /// the task.
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

    /// What to make durable with an approval: plugin and write. Nothing if the decision is a
    /// refusal.
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

fn check_names(configured: &[Configured]) -> Result<(), ChainError> {
    let mut names = BTreeSet::new();
    if let Some(twice) = configured.iter().find(|entry| !names.insert(entry.name())) {
        return Err(ChainError::Repeated(twice.name().into()));
    }
    let decides = |name: &str| {
        configured
            .iter()
            .any(|entry| entry.name() == name && entry.role().shadow.is_none())
    };
    let shadowed = |entry: &Configured| {
        let name = entry.role().shadow.as_ref().and_then(Shadow::entry)?;
        (!decides(name)).then(|| ChainError::NoEntry {
            shadow: entry.name().into(),
            entry: name.into(),
        })
    };
    configured.iter().find_map(shadowed).map_or(Ok(()), Err)
}
