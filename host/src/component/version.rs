//! The versions of the contract. The host judges in the vocabulary of 0.1; a later version is one
//! more variant of [`Prepared`] and [`Running`], whose methods translate at the border, and a line
//! in [`add_later_versions`]. A component names its version by its export.

#[cfg(test)]
use wasmtime::component::HasSelf;
use wasmtime::component::{Component, Instance, Linker};
use wasmtime::{Engine, Store};

use crate::component::error::LoadError;
#[cfg(test)]
use crate::component::next;
use crate::contract::bindings::countersign::policy::types::{Failure, Info, Task, Verdict};
use crate::contract::bindings::{RiskPlugin, RiskPluginPre};
use crate::sandbox::call_state::CallState;
use crate::sandbox::stop::misfit;

/// The interface that a plugin exports, without its version.
const PLUGIN: &str = "countersign:policy/plugin@";
/// The interface that a receiver of events exports, without its version.
const RECEIVER: &str = "countersign:policy/event-receiver@";
/// The optional interface of 0.1 that reports health.
const HEALTH_0_1: &str = "countersign:policy/health@0.1.0";
/// The optional interface of 0.1 that observes what others sign.
const COUNTING_0_1: &str = "countersign:policy/counting@0.1.0";
/// The versions that are served, for people.
const SERVED: &str = "0.1";

/// A component that is linked against the version it was built for.
pub(crate) enum Prepared {
    V0_1(RiskPluginPre<CallState>),
    #[cfg(test)]
    Next(next::RiskPluginPre<CallState>),
}

/// An instance of it.
pub(crate) enum Running {
    V0_1(RiskPlugin),
    #[cfg(test)]
    Next(next::RiskPlugin),
}

/// Adds the interfaces of later versions, which have names of their own.
pub(crate) fn add_later_versions(_linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    #[cfg(test)]
    next::RiskPlugin::add_to_linker::<CallState, HasSelf<CallState>>(_linker, |call| call)?;
    Ok(())
}

impl Prepared {
    /// Links `component`. Its types are compared only when it is instantiated.
    pub(crate) fn new(
        linker: &Linker<CallState>,
        component: &Component,
    ) -> Result<Self, LoadError> {
        let incompatible = |error: wasmtime::Error| LoadError::Incompatible(format!("{error:#}"));
        let version = version(linker.engine(), component)?;
        let linked = || linker.instantiate_pre(component).map_err(incompatible);
        match minor(&version) {
            "0.1" => RiskPluginPre::new(linked()?)
                .map(Self::V0_1)
                .map_err(incompatible),
            #[cfg(test)]
            "0.2" => next::RiskPluginPre::new(linked()?)
                .map(Self::Next)
                .map_err(incompatible),
            _ => Err(LoadError::Version {
                version,
                served: SERVED,
            }),
        }
    }

    /// True if the component has the optional export `health`.
    pub(crate) fn has_probe(&self) -> bool {
        match self {
            Self::V0_1(pre) => pre
                .instance_pre()
                .component()
                .get_export_index(None, HEALTH_0_1)
                .is_some(),
            #[cfg(test)]
            Self::Next(_) => false,
        }
    }

    /// Calls `health.probe` of a new instance.
    pub(crate) async fn probe(
        &self,
        store: &mut Store<CallState>,
    ) -> wasmtime::Result<Result<(), Failure>> {
        let pre = match self {
            Self::V0_1(pre) => pre,
            #[cfg(test)]
            Self::Next(_) => wasmtime::bail!("it exports no health.probe"),
        };
        let instance = pre.instance_pre().instantiate_async(&mut *store).await?;
        let health = instance.get_export_index(&mut *store, None, HEALTH_0_1);
        let probe = health
            .and_then(|health| instance.get_export_index(&mut *store, Some(&health), "probe"));
        let probe = probe.ok_or_else(|| wasmtime::Error::msg("it exports no health.probe"))?;
        let probe = instance.get_typed_func::<(), (Result<(), Failure>,)>(&mut *store, &probe)?;
        Ok(probe.call_async(&mut *store, ()).await?.0)
    }

    /// True if the component has the optional export `counting`.
    pub(crate) fn has_counting(&self) -> bool {
        match self {
            Self::V0_1(pre) => pre
                .instance_pre()
                .component()
                .get_export_index(None, COUNTING_0_1)
                .is_some(),
            #[cfg(test)]
            Self::Next(_) => false,
        }
    }

