//! The process that turns a component into machine code. Compilation cannot be interrupted, and a
//! hostile file of some hundred kilobytes can make it cost minutes and gigabytes. So a node uses a
//! child process: its own program with another first argument, which limits and confines itself
//! before it reads a byte of the component.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Once};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use wasmtime::Engine;

use crate::component::compiler_child::{INVALID, Request};
use crate::contract::text::{self, printable};

/// Bytes that are kept of a child's error output.
const SAID: u64 = 4 << 10;

/// The process that compiles components.
#[derive(Clone, Debug, Default)]
pub enum Compiler {
    /// This process, without limits. For tests and for hosts that build their own components.
    #[default]
    InProcess,
    /// A child process with limits.
    Child(CompilerProgram),
}

/// A program that calls [`compile_main`](crate::compile_main), and its limits.
#[derive(Clone, Debug)]
pub struct CompilerProgram {
    /// Path of the executable.
    pub program: PathBuf,
    /// Its arguments. Its environment is empty, its directory `/`.
    pub arguments: Vec<String>,
    /// Limits that the child sets for itself.
    pub limits: CompilerLimits,
}

impl CompilerProgram {
    /// The program that is running now, with these arguments.
    pub fn this_program<const N: usize>(arguments: [&str; N]) -> Self {
        Self {
            program: countersign_system::this_program(),
            arguments: arguments.map(String::from).to_vec(),
            limits: CompilerLimits::default(),
        }
    }
}

/// Limits of one compilation. The default suffices for a JavaScript engine or Python
/// on a slow machine.
#[derive(Clone, Debug)]
pub struct CompilerLimits {
    /// Processor time of all threads together, in seconds.
    pub cpu_seconds: u64,
    /// Writable private memory in bytes.
    pub memory_bytes: u64,
    /// Time from start to end.
    pub wall: Duration,
    /// Size of the machine code in bytes.
    pub output_bytes: u64,
}

impl Default for CompilerLimits {
    fn default() -> Self {
        Self {
            cpu_seconds: 60,
            memory_bytes: 2 << 30,
            wall: Duration::from_secs(120),
            output_bytes: 256 << 20,
        }
    }
}

/// The reason for which a component was not compiled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// The component is not valid WebAssembly.
    #[error("{0}")]
    Invalid(String),
    /// The limit of processor time was exceeded.
    #[error("compiling it took more than {0} s of processor time")]
    Cpu(u64),
    /// The wall-clock limit was exceeded.
    #[error("compiling it took longer than {0:?}")]
    Wall(Duration),
    /// The memory limit was exceeded.
    #[error("compiling it took more than {0} bytes of memory")]
    Memory(u64),
    /// The machine code exceeded its limit.
    #[error("it becomes more than {0} bytes of machine code")]
    Output(u64),
    /// The compiler crashed on the component.
    #[error("the compiler crashed ({0})")]
    Crashed(String),
    /// The compiler is missing, or another process stopped it.
    #[error("the compiler {program} cannot be used: {source}", program = program.display())]
    Unusable {
        /// Path of the executable.
        program: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

impl CompileError {
    /// True if the machine or its load may be at fault. A compiler that crashed may have been
    /// killed for want of memory.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Wall(_) | Self::Crashed(_) | Self::Unusable { .. } => true,
            Self::Invalid(_) | Self::Cpu(_) | Self::Memory(_) | Self::Output(_) => false,
        }
    }

    /// Tells the operator what to do, with the key that sets the limit.
    pub(crate) fn advice(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "build it for the target wasm32-wasip2",
            Self::Cpu(_) => "if you trust its author, raise policy.compile.cpu_seconds",
            Self::Wall(_) => "if you trust its author, raise policy.compile.wall_seconds",
            Self::Memory(_) => "if you trust its author, raise policy.compile.memory_bytes",
            Self::Output(_) => "do not use it: no limit can be raised for that",
            Self::Crashed(_) => {
                "do not use it; if you trust its author, raise policy.compile.memory_bytes and try again"
            }
            Self::Unusable { .. } => {
                "install the program whole, and see that its user may start it"
            }
        }
    }
}

