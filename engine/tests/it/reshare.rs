//! Resharing: all kinds of committees and wrong calls here, misbehaving parties in `cheats`,
//! long histories in `histories`.

mod cheats;
mod histories;

use countersign_engine::{
    CallerFault, CommitteeIndex, Engine, EngineError, Message, PartyIndex, PeerFault, PublicShare,
    ReshareParams, Reshared, Role, Scheme, Share, Signature, reshare,
};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::fixtures::{Wallet, aux, generate};
use crate::suite::scheme_suite;
use crate::{driver, oracle};

scheme_suite! {
    a_refresh_changes_the_shares_and_nothing_else, a_committee_grows_and_its_threshold_rises,
    a_committee_shrinks_and_its_threshold_falls, a_disjoint_committee_takes_over, children_stay,
    old_and_new_shares_do_not_sign_together, new_shares_survive_storage_and_are_reshared_again,
    wrong_new_committees_are_refused, wrong_dealers_are_refused, a_share_in_the_wrong_place_is_refused,
    public_data_that_contradict_each_other_are_refused, the_parties_must_agree_on_the_plan,
}

/// Joins and does not deal.
const JOINS: Role = Role {
    deals: None,
    joins: true,
};
/// Two of three hand the key over to three, themselves among them.
const REFRESH: [Role; 3] = [stays(0), stays(1), JOINS];

type Boxed = Box<dyn Engine<Output = Reshared>>;

/// Deals, as member `index` of the old committee, and joins the new one.
const fn stays(index: u16) -> Role {
    Role {
        deals: Some(CommitteeIndex(index)),
        joins: true,
    }
}

/// Deals and does not join.
const fn leaves(index: u16) -> Role {
    Role {
        deals: Some(CommitteeIndex(index)),
        joins: false,
    }
}

/// One resharing, as all its parties see it.
#[derive(Clone)]
struct Plan<'a> {
    session: &'a [u8],
    generation: u64,
    parties: &'a [Role],
    threshold: u16,
    old: PublicShare,
    /// The parties' randomness: the same in every run of this plan, so that a
    /// test can predict messages.
    seed: [u8; 32],
}

impl<'a> Plan<'a> {
    fn new(shares: &[Share], parties: &'a [Role], threshold: u16) -> Self {
        // Any holder's public share; its index is ignored.
        let old = shares[shares.len() - 1].public();
        Self {
            session: b"reshare",
            generation: 2,
            parties,
            threshold,
            old,
            seed: rand::random(),
        }
    }

    fn engine(&self, me: u16, share: Option<&Share>) -> Result<Boxed, EngineError> {
        let Self {
            session,
            generation,
            parties,
            threshold,
            ref old,
            mut seed,
        } = *self;
        seed[0] ^= me as u8;
        let rng = StdRng::from_seed(seed);
        reshare(
            ReshareParams {
                session,
                me: PartyIndex(me),
                parties,
                threshold,
                old,
                generation,
            },
            share,
            rng,
        )
    }

    /// The engines of all parties; dealers find their shares among `shares`.
    fn engines(&self, shares: &[Share]) -> Vec<Boxed> {
        let share = |role: &Role| role.deals.map(|index| &shares[usize::from(index.0)]);
        let engine = |(me, role)| self.engine(me, share(role)).expect("valid parameters");
        (0..).zip(self.parties).map(engine).collect()
    }

    fn refusal(&self, me: u16, share: Option<&Share>) -> CallerFault {
        match self.engine(me, share).err() {
            Some(EngineError::Caller(fault)) => fault,
            other => panic!("expected the caller's fault, not {other:?}"),
        }
    }
}

