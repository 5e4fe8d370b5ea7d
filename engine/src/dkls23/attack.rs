//! The attack on a pair whose set-up is used again after a check that failed: each session tells
//! the cheat one bit of the victim's secret. It works without the pair rule, and dies with it.
//!
//! Known elsewhere as GHSA-7f6p-phw2-8253: "you must not reuse an OT setup".

use std::num::NonZeroU64;

use countersign_protocol::{Hash, NodeId, OperationKind, TaskId, UnixMillis};
use countersign_store::{
    Burn, Consequences, Decided, Evidence, Journal, MAX_OPEN, MAX_RUNS, Refused, Runs, RunsEnd,
    Silent, Unfit, WriteJournalError,
};
use dkls23_core::SignSession;
use dkls23_core::protocols::PartyIndex as Member;
use dkls23_core::protocols::signing::TransmitPhase1to2;
use dkls23_core::utilities::hashes::{point_to_bytes, tagged_hash};
use dkls23_core::utilities::oracle_tags::{
    TAG_OTE_CHI, TAG_OTE_PRG, TAG_OTE_SESSION, TAG_SIGN_MUL_SESSION,
};
use dkls23_core::utilities::ot::extension::{FieldElement, OTEDataToSender, PRGOutput, field_mul};
use serde_bytes::Bytes;
use zeroize::Zeroizing;

use super::batch;
use super::convert::Curve;
use super::signing::{Msg, Signer};
use super::stored::Setup;
use super::tests::{key, setups, signer};
use crate::engine::{MessageKind, Recipient, Step};
use crate::sealed::encode;
use crate::{Engine, EngineError, PartyIndex, Share, Signature, Verdict};

const VICTIM: PartyIndex = PartyIndex(0);
const CHEAT: PartyIndex = PartyIndex(1);
/// Bytes of an element of the field in which the check computes.
const ELEMENT: usize = size_of::<FieldElement>();
const NOW: UnixMillis = UnixMillis(1);
/// The task that made the set-up.
const MAKER: TaskId = TaskId([0xff; 16]);

/// The cheat's guess about one bit: its first message passes the check only if the bit is 0.
fn guess(cheat: &Signer, setup: &Setup, row: usize) -> TransmitPhase1to2 {
    let victim = cheat.data.counterparties[0];
    let (_, messages) = SignSession::new(&cheat.party, cheat.data.clone()).unwrap();
    let to_victim = |message: &TransmitPhase1to2| message.parties.receiver == victim;
    let mut message = messages.into_iter().find(to_victim).unwrap();
    let sid = extension_id(cheat, victim, &message.mul_transmit);
    let seeds = &setup.pair(VICTIM.0).unwrap().receiver.ote_receiver;
    let data = &mut message.mul_transmit;
    let zero: Vec<PRGOutput> = expanded(&sid, &seeds.seeds0);
    let one: Vec<PRGOutput> = expanded(&sid, &seeds.seeds1);
    let mut choices = data.u[0];
    for (byte, choice) in choices.iter_mut().enumerate() {
        *choice ^= zero[0][byte] ^ one[0][byte];
    }
    data.u[row][0] ^= 1;
    let matrix = data.u.concat();
    let chi = [b"chi1", b"chi2"].map(|name| {
        let hash = tagged_hash(TAG_OTE_CHI, &[&sid, name, &matrix]);
        hash[..ELEMENT].to_vec()
    });
    data.verify_x = checked(&choices, &chi);
    data.verify_t = zero.iter().map(|row| checked(row, &chi)).collect();
    message
}

