//! How a task ends: what nodes report, and what it proves.

use countersign_protocol::control::ToNode;
use countersign_protocol::{Cause, Failure, Intact, NodeId, Outcome, UnixMillis};

use super::{Change, Effects, Flow, World};
use crate::task::proof;
use crate::task::record::{Party, Proof, Report, State, is_abandonment};

/// The code of a result that does not stand up to verification.
const WRONG_RESULT: &str = "wrong-result";

impl Flow {
    /// The first outcome that a node reports is its own, but for a failure that a result replaces: a party that missed the last
    /// marks of a key reports once without and once with them, or that its operator gave it up.
    pub(super) fn reported(
        &mut self,
        from: NodeId,
        outcome: Outcome,
        world: &World<'_>,
        effects: &mut Effects,
    ) {
        let Some(party) = self.record.parties.iter().find(|party| party.node == from) else { return };
        let replaces = |report: &Report| {
            matches!(&report.outcome, Outcome::Failed(failure) if failure.code != WRONG_RESULT)
                && (matches!(outcome, Outcome::Created(_) | Outcome::Reshared(_))
                    || is_abandonment(&outcome) && report.outcome != outcome)
        };
        if party.report.as_ref().is_some_and(|report| !replaces(report)) {
            return;
        }
        let checked = match (&outcome, &self.record.result) {
            // The other signers report the very signatures that were verified already.
            (Outcome::Signed(signed), Some(Proof::Signed(known))) if signed == known => Ok(None),
            _ => self.check(&from, &outcome),
        };
        let (outcome, proof) = match checked {
            Ok(proof) => (outcome, proof),
            Err(wrong) => (Outcome::Failed(wrong_result(from, &wrong)), None),
        };
        if let Some(party) = self.record.party_mut(&from) {
            party.report = Some(Report { at: world.now, outcome: outcome.clone() });
        }
        effects.change = Change::Stored;
        match (proof.or_else(|| self.all_intact()), outcome) {
            (Some(proof), _) => self.complete(from, proof, world.now, effects),
            (None, Outcome::Refused(refusal)) if !self.record.state.is_final() => {
                self.reject(from, &refusal, world.now, effects);
            }
            (None, Outcome::Failed(failure)) => {
                let text = format!("failed at {from}: {} ({})", failure.text, failure.code);
                self.record.note(world.now, text);
                self.settle(from, effects);
            }
            (None, _) => {}
        }
    }

    /// A proof outranks every other end: what was verified exists, whatever else went wrong.
    pub(super) fn complete(&mut self, from: NodeId, proof: Proof, now: UnixMillis, effects: &mut Effects) {
        if self.record.state == State::Completed {
            return;
        }
        self.record.result = Some(proof);
        self.record.reason = None;
        self.enter(State::Completed, now, &format!("completed: {from} reported a verified result"), effects);
        let holds = |outcome: &Outcome| matches!(outcome, Outcome::Created(_) | Outcome::Reshared(_));
        let reported = |party: &Party| party.report.as_ref().is_some_and(|report| holds(&report.outcome));
        let lacking = self.record.parties.iter().filter(|party| !reported(party)).map(|party| party.node);
        for node in lacking.collect::<Vec<_>>() {
            self.settle(node, effects);
        }
    }

    /// Gives a party of a new key, or of a new generation, the marks that it may lack.
    pub(super) fn settle(&self, node: NodeId, effects: &mut Effects) {
        if let Some(announcement) = self.record.result.as_ref().and_then(Proof::wallet) {
            let announcement = Box::new(announcement.clone());
            effects.send.push((node, ToNode::Settle { task: self.task.id, announcement }));
        }
    }

    pub(super) fn check(&self, from: &NodeId, outcome: &Outcome) -> Result<Option<Proof>, String> {
        let parties: Vec<NodeId> = self.record.parties.iter().map(|party| party.node).collect();
        let wallet = self.wallet.as_ref();
        let order = proof::Order { task: &self.task, hash: self.hash, wallet, parties: &parties };
        proof::check(&order, from, outcome)
    }

    /// The result of a check-up, once every node has proven its share. Each proof was verified when it came in.
    fn all_intact(&self) -> Option<Proof> {
        let intact = |party: &Party| match &party.report.as_ref()?.outcome {
            Outcome::Intact(intact) => Some(intact.clone()),
            _ => None,
        };
        let all: Option<Vec<Intact>> = self.record.parties.iter().map(intact).collect();
        all.filter(|all| !all.is_empty()).map(Proof::Intact)
    }

    /// Once all have reported, or some time after the first failure, the first real cause is the task's.
    pub(super) fn conclude_failures(&mut self, world: &World<'_>, effects: &mut Effects) {
        let Some(first) = self.record.parties.iter().filter_map(|p| Some(p.report.as_ref()?.at.0)).min()
        else {
            return;
        };
        let waited = world.now.0 >= first.saturating_add(world.timings.grace);
        if self.record.state.is_final() || (!waited && self.unreported().next().is_some()) {
            return;
        }
        let Some(cause) = first_real_cause(&self.record.parties) else { return };
        self.fail(&cause.code, cause.text, cause.culprits, world.now, effects);
    }
}

/// The earliest cause that is not merely "somebody else gave up"; that one if there is no other.
pub(super) fn first_real_cause(parties: &[Party]) -> Option<Failure> {
    let mut failures: Vec<(bool, u64, Failure)> = parties
        .iter()
        .filter_map(|party| {
            let report = party.report.as_ref()?;
            let Outcome::Failed(failure) = &report.outcome else { return None };
            Some((failure.code == PEER_ABORTED, report.at.0, failure.clone()))
        })
        .collect();
    failures.sort_by_key(|(second_hand, at, _)| (*second_hand, *at));
    failures.into_iter().next().map(|(_, _, failure)| failure)
}

fn wrong_result(node: NodeId, wrong: &str) -> Failure {
    Failure {
        cause: Cause::Peer,
        code: WRONG_RESULT.into(),
        text: format!("{node} reported a result that is wrong: {wrong}; examine that node before using it"),
        culprits: vec![node],
    }
}

/// The code of a session that ended because another party gave up.
const PEER_ABORTED: &str = "peer-aborted";
