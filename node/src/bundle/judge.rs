//! The judgement whether a bundle refuses whatever the one before refused. It is this node's own,
//! over its own recordings. Whatever is not shown counts as a loosening.

use std::collections::BTreeMap;

use countersign_host::{Doubt, Scope, Tightening};
use serde::{Deserialize, Serialize};

use super::manifest::{BundleEntry, Manifest};
use crate::backtest::BacktestResult;
use crate::config::{PluginEntry, Policy};

/// The difference that one entry makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Only the new bundle has it.
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
        /// The number of approvals after which it would remember something else.
        remembers_otherwise: u64,
        /// True if the entry before counts what other members approve, and this one does not.
        stops_counting: bool,
    },
    /// It was not asked, for this reason.
    NotAsked(String),
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

/// What decides beside a bundle, and stays.
#[derive(Debug, Clone, Copy)]
pub struct Around<'p> {
    /// The operator's own entries that decide.
    pub own: &'p [PluginEntry],
    /// The bundle in force.
    pub present: Option<&'p Manifest>,
}

impl Evidence {
    /// The evidence of a backtest.
    pub fn of(result: &BacktestResult, stops_counting: bool) -> Self {
        Self::Asked {
            tightening: result.tightening(),
            refused: result.refused,
            remembers_otherwise: result.remembers_otherwise,
            stops_counting,
        }
    }
}

/// The operator's own entries that decide.
pub fn own(policy: &Policy) -> Vec<PluginEntry> {
    let plugins = policy.plugins.iter();
    let own = plugins.filter(|entry| !policy.from_bundle.contains(&entry.name));
    own.filter(|entry| entry.shadow.is_none())
        .cloned()
        .collect()
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

/// Judges the next bundle by what is around it, and by the evidence about the changed entries.
pub fn judge(
    around: Around<'_>,
    next: &Manifest,
    evidence: &BTreeMap<String, Evidence>,
) -> Judgement {
    let mut reasons = Vec::new();
    for step in steps(around.present, next) {
        let (entry, doubts) = match step {
            Step::New(entry) => {
                let doubts = scope_doubts(around, next, &entry).into_iter();
                (entry, doubts.collect::<Vec<String>>())
            }
            Step::Removed(entry) => {
                let why = "it is removed, so nothing refuses in its place";
                (entry, vec![why.into()])
            }
            Step::Changed(entry) => {
                let mut doubts = evidence_doubts(evidence.get(&entry));
                doubts.extend(scope_doubts(around, next, &entry));
                doubts.extend(state_doubts(around, next, &entry));
                (entry, doubts)
            }
        };
        reasons.extend(doubts.into_iter().map(|why| Reason {
            entry: entry.clone(),
            why,
        }));
    }
    if reasons.is_empty() {
        Judgement::Tightens
    } else {
        Judgement::MayLoosen(reasons)
    }
}

/// A task that no entry guards is refused. So an entry that guards what none guarded before
/// approves what was refused.
fn scope_doubts(around: Around<'_>, next: &Manifest, name: &str) -> Option<String> {
    let scope = next.entry(name)?.scope.resolved();
    let before = around.present.and_then(|present| present.entry(name));
    if before.is_some_and(|before| before.scope.resolved().includes(&scope)) {
        return None;
    }
    (!around.guards(next, &scope)).then(|| {
        "its scope is not within that of one entry which decides now and stays, so it may approve what is refused because nothing guards it".into()
    })
}

/// An entry that may remember less than before counts less.
fn state_doubts(around: Around<'_>, next: &Manifest, name: &str) -> Option<String> {
    let before = around.present?.entry(name)?.grants.state_bytes;
    let after = next.entry(name)?.grants.state_bytes;
    (after < before).then(|| format!("it asks for {after} state_bytes, and had {before}"))
}

impl Around<'_> {
    /// True if one entry that decides now, and decides after `next` too, guards all of this scope.
    fn guards(&self, next: &Manifest, scope: &Scope) -> bool {
        let own = |entry: &PluginEntry| entry.scope.resolved().includes(scope);
        let before: &[BundleEntry] = self.present.map_or(&[], |present| &present.entries);
        let stays = |before: &BundleEntry| {
            let after = next.entry(&before.name);
            let replaced = self.own.iter().any(|own| own.name == before.name);
            !replaced
                && before.scope.resolved().includes(scope)
                && after.is_some_and(|after| after.scope.resolved().includes(scope))
        };
        self.own.iter().any(own) || before.iter().any(stays)
    }
}

