//! The child process of [`Compiler::Child`](crate::Compiler): it compiles one component and ends.
//! It trusts its parent and nothing else. Its input may make it slow, large or wrong, so it first
//! limits itself and gives up everything that compiling does without.

use std::io::{self, Read, Write};
use std::process::ExitCode;

use countersign_system::{Limits, confine, limit_cpu, limit_process};

use crate::sandbox::engine;

/// Exit code: the component is not valid; standard error says why.
pub(crate) const INVALID: u8 = 65;
/// Exit code: anything else went wrong.
const BROKEN: u8 = 70;

/// Header that the parent sends ahead of the component: four numbers of 64 bits, big endian.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// The setting that the code depends on.
    pub(crate) engine_memory: u64,
    /// Limit of processor time.
    pub(crate) cpu_seconds: u64,
    /// Limit of memory in bytes.
    pub(crate) memory: u64,
    /// Bytes of the component, which follow.
    pub(crate) length: u64,
}

impl Request {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        [
            self.engine_memory,
            self.cpu_seconds,
            self.memory,
            self.length,
        ]
        .iter()
        .flat_map(|n| n.to_be_bytes())
        .collect()
    }

    fn read(from: &mut impl Read) -> io::Result<Self> {
        let mut next = || {
            let mut bytes = [0; 8];
            from.read_exact(&mut bytes)
                .map(|()| u64::from_be_bytes(bytes))
        };
        Ok(Self {
            engine_memory: next()?,
            cpu_seconds: next()?,
            memory: next()?,
            length: next()?,
        })
    }
}

/// Everything that a program does as [`Compiler::Child`](crate::Compiler::Child): compiles the
/// component on standard input to machine code on standard output. The program must do nothing
/// else, print nothing, and have started no thread. After a success, standard error has what the
/// operator should know about this system.
pub fn compile_main() -> ExitCode {
    match answer(&mut io::stdin().lock(), &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed { code, reason }) => {
            // The exit code says the kind of the failure even if nobody reads the reason.
            let _ = io::stderr().write_all(reason.as_bytes());
            ExitCode::from(code)
        }
    }
}

struct Failed {
    code: u8,
    reason: String,
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self {
            code: BROKEN,
            reason: error.to_string(),
        }
    }
}

fn answer(stdin: &mut impl Read, stdout: &mut impl Write) -> Result<(), Failed> {
    let request = Request::read(stdin)?;
    limit(&request)?;
    let missing = confine()?;
    let mut component = Vec::new();
    stdin.take(request.length).read_to_end(&mut component)?;
    if component.len() as u64 != request.length {
        return Err(Failed {
            code: BROKEN,
            reason: "the component was cut off on its way".into(),
        });
    }
    let failed = |code| {
        move |error: wasmtime::Error| Failed {
            code,
            reason: format!("{error:#}"),
        }
    };
    let engine = engine::compiling(request.engine_memory as usize).map_err(failed(BROKEN))?;
    let code = engine
        .precompile_component(&component)
        .map_err(failed(INVALID))?;
    stdout.write_all(&code)?;
    stdout.flush()?;
    if !missing.is_empty() {
        // The code is complete by now, and was compiled without what this system lacks: whoever
        // does not read this loses a warning.
        let _ = write!(io::stderr(), "{}", missing.join(" and "));
    }
    Ok(())
}

/// Sets hard limits, which cannot be raised again.
fn limit(request: &Request) -> io::Result<()> {
    limit_cpu(request.cpu_seconds)?;
    limit_process(&Limits {
        // Threads reserve addresses that they never use.
        address_space: None,
        data: request.memory,
        // The three pipes, and what the runtime opens to learn the number of processors.
        files: 16,
    })
}
