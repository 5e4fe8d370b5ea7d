//! The shares and records that a party of a reshare stores before it acknowledges.

use countersign_protocol::{Scheme, Threshold};
use countersign_store::{OperationKind, PreparedReshare, ReshareStage, Silent};

use super::*;
use crate::task::fixtures::{
    NOW, Parts, TASK, approved, decided, generation, key, node, nodes, own_share, put_key,
    share_at, wallet,
};

/// Hands the wallet of 1 and 2 over to these.
fn plan(members: &[u8]) -> KeyResharePlan {
    let reshare = KeyReshare {
        from: wallet(),
        committee: Committee::new(nodes(members)).unwrap(),
        threshold: Threshold::try_from(2).unwrap(),
        dealers: None,
    };
    let dealers = nodes(&[1, 2]);
    KeyResharePlan {
        task: TASK,
        created: UnixMillis(900),
        parties: reshare.parties(&dealers),
        reshare: reshare.into(),
        dealers,
        aux: None,
        root: "cpub".into(),
    }
}

fn reshared(share: Option<countersign_engine::Share>) -> Reshared {
    Reshared {
        share,
        threshold: 2,
        public_shares: vec![vec![1], vec![2]],
        transcript: [0; 32],
    }
}

/// Stores for a reshare to these members.
fn store(parts: &Parts, members: &[u8]) -> Result<(), StoreShareError> {
    let plan = plan(members);
    let joins = plan.joins(&node(1));
    let made = reshared(joins.then(own_share));
    let next = descriptor_of(&plan, SessionId([9; 32]), &made, None);
    write(&parts.jobs, &approved(plan), made, next, None)
}

/// Node 1, which holds the wallet and has approved the reshare.
fn dealer() -> Parts {
    let parts = Parts::holding(KeyStatus::Active);
    approve(&parts, TASK);
    parts
}

fn approve(parts: &Parts, task: TaskId) {
    let row = decided(task, OperationKind::KeyReshare, nodes(&[1, 2, 3]));
    parts.journal().approve(NOW, row, Vec::new()).unwrap();
}

/// Another reshare of the key, which this node has prepared.
fn prepare(parts: &Parts, task: u8) {
    let task = TaskId([task; 16]);
    approve(parts, task);
    let descriptor = KeyDescriptor {
        task,
        ..generation(1, &[1, 4])
    };
    let prepared = PreparedReshare {
        task,
        descriptor,
        joins: true,
        opened: NOW,
        stage: ReshareStage::InDoubt,
        created: UnixMillis(1_000),
    };
    parts.journal().prepare_reshare(prepared).unwrap();
}

fn nothing_is_stored(parts: &Parts) -> bool {
    let prepared = parts.journal().prepared(&TASK).unwrap();
    prepared.is_none() && parts.vault().next_of(key()).unwrap().is_empty()
}

#[test]
fn before_a_party_acknowledges_it_has_the_next_share_and_a_record_of_it() {
    let parts = dealer();
    store(&parts, &[1, 3]).unwrap();
    let prepared = parts.journal().prepared(&TASK).unwrap().unwrap();
    assert_eq!(prepared.stage, ReshareStage::InDoubt);
    assert!(prepared.joins);
    assert_eq!((prepared.opened, prepared.created), (NOW, UnixMillis(900)));
    assert_eq!(parts.vault().next_of(key()).unwrap(), [prepared.descriptor]);
    let held = parts.vault().held(key()).unwrap().unwrap();
    assert_eq!(held.digest, wallet().digest(), "the present share stays");
}

#[test]
fn a_dealer_that_leaves_records_that_it_will_and_stores_no_share() {
    let parts = dealer();
    store(&parts, &[2, 3]).unwrap();
    let prepared = parts.journal().prepared(&TASK).unwrap().unwrap();
    assert!(!prepared.joins);
    assert_eq!(parts.vault().next_of(key()).unwrap(), []);
}

#[test]
fn nothing_is_stored_beside_another_reshare_in_doubt() {
    let parts = dealer();
    prepare(&parts, 9);
    let refused = store(&parts, &[1, 3]);
    assert!(matches!(refused, Err(StoreShareError::Hindrance(_))));
    assert!(nothing_is_stored(&parts));
}

#[test]
fn nothing_is_stored_once_a_later_order_was_stored_for() {
    let parts = dealer();
    prepare(&parts, 9);
    let failure = Failure::new(FailureCode::ReshareAborted, "t");
    let other = TaskId([9; 16]);
    parts
        .journal()
        .finish_reshare(NOW, other, ReshareStage::Aborted, failure)
        .unwrap();
    let refused = store(&parts, &[1, 3]);
    assert!(matches!(
        refused,
        Err(StoreShareError::Hindrance(succession::Hindrance::Later(task))) if task == other
    ));
    assert!(nothing_is_stored(&parts));
}

#[test]
fn nothing_is_stored_once_the_key_has_moved_on() {
    let parts = dealer();
    let moved = KeyDescriptor {
        generation: 4,
        ..wallet()
    };
    parts.vault().keep_share(&moved, &own_share());
    put_key(parts.journal(), KeyStatus::Active, moved);
    let refused = store(&parts, &[1, 3]);
    assert!(matches!(refused, Err(StoreShareError::Moved(4))));
    assert!(nothing_is_stored(&parts));
}

