//! Pre-initialisation, so that a large configuration is parsed only once. After a plugin's `check`
//! its memory becomes the initial memory of a new component, which answers all calls from then on.
//! Each call still has an instance of its own. It is only an optimisation: if anything prevents it,
//! the plugin runs as it is, and the log says why.
//!
//! The memory is the same in every later call, so it must depend on nothing but the component and
//! its configuration. The pre-initialising run therefore has no time, no randomness, no state and
//! no stream whose handle could be kept; a component that asks for one of them is not
//! pre-initialised. The seed of hash tables is the exception. A guest might seed more with it, such
//! as a generator of nonces: so a component that imports `http` or `keys`, and could show a
//! repeated nonce to others, is never pre-initialised.
//!
//! A pre-initialised plugin may judge differently from the same plugin as it is: it may count its
//! calls, or walk a hash table whose order the seed decides. So the seed is recorded with the
//! decision, and a replay repeats the pre-initialisation with it: the same component, document and
//! seed make the same memory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use wasmtime::Store;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{
    Component, ComponentNamedList, Instance, Lift, Linker, ResourceType, WasmList,
};
use wasmtime_wizer::{ComponentInstanceState, Wizer};

use crate::capability::interface::PreInit;
use crate::capability::table;
use crate::component::ask;
use crate::component::compile::{ComponentCompiler, imports};
use crate::component::version::Prepared;
use crate::sandbox::call::Sandbox;
use crate::sandbox::call_state::{CallOptions, CallState};
use crate::sandbox::context::Context;
use crate::sandbox::env;

/// Thresholds and limits of pre-initialisation.
#[derive(Clone, Debug)]
pub struct PreInitLimits {
    /// Smallest configuration document, in bytes: a smaller one is parsed in microseconds.
    pub document_bytes: usize,
    /// Largest component. It is compiled twice more for every new configuration.
    pub component_bytes: usize,
    /// Largest component with the memory in it.
    pub snapshot_bytes: usize,
    /// Limit of the whole attempt.
    pub wall: Duration,
}

impl Default for PreInitLimits {
    fn default() -> Self {
        Self {
            document_bytes: 4 << 10,
            component_bytes: 4 << 20,
            snapshot_bytes: 32 << 20,
            wall: Duration::from_secs(20),
        }
    }
}

/// The host's means of pre-initialising components.
#[derive(Clone)]
pub(crate) struct PreInitialiser {
    pub(crate) sandbox: Arc<Sandbox>,
    pub(crate) compiler: Arc<ComponentCompiler>,
    /// If absent, components are only pre-initialised for replays.
    pub(crate) limits: Option<PreInitLimits>,
}

/// A component with its configuration in memory.
pub(crate) struct PreInitialised {
    pub(crate) prepared: Prepared,
    /// Seed of the run whose memory was kept.
    pub(crate) seed: [u8; 32],
}

impl PreInitialiser {
    /// The component in `bytes` with its configuration in memory; `None` if it runs as it is.
    pub(crate) async fn pre_initialise(
        &self,
        bytes: &Arc<[u8]>,
        component: &Component,
        context: &Arc<Context>,
    ) -> Option<PreInitialised> {
        let limits = self.limits.as_ref()?;
        if context.document.len() < limits.document_bytes {
            return None;
        }
        let started = Instant::now();
        let plugin = &context.name;
        let seed = env::seed()?;
        match self.in_time(limits, bytes, component, context, seed).await {
            Ok(prepared) => {
                tracing::debug!(plugin, elapsed = ?started.elapsed(), "the configuration is read once for all calls");
                Some(PreInitialised { prepared, seed })
            }
            Err(error) => {
                let why = format!("{error:#}");
                tracing::info!(plugin, why, "the configuration is read in every call");
                None
            }
        }
    }

    /// Repeats an earlier pre-initialisation, which had this seed.
    pub(crate) async fn repeat(
        &self,
        bytes: &Arc<[u8]>,
        component: &Component,
        context: &Arc<Context>,
        seed: [u8; 32],
    ) -> wasmtime::Result<Prepared> {
        // A node that no longer pre-initialises can still repeat what it recorded before.
        let limits = self.limits.clone().unwrap_or_default();
        self.in_time(&limits, bytes, component, context, seed).await
    }

    async fn in_time(
        &self,
        limits: &PreInitLimits,
        bytes: &Arc<[u8]>,
        component: &Component,
        context: &Arc<Context>,
        seed: [u8; 32],
    ) -> wasmtime::Result<Prepared> {
        let attempt = self.attempt(limits, bytes, component, context, seed);
        let late = |_| {
            Err(wasmtime::format_err!(
                "it takes longer than {:?}",
                limits.wall
            ))
        };
        tokio::time::timeout(limits.wall, attempt)
            .await
            .unwrap_or_else(late)
    }

