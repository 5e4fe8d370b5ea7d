//! Configurations that are read once. After a plugin's `check` its memory is taken and made the
//! initial memory of a new component, which answers all calls from then on: each in an instance of
//! its own as ever, but nothing is parsed again. Only an optimisation: whatever stands against it,
//! the plugin runs as it is, and the log says why.
//!
//! What is frozen is the same in every later call, so it must not depend on anything but the
//! component and its configuration. During the freezing run there is therefore neither time nor
//! randomness nor memory of the node's, nor a stream whose handle could be remembered; a component
//! that asks for one of them is not frozen. The seed of hash tables is the exception. A guest might
//! make more of it, a generator of nonces for instance: so a component that imports `http` or
//! `keys`, and could show a repeated nonce to anybody, is never frozen.
//!
//! A frozen plugin may judge otherwise than the same plugin as it is: it may count its calls, or
//! walk a hash table whose order the seed decides. So the seed of the freezing run is part of what
//! is recorded of a decision, and a replay freezes with that seed again: the same component,
//! document and seed make the same memory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use wasmtime::Store;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{
    Component, ComponentNamedList, Instance, Lift, Linker, ResourceType, WasmList,
};
use wasmtime_wasi::WasiView;
use wasmtime_wasi::cli::{WasiCli, WasiCliView};
use wasmtime_wasi::p2::bindings::{cli, random};
use wasmtime_wasi::random::WasiRandom;
use wasmtime_wizer::{ComponentInstanceState, Wizer};

use crate::call::{self, Call, Context, Setting};
use crate::compile::{compile_once, imports};
use crate::contract::{self, Prepared};
use crate::host::Host;
use crate::interface::Freezing;
use crate::surroundings;

/// When it is worth it, and what it may cost.
#[derive(Clone, Debug)]
pub struct FreezeLimits {
    /// Smallest configuration document, in bytes: a smaller one is parsed in microseconds.
    pub document_bytes: usize,
    /// Largest component. It is compiled twice more for every new configuration.
    pub component_bytes: usize,
    /// Largest component with the memory in it.
    pub snapshot_bytes: usize,
    /// Time for all of it.
    pub wall: Duration,
}

impl Default for FreezeLimits {
    fn default() -> Self {
        Self {
            document_bytes: 4 << 10,
            component_bytes: 4 << 20,
            snapshot_bytes: 32 << 20,
            wall: Duration::from_secs(20),
        }
    }
}

/// A component with its configuration in memory.
pub(crate) struct Frozen {
    pub(crate) prepared: Prepared,
    /// Of the run that was frozen.
    pub(crate) seed: [u8; 32],
}

/// The component in `bytes` with its configuration in memory; `None` if it runs as it is.
pub(crate) async fn freeze(
    host: &Host,
    bytes: &Arc<[u8]>,
    component: &Component,
    context: &Arc<Context>,
) -> Option<Frozen> {
    let limits = host.shared.freeze.as_ref()?;
    if context.document.len() < limits.document_bytes {
        return None;
    }
    let started = Instant::now();
    let plugin = &context.name;
    let seed = surroundings::seed()?;
    match freeze_in_time(host, limits, bytes, component, context, seed).await {
        Ok(prepared) => {
            tracing::debug!(plugin, elapsed = ?started.elapsed(), "the configuration is read once for all calls");
            Some(Frozen { prepared, seed })
        }
        Err(error) => {
            let why = format!("{error:#}");
            tracing::info!(plugin, why, "the configuration is read in every call");
            None
        }
    }
}

/// The same as it was once, in a run with this seed.
pub(crate) async fn freeze_again(
    host: &Host,
    bytes: &Arc<[u8]>,
    component: &Component,
    context: &Arc<Context>,
    seed: [u8; 32],
) -> wasmtime::Result<Prepared> {
    let limits = host.shared.freeze.clone().unwrap_or_default();
    freeze_in_time(host, &limits, bytes, component, context, seed).await
}

