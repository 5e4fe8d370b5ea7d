//! A gate between nodes: passes their traffic, or withholds one chunk of it and all that follows it
//! in the same direction. The traffic is encrypted; the gate can do what a coordinator can
//! do, and no more.

use std::sync::{Arc, Mutex, PoisonError};

use countersign_link::PeerKey;
use countersign_link::hub::Recorder;

/// The gate of one coordinator.
#[derive(Clone, Default)]
pub struct Gate(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Number of chunks that pass before the gate closes; `None`: it stays open.
    passing: Option<usize>,
    /// Number of chunks that have passed since then.
    passed: usize,
    /// The direction that is closed.
    closed: Option<(PeerKey, PeerKey)>,
}

impl Gate {
    /// The hook that the coordinator calls for every chunk.
    pub fn recorder(&self) -> Recorder {
        let gate = self.clone();
        Arc::new(move |from, to, _| gate.passes(from, to))
    }

    /// Withholds the chunk after `passing` more, counted over all directions, and everything that
    /// follows it in its direction.
    pub fn close_after(&self, passing: usize) {
        *self.lock() = State {
            passing: Some(passing),
            passed: 0,
            closed: None,
        };
    }

    /// Number of chunks that have passed since [`close_after`](Self::close_after).
    pub fn passed(&self) -> usize {
        self.lock().passed
    }

    /// Lets everything pass again. Returns true if something was withheld.
    pub fn open(&self) -> bool {
        std::mem::take(&mut *self.lock()).closed.is_some()
    }

    fn passes(&self, from: PeerKey, to: PeerKey) -> bool {
        let mut state = self.lock();
        if state.closed == Some((from, to)) {
            return false;
        }
        match state.passing {
            Some(0) if state.closed.is_none() => {
                state.closed = Some((from, to));
                false
            }
            passing => {
                state.passing = passing.map(|left| left.saturating_sub(1));
                state.passed = state.passed.saturating_add(1);
                true
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
