//! Two processes with one identity: the second is refused while the first lives, and everybody is
//! told.
//!
//! A connection that nobody answers on any more is no reason to keep out a node that was started
//! again: the first is asked, and has a moment to answer.

use std::time::Duration;

use countersign_protocol::NodeId;
use countersign_protocol::control::ToNode;
use countersign_protocol::twin::{Instance, TwinMark, proves_twins};
use tracing::error;

use super::{Connection, Desk};

/// How long a process has to say that it lives. A node that was started again waits as long.
const PATIENCE: Duration = Duration::from_secs(2);

impl Desk {
    /// Asks the process that is on line as `node`, if it is another one than `instance`, whether it
    /// lives. Its word if it does.
    pub async fn first(&self, node: NodeId, instance: Instance) -> Option<TwinMark> {
        let mut alive = {
            let mut inner = self.lock();
            let first = inner.nodes.get(&node)?;
            // The same process after a broken connection; and programs that have no number cannot
            // be asked.
            first.instance.filter(|first| *first != instance)?;
            let alive = first.alive.subscribe();
            inner.send(node, ToNode::Probe { other: instance });
            alive
        };
        let answer =
            alive.wait_for(|mark| mark.as_ref().is_some_and(|mark| mark.other == instance));
        let answered = tokio::time::timeout(PATIENCE, answer).await;
        // An error: its connection has ended meanwhile.
        answered.ok()?.ok()?.clone()
    }

    /// A process says that it lives.
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

    /// An alarm: the first lives, and a second was refused.
    pub fn second_refused(&self, node: NodeId) {
        error!(%node, "ALARM: two processes run with the identity of this node, and the second is refused; ask its operator which one is the original, and have the other one ended");
    }

    /// What the second said of itself: the first is told, and the other nodes.
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
