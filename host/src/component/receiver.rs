//! A loaded receiver of events: a component of the world `event-plugin`, under the same grants,
//! limits and budgets as a risk plugin. It decides nothing; any failure in it is a failed delivery.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use wasmtime::Store;
use wasmtime::component::Component;

use crate::capability::log;
use crate::component::ask::{Info, failed, printable_info};
use crate::component::compile::Compiled;
use crate::component::error::LoadError;
use crate::contract::bindings::countersign::policy::types::{Failure, Info as WitInfo};
use crate::contract::bindings::event::EventPluginPre;
use crate::contract::bindings::event::countersign::policy::events;
use crate::contract::code::Code;
use crate::contract::evaluation::LogLine;
use crate::contract::event::Event;
use crate::sandbox::call::{Ask, Finished, Sandbox};
use crate::sandbox::call_state::CallState;
use crate::sandbox::context::Context;
use crate::sandbox::stop::CallFailure;

/// A receiver that was loaded and found its configuration sound. Holds no instance:
/// each call makes one.
pub struct Receiver {
    pub(crate) sandbox: Arc<Sandbox>,
    pub(crate) compiled: Arc<Compiled>,
    pub(crate) linked: EventPluginPre<CallState>,
    pub(crate) context: Arc<Context>,
    pub(crate) info: Info,
}

/// Result of one try.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Code and reason if the event was not passed on.
    pub result: Result<(), (Code, String)>,
    /// Log lines of the receiver, within its budget.
    pub logs: Vec<LogLine>,
}

/// Links `component`, which exports the world of receivers.
pub(crate) fn link(
    sandbox: &Sandbox,
    component: &Component,
) -> Result<EventPluginPre<CallState>, LoadError> {
    let linked = sandbox
        .linker
        .instantiate_pre(component)
        .and_then(EventPluginPre::new);
    linked.map_err(|error| LoadError::Incompatible(format!("{error:#}")))
}

pub(crate) async fn describe(
    sandbox: &Sandbox,
    linked: &EventPluginPre<CallState>,
    context: &Arc<Context>,
    deadline: Instant,
) -> Result<Info, CallFailure> {
    let cut_off = context.cut_off(deadline);
    let described = sandbox.call(context, cut_off, Describe(linked)).await;
    described.result.map(printable_info)
}

pub(crate) async fn check(
    sandbox: &Sandbox,
    linked: &EventPluginPre<CallState>,
    context: &Arc<Context>,
    deadline: Instant,
) -> Result<(), CallFailure> {
    let cut_off = context.cut_off(deadline);
    let checked = sandbox.call(context, cut_off, Check(linked)).await;
    checked.result?.map_err(failed)
}

impl Receiver {
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

    /// Tries once to pass `event` on. `tries` is how often that was tried before. There is always
    /// an answer, at about `deadline` at the latest.
    pub async fn deliver(&self, event: &Event, tries: u32, deadline: Instant) -> Delivery {
        let cut_off = self.context.cut_off(deadline);
        let left = cut_off
            .saturating_duration_since(Instant::now())
            .as_millis() as u64;
        let told = event.to_wit(self.context.services.now().saturating_add(left), tries);
        let deliver = Deliver(&self.linked, told);
        let Finished {
            result, mut states, ..
        } = self.sandbox.call(&self.context, cut_off, deliver).await;
        let result = result.and_then(|passed| passed.map_err(failed));
        Delivery {
            result: result.map_err(|CallFailure { code, reason }| (code, reason)),
            logs: log::take_lines(&mut states),
        }
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let digest = hex::encode(self.digest());
        f.debug_struct("Receiver")
            .field("name", &self.name())
            .field("digest", &digest)
            .finish_non_exhaustive()
    }
}

struct Describe<'p>(&'p EventPluginPre<CallState>);
struct Check<'p>(&'p EventPluginPre<CallState>);
struct Deliver<'p>(&'p EventPluginPre<CallState>, events::Event);

impl Ask for Describe<'_> {
    type Answer = WitInfo;

    async fn ask(self, store: &mut Store<CallState>) -> wasmtime::Result<WitInfo> {
        let receiver = self.0.instantiate_async(&mut *store).await?;
        receiver
            .countersign_policy_event_receiver()
            .call_describe(store)
            .await
    }
}

impl Ask for Check<'_> {
    type Answer = Result<(), Failure>;

    async fn ask(self, store: &mut Store<CallState>) -> wasmtime::Result<Self::Answer> {
        let receiver = self.0.instantiate_async(&mut *store).await?;
        receiver
            .countersign_policy_event_receiver()
            .call_check(store)
            .await
    }
}

impl Ask for Deliver<'_> {
    type Answer = Result<(), Failure>;

    async fn ask(self, store: &mut Store<CallState>) -> wasmtime::Result<Self::Answer> {
        let receiver = self.0.instantiate_async(&mut *store).await?;
        receiver
            .countersign_policy_event_receiver()
            .call_deliver(store, &self.1)
            .await
    }
}
