//! KeySign: one signature by exactly t members, verified here before anybody sees it.

use super::{Job, Stopped};
use crate::core::Core;
use crate::risk::Approved;
use crate::session::Run;
use crate::session::driver::failure;
use crate::session::worker::WorkError;
use countersign_engine::{Message, PartyIndex, SignParams, Signature};
use countersign_protocol::control::Stage;
use countersign_protocol::{
    Cause, Failure, Hash, KeyId, KeySign, NodeId, Outcome, Payload, PayloadKind, SessionId, Signed,
};
use countersign_store::KeyRecord;
use std::sync::Arc;

const SIGN_PHASE: (u8, Stage) = (0, Stage::Running);

/// An admitted KeySign.
#[derive(Debug, Clone)]
pub struct KeySignPlan {
    record: Arc<KeyRecord>,
    keysign: KeySign,
    signers: Vec<NodeId>,
    /// The derived public key, as the scheme's root keys are encoded.
    child: Vec<u8>,
    /// The root as text, `xpub…` or `cpub…`.
    root: String,
}

/// The public keys that a path leads from and to.
pub(super) struct Derived {
    /// The derived public key.
    pub child: Vec<u8>,
    /// The root as text.
    pub root: String,
}

impl KeySignPlan {
    pub(super) fn new(
        record: KeyRecord,
        keysign: KeySign,
        signers: Vec<NodeId>,
        derived: Derived,
    ) -> KeySignPlan {
        let Derived { child, root } = derived;
        KeySignPlan { record: Arc::new(record), keysign, signers, child, root }
    }

    /// Which key signs.
    pub fn key(&self) -> KeyId {
        self.keysign.key
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

    fn payload(&self) -> &Payload {
        &self.keysign.payload
    }

    fn signed_bytes(&self) -> Vec<u8> {
        self.payload().signed_bytes(self.record.announcement.scheme)
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

    fn message(&self) -> Message {
        let bytes = self.payload().bytes.clone();
        match (self.payload().kind, <[u8; 32]>::try_from(bytes.as_slice())) {
            (PayloadKind::Digest, Ok(digest)) => Message::Digest(digest),
            _ => Message::Raw(bytes),
        }
    }
}

impl Job for KeySignPlan {
    fn parties(&self) -> &[NodeId] {
        &self.signers
    }

    fn question(&self) -> countersign_host::Operation {
        let intent = match self.payload().is_blind() {
            false => countersign_host::Intent::Message(self.payload().bytes.clone()),
            true => countersign_host::Intent::Opaque,
        };
        countersign_host::Operation::Sign(countersign_host::Signing {
            key: self.describe_key(),
            signers: self.signers.iter().map(NodeId::to_string).collect(),
            inputs: vec![countersign_host::Input {
                path: self.keysign.path.to_string(),
                public_key: self.child.clone(),
                digest: self.signed_bytes(),
                tweak: None,
            }],
            payload: self.payload().kind.name().into(),
            blind: self.payload().is_blind(),
            intent,
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
        let signature = sign(&core, &approved, session, run).await?;
        Ok(Outcome::Signed(check(approved.plan(), session, signature)?))
    }
}

async fn sign(
    core: &Arc<Core>,
    approved: &Arc<Approved<KeySignPlan>>,
    session: SessionId,
    run: &mut Run,
) -> Result<Signature, Failure> {
    let ecdsa = approved.plan().record.announcement.scheme.needs_aux();
    let (limit, lane) = match ecdsa {
        true => (core.config.engines.ecdsa, core.lanes.ecdsa.clone()),
        false => (core.config.engines.frost, core.lanes.free.clone()),
    };
    let (core, approved) = (core.clone(), approved.clone());
    run.phase(SIGN_PHASE, limit, lane, move || build(&core, &approved, session)).await
}

/// Runs in the worker's thread: the share is opened there and never leaves it.
fn build(
    core: &Core,
    approved: &Approved<KeySignPlan>,
    session: SessionId,
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
    let share = core.vault.open_share(approved).map_err(secrets)?;
    let signers = plan.indices();
    let me = plan.signers.iter().position(|node| *node == core.me).map_or(u16::MAX, |at| at as u16);
    let params = SignParams {
        session: &session.0,
        me: PartyIndex(me),
        signers: &signers,
        path: plan.keysign.path.steps(),
        message: plan.message(),
    };
    Ok(countersign_engine::sign(params, &share, aux, rand::rngs::OsRng)?)
}

/// The only place where a [`Signed`] is made: by a library that does not sign, under the key that this node derived.
fn check(plan: &KeySignPlan, session: SessionId, signature: Signature) -> Result<Signed, Failure> {
    let scheme = plan.record.announcement.scheme;
    let signed_bytes = plan.signed_bytes();
    let verified = countersign_verify::verify(scheme, &plan.child, &signed_bytes, &signature.bytes);
    let invalid = |error| {
        failure(
            Cause::Peer,
            "signature-invalid",
            &format!(
                "the finished signature does not verify ({error}); nothing was given out, look at the other signers' journals"
            ),
        )
    };
    let verified = verified.map_err(invalid)?;
    Ok(Signed {
        session,
        public_key: verified.verification_key().to_vec(),
        signed_bytes,
        signature: signature.bytes,
        recovery_id: signature.recovery_id,
    })
}
