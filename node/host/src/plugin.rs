//! A loaded plugin and its questions. Holds no instance: each call makes one.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::Store;

use crate::bindings::countersign::policy::types::{self, Info as WitInfo};
use crate::call::{Ask, Broken, Call, Context, Finished, Setting, call, call_in};
use crate::compile::Compiled;
use crate::contract::Prepared;
use crate::host::Host;
use crate::text::{self, printable};
use crate::{
    Anchor, Code, Conditions, Divergence, Evaluation, Grants, Memory, Observation, Task, Trace,
    Verdict,
};

/// The longest replay. Pauses are not repeated, so it computes all the time.
pub(crate) const REPLAY: Duration = Duration::from_secs(60);

/// A plugin that was loaded and found its configuration sound.
pub struct Plugin {
    pub(crate) host: Host,
    pub(crate) compiled: Arc<Compiled>,
    pub(crate) pre: Prepared,
    /// Given: it was frozen, in a run with this seed.
    pub(crate) frozen: Option<[u8; 32]>,
    pub(crate) context: Arc<Context>,
    pub(crate) info: Info,
}

/// How a component describes itself; cut and escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// One line.
    pub description: String,
    /// JSON Schema of its configuration, verbatim.
    pub config_schema: Option<String>,
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

    /// How it describes itself.
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// SHA-256 of the component.
    pub fn digest(&self) -> [u8; 32] {
        self.compiled.digest
    }

    /// Whether every call finds the configuration already read. What runs then was made from the
    /// component of [`digest`](Plugin::digest) and the document of [`revision`](Plugin::revision),
    /// by nothing else.
    pub fn is_frozen(&self) -> bool {
        self.frozen.is_some()
    }

    /// SHA-256 of its configuration document.
    pub fn revision(&self) -> [u8; 32] {
        self.context.revision
    }

    /// What it was granted.
    pub fn grants(&self) -> &Grants {
        &self.context.grants
    }

    /// What its answers rest on besides component and configuration.
    pub fn anchors(&self) -> &[Anchor] {
        &self.context.anchors
    }

    /// Whose memory it reads.
    pub(crate) fn memory_of(&self) -> &str {
        &self.context.memory_of
    }

    /// Asks again whether the configuration is sound and what it needs is in reach.
    pub async fn check(&self, deadline: Instant) -> Result<(), (Code, String)> {
        let checked = check(&self.host, &self.pre, &self.context, deadline).await;
        checked.map_err(|Broken { code, reason }| (code, reason))
    }

    /// Asks whether the node may take part in `task`. There is always an answer, at about
    /// `deadline` at the latest.
    pub async fn evaluate(&self, task: &Task, deadline: Instant) -> Evaluation {
        self.evaluate_seeing(None, task, deadline).await
    }

    /// The same with the plugin's memory as it is to see it; `None`: as it is when it first looks.
    pub(crate) async fn evaluate_seeing(
        &self,
        memory: Option<Box<dyn Memory>>,
        task: &Task,
        deadline: Instant,
    ) -> Evaluation {
        let started = Instant::now();
        let cut_off = self.context.cut_off(deadline);
        let left = cut_off.saturating_duration_since(started).as_millis() as u64;
        let told = self.context.services.now().saturating_add(left);
        let question = Evaluate(&self.pre, task.to_wit(told));
        let setting = Setting {
            memory,
            ..Setting::default()
        };
        let mut finished = call_in(setting, &self.host, &self.context, cut_off, question).await;
        finished.trace.deadline = told;
        self.evaluation(finished, started).0
    }

    /// Puts a recorded question again, and answers for the outside what was answered then.
    pub(crate) async fn replay(
        &self,
        task: &Task,
        trace: Trace,
        verdict: &Verdict,
    ) -> (Evaluation, Option<Divergence>) {
        let started = Instant::now();
        let question = Evaluate(&self.pre, task.to_wit(trace.deadline));
        let end = match verdict {
            Verdict::Failed { code, .. } => Some(*code),
            _ => None,
        };
        let setting = Setting {
            replay: Some((trace, end)),
            ..Setting::default()
        };
        let finished = call_in(
            setting,
            &self.host,
            &self.context,
            started + REPLAY,
            question,
        )
        .await;
        self.evaluation(finished, started)
    }

    fn evaluation(
        &self,
        finished: Finished<Answer>,
        started: Instant,
    ) -> (Evaluation, Option<Divergence>) {
        let Finished {
            result,
            logs,
            writes,
            trace,
            divergence,
        } = finished;
        let verdict = verdict(result);
        let writes = if verdict == Verdict::Approve {
            writes
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
            logs,
            writes,
            trace,
        };
        (evaluation, divergence)
    }

    /// What its answers depend on besides component, configuration, question and what it hears.
    fn conditions(&self) -> Conditions {
        let grants = self.grants();
        Conditions {
            memory_bytes: grants.memory_bytes as u64,
            cpu_ms: grants.cpu_ms,
            frozen: self.frozen,
        }
    }

    /// Asks whether what the plugin depends on is in reach. `None`: the component does not say.
    pub async fn probe(&self, deadline: Instant) -> Option<Result<(), (Code, String)>> {
        if !self.pre.has_probe() {
            return None;
        }
        let probe = Probe(&self.pre);
        let asked = call(
            &self.host,
            &self.context,
            self.context.cut_off(deadline),
            probe,
        )
        .await
        .result;
        let answer = asked.and_then(|answer| answer.map_err(failed));
        Some(answer.map_err(|Broken { code, reason }| (code, reason)))
    }

    /// Whether it is to hear of what others sign: it says so, and may remember something.
    pub(crate) fn counts(&self) -> bool {
        self.grants().state_bytes > 0 && self.pre.has_counting()
    }

    /// Tells it of a task that others sign. Nothing outside the node is in its reach, so nobody is
    /// asked anything.
    pub(crate) async fn observe(&self, task: &Task, deadline: Instant) -> Observation {
        let context = self.context.secluded();
        let cut_off = context.cut_off(deadline);
        let left = cut_off
            .saturating_duration_since(Instant::now())
            .as_millis() as u64;
        let question = Observe(
            &self.pre,
            task.to_wit(context.services.now().saturating_add(left)),
        );
        let Finished {
            result,
            logs,
            writes,
            ..
        } = call(&self.host, &context, cut_off, question).await;
        let counted = result.and_then(|answer| answer.map_err(failed));
        let writes = if counted.is_ok() { writes } else { Vec::new() };
        let result = counted.map_err(|Broken { code, reason }| (code, reason));
        Observation {
            plugin: self.context.name.clone(),
            result,
            logs,
            writes,
        }
    }
}

