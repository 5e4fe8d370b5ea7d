//! A reshare from the moment that this node has stored for it until everybody knows what became of
//! it.
//!
//! Two phases. Every party stores what it will hold and signs that it has: the next share beside
//! the present one, or, for one that leaves, the record that its share will go. Only with the marks
//! of **all** parties does the next generation come into force. A member then has the next share in
//! the place of the old one; whoever leaves, or took no part, uses its old share no more, and keeps
//! it until a quorum of the members has signed that the generation is in force. In between a party
//! keeps both shares and signs with the present one.
//!
//! It learns the end in one of four ways: all marks, in the session, from the coordinator
//! ([`settle`]) or from any other node ([`super::gossip`]); a party's signed word that it never
//! stored, so that its mark can never be there ([`void`]); or its operator's decision
//! ([`resolve`]). Words can be false: what was stored for a reshare that came to nothing sleeps
//! until the key's next switch, and all marks revive it. What follows from what is decided in
//! `super::succession`.
//!
//! The journal decides: a commit there is the switch, and the secrets file follows ([`align`]),
//! after a crash too.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use countersign_protocol::control::{FromNode, Held, MAX_GENERATIONS, MAX_HELD, MAX_SHOWN};
use countersign_protocol::outcome::void_digest;
use countersign_protocol::{
    Announcement, GenerationProof, Hash, IdentitySigner, KeyId, NodeId, Operation, Outcome,
    StoredMark, Task, TaskId, UnixMillis,
};
use countersign_store::{
    Handover, HandoverStage, Journal, KeyRecord, KeyStatus, OperationKind, ReadJournalError, Row,
    State, WriteJournalError, Written,
};
use tokio::time::Instant;

use super::commit::Register;
use super::resolve::{InDoubt, Resolved, Unfit, Word};
use super::succession::{self, Evidence, OldShare, Standing, Step};
use crate::core::Core;
use crate::vault::{HeldShare, Vault, VaultError};

/// How often a node that waits says so.
const AGAIN: Duration = Duration::from_secs(15);

/// Generations behind the newest that are looked at for marks.
const STEPS_BACK: u32 = 64;
/// Generations of one key that are read in one go.
const MAX_CHAIN: usize = 1024;

/// Why the journal and the secrets file could not be brought to agree.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandoverError {
    /// The journal cannot be read.
    #[error(transparent)]
    Read(#[from] ReadJournalError),
    /// The journal cannot be written.
    #[error(transparent)]
    Write(#[from] WriteJournalError),
    /// The secrets file.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// What somebody brings does not settle the task.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// A share that must be there is not.
    #[error(
        "the share of {key} of generation {generation} is not in the store; restore the newest backup, or let the other members reshare the key"
    )]
    ShareMissing {
        /// Of which key.
        key: KeyId,
        /// Of which generation.
        generation: u32,
    },
}

/// Records that this node has stored: its mark may be out from here on. `created`: when the reshare
/// was ordered.
pub fn open(
    core: &Core,
    task: TaskId,
    next: Announcement,
    joins: bool,
    created: UnixMillis,
) -> Result<(), WriteJournalError> {
    let announcement = next;
    let opened = core.now();
    let stage = HandoverStage::Open;
    core.journal.open_handover(Handover {
        task,
        announcement,
        joins,
        opened,
        stage,
        created,
    })
}

/// The reshares of a key that this node has stored for, each with where it stands.
pub fn steps(journal: &Journal, key: KeyId) -> Result<Vec<(Step, Standing)>, ReadJournalError> {
    let known = journal.handovers_of(&key)?;
    Ok(known
        .iter()
        .map(|known| (step(known), standing(known.stage)))
        .collect())
}

/// When this node started reshares of a key. Earlier programs noted only those for which they
/// stored.
pub fn started_at(
    journal: &Journal,
    key: KeyId,
) -> Result<BTreeMap<TaskId, UnixMillis>, ReadJournalError> {
    let stored = journal
        .handovers_of(&key)?
        .into_iter()
        .map(|known| (known.task, known.opened));
    Ok(stored.chain(journal.started_reshares(&key)?).collect())
}

