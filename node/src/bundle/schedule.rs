//! Which bundle is in force, and which one waits. Every bundle waits at first; the judgement that
//! it tightens ends the wait, and nothing else shortens it.
//!
//! The wait is counted in time that passes while the node runs, by a clock that nobody can set. The
//! calendar has no part in it: a clock that is moved changes only what is displayed, and time in
//! which the node does not run does not count.

use std::time::Duration;

use countersign_protocol::{Hash, UnixMillis};
use countersign_store::BundleMark;
use serde::{Deserialize, Serialize};

use super::judge::{Judgement, Reason};
use super::manifest::Manifest;

/// Version of the state.
const FORMAT: u32 = 1;
/// The most by which a version may be above the highest before it. One at the end of all numbers
/// would be the last.
const STEP: u64 = 1 << 32;

/// The state of a node's bundles. Kept in a file of JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    format: u32,
    /// The bundle in force.
    pub present: Option<Placed>,
    /// The one that was in force before.
    pub previous: Option<Placed>,
    /// The bundle that waits.
    pub waiting: Option<Waiting>,
    /// The highest version that was ever in force.
    highest: u64,
}

/// A bundle that is or was in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Placed {
    /// Hash of its manifest.
    pub bundle: Hash,
    /// Its version.
    pub version: u64,
    /// The operator's names of those who signed it.
    pub signers: Vec<String>,
    /// The time at which it took effect, by the node's clock.
    pub since: UnixMillis,
}

/// A bundle that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiting {
    /// Hash of its manifest.
    pub bundle: Hash,
    /// Its version.
    pub version: u64,
    /// The operator's names of those who signed it.
    pub signers: Vec<String>,
    /// True if it was in force before, and the operator wants it back.
    pub rollback: bool,
    /// The time at which it was taken, by the node's clock.
    pub taken: UnixMillis,
    /// Milliseconds that it has to wait, as they were configured then.
    pub delay_ms: u64,
    /// Milliseconds that it has waited.
    pub waited_ms: u64,
    /// The judgement on it; absent until it is made.
    pub judgement: Option<Judgement>,
}

/// Reasons why a bundle cannot be scheduled, withdrawn or rolled back.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScheduleError {
    /// It is in force.
    #[error("it is in force already; there is nothing to do")]
    InForce,
    /// It waits.
    #[error("it waits already; see `policy status`")]
    Waits,
    /// A bundle with that version, or a higher one, was in force.
    #[error(
        "its version is {version}, and {highest} was in force; have it published with a higher version"
    )]
    Old {
        /// The version of the bundle.
        version: u64,
        /// The highest version that was in force.
        highest: u64,
    },
    /// Its version is too far above the ones before.
    #[error(
        "its version is {version}, and {highest} was the highest in force; have it published with one of the next {}",
        STEP
    )]
    Far {
        /// The version of the bundle.
        version: u64,
        /// The highest version that was in force.
        highest: u64,
    },
    /// A later version waits.
    #[error("its version is {version}, and {waiting} waits; run `policy withdraw` first")]
    Overtaken {
        /// The version of the bundle.
        version: u64,
        /// The version that waits.
        waiting: u64,
    },
    /// Nothing waits.
    #[error("no bundle waits; see `policy status`")]
    NothingWaits,
    /// There was no other bundle.
    #[error("no other bundle was in force before; have one published")]
    NoPrevious,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            format: FORMAT,
            present: None,
            previous: None,
            waiting: None,
            highest: 0,
        }
    }
}

impl Schedule {
    /// True if this program can read the state.
    pub fn is_known(&self) -> bool {
        self.format == FORMAT
    }

