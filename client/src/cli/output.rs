//! Where words go: results to stdout, everything else to stderr; with `--json`, one JSON value on stdout.

use std::io::{IsTerminal, Write};

use countersign_client::ClientError;
use serde_json::{Value, json};

/// How the caller wants to be told.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    json: bool,
}

impl Output {
    /// For people, or for programs.
    pub fn new(json: bool) -> Output {
        Output { json }
    }

    /// True if nobody reads along.
    pub fn is_json(self) -> bool {
        self.json
    }

    /// True if lines can be drawn again.
    pub fn is_live(self) -> bool {
        !self.json && std::io::stderr().is_terminal()
    }

    /// Prints the result, once: as JSON, or as lines for people.
    pub fn result(self, json: &Value, lines: &[String]) -> Result<(), ClientError> {
        let text = if self.json { format!("{json}\n") } else { lines_of(lines) };
        let mut stdout = std::io::stdout().lock();
        let printed = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
        printed.map_err(|error| ClientError::Usage(format!("stdout is closed ({error}); read it to its end")))
    }

    /// Something for people beside the result.
    pub fn note(self, text: &str) {
        if !self.json {
            eprintln!("{}", clean(text));
        }
    }

    /// The error, in both forms.
    pub fn error(self, error: &ClientError) {
        if self.json {
            let mut body = json!({"code": error.code(), "message": error.to_string(), "task": error.task()});
            if !error.details().is_empty() {
                body["details"] = json!(error.details());
            }
            println!("{}", json!({"error": body}));
        }
        eprintln!("error: {}", clean(&error.to_string()));
        error.details().iter().for_each(|line| eprintln!("  {}", clean(line)));
    }

    /// The version.
    pub fn version(self) -> Result<(), ClientError> {
        let version = env!("CARGO_PKG_VERSION");
        self.result(&json!({"name": "countersign", "version": version}), &[format!("countersign {version}")])
    }
}

/// Text from elsewhere, without what would move a terminal's cursor.
pub fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn lines_of(lines: &[String]) -> String {
    lines.iter().map(|line| clean(line) + "\n").collect()
}
