//! The compiler process by itself, for tests and for programs that embed the host and have no
//! subcommand to spare.

use std::process::ExitCode;

fn main() -> ExitCode {
    countersign_host::compile_main()
}