/// Runs a resharing in which all parties are honest, checks that their results are equal, and
/// returns the new shares in order.
fn reshared(shares: &[Share], parties: &[Role], threshold: u16) -> Vec<Share> {
    let outcomes = driver::run(Plan::new(shares, parties, threshold).engines(shares));
    let first = &outcomes[0];
    for (outcome, role) in outcomes.iter().zip(parties) {
        assert_eq!(outcome.share.is_some(), role.joins);
        assert_eq!(outcome.transcript, first.transcript);
        assert_eq!(outcome.public_shares, first.public_shares);
        assert_eq!(outcome.threshold, threshold);
    }
    let public_shares = first.public_shares.clone();
    let new: Vec<_> = outcomes
        .into_iter()
        .filter_map(|outcome| outcome.share)
        .collect();
    for (share, index) in new.iter().zip(0..) {
        let expected = PublicShare {
            parties: public_shares.len() as u16,
            threshold,
            index: CommitteeIndex(index),
            public_shares: public_shares.clone(),
            ..shares[0].public()
        };
        assert_eq!(
            share.public(),
            expected,
            "scheme, root key and chain code stay"
        );
    }
    new
}

/// A committee that was not generated but reshared, with auxiliary information of its own.
fn wallet(shares: Vec<Share>) -> Wallet {
    let parties = shares.len() as u16;
    let needs_aux = shares[0].scheme().needs_aux();
    Wallet {
        auxes: (0..parties)
            .map(|index| needs_aux.then(|| aux(parties, index)))
            .collect(),
        shares,
    }
}

fn message() -> Message {
    Message::Raw(b"the same key".to_vec())
}

/// Every subset that is large enough to sign; for ECDSA, at a second each, only the
/// first and the last.
fn subsets(scheme: Scheme, threshold: u16, parties: u16) -> Vec<Vec<u16>> {
    let all = (0_u32..1 << parties).filter(|set| set.count_ones() == u32::from(threshold));
    let mut all: Vec<Vec<u16>> = all
        .map(|set| {
            (0..parties)
                .filter(|party| set & (1 << party) != 0)
                .collect()
        })
        .collect();
    if scheme.needs_aux() && all.len() > 2 {
        all = vec![all[0].clone(), all[all.len() - 1].clone()];
    }
    all
}

/// Every subset signs under the key of the generation `before`.
fn signs_as(before: &Share, after: Vec<Share>) {
    let key = before.public();
    let public = after[0].public();
    let wallet = wallet(after);
    for signers in subsets(key.scheme, public.threshold, public.parties) {
        let signature = wallet.sign(&signers, &[], &message());
        oracle::verify(&key, &[], &message(), &signature);
    }
}

fn a_refresh_changes_the_shares_and_nothing_else(scheme: Scheme) {
    let old = generate(scheme, 2, 3, b"keygen");
    let new = reshared(&old, &REFRESH, 2);
    for (old, new) in old[0]
        .public()
        .public_shares
        .iter()
        .zip(new[0].public().public_shares)
    {
        assert_ne!(*old, new);
    }
    signs_as(&old[0], new);
}

fn a_committee_grows_and_its_threshold_rises(scheme: Scheme) {
    let old = generate(scheme, 2, 3, b"keygen");
    signs_as(
        &old[0],
        reshared(&old, &[JOINS, stays(2), JOINS, stays(0), JOINS], 3),
    );
}

fn a_committee_shrinks_and_its_threshold_falls(scheme: Scheme) {
    let old = generate(scheme, 3, 5, b"keygen");
    signs_as(
        &old[0],
        reshared(&old, &[leaves(4), stays(0), JOINS, stays(3)], 2),
    );
}

fn a_disjoint_committee_takes_over(scheme: Scheme) {
    let old = generate(scheme, 2, 3, b"keygen");
    signs_as(
        &old[0],
        reshared(&old, &[JOINS, leaves(1), JOINS, JOINS, leaves(2)], 3),
    );
}

fn children_stay(scheme: Scheme) {
    let old = generate(scheme, 2, 3, b"keygen");
    let key = old[0].public();
    let new = wallet(reshared(
        &old,
        &[leaves(0), leaves(2), JOINS, JOINS, JOINS],
        2,
    ));
    let path = [44, 501, 0, 7];
    let signature = new.sign(&[1, 2], &path, &message());
    oracle::verify(&key, &path, &message(), &signature);
}

