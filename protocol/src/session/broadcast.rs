//! Reliable broadcast by echo: a message counts only when every other party has
//! received exactly the same.
//!
//! Each broadcast is signed by its sender. Each receiver tells the others its hash together with
//! that signature; it is delivered once all of them said the same. Two signatures of one sender
//! under one number prove to anybody that the sender cheats. With two parties there is nobody to
//! echo to and nothing is sent.

use std::collections::{BTreeMap, BTreeSet};

use super::MAX_PHASES;
use super::failure::{Fault, misbehaved};
use crate::IdentitySigner;
use crate::evidence::{Echoed, Evidence, Misconduct, Signature, SignedHash};
use crate::frame::{Message, body_hash, broadcast_digest, echo_digest};
use crate::hash::Hash;
use crate::id::{NodeId, SessionId};

/// Maximum number of broadcasts of one sender in one phase; the longest protocol here has five.
const MAX_NUMBER: u16 = 32;
/// Maximum number of broadcasts of one sender that wait for echoes. An honest sender is at most one
/// round ahead of a waiting receiver.
const MAX_INCOMPLETE: usize = 3;

/// The state of all broadcasts of one session.
pub(super) struct Broadcasts {
    task: Hash,
    me: usize,
    parties: Vec<NodeId>,
    /// Number of own broadcasts made, by phase.
    made: BTreeMap<u8, u16>,
    /// Number of broadcasts received, by phase and sender: tunnels keep the order, so the next
    /// one has that number.
    arrived: BTreeMap<(u8, usize), u16>,
    slots: BTreeMap<Key, Slot>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    phase: u8,
    sender: usize,
    number: u16,
}

/// The state of one broadcast.
#[derive(Default)]
struct Slot {
    /// The hash that the sender signed, from itself or from the first echo.
    signed: Option<(Hash, [u8; 64])>,
    body: Option<Vec<u8>>,
    echoed: BTreeSet<usize>,
    done: bool,
}

/// The results of an accepted message.
#[derive(Default)]
pub(super) struct Accepted {
    /// The echoes to send, by receiver.
    pub echoes: Vec<(usize, Message)>,
    /// Completed broadcasts: phase, sender, body.
    pub deliver: Vec<(u8, usize, Vec<u8>)>,
}

impl Broadcasts {
    pub(super) fn new(task: Hash, me: usize, parties: Vec<NodeId>) -> Self {
        let (made, arrived, slots) = Default::default();
        Self {
            task,
            me,
            parties,
            made,
            arrived,
            slots,
        }
    }

    /// Numbers and signs a broadcast of this party.
    pub(super) fn make(
        &mut self,
        session: SessionId,
        phase: u8,
        body: Vec<u8>,
        signer: &dyn IdentitySigner,
    ) -> Message {
        let made = self.made.entry(phase).or_default();
        let number = *made;
        *made += 1;
        let me = &self.parties[self.me];
        let digest = broadcast_digest(self.task, session, me, phase, number, body_hash(&body));
        Message::Broadcast {
            phase,
            number,
            signature: signer.sign(digest.as_bytes()),
            body,
        }
    }

    /// Processes a broadcast or an echo that arrived from `from`.
    pub(super) fn handle(
        &mut self,
        session: SessionId,
        from: usize,
        message: Message,
        signer: &dyn IdentitySigner,
    ) -> Result<Accepted, Fault> {
        match message {
            Message::Broadcast {
                phase,
                number,
                body,
                signature,
            } => {
                let key = self.key(from, phase, from, number)?;
                self.check_turn(key)?;
                let hash = body_hash(&body);
                if !self.check_signed(session, key, hash, signature)? {
                    let what = "sent a broadcast with a wrong signature";
                    return Err(misbehaved(self.parties[from], what).into());
                }
                Ok(self.on_broadcast(session, key, hash, signature, body, signer))
            }
            Message::Echo {
                phase,
                sender,
                number,
                body,
                signature,
                by,
            } => {
                let key = self.key(from, phase, usize::from(sender), number)?;
                if key.sender == from || key.sender == self.me {
                    let what = "echoed a broadcast that it should not";
                    return Err(misbehaved(self.parties[from], what).into());
                }
                if !self.check_signed(session, key, body, signature)? {
                    return Err(self.false_echo(session, from, key, (body, signature), by));
                }
                self.slots.entry(key).or_default().echoed.insert(from);
                Ok(self.complete(key))
            }
            Message::Direct { .. } | Message::Stored(_) => Ok(Accepted::default()),
        }
    }

    /// True if anything of this party has arrived in the phase, from itself
    /// or through another's echo.
    pub(super) fn has_spoken(&self, party: usize, phase: u8) -> bool {
        self.slots.iter().any(|(key, slot)| {
            key.phase == phase
                && ((key.sender == party && slot.signed.is_some()) || slot.echoed.contains(&party))
        })
    }

    /// The parties whose missing echo blocks a received broadcast of this phase.
    pub(super) fn silent(&self, phase: Option<u8>) -> BTreeSet<usize> {
        let current = self
            .slots
            .iter()
            .filter(|(key, slot)| Some(key.phase) == phase && !slot.done);
        current
            .flat_map(|(key, slot)| self.missing(*key, slot))
            .collect()
    }

    fn missing(&self, key: Key, slot: &Slot) -> Vec<usize> {
        let missing: Vec<usize> = self
            .receivers(key)
            .filter(|party| !slot.echoed.contains(party))
            .collect();
        if slot.body.is_none() {
            vec![key.sender]
        } else {
            missing
        }
    }

