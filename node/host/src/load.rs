//! From the operator's entry to a plugin that may run. The order is fixed: size, digest, signature,
//! compilation, imports against grants, linking, `describe`, `check`.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::call::{Broken, Context};
use crate::compile::{Compiled, check_imports, compile, imports, sha256};
use crate::compiler::CompileError;
use crate::contract::{Prepared, is_receiver};
use crate::freeze::freeze;
use crate::host::Host;
use crate::interface::Need;
use crate::plugin::{self, Info, Plugin};
use crate::signature::{PluginSignature, SignatureError};
use crate::{
    Anchor, Code, CustodyError, Grants, HttpClient, HttpOptions, KeyRing, LocalServices, Role,
    Services, Shadow,
};

/// Limit of `describe` and of `check`; the grants apply as well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of a configuration document. It is kept with the decisions that are made under it.
const DOCUMENT: usize = 4 << 20;
/// Size of a `.sig` file.
const SIGNATURE_FILE: u64 = 4 << 10;

/// One plugin as the operator configured it.
#[derive(Clone, Debug)]
pub struct PluginSpec {
    /// The component's own name, e.g. `rules`; with several entries of one component,
    /// `rules:<label>`.
    pub name: String,
    /// The component. Links are followed: what counts is the digest of what is behind them.
    pub file: PathBuf,
    /// SHA-256 that the file must have. Without it any file of that name runs.
    pub digest: Option<[u8; 32]>,
    /// The plugin's configuration.
    pub config: serde_json::Value,
    /// What it may have.
    pub grants: Grants,
    /// What it has a say in.
    pub role: Role,
    /// Where its configuration was written, for messages. Nothing depends on it.
    pub written: Option<Arc<dyn Written>>,
}

/// A document that people wrote, in which the place of a value can be found.
pub trait Written: fmt::Debug + Send + Sync + 'static {
    /// File and line of `path`, such as `limits[2].amount`, or of what is nearest to it; for
    /// people.
    fn place(&self, path: &str) -> String;
}

/// Why a plugin was not loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read {file}: {source}; install the plugin or correct its path")]
    Missing {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody else could have written the file.
    #[error(transparent)]
    Custody(CustodyError),
    /// The file is too large to be compiled.
    #[error(
        "{file} has more than {limit} bytes; strip the component, or raise policy.compile.component_bytes"
    )]
    TooLarge {
        /// The file.
        file: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// The file is not the pinned one.
    #[error(
        "{file} has SHA-256 {actual}, which is not the pinned digest; if you replaced the plugin on purpose, pin the \
         new digest"
    )]
    Digest {
        /// The file.
        file: PathBuf,
        /// SHA-256 of the file, hex.
        actual: String,
    },
    /// The configuration is too large.
    #[error("the plugin's configuration has more than {limit} bytes as JSON; shorten it")]
    Document {
        /// The limit in bytes.
        limit: usize,
    },
    /// The file is something else.
    #[error(
        "{file} is not a WebAssembly component: {reason}; build it for the target wasm32-wasip2"
    )]
    NotAComponent {
        /// The file.
        file: PathBuf,
        /// Why.
        reason: String,
    },
    /// The component is not a trusted publisher's.
    #[error("{file} is not accepted: {source}")]
    Signature {
        /// The file.
        file: PathBuf,
        /// Why.
        source: SignatureError,
    },
    /// The component was not compiled.
    #[error("{file} was not compiled: {source}; {}", source.advice())]
    Compile {
        /// The file.
        file: PathBuf,
        /// Why.
        source: CompileError,
    },
    /// The component wants more than it may have.
    #[error(
        "the component imports {import}, which its grants do not cover; {}",
        grant_for(import)
    )]
    NotGranted {
        /// The import.
        import: String,
    },
    /// The component was made for another contract.
    #[error(
        "the component does not fit countersign:policy@0.1: {0}; rebuild it with a matching SDK"
    )]
    Incompatible(String),
    /// The component was made for a version of the contract that is not served.
    #[error(
        "the component was built for countersign:policy@{version}, and this node serves {served}; rebuild it with a \
         matching SDK, or update the node"
    )]
    Version {
        /// Its version.
        version: String,
        /// What is served.
        served: &'static str,
    },
    /// The component has another name.
    #[error(
        "the component calls itself `{actual}`; name the entry `{actual}` or `{actual}:<label>`, or fix the file"
    )]
    Name {
        /// Its own name.
        actual: String,
    },
    /// The grants exceed what the host gives.
    #[error("the grants are not possible: {0}; correct them")]
    Grants(String),
    /// `describe` gave no answer.
    #[error("the component cannot describe itself ({code}): {reason}; do not use it")]
    Describe {
        /// What happened.
        code: Code,
        /// Details.
        reason: String,
    },
    /// `check` refused the configuration or gave no answer.
    #[error("the plugin refuses its configuration ({code}): {reason}; correct {place}")]
    Check {
        /// What happened.
        code: Code,
        /// Details.
        reason: String,
        /// Where the mistake was written.
        place: String,
    },
}

