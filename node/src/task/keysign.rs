//! KeySign: one signature for each input of a payload, by exactly t members, each verified here, and all of them given out
//! or none.

use super::{Job, Stopped, intent};
use crate::core::Core;
use crate::risk::Approved;
use crate::session::Run;
use crate::session::driver::failure;
use crate::session::worker::WorkError;
use countersign_engine::{Message, PartyIndex, SignParams, Signature};
use countersign_payload::{Intent, MAX_INPUTS};
use countersign_protocol::control::Stage;
use countersign_protocol::session::MAX_PHASES;
use countersign_protocol::{
    Cause, DerivationPath, Failure, Hash, InputSignature, KeyId, NodeId, Outcome, PayloadKind, Scheme,
    SessionId, Signed,
};
use countersign_store::KeyRecord;
use std::sync::Arc;

// Each input is a phase of the session.
const _: () = assert!(MAX_INPUTS <= MAX_PHASES as usize);

/// An admitted KeySign. All of it was established by this node.
#[derive(Debug, Clone)]
pub struct KeySignPlan {
    pub(super) record: Arc<KeyRecord>,
    pub(super) signers: Vec<NodeId>,
    pub(super) kind: PayloadKind,
    /// Decoded from the bytes that gave the inputs.
    pub(super) intent: Intent,
    /// At least one, at most [`MAX_INPUTS`].
    pub(super) inputs: Vec<PlannedInput>,
    /// The root as text, `xpub…` or `cpub…`.
    pub(super) root: String,
}

/// One signature that is to be made.
#[derive(Debug, Clone)]
pub(super) struct PlannedInput {
    pub path: DerivationPath,
    /// What the signature algorithm is given.
    pub signed_bytes: Vec<u8>,
    /// The derived public key, as the scheme's root keys are encoded.
    pub child: Vec<u8>,
    /// The key that signatures verify with.
    pub public_key: Vec<u8>,
    /// What makes `public_key` of `child`, if they differ.
    pub tweak: Option<Vec<u8>>,
}

impl KeySignPlan {
    /// Which key signs.
    pub fn key(&self) -> KeyId {
        self.record.announcement.key
    }

    fn scheme(&self) -> Scheme {
        self.record.announcement.scheme
    }

    fn describe_key(&self) -> countersign_host::Key {
        let announcement = &self.record.announcement;
        countersign_host::Key {
            id: announcement.key.to_string(),
            scheme: announcement.scheme.to_string(),
            curve: announcement.scheme.curve().to_string(),
            root_public_key: self.root.clone(),
            threshold: announcement.threshold.get(),
            members: announcement.committee.members().iter().map(NodeId::to_string).collect(),
        }
    }

    /// The signers' keygen indices, ascending because committees are sorted by id.
    fn indices(&self) -> Vec<PartyIndex> {
        let committee = &self.record.announcement.committee;
        self.signers
            .iter()
            .filter_map(|node| committee.index_of(node))
            .map(|index| PartyIndex(index.0))
            .collect()
    }
}

impl PlannedInput {
    fn describe(&self) -> countersign_host::Input {
        countersign_host::Input {
            path: self.path.to_string(),
            public_key: self.public_key.clone(),
            digest: self.signed_bytes.clone(),
            tweak: self.tweak.clone(),
        }
    }

    fn message(&self, scheme: Scheme) -> Message {
        match (scheme, <[u8; 32]>::try_from(self.signed_bytes.as_slice())) {
            (Scheme::EcdsaSecp256k1, Ok(digest)) => Message::Digest(digest),
            _ => Message::Raw(self.signed_bytes.clone()),
        }
    }
}

impl Job for KeySignPlan {
    fn parties(&self) -> &[NodeId] {
        &self.signers
    }

