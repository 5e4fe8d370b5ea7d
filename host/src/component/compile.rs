//! Compilation of components. The bytes that were hashed are the bytes that are compiled: they are
//! read once, and size, digest and signature are checked before a compiler sees them.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use wasmtime::Engine;
use wasmtime::component::Component;

use crate::component::cache::CodeCache;
use crate::component::compiler::{CompileError, Compiler};

/// First bytes of a component in the current version of the binary format; a core module differs
/// in the last four.
const COMPONENT: [u8; 8] = *b"\0asm\x0d\0\x01\0";

/// A component, shared by all plugins with the same digest.
pub(crate) struct Compiled {
    pub(crate) digest: [u8; 32],
    pub(crate) component: Component,
}

/// Compiles components and remembers them: in memory as long as they are used, and as machine code
/// on disk if there is a cache.
pub(crate) struct ComponentCompiler {
    engine: Engine,
    /// Linear memory of one call, on which machine code depends.
    memory_bytes: usize,
    compiler: Compiler,
    cache: Option<CodeCache>,
    in_use: Mutex<HashMap<[u8; 32], Weak<Compiled>>>,
}

impl ComponentCompiler {
    pub(crate) fn new(
        engine: Engine,
        memory_bytes: usize,
        compiler: Compiler,
        cache: Option<CodeCache>,
    ) -> Self {
        Self {
            engine,
            memory_bytes,
            compiler,
            cache,
            in_use: Mutex::default(),
        }
    }

    /// Compiles `bytes`, whose SHA-256 is `digest`, or finds the component
    /// that is already compiled.
    pub(crate) async fn compile(
        &self,
        digest: [u8; 32],
        bytes: &Arc<[u8]>,
    ) -> Result<Arc<Compiled>, CompileError> {
        if let Some(found) = self.find_in_use(&digest) {
            return Ok(found);
        }
        foreign(bytes).map_or(Ok(()), |what| Err(CompileError::Invalid(what.into())))?;
        let component = match self.find_on_disk(digest).await {
            Some(component) => component,
            None => {
                let code = self.machine_code(bytes).await?;
                self.keep_on_disk(digest, &code).await;
                self.load_code(code).await?
            }
        };
        let compiled = Arc::new(Compiled { digest, component });
        self.keep_in_use(&compiled);
        Ok(compiled)
    }

    /// Compiles `bytes` for this process alone: nothing is looked up and nothing kept.
    pub(crate) async fn compile_once(&self, bytes: &Arc<[u8]>) -> Result<Component, CompileError> {
        let code = self.machine_code(bytes).await?;
        self.load_code(code).await
    }

    /// Removes machine code of components that are not in `wanted`. Waits for the disk.
    pub(crate) fn sweep(&self, wanted: &BTreeSet<[u8; 32]>) -> io::Result<Vec<String>> {
        let cache = self.cache.as_ref();
        cache.map_or(Ok(Vec::new()), |cache| cache.sweep(&self.engine, wanted))
    }

    async fn machine_code(&self, bytes: &Arc<[u8]>) -> Result<Vec<u8>, CompileError> {
        self.compiler
            .compile(&self.engine, self.memory_bytes, bytes.clone())
            .await
    }

    async fn load_code(&self, code: Vec<u8>) -> Result<Component, CompileError> {
        let engine = self.engine.clone();
        let fits_format = Engine::detect_precompiled(&code).is_some();
        blocking(move || load_own(&engine, &code))
            .await?
            .map_err(|error| unusable(fits_format, &format!("{error:#}")))
    }

    async fn find_on_disk(&self, digest: [u8; 32]) -> Option<Component> {
        let cache = self.cache.clone()?;
        let engine = self.engine.clone();
        blocking(move || load_own(&engine, &cache.find(&engine, &digest)?).ok())
            .await
            .ok()?
    }

    async fn keep_on_disk(&self, digest: [u8; 32], code: &[u8]) {
        let Some(cache) = self.cache.clone() else {
            return;
        };
        let engine = self.engine.clone();
        let code = code.to_vec();
        // Without the cache the next start compiles again; why it could not be written is in the
        // log.
        let _ = blocking(move || cache.keep(&engine, &digest, &code)).await;
    }

    fn find_in_use(&self, digest: &[u8; 32]) -> Option<Arc<Compiled>> {
        self.in_use().get(digest)?.upgrade()
    }

    fn keep_in_use(&self, compiled: &Arc<Compiled>) {
        let mut in_use = self.in_use();
        in_use.retain(|_, component| component.strong_count() > 0);
        in_use.insert(compiled.digest, Arc::downgrade(compiled));
    }

    fn in_use(&self) -> MutexGuard<'_, HashMap<[u8; 32], Weak<Compiled>>> {
        self.in_use.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Describes `bytes` if they do not begin like a component.
fn foreign(bytes: &[u8]) -> Option<&'static str> {
    let text = bytes.trim_ascii_start();
    match bytes {
        bytes if bytes.starts_with(&COMPONENT) => None,
        [0x7f, b'E', b'L', b'F', ..] => Some(
            "it is native code, e.g. a precompiled .cwasm, which is never run; give the .wasm it was made from",
        ),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => Some("it is a core module"),
        [0, b'a', b's', b'm', _, _, _, _, ..] => {
            Some("it is of another version of the binary format")
        }
        _ if COMPONENT.starts_with(bytes) => Some("it is cut off"),
        _ if text.starts_with(b"(") || text.starts_with(b";;") => {
            Some("it is the text format; assemble it first")
        }
        _ => Some("wrong first bytes"),
    }
}

/// Sound machine code that is not loaded wants more instances, memory or tables than there
/// are for a plugin.
fn unusable(fits_format: bool, error: &str) -> CompileError {
    if fits_format {
        CompileError::Invalid(format!("it does not fit the sandbox: {error}"))
    } else {
        CompileError::Crashed(error.into())
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, CompileError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|panic| CompileError::Crashed(panic.to_string()))
}

/// The only door for machine code.
fn load_own(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the code is what a compiler made that this node started, passed in a pipe or in
    // memory, or what such a compiler made earlier and the cache verified under the node's own key,
    // in this very buffer.
    unsafe { Component::deserialize(engine, code) }
}

/// Names of the interfaces that the component imports, e.g. `countersign:policy/http@0.1.0`.
pub(crate) fn imports(component: &Component) -> Vec<String> {
    let imports = component.component_type();
    imports
        .imports(component.engine())
        .map(|(name, _)| name.to_owned())
        .collect()
}
