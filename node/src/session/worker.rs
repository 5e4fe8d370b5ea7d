//! Workers that run engines: a thread of this process, in which shares are opened and die, or a
//! [child process](crate::heavy) that can be killed.
//!
//! An ECDSA engine computes for up to a third of a second at a stretch, auxiliary information for
//! seconds. So engines never run on the network's threads, and those of ECDSA take turns: a turn in
//! the CPU pool is held while an engine computes, never while it waits for a message, so that two
//! nodes cannot wait for each other's turns.
//!
//! A thread cannot be ended from outside. It is for engines whose stretches are short whatever a
//! peer sends.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use countersign_engine::{Engine, EngineError, MessageKind, Outgoing, PartyIndex, Step};
use countersign_protocol::Cause;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::{CancellationToken, DropGuard};

/// The most messages that wait for an engine that computes. A session holds fewer.
const INBOX: usize = 512;
/// The most messages of an engine that wait for the network.
const OUTBOX: usize = 64;

/// The CPU pools in which engines share the processors.
#[derive(Clone)]
pub struct CpuPools {
    /// Threshold ECDSA signatures: one for each processor.
    pub ecdsa: CpuPool,
    /// Auxiliary information and its tables: one at a time, at low priority.
    pub aux: CpuPool,
    /// Everything else, without a bound.
    pub free: CpuPool,
}

impl CpuPools {
    /// Creates the pools for this machine's processors.
    pub fn new() -> Self {
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            ecdsa: CpuPool::of(processors),
            aux: CpuPool::of(1),
            free: CpuPool::default(),
        }
    }
}

impl Default for CpuPools {
    fn default() -> Self {
        Self::new()
    }
}

/// A right to compute that few engines hold at a time, first come, first served.
#[derive(Clone, Default)]
pub struct CpuPool(Option<Arc<Semaphore>>);

/// Gives the right back when dropped.
pub struct Turn(#[expect(dead_code, reason = "held for its end")] Option<OwnedSemaphorePermit>);

impl CpuPool {
    /// Creates a pool of `permits` simultaneous turns.
    pub fn of(permits: usize) -> Self {
        Self(Some(Arc::new(Semaphore::new(permits))))
    }

    /// Waits for a turn, which lasts until it is dropped.
    pub async fn enter(&self) -> Turn {
        match &self.0 {
            // Nobody closes the semaphore.
            Some(permits) => Turn(permits.clone().acquire_owned().await.ok()),
            None => Turn(None),
        }
    }

    /// Returns the number of free turns; `None` if there is no bound.
    pub fn free(&self) -> Option<usize> {
        self.0.as_ref().map(|permits| permits.available_permits())
    }
}

/// A message for an engine.
#[allow(missing_docs, reason = "the other fields are named for what they hold")]
pub struct Incoming {
    pub from: PartyIndex,
    pub kind: MessageKind,
    /// The bytes that the sender's engine produced.
    pub body: Vec<u8>,
}

/// The output of an engine.
pub enum FromEngine<T> {
    /// A message to send.
    Send(Outgoing),
    /// The result; nothing follows it.
    Done(Result<T, WorkError>),
}

/// Why an engine produced no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkError {
    /// The protocol failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The protocol failed in a child process.
    #[error("{}", .0.text)]
    Protocol(Fault),
    /// The share or another secret could not be opened.
    #[error("{0}")]
    Secrets(String),
    /// The child process could not be used, or ended before its time.
    #[error("{0}")]
    Process(String),
    /// The session ended before the engine did.
    #[error("the session ended first")]
    Stopped,
}

/// The parts of an [`EngineError`] that can come from another process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The side at fault, which has to act.
    pub cause: Cause,
    /// One sentence for people.
    pub text: String,
    /// The parties to blame, as the engine counts them.
    pub culprits: Vec<PartyIndex>,
}

/// The progress of a worker, visible while it works.
#[derive(Debug, Default)]
pub struct Pulse {
    computes: AtomicBool,
    steps: AtomicU32,
}

impl Pulse {
    /// Notes that the engine computes from now on, or waits for a message.
    pub fn set_computing(&self, computes: bool) {
        self.computes.store(computes, Ordering::Relaxed);
    }

    /// Counts a step of the protocol: a message sent or received.
    pub fn step(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }
}

/// The worker's end of its queues.
pub struct Post<T> {
    /// Messages for the engine. Ends with the session.
    pub inbox: mpsc::Receiver<Incoming>,
    /// Messages of the engine, and its result.
    pub outbox: mpsc::Sender<FromEngine<T>>,
    /// Shows the progress to the driver.
    pub pulse: Arc<Pulse>,
    /// Cancelled when the session ends.
    pub stop: CancellationToken,
}

/// A running engine. Dropping it ends a thread at the engine's next message, and a task at once.
pub struct Worker<T> {
    inbox: mpsc::Sender<Incoming>,
    outbox: mpsc::Receiver<FromEngine<T>>,
    pulse: Arc<Pulse>,
    _stop: DropGuard,
}