    /// The schedule of a node that has lost its bundles, or had none, and gets this one. `noted` is
    /// what its journal knows of the one before.
    pub fn first(
        bundle: Hash,
        manifest: &Manifest,
        signers: &[String],
        noted: Option<BundleMark>,
        now: UnixMillis,
    ) -> Result<Self, ScheduleError> {
        let version = manifest.version;
        let highest = noted.map_or(0, |noted| noted.highest);
        if noted.is_none_or(|noted| noted.bundle != bundle) {
            check_version(version, highest)?;
        }
        Ok(Self {
            present: Some(Placed {
                bundle,
                version,
                signers: signers.to_vec(),
                since: now,
            }),
            highest: highest.max(version),
            ..Self::default()
        })
    }

    /// What the journal is to know of the bundle in force.
    pub fn mark(&self) -> Option<BundleMark> {
        self.present.as_ref().map(|present| BundleMark {
            bundle: present.bundle,
            highest: self.highest,
        })
    }

    /// True if this can be the state of a node whose journal has that note: it is the bundle in
    /// force, or the one before, if the program ended before it could note the next.
    pub fn fits(&self, noted: &BundleMark) -> bool {
        let placed = [&self.present, &self.previous].into_iter().flatten();
        let mut bundles = placed.map(|placed| placed.bundle);
        self.highest >= noted.highest && bundles.any(|bundle| bundle == noted.bundle)
    }

    /// True if this bundle is in force.
    pub fn has_in_force(&self, bundle: &Hash) -> bool {
        let present = self.present.as_ref();
        present.is_some_and(|present| present.bundle == *bundle)
    }

    /// Has a published bundle wait, in place of an earlier one that waits. Returns that.
    pub fn take(
        &mut self,
        bundle: Hash,
        manifest: &Manifest,
        signers: &[String],
        delay: Duration,
        now: UnixMillis,
    ) -> Result<Option<Waiting>, ScheduleError> {
        let version = manifest.version;
        if self.has_in_force(&bundle) {
            return Err(ScheduleError::InForce);
        }
        if let Some(waiting) = &self.waiting {
            if waiting.bundle == bundle {
                return Err(ScheduleError::Waits);
            }
            if !waiting.rollback && waiting.version >= version {
                let waiting = waiting.version;
                return Err(ScheduleError::Overtaken { version, waiting });
            }
        }
        check_version(version, self.highest)?;
        Ok(self.waiting.replace(Waiting {
            bundle,
            version,
            signers: signers.to_vec(),
            rollback: false,
            taken: now,
            delay_ms: millis(delay),
            waited_ms: 0,
            judgement: None,
        }))
    }

    /// Has the bundle before the present one wait, in place of one that waits. Returns that. It is
    /// judged like any other.
    pub fn roll_back(
        &mut self,
        delay: Duration,
        now: UnixMillis,
    ) -> Result<Option<Waiting>, ScheduleError> {
        let previous = self.previous.clone().ok_or(ScheduleError::NoPrevious)?;
        if self
            .waiting
            .as_ref()
            .is_some_and(|waiting| waiting.bundle == previous.bundle)
        {
            return Err(ScheduleError::Waits);
        }
        Ok(self.waiting.replace(Waiting {
            bundle: previous.bundle,
            version: previous.version,
            signers: previous.signers,
            rollback: true,
            taken: now,
            delay_ms: millis(delay),
            waited_ms: 0,
            judgement: None,
        }))
    }

    /// Takes back the bundle that waits.
    pub fn withdraw(&mut self) -> Result<Waiting, ScheduleError> {
        self.waiting.take().ok_or(ScheduleError::NothingWaits)
    }

    /// Notes the judgement on a bundle, made by comparison with `against`. False if that bundle
    /// does not wait any more, or another one is in force by now.
    #[must_use]
    pub fn judged(&mut self, bundle: Hash, against: Option<Hash>, judgement: Judgement) -> bool {
        let present = self.present.as_ref().map(|present| present.bundle);
        match &mut self.waiting {
            Some(waiting) if waiting.bundle == bundle && present == against => {
                waiting.judgement = Some(judgement);
                true
            }
            Some(_) | None => false,
        }
    }

