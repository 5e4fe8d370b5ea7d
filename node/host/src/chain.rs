//! All plugins of a node as one judge. Every one must approve; none means refusal.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join_all;
use sha2::{Digest, Sha256};

use crate::host::Host;
use crate::load::{LoadError, PluginSpec};
use crate::{Code, Evaluation, Plugin, Services, StateWrite, Task};

/// The plugins in force, in the order of the configuration.
#[derive(Debug)]
pub struct Chain {
    plugins: Vec<Plugin>,
    revision: [u8; 32],
}

/// Why a chain was not loaded, and whose fault it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// One plugin was not loaded.
    #[error("plugin `{plugin}`: {source}")]
    Load {
        /// Name of the entry.
        plugin: String,
        /// Why.
        source: LoadError,
    },
    /// Two entries have the same name.
    #[error("there are two plugins `{0}`; add a label, e.g. `{0}:second`")]
    Repeated(String),
}

impl ChainError {
    /// The stable code of the plugin's error, if it was one.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Load { source, .. } => Some(source.code()),
            Self::Repeated(_) => None,
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
        check_names(&specs)?;
        let mut plugins = Vec::with_capacity(specs.len());
        for spec in specs {
            let loaded = host.load(&spec, services.clone()).await;
            plugins.push(loaded.map_err(|source| ChainError::Load { plugin: spec.name, source })?);
        }
        let revision = revision(&plugins);
        Ok(Self { plugins, revision })
    }

    /// The plugins.
    pub fn plugins(&self) -> &[Plugin] {
        &self.plugins
    }

    /// SHA-256 over names, component digests and configurations of all plugins: what is in force, in one value.
    pub fn revision(&self) -> [u8; 32] {
        self.revision
    }

    /// Puts `task` to the plugins: first those without network, in order, up to the first refusal; then all others at
    /// once, so that the wait is the slowest and not the sum.
    pub async fn decide(&self, task: &Task, deadline: Instant) -> Decision {
        let (local, remote): (Vec<_>, Vec<_>) =
            self.plugins.iter().partition(|plugin| plugin.grants().http.is_empty());
        let mut evaluations = Vec::with_capacity(self.plugins.len());
        for plugin in local {
            evaluations.push(plugin.evaluate(task, deadline).await);
            if evaluations.last().is_some_and(|last| last.verdict.refusal().is_some()) {
                return Decision { evaluations, chain: self.revision };
            }
        }
        evaluations.extend(join_all(remote.into_iter().map(|plugin| plugin.evaluate(task, deadline))).await);
        Decision { evaluations, chain: self.revision }
    }
}

/// What a chain answered. Only [`Chain::decide`] makes one, and it leaves plugins unasked only after a refusal.
#[derive(Clone, Debug)]
pub struct Decision {
    evaluations: Vec<Evaluation>,
    chain: [u8; 32],
}

/// The first objection of a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Name of the plugin's entry; `None` if there was no plugin.
    pub plugin: Option<String>,
    /// Stable code: the plugin's own, or one of [`Code`].
    pub code: String,
    /// One sentence.
    pub reason: String,
}

impl Decision {
    /// True if there is at least one plugin, and every one approved.
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
        let nobody = || Refusal {
            plugin: None,
            code: Code::NoPlugin.as_str().into(),
            reason: "no plugin is configured, so nobody can approve; configure one".into(),
        };
        first.or_else(|| self.evaluations.is_empty().then(nobody))
    }

    /// What each plugin that was asked said, in the order of asking.
    pub fn evaluations(&self) -> &[Evaluation] {
        &self.evaluations
    }

    /// [`Chain::revision`] of the chain that decided.
    pub fn chain(&self) -> [u8; 32] {
        self.chain
    }

    /// What to make durable with an approval: plugin and write. Nothing if the decision is a refusal.
    pub fn writes(&self) -> impl Iterator<Item = (&str, &StateWrite)> {
        let approved = self.evaluations.iter().filter(|_| self.approved());
        approved
            .flat_map(|evaluation| evaluation.writes.iter().map(|write| (evaluation.plugin.as_str(), write)))
    }
}

fn check_names(specs: &[PluginSpec]) -> Result<(), ChainError> {
    let mut names = BTreeSet::new();
    match specs.iter().find(|spec| !names.insert(&spec.name)) {
        Some(spec) => Err(ChainError::Repeated(spec.name.clone())),
        None => Ok(()),
    }
}

fn revision(plugins: &[Plugin]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"countersign-chain-v1");
    for plugin in plugins {
        hash.update((plugin.name().len() as u64).to_be_bytes());
        hash.update(plugin.name());
        hash.update(plugin.digest());
        hash.update(plugin.revision());
    }
    hash.finalize().into()
}
