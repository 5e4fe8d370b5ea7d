//! The part of signing common to all schemes. Checks the call, derives the child key, starts the
//! suite's protocol, and releases a signature only if it verifies under the derived key.

use std::fmt;
use std::sync::Arc;

use cggmp24::IncompleteKeyShare;
use generic_ec::Point;
use rand_core::CryptoRngCore;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::adapter::RoundMessage;
use crate::curve::KeyCurve;
use crate::derive::{Child, derive, point, root};
use crate::engine::{MessageKind, Step};
use crate::random::{Rng, tried};
use crate::scheme::with_suite;
use crate::session::{Task, execution_id};
use crate::{
    Aux, CallerFault, CommitteeIndex, DeriveError, Engine, EngineError, PartyIndex, PeerFault,
    Scheme, Share,
};

/// The content to be signed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// A message. ECDSA signs its SHA-256; the other schemes sign the bytes as they are.
    Raw(Vec<u8>),
    /// A digest. ECDSA signs it as the finished hash; the other schemes sign these 32
    /// bytes as a message.
    Digest([u8; 32]),
}

impl Message {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Raw(bytes) => bytes,
            Self::Digest(digest) => digest,
        }
    }

    /// The hash that ECDSA signs.
    pub(crate) fn prehash(&self) -> [u8; 32] {
        match self {
            Self::Raw(bytes) => Sha256::digest(bytes).into(),
            Self::Digest(digest) => *digest,
        }
    }

    /// Distinguishes a digest from a raw message of the same bytes.
    fn form(&self) -> &'static [u8] {
        match self {
            Self::Raw(_) => b"raw",
            Self::Digest(_) => b"digest",
        }
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Raw(bytes) => write!(f, "Raw({} bytes)", bytes.len()),
            Self::Digest(_) => f.write_str("Digest(..)"),
        }
    }
}

/// A finished signature, in its scheme's usual encoding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// ECDSA: r ‖ s, 64 bytes, low s. Ed25519 and Taproot: 64 bytes of RFC 8032 and BIP-340.
    /// Schnorr: R ‖ z, 65 bytes.
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
    /// ECDSA only, from 0 to 3.
    pub recovery_id: Option<u8>,
}

/// Parameters of a signing run. All signers must use the same values, except for `me`.
#[derive(Debug, Clone)]
pub struct SignParams<'a> {
    /// A unique name of this run.
    pub session: &'a [u8],
    /// Position of this party in `signers`.
    pub me: PartyIndex,
    /// The signers' positions in the committee, ascending; exactly as many as the threshold.
    pub signers: &'a [CommitteeIndex],
    /// Child indices below 2³¹ from the root; empty signs with the root key.
    pub path: &'a [u32],
    /// `taproot` only: root of the output's script tree (BIP-341), `None` for
    /// an output without scripts.
    pub script_root: Option<[u8; 32]>,
    /// The content to be signed.
    pub message: Message,
}

/// Signs under the child key at `path`; for `taproot`, under its BIP-341 output key.
/// ECDSA takes five rounds, of which the first is echoed, and needs `aux` of Paillier parameters;
/// the other schemes take two and ignore it. Indices in messages and errors are positions in
/// `signers`.
pub fn sign(
    params: SignParams<'_>,
    share: &Share,
    aux: Option<Arc<Aux>>,
    rng: impl CryptoRngCore + 'static,
) -> Result<Box<dyn Engine<Output = Signature>>, EngineError> {
    crate::wipe_gmp_memory();
    let rng = tried(rng)?;
    with_suite!(share.scheme(), S => start::<S>(params, share, aux, rng))
}

/// The key that verifies signatures under `public_key`: for `taproot` the 32-byte x-only BIP-341
/// output key, with the scripts of `script_root` or without any; otherwise `public_key` itself.
pub fn verification_key(
    scheme: Scheme,
    public_key: &[u8],
    script_root: Option<&[u8; 32]>,
) -> Result<Vec<u8>, DeriveError> {
    with_suite!(scheme, S => suite_key::<S>(&*point(public_key)?, script_root))
}

