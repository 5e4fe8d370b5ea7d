//! A loaded plugin and its three questions. Holds no instance: each call makes one.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use wasmtime::Store;

use crate::bindings::countersign::policy::types::{self, Info as WitInfo};
use crate::call::{Ask, Broken, Call, Context, Finished, call};
use crate::compile::Compiled;
use crate::contract::{Prepared, Running};
use crate::host::Host;
use crate::text::{self, printable};
use crate::{Code, Evaluation, Grants, Task, Verdict};

/// A plugin that was loaded and found its configuration sound.
pub struct Plugin {
    pub(crate) host: Host,
    pub(crate) compiled: Arc<Compiled>,
    pub(crate) pre: Prepared,
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
        f.debug_struct("Plugin").field("name", &self.name()).field("digest", &digest).finish_non_exhaustive()
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

    /// SHA-256 of its configuration document.
    pub fn revision(&self) -> [u8; 32] {
        self.context.revision
    }

    /// What it was granted.
    pub fn grants(&self) -> &Grants {
        &self.context.grants
    }

    /// Asks again whether the configuration is sound and what it needs is in reach.
    pub async fn check(&self, deadline: Instant) -> Result<(), (Code, String)> {
        let checked = check(&self.host, &self.pre, &self.context, deadline).await;
        checked.map_err(|Broken { code, reason }| (code, reason))
    }

    /// Asks whether the node may take part in `task`. There is always an answer, at about `deadline` at the latest.
    pub async fn evaluate(&self, task: &Task, deadline: Instant) -> Evaluation {
        let started = Instant::now();
        let cut_off = self.context.cut_off(deadline);
        let left = cut_off.saturating_duration_since(started).as_millis() as u64;
        let question = Evaluate(task.to_wit(self.context.services.now().saturating_add(left)));
        let Finished { result, logs, writes } =
            call(&self.host, &self.pre, &self.context, cut_off, question).await;
        let verdict = verdict(result);
        let writes = if verdict == Verdict::Approve { writes } else { Vec::new() };
        Evaluation {
            plugin: self.context.name.clone(),
            version: self.info.version.clone(),
            digest: self.digest(),
            revision: self.revision(),
            verdict,
            elapsed: started.elapsed(),
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
    let info = call(host, pre, context, context.cut_off(deadline), Describe).await.result?;
    Ok(Info {
        name: printable(&info.name, 128),
        version: printable(&info.version, 64),
        description: printable(&info.description, text::REASON),
        config_schema: info.config_schema,
    })
}

pub(crate) async fn check(
    host: &Host,
    pre: &Prepared,
    context: &Arc<Context>,
    deadline: Instant,
) -> Result<(), Broken> {
    call(host, pre, context, context.cut_off(deadline), Check).await.result?.map_err(failed)
}

fn verdict(result: Result<Result<types::Verdict, types::Failure>, Broken>) -> Verdict {
    match result.and_then(|answer| answer.map_err(failed)) {
        Ok(types::Verdict::Approve) => Verdict::Approve,
        Ok(types::Verdict::Reject(types::Rejection { code, reason })) => Verdict::Reject {
            code: text::code(&code).unwrap_or("rejected").into(),
            reason: printable(&reason, text::REASON),
        },
        Err(Broken { code, reason }) => Verdict::Failed { code, reason },
    }
}

fn failed(failure: types::Failure) -> Broken {
    match failure {
        types::Failure::Misconfigured(text) => Broken::new(Code::Misconfigured, text),
        types::Failure::Unavailable(text) => Broken::new(Code::Unavailable, text),
        types::Failure::Unsupported(text) => Broken::new(Code::Unsupported, text),
        types::Failure::Internal(text) => Broken::new(Code::Internal, text),
    }
}

struct Describe;
struct Check;
struct Evaluate(types::Task);

impl Ask for Describe {
    type Answer = WitInfo;

    async fn ask(self, plugin: &Running, store: &mut Store<Call>) -> wasmtime::Result<WitInfo> {
        plugin.describe(store).await
    }
}

impl Ask for Check {
    type Answer = Result<(), types::Failure>;

    async fn ask(self, plugin: &Running, store: &mut Store<Call>) -> wasmtime::Result<Self::Answer> {
        plugin.check(store).await
    }
}

impl Ask for Evaluate {
    type Answer = Result<types::Verdict, types::Failure>;

    async fn ask(self, plugin: &Running, store: &mut Store<Call>) -> wasmtime::Result<Self::Answer> {
        plugin.evaluate(store, &self.0).await
    }
}
