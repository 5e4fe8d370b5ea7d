//! The program from outside: it takes tasks and keeps their deadlines whatever becomes of its log,
//! and reloads its configuration on request.

#[path = "program/flood.rs"]
mod flood;
#[path = "program/shadowed.rs"]
mod shadowed;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
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
    let (_reader, writer) = full_pipe();
    keeps_deadlines(|command| command.stderr(writer.try_clone().unwrap()));
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

/// A pipe that takes a few lines more. Keep the reader, so that it is open and never read.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = pipe().unwrap();
    // It takes 64 KiB.
    writer.write_all(&[b'\n'; 63 * 1024]).unwrap();
    (reader, writer)
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
    let (_reader, writer) = full_pipe();
    let mut coordinator = Running::start(dir.path(), |command| {
        let program = command.get_program().to_owned();
        let args: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        *command = Command::new("sh");
        command
            .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
            .arg(program)
            .args(args);
        command.stderr(writer.try_clone().unwrap())
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
    // It may be gone before the answer has arrived.
    let body = submission(1).to_string();
    let answer = Running::try_ask(
        coordinator.http,
        &coordinator.key,
        "POST",
        "/v1/tasks",
        &body,
    );
    assert!(answer.is_none_or(|status| status >= 500), "{answer:?}");
    let until = Instant::now() + Duration::from_secs(60);
    while coordinator.process.try_wait().unwrap().is_none() {
        assert!(Instant::now() < until, "it goes on without a clock");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(coordinator.process.wait().unwrap().code(), Some(1));
}

/// Takes requests for ever, answers 200, and keeps the id of each.
fn receiver() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let ids = seen.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let ids = ids.clone();
            std::thread::spawn(move || {
                let mut stream = stream.unwrap();
                let mut head = String::new();
                let mut byte = [0];
                while !head.ends_with("\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
                    head.push(char::from(byte[0]));
                }
                let id = head
                    .lines()
                    .find_map(|line| line.strip_prefix("webhook-id: "));
                ids.lock().unwrap().extend(id.map(str::to_owned));
                let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                let _ = stream.write_all(answer.as_bytes());
            });
        }
    });
    (address, seen)
}

