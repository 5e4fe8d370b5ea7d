//! The life of one task: pending if people are to vote on it, waiting, approving, running, and one
//! of five ends.
//!
//! [`Flow::step`] takes an input and returns the frames to send. It never sends, stores, or reads a
//! clock. A result is believed only when [`proof`] has verified it; no word of a node ends a task
//! well. This file covers pending, waiting, deciding and running, `report` the end, and `reshare`
//! the additions for a reshare.

mod report;
mod reshare;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use countersign_api::{Decision, Progress, Reason, State, TaskSummary};
use countersign_protocol::control::{Pace, Stage, ToNode};
use countersign_protocol::{
    Claimed, Evidence, FailureCode, Hash, KeyDescriptor, KeyId, KeyReshare, NodeId, Operation,
    Outcome, PluginVerdict, Refusal, SignedAck, SignedTask, Task, TaskError, TaskId, UnixMillis,
    Vote,
};

use super::record::{Party, Subject, TaskRecord};
use super::votes::{Added, Electorate, Votes};
use super::{choose, proof};
use crate::approvers::Approvers;
use crate::store::NewEvent;

/// The multiple of the longest silence within which a KeyGen or KeyReshare must have ended.
const LONGEST: u64 = 48;

/// A task and everything needed to carry it on.
#[derive(Debug)]
pub struct Flow {
    /// The shown and stored state.
    pub record: TaskRecord,
    claimed: Arc<Claimed>,
    wallet: Option<KeyDescriptor>,
    /// Number of signatures that the task orders: 1 if unknown.
    signatures: u64,
    /// Parties whose decision arrived over their present connection: those that a `Start` reaches.
    confirmed: BTreeSet<NodeId>,
    /// Time of each party's last report on its progress.
    heard: BTreeMap<NodeId, UnixMillis>,
    /// Time at which this process resumed the task: nobody was heard before.
    taken_up: Option<UnixMillis>,
}

/// An event in the life of a task.
#[allow(missing_docs, reason = "the fields are named for what they hold")]
#[derive(Debug)]
pub enum Input {
    /// Time passed.
    Tick,
    /// A node came online, perhaps again.
    Joined(NodeId),
    /// A node went offline.
    Left(NodeId),
    /// A node decided.
    Decision {
        from: NodeId,
        /// Absent: approved.
        refusal: Option<Refusal>,
        verdicts: Vec<PluginVerdict>,
    },
    /// A node reported its progress.
    Progress {
        from: NodeId,
        stage: Stage,
        waiting_for: Vec<NodeId>,
        /// Progress within a long stage.
        pace: Option<Pace>,
    },
    /// The task ended at a node.
    Outcome { from: NodeId, outcome: Outcome },
    /// A party of a reshare has stored its share, and is in doubt.
    Stored {
        from: NodeId,
        /// The next generation, with this party's acknowledgement alone.
        descriptor: Box<KeyDescriptor>,
    },
    /// A party of a reshare never stored, and never will.
    AbortVote {
        from: NodeId,
        /// Its signed statement.
        ack: SignedAck,
    },
    /// Proof that a party cheated.
    Evidence {
        /// The bearer, who need not be honest.
        from: NodeId,
        /// Yet to be verified.
        evidence: Box<Evidence>,
    },
    /// A node that came online is in doubt about what it has stored.
    Pending(NodeId),
    /// A listed approver voted on the pending task. The vote is genuine.
    Vote(Box<Vote>),
    /// A caller wants the task to end, if the protocol has not begun.
    Cancel {
        /// The name of the caller's API key.
        by: String,
    },
}

/// The result of a step.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// Frames for nodes. One for a node that is offline is dropped: it is offered the task
    /// again when it returns.
    pub send: Vec<(NodeId, ToNode)>,
    /// The extent of the change to the record.
    pub change: Change,
    /// True if a vote was added to the record.
    pub voted: bool,
    /// Events that no honest node causes, for the log.
    pub alarms: Vec<String>,
}

/// Degree to which a record changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// The record is the same.
    #[default]
    None,
    /// Worth showing; may be lost in a restart.
    Shown,
    /// To be stored.
    Stored,
}

