//! The end of a reshare, when not everybody learns of it in the session.
//!
//! A party that has stored its share is in doubt: it may neither drop nor use it before it knows
//! whether all have stored. So it asks here, again and again. The known acknowledgements are kept,
//! and once all are there the reshare is completed, however late (a late commit). Once a party has
//! voted to abort, its acknowledgement will never be there, and the others are told. Until then the
//! parties that said neither are asked.

use countersign_api::Reason;
use countersign_protocol::control::ToNode;
use countersign_protocol::outcome::abort_vote_digest;
use countersign_protocol::{FailureCode, KeyDescriptor, NodeId, Outcome, SignedAck, UnixMillis};
use countersign_verify::{WrongResult, result};

use super::{Change, Effects, Flow, World};

/// Pause between two questions, in ms; less than the time after which a party repeats that
/// it is in doubt.
const ASK_AGAIN: u64 = 10_000;

/// Why a party's report that it has stored does not count.
#[derive(Debug, thiserror::Error)]
enum Unstored {
    #[error("not for a reshare")]
    NotAReshare,
    #[error("it is not a party")]
    NotAParty,
    #[error(transparent)]
    Wrong(#[from] WrongResult),
    #[error("not with its own acknowledgement alone, or the acknowledgement does not verify")]
    Ack,
}

/// The parties that stored another generation than this one claims.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(NodeId::to_string).collect::<Vec<_>>().join(", "))]
struct OthersStored(Vec<NodeId>);

impl Flow {
    pub(super) fn stored(
        &mut self,
        from: NodeId,
        descriptor: KeyDescriptor,
        world: &World<'_>,
        effects: &mut Effects,
    ) {
        if self.record.result.is_some() {
            return self.pending(from, world, effects);
        }
        let descriptor = match self.checked(from, descriptor) {
            Ok(descriptor) => descriptor,
            Err(wrong) => {
                return effects
                    .alarms
                    .push(format!("{from} says that it stored, but {wrong}"));
            }
        };
        match self.merge(from, descriptor) {
            Ok(true) => {
                self.record.note(world.now, format!("stored at {from}"));
                effects.change = Change::Stored;
                self.judge_ack(from, effects);
                self.complete_if_all_stored(from, world, effects);
            }
            Ok(false) => {}
            Err(others) => effects
                .alarms
                .push(format!("{from} stored another generation than {others}")),
        }
        self.pending(from, world, effects);
    }

    /// Returns the stored generation, if it is what was ordered and has
    /// the party's own acknowledgement.
    fn checked(&self, from: NodeId, descriptor: KeyDescriptor) -> Result<KeyDescriptor, Unstored> {
        let Some(reshare) = self.moves() else {
            return Err(Unstored::NotAReshare);
        };
        if !self.is_party(&from) {
            return Err(Unstored::NotAParty);
        }
        let parties: Vec<NodeId> = self.record.parties.iter().map(|party| party.node).collect();
        result::next(self.task().id, reshare, Some(&parties), &descriptor)?;
        match &descriptor.acks[..] {
            [ack] if ack.node == from && ack.verifies(&descriptor.digest()) => Ok(descriptor),
            _ => Err(Unstored::Ack),
        }
    }

    /// Adds a party's acknowledgement to those known. Returns false if it is one of them; an error
    /// names those that stored something else.
    fn merge(&mut self, from: NodeId, mut descriptor: KeyDescriptor) -> Result<bool, OthersStored> {
        let digest = descriptor.digest();
        let acks = std::mem::take(&mut descriptor.acks);
        let known = self.record.stored.get_or_insert(descriptor);
        if known.digest() != digest {
            let others = known.acks.iter().map(|ack| ack.node);
            return Err(OthersStored(others.collect()));
        }
        let new = known.acks.iter().all(|ack| ack.node != from);
        if new {
            known.acks.extend(acks);
            known.acks.sort_by_key(|ack| ack.node);
        }
        Ok(new)
    }

    fn complete_if_all_stored(&mut self, from: NodeId, world: &World<'_>, effects: &mut Effects) {
        if !self
            .record
            .parties
            .iter()
            .all(|party| self.record.has_stored(&party.node))
        {
            return;
        }
        let Some(all) = self.record.stored.clone() else {
            return;
        };
        match self.check(&from, &Outcome::Reshared(all)) {
            Ok(Some(proof)) => self.complete(from, proof, world.now, effects),
            Ok(None) => {}
            Err(wrong) => effects
                .alarms
                .push(format!("all parties stored, but {wrong}")),
        }
    }

