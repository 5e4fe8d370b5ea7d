//! A loaded receiver of events: a component of the world `event-plugin`, under the same grants,
//! limits and budgets as a risk plugin. It decides nothing, and whatever goes wrong in it is a
//! failed delivery.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use wasmtime::Store;
use wasmtime::component::Component;

use crate::bindings::countersign::policy::types::{Failure, Info as WitInfo};
use crate::bindings::event::EventPluginPre;
use crate::bindings::event::countersign::policy::events;
use crate::call::{Ask, Broken, Call, Context, Finished, call};
use crate::compile::Compiled;
use crate::evaluation::LogLine;
use crate::event::Event;
use crate::host::Host;
use crate::load::{LoadError, PATIENCE, PluginSpec, check_name, context};
use crate::plugin::{Info, failed, printable_info};
use crate::{Code, Services};

/// A receiver that was loaded and found its configuration sound. Holds no instance: each call makes
/// one.
pub struct Receiver {
    host: Host,
    compiled: Arc<Compiled>,
    pre: EventPluginPre<Call>,
    context: Arc<Context>,
    info: Info,
}

/// What became of one try.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Nothing, or why the event was not passed on.
    pub result: Result<(), (Code, String)>,
    /// What the receiver logged, within its budget.
    pub logs: Vec<LogLine>,
}

impl Host {
    /// Loads one receiver, in the order in which plugins are loaded.
    pub async fn load_receiver(
        &self,
        spec: &PluginSpec,
        services: Arc<dyn Services>,
    ) -> Result<Receiver, LoadError> {
        let (compiled, _) = self.compiled(spec).await?;
        let pre = self.link_receiver(&compiled.component)?;
        let context = Arc::new(context(spec, spec.document(), services));
        let info = self.describe_receiver(&pre, &context).await?;
        check_name(&spec.name, &info.name)?;
        let cut_off = context.cut_off(Instant::now() + PATIENCE);
        let checked = call(self, &context, cut_off, Check(&pre)).await.result;
        checked
            .and_then(|sound| sound.map_err(failed))
            .map_err(|Broken { code, reason }| LoadError::check(spec, code, reason))?;
        Ok(Receiver {
            host: self.clone(),
            compiled,
            pre,
            context,
            info,
        })
    }

    pub(crate) fn link_receiver(
        &self,
        component: &Component,
    ) -> Result<EventPluginPre<Call>, LoadError> {
        let linked = self
            .shared
            .linker
            .instantiate_pre(component)
            .and_then(EventPluginPre::new);
        linked.map_err(|error| LoadError::Incompatible(format!("{error:#}")))
    }

    pub(crate) async fn describe_receiver(
        &self,
        pre: &EventPluginPre<Call>,
        context: &Arc<Context>,
    ) -> Result<Info, LoadError> {
        let cut_off = context.cut_off(Instant::now() + PATIENCE);
        let described = call(self, context, cut_off, Describe(pre)).await.result;
        described
            .map(printable_info)
            .map_err(|Broken { code, reason }| LoadError::Describe { code, reason })
    }
}

impl Receiver {
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

    /// Tries once to pass `event` on. `tries` is how often that was tried before. There is always
    /// an answer, at about `deadline` at the latest.
    pub async fn deliver(&self, event: &Event, tries: u32, deadline: Instant) -> Delivery {
        let cut_off = self.context.cut_off(deadline);
        let left = cut_off
            .saturating_duration_since(Instant::now())
            .as_millis() as u64;
        let told = event.to_wit(self.context.services.now().saturating_add(left), tries);
        let Finished { result, logs, .. } =
            call(&self.host, &self.context, cut_off, Deliver(&self.pre, told)).await;
        let result = result.and_then(|passed| passed.map_err(failed));
        Delivery {
            result: result.map_err(|Broken { code, reason }| (code, reason)),
            logs,
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

struct Describe<'p>(&'p EventPluginPre<Call>);
struct Check<'p>(&'p EventPluginPre<Call>);
struct Deliver<'p>(&'p EventPluginPre<Call>, events::Event);

impl Ask for Describe<'_> {
    type Answer = WitInfo;

    async fn ask(self, store: &mut Store<Call>) -> wasmtime::Result<WitInfo> {
        let receiver = self.0.instantiate_async(&mut *store).await?;
        receiver
            .countersign_policy_event_receiver()
            .call_describe(store)
            .await
    }
}

impl Ask for Check<'_> {
    type Answer = Result<(), Failure>;

    async fn ask(self, store: &mut Store<Call>) -> wasmtime::Result<Self::Answer> {
        let receiver = self.0.instantiate_async(&mut *store).await?;
        receiver
            .countersign_policy_event_receiver()
            .call_check(store)
            .await
    }
}

impl Ask for Deliver<'_> {
    type Answer = Result<(), Failure>;

    async fn ask(self, store: &mut Store<Call>) -> wasmtime::Result<Self::Answer> {
        let receiver = self.0.instantiate_async(&mut *store).await?;
        receiver
            .countersign_policy_event_receiver()
            .call_deliver(store, &self.1)
            .await
    }
}