    async fn attempt(
        &self,
        limits: &PreInitLimits,
        bytes: &Arc<[u8]>,
        component: &Component,
        context: &Arc<Context>,
        seed: [u8; 32],
    ) -> wasmtime::Result<Prepared> {
        let imports = imports(component);
        let forbidden = imports
            .iter()
            .find(|import| table::pre_init(import) == PreInit::Forbidden);
        if let Some(import) = forbidden {
            wasmtime::bail!("it imports {import}");
        }
        if bytes.len() > limits.component_bytes {
            wasmtime::bail!("it has more than {} bytes", limits.component_bytes);
        }
        let this = self.clone();
        let bytes = bytes.clone();
        let context_ = context.clone();
        let runtime = Handle::current();
        // On a thread of its own: the rewriting is long, and it panics where a component is not as
        // it expects.
        let snapshot = tokio::task::spawn_blocking(move || {
            runtime.block_on(this.snapshot(&bytes, &context_, seed))
        });
        let snapshot = snapshot
            .await
            .map_err(|panic| wasmtime::format_err!("it cannot be rewritten: {panic}"))??;
        if snapshot.len() > limits.snapshot_bytes {
            wasmtime::bail!(
                "with its memory it has more than {} bytes",
                limits.snapshot_bytes
            );
        }
        let component = self.compiler.compile_once(&snapshot.into()).await?;
        let prepared = Prepared::new(&self.sandbox.linker, &component)?;
        let deadline = Instant::now() + limits.wall;
        match ask::check(&self.sandbox, &prepared, context, deadline).await {
            Ok(()) => Ok(prepared),
            Err(failure) => wasmtime::bail!("pre-initialised, it fails: {}", failure.reason),
        }
    }

    /// Runs `check` in an instance whose memory can be read, and writes the
    /// memory into the component.
    async fn snapshot(
        &self,
        bytes: &[u8],
        context: &Arc<Context>,
        seed: [u8; 32],
    ) -> wasmtime::Result<Vec<u8>> {
        let wizer = Wizer::new();
        let (layout, instrumented) = wizer.instrument_component(bytes)?;
        let component = self.compiler.compile_once(&instrumented.into()).await?;
        let prepared = Prepared::new(&restricted_linker(&component)?, &component)?;
        let _running = self.sandbox.enter().await;
        let options = CallOptions {
            seed: Some(seed),
            ..CallOptions::default()
        };
        let state = CallState::new(context.clone(), options);
        let mut store = self
            .sandbox
            .store(state.ok_or_else(|| wasmtime::format_err!("there is no randomness"))?);
        let (instance, plugin) = prepared.instantiate_whole(&mut store).await?;
        if let Err(failure) = plugin.check(&mut store).await? {
            wasmtime::bail!("without time and randomness, its check fails: {failure:?}");
        }
        // The memory leaves the guest through calls; it is not what this budget is for.
        store.set_hostcall_fuel(usize::MAX);
        wizer
            .snapshot_component(
                &layout,
                &mut Memory {
                    store: &mut store,
                    instance,
                },
            )
            .await
    }
}

/// A linker with configuration and log, and traps for everything else that `component` imports.
fn restricted_linker(component: &Component) -> wasmtime::Result<Linker<CallState>> {
    let engine = component.engine();
    let mut linker = table::restricted_linker(engine)?;
    for (name, item) in component.component_type().imports(engine) {
        match table::pre_init(name) {
            PreInit::Linked => continue,
            PreInit::Traps => {}
            PreInit::Forbidden => wasmtime::bail!("it imports {name}"),
        }
        let ComponentItem::ComponentInstance(interface) = item.ty else {
            wasmtime::bail!("it imports {name}");
        };
        let mut traps = linker.instance(name)?;
        for (item, kind) in interface.exports(engine) {
            let asked = format!("{name} {item}");
            match kind.ty {
                ComponentItem::ComponentFunc(_) => {
                    traps.func_new(item, move |_, _, _, _| {
                        wasmtime::bail!("its check asks for {asked}")
                    })?;
                }
                ComponentItem::Resource(_) => {
                    traps.resource(item, ResourceType::host::<()>(), |_, _| Ok(()))?
                }
                ComponentItem::Type(_) => {}
                ComponentItem::CoreFunc(_)
                | ComponentItem::Module(_)
                | ComponentItem::Component(_)
                | ComponentItem::ComponentInstance(_) => wasmtime::bail!("it imports {asked}"),
            }
        }
    }
    Ok(linker)
}

/// The functions by which an instrumented instance exposes its memory and globals. They fail only
/// through a defect of the rewriting, and then the plugin runs as it is.
struct Memory<'a> {
    store: &'a mut Store<CallState>,
    instance: Instance,
}

impl Memory<'_> {
    async fn get<T>(&mut self, interface: &str, function: &str) -> T
    where
        T: Lift + Send + Sync + 'static,
        (T,): ComponentNamedList,
    {
        let got = async {
            let store = &mut *self.store;
            let (_, interface) = self.instance.get_export(&mut *store, None, interface)?;
            let (_, function) =
                self.instance
                    .get_export(&mut *store, Some(&interface), function)?;
            let function = self
                .instance
                .get_typed_func::<(), (T,)>(&mut *store, function)
                .ok()?;
            Some(function.call_async(&mut *store, ()).await.ok()?.0)
        };
        got.await
            .unwrap_or_else(|| panic!("{function} gives nothing"))
    }
}

impl ComponentInstanceState for Memory<'_> {
    async fn call_func_ret_list_u8(
        &mut self,
        instance: &str,
        func: &str,
        contents: impl FnOnce(&[u8]) + Send,
    ) {
        let list: WasmList<u8> = self.get(instance, func).await;
        contents(list.as_le_slice(&*self.store));
    }

    async fn call_func_ret_s32(&mut self, instance: &str, func: &str) -> i32 {
        self.get(instance, func).await
    }

    async fn call_func_ret_s64(&mut self, instance: &str, func: &str) -> i64 {
        self.get(instance, func).await
    }

    async fn call_func_ret_f32(&mut self, instance: &str, func: &str) -> u32 {
        self.get::<f32>(instance, func).await.to_bits()
    }

    async fn call_func_ret_f64(&mut self, instance: &str, func: &str) -> u64 {
        self.get::<f64>(instance, func).await.to_bits()
    }
}
