//! The clock that limits guests' CPU time. It advances the engine's epoch every millisecond while a
//! call runs, and rests otherwise. It has a thread of its own, so that a busy executor cannot stop
//! it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::Thread;
use std::time::Duration;

use wasmtime::{Engine, EngineWeak};

const TICK: Duration = Duration::from_millis(1);
/// Interval at which a resting ticker checks that its engine still exists.
const REST: Duration = Duration::from_secs(1);

/// Its thread ends with the engine.
pub(crate) struct Ticker {
    running: Arc<AtomicUsize>,
    thread: Thread,
}

impl Ticker {
    pub(crate) fn start(engine: &Engine) -> std::io::Result<Self> {
        let running = Arc::new(AtomicUsize::new(0));
        let weak = engine.weak();
        let count = running.clone();
        let handle = std::thread::Builder::new()
            .name("plugin-epoch".into())
            .spawn(move || tick(&weak, &count))?;
        Ok(Self {
            running,
            thread: handle.thread().clone(),
        })
    }

    /// Keeps the clock going until the guard is dropped.
    pub(crate) fn run(&self) -> Running<'_> {
        if self.running.fetch_add(1, Ordering::AcqRel) == 0 {
            self.thread.unpark();
        }
        Running(self)
    }
}

/// A call that is being timed.
pub(crate) struct Running<'a>(&'a Ticker);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::AcqRel);
    }
}

fn tick(engine: &EngineWeak, running: &AtomicUsize) {
    while let Some(engine) = engine.upgrade() {
        engine.increment_epoch();
        drop(engine);
        if running.load(Ordering::Acquire) == 0 {
            std::thread::park_timeout(REST);
        } else {
            std::thread::sleep(TICK);
        }
    }
}
