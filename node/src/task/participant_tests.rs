//! Settlements of a reshare that apply and that do not, at the journal of one node.

use countersign_protocol::{Committee, Failure, FailureCode, Hash, Scheme, SessionId, Threshold};
use countersign_store::{Decided, Evidence, OperationKind, Silent};

use super::*;
use crate::events::{Events, Wanted};
use crate::key_switch::{align, align_all};
use crate::metrics::Ended;
pub(super) use crate::task::fixtures::{empty_journal, identity, node};
use crate::task::history::{never_stored, steps};
use crate::task::succession::Step;

const TASK: TaskId = TaskId([1; 16]);
const HASH: Hash = Hash([7; 32]);
pub(super) const NOW: UnixMillis = UnixMillis(1_000);

/// Writes to this journal, and tells nobody.
fn register(journal: &Journal) -> Register {
    Register {
        journal: journal.clone(),
        events: Arc::new(Events::new(node(1), World::system(), &[])),
        counters: Arc::default(),
    }
}

fn settled(
    journal: &Journal,
    task: TaskId,
    key: KeyId,
    settlement: Settlement,
) -> Result<Outcome, ParticipantError> {
    let place = (task, key);
    let resolution = resolve(&register(journal), node(1), NOW, place, settlement)?;
    assert_eq!(resolution.key, key);
    Ok(resolution.outcome)
}

fn adopt(
    journal: &Journal,
    task: TaskId,
    next: KeyDescriptor,
) -> Result<Outcome, ParticipantError> {
    settled(journal, task, next.key, Settlement::AllStored(next.into()))
}

fn abandon(journal: &Journal, task: TaskId) -> Result<Outcome, ParticipantError> {
    settled(journal, task, key(), Settlement::Abandoned)
}

fn ack(seed: u8, message: &[u8]) -> SignedAck {
    SignedAck {
        node: node(seed),
        signature: identity(seed).sign(message).to_vec(),
    }
}

/// A generation of two members, acknowledged by `acked_by`. The parties of generation 1 with
/// members 1 and 3 are nodes 1, 2 and 3; those of any other are the nodes that acknowledge it.
pub(super) fn generation(number: u32, members: [u8; 2], acked_by: &[u8]) -> KeyDescriptor {
    let parties = match (number, members) {
        (0, _) => &[][..],
        (1, [1, 3]) => &[1, 2, 3],
        _ => acked_by,
    };
    let mut parties: Vec<NodeId> = parties.iter().copied().map(node).collect();
    parties.sort_unstable();
    let mut descriptor = KeyDescriptor {
        key: KeyId::from_bytes([2; 16]).unwrap(),
        task: TASK,
        session: SessionId([3; 32]),
        name: "n".into(),
        scheme: Scheme::Ed25519,
        committee: Committee::new(members.map(node).to_vec()).unwrap(),
        threshold: Threshold::try_from(2).unwrap(),
        generation: number,
        root_public_key: vec![4; 32],
        chain_code: Hash([5; 32]),
        public_shares: Hash([number as u8; 32]),
        aux: None,
        parties,
        acks: Vec::new(),
    };
    let digest = descriptor.digest();
    descriptor.acks = acked_by
        .iter()
        .map(|seed| ack(*seed, digest.as_bytes()))
        .collect();
    descriptor.acks.sort_by_key(|ack| ack.node);
    descriptor
}

/// The journal of node 1, which holds generation 0 with node 2 and has approved a reshare to 1 and
/// 3.
fn journal() -> (tempfile::TempDir, Journal) {
    let (dir, journal) = empty_journal();
    let old = generation(0, [1, 2], &[1, 2]);
    journal
        .put_key(KeyRecord {
            descriptor: old,
            status: KeyStatus::Active,
            created: NOW,
        })
        .unwrap();
    approve(&journal);
    (dir, journal)
}

fn approve(journal: &Journal) {
    let mut parties = vec![node(1), node(2), node(3)];
    parties.sort_unstable();
    let task = Decided {
        task: TASK,
        hash: HASH,
        kind: OperationKind::KeyReshare,
        received_at: NOW,
        verdicts: Vec::new(),
        parties,
        bytes: b"{}".to_vec(),
        evidence: Evidence::default(),
    };
    journal.approve(NOW, task, Vec::new()).unwrap();
}

