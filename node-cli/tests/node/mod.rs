//! A node as its operator runs it: the real program in a folder of its own, without a coordinator.

// Each test program uses a part of it.
#![allow(dead_code)]

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use countersign_protocol::CoordinatorId;
use tempfile::TempDir;

/// A node in a folder of its own. It ends when this is dropped.
pub struct Node {
    /// The node's folder; the store is in `db`.
    pub dir: TempDir,
    pub daemon: Option<Child>,
}

impl Node {
    /// Initialised and not started. `config` follows the section of the
    /// coordinator, which nobody plays.
    pub fn new(config: &str) -> Self {
        let node = Self {
            dir: tempfile::tempdir().unwrap(),
            daemon: None,
        };
        let mut passphrase = File::options();
        passphrase.write(true).create_new(true).mode(0o600);
        let mut passphrase = passphrase.open(node.path("passphrase")).unwrap();
        passphrase
            .write_all(b"a passphrase for tests only")
            .unwrap();
        let key = [
            0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64,
            0x07, 0x3a, 0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68,
            0xf7, 0x07, 0x51, 0x1a,
        ];
        let id = CoordinatorId::from_bytes(key).unwrap();
        node.write(
            "node.yaml",
            format!("coordinator: {{address: '127.0.0.1:9', id: {id}}}\nlimits: {{prime_sets: 0}}\n{config}"),
        );
        node.run("init --no-primes");
        node
    }

    pub fn start(&mut self) {
        let log = File::create(self.path("log")).unwrap();
        let mut command = self.command("start");
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        self.daemon = Some(command.spawn().unwrap());
        self.wait_for("node started", 1);
    }

    /// Returns the exit code of a node that ends by itself; `None` if a signal ended it.
    #[track_caller]
    pub fn ends(&mut self) -> Option<i32> {
        let mut daemon = self.daemon.take().unwrap();
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(status) = daemon.try_wait().unwrap() {
                return status.code();
            }
            if Instant::now() > end {
                daemon.kill().unwrap();
                daemon.wait().unwrap();
                panic!("the node goes on:\n{}", self.log());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn stop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill().unwrap();
            daemon.wait().unwrap();
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign-node"));
        command
            .args(line.split_whitespace())
            .current_dir(self.dir.path());
        command.args(["--config", "node.yaml", "--key-file", "passphrase"]);
        command
    }

    /// Returns the output of a command, which must succeed.
    #[track_caller]
    pub fn run(&self, line: &str) -> String {
        let Output {
            status,
            stdout,
            stderr,
        } = self.command(line).output().unwrap();
        assert!(
            status.success(),
            "{line}: {}",
            String::from_utf8_lossy(&stderr)
        );
        String::from_utf8(stdout).unwrap()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap()
    }

    /// Waits until the log contains `words` this many times.
    #[track_caller]
    pub fn wait_for(&self, words: &str, times: usize) {
        let end = Instant::now() + Duration::from_secs(120);
        while self.log().matches(words).count() < times {
            assert!(
                Instant::now() < end,
                "`{words}` is not said {times} times:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Changes a file, and waits until the log contains `words` once more.
    #[track_caller]
    pub fn change(&self, name: &str, text: impl AsRef<[u8]>, words: &str) {
        let before = self.log().matches(words).count();
        self.write(name, text);
        self.wait_for(words, before + 1);
    }
}

impl Node {
    /// Sends SIGHUP, and waits until the log contains `words` once more.
    #[track_caller]
    pub fn ask_to_reload(&self, words: &str) {
        let before = self.log().matches(words).count();
        let id = self.daemon.as_ref().unwrap().id().to_string();
        assert!(
            Command::new("kill")
                .args(["-HUP", &id])
                .status()
                .unwrap()
                .success()
        );
        self.wait_for(words, before + 1);
    }

    /// Returns the error output of a command, which must fail.
    #[track_caller]
    pub fn fail(&self, line: &str) -> String {
        let Output { status, stderr, .. } =
            self.command(line).stdin(Stdio::null()).output().unwrap();
        assert!(!status.success(), "{line} succeeds");
        String::from_utf8(stderr).unwrap()
    }

    pub fn chmod(&self, name: &str, mode: u32) {
        std::fs::set_permissions(self.path(name), PermissionsExt::from_mode(mode)).unwrap();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Returns the whole answer of the node's metrics listener.
pub fn get(address: &str, path: &str) -> String {
    try_get(address, path).unwrap()
}

/// The same for a node that may be gone.
pub fn try_get(address: &str, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
