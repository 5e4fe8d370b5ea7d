//! Translates the outcome of a task to its event.

use countersign_host::{
    Key, NewKey, Operation, Participant, ShareSignature, Signature, Success, What,
};
use countersign_protocol::{
    FailureCode, InputSignature, Intact, KeyDescriptor, NodeId, Outcome, Signed, TaskId,
};

use super::Events;

/// Translates the outcome of a task to the event that receivers get.
pub fn what_of(events: &Events, task: TaskId, outcome: &Outcome, now: u64) -> What {
    match outcome {
        Outcome::Created(descriptor) => What::Succeeded(Success::Key(new_key(
            descriptor,
            events.participants(task),
            now,
        ))),
        Outcome::Reshared(descriptor) => What::Succeeded(Success::Key(new_key(
            descriptor,
            events.participants(task),
            now,
        ))),
        Outcome::Intact(intact) => {
            What::Succeeded(Success::KeyShares(vec![share_signature(intact)]))
        }
        Outcome::Signed(signed) => {
            What::Succeeded(Success::Signatures(signatures(events, task, signed)))
        }
        Outcome::Refused(refusal) => What::Declined {
            code: refusal.code.to_string(),
            reason: refusal.reason.clone(),
        },
        Outcome::Failed(failure) => {
            let text = format!("{}: {}", failure.code, failure.text);
            match failure.code {
                FailureCode::Cancelled | FailureCode::NotStarted => What::Cancelled(text),
                _ => What::Failed(text),
            }
        }
    }
}

fn new_key(key: &KeyDescriptor, known: Vec<Participant>, now: u64) -> NewKey {
    let root_public_key = countersign_verify::extended_public_key(
        key.scheme,
        &key.root_public_key,
        key.chain_code.as_bytes(),
    );
    let members = key.committee.members().iter();
    let unknown = members.clone().map(|node| Participant {
        node: node.to_string(),
        share_id: String::new(),
        share_public_key: Vec::new(),
    });
    NewKey {
        key: Key {
            id: key.key.to_string(),
            scheme: key.scheme.to_string(),
            curve: key.scheme.curve().to_string(),
            root_public_key: root_public_key.unwrap_or_default(),
            threshold: key.threshold.get(),
            members: members.map(NodeId::to_string).collect(),
        },
        chain_code: key.chain_code.as_bytes().to_vec(),
        created_at: now,
        participants: if known.is_empty() {
            unknown.collect()
        } else {
            known
        },
    }
}

/// The proof of an intact share is not a signature of the wallet, and its message is public.
fn share_signature(intact: &Intact) -> ShareSignature {
    ShareSignature {
        key: intact.key.to_string(),
        message: format!("generation {}", intact.generation),
        digest: Vec::new(),
        signature: intact.proof.0.clone(),
    }
}

/// Returns the signatures in the order of the task's inputs.
fn signatures(events: &Events, task: TaskId, signed: &Signed) -> Vec<Signature> {
    let tweaks = events.tweaks(task);
    let signature = |(index, made): (usize, &InputSignature)| Signature {
        path: made.path.to_string(),
        digest: made.signed_bytes.clone(),
        tweak: tweaks.get(index).cloned().flatten(),
        signature: made.signature.clone(),
        recovery_id: made.recovery_id,
    };
    signed
        .signatures
        .iter()
        .enumerate()
        .map(signature)
        .collect()
}

impl Events {
    /// Returns the tweak of each input of the task, as far as it is known.
    fn tweaks(&self, task: TaskId) -> Vec<Option<Vec<u8>>> {
        match self
            .lock()
            .get(&task)
            .map(|subject| &subject.question.operation)
        {
            Some(Operation::Sign(signing)) => signing
                .inputs
                .iter()
                .map(|input| input.tweak.clone())
                .collect(),
            _ => Vec::new(),
        }
    }
}
