//! Replay of a recorded decision. The same component with the same configuration, trace and
//! conditions gives the same answer, or the replay reports where it left the recording. It reaches
//! nothing outside: no network, no keys, no memory, no clock.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::component::error::LoadError;
use crate::component::host::Host;
use crate::component::plugin::{Plugin, REPLAY};
use crate::component::spec::PluginSpec;
use crate::contract::anchor::Anchor;
use crate::contract::code::Code;
use crate::contract::evaluation::{Evaluation, Verdict};
use crate::contract::grants::Grants;
use crate::contract::services::{Memory, Services, StateError};
use crate::contract::task::Task;
use crate::contract::trace::{Divergence, Reading, Trace};
use crate::decision::recording::Recorded;
use crate::sandbox::tape::{Asks, Playback, is_write};

/// The departure from the record that a replay may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum With<'a> {
    /// Not at all: the same component and configuration, or an error.
    TheSame,
    /// Not at all, with the configuration document as it was kept instead of the entry's.
    Kept(&'a str),
    /// Another component or configuration: what if it had been in force? It may write to its memory
    /// what it likes.
    Another,
}

/// Result of a replay.
#[derive(Clone, Debug)]
pub struct Replay {
    /// The plugin's answer in the replay.
    pub evaluation: Evaluation,
    /// The point at which it asked for something else than it did then. Its answer is not
    /// usable in that case.
    pub divergence: Option<Divergence>,
    /// True if the answer is the recorded one. Of failures only the codes are compared.
    pub same: bool,
}

/// The reason for which there is no replay.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The plugin cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A component with another digest was given.
    #[error(
        "the component has SHA-256 {now}, and {then} decided; give that one, or ask what another would say"
    )]
    Component {
        /// Of the component that was given, hex.
        now: String,
        /// Of the one that decided, hex.
        then: String,
    },
    /// A configuration with another digest was given.
    #[error(
        "the configuration has SHA-256 {now}, and {then} decided; give that one, or ask what another would say"
    )]
    Configuration {
        /// Of the configuration that was given, hex.
        now: String,
        /// Of the one that decided, hex.
        then: String,
    },
    /// The record is incomplete.
    #[error(
        "the plugin heard more than a recording holds, so it cannot be replayed; its verdict is in the record"
    )]
    Cut,
    /// No instance was created at the time.
    #[error("the plugin did not run ({0}), so there is nothing to replay; see why in the record")]
    NeverRan(Code),
    /// It was pre-initialised, and that cannot be repeated.
    #[error(
        "the plugin judged from a pre-initialised memory, which cannot be reproduced: {0}; replay it with the program that recorded it"
    )]
    PreInit(String),
}

impl Recorded {
    /// Fails if it cannot be replayed even with its component and configuration.
    pub fn is_replayable(&self) -> Result<(), ReplayError> {
        match (&self.trace, &self.verdict) {
            (Trace { cut: true, .. }, _) => Err(ReplayError::Cut),
            (Trace { ran: false, .. }, Verdict::Failed { code, .. }) => {
                Err(ReplayError::NeverRan(*code))
            }
            (Trace { ran: true, .. }, _) | (_, Verdict::Approve | Verdict::Reject { .. }) => Ok(()),
        }
    }
}

impl Host {
    /// Puts a recorded question to the plugin that `spec` describes, and answers its imports from
    /// the recording: no network, no keys, no memory, no clock. `recorded` is of the entry that
    /// `spec` names, or of another one with [`With::Another`].
    pub async fn replay(
        &self,
        spec: &PluginSpec,
        question: &Task,
        recorded: &Recorded,
        with: With<'_>,
    ) -> Result<Replay, ReplayError> {
        recorded.is_replayable()?;
        let spec = &PluginSpec {
            grants: regranted(&spec.grants, recorded, with),
            ..spec.clone()
        };
        let document = match with {
            With::Kept(document) => document.into(),
            With::TheSame | With::Another => spec.document(),
        };
        let (compiled, bytes) = match with {
            With::Another => self.compiled(spec).await?,
            With::TheSame | With::Kept(_) => self.admitted(spec).await?,
        };
        let mut plugin = self
            .prepare(spec, document, compiled, Arc::new(Nothing))
            .await?;
        if with != With::Another {
            compare(plugin.digest(), recorded.digest)
                .map_err(|(now, then)| ReplayError::Component { now, then })?;
            compare(plugin.revision(), recorded.revision)
                .map_err(|(now, then)| ReplayError::Configuration { now, then })?;
        }
        if let (Some(seed), true) = (recorded.seed(), with != With::Another) {
            let repeated = self
                .shared
                .pre_initialiser
                .repeat(&bytes, &plugin.compiled.component, &plugin.context, seed)
                .await;
            plugin.prepared =
                repeated.map_err(|error| ReplayError::PreInit(format!("{error:#}")))?;
            plugin.pre_init_seed = Some(seed);
        }
        let (evaluation, divergence, _) = plugin.replay(question, recorded.playback(&plugin)).await;
        let same = divergence.is_none() && agree(&evaluation.verdict, &recorded.verdict);
        Ok(Replay {
            evaluation,
            divergence,
            same,
        })
    }
}

