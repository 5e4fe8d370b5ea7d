//! Draining: what is under way is finished, and nothing else is begun.

use countersign_api::{DrainView, State};
use tracing::info;

use super::{Input, TaskRegistry};
use crate::clock;

impl TaskRegistry {
    /// Begins no tasks from now on, or begins them again. It is forgotten when the coordinator
    /// stops.
    pub fn drain(&self, draining: bool) {
        let mut inner = self.lock();
        if inner.draining != draining {
            inner.draining = draining;
            info!(draining, "an operator changed whether tasks are begun");
            // Those that wait may have a place now.
            self.step_all(&mut inner, clock::now(), || Input::Tick);
        }
    }

    /// The state of draining, with the numbers of tasks.
    pub fn drain_state(&self) -> DrainView {
        let inner = self.lock();
        let mut view = DrainView {
            draining: inner.draining,
            under_way: 0,
            waiting: 0,
        };
        for active in inner.tasks.values() {
            match active.flow.record.state {
                State::Waiting => view.waiting += 1,
                State::Approving | State::Running => view.under_way += 1,
                // Only their last frames are still expected.
                State::Completed
                | State::Rejected
                | State::Failed
                | State::Expired
                | State::Cancelled => {}
            }
        }
        view
    }
}
