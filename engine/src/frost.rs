//! FROST signing (RFC 9591), written once over the ciphersuites: two rounds, nonces in memory only.
//!
//! Every signer aggregates for itself. Keys come from our own key generation and are handed to the
//! FROST crates through their public constructors, as bytes.

mod suites;

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;

use cggmp24::IncompleteKeyShare;
use frost_core::keys::{KeyPackage, PublicKeyPackage, SigningShare, VerifyingShare};
use frost_core::round1::{self, SigningCommitments};
use frost_core::round2::{self, SignatureShare};
use frost_core::{
    CheaterDetection, Ciphersuite, Identifier, SigningPackage, VerifyingKey, aggregate_custom,
};
use generic_ec::{NonZero, Point, Scalar, SecretScalar};
use round_based::rounds_router::RoundsRouter;
use round_based::rounds_router::simple_store::{RoundInput, RoundMsgs};
use round_based::state_machine::MpcParty;
use round_based::{Delivery, Outgoing, ProtocolMessage, SinkExt};
use serde::{Deserialize, Serialize};

use crate::adapter::{self, RoundMessage};
use crate::curve::KeyCurve;
use crate::engine::MessageKind;
use crate::random::Rng;
use crate::sign::{Job, Suite};
use crate::{
    Aux, DeriveError, Engine, EngineError, Message, PartyIndex, PeerFault, Scheme, Signature,
};

/// A FROST ciphersuite with its peculiarities.
pub(crate) trait FrostSuite: Ciphersuite {
    const SCHEME: Scheme;
    type Curve: KeyCurve;

    /// Adjusts the signing key once the child is derived.
    fn tweak(keys: Keys<Self>, _script_root: Option<&[u8; 32]>) -> Keys<Self> {
        keys
    }

    fn verification_key(
        public_key: &Point<Self::Curve>,
        _script_root: Option<&[u8; 32]>,
    ) -> Result<Vec<u8>, DeriveError> {
        Ok(public_key.to_bytes(true).to_vec())
    }

    /// Encodes a verification key for the FROST crate.
    fn encoded_key(verification_key: &[u8]) -> Vec<u8> {
        verification_key.to_vec()
    }
}

/// The suite of a scheme that signs with FROST.
pub(crate) struct Frost<C>(PhantomData<C>);

impl<C: FrostSuite> Suite for Frost<C> {
    const SCHEME: Scheme = C::SCHEME;
    type Curve = C::Curve;
    type Msg = Msg<C>;

    fn sign(
        job: Job<C::Curve>,
        _: Option<Arc<Aux>>,
        rng: Rng,
    ) -> Result<Box<dyn Engine<Output = Signature>>, EngineError> {
        let keys =
            keys::<C>(&job.core, &job.signers, &job.child.shift).map_err(EngineError::bug)?;
        let keys = C::tweak(keys, job.script_root.as_ref());
        let signers = Signers::new(&job).map_err(EngineError::bug)?;
        let Job {
            id, me, message, ..
        } = job;
        Ok(adapter::start(me, signers.count(), move |party| {
            run(party, id, me, signers, keys, message, rng)
        }))
    }

    fn verification_key(
        public_key: &Point<C::Curve>,
        script_root: Option<&[u8; 32]>,
    ) -> Result<Vec<u8>, DeriveError> {
        C::verification_key(public_key, script_root)
    }

    fn verify(verification_key: &[u8], message: &Message, signature: &Signature) -> bool {
        let Ok(key) = VerifyingKey::<C>::deserialize(&C::encoded_key(verification_key)) else {
            return false;
        };
        let Ok(parsed) = frost_core::Signature::<C>::deserialize(&signature.bytes) else {
            return false;
        };
        signature.recovery_id.is_none() && key.verify(message.bytes(), &parsed).is_ok()
    }
}

/// A key share and the signers' public shares, in the FROST crates' types.
pub(crate) struct Keys<C: Ciphersuite> {
    secret: KeyPackage<C>,
    public: PublicKeyPackage<C>,
}

/// Converts a share through its bytes and adds the shift of the child. With f the sharing
/// polynomial, f + shift shares the child key: every secret share grows by the shift, every
/// public one by shift·G.
fn keys<C: FrostSuite>(
    core: &IncompleteKeyShare<C::Curve>,
    signers: &[u16],
    shift: &Scalar<C::Curve>,
) -> Result<Keys<C>, frost_core::Error<C>> {
    let shift_point = Point::generator() * shift;
    let mut secret = &core.x + shift;
    let secret = SecretScalar::new(&mut secret);
    let secret = SigningShare::deserialize(&C::Curve::scalar_bytes(secret.as_ref()))?;
    let threshold = core.min_signers();

    let verifying_key =
        VerifyingKey::deserialize(&(core.shared_public_key + shift_point).to_bytes(true))?;
    let public_shares = signers.iter().map(|signer| {
        let share = core
            .public_shares
            .get(usize::from(*signer))
            .ok_or(frost_core::Error::UnknownIdentifier)?;
        let share = VerifyingShare::deserialize(&(share + shift_point).to_bytes(true))?;
        Ok((identifier::<C>(core, *signer)?, share))
    });
    let public_shares: BTreeMap<_, _> =
        public_shares.collect::<Result<_, frost_core::Error<C>>>()?;

    let me = identifier::<C>(core, core.i)?;
    let mine = *public_shares
        .get(&me)
        .ok_or(frost_core::Error::UnknownIdentifier)?;
    Ok(Keys {
        secret: KeyPackage::new(me, secret, mine, verifying_key, threshold),
        public: PublicKeyPackage::new(public_shares, verifying_key, Some(threshold)),
    })
}