pub(super) fn step(handover: &Handover) -> Step {
    Step {
        generation: handover.announcement.generation,
        created: handover.created,
        task: handover.task,
    }
}

pub(super) fn standing(stage: HandoverStage) -> Standing {
    match stage {
        HandoverStage::Open => Standing::Waiting,
        HandoverStage::Switched => Standing::Taken,
        HandoverStage::Void | HandoverStage::Abandoned => Standing::Asleep,
    }
}

/// Tells the coordinator that this node has stored, with its mark.
pub fn report(core: &Core, task: TaskId, next: &Announcement) {
    core.reporter
        .send(stored(core.me, &*core.signer, task, next));
}

fn stored(me: NodeId, signer: &dyn IdentitySigner, task: TaskId, next: &Announcement) -> FromNode {
    let signature = signer.sign(next.digest().as_bytes()).to_vec();
    let mark = StoredMark {
        node: me,
        signature,
    };
    let announcement = Box::new(Announcement {
        stored: vec![mark],
        ..next.clone()
    });
    FromNode::Stored { task, announcement }
}

/// Tells the coordinator that this node never stored for a reshare that has ended here, and never
/// will. `task_hash`: of the exact bytes.
pub fn report_void(core: &Core, task: TaskId, task_hash: Hash) {
    let signature = core.signer.sign(void_digest(task_hash).as_bytes()).to_vec();
    let mark = StoredMark {
        node: core.me,
        signature,
    };
    core.reporter.send(FromNode::Void { task, mark });
}

/// True of a reshare that is over here and for which no mark was ever signed: none ever will be,
/// since nothing is resumed.
pub fn never_stored(journal: &Journal, row: &Row) -> Result<bool, ReadJournalError> {
    let over = matches!(&row.state, State::Ended { outcome, .. } if !matches!(**outcome, Outcome::Reshared(_)));
    Ok(row.kind == OperationKind::KeyReshare && over && journal.handover(&row.task)?.is_none())
}

/// The reshares that wait for others.
pub fn waiting(journal: &Journal) -> Result<Vec<Handover>, ReadJournalError> {
    journal.handovers_at(HandoverStage::Open)
}

/// Says again, until the node stops, what it waits for, should the coordinator have lost it. A new
/// link says it at once ([`news`]).
pub async fn follow(core: Arc<Core>) {
    let mut again = tokio::time::interval_at(Instant::now() + AGAIN, AGAIN);
    again.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while core
        .stopping
        .run_until_cancelled(again.tick())
        .await
        .is_some()
    {
        match core.journal(waiting).await {
            Ok(open) => open
                .iter()
                .for_each(|known| report(&core, known.task, &known.announcement)),
            Err(error) => tracing::error!(%error, "what waits for others is not known"),
        }
    }
}

/// The outcome of a task whose marks are all there, from the coordinator.
pub async fn settle(core: &Arc<Core>, task: TaskId, announcement: Announcement) {
    if announcement.generation == 0 {
        let place = (task, announcement.key);
        let word = Word::AllStored(announcement.into());
        if let Err(error) = settle_by(core, place, word).await {
            not_taken(task, "a settlement", &error);
        }
        return;
    }
    let proof = GenerationProof {
        announcement,
        in_force: Vec::new(),
    };
    if proof.announcement.task != task {
        return tracing::debug!(%task, "a settlement of another task was ignored");
    }
    if let Err(error) = heed(core, proof).await {
        not_taken(task, "a settlement", &error);
    }
}

/// What does not fit is no news; that the journal failed is.
fn not_taken(task: TaskId, what: &str, error: &HandoverError) {
    match error {
        HandoverError::Unfit(_) => {
            tracing::debug!(%task, %error, "{what} was ignored")
        }
        _ => tracing::error!(%task, %error, "{what} was not taken; it will be told again"),
    }
}

/// Ends a task that is in doubt here, if the word settles it, and tells receivers. Waits for the
/// disk.
pub fn resolve(
    register: &Register,
    me: NodeId,
    now: UnixMillis,
    (task, key): (TaskId, KeyId),
    word: Word,
) -> Result<Resolution, HandoverError> {
    let doubt = InDoubt::read(&register.journal, task, key)?;
    let Resolved {
        commit,
        kind,
        key,
        outcome,
    } = doubt.resolve(me, task, word)?;
    register.commit(now, task, kind, commit)?;
    Ok(Resolution { key, outcome })
}