#[test]
fn a_next_share_that_could_not_be_stored_has_no_record() {
    let parts = dealer();
    parts.lose_the_secrets();
    assert!(store(&parts, &[1, 3]).is_err());
    assert_eq!(parts.journal().prepared(&TASK).unwrap(), None);
}

/// The share is left behind as an orphan, which a later generation removes.
#[test]
fn a_reshare_that_is_over_is_not_prepared() {
    let parts = dealer();
    let failure = Failure::new(FailureCode::Cancelled, "t");
    parts
        .journal()
        .end(NOW, TASK, Outcome::Failed(failure))
        .unwrap();
    let refused = store(&parts, &[1, 3]);
    assert!(matches!(refused, Err(StoreShareError::Write(_))));
    assert_eq!(parts.journal().prepared(&TASK).unwrap(), None);
    let held = parts.vault().held(key()).unwrap().unwrap();
    assert_eq!(held.digest, wallet().digest());
}

#[tokio::test]
async fn a_start_is_on_record_and_the_limit_is_for_those_before_it() {
    let parts = dealer();
    let limit = parts.jobs.config.now().reshares.count;
    let start = |number: usize| {
        let task = TaskId([100 + number as u8; 16]);
        let journal = parts.journal();
        journal
            .start_reshare(key(), task, NOW, UnixMillis(0))
            .unwrap();
    };
    (1..limit).for_each(start);
    count(&parts.jobs, &plan(&[1, 3])).await.unwrap();
    let started = history::started_at(parts.journal(), key()).unwrap();
    assert_eq!(started[&TASK], NOW);
    assert_eq!(started.len(), limit);
    let again = count(&parts.jobs, &plan(&[1, 3])).await;
    assert!(again.is_ok(), "it does not hinder itself");
    let other = KeyResharePlan {
        task: TaskId([99; 16]),
        ..plan(&[1, 3])
    };
    let refused = count(&parts.jobs, &other).await.unwrap_err();
    assert_eq!(refused.code, FailureCode::ReshareRate);
}

#[test]
fn a_limited_reshare_says_when_the_next_is_allowed() {
    let rate = ReshareRate { count: 6 };
    let text = too_often(key(), &rate, UnixMillis(0));
    assert!(text.contains("limits.reshares"), "{text}");
    assert!(text.ends_with("allowed at 1970-01-01T00:00:00Z"), "{text}");
}

/// The dealers might show other shares than those that the members once signed.
#[test]
fn public_shares_are_believed_only_if_the_members_signed_them() {
    let shares = own_share().public().public_shares;
    let shown = public_share(&wallet(), &encode_shares(&shares)).unwrap();
    assert_eq!(shown.public_shares, shares);
    assert_eq!(shown.root_public_key, wallet().root_public_key);
    assert_eq!((shown.parties, shown.threshold), (2, 2));
    let mut swapped = shares.clone();
    swapped.swap(0, 1);
    for other in [swapped, shares[..1].to_vec(), Vec::new()] {
        assert!(public_share(&wallet(), &encode_shares(&other)).is_none());
    }
    assert!(public_share(&wallet(), b"garbage").is_none());
}

#[test]
fn a_party_deals_or_joins_or_both() {
    let plan = KeyResharePlan {
        dealers: nodes(&[1]),
        ..plan(&[1, 3])
    };
    let place = |seed| wallet().committee.index_of(&node(seed));
    for (seed, deals, joins) in [
        (1, place(1), true),
        (2, None, false),
        (3, None, true),
        (9, None, false),
    ] {
        let role = plan.role(&node(seed));
        assert_eq!((role.deals, role.joins), (deals, joins), "{seed}");
    }
}

#[test]
fn only_members_to_be_of_an_ecdsa_key_queue_for_auxiliary_information() {
    let ecdsa = KeyReshare {
        from: KeyDescriptor {
            scheme: Scheme::EcdsaSecp256k1,
            ..wallet()
        },
        ..(*plan(&[1, 3]).reshare).clone()
    };
    let ecdsa = KeyResharePlan {
        reshare: ecdsa.into(),
        ..plan(&[1, 3])
    };
    assert!(ecdsa.makes_aux_for(&node(1)).is_some());
    assert!(ecdsa.makes_aux_for(&node(2)).is_none(), "it leaves");
    assert!(plan(&[1, 3]).makes_aux_for(&node(1)).is_none());
}

#[test]
fn the_next_generation_is_the_same_key_with_other_shares_and_all_parties() {
    let plan = plan(&[1, 3]);
    let made = reshared(Some(share_at(0)));
    let next = descriptor_of(&plan, SessionId([9; 32]), &made, None);
    assert!(next.is_same_key(&wallet()));
    assert_eq!((next.generation, next.task), (1, TASK));
    assert_eq!(next.parties, nodes(&[1, 2, 3]));
    assert_eq!(next.committee.members(), nodes(&[1, 3]));
    assert_ne!(next.public_shares, wallet().public_shares);
    assert_eq!(next.acks, [], "nobody has acknowledged it yet");
}

#[test]
fn plugins_are_asked_about_dealers_and_future_members() {
    let countersign_host::Operation::Reshare(asked) = plan(&[1, 3]).question() else {
        panic!("a reshare is ordered");
    };
    assert_eq!(asked.signers, describe::nodes(&nodes(&[1, 2])));
    assert_eq!(asked.new_members, describe::nodes(&nodes(&[1, 3])));
    assert_eq!(asked.new_threshold, 2);
    assert_eq!(asked.key.id, key().to_string());
}
