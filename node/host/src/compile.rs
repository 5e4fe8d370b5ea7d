//! From bytes to a compiled component. What was hashed is what is compiled: the bytes are read
//! once, and size, digest and signature are checked before a compiler sees them.

use std::sync::{Arc, PoisonError};

use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::compiler::CompileError;
use crate::host::Host;
use crate::interface::Need;
use crate::load::LoadError;

/// First bytes of a component of the binary format's present version; a core module differs in the
/// last four.
const COMPONENT: [u8; 8] = *b"\0asm\x0d\0\x01\0";

/// A component, shared by all plugins with the same digest.
pub(crate) struct Compiled {
    pub(crate) digest: [u8; 32],
    pub(crate) component: Component,
}

/// Compiles `bytes`, whose SHA-256 is `digest`, or finds the component that is already compiled.
pub(crate) async fn compile(
    host: &Host,
    digest: [u8; 32],
    bytes: &Arc<[u8]>,
) -> Result<Arc<Compiled>, CompileError> {
    if let Some(found) = in_use(host, &digest) {
        return Ok(found);
    }
    foreign(bytes).map_or(Ok(()), |what| Err(CompileError::Invalid(what.into())))?;
    let component = match cached(host, digest).await {
        Some(component) => component,
        None => {
            let code = machine_code(host, bytes).await?;
            keep(host, digest, &code).await;
            load_code(host, code).await?
        }
    };
    let compiled = Arc::new(Compiled { digest, component });
    remember(host, &compiled);
    Ok(compiled)
}

/// Compiles `bytes` for this process alone: nothing is looked up and nothing kept.
pub(crate) async fn compile_once(
    host: &Host,
    bytes: &Arc<[u8]>,
) -> Result<Component, CompileError> {
    let code = machine_code(host, bytes).await?;
    load_code(host, code).await
}

/// Says what `bytes` are, if their beginning shows that they are no component.
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

async fn machine_code(host: &Host, bytes: &Arc<[u8]>) -> Result<Vec<u8>, CompileError> {
    let shared = &host.shared;
    shared
        .compiler
        .compile(&shared.engine, shared.limits.memory_bytes, bytes.clone())
        .await
}

async fn load_code(host: &Host, code: Vec<u8>) -> Result<Component, CompileError> {
    let engine = host.shared.engine.clone();
    let fits_format = Engine::detect_precompiled(&code).is_some();
    blocking(move || load_own(&engine, &code))
        .await?
        .map_err(|error| unusable(fits_format, &format!("{error:#}")))
}

/// Sound machine code that is not loaded wants more instances, memory or tables than there are for
/// a plugin.
fn unusable(fits_format: bool, error: &str) -> CompileError {
    if fits_format {
        CompileError::Invalid(format!("it does not fit the sandbox: {error}"))
    } else {
        CompileError::Crashed(error.into())
    }
}

async fn cached(host: &Host, digest: [u8; 32]) -> Option<Component> {
    let cache = host.shared.cache.clone()?;
    let engine = host.shared.engine.clone();
    blocking(move || load_own(&engine, &cache.find(&engine, &digest)?).ok())
        .await
        .ok()?
}

async fn keep(host: &Host, digest: [u8; 32], code: &[u8]) {
    let Some(cache) = host.shared.cache.clone() else {
        return;
    };
    let engine = host.shared.engine.clone();
    let code = code.to_vec();
    // Without the cache the next start compiles again; why it could not be written is in the log.
    let _ = blocking(move || cache.keep(&engine, &digest, &code)).await;
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

fn in_use(host: &Host, digest: &[u8; 32]) -> Option<Arc<Compiled>> {
    let known = host
        .shared
        .compiled
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    known.get(digest)?.upgrade()
}

fn remember(host: &Host, compiled: &Arc<Compiled>) {
    let mut known = host
        .shared
        .compiled
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    known.retain(|_, component| component.strong_count() > 0);
    known.insert(compiled.digest, Arc::downgrade(compiled));
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Refuses the component if it imports what `allowed` does not let pass.
pub(crate) fn check_imports(
    host: &Host,
    component: &Component,
    allowed: impl Fn(Need) -> bool,
) -> Result<(), LoadError> {
    match imports(host, component)
        .into_iter()
        .find(|import| !allowed(Need::of(import)))
    {
        Some(import) => Err(LoadError::NotGranted { import }),
        None => Ok(()),
    }
}

/// Names of the interfaces that the component imports, e.g. `countersign:policy/http@0.1.0`.
pub(crate) fn imports(host: &Host, component: &Component) -> Vec<String> {
    let imports = component.component_type();
    imports
        .imports(&host.shared.engine)
        .map(|(name, _)| name.to_owned())
        .collect()
}