/// The same after this node has stored.
fn open_journal() -> (tempfile::TempDir, Journal) {
    let (dir, journal) = journal();
    journal.prepare_reshare(prepared()).unwrap();
    (dir, journal)
}

fn prepared() -> PreparedReshare {
    let descriptor = generation(1, [1, 3], &[]);
    let opened = NOW;
    let created = UnixMillis(900);
    let stage = ReshareStage::InDoubt;
    PreparedReshare {
        task: TASK,
        descriptor,
        joins: true,
        opened,
        stage,
        created,
    }
}

fn record(journal: &Journal) -> KeyRecord {
    journal.key(&key()).unwrap().unwrap()
}

fn key() -> KeyId {
    prepared().descriptor.key
}

#[test]
fn the_acks_of_all_parties_put_the_next_generation_in_force() {
    let (_dir, journal) = open_journal();
    for acked_by in [&[][..], &[1, 3], &[1, 2], &[2, 3]] {
        assert!(
            adopt(&journal, TASK, generation(1, [1, 3], acked_by)).is_err(),
            "{acked_by:?}"
        );
    }
    let other = KeyDescriptor {
        public_shares: Hash([9; 32]),
        ..generation(1, [1, 3], &[])
    };
    let digest = other.digest();
    let other = KeyDescriptor {
        acks: reshare_acks(&digest),
        ..other
    };
    assert!(other.has_all_acks());
    let refused = adopt(&journal, TASK, other);
    assert!(
        matches!(refused, Err(ParticipantError::Unfit(_))),
        "another generation: {refused:?}"
    );
    assert_eq!(record(&journal).descriptor.generation, 0);
    assert_eq!(waiting(&journal).unwrap(), [prepared()]);
    adopt(&journal, TASK, generation(1, [1, 3], &[1, 2, 3])).unwrap();
    assert_eq!(
        (
            record(&journal).descriptor.generation,
            record(&journal).status
        ),
        (1, KeyStatus::Active)
    );
    assert_eq!(waiting(&journal).unwrap(), []);
    assert!(
        abandon(&journal, TASK).is_err(),
        "what is done cannot be abandoned"
    );
    journal.verify_audit().unwrap();
}

/// A node that can settle it may have been waiting for this one.
#[test]
fn a_new_link_is_told_at_once_of_what_waits() {
    let (_dir, journal) = open_journal();
    let told = || news(&NodeKey::new(Arc::new(identity(1))).unwrap(), &journal).unwrap();
    let digest = prepared().descriptor.digest();
    let acks: Vec<_> = told()
        .into_iter()
        .filter_map(|frame| match frame {
            FromNode::Stored {
                task: TASK,
                descriptor,
            } if descriptor.digest() == digest => Some(descriptor.acks),
            _ => None,
        })
        .collect();
    assert_eq!(acks, [[ack(1, digest.as_bytes())]]);
    adopt(&journal, TASK, generation(1, [1, 3], &[1, 2, 3])).unwrap();
    assert!(
        !told()
            .iter()
            .any(|frame| matches!(frame, FromNode::Stored { .. }))
    );
}

#[test]
fn nothing_but_a_settlement_ends_a_task_for_which_this_node_has_stored() {
    let (_dir, journal) = open_journal();
    let failure = Failure::new(FailureCode::Cancelled, "t");
    assert!(
        journal
            .end(NOW, TASK, Outcome::Failed(failure.clone()))
            .is_err()
    );
    assert_eq!(
        journal
            .abort_unfinished(NOW, &super::super::settle::waiting(&journal).unwrap())
            .unwrap(),
        []
    );
    assert!(
        journal.prepare_reshare(prepared()).is_err(),
        "a key is handed over once at a time"
    );
    let row = journal.row(&TASK).unwrap().unwrap();
    assert!(!never_stored(&journal, &row).unwrap());
    abandon(&journal, TASK).unwrap();
    let row = journal.row(&TASK).unwrap().unwrap();
    assert!(
        !never_stored(&journal, &row).unwrap(),
        "its ack may be out: it never votes to abort"
    );
    assert_eq!(record(&journal).descriptor.generation, 0);
}

