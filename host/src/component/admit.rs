//! Everything that is checked of a component's file before any of it runs: size, custody, digest,
//! signature, compilation, imports against grants.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_files::CustodyError;
use wasmtime::component::Component;

use crate::capability::http_client::{HttpClient, HttpClientError, HttpOptions};
use crate::capability::key_ring::KeyRing;
use crate::capability::local::LocalServices;
use crate::capability::table;
use crate::component::ask::{self, Info};
use crate::component::compile::{Compiled, imports};
use crate::component::compiler::CompileError;
use crate::component::error::{LoadError, unsigned};
use crate::component::host::Host;
use crate::component::receiver;
use crate::component::signature::{PluginSignature, SignatureError};
use crate::component::spec::PluginSpec;
use crate::component::version::{Prepared, is_receiver};
use crate::contract::code::Code;
use crate::contract::digest::sha256;
use crate::contract::grants::Grants;
use crate::contract::role::Role;
use crate::sandbox::context::Context;

/// Limit of `describe` and of `check`; the grants apply as well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// Size of a `.sig` file.
const SIGNATURE_FILE: u64 = 4 << 10;

/// The description and imports of a component, read without any configuration.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// SHA-256 of the file.
    pub digest: [u8; 32],
    /// Its own description, cut and escaped.
    pub info: Info,
    /// The interfaces that it imports, e.g. `countersign:policy/http@0.1.0`.
    pub imports: Vec<String>,
    /// The trusted publisher that signed it; `None` if nobody is trusted by name.
    pub publisher: Option<String>,
}

/// A file that passed everything that can be checked without running it.
struct Admitted {
    compiled: Arc<Compiled>,
    publisher: Option<String>,
}

impl Host {
    /// Every check before the component runs, for plugins and receivers alike. Also returns the
    /// bytes that it was made from.
    pub(crate) async fn compiled(
        &self,
        spec: &PluginSpec,
    ) -> Result<(Arc<Compiled>, Arc<[u8]>), LoadError> {
        let (compiled, bytes) = self.admitted(spec).await?;
        check_imports(&compiled.component, |import| {
            table::is_granted(import, &spec.grants)
        })?;
        Ok((compiled, bytes))
    }

    /// The same without a check of its imports: a replay answers nothing that was not
    /// granted at the time.
    pub(crate) async fn admitted(
        &self,
        spec: &PluginSpec,
    ) -> Result<(Arc<Compiled>, Arc<[u8]>), LoadError> {
        self.check_grants(&spec.grants)?;
        let bytes = self.read(&spec.file).await?;
        let plugin = spec.name.split(':').next().unwrap_or_default();
        let Admitted { compiled, .. } = self
            .admit(&spec.file, &bytes, spec.digest, Some(plugin))
            .await?;
        Ok((compiled, bytes))
    }

    /// Does for `file` everything that [`load`](Host::load) does without a configuration.
    pub async fn inspect(&self, file: &Path) -> Result<Inspection, LoadError> {
        let bytes = self.read(file).await?;
        self.inspect_bytes(file, &bytes).await
    }

    /// The same for bytes that were read from `file`.
    pub(crate) async fn inspect_bytes(
        &self,
        file: &Path,
        bytes: &Arc<[u8]>,
    ) -> Result<Inspection, LoadError> {
        let Admitted {
            compiled,
            publisher,
        } = self.admit(file, bytes, None, None).await?;
        check_imports(&compiled.component, table::is_known)?;
        let sandbox = &self.shared.sandbox;
        let component = &compiled.component;
        let context = Arc::new(unconfigured(file)?);
        let deadline = Instant::now() + PATIENCE;
        let described = if is_receiver(&sandbox.engine, component) {
            let linked = receiver::link(sandbox, component)?;
            receiver::describe(sandbox, &linked, &context, deadline).await
        } else {
            let prepared = Prepared::new(&sandbox.linker, component)?;
            ask::describe(sandbox, &prepared, &context, deadline).await
        };
        let info = described.map_err(LoadError::describe)?;
        if publisher.is_some() {
            let signature = self.read_signature(file).await?;
            let other = (signature.plugin() != info.name).then(|| signature.plugin().to_owned());
            other.map_or(Ok(()), |name| {
                Err(unsigned(file)(SignatureError::Name(name)))
            })?;
        }
        Ok(Inspection {
            digest: compiled.digest,
            info,
            imports: imports(&compiled.component),
            publisher,
        })
    }

