//! KeySign: exactly t members sign each input of a payload. Every signature is verified here, and
//! either all of them are released or none.

use std::sync::Arc;

use countersign_engine::{CommitteeIndex, Engine, Message, PartyIndex, SignParams, Signature};
use countersign_host::Statement;
use countersign_payload::{Input, Intent, MAX_INPUTS};
use countersign_protocol::control::Stage;
use countersign_protocol::session::{MAX_PHASES, Rooms};
use countersign_protocol::{
    Committee, Failure, FailureCode, Hash, InputSignature, KeyDescriptor, KeyId, NodeId, Outcome,
    PayloadKind, Scheme, SessionId, Signed,
};
use countersign_store::KeyRecord;
use countersign_verify::WrongResult;

use super::aux::position;
use super::{Job, JobContext, Stopped, describe, intent};
use crate::risk::Approved;
use crate::session::Run;
use crate::session::worker::WorkError;
use crate::vault::UsesShare;

/// The inputs that share the rounds of one phase. ECDSA engines compute between their messages, and
/// all those of a batch in one thread.
const ECDSA_BATCH: usize = 16;
const FROST_BATCH: usize = MAX_INPUTS;

// Each batch is a phase of the session.
const _: () = assert!(MAX_INPUTS.div_ceil(ECDSA_BATCH) <= MAX_PHASES as usize);

/// A KeySign that passed this node's own checks. All of it was established by this node.
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

/// An input with the key that its signature has to verify under.
#[derive(Debug, Clone)]
pub(super) struct PlannedInput {
    pub input: Input,
    /// The key that the signature verifies under.
    pub public_key: Vec<u8>,
    /// The tweak from the child key to `public_key`, if they differ.
    pub tweak: Option<[u8; 32]>,
}

impl KeySignPlan {
    /// The id of the key that signs.
    pub fn key(&self) -> KeyId {
        self.record.descriptor.key
    }

    fn scheme(&self) -> Scheme {
        self.record.descriptor.scheme
    }

    /// The most inputs in one phase.
    fn batch(&self) -> usize {
        if self.scheme().needs_aux() {
            ECDSA_BATCH
        } else {
            FROST_BATCH
        }
    }

    /// The signers' positions in the committee, ascending because it is sorted by id.
    fn indices(&self) -> Vec<CommitteeIndex> {
        let committee = &self.record.descriptor.committee;
        self.signers
            .iter()
            .filter_map(|node| committee.index_of(node))
            .collect()
    }
}

impl UsesShare for KeySignPlan {
    fn uses(&self) -> &KeyDescriptor {
        &self.record.descriptor
    }
}

impl PlannedInput {
    fn describe(&self) -> countersign_host::Input {
        countersign_host::Input {
            path: self.input.path.to_string(),
            public_key: self.public_key.clone(),
            digest: self.input.signed_bytes.clone(),
            tweak: self.tweak.map(Vec::from),
        }
    }

    /// The message for the engine. ECDSA signs a digest; bytes of another length are passed on as
    /// they are, and the engine refuses them.
    fn message(&self, scheme: Scheme) -> Message {
        let bytes = &self.input.signed_bytes;
        match scheme {
            Scheme::EcdsaSecp256k1 => match <[u8; 32]>::try_from(bytes.as_slice()) {
                Ok(digest) => Message::Digest(digest),
                Err(_) => Message::Raw(bytes.clone()),
            },
            Scheme::Ed25519 | Scheme::SchnorrSecp256k1 | Scheme::Taproot => {
                Message::Raw(bytes.clone())
            }
        }
    }
}

impl Job for KeySignPlan {
    fn parties(&self) -> &[NodeId] {
        &self.signers
    }

    fn question(&self) -> countersign_host::Operation {
        countersign_host::Operation::Sign(countersign_host::Signing {
            key: describe::key(&self.record.descriptor, self.root.clone()),
            signers: describe::nodes(&self.signers),
            inputs: self.inputs.iter().map(PlannedInput::describe).collect(),
            payload: self.kind.name().into(),
            blind: self.intent == Intent::Opaque,
            intent: intent::for_plugins(&self.intent),
        })
    }

    fn facts(&self) -> Vec<Statement> {
        intent::facts(&self.intent)
    }

    fn holds(&self) -> Option<Hash> {
        Some(self.record.descriptor.digest())
    }

    fn makes_aux_for(&self, _me: &NodeId) -> Option<&Committee> {
        None
    }

    fn rooms(&self) -> Rooms {
        let batches = self.inputs.chunks(self.batch());
        Rooms::new(batches.map(|inputs| countersign_engine::sign_room(self.scheme(), inputs.len())))
    }

    fn bystanders(&self) -> Vec<NodeId> {
        let members = self.record.descriptor.committee.members().iter();
        members
            .filter(|member| !self.signers.contains(member))
            .copied()
            .collect()
    }

    fn wallet(&self) -> Option<&KeyDescriptor> {
        Some(&self.record.descriptor)
    }

    fn inputs(&self) -> Vec<Input> {
        let planned = self.inputs.iter();
        planned.map(|planned| planned.input.clone()).collect()
    }

    fn unbelieved(wrong: &WrongResult, counterpart: Option<NodeId>) -> Stopped {
        Stopped::Failed(invalid(wrong, counterpart))
    }

