//! `countersign-node`: parses the command line, runs the command, and maps errors to exit codes.

#[macro_use(print, println, eprint)]
extern crate countersign_stdio;

mod cli;

use std::process::ExitCode;

use countersign_node::daemon::StartError;

/// Exit code of a command line that is not understood.
const USAGE_ERROR: u8 = 2;

/// Wipes every block of memory when it is freed.
#[global_allocator]
static ALLOCATOR: zeroizing_alloc::ZeroAlloc<Beneath> = zeroizing_alloc::ZeroAlloc(BENEATH);

#[cfg(not(test))]
const BENEATH: Beneath = std::alloc::System;

#[cfg(not(test))]
type Beneath = std::alloc::System;
#[cfg(test)]
type Beneath = tests::Inspector;
#[cfg(test)]
const BENEATH: Beneath = tests::Inspector;

fn main() -> ExitCode {
    if let Err(code) = countersign_cli_kit::start_hardened() {
        return code;
    }
    report_no_contained_panic();
    match countersign_cli_kit::parse_args(USAGE_ERROR) {
        Ok(args) => run(args),
        Err(code) => code,
    }
}

fn run(args: cli::Args) -> ExitCode {
    cli::run(args).unwrap_or_else(|error| {
        let failed = countersign_cli_kit::fail(&error);
        let stopped = error
            .chain()
            .find_map(|cause| cause.downcast_ref::<StartError>());
        stopped.map_or(failed, |stopped| stopped.exit_code().into())
    })
}

/// Silences panics that the store contains: they become errors that already carry
/// the advice.
fn report_no_contained_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !countersign_store::is_contained() {
            report(panic);
        }
    }));
}

#[cfg(test)]
mod tests {
    use std::alloc::{GlobalAlloc, Layout, System};
    use std::sync::atomic::{AtomicUsize, Ordering};

    static FREED: AtomicUsize = AtomicUsize::new(0);
    static UNWIPED: AtomicUsize = AtomicUsize::new(0);

    /// Replaces the system's allocator and inspects every block that is freed.
    pub(super) struct Inspector;

    // SAFETY: forwards to the system's allocator, and only reads blocks that their owner
    // has given up entirely.
    unsafe impl GlobalAlloc for Inspector {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            // SAFETY: the caller upholds the same contract.
            unsafe { System.alloc_zeroed(layout) }
        }

        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            // SAFETY: all bytes of `block` are initialized, because it was allocated zeroed.
            let bytes = unsafe { std::slice::from_raw_parts(block, layout.size()) };
            FREED.fetch_add(1, Ordering::Relaxed);
            UNWIPED.fetch_add(
                usize::from(bytes.iter().any(|byte| *byte != 0)),
                Ordering::Relaxed,
            );
            // SAFETY: the caller upholds the same contract.
            unsafe { System.dealloc(block, layout) };
        }
    }

    #[test]
    fn every_block_of_memory_comes_back_wiped() {
        let before = FREED.load(Ordering::Relaxed);
        let mut secret = vec![0xa5_u8; 1000];
        // Growing moves the contents and frees the first block.
        secret.extend_from_slice(&[0x5a; 100_000]);
        drop(std::hint::black_box(secret));
        assert!(
            FREED.load(Ordering::Relaxed) > before,
            "this program's memory passes here"
        );
        assert_eq!(UNWIPED.load(Ordering::Relaxed), 0);
    }
}
