//! Settings of the engine. Compiling and running must agree on every one of them.

use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

/// Most elements that a guest's tables may have.
pub(crate) const TABLE_ELEMENTS: usize = 20_000;
/// Most core instances, memories and tables of one component. JavaScript engines need several.
const CORE_INSTANCES: u32 = 40;
const MEMORIES: u32 = 4;
const TABLES: u32 = 16;

/// Limits for all plugins together.
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
        Self {
            slots: 64,
            memory_bytes: 64 << 20,
            component_bytes: 32 << 20,
        }
    }
}

/// An engine for running, which reserves all of its addresses now.
pub(crate) fn running(limits: &HostLimits) -> wasmtime::Result<Engine> {
    let mut pooled = config(limits.memory_bytes);
    pooled.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(limits)));
    Engine::new(&pooled).or_else(|error| {
        tracing::warn!(
            error = format!("{error:#}"),
            "no memory for a plugin pool: each call allocates, and is slower"
        );
        compiling(limits.memory_bytes)
    })
}

/// An engine for compiling only: the same code without a pool.
pub(crate) fn compiling(memory_bytes: usize) -> wasmtime::Result<Engine> {
    Engine::new(&config(memory_bytes))
}

fn config(memory_bytes: usize) -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .max_wasm_stack(512 << 10)
        .wasm_memory64(false)
        .wasm_relaxed_simd(false)
        // Products of 64 by 64 bits, which make the verification of a vote three times as fast.
        .wasm_wide_arithmetic(true)
        // Without these the pool reserves 4 GiB of addresses for each memory, which containers
        // often forbid.
        .memory_reservation(memory_bytes as u64)
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