    async fn run(
        node: Arc<JobContext>,
        approved: Arc<Approved<Self>>,
        run: &mut Run,
    ) -> Result<Outcome, Stopped> {
        let (session, holds) = run.meet().await?;
        let generation = approved.plan().record.descriptor.digest();
        let plan = approved.plan();
        if holds.iter().any(|held| *held != Some(generation)) {
            return Err(generation_mismatch(&plan.record.descriptor, &plan.signers, &holds).into());
        }
        let size = plan.batch();
        let mut signatures = Vec::with_capacity(plan.inputs.len());
        for (number, inputs) in (0..).zip(plan.inputs.chunks(size)) {
            let made = sign(&node, &approved, session, (number, size), run).await?;
            signatures.extend(inputs.iter().zip(made).map(finished));
        }
        Ok(Outcome::Signed(Signed {
            session,
            signatures,
        }))
    }
}

/// Signs the inputs of batch `number`, each with an engine of its own.
async fn sign(
    node: &Arc<JobContext>,
    approved: &Arc<Approved<KeySignPlan>>,
    session: SessionId,
    (number, size): (u8, usize),
    run: &mut Run,
) -> Result<Vec<Signature>, Failure> {
    let plan = approved.plan();
    let (limit, pool) = if plan.scheme().needs_aux() {
        (node.engines().ecdsa, node.pools.ecdsa.clone())
    } else {
        (node.engines().frost, node.pools.free.clone())
    };
    let first = usize::from(number) * size;
    let inputs = first..plan.inputs.len().min(first + size);
    // The limit is for one signature; those of a batch are computed one after the other.
    let limit = limit.saturating_mul(inputs.len() as u32);
    let me = position(node.me(), &plan.signers)?;
    let node = node.clone();
    let approved = approved.clone();
    run.phase((number, Stage::Running), limit, pool, move || {
        build(&node, &approved, (session, me), inputs)
    })
    .await
}

/// Runs in the worker's thread: the share is opened there and never leaves it.
fn build(
    node: &JobContext,
    approved: &Approved<KeySignPlan>,
    (session, me): (SessionId, PartyIndex),
    inputs: std::ops::Range<usize>,
) -> Result<Box<dyn Engine<Output = Vec<Signature>>>, WorkError> {
    let plan = approved.plan();
    let secrets = |error: crate::vault::VaultError| WorkError::Secrets(error.to_string());
    let aux = plan
        .record
        .descriptor
        .aux
        .map(|digest| node.aux.auxes.get(digest, &node.vault));
    let aux = aux.transpose().map_err(secrets)?;
    let share = node.vault.open_share(approved).map_err(secrets)?;
    let signers = plan.indices();
    let engine = |number: usize| {
        let input = plan.inputs.get(number).ok_or(WorkError::Stopped)?;
        let params = SignParams {
            // No two engines of a session share an id.
            session: &[&session.0[..], &[number as u8]].concat(),
            me,
            signers: &signers,
            path: input.input.path.steps(),
            script_root: input.input.script_root,
            message: input.message(plan.scheme()),
        };
        Ok(countersign_engine::sign(
            params,
            &share,
            aux.clone(),
            node.world.rng(),
        )?)
    };
    let engines = inputs.map(engine).collect::<Result<Vec<_>, WorkError>>()?;
    Ok(countersign_engine::batch(engines))
}

/// A signature with its input. It counts only once all of them verify, by a library that does not
/// sign, under keys that are derived again (`super::run`).
fn finished((planned, signature): (&PlannedInput, Signature)) -> InputSignature {
    InputSignature {
        path: planned.input.path.clone(),
        public_key: planned.public_key.clone(),
        signed_bytes: planned.input.signed_bytes.clone(),
        signature: signature.bytes,
        recovery_id: signature.recovery_id,
    }
}

/// A signer altered its contribution, and the engine could not tell which one. If there is only one
/// other signer, it is that one.
fn invalid(wrong: &WrongResult, counterpart: Option<NodeId>) -> Failure {
    let text = format!(
        "a finished signature does not verify ({wrong}); nothing was released, look at the other signers' journals"
    );
    Failure::new(FailureCode::SignatureInvalid, text).naming(counterpart.into_iter().collect())
}

/// Lists what each signer holds. Nobody is blamed: a reshare may not have reached everybody yet.
fn generation_mismatch(
    mine: &KeyDescriptor,
    signers: &[NodeId],
    holds: &[Option<Hash>],
) -> Failure {
    let digest = mine.digest();
    let others = signers
        .iter()
        .zip(holds)
        .filter(|(_, held)| **held != Some(digest));
    let held = |held: &Option<Hash>| held.map_or("none".to_owned(), |digest| digest.to_string());
    let theirs: Vec<String> = others
        .map(|(node, hash)| format!("{node} holds {}", held(hash)))
        .collect();
    let text = format!(
        "the signers hold different generations of this key: this node holds generation {} ({digest}), and {}; connect all its holders to the coordinator, wait until the last reshare is settled, then try again",
        mine.generation,
        theirs.join(" and ")
    );
    Failure::new(FailureCode::GenerationMismatch, text)
}

#[cfg(test)]
#[path = "keysign_tests.rs"]
mod tests;