/// A party that shows its acknowledgement to some and an abort vote to others must not split them.
#[test]
fn all_acks_commit_an_abandoned_reshare_late() {
    let (_dir, journal) = open_journal();
    abandon(&journal, TASK).unwrap();
    let end = journal.row(&TASK).unwrap().unwrap().state;
    assert!(adopt(&journal, TASK, generation(1, [1, 3], &[1, 3])).is_err());
    adopt(&journal, TASK, generation(1, [1, 3], &[1, 2, 3])).unwrap();
    assert_eq!(
        (
            record(&journal).descriptor.generation,
            record(&journal).status
        ),
        (1, KeyStatus::Active)
    );
    assert_eq!(
        journal.row(&TASK).unwrap().unwrap().state,
        end,
        "a task ends once"
    );
    assert!(
        journal
            .audit(0, 100)
            .unwrap()
            .pop()
            .unwrap()
            .text
            .contains("had stored")
    );
    assert!(
        adopt(&journal, TASK, generation(1, [1, 3], &[1, 2, 3])).is_err(),
        "once is enough"
    );
    journal.verify_audit().unwrap();
}

#[test]
fn a_node_that_failed_before_it_stored_says_so() {
    let (_dir, journal) = journal();
    let row = || journal.row(&TASK).unwrap().unwrap();
    assert!(!never_stored(&journal, &row()).unwrap(), "it may yet store");
    journal
        .end(
            NOW,
            TASK,
            Outcome::Failed(Failure::new(FailureCode::Cancelled, "t")),
        )
        .unwrap();
    assert!(never_stored(&journal, &row()).unwrap());
    assert!(
        journal.prepare_reshare(prepared()).is_err(),
        "what is over stores nothing"
    );
}

#[test]
fn another_party_s_own_abort_vote_ends_the_wait_and_nobody_else_s() {
    let (_dir, journal) = open_journal();
    let digest = abort_vote_digest(HASH);
    let believe =
        |ack: &SignedAck| settled(&journal, TASK, key(), Settlement::NeverStored(ack.clone()));
    let unsigned = SignedAck {
        node: node(2),
        ..ack(3, digest.as_bytes())
    };
    for (what, wrong) in [
        ("its own", ack(1, digest.as_bytes())),
        ("a stranger's", ack(4, digest.as_bytes())),
        ("signed by another", unsigned),
        (
            "of another task",
            ack(2, abort_vote_digest(Hash([8; 32])).as_bytes()),
        ),
        ("an ack", ack(2, prepared().descriptor.digest().as_bytes())),
    ] {
        assert!(believe(&wrong).is_err(), "{what}");
        assert_eq!(waiting(&journal).unwrap(), [prepared()], "{what}");
    }
    let Outcome::Failed(failure) = believe(&ack(2, digest.as_bytes())).unwrap() else {
        panic!("an abort vote is a failure")
    };
    assert_eq!(
        (failure.code.as_str(), &failure.culprits[..]),
        ("reshare-void", &[node(2)][..])
    );
    assert_eq!(waiting(&journal).unwrap(), []);
    assert_eq!(record(&journal).descriptor.generation, 0);
    assert!(believe(&ack(3, digest.as_bytes())).is_err(), "once");
}

/// Receivers hear of every end of a reshare in doubt, and it is counted, once and in the
/// commit that ends it.
#[test]
fn every_end_of_a_reshare_in_doubt_is_told_and_counted() {
    let abort_vote = ack(2, abort_vote_digest(HASH).as_bytes());
    let all = generation(1, [1, 3], &[1, 2, 3]);
    for (settlement, happening, ended) in [
        (Settlement::NeverStored(abort_vote), "failed", Ended::Failed),
        (Settlement::Abandoned, "failed", Ended::Failed),
        (
            Settlement::AllStored(all.into()),
            "succeeded",
            Ended::Succeeded,
        ),
    ] {
        let (_dir, journal) = open_journal();
        let wanted: Wanted = format!("request.keyreshare.{happening}").parse().unwrap();
        let receivers = vec![("r".to_owned(), [wanted].into())];
        let register = Register {
            events: Arc::new(Events::told_to(node(1), World::system(), receivers)),
            ..register(&journal)
        };
        let end = || resolve(&register, node(1), NOW, (TASK, key()), settlement.clone());
        let commits = journal.commits();
        end().unwrap();
        end().unwrap_err();
        assert_eq!(journal.commits(), commits + 1, "{settlement:?}");
        let told = journal.outbox("r", 10).unwrap();
        assert_eq!(told.len(), 1, "{settlement:?}");
        let counted = register.counters.tasks();
        assert_eq!(
            counted,
            [(OperationKind::KeyReshare.title(), ended, 1)],
            "{settlement:?}"
        );
    }
}

