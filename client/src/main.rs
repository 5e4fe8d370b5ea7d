//! `countersign`: the requester's command line. Parses, calls the library, prints, and
//! sets the exit code.

#[macro_use(eprint, eprintln)]
extern crate countersign_stdio;

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    countersign_cli_kit::start();
    cli::main()
}