/// Time limits for the phases of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timings {
    /// From the offer to the last decision, in ms.
    pub decision: u64,
    /// Longest silence of a party of a KeyGen or KeyReshare before its outcome is given up, in ms.
    /// Auxiliary information has its limit at the nodes, which report every few seconds that
    /// they are at it.
    pub keygen: u64,
    /// From the start of a KeySign to its result, in ms for each of its signatures; as
    /// long for a KeyShareSign.
    pub keysign: u64,
    /// From the first failure to the verdict on the task, in ms: time for the others to
    /// report the real cause.
    pub grace: u64,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            decision: 60_000,
            keygen: 300_000,
            keysign: 60_000,
            grace: 2_000,
        }
    }
}

/// The surroundings of a step.
pub struct World<'a> {
    /// The time of the step.
    pub now: UnixMillis,
    /// True for nodes online.
    pub online: &'a dyn Fn(&NodeId) -> bool,
    /// True for nodes online with room for another task.
    pub free: &'a dyn Fn(&NodeId) -> bool,
    /// The limits in force.
    pub timings: &'a Timings,
    /// The people whose votes are collected.
    pub approvers: &'a Approvers,
    /// True if another reshare of the same wallet is under way.
    pub is_moving: bool,
}

impl Flow {
    /// Creates the flow of a task that was just accepted.
    pub fn accept(
        sequence: u64,
        claimed: Arc<Claimed>,
        wallet: Option<KeyDescriptor>,
        now: UnixMillis,
    ) -> Result<Self, TaskError> {
        let signed = claimed.signed();
        let text = String::from_utf8(signed.bytes.clone())
            .map_err(|_| TaskError::Malformed("it is not UTF-8".into()))?;
        let parties = choose::fixed(&claimed.task().operation).unwrap_or_default();
        let mut record = TaskRecord {
            sequence,
            revision: 1,
            task: text,
            signature: signed.signature.clone(),
            state: match claimed.task().collect {
                Some(_) => State::Pending,
                None => State::Waiting,
            },
            submitted: now,
            submitted_by: None,
            offered: None,
            started: None,
            ended: None,
            parties: parties.into_iter().map(Party::new).collect(),
            reason: None,
            votes: claimed.task().collect.map(Votes::new),
            result: None,
            stored: None,
            abort_vote: Vec::new(),
            proven: Vec::new(),
            asked: None,
            history: Vec::new(),
        };
        record.note(now, "accepted");
        let mut flow = Self::new(record, claimed);
        flow.set_wallet(wallet);
        Ok(flow)
    }

    /// Restores a task from the store. Nobody is confirmed: every party is asked
    /// again when it returns.
    pub fn restore(record: TaskRecord) -> Result<Self, TaskError> {
        let signed = SignedTask {
            bytes: record.task.clone().into_bytes(),
            signature: record.signature.clone(),
        };
        Ok(Self::new(record, Arc::new(signed.claim()?)))
    }

    fn new(record: TaskRecord, claimed: Arc<Claimed>) -> Self {
        Self {
            record,
            claimed,
            wallet: None,
            signatures: 1,
            confirmed: BTreeSet::new(),
            heard: BTreeMap::new(),
            taken_up: None,
        }
    }

    /// The key that the task uses, in its generation at the time of the offer.
    pub fn uses(&self) -> Option<KeyId> {
        match &self.task().operation {
            Operation::KeySign(keysign) => Some(keysign.key),
            Operation::KeyShareSign(check_up) => Some(check_up.key),
            Operation::KeyGen(_) | Operation::KeyReshare(_) => None,
        }
    }

    /// The reshare that the task orders, if it is one.
    pub fn moves(&self) -> Option<&KeyReshare> {
        match &self.task().operation {
            Operation::KeyReshare(reshare) => Some(reshare),
            Operation::KeyGen(_) | Operation::KeySign(_) | Operation::KeyShareSign(_) => None,
        }
    }

    /// Sets the wallet that the task uses.
    pub fn set_wallet(&mut self, wallet: Option<KeyDescriptor>) {
        self.signatures = match &self.task().operation {
            Operation::KeySign(keysign) => wallet
                .as_ref()
                .and_then(|wallet| proof::inputs(keysign, wallet).ok())
                .map_or(1, |inputs| inputs.len() as u64),
            Operation::KeyGen(_) | Operation::KeyReshare(_) | Operation::KeyShareSign(_) => 1,
        };
        self.wallet = wallet;
    }