/// Every task that was told of, in the state that the last event about it names.
#[test]
fn after_any_number_of_kills_feed_and_webhooks_tell_what_the_tasks_are() {
    let kills = std::env::var("COUNTERSIGN_KILLS").map_or(6, |number| number.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let mut coordinator = Running::start(dir.path(), |command| command.stderr(Stdio::null()));
    let (receiver, delivered) = receiver();
    let hook = json!({"url": format!("http://{receiver}/")}).to_string();
    assert_eq!(coordinator.ask("PUT", "/v1/webhooks/all", &hook).0, 201);
    let http = coordinator.http;
    let key = coordinator.key.clone();
    let stop = Arc::new(AtomicBool::new(false));
    let over = stop.clone();
    let caller = std::thread::spawn(move || {
        let mut accepted = Vec::new();
        // A busy machine takes some orders after the last kill, too.
        for number in 0..10_000 {
            if over.load(Ordering::Relaxed) && accepted.len() > 5 {
                break;
            }
            let submission = submission_of([number as u8, (number >> 8) as u8]);
            let body = submission.to_string();
            let told = Running::try_ask(http, &key, "POST", "/v1/tasks", &body);
            let task: Value = serde_json::from_str(submission["task"].as_str().unwrap()).unwrap();
            let id = task["id"].as_str().unwrap().to_owned();
            if number % 3 == 0 {
                let path = format!("/v1/tasks/{id}/cancel");
                Running::try_ask(http, &key, "POST", &path, "");
            }
            accepted.extend((told == Some(201)).then_some(id));
        }
        accepted
    });
    for kill in 0..kills {
        std::thread::sleep(Duration::from_millis(40 + kill * 37 % 160));
        coordinator.kill_and_restart(dir.path());
    }
    stop.store(true, Ordering::Relaxed);
    let accepted = caller.join().unwrap();

    let ended = |state: &str| ["expired", "cancelled"].contains(&state);
    let all = |path: &str, list: &str, cursor: &str| {
        let mut found = Vec::new();
        let mut at = String::new();
        loop {
            let (_, page) = coordinator.ask("GET", &format!("{path}?limit=200{at}"), "");
            let entries = page[list].as_array().unwrap().clone();
            let more = !entries.is_empty();
            found.extend(entries);
            match page["next"].as_str().filter(|_| more) {
                Some(next) => at = format!("&{cursor}={next}"),
                None => return found,
            }
        }
    };
    let until = Instant::now() + Duration::from_secs(60);
    let tasks = loop {
        let tasks = all("/v1/tasks", "tasks", "cursor");
        if tasks
            .iter()
            .all(|task| ended(task["state"].as_str().unwrap()))
        {
            break tasks;
        }
        assert!(Instant::now() < until, "tasks do not end");
        std::thread::sleep(Duration::from_millis(100));
    };
    let events = all("/v1/events", "events", "after");
    let mut told: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for event in &events {
        let of = event["data"]["task"]["id"].as_str().unwrap().to_owned();
        let text = |field: &str| event[field].as_str().unwrap().to_owned();
        told.entry(of).or_default().push((text("type"), text("id")));
    }
    let ids: BTreeSet<&str> = events
        .iter()
        .map(|event| event["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), events.len(), "no id twice");
    assert_eq!(
        told.len(),
        tasks.len(),
        "no event of a task that is not there"
    );
    for task in &tasks {
        let kinds: Vec<&str> = told[task["id"].as_str().unwrap()]
            .iter()
            .map(|(kind, _)| kind.as_str())
            .collect();
        let state = task["state"].as_str().unwrap();
        assert_eq!(kinds, ["task.accepted", &format!("task.{state}")], "{task}");
    }
    for id in &accepted {
        assert!(told.contains_key(id), "{id} was accepted");
    }
    assert!(accepted.len() > 5, "{}", accepted.len());
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let seen: BTreeSet<String> = delivered.lock().unwrap().iter().cloned().collect();
        if ids.iter().all(|id| seen.contains(*id)) {
            assert_eq!(seen.len(), ids.len(), "nothing else was delivered");
            break;
        }
        assert!(Instant::now() < until, "{} of {}", seen.len(), ids.len());
        std::thread::sleep(Duration::from_millis(50));
    }
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

/// The file of those who joined is damaged, so that the configuration is not applied.
#[test]
fn the_settings_of_the_log_change_with_the_rest_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let coordinator = Running::start(dir.path(), |command| {
        command.stderr(File::create(dir.path().join("stderr")).unwrap())
    });
    let file = dir.path().join("coordinator.yaml");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    config["log"] = json!({"file": {"enable": true, "filename": "other.log"}});
    std::fs::write(&file, config.to_string()).unwrap();
    let joined = dir.path().join("nodes.yaml");
    std::fs::write(&joined, "joined: 5\n").unwrap();
    coordinator.hang_up();
    let said = |words: &str| {
        let stderr = std::fs::read_to_string(dir.path().join("stderr")).unwrap();
        stderr.contains(words)
    };
    wait_until("it is refused", || {
        said("the new configuration is not applied")
    });
    let log = dir.path().join("other.log");
    // The log follows at the end of a reload; the next one begins behind it.
    coordinator.hang_up();
    let refused = || {
        let stderr = std::fs::read_to_string(dir.path().join("stderr")).unwrap();
        stderr
            .matches("the new configuration is not applied")
            .count()
    };
    wait_until("it is refused again", || refused() == 2);
    assert!(!log.exists(), "the present settings stay in force");
    std::fs::write(&joined, "joined: []\n").unwrap();
    coordinator.hang_up();
    wait_until("it is applied", || log.exists());
}

fn wait_until(what: &str, happened: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(30);
    while !happened() {
        assert!(Instant::now() < until, "{what}: it does not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
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
            "read,create,admin",
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
            "data": dir, "listen_quic": "127.0.0.1:0", "listen_http": http, "webhook_networks": ["loopback"], "nodes": nodes, "api_keys": [made["entry"]],
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

    /// Ends the process without a word, and starts another.
    fn kill_and_restart(&mut self, dir: &Path) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign-coordinator"));
        command
            .args(["serve", "--config"])
            .arg(dir.join("coordinator.yaml"))
            .stderr(Stdio::null());
        self.process = command.spawn().unwrap();
        let until = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(self.http).is_err() {
            assert!(Instant::now() < until, "the coordinator does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Like `ask`, of a process that may be killed meanwhile.
    fn try_ask(http: SocketAddr, key: &str, method: &str, path: &str, body: &str) -> Option<u16> {
        let mut stream = TcpStream::connect(http).ok()?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.split(' ').nth(1)?.parse().ok()
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
    submission_of([number; 2])
}

fn submission_of(number: [u8; 2]) -> Value {
    submission_with(TaskId(std::array::from_fn(|at| number[at % 2])), LIFE_MS)
}

/// The id in words, and the submission.
fn submission_numbered(number: u32, life: u64) -> (String, Value) {
    let bytes = number.to_be_bytes();
    let id = TaskId(std::array::from_fn(|at| bytes[at % 4]));
    (id.to_string(), submission_with(id, life))
}

fn submission_with(id: TaskId, life: u64) -> Value {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_millis() as u64;
    let requester = key(9);
    let task = Task {
        version: 1,
        id,
        created: UnixMillis(now),
        not_after: UnixMillis(now + life),
        requester: RequesterId::from_bytes(requester.verifying_key().to_bytes()).unwrap(),
        note: None,
        claims: Default::default(),
        collect: None,
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