impl<T: Send + 'static> Worker<T> {
    /// Starts a thread, builds the engine in it and drives it. Call it inside a runtime.
    pub fn start<F>(pool: CpuPool, build: F) -> std::io::Result<Self>
    where
        F: FnOnce() -> Result<Box<dyn Engine<Output = T>>, WorkError> + Send + 'static,
    {
        let (worker, mut post) = Self::pair();
        let runtime = Handle::current();
        std::thread::Builder::new()
            .name("engine".into())
            .spawn(move || {
                let result = work(&runtime, &pool, build, &mut post);
                // A session that has ended no longer listens, and needs no result.
                drop(post.outbox.blocking_send(FromEngine::Done(result)));
            })?;
        Ok(worker)
    }

    /// Starts a task that works, or has a child process do it. The task must end
    /// when [`Post::stop`] is cancelled.
    pub fn spawn<F, W>(work: W) -> Self
    where
        W: FnOnce(Post<T>) -> F,
        F: Future<Output = Result<T, WorkError>> + Send + 'static,
    {
        let (worker, post) = Self::pair();
        let outbox = post.outbox.clone();
        let work = work(post);
        tokio::spawn(async move { drop(outbox.send(FromEngine::Done(work.await)).await) });
        worker
    }

    pub(super) fn pair() -> (Self, Post<T>) {
        let (inbox, incoming) = mpsc::channel(INBOX);
        let (outgoing, outbox) = mpsc::channel(OUTBOX);
        let pulse = Arc::new(Pulse::default());
        let stop = CancellationToken::new();
        let post = Post {
            inbox: incoming,
            outbox: outgoing,
            pulse: pulse.clone(),
            stop: stop.clone(),
        };
        (
            Self {
                inbox,
                outbox,
                pulse,
                _stop: stop.drop_guard(),
            },
            post,
        )
    }

    /// Queues a message for the engine. False if the engine is hopelessly behind. An engine that is
    /// gone needs no message, and has left its reason in the outbox.
    pub fn deliver(&self, message: Incoming) -> bool {
        !matches!(
            self.inbox.try_send(message),
            Err(mpsc::error::TrySendError::Full(_))
        )
    }

    /// Waits for the engine's next output; `None` if its thread died.
    pub async fn next(&mut self) -> Option<FromEngine<T>> {
        self.outbox.recv().await
    }

    /// True while the engine computes: other parties wait for this node.
    pub fn computes(&self) -> bool {
        self.pulse.computes.load(Ordering::Relaxed)
    }

    /// Returns the number of protocol steps that are done.
    pub fn steps(&self) -> u32 {
        self.pulse.steps.load(Ordering::Relaxed)
    }
}

/// An engine for one party alone, whose result is known from the start.
pub struct Immediate<T>(Option<T>);

impl<T> Immediate<T> {
    /// Creates an engine that is done.
    pub fn new(result: T) -> Self {
        Self(Some(result))
    }
}

impl<T> Engine for Immediate<T> {
    type Output = T;

    fn step(&mut self) -> Result<Step<T>, EngineError> {
        let twice = || EngineError::Bug("an engine was stepped after its end".into());
        self.0.take().map(Step::Done).ok_or_else(twice)
    }

    fn receive(&mut self, from: PartyIndex, _: MessageKind, _: &[u8]) -> Result<(), EngineError> {
        Err(countersign_engine::CallerFault::NotInSession(from).into())
    }
}

fn work<T>(
    runtime: &Handle,
    pool: &CpuPool,
    build: impl FnOnce() -> Result<Box<dyn Engine<Output = T>>, WorkError>,
    post: &mut Post<T>,
) -> Result<T, WorkError> {
    let mut engine = build()?;
    loop {
        let turn = runtime.block_on(pool.enter());
        post.pulse.set_computing(true);
        let result = compute(&mut *engine, &mut |message| {
            post.outbox
                .blocking_send(FromEngine::Send(message))
                .map_err(|_| WorkError::Stopped)
        })?;
        post.pulse.set_computing(false);
        drop(turn);
        if let Some(result) = result {
            return Ok(result);
        }
        receive(
            &mut *engine,
            post.inbox.blocking_recv().ok_or(WorkError::Stopped)?,
        )?;
        while let Ok(message) = post.inbox.try_recv() {
            receive(&mut *engine, message)?;
        }
    }
}

/// Steps the engine until it waits for a message or is done.
pub fn compute<T>(
    engine: &mut dyn Engine<Output = T>,
    send: &mut dyn FnMut(Outgoing) -> Result<(), WorkError>,
) -> Result<Option<T>, WorkError> {
    loop {
        match engine.step()? {
            Step::Send(message) => send(message)?,
            Step::NeedMessage => return Ok(None),
            Step::Done(result) => return Ok(Some(result)),
        }
    }
}

/// Hands a message to the engine.
pub fn receive<T>(engine: &mut dyn Engine<Output = T>, message: Incoming) -> Result<(), WorkError> {
    Ok(engine.receive(message.from, message.kind, &message.body)?)
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
