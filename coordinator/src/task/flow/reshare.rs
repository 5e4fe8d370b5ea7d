//! The end of a reshare, when not everybody learns of it in the session.
//!
//! A party that has stored may neither forget that nor act on it before it knows whether all have.
//! So it asks here, again and again: the marks that are known are kept, and once all are there the
//! reshare is completed, however late. Once a party has said that its mark will never be there, the
//! others are told. Until then those that said neither are asked.

use countersign_protocol::control::ToNode;
use countersign_protocol::outcome::void_digest;
use countersign_protocol::{
    Announcement, FailureCode, NodeId, Operation, Outcome, StoredMark, UnixMillis,
};
use countersign_verify::{WrongResult, result};

use super::{Change, Effects, Flow, World};
use crate::task::record::Reason;

/// From one question to the next, in ms; less than the time after which a party says again that it
/// waits.
const ASK_AGAIN: u64 = 10_000;

/// Why a party's word that it has stored does not count.
#[derive(Debug, thiserror::Error)]
enum Unstored {
    #[error("not for a reshare")]
    NotAReshare,
    #[error("it is not a party")]
    NotAParty,
    #[error(transparent)]
    Wrong(#[from] WrongResult),
    #[error("not with its own mark alone, or the mark does not verify")]
    Mark,
}

/// Who stored another generation than a party says.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(NodeId::to_string).collect::<Vec<_>>().join(", "))]
struct OthersStored(Vec<NodeId>);

impl Flow {
    pub(super) fn stored(
        &mut self,
        from: NodeId,
        announcement: Announcement,
        world: &World<'_>,
        effects: &mut Effects,
    ) {
        if self.record.result.is_some() {
            return self.pending(from, world, effects);
        }
        let announcement = match self.checked(from, announcement) {
            Ok(announcement) => announcement,
            Err(wrong) => {
                return effects
                    .alarms
                    .push(format!("{from} says that it stored, but {wrong}"));
            }
        };
        match self.merge(from, announcement) {
            Ok(true) => {
                self.record.note(world.now, format!("stored at {from}"));
                effects.change = Change::Stored;
                self.judge_mark(from, effects);
                self.complete_if_all_stored(from, world, effects);
            }
            Ok(false) => {}
            Err(others) => effects
                .alarms
                .push(format!("{from} stored another generation than {others}")),
        }
        self.pending(from, world, effects);
    }

    /// What a party stored, if that is what was ordered, with a mark of its own.
    fn checked(&self, from: NodeId, announcement: Announcement) -> Result<Announcement, Unstored> {
        let Operation::KeyReshare(reshare) = &self.task().operation else {
            return Err(Unstored::NotAReshare);
        };
        if !self.is_party(&from) {
            return Err(Unstored::NotAParty);
        }
        let parties: Vec<NodeId> = self.record.parties.iter().map(|party| party.node).collect();
        result::next(self.task().id, reshare, Some(&parties), &announcement)?;
        match &announcement.stored[..] {
            [mark] if mark.node == from && mark.verifies(&announcement.digest()) => {
                Ok(announcement)
            }
            _ => Err(Unstored::Mark),
        }
    }

