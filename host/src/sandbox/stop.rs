//! The reasons for which a call gives no usable answer, and the codes that they are reported by.

use wasmtime::Trap;
use wasmtime_wasi::I32Exit;

use crate::contract::code::Code;
use crate::contract::text::{self, printable};

/// A call without a usable answer.
#[derive(Debug)]
pub(crate) struct CallFailure {
    pub(crate) code: Code,
    /// One sentence, cut and escaped.
    pub(crate) reason: String,
}

impl CallFailure {
    pub(crate) fn new(code: Code, reason: impl AsRef<str>) -> Self {
        Self {
            code,
            reason: printable(reason.as_ref(), text::REASON),
        }
    }
}

/// The reason for which the host stopped a guest. wasmtime carries it as the cause of the trap.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Stop {
    #[error("used more than {0} ms of CPU time")]
    Cpu(u64),
    #[error("wanted {wanted} bytes of memory, {granted} are granted")]
    Memory { wanted: usize, granted: usize },
    #[error("wanted a table of {0} elements")]
    Table(usize),
    #[error("too many {0} in one call")]
    Budget(&'static str),
    #[error("the recorded call was cut off here")]
    CutOff(Code),
    #[error("the replay asked for something else than what was recorded")]
    Diverged,
}

/// The component does not fit the contract. wasmtime compares types at the first instantiation.
#[derive(Debug, thiserror::Error)]
#[error("the component does not fit the contract")]
struct Misfit;

/// Marks an instantiation error that no guest code caused.
pub(crate) fn misfit(error: wasmtime::Error) -> wasmtime::Error {
    let by_guest = error.is::<Trap>() || error.is::<Stop>() || error.is::<I32Exit>();
    if by_guest {
        error
    } else {
        error.context(Misfit)
    }
}

pub(crate) fn failure(error: &wasmtime::Error, stdio: &[u8]) -> CallFailure {
    let code = code(error);
    let said = said(&String::from_utf8_lossy(stdio));
    let said = if said.is_empty() {
        said
    } else {
        format!("; it printed: {said}")
    };
    CallFailure::new(code, format!("{}{said}", error.root_cause()))
}

/// Joins what a guest printed into one line, without advice that an operator cannot follow.
fn said(printed: &str) -> String {
    let lines = printed
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty());
    let useful = lines.filter(|line| !line.starts_with("note: run with `RUST_BACKTRACE"));
    useful.collect::<Vec<_>>().join(" / ")
}

fn code(error: &wasmtime::Error) -> Code {
    if let Some(stop) = error.downcast_ref::<Stop>() {
        return match stop {
            Stop::Cpu(_) => Code::Cpu,
            Stop::Memory { .. } | Stop::Table(_) => Code::Memory,
            Stop::Budget(_) => Code::Budget,
            Stop::CutOff(code) => *code,
            Stop::Diverged => Code::Internal,
        };
    }
    if error.is::<Misfit>() {
        return Code::Incompatible;
    }
    if error.is::<I32Exit>() {
        return Code::Exit;
    }
    // wasmtime keeps the type of this one to itself; a test notices if the words change.
    if error
        .root_cause()
        .to_string()
        .contains("fuel allocated for hostcalls")
    {
        return Code::Output;
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => Code::Stack,
        _ => Code::Trap,
    }
}

#[cfg(test)]
mod tests {
    use super::said;

    #[test]
    fn a_panic_is_told_in_one_readable_line() {
        let printed = "\nthread '<unnamed>' panicked at src/lib.rs:7:5:\nattempt to divide by zero\nnote: run with \
                       `RUST_BACKTRACE=1` environment variable to display a backtrace\n";
        assert_eq!(
            said(printed),
            "thread '<unnamed>' panicked at src/lib.rs:7:5: / attempt to divide by zero"
        );
        assert_eq!(said(" \n"), "");
    }
}
