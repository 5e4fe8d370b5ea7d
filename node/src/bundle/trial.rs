//! Asks the entries of a bundle the recorded questions of this node, before any of them decides.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use countersign_host::{Candidate, Host, LocalServices};
use countersign_protocol::UnixMillis;

use super::folder::{BundleFolder, FolderError};
use super::judge::{Evidence, Judgement, Reason, Step, judge, steps};
use super::manifest::Manifest;
use super::schedule::Placed;
use crate::backtest::{Backtest, BacktestResult};
use crate::config::{Bundles, PluginEntry, Policy};
use crate::risk;

/// A bundle on trial.
pub struct Trial {
    /// The policy in force.
    pub policy: Policy,
    /// The bundle in force; `None` if there is none.
    pub present: Option<Manifest>,
    /// The bundle that is to be judged.
    pub next: Manifest,
    /// The entries of that.
    pub entries: Vec<PluginEntry>,
    /// Only tasks that were received at this time or later.
    pub since: UnixMillis,
}

/// Reasons why a bundle cannot be used at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrialError {
    /// The sandbox cannot run here.
    #[error(transparent)]
    Sandbox(#[from] risk::SandboxError),
    /// Keys or authorities of the operator cannot be used.
    #[error(transparent)]
    Services(#[from] risk::ServicesError),
    /// The bundle cannot be read.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// An entry cannot be used.
    #[error(transparent)]
    Spec(#[from] risk::SpecError),
    /// A component cannot be loaded.
    #[error("its entry `{entry}` cannot be loaded: {source}")]
    Load {
        /// The entry.
        entry: String,
        /// The reason.
        source: Box<countersign_host::LoadError>,
    },
}

impl TrialError {
    /// True if the bundle itself is at fault, so that it cannot be used at all.
    pub fn is_of_the_bundle(&self) -> bool {
        match self {
            Self::Folder(_) | Self::Spec(_) | Self::Load { .. } => true,
            Self::Sandbox(_) | Self::Services(_) => false,
        }
    }
}

/// A change, and the finding on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// The change.
    pub step: Step,
    /// What the recordings show; absent if nothing was asked.
    pub result: Option<BacktestResult>,
}

/// The time from which recordings count: not before the bundle in force took effect, so that its
/// own refusals are those that count, and none that are older than the operator wants.
pub fn since(present: Option<&Placed>, settings: &Bundles, now: UnixMillis) -> UnixMillis {
    let age = u64::try_from(settings.backtest.as_millis()).unwrap_or(u64::MAX);
    let oldest = UnixMillis(now.0.saturating_sub(age));
    present.map_or(oldest, |present| oldest.max(present.since))
}

impl Trial {
    /// Prepares the comparison of a stored bundle with the one in force.
    pub fn prepare(
        folder: &BundleFolder,
        policy: Policy,
        present: Option<&Placed>,
        next: Manifest,
        since: UnixMillis,
    ) -> Result<Self, TrialError> {
        let entries = folder.entries(&policy, &next)?;
        let present = present.map(|present| folder.manifest(&present.bundle));
        Ok(Self {
            present: present.transpose()?,
            policy,
            next,
            entries,
            since,
        })
    }

    /// Loads every entry that differs, asks those that have changed, and judges the whole. `dir` is
    /// the node's folder, and `tell` gets each change with its finding.
    pub async fn run(
        self,
        dir: &Path,
        mut tell: impl FnMut(Tried),
    ) -> Result<Judgement, TrialError> {
        let host = risk::sandbox(&self.policy, None)?;
        let services = Arc::new(risk::scratch(&self.policy)?);
        let steps = steps(self.present.as_ref(), &self.next);
        let mut evidence = BTreeMap::new();
        for step in &steps {
            let mut result = None;
            match step {
                Step::Removed(_) => {}
                Step::New(name) => drop(self.load(&host, &services, name).await?),
                Step::Changed(name) => {
                    let candidate = self.load(&host, &services, name).await?;
                    let found = self.ask(candidate, name, dir).await;
                    result = found.as_ref().ok().cloned();
                    let found = match &found {
                        Ok(result) => Evidence::from(result),
                        Err(why) => Evidence::Failed(why.clone()),
                    };
                    evidence.insert(name.clone(), found);
                }
            }
            let step = step.clone();
            tell(Tried { step, result });
        }
        Ok(judge(&steps, &evidence))
    }

    async fn load(
        &self,
        host: &Host,
        services: &Arc<LocalServices>,
        name: &str,
    ) -> Result<Option<Candidate>, TrialError> {
        let Some(entry) = self.entries.iter().find(|entry| entry.name == name) else {
            return Ok(None);
        };
        let spec = risk::spec(&self.policy, entry)?;
        match host.candidate(&spec, services.clone()).await {
            Ok(candidate) => Ok(Some(candidate)),
            Err(source) => Err(TrialError::Load {
                entry: name.into(),
                source: Box::new(source),
            }),
        }
    }

    async fn ask(
        &self,
        candidate: Option<Candidate>,
        name: &str,
        dir: &Path,
    ) -> Result<BacktestResult, String> {
        if !self.policy.from_bundle.contains(name) {
            // The decisions on record under this name are those of another entry.
            return Err("an entry of policy.plugins stands in its place".into());
        }
        let backtest = Backtest {
            candidate: Arc::new(candidate.ok_or("it is not part of the bundle")?),
            entry: name.into(),
            since: self.since,
        };
        let done = backtest.run(dir, |_, _| {}).await;
        done.map_err(|error| error.to_string())
    }
}

/// The judgement if nothing is known: a loosening.
pub fn unknown(why: &str) -> Judgement {
    Judgement::MayLoosen(vec![Reason {
        entry: "the bundle".into(),
        why: why.into(),
    }])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use countersign_protocol::Hash;

    use super::super::published::tests::settings;
    use super::*;

    #[test]
    fn recordings_count_from_the_later_of_the_two_times() {
        let settings = Bundles {
            backtest: Duration::from_millis(100),
            ..settings()
        };
        let placed = |since| Placed {
            bundle: Hash([1; 32]),
            version: 1,
            signers: Vec::new(),
            since: UnixMillis(since),
        };
        let now = UnixMillis(1_000);
        for (present, expected) in [
            (None, 900),
            (Some(placed(5)), 900),
            (Some(placed(950)), 950),
            // The clock was moved back since: no recording is new enough to prove anything.
            (Some(placed(5_000)), 5_000),
        ] {
            assert_eq!(since(present.as_ref(), &settings, now).0, expected);
        }
    }
}
