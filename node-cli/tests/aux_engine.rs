//! The child process that generates auxiliary information, run with the real program: it always
//! ends with its session, and two parties agree on its result.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use countersign_engine::{Aux, PartyIndex, Primes, SafePrime};
use countersign_link::Identity;
use countersign_link::Mesh;
use countersign_link::mesh::MeshConfig;
use countersign_node::heavy::{AuxJob, Program};
use countersign_node::session::Router;
use countersign_node::session::driver::{Participants, Run};
use countersign_node::session::worker::{CpuPool, FromEngine, Incoming, WorkError, Worker};
use countersign_protocol::control::Stage;
use countersign_protocol::frame::Mark;
use countersign_protocol::session::{Limits, Rooms, Setup};
use countersign_protocol::{Hash, IdentitySigner, NodeId, TaskId};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

const LONG: Duration = Duration::from_secs(300);

fn program() -> Program {
    Program {
        path: env!("CARGO_BIN_EXE_countersign-node").into(),
        arguments: vec!["aux-engine".into()],
    }
}

fn primes(party: usize) -> Zeroizing<Vec<u8>> {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/primes/safe-primes.json");
    let all: Vec<String> = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let prime = |index: usize| {
        SafePrime::from_bytes(&hex::decode(&all[4 * party + index]).unwrap()).unwrap()
    };
    Primes::new([prime(0), prime(1), prime(2), prime(3)])
        .unwrap()
        .to_bytes()
}

fn job(me: u16) -> AuxJob {
    AuxJob {
        session: [7; 32],
        me: PartyIndex(me),
        parties: 2,
        primes: Some(primes(usize::from(me))),
        found: Box::new(|_| {}),
        limit: LONG,
    }
}

fn start(me: u16, pool: &CpuPool) -> Worker<Aux> {
    let pool = pool.clone();
    Worker::spawn(move |post| program().aux(job(me), pool, None, post))
}

/// Returns the engines among this process's children, once they run the program. One test of this
/// file has some at a time.
fn children() -> BTreeSet<i32> {
    let mut found = BTreeSet::new();
    for thread in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        let listed = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        found.extend(
            listed
                .split_whitespace()
                .filter_map(|pid| pid.parse::<i32>().ok())
                .filter(is_engine),
        );
    }
    found
}

fn is_engine(pid: &i32) -> bool {
    let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    arguments.ends_with(b"\0aux-engine\0")
}

fn exists(pid: i32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

fn signal(pid: i32, signal: libc::c_int) {
    // SAFETY: a plain system call; the process is a child of this one.
    assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
}

/// Waits until a condition holds; the test's own limit ends the wait otherwise.
async fn until(what: &str, so: impl Fn() -> bool) {
    let wait = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, wait)
        .await
        .unwrap_or_else(|_| panic!("never: {what}"));
}

struct Signer(Identity);

impl IdentitySigner for Signer {
    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message)
    }
}

/// A run of this node alone, in which every other party is silent.
async fn run() -> Run {
    let identity = || Identity::from_seed(&[1; 32]).unwrap();
    let me = NodeId::from_bytes(identity().public().0).unwrap();
    let (mesh, _events) = Mesh::new(Arc::new(identity()), MeshConfig::default());
    let router = Router::new(mesh, BTreeMap::new());
    let task = TaskId([1; 16]);
    let inbox = router.open(task, &[me], Rooms::default()).unwrap();
    let setup = Setup {
        task,
        task_hash: Hash([2; 32]),
        parties: vec![me],
        me,
        fresh: [3; 32],
        holds: None,
        mark: Mark::default(),
        signer: Arc::new(Signer(identity())),
        limits: Limits::default(),
        rooms: Rooms::default(),
    };
    let stop = CancellationToken::new();
    let mut run = Run::begin(setup, router, inbox, Box::new(|_, _, _| {}), stop)
        .await
        .unwrap();
    run.meet().await.unwrap();
    run
}

/// A child that would compute for ever. It is stopped with a signal, because a child in the middle
/// of a hostile exponentiation would not react either.
#[tokio::test(flavor = "multi_thread")]
async fn a_computation_ends_with_its_session_and_the_pool_is_free() {
    it_does_not_outlive_the_pipe_to_its_node();
    let pool = CpuPool::of(1);
    let mut run = run().await;
    let worker = start(0, &pool);
    until("a child", || !children().is_empty()).await;
    let pid = *children().first().unwrap();
    signal(pid, libc::SIGSTOP);

    let participants = Participants::of(&[], |_| true);
    let limit = Duration::from_secs(1);
    let ended = run
        .long_phase(&participants, (0, Stage::AuxInfo), limit, 8, worker)
        .await
        .err()
        .unwrap();
    assert_eq!(
        (ended.code.as_str(), ended.culprits.len()),
        ("aux-timeout", 0),
        "{}",
        ended.text
    );
    until("the end of the child", || !exists(pid)).await;
    until("a free place in the pool", || pool.free() == Some(1)).await;

    // A session that ends early ends the child too, as when the task is cancelled, the peer gives
    // up or the node stops.
    let worker = start(0, &pool);
    until("another child", || !children().is_empty()).await;
    let pid = *children().first().unwrap();
    signal(pid, libc::SIGSTOP);
    drop(worker);
    until("the end of the other child", || !exists(pid)).await;
    until("a free place in the pool again", || pool.free() == Some(1)).await;

    two_parties_agree(&pool).await;
}

