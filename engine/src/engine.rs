//! The interface between protocols and the driver: every task of every scheme is an [`Engine`].
//!
//! The driver owns transport, time and authentication. It promises that `from` and `kind` come from
//! the authenticated envelope, that broadcasts are reliable, and that exact repetitions are
//! dropped.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::EngineError;

/// Maximum size of any message body in bytes. Each message of each protocol has a limit of its own
/// below it, see [`Engine::body_limit`]; longer ones are refused as the sender's fault, before they
/// are decoded. The longest honest message is a proof of the auxiliary information: 212 kB.
pub const MAX_BODY: usize = 1 << 20;

/// Position of a party in the ordered party list of one session, from 0. In key and
/// auxiliary-information generation the list is the committee; in signing it is the chosen signers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PartyIndex(pub u16);

impl fmt::Display for PartyIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The receivers of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recipient {
    /// Every other party of the session, over a reliable broadcast.
    All,
    /// Only this party; nobody else may read it.
    One(PartyIndex),
}

/// A message that the driver must send.
pub struct Outgoing {
    /// The receivers of the message.
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

/// The way a message travelled, as stated by the signed envelope; never a field of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MessageKind {
    /// Sent to all parties alike.
    Broadcast,
    /// Sent to this party alone.
    Direct,
}

/// The next request of an engine.
#[derive(Debug)]
pub enum Step<O> {
    /// Send this, then step again.
    Send(Outgoing),
    /// Nothing to do before another message arrives.
    NeedMessage,
    /// Finished. The engine has dropped its secrets.
    Done(O),
}

/// A party's run of one protocol. Not `Send`: build it on the thread that steps it.
pub trait Engine {
    /// The result of the run.
    type Output;

    /// Computes until there is something to send or to wait for. One call can take seconds of CPU
    /// for ECDSA. After an error every further call returns the same error.
    fn step(&mut self) -> Result<Step<Self::Output>, EngineError>;

    /// Takes a message, at any time: messages of later rounds are kept until the engine gets
    /// there. Each party has one message per round, which bounds the messages kept. Messages after
    /// the end are dropped.
    fn receive(
        &mut self,
        from: PartyIndex,
        kind: MessageKind,
        body: &[u8],
    ) -> Result<(), EngineError>;

    /// Maximum size in bytes of a message that this engine takes in any of its rounds. Queues in
    /// front of an engine need not keep longer ones; [`sign_room`](crate::sign_room) and the like
    /// give the limit before there is an engine.
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