/// Shows node 1 these generations, one after the other; returns the last that it took.
fn show(journal: &Journal, generations: &[KeyDescriptor]) -> Result<Option<u32>, ParticipantError> {
    let mut taken = None;
    for descriptor in generations {
        let proof = GenerationProof {
            descriptor: descriptor.clone(),
            in_force: Vec::new(),
        };
        if learn(&register(journal), node(1), NOW, &proof)? == Learned::Passed {
            taken = Some(descriptor.generation);
        }
    }
    Ok(taken)
}

#[test]
fn a_key_moves_on_without_this_node_by_the_word_of_all_parties_alone() {
    let moved = |generations: &[KeyDescriptor]| {
        let (dir, journal) = journal();
        journal
            .end(
                NOW,
                TASK,
                Outcome::Failed(Failure::new(FailureCode::Cancelled, "t")),
            )
            .unwrap();
        let moved = show(&journal, generations);
        (moved.ok().flatten(), record(&journal), journal, dir)
    };
    let (to, record, ..) = moved(&[generation(1, [3, 4], &[1, 2, 3, 4])]);
    assert_eq!(
        (to, record.status, record.descriptor.generation),
        (Some(1), KeyStatus::Leaving, 1)
    );
    let second = generation(2, [5, 6], &[3, 4, 5, 6]);
    let (to, record, ..) = moved(&[generation(1, [3, 4], &[1, 2, 3, 4]), second.clone()]);
    assert_eq!(
        (to, record.status, record.descriptor.generation),
        (Some(2), KeyStatus::Leaving, 2)
    );
    let mut one_missing = generation(1, [3, 4], &[1, 2, 3, 4]);
    one_missing.acks.retain(|ack| ack.node != node(2));
    for forged in [
        vec![generation(1, [3, 4], &[2, 3, 4])],
        vec![generation(1, [3, 4], &[1, 2, 3])],
        vec![one_missing],
        vec![second],
    ] {
        let (to, record, ..) = moved(&forged);
        assert_eq!(
            (to, record.status, record.descriptor.generation),
            (None, KeyStatus::Active, 0)
        );
    }
    let (_, record, ..) = moved(&[
        generation(1, [3, 4], &[1, 2, 3, 4]),
        generation(2, [5, 6], &[1, 2, 5, 6]),
    ]);
    assert_eq!(
        record.descriptor.generation, 1,
        "the second is dealt by nobody who holds the first"
    );
    let (to, record, journal, _dir) = moved(&[generation(1, [1, 3], &[1, 2, 3])]);
    assert_eq!(
        (to, record.status),
        (None, KeyStatus::Active),
        "it signed that generation itself"
    );
    let last = journal.audit(0, 100).unwrap().pop().unwrap();
    assert!(last.text.contains("older than what it signed"), "{last:?}");
    // Showing it again and again does not fill the disk.
    assert!(show(&journal, &[generation(1, [1, 3], &[1, 2, 3])]).is_err());
    assert_eq!(journal.audit(0, 100).unwrap().pop().unwrap(), last);
}

/// A member's signature that the generation is in force there.
fn in_force(descriptor: &KeyDescriptor, seed: u8) -> SignedAck {
    ack(seed, descriptor.in_force_digest().as_bytes())
}

fn proof(descriptor: &KeyDescriptor, seeds: &[u8]) -> GenerationProof {
    let mut in_force: Vec<SignedAck> = seeds
        .iter()
        .map(|seed| self::in_force(descriptor, *seed))
        .collect();
    in_force.sort_by_key(|ack| ack.node);
    GenerationProof {
        descriptor: descriptor.clone(),
        in_force,
    }
}