    /// Calls `counting.observe` of a new instance.
    pub(crate) async fn observe(
        &self,
        store: &mut Store<CallState>,
        task: &Task,
    ) -> wasmtime::Result<Result<(), Failure>> {
        let pre = match self {
            Self::V0_1(pre) => pre,
            #[cfg(test)]
            Self::Next(_) => wasmtime::bail!("it exports no counting.observe"),
        };
        let instance = pre.instance_pre().instantiate_async(&mut *store).await?;
        let counting = instance.get_export_index(&mut *store, None, COUNTING_0_1);
        let observe = counting.and_then(|counting| {
            instance.get_export_index(&mut *store, Some(&counting), "observe")
        });
        let observe =
            observe.ok_or_else(|| wasmtime::Error::msg("it exports no counting.observe"))?;
        let observe =
            instance.get_typed_func::<(&Task,), (Result<(), Failure>,)>(&mut *store, &observe)?;
        Ok(observe.call_async(&mut *store, (task,)).await?.0)
    }

    pub(crate) async fn instantiate(
        &self,
        store: &mut Store<CallState>,
    ) -> wasmtime::Result<Running> {
        let running = match self {
            Self::V0_1(pre) => pre.instantiate_async(store).await.map(Running::V0_1),
            #[cfg(test)]
            Self::Next(pre) => pre.instantiate_async(store).await.map(Running::Next),
        };
        running.map_err(misfit)
    }

    /// The same, with access to exports that are in no version of the contract.
    pub(crate) async fn instantiate_whole(
        &self,
        store: &mut Store<CallState>,
    ) -> wasmtime::Result<(Instance, Running)> {
        match self {
            Self::V0_1(pre) => {
                let instance = pre.instance_pre().instantiate_async(&mut *store).await?;
                Ok((instance, Running::V0_1(RiskPlugin::new(store, &instance)?)))
            }
            #[cfg(test)]
            Self::Next(_) => wasmtime::bail!("this version is not pre-initialised"),
        }
    }
}

impl Running {
    pub(crate) async fn describe(&self, store: &mut Store<CallState>) -> wasmtime::Result<Info> {
        match self {
            Self::V0_1(plugin) => {
                plugin
                    .countersign_policy_plugin()
                    .call_describe(store)
                    .await
            }
            #[cfg(test)]
            Self::Next(plugin) => next::describe(plugin, store).await,
        }
    }

    pub(crate) async fn check(
        &self,
        store: &mut Store<CallState>,
    ) -> wasmtime::Result<Result<(), Failure>> {
        match self {
            Self::V0_1(plugin) => plugin.countersign_policy_plugin().call_check(store).await,
            #[cfg(test)]
            Self::Next(plugin) => next::check(plugin, store).await,
        }
    }

    pub(crate) async fn evaluate(
        &self,
        store: &mut Store<CallState>,
        task: &Task,
    ) -> wasmtime::Result<Result<Verdict, Failure>> {
        match self {
            Self::V0_1(plugin) => {
                plugin
                    .countersign_policy_plugin()
                    .call_evaluate(store, task)
                    .await
            }
            #[cfg(test)]
            Self::Next(plugin) => next::evaluate(plugin, store, task).await,
        }
    }
}

/// True if `component` receives events and does not judge.
pub(crate) fn is_receiver(engine: &Engine, component: &Component) -> bool {
    exported(engine, component, PLUGIN).is_none() && exported(engine, component, RECEIVER).is_some()
}

/// The version of the contract that `component` exports.
fn version(engine: &Engine, component: &Component) -> Result<String, LoadError> {
    let none = || LoadError::Incompatible("it does not export countersign:policy/plugin".into());
    exported(engine, component, PLUGIN).ok_or_else(none)
}

/// The version of the export `interface`.
fn exported(engine: &Engine, component: &Component, interface: &str) -> Option<String> {
    let exports = component.component_type();
    exports
        .exports(engine)
        .find_map(|(name, _)| name.strip_prefix(interface).map(str::to_owned))
}

/// `0.1` of `0.1.7`: the part that must agree before 1.0. Pre-releases agree with nothing.
fn minor(version: &str) -> &str {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    match version.rsplit_once('.') {
        Some((minor, _))
            if version.split('.').count() == 3 && version.split('.').all(is_number) =>
        {
            minor
        }
        _ => version,
    }
}

#[cfg(test)]
mod tests;