/// The id under which an extension hashes, written out from the library.
fn extension_id(cheat: &Signer, victim: Member, data: &OTEDataToSender) -> [u8; 32] {
    let party = &cheat.party;
    let mut signers: Vec<u8> = cheat
        .data
        .counterparties
        .iter()
        .map(Member::as_u8)
        .collect();
    signers.push(party.party_index.as_u8());
    signers.sort_unstable();
    let session = tagged_hash(
        TAG_SIGN_MUL_SESSION,
        &[
            &party.session_id,
            &cheat.data.sign_id,
            &party.derivation_data.chain_code,
            &point_to_bytes::<Curve>(&party.pk),
            &cheat.data.message_hash,
            &signers,
            &[party.party_index.as_u8(), victim.as_u8()],
        ],
    );
    let transfer = [&b"OT Extension protocol"[..], &session].concat();
    tagged_hash(TAG_OTE_SESSION, &[&transfer, &data.nonce])
}

fn expanded(sid: &[u8; 32], seeds: &[[u8; 32]]) -> Vec<PRGOutput> {
    let expand = |(row, seed): (u16, &[u8; 32])| {
        let chunk = |count: u16| {
            let place = [row.to_be_bytes(), count.to_be_bytes()];
            tagged_hash(TAG_OTE_PRG, &[sid, &place[0], &place[1], seed])
        };
        let bytes: Vec<u8> = (0..3).flat_map(chunk).collect();
        PRGOutput::try_from(&bytes[..size_of::<PRGOutput>()]).unwrap()
    };
    (0..).zip(seeds).map(expand).collect()
}

/// The value of a row in the check.
fn checked(row: &PRGOutput, chi: &[Vec<u8>; 2]) -> FieldElement {
    let first = field_mul(&row[..ELEMENT], &chi[0]).unwrap();
    let second = field_mul(&row[ELEMENT..2 * ELEMENT], &chi[1]).unwrap();
    let mut sum = FieldElement::default();
    for (place, byte) in sum.iter_mut().enumerate() {
        *byte = first[place] ^ second[place] ^ row[2 * ELEMENT + place];
    }
    sum
}

/// What the victim does with a guess: it goes on, or it says why not.
fn answer(shares: &[Share], session: &[u8], row: usize) -> Result<(), EngineError> {
    let (victim, body) = run(shares, session, row);
    hears(victim, &body)
}

/// A run of the victim, and the guess that the cheat sends in it.
fn run(
    shares: &[Share],
    session: &[u8],
    row: usize,
) -> (Box<dyn Engine<Output = Signature>>, Zeroizing<Vec<u8>>) {
    let setups = setups();
    let cheat = signer(&shares[1], &setups[1], CHEAT.0, session);
    let message = guess(&cheat, &setups[1], row);
    let victim = signer(&shares[0], &setups[0], VICTIM.0, session).start();
    (victim, encode(&Msg::Round1(message), 0).unwrap())
}

/// The same in a batch with a guess for each run.
fn answer_of_batch(shares: &[Share], rows: &[usize]) -> Result<(), EngineError> {
    let runs = rows.iter().enumerate();
    let runs = runs.map(|(number, row)| run(shares, &session(number), *row));
    let (victims, bodies): (Vec<_>, Vec<_>) = runs.unzip();
    let bodies: Vec<_> = bodies.iter().map(|body| Bytes::new(body)).collect();
    hears(batch(victims).unwrap(), &encode(&bodies, 0).unwrap())
}

fn hears<T>(mut victim: Box<dyn Engine<Output = T>>, body: &[u8]) -> Result<(), EngineError> {
    let sent = |step: Step<T>| matches!(step, Step::Send(out) if out.to == Recipient::One(CHEAT));
    assert!(sent(victim.step()?), "its own first message");
    assert!(matches!(victim.step()?, Step::NeedMessage));
    victim.receive(CHEAT, MessageKind::Direct, body)?;
    assert!(sent(victim.step()?), "it goes on");
    Ok(())
}

fn bit(row: usize) -> bool {
    let victim = setups()[0].pair(CHEAT.0).unwrap();
    victim.sender.ote_sender.correlation[row]
}

fn session(number: usize) -> Vec<u8> {
    format!("session {number}").into_bytes()
}

