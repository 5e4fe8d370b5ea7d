//! `countersign-recover`: hardens the process, then leaves the rest to the library's command line.

use std::process::ExitCode;

/// Wipes every block of memory when it is freed.
#[global_allocator]
static ALLOCATOR: zeroizing_alloc::ZeroAlloc<std::alloc::System> =
    zeroizing_alloc::ZeroAlloc(std::alloc::System);

fn main() -> ExitCode {
    match countersign_cli_kit::start_hardened() {
        Ok(()) => countersign_recover::cli::main(),
        Err(code) => code,
    }
}
