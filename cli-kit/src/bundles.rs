//! Policy bundles that wait, in words.

use std::time::Duration;

use countersign_protocol::UnixMillis;
use countersign_protocol::node_status::{BundleState, BundleStatus};
use countersign_protocol::text::escaped;

use crate::times::span;

/// A line for each bundle that waits at a node whose clock shows `now`.
pub fn waits(bundles: &[BundleStatus], now: UnixMillis) -> Vec<String> {
    let line = |bundle: &BundleStatus| {
        let name = escaped(&bundle.name);
        let version = bundle.version;
        let left = bundle
            .until
            .map_or(0, |until| until.0.saturating_sub(now.0));
        if left == 0 {
            return format!(
                "waits: bundle {name} {version} is due, and the node does not decide by it yet; if that lasts, the node's log says why"
            );
        }
        let does = match in_force(bundles, &bundle.name) {
            Some(present) => format!("replaces {present}"),
            None => "takes effect".to_owned(),
        };
        let left = span(Duration::from_millis(left));
        format!(
            "waits: bundle {name} {version} {does} in {left}; `countersign-node policy withdraw` stops it"
        )
    };
    let waiting = bundles.iter();
    let waiting = waiting.filter(|bundle| bundle.state == BundleState::Waiting);
    waiting.map(line).collect()
}

/// The version of the policy that is in force.
fn in_force(bundles: &[BundleStatus], name: &str) -> Option<u64> {
    let mut present = bundles.iter();
    let present =
        present.find(|bundle| bundle.state == BundleState::InForce && bundle.name == name)?;
    Some(present.version)
}

#[cfg(test)]
mod tests {
    use countersign_protocol::Hash;

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_000_000);

    fn bundle(version: u64, state: BundleState, until: Option<u64>) -> BundleStatus {
        BundleStatus {
            name: "treasury".into(),
            version,
            digest: Hash([1; 32]),
            state,
            until: until.map(UnixMillis),
            signed: 2,
            needed: 2,
        }
    }

    #[test]
    fn a_wait_is_told_with_what_it_replaces_when_and_how_to_stop_it() {
        let present = bundle(6, BundleState::InForce, None);
        let end = NOW.0 + (23 * 60 + 10) * 60_000;
        let next = bundle(7, BundleState::Waiting, Some(end));
        assert_eq!(waits(std::slice::from_ref(&present), NOW), [""; 0]);
        assert_eq!(
            waits(&[present, next.clone()], NOW),
            [
                "waits: bundle treasury 7 replaces 6 in 23 h 10 min; `countersign-node policy withdraw` stops it"
            ]
        );
        let first = waits(&[next], NOW);
        assert!(
            first[0].contains("7 takes effect in 23 h 10 min;"),
            "{first:?}"
        );
    }

    #[test]
    fn a_bundle_that_is_due_cannot_be_withdrawn_and_is_a_matter_for_the_log() {
        for until in [None, Some(0), Some(NOW.0)] {
            let due = waits(&[bundle(7, BundleState::Waiting, until)], NOW);
            assert!(
                due[0].contains("is due") && due[0].ends_with("log says why"),
                "{due:?}"
            );
        }
    }

    /// The name may be a coordinator's word.
    #[test]
    fn a_name_cannot_steer_the_terminal() {
        let mut evil = bundle(7, BundleState::Waiting, Some(u64::MAX));
        evil.name = "a\u{1b}[2J".into();
        assert!(!waits(&[evil], NOW)[0].contains('\u{1b}'));
    }
}