/// Same key, same threshold, same positions: only the generation differs.
fn old_and_new_shares_do_not_sign_together(scheme: Scheme) {
    let old = wallet(generate(scheme, 2, 3, b"keygen"));
    let new = wallet(reshared(&old.shares, &REFRESH, 2));
    never_signs(vec![
        old.signer(0, &[0, 1], &[], &message(), b"signing"),
        new.signer(1, &[0, 1], &[], &message(), b"signing"),
    ]);
}

/// Asserts that no party gets a signature, and none waits in vain.
fn never_signs(engines: Vec<Box<dyn Engine<Output = Signature>>>) {
    for outcome in driver::run_altered(engines, |_| {}) {
        let error = outcome
            .expect("no party waits in vain")
            .expect_err("no signature");
        assert!(matches!(error, EngineError::Peer { .. }), "{error}");
    }
}

fn new_shares_survive_storage_and_are_reshared_again(scheme: Scheme) {
    let old = generate(scheme, 2, 2, b"keygen");
    let new = reshared(&old, &[JOINS, leaves(1), JOINS, JOINS, leaves(0)], 3);
    let stored: Vec<_> = new
        .iter()
        .map(|share| Share::from_bytes(&share.to_bytes()).unwrap())
        .collect();
    let newest = reshared(&stored, &[stays(2), stays(0), stays(1)], 2);
    signs_as(&old[0], newest);
}

fn wrong_new_committees_are_refused(scheme: Scheme) {
    let shares = generate(scheme, 2, 3, b"keygen");
    let refusal = |parties: &[Role], threshold| {
        Plan::new(&shares, parties, threshold).refusal(0, Some(&shares[0]))
    };
    let threshold = |threshold, parties| CallerFault::Threshold { threshold, parties };
    assert_eq!(refusal(&REFRESH, 0), threshold(0, 3));
    assert_eq!(refusal(&REFRESH, 1), threshold(1, 3));
    assert_eq!(refusal(&REFRESH, 4), threshold(4, 3));
    assert_eq!(refusal(&[stays(0), leaves(1)], 2), CallerFault::Parties(1));
    let mut ten = vec![JOINS; 10];
    ten[0] = stays(0);
    ten.push(leaves(1));
    assert_eq!(refusal(&ten, 2), CallerFault::Parties(10));
    assert_eq!(refusal(&[leaves(0), leaves(1)], 2), CallerFault::Parties(0));
    let crowd = [vec![stays(0), stays(1)], vec![JOINS; 1 << 16]].concat();
    assert_eq!(refusal(&crowd, 2), CallerFault::Parties(u16::MAX));
    let idle = Role {
        deals: None,
        joins: false,
    };
    assert_eq!(refusal(&[stays(0), stays(1), idle], 2), CallerFault::NoRole);

    let plan = Plan::new(&shares, &REFRESH, 2);
    assert_eq!(
        plan.refusal(3, None),
        CallerFault::NotInSession(PartyIndex(3))
    );
    let nameless = Plan {
        session: b"",
        ..plan
    };
    assert_eq!(
        nameless.refusal(0, Some(&shares[0])),
        CallerFault::EmptySession
    );
}

fn wrong_dealers_are_refused(scheme: Scheme) {
    let shares = generate(scheme, 2, 3, b"keygen");
    let refusal = |parties: &[Role]| Plan::new(&shares, parties, 2).refusal(0, None);
    let count = |given| CallerFault::DealerCount { given, needed: 2 };
    assert_eq!(refusal(&[JOINS, JOINS]), count(0));
    assert_eq!(refusal(&[JOINS, stays(1), JOINS]), count(1));
    assert_eq!(refusal(&[JOINS, stays(0), stays(1), stays(2)]), count(3));
    assert_eq!(
        refusal(&[JOINS, stays(1), leaves(1)]),
        CallerFault::Dealers,
        "twice"
    );
    assert_eq!(
        refusal(&[JOINS, stays(1), stays(3)]),
        CallerFault::Dealers,
        "not in the old committee"
    );
    assert_eq!(
        refusal(&[JOINS, stays(1), stays(u16::MAX)]),
        CallerFault::Dealers
    );
}

