//! Output: results to stdout, everything else to stderr; with `--json`, one JSON value on stdout.

use std::io::Write;

use anyhow::anyhow;
use serde_json::{Value, json};

use super::Outcome;

/// The form of output that the caller wants.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    json: bool,
}

impl Output {
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// Prints the result, once: as JSON, or as lines for people.
    pub fn result(self, json: &Value, lines: &[String]) -> anyhow::Result<()> {
        let text = if self.json {
            format!("{json}\n")
        } else {
            lines.join("\n") + "\n"
        };
        let mut stdout = std::io::stdout().lock();
        let printed = stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush());
        printed.map_err(|error| anyhow!("stdout is closed ({error}): read it to its end"))
    }

    /// Prints a remark for people beside the result.
    pub fn note(self, text: &str) {
        eprintln!("{text}");
    }

    /// Prints the error and its causes in both forms.
    pub fn error(self, error: &anyhow::Error) {
        let message = format!("{error:#}");
        if self.json {
            println!("{}", json!({ "error": message }));
        }
        eprintln!("error: {message}");
    }

    pub fn version(self) -> anyhow::Result<Outcome> {
        let version = env!("CARGO_PKG_VERSION");
        let line = format!("countersign-recover {version}");
        self.result(
            &json!({ "name": "countersign-recover", "version": version }),
            &[line],
        )?;
        Ok(Outcome::Done)
    }
}
