//! This node's description of itself for the coordinator, which shows it to people. Nothing is
//! decided by it.

use countersign_host::{Condition, EntryStatus};
use countersign_protocol::node_status::{
    BundleStatus, Guards, MAX_BUNDLES, MAX_GUARDED, MAX_PLUGINS, NodeStatus, PluginState,
    PluginStatus,
};
use countersign_protocol::{Hash, Scheme, UnixMillis};

use crate::bundle::BundleBoard;
use crate::risk::Guard;
use crate::world::World;

/// Milliseconds by which the end of a wait may differ without being news: it is an estimate, which
/// moves a little at every look.
const ABOUT: u64 = 60_000;

/// Program and version.
pub(crate) const SOFTWARE: &str = concat!("countersign-node ", env!("CARGO_PKG_VERSION"));

/// Describes the node as it is now.
pub(crate) fn look(guard: &Guard, board: &BundleBoard, world: &World) -> NodeStatus {
    let entries = guard.status();
    let bundles = board.read().into_iter().take(MAX_BUNDLES);
    let clock = world.now();
    NodeStatus {
        software: SOFTWARE.into(),
        clock,
        schemes: Scheme::ALL.map(|scheme| scheme.name().into()).to_vec(),
        more_plugins: entries.len().saturating_sub(MAX_PLUGINS) as u32,
        plugins: entries.into_iter().take(MAX_PLUGINS).map(plugin).collect(),
        bundles: bundles.map(|bundle| bundle.status(clock)).collect(),
    }
}

/// True if they describe the same node, at whatever time.
pub(crate) fn is_same(one: &NodeStatus, other: &NodeStatus) -> bool {
    let at = |status: &NodeStatus| NodeStatus {
        clock: one.clock,
        bundles: status.bundles.iter().map(without_end).collect(),
        ..status.clone()
    };
    let mut ends = one.bundles.iter().zip(&other.bundles);
    at(one) == at(other) && ends.all(|(one, other)| end_alike(one, other))
}

fn without_end(bundle: &BundleStatus) -> BundleStatus {
    BundleStatus {
        until: None,
        ..bundle.clone()
    }
}

fn end_alike(one: &BundleStatus, other: &BundleStatus) -> bool {
    match (one.until, other.until) {
        (Some(UnixMillis(one)), Some(UnixMillis(other))) => one.abs_diff(other) < ABOUT,
        (one, other) => one == other,
    }
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
    use countersign_protocol::node_status::BundleState;

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
        let board = BundleBoard::default();
        let world = |now| World::system().at(UnixMillis(now));
        let one = look(&guard(), &board, &world(1));
        let other = look(&guard(), &board, &world(2));
        assert_eq!((one.clock, other.clock), (UnixMillis(1), UnixMillis(2)));
        assert!(is_same(&one, &other));
        let changed = NodeStatus {
            more_plugins: 1,
            ..other
        };
        assert!(!is_same(&one, &changed));
    }

    fn with_bundle(state: BundleState, until: Option<u64>) -> NodeStatus {
        NodeStatus {
            bundles: vec![BundleStatus {
                name: "treasury".into(),
                version: 7,
                digest: Hash([7; 32]),
                state,
                until: until.map(UnixMillis),
                signed: 2,
                needed: 2,
            }],
            ..NodeStatus::default()
        }
    }

    /// Otherwise a node would send a frame a second as long as a bundle waits.
    #[test]
    fn an_end_that_moves_a_little_is_no_news_and_one_that_moves_much_is() {
        let waits = |until| with_bundle(BundleState::Waiting, Some(until));
        let one = waits(1_000_000);
        for same in [1_000_000, 1_000_250, 1_059_999, 940_001] {
            assert!(is_same(&one, &waits(same)), "{same}");
        }
        for moved in [1_060_000, 940_000, 0, u64::MAX] {
            assert!(!is_same(&one, &waits(moved)), "{moved}");
        }
        let mut withdrawn = one.clone();
        withdrawn.bundles.clear();
        let in_force = with_bundle(BundleState::InForce, None);
        for changed in [withdrawn, in_force] {
            assert!(!is_same(&one, &changed) && !is_same(&changed, &one));
        }
    }

    #[test]
    fn every_scheme_that_the_node_has_is_named() {
        let told = look(&guard(), &BundleBoard::default(), &World::system());
        assert_eq!(told.schemes.len(), Scheme::ALL.len());
        assert_eq!(told.software, SOFTWARE);
    }
}
