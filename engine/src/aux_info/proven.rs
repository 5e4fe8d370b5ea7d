//! Auxiliary information as it travels: round 2 carries our own proof beside the library's message.
//!
//! A round 2 without it is refused. The proof reaches the [gate](super::moduli), which verifies it
//! before the library computes anything under its author's parameters.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use cggmp24::backend::Integer;
use cggmp24::key_refresh::Msg;
use cggmp24::security_level::SecurityLevel128;
use ciborium::Value;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::parameters::{Proof, Statement};
use super::recorder::Recorder;
use crate::Aux;
use crate::adapter::variant;
use crate::engine::{Engine, MessageKind, Outgoing, PartyIndex, Step};
use crate::error::{CallerFault, EngineError, PeerFault};
use crate::sealed::{decode_exactly, decode_only_form, encode};

/// Maximum size of round 2 with its proof: the library's, and 128 responses of 384 bytes.
pub(crate) const MAX_ROUND_TWO: usize = (216 + 52) << 10;

/// Proofs received in round 2, by sender, for the gate to take.
pub(super) type Proofs = Rc<RefCell<BTreeMap<u16, Proof>>>;

/// Adds the proof to this party's round 2 and extracts those of the others.
pub(super) struct Proven {
    pub inner: Box<dyn Engine<Output = Aux>>,
    pub me: PartyIndex,
    pub parties: u16,
    /// Execution id of the run.
    pub id: [u8; 32],
    /// The primes of N^, until they have been used.
    pub primes: Option<[Integer; 2]>,
    pub recorder: Recorder,
    pub proofs: Proofs,
    pub failed: Option<EngineError>,
}

/// Round 2 as it travels.
#[derive(Serialize, Deserialize)]
enum Said {
    ProvenRound2 { round: Value, proof: Proof },
}

/// Round 2 as the library reads it.
#[derive(Serialize)]
enum Bare<'a> {
    Round2(&'a Value),
}

impl Engine for Proven {
    type Output = Aux;

    fn step(&mut self) -> Result<Step<Aux>, EngineError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let step = match self.inner.step() {
            Ok(Step::Send(message)) if variant(&message.body) == Some("Round2") => {
                self.prove(message).map(Step::Send)
            }
            step => step,
        };
        self.keep_failure(step)
    }

    fn receive(
        &mut self,
        from: PartyIndex,
        kind: MessageKind,
        body: &[u8],
    ) -> Result<(), EngineError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let received = match variant(body) {
            Some("ProvenRound2") => self.take(from, kind, body),
            Some("Round2") => Err(EngineError::peer(PeerFault::Malformed, from)),
            _ => self.inner.receive(from, kind, body),
        };
        self.keep_failure(received)
    }

    fn body_limit(&self) -> usize {
        MAX_ROUND_TWO.max(self.inner.body_limit())
    }
}

impl Proven {
    fn prove(&mut self, message: Outgoing) -> Result<Outgoing, EngineError> {
        let lost = || EngineError::bug("the parameters of this party cannot be proven");
        let primes = self.primes.take().ok_or_else(lost)?;
        let witness = self.recorder.witness(&primes).ok_or_else(lost)?;
        let Some(Msg::Round2(said)) =
            decode_exactly::<Msg<Sha256, SecurityLevel128>>(&message.body)
        else {
            return Err(lost());
        };
        let modulus = &said.hat_N;
        let s = &said.s;
        let t = &said.t;
        if t.pow_mod_ref(&witness.lambda, modulus).as_ref() != Some(s) {
            return Err(lost());
        }
        let statement = Statement {
            id: &self.id,
            prover: self.me.0,
            modulus,
            s,
            t,
        };
        let proof = statement
            .prove(&witness, &mut self.recorder)
            .ok_or_else(lost)?;
        let Some(Value::Map(mut entries)) = decode_exactly::<Value>(&message.body) else {
            return Err(lost());
        };
        let (_, round) = entries.pop().ok_or_else(lost)?;
        let body = encode(&Said::ProvenRound2 { round, proof }, MAX_ROUND_TWO)
            .map_err(EngineError::bug)?;
        Ok(Outgoing {
            to: message.to,
            body,
        })
    }

    /// Keeps the proof for the gate and passes the rest on. Errors in the rest are left
    /// to the inner engine.
    fn take(
        &mut self,
        from: PartyIndex,
        kind: MessageKind,
        body: &[u8],
    ) -> Result<(), EngineError> {
        if from == self.me || from.0 >= self.parties {
            return Err(CallerFault::NotInSession(from).into());
        }
        let (round, proof) = opened(body).map_err(|fault| EngineError::peer(fault, from))?;
        self.inner.receive(from, kind, &round)?;
        self.proofs.borrow_mut().insert(from.0, proof);
        Ok(())
    }

    /// Records an error, which ends the run and drops its secrets.
    fn keep_failure<T>(&mut self, result: Result<T, EngineError>) -> Result<T, EngineError> {
        if let Err(error) = &result {
            self.primes = None;
            self.failed = Some(error.clone());
        }
        result
    }
}

/// Splits the library's message from the proof. Only the canonical encoding is accepted.
fn opened(body: &[u8]) -> Result<(Zeroizing<Vec<u8>>, Proof), PeerFault> {
    if body.len() > MAX_ROUND_TWO {
        return Err(PeerFault::TooLong);
    }
    let Said::ProvenRound2 { round, proof } = decode_only_form(body).ok_or(PeerFault::Malformed)?;
    let bare = encode(&Bare::Round2(&round), body.len()).map_err(|_| PeerFault::Malformed)?;
    Ok((bare, proof))
}
