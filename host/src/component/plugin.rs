//! A loaded plugin. Holds no instance: each call makes one.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::capability::{log, state, table};
use crate::component::ask::{self, Answer, Evaluate, Info, Observe, Probe, failed};
use crate::component::compile::Compiled;
use crate::component::version::Prepared;
use crate::contract::anchor::Anchor;
use crate::contract::bindings::countersign::policy::types;
use crate::contract::code::Code;
use crate::contract::evaluation::{Conditions, Evaluation, Observation, Verdict};
use crate::contract::grants::Grants;
use crate::contract::services::Memory;
use crate::contract::task::Task;
use crate::contract::text::{self, printable};
use crate::contract::trace::{Divergence, Trace};
use crate::sandbox::call::{Finished, Sandbox};
use crate::sandbox::call_state::CallOptions;
use crate::sandbox::context::Context;
use crate::sandbox::stop::CallFailure;
use crate::sandbox::tape::Playback;

/// Limit of a replay. Pauses are not repeated, so the guest computes all the time.
pub(crate) const REPLAY: Duration = Duration::from_secs(60);

/// A plugin that was loaded and found its configuration sound.
pub struct Plugin {
    pub(crate) sandbox: Arc<Sandbox>,
    pub(crate) compiled: Arc<Compiled>,
    pub(crate) prepared: Prepared,
    /// Seed of the pre-initialising run; `None` if every call reads the configuration.
    pub(crate) pre_init_seed: Option<[u8; 32]>,
    pub(crate) context: Arc<Context>,
    pub(crate) info: Info,
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let digest = hex::encode(self.digest());
        f.debug_struct("Plugin")
            .field("name", &self.name())
            .field("digest", &digest)
            .finish_non_exhaustive()
    }
}

impl Plugin {
    /// Name of its entry in the configuration.
    pub fn name(&self) -> &str {
        &self.context.name
    }

    /// The component's own description.
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// SHA-256 of the component.
    pub fn digest(&self) -> [u8; 32] {
        self.compiled.digest
    }

    /// True if every call finds the configuration already read. The component that
    /// runs is then derived from the one of [`digest`](Plugin::digest) and the
    /// document of [`revision`](Plugin::revision) alone.
    pub fn is_pre_initialised(&self) -> bool {
        self.pre_init_seed.is_some()
    }

    /// SHA-256 of its configuration document.
    pub fn revision(&self) -> [u8; 32] {
        self.context.revision
    }

    /// The grants of its entry.
    pub fn grants(&self) -> &Grants {
        &self.context.grants
    }

    /// The keys and authorities that its answers depend on, besides component and configuration.
    pub fn anchors(&self) -> &[Anchor] {
        &self.context.anchors
    }

    pub(crate) fn memory_of(&self) -> &str {
        &self.context.memory_of
    }

    /// Calls `check` again: is the configuration sound, and are its dependencies in reach?
    pub async fn check(&self, deadline: Instant) -> Result<(), (Code, String)> {
        let checked = ask::check(&self.sandbox, &self.prepared, &self.context, deadline).await;
        checked.map_err(|CallFailure { code, reason }| (code, reason))
    }

    /// Puts `task` to the plugin. There is always an answer, at about `deadline` at the latest.
    pub async fn evaluate(&self, task: &Task, deadline: Instant) -> Evaluation {
        self.evaluate_with(None, task, deadline).await
    }

    /// The same with a given view of the plugin's memory; `None`: the view at its first access.
    pub(crate) async fn evaluate_with(
        &self,
        memory: Option<Box<dyn Memory>>,
        task: &Task,
        deadline: Instant,
    ) -> Evaluation {
        self.evaluate_in(&self.context, memory, task, deadline)
            .await
    }

    /// The same without effects: nothing outside the node is in reach, and its writes, log lines
    /// and trace are dropped.
    pub(crate) async fn preview(&self, task: &Task, deadline: Instant) -> Evaluation {
        let context = table::restricted(&self.context);
        let evaluation = self.evaluate_in(&context, None, task, deadline).await;
        Evaluation {
            writes: Vec::new(),
            logs: Vec::new(),
            trace: Trace::default(),
            ..evaluation
        }
    }

    async fn evaluate_in(
        &self,
        context: &Arc<Context>,
        memory: Option<Box<dyn Memory>>,
        task: &Task,
        deadline: Instant,
    ) -> Evaluation {
        let started = Instant::now();
        let cut_off = context.cut_off(deadline);
        let left = cut_off.saturating_duration_since(started).as_millis() as u64;
        let told = context.services.now().saturating_add(left);
        let question = Evaluate(&self.prepared, task.to_wit(told));
        let mut options = CallOptions::default();
        state::set_memory(&mut options.states, memory);
        let call = self.sandbox.call_with(options, context, cut_off, question);
        let mut finished = call.await;
        finished.trace.deadline = told;
        self.evaluation(finished, started).0
    }

