//! What nodes say of themselves, and when they were last heard. It is for display: nobody verifies
//! it, and nothing is decided by it.

use std::collections::BTreeMap;

use countersign_api::Reported;
use countersign_protocol::{NodeId, NodeStatus, UnixMillis};

use super::{Connection, Inner, TaskRegistry};

/// A node that has been online since the coordinator started, or is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// True if it is online now.
    pub online: bool,
    /// True if it is online and takes no new tasks.
    pub draining: bool,
    /// The time of its present or last connection, by this coordinator's clock.
    pub since: UnixMillis,
    /// The time of its last frame or, if it has left since, of its leaving. While an idle node is
    /// online this may lie minutes back.
    pub last_seen: UnixMillis,
    /// Program name and version, as reported by the node.
    pub software: String,
    /// Its description of itself; absent until it has arrived, and kept when the node leaves.
    pub status: Option<Reported>,
}

impl TaskRegistry {
    /// Every node that has been online since this coordinator started, with what it last said of
    /// itself. Nodes that are no longer admitted are left out.
    pub fn nodes(&self) -> BTreeMap<NodeId, Seen> {
        let rules = self.rules();
        let inner = self.lock();
        let admitted = inner
            .seen
            .iter()
            .filter(|(node, _)| rules.nodes.contains_key(node));
        admitted
            .map(|(node, seen)| {
                let presence = inner.nodes.get(node);
                let seen = Seen {
                    online: presence.is_some(),
                    draining: presence.is_some_and(|presence| presence.draining.is_on()),
                    ..seen.clone()
                };
                (*node, seen)
            })
            .collect()
    }
}

impl Inner {
    /// Notes a new connection. The last description stays until there is another.
    pub(super) fn arrived(&mut self, node: NodeId, software: &str, now: UnixMillis) {
        let status = self.seen.remove(&node).and_then(|seen| seen.status);
        let seen = Seen {
            online: true,
            draining: false,
            since: now,
            last_seen: now,
            software: software.into(),
            status,
        };
        self.seen.insert(node, seen);
    }

    /// Notes a sign of life.
    pub(super) fn heard(&mut self, connection: Connection, now: UnixMillis) {
        if self.is_current(connection)
            && let Some(seen) = self.seen.get_mut(&connection.node)
        {
            seen.last_seen = now;
        }
    }

    pub(super) fn described(
        &mut self,
        connection: Connection,
        status: NodeStatus,
        now: UnixMillis,
    ) {
        if self.is_current(connection)
            && let Some(seen) = self.seen.get_mut(&connection.node)
        {
            let skew = i128::from(status.clock.0) - i128::from(now.0);
            seen.status = Some(Reported {
                at: now,
                skew_ms: skew.clamp(i64::MIN.into(), i64::MAX.into()) as i64,
                status: status.into(),
            });
        }
    }
}
