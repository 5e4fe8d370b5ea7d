//! Threshold ECDSA on secp256k1: interactive CGGMP24 signing. Never with presignatures.
//!
//! Each message passes a [gate](gate) of our own before the library sees it.

mod gate;

use std::sync::Arc;

use cggmp24::key_share::{KeyShare, Valid};
use cggmp24::signing::AnyDataToSign;
use cggmp24::signing::msg::Msg;
use cggmp24::{DataToSign, ExecutionId, PrehashedDataToSign};
use generic_ec::curves::Secp256k1;
use generic_ec::{Point, Scalar};
use k256::ecdsa::signature::hazmat::PrehashVerifier;
use k256::ecdsa::{RecoveryId, VerifyingKey};
use sha2::Sha256;

use crate::adapter::{self, RoundMessage};
use crate::blame::judge;
use crate::bounds;
use crate::engine::MessageKind;
use crate::random::Rng;
use crate::sign::{Job, Suite};
use crate::{
    Aux, CallerFault, CommitteeIndex, DeriveError, Engine, EngineError, Message, Paillier, Scheme,
    Signature,
};
use gate::RangeGate;

pub(crate) struct Ecdsa;

impl Suite for Ecdsa {
    const SCHEME: Scheme = Scheme::EcdsaSecp256k1;
    type Curve = Secp256k1;
    type Msg = Msg<Secp256k1, Sha256>;

    fn sign(
        job: Job<Secp256k1>,
        aux: Option<Arc<Aux>>,
        mut rng: Rng,
    ) -> Result<Box<dyn Engine<Output = Signature>>, EngineError> {
        let aux = aux.ok_or(CallerFault::AuxMissing)?;
        let aux = aux.paillier()?;
        let share = join(&job, aux)?;
        let gate = RangeGate::new(&job, aux)?;
        Ok(adapter::start_behind(
            job.me,
            job.parties(),
            gate,
            move |party| async move {
                let builder =
                    cggmp24::signing(ExecutionId::new(&job.id), job.me.0, &job.signers, &share);
                let builder = builder
                    .set_derivation_path(job.path.iter().copied())
                    .map_err(EngineError::bug)?;
                let data = data_to_sign(&job.message);
                let signature = builder.sign(&mut rng, party, &*data).await.map_err(judge)?;
                finish(&signature, &job)
            },
        ))
    }

    fn verification_key(
        public_key: &Point<Secp256k1>,
        _: Option<&[u8; 32]>,
    ) -> Result<Vec<u8>, DeriveError> {
        Ok(public_key.to_bytes(true).to_vec())
    }

    fn verify(verification_key: &[u8], message: &Message, signature: &Signature) -> bool {
        let prehash = message.prehash();
        let Ok(key) = VerifyingKey::from_sec1_bytes(verification_key) else {
            return false;
        };
        let Ok(parsed) = k256::ecdsa::Signature::from_slice(&signature.bytes) else {
            return false;
        };
        let recovers = |id: u8| {
            let id = RecoveryId::from_byte(id)?;
            VerifyingKey::recover_from_prehash(&prehash, &parsed, id).ok()
        };
        parsed.normalize_s().is_none()
            && key.verify_prehash(&prehash, &parsed).is_ok()
            && signature
                .recovery_id
                .is_none_or(|id| recovers(id) == Some(key))
    }
}

/// Combines the key share with its committee's auxiliary information.
fn join(job: &Job<Secp256k1>, aux: &Paillier) -> Result<KeyShare<Secp256k1>, CallerFault> {
    if aux.index() != CommitteeIndex(job.core.i) || aux.parties() != job.core.n() {
        return Err(CallerFault::AuxMismatch);
    }
    Valid::from_parts((job.core.clone(), aux.info().clone())).map_err(|_| CallerFault::AuxMismatch)
}

/// Signing a bare digest is safe here because the message is fixed before the
/// nonce exists; see `PrehashedDataToSign`.
fn data_to_sign(message: &Message) -> Box<dyn AnyDataToSign<Secp256k1>> {
    match message {
        Message::Raw(bytes) => Box::new(DataToSign::digest::<Sha256>(bytes)),
        Message::Digest(digest) => Box::new(PrehashedDataToSign::from_scalar(
            Scalar::from_be_bytes_mod_order(digest),
        )),
    }
}

/// The protocol does not yield a recovery id, so the two or four candidates are tried.
fn finish(
    signature: &cggmp24::Signature<Secp256k1>,
    job: &Job<Secp256k1>,
) -> Result<Signature, EngineError> {
    let mut bytes = vec![0; cggmp24::Signature::<Secp256k1>::serialized_len()];
    signature.write_to_slice(&mut bytes);
    let key = VerifyingKey::from_sec1_bytes(&job.child.key.public_key.to_bytes(true))
        .map_err(EngineError::bug)?;
    let parsed = k256::ecdsa::Signature::from_slice(&bytes).map_err(EngineError::bug)?;
    let id = RecoveryId::trial_recovery_from_prehash(&key, &job.message.prehash(), &parsed)
        .map_err(EngineError::bug)?;
    Ok(Signature {
        bytes,
        recovery_id: Some(id.to_byte()),
    })
}

impl RoundMessage for Msg<Secp256k1, Sha256> {
    const LIMITS: &'static [(&'static str, usize)] = &[
        ("Round1a", 4 << 10),
        ("Round1b", 12 << 10),
        ("ReliabilityCheck", 128),
        ("Round2", 32 << 10),
        ("Round3", 1 << 10),
        ("Round4", 192),
    ];

    fn integers_fit(body: &[u8]) -> bool {
        bounds::signing(body)
    }

    fn kind(&self) -> MessageKind {
        match self {
            Self::Round1a(_) | Self::ReliabilityCheck(_) | Self::Round3(_) | Self::Round4(_) => {
                MessageKind::Broadcast
            }
            Self::Round1b(_) | Self::Round2(_) => MessageKind::Direct,
        }
    }
}