impl Compiler {
    /// Machine code for `component`, as `engine` loads it. `memory_bytes` is
    /// the engine's own setting.
    pub(crate) async fn compile(
        &self,
        engine: &Engine,
        memory_bytes: usize,
        component: Arc<[u8]>,
    ) -> Result<Vec<u8>, CompileError> {
        match self {
            Self::InProcess => in_process(engine.clone(), component).await,
            Self::Child(program) => program.run(memory_bytes, &component).await,
        }
    }
}

async fn in_process(engine: Engine, component: Arc<[u8]>) -> Result<Vec<u8>, CompileError> {
    tokio::task::spawn_blocking(move || engine.precompile_component(&component))
        .await
        .map_err(|panic| CompileError::Crashed(panic.to_string()))?
        .map_err(|error| CompileError::Invalid(format!("{error:#}")))
}

impl CompilerProgram {
    async fn run(&self, memory_bytes: usize, component: &[u8]) -> Result<Vec<u8>, CompileError> {
        let mut child = self.start().map_err(|source| self.unusable(source))?;
        let request = Request {
            engine_memory: memory_bytes as u64,
            cpu_seconds: self.limits.cpu_seconds,
            memory: self.limits.memory_bytes,
            length: component.len() as u64,
        };
        let answer =
            tokio::time::timeout(self.limits.wall, self.talk(&mut child, request, component)).await;
        // Whatever happened, it ends here; without this it would go on for as long as its own
        // limits allow. An error says that it is over already.
        let _ = child.kill().await;
        answer.unwrap_or(Err(CompileError::Wall(self.limits.wall)))
    }

    fn start(&self) -> io::Result<Child> {
        Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
    }

    async fn talk(
        &self,
        child: &mut Child,
        request: Request,
        component: &[u8],
    ) -> Result<Vec<u8>, CompileError> {
        let stdin = child.stdin.take();
        let stdout = child.stdout.take();
        let stderr = child.stderr.take();
        let feed = async {
            let Some(mut stdin) = stdin else { return };
            // A child that ends early says why in its status.
            let _ = async {
                stdin.write_all(&request.to_bytes()).await?;
                stdin.write_all(component).await
            }
            .await;
        };
        let limit = self.limits.output_bytes;
        let ((), code, said) =
            tokio::join!(feed, collect(stdout, limit + 1), collect(stderr, SAID));
        let code = code.map_err(|e| self.unusable(e))?;
        let said = said.map_err(|e| self.unusable(e))?;
        if code.len() as u64 > limit {
            return Err(CompileError::Output(limit));
        }
        let status = child.wait().await.map_err(|source| self.unusable(source))?;
        if status.success() {
            warn_once_of_missing(&said);
            Ok(code)
        } else {
            Err(self.failed(status, &String::from_utf8_lossy(&said)))
        }
    }

    fn failed(&self, status: ExitStatus, said: &str) -> CompileError {
        const SIGABRT: i32 = 6;
        const SIGKILL: i32 = 9;
        const SIGXCPU: i32 = 24;
        match (status.code(), status.signal()) {
            (Some(code), _) if code == i32::from(INVALID) => {
                CompileError::Invalid(printable(said.trim(), text::REASON))
            }
            (_, Some(SIGXCPU | SIGKILL)) => CompileError::Cpu(self.limits.cpu_seconds),
            // The words of Rust's runtime; a test notices if they change.
            (_, Some(SIGABRT)) if said.contains("memory allocation of") => {
                CompileError::Memory(self.limits.memory_bytes)
            }
            _ => CompileError::Crashed(printable(
                &format!("{status}: {}", said.trim()),
                text::REASON,
            )),
        }
    }

    fn unusable(&self, source: io::Error) -> CompileError {
        CompileError::Unusable {
            program: self.program.clone(),
            source,
        }
    }
}

/// Logs what the child says that this system cannot enforce: the same at each compilation, so once.
fn warn_once_of_missing(said: &[u8]) {
    static WARNED: Once = Once::new();
    if !said.is_empty() {
        let missing = printable(String::from_utf8_lossy(said).trim(), text::REASON);
        WARNED.call_once(|| {
            tracing::warn!(
                "plugins are compiled in a process with limits, but without {missing}, which is not available here; \
                 run the node where it is if you compile plugins of authors whom you do not trust"
            );
        });
    }
}

/// Reads to the end, but at most this many bytes.
async fn collect(from: Option<impl AsyncRead + Unpin>, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        from.take(most).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}