fn evidence_doubts(evidence: Option<&Evidence>) -> Vec<String> {
    let (tightening, refused, remembers_otherwise, stops_counting) = match evidence {
        None => return vec!["it was not asked".into()],
        Some(Evidence::NotAsked(why)) => return vec![format!("it was not asked: {why}")],
        Some(Evidence::Asked {
            tightening,
            refused,
            remembers_otherwise,
            stops_counting,
        }) => (tightening, *refused, *remembers_otherwise, *stops_counting),
    };
    let mut doubts: Vec<String> = match tightening {
        Tightening::NotProven(doubts) => doubts.iter().map(|doubt| words(*doubt)).collect(),
        // Approvals alone say nothing about what it was there to refuse.
        Tightening::Proven if refused == 0 => {
            vec!["no refusal of the entry before is on record to compare it with".into()]
        }
        Tightening::Proven => Vec::new(),
    };
    // What it does not remember, it will not count later.
    if remembers_otherwise > 0 {
        doubts.push(format!(
            "after {remembers_otherwise} of the approved it would remember something else, and so may count otherwise"
        ));
    }
    if stops_counting {
        doubts.push("it does not count what other members approve".into());
    }
    doubts
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
    use countersign_protocol::{OperationKind, Scheme};

    use super::super::manifest::tests::{entry, manifest};
    use super::*;
    use crate::config::RawScope;

    fn asked(tightening: Tightening, refused: u64) -> Evidence {
        Evidence::Asked {
            tightening,
            refused,
            remembers_otherwise: 0,
            stops_counting: false,
        }
    }

    fn proven(refused: u64) -> Evidence {
        asked(Tightening::Proven, refused)
    }

    fn changed() -> Step {
        Step::Changed("a".into())
    }

    /// The judgement on a change of the entry `a`, in a bundle that has `b` too.
    fn changed_by(change: impl Fn(&mut BundleEntry), evidence: Option<Evidence>) -> Judgement {
        let before = manifest(1, vec![entry("a", "a", "{}"), entry("b", "b", "{}")]);
        let mut after = before.clone();
        change(&mut after.entries[0]);
        let around = Around {
            own: &[],
            present: Some(&before),
        };
        let evidence = evidence.map(|evidence| ("a".to_owned(), evidence));
        judge(around, &after, &evidence.into_iter().collect())
    }

    fn judged(evidence: Option<Evidence>) -> Judgement {
        changed_by(
            |entry| entry.config = countersign_protocol::Hash([1; 32]),
            evidence,
        )
    }

    fn scope(operations: &[OperationKind], schemes: &[Scheme]) -> RawScope {
        RawScope {
            operations: operations.to_vec(),
            keys: Vec::new(),
            schemes: schemes.to_vec(),
        }
    }

    fn scoped(name: &str, scope: RawScope) -> BundleEntry {
        BundleEntry {
            scope,
            ..entry(name, name, "{}")
        }
    }

    fn tightens(own: &[PluginEntry], before: Vec<BundleEntry>, after: Vec<BundleEntry>) -> bool {
        let present = (!before.is_empty()).then(|| manifest(1, before));
        let around = Around {
            own,
            present: present.as_ref(),
        };
        let evidence = ("a".to_owned(), proven(1));
        judge(around, &manifest(2, after), &[evidence].into()) == Judgement::Tightens
    }

    fn own_entry(scope: RawScope) -> PluginEntry {
        PluginEntry {
            scope,
            ..crate::specimen::entry("own", std::path::Path::new("own.wasm"))
        }
    }

    const SHARES: OperationKind = OperationKind::KeyShareSign;
    const SIGN: OperationKind = OperationKind::KeySign;

    #[test]
    fn an_entry_that_guards_what_nothing_guarded_is_a_loosening() {
        let signs = || scoped("rules", scope(&[SIGN], &[]));
        for (new, expected) in [
            (scope(&[SIGN], &[]), true),
            (scope(&[SIGN], &[Scheme::Ed25519]), true),
            (scope(&[SHARES], &[]), false),
            (scope(&[SIGN, SHARES], &[]), false),
            (RawScope::default(), false),
        ] {
            let after = vec![signs(), scoped("new", new.clone())];
            assert_eq!(tightens(&[], vec![signs()], after), expected, "{new:?}");
            let own = [own_entry(scope(&[SIGN], &[]))];
            let first = vec![scoped("new", new)];
            assert_eq!(tightens(&own, Vec::new(), first), expected);
        }
    }

    #[test]
    fn what_guards_a_new_entry_decides_before_and_after() {
        let new = || scoped("new", scope(&[SIGN], &[]));
        let all = || scoped("a", RawScope::default());
        assert!(tightens(&[], vec![all()], vec![all(), new()]));
        let other = scoped("a", scope(&[SHARES], &[]));
        assert!(!tightens(&[], vec![other.clone()], vec![all(), new()]));
        assert!(!tightens(&[], vec![all()], vec![other, new()]));
        // An entry of the operator stands in place of the bundle's, and guards less.
        let mut own = own_entry(scope(&[SHARES], &[]));
        own.name = "a".into();
        assert!(!tightens(&[own], vec![all()], vec![all(), new()]));
    }

    #[test]
    fn a_shadow_and_what_comes_from_a_bundle_are_not_the_operators_guards() {
        let mut shadow = own_entry(RawScope::default());
        shadow.shadow = Some(crate::config::Shadow::Chain);
        let policy = Policy {
            plugins: vec![shadow, own_entry(scope(&[SIGN], &[]))],
            ..Policy::default()
        };
        assert_eq!(own(&policy), policy.plugins[1..]);
        let bundled = policy.with_bundle(vec![crate::specimen::entry(
            "bundled",
            std::path::Path::new("b.wasm"),
        )]);
        assert_eq!(own(&bundled), bundled.plugins[1..2]);
    }

    #[test]
    fn a_wider_scope_needs_another_guard_and_a_narrower_one_does_not() {
        let of = |operations: &[OperationKind]| scoped("a", scope(operations, &[]));
        let before = || vec![of(&[SIGN])];
        assert!(!tightens(&[], before(), vec![of(&[SIGN, SHARES])]));
        assert!(!tightens(&[], before(), vec![of(&[])]));
        let own = [own_entry(RawScope::default())];
        assert!(tightens(&own, before(), vec![of(&[SIGN, SHARES])]));
        assert!(tightens(&[], vec![of(&[])], before()));
    }

    #[test]
    fn an_entry_that_counts_less_is_a_loosening() {
        let evidence = |remembers_otherwise, stops_counting| Evidence::Asked {
            tightening: Tightening::Proven,
            refused: 1,
            remembers_otherwise,
            stops_counting,
        };
        assert_eq!(judged(Some(evidence(0, false))), Judgement::Tightens);
        for less in [evidence(1, false), evidence(0, true)] {
            assert!(matches!(judged(Some(less)), Judgement::MayLoosen(_)));
        }
        let mut before = scoped("a", RawScope::default());
        before.grants.state_bytes = 10;
        let after = |state_bytes| {
            let mut after = before.clone();
            after.grants.state_bytes = state_bytes;
            vec![after]
        };
        assert!(tightens(&[], vec![before.clone()], after(11)));
        assert!(!tightens(&[], vec![before.clone()], after(9)));
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
    fn a_proven_change_and_none_tighten() {
        assert_eq!(judged(Some(proven(1))), Judgement::Tightens);
        assert_eq!(changed_by(|_| (), None), Judgement::Tightens);
    }

    #[test]
    fn what_is_not_shown_is_a_loosening() {
        for evidence in [
            None,
            Some(proven(0)),
            Some(asked(Tightening::NotProven(vec![Doubt::Gap]), 5)),
            Some(Evidence::NotAsked("no memory".into())),
        ] {
            let judged = judged(evidence.clone());
            assert!(matches!(judged, Judgement::MayLoosen(_)), "{evidence:?}");
        }
        let kept = || entry("b", "b", "{}");
        let both = vec![entry("a", "a", "{}"), kept()];
        assert!(!tightens(&[], both, vec![kept()]), "`a` is removed");
    }

    #[test]
    fn one_doubt_is_enough() {
        let before = manifest(1, vec![entry("a", "a", "{}"), entry("c", "c", "{}")]);
        let entries = ["a", "b", "c"].map(|name| entry(name, name, "[]"));
        let around = Around {
            own: &[own_entry(RawScope::default())],
            present: Some(&before),
        };
        let evidence = [("a".to_owned(), proven(3)), ("c".to_owned(), proven(0))];
        let judgement = judge(around, &manifest(2, entries.into()), &evidence.into());
        let Judgement::MayLoosen(reasons) = judgement else {
            panic!("`c` is not proven");
        };
        assert_eq!(reasons.len(), 1);
        assert_eq!(reasons[0].entry, "c");
    }
}
