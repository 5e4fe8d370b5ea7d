//! Errors as people read them: one line on stderr.

use std::process::ExitCode;

/// Prints an error with its causes, and returns the exit code of a failure.
pub fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {}", with_causes(error));
    ExitCode::FAILURE
}

/// Formats an error with its causes, separated by colons. A cause that an error already names in
/// its own text is skipped.
pub fn with_causes(error: &anyhow::Error) -> String {
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
        })
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
}