#[test]
fn without_the_rule_every_session_tells_a_bit() {
    let shares = key(2);
    for row in (0..256).step_by(8) {
        let answer = answer(&shares, &session(row), row);
        assert_eq!(answer.is_err(), bit(row), "row {row}");
        if let Err(error) = answer {
            assert_eq!(error.verdict(), Verdict::Burns, "{error}");
            assert_eq!(error.culprits(), [CHEAT]);
        }
    }
}

/// A batch goes on only if all its guesses are right, so it tells less than as many runs alone.
#[test]
fn a_batch_ends_with_the_first_wrong_guess() {
    let shares = key(2);
    let zeros: Vec<_> = (0..256).filter(|row| !bit(*row)).take(2).collect();
    let zero = zeros[0];
    let one = first_one();
    assert_eq!(answer_of_batch(&shares, &zeros), Ok(()));
    for rows in [[zero, one], [one, zero], [one, one]] {
        let error = answer_of_batch(&shares, &rows).unwrap_err();
        assert_eq!(error.verdict(), Verdict::Burns, "{error}");
        assert_eq!(error.culprits(), [CHEAT]);
    }
}

/// A node that keeps the rule, and the cheat in front of it.
struct Attack {
    dir: tempfile::TempDir,
    journal: Journal,
    setup: Hash,
    peer: NodeId,
    /// Sessions that were begun.
    sessions: usize,
    /// Failed checks, each of which told a bit that is 1.
    failures: usize,
}

impl Attack {
    fn new() -> Self {
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        let dir = tempfile::Builder::new().permissions(private).tempdir();
        let dir = dir.unwrap();
        let journal = Journal::create(dir.path()).unwrap();
        let key = ed25519_dalek::SigningKey::from_bytes(&[2; 32]);
        let peer = NodeId::from_bytes(key.verifying_key().to_bytes()).unwrap();
        let setup = Hash(setups()[0].digest());
        journal.approve(NOW, decided(MAKER), Vec::new()).unwrap();
        journal.enter_setup(MAKER, setup, vec![peer]).unwrap();
        Self {
            dir,
            journal,
            setup,
            peer,
            sessions: 0,
            failures: 0,
        }
    }

    fn begin(&mut self) -> Result<TaskId, Unfit> {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&(self.sessions as u64 + 1).to_be_bytes());
        let task = TaskId(id);
        // A task that was refused before it began is known already.
        let _ = self.journal.approve(NOW, decided(task), Vec::new());
        match self.journal.begin_runs(task, self.one(), MAX_RUNS) {
            Ok(_) => {}
            Err(WriteJournalError::Refused(Refused::Unfit { why, .. })) => return Err(why),
            Err(error) => panic!("{error}"),
        }
        self.sessions += 1;
        Ok(task)
    }

    /// Records how a run ended, as a node does before anything of it leaves.
    fn end(&mut self, task: TaskId, answer: &Result<(), EngineError>) {
        let mut runs = RunsEnd::default();
        match answer.as_ref().map_err(EngineError::verdict) {
            Ok(()) | Err(Verdict::Clean) => runs.clean.push(self.one()),
            Err(Verdict::Unknown) => runs.unknown.push(self.one()),
            Err(Verdict::Burns) => {
                self.failures += 1;
                runs.burns.push(Burn {
                    setup: self.setup,
                    peer: self.peer,
                    task,
                    since: NOW,
                    text: "test".into(),
                });
            }
        }
        self.conclude(task, runs);
    }

    /// One run with the cheat.
    fn one(&self) -> Runs {
        Runs {
            setup: self.setup,
            peers: vec![self.peer],
            runs: NonZeroU64::MIN,
        }
    }

    fn conclude(&self, task: TaskId, runs: RunsEnd) {
        let outcome =
            countersign_protocol::Failure::new(countersign_protocol::FailureCode::Protocol, "test");
        let consequences = Consequences {
            runs,
            ..Consequences::default()
        };
        let outcome = countersign_protocol::Outcome::Failed(outcome);
        self.journal
            .conclude(NOW, task, outcome, true, consequences)
            .unwrap();
    }

    /// One session. True if the rule let it begin.
    fn tries(&mut self, shares: &[Share], row: usize) -> bool {
        let Ok(task) = self.begin() else {
            return false;
        };
        let answer = answer(shares, &session(self.sessions), row);
        self.end(task, &answer);
        true
    }

    fn reopen(self) -> Self {
        let Self { dir, journal, .. } = self;
        drop(journal);
        Self {
            journal: Journal::open(dir.path()).unwrap(),
            dir,
            ..self
        }
    }
}

