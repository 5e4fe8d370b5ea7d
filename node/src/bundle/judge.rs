//! The judgement whether a bundle refuses whatever the one before refused. It is this node's own,
//! over its own recordings. Whatever is not shown counts as a loosening.

use std::collections::BTreeMap;

use countersign_host::{Doubt, Tightening};
use serde::{Deserialize, Serialize};

use super::manifest::{BundleEntry, Manifest};
use crate::backtest::BacktestResult;

/// The difference that one entry makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Only the new bundle has it. It can only refuse more.
    New(String),
    /// It is other than before.
    Changed(String),
    /// The new bundle does not have it.
    Removed(String),
}

/// What the recordings show about an entry that has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evidence {
    /// It was asked the recorded questions.
    Asked {
        /// The finding.
        tightening: Tightening,
        /// The number of recorded refusals of the entry before.
        refused: u64,
    },
    /// It could not be asked, for this reason.
    Failed(String),
}

/// The judgement on a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Judgement {
    /// It refuses whatever the one before refused.
    Tightens,
    /// It may approve what the one before refused, for these reasons.
    MayLoosen(Vec<Reason>),
}

/// A reason for which a bundle may loosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The entry.
    pub entry: String,
    /// What is not shown about it, in words.
    pub why: String,
}

impl From<&BacktestResult> for Evidence {
    fn from(result: &BacktestResult) -> Self {
        Self::Asked {
            tightening: result.tightening(),
            refused: result.refused,
        }
    }
}

/// The differences between the bundle in force and the next one. Entries that are the same are left
/// out, and so is their order, which decides nothing: every entry must approve.
pub fn steps(present: Option<&Manifest>, next: &Manifest) -> Vec<Step> {
    let before: &[BundleEntry] = present.map_or(&[], |present| &present.entries);
    let removed = before
        .iter()
        .filter(|entry| next.entry(&entry.name).is_none());
    let removed = removed.map(|entry| Step::Removed(entry.name.clone()));
    let present = |name: &str| before.iter().find(|entry| entry.name == name);
    let others = next
        .entries
        .iter()
        .filter_map(|entry| match present(&entry.name) {
            None => Some(Step::New(entry.name.clone())),
            Some(before) if before == entry => None,
            Some(_) => Some(Step::Changed(entry.name.clone())),
        });
    removed.chain(others).collect()
}

/// Judges the differences by the evidence about the changed entries.
pub fn judge(steps: &[Step], evidence: &BTreeMap<String, Evidence>) -> Judgement {
    let mut reasons = Vec::new();
    for step in steps {
        match step {
            Step::New(_) => {}
            Step::Removed(entry) => reasons.push(Reason {
                entry: entry.clone(),
                why: "it is removed, so nothing refuses in its place".into(),
            }),
            Step::Changed(entry) => {
                let doubts = doubts(evidence.get(entry));
                reasons.extend(doubts.into_iter().map(|why| Reason {
                    entry: entry.clone(),
                    why,
                }));
            }
        }
    }
    if reasons.is_empty() {
        Judgement::Tightens
    } else {
        Judgement::MayLoosen(reasons)
    }
}

fn doubts(evidence: Option<&Evidence>) -> Vec<String> {
    match evidence {
        None => vec!["it was not asked".into()],
        Some(Evidence::Failed(why)) => vec![format!("it could not be asked: {why}")],
        Some(Evidence::Asked {
            tightening: Tightening::NotProven(doubts),
            ..
        }) => doubts.iter().map(|doubt| words(*doubt)).collect(),
        // Approvals alone say nothing about what it was there to refuse.
        Some(Evidence::Asked {
            tightening: Tightening::Proven,
            refused: 0,
        }) => vec!["no refusal of the entry before is on record to compare it with".into()],
        Some(Evidence::Asked {
            tightening: Tightening::Proven,
            refused: _,
        }) => Vec::new(),
    }
}

