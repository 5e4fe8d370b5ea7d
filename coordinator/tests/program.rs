//! The program from outside: it takes tasks and keeps their deadlines whatever becomes of its log,
//! and reloads its configuration on request.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use countersign_protocol::{
    Committee, KeyGen, NodeId, Operation, RequesterId, Scheme, SignedTask, Task, TaskId, Threshold,
    UnixMillis,
};
use ed25519_dalek::{Signer, SigningKey};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::{Value, json};

/// Enough for the log to have something to say.
const TASKS: u8 = 200;
/// Time that each may wait for its nodes, which never come.
const LIFE_MS: u64 = 3_000;

#[test]
fn a_log_that_is_full_holds_up_nothing() {
    keeps_deadlines(|command| {
        command.stderr(File::options().write(true).open("/dev/full").unwrap())
    });
}

#[test]
fn a_log_that_nobody_reads_holds_up_nothing() {
    // The pipe's other end is open and never read; it takes 64 KiB.
    keeps_deadlines(|command| command.env("RUST_LOG", "trace").stderr(Stdio::piped()));
}

#[test]
fn a_log_that_is_closed_holds_up_nothing() {
    keeps_deadlines(|command| {
        let program = command.get_program().to_owned();
        let args: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        *command = Command::new("sh");
        command
            .args(["-c", "exec \"$0\" \"$@\" 2>&-"])
            .arg(program)
            .args(args)
    });
}

fn keeps_deadlines(with: impl Fn(&mut Command) -> &mut Command) {
    let dir = tempfile::tempdir().unwrap();
    let coordinator = Running::start(dir.path(), with);
    for number in 0..TASKS {
        let (status, body) = coordinator.ask("POST", "/v1/tasks", &submission(number).to_string());
        assert_eq!(status, 201, "{body}");
    }
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let (status, listing) = coordinator.ask("GET", "/v1/tasks?limit=200", "");
        assert_eq!(status, 200, "{listing}");
        let tasks = listing["tasks"].as_array().unwrap();
        assert_eq!(tasks.len(), usize::from(TASKS));
        if tasks.iter().all(|task| task["state"] == "expired") {
            break;
        }
        assert!(Instant::now() < until, "deadlines are dead: {}", tasks[0]);
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(coordinator.ask("GET", "/ready", "").0, 200);
}

/// Its clock stops when nothing can be stored any more. A supervisor sees it end, whether or
/// not somebody reads why.
#[test]
fn a_coordinator_whose_clock_has_stopped_ends() {
    let dir = tempfile::tempdir().unwrap();
    // Ignored, the signal of a file that is too large becomes an error of the write, as of a full
    // disk.
    let mut coordinator = Running::start(dir.path(), |command| {
        let program = command.get_program().to_owned();
        let args: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        *command = Command::new("sh");
        command
            .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
            .arg(program)
            .args(args);
        command.env("RUST_LOG", "trace").stderr(Stdio::piped())
    });
    let process = Pid::from_child(&coordinator.process);
    prlimit(
        Some(process),
        Resource::Fsize,
        Rlimit {
            current: Some(0),
            maximum: None,
        },
    )
    .unwrap();
    let (status, answer) = coordinator.ask("POST", "/v1/tasks", &submission(1).to_string());
    assert!(status >= 500, "{status} {answer}");
    let until = Instant::now() + Duration::from_secs(60);
    while coordinator.process.try_wait().unwrap().is_none() {
        assert!(Instant::now() < until, "it goes on without a clock");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(coordinator.process.wait().unwrap().code(), Some(1));
}

/// SIGHUP ends a program that does not expect it.
#[test]
fn a_hangup_reads_the_configuration_again_and_ends_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut coordinator = Running::start(dir.path(), |command| command.stderr(Stdio::null()));
    let file = dir.path().join("coordinator.yaml");
    let written: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let mut without = written.clone();
    without["api_keys"] = json!([]);
    // A mistake changes nothing; a removed key is refused; one that is back is accepted.
    for (content, status) in [
        ("api_keys: 5".into(), 200),
        (without.to_string(), 401),
        ("api_keys: 5".into(), 401),
        (written.to_string(), 200),
    ] {
        std::fs::write(&file, content).unwrap();
        coordinator.hang_up();
        let until = Instant::now() + Duration::from_secs(30);
        while coordinator.ask("GET", "/v1/tasks", "").0 != status {
            assert!(Instant::now() < until, "the configuration is not taken up");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    assert!(coordinator.process.try_wait().unwrap().is_none(), "it runs");
}

struct Running {
    process: Child,
    http: SocketAddr,
    key: String,
}

impl Running {
    fn start(dir: &Path, with: impl Fn(&mut Command) -> &mut Command) -> Self {
        let program = env!("CARGO_BIN_EXE_countersign-coordinator");
        let run = |args: &[&str]| {
            let output = Command::new(program).args(args).output().unwrap();
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
            String::from_utf8(output.stdout).unwrap()
        };
        run(&["init", "--data", dir.to_str().unwrap()]);
        let made: Value = serde_json::from_str(&run(&[
            "api-key",
            "new",
            "ops",
            "--scope",
            "read,create",
            "--json",
        ]))
        .unwrap();
        let http = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let nodes: Vec<_> = nodes()
            .iter()
            .enumerate()
            .map(|(n, id)| json!({"name": format!("n{n}"), "id": id}))
            .collect();
        let config = json!({
            "data": dir, "listen_quic": "127.0.0.1:0", "listen_http": http, "nodes": nodes, "api_keys": [made["entry"]],
        });
        let file = dir.join("coordinator.yaml");
        std::fs::write(&file, config.to_string()).unwrap();
        let mut command = Command::new(program);
        command.args(["serve", "--config"]).arg(&file);
        let process = with(&mut command).spawn().unwrap();
        let running = Self {
            process,
            http,
            key: made["key"].as_str().unwrap().to_owned(),
        };
        let until = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(http).is_err() {
            assert!(Instant::now() < until, "the coordinator does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        running
    }

    fn hang_up(&self) {
        let id = self.process.id().to_string();
        assert!(
            Command::new("sh")
                .args(["-c", "kill -HUP \"$0\"", &id])
                .status()
                .unwrap()
                .success()
        );
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let mut stream = TcpStream::connect(self.http).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            self.key,
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .unwrap();
        let json = answer
            .split_once("\r\n\r\n")
            .map(|(_, body)| body)
            .unwrap_or_default();
        (status, serde_json::from_str(json).unwrap_or(Value::Null))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn nodes() -> Vec<NodeId> {
    (1..=3)
        .map(|seed| NodeId::from_bytes(key(seed).verifying_key().to_bytes()).unwrap())
        .collect()
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn submission(number: u8) -> Value {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_millis() as u64;
    let requester = key(9);
    let task = Task {
        version: 1,
        id: TaskId([number; 16]),
        created: UnixMillis(now),
        not_after: UnixMillis(now + LIFE_MS),
        requester: RequesterId::from_bytes(requester.verifying_key().to_bytes()).unwrap(),
        note: None,
        claims: Default::default(),
        operation: Operation::KeyGen(KeyGen {
            name: "never".into(),
            scheme: Scheme::Ed25519,
            committee: Committee::new(nodes()).unwrap(),
            threshold: Threshold::try_from(2).unwrap(),
        }),
    };
    let bytes = task.to_bytes();
    let signature = requester
        .sign(&SignedTask::signed_message(&bytes))
        .to_bytes();
    json!({"task": String::from_utf8(bytes).unwrap(), "signature": hex::encode(signature)})
}
