//! From the operator's entry to a plugin that may run. The order is fixed: size, digest, compilation, imports against
//! grants, linking, `describe`, `check`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::call::{Broken, Context};
use crate::compile::{check_imports, compile};
use crate::contract::Prepared;
use crate::host::Host;
use crate::plugin::{self, Plugin};
use crate::{Code, Grants, Services};

/// Limit of `describe` and of `check`; the grants apply as well.
const PATIENCE: Duration = Duration::from_secs(10);

/// One plugin as the operator configured it.
#[derive(Clone, Debug)]
pub struct PluginSpec {
    /// The component's own name, e.g. `rules`; with several entries of one component, `rules:<label>`.
    pub name: String,
    /// The component.
    pub file: PathBuf,
    /// SHA-256 that the file must have. Without it any file of that name runs.
    pub digest: Option<[u8; 32]>,
    /// The plugin's configuration.
    pub config: serde_json::Value,
    /// What it may have.
    pub grants: Grants,
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
        source: std::io::Error,
    },
    /// The file is too large to be compiled.
    #[error("{file} has more than {limit} bytes; strip the component or raise the limit")]
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
    /// The file is something else.
    #[error("{file} is not a WebAssembly component: {reason}; build it for the target wasm32-wasip2")]
    NotAComponent {
        /// The file.
        file: PathBuf,
        /// Why.
        reason: String,
    },
    /// The component wants more than it may have.
    #[error(
        "the component imports {import}, which its grants do not cover; grant keys, http or state as it needs (files \
         and sockets cannot be granted)"
    )]
    NotGranted {
        /// The import.
        import: String,
    },
    /// The component was made for another contract.
    #[error("the component does not fit countersign:policy@0.1: {0}; rebuild it with a matching SDK")]
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
    #[error("the plugin refuses its configuration ({code}): {reason}; correct its `config`")]
    Check {
        /// What happened.
        code: Code,
        /// Details.
        reason: String,
    },
}

impl LoadError {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Missing { .. } => Code::Missing,
            Self::TooLarge { .. } => Code::TooLarge,
            Self::Digest { .. } => Code::Digest,
            Self::NotAComponent { .. } => Code::NotAComponent,
            Self::NotGranted { .. } => Code::NotGranted,
            Self::Incompatible(_) | Self::Version { .. } => Code::Incompatible,
            Self::Name { .. } => Code::Name,
            Self::Grants(_) => Code::Grants,
            Self::Describe { code, .. } | Self::Check { code, .. } => *code,
        }
    }
}

impl Host {
    /// Loads one plugin. Nothing of it runs before everything before `describe` is in order.
    pub async fn load(&self, spec: &PluginSpec, services: Arc<dyn Services>) -> Result<Plugin, LoadError> {
        self.check_grants(&spec.grants)?;
        let compiled = compile(self, &spec.file, spec.digest).await?;
        check_imports(self, &compiled.component, &spec.grants)?;
        let pre = Prepared::new(&self.shared.linker, &compiled.component)?;
        let context = Arc::new(context(spec, services));
        let info = plugin::describe(self, &pre, &context, Instant::now() + PATIENCE)
            .await
            .map_err(|Broken { code, reason }| LoadError::Describe { code, reason })?;
        check_name(&spec.name, &info.name)?;
        plugin::check(self, &pre, &context, Instant::now() + PATIENCE)
            .await
            .map_err(|Broken { code, reason }| LoadError::Check { code, reason })?;
        Ok(Plugin { host: self.clone(), compiled, pre, context, info })
    }

    fn check_grants(&self, grants: &Grants) -> Result<(), LoadError> {
        let most = self.shared.limits.memory_bytes;
        if grants.memory_bytes > most {
            return Err(LoadError::Grants(format!("memory_bytes exceeds the host's {most}")));
        }
        if grants.cpu_ms == 0 || grants.wall_ms == 0 || grants.memory_bytes == 0 {
            return Err(LoadError::Grants("cpu_ms, wall_ms and memory_bytes must not be 0".into()));
        }
        Ok(())
    }
}

fn context(spec: &PluginSpec, services: Arc<dyn Services>) -> Context {
    let document = match &spec.config {
        serde_json::Value::Null => "{}".into(),
        config => config.to_string(),
    };
    let revision = Sha256::digest(&document).into();
    Context { name: spec.name.clone(), document, revision, grants: spec.grants.clone(), services }
}

fn check_name(entry: &str, actual: &str) -> Result<(), LoadError> {
    let rest = entry.strip_prefix(actual);
    if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':')) {
        return Ok(());
    }
    Err(LoadError::Name { actual: actual.into() })
}
