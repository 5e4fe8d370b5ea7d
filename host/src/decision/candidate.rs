//! A new version of a plugin that is asked recorded questions, many of them and several at once. It
//! reaches nothing outside: no network, no keys, no memory, no clock.

use std::sync::Arc;

use crate::component::error::LoadError;
use crate::component::host::Host;
use crate::component::plugin::Plugin;
use crate::component::spec::PluginSpec;
use crate::contract::evaluation::Verdict;
use crate::contract::role::{Scope, subjects};
use crate::contract::services::Services;
use crate::contract::task::Task;
use crate::decision::comparison::{Answered, NotJudged};
use crate::decision::recording::Recorded;
use crate::decision::replay::ReplayError;

/// A new version of a plugin: another component, configuration or scope, under the grants of its
/// entry.
pub struct Candidate {
    plugin: Plugin,
    scope: Scope,
}

impl Host {
    /// Loads a new version as a node would, once for all questions. `services` are for its `check`
    /// alone.
    pub async fn candidate(
        &self,
        spec: &PluginSpec,
        services: Arc<dyn Services>,
    ) -> Result<Candidate, LoadError> {
        Ok(Candidate {
            plugin: self.load(spec, services).await?,
            scope: spec.role.scope.clone(),
        })
    }
}

impl Candidate {
    /// The loaded plugin.
    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// Puts a recorded question to it, and answers its imports from the recording.
    pub async fn answer(&self, question: &Task, recorded: &Recorded) -> Answered {
        self.answer_and_remember(question, recorded).await.0
    }

    /// The same, and whether its memory would differ afterwards: whether it approves what was
    /// approved, and writes something else than is on record. One that is not asked writes nothing.
    pub async fn answer_and_remember(
        &self,
        question: &Task,
        recorded: &Recorded,
    ) -> (Answered, bool) {
        let approved = recorded.verdict == Verdict::Approve;
        let subjects = subjects(&question.operation);
        if !subjects.iter().any(|subject| self.scope.covers(subject)) {
            return (Answered::OutOfScope, approved && recorded.has_written());
        }
        if let Err(error) = recorded.is_replayable() {
            let why = match error {
                ReplayError::NeverRan(code) => NotJudged::NeverRan(code),
                ReplayError::Cut => NotJudged::TooLarge,
                ReplayError::Load(_)
                | ReplayError::Component { .. }
                | ReplayError::Configuration { .. }
                | ReplayError::PreInit(_) => NotJudged::Unreadable,
            };
            return (Answered::NotJudged(why), false);
        }
        let playback = recorded.playback(&self.plugin);
        let (evaluation, divergence, wrote_otherwise) =
            self.plugin.replay(question, playback).await;
        let answered = Answered::new(evaluation.verdict, divergence, &recorded.verdict);
        let approves = answered == Answered::Said(Verdict::Approve);
        (answered, approved && approves && wrote_otherwise)
    }
}