    /// Counts time that has passed while the node ran, by a clock that nobody can set.
    pub fn pass(&mut self, elapsed: Duration) {
        if let Some(waiting) = &mut self.waiting {
            waiting.waited_ms = waiting.waited_ms.saturating_add(millis(elapsed));
        }
    }

    /// The bundle that is to take effect now.
    pub fn due(&self) -> Option<&Waiting> {
        self.waiting.as_ref().filter(|waiting| waiting.is_due())
    }

    /// Puts the bundle that is due in force. False if none is.
    #[must_use]
    pub fn put_in_force(&mut self, now: UnixMillis) -> bool {
        let Some(due) = self.waiting.take_if(|waiting| waiting.is_due()) else {
            return false;
        };
        self.highest = self.highest.max(due.version);
        self.previous = self.present.replace(Placed {
            bundle: due.bundle,
            version: due.version,
            signers: due.signers,
            since: now,
        });
        true
    }

    /// The bundles whose files are needed.
    pub fn needed(&self) -> Vec<Hash> {
        let placed = [&self.present, &self.previous].into_iter().flatten();
        let waiting = self.waiting.iter().map(|waiting| waiting.bundle);
        placed.map(|placed| placed.bundle).chain(waiting).collect()
    }
}

impl Waiting {
    /// True if it may take effect.
    fn is_due(&self) -> bool {
        match &self.judgement {
            Some(Judgement::Tightens) => true,
            Some(Judgement::MayLoosen(_)) | None => self.waited_ms >= self.delay_ms,
        }
    }

    /// The time that it still has to wait.
    pub fn left(&self) -> Duration {
        if self.is_due() {
            Duration::ZERO
        } else {
            Duration::from_millis(self.delay_ms.saturating_sub(self.waited_ms))
        }
    }

    /// The reasons for which it waits, if it was judged.
    pub fn reasons(&self) -> &[Reason] {
        match &self.judgement {
            Some(Judgement::MayLoosen(reasons)) => reasons,
            Some(Judgement::Tightens) | None => &[],
        }
    }
}

/// Versions only grow, and not by leaps.
fn check_version(version: u64, highest: u64) -> Result<(), ScheduleError> {
    if version <= highest {
        Err(ScheduleError::Old { version, highest })
    } else if version - highest > STEP {
        Err(ScheduleError::Far { version, highest })
    } else {
        Ok(())
    }
}