/// Both parties share one CPU pool, and neither occupies it while it waits for the other.
async fn two_parties_agree(pool: &CpuPool) {
    let mut workers = [start(0, pool), start(1, pool)];
    let mut made: [Option<Aux>; 2] = [None, None];
    until("a child that computes", || {
        workers.iter().any(Worker::computes)
    })
    .await;
    // The child limits itself before it reads a byte, which may be a moment after it appears.
    until("a child with limits", || {
        children().first().is_some_and(|child| is_limited(*child))
    })
    .await;
    limits_are_set(*children().first().unwrap());
    while made.iter().any(Option::is_none) {
        let [first, second] = &mut workers;
        let (from, said) = tokio::select! {
            said = first.next(), if made[0].is_none() => (0, said),
            said = second.next(), if made[1].is_none() => (1, said),
        };
        match said.expect("a worker lives until it is done") {
            FromEngine::Send(message) => {
                let kind = match message.to {
                    countersign_engine::Recipient::All => {
                        countersign_engine::MessageKind::Broadcast
                    }
                    countersign_engine::Recipient::One(_) => {
                        countersign_engine::MessageKind::Direct
                    }
                };
                let message = Incoming {
                    from: PartyIndex(from),
                    kind,
                    body: message.body.to_vec(),
                };
                assert!(workers[1 - usize::from(from)].deliver(message));
            }
            FromEngine::Done(aux) => made[usize::from(from)] = Some(aux.unwrap()),
        }
    }
    let [Some(first), Some(second)] = made else {
        unreachable!()
    };
    assert_eq!(first.public_digest(), second.public_digest());
    assert_eq!(
        workers.each_ref().map(Worker::steps),
        [8, 8],
        "what the share of a run is counted by"
    );
    assert_eq!(pool.free(), Some(1));
}

/// Checks the last limit that a child sets.
fn is_limited(pid: i32) -> bool {
    let text = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap_or_default();
    text.lines()
        .any(|line| line.starts_with("Max cpu time") && !line.contains("unlimited"))
}

fn limits_are_set(pid: i32) {
    let text = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let limit = |name: &str| {
        let line = text
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_else(|| panic!("{name}: {text}"));
        line[name.len()..]
            .split_whitespace()
            .take(2)
            .map(String::from)
            .collect::<Vec<_>>()
    };
    let both = |number: u64| vec![number.to_string(); 2];
    assert_eq!(limit("Max cpu time"), both(LONG.as_secs() + 1));
    assert_eq!(limit("Max address space"), both(2 << 30));
    assert_eq!(limit("Max data size"), both(512 << 20));
    assert_eq!(limit("Max open files"), both(16));
    assert_eq!(limit("Max file size"), both(0));
    assert_eq!(limit("Max core file size"), both(0));
    let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    assert!(
        arguments.ends_with(b"\0aux-engine\0"),
        "{}",
        String::from_utf8_lossy(&arguments)
    );
    assert_eq!(
        std::fs::read(format!("/proc/{pid}/environ")).unwrap(),
        b"",
        "nothing in a variable"
    );
}

/// The child ends by itself when nobody is left to read its output, even if nobody could kill it.
fn it_does_not_outlive_the_pipe_to_its_node() {
    use std::process::{Command, Stdio};
    let Program { path, arguments } = program();
    let mut command = Command::new(path);
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    drop(child.stdin.take());
    assert!(!child.wait().unwrap().success());
}

#[tokio::test]
async fn a_program_that_is_not_there_is_told_and_blames_nobody() {
    let pool = CpuPool::of(1);
    let nowhere = Program {
        path: "/nowhere".into(),
        arguments: Vec::new(),
    };
    let lent = pool.clone();
    let mut worker: Worker<Aux> = Worker::spawn(move |post| nowhere.aux(job(0), lent, None, post));
    let Some(FromEngine::Done(Err(WorkError::Process(text)))) = worker.next().await else {
        panic!("it runs")
    };
    assert!(text.contains("/nowhere"), "{text}");
    assert_eq!(pool.free(), Some(1));
}