/// How a task ended that was in doubt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolution {
    /// Its key.
    pub key: KeyId,
    /// What the coordinator is told.
    pub outcome: Outcome,
}

/// Ends a task whose word somebody brings, and does what follows from it at this node.
async fn settle_by(
    core: &Arc<Core>,
    place: (TaskId, KeyId),
    word: Word,
) -> Result<(), HandoverError> {
    let (task, _) = place;
    let register = core.register.clone();
    let me = core.me;
    let now = core.now();
    let resolved = core.journal(move |_| resolve(&register, me, now, place, word));
    let Resolution { key, outcome } = resolved.await?;
    match &outcome {
        Outcome::Created(made) => {
            tracing::info!(%key, "key confirmed by all members");
            core.events.finish(task);
            core.key_active(made.aux).await;
        }
        Outcome::Reshared(_)
        | Outcome::Signed(_)
        | Outcome::Refused(_)
        | Outcome::Failed(_)
        | Outcome::Intact(_) => {
            log_resolution(task, key, &outcome);
            core.events.finish(task);
            moved(core, key).await;
        }
    }
    core.reporter.send(FromNode::Outcome { task, outcome });
    Ok(())
}

fn log_resolution(task: TaskId, key: KeyId, outcome: &Outcome) {
    match outcome {
        Outcome::Reshared(next) => {
            let generation = next.generation;
            tracing::info!(%task, %key, generation, "reshare settled: the next generation is in force");
        }
        Outcome::Failed(failure) => {
            tracing::warn!(%task, %key, code = %failure.code, reason = %failure.text, "the reshare came to nothing");
        }
        Outcome::Created(_) | Outcome::Signed(_) | Outcome::Refused(_) | Outcome::Intact(_) => {}
    }
}

/// A party's word that it never stored: the present generation stays.
pub async fn void(core: &Arc<Core>, task: TaskId, mark: StoredMark) {
    let stored = core.journal(move |journal| journal.handover(&task)).await;
    let settled = match stored {
        Ok(Some(stored)) => {
            let key = stored.announcement.key;
            settle_by(core, (task, key), Word::NeverStored(mark)).await
        }
        Ok(None) => return tracing::debug!(%task, "a void of nothing was ignored"),
        Err(error) => Err(error.into()),
    };
    if let Err(error) = settled {
        not_taken(task, "a void", &error);
    }
}

/// Generations that the coordinator shows to a node which they passed by.
pub async fn replaced(core: &Arc<Core>, generations: Vec<Announcement>) {
    if generations.len() > MAX_GENERATIONS {
        return;
    }
    for announcement in generations {
        let proof = GenerationProof {
            announcement,
            in_force: Vec::new(),
        };
        let key = proof.announcement.key;
        if let Err(error) = heed(core, proof).await {
            return tracing::warn!(%key, %error, "news of a key's later generations were not believed");
        }
    }
}

/// [`learn`], and what follows from it at this node.
pub async fn heed(core: &Arc<Core>, proof: GenerationProof) -> Result<Learned, HandoverError> {
    let me = core.me;
    let now = core.now();
    let task = proof.announcement.task;
    let key = proof.announcement.key;
    let generation = proof.announcement.generation;
    let outcome = Outcome::Reshared(proof.announcement.clone());
    let register = core.register.clone();
    let learned = core.journal(move |_| learn(&register, me, now, &proof));
    let learned = learned.await?;
    match learned {
        Learned::Nothing | Learned::Marks => {}
        Learned::Settled => {
            log_resolution(task, key, &outcome);
            core.events.finish(task);
            moved(core, key).await;
            core.reporter.send(FromNode::Outcome { task, outcome });
        }
        Learned::Passed => {
            tracing::warn!(%key, generation, "the key was handed over to others; this node's share of it is used no more");
            moved(core, key).await;
            core.reporter.send(FromNode::Holds {
                keys: vec![Held { key, generation }],
            });
        }
    }
    Ok(learned)
}

