//! Each kind of proof, intact and with one part falsified: only the intact one convicts.

use ed25519_dalek::{Signer, SigningKey};

use super::*;
use crate::IdentitySigner;
use crate::frame::Mark;

const TASK: Hash = Hash([1; 32]);
const RUN: SessionId = SessionId([2; 32]);
const OTHER: Hash = Hash([0xee; 32]);
const CHEAT: u8 = 1;
const INNOCENT: u8 = 2;

struct Key(SigningKey);

impl IdentitySigner for Key {
    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

fn key(seed: u8) -> Key {
    Key(SigningKey::from_bytes(&[seed; 32]))
}

fn node(seed: u8) -> NodeId {
    NodeId::from_bytes(key(seed).0.verifying_key().to_bytes()).unwrap()
}

fn sign(seed: u8, digest: Hash) -> Signature {
    Signature(key(seed).sign(digest.as_bytes()))
}

fn parties() -> Vec<NodeId> {
    vec![node(CHEAT), node(INNOCENT), node(3)]
}

fn ready(seed: u8, task: Hash, fresh: u8) -> Ready {
    let parties = Hash([3; 32]);
    let mark = Mark::default();
    let ready = Ready {
        task,
        parties,
        fresh: [fresh; 32],
        holds: None,
        mark,
        signature: [0; 64],
    };
    ready.sign(&node(seed), &key(seed))
}

fn broadcast(seed: u8, body: u8) -> SignedHash {
    let hash = Hash([body; 32]);
    SignedHash {
        hash,
        signature: sign(seed, broadcast_digest(TASK, RUN, &node(seed), 4, 5, hash)),
    }
}

fn claim(seed: u8, digest: u8, ack: Option<Signature>) -> Claim {
    let digest = Hash([digest; 32]);
    let ack = ack.unwrap_or_else(|| sign(seed, digest));
    let claim = Claim {
        digest,
        ack,
        signature: Signature([0; 64]),
    };
    Claim {
        signature: sign(seed, result_digest(TASK, RUN, &node(seed), &claim)),
        ..claim
    }
}

/// Signs the cheat's claim about a broadcast of `of`.
fn echo(of: NodeId, claimed: Signature) -> Echoed {
    let phase = 4;
    let number = 5;
    let body = Hash([6; 32]);
    let echo = Echoed {
        of,
        phase,
        number,
        body,
        claimed,
        signature: Signature([0; 64]),
    };
    Echoed {
        signature: sign(CHEAT, echo_digest(TASK, RUN, &node(CHEAT), &echo)),
        ..echo
    }
}

fn flipped(signature: Signature) -> Signature {
    let mut bytes = signature.0;
    bytes[5] ^= 1;
    Signature(bytes)
}

fn convicts(misconduct: &Misconduct) -> bool {
    Evidence {
        task: TASK,
        node: node(CHEAT),
        misconduct: misconduct.clone(),
    }
    .verify(TASK, &parties())
}

fn readies(one: Ready, two: Ready) -> Misconduct {
    Misconduct::Readies(Box::new([one, two]))
}

fn broadcasts(session: SessionId, phase: u8, number: u16, signed: [SignedHash; 2]) -> Misconduct {
    Misconduct::Broadcasts {
        session,
        phase,
        number,
        signed,
    }
}

fn results(session: SessionId, claims: [Claim; 2]) -> Misconduct {
    Misconduct::Results {
        session,
        claims: Box::new(claims),
    }
}

fn false_ack(session: SessionId, claim: Claim) -> Misconduct {
    Misconduct::FalseAck {
        session,
        claim: Box::new(claim),
    }
}

fn false_echo(session: SessionId, echo: Echoed) -> Misconduct {
    Misconduct::FalseEcho {
        session,
        echo: Box::new(echo),
    }
}

/// One valid proof of each kind.
fn whole() -> [Misconduct; 5] {
    [
        readies(ready(CHEAT, TASK, 1), ready(CHEAT, TASK, 2)),
        broadcasts(RUN, 4, 5, [1, 2].map(|body| broadcast(CHEAT, body))),
        results(RUN, [1, 2].map(|digest| claim(CHEAT, digest, None))),
        false_ack(RUN, claim(CHEAT, 1, Some(Signature([9; 64])))),
        false_echo(RUN, echo(node(INNOCENT), Signature([9; 64]))),
    ]
}

#[test]
fn a_proof_convicts_its_author_in_its_task_and_nobody_anywhere_else() {
    for misconduct in whole() {
        assert!(convicts(&misconduct), "{misconduct:?}");
        let evidence = Evidence {
            task: TASK,
            node: node(CHEAT),
            misconduct,
        };
        assert!(!evidence.verify(OTHER, &parties()), "in another task");
        assert!(
            !evidence.verify(TASK, &parties()[1..]),
            "the node is not a party"
        );
        let elsewhere = Evidence {
            task: OTHER,
            ..evidence.clone()
        };
        assert!(!elsewhere.verify(OTHER, &parties()) && !elsewhere.verify(TASK, &parties()));
        for innocent in [INNOCENT, 3] {
            let accused = Evidence {
                node: node(innocent),
                ..evidence.clone()
            };
            assert!(
                !accused.verify(TASK, &parties()),
                "{:?}",
                accused.misconduct
            );
        }
    }
}

#[test]
fn two_readies_convict_only_where_both_are_signed_and_differ() {
    let [one, two] = [1, 2].map(|fresh| ready(CHEAT, TASK, fresh));
    let mark = Mark {
        audit: 1,
        ..Mark::default()
    };
    let later = Ready {
        mark,
        ..one.clone()
    }
    .sign(&node(CHEAT), &key(CHEAT));
    assert!(
        convicts(&readies(one.clone(), later)),
        "a task runs once, with one mark"
    );
    assert!(!convicts(&readies(one.clone(), one.clone())), "the same");
    let unsigned = Ready {
        fresh: [7; 32],
        ..one.clone()
    };
    assert!(
        !convicts(&readies(one.clone(), unsigned.clone()))
            && !convicts(&readies(unsigned, two.clone()))
    );
    let elsewhere = [1, 2].map(|fresh| ready(CHEAT, OTHER, fresh));
    for [first, second] in [
        [&one, &elsewhere[0]],
        [&elsewhere[0], &two],
        [&elsewhere[0], &elsewhere[1]],
    ] {
        assert!(
            !convicts(&readies(first.clone(), second.clone())),
            "in another task"
        );
    }
}

#[test]
fn two_broadcasts_convict_only_under_one_number_of_one_run() {
    let [one, two] = [1, 2].map(|body| broadcast(CHEAT, body));
    let bad = |signed: SignedHash| SignedHash {
        signature: flipped(signed.signature),
        ..signed
    };
    for wrong in [
        broadcasts(RUN, 4, 5, [one, one]),
        broadcasts(RUN, 4, 5, [bad(one), two]),
        broadcasts(RUN, 4, 5, [one, bad(two)]),
        broadcasts(SessionId([7; 32]), 4, 5, [one, two]),
        broadcasts(RUN, 3, 5, [one, two]),
        broadcasts(RUN, 4, 6, [one, two]),
        broadcasts(RUN, 4, 5, [one, broadcast(INNOCENT, 2)]),
    ] {
        assert!(!convicts(&wrong), "{wrong:?}");
    }
}

#[test]
fn confirmations_convict_only_if_the_party_signed_them() {
    let [one, two] = [1, 2].map(|digest| claim(CHEAT, digest, None));
    let wrong_ack = claim(CHEAT, 1, Some(Signature([9; 64])));
    let bad = |claim: Claim| Claim {
        signature: flipped(claim.signature),
        ..claim
    };
    let another_ack = |claim: Claim| Claim {
        ack: flipped(claim.ack),
        ..claim
    };
    for wrong in [
        results(RUN, [one, one]),
        results(RUN, [bad(one), two]),
        results(RUN, [one, bad(two)]),
        results(RUN, [one, another_ack(two)]),
        results(RUN, [one, claim(INNOCENT, 2, None)]),
        results(SessionId([7; 32]), [one, two]),
        false_ack(RUN, one),
        false_ack(RUN, bad(wrong_ack)),
        // An acknowledgement altered in transit is not its author's doing.
        false_ack(RUN, another_ack(one)),
        false_ack(
            RUN,
            Claim {
                digest: OTHER,
                ..one
            },
        ),
        false_ack(SessionId([7; 32]), wrong_ack),
    ] {
        assert!(!convicts(&wrong), "{wrong:?}");
    }
}

#[test]
fn an_echo_convicts_only_if_it_is_signed_and_what_it_passes_on_is_not() {
    let honest = {
        let body = Hash([6; 32]);
        sign(
            INNOCENT,
            broadcast_digest(TASK, RUN, &node(INNOCENT), 4, 5, body),
        )
    };
    let wrong = echo(node(INNOCENT), Signature([9; 64]));
    for innocent in [
        echo(node(INNOCENT), honest),
        echo(node(CHEAT), Signature([9; 64])),
        echo(node(8), Signature([9; 64])),
        Echoed {
            signature: flipped(wrong.signature),
            ..wrong
        },
        Echoed { phase: 3, ..wrong },
        Echoed { number: 6, ..wrong },
        Echoed {
            body: OTHER,
            ..wrong
        },
        Echoed {
            claimed: Signature([8; 64]),
            ..wrong
        },
        Echoed {
            of: node(3),
            ..wrong
        },
    ] {
        assert!(!convicts(&false_echo(RUN, innocent)), "{innocent:?}");
    }
    assert!(!convicts(&false_echo(SessionId([7; 32]), wrong)));
}
