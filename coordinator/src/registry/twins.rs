//! Two processes with one identity: the second is refused while the first is alive,
//! and everybody is told.
//!
//! A dead connection must not keep out a node that was restarted, so the first process is asked and
//! has a moment to answer.

use std::time::Duration;

use countersign_protocol::NodeId;
use countersign_protocol::control::ToNode;
use countersign_protocol::twin::{Instance, TwinMark, proves_twins};
use tracing::error;

use super::{Connection, TaskRegistry};

/// Time for a process to answer that it is alive. A restarted node waits as long.
const PATIENCE: Duration = Duration::from_secs(2);

impl TaskRegistry {
    /// Asks the process online as `node`, if it is not `instance`, whether it is
    /// alive. Returns its answer.
    pub async fn first(&self, node: NodeId, instance: Instance) -> Option<TwinMark> {
        let mut alive = {
            let mut inner = self.lock();
            let first = inner.nodes.get(&node)?;
            // Either the same process after a broken connection, or a program without a number,
            // which cannot be asked.
            first.instance.filter(|first| *first != instance)?;
            let alive = first.alive.subscribe();
            inner.send(node, ToNode::Probe { other: instance });
            alive
        };
        let answer =
            alive.wait_for(|mark| mark.as_ref().is_some_and(|mark| mark.other == instance));
        let answered = tokio::time::timeout(PATIENCE, answer).await;
        // An error: its connection has ended in the meantime.
        answered.ok()?.ok()?.clone()
    }

    /// Handles a process's sign of life.
    pub(super) fn alive(&self, connection: Connection, mark: TwinMark) {
        let inner = self.lock();
        let current = inner
            .nodes
            .get(&connection.node)
            .filter(|_| inner.is_current(connection));
        if let Some(presence) = current
            && presence.instance == Some(mark.instance)
            && mark.verify(&connection.node)
        {
            presence.alive.send_replace(Some(mark));
        }
    }

    /// Raises an alarm: the first is alive, and a second was refused.
    pub fn second_refused(&self, node: NodeId) {
        error!(%node, "ALARM: two processes run with the identity of this node, and the second is refused; ask its operator which one is the original, and have the other one ended");
    }

    /// Passes the second's statement on to the first and to the other nodes.
    pub fn tell_of_twins(&self, node: NodeId, first: TwinMark, second: TwinMark) {
        let marks = [first, second];
        if !proves_twins(&node, &marks) {
            return;
        }
        let mut inner = self.lock();
        inner.send(
            node,
            ToNode::Twin {
                mark: Box::new(marks[1].clone()),
            },
        );
        let others: Vec<NodeId> = inner
            .nodes
            .keys()
            .copied()
            .filter(|other| *other != node)
            .collect();
        for other in others {
            inner.send(
                other,
                ToNode::Twins {
                    node,
                    marks: Box::new(marks.clone()),
                },
            );
        }
    }
}
