//! The beginning and the end of a command-line program: hardening, arguments, results, errors.
//!
//! The programs differ in their commands. They agree in how they start, in the form of their output
//! and in the exit code of a usage error, and people may rely on that.

#[macro_use(eprintln)]
extern crate countersign_stdio;

mod error;
mod harden;
mod output;

use std::process::ExitCode;

use clap::Parser;

pub use error::{fail, with_causes};
pub use harden::{end_on_closed_output, harden_process};
pub use output::{ClosedOutput, Output};

/// Reports panics like messages for people. Call this before anything else in `main`.
pub fn start() {
    countersign_stdio::report_panics();
}

/// [`start`], for a program that handles secrets: also hardens the process.
///
/// # Errors
/// The exit code of a program that cannot be hardened, and must not continue. The reason has been
/// printed.
pub fn start_hardened() -> Result<(), ExitCode> {
    start();
    harden_process().map_err(|error| {
        eprintln!(
            "error: the process cannot be hardened ({error}); run it on Linux with its usual system calls"
        );
        ExitCode::FAILURE
    })
}

/// Parses the arguments of the process.
///
/// # Errors
/// The exit code of a process that is to end now: 0 after `--help` or `--version`, 1 after a usage
/// error. Clap's own code for usage errors, 2, has other meanings in our programs. The text has
/// been printed.
pub fn parse_args<A: Parser>() -> Result<A, ExitCode> {
    A::try_parse().map_err(|error| {
        // Nothing more can be reported to a closed stdout or stderr.
        let _ = error.print();
        if error.use_stderr() {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        }
    })
}
