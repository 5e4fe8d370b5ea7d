//! `countersign-node`: parses, runs, and maps errors to exit codes.

#[macro_use(eprintln)]
extern crate countersign_stdio;

use clap::Parser;
use countersign_node::{cli, harden};
use std::process::ExitCode;

/// Wipes every block of memory when it is freed.
#[global_allocator]
static ALLOCATOR: zeroizing_alloc::ZeroAlloc<std::alloc::System> =
    zeroizing_alloc::ZeroAlloc(std::alloc::System);

fn main() -> ExitCode {
    if let Err(error) = harden::harden_process() {
        eprintln!(
            "countersign-node: the process cannot be hardened ({error}); run it on Linux with its usual system calls"
        );
        return ExitCode::FAILURE;
    }
    match cli::run(cli::Args::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("countersign-node: {}", told(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error and its causes, each once: some name their cause in their own text.
fn told(error: &anyhow::Error) -> String {
    error.chain().skip(1).map(ToString::to_string).fold(error.to_string(), |told, cause| {
        if told.contains(&cause) { told } else { format!("{told}: {cause}") }
    })
}
