//! Results to stdout, everything else to stderr; with `--json`, one JSON value on stdout.

use std::io::Write;

use serde_json::{Value, json};

/// The result could not be printed.
#[derive(Debug, thiserror::Error)]
#[error("stdout is closed ({0}); read it to its end")]
pub struct ClosedOutput(#[from] std::io::Error);

/// The form of output that the caller wants.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    json: bool,
}

impl Output {
    /// Output as JSON, or as lines for people.
    pub const fn new(json: bool) -> Self {
        Self { json }
    }

    /// True if the output is for programs.
    pub const fn is_json(self) -> bool {
        self.json
    }

    /// Prints the result, once. `lines` gives the text for people; each line ends with a line feed.
    /// Fails if stdout is closed.
    pub fn result(self, json: &Value, lines: impl FnOnce() -> String) -> Result<(), ClosedOutput> {
        let text = if self.json {
            format!("{json}\n")
        } else {
            lines()
        };
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        Ok(stdout.flush()?)
    }

    /// Prints a program's name and version. Fails if stdout is closed.
    pub fn version(self, name: &str, version: &str) -> Result<(), ClosedOutput> {
        self.result(&json!({ "name": name, "version": version }), || {
            format!("{name} {version}\n")
        })
    }
}