    /// Puts a recorded question again, and answers imports from its trace. The last value is true
    /// if its writes are not those on record.
    pub(crate) async fn replay(
        &self,
        task: &Task,
        playback: Playback,
    ) -> (Evaluation, Option<Divergence>, bool) {
        let started = Instant::now();
        let question = Evaluate(&self.prepared, task.to_wit(playback.trace.deadline));
        let options = CallOptions {
            replay: Some(playback),
            ..CallOptions::default()
        };
        let cut_off = started + REPLAY;
        let call = self
            .sandbox
            .call_with(options, &self.context, cut_off, question);
        let finished = call.await;
        let wrote_otherwise = finished.wrote_otherwise;
        let (evaluation, divergence) = self.evaluation(finished, started);
        (evaluation, divergence, wrote_otherwise)
    }

    fn evaluation(
        &self,
        finished: Finished<Answer>,
        started: Instant,
    ) -> (Evaluation, Option<Divergence>) {
        let Finished {
            result,
            mut states,
            trace,
            divergence,
            wrote_otherwise: _,
        } = finished;
        let verdict = verdict(result);
        let writes = if verdict == Verdict::Approve {
            state::take_writes(&mut states)
        } else {
            Vec::new()
        };
        let evaluation = Evaluation {
            plugin: self.context.name.clone(),
            version: self.info.version.clone(),
            digest: self.digest(),
            revision: self.revision(),
            document: self.context.document.clone(),
            anchors: self.context.anchors.clone(),
            conditions: Some(self.conditions()),
            verdict,
            elapsed: started.elapsed(),
            logs: log::take_lines(&mut states),
            writes,
            trace,
        };
        (evaluation, divergence)
    }

    /// The conditions of the call that a replay must repeat.
    fn conditions(&self) -> Conditions {
        let grants = self.grants();
        Conditions {
            memory_bytes: grants.memory_bytes as u64,
            cpu_ms: grants.cpu_ms,
            pre_init_seed: self.pre_init_seed,
        }
    }

    /// Calls `health.probe`. Returns `None` if the component does not export it.
    pub async fn probe(&self, deadline: Instant) -> Option<Result<(), (Code, String)>> {
        if !self.prepared.has_probe() {
            return None;
        }
        let probe = Probe(&self.prepared);
        let cut_off = self.context.cut_off(deadline);
        let asked = self.sandbox.call(&self.context, cut_off, probe).await;
        let answer = asked.result.and_then(|answer| answer.map_err(failed));
        Some(answer.map_err(|CallFailure { code, reason }| (code, reason)))
    }

    /// True if it observes tasks that others sign: it exports `counting` and has a grant of state.
    pub fn counts(&self) -> bool {
        self.grants().state_bytes > 0 && self.prepared.has_counting()
    }

    /// Reports a task that others sign. The plugin reaches nothing outside the node meanwhile, so
    /// nobody else is asked anything.
    pub(crate) async fn observe(&self, task: &Task, deadline: Instant) -> Observation {
        let context = table::restricted(&self.context);
        let cut_off = context.cut_off(deadline);
        let left = cut_off
            .saturating_duration_since(Instant::now())
            .as_millis() as u64;
        let question = Observe(
            &self.prepared,
            task.to_wit(context.services.now().saturating_add(left)),
        );
        let Finished {
            result, mut states, ..
        } = self.sandbox.call(&context, cut_off, question).await;
        let counted = result.and_then(|answer| answer.map_err(failed));
        let writes = if counted.is_ok() {
            state::take_writes(&mut states)
        } else {
            Vec::new()
        };
        let result = counted.map_err(|CallFailure { code, reason }| (code, reason));
        Observation {
            plugin: self.context.name.clone(),
            result,
            logs: log::take_lines(&mut states),
            writes,
        }
    }
}

fn verdict(result: Result<Answer, CallFailure>) -> Verdict {
    match result.and_then(|answer| answer.map_err(failed)) {
        Ok(types::Verdict::Approve) => Verdict::Approve,
        Ok(types::Verdict::Reject(types::Rejection { code, reason })) => rejection(&code, &reason),
        Err(CallFailure { code, reason }) => Verdict::Failed { code, reason },
    }
}

/// A malformed code would be missing in every table and alert: it refuses too, as a
/// defect of the plugin.
fn rejection(code: &str, reason: &str) -> Verdict {
    match text::code(code) {
        Some(code) => Verdict::Reject {
            code: code.into(),
            reason: printable(reason, text::REASON),
        },
        None => {
            let code = printable(code, 64);
            let what = format!(
                "it rejects with the code `{code}`, which is none: write 1 to 64 lower-case letters, digits, - and .; \
                 it says: {reason}"
            );
            let CallFailure { code, reason } = CallFailure::new(Code::RejectCode, what);
            Verdict::Failed { code, reason }
        }
    }
}