fn a_share_in_the_wrong_place_is_refused(scheme: Scheme) {
    let shares = generate(scheme, 2, 3, b"keygen");
    let plan = Plan::new(&shares, &REFRESH, 2);
    let other_key = generate(scheme, 2, 3, b"keygen");
    let other_generation = reshared(&shares, &REFRESH, 2);
    assert_eq!(plan.refusal(0, None), CallerFault::DealerShare);
    assert_eq!(
        plan.refusal(2, Some(&shares[2])),
        CallerFault::DealerShare,
        "does not deal"
    );
    assert_eq!(
        plan.refusal(0, Some(&shares[1])),
        CallerFault::DealerShare,
        "another's"
    );
    assert_eq!(
        plan.refusal(0, Some(&other_key[0])),
        CallerFault::DealerShare,
        "of another key"
    );
    assert_eq!(
        plan.refusal(0, Some(&other_generation[0])),
        CallerFault::DealerShare,
        "of another generation"
    );
}

fn public_data_that_contradict_each_other_are_refused(scheme: Scheme) {
    let shares = generate(scheme, 2, 3, b"keygen");
    let other = generate(scheme, 2, 3, b"keygen")[0].public();
    let refused = |alter: &dyn Fn(&mut PublicShare)| {
        let mut plan = Plan::new(&shares, &REFRESH, 2);
        alter(&mut plan.old);
        assert_eq!(plan.refusal(2, None), CallerFault::OldKey);
    };
    assert!(Plan::new(&shares, &REFRESH, 2).engine(2, None).is_ok());
    refused(&|old| old.root_public_key = other.root_public_key.clone());
    refused(&|old| old.public_shares[2] = other.public_shares[2].clone());
    refused(&|old| old.public_shares.swap(0, 1));
    refused(&|old| old.public_shares[1] = vec![0; 33]);
    refused(&|old| old.public_shares.truncate(2));
    refused(&|old| old.parties = 2);
    refused(&|old| old.threshold = 1);
    refused(&|old| old.threshold = 4);
    refused(&|old| {
        old.parties = 10;
        old.public_shares = vec![old.root_public_key.clone(); 10];
    });
}

fn the_parties_must_agree_on_the_plan(scheme: Scheme) {
    let shares = generate(scheme, 2, 3, b"keygen");
    let plan = Plan::new(&shares, &REFRESH, 2);
    let disagree = |other: Plan<'_>| {
        let mut engines = plan.engines(&shares);
        engines[2] = other.engine(2, None).expect("valid parameters");
        let outcomes = driver::run_altered(engines, |_| {});
        let culprits = [
            vec![PartyIndex(2)],
            vec![PartyIndex(2)],
            vec![PartyIndex(0), PartyIndex(1)],
        ];
        for (outcome, culprits) in outcomes.into_iter().zip(culprits) {
            let expected = EngineError::Peer {
                fault: PeerFault::Disagreement,
                culprits,
            };
            assert_eq!(
                outcome.expect("no party waits in vain").unwrap_err(),
                expected
            );
        }
    };
    disagree(Plan {
        session: b"another",
        ..plan.clone()
    });
    disagree(Plan {
        generation: 3,
        ..plan.clone()
    });
    disagree(Plan {
        threshold: 3,
        ..plan.clone()
    });
    disagree(Plan {
        parties: &[stays(1), stays(0), JOINS],
        ..plan.clone()
    });
    disagree(Plan {
        parties: &[stays(0), leaves(1), JOINS],
        ..plan.clone()
    });
    disagree(Plan {
        old: PublicShare {
            chain_code: [1; 32],
            ..plan.old.clone()
        },
        ..plan.clone()
    });
    disagree(Plan {
        old: reshared(&shares, &REFRESH, 2)[0].public(),
        ..plan.clone()
    });
    if scheme == Scheme::Taproot {
        disagree(Plan {
            old: PublicShare {
                scheme: Scheme::SchnorrSecp256k1,
                ..plan.old.clone()
            },
            ..plan.clone()
        });
    }
}