    fn question(&self) -> countersign_host::Operation {
        countersign_host::Operation::Sign(countersign_host::Signing {
            key: self.describe_key(),
            signers: self.signers.iter().map(NodeId::to_string).collect(),
            inputs: self.inputs.iter().map(PlannedInput::describe).collect(),
            payload: self.kind.name().into(),
            blind: self.intent == Intent::Opaque,
            intent: intent::for_plugins(&self.intent),
        })
    }

    fn holds(&self, _core: &Core) -> Option<Hash> {
        self.record.announcement.aux
    }

    async fn run(core: Arc<Core>, approved: Arc<Approved<Self>>, run: &mut Run) -> Result<Outcome, Stopped> {
        let (session, holds) = run.meet().await?;
        if holds.iter().any(|held| *held != approved.plan().record.announcement.aux) {
            return Err(failure(
                Cause::Peer,
                "split-view",
                "the signers hold different auxiliary information for this key; compare their backups before signing",
            )
            .into());
        }
        let inputs = &approved.plan().inputs;
        let mut signatures = Vec::with_capacity(inputs.len());
        for (number, input) in (0..).zip(inputs) {
            let signature = sign(&core, &approved, session, number, run).await?;
            signatures.push(check(approved.plan().scheme(), input, signature)?);
        }
        Ok(Outcome::Signed(Signed { session, signatures }))
    }
}

/// The signature for input `number`, by an engine of its own.
async fn sign(
    core: &Arc<Core>,
    approved: &Arc<Approved<KeySignPlan>>,
    session: SessionId,
    number: u8,
    run: &mut Run,
) -> Result<Signature, Failure> {
    let (limit, lane) = match approved.plan().scheme().needs_aux() {
        true => (core.config.engines.ecdsa, core.lanes.ecdsa.clone()),
        false => (core.config.engines.frost, core.lanes.free.clone()),
    };
    let (core, approved) = (core.clone(), approved.clone());
    run.phase((number, Stage::Running), limit, lane, move || build(&core, &approved, session, number)).await
}

/// Runs in the worker's thread: the share is opened there and never leaves it.
fn build(
    core: &Core,
    approved: &Approved<KeySignPlan>,
    session: SessionId,
    number: u8,
) -> Result<Box<dyn countersign_engine::Engine<Output = Signature>>, WorkError> {
    let plan = approved.plan();
    let secrets = |error: crate::vault::VaultError| WorkError::Secrets(error.to_string());
    let aux = plan
        .record
        .announcement
        .aux
        .map(|digest| core.auxes.get(digest, &core.vault))
        .transpose()
        .map_err(secrets)?;
    let input = plan.inputs.get(usize::from(number)).ok_or(WorkError::Stopped)?;
    let share = core.vault.open_share(approved).map_err(secrets)?;
    let signers = plan.indices();
    let me = plan.signers.iter().position(|node| *node == core.me).map_or(u16::MAX, |at| at as u16);
    let params = SignParams {
        // No two engines of a session run under one name.
        session: &[&session.0[..], &[number]].concat(),
        me: PartyIndex(me),
        signers: &signers,
        path: input.path.steps(),
        message: input.message(plan.scheme()),
    };
    Ok(countersign_engine::sign(params, &share, aux, rand::rngs::OsRng)?)
}

/// The only place where an [`InputSignature`] is made: by a library that does not sign, under the key that this node
/// derived.
fn check(scheme: Scheme, input: &PlannedInput, signature: Signature) -> Result<InputSignature, Failure> {
    let invalid = |error| {
        failure(
            Cause::Peer,
            "signature-invalid",
            &format!(
                "a finished signature does not verify ({error}); nothing was given out, look at the other signers' journals"
            ),
        )
    };
    let verified = countersign_verify::verify(scheme, &input.child, &input.signed_bytes, &signature.bytes)
        .map_err(invalid)?;
    Ok(InputSignature {
        path: input.path.clone(),
        public_key: verified.verification_key().to_vec(),
        signed_bytes: input.signed_bytes.clone(),
        signature: signature.bytes,
        recovery_id: signature.recovery_id,
    })
}