/// A duration in milliseconds.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::manifest::tests::{entry, manifest};
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const NOW: UnixMillis = UnixMillis(1_000_000);

    fn take(schedule: &mut Schedule, number: u8) -> Result<Option<Waiting>, ScheduleError> {
        let manifest = manifest(number.into(), vec![entry("rules", "a", "{}")]);
        schedule.take(
            Hash([number; 32]),
            &manifest,
            &["ana".into()],
            HOUR * 48,
            NOW,
        )
    }

    fn loosens() -> Judgement {
        Judgement::MayLoosen(vec![Reason {
            entry: "rules".into(),
            why: "it is removed".into(),
        }])
    }

    fn judged(schedule: &mut Schedule, number: u8, judgement: Judgement) -> bool {
        let against = schedule.present.as_ref().map(|present| present.bundle);
        schedule.judged(Hash([number; 32]), against, judgement)
    }

    /// A schedule with these versions in force, one after the other.
    fn after(versions: &[u8]) -> Schedule {
        let mut schedule = Schedule::default();
        for version in versions {
            take(&mut schedule, *version).unwrap();
            assert!(judged(&mut schedule, *version, Judgement::Tightens));
            assert!(schedule.put_in_force(NOW));
        }
        schedule
    }

    fn in_force(schedule: &Schedule) -> Option<u64> {
        schedule.present.as_ref().map(|present| present.version)
    }

    #[test]
    fn what_tightens_takes_effect_at_once() {
        let mut schedule = after(&[1]);
        take(&mut schedule, 2).unwrap();
        assert!(!schedule.put_in_force(NOW), "it is not judged yet");
        assert!(judged(&mut schedule, 2, Judgement::Tightens));
        assert!(schedule.put_in_force(NOW));
        assert_eq!(in_force(&schedule), Some(2));
        assert_eq!(schedule.waiting, None);
    }

    #[test]
    fn what_may_loosen_or_is_not_judged_waits_for_its_delay() {
        for judgement in [Some(loosens()), None] {
            let mut schedule = after(&[1]);
            take(&mut schedule, 2).unwrap();
            if let Some(judgement) = judgement {
                assert!(judged(&mut schedule, 2, judgement));
            }
            schedule.pass(HOUR * 48 - Duration::from_millis(1));
            assert!(!schedule.put_in_force(NOW));
            assert_eq!(in_force(&schedule), Some(1));
            schedule.pass(Duration::from_millis(1));
            assert!(schedule.put_in_force(NOW));
            assert_eq!(in_force(&schedule), Some(2));
        }
    }

    #[test]
    fn a_wait_goes_on_after_a_restart_and_the_calendar_has_no_part_in_it() {
        let mut schedule = after(&[1]);
        take(&mut schedule, 2).unwrap();
        assert!(judged(&mut schedule, 2, loosens()));
        schedule.pass(HOUR * 30);
        let kept = serde_json::to_vec(&schedule).unwrap();
        let mut again: Schedule = serde_json::from_slice(&kept).unwrap();
        assert_eq!(again, schedule);
        for clock in [UnixMillis(u64::MAX), UnixMillis(0), UnixMillis(u64::MAX)] {
            assert!(!again.put_in_force(clock), "the clock was moved");
        }
        again.pass(HOUR * 18);
        assert!(again.put_in_force(NOW));
        assert_eq!(in_force(&again), Some(2));
    }

    #[test]
    fn a_judgement_by_another_comparison_does_not_count() {
        let mut schedule = after(&[1]);
        take(&mut schedule, 3).unwrap();
        let waits = Hash([3; 32]);
        for against in [None, Some(Hash([2; 32])), Some(waits)] {
            assert!(!schedule.judged(waits, against, Judgement::Tightens));
        }
        let present = Some(Hash([1; 32]));
        assert!(!schedule.judged(Hash([9; 32]), present, Judgement::Tightens));
        assert!(schedule.due().is_none());
    }

    #[test]
    fn no_version_comes_back_but_by_rollback() {
        let mut schedule = after(&[2, 5]);
        assert_eq!(take(&mut schedule, 5), Err(ScheduleError::InForce));
        for version in [1_u8, 2, 4] {
            let old = ScheduleError::Old {
                version: version.into(),
                highest: 5,
            };
            assert_eq!(take(&mut schedule, version), Err(old));
        }
        schedule.roll_back(HOUR, NOW).unwrap();
        schedule.pass(HOUR);
        assert!(schedule.put_in_force(NOW));
        assert_eq!(in_force(&schedule), Some(2));
        let refused = take(&mut schedule, 4).unwrap_err();
        assert!(matches!(refused, ScheduleError::Old { highest: 5, .. }));
        take(&mut schedule, 6).unwrap();
    }

    #[test]
    fn a_rollback_is_judged_like_any_change() {
        let mut schedule = after(&[1, 2]);
        schedule.roll_back(HOUR, NOW).unwrap();
        assert!(!schedule.put_in_force(NOW));
        assert_eq!(schedule.roll_back(HOUR, NOW), Err(ScheduleError::Waits));
        assert!(judged(&mut schedule, 1, Judgement::Tightens));
        assert!(schedule.put_in_force(NOW));
        assert_eq!(in_force(&schedule), Some(1));
        schedule.roll_back(HOUR, NOW).unwrap();
        assert_eq!(schedule.waiting.map(|waiting| waiting.version), Some(2));
        let first = after(&[1]).roll_back(HOUR, NOW);
        assert_eq!(first, Err(ScheduleError::NoPrevious));
    }

    #[test]
    fn a_later_bundle_takes_the_place_of_one_that_waits_and_waits_anew() {
        let mut schedule = after(&[1]);
        take(&mut schedule, 3).unwrap();
        schedule.pass(HOUR * 47);
        assert_eq!(take(&mut schedule, 3), Err(ScheduleError::Waits));
        let overtaken = ScheduleError::Overtaken {
            version: 2,
            waiting: 3,
        };
        assert_eq!(take(&mut schedule, 2), Err(overtaken));
        let replaced = take(&mut schedule, 4).unwrap();
        assert_eq!(replaced.map(|waiting| waiting.version), Some(3));
        assert_eq!(schedule.waiting.as_ref().unwrap().left(), HOUR * 48);
    }

    #[test]
    fn a_version_that_would_be_the_last_is_refused() {
        let mut schedule = after(&[5]);
        let mut take = |version| {
            let manifest = manifest(version, vec![entry("rules", "a", "{}")]);
            schedule.take(Hash([9; 32]), &manifest, &[], HOUR, NOW)
        };
        for version in [u64::MAX, 5 + STEP + 1] {
            let refused = take(version).unwrap_err();
            assert_eq!(
                refused,
                ScheduleError::Far {
                    version,
                    highest: 5
                }
            );
        }
        take(5 + STEP).unwrap();
    }

    #[test]
    fn a_node_that_lost_its_bundle_gets_the_same_or_a_later_one() {
        let first = |number: u8, noted: Option<BundleMark>| {
            let manifest = manifest(number.into(), vec![entry("rules", "a", "{}")]);
            Schedule::first(Hash([number; 32]), &manifest, &[], noted, NOW)
        };
        let mut schedule = after(&[2, 5]);
        schedule.roll_back(HOUR, NOW).unwrap();
        schedule.pass(HOUR);
        assert!(schedule.put_in_force(NOW));
        let noted = schedule.mark();
        for refused in [1, 3, 5] {
            assert!(first(refused, noted).is_err(), "{refused}");
        }
        for (version, highest) in [(2, 5), (6, 6)] {
            let schedule = first(version, noted).unwrap();
            assert_eq!(in_force(&schedule), Some(version.into()));
            assert_eq!(schedule.highest, highest);
        }
        assert_eq!(in_force(&first(1, None).unwrap()), Some(1));
    }

    #[test]
    fn a_state_fits_the_note_on_the_bundle_in_force_or_on_the_one_before() {
        let mark = |versions: &[u8]| after(versions).mark().unwrap();
        let schedule = after(&[1, 2]);
        assert!(schedule.fits(&mark(&[1, 2])));
        assert!(schedule.fits(&mark(&[1])), "the next is not noted yet");
        assert!(!schedule.fits(&mark(&[1, 2, 3])));
        assert!(!schedule.fits(&mark(&[3])));
        assert!(!Schedule::default().fits(&mark(&[1])));
    }

    #[test]
    fn what_was_withdrawn_does_not_take_effect_and_can_be_taken_again() {
        let mut schedule = after(&[1]);
        take(&mut schedule, 2).unwrap();
        schedule.pass(HOUR * 47);
        assert_eq!(schedule.withdraw().unwrap().version, 2);
        schedule.pass(HOUR * 2);
        assert!(!schedule.put_in_force(NOW));
        assert_eq!(schedule.withdraw(), Err(ScheduleError::NothingWaits));
        take(&mut schedule, 2).unwrap();
        assert_eq!(schedule.waiting.unwrap().waited_ms, 0);
    }

    #[test]
    fn the_files_of_all_that_may_be_in_force_are_needed() {
        let mut schedule = after(&[1, 2, 3]);
        take(&mut schedule, 4).unwrap();
        assert_eq!(
            schedule.needed(),
            [3, 2, 4].map(|number| Hash([number; 32]))
        );
    }
}