pub(crate) async fn describe(
    host: &Host,
    pre: &Prepared,
    context: &Arc<Context>,
    deadline: Instant,
) -> Result<Info, Broken> {
    let info = call(host, context, context.cut_off(deadline), Describe(pre))
        .await
        .result?;
    Ok(printable_info(info))
}

/// What a component says of itself, cut and escaped.
pub(crate) fn printable_info(info: WitInfo) -> Info {
    Info {
        name: printable(&info.name, 128),
        version: printable(&info.version, 64),
        description: printable(&info.description, text::REASON),
        config_schema: info.config_schema,
    }
}

pub(crate) async fn check(
    host: &Host,
    pre: &Prepared,
    context: &Arc<Context>,
    deadline: Instant,
) -> Result<(), Broken> {
    call(host, context, context.cut_off(deadline), Check(pre))
        .await
        .result?
        .map_err(failed)
}

fn verdict(result: Result<Answer, Broken>) -> Verdict {
    match result.and_then(|answer| answer.map_err(failed)) {
        Ok(types::Verdict::Approve) => Verdict::Approve,
        Ok(types::Verdict::Reject(types::Rejection { code, reason })) => rejection(&code, &reason),
        Err(Broken { code, reason }) => Verdict::Failed { code, reason },
    }
}

/// A code that is none would be missing in every table and alert: it refuses too, as a defect of
/// the plugin.
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
            let Broken { code, reason } = Broken::new(Code::RejectCode, what);
            Verdict::Failed { code, reason }
        }
    }
}

pub(crate) fn failed(failure: types::Failure) -> Broken {
    match failure {
        types::Failure::Misconfigured(text) => Broken::new(Code::Misconfigured, text),
        types::Failure::Unavailable(text) => Broken::new(Code::Unavailable, text),
        types::Failure::Unsupported(text) => Broken::new(Code::Unsupported, text),
        types::Failure::Internal(text) => Broken::new(Code::Internal, text),
    }
}

struct Describe<'p>(&'p Prepared);
struct Check<'p>(&'p Prepared);
struct Evaluate<'p>(&'p Prepared, types::Task);
struct Probe<'p>(&'p Prepared);
struct Observe<'p>(&'p Prepared, types::Task);

type Answer = Result<types::Verdict, types::Failure>;

impl Ask for Describe<'_> {
    type Answer = WitInfo;

    async fn ask(self, store: &mut Store<Call>) -> wasmtime::Result<WitInfo> {
        self.0.instantiate(&mut *store).await?.describe(store).await
    }
}

impl Ask for Check<'_> {
    type Answer = Result<(), types::Failure>;

    async fn ask(self, store: &mut Store<Call>) -> wasmtime::Result<Self::Answer> {
        self.0.instantiate(&mut *store).await?.check(store).await
    }
}

impl Ask for Evaluate<'_> {
    type Answer = Answer;

    async fn ask(self, store: &mut Store<Call>) -> wasmtime::Result<Self::Answer> {
        self.0
            .instantiate(&mut *store)
            .await?
            .evaluate(store, &self.1)
            .await
    }
}

impl Ask for Probe<'_> {
    type Answer = Result<(), types::Failure>;

    async fn ask(self, store: &mut Store<Call>) -> wasmtime::Result<Self::Answer> {
        self.0.probe(store).await
    }
}

impl Ask for Observe<'_> {
    type Answer = Result<(), types::Failure>;

    async fn ask(self, store: &mut Store<Call>) -> wasmtime::Result<Self::Answer> {
        self.0.observe(store, &self.1).await
    }
}