/// What a generation that somebody shows means to this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Learned {
    /// It knew all of it.
    Nothing,
    /// More members have it in force than were known to.
    Marks,
    /// A reshare that this node has stored for is in force.
    Settled,
    /// The key has moved on without this node.
    Passed,
}

/// Takes in a generation with all its marks, whoever brings it. A party that has stored for it has
/// it in force from here on; for another holder every step must be one that the generation it knows
/// has taken.
pub fn learn(
    register: &Register,
    me: NodeId,
    now: UnixMillis,
    proof: &GenerationProof,
) -> Result<Learned, HandoverError> {
    let journal = &register.journal;
    let next = &proof.announcement;
    let Concern { record, party } = Concern::of(journal, next)?;
    let kept = journal
        .generation(&next.key, next.generation)?
        .filter(|kept| kept.is(next));
    if kept.as_ref().is_none_or(|kept| !kept.covers(proof))
        && !(next.is_complete() && proof.marks_verify())
    {
        return Err(Unfit::Unproven.into());
    }
    let learned = match (party, record) {
        (Some(handover), _) if handover.stage != HandoverStage::Switched => {
            let word = Word::AllStored(next.clone().into());
            resolve(register, me, now, (next.task, next.key), word)?;
            Learned::Settled
        }
        (_, Some(record)) if next.generation > record.announcement.generation => {
            pass(journal, me, now, &record, next)?;
            Learned::Passed
        }
        (_, Some(record)) if record.announcement.digest() == next.digest() && kept.is_none() => {
            journal.keep_generation(next.clone())?;
            Learned::Nothing
        }
        (_, Some(_)) if kept.is_none() => {
            return Err(Unfit::Unfit("it is no generation that this node knows of the key").into());
        }
        (Some(_), _) | (None, Some(_)) => Learned::Nothing,
        (None, None) => return Err(Unfit::Unfit("this node knows no such key").into()),
    };
    let marks = journal.in_force(next.key, next.generation, proof.in_force.clone())?;
    Ok(if learned == Learned::Nothing && marks == Written::Now {
        Learned::Marks
    } else {
        learned
    })
}

/// What a node has to do with a generation.
struct Concern {
    /// What it knows of the key.
    record: Option<KeyRecord>,
    /// What it has stored for it.
    party: Option<Handover>,
}

impl Concern {
    fn of(journal: &Journal, next: &Announcement) -> Result<Self, HandoverError> {
        let record = journal
            .key(&next.key)?
            .filter(|record| record.status != KeyStatus::Pending);
        let party = journal.handover(&next.task)?;
        let party = party.filter(|party| party.announcement.digest() == next.digest());
        if record.is_some() || party.is_some() {
            Ok(Self { record, party })
        } else {
            Err(Unfit::Unfit("this node knows no such key").into())
        }
    }
}

/// A key that goes on without this node.
fn pass(
    journal: &Journal,
    me: NodeId,
    now: UnixMillis,
    record: &KeyRecord,
    next: &Announcement,
) -> Result<(), HandoverError> {
    let unfit = |why| Err(Unfit::Unfit(why).into());
    if !next.succeeds(&record.announcement) {
        return unfit("it does not follow from the generation that this node knows");
    }
    if next.committee.index_of(&me).is_some() {
        let text = format!(
            "this node is a member of {} of generation {}, and knows only generation {}: its store is older than what it signed, restore the newest backup",
            next.key, next.generation, record.announcement.generation
        );
        journal.alarm_once(now, &text)?;
        return unfit("this node itself signed a later generation that it does not have");
    }
    let mut known = journal.handovers_of(&next.key)?.into_iter();
    if known.any(|known| known.stage == HandoverStage::Open) {
        return unfit("a reshare of the key waits to be settled here; settle it first");
    }
    journal.replace(now, next.clone())?;
    Ok(())
}

