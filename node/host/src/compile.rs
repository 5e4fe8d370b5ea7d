//! From a file to a compiled component. Size and digest are checked first: compilation cannot be interrupted, and a
//! hostile file of some hundred kilobytes can cost seconds.

use std::path::Path;
use std::sync::{Arc, PoisonError};

use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;
use wasmtime::component::Component;

use crate::Grants;
use crate::host::Host;
use crate::load::LoadError;

/// First bytes of a component of the binary format's present version; a core module differs in the last four.
const COMPONENT: [u8; 8] = *b"\0asm\x0d\0\x01\0";

/// A component, shared by all plugins with the same digest.
pub(crate) struct Compiled {
    pub(crate) digest: [u8; 32],
    pub(crate) component: Component,
}

/// Reads, checks and compiles `file`, or finds the component that is already compiled.
pub(crate) async fn compile(
    host: &Host,
    file: &Path,
    pin: Option<[u8; 32]>,
) -> Result<Arc<Compiled>, LoadError> {
    let bytes = read(file, host.shared.limits.component_bytes).await?;
    let digest: [u8; 32] = Sha256::digest(&bytes).into();
    if pin.is_some_and(|pin| pin != digest) {
        return Err(LoadError::Digest { file: file.into(), actual: hex::encode(digest) });
    }
    if let Some(found) = cached(host, &digest) {
        return Ok(found);
    }
    if !bytes.starts_with(&COMPONENT) {
        return Err(LoadError::NotAComponent { file: file.into(), reason: "wrong first bytes".into() });
    }
    let engine = host.shared.engine.clone();
    let component = tokio::task::spawn_blocking(move || Component::from_binary(&engine, &bytes))
        .await
        .map_err(|error| error.to_string())
        .and_then(|compiled| compiled.map_err(|error| format!("{error:#}")))
        .map_err(|reason| LoadError::NotAComponent { file: file.into(), reason })?;
    let compiled = Arc::new(Compiled { digest, component });
    remember(host, &compiled);
    Ok(compiled)
}

/// Reads the file once; what is hashed is what is compiled.
async fn read(file: &Path, limit: u64) -> Result<Vec<u8>, LoadError> {
    let missing = |source| LoadError::Missing { file: file.into(), source };
    let open = tokio::fs::File::open(file).await.map_err(missing)?;
    let mut bytes = Vec::new();
    open.take(limit + 1).read_to_end(&mut bytes).await.map_err(missing)?;
    if bytes.len() as u64 > limit {
        return Err(LoadError::TooLarge { file: file.into(), limit });
    }
    Ok(bytes)
}

fn cached(host: &Host, digest: &[u8; 32]) -> Option<Arc<Compiled>> {
    let known = host.shared.compiled.lock().unwrap_or_else(PoisonError::into_inner);
    known.get(digest)?.upgrade()
}

fn remember(host: &Host, compiled: &Arc<Compiled>) {
    let mut known = host.shared.compiled.lock().unwrap_or_else(PoisonError::into_inner);
    known.retain(|_, component| component.strong_count() > 0);
    known.insert(compiled.digest, Arc::downgrade(compiled));
}

/// Compares what the component imports with what it is granted.
pub(crate) fn check_imports(host: &Host, component: &Component, grants: &Grants) -> Result<(), LoadError> {
    let granted = |import: &str| match import.split('@').next().unwrap_or_default() {
        "countersign:policy/keys" => !grants.keys.is_empty(),
        "countersign:policy/http" => !grants.http.is_empty(),
        "countersign:policy/state" => grants.state_bytes > 0,
        name => {
            let always = ["countersign:policy/", "wasi:cli/", "wasi:clocks/", "wasi:io/", "wasi:random/"];
            always.iter().any(|prefix| name.starts_with(prefix))
        }
    };
    let imports = component.component_type();
    let mut imports = imports.imports(&host.shared.engine).map(|(name, _)| name);
    match imports.find(|import| !granted(import)) {
        Some(import) => Err(LoadError::NotGranted { import: import.into() }),
        None => Ok(()),
    }
}
