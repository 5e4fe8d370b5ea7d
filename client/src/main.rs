//! `countersign`: the requester's command line. Parses, calls the library, prints, and sets the exit code.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
