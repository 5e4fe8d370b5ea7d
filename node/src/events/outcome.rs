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
            Some(
                Operation::Keygen(_)
                | Operation::Reshare(_)
                | Operation::KeyShareSign(_)
                | Operation::Other(_),
            )
            | None => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use countersign_host::{Input, Intent, Signing};
    use countersign_protocol::{
        Committee, DerivationPath, Failure, Hash, KeyId, Point, Refusal, Scheme, SessionId,
        Threshold,
    };
    use countersign_store::OperationKind;

    use super::*;
    use crate::specimen::{self, node, question};
    use crate::world::World;

    const TASK: TaskId = TaskId([1; 16]);

    /// With one receiver, so that tasks are kept.
    fn events() -> Events {
        let wanted = BTreeSet::from(["request.keysign.created".parse().unwrap()]);
        Events::told_to(node(1), World::system(), vec![("r".into(), wanted)])
    }

    fn told(outcome: Outcome) -> What {
        what_of(&events(), TASK, &outcome, 7)
    }

    fn descriptor() -> KeyDescriptor {
        KeyDescriptor {
            key: KeyId::from_bytes([2; 16]).unwrap(),
            task: TASK,
            session: SessionId([3; 32]),
            name: "treasury".into(),
            scheme: Scheme::Ed25519,
            committee: Committee::new(vec![node(1), node(2)]).unwrap(),
            threshold: Threshold::try_from(2).unwrap(),
            generation: 0,
            root_public_key: ed25519_point(),
            chain_code: Hash([5; 32]),
            public_shares: Hash([6; 32]),
            aux: None,
            parties: Vec::new(),
            acks: Vec::new(),
        }
    }

    /// A public key, so that it can be extended.
    fn ed25519_point() -> Vec<u8> {
        node(3).as_bytes().to_vec()
    }

    fn key_of(what: What) -> NewKey {
        match what {
            What::Succeeded(Success::Key(key)) => key,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_refusal_is_told_with_its_code_and_reason() {
        let refusal = Refusal {
            code: "not-today".into(),
            reason: "Closed.".into(),
            plugin: Some("rules".into()),
        };
        let expected = What::Declined {
            code: "not-today".into(),
            reason: "Closed.".into(),
        };
        assert_eq!(told(Outcome::Refused(refusal)), expected);
    }

    #[test]
    fn a_task_that_did_not_begin_is_cancelled_and_any_other_failure_has_failed() {
        for code in FailureCode::ALL {
            let text = format!("{code}: why");
            let expected = match code.as_str() {
                "cancelled" | "not-started" => What::Cancelled(text),
                _ => What::Failed(text),
            };
            assert_eq!(
                told(Outcome::Failed(Failure::new(code.clone(), "why"))),
                expected
            );
        }
    }

    #[test]
    fn a_new_key_is_told_with_what_derives_its_addresses() {
        let key = descriptor();
        let new = key_of(told(Outcome::Created(key.clone())));
        assert_eq!(new.key.id, key.key.to_string());
        assert_eq!(
            (
                new.key.scheme.as_str(),
                new.key.curve.as_str(),
                new.key.threshold
            ),
            ("ed25519", "ed25519", 2)
        );
        assert!(new.key.root_public_key.starts_with("cpub"), "{new:?}");
        assert_eq!((new.chain_code, new.created_at), (vec![5; 32], 7));
        let members = key.committee.members().iter().map(NodeId::to_string);
        assert_eq!(new.key.members, members.collect::<Vec<_>>());
    }

    #[test]
    fn a_key_that_moved_is_told_like_a_new_one() {
        let created = told(Outcome::Created(descriptor()));
        assert_eq!(told(Outcome::Reshared(descriptor())), created);
    }

    #[test]
    fn holders_are_named_with_their_shares_as_far_as_this_node_knows_them() {
        let unknown = key_of(told(Outcome::Created(descriptor())));
        assert_eq!(unknown.participants.len(), 2);
        assert!(unknown.participants.iter().zip(&unknown.key.members).all(
            |(participant, member)| participant.node == *member
                && participant.share_id.is_empty()
                && participant.share_public_key.is_empty()
        ));
        let events = events();
        let task = question(specimen::keygen());
        events.begin(TASK, OperationKind::KeyGen, task.into());
        let known = Participant {
            node: "a".into(),
            share_id: "1".into(),
            share_public_key: vec![9],
        };
        events.shares(TASK, vec![known.clone()]);
        let new = key_of(what_of(&events, TASK, &Outcome::Created(descriptor()), 7));
        assert_eq!(new.participants, [known]);
    }

    #[test]
    fn an_intact_share_is_told_with_its_generation_and_its_proof() {
        let intact = Intact {
            node: node(1),
            key: descriptor().key,
            generation: 4,
            public_shares: Vec::new(),
            proof: Point(vec![8; 65]),
        };
        let expected = ShareSignature {
            key: descriptor().key.to_string(),
            message: "generation 4".into(),
            digest: Vec::new(),
            signature: vec![8; 65],
        };
        assert_eq!(
            told(Outcome::Intact(intact)),
            What::Succeeded(Success::KeyShares(vec![expected]))
        );
    }

    fn made(path: &str, byte: u8) -> InputSignature {
        InputSignature {
            path: path.parse::<DerivationPath>().unwrap(),
            public_key: vec![byte; 32],
            signed_bytes: vec![byte; 32],
            signature: vec![byte; 64],
            recovery_id: Some(byte),
        }
    }

    fn signed(events: &Events) -> Vec<Signature> {
        let signed = Signed {
            session: SessionId([3; 32]),
            signatures: vec![made("m/0/7", 1), made("m", 0)],
        };
        match what_of(events, TASK, &Outcome::Signed(signed), 7) {
            What::Succeeded(Success::Signatures(signatures)) => signatures,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn signatures_are_told_in_the_order_of_the_inputs_with_all_that_verifies_them() {
        let signatures = signed(&events());
        let paths: Vec<_> = signatures.iter().map(|made| made.path.as_str()).collect();
        assert_eq!(paths, ["m/0/7", "m"]);
        assert_eq!(signatures[0].digest, [1; 32]);
        assert_eq!(signatures[0].signature, [1; 64]);
        assert_eq!(
            (signatures[0].recovery_id, signatures[1].recovery_id),
            (Some(1), Some(0))
        );
    }

    #[test]
    fn a_signature_has_the_tweak_of_its_own_input_and_none_if_that_is_not_known() {
        let input = |tweak: Option<u8>| Input {
            path: "m".into(),
            public_key: Vec::new(),
            digest: Vec::new(),
            tweak: tweak.map(|byte| vec![byte; 32]),
        };
        let signing = Signing {
            key: specimen::key("k", "taproot"),
            signers: Vec::new(),
            inputs: vec![input(None), input(Some(6))],
            payload: "psbt".into(),
            blind: false,
            intent: Intent::Opaque,
        };
        let events = events();
        let tweaks = |events: &Events| signed(events).into_iter().map(|made| made.tweak);
        assert!(tweaks(&events).all(|tweak| tweak.is_none()));
        let task = question(Operation::Sign(signing));
        events.begin(TASK, OperationKind::KeySign, task.into());
        let expected = [None, Some(vec![6; 32])];
        assert_eq!(tweaks(&events).collect::<Vec<_>>(), expected);
    }
}
