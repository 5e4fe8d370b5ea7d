//! `countersign-recover`: hardens the process, then leaves the rest to the library's command line.

#[macro_use(eprintln)]
extern crate countersign_stdio;

mod harden;

use std::process::ExitCode;

/// Wipes every block of memory when it is freed.
#[global_allocator]
static ALLOCATOR: zeroizing_alloc::ZeroAlloc<std::alloc::System> =
    zeroizing_alloc::ZeroAlloc(std::alloc::System);

fn main() -> ExitCode {
    countersign_stdio::report_panics();
    if let Err(error) = harden::harden_process() {
        eprintln!(
            "error: the process cannot be hardened ({error}): run it on Linux with its usual system calls"
        );
        return ExitCode::FAILURE;
    }
    countersign_recover::cli::main()
}