/// The doubt in words.
pub fn words(doubt: Doubt) -> String {
    match doubt {
        Doubt::Looser(tasks) => format!("{tasks} of the refused would be approved"),
        Doubt::NotJudged(tasks) => format!("{tasks} could not be judged"),
        Doubt::Gap => "recordings of the time are no longer kept".into(),
        Doubt::NothingAsked => "the entry before was asked nothing".into(),
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.entry, self.why)
    }
}

#[cfg(test)]
mod tests {
    use super::super::manifest::tests::{entry, manifest};
    use super::*;

    fn proven(refused: u64) -> Evidence {
        Evidence::Asked {
            tightening: Tightening::Proven,
            refused,
        }
    }

    fn judged(step: Step, evidence: Option<Evidence>) -> Judgement {
        let evidence = evidence.map(|evidence| ("a".to_owned(), evidence));
        judge(&[step], &evidence.into_iter().collect())
    }

    fn changed() -> Step {
        Step::Changed("a".into())
    }

    #[test]
    fn each_entry_that_differs_is_a_step() {
        let kept = || entry("kept", "k", "{}");
        let before = manifest(
            1,
            vec![
                kept(),
                entry("changed", "c", "{}"),
                entry("gone", "g", "{}"),
            ],
        );
        let after = manifest(
            2,
            vec![entry("new", "n", "{}"), entry("changed", "c", "[]"), kept()],
        );
        let expected = [
            Step::Removed("gone".into()),
            Step::New("new".into()),
            Step::Changed("changed".into()),
        ];
        assert_eq!(steps(Some(&before), &after), expected);
        assert!(steps(Some(&before), &before).is_empty());
        let first = steps(None, &before);
        assert!(first.iter().all(|step| matches!(step, Step::New(_))));
    }

    #[test]
    fn every_property_of_an_entry_is_a_change() {
        let changes: [fn(&mut BundleEntry); 5] = [
            |entry| entry.component = countersign_protocol::Hash([1; 32]),
            |entry| entry.config = countersign_protocol::Hash([1; 32]),
            |entry| entry.scope.schemes = vec![countersign_protocol::Scheme::Ed25519],
            |entry| entry.grants.keys = vec!["approver".into()],
            |entry| entry.monitor_interval = "30s".into(),
        ];
        let before = manifest(1, vec![entry("a", "a", "{}")]);
        for change in changes {
            let mut after = before.clone();
            change(&mut after.entries[0]);
            assert_eq!(steps(Some(&before), &after), [changed()]);
        }
    }

    #[test]
    fn a_new_entry_and_a_proven_change_tighten() {
        assert_eq!(judged(Step::New("a".into()), None), Judgement::Tightens);
        assert_eq!(judged(changed(), Some(proven(1))), Judgement::Tightens);
        assert_eq!(judge(&[], &BTreeMap::new()), Judgement::Tightens);
    }

    #[test]
    fn what_is_not_shown_is_a_loosening() {
        let not_proven = Evidence::Asked {
            tightening: Tightening::NotProven(vec![Doubt::Gap]),
            refused: 5,
        };
        for (step, evidence) in [
            (Step::Removed("a".into()), None),
            (Step::Removed("a".into()), Some(proven(1))),
            (changed(), None),
            (changed(), Some(proven(0))),
            (changed(), Some(not_proven)),
            (changed(), Some(Evidence::Failed("no memory".into()))),
        ] {
            let judged = judged(step.clone(), evidence);
            assert!(matches!(judged, Judgement::MayLoosen(_)), "{step:?}");
        }
    }

    #[test]
    fn one_doubt_is_enough() {
        let steps = [changed(), Step::New("b".into()), Step::Changed("c".into())];
        let evidence = [("a".to_owned(), proven(3)), ("c".to_owned(), proven(0))];
        let Judgement::MayLoosen(reasons) = judge(&steps, &evidence.into()) else {
            panic!("`c` is not proven");
        };
        assert_eq!(reasons.len(), 1);
        assert_eq!(reasons[0].entry, "c");
    }
}
