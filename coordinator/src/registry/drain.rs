//! Draining: what is under way is finished, and nothing else is begun.

use countersign_api::{DrainView, State};
use countersign_protocol::UnixMillis;
use countersign_protocol::control::ToNode;
use tracing::info;

use super::{Connection, Inner, Input, TaskRegistry};
use crate::clock;

/// Shortest time between two lines of the log about the draining of one node.
const LOG_PAUSE_MS: u64 = 60_000;

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
                State::Pending | State::Waiting => view.waiting += 1,
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

impl Inner {
    /// Notes whether a node takes new tasks. The answer is queued behind every offer that was made
    /// before.
    pub(super) fn set_draining(&mut self, connection: Connection, draining: bool, now: UnixMillis) {
        if self.is_current(connection)
            && let Some(presence) = self.nodes.get_mut(&connection.node)
        {
            if presence.draining.set(draining, now) {
                info!(node = %connection.node, draining, "the node changed whether it takes new tasks");
            }
            self.send(connection.node, ToNode::Draining { draining });
        }
    }
}

/// Whether a node is to finish its tasks and to get no others.
#[derive(Debug, Default)]
pub(super) struct NodeDrain {
    is_on: bool,
    /// The last time that the log told of a change.
    logged: Option<UnixMillis>,
}

impl NodeDrain {
    pub(super) fn is_on(&self) -> bool {
        self.is_on
    }

    /// True if that is for the log: it has changed, and the log has not told of the node for a
    /// while.
    fn set(&mut self, is_on: bool, now: UnixMillis) -> bool {
        let changed = self.is_on != is_on;
        self.is_on = is_on;
        let last = self.logged;
        let is_due = last.is_none_or(|last| now.0.saturating_sub(last.0) >= LOG_PAUSE_MS);
        let is_for_the_log = changed && is_due;
        if is_for_the_log {
            self.logged = Some(now);
        }
        is_for_the_log
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_changes_its_mind_all_the_time_writes_a_line_in_a_minute() {
        let mut drain = NodeDrain::default();
        assert!(!drain.set(false, UnixMillis(0)), "it did not change");
        let lines =
            (0..1200_u64).filter(|tenth| drain.set(tenth % 2 == 0, UnixMillis(tenth * 100)));
        assert_eq!(lines.count(), 2);
        assert!(!drain.is_on());
        assert!(drain.set(true, UnixMillis(200_000)) && drain.is_on());
    }
}
