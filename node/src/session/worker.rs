//! The thread an engine lives in. Shares are opened here, and die here.
//!
//! An ECDSA engine computes for up to a third of a second at a stretch, auxiliary information for seconds. So engines
//! never run on the network's threads, and those of ECDSA take turns: a lane is held while an engine computes, never while
//! it waits for a message, so that two nodes cannot wait for each other's lanes.

use crate::harden::lower_priority;
use countersign_engine::{Engine, EngineError, MessageKind, Outgoing, PartyIndex, Step};
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc as inbox};
use tokio::sync::mpsc as outbox;

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
    pub fn new() -> Lanes {
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        Lanes {
            ecdsa: Lane::of(processors),
            aux: Lane { background: true, ..Lane::of(1) },
            free: Lane::default(),
        }
    }
}

impl Default for Lanes {
    fn default() -> Lanes {
        Lanes::new()
    }
}

/// A right to compute that few threads hold at a time.
#[derive(Clone, Default)]
pub struct Lane {
    permits: Option<Arc<(Mutex<usize>, Condvar)>>,
    background: bool,
}

/// Gives the right back when dropped.
pub struct Turn<'a>(Option<&'a (Mutex<usize>, Condvar)>);

impl Lane {
    fn of(permits: usize) -> Lane {
        Lane { permits: Some(Arc::new((Mutex::new(permits), Condvar::new()))), background: false }
    }

    /// Waits for a turn.
    pub fn enter(&self) -> Turn<'_> {
        let Some(permits) = self.permits.as_deref() else { return Turn(None) };
        let free = permits.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = permits.1.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        Turn(Some(permits))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some((free, freed)) = self.0 {
            *free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            freed.notify_one();
        }
    }
}

/// A message for an engine.
pub struct Incoming {
    /// Position of the sender among the parties.
    pub from: u16,
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
    /// The share or another secret could not be opened.
    #[error("{0}")]
    Secrets(String),
    /// The session ended before the engine did.
    #[error("the session ended first")]
    Stopped,
}

/// A running engine. Dropping it ends the thread at the engine's next message.
pub struct Worker<T> {
    inbox: inbox::SyncSender<Incoming>,
    outbox: outbox::Receiver<FromEngine<T>>,
}

impl<T: Send + 'static> Worker<T> {
    /// Starts a thread, builds the engine in it and drives it.
    pub fn start<F>(lane: Lane, build: F) -> std::io::Result<Worker<T>>
    where
        F: FnOnce() -> Result<Box<dyn Engine<Output = T>>, WorkError> + Send + 'static,
    {
        let (inbox, incoming) = inbox::sync_channel(INBOX);
        let (outgoing, outbox) = outbox::channel(OUTBOX);
        std::thread::Builder::new().name("engine".into()).spawn(move || {
            if lane.background {
                lower_priority();
            }
            let result = work(&lane, build, &incoming, &outgoing);
            // A session that has ended no longer listens, and needs no result.
            drop(outgoing.blocking_send(FromEngine::Done(result)));
        })?;
        Ok(Worker { inbox, outbox })
    }

    /// Hands a message to the engine. False: the engine is hopelessly behind. An engine that is gone needs no message, and
    /// has its reason in the outbox.
    pub fn deliver(&self, message: Incoming) -> bool {
        !matches!(self.inbox.try_send(message), Err(inbox::TrySendError::Full(_)))
    }

    /// What the engine says next; `None` if its thread died.
    pub async fn next(&mut self) -> Option<FromEngine<T>> {
        self.outbox.recv().await
    }
}

/// The result of what one party does alone.
pub struct Immediate<T>(Option<T>);

impl<T> Immediate<T> {
    /// An engine that is done.
    pub fn new(result: T) -> Immediate<T> {
        Immediate(Some(result))
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
    lane: &Lane,
    build: impl FnOnce() -> Result<Box<dyn Engine<Output = T>>, WorkError>,
    incoming: &inbox::Receiver<Incoming>,
    outgoing: &outbox::Sender<FromEngine<T>>,
) -> Result<T, WorkError> {
    let mut engine = build()?;
    loop {
        if let Some(result) = compute(lane, &mut *engine, outgoing)? {
            return Ok(result);
        }
        receive(&mut *engine, incoming.recv().map_err(|_| WorkError::Stopped)?)?;
        while let Ok(message) = incoming.try_recv() {
            receive(&mut *engine, message)?;
        }
    }
}

/// Steps the engine, in turn with others, until it waits for a message or is done.
fn compute<T>(
    lane: &Lane,
    engine: &mut dyn Engine<Output = T>,
    outgoing: &outbox::Sender<FromEngine<T>>,
) -> Result<Option<T>, WorkError> {
    let _turn = lane.enter();
    loop {
        match engine.step()? {
            Step::Send(message) => {
                outgoing.blocking_send(FromEngine::Send(message)).map_err(|_| WorkError::Stopped)?;
            }
            Step::NeedMessage => return Ok(None),
            Step::Done(result) => return Ok(Some(result)),
        }
    }
}

fn receive<T>(engine: &mut dyn Engine<Output = T>, message: Incoming) -> Result<(), WorkError> {
    Ok(engine.receive(PartyIndex(message.from), message.kind, &message.body)?)
}
