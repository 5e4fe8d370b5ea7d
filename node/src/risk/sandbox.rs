//! The sandbox with the operator's limits, shared by the daemon and the command line.

use std::time::Duration;

use countersign_host::{
    CodeCache, Compiler, CompilerLimits, CompilerProgram, Host, HostError, HostLimits, HostOptions,
    PreInitLimits, Publisher, PublisherError,
};

use crate::config::Policy;

/// Reasons why the sandbox cannot be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// The key of a trusted publisher is not valid.
    #[error(transparent)]
    Publisher(#[from] PublisherError),
    /// The WebAssembly engine cannot be set up.
    #[error(transparent)]
    Host(#[from] HostError),
}

/// Starts the sandbox. `cache` keeps machine code between starts.
pub fn sandbox(policy: &Policy, cache: Option<CodeCache>) -> Result<Host, SandboxError> {
    let publishers = policy
        .trusted_publishers
        .iter()
        .map(|(name, key)| Publisher::new(name, key));
    Ok(Host::with(HostOptions {
        limits: HostLimits {
            component_bytes: policy.compile.component_bytes,
            ..HostLimits::default()
        },
        compiler: compiler(policy),
        cache,
        trusted_publishers: publishers.collect::<Result<_, _>>()?,
        pre_init: Some(PreInitLimits::default()),
        custody: policy.custody,
    })?)
}

/// A child process with the operator's limits.
#[cfg(not(test))]
fn compiler(policy: &Policy) -> Compiler {
    Compiler::Child(program(policy))
}

/// Compiles in this process: the tests' program has no compiler mode, and their components are
/// harmless.
#[cfg(test)]
fn compiler(_: &Policy) -> Compiler {
    Compiler::InProcess
}

fn program(policy: &Policy) -> CompilerProgram {
    CompilerProgram {
        limits: CompilerLimits {
            cpu_seconds: policy.compile.cpu_seconds,
            memory_bytes: policy.compile.memory_bytes,
            wall: Duration::from_secs(policy.compile.wall_seconds),
            ..CompilerLimits::default()
        },
        ..CompilerProgram::this_program(["plugin-compiler"])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RawCompile;

    #[test]
    fn the_operators_limits_are_those_of_the_compiling_process() {
        let compile = RawCompile {
            component_bytes: 1,
            cpu_seconds: 2,
            wall_seconds: 3,
            memory_bytes: 4,
        };
        let program = program(&Policy {
            compile,
            ..Policy::default()
        });
        let limits = program.limits;
        assert_eq!(
            (limits.cpu_seconds, limits.wall, limits.memory_bytes),
            (2, Duration::from_secs(3), 4)
        );
        assert_eq!(program.arguments, ["plugin-compiler"]);
    }

    #[test]
    fn a_publisher_with_a_key_that_anybody_signs_under_keeps_the_sandbox_from_starting() {
        let policy = Policy {
            trusted_publishers: [("mint".to_owned(), [0; 32])].into(),
            ..Policy::default()
        };
        let refused = sandbox(&policy, None).err().expect("refused");
        assert!(matches!(refused, SandboxError::Publisher(_)), "{refused}");
        assert!(refused.to_string().contains("mint"), "{refused}");
    }
}