    fn receivers(&self, key: Key) -> impl Iterator<Item = usize> + use<> {
        let me = self.me;
        (0..self.parties.len()).filter(move |party| *party != key.sender && *party != me)
    }

    fn key(&self, from: usize, phase: u8, sender: usize, number: u16) -> Result<Key, Fault> {
        if phase >= MAX_PHASES || number >= MAX_NUMBER || sender >= self.parties.len() {
            return Err(
                misbehaved(self.parties[from], "sent a broadcast that no protocol has").into(),
            );
        }
        Ok(Key {
            phase,
            sender,
            number,
        })
    }

    /// Bounds the broadcasts that wait for echoes: only the next number, and few at a time.
    fn check_turn(&self, key: Key) -> Result<(), Fault> {
        let next = self
            .arrived
            .get(&(key.phase, key.sender))
            .copied()
            .unwrap_or(0);
        let waits =
            |(other, slot): &(&Key, &Slot)| other.sender == key.sender && slot.body.is_some();
        if key.number != next || self.slots.iter().filter(waits).count() >= MAX_INCOMPLETE {
            return Err(
                misbehaved(self.parties[key.sender], "sent a broadcast out of turn").into(),
            );
        }
        Ok(())
    }

    /// Returns false if the sender did not sign this, and an error if it signed both this and
    /// something else under one number.
    fn check_signed(
        &mut self,
        session: SessionId,
        key: Key,
        hash: Hash,
        signature: [u8; 64],
    ) -> Result<bool, Fault> {
        let sender = self.parties[key.sender];
        let known = self.slots.entry(key).or_default().signed;
        if known == Some((hash, signature)) {
            return Ok(true);
        }
        let digest = broadcast_digest(self.task, session, &sender, key.phase, key.number, hash);
        if !sender.verify(digest.as_bytes(), &signature) {
            return Ok(false);
        }
        match known {
            Some(other) if other.0 != hash => {
                Err(self.equivocation(session, sender, key, [other, (hash, signature)]))
            }
            Some(_) => Ok(true),
            None => {
                self.slots.entry(key).or_default().signed = Some((hash, signature));
                Ok(true)
            }
        }
    }

    fn on_broadcast(
        &mut self,
        session: SessionId,
        key: Key,
        hash: Hash,
        signature: [u8; 64],
        body: Vec<u8>,
        signer: &dyn IdentitySigner,
    ) -> Accepted {
        let slot = self.slots.entry(key).or_default();
        slot.body = Some(body);
        *self.arrived.entry((key.phase, key.sender)).or_default() += 1;
        let mut accepted = self.complete(key);
        let receivers: Vec<usize> = self.receivers(key).collect();
        if !receivers.is_empty() {
            let echo = self.echo(session, key, hash, signature, signer);
            accepted.echoes = receivers.into_iter().map(|to| (to, echo.clone())).collect();
        }
        accepted
    }

    /// Makes this party's echo of a broadcast.
    fn echo(
        &self,
        session: SessionId,
        key: Key,
        hash: Hash,
        signature: [u8; 64],
        signer: &dyn IdentitySigner,
    ) -> Message {
        let echoed = self.echoed(key, (hash, signature), [0; 64]);
        let digest = echo_digest(self.task, session, &self.parties[self.me], &echoed);
        Message::Echo {
            phase: key.phase,
            sender: key.sender as u16,
            number: key.number,
            body: hash,
            signature,
            by: signer.sign(digest.as_bytes()),
        }
    }

    fn echoed(&self, key: Key, (body, claimed): (Hash, [u8; 64]), by: [u8; 64]) -> Echoed {
        Echoed {
            of: self.parties[key.sender],
            phase: key.phase,
            number: key.number,
            body,
            claimed: Signature(claimed),
            signature: Signature(by),
        }
    }

    /// Handles an echo that its alleged author never signed. It proves itself if
    /// the sender signed it.
    fn false_echo(
        &self,
        session: SessionId,
        from: usize,
        key: Key,
        said: (Hash, [u8; 64]),
        by: [u8; 64],
    ) -> Fault {
        let echo = Box::new(self.echoed(key, said, by));
        let misconduct = Misconduct::FalseEcho { session, echo };
        let evidence = Evidence {
            task: self.task,
            node: self.parties[from],
            misconduct,
        };
        if evidence.verify(self.task, &self.parties) {
            evidence.into()
        } else {
            misbehaved(
                self.parties[from],
                "passed on a broadcast that was never signed",
            )
            .into()
        }
    }

    /// Delivers the broadcast if the body and every echo are there.
    fn complete(&mut self, key: Key) -> Accepted {
        let receivers: Vec<usize> = self.receivers(key).collect();
        let slot = self.slots.entry(key).or_default();
        let complete = receivers.iter().all(|party| slot.echoed.contains(party));
        let mut accepted = Accepted::default();
        if complete
            && !slot.done
            && let Some(body) = slot.body.take()
        {
            slot.done = true;
            accepted.deliver.push((key.phase, key.sender, body));
        }
        accepted
    }

    fn equivocation(
        &self,
        session: SessionId,
        node: NodeId,
        key: Key,
        signed: [(Hash, [u8; 64]); 2],
    ) -> Fault {
        let signed = signed.map(|(hash, signature)| SignedHash {
            hash,
            signature: Signature(signature),
        });
        let misconduct = Misconduct::Broadcasts {
            session,
            phase: key.phase,
            number: key.number,
            signed,
        };
        Evidence {
            task: self.task,
            node,
            misconduct,
        }
        .into()
    }
}
