//! Output: results to stdout, everything else to stderr; with `--json`, one JSON value on stdout.
//! Colours only on a terminal, unless `NO_COLOR` is set (no-color.org) or the terminal is `dumb`.

use std::io::{IsTerminal, Write};

use countersign_cli_kit::ClosedOutput;
use countersign_client::ClientError;
use serde_json::{Value, json};

use super::line::{Line, Tone};

/// The form of output that the caller wants.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    form: countersign_cli_kit::Output,
    colours: bool,
}

impl Output {
    /// Chooses JSON, or text with the colours that the terminals support.
    pub fn new(json: bool) -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let dumb = set("TERM").is_none_or(|term| term == "dumb");
        Self {
            form: countersign_cli_kit::Output::new(json),
            colours: !json && !dumb && set("NO_COLOR").is_none(),
        }
    }

    /// True if the output is for programs.
    pub fn is_json(self) -> bool {
        self.form.is_json()
    }

    /// True if lines can be redrawn.
    pub fn is_live(self) -> bool {
        !self.is_json() && std::io::stderr().is_terminal()
    }

    /// Prints the result, once: as JSON, or as lines for people.
    pub fn result(self, json: &Value, lines: &[Line]) -> Result<(), ClientError> {
        let colours = self.colours && std::io::stdout().is_terminal();
        let text = || {
            lines
                .iter()
                .map(|line| line.rendered(colours) + "\n")
                .collect()
        };
        self.form.result(json, text).map_err(closed)
    }

    /// Prints one of many results, as a line. With `--json`, one JSON value a line.
    pub fn item(self, json: &Value, line: Line) -> Result<(), ClientError> {
        self.result(json, &[line])
    }

    /// Prints a remark for people beside the result.
    pub fn note(self, line: impl Into<Line>) {
        if !self.is_json() {
            self.say(&line.into());
        }
    }

    /// Shows a line to the person at the terminal, whichever form the result has.
    pub fn show(self, line: impl Into<Line>) {
        self.say(&line.into());
    }

    /// Prints the error in both forms.
    pub fn error(self, error: &ClientError) {
        if self.is_json() {
            let mut body =
                json!({"code": error.code(), "message": error.to_string(), "task": error.task()});
            if !error.details().is_empty() {
                body["details"] = json!(error.details());
            }
            if !error.others().is_empty() {
                body["others"] = json!(error.others());
            }
            if let Some(until) = error.open_until() {
                body["open_until"] = json!(until);
            }
            // A caller that does not read it still has the exit code.
            drop(writeln!(std::io::stdout(), "{}", json!({"error": body})));
        }
        self.say(&Line::new("error: ", Tone::Bad).and(error.to_string(), Tone::Plain));
        error
            .details()
            .iter()
            .for_each(|line| self.say(&format!("  {line}").into()));
    }

    pub fn version(self) -> Result<(), ClientError> {
        self.form
            .version("countersign", env!("CARGO_PKG_VERSION"))
            .map_err(closed)
    }

    /// Renders a line for the terminal on stderr.
    pub fn rendered(self, line: &Line) -> String {
        line.rendered(self.colours && std::io::stderr().is_terminal())
    }

    fn say(self, line: &Line) {
        eprintln!("{}", self.rendered(line));
    }
}

fn closed(error: ClosedOutput) -> ClientError {
    ClientError::Usage(error.to_string())
}
