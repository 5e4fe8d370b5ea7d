//! The engine that all plugins share: its settings, what it links, and the queue for its instances.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::{Arc, Mutex, Weak};

use countersign_files::Custody;
use tokio::sync::Semaphore;
use wasmtime::Engine;
use wasmtime::component::Linker;
use wasmtime_wasi::WasiView;
use wasmtime_wasi::cli::{WasiCli, WasiCliView};
use wasmtime_wasi::p2::bindings::{cli, random};
use wasmtime_wasi::random::WasiRandom;

use crate::cache::CodeCache;
use crate::call::Call;
use crate::compile::Compiled;
use crate::compiler::Compiler;
use crate::contract;
use crate::engine;
use crate::freeze::FreezeLimits;
use crate::signature::Publisher;
use crate::store::PluginStore;
use crate::ticker::Ticker;

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
        Self {
            slots: 64,
            memory_bytes: 64 << 20,
            component_bytes: 32 << 20,
        }
    }
}

/// How a host works. The default is for tests and tools: no child process, nothing on disk,
/// everybody's components.
#[derive(Debug, Default)]
pub struct HostOptions {
    /// What all plugins together may take.
    pub limits: HostLimits,
    /// Who compiles components.
    pub compiler: Compiler,
    /// Where machine code is kept between starts.
    pub cache: Option<CodeCache>,
    /// If there is one, only components that one of them signed are loaded.
    pub trusted_publishers: Vec<Publisher>,
    /// When to keep large configurations in memory as plugins have read them; `None`: never.
    pub freeze: Option<FreezeLimits>,
    /// What is demanded of the files that are loaded.
    pub custody: Custody,
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
    /// Where every component is kept that a plugin was made from.
    pub(crate) components: Option<PluginStore>,
}

pub(crate) struct Shared {
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<Call>,
    pub(crate) limits: HostLimits,
    pub(crate) compiler: Compiler,
    pub(crate) cache: Option<CodeCache>,
    pub(crate) trusted_publishers: Vec<Publisher>,
    pub(crate) freeze: Option<FreezeLimits>,
    pub(crate) custody: Custody,
    /// As many permits as the pool has slots: an exhausted pool is an error, an exhausted semaphore
    /// a queue.
    pub(crate) slots: Arc<Semaphore>,
    pub(crate) ticker: Ticker,
    /// Compiled components by digest, as long as somebody uses them.
    pub(crate) compiled: Mutex<HashMap<[u8; 32], Weak<Compiled>>>,
}

impl Host {
    /// Starts the engine with these limits and otherwise default options.
    pub fn new(limits: HostLimits) -> Result<Self, HostError> {
        Self::with(HostOptions {
            limits,
            ..HostOptions::default()
        })
    }

    /// Starts the engine. Call it within a tokio runtime or outside; plugins need one.
    pub fn with(options: HostOptions) -> Result<Self, HostError> {
        let HostOptions {
            limits,
            compiler,
            cache,
            trusted_publishers,
            freeze,
            custody,
        } = options;
        let error = |error: wasmtime::Error| HostError(format!("{error:#}"));
        let engine = engine::running(&limits).map_err(error)?;
        let linker = linker(&engine).map_err(error)?;
        let ticker = Ticker::start(&engine).map_err(|error| HostError(error.to_string()))?;
        let slots = Arc::new(Semaphore::new(limits.slots as usize));
        Ok(Self {
            shared: Arc::new(Shared {
                engine,
                linker,
                limits,
                compiler,
                cache,
                trusted_publishers,
                freeze,
                custody,
                slots,
                ticker,
                compiled: Mutex::default(),
            }),
            components: None,
        })
    }

    /// The same host, which keeps a copy of every component that it loads as a plugin in `store`,
    /// by digest.
    pub fn keeping(self, store: PluginStore) -> Self {
        Self {
            components: Some(store),
            ..self
        }
    }
}

impl Host {
    /// Removes machine code from the cache that was made for components not in `wanted`, by another
    /// version or for another machine; gives the names of the files. Nothing else in the cache's
    /// folder is touched. Waits for the disk.
    pub fn sweep_cache(&self, wanted: &BTreeSet<[u8; 32]>) -> io::Result<Vec<String>> {
        let cache = self.shared.cache.as_ref();
        cache.map_or(Ok(Vec::new()), |cache| {
            cache.sweep(&self.shared.engine, wanted)
        })
    }
}

/// The contract, and of WASI what language runtimes import unasked: clocks, randomness, standard
/// streams, an empty environment. No files, no sockets: there is nothing to link them to.
fn linker(engine: &Engine) -> wasmtime::Result<Linker<Call>> {
    let mut linker = Linker::new(engine);
    contract::add_to_linker(&mut linker)?;
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
