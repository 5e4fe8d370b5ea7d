//! Standard streams that may be closed, full or slow. Nothing here panics or holds up a program
//! that works.
//!
//! The macros of the standard library panic when a stream cannot be written, and wait for ever when
//! nobody reads it; so does a log subscriber that writes to standard error, and so does the report
//! of a panic. A coordinator whose disk is full, or whose log is read by a stopped pager, would
//! stop keeping deadlines for want of a place for its words. Programs import the macros of the same
//! names from here, so that nobody can take the wrong ones, and begin with [`report_panics`]:
//!
//! ```
//! #[macro_use(println, eprintln)]
//! extern crate countersign_stdio;
//! # fn main() { println!("{}", 1) }
//! ```

mod stderr;

use std::fmt::Arguments;
use std::io::{ErrorKind, Write};

pub use stderr::{Lines, Rest, log_lines};

/// Prints results. What a program was asked to print and could not is a failure: the process ends
/// with exit code 1. A reader that has left, such as `head`, asked for no more: exit code 0. One
/// that is slow is waited for.
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

/// Prints words for people. Those that nobody can read are no failure, and are not waited for.
#[doc(hidden)]
pub fn eprint(text: Arguments<'_>) {
    stderr::tell(text.to_string().into_bytes());
}

/// From now on a panic is reported as words for people are printed. The standard library's report
/// waits for ever where nobody reads: a part of a program that panics would neither go on nor be
/// seen to have died.
pub fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let backtrace = std::backtrace::Backtrace::capture();
        let name = thread.name().unwrap_or("without name");
        eprint(format_args!("thread {name}: {panic}\n"));
        if backtrace.status() == std::backtrace::BacktraceStatus::Captured {
            eprint(format_args!("{backtrace}\n"));
        }
    }));
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
