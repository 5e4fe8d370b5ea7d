//! The end of a task: outcomes reported by nodes, and their proofs.

use std::collections::BTreeSet;

use countersign_api::{Reason, State, TaskResult};
use countersign_protocol::control::ToNode;
use countersign_protocol::{Evidence, Failure, FailureCode, Intact, NodeId, Outcome, UnixMillis};

use super::{Change, Effects, Flow, World};
use crate::task::proof::{self, ProofError};
use crate::task::record::{Party, Report, is_abandonment};

impl Flow {
    /// The first outcome that a node reports stands, except for a failure that a result replaces: a
    /// party that missed the last acknowledgements of a key reports once without and once with
    /// them, or that its operator abandoned the task.
    pub(super) fn reported(
        &mut self,
        from: NodeId,
        outcome: Outcome,
        world: &World<'_>,
        effects: &mut Effects,
    ) {
        let Some(party) = self.record.parties.iter().find(|party| party.node == from) else {
            return;
        };
        let replaces = |report: &Report| {
            matches!(report.outcome, Outcome::Failed(_))
                && !report.wrong
                && (outcome.descriptor().is_some()
                    || is_abandonment(&outcome) && report.outcome != outcome)
        };
        if party
            .report
            .as_ref()
            .is_some_and(|report| !replaces(report))
        {
            return;
        }
        let checked = match (&outcome, &self.record.result) {
            // The other signers report the very signatures that were already verified.
            (Outcome::Signed(signed), Some(TaskResult::Signed(known))) if signed == known => {
                Ok(None)
            }
            _ => self.check(&from, &outcome),
        };
        let wrong = checked.is_err();
        let (outcome, proof) = match checked {
            Ok(proof) => (in_its_own_words(outcome), proof),
            Err(wrong) => (Outcome::Failed(wrong_result(from, &wrong)), None),
        };
        if let Some(party) = self.record.party_mut(&from) {
            party.report = Some(Report {
                at: world.now,
                outcome: outcome.clone(),
                wrong,
            });
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

    /// A proof outranks every other end: a verified result exists, whatever else went wrong.
    pub(super) fn complete(
        &mut self,
        from: NodeId,
        proof: TaskResult,
        now: UnixMillis,
        effects: &mut Effects,
    ) {
        if self.record.state == State::Completed {
            return;
        }
        self.record.result = Some(proof);
        self.record.reason = None;
        self.enter(
            State::Completed,
            now,
            &format!("completed: {from} reported a verified result"),
            effects,
        );
        let reported = |party: &Party| {
            party
                .report
                .as_ref()
                .is_some_and(|report| report.outcome.descriptor().is_some())
        };
        let lacking = self
            .record
            .parties
            .iter()
            .filter(|party| !reported(party))
            .map(|party| party.node);
        for node in lacking.collect::<Vec<_>>() {
            self.settle(node, effects);
        }
    }

    /// Sends a party of a new key, or of a new generation, the acknowledgements that it may lack.
    pub(super) fn settle(&self, node: NodeId, effects: &mut Effects) {
        if let Some(descriptor) = self.record.result.as_ref().and_then(TaskResult::wallet) {
            let descriptor = Box::new(descriptor.clone());
            effects.send.push((
                node,
                ToNode::Settle {
                    task: self.task().id,
                    descriptor,
                },
            ));
        }
    }

    pub(super) fn check(
        &self,
        from: &NodeId,
        outcome: &Outcome,
    ) -> Result<Option<TaskResult>, ProofError> {
        let parties: Vec<NodeId> = self.record.parties.iter().map(|party| party.node).collect();
        let wallet = self.wallet.as_ref();
        let order = proof::Order {
            task: self.task(),
            hash: self.hash(),
            wallet,
            parties: &parties,
        };
        proof::check(&order, from, outcome)
    }

    /// The result of a check-up, once every node has proven its share. Each proof
    /// was verified on arrival.
    fn all_intact(&self) -> Option<TaskResult> {
        let intact = |party: &Party| match &party.report.as_ref()?.outcome {
            Outcome::Intact(intact) => Some(intact.clone()),
            Outcome::Created(_)
            | Outcome::Signed(_)
            | Outcome::Refused(_)
            | Outcome::Failed(_)
            | Outcome::Reshared(_) => None,
        };
        let all: Option<Vec<Intact>> = self.record.parties.iter().map(intact).collect();
        all.filter(|all| !all.is_empty()).map(TaskResult::Intact)
    }

    /// Handles proof that a party cheated, from any bearer. It must be about this very task.
    pub(super) fn evidence(
        &mut self,
        from: NodeId,
        evidence: Evidence,
        world: &World<'_>,
        effects: &mut Effects,
    ) {
        let parties: Vec<NodeId> = self.record.parties.iter().map(|party| party.node).collect();
        if !self.is_party(&from) || !evidence.verify(self.hash(), &parties) {
            return effects.alarms.push(format!(
                "{from} accuses a party with a proof that does not hold"
            ));
        }
        if self
            .record
            .proven
            .iter()
            .any(|known| known.node == evidence.node)
        {
            return;
        }
        self.record
            .note(world.now, format!("proven: {}", evidence.failure().text));
        effects.alarms.push(format!(
            "{} cheated in a task, and its own signatures prove it",
            evidence.node
        ));
        self.record.proven.push(evidence);
        effects.change = Change::Stored;
    }

    /// Ends the task once all have reported. One party's word does not end the task for those that
    /// still run: only a verified result does, or that nobody else is online.
    pub(super) fn conclude_failures(&mut self, world: &World<'_>, effects: &mut Effects) {
        let Some(first) = self
            .record
            .parties
            .iter()
            .filter_map(|p| Some(p.report.as_ref()?.at.0))
            .min()
        else {
            return;
        };
        let waited = world.now.0 >= first.saturating_add(world.timings.grace);
        let others_run = self.unreported().any(|node| (world.online)(&node));
        let over =
            self.unreported().next().is_none() || (waited && (!others_run || self.is_certain()));
        if self.record.state.is_final() || !over {
            return;
        }
        let Some(cause) = self.cause() else { return };
        self.fail(cause, world.now, effects);
    }

    /// True if the coordinator itself knows that the task cannot succeed as intended.
    fn is_certain(&self) -> bool {
        let wrong = |party: &Party| party.report.as_ref().is_some_and(|report| report.wrong);
        !self.record.proven.is_empty() || self.record.parties.iter().any(wrong)
    }

    /// The cause of a failure: preferably proven or found here, else as a party reports it.
    pub(super) fn cause(&self) -> Option<Reason> {
        if let Some(proven) = self.record.proven.first() {
            let nodes = self
                .record
                .proven
                .iter()
                .map(|evidence| evidence.node)
                .collect();
            return Some(Reason::failed(proven.code(), proven.failure().text, nodes));
        }
        let failures = failures(&self.record.parties);
        let first = failures.first()?;
        if first.wrong {
            let Failure {
                code,
                text,
                culprits,
                ..
            } = first.failure.clone();
            return Some(Reason::failed(code, text, culprits));
        }
        let said: Vec<String> = failures
            .iter()
            .map(|f| format!("{} says: {}", f.node, f.failure.text))
            .collect();
        let silent: BTreeSet<NodeId> = self.unreported().collect();
        let named: BTreeSet<NodeId> = failures
            .iter()
            .flat_map(|f| f.failure.culprits.iter().copied())
            .collect();
        let nodes = named.intersection(&silent).copied().collect();
        let code = first.failure.code.clone();
        Some(Reason::failed(code, said.join("; "), nodes))
    }
}

struct Reported<'a> {
    at: UnixMillis,
    node: NodeId,
    failure: &'a Failure,
    /// As [`Report::wrong`].
    wrong: bool,
}

/// The failures that the parties report: wrong results first, then by time; those that merely
/// repeat that somebody else gave up come last.
fn failures(parties: &[Party]) -> Vec<Reported<'_>> {
    let mut failures: Vec<Reported<'_>> = parties.iter().filter_map(failure_of).collect();
    failures.sort_by_key(|f| (!f.wrong, f.failure.code == FailureCode::PeerAborted, f.at));
    failures
}

fn failure_of(party: &Party) -> Option<Reported<'_>> {
    let Report { at, outcome, wrong } = party.report.as_ref()?;
    match outcome {
        Outcome::Failed(failure) => Some(Reported {
            at: *at,
            node: party.node,
            failure,
            wrong: *wrong,
        }),
        Outcome::Created(_)
        | Outcome::Signed(_)
        | Outcome::Refused(_)
        | Outcome::Reshared(_)
        | Outcome::Intact(_) => None,
    }
}

/// The code for a wrong result is reserved to the coordinator; a node that uses it has given up,
/// and no more is known.
fn in_its_own_words(mut outcome: Outcome) -> Outcome {
    if let Outcome::Failed(failure) = &mut outcome
        && failure.code == FailureCode::WrongResult
    {
        failure.code = FailureCode::PeerAborted;
    }
    outcome
}

fn wrong_result(node: NodeId, wrong: &ProofError) -> Failure {
    let text = format!(
        "{node} reported a result that is wrong: {wrong}; examine that node before using it"
    );
    Failure::new(FailureCode::WrongResult, text).naming(vec![node])
}