    /// Reads the file once: the bytes that are hashed are those that are compiled.
    pub(crate) async fn read(&self, file: &Path) -> Result<Arc<[u8]>, LoadError> {
        let limit = self.shared.limits.component_bytes;
        let read = self.read_in_custody(file.to_owned(), limit).await;
        read.map(Arc::from).map_err(|error| match error {
            CustodyError::Io(source) if source.kind() == io::ErrorKind::FileTooLarge => {
                LoadError::TooLarge {
                    file: file.into(),
                    limit,
                }
            }
            CustodyError::Io(source) => LoadError::Missing {
                file: file.into(),
                source,
            },
            unsafe_place => LoadError::Custody(unsafe_place),
        })
    }

    async fn read_in_custody(&self, file: PathBuf, limit: u64) -> Result<Vec<u8>, CustodyError> {
        let custody = self.shared.custody;
        let read = tokio::task::spawn_blocking(move || custody.read(&file, limit));
        read.await
            .unwrap_or_else(|panic| Err(io::Error::other(panic).into()))
    }

    async fn read_signature(&self, file: &Path) -> Result<PluginSignature, LoadError> {
        let bytes = match self
            .read_in_custody(signature_file(file), SIGNATURE_FILE)
            .await
        {
            Ok(bytes) => Ok(bytes),
            Err(CustodyError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                Err(SignatureError::Missing)
            }
            Err(CustodyError::Io(error)) => Err(SignatureError::Malformed(error.to_string())),
            Err(unsafe_place) => return Err(LoadError::Custody(unsafe_place)),
        };
        bytes
            .and_then(|bytes| PluginSignature::from_json(&bytes))
            .map_err(unsigned(file))
    }

    async fn admit(
        &self,
        file: &Path,
        bytes: &Arc<[u8]>,
        pin: Option<[u8; 32]>,
        plugin: Option<&str>,
    ) -> Result<Admitted, LoadError> {
        let digest = sha256(bytes);
        if pin.is_some_and(|pin| pin != digest) {
            return Err(LoadError::Digest {
                file: file.into(),
                actual: hex::encode(digest),
            });
        }
        let publisher = self.check_signature(file, &digest, plugin).await?;
        let compiled = self
            .shared
            .compiler
            .compile(digest, bytes)
            .await
            .map_err(|source| match source {
                CompileError::Invalid(reason) => LoadError::NotAComponent {
                    file: file.into(),
                    reason,
                },
                source => LoadError::Compile {
                    file: file.into(),
                    source,
                },
            })?;
        Ok(Admitted {
            compiled,
            publisher,
        })
    }

    /// Name of the publisher; `None` if nobody is trusted by name. `plugin` is the name that must
    /// be signed; without it any will do.
    async fn check_signature(
        &self,
        file: &Path,
        digest: &[u8; 32],
        plugin: Option<&str>,
    ) -> Result<Option<String>, LoadError> {
        let publishers = &self.shared.trusted_publishers;
        if publishers.is_empty() {
            return Ok(None);
        }
        let signature = self.read_signature(file).await?;
        let plugin = plugin.unwrap_or_else(|| signature.plugin());
        let publisher = signature
            .verify(plugin, digest, publishers)
            .map_err(unsigned(file))?;
        Ok(Some(publisher.name().to_owned()))
    }

    fn check_grants(&self, grants: &Grants) -> Result<(), LoadError> {
        let most = self.shared.limits.memory_bytes;
        if grants.memory_bytes > most {
            return Err(LoadError::Grants(format!(
                "memory_bytes exceeds the host's {most}"
            )));
        }
        if grants.cpu_ms == 0 || grants.wall_ms == 0 || grants.memory_bytes == 0 {
            return Err(LoadError::Grants(
                "cpu_ms, wall_ms and memory_bytes must not be 0".into(),
            ));
        }
        Ok(())
    }
}

/// Refuses the component if one of its imports is not `allowed`.
fn check_imports(component: &Component, allowed: impl Fn(&str) -> bool) -> Result<(), LoadError> {
    match imports(component)
        .into_iter()
        .find(|import| !allowed(import))
    {
        Some(import) => Err(LoadError::NotGranted { import }),
        None => Ok(()),
    }
}

/// The context of a component without a configuration: it has no grants and reaches nothing.
fn unconfigured(file: &Path) -> Result<Context, LoadError> {
    let failed = |error: HttpClientError| LoadError::Describe {
        code: Code::Internal,
        reason: error.to_string(),
    };
    let http = HttpClient::new(&HttpOptions::default()).map_err(failed)?;
    let spec = PluginSpec {
        name: String::new(),
        file: file.into(),
        digest: None,
        config: serde_json::Value::Null,
        grants: Grants::default(),
        role: Role::default(),
        written: None,
    };
    Ok(spec.context(
        spec.document(),
        Arc::new(LocalServices::new(KeyRing::default(), http)),
    ))
}

/// The path `<file>.sig`, where the signature of `file` lies.
pub(crate) fn signature_file(file: &Path) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(".sig");
    name.into()
}