async fn freeze_in_time(
    host: &Host,
    limits: &FreezeLimits,
    bytes: &Arc<[u8]>,
    component: &Component,
    context: &Arc<Context>,
    seed: [u8; 32],
) -> wasmtime::Result<Prepared> {
    let frozen = try_freeze(host, limits, bytes, component, context, seed);
    let late = |_| {
        Err(wasmtime::format_err!(
            "it takes longer than {:?}",
            limits.wall
        ))
    };
    tokio::time::timeout(limits.wall, frozen)
        .await
        .unwrap_or_else(late)
}

async fn try_freeze(
    host: &Host,
    limits: &FreezeLimits,
    bytes: &Arc<[u8]>,
    component: &Component,
    context: &Arc<Context>,
    seed: [u8; 32],
) -> wasmtime::Result<Prepared> {
    let imports = imports(host, component);
    let forbidden = imports
        .iter()
        .find(|import| Freezing::of(import) == Freezing::Forbidden);
    if let Some(import) = forbidden {
        wasmtime::bail!("it imports {import}");
    }
    if bytes.len() > limits.component_bytes {
        wasmtime::bail!("it has more than {} bytes", limits.component_bytes);
    }
    let host_ = host.clone();
    let bytes = bytes.clone();
    let context_ = context.clone();
    let runtime = Handle::current();
    // On a thread of its own: the rewriting is long, and it panics where a component is not as it
    // expects.
    let snapshot = tokio::task::spawn_blocking(move || {
        runtime.block_on(snapshot(&host_, &bytes, &context_, seed))
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
    let frozen = compile_once(host, &snapshot.into()).await?;
    let frozen = Prepared::new(&host.shared.linker, &frozen)?;
    match crate::plugin::check(host, &frozen, context, Instant::now() + limits.wall).await {
        Ok(()) => Ok(frozen),
        Err(broken) => wasmtime::bail!("frozen, it fails: {}", broken.reason),
    }
}

/// Runs `check` in an instance whose memory can be read, and writes the memory into the component.
async fn snapshot(
    host: &Host,
    bytes: &[u8],
    context: &Arc<Context>,
    seed: [u8; 32],
) -> wasmtime::Result<Vec<u8>> {
    let wizer = Wizer::new();
    let (layout, instrumented) = wizer.instrument_component(bytes)?;
    let component = compile_once(host, &instrumented.into()).await?;
    let prepared = Prepared::new(&secluded(&component)?, &component)?;
    let _slot = host.shared.slots.acquire().await;
    let _timed = host.shared.ticker.run();
    let call = Call::new(
        context.clone(),
        Setting {
            seed: Some(seed),
            ..Setting::default()
        },
    );
    let mut store = call::store(
        host,
        call.ok_or_else(|| wasmtime::format_err!("there is no randomness"))?,
    );
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

/// A linker with configuration and log, and traps for everything else that `component` imports.
fn secluded(component: &Component) -> wasmtime::Result<Linker<Call>> {
    let engine = component.engine();
    let mut linker = Linker::new(engine);
    contract::add_secluded_to_linker(&mut linker)?;
    random::insecure_seed::add_to_linker::<Call, WasiRandom>(&mut linker, |call| {
        call.ctx().ctx.random()
    })?;
    cli::environment::add_to_linker::<Call, WasiCli>(&mut linker, Call::cli)?;
    cli::exit::add_to_linker::<Call, WasiCli>(&mut linker, Call::cli)?;
    for (name, item) in component.component_type().imports(engine) {
        match Freezing::of(name) {
            Freezing::Linked => continue,
            Freezing::Traps => {}
            Freezing::Forbidden => wasmtime::bail!("it imports {name}"),
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
                _ => {}
            }
        }
    }
    Ok(linker)
}

/// The functions by which an instrumented instance gives away its memory and globals. They cannot
/// fail but by a defect of the rewriting, and then nothing is frozen.
struct Memory<'a> {
    store: &'a mut Store<Call>,
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