/// The only access to a suite's verification key: schemes without scripts refuse them here.
fn suite_key<S: Suite>(
    public_key: &Point<S::Curve>,
    script_root: Option<&[u8; 32]>,
) -> Result<Vec<u8>, DeriveError> {
    if script_root.is_some() && S::SCHEME != Scheme::Taproot {
        return Err(DeriveError::ScriptRoot);
    }
    S::verification_key(public_key, script_root)
}

/// Verifies a signature under a [`verification_key`]; ECDSA also for low s and the right recovery
/// id, if there is one.
pub fn check_signature(
    scheme: Scheme,
    verification_key: &[u8],
    message: &Message,
    signature: &Signature,
) -> Result<(), CheckError> {
    let valid = with_suite!(scheme, S => S::verify(verification_key, message, signature));
    valid.then_some(()).ok_or(CheckError)
}

/// A signature that does not verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature is not valid for this key and message")]
pub struct CheckError;

/// A scheme's own part: its signing protocol, and its rule for a valid signature.
pub(crate) trait Suite: 'static {
    const SCHEME: Scheme;
    type Curve: KeyCurve;
    /// The message type between signers.
    type Msg: RoundMessage;

    /// Starts the protocol; its output need not be checked.
    fn sign(
        job: Job<Self::Curve>,
        aux: Option<Arc<Aux>>,
        rng: Rng,
    ) -> Result<Box<dyn Engine<Output = Signature>>, EngineError>;

    /// Only Taproot gets a `script_root`.
    fn verification_key(
        public_key: &Point<Self::Curve>,
        script_root: Option<&[u8; 32]>,
    ) -> Result<Vec<u8>, DeriveError>;

    fn verify(verification_key: &[u8], message: &Message, signature: &Signature) -> bool;
}

/// A signing run whose parameters were checked.
pub(crate) struct Job<E: KeyCurve> {
    /// Execution id, over everything that the signers must agree on.
    pub id: [u8; 32],
    pub me: PartyIndex,
    /// Positions in the committee, of which there are as many as the threshold.
    pub signers: Vec<u16>,
    pub core: IncompleteKeyShare<E>,
    pub path: Vec<u32>,
    pub child: Child<E>,
    pub script_root: Option<[u8; 32]>,
    pub message: Message,
}

impl<E: KeyCurve> Job<E> {
    /// The number of signers.
    pub fn parties(&self) -> u16 {
        self.core.min_signers()
    }
}

fn start<S: Suite>(
    params: SignParams<'_>,
    share: &Share,
    aux: Option<Arc<Aux>>,
    rng: Rng,
) -> Result<Box<dyn Engine<Output = Signature>>, EngineError> {
    start_with::<S>(params, share, |job| S::sign(job, aux, rng))
}

/// Checks the call, and guards the protocol that `run` starts: its output need not be checked.
pub(crate) fn start_with<S: Suite>(
    params: SignParams<'_>,
    share: &Share,
    run: impl FnOnce(Job<S::Curve>) -> Result<Box<dyn Engine<Output = Signature>>, EngineError>,
) -> Result<Box<dyn Engine<Output = Signature>>, EngineError> {
    let job = job::<S>(params, share)?;
    let key = suite_key::<S>(&job.child.key.public_key, job.script_root.as_ref())
        .map_err(CallerFault::from)?;
    let message = job.message.clone();
    let verify = move |signature: &Signature| S::verify(&key, &message, signature);
    let me = job.me;
    let parties = job.parties();
    Ok(Box::new(Verified {
        inner: run(job)?,
        me,
        parties,
        verify,
    }))
}

fn job<S: Suite>(params: SignParams<'_>, share: &Share) -> Result<Job<S::Curve>, CallerFault> {
    let core = share.core::<S::Curve>()?;
    check_signers(&params, core)?;
    let child = derive(root(core)?, params.path)?;
    Ok(Job {
        id: job_id(S::SCHEME, &params, &child)?,
        me: params.me,
        signers: params.signers.iter().map(|signer| signer.0).collect(),
        core: core.clone(),
        path: params.path.to_vec(),
        child,
        script_root: params.script_root,
        message: params.message,
    })
}