    /// The task, parsed from its bytes.
    pub fn task(&self) -> &Task {
        self.claimed.task()
    }

    /// What the task is about.
    pub fn subject(&self) -> Subject {
        Subject::of(self.task(), &self.hash())
    }

    /// The task as lists show it.
    pub fn summary(&self) -> TaskSummary {
        self.record.summary(self.task().id, &self.subject())
    }

    /// The event of the state that the task is in.
    pub fn entered(&self, now: UnixMillis) -> NewEvent {
        NewEvent::of_task(self.task().id, self.record.state, self.summary(), now)
    }

    /// The exact bytes with their signature.
    pub fn signed(&self) -> &SignedTask {
        self.claimed.signed()
    }

    /// The nodes that work on the task, or are about to.
    pub fn occupies(&self) -> Vec<NodeId> {
        let works = |party: &&Party| {
            party.report.is_none()
                && party
                    .decision
                    .as_ref()
                    .is_none_or(|decision| decision.refusal.is_none())
        };
        match self.record.state {
            State::Approving | State::Running => self
                .record
                .parties
                .iter()
                .filter(works)
                .map(|party| party.node)
                .collect(),
            State::Pending
            | State::Waiting
            | State::Completed
            | State::Rejected
            | State::Failed
            | State::Expired
            | State::Cancelled => Vec::new(),
        }
    }

    /// The hash of the task's exact bytes.
    pub fn hash(&self) -> Hash {
        self.claimed.hash()
    }

    /// Applies an input and returns its effects.
    pub fn step(&mut self, input: Input, world: &World<'_>) -> Effects {
        let mut effects = Effects::default();
        self.taken_up.get_or_insert(world.now);
        match input {
            Input::Tick => {}
            Input::Joined(node) => self.joined(node, world, &mut effects),
            Input::Left(node) => drop(self.confirmed.remove(&node)),
            Input::Decision {
                from,
                refusal,
                verdicts,
            } => {
                self.decided(from, refusal, verdicts, world, &mut effects);
            }
            Input::Progress {
                from,
                stage,
                waiting_for,
                pace,
            } => {
                let progress = Progress {
                    at: world.now,
                    stage: stage.into(),
                    waiting_for,
                    pace,
                };
                self.progressed(from, progress, &mut effects);
            }
            Input::Outcome { from, outcome } => self.reported(from, outcome, world, &mut effects),
            Input::Stored { from, descriptor } => {
                self.stored(from, *descriptor, world, &mut effects)
            }
            Input::AbortVote { from, ack } => self.voted_abort(from, ack, world, &mut effects),
            Input::Evidence { from, evidence } => {
                self.evidence(from, *evidence, world, &mut effects)
            }
            Input::Pending(node) => self.pending(node, world, &mut effects),
            Input::Vote(vote) => self.voted(*vote, world, &mut effects),
            Input::Cancel { by } => self.cancelled(&by, world.now, &mut effects),
        }
        self.advance(world, &mut effects);
        self.record.revision += u64::from(effects.change > Change::None);
        effects
    }

    /// Nothing starts from this instant on, in ms since 1970.
    fn decision_deadline(&self, timings: &Timings) -> u64 {
        let offered = self
            .record
            .offered
            .map_or(u64::MAX, |at| at.0.saturating_add(timings.decision));
        offered.min(self.task().not_after.0)
    }

    fn advance(&mut self, world: &World<'_>, effects: &mut Effects) {
        match self.record.state {
            State::Pending => self.await_votes(world, effects),
            State::Waiting => self.offer_or_expire(world, effects),
            State::Approving => {
                self.conclude_failures(world, effects);
                self.start_or_give_up(world, effects);
            }
            State::Running => {
                self.conclude_failures(world, effects);
                self.give_up_silence(world, effects);
            }
            State::Completed
            | State::Rejected
            | State::Failed
            | State::Expired
            | State::Cancelled => {}
        }
    }

    // Pending.

