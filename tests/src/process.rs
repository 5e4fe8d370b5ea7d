//! Child processes that end with their owner, and the programs that `just build` makes.

use std::fs::File;
use std::io::{ErrorKind, PipeReader, PipeWriter, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// The folder of this build's programs: tests use those of `just build`, benches
/// those of `just bench`.
fn programs() -> anyhow::Result<PathBuf> {
    let me = std::env::current_exe()?;
    let mut dir = me.parent().context("a program has a folder")?;
    if dir.ends_with("deps") {
        dir = dir.parent().context("deps has a parent")?;
    }
    Ok(dir.to_path_buf())
}

/// One of our programs.
pub fn program(name: &str) -> anyhow::Result<PathBuf> {
    let path = programs()?.join(name);
    anyhow::ensure!(
        path.exists(),
        "{} is not built; run `just build` first",
        path.display()
    );
    Ok(path)
}

/// One of our preloadable libraries.
pub fn library(name: &str) -> anyhow::Result<PathBuf> {
    program(&format!("lib{}.so", name.replace('-', "_")))
}

/// One of our plugins, by its name.
pub fn plugin(name: &str) -> anyhow::Result<PathBuf> {
    let target = programs()?
        .parent()
        .map(Path::to_path_buf)
        .context("the build folder has a parent")?;
    let path = target
        .join("wasm32-wasip2/plugin")
        .join(format!("countersign_{}.wasm", name.replace('-', "_")));
    anyhow::ensure!(
        path.exists(),
        "{} is not built; run `just build` first",
        path.display()
    );
    Ok(path)
}

/// A guest that exists for tests alone, built on first use.
pub fn guest(name: &str) -> anyhow::Result<PathBuf> {
    let target = programs()?
        .parent()
        .map(Path::to_path_buf)
        .context("the build folder has a parent")?;
    let mut build = Command::new(option_env!("CARGO").unwrap_or("cargo"));
    build
        .args([
            "build",
            "--quiet",
            "--profile",
            "plugin",
            "--target",
            "wasm32-wasip2",
            "--target-dir",
        ])
        .arg(&target);
    build
        .arg("-p")
        .arg(format!("countersign-guest-{name}"))
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    expect_success(&mut build)?;
    Ok(target
        .join("wasm32-wasip2/plugin")
        .join(format!("countersign_guest_{name}.wasm")))
}

/// Runs a program to its end.
pub fn run(command: &mut Command) -> anyhow::Result<Output> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    Ok(output)
}

/// Runs a program to its end and returns its output; an exit code other than 0 is an error
/// that shows both streams.
pub fn expect_success(command: &mut Command) -> anyhow::Result<String> {
    let output = run(command)?;
    if !output.status.success() {
        let out = String::from_utf8_lossy(&output.stdout);
        let err = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?} ended with {}:\n{out}{err}", output.status);
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// The destination of a program's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Streams {
    /// Its log file.
    #[default]
    Log,
    /// Both streams are closed.
    Closed,
    /// A disk that is full.
    Full,
    /// A full pipe that nobody reads.
    Unread,
}

impl Streams {
    /// Sets both streams. The result keeps the other end of the pipe open.
    pub fn set(self, command: &mut Command, log: &Path) -> anyhow::Result<Option<PipeReader>> {
        let file = match self {
            Self::Log => File::options().create(true).append(true).open(log)?,
            Self::Full => File::options().write(true).open("/dev/full")?,
            Self::Closed => {
                // SAFETY: two system calls that are safe between fork and exec.
                unsafe {
                    command.pre_exec(|| {
                        libc::close(1);
                        libc::close(2);
                        Ok(())
                    });
                }
                return Ok(None);
            }
            Self::Unread => {
                let (reader, writer) = full_pipe()?;
                command.stdout(writer.try_clone()?).stderr(writer);
                return Ok(Some(reader));
            }
        };
        command.stdout(file.try_clone()?).stderr(file);
        Ok(None)
    }
}

/// A pipe that takes nothing more: a writer blocks until somebody reads.
fn full_pipe() -> anyhow::Result<(PipeReader, PipeWriter)> {
    let (reader, writer) = std::io::pipe()?;
    let set = |flags: libc::c_int| {
        // SAFETY: changes flags of a descriptor of ours.
        let done = unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_SETFL, flags) };
        anyhow::ensure!(done == 0, "the pipe's flags cannot be set");
        Ok(())
    };
    set(libc::O_NONBLOCK)?;
    loop {
        match (&writer).write(&[b'.'; 4096]) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(error.into()),
        }
    }
    set(0)?;
    Ok((reader, writer))
}

/// A process that runs until told otherwise. Killed when dropped, and when this process dies.
pub struct Daemon {
    child: Child,
    log: PathBuf,
    _unread: Option<PipeReader>,
}

impl Daemon {
    /// Starts it; both streams go to the end of `log`.
    pub fn start(command: &mut Command, log: &Path) -> anyhow::Result<Self> {
        Self::start_with(command, log, Streams::Log)
    }

    /// Starts it with these streams.
    pub fn start_with(command: &mut Command, log: &Path, streams: Streams) -> anyhow::Result<Self> {
        let unread = streams.set(command.stdin(Stdio::null()), log)?;
        // SAFETY: one system call that is safe between fork and exec.
        unsafe { command.pre_exec(countersign_system::end_with_parent) };
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        Ok(Self {
            child,
            log: log.to_path_buf(),
            _unread: unread,
        })
    }

    /// Everything it has printed.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it has ended for any reason.
    pub async fn ended(&self) {
        while !self.has_ended() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until it has ended by itself. Returns its exit code; none if a signal ended it.
    pub async fn exit_code(&mut self) -> anyhow::Result<Option<i32>> {
        self.ended().await;
        Ok(self.child.wait()?.code())
    }

    /// True once all of it has ended and its locks are free. It can still be waited for.
    pub fn has_ended(&self) -> bool {
        let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        // SAFETY: all zeros is a `siginfo_t`, which the call fills and which outlives it. A failed
        // call leaves it as it is.
        let found = unsafe {
            let mut found: libc::siginfo_t = std::mem::zeroed();
            libc::waitid(libc::P_PID, self.child.id(), &mut found, options);
            found.si_pid()
        };
        found != 0
    }

    /// Sends SIGKILL and waits.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, then waits.
    pub fn terminate(&mut self, limit: Duration) -> anyhow::Result<ExitStatus> {
        // SAFETY: a signal to a child that has not been waited for.
        anyhow::ensure!(
            unsafe { libc::kill(self.child.id() as i32, libc::SIGTERM) } == 0,
            "the process is gone"
        );
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        bail!("still running {limit:?} after SIGTERM:\n{}", self.log())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It has already ended, which is as good.
        drop(self.kill());
    }
}

/// The folder of this project's sources.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map(Path::to_path_buf)
        .unwrap_or_default()
}

/// The folder that builds go to.
pub fn target() -> PathBuf {
    programs()
        .ok()
        .and_then(|programs| programs.parent().map(Path::to_path_buf))
        .unwrap_or_default()
}
