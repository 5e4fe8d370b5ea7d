//! Asks the entries of a bundle the recorded questions of this node, before any of them decides.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use countersign_host::{Candidate, Host, LocalServices, PluginSpec};
use countersign_protocol::{Hash, UnixMillis};

use super::folder::{BundleFolder, FolderError};
use super::judge::{Around, Evidence, Judgement, Step, judge, own, steps};
use super::manifest::Manifest;
use crate::backtest::{Backtest, BacktestError, BacktestResult, EntryVersion};
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
    /// The most stretches of questions that are judged at once.
    pub parallel: usize,
}

/// Reasons why a bundle cannot be tried.
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
    /// The bundle in force cannot be read.
    #[error("the bundle in force cannot be compared with: {0}")]
    Present(#[source] FolderError),
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
    /// The recorded questions cannot be asked.
    #[error("the recorded questions could not be asked: {0}")]
    Ask(#[from] BacktestError),
}

impl TrialError {
    /// True if the bundle itself is at fault, so that another try would end likewise.
    pub fn is_of_the_bundle(&self) -> bool {
        match self {
            Self::Folder(error) => error.is_of_the_bundle(),
            Self::Spec(_) => true,
            Self::Load { source, .. } => !source.may_pass(),
            Self::Sandbox(_) | Self::Services(_) | Self::Present(_) | Self::Ask(_) => false,
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

/// The time from which recordings count: none that are older than the operator wants. Which entry
/// decided is known of each decision, so it does not matter when a bundle took effect.
pub fn since(settings: &Bundles, now: UnixMillis) -> UnixMillis {
    let age = super::schedule::millis(settings.backtest);
    UnixMillis(now.0.saturating_sub(age))
}

impl Trial {
    /// Prepares the comparison of a stored bundle with the one in force.
    pub fn prepare(
        folder: &BundleFolder,
        policy: Policy,
        present: Option<&Hash>,
        next: &Hash,
        since: UnixMillis,
    ) -> Result<Self, TrialError> {
        let next_manifest = folder.manifest(next)?;
        // The check of shadows is that of the policy as a whole.
        folder.with(policy.clone(), Some(next))?;
        let entries = folder.entries(&policy, next)?;
        let present = present.map(|present| folder.manifest(present)).transpose();
        Ok(Self {
            present: present.map_err(TrialError::Present)?,
            policy,
            next: next_manifest,
            entries,
            since,
            parallel: 1,
        })
    }

    /// Loads every entry that differs from the bundle in force, beside that.
    pub async fn load_all(&self) -> Result<(), TrialError> {
        let (host, services) = self.place()?;
        for step in steps(self.present.as_ref(), &self.next) {
            match step {
                Step::Removed(_) => {}
                Step::New(name) | Step::Changed(name) => {
                    self.load(&host, &services, &name).await?;
                }
            }
        }
        Ok(())
    }

    /// Loads every entry that differs, asks those that have changed, and judges the whole. `dir` is
    /// the node's folder, and `tell` gets each change with its finding.
    pub async fn run(
        self,
        dir: &Path,
        mut tell: impl FnMut(Tried),
    ) -> Result<Judgement, TrialError> {
        let (host, services) = self.place()?;
        let mut evidence = BTreeMap::new();
        for step in steps(self.present.as_ref(), &self.next) {
            let mut result = None;
            match &step {
                Step::Removed(_) => {}
                Step::New(name) => {
                    self.load(&host, &services, name).await?;
                }
                Step::Changed(name) => {
                    let candidate = self.load(&host, &services, name).await?;
                    let found = self.ask(&host, &services, candidate, name, dir).await?;
                    evidence.insert(name.clone(), found.0);
                    result = found.1;
                }
            }
            tell(Tried { step, result });
        }
        let operators = own(&self.policy);
        let around = Around {
            own: &operators,
            present: self.present.as_ref(),
        };
        Ok(judge(around, &self.next, &evidence))
    }

    fn place(&self) -> Result<(Host, Arc<LocalServices>), TrialError> {
        let host = risk::sandbox(&self.policy, None)?;
        Ok((host, Arc::new(risk::scratch(&self.policy)?)))
    }

    async fn load(
        &self,
        host: &Host,
        services: &Arc<LocalServices>,
        name: &str,
    ) -> Result<Candidate, TrialError> {
        let mut entries = self.entries.iter();
        let entry = entries.find(|entry| entry.name == name);
        let entry = entry.ok_or_else(|| FolderError::NoEntry(name.into()))?;
        let spec = risk::spec(&self.policy, entry)?;
        let loaded = host.candidate(&spec, services.clone()).await;
        loaded.map_err(|source| TrialError::Load {
            entry: name.into(),
            source: Box::new(source),
        })
    }

    /// Asks the questions that the entry in force was asked, and no other entry of its name.
    async fn ask(
        &self,
        host: &Host,
        services: &Arc<LocalServices>,
        candidate: Candidate,
        name: &str,
        dir: &Path,
    ) -> Result<(Evidence, Option<BacktestResult>), TrialError> {
        let mut plugins = self.policy.plugins.iter();
        let before = plugins.find(|entry| entry.name == name);
        let from_bundle = self.policy.from_bundle.contains(name);
        let Some(before) = before.filter(|_| from_bundle) else {
            let why = "an entry of policy.plugins stands in its place";
            return Ok((Evidence::NotAsked(why.into()), None));
        };
        let spec = match risk::spec(&self.policy, before) {
            Ok(spec) => spec,
            // The entry in force is at fault, and not the bundle on trial.
            Err(error) => return Ok((Evidence::NotAsked(error.to_string()), None)),
        };
        let stops_counting = stops_counting(host, services, before, &spec, &candidate).await;
        let backtest = Backtest {
            candidate: Arc::new(candidate),
            entry: name.into(),
            since: self.since,
            version: Some(EntryVersion {
                digest: Hash(spec.digest.unwrap_or_default()),
                config: Hash(spec.revision()),
            }),
            parallel: self.parallel,
        };
        let result = backtest.run(dir, |_, _| {}).await?;
        Ok((Evidence::of(&result, stops_counting), Some(result)))
    }
}

/// True if the entry in force may count what other members approve, and the candidate does not.
async fn stops_counting(
    host: &Host,
    services: &Arc<LocalServices>,
    before: &PluginEntry,
    spec: &PluginSpec,
    candidate: &Candidate,
) -> bool {
    if before.grants.state_bytes == 0 || candidate.plugin().counts() {
        return false;
    }
    match host.candidate(spec, services.clone()).await {
        Ok(before) => before.plugin().counts(),
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::time::Duration;

    use countersign_host::LoadError;

    use super::super::published::tests::settings;
    use super::*;

    #[test]
    fn recordings_of_the_whole_time_count() {
        let settings = Bundles {
            backtest: Duration::from_millis(100),
            ..settings()
        };
        for (now, expected) in [(1_000, 900), (50, 0)] {
            assert_eq!(since(&settings, UnixMillis(now)).0, expected);
        }
    }

    #[test]
    fn a_fault_of_the_machine_is_not_of_the_bundle() {
        let gone = || io::Error::from(io::ErrorKind::NotFound);
        let load = |source| TrialError::Load {
            entry: "rules".into(),
            source: Box::new(source),
        };
        let io = FolderError::Io {
            file: "f".into(),
            source: gone(),
        };
        let missing = load(LoadError::Missing {
            file: "f".into(),
            source: gone(),
        });
        for passing in [TrialError::Folder(io), missing] {
            assert!(!passing.is_of_the_bundle(), "{passing}");
        }
        let shadow = TrialError::Folder(FolderError::Shadow("rules".into()));
        let named = load(LoadError::Name {
            actual: "other".into(),
        });
        for lasting in [shadow, named] {
            assert!(lasting.is_of_the_bundle(), "{lasting}");
        }
    }
}
