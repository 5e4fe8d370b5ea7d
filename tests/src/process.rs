//! Child processes that end with their owner, and the programs that `just build` makes.

use anyhow::{Context, bail};
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

/// The folder of this build's programs: tests use those of `just build`, benches those of `just release`.
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
    anyhow::ensure!(path.exists(), "{} is not built; run `just build` first", path.display());
    Ok(path)
}

/// One of our libraries that are loaded into programs.
pub fn library(name: &str) -> anyhow::Result<PathBuf> {
    program(&format!("lib{}.so", name.replace('-', "_")))
}

/// One of our plugins, by its name.
pub fn plugin(name: &str) -> anyhow::Result<PathBuf> {
    let target = programs()?.parent().map(Path::to_path_buf).context("the build folder has a parent")?;
    let path =
        target.join("wasm32-wasip2/plugin").join(format!("countersign_{}.wasm", name.replace('-', "_")));
    anyhow::ensure!(path.exists(), "{} is not built; run `just build` first", path.display());
    Ok(path)
}

/// A guest that exists for tests alone, built on first use.
pub fn guest(name: &str) -> anyhow::Result<PathBuf> {
    let target = programs()?.parent().map(Path::to_path_buf).context("the build folder has a parent")?;
    let mut build = Command::new(option_env!("CARGO").unwrap_or("cargo"));
    build
        .args(["build", "--quiet", "--profile", "plugin", "--target", "wasm32-wasip2", "--target-dir"])
        .arg(&target);
    build.arg("-p").arg(format!("countersign-guest-{name}")).current_dir(env!("CARGO_MANIFEST_DIR"));
    expect_success(&mut build)?;
    Ok(target.join("wasm32-wasip2/plugin").join(format!("countersign_guest_{name}.wasm")))
}

/// Runs a program to its end.
pub fn run(command: &mut Command) -> anyhow::Result<Output> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {command:?}"))?;
    Ok(output)
}

/// Runs a program to its end and takes what it prints; an exit code other than 0 is an error that shows both streams.
pub fn expect_success(command: &mut Command) -> anyhow::Result<String> {
    let output = run(command)?;
    if !output.status.success() {
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        bail!("{command:?} ended with {}:\n{out}{err}", output.status);
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// A process that runs until told otherwise. Killed when dropped, and when this process dies.
pub struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts it; both streams go to the end of `log`.
    pub fn start(command: &mut Command, log: &Path) -> anyhow::Result<Daemon> {
        let file = File::options().create(true).append(true).open(log)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        // SAFETY: one system call that is safe between fork and exec.
        unsafe {
            command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            });
        }
        let child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        Ok(Daemon { child, log: log.to_path_buf() })
    }

    /// Everything it has printed.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it has ended, whatever ended it.
    pub async fn ended(&self) {
        while !self.has_ended() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// True once all of it has ended and what it had locked is free. It can still be waited for.
    pub fn has_ended(&self) -> bool {
        let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        // SAFETY: all zeros is a `siginfo_t`, which the call fills and which outlives it. A failed call leaves it as it is.
        let found = unsafe {
            let mut found: libc::siginfo_t = std::mem::zeroed();
            libc::waitid(libc::P_PID, self.child.id(), &mut found, options);
            found.si_pid()
        };
        found != 0
    }

    /// SIGKILL.
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
        // Already gone is as good.
        drop(self.kill());
    }
}

/// The folder of this project's sources.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// The folder that builds go to.
pub fn target() -> PathBuf {
    programs().ok().and_then(|programs| programs.parent().map(Path::to_path_buf)).unwrap_or_default()
}