/// The point at which the sharing polynomial gives the share of committee member `index`.
fn identifier<C: FrostSuite>(
    core: &IncompleteKeyShare<C::Curve>,
    index: u16,
) -> Result<Identifier<C>, frost_core::Error<C>> {
    let point: NonZero<_> = core
        .share_preimage(index)
        .ok_or(frost_core::Error::UnknownIdentifier)?;
    Identifier::deserialize(&C::Curve::scalar_bytes(&point))
}

/// FROST identifiers by position among the signers.
struct Signers<C: Ciphersuite>(Vec<Identifier<C>>);

impl<C: FrostSuite> Signers<C> {
    fn new(job: &Job<C::Curve>) -> Result<Self, frost_core::Error<C>> {
        let identifiers = job
            .signers
            .iter()
            .map(|signer| identifier::<C>(&job.core, *signer));
        identifiers.collect::<Result<_, _>>().map(Self)
    }

    fn count(&self) -> u16 {
        // As many as the threshold, which is a `u16`.
        self.0.len() as u16
    }

    /// Pairs messages of all signers, in order of position, with their identifiers.
    fn label<M>(&self, messages: impl IntoIterator<Item = M>) -> BTreeMap<Identifier<C>, M> {
        self.0.iter().copied().zip(messages).collect()
    }

    /// Blames a failed aggregation on the signers whose shares do not verify.
    fn judge(&self, error: frost_core::Error<C>) -> EngineError {
        let accused = error.culprits();
        if accused.is_empty() {
            return EngineError::bug(error);
        }
        let positions = (0..)
            .map(PartyIndex)
            .zip(&self.0)
            .filter(|(_, signer)| accused.contains(signer));
        let culprits = positions.map(|(position, _)| position).collect();
        EngineError::Peer {
            fault: PeerFault::Protocol(error.to_string()),
            culprits,
        }
    }
}

/// Messages of the two rounds, both broadcast.
#[derive(Clone, ProtocolMessage, Serialize, Deserialize)]
#[serde(bound = "")]
pub(crate) enum Msg<C: Ciphersuite> {
    Round1(Commitment<C>),
    Round2(SignatureShare<C>),
}

/// Commitments to the nonces, with the job that they are for.
#[derive(Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub(crate) struct Commitment<C: Ciphersuite> {
    /// Execution id: session, scheme, signers, key and message.
    job: [u8; 32],
    nonces: SigningCommitments<C>,
}

impl<C: Ciphersuite> RoundMessage for Msg<C> {
    const LIMITS: &'static [(&'static str, usize)] = &[("Round1", 512), ("Round2", 256)];

    fn kind(&self) -> MessageKind {
        MessageKind::Broadcast
    }
}

/// RFC 9591 section 5, without a coordinator: signers broadcast everything that they
/// would send to it.
async fn run<C: FrostSuite>(
    party: MpcParty<Msg<C>>,
    id: [u8; 32],
    me: PartyIndex,
    signers: Signers<C>,
    keys: Keys<C>,
    message: Message,
    mut rng: Rng,
) -> Result<Signature, EngineError> {
    let (incomings, mut outgoings) = party.delivery.split();
    let mut rounds = RoundsRouter::<Msg<C>>::builder();
    let round1 = rounds.add_round(RoundInput::<Commitment<C>>::broadcast(
        me.0,
        signers.count(),
    ));
    let round2 = rounds.add_round(RoundInput::<SignatureShare<C>>::broadcast(
        me.0,
        signers.count(),
    ));
    let mut rounds = rounds.listen(incomings);

    let (nonces, commitments) = round1::commit(keys.secret.signing_share(), &mut rng);
    let mine = Commitment {
        job: id,
        nonces: commitments,
    };
    outgoings
        .send(Outgoing::broadcast(Msg::Round1(mine.clone())))
        .await
        .map_err(EngineError::bug)?;
    let theirs = rounds.complete(round1).await.map_err(EngineError::bug)?;
    check_agreement(&theirs, &id)?;

    let commitments = theirs
        .into_iter_including_me(mine)
        .map(|commitment| commitment.nonces);
    let package = SigningPackage::new(signers.label(commitments), message.bytes());
    let mine =
        round2::sign(&package, &nonces, &keys.secret).map_err(|error| signers.judge(error))?;
    drop(nonces);
    outgoings
        .send(Outgoing::broadcast(Msg::Round2(mine)))
        .await
        .map_err(EngineError::bug)?;
    let theirs = rounds.complete(round2).await.map_err(EngineError::bug)?;

    let shares = signers.label(theirs.into_iter_including_me(mine));
    aggregate(&package, &shares, &keys.public).map_err(|error| signers.judge(error))
}

fn aggregate<C: FrostSuite>(
    package: &SigningPackage<C>,
    shares: &BTreeMap<Identifier<C>, SignatureShare<C>>,
    public: &PublicKeyPackage<C>,
) -> Result<Signature, frost_core::Error<C>> {
    let signature = aggregate_custom(package, shares, public, CheaterDetection::AllCheaters)?;
    Ok(Signature {
        bytes: signature.serialize()?,
        recovery_id: None,
    })
}

/// Checks that all signers have the same job: otherwise honest shares would look like forged ones.
fn check_agreement<C: Ciphersuite>(
    theirs: &RoundMsgs<Commitment<C>>,
    id: &[u8; 32],
) -> Result<(), EngineError> {
    let others = theirs
        .iter_indexed()
        .filter(|(_, _, commitment)| commitment.job != *id);
    let culprits: Vec<_> = others.map(|(party, _, _)| PartyIndex(party)).collect();
    if culprits.is_empty() {
        return Ok(());
    }
    Err(EngineError::Peer {
        fault: PeerFault::Disagreement,
        culprits,
    })
}

#[cfg(test)]
mod tests;
