//! The reasons for which a component is not loaded.

use std::io;
use std::path::{Path, PathBuf};

use countersign_files::CustodyError;

use crate::capability::table;
use crate::component::compiler::CompileError;
use crate::component::signature::SignatureError;
use crate::component::spec::PluginSpec;
use crate::contract::code::Code;
use crate::sandbox::stop::CallFailure;

/// The reason for which a plugin was not loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are named for what they hold")]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read {file}: {source}; install the plugin or correct its path")]
    Missing { file: PathBuf, source: io::Error },
    /// Another user could have written the file.
    #[error(transparent)]
    Custody(CustodyError),
    /// The file is too large to be compiled.
    #[error(
        "{file} has more than {limit} bytes; strip the component, or raise policy.compile.component_bytes"
    )]
    TooLarge { file: PathBuf, limit: u64 },
    /// The file is not the pinned one.
    #[error(
        "{file} has SHA-256 {actual}, which is not the pinned digest; if you replaced the plugin on purpose, pin the \
         new digest"
    )]
    Digest { file: PathBuf, actual: String },
    /// The configuration is too large.
    #[error("the plugin's configuration has more than {limit} bytes as JSON; shorten it")]
    Document { limit: usize },
    /// The file is something else.
    #[error(
        "{file} is not a WebAssembly component: {reason}; build it for the target wasm32-wasip2"
    )]
    NotAComponent { file: PathBuf, reason: String },
    /// The component is not a trusted publisher's.
    #[error("{file} is not accepted: {source}")]
    Signature {
        file: PathBuf,
        source: SignatureError,
    },
    /// The component was not compiled.
    #[error("{file} was not compiled: {source}; {}", source.advice())]
    Compile { file: PathBuf, source: CompileError },
    /// The component wants more than it may have.
    #[error(
        "the component imports {import}, which its grants do not cover; {}",
        advice(import)
    )]
    NotGranted { import: String },
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
        version: String,
        served: &'static str,
    },
    /// The component has another name.
    #[error(
        "the component calls itself `{actual}`; name the entry `{actual}` or `{actual}:<label>`, or fix the file"
    )]
    Name { actual: String },
    /// The grants exceed what the host gives.
    #[error("the grants are not possible: {0}; correct them")]
    Grants(String),
    /// `describe` gave no answer.
    #[error("the component cannot describe itself ({code}): {reason}; do not use it")]
    Describe { code: Code, reason: String },
    /// `check` refused the configuration or gave no answer.
    #[error("the plugin refuses its configuration ({code}): {reason}; correct {place}")]
    Check {
        code: Code,
        reason: String,
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

    pub(crate) fn describe(CallFailure { code, reason }: CallFailure) -> Self {
        Self::Describe { code, reason }
    }

    /// True if the machine or its load may be at fault, so that the same component may load later.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Missing { .. } | Self::Custody(_) => true,
            Self::Compile { source, .. } => source.may_pass(),
            Self::Describe { code, .. } | Self::Check { code, .. } => matches!(
                code,
                Code::Busy | Code::Timeout | Code::Cpu | Code::Unavailable
            ),
            Self::TooLarge { .. }
            | Self::Digest { .. }
            | Self::Document { .. }
            | Self::NotAComponent { .. }
            | Self::Signature { .. }
            | Self::NotGranted { .. }
            | Self::Incompatible(_)
            | Self::Version { .. }
            | Self::Name { .. }
            | Self::Grants(_) => false,
        }
    }

    /// The stable code of the error, for records and metrics.
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

/// Tells the operator how to grant `import`, in the words of the configuration.
fn advice(import: &str) -> &'static str {
    if !import.starts_with("countersign:policy/") {
        return "nothing grants that: files, sockets and the like cannot be had";
    }
    table::advice(import).unwrap_or("update the node if it is of a later version")
}

/// The path with which a reader's message begins: `limits[2].amount: invalid type …`.
fn path_of(reason: &str) -> &str {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.[]".contains(c);
    match reason.split_once(": ") {
        Some((path, _)) if path.chars().all(plain) => path,
        _ => "",
    }
}

pub(crate) fn unsigned(file: &Path) -> impl Fn(SignatureError) -> LoadError {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_of_the_machine_may_pass_and_one_of_the_component_does_not() {
        let compile = |source| LoadError::Compile {
            file: "a.wasm".into(),
            source,
        };
        let gone = || io::Error::from(io::ErrorKind::NotFound);
        let check = |code| LoadError::Check {
            code,
            reason: "r".into(),
            place: "p".into(),
        };
        for passing in [
            LoadError::Missing {
                file: "a.wasm".into(),
                source: gone(),
            },
            compile(CompileError::Crashed("killed".into())),
            compile(CompileError::Unusable {
                program: "compiler".into(),
                source: gone(),
            }),
            check(Code::Timeout),
        ] {
            assert!(passing.may_pass(), "{passing}");
        }
        for lasting in [
            compile(CompileError::Invalid("no module".into())),
            compile(CompileError::Cpu(60)),
            check(Code::Misconfigured),
            LoadError::NotGranted {
                import: "countersign:policy/http".into(),
            },
        ] {
            assert!(!lasting.may_pass(), "{lasting}");
        }
    }
}
