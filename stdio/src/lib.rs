//! Standard streams that may be closed, full or slow. Nothing here panics or holds up a program that works.
//!
//! The macros of the standard library panic when a stream cannot be written, and a log subscriber that writes to standard
//! error waits for whoever reads it. A coordinator whose disk is full, or whose log is read by a stopped pager, would stop
//! keeping deadlines for want of a place for its words. Programs import the macros of the same names from here, so that
//! nobody can take the wrong ones:
//!
//! ```
//! #[macro_use(println, eprintln)]
//! extern crate countersign_stdio;
//! # fn main() { println!("{}", 1) }
//! ```

use std::fmt::Arguments;
use std::io::{ErrorKind, Write};

pub use tracing_appender::non_blocking::{NonBlocking, WorkerGuard};

/// Lines that wait for a slow reader of the log; more are dropped.
const WAITING_LINES: usize = 16 * 1024;

/// Where a log subscriber writes: lines go to standard error on a thread of their own. Those that cannot be written are
/// lost, and nobody waits. Keep the guard until the end: it writes what is still waiting, for a second at most.
pub fn log_lines() -> (NonBlocking, WorkerGuard) {
    tracing_appender::non_blocking::NonBlockingBuilder::default()
        .buffered_lines_limit(WAITING_LINES)
        .lossy(true)
        .thread_name("log")
        .finish(std::io::stderr())
}

/// Prints results. What a program was asked to print and could not is a failure: the process ends with exit code 1. A reader
/// that has left, such as `head`, asked for no more: exit code 0.
#[doc(hidden)]
pub fn print(text: Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    match out.write_fmt(text).and_then(|()| out.flush()) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => {
            eprint(format_args!(
                "error: standard output cannot be written ({error}); free space, or print elsewhere\n"
            ));
            std::process::exit(1)
        }
    }
}

/// Prints words for people. Those that nobody can read are no failure.
#[doc(hidden)]
pub fn eprint(text: Arguments<'_>) {
    // Nowhere is left to say that it failed.
    let _ = std::io::stderr().lock().write_fmt(text);
}

/// Prints results; see the crate's documentation.
#[macro_export]
macro_rules! print {
    ($($arg:tt)*) => { $crate::print(::core::format_args!($($arg)*)) };
}

/// Prints a line of results; see the crate's documentation.
#[macro_export]
macro_rules! println {
    () => { $crate::print(::core::format_args!("\n")) };
    ($($arg:tt)*) => { $crate::print(::core::format_args!("{}\n", ::core::format_args!($($arg)*))) };
}

/// Prints words for people; see the crate's documentation.
#[macro_export]
macro_rules! eprint {
    ($($arg:tt)*) => { $crate::eprint(::core::format_args!($($arg)*)) };
}

/// Prints a line for people; see the crate's documentation.
#[macro_export]
macro_rules! eprintln {
    () => { $crate::eprint(::core::format_args!("\n")) };
    ($($arg:tt)*) => { $crate::eprint(::core::format_args!("{}\n", ::core::format_args!($($arg)*))) };
}
