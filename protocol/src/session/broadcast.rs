//! Reliable broadcast by echo: a message counts only when every other party has received the very same.
//!
//! Each broadcast is signed by its sender. Whoever receives it tells the other receivers its hash together with that
//! signature; it is handed on once all of them said the same. Two signatures of one sender under one number prove to
//! anybody that the sender cheats. With two parties there is nobody to echo to and nothing is sent.

use super::MAX_PHASES;
use super::failure::{failure, misbehaved};
use crate::IdentitySigner;
use crate::frame::{Message, body_hash, broadcast_digest};
use crate::hash::Hash;
use crate::id::{NodeId, SessionId};
use crate::outcome::{Cause, Failure};
use std::collections::{BTreeMap, BTreeSet};

/// Broadcasts of one sender in one phase; the longest protocol here has five.
const MAX_NUMBER: u16 = 32;
/// Broadcasts of one sender that may wait for echoes. An honest sender is at most one round ahead of whoever waits.
const MAX_INCOMPLETE: usize = 3;

/// All broadcasts of one session.
pub(super) struct Broadcasts {
    me: usize,
    parties: Vec<NodeId>,
    /// How many of its own broadcasts this party has made, by phase.
    made: BTreeMap<u8, u16>,
    /// How many broadcasts have arrived, by phase and sender: tunnels keep the order, so the next one has that number.
    arrived: BTreeMap<(u8, usize), u16>,
    slots: BTreeMap<Key, Slot>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    phase: u8,
    sender: usize,
    number: u16,
}

/// What is known of one broadcast.
#[derive(Default)]
struct Slot {
    /// What the sender signed, from itself or from the first echo.
    signed: Option<(Hash, [u8; 64])>,
    body: Option<Vec<u8>>,
    echoed: BTreeSet<usize>,
    done: bool,
}

/// What follows from an accepted message.
#[derive(Default)]
pub(super) struct Accepted {
    /// Echoes to send: receiver and message.
    pub echoes: Vec<(usize, Message)>,
    /// Broadcasts that are complete: phase, sender, body.
    pub deliver: Vec<(u8, usize, Vec<u8>)>,
}

impl Broadcasts {
    pub(super) fn new(me: usize, parties: Vec<NodeId>) -> Broadcasts {
        Broadcasts { me, parties, made: BTreeMap::new(), arrived: BTreeMap::new(), slots: BTreeMap::new() }
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
        let digest = broadcast_digest(session, &self.parties[self.me], phase, number, body_hash(&body));
        Message::Broadcast { phase, number, signature: signer.sign(digest.as_bytes()), body }
    }

    /// A broadcast or an echo arrived from `from`.
    pub(super) fn handle(
        &mut self,
        session: SessionId,
        from: usize,
        message: Message,
    ) -> Result<Accepted, Failure> {
        match message {
            Message::Broadcast { phase, number, body, signature } => {
                let key = self.key(from, phase, from, number)?;
                self.check_turn(key)?;
                let hash = body_hash(&body);
                self.check_signed(session, from, key, hash, signature)?;
                self.on_broadcast(from, key, hash, signature, body)
            }
            Message::Echo { phase, sender, number, body, signature } => {
                let key = self.key(from, phase, usize::from(sender), number)?;
                if key.sender == from || key.sender == self.me {
                    return Err(misbehaved(self.parties[from], "echoed a broadcast that it should not"));
                }
                self.check_signed(session, from, key, body, signature)?;
                self.slots.entry(key).or_default().echoed.insert(from);
                Ok(self.complete(key))
            }
            Message::Direct { .. } | Message::Stored { .. } => Ok(Accepted::default()),
        }
    }

    /// Parties whose echo holds up a broadcast of this phase that has arrived.
    pub(super) fn silent(&self, phase: Option<u8>) -> BTreeSet<usize> {
        let current = self.slots.iter().filter(|(key, slot)| Some(key.phase) == phase && !slot.done);
        current.flat_map(|(key, slot)| self.missing(*key, slot)).collect()
    }

    fn missing(&self, key: Key, slot: &Slot) -> Vec<usize> {
        let missing: Vec<usize> = self.receivers(key).filter(|party| !slot.echoed.contains(party)).collect();
        if slot.body.is_none() { vec![key.sender] } else { missing }
    }

    fn receivers(&self, key: Key) -> impl Iterator<Item = usize> + use<> {
        let me = self.me;
        (0..self.parties.len()).filter(move |party| *party != key.sender && *party != me)
    }

    fn key(&self, from: usize, phase: u8, sender: usize, number: u16) -> Result<Key, Failure> {
        if phase >= MAX_PHASES || number >= MAX_NUMBER || sender >= self.parties.len() {
            return Err(misbehaved(self.parties[from], "sent a broadcast that no protocol has"));
        }
        Ok(Key { phase, sender, number })
    }

    /// What waits for echoes is bounded: the next number, and few at a time.
    fn check_turn(&self, key: Key) -> Result<(), Failure> {
        let next = self.arrived.get(&(key.phase, key.sender)).copied().unwrap_or(0);
        let waits = |(other, slot): &(&Key, &Slot)| other.sender == key.sender && slot.body.is_some();
        if key.number != next || self.slots.iter().filter(waits).count() >= MAX_INCOMPLETE {
            return Err(misbehaved(self.parties[key.sender], "sent a broadcast out of turn"));
        }
        Ok(())
    }

    /// Checks the sender's signature, and that it signed nothing else under this number.
    fn check_signed(
        &mut self,
        session: SessionId,
        from: usize,
        key: Key,
        hash: Hash,
        signature: [u8; 64],
    ) -> Result<(), Failure> {
        let sender = self.parties[key.sender];
        let known = self.slots.entry(key).or_default().signed;
        if known == Some((hash, signature)) {
            return Ok(());
        }
        let digest = broadcast_digest(session, &sender, key.phase, key.number, hash);
        if !sender.verify(digest.as_bytes(), &signature) {
            return Err(misbehaved(self.parties[from], "sent a broadcast with a wrong signature"));
        }
        match known {
            Some(other) if other.0 != hash => {
                Err(equivocation(session, sender, key, [other, (hash, signature)]))
            }
            Some(_) => Ok(()),
            None => {
                self.slots.entry(key).or_default().signed = Some((hash, signature));
                Ok(())
            }
        }
    }

    fn on_broadcast(
        &mut self,
        from: usize,
        key: Key,
        hash: Hash,
        signature: [u8; 64],
        body: Vec<u8>,
    ) -> Result<Accepted, Failure> {
        let slot = self.slots.entry(key).or_default();
        slot.body = Some(body);
        *self.arrived.entry((key.phase, from)).or_default() += 1;
        let echo = Message::Echo {
            phase: key.phase,
            sender: key.sender as u16,
            number: key.number,
            body: hash,
            signature,
        };
        let mut accepted = self.complete(key);
        accepted.echoes = self.receivers(key).map(|to| (to, echo.clone())).collect();
        Ok(accepted)
    }

    /// Hands the broadcast on if the body and every echo are there.
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
}

/// The failure carries its proof: whoever has the sender's key can verify both signatures over [`broadcast_digest`].
fn equivocation(session: SessionId, node: NodeId, key: Key, signed: [(Hash, [u8; 64]); 2]) -> Failure {
    let [one, two] = signed.map(|(hash, signature)| format!("{hash} signed {}", hex::encode(signature)));
    let text = format!(
        "{node} told different parties different things in session {session}, phase {}, broadcast {}: {one}; and {two}; do \
         not use it again before its operator has explained",
        key.phase, key.number
    );
    failure(Cause::Peer, "equivocation", vec![node], text)
}
