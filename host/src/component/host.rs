//! The engine that all plugins share: its settings, and the parts that load and run components.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use countersign_files::Custody;

use crate::capability::table;
use crate::component::cache::CodeCache;
use crate::component::compile::ComponentCompiler;
use crate::component::compiler::Compiler;
use crate::component::pre_init::{PreInitLimits, PreInitialiser};
use crate::component::signature::Publisher;
use crate::component::store::PluginStore;
use crate::component::version;
use crate::sandbox::call::Sandbox;
use crate::sandbox::engine::{self, HostLimits};

/// Options of a host. The default is for tests and tools: no child process, nothing on disk,
/// components of any publisher.
#[derive(Debug, Default)]
pub struct HostOptions {
    /// Limits for all plugins together.
    pub limits: HostLimits,
    /// The compiler of components.
    pub compiler: Compiler,
    /// Machine code that is kept between starts.
    pub cache: Option<CodeCache>,
    /// If not empty, only components signed by one of these publishers are loaded.
    pub trusted_publishers: Vec<Publisher>,
    /// Limits for keeping large configurations in memory as plugins have read them;
    /// `None` turns that off.
    pub pre_init: Option<PreInitLimits>,
    /// Requirements on the files that are loaded.
    pub custody: Custody,
}

/// The engine did not start.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot start the plugin engine: {0}; check the machine's memory limits (ulimit -v, vm.overcommit_memory)"
)]
pub struct HostError(String);

/// Runs plugins. Cheap to clone; all clones share one engine.
#[derive(Clone)]
pub struct Host {
    pub(crate) shared: Arc<Shared>,
    /// Keeps every component that a plugin was made from.
    pub(crate) components: Option<PluginStore>,
}

pub(crate) struct Shared {
    pub(crate) sandbox: Arc<Sandbox>,
    pub(crate) compiler: Arc<ComponentCompiler>,
    pub(crate) pre_initialiser: PreInitialiser,
    pub(crate) limits: HostLimits,
    pub(crate) trusted_publishers: Vec<Publisher>,
    pub(crate) custody: Custody,
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
            pre_init,
            custody,
        } = options;
        let error = |error: wasmtime::Error| HostError(format!("{error:#}"));
        let engine = engine::running(&limits).map_err(error)?;
        let mut linker = table::linker(&engine).map_err(error)?;
        version::add_later_versions(&mut linker).map_err(error)?;
        let compiler = ComponentCompiler::new(engine.clone(), limits.memory_bytes, compiler, cache);
        let compiler = Arc::new(compiler);
        let sandbox = Sandbox::new(engine, linker, limits.slots);
        let sandbox = Arc::new(sandbox.map_err(|error| HostError(error.to_string()))?);
        let pre_initialiser = PreInitialiser {
            sandbox: sandbox.clone(),
            compiler: compiler.clone(),
            limits: pre_init,
        };
        Ok(Self {
            shared: Arc::new(Shared {
                sandbox,
                compiler,
                pre_initialiser,
                limits,
                trusted_publishers,
                custody,
            }),
            components: None,
        })
    }

    /// The same host, which keeps a copy of every component that it loads as a plugin
    /// in `store`, by digest.
    pub fn keeping(self, store: PluginStore) -> Self {
        Self {
            components: Some(store),
            ..self
        }
    }

    /// Removes machine code from the cache that was made for components not in `wanted`, by another
    /// version or for another machine; gives the names of the files. Nothing else in the cache's
    /// folder is touched. Waits for the disk.
    pub fn sweep_cache(&self, wanted: &BTreeSet<[u8; 32]>) -> io::Result<Vec<String>> {
        self.shared.compiler.sweep(wanted)
    }
}
