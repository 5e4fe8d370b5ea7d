//! A gate between nodes: lets what they say to each other pass, or keeps back one chunk of it and
//! all that follows it in the same direction. What it carries is encrypted; it can do what a
//! coordinator can do, and no more.

use std::sync::{Arc, Mutex, PoisonError};

use countersign_link::PeerKey;
use countersign_link::hub::Recorder;

/// The gate of one coordinator.
#[derive(Clone, Default)]
pub struct Gate(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// How many more chunks pass before the gate closes; `None`: it stays open.
    passing: Option<usize>,
    /// How many have passed since then.
    passed: usize,
    /// The direction that is closed.
    closed: Option<(PeerKey, PeerKey)>,
}

impl Gate {
    /// What the coordinator asks about every chunk.
    pub fn recorder(&self) -> Recorder {
        let gate = self.clone();
        Arc::new(move |from, to, _| gate.passes(from, to))
    }

    /// Keeps back the chunk after `passing` more, counted over all directions, and what follows it
    /// in its direction.
    pub fn close_after(&self, passing: usize) {
        *self.lock() = State {
            passing: Some(passing),
            passed: 0,
            closed: None,
        };
    }

    /// How many chunks have passed since [`close_after`](Self::close_after).
    pub fn passed(&self) -> usize {
        self.lock().passed
    }

    /// Lets everything pass again. True if something was kept back.
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