/// A co-signer and the coordinator show all acknowledgements to a holder that took no part,
/// and to nobody else: the only honest copy of the proof must not cost the share that the
/// others still sign with.
#[test]
fn a_holder_that_took_no_part_keeps_its_share_until_a_quorum_says_that_the_next_is_in_force() {
    let (dir, journal) = journal();
    journal
        .end(
            NOW,
            TASK,
            Outcome::Failed(Failure::new(FailureCode::Cancelled, "t")),
        )
        .unwrap();
    let vault = empty_vault(&dir);
    vault.keep_record(false, &generation(0, [1, 2], &[]));
    let next = generation(1, [3, 4], &[1, 2, 3, 4]);
    let learnt = |proof: &GenerationProof| learn(&register(&journal), node(1), NOW, proof);
    let released = |handed_on| {
        align_it(&journal, &vault);
        release(&journal, &vault, NOW, key(), handed_on).unwrap()
    };
    assert_eq!(learnt(&proof(&next, &[])).unwrap(), Learned::Passed);
    assert!(!released(true));
    assert_eq!(learnt(&proof(&next, &[3])).unwrap(), Learned::Acks);
    assert_eq!(learnt(&proof(&next, &[3])).unwrap(), Learned::Nothing);
    assert!(!released(true), "one of two");
    let forged = GenerationProof {
        in_force: vec![ack(4, next.digest().as_bytes())],
        ..proof(&next, &[])
    };
    assert!(
        matches!(
            learnt(&forged),
            Err(ParticipantError::Unfit(Unfit::Unproven))
        ),
        "that it stored is not that it switched"
    );
    let others = GenerationProof {
        in_force: vec![in_force(&next, 2)],
        ..proof(&next, &[])
    };
    assert!(
        matches!(
            learnt(&others),
            Err(ParticipantError::Unfit(Unfit::Unproven))
        ),
        "no member"
    );
    let invented = generation(1, [5, 6], &[1, 2, 5, 6]);
    let another = learnt(&proof(&invented, &[5, 6]));
    assert!(
        matches!(another, Err(ParticipantError::Unfit(_))),
        "another of the same number: {another:?}"
    );
    assert!(!released(true));
    assert_eq!(
        (shares(&vault).0, record(&journal).status),
        (vec![0], KeyStatus::Leaving)
    );
    assert_eq!(learnt(&proof(&next, &[3, 4])).unwrap(), Learned::Acks);
    assert!(
        !released(false),
        "somebody in reach was not handed what it knows"
    );
    assert!(released(true));
    assert_eq!(
        (shares(&vault).0, record(&journal).status),
        (vec![], KeyStatus::Released)
    );
    assert!(!released(true), "once");
    journal.verify_audit().unwrap();
}

#[test]
fn a_dealer_that_leaves_keeps_its_share_as_long_and_tells_everybody() {
    let (dir, journal) = empty_journal();
    let old = generation(0, [1, 2], &[1, 2]);
    journal
        .put_key(KeyRecord {
            descriptor: old,
            status: KeyStatus::Active,
            created: NOW,
        })
        .unwrap();
    approve(&journal);
    let next = KeyDescriptor {
        committee: Committee::new(vec![node(2), node(3)]).unwrap(),
        ..prepared().descriptor
    };
    let digest = next.digest();
    let all = KeyDescriptor {
        acks: reshare_acks(&digest),
        ..next.clone()
    };
    journal
        .prepare_reshare(PreparedReshare {
            joins: false,
            descriptor: next,
            ..prepared()
        })
        .unwrap();
    let vault = empty_vault(&dir);
    vault.keep_record(false, &generation(0, [1, 2], &[]));
    let learnt = |proof: &GenerationProof| learn(&register(&journal), node(1), NOW, proof).unwrap();
    assert_eq!(learnt(&proof(&all, &[2])), Learned::Settled);
    align_it(&journal, &vault);
    assert_eq!(
        (shares(&vault).0, record(&journal).status),
        (vec![0], KeyStatus::Leaving)
    );
    let unheard = || {
        journal
            .generation(&key(), 1)
            .unwrap()
            .unwrap()
            .unheard()
            .copied()
            .collect::<Vec<_>>()
    };
    assert_eq!(
        unheard().len(),
        2,
        "itself and the member that has not said that it is in force"
    );
    assert!(unheard().contains(&node(3)) && unheard().contains(&node(1)));
    assert_eq!(learnt(&proof(&all, &[2, 3])), Learned::Acks);
    assert!(release(&journal, &vault, NOW, key(), true).unwrap());
    journal.heard(key(), 1, vec![node(1)]).unwrap();
    assert_eq!(journal.unheard().unwrap(), [], "everybody knows");
}

