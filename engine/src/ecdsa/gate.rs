//! Our own checks of signing messages before the library sees them.
//!
//! Round 1 carries two range proofs of its sender: that the plaintexts of its ciphertexts K and G
//! are no larger than the protocol allows. The answer in round 2 multiplies secrets into K and
//! hides them behind a mask of a fixed size, so the proofs guard the share of everybody who
//! answers. Both are verified here with the functions of `paillier-zk`, and a sender whose proof
//! does not hold is named. The library cannot bypass this: a second part of round 1 reaches it only
//! once both proofs hold.
//!
//! Source: CGGMP24 (<https://eprint.iacr.org/2021/060>, revision of 2024), Πenc-elg in round 1 of
//! the presigning protocol.

use std::collections::BTreeMap;

use cggmp24::key_share::PedersenParams;
use cggmp24::security_level::{SecurityLevel, SecurityLevel128};
use cggmp24::signing::msg::{Msg, MsgRound1a, MsgRound1b};
use cggmp24::{ExecutionId, fast_paillier};
use generic_ec::Point;
use generic_ec::curves::Secp256k1;
use paillier_zk::paillier_encryption_in_range_with_el_gamal as pi_enc_elg;
use round_based::Incoming;
use sha2::Sha256;

use crate::adapter::Gate;
use crate::sign::Job;
use crate::{CallerFault, EngineError, Paillier, PartyIndex, PeerFault};

/// ℓ and ε of the security level.
const SECURITY: pi_enc_elg::SecurityParams = pi_enc_elg::SecurityParams {
    l: SecurityLevel128::ELL,
    epsilon: SecurityLevel128::EPSILON,
};

type Message = Msg<Secp256k1, Sha256>;

/// Verifies the proofs of round 1 of one signing run.
pub(super) struct RangeGate {
    /// Execution id of the run.
    id: [u8; 32],
    /// This party's ring-Pedersen parameters, for which the others make their proofs.
    mine: pi_enc_elg::Aux,
    /// The signers' Paillier keys, in the order of the signers.
    keys: Vec<fast_paillier::EncryptionKey>,
    /// The state of round 1, by position among the signers.
    known: BTreeMap<u16, RoundOne>,
}

/// The half of a signer's round 1 that arrived first.
enum RoundOne {
    Ciphertexts(Box<MsgRound1a<Secp256k1>>),
    /// Withheld from the library.
    Proofs(Incoming<Box<MsgRound1b<Secp256k1>>>),
}

impl RangeGate {
    pub(super) fn new(job: &Job<Secp256k1>, aux: &Paillier) -> Result<Self, CallerFault> {
        let info = aux.info();
        let of = |signer: &u16| info.N.get(usize::from(*signer)).cloned();
        let keys: Option<Vec<_>> = job
            .signers
            .iter()
            .map(|signer| of(signer).map(fast_paillier::EncryptionKey::from_n))
            .collect();
        let mine: Option<&PedersenParams> = info.pedersen_params.get(usize::from(job.core.i));
        let (keys, mine) = keys.zip(mine).ok_or(CallerFault::AuxMismatch)?;
        Ok(Self {
            id: job.id,
            mine: mine.into(),
            keys,
            known: BTreeMap::new(),
        })
    }

    fn check(
        &self,
        sender: u16,
        ciphertexts: &MsgRound1a<Secp256k1>,
        proofs: &MsgRound1b<Secp256k1>,
    ) -> Result<(), EngineError> {
        let MsgRound1a {
            K,
            G,
            Y,
            A1,
            A2,
            B1,
            B2,
        } = ciphertexts;
        let MsgRound1b { psi0, psi1 } = proofs;
        self.check_one(sender, "nonce", 0, (K, Y, A1, A2), psi0)?;
        self.check_one(sender, "mask", 1, (G, Y, B1, B2), psi1)
    }

