//! The engine that all plugins share: its settings, what it links, and the queue for its instances.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use tokio::sync::Semaphore;
use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};
use wasmtime_wasi::WasiView;
use wasmtime_wasi::cli::{WasiCli, WasiCliView};
use wasmtime_wasi::p2::bindings::{cli, random};
use wasmtime_wasi::random::WasiRandom;

use crate::bindings::RiskPlugin;
use crate::call::Call;
use crate::compile::Compiled;
use crate::ticker::Ticker;

/// Most elements that a guest's tables may have.
pub(crate) const TABLE_ELEMENTS: usize = 20_000;
/// Most core instances, memories and tables of one component. JavaScript engines need several.
const CORE_INSTANCES: u32 = 40;
const MEMORIES: u32 = 4;
const TABLES: u32 = 16;

/// What all plugins together may take.
#[derive(Clone, Debug)]
pub struct HostLimits {
    /// Calls at the same time; further ones wait.
    pub slots: u32,
    /// Linear memory of one call, above which no grant can go.
    pub memory_bytes: usize,
    /// Size of a component's file.
    pub component_bytes: u64,
}

impl Default for HostLimits {
    fn default() -> Self {
        Self { slots: 64, memory_bytes: 64 << 20, component_bytes: 32 << 20 }
    }
}

/// Why the engine did not start.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot start the plugin engine: {0}; check the machine's memory limits (ulimit -v, vm.overcommit_memory)"
)]
pub struct HostError(String);

/// Runs plugins. Cheap to clone; all clones share one engine.
#[derive(Clone)]
pub struct Host {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<Call>,
    pub(crate) limits: HostLimits,
    /// As many permits as the pool has slots: an exhausted pool is an error, an exhausted semaphore a queue.
    pub(crate) slots: Arc<Semaphore>,
    pub(crate) ticker: Ticker,
    /// Compiled components by digest, as long as somebody uses them.
    pub(crate) compiled: Mutex<HashMap<[u8; 32], Weak<Compiled>>>,
}

impl Host {
    /// Starts the engine. Call it within a tokio runtime or outside; plugins need one.
    pub fn new(limits: HostLimits) -> Result<Self, HostError> {
        let error = |error: wasmtime::Error| HostError(format!("{error:#}"));
        let engine = engine(&limits).map_err(error)?;
        let linker = linker(&engine).map_err(error)?;
        let ticker = Ticker::start(&engine).map_err(|error| HostError(error.to_string()))?;
        let slots = Arc::new(Semaphore::new(limits.slots as usize));
        Ok(Self {
            shared: Arc::new(Shared { engine, linker, limits, slots, ticker, compiled: Mutex::default() }),
        })
    }
}

fn engine(limits: &HostLimits) -> wasmtime::Result<Engine> {
    let mut pooled = config(limits);
    pooled.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(limits)));
    Engine::new(&pooled).or_else(|error| {
        tracing::warn!(
            error = format!("{error:#}"),
            "no memory for a plugin pool: each call allocates, and is slower"
        );
        Engine::new(&config(limits))
    })
}

fn config(limits: &HostLimits) -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .max_wasm_stack(512 << 10)
        .wasm_memory64(false)
        .wasm_relaxed_simd(false)
        // Without these the pool reserves 4 GiB of addresses for each memory, which containers often forbid.
        .memory_reservation(limits.memory_bytes as u64)
        .memory_guard_size(64 << 10)
        .memory_reservation_for_growth(0)
        .memory_may_move(false);
    config
}

fn pool(limits: &HostLimits) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(limits.slots)
        .total_core_instances(limits.slots * CORE_INSTANCES)
        .total_memories(limits.slots * MEMORIES)
        .total_tables(limits.slots * TABLES)
        .total_stacks(limits.slots)
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_memories_per_component(MEMORIES)
        .max_tables_per_component(TABLES)
        .max_memory_size(limits.memory_bytes)
        .table_elements(TABLE_ELEMENTS)
        // Resetting a slot by scanning page maps halves the cost of a call (27 to 12 us).
        .linear_memory_keep_resident(256 << 10)
        .table_keep_resident(64 << 10)
        .pagemap_scan(Enabled::Auto);
    pool
}

/// The contract, and of WASI what language runtimes import unasked: clocks, randomness, standard streams, an empty
/// environment. No files, no sockets: there is nothing to link them to.
fn linker(engine: &Engine) -> wasmtime::Result<Linker<Call>> {
    let mut linker = Linker::new(engine);
    RiskPlugin::add_to_linker::<Call, HasSelf<Call>>(&mut linker, |call| call)?;
    let l = &mut linker;
    wasmtime_wasi::p2::add_to_linker_proxy_interfaces_async(l)?;
    random::insecure::add_to_linker::<Call, WasiRandom>(l, |call| call.ctx().ctx.random())?;
    random::insecure_seed::add_to_linker::<Call, WasiRandom>(l, |call| call.ctx().ctx.random())?;
    cli::environment::add_to_linker::<Call, WasiCli>(l, Call::cli)?;
    cli::exit::add_to_linker::<Call, WasiCli>(l, Call::cli)?;
    cli::terminal_input::add_to_linker::<Call, WasiCli>(l, Call::cli)?;
    cli::terminal_output::add_to_linker::<Call, WasiCli>(l, Call::cli)?;
    cli::terminal_stdin::add_to_linker::<Call, WasiCli>(l, Call::cli)?;
    cli::terminal_stdout::add_to_linker::<Call, WasiCli>(l, Call::cli)?;
    cli::terminal_stderr::add_to_linker::<Call, WasiCli>(l, Call::cli)?;
    Ok(linker)
}