    /// Adds a party's mark to those that are known. False if it is one of them; an error names
    /// those that stored something else.
    fn merge(
        &mut self,
        from: NodeId,
        mut announcement: Announcement,
    ) -> Result<bool, OthersStored> {
        let digest = announcement.digest();
        let marks = std::mem::take(&mut announcement.stored);
        let known = self.record.stored.get_or_insert(announcement);
        if known.digest() != digest {
            let others = known.stored.iter().map(|mark| mark.node);
            return Err(OthersStored(others.collect()));
        }
        let new = known.stored.iter().all(|mark| mark.node != from);
        if new {
            known.stored.extend(marks);
            known.stored.sort_by_key(|mark| mark.node);
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

    pub(super) fn voided(
        &mut self,
        from: NodeId,
        mark: StoredMark,
        world: &World<'_>,
        effects: &mut Effects,
    ) {
        let reshare = matches!(self.task().operation, Operation::KeyReshare(_));
        let own = mark.node == from && mark.verifies(&void_digest(self.hash()));
        if !reshare || !own || !self.is_party(&from) {
            return effects.alarms.push(format!(
                "{from} says that it stored nothing, but not as a party would"
            ));
        }
        if self.record.has_voided(&from) {
            return;
        }
        self.record.void.push(mark.clone());
        self.record
            .note(world.now, format!("nothing stored at {from}, for good"));
        effects.change = Change::Stored;
        self.judge_mark(from, effects);
        if self.record.has_stored(&from) {
            return self.settle(from, effects);
        }
        self.fail_void(from, world.now, effects);
        let waiting = self.record.stored.iter().flat_map(|made| &made.stored);
        let task = self.task().id;
        effects.send.extend(waiting.map(|stored| {
            (
                stored.node,
                ToNode::Void {
                    task,
                    mark: mark.clone(),
                },
            )
        }));
    }

    /// A party whose two words contradict each other lies or has lost its memory. Its mark counts:
    /// the others may have it, too.
    fn judge_mark(&self, from: NodeId, effects: &mut Effects) {
        if self.record.has_stored(&from) && self.record.has_voided(&from) {
            effects.alarms.push(format!(
                "{from} signed both that it stored and that it never will; examine that node"
            ));
        }
    }

    fn fail_void(&mut self, from: NodeId, now: UnixMillis, effects: &mut Effects) {
        if self.record.state.is_final() {
            return;
        }
        match self.cause() {
            Some(cause) => self.fail(cause, now, effects),
            None => {
                let message = "the named node gave up before it stored, so the key stays with its present holders; see \
                               its log, then send a new task";
                let reason = Reason::failed(FailureCode::ReshareVoid, message, vec![from]);
                self.fail(reason, now, effects);
            }
        }
    }

    /// Answers a party that has stored and waits.
    pub(super) fn pending(&mut self, node: NodeId, world: &World<'_>, effects: &mut Effects) {
        if !self.is_party(&node) {
            return;
        }
        if self.record.result.is_some() {
            // Whoever was just completed has been told.
            let settled = |(to, frame): &(NodeId, ToNode)| {
                *to == node && matches!(frame, ToNode::Settle { .. })
            };
            if !effects.send.iter().any(settled) {
                self.settle(node, effects);
            }
        } else if let Some(mark) = self.record.void().cloned() {
            effects.send.push((
                node,
                ToNode::Void {
                    task: self.task().id,
                    mark,
                },
            ));
        } else if self.record.state.is_final()
            && matches!(self.task().operation, Operation::KeyReshare(_))
        {
            self.ask_silent(node, world, effects);
        }
    }

    /// True if others wait for what this party stored, and it has not said.
    pub(super) fn owes_word(&self, node: &NodeId) -> bool {
        let record = &self.record;
        record.is_unsettled()
            && self.is_party(node)
            && !record.has_stored(node)
            && !record.has_voided(node)
    }

    /// Offers the task again to those that said neither: they answer with what they recorded.
    /// Seldom enough that nobody can flood others by asking.
    fn ask_silent(&mut self, asking: NodeId, world: &World<'_>, effects: &mut Effects) {
        if self
            .record
            .asked
            .is_some_and(|at| world.now.0 < at.0.saturating_add(ASK_AGAIN))
        {
            return;
        }
        let said = |node: &NodeId| self.record.has_stored(node) || self.record.has_voided(node);
        let parties = self.record.parties.iter().map(|party| party.node);
        let silent: Vec<NodeId> = parties
            .filter(|node| *node != asking && !said(node) && (world.online)(node))
            .collect();
        if silent.is_empty() {
            return;
        }
        for node in silent {
            self.offer(node, effects);
        }
        self.record.asked = Some(world.now);
        effects.change = Change::Stored;
    }
}