fn reshare_acks(digest: &Hash) -> Vec<SignedAck> {
    let mut acks = [1, 2, 3].map(|seed| ack(seed, digest.as_bytes())).to_vec();
    acks.sort_by_key(|ack| ack.node);
    acks
}

#[test]
fn a_member_says_in_force_once_its_switch_is_durable_and_not_before() {
    let (dir, journal) = open_journal();
    let vault = vault(&dir);
    let signer = NodeKey::new(Arc::new(identity(1))).unwrap();
    let vouched = || vouch(&signer, &journal, &vault, (key(), 1)).unwrap();
    assert!(!vouched(), "it waits");
    adopt(&journal, TASK, generation(1, [1, 3], &[1, 2, 3])).unwrap();
    assert!(
        !vouched(),
        "the share of before is still the one in the store"
    );
    align_it(&journal, &vault);
    assert!(vouched());
    assert!(!vouched(), "once");
    let kept = journal.generation(&key(), 1).unwrap().unwrap();
    assert!(kept.proof.acks_verify());
    assert_eq!(
        kept.proof
            .in_force
            .iter()
            .map(|ack| ack.node)
            .collect::<Vec<_>>(),
        [node(1)]
    );
    assert!(
        kept.unheard().any(|other| *other == node(2)),
        "who leaves has to hear of it"
    );
}

/// A party lied in both: each must leave the share that the other may need.
#[test]
fn a_commit_spares_the_share_of_an_aborted_reshare_that_was_ordered_later() {
    let (dir, journal) = open_journal();
    let vault = vault(&dir);
    abandon(&journal, TASK).unwrap();
    let later = other(9);
    let approved = Decided {
        task: later.task,
        hash: Hash([9; 32]),
        kind: OperationKind::KeyReshare,
        received_at: NOW,
        verdicts: Vec::new(),
        parties: Vec::new(),
        bytes: b"{}".to_vec(),
        evidence: Evidence::default(),
    };
    journal.approve(NOW, approved, Vec::new()).unwrap();
    let descriptor = later.clone();
    let created = UnixMillis(950);
    journal
        .prepare_reshare(PreparedReshare {
            task: later.task,
            descriptor,
            created,
            ..prepared()
        })
        .unwrap();
    vault.keep_record(true, &later);
    abandon(&journal, later.task).unwrap();
    adopt(&journal, TASK, generation(1, [1, 3], &[1, 2, 3])).unwrap();
    align_it(&journal, &vault);
    assert_eq!(shares(&vault), (vec![1], vec![later.task]));
    let steps = steps(&journal, key()).unwrap();
    let before = Step {
        generation: 1,
        created: UnixMillis(940),
        task: TaskId([4; 16]),
    };
    assert_eq!(
        succession::may_store(&before, &steps),
        Err(succession::Hindrance::Later(later.task))
    );
}

#[test]
fn what_a_node_has_of_a_key_is_shown_from_where_it_is_asked() {
    let (_dir, journal) = open_journal();
    adopt(&journal, TASK, generation(1, [1, 3], &[1, 2, 3])).unwrap();
    let asked = |generation| {
        shown(
            &journal,
            &[Held {
                key: key(),
                generation,
            }],
        )
        .unwrap()
    };
    let numbers = |from| {
        asked(from)
            .iter()
            .map(|shown| shown.generation)
            .collect::<Vec<_>>()
    };
    assert_eq!(numbers(0), [0, 1]);
    assert_eq!(numbers(1), [1]);
    assert!(numbers(2).is_empty());
    assert_eq!(proofs(&journal, key()).unwrap().len(), 2);
}

#[test]
fn a_reshare_in_doubt_is_settled_before_a_key_moves_on_otherwise() {
    let (_dir, journal) = open_journal();
    assert!(show(&journal, &[generation(1, [3, 4], &[1, 2, 3, 4])]).is_err());
    assert_eq!(record(&journal).descriptor.generation, 0);
}

