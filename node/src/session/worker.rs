//! Where an engine lives: a thread of this process, in which shares are opened and die, or a [child
//! process](crate::heavy) that can be killed.
//!
//! An ECDSA engine computes for up to a third of a second at a stretch, auxiliary information for
//! seconds. So engines never run on the network's threads, and those of ECDSA take turns: a lane is
//! held while an engine computes, never while it waits for a message, so that two nodes cannot wait
//! for each other's lanes.
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

/// Messages that may wait for an engine that computes. A session holds fewer.
const INBOX: usize = 512;
/// Messages of an engine that may wait for the network.
const OUTBOX: usize = 64;

/// How engines share the processor.
pub struct Lanes {
    /// Threshold ECDSA signatures: one for each processor.
    pub ecdsa: Lane,
    /// Auxiliary information and its tables: one at a time, at low priority.
    pub aux: Lane,
    /// Everything else: as many as there are.
    pub free: Lane,
}

impl Lanes {
    /// Lanes for this machine.
    pub fn new() -> Self {
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            ecdsa: Lane::of(processors),
            aux: Lane::of(1),
            free: Lane::default(),
        }
    }
}

impl Default for Lanes {
    fn default() -> Self {
        Self::new()
    }
}

/// A right to compute that few hold at a time. Whoever asks first is served first.
#[derive(Clone, Default)]
pub struct Lane(Option<Arc<Semaphore>>);

/// Gives the right back when dropped.
pub struct Turn(#[expect(dead_code, reason = "held for its end")] Option<OwnedSemaphorePermit>);

impl Lane {
    /// A lane for so many at a time.
    pub fn of(permits: usize) -> Self {
        Self(Some(Arc::new(Semaphore::new(permits))))
    }

    /// Waits for a turn.
    pub async fn enter(&self) -> Turn {
        match &self.0 {
            // Nobody closes the semaphore.
            Some(permits) => Turn(permits.clone().acquire_owned().await.ok()),
            None => Turn(None),
        }
    }

    /// How many turns are free; `None` if there is no bound.
    pub fn free(&self) -> Option<usize> {
        self.0.as_ref().map(|permits| permits.available_permits())
    }
}

/// A message for an engine.
pub struct Incoming {
    /// The sender.
    pub from: PartyIndex,
    /// How it travelled.
    pub kind: MessageKind,
    /// The engine's bytes.
    pub body: Vec<u8>,
}

/// What an engine has to say.
pub enum FromEngine<T> {
    /// Send this.
    Send(Outgoing),
    /// It is finished.
    Done(Result<T, WorkError>),
}

/// Why an engine gave no result.
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

/// What is left of an [`EngineError`] that came from another process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Who has to act.
    pub cause: Cause,
    /// One sentence.
    pub text: String,
    /// Who did it, as the engine counts its parties.
    pub culprits: Vec<PartyIndex>,
}

/// What a worker shows of itself while it works.
#[derive(Debug, Default)]
pub struct Pulse {
    computes: AtomicBool,
    steps: AtomicU32,
}

impl Pulse {
    /// The engine computes from now on, or waits for a message.
    pub fn set_computing(&self, computes: bool) {
        self.computes.store(computes, Ordering::Relaxed);
    }

    /// One more step of the protocol is done: a message sent, or one taken in.
    pub fn step(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }
}

/// The worker's end of its queues.
pub struct Post<T> {
    /// Messages for the engine. Ends with the session.
    pub inbox: mpsc::Receiver<Incoming>,
    /// What the engine says.
    pub outbox: mpsc::Sender<FromEngine<T>>,
    /// What the driver sees of the work.
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
    pub fn start<F>(lane: Lane, build: F) -> std::io::Result<Self>
    where
        F: FnOnce() -> Result<Box<dyn Engine<Output = T>>, WorkError> + Send + 'static,
    {
        let (worker, mut post) = Self::pair();
        let runtime = Handle::current();
        std::thread::Builder::new()
            .name("engine".into())
            .spawn(move || {
                let result = work(&runtime, &lane, build, &mut post);
                // A session that has ended no longer listens, and needs no result.
                drop(post.outbox.blocking_send(FromEngine::Done(result)));
            })?;
        Ok(worker)
    }

    /// Starts a task that works, or has a child process do it. It must end when [`Post::stop`] is
    /// cancelled.
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

    fn pair() -> (Self, Post<T>) {
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

    /// Hands a message to the engine. False: the engine is hopelessly behind. An engine that is
    /// gone needs no message, and has its reason in the outbox.
    pub fn deliver(&self, message: Incoming) -> bool {
        !matches!(
            self.inbox.try_send(message),
            Err(mpsc::error::TrySendError::Full(_))
        )
    }

    /// What the engine says next; `None` if its thread died.
    pub async fn next(&mut self) -> Option<FromEngine<T>> {
        self.outbox.recv().await
    }

    /// True while the engine computes: whoever waits for it waits for this node.
    pub fn computes(&self) -> bool {
        self.pulse.computes.load(Ordering::Relaxed)
    }

    /// Steps of the protocol that are done.
    pub fn steps(&self) -> u32 {
        self.pulse.steps.load(Ordering::Relaxed)
    }
}

/// The result of what one party does alone.
pub struct Immediate<T>(Option<T>);

impl<T> Immediate<T> {
    /// An engine that is done.
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
    lane: &Lane,
    build: impl FnOnce() -> Result<Box<dyn Engine<Output = T>>, WorkError>,
    post: &mut Post<T>,
) -> Result<T, WorkError> {
    let mut engine = build()?;
    loop {
        let turn = runtime.block_on(lane.enter());
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
