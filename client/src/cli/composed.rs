//! The commands that the pages of the console compose are commands of this program.

use clap::Parser;
use serde::Deserialize;

use super::Cli;

/// Written by the console's own tests, which also read each line with a shell.
const COMMANDS: &str = include_str!("../../../console/test/commands.json");

#[derive(Deserialize)]
struct Composed {
    name: String,
    words: Vec<String>,
}

#[test]
fn every_command_that_the_console_composes_is_one_of_this_program() {
    let all: Vec<Composed> = serde_json::from_str(COMMANDS).unwrap();
    assert!(all.len() > 30, "{}", all.len());
    for Composed { name, words } in all {
        let parsed = Cli::try_parse_from(&words);
        assert!(parsed.is_ok(), "{name}: {}", parsed.unwrap_err());
    }
}
