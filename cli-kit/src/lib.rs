//! The beginning and the end of a command-line program: hardening, arguments, results, errors.
//!
//! The programs differ in their commands. They agree in how they start and in the form of their
//! output and of their errors, and people may rely on that.

#[macro_use(eprint, eprintln)]
extern crate countersign_stdio;

#[cfg(feature = "api-key")]
mod api_key;
#[cfg(feature = "times")]
pub mod bundles;
mod entry;
mod error;
mod fingerprint;
#[cfg(feature = "join")]
pub mod joining;
#[cfg(feature = "manual")]
mod manual;
mod output;
#[cfg(feature = "times")]
pub mod times;

use std::process::ExitCode;

use clap::Parser;

#[cfg(feature = "api-key")]
pub use api_key::{ApiKeySecret, api_key_hash};
pub use entry::{EntryError, add_entry};
pub use error::{fail, with_causes};
pub use fingerprint::{same_words, six_words};
#[cfg(feature = "manual")]
pub use manual::{ManualCommand, ManualError};
pub use output::{ClosedOutput, Output};

/// Reports panics like messages for people. Call this before anything else in `main`.
pub fn start() {
    countersign_stdio::report_panics();
}

/// [`start`], for a program that handles secrets: also hardens the process. If that fails, prints
/// the reason and returns the exit code with which the program must end.
pub fn start_hardened() -> Result<(), ExitCode> {
    start();
    countersign_system::harden_process().map_err(|error| {
        eprintln!(
            "error: the process cannot be hardened ({error}); run it on Linux with its usual system calls"
        );
        ExitCode::FAILURE
    })
}

/// Parses the arguments of the process. A usage error ends a program with the exit code that its
/// documentation gives, since clap's own, 2, can have another meaning. If the process is to end
/// now, its text has been printed, and the error is its exit code: 0 after `--help` or `--version`,
/// else `usage`.
pub fn parse_args<A: Parser>(usage: u8) -> Result<A, ExitCode> {
    A::try_parse().map_err(|error| {
        // Nothing more can be reported to a closed stdout or stderr.
        let _ = error.print();
        if error.use_stderr() {
            ExitCode::from(usage)
        } else {
            ExitCode::SUCCESS
        }
    })
}
