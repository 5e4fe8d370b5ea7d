//! Output to standard streams that may be closed, full or slow. Nothing here panics or
//! blocks a working program.
//!
//! The standard library's macros panic if a stream cannot be written, and block for ever if nobody
//! reads it. So do a log subscriber that writes to standard error, and a panic report. A
//! coordinator with a full disk, or whose log is read by a stopped pager, would miss deadlines
//! because it could not write a message. Programs import the macros of the same names from here, so
//! that the wrong ones cannot be used by mistake, and begin with [`report_panics`]:
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

/// Prints results. Requested output that cannot be written is a failure: the process exits with
/// code 1. A reader that has left, such as `head`, wants no more: exit code 0. Waits for slow
/// readers, however long they take.
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

/// Prints messages for people. Failing to write them is not an error, and a stuck reader delays
/// nothing for long.
#[doc(hidden)]
pub fn eprint(text: Arguments<'_>) {
    stderr::tell(text.to_string().into_bytes());
}

/// Reports panics like messages for people. The standard library's report blocks for ever if nobody
/// reads it: a part of a program that panics would hang, and its death would go unnoticed.
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

/// Prints a message; see the crate's documentation.
#[macro_export]
macro_rules! eprint {
    ($($arg:tt)*) => { $crate::eprint(::core::format_args!($($arg)*)) };
}

/// Prints a line of a message; see the crate's documentation.
#[macro_export]
macro_rules! eprintln {
    () => { $crate::eprint(::core::format_args!("\n")) };
    ($($arg:tt)*) => { $crate::eprint(::core::format_args!("{}\n", ::core::format_args!($($arg)*))) };
}