impl LoadError {
    pub(crate) fn check(spec: &PluginSpec, code: Code, reason: String) -> Self {
        let written = spec.written.as_ref();
        let place = written.map_or_else(
            || "its `config`".into(),
            |written| written.place(path_of(&reason)),
        );
        Self::Check {
            code,
            reason,
            place,
        }
    }

    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Missing { .. } => Code::Missing,
            Self::Custody(_) => Code::Custody,
            Self::TooLarge { .. } => Code::TooLarge,
            Self::Digest { .. } => Code::Digest,
            Self::Document { .. } => Code::Config,
            Self::NotAComponent { .. } => Code::NotAComponent,
            Self::Signature { .. } => Code::Signature,
            Self::Compile { .. } => Code::Compile,
            Self::NotGranted { .. } => Code::NotGranted,
            Self::Incompatible(_) | Self::Version { .. } => Code::Incompatible,
            Self::Name { .. } => Code::Name,
            Self::Grants(_) => Code::Grants,
            Self::Describe { code, .. } | Self::Check { code, .. } => *code,
        }
    }
}

/// What a component says of itself and wants, before anybody configured it.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// SHA-256 of the file.
    pub digest: [u8; 32],
    /// How it describes itself.
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
    /// Loads one plugin. Nothing of it runs before everything before `describe` is in order.
    pub async fn load(
        &self,
        spec: &PluginSpec,
        services: Arc<dyn Services>,
    ) -> Result<Plugin, LoadError> {
        let document = spec.document();
        if document.len() > DOCUMENT {
            return Err(LoadError::Document { limit: DOCUMENT });
        }
        let (compiled, bytes) = self.compiled(spec).await?;
        let mut plugin = self.prepare(spec, document, compiled, services).await?;
        let checked = plugin.check(Instant::now() + PATIENCE).await;
        checked.map_err(|(code, reason)| LoadError::check(spec, code, reason))?;
        if let Some(frozen) =
            freeze(self, &bytes, &plugin.compiled.component, &plugin.context).await
        {
            (plugin.pre, plugin.frozen) = (frozen.prepared, Some(frozen.seed));
        }
        self.keep(&spec.file, plugin.digest(), bytes).await;
        Ok(plugin)
    }

    /// The plugin before its first question but `describe`.
    pub(crate) async fn prepare(
        &self,
        spec: &PluginSpec,
        document: Arc<str>,
        compiled: Arc<Compiled>,
        services: Arc<dyn Services>,
    ) -> Result<Plugin, LoadError> {
        let pre = Prepared::new(&self.shared.linker, &compiled.component)?;
        let context = Arc::new(context(spec, document, services));
        let info = self.describe(&pre, &context).await?;
        check_name(&spec.name, &info.name)?;
        Ok(Plugin {
            host: self.clone(),
            compiled,
            pre,
            frozen: None,
            context,
            info,
        })
    }

    /// Puts the component beside those that were installed, so that what it decides can be replayed
    /// when its file has changed. Without that it works all the same.
    async fn keep(&self, file: &Path, digest: [u8; 32], bytes: Arc<[u8]>) {
        let Some(store) = self.components.clone() else {
            return;
        };
        let folder = store.folder().to_owned();
        let kept = tokio::task::spawn_blocking(move || store.keep(&digest, &bytes)).await;
        if let Err(error) = kept.unwrap_or_else(|panic| Err(io::Error::other(panic))) {
            let file = file.display();
            let folder = folder.display();
            tracing::warn!(%file, %folder, %error, "the component is not kept: once its file has changed, what it decided cannot be replayed");
        }
    }

    /// Everything before the component runs, for plugins and receivers alike; and the bytes that it
    /// was made from.
    pub(crate) async fn compiled(
        &self,
        spec: &PluginSpec,
    ) -> Result<(Arc<Compiled>, Arc<[u8]>), LoadError> {
        let (compiled, bytes) = self.admitted(spec).await?;
        check_imports(self, &compiled.component, |need| {
            need.is_granted(&spec.grants)
        })?;
        Ok((compiled, bytes))
    }

    /// The same without a look at what it imports: in a replay nothing answers that was not granted
    /// then.
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
        check_imports(self, &compiled.component, |need| need != Need::Impossible)?;
        let stranger = Arc::new(stranger(file)?);
        let info = if is_receiver(&self.shared.engine, &compiled.component) {
            self.describe_receiver(&self.link_receiver(&compiled.component)?, &stranger)
                .await?
        } else {
            self.describe(
                &Prepared::new(&self.shared.linker, &compiled.component)?,
                &stranger,
            )
            .await?
        };
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
            imports: imports(self, &compiled.component),
            publisher,
        })
    }

    /// Reads once; what is hashed is what is compiled.
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

    /// Digest, signature, compilation.
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
        let compiled = compile(self, digest, bytes)
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

    async fn describe(&self, pre: &Prepared, context: &Arc<Context>) -> Result<Info, LoadError> {
        plugin::describe(self, pre, context, Instant::now() + PATIENCE)
            .await
            .map_err(|Broken { code, reason }| LoadError::Describe { code, reason })
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

impl PluginSpec {
    /// The configuration as the plugin sees it.
    pub(crate) fn document(&self) -> Arc<str> {
        match &self.config {
            serde_json::Value::Null => "{}".into(),
            config => config.to_string().into(),
        }
    }
}

pub(crate) fn context(
    spec: &PluginSpec,
    document: Arc<str>,
    services: Arc<dyn Services>,
) -> Context {
    let revision = sha256(document.as_bytes());
    let shadowed = spec.role.shadow.as_ref().and_then(Shadow::entry);
    let memory_of = shadowed.unwrap_or(&spec.name).to_owned();
    let anchors = anchors(&spec.grants, &*services).into();
    let name = spec.name.clone();
    let grants = spec.grants.clone();
    Context {
        name,
        document,
        revision,
        grants,
        anchors,
        services,
        memory_of,
    }
}

/// Everything that is granted from outside, by kind and name.
fn anchors(grants: &Grants, services: &dyn Services) -> Vec<Anchor> {
    let keys = grants
        .keys
        .iter()
        .filter_map(|key| services.anchor(&key.name));
    let authorities = if grants.http.is_empty() {
        None
    } else {
        services.authorities()
    };
    let mut anchors: Vec<_> = keys.chain(authorities).collect();
    anchors.sort();
    anchors.dedup();
    anchors
}

/// For a component that nobody configured: it has nothing and reaches nobody.
fn stranger(file: &Path) -> Result<Context, LoadError> {
    let failed = |error: crate::HttpClientError| LoadError::Describe {
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
    Ok(context(
        &spec,
        spec.document(),
        Arc::new(LocalServices::new(KeyRing::default(), http)),
    ))
}

/// `<file>.sig`.
pub(crate) fn signature_file(file: &Path) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(".sig");
    name.into()
}

/// Which grant an import needs, in the words of the configuration.
fn grant_for(import: &str) -> &'static str {
    let named = |interface: &str| {
        import.contains(&format!("/{interface}@")) || import.ends_with(&format!("/{interface}"))
    };
    match import {
        _ if !import.starts_with("countersign:policy/") => {
            "nothing grants that: files, sockets and the like cannot be had"
        }
        _ if named("http") => {
            "list the URL prefixes that it may ask under grants.http (`--http URL` on the command line)"
        }
        _ if named("keys") => "list the keys that it may use under grants.keys",
        _ if named("state") => "say how many bytes it may remember in grants.state_bytes",
        _ => "update the node if it is of a later version",
    }
}

/// The path with which a reader's message begins: `limits[2].amount: invalid type …`.
fn path_of(reason: &str) -> &str {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.[]".contains(c);
    match reason.split_once(": ") {
        Some((path, _)) if path.chars().all(plain) => path,
        _ => "",
    }
}

fn unsigned(file: &Path) -> impl Fn(SignatureError) -> LoadError {
    let file = file.to_owned();
    move |source| LoadError::Signature {
        file: file.clone(),
        source,
    }
}

pub(crate) fn check_name(entry: &str, actual: &str) -> Result<(), LoadError> {
    let rest = entry.strip_prefix(actual);
    if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':')) {
        return Ok(());
    }
    Err(LoadError::Name {
        actual: actual.into(),
    })
}