/// Signs, once, that a generation is in force here, if that is durable: it is on record, and its
/// share is in the store. True if there is a new mark.
pub fn vouch(
    me: NodeId,
    signer: &dyn IdentitySigner,
    journal: &Journal,
    vault: &Vault,
    place: (KeyId, u32),
) -> Result<bool, HandoverError> {
    let (key, generation) = place;
    let Some(kept) = journal.generation(&key, generation)? else {
        return Ok(false);
    };
    let announcement = &kept.proof.announcement;
    let signed = kept.proof.in_force.iter().any(|mark| mark.node == me);
    if generation == 0 || signed || announcement.committee.index_of(&me).is_none() {
        return Ok(false);
    }
    let Some(record) = journal
        .key(&key)?
        .filter(|record| record.status != KeyStatus::Pending)
    else {
        return Ok(false);
    };
    let in_force = record.status == KeyStatus::Active
        && kept.is(&record.announcement)
        && vault
            .held(key)?
            .is_some_and(|held| held.digest == announcement.digest());
    // It was, and the key has come further since.
    let was = record.announcement.generation > generation
        && journal
            .handover(&announcement.task)?
            .is_some_and(|known| known.stage == HandoverStage::Switched);
    if !in_force && !was {
        return Ok(false);
    }
    let signature = signer
        .sign(announcement.in_force_digest().as_bytes())
        .to_vec();
    journal.in_force(
        key,
        generation,
        vec![StoredMark {
            node: me,
            signature,
        }],
    )?;
    Ok(true)
}

/// Destroys the share of a key that others hold now, once it is of no use to anybody:
/// `succession::old_share`. `handed_on`: every party that could be reached was handed what this
/// node knows. True if it is gone.
pub fn release(
    journal: &Journal,
    vault: &Vault,
    now: UnixMillis,
    key: KeyId,
    handed_on: bool,
) -> Result<bool, HandoverError> {
    let Some(record) = journal
        .key(&key)?
        .filter(|record| record.status == KeyStatus::Leaving)
    else {
        return Ok(false);
    };
    let newest = record.announcement.generation;
    let held = vault.held(key)?.map(|held| held.generation);
    let later = held.map_or(newest, |held| {
        held.saturating_add(1)
            .max(newest.saturating_sub(STEPS_BACK))
    });
    let mut due = held.is_none();
    for number in later..=newest {
        let Some(kept) = journal.generation(&key, number)? else {
            continue;
        };
        let evidence = Evidence {
            complete: true,
            in_force: kept.proof.in_force.len(),
            threshold: usize::from(kept.proof.announcement.threshold.get()),
            handed_on,
        };
        due |= match succession::old_share(&evidence) {
            OldShare::Destroyed => true,
            OldShare::InUse | OldShare::Kept => false,
        };
    }
    if due {
        journal.release(key)?;
        align(journal, vault, now, key)?;
    }
    Ok(due)
}

/// What the coordinator is told with every new link: which keys this node holds or has held, in
/// frames of bounded length, which reshares wait for others, and which its operator gave up.
pub fn news(
    me: NodeId,
    signer: &dyn IdentitySigner,
    journal: &Journal,
) -> Result<Vec<FromNode>, ReadJournalError> {
    let mut news = holds(journal)?;
    news.extend(
        waiting(journal)?
            .iter()
            .map(|open| stored(me, signer, open.task, &open.announcement)),
    );
    for given_up in journal.handovers_at(HandoverStage::Abandoned)? {
        if let Some(State::Ended { outcome, .. }) =
            journal.row(&given_up.task)?.map(|row| row.state)
        {
            news.push(FromNode::Outcome {
                task: given_up.task,
                outcome: *outcome,
            });
        }
    }
    Ok(news)
}

fn holds(journal: &Journal) -> Result<Vec<FromNode>, ReadJournalError> {
    let known = journal
        .known_keys()?
        .into_iter()
        .filter(|(_, known)| known.status != KeyStatus::Pending);
    let held: Vec<Held> = known
        .map(|(key, known)| Held {
            key,
            generation: known.generation,
        })
        .collect();
    Ok(held
        .chunks(MAX_HELD)
        .map(|keys| FromNode::Holds {
            keys: keys.to_vec(),
        })
        .collect())
}

