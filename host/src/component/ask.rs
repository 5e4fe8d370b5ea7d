//! The questions that a plugin's exports answer, each put to a new instance.

use std::sync::Arc;
use std::time::Instant;

use wasmtime::Store;

use crate::component::version::Prepared;
use crate::contract::bindings::countersign::policy::types::{self, Info as WitInfo};
use crate::contract::code::Code;
use crate::contract::text::{self, printable};
use crate::sandbox::call::{Ask, Sandbox};
use crate::sandbox::call_state::CallState;
use crate::sandbox::context::Context;
use crate::sandbox::stop::CallFailure;

/// A component's description of itself; cut and escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// Plugin name, e.g. `rules`, without an entry's label.
    pub name: String,
    /// Semantic version of the plugin.
    pub version: String,
    /// One line for operators.
    pub description: String,
    /// JSON Schema of its configuration, verbatim.
    pub config_schema: Option<String>,
}

pub(crate) async fn describe(
    sandbox: &Sandbox,
    prepared: &Prepared,
    context: &Arc<Context>,
    deadline: Instant,
) -> Result<Info, CallFailure> {
    let cut_off = context.cut_off(deadline);
    let described = sandbox.call(context, cut_off, Describe(prepared)).await;
    described.result.map(printable_info)
}

pub(crate) async fn check(
    sandbox: &Sandbox,
    prepared: &Prepared,
    context: &Arc<Context>,
    deadline: Instant,
) -> Result<(), CallFailure> {
    let cut_off = context.cut_off(deadline);
    let checked = sandbox.call(context, cut_off, Check(prepared)).await;
    checked.result?.map_err(failed)
}

/// Cuts and escapes what a component says of itself.
pub(crate) fn printable_info(info: WitInfo) -> Info {
    Info {
        name: printable(&info.name, 128),
        version: printable(&info.version, 64),
        description: printable(&info.description, text::REASON),
        config_schema: info.config_schema,
    }
}

pub(crate) fn failed(failure: types::Failure) -> CallFailure {
    match failure {
        types::Failure::Misconfigured(text) => CallFailure::new(Code::Misconfigured, text),
        types::Failure::Unavailable(text) => CallFailure::new(Code::Unavailable, text),
        types::Failure::Unsupported(text) => CallFailure::new(Code::Unsupported, text),
        types::Failure::Internal(text) => CallFailure::new(Code::Internal, text),
    }
}

struct Describe<'p>(&'p Prepared);
struct Check<'p>(&'p Prepared);
pub(crate) struct Evaluate<'p>(pub(crate) &'p Prepared, pub(crate) types::Task);
pub(crate) struct Probe<'p>(pub(crate) &'p Prepared);
pub(crate) struct Observe<'p>(pub(crate) &'p Prepared, pub(crate) types::Task);

pub(crate) type Answer = Result<types::Verdict, types::Failure>;

impl Ask for Describe<'_> {
    type Answer = WitInfo;

    async fn ask(self, store: &mut Store<CallState>) -> wasmtime::Result<WitInfo> {
        self.0.instantiate(&mut *store).await?.describe(store).await
    }
}

impl Ask for Check<'_> {
    type Answer = Result<(), types::Failure>;

    async fn ask(self, store: &mut Store<CallState>) -> wasmtime::Result<Self::Answer> {
        self.0.instantiate(&mut *store).await?.check(store).await
    }
}

impl Ask for Evaluate<'_> {
    type Answer = Answer;

    async fn ask(self, store: &mut Store<CallState>) -> wasmtime::Result<Self::Answer> {
        self.0
            .instantiate(&mut *store)
            .await?
            .evaluate(store, &self.1)
            .await
    }
}

impl Ask for Probe<'_> {
    type Answer = Result<(), types::Failure>;

    async fn ask(self, store: &mut Store<CallState>) -> wasmtime::Result<Self::Answer> {
        self.0.probe(store).await
    }
}

impl Ask for Observe<'_> {
    type Answer = Result<(), types::Failure>;

    async fn ask(self, store: &mut Store<CallState>) -> wasmtime::Result<Self::Answer> {
        self.0.observe(store, &self.1).await
    }
}