    fn voted(&mut self, vote: Vote, world: &World<'_>, effects: &mut Effects) {
        let approver = vote.ballot().approver;
        let Some(name) = world.approvers.name_of(&approver) else {
            return;
        };
        let Some(votes) = self.record.votes.as_mut() else {
            return;
        };
        if self.record.state != State::Pending || world.now >= votes.collect.until {
            return;
        }
        let before = votes.choice_of(name, world.approvers);
        votes.forget_strangers(|key| world.approvers.name_of(key).is_some());
        if votes.add(vote, world.now) != Added::Kept {
            return;
        }
        effects.voted = true;
        effects.change = Change::Stored;
        let said = votes.choice_of(name, world.approvers);
        // Half of the history is for the nodes.
        let has_room = self.record.history.len() < TaskRecord::MAX_HISTORY / 2;
        if let Some(choice) = said.filter(|_| said != before && has_room) {
            self.record
                .note(world.now, format!("{name} voted to {choice}"));
        }
    }

    /// The nodes are not asked while votes may be lacking: a node's refusal is final.
    fn await_votes(&mut self, world: &World<'_>, effects: &mut Effects) {
        let people = Electorate {
            approvers: world.approvers,
            requester: self.task().requester,
            now: world.now,
        };
        // A pending task has votes.
        let Some(votes) = self.record.votes.as_mut() else {
            return;
        };
        if votes.recount(people) {
            effects.change = effects.change.max(Change::Shown);
        }
        if world.now >= votes.collect.until {
            let message = "too few people approved in time; ask them to vote, and send a new task";
            self.expire(message, world.now, effects);
        } else if votes.is_decided(people) && !world.is_moving {
            votes.collected = Some(world.now);
            self.enter(
                State::Waiting,
                world.now,
                "the votes are collected",
                effects,
            );
        }
    }

    // Waiting.

    fn offer_or_expire(&mut self, world: &World<'_>, effects: &mut Effects) {
        if world.now >= self.task().not_after {
            let message = "the nodes that are needed did not come online in time; start them and send a new task";
            return self.expire(message, world.now, effects);
        }
        let Some(parties) = self.available_parties(world) else {
            return;
        };
        self.record.parties = parties.iter().copied().map(Party::new).collect();
        self.record.offered = Some(world.now);
        self.enter(
            State::Approving,
            world.now,
            "offered to the parties",
            effects,
        );
        for node in parties {
            self.offer(node, world, effects);
        }
    }

    fn available_parties(&self, world: &World<'_>) -> Option<Vec<NodeId>> {
        match choose::fixed(&self.task().operation) {
            Some(parties) => parties.iter().all(world.free).then_some(parties),
            None => match &self.task().operation {
                Operation::KeyReshare(reshare) => {
                    choose::resharers(&self.task().id, reshare, world.free)
                }
                Operation::KeyGen(_) | Operation::KeySign(_) | Operation::KeyShareSign(_) => {
                    choose::signers(&self.task().id, self.wallet.as_ref()?, world.free)
                }
            },
        }
    }

    fn expire(&mut self, message: &str, now: UnixMillis, effects: &mut Effects) {
        self.record.reason = Some(Reason::failed(FailureCode::Expired, message, Vec::new()));
        self.enter(State::Expired, now, message, effects);
    }

    fn offer(&self, node: NodeId, world: &World<'_>, effects: &mut Effects) {
        let parties = self.record.parties.iter().map(|party| party.node).collect();
        let task = self.signed().clone();
        let offer = match &self.record.votes {
            Some(votes) => ToNode::OfferVoted {
                task,
                parties,
                votes: votes.carried(world.approvers),
            },
            None => ToNode::Offer { task, parties },
        };
        effects.send.push((node, offer));
    }

    // Nodes come and go.

    /// A node answers a known task with its recorded decision or outcome, so an offer
    /// may always be repeated.
    fn joined(&mut self, node: NodeId, world: &World<'_>, effects: &mut Effects) {
        self.confirmed.remove(&node);
        let under_way = matches!(self.record.state, State::Approving | State::Running);
        let open = self
            .record
            .parties
            .iter()
            .any(|party| party.node == node && party.report.is_none());
        if (under_way && open) || (!under_way && self.owes_word(&node)) {
            self.offer(node, world, effects);
        }
    }

    // Approving.