impl Recorded {
    /// True if the plugin wrote to its memory.
    pub(crate) fn has_written(&self) -> bool {
        let mut calls = self.trace.calls.iter();
        calls.any(|call| is_write(&call.asked))
    }

    /// The recording as `plugin` hears it.
    pub(crate) fn playback(&self, plugin: &Plugin) -> Playback {
        if plugin.digest() == self.digest && plugin.revision() == self.revision {
            self.for_the_same()
        } else {
            self.for_another()
        }
    }

    /// The recording for the component and configuration that made it.
    fn for_the_same(&self) -> Playback {
        let end = match &self.verdict {
            Verdict::Failed { code, .. } => Some(*code),
            Verdict::Approve | Verdict::Reject { .. } => None,
        };
        Playback {
            trace: self.trace.clone(),
            asks: Asks::TheSame(end),
        }
    }

    /// The recording for others. If nobody read the clock, it shows when the plugin was asked.
    fn for_another(&self) -> Playback {
        let mut trace = self.trace.clone();
        if trace.readings.is_empty() {
            let now = self.at.saturating_sub(self.micros / 1000);
            trace.readings.push(Reading { now, times: 1 });
        }
        Playback {
            trace,
            asks: Asks::Another,
        }
    }

    /// Seed of the pre-initialising run, if there was one.
    fn seed(&self) -> Option<[u8; 32]> {
        self.conditions
            .and_then(|conditions| conditions.pre_init_seed)
    }
}

/// The grants at the time of the decision. A call that was not stopped for its CPU time is not
/// stopped now either: this machine may be slower, and no answer depends on the duration.
fn regranted(grants: &Grants, recorded: &Recorded, with: With) -> Grants {
    let mut grants = grants.clone();
    if let (Some(conditions), true) = (recorded.conditions, with != With::Another) {
        grants.memory_bytes = usize::try_from(conditions.memory_bytes).unwrap_or(usize::MAX);
        grants.cpu_ms = conditions.cpu_ms;
    }
    if recorded.verdict.code() != Some(Code::Cpu.as_str()) {
        grants.cpu_ms = REPLAY.as_millis() as u64;
    }
    grants.wall_ms = REPLAY.as_millis() as u64;
    grants
}

fn compare(now: [u8; 32], then: [u8; 32]) -> Result<(), (String, String)> {
    if now == then {
        Ok(())
    } else {
        Err((hex::encode(now), hex::encode(then)))
    }
}

fn agree(now: &Verdict, then: &Verdict) -> bool {
    match (now, then) {
        (Verdict::Failed { code: now, .. }, Verdict::Failed { code: then, .. }) => now == then,
        // Earlier programs recorded a malformed code as this one.
        (
            Verdict::Failed {
                code: Code::RejectCode,
                ..
            },
            Verdict::Reject { code, .. },
        ) => code == "rejected",
        (now, then) => now == then,
    }
}

/// [`Services`] that have nothing: for replays, where all answers are on record.
struct Nothing;

impl Services for Nothing {
    fn now(&self) -> u64 {
        0
    }

    fn anchor(&self, _key: &str) -> Option<Anchor> {
        None
    }

    fn authorities(&self) -> Option<Anchor> {
        None
    }

    fn memory(&self, _plugin: &str) -> Result<Box<dyn Memory>, StateError> {
        Ok(Box::new(BTreeMap::new()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(readings: Vec<Reading>) -> Recorded {
        Recorded {
            plugin: "p".into(),
            version: "1.0.0".into(),
            digest: [0; 32],
            revision: [0; 32],
            at: 5_000,
            micros: 20_000,
            verdict: Verdict::Approve,
            trace: Trace {
                readings,
                ran: true,
                ..Trace::default()
            },
            conditions: None,
        }
    }

    #[test]
    fn the_clock_that_nobody_read_shows_another_version_the_time_of_the_question() {
        let unread = recorded(Vec::new());
        let asked_at = Reading {
            now: 4_980,
            times: 1,
        };
        assert_eq!(unread.for_another().trace.readings, [asked_at]);
        assert_eq!(unread.for_the_same().trace, unread.trace);
        let read = recorded(vec![Reading { now: 7, times: 2 }]);
        assert_eq!(read.for_another().trace, read.trace);
    }
}