/// The shares in the store: those in force, and the next ones by their tasks.
fn shares(vault: &Vault) -> (Vec<u32>, Vec<TaskId>) {
    let present = vault
        .stored_keys()
        .unwrap()
        .iter()
        .map(|share| share.generation)
        .collect();
    (
        present,
        vault
            .next_keys()
            .unwrap()
            .iter()
            .map(|share| share.task)
            .collect(),
    )
}

pub(super) fn passphrase() -> countersign_store::Passphrase {
    countersign_store::Passphrase::new("a passphrase for tests".to_owned().into())
}

pub(super) fn empty_vault(dir: &tempfile::TempDir) -> Vault {
    crate::vault::tests::cheap_vault(dir.path())
}

/// A store beside the journal, with the share of generation 0 and the next one of the task.
fn vault(dir: &tempfile::TempDir) -> Vault {
    let vault = empty_vault(dir);
    vault.keep_record(false, &generation(0, [1, 2], &[]));
    vault.keep_record(true, &prepared().descriptor);
    vault
}

/// The next generation by another reshare of the key.
fn other(task: u8) -> KeyDescriptor {
    KeyDescriptor {
        task: TaskId([task; 16]),
        ..generation(1, [1, 4], &[])
    }
}

fn align_it(journal: &Journal, vault: &Vault) {
    align(journal, vault, NOW, key()).unwrap();
}

#[test]
fn a_commit_puts_the_next_share_in_the_place_of_the_old_one_and_no_other() {
    let (dir, journal) = open_journal();
    let vault = vault(&dir);
    vault.keep_record(true, &other(9));
    align_it(&journal, &vault);
    let mut both = vec![TASK, TaskId([9; 16])];
    both.sort_unstable();
    assert_eq!(
        shares(&vault),
        (vec![0], both),
        "the journal may be older than the store"
    );
    adopt(&journal, TASK, generation(1, [1, 3], &[1, 2, 3])).unwrap();
    for _ in 0..2 {
        align_it(&journal, &vault);
        assert_eq!(shares(&vault), (vec![1], vec![TaskId([9; 16])]));
    }
    let destroyed = journal.audit(0, 100).unwrap();
    assert_eq!(
        destroyed
            .iter()
            .filter(|entry| entry.kind.name() == "destroyed")
            .count(),
        1
    );
    assert!(journal.rekey_due().unwrap().is_some());
}

#[test]
fn a_key_that_moves_on_elsewhere_takes_no_share_that_waits() {
    let (dir, journal) = open_journal();
    let vault = vault(&dir);
    let released = generation(1, [4, 5], &[1, 2, 4, 5]);
    journal
        .put_key(KeyRecord {
            descriptor: released,
            status: KeyStatus::Released,
            created: NOW,
        })
        .unwrap();
    align_it(&journal, &vault);
    assert_eq!(
        shares(&vault),
        (vec![], vec![TASK]),
        "the others may have switched already"
    );
    abandon(&journal, TASK).unwrap();
    align_it(&journal, &vault);
    assert_eq!(
        shares(&vault),
        (vec![], vec![TASK]),
        "the aborted one may be of the generation that counts"
    );
    let released = generation(2, [4, 5], &[1, 2, 4, 5]);
    journal
        .put_key(KeyRecord {
            descriptor: released,
            status: KeyStatus::Released,
            created: NOW,
        })
        .unwrap();
    align_it(&journal, &vault);
    assert_eq!(shares(&vault), (vec![], vec![]), "and goes with the next");
}

#[test]
fn a_share_that_must_be_there_and_is_not_is_said_to_be_missing() {
    let (dir, journal) = open_journal();
    let vault = vault(&dir);
    vault.drop_next_share(&prepared().descriptor).unwrap();
    adopt(&journal, TASK, generation(1, [1, 3], &[1, 2, 3])).unwrap();
    let aligned = align(&journal, &vault, NOW, prepared().descriptor.key);
    assert!(
        matches!(
            aligned,
            Err(SwitchError::ShareMissing { generation: 1, .. })
        ),
        "{aligned:?}"
    );
    align_all(&journal, &vault, NOW).unwrap();
}

/// One of the three that have stored: node 1 stays, node 2 leaves, node 3 joins.
struct Party {
    journal: Journal,
    vault: Vault,
    _dir: tempfile::TempDir,
}