fn check_signers<E: KeyCurve>(
    params: &SignParams<'_>,
    core: &IncompleteKeyShare<E>,
) -> Result<(), CallerFault> {
    let SignParams { me, signers, .. } = params;
    let needed = core.min_signers();
    if signers.len() != usize::from(needed) {
        return Err(CallerFault::SignerCount {
            given: signers.len(),
            needed,
        });
    }
    let ascending = signers.windows(2).all(|pair| pair[0] < pair[1]);
    if !ascending || signers.iter().any(|signer| signer.0 >= core.n()) {
        return Err(CallerFault::Signers);
    }
    let signer = *signers
        .get(usize::from(me.0))
        .ok_or(CallerFault::NotInSession(*me))?;
    if signer.0 != core.i {
        return Err(CallerFault::WrongShare {
            share: CommitteeIndex(core.i),
            signer,
        });
    }
    Ok(())
}

/// Binds scheme, signers, child key, script root and message, so that signers who were asked for
/// different things cannot go on together.
fn job_id<E: KeyCurve>(
    scheme: Scheme,
    params: &SignParams<'_>,
    child: &Child<E>,
) -> Result<[u8; 32], CallerFault> {
    let signers: Vec<u8> = params
        .signers
        .iter()
        .flat_map(|signer| signer.0.to_be_bytes())
        .collect();
    let key = child.key.public_key.to_bytes(true);
    let root = params.script_root.as_ref().map_or(&[][..], |root| root);
    let message = &params.message;
    let parameters = [
        scheme.name().as_bytes(),
        &signers,
        key.as_bytes(),
        root,
        message.form(),
        message.bytes(),
    ];
    execution_id(Task::Sign, params.session, &parameters)
}

/// Passes a signature on only if it verifies. Otherwise the protocol does not tell
/// whose fault it is.
struct Verified<V> {
    inner: Box<dyn Engine<Output = Signature>>,
    me: PartyIndex,
    parties: u16,
    verify: V,
}

impl<V: Fn(&Signature) -> bool> Engine for Verified<V> {
    type Output = Signature;

    fn step(&mut self) -> Result<Step<Signature>, EngineError> {
        let step = self.inner.step()?;
        match &step {
            Step::Done(signature) if !(self.verify)(signature) => {
                let error = EngineError::Peer {
                    fault: PeerFault::Signature,
                    culprits: vec![],
                };
                Err(error.between(self.me, self.parties))
            }
            _ => Ok(step),
        }
    }

    fn receive(
        &mut self,
        from: PartyIndex,
        kind: MessageKind,
        body: &[u8],
    ) -> Result<(), EngineError> {
        self.inner.receive(from, kind, body)
    }

    fn body_limit(&self) -> usize {
        self.inner.body_limit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Forger;

    impl Engine for Forger {
        type Output = Signature;

        fn step(&mut self) -> Result<Step<Signature>, EngineError> {
            Ok(Step::Done(Signature {
                bytes: vec![1; 64],
                recovery_id: None,
            }))
        }

        fn receive(&mut self, _: PartyIndex, _: MessageKind, _: &[u8]) -> Result<(), EngineError> {
            Ok(())
        }
    }

    #[test]
    fn no_unverified_signature_leaves() {
        let outcome = |parties: u16, valid: bool| {
            let verify = move |_: &Signature| valid;
            Verified {
                inner: Box::new(Forger),
                me: PartyIndex(1),
                parties,
                verify,
            }
            .step()
        };
        assert!(matches!(outcome(2, true), Ok(Step::Done(_))));
        for (parties, named) in [(2, vec![PartyIndex(0)]), (3, vec![])] {
            let error = outcome(parties, false).unwrap_err();
            assert_eq!(
                error,
                EngineError::Peer {
                    fault: PeerFault::Signature,
                    culprits: named
                }
            );
        }
    }
}