fn decided(task: TaskId) -> Decided {
    Decided {
        task,
        hash: Hash([0; 32]),
        kind: OperationKind::KeySign,
        received_at: NOW,
        verdicts: Vec::new(),
        parties: Vec::new(),
        bytes: Vec::new(),
        evidence: Evidence::default(),
    }
}

fn first_one() -> usize {
    (0..256).find(|row| bit(*row)).unwrap()
}

#[test]
fn the_attack_dies_at_the_first_failed_check() {
    let shares = key(2);
    let mut attack = Attack::new();
    let begun = (0..256).filter(|row| attack.tries(&shares, *row)).count();
    assert_eq!(begun, first_one() + 1, "all sessions up to the failure");
    assert_eq!(attack.failures, 1);
}

#[test]
fn other_keys_of_the_committee_do_not_help() {
    let mut attack = Attack::new();
    for row in 0..first_one() + 4 {
        attack.tries(&key(2), row);
    }
    assert_eq!(attack.failures, 1);
    assert_eq!(attack.sessions, first_one() + 1);
}

#[test]
fn neither_a_restart_nor_the_operator_revives_a_pair() {
    let shares = key(2);
    let mut attack = Attack::new();
    let row = first_one();
    assert!(attack.tries(&shares, row));
    let mut attack = attack.reopen();
    assert!(!attack.tries(&shares, row));
    let key = countersign_protocol::KeyId::from_bytes([5; 16]).unwrap();
    let peer = attack.peer;
    attack.journal.lift(NOW, key, peer).unwrap();
    attack
        .journal
        .enter_setup(MAKER, attack.setup, vec![peer])
        .unwrap();
    assert!(!attack.tries(&shares, row));
    assert_eq!(attack.begin(), Err(Unfit::Burnt));
}

/// A process that is killed between the check and the record is no free retry.
#[test]
fn four_kills_are_all_that_the_attack_gets() {
    let shares = key(2);
    let mut attack = Attack::new();
    let row = first_one();
    let mut told = 0;
    for _ in 0..8 {
        if attack.begin().is_ok() {
            let answer = answer(&shares, &session(attack.sessions), row);
            told += usize::from(answer.is_err());
        }
        attack = attack.reopen();
    }
    assert_eq!(told, 4);
    assert_eq!(attack.begin(), Err(Unfit::TooManyUnrecorded));
}

/// Few runs are under way at once, and none of them answers after the first failure.
#[test]
fn parallel_sessions_tell_no_more_than_one() {
    let shares = key(2);
    let mut attack = Attack::new();
    let tasks: Vec<_> = (0..256).map_while(|_| attack.begin().ok()).collect();
    assert_eq!(tasks.len() as u64, MAX_OPEN);
    assert_eq!(attack.begin(), Err(Unfit::Busy));
    let row = first_one();
    let mut answered = 0;
    for (number, task) in tasks.into_iter().enumerate() {
        if attack.journal.tasks_to_drop().unwrap().contains(&task) {
            attack.end(task, &Ok(()));
            continue;
        }
        let answer = answer(&shares, &session(number), row);
        attack.end(task, &answer);
        answered += 1;
    }
    assert_eq!((answered, attack.failures), (1, 1));
    assert_eq!(attack.begin(), Err(Unfit::Burnt));
    assert!(attack.journal.tasks_to_drop().unwrap().is_empty());
}
