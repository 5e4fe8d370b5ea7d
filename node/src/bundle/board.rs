//! The state of the bundles as other parts of the node see it: for display, and nothing is decided
//! by it.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use countersign_metrics::Counts;
use countersign_protocol::node_status::{BundleState, BundleStatus};
use countersign_protocol::{Hash, UnixMillis};

use super::folder::FolderError;
use super::life::TakeError;
use super::schedule::Schedule;
use crate::config::Bundles;

/// The codes under which refused bundles are counted.
pub const CODES: [&str; 8] = [
    "unreadable",
    "malformed",
    "not-published",
    "out-of-turn",
    "ceiling",
    "unusable",
    "not-here",
    "store",
];

/// The bundles of a running node as they were last posted, and how many were refused.
#[derive(Debug, Default)]
pub struct BundleBoard {
    /// `None` if the operator follows no bundles.
    posted: ArcSwapOption<Vec<PostedBundle>>,
    refused: Counts<&'static str>,
}

/// A bundle that is in force, or waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostedBundle {
    /// Name of the policy that the node follows.
    pub name: String,
    /// Its version.
    pub version: u64,
    /// The hash of its manifest.
    pub digest: Hash,
    /// The time that the node has to run until it takes effect; `None` if the node decides by it.
    pub left: Option<Duration>,
    /// Number of publishers who have signed it.
    pub signed: usize,
    /// Number of them who must have.
    pub needed: usize,
}

impl BundleBoard {
    pub(super) fn post(&self, bundles: Vec<PostedBundle>) {
        self.posted.store(Some(Arc::new(bundles)));
    }

    pub(super) fn refuse(&self, code: &'static str) {
        self.refused.add(code);
    }

    /// The bundle in force and the one that waits, as far as there are any.
    pub fn read(&self) -> Vec<PostedBundle> {
        let posted = self.posted.load_full();
        posted.map_or_else(Vec::new, |posted| posted.to_vec())
    }

    /// Number of refused bundles by code, zeros included; empty if the operator follows no bundles.
    pub fn refused(&self) -> Vec<(&'static str, u64)> {
        if self.posted.load().is_none() {
            return Vec::new();
        }
        let counted = self.refused.read();
        let count = |code: &'static str| {
            let found = counted.iter().find(|(counted, _)| *counted == code);
            (code, found.map_or(0, |(_, count)| *count))
        };
        CODES.map(count).to_vec()
    }
}

impl PostedBundle {
    /// The bundles of a schedule. `taken_up`: the guard decides by the one in force.
    pub(super) fn all(settings: &Bundles, schedule: &Schedule, taken_up: bool) -> Vec<Self> {
        let posted = |version, digest, signed, left| Self {
            name: settings.name.clone(),
            version,
            digest,
            left,
            signed,
            needed: settings.needed,
        };
        let present = schedule.present.as_ref().map(|present| {
            // As long as the guard does not follow, it is not in force.
            let left = (!taken_up).then_some(Duration::ZERO);
            posted(present.version, present.bundle, present.signers.len(), left)
        });
        let waiting = schedule.waiting.as_ref().map(|waiting| {
            posted(
                waiting.version,
                waiting.bundle,
                waiting.signers.len(),
                Some(waiting.left()),
            )
        });
        present.into_iter().chain(waiting).collect()
    }

    /// The bundle for displays that count by the node's clock, which shows `now`.
    pub fn status(&self, now: UnixMillis) -> BundleStatus {
        let until = |left: Duration| {
            let left = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
            UnixMillis(now.0.saturating_add(left))
        };
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        BundleStatus {
            name: self.name.clone(),
            version: self.version,
            digest: self.digest,
            state: match self.left {
                Some(_) => BundleState::Waiting,
                None => BundleState::InForce,
            },
            until: self.left.map(until),
            signed: count(self.signed),
            needed: count(self.needed),
        }
    }
}

impl TakeError {
    /// The code under which it is counted, one of [`CODES`].
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "unreadable",
            Self::Format(_) => "malformed",
            Self::NotPublished(_) => "not-published",
            Self::Schedule(_) => "out-of-turn",
            Self::Folder(error) => error.code(),
            Self::Trial(error) if error.is_of_the_bundle() => "unusable",
            Self::Trial(_) => "store",
            Self::NotFollowed | Self::Unguarded | Self::Stopped => "not-here",
            Self::Record(_) => "store",
        }
    }
}

impl FolderError {
    fn code(&self) -> &'static str {
        match self {
            Self::Ceiling(_) => "ceiling",
            Self::Bundle { .. }
            | Self::Shadow(_)
            | Self::NoEntry(_)
            | Self::Document { .. }
            | Self::Entry { .. } => "unusable",
            Self::Io { .. }
            | Self::Custody(_)
            | Self::State { .. }
            | Self::Lost(_)
            | Self::Other { .. }
            | Self::Overtaken
            | Self::Journal(_) => "store",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::judge::Judgement;
    use super::super::manifest::tests::{entry, manifest};
    use super::super::published::tests::settings;
    use super::super::schedule::ScheduleError;
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const NOW: UnixMillis = UnixMillis(1_000);

    /// Version 1 is in force and 2 waits.
    fn schedule() -> Schedule {
        let mut schedule = Schedule::default();
        let signers = ["ana".to_owned(), "ben".to_owned()];
        for version in [1, 2] {
            let digest = Hash([version; 32]);
            let manifest = manifest(version.into(), vec![entry("rules", "a", "{}")]);
            schedule
                .take(digest, &manifest, &signers, HOUR, NOW)
                .unwrap();
            if version == 1 {
                assert!(schedule.judged(digest, None, Judgement::Tightens));
                assert!(schedule.put_in_force(NOW));
            }
        }
        schedule
    }

    #[test]
    fn what_is_in_force_and_what_waits_is_told_apart() {
        let mut schedule = schedule();
        schedule.pass(HOUR / 2);
        let all = PostedBundle::all(&settings(), &schedule, true);
        let told: Vec<BundleStatus> = all.iter().map(|bundle| bundle.status(NOW)).collect();
        let bundle = |version: u8, state, until| BundleStatus {
            name: "treasury".into(),
            version: version.into(),
            digest: Hash([version; 32]),
            state,
            until,
            signed: 2,
            needed: 2,
        };
        let at = UnixMillis(NOW.0 + 1_800_000);
        assert_eq!(
            told,
            [
                bundle(1, BundleState::InForce, None),
                bundle(2, BundleState::Waiting, Some(at)),
            ]
        );
    }

    /// Else a node that still decides by the bundle before would say that it decides by this one.
    #[test]
    fn a_bundle_that_the_guard_could_not_take_up_is_not_told_to_be_in_force() {
        let all = PostedBundle::all(&settings(), &schedule(), false);
        let told = all[0].status(NOW);
        assert_eq!((told.state, told.until), (BundleState::Waiting, Some(NOW)));
    }

    #[test]
    fn every_code_is_counted_from_zero_where_bundles_are_followed() {
        let board = BundleBoard::default();
        assert!(board.refused().is_empty());
        board.post(Vec::new());
        let error = TakeError::from(ScheduleError::InForce);
        board.refuse(error.code());
        board.refuse(error.code());
        let refused = board.refused();
        assert_eq!(refused.len(), CODES.len());
        let counted: Vec<_> = refused.iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [&("out-of-turn", 2)]);
    }
}