    /// Verifies one proof; `number` is 0 for the nonce's ciphertext K and 1 for that
    /// of its mask, G.
    fn check_one(
        &self,
        sender: u16,
        what: &str,
        number: u8,
        (ciphertext, a, b, x): Statement<'_>,
        proof: &pi_enc_elg::NiProof<Secp256k1>,
    ) -> Result<(), EngineError> {
        let key = self
            .keys
            .get(usize::from(sender))
            .ok_or_else(|| EngineError::bug("a sender without a key"))?;
        let context = ProofContext {
            sid: ExecutionId::new(&self.id),
            prover: sender,
            num: number,
        };
        let data = pi_enc_elg::Data {
            key,
            ciphertext,
            a,
            b,
            x,
        };
        pi_enc_elg::non_interactive::verify::<Secp256k1, Sha256>(
            &context, &self.mine, data, proof, &SECURITY,
        )
        .map_err(|error| {
            let fault = format!("the range proof of its {what} does not hold: {error}");
            EngineError::peer(PeerFault::Protocol(fault), PartyIndex(sender))
        })
    }
}

/// A ciphertext, the key Y of the sender's commitments, and the two halves of the
/// commitment to the plaintext.
type Statement<'a> = (
    &'a fast_paillier::Ciphertext,
    &'a Point<Secp256k1>,
    &'a Point<Secp256k1>,
    &'a Point<Secp256k1>,
);

impl Gate<Message> for RangeGate {
    fn pass(&mut self, message: Incoming<Message>) -> Result<Vec<Incoming<Message>>, EngineError> {
        let Incoming {
            id,
            sender,
            msg_type,
            msg,
        } = message;
        let twice = || {
            Err(EngineError::bug(
                "two messages for one round passed the adapter",
            ))
        };
        match (msg, self.known.remove(&sender)) {
            (Msg::Round1a(ciphertexts), None) => {
                self.known
                    .insert(sender, RoundOne::Ciphertexts(Box::new(ciphertexts.clone())));
                Ok(vec![Incoming {
                    id,
                    sender,
                    msg_type,
                    msg: Msg::Round1a(ciphertexts),
                }])
            }
            (Msg::Round1a(ciphertexts), Some(RoundOne::Proofs(held))) => {
                self.check(sender, &ciphertexts, &held.msg)?;
                let first = Incoming {
                    id,
                    sender,
                    msg_type,
                    msg: Msg::Round1a(ciphertexts),
                };
                Ok(vec![first, held.map(|proofs| Msg::Round1b(*proofs))])
            }
            (Msg::Round1a(_), Some(RoundOne::Ciphertexts(_))) => twice(),
            (Msg::Round1b(proofs), None) => {
                let held = Incoming {
                    id,
                    sender,
                    msg_type,
                    msg: Box::new(proofs),
                };
                self.known.insert(sender, RoundOne::Proofs(held));
                Ok(vec![])
            }
            (Msg::Round1b(proofs), Some(RoundOne::Ciphertexts(ciphertexts))) => {
                self.check(sender, &ciphertexts, &proofs)?;
                Ok(vec![Incoming {
                    id,
                    sender,
                    msg_type,
                    msg: Msg::Round1b(proofs),
                }])
            }
            (Msg::Round1b(_), Some(RoundOne::Proofs(_))) => twice(),
            (
                msg @ (Msg::ReliabilityCheck(_) | Msg::Round2(_) | Msg::Round3(_) | Msg::Round4(_)),
                known,
            ) => {
                self.known.extend(known.map(|known| (sender, known)));
                Ok(vec![Incoming {
                    id,
                    sender,
                    msg_type,
                    msg,
                }])
            }
        }
    }
}

/// The context that a range proof is bound to. Tag and fields are the library's: an honest proof
/// holds under no other.
#[derive(udigest::Digestable)]
#[udigest(tag = "dfns.cggmp24.signing.proof_enc")]
struct ProofContext<'a> {
    sid: ExecutionId<'a>,
    prover: u16,
    num: u8,
}
