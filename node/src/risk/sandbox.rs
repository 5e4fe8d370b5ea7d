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
    let mut compiler = CompilerProgram::this_program(["plugin-compiler"]);
    compiler.limits = CompilerLimits {
        cpu_seconds: policy.compile.cpu_seconds,
        memory_bytes: policy.compile.memory_bytes,
        wall: Duration::from_secs(policy.compile.wall_seconds),
        ..CompilerLimits::default()
    };
    Ok(Host::with(HostOptions {
        limits: HostLimits {
            component_bytes: policy.compile.component_bytes,
            ..HostLimits::default()
        },
        compiler: Compiler::Child(compiler),
        cache,
        trusted_publishers: publishers.collect::<Result<_, _>>()?,
        pre_init: Some(PreInitLimits::default()),
        custody: policy.custody,
    })?)
}
