//! Checks of the others' moduli before the library sees them: that they are
//! odd, that no two of a committee share a factor, and that their
//! ring-Pedersen [parameters](super::parameters) are proven.
//!
//! The library's proofs cover each N alone, as a product of two large primes. A factor shared by
//! two moduli, through a copied modulus or a generator without randomness, would reveal both to
//! the holder of either.

use std::collections::BTreeMap;

use cggmp24::PregeneratedPrimes;
use cggmp24::backend::Integer;
use cggmp24::key_refresh::Msg;
use cggmp24::key_refresh::msg::MsgRound2;
use cggmp24::security_level::SecurityLevel128;
use round_based::Incoming;
use sha2::Sha256;

use super::parameters::Statement;
use super::proven::Proofs;
use crate::adapter::Gate;
use crate::{EngineError, PartyIndex, PeerFault};

/// Collects and checks the moduli of one run.
pub(super) struct ModuliGate {
    mine: [Integer; 2],
    /// The moduli received so far, by party.
    theirs: BTreeMap<u16, [Integer; 2]>,
    /// Execution id of the run.
    id: [u8; 32],
    proofs: Proofs,
}

impl ModuliGate {
    pub(super) fn new(primes: &PregeneratedPrimes, id: [u8; 32], proofs: Proofs) -> Self {
        let [p, q, hat_p, hat_q] = primes.primes_ref();
        Self {
            mine: [p * q, hat_p * hat_q],
            theirs: BTreeMap::new(),
            id,
            proofs,
        }
    }

    fn check(&mut self, sender: u16, moduli: [Integer; 2]) -> Result<(), EngineError> {
        let wrong =
            |what: &str| EngineError::peer(PeerFault::Protocol(what.into()), PartyIndex(sender));
        if moduli.iter().any(Integer::is_even) {
            return Err(wrong("a modulus is even"));
        }
        let [n, hat_n] = &moduli;
        if !n.gcd_ref(hat_n).is_one() {
            return Err(wrong("its two moduli have a factor in common"));
        }
        if share_a_factor(&moduli, &self.mine) {
            return Err(wrong(
                "its modulus has a factor in common with this party's",
            ));
        }
        // One of the two, or both; the proofs of the last round would tell.
        if self
            .theirs
            .values()
            .any(|others| share_a_factor(&moduli, others))
        {
            let fault =
                PeerFault::Protocol("the moduli of two parties have a factor in common".into());
            return Err(EngineError::Peer {
                fault,
                culprits: vec![],
            });
        }
        self.theirs.insert(sender, moduli);
        Ok(())
    }
}

impl ModuliGate {
    /// Requires proven parameters of a party whose moduli passed the other checks.
    fn check_parameters(
        &self,
        prover: u16,
        said: &MsgRound2<SecurityLevel128>,
    ) -> Result<(), EngineError> {
        let proof = self.proofs.borrow_mut().remove(&prover);
        let modulus = &said.hat_N;
        let s = &said.s;
        let t = &said.t;
        let statement = Statement {
            id: &self.id,
            prover,
            modulus,
            s,
            t,
        };
        if proof.is_some_and(|proof| statement.is_shown_by(&proof)) {
            Ok(())
        } else {
            let fault = PeerFault::Protocol("its ring-Pedersen parameters are not proven".into());
            Err(EngineError::peer(fault, PartyIndex(prover)))
        }
    }
}

fn share_a_factor(some: &[Integer; 2], others: &[Integer; 2]) -> bool {
    some.iter()
        .any(|modulus| others.iter().any(|other| !modulus.gcd_ref(other).is_one()))
}

impl Gate<Msg<Sha256, SecurityLevel128>> for ModuliGate {
    fn pass(
        &mut self,
        message: Incoming<Msg<Sha256, SecurityLevel128>>,
    ) -> Result<Vec<Incoming<Msg<Sha256, SecurityLevel128>>>, EngineError> {
        match &message.msg {
            Msg::Round2(parameters) => {
                self.check(
                    message.sender,
                    [parameters.N.clone(), parameters.hat_N.clone()],
                )?;
                self.check_parameters(message.sender, parameters)?;
            }
            Msg::Round1(_) | Msg::ReliabilityCheck(_) | Msg::Round3(_) => {}
        }
        Ok(vec![message])
    }
}
