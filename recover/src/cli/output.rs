//! Output: results to stdout, everything else to stderr; with `--json`, one JSON value on stdout.

use std::process::ExitCode;

use countersign_cli_kit::{fail, with_causes};
use serde_json::{Value, json};

use super::Outcome;

/// The form of output that the caller wants.
#[derive(Debug, Clone, Copy)]
pub struct Output(countersign_cli_kit::Output);

impl Output {
    pub fn new(json: bool) -> Self {
        Self(countersign_cli_kit::Output::new(json))
    }

    /// Prints the result, once: as JSON, or as lines for people.
    pub fn result(self, json: &Value, lines: &[String]) -> anyhow::Result<()> {
        Ok(self.0.result(json, || lines.join("\n") + "\n")?)
    }

    /// Prints a remark for people beside the result.
    pub fn note(self, text: &str) {
        eprintln!("{text}");
    }

    /// Prints the error and its causes in both forms, and returns the exit code.
    pub fn error(self, error: &anyhow::Error) -> ExitCode {
        if self.0.is_json() {
            println!("{}", json!({ "error": with_causes(error) }));
        }
        fail(error)
    }

    pub fn version(self) -> anyhow::Result<Outcome> {
        self.0
            .version("countersign-recover", env!("CARGO_PKG_VERSION"))?;
        Ok(Outcome::Done)
    }
}
