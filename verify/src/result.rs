//! Verification of results: a task's result is never trusted on anybody's word. Node, coordinator
//! and client use only this module.
//!
//! A new key, or a new generation of one, must match the task's order and carry the
//! acknowledgements of all parties. Every signature that the payload asks for must be
//! there and verify under the child key derived here from the wallet's root key. A
//! check-up must prove its share.

use countersign_protocol::{
    Hash, Intact, KeyDescriptor, KeyGen, KeyId, KeyReshare, NodeId, Operation, Outcome, Signed,
    Task, TaskId,
};

use crate::{DeriveError, Input, IntactError, SignedError, check_signed, verify_intact};

/// The reason a result is not what was ordered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WrongResult {
    /// A result of another kind than the task has.
    #[error("{result} for a {operation}")]
    Kind {
        /// The kind that was reported.
        result: &'static str,
        /// The kind that was ordered.
        operation: &'static str,
    },
    /// The task uses a wallet that is unknown here.
    #[error("the wallet is not known here")]
    WalletUnknown,
    /// A fact, named in the text, differs from the order.
    #[error("the {0} is not the one that was ordered")]
    Fact(&'static str),
    /// The root key is not a key of its scheme.
    #[error(transparent)]
    RootKey(#[from] DeriveError),
    /// Acknowledgements are missing, or do not verify.
    #[error("not every holder's acknowledgement is there and verifies")]
    Acks,
    /// Acknowledgements of a new generation are missing, do not verify, or are not
    /// those of the parties.
    #[error("the acknowledgements are not exactly those of the parties, or do not verify")]
    Succession,
    /// The signatures are not those asked for.
    #[error(transparent)]
    Signed(#[from] SignedError),
    /// A check-up does not prove its share.
    #[error(transparent)]
    Intact(#[from] IntactError),
    /// A node proved another node's share.
    #[error("the proof of another node's share")]
    OtherShare,
}

/// The order, and the context for checking results against it.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// The task that was ordered.
    pub task: &'a Task,
    /// The hash of its exact bytes.
    pub hash: Hash,
    /// The wallet that it uses; absent if unknown or not yet made.
    pub wallet: Option<&'a KeyDescriptor>,
    /// The participants, in the order of their ids.
    pub parties: &'a [NodeId],
    /// The inputs of a KeySign's payload.
    pub inputs: &'a [Input],
}

impl Order<'_> {
    /// Checks a report of `from`. An error describes the false claim; a refusal or
    /// a failure claims nothing.
    pub fn check(&self, from: &NodeId, outcome: &Outcome) -> Result<(), WrongResult> {
        let wallet = || self.wallet.ok_or(WrongResult::WalletUnknown);
        let operation = &self.task.operation;
        let other = |result| {
            Err(WrongResult::Kind {
                result,
                operation: operation.name(),
            })
        };
        match (operation, outcome) {
            (_, Outcome::Refused(_) | Outcome::Failed(_)) => Ok(()),
            (Operation::KeyGen(keygen), Outcome::Created(made)) => {
                created(self.task.id, self.hash, keygen, made)
            }
            (Operation::KeySign(_), Outcome::Signed(made)) => signed(wallet()?, self.inputs, made),
            (Operation::KeyReshare(reshare), Outcome::Reshared(made)) => {
                reshared(self.task.id, reshare, Some(self.parties), made)
            }
            (Operation::KeyShareSign(_), Outcome::Intact(made)) if made.node == *from => {
                Ok(verify_intact(wallet()?, self.hash, made)?)
            }
            (Operation::KeyShareSign(_), Outcome::Intact(_)) => Err(WrongResult::OtherShare),
            (_, Outcome::Created(_)) => other("a new key"),
            (_, Outcome::Signed(_)) => other("a signature"),
            (_, Outcome::Reshared(_)) => other("another generation"),
            (_, Outcome::Intact(_)) => other("a check-up"),
        }
    }
}

/// Checks a new key against its KeyGen, with the acknowledgements of all its holders. `hash`: of
/// the exact bytes of the task.
pub fn created(
    task: TaskId,
    hash: Hash,
    keygen: &KeyGen,
    made: &KeyDescriptor,
) -> Result<(), WrongResult> {
    facts(&[
        ("key id", made.key == KeyId::of_task(&hash)),
        ("task", made.task == task),
        ("name", made.name == keygen.name),
        ("scheme", made.scheme == keygen.scheme),
        ("committee", made.committee == keygen.committee),
        ("threshold", made.threshold == keygen.threshold),
        ("generation", made.generation == 0),
        (
            "auxiliary information",
            made.aux.is_some() == keygen.scheme.needs_aux(),
        ),
    ])?;
    root_key(made)?;
    if made.has_all_acks() {
        Ok(())
    } else {
        Err(WrongResult::Acks)
    }
}

/// Checks all facts of the generation that a reshare makes, but not acknowledgements. `parties`:
/// the participants, if known from a source other than the generation itself.
pub fn next(
    task: TaskId,
    reshare: &KeyReshare,
    parties: Option<&[NodeId]>,
    made: &KeyDescriptor,
) -> Result<(), WrongResult> {
    // Programs older than the list of parties had none to show.
    let as_listed = |parties: &[NodeId]| made.parties().is_none_or(|listed| listed == parties);
    facts(&[
        ("list of parties", parties.is_none_or(as_listed)),
        (
            "root key, chain code or name",
            made.is_same_key(&reshare.from),
        ),
        ("task", made.task == task),
        ("committee", made.committee == reshare.committee),
        ("threshold", made.threshold == reshare.threshold),
        ("generation", made.generation == reshare.generation()),
        (
            "auxiliary information",
            made.aux.is_some() == made.scheme.needs_aux(),
        ),
    ])
}

/// Checks the next generation of a key: [`next`], and it succeeds the one that was handed over with
/// the acknowledgements of all parties, and of nobody else if the parties are known.
pub fn reshared(
    task: TaskId,
    reshare: &KeyReshare,
    parties: Option<&[NodeId]>,
    made: &KeyDescriptor,
) -> Result<(), WrongResult> {
    next(task, reshare, parties, made)?;
    let acked = || made.acks.iter().map(|ack| &ack.node);
    let exactly = parties.is_none_or(|parties| acked().eq(parties));
    if exactly && made.succeeds(&reshare.from) {
        Ok(())
    } else {
        Err(WrongResult::Succession)
    }
}

/// Checks one signature for each of `inputs`, in their order.
pub fn signed(wallet: &KeyDescriptor, inputs: &[Input], made: &Signed) -> Result<(), WrongResult> {
    Ok(check_signed(&wallet.into(), inputs, made)?)
}

/// Checks a whole check-up: one proof of each node that was asked, in the order of their ids.
pub fn intact(
    wallet: &KeyDescriptor,
    hash: Hash,
    nodes: &[NodeId],
    made: &[Intact],
) -> Result<(), WrongResult> {
    facts(&[("list of nodes", made.iter().map(|one| &one.node).eq(nodes))])?;
    made.iter()
        .try_for_each(|one| Ok(verify_intact(wallet, hash, one)?))
}

/// A wallet's root key in the common text form: `xpub…` or `cpub…`.
pub fn root_key(wallet: &KeyDescriptor) -> Result<String, WrongResult> {
    Ok(crate::extended_public_key(
        wallet.scheme,
        &wallet.root_public_key,
        wallet.chain_code.as_bytes(),
    )?)
}

fn facts(facts: &[(&'static str, bool)]) -> Result<(), WrongResult> {
    match facts.iter().find(|(_, fits)| !fits) {
        Some((fact, _)) => Err(WrongResult::Fact(fact)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
    use countersign_protocol::{
        Committee, DerivationPath, Failure, FailureCode, InputSignature, KeyShareSign, KeySign,
        Payload, PayloadKind, RequesterId, Scheme, SessionId, SignedAck, Threshold, UnixMillis,
    };

    use super::*;

    const HASH: Hash = Hash([7; 32]);
    const TASK: TaskId = TaskId([1; 16]);

    fn pair(seed: u8) -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
    }

    fn node(seed: u8) -> NodeId {
        let key = pair(seed).public_key().as_ref().try_into().unwrap();
        NodeId::from_bytes(key).unwrap()
    }

    fn nodes(seeds: &[u8]) -> Vec<NodeId> {
        let mut nodes: Vec<_> = seeds.iter().copied().map(node).collect();
        nodes.sort_unstable();
        nodes
    }

    fn acked(made: KeyDescriptor, by: &[u8]) -> KeyDescriptor {
        let digest = made.digest();
        let ack = |seed: &u8| SignedAck {
            node: node(*seed),
            signature: pair(*seed).sign(digest.as_bytes()).as_ref().to_vec(),
        };
        let mut stored: Vec<_> = by.iter().map(ack).collect();
        stored.sort_by_key(|ack| ack.node);
        KeyDescriptor {
            acks: stored,
            ..made
        }
    }

    fn committee(seeds: &[u8]) -> Committee {
        Committee::new(nodes(seeds)).unwrap()
    }

    fn keygen() -> KeyGen {
        KeyGen {
            name: "n".into(),
            scheme: Scheme::Ed25519,
            committee: committee(&[1, 2]),
            threshold: Threshold::try_from(2).unwrap(),
        }
    }

    /// A descriptor without acknowledgements.
    fn key() -> KeyDescriptor {
        let KeyGen {
            name,
            scheme,
            committee,
            threshold,
        } = keygen();
        KeyDescriptor {
            key: KeyId::of_task(&HASH),
            task: TASK,
            session: SessionId([3; 32]),
            name,
            scheme,
            committee,
            threshold,
            generation: 0,
            root_public_key: pair(9).public_key().as_ref().to_vec(),
            chain_code: Hash([5; 32]),
            public_shares: Hash([6; 32]),
            aux: None,
            parties: Vec::new(),
            acks: Vec::new(),
        }
    }

    fn reshare() -> KeyReshare {
        KeyReshare {
            from: acked(key(), &[1, 2]),
            committee: committee(&[2, 3]),
            threshold: Threshold::try_from(2).unwrap(),
            dealers: None,
        }
    }

    fn next_generation() -> KeyDescriptor {
        KeyDescriptor {
            task: TaskId([2; 16]),
            generation: 1,
            committee: committee(&[2, 3]),
            public_shares: Hash([8; 32]),
            parties: nodes(&[1, 2, 3]),
            ..key()
        }
    }

    type Change = fn(&mut KeyDescriptor);

    #[test]
    fn a_new_key_is_what_was_ordered_with_all_acks() {
        let check = |made: &KeyDescriptor| created(TASK, HASH, &keygen(), made);
        assert_eq!(check(&acked(key(), &[1, 2])), Ok(()));
        let changes: [(&str, Change); 8] = [
            ("key id", |made| {
                made.key = KeyId::of_task(&Hash([0; 32]));
            }),
            ("task", |made| made.task = TaskId([9; 16])),
            ("name", |made| made.name = "m".into()),
            ("scheme", |made| made.scheme = Scheme::Taproot),
            ("committee", |made| made.committee = committee(&[1, 3])),
            ("threshold", |made| {
                made.threshold = Threshold::try_from(3).unwrap();
            }),
            ("generation", |made| {
                made.generation = 1;
                made.parties = nodes(&[1, 2]);
            }),
            ("auxiliary information", |made| {
                made.aux = Some(Hash([1; 32]));
            }),
        ];
        for (fact, change) in changes {
            let mut made = key();
            change(&mut made);
            let made = acked(made, &[1, 2]);
            assert_eq!(check(&made), Err(WrongResult::Fact(fact)));
        }
        let mut keyless = key();
        keyless.root_public_key = vec![1; 31];
        let keyless = check(&acked(keyless, &[1, 2]));
        assert!(matches!(keyless, Err(WrongResult::RootKey(_))));
        for by in [&[1][..], &[1, 3], &[]] {
            assert_eq!(check(&acked(key(), by)), Err(WrongResult::Acks));
        }
    }

    #[test]
    fn a_next_generation_is_what_was_ordered_with_exactly_the_parties_acks() {
        let parties = nodes(&[1, 2, 3]);
        let check = |made: &KeyDescriptor| {
            let known = reshared(TaskId([2; 16]), &reshare(), Some(&parties), made);
            // A reader that does not know the parties believes the generation's list.
            let unknown = reshared(TaskId([2; 16]), &reshare(), None, made);
            assert!(known.is_err() || unknown.is_ok());
            known
        };
        assert_eq!(check(&acked(next_generation(), &[1, 2, 3])), Ok(()));
        let changes: [(&str, Change); 8] = [
            ("list of parties", |made| made.parties = nodes(&[2, 3])),
            ("root key, chain code or name", |made| {
                made.name = "m".into();
            }),
            ("root key, chain code or name", |made| {
                made.chain_code = Hash([0; 32]);
            }),
            ("task", |made| made.task = TaskId([9; 16])),
            ("committee", |made| made.committee = committee(&[1, 2])),
            ("threshold", |made| {
                made.threshold = Threshold::try_from(3).unwrap();
            }),
            ("generation", |made| made.generation = 2),
            ("auxiliary information", |made| {
                made.aux = Some(Hash([1; 32]));
            }),
        ];
        for (fact, change) in changes {
            let mut made = next_generation();
            change(&mut made);
            let made = acked(made, &[1, 2, 3]);
            assert_eq!(check(&made), Err(WrongResult::Fact(fact)));
        }
        for by in [&[1, 2][..], &[2, 3], &[1, 2, 4]] {
            let made = acked(next_generation(), by);
            assert_eq!(check(&made), Err(WrongResult::Succession));
        }
        let mut forged = acked(next_generation(), &[1, 2, 3]);
        forged.acks[0].signature[0] ^= 1;
        assert_eq!(check(&forged), Err(WrongResult::Succession));
        // Without its list, only the order says who took part.
        let unlisted = || KeyDescriptor {
            parties: Vec::new(),
            ..next_generation()
        };
        assert_eq!(check(&acked(unlisted(), &[1, 2, 3])), Ok(()));
        let with_stranger = acked(unlisted(), &[1, 2, 3, 4]);
        assert_eq!(check(&with_stranger), Err(WrongResult::Succession));
    }

    fn signature(seed: u8, message: &[u8]) -> Signed {
        Signed {
            session: SessionId([3; 32]),
            signatures: vec![InputSignature {
                path: DerivationPath::default(),
                public_key: pair(seed).public_key().as_ref().to_vec(),
                signed_bytes: message.to_vec(),
                signature: pair(seed).sign(message).as_ref().to_vec(),
                recovery_id: None,
            }],
        }
    }

    #[test]
    fn each_kind_of_task_has_its_own_kind_of_result() {
        let task = |operation| Task {
            version: 1,
            id: TASK,
            created: UnixMillis(1),
            not_after: UnixMillis(2),
            requester: RequesterId::from_bytes(*node(9).as_bytes()).unwrap(),
            note: None,
            claims: BTreeMap::new(),
            collect: None,
            operation,
        };
        let tasks = [
            task(Operation::KeyGen(keygen())),
            task(Operation::KeySign(KeySign {
                key: key().key,
                path: DerivationPath::default(),
                payload: Payload::new(PayloadKind::Message, b"m".to_vec()),
                signers: None,
            })),
            task(Operation::KeyReshare(Box::new(reshare()))),
            task(Operation::KeyShareSign(KeyShareSign {
                key: key().key,
                nodes: nodes(&[1]),
            })),
        ];
        let intact = Intact {
            node: node(1),
            key: key().key,
            generation: 0,
            public_shares: Vec::new(),
            proof: countersign_protocol::Point(Vec::new()),
        };
        let outcomes = [
            Outcome::Created(acked(key(), &[1, 2])),
            Outcome::Signed(signature(9, b"m")),
            Outcome::Reshared(acked(next_generation(), &[1, 2, 3])),
            Outcome::Intact(intact),
        ];
        let wallet = key();
        let inputs = [Input::new(DerivationPath::default(), b"m".to_vec())];
        let parties = nodes(&[1, 2, 3]);
        for (ordered, task) in tasks.iter().enumerate() {
            let order = Order {
                task,
                hash: HASH,
                wallet: Some(&wallet),
                parties: &parties,
                inputs: &inputs,
            };
            for (made, outcome) in outcomes.iter().enumerate() {
                let checked = order.check(&node(1), outcome);
                let other_kind = matches!(checked, Err(WrongResult::Kind { .. }));
                assert_eq!(other_kind, ordered != made, "{task:?}: {checked:?}");
            }
            let failed = Outcome::Failed(Failure::new(FailureCode::PeerLost, "t"));
            assert_eq!(order.check(&node(1), &failed), Ok(()));
        }
        let order = Order {
            task: &tasks[1],
            hash: HASH,
            wallet: Some(&wallet),
            parties: &parties,
            inputs: &inputs,
        };
        assert_eq!(order.check(&node(1), &outcomes[1]), Ok(()));
        for wrong in [
            signature(8, b"m"),
            signature(9, b"n"),
            Signed {
                signatures: Vec::new(),
                ..signature(9, b"m")
            },
        ] {
            let checked = order.check(&node(1), &Outcome::Signed(wrong));
            assert!(matches!(checked, Err(WrongResult::Signed(_))));
        }
        let nobodys = Order {
            wallet: None,
            ..order
        };
        let checked = nobodys.check(&node(1), &outcomes[1]);
        assert_eq!(checked, Err(WrongResult::WalletUnknown));
        let order = Order {
            task: &tasks[3],
            ..order
        };
        let checked = order.check(&node(2), &outcomes[3]);
        assert_eq!(checked, Err(WrongResult::OtherShare));
        let checked = order.check(&node(1), &outcomes[3]);
        assert!(matches!(checked, Err(WrongResult::Intact(_))));
    }

    #[test]
    fn a_check_up_is_about_exactly_the_nodes_that_were_asked() {
        let asked = nodes(&[1, 2]);
        let checked = intact(&key(), HASH, &asked, &[]);
        assert_eq!(checked, Err(WrongResult::Fact("list of nodes")));
        assert_eq!(intact(&key(), HASH, &[], &[]), Ok(()));
    }
}