/// What this node has of keys, from the given generations on, for a coordinator that does not know
/// them: those of one key in order and without a gap, as many as fit into one answer.
pub fn shown(journal: &Journal, asked: &[Held]) -> Result<Vec<Announcement>, ReadJournalError> {
    let mut shown: Vec<Announcement> = Vec::new();
    for held in asked.iter().take(MAX_SHOWN) {
        let room = MAX_GENERATIONS - shown.len();
        shown.extend(
            chain(journal, held.key, held.generation)?
                .into_iter()
                .take(room),
        );
        if shown.len() == MAX_GENERATIONS {
            break;
        }
    }
    Ok(shown)
}

/// The generations of a key from `from` to the newest known, in order; those before a gap are left
/// out.
fn chain(journal: &Journal, key: KeyId, from: u32) -> Result<Vec<Announcement>, ReadJournalError> {
    let record = journal
        .key(&key)?
        .filter(|record| record.status != KeyStatus::Pending);
    let Some(newest) = record.filter(|record| record.announcement.generation >= from) else {
        return Ok(Vec::new());
    };
    let mut chain = vec![newest.announcement];
    while let Some(next) = chain
        .last()
        .filter(|next| next.generation > from && chain.len() < MAX_CHAIN)
    {
        let kept = journal
            .generation(&key, next.generation - 1)?
            .map(|kept| kept.proof.announcement);
        let before = match kept {
            Some(kept) => Some(kept),
            None => taken_from(journal, next)?,
        };
        let Some(before) = before.filter(|before| next.succeeds(before)) else {
            break;
        };
        chain.push(before);
    }
    chain.reverse();
    Ok(chain)
}

/// The generation that a reshare took the key from, as its order says; for programs that kept no
/// generations.
fn taken_from(
    journal: &Journal,
    next: &Announcement,
) -> Result<Option<Announcement>, ReadJournalError> {
    let ordered = journal
        .row(&next.task)?
        .and_then(|row| serde_json::from_slice::<Task>(&row.bytes).ok());
    Ok(match ordered.map(|task| task.operation) {
        Some(Operation::KeyReshare(reshare)) => Some(reshare.from),
        Some(Operation::KeyGen(_) | Operation::KeySign(_) | Operation::KeyShareSign(_)) | None => {
            None
        }
    })
}

/// Every generation of a key that this node can prove, with what it knows of who has it in force.
pub fn proofs(journal: &Journal, key: KeyId) -> Result<Vec<GenerationProof>, ReadJournalError> {
    let mut proofs = Vec::new();
    for announcement in chain(journal, key, 0)? {
        let kept = journal
            .generation(&key, announcement.generation)?
            .filter(|kept| kept.is(&announcement));
        let in_force = kept.map(|kept| kept.proof.in_force).unwrap_or_default();
        proofs.push(GenerationProof {
            announcement,
            in_force,
        });
    }
    Ok(proofs)
}

/// After a commit of the journal that moved a key: the secrets file, the tables and the public
/// record follow.
pub async fn moved(core: &Arc<Core>, key: KeyId) {
    let switching = core.clone();
    let now = core.now();
    let aligned = core.journal(move |_| switching.switch.alone().align(now, key));
    match aligned.await {
        Ok(record) => {
            let active = record.filter(|record| record.status == KeyStatus::Active);
            core.key_active(active.and_then(|record| record.announcement.aux))
                .await;
        }
        Err(error) => {
            tracing::error!(%key, %error, "cannot apply the journal's word on the key to the secrets file")
        }
    }
    core.gossip.notify_one();
}

