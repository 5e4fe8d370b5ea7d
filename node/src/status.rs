//! This node's description of itself for the coordinator, which shows it to people. Nothing is
//! decided by it.

use countersign_host::{Condition, EntryStatus};
use countersign_protocol::node_status::{
    Guards, MAX_GUARDED, MAX_PLUGINS, NodeStatus, PluginState, PluginStatus,
};
use countersign_protocol::{Hash, Scheme};

use crate::risk::Guard;
use crate::world::World;

/// Program and version.
pub(crate) const SOFTWARE: &str = concat!("countersign-node ", env!("CARGO_PKG_VERSION"));

/// Describes the node as it is now.
pub(crate) fn look(guard: &Guard, world: &World) -> NodeStatus {
    let entries = guard.status();
    NodeStatus {
        software: SOFTWARE.into(),
        clock: world.now(),
        schemes: Scheme::ALL.map(|scheme| scheme.name().into()).to_vec(),
        more_plugins: entries.len().saturating_sub(MAX_PLUGINS) as u32,
        plugins: entries.into_iter().take(MAX_PLUGINS).map(plugin).collect(),
    }
}

/// True if they describe the same node, at whatever time.
pub(crate) fn is_same(one: &NodeStatus, other: &NodeStatus) -> bool {
    let at = |status: &NodeStatus| NodeStatus {
        clock: one.clock,
        ..status.clone()
    };
    at(one) == at(other)
}

fn plugin(entry: EntryStatus) -> PluginStatus {
    let scope = entry.scope;
    PluginStatus {
        name: entry.name,
        state: match entry.condition {
            Condition::InForce => PluginState::InForce,
            Condition::Shadow => PluginState::Shadow,
            Condition::Broken { .. } => PluginState::Broken,
        },
        version: entry.version,
        digest: entry.digest.map(Hash),
        config: entry.revision.map(Hash),
        remote: entry.remote,
        guards: Guards {
            operations: scope
                .operations
                .iter()
                .map(|operation| operation.name().into())
                .collect(),
            more_keys: scope.keys.len().saturating_sub(MAX_GUARDED) as u32,
            keys: scope.keys.into_iter().take(MAX_GUARDED).collect(),
            schemes: scope.schemes.into_iter().take(MAX_GUARDED).collect(),
        },
    }
}

#[cfg(test)]
mod tests {
    use countersign_host::{Code, Counts, OperationKind, Scope};
    use countersign_protocol::UnixMillis;

    use super::*;
    use crate::task::fixtures::guard;

    fn entry(condition: Condition, keys: usize) -> EntryStatus {
        EntryStatus {
            name: "rules".into(),
            version: Some("1.2.0".into()),
            digest: Some([1; 32]),
            revision: Some([2; 32]),
            anchors: Vec::new(),
            condition,
            scope: Scope {
                operations: vec![OperationKind::KeySign],
                keys: (0..keys).map(|number| format!("csk{number}")).collect(),
                schemes: vec!["taproot".into()],
            },
            remote: true,
            counts: Counts::default(),
            last_error: None,
            last_code: None,
            health: None,
        }
    }

    #[test]
    fn an_entry_is_described_with_what_runs_and_what_it_guards() {
        let told = plugin(entry(Condition::InForce, 1));
        let expected = PluginStatus {
            name: "rules".into(),
            state: PluginState::InForce,
            version: Some("1.2.0".into()),
            digest: Some(Hash([1; 32])),
            config: Some(Hash([2; 32])),
            remote: true,
            guards: Guards {
                operations: vec!["keysign".into()],
                keys: vec!["csk0".into()],
                more_keys: 0,
                schemes: vec!["taproot".into()],
            },
        };
        assert_eq!(told, expected);
    }

    #[test]
    fn a_long_list_of_keys_is_cut_and_the_rest_is_counted() {
        let guards = plugin(entry(Condition::Shadow, MAX_GUARDED + 3)).guards;
        assert_eq!((guards.keys.len(), guards.more_keys), (MAX_GUARDED, 3));
    }

    #[test]
    fn a_broken_entry_is_told_from_one_that_decides() {
        let broken = Condition::Broken {
            code: Code::Missing,
            reason: "secret path".into(),
        };
        let told = plugin(entry(broken, 0));
        assert_eq!(told.state, PluginState::Broken);
        let text = serde_json::to_string(&told).unwrap();
        assert!(
            !text.contains("secret path"),
            "paths of the node stay there"
        );
    }

    #[test]
    fn only_time_is_no_change() {
        let world = |now| World::system().at(UnixMillis(now));
        let one = look(&guard(), &world(1));
        let other = look(&guard(), &world(2));
        assert_eq!((one.clock, other.clock), (UnixMillis(1), UnixMillis(2)));
        assert!(is_same(&one, &other));
        let changed = NodeStatus {
            more_plugins: 1,
            ..other
        };
        assert!(!is_same(&one, &changed));
    }

    #[test]
    fn every_scheme_that_the_node_has_is_named() {
        let told = look(&guard(), &World::system());
        assert_eq!(told.schemes.len(), Scheme::ALL.len());
        assert_eq!(told.software, SOFTWARE);
    }
}
