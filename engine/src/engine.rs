//! The joint between protocols and the driver: every task of every scheme is an [`Engine`].
//!
//! The driver owns transport, time and authentication. It promises that `from` and `kind` come from
//! the authenticated envelope, that broadcasts are reliable, and that exact repetitions are
//! dropped.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::EngineError;

/// Most bytes that any message body may have. Each message of each protocol has a limit of its own
/// below it, see [`Engine::body_limit`]; longer ones are refused as the sender's fault, before they
/// are decoded.
///
/// The longest honest message is a proof of the auxiliary information: 212 kB.
pub const MAX_BODY: usize = 1 << 20;

/// Position of a party in the ordered party list of one session, from 0.
///
/// In key and auxiliary-information generation the list is the committee, in signing it is the
/// chosen signers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PartyIndex(pub u16);

impl fmt::Display for PartyIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whom a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recipient {
    /// Every other party of the session, over a reliable broadcast.
    All,
    /// One party, and nobody else may read it.
    One(PartyIndex),
}

/// A message to be sent.
pub struct Outgoing {
    /// Whom it is for.
    pub to: Recipient,
    /// CBOR, at most [`MAX_BODY`] bytes. Wiped when dropped, because a direct message can carry a
    /// share of a secret.
    pub body: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outgoing({:?}, {} bytes)", self.to, self.body.len())
    }
}

/// How a message travelled, as the signed envelope says; never a field of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MessageKind {
    /// To all parties alike.
    Broadcast,
    /// To this party alone.
    Direct,
}

/// What an engine wants next.
#[derive(Debug)]
pub enum Step<O> {
    /// Send this, then step again.
    Send(Outgoing),
    /// Nothing to do before another message arrives.
    NeedMessage,
    /// Finished. The engine has dropped its secrets.
    Done(O),
}

/// One party's run of one protocol. Not `Send`: build it on the thread that steps it.
pub trait Engine {
    /// What the run ends with.
    type Output;

    /// Computes until there is something to send or to wait for. One call can take seconds of CPU
    /// when the scheme is ECDSA. After an error every further call returns that error.
    fn step(&mut self) -> Result<Step<Self::Output>, EngineError>;

    /// Takes a message in, at any time: messages of later rounds are kept until the engine gets
    /// there. Each party has one message per round, which bounds what is kept. Messages after the
    /// end are dropped.
    fn receive(
        &mut self,
        from: PartyIndex,
        kind: MessageKind,
        body: &[u8],
    ) -> Result<(), EngineError>;

    /// Bytes of the longest message that this engine takes in any of its rounds. What keeps
    /// messages for an engine need keep no longer ones; [`sign_room`](crate::sign_room) and its
    /// like say it before there is an engine.
    fn body_limit(&self) -> usize {
        MAX_BODY
    }
}

impl<E: Engine + ?Sized> Engine for Box<E> {
    type Output = E::Output;

    fn step(&mut self) -> Result<Step<Self::Output>, EngineError> {
        (**self).step()
    }

    fn receive(
        &mut self,
        from: PartyIndex,
        kind: MessageKind,
        body: &[u8],
    ) -> Result<(), EngineError> {
        (**self).receive(from, kind, body)
    }

    fn body_limit(&self) -> usize {
        (**self).body_limit()
    }
}
