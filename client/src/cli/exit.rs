//! How a command ended that printed its result. Errors have codes of their own.

use std::process::ExitCode;

/// The end of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It did what was asked; a preflight: the task would be approved.
    Done,
    /// A preflight: the task would be refused.
    WouldBeRefused,
    /// A preflight: nobody knows. A drain: tasks are still under way.
    Undecided,
    /// A bundle of audit logs: nothing is wrong with it, and something is missing.
    Missing,
    /// A bundle of audit logs: something is wrong with it.
    Wrong,
}

impl Exit {
    /// The exit code of the program.
    pub fn code(self) -> ExitCode {
        self.number().into()
    }

    fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::WouldBeRefused => 2,
            Self::Undecided => 5,
            Self::Missing => 3,
            Self::Wrong => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_done_is_a_success() {
        let codes = [
            Exit::Done,
            Exit::WouldBeRefused,
            Exit::Undecided,
            Exit::Missing,
            Exit::Wrong,
        ];
        assert_eq!(codes.map(Exit::number), [0, 2, 5, 3, 1]);
    }
}