/// Brings the secrets file to what the journal says of a key. Does nothing where they agree, so it
/// can be repeated; one at a time, and never while a next share is being stored
/// ([`KeySwitch`](crate::key_switch::KeySwitch)): it would be taken for one that nobody needs.
pub fn align(
    journal: &Journal,
    vault: &Vault,
    now: UnixMillis,
    key: KeyId,
) -> Result<(), HandoverError> {
    let Some(record) = journal.key(&key)? else {
        return Ok(());
    };
    let present = vault.held(key)?;
    let next = vault.next_of(key)?;
    if agree(record.status, record.announcement.digest(), present, &next) {
        return Ok(());
    }
    let next = NextShares::of(journal, next)?;
    let passed = |share: &&Announcement| share.generation < record.announcement.generation;
    next.strays
        .iter()
        .filter(passed)
        .try_for_each(|share| vault.drop_next_share(share))?;
    match record.status {
        KeyStatus::Released => {
            // One of the same generation may be complete elsewhere: it goes with the next.
            let passed = |(share, _): &&Next| share.generation < record.announcement.generation;
            let doomed: Vec<Announcement> = next
                .asleep
                .iter()
                .filter(passed)
                .map(|(share, _)| share.clone())
                .collect();
            if present.is_some() || !doomed.is_empty() {
                vault.release_share(key, &doomed)?;
                journal.destroyed(now, record.announcement)?;
            }
            Ok(())
        }
        KeyStatus::Active => promote(journal, vault, now, record.announcement, present, next),
        KeyStatus::Pending | KeyStatus::Leaving => Ok(()),
    }
}

/// True if what the store has of a key is just what the journal says.
fn agree(
    status: KeyStatus,
    digest: Hash,
    present: Option<HeldShare>,
    next: &[Announcement],
) -> bool {
    next.is_empty()
        && match status {
            KeyStatus::Active => present.is_some_and(|present| present.digest == digest),
            KeyStatus::Released => present.is_none(),
            KeyStatus::Pending | KeyStatus::Leaving => true,
        }
}

/// A share of a next generation, and the reshare that made it.
type Next = (Announcement, Step);

/// The next shares of a key, by what became of their reshares.
#[derive(Default)]
struct NextShares {
    /// Without a record: stored the moment before a failure, or the journal is an older copy than
    /// the store, and a mark is out. They go once the key has come further.
    strays: Vec<Announcement>,
    /// Of reshares that wait. Whatever else becomes of the key, they are kept.
    waiting: Vec<Next>,
    /// Of reshares that have ended, the one in force among them.
    asleep: Vec<Next>,
}

impl NextShares {
    fn of(journal: &Journal, shares: Vec<Announcement>) -> Result<Self, HandoverError> {
        let mut next = Self::default();
        for share in shares {
            let Some(known) = journal.handover(&share.task)? else {
                next.strays.push(share);
                continue;
            };
            match standing(known.stage) {
                Standing::Waiting => next.waiting.push((share, step(&known))),
                Standing::Asleep | Standing::Taken => next.asleep.push((share, step(&known))),
            }
        }
        Ok(next)
    }
}

fn promote(
    journal: &Journal,
    vault: &Vault,
    now: UnixMillis,
    record: Announcement,
    present: Option<HeldShare>,
    next: NextShares,
) -> Result<(), HandoverError> {
    let digest = record.digest();
    if present.is_some_and(|present| present.digest == digest) {
        return Ok(());
    }
    let missing = HandoverError::ShareMissing {
        key: record.key,
        generation: record.generation,
    };
    let mut all = next.asleep.iter().chain(&next.waiting);
    let (promoted, taken) = all
        .find(|(share, _)| share.digest() == digest)
        .ok_or(missing)?;
    let doomed = next
        .asleep
        .iter()
        .filter(|(_, asleep)| succession::dooms(taken, asleep));
    let doomed: Vec<Announcement> = doomed.map(|(share, _)| share.clone()).collect();
    vault.promote_share(promoted, &doomed)?;
    // Who holds the key for the first time has nothing to destroy.
    if present.is_some() {
        journal.destroyed(now, record)?;
    }
    Ok(())
}

/// At the start, before anything is signed: every key as the journal says. The row and the record
/// of a key on which both agree are not read again.
pub fn align_all(journal: &Journal, vault: &Vault, now: UnixMillis) -> Result<(), HandoverError> {
    for (key, known) in journal.known_keys()? {
        if agree(
            known.status,
            known.digest,
            vault.held(key)?,
            &vault.next_of(key)?,
        ) {
            continue;
        }
        match align(journal, vault, now, key) {
            // The others keep working; a task of this key is refused where it opens the share.
            Err(error @ HandoverError::ShareMissing { .. }) => {
                tracing::error!(%error, "a share is missing")
            }
            aligned => aligned?,
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "handover_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "many_keys_tests.rs"]
mod many_keys_tests;