impl Party {
    /// Told of all acknowledgements or not; then killed, before its store could follow, and
    /// started again, or not.
    fn new(seed: u8, told: bool, restarted: bool) -> Self {
        let (dir, journal) = empty_journal();
        let vault = empty_vault(&dir);
        if seed != 3 {
            let descriptor = generation(0, [1, 2], &[1, 2]);
            vault.keep_record(false, &descriptor);
            let status = KeyStatus::Active;
            journal
                .put_key(KeyRecord {
                    descriptor,
                    status,
                    created: NOW,
                })
                .unwrap();
        }
        if seed != 2 {
            vault.keep_record(true, &prepared().descriptor);
        }
        approve(&journal);
        journal
            .prepare_reshare(PreparedReshare {
                joins: seed != 2,
                ..prepared()
            })
            .unwrap();
        let mut party = Self {
            journal,
            vault,
            _dir: dir,
        };
        if told {
            party.adopt().unwrap();
        }
        if restarted {
            party = party.restart();
        }
        align_it(&party.journal, &party.vault);
        party
    }

    fn restart(self) -> Self {
        let Self {
            journal,
            vault,
            _dir,
        } = self;
        drop((journal, vault));
        let journal = Journal::open(_dir.path()).unwrap();
        let vault = Vault::open(_dir.path(), &passphrase(), &[]).unwrap();
        let settling = super::super::settle::waiting(&journal).unwrap();
        assert_eq!(
            journal.abort_unfinished(NOW, &settling).unwrap(),
            [],
            "a reshare in doubt has no end"
        );
        align_all(&journal, &vault, NOW).unwrap();
        Self {
            journal,
            vault,
            _dir,
        }
    }

    fn adopt(&self) -> Result<Outcome, ParticipantError> {
        adopt(&self.journal, TASK, generation(1, [1, 3], &[1, 2, 3]))
    }

    /// The generation that it signs with.
    fn signs_with(&self) -> Option<u32> {
        let active = self
            .journal
            .key(&key())
            .unwrap()
            .filter(|record| record.status == KeyStatus::Active)?;
        let present = shares(&self.vault).0;
        present
            .contains(&active.descriptor.generation)
            .then_some(active.descriptor.generation)
    }

    /// Every generation that it has a share of.
    fn keeps(&self) -> Vec<u32> {
        let (present, next) = shares(&self.vault);
        present.into_iter().chain(next.iter().map(|_| 1)).collect()
    }
}

/// The last message kept back from none, one, two or all of them, and any of them killed and
/// started again.
#[test]
fn whoever_is_told_and_whoever_restarts_one_generation_is_whole_and_news_make_all_agree() {
    let [stays, leaves, joins] = [1, 2, 3].map(|seed| {
        [(false, false), (false, true), (true, false), (true, true)]
            .map(|(told, restarted)| (told, Party::new(seed, told, restarted)))
    });
    for (stayer_told, stayer) in &stays {
        assert_eq!(
            stayer.signs_with(),
            Some(u32::from(*stayer_told)),
            "it signs with one of the two at any time"
        );
        for (leaver_told, leaver) in &leaves {
            for (joiner_told, joiner) in &joins {
                let old = stayer.keeps().contains(&0) && leaver.keeps().contains(&0);
                let new = stayer.keeps().contains(&1) && joiner.keeps().contains(&1);
                assert!(old || new);
                let anybody = *stayer_told || *leaver_told || *joiner_told;
                assert!(
                    !anybody || new,
                    "a node that knows of all acks relies on the next generation"
                );
                assert!(
                    anybody || (leaver.signs_with(), stayer.signs_with()) == (Some(0), Some(0))
                );
            }
        }
    }
    let settled = |(told, party): (bool, Party)| {
        assert_eq!(party.adopt().is_err(), told, "once is enough");
        align_it(&party.journal, &party.vault);
        party.journal.verify_audit().unwrap();
        let party = party.restart();
        (party.signs_with(), party.keeps())
    };
    for member in stays.into_iter().chain(joins) {
        assert_eq!(settled(member), (Some(1), vec![1]));
    }
    for member in leaves {
        assert_eq!(
            settled(member),
            (None, vec![0]),
            "kept until the others say that the next is in force"
        );
    }
}
