//! Errors as people read them: one line on stderr.

use std::process::ExitCode;

/// Prints an error with its causes, and returns the exit code of a failure.
pub fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {}", with_causes(error));
    ExitCode::FAILURE
}

/// Formats an error with its causes, separated by colons. A cause that an error already names in
/// its own text is skipped. Control characters are written as `\u{…}`: other programs' words are
/// among the causes.
pub fn with_causes(error: &anyhow::Error) -> String {
    let text =
        error
            .chain()
            .skip(1)
            .map(ToString::to_string)
            .fold(error.to_string(), |text, cause| {
                if text.contains(&cause) {
                    text
                } else {
                    format!("{text}: {cause}")
                }
            });
    let steers = |c: char| c.is_control() && c != '\n';
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_named_once() {
        let error = anyhow::anyhow!("permission denied")
            .context("cannot read `a` (permission denied)")
            .context("no key");
        assert_eq!(
            with_causes(&error),
            "no key: cannot read `a` (permission denied)"
        );
    }

    #[test]
    fn an_error_cannot_steer_a_terminal() {
        let error = anyhow::anyhow!("closed (\u{1b}[2Jwelcome\u{9b}1m)").context("two\nlines\r");
        assert_eq!(
            with_causes(&error),
            "two\nlines\\u{d}: closed (\\u{1b}[2Jwelcome\\u{9b}1m)"
        );
    }
}