    pub(super) fn voted_abort(
        &mut self,
        from: NodeId,
        ack: SignedAck,
        world: &World<'_>,
        effects: &mut Effects,
    ) {
        let own = ack.node == from && ack.verifies(&abort_vote_digest(self.hash()));
        if self.moves().is_none() || !own || !self.is_party(&from) {
            return effects.alarms.push(format!(
                "{from} says that it stored nothing, but not as a party would"
            ));
        }
        if self.record.has_voted_abort(&from) {
            return;
        }
        self.record.abort_vote.push(ack.clone());
        self.record
            .note(world.now, format!("nothing stored at {from}, for good"));
        effects.change = Change::Stored;
        self.judge_ack(from, effects);
        if self.record.has_stored(&from) {
            return self.settle(from, effects);
        }
        self.fail_aborted(from, world.now, effects);
        let waiting = self.record.stored.iter().flat_map(|made| &made.acks);
        let task = self.task().id;
        effects.send.extend(waiting.map(|stored| {
            (
                stored.node,
                ToNode::AbortVote {
                    task,
                    ack: ack.clone(),
                },
            )
        }));
    }

    /// A party that contradicts itself lies or has lost its memory. Its acknowledgement counts: the
    /// others may have it, too.
    fn judge_ack(&self, from: NodeId, effects: &mut Effects) {
        if self.record.has_stored(&from) && self.record.has_voted_abort(&from) {
            effects.alarms.push(format!(
                "{from} signed both that it stored and that it never will; examine that node"
            ));
        }
    }

    fn fail_aborted(&mut self, from: NodeId, now: UnixMillis, effects: &mut Effects) {
        if self.record.state.is_final() {
            return;
        }
        match self.cause() {
            Some(cause) => self.fail(cause, now, effects),
            None => {
                let message = "the named node gave up before it stored, so the key stays with its present holders; see \
                               its log, then send a new task";
                let reason = Reason::failed(FailureCode::ReshareAborted, message, vec![from]);
                self.fail(reason, now, effects);
            }
        }
    }

    /// Answers a party that is in doubt.
    pub(super) fn pending(&mut self, node: NodeId, world: &World<'_>, effects: &mut Effects) {
        if !self.is_party(&node) {
            return;
        }
        if self.record.result.is_some() {
            // A party that was just completed has been told.
            let settled = |(to, frame): &(NodeId, ToNode)| {
                *to == node && matches!(frame, ToNode::Settle { .. })
            };
            if !effects.send.iter().any(settled) {
                self.settle(node, effects);
            }
        } else if let Some(ack) = self.record.abort_vote().cloned() {
            effects.send.push((
                node,
                ToNode::AbortVote {
                    task: self.task().id,
                    ack,
                },
            ));
        } else if self.record.state.is_final() && self.moves().is_some() {
            self.ask_silent(node, world, effects);
        }
    }

    /// True if others wait for this party's acknowledgement or abort vote.
    pub(super) fn owes_word(&self, node: &NodeId) -> bool {
        let record = &self.record;
        record.is_unsettled()
            && self.is_party(node)
            && !record.has_stored(node)
            && !record.has_voted_abort(node)
    }

    /// Offers the task again to those that said neither: they answer from their journals. Rare
    /// enough that nobody can flood others by asking.
    fn ask_silent(&mut self, asking: NodeId, world: &World<'_>, effects: &mut Effects) {
        if self
            .record
            .asked
            .is_some_and(|at| world.now.0 < at.0.saturating_add(ASK_AGAIN))
        {
            return;
        }
        let said =
            |node: &NodeId| self.record.has_stored(node) || self.record.has_voted_abort(node);
        let parties = self.record.parties.iter().map(|party| party.node);
        let silent: Vec<NodeId> = parties
            .filter(|node| *node != asking && !said(node) && (world.online)(node))
            .collect();
        if silent.is_empty() {
            return;
        }
        for node in silent {
            self.offer(node, world, effects);
        }
        self.record.asked = Some(world.now);
        effects.change = Change::Stored;
    }
}
