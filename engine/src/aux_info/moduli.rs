//! What we check of the others' moduli before the library sees them: that they are odd, and that no two of a committee
//! have a factor in common.
//!
//! The library's proofs say of each N alone that it is a product of two large primes. A factor that two moduli share, by a copied
//! modulus or a generator without randomness, would open both of them to whoever holds one.

use std::collections::BTreeMap;

use cggmp24::PregeneratedPrimes;
use cggmp24::backend::Integer;
use cggmp24::key_refresh::Msg;
use cggmp24::security_level::SecurityLevel128;
use round_based::Incoming;
use sha2::Sha256;

use crate::adapter::Gate;
use crate::{EngineError, PartyIndex, PeerFault};

/// Keeps the moduli of one run.
pub(super) struct ModuliGate {
    mine: [Integer; 2],
    /// Of those that were heard, by party.
    theirs: BTreeMap<u16, [Integer; 2]>,
}

impl ModuliGate {
    pub(super) fn new(primes: &PregeneratedPrimes) -> Self {
        let [p, q, hat_p, hat_q] = primes.primes_ref();
        Self { mine: [p * q, hat_p * hat_q], theirs: BTreeMap::new() }
    }

    fn check(&mut self, sender: u16, moduli: [Integer; 2]) -> Result<(), EngineError> {
        let wrong = |what: &str| EngineError::peer(PeerFault::Protocol(what.into()), PartyIndex(sender));
        if moduli.iter().any(Integer::is_even) {
            return Err(wrong("a modulus is even"));
        }
        let [n, hat_n] = &moduli;
        if !n.gcd_ref(hat_n).is_one() {
            return Err(wrong("its two moduli have a factor in common"));
        }
        if share_a_factor(&moduli, &self.mine) {
            return Err(wrong("its modulus has a factor in common with this party's"));
        }
        // One of the two, or both; the proofs of the last round would tell.
        if self.theirs.values().any(|others| share_a_factor(&moduli, others)) {
            let fault = PeerFault::Protocol("the moduli of two parties have a factor in common".into());
            return Err(EngineError::Peer { fault, culprits: vec![] });
        }
        self.theirs.insert(sender, moduli);
        Ok(())
    }
}

fn share_a_factor(some: &[Integer; 2], others: &[Integer; 2]) -> bool {
    some.iter().any(|modulus| others.iter().any(|other| !modulus.gcd_ref(other).is_one()))
}

impl Gate<Msg<Sha256, SecurityLevel128>> for ModuliGate {
    fn pass(
        &mut self,
        message: Incoming<Msg<Sha256, SecurityLevel128>>,
    ) -> Result<Vec<Incoming<Msg<Sha256, SecurityLevel128>>>, EngineError> {
        match &message.msg {
            Msg::Round2(parameters) => {
                self.check(message.sender, [parameters.N.clone(), parameters.hat_N.clone()])?;
            }
            Msg::Round1(_) | Msg::ReliabilityCheck(_) | Msg::Round3(_) => {}
        }
        Ok(vec![message])
    }
}