    fn decided(
        &mut self,
        from: NodeId,
        refusal: Option<Refusal>,
        verdicts: Vec<PluginVerdict>,
        world: &World<'_>,
        effects: &mut Effects,
    ) {
        let now = world.now;
        let Some(party) = self.record.party_mut(&from) else {
            return;
        };
        let changed = party
            .decision
            .as_ref()
            .is_none_or(|known| known.refusal != refusal);
        if changed {
            party.decision = Some(Decision {
                at: now,
                refusal: refusal.clone(),
                verdicts,
            });
            effects.change = Change::Stored;
        }
        match (self.record.state, refusal) {
            (State::Approving | State::Running, Some(refusal)) => {
                self.reject(from, &refusal, now, effects)
            }
            (State::Approving, None) => {
                self.confirmed.insert(from);
            }
            // It lost the connection after the others began.
            (State::Running, None) => {
                self.confirmed.insert(from);
                effects.send.push((
                    from,
                    ToNode::Start {
                        task: self.task().id,
                    },
                ));
            }
            (State::Completed, _) => self.settle(from, effects),
            (State::Pending | State::Waiting, _) => {}
            (State::Rejected | State::Failed | State::Expired | State::Cancelled, Some(_)) => {}
            (State::Rejected | State::Failed | State::Expired | State::Cancelled, None) => {
                self.cancel(from, effects)
            }
        }
    }

    fn start_or_give_up(&mut self, world: &World<'_>, effects: &mut Effects) {
        if self.record.state != State::Approving {
            return;
        }
        let late = world.now.0 >= self.decision_deadline(world.timings);
        let missing: Vec<NodeId> = self.unready().collect();
        match (late, missing.is_empty()) {
            (true, _) => self.give_up_decisions(missing, world.now, effects),
            (false, true) => self.start(world.now, effects),
            (false, false) => {}
        }
    }

    fn unready(&self) -> impl Iterator<Item = NodeId> {
        self.record
            .parties
            .iter()
            .filter(|party| !party.approved() || !self.confirmed.contains(&party.node))
            .map(|party| party.node)
    }

    fn start(&mut self, now: UnixMillis, effects: &mut Effects) {
        self.record.started = Some(now);
        self.enter(
            State::Running,
            now,
            "approved by all parties, started",
            effects,
        );
        let task: TaskId = self.task().id;
        effects.send.extend(
            self.record
                .parties
                .iter()
                .map(|party| (party.node, ToNode::Start { task })),
        );
    }

    fn give_up_decisions(&mut self, missing: Vec<NodeId>, now: UnixMillis, effects: &mut Effects) {
        let message = "not every party decided in time, or one lost its connection before the start; see that the \
                       named nodes run and are connected, then send a new task";
        let reason = Reason::failed(FailureCode::DecisionTimeout, message, missing);
        self.fail(reason, now, effects);
    }

    fn reject(&mut self, node: NodeId, refusal: &Refusal, now: UnixMillis, effects: &mut Effects) {
        self.record.reason = Some(Reason {
            code: refusal.code.to_string(),
            message: refusal.reason.clone(),
            nodes: vec![node],
            plugin: refusal.plugin.clone(),
        });
        let by = refusal
            .plugin
            .as_ref()
            .map_or(String::new(), |plugin| format!(", plugin {plugin}"));
        let text = format!(
            "refused by {node}{by}: {} ({})",
            refusal.reason, refusal.code
        );
        self.enter(State::Rejected, now, &text, effects);
        self.cancel_all(effects);
    }

    // Running.

    fn progressed(&mut self, from: NodeId, progress: Progress, effects: &mut Effects) {
        let known: BTreeSet<NodeId> = self.record.parties.iter().map(|party| party.node).collect();
        if !known.contains(&from) {
            return;
        }
        self.heard.insert(from, progress.at);
        let waiting_for = progress
            .waiting_for
            .into_iter()
            .filter(|node| known.contains(node))
            .collect();
        let progress = Progress {
            waiting_for,
            ..progress
        };
        let Some(party) = self.record.party_mut(&from) else {
            return;
        };
        let news = party.progress.as_ref().is_none_or(|p| {
            Progress {
                at: progress.at,
                ..p.clone()
            } != progress
        });
        if news {
            party.progress = Some(progress);
            effects.change = effects.change.max(Change::Shown);
        }
    }

    fn is_party(&self, node: &NodeId) -> bool {
        self.record.parties.iter().any(|party| party.node == *node)
    }

    fn unreported(&self) -> impl Iterator<Item = NodeId> {
        self.record
            .parties
            .iter()
            .filter(|party| party.report.is_none())
            .map(|party| party.node)
    }

    fn give_up_silence(&mut self, world: &World<'_>, effects: &mut Effects) {
        if self.record.state.is_final() {
            return;
        }
        let silent = match self.task().operation {
            Operation::KeyGen(_) | Operation::KeyReshare(_) => self.silent(world),
            Operation::KeySign(_) | Operation::KeyShareSign(_) => {
                let limit = world.timings.keysign.saturating_mul(self.signatures);
                let late = world.now.0 >= self.started().saturating_add(limit);
                self.unreported().filter(|_| late).collect()
            }
        };
        if silent.is_empty() {
            return;
        }
        let mut message =
            "the named nodes did not report an outcome in time; see their logs, then send a new task"
                .to_owned();
        if let Some(cause) = self.cause() {
            message = format!("{message}; {}", cause.message);
        }
        let reason = Reason::failed(FailureCode::NoOutcome, message, silent);
        self.fail(reason, world.now, effects);
    }

    fn started(&self) -> u64 {
        self.record.started.unwrap_or(self.record.submitted).0
    }

    /// The parties that have neither reported an outcome nor progress for long; all of them once
    /// the task has taken longer than any node allows.
    fn silent(&self, world: &World<'_>) -> Vec<NodeId> {
        let limit = world.timings.keygen;
        let started = self.started();
        let begun = started.max(self.taken_up.map_or(0, |at| at.0));
        let too_long = world.now.0 >= started.saturating_add(limit.saturating_mul(LONGEST));
        let heard = |node: &NodeId| self.heard.get(node).map_or(begun, |at| at.0.max(begun));
        self.unreported()
            .filter(|node| too_long || world.now.0 >= heard(node).saturating_add(limit))
            .collect()
    }

    fn fail(&mut self, reason: Reason, now: UnixMillis, effects: &mut Effects) {
        let text = format!("failed: {} ({})", reason.message, reason.code);
        self.record.reason = Some(reason);
        self.enter(State::Failed, now, &text, effects);
        self.cancel_all(effects);
    }

    /// Nobody was told to begin, so no node signs or stores anything for the task.
    fn cancelled(&mut self, by: &str, now: UnixMillis, effects: &mut Effects) {
        match self.record.state {
            State::Pending | State::Waiting | State::Approving => {
                let message = format!(
                    "cancelled with the API key `{by}`; send a new task if that was not intended"
                );
                self.record.reason = Some(Reason::failed(
                    FailureCode::Cancelled,
                    message.clone(),
                    Vec::new(),
                ));
                self.enter(State::Cancelled, now, &message, effects);
                self.cancel_all(effects);
            }
            State::Running
            | State::Completed
            | State::Rejected
            | State::Failed
            | State::Expired
            | State::Cancelled => {}
        }
    }

    fn cancel_all(&self, effects: &mut Effects) {
        for node in self.unreported().collect::<Vec<_>>() {
            self.cancel(node, effects);
        }
    }

    /// Nodes that refused have nothing to drop.
    fn cancel(&self, node: NodeId, effects: &mut Effects) {
        let refused = |party: &Party| party.decision.as_ref().is_some_and(|d| d.refusal.is_some());
        if self
            .record
            .parties
            .iter()
            .any(|party| party.node == node && refused(party))
        {
            return;
        }
        let code = self
            .record
            .reason
            .as_ref()
            .map_or(FailureCode::Cancelled.as_str(), |reason| &reason.code);
        effects.send.push((
            node,
            ToNode::Cancel {
                task: self.task().id,
                reason: code.into(),
            },
        ));
    }

    fn enter(&mut self, state: State, now: UnixMillis, text: &str, effects: &mut Effects) {
        self.record.state = state;
        self.record.note(now, text);
        if state.is_final() {
            self.record.ended = Some(now);
        }
        effects.change = Change::Stored;
    }
}
