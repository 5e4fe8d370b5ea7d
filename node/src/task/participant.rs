//! A node's part in a reshare: two-phase commit, without trust in the coordinator.
//!
//! Prepare: every party stores what it will hold and signs an acknowledgement: the next share
//! beside the present one, or, for a party that leaves, the record that its share will go. Commit:
//! only with the acknowledgements of **all** parties does the next generation come into force. A
//! member then replaces its share; a party that leaves, or took no part, no longer uses its old
//! share and keeps it until a quorum of the members has signed that the generation is in force. In
//! between, the reshare is in doubt: a party keeps both shares and signs with the present one.
//!
//! A node learns the outcome in one of four ways: from all acknowledgements, in the session, from
//! the coordinator ([`Participant::settle`]) or from any other node ([`super::gossip`]); from a
//! party's signed abort vote ([`Participant::abort_vote`]), which says that it never stored and
//! never will; or from its operator ([`resolve`]). Votes can be false: a share that was stored for
//! an aborted reshare is kept until the key's next commit, and all acknowledgements commit it late.
//! What follows from each outcome is decided in `super::succession`.
//!
//! The journal decides: a write there is the commit, and the secrets file follows
//! ([`crate::key_switch`]), after a crash too.

use std::sync::Arc;
use std::time::Duration;

use countersign_protocol::control::{FromNode, Held, MAX_GENERATIONS, MAX_HELD, MAX_SHOWN};
use countersign_protocol::outcome::abort_vote_digest;
use countersign_protocol::{
    GenerationProof, Hash, IdentitySigner, KeyDescriptor, KeyId, NodeId, Operation, Outcome,
    SignedAck, Task, TaskId, UnixMillis,
};
use countersign_store::{
    Journal, KeyRecord, KeyStatus, PreparedReshare, ReadJournalError, ReshareStage, State,
    WriteJournalError, Written,
};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::commit::Register;
use super::history::waiting;
use super::resolve::{InDoubt, Resolved, Settlement, Unfit};
use super::succession::{self, Evidence, OldShare};
use crate::activation::Activation;
use crate::key_switch::{self, KeySwitch, SwitchError};
use crate::node_key::NodeKey;
use crate::off_thread::with_journal;
use crate::report::Reporter;
use crate::vault::{Vault, VaultError};
use crate::world::World;

/// The interval at which a node repeats the reports of its reshares in doubt.
const AGAIN: Duration = Duration::from_secs(15);

/// Generations before the newest that are searched for acknowledgements.
const STEPS_BACK: u32 = 64;
/// The most generations of one key that are read at once.
const MAX_CHAIN: usize = 1024;

/// Why the outcome of a reshare was not applied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ParticipantError {
    /// The journal cannot be read.
    #[error(transparent)]
    Read(#[from] ReadJournalError),
    /// The journal cannot be written.
    #[error(transparent)]
    Write(#[from] WriteJournalError),
    /// The secrets file cannot be read or written.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The secrets file could not follow the journal.
    #[error(transparent)]
    Switch(#[from] SwitchError),
    /// The evidence does not resolve the task.
    #[error(transparent)]
    Unfit(#[from] Unfit),
}

/// A node's part in reshares: applies their outcomes and reports them.
#[allow(missing_docs, reason = "the fields are named for what they hold")]
pub struct Participant {
    pub own: NodeKey,
    pub world: World,
    pub register: Register,
    /// Brings the secrets file in line with the journal.
    pub switch: KeySwitch,
    /// Updates the rest of the node when a key changes.
    pub activation: Activation,
    pub reporter: Reporter,
    /// Notified when peers should hear of a generation.
    pub changed: Notify,
}

impl Participant {
    /// Tells the coordinator that this node has stored, with its acknowledgement.
    pub fn report(&self, task: TaskId, next: &KeyDescriptor) {
        self.reporter.send(stored(&self.own, task, next));
    }

    /// Sends the coordinator an abort vote: this node never stored for a reshare that has ended
    /// here, and never will. `task_hash`: the hash of the task's exact bytes.
    pub fn report_abort_vote(&self, task: TaskId, task_hash: Hash) {
        let signature = self
            .own
            .sign(abort_vote_digest(task_hash).as_bytes())
            .to_vec();
        let ack = SignedAck {
            node: self.own.id(),
            signature,
        };
        self.reporter.send(FromNode::AbortVote { task, ack });
    }

    /// Repeats the reports of reshares in doubt until the node stops, in case the coordinator lost
    /// them. A new link sends them at once ([`news`]).
    pub async fn follow(self: Arc<Self>, stopping: CancellationToken) {
        let mut again = tokio::time::interval_at(Instant::now() + AGAIN, AGAIN);
        again.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stopping.run_until_cancelled(again.tick()).await.is_some() {
            match with_journal(&self.register.journal, waiting).await {
                Ok(open) => open
                    .iter()
                    .for_each(|known| self.report(known.task, &known.descriptor)),
                Err(error) => tracing::error!(%error, "cannot list in-doubt reshares"),
            }
        }
    }

    /// Applies a settlement from the coordinator: a key descriptor with all acknowledgements.
    pub async fn settle(self: &Arc<Self>, task: TaskId, descriptor: KeyDescriptor) {
        if descriptor.generation == 0 {
            let place = (task, descriptor.key);
            let settlement = Settlement::AllStored(descriptor.into());
            if let Err(error) = self.settle_by(place, settlement).await {
                not_applied(task, "a settlement", &error);
            }
            return;
        }
        let proof = GenerationProof {
            descriptor,
            in_force: Vec::new(),
        };
        if proof.descriptor.task != task {
            return tracing::debug!(%task, "ignored a settlement of another task");
        }
        if let Err(error) = self.heed(proof).await {
            not_applied(task, "a settlement", &error);
        }
    }

    /// Applies a party's abort vote: the present generation stays.
    pub async fn abort_vote(self: &Arc<Self>, task: TaskId, ack: SignedAck) {
        let stored = with_journal(&self.register.journal, move |journal| {
            journal.prepared(&task)
        })
        .await;
        let settled = match stored {
            Ok(Some(stored)) => {
                let key = stored.descriptor.key;
                self.settle_by((task, key), Settlement::NeverStored(ack))
                    .await
            }
            Ok(None) => {
                return tracing::debug!(%task, "ignored an abort vote for an unknown reshare");
            }
            Err(error) => Err(error.into()),
        };
        if let Err(error) = settled {
            not_applied(task, "an abort vote", &error);
        }
    }

    /// Takes in the later generations that the coordinator shows to a node that missed them.
    pub async fn replaced(self: &Arc<Self>, generations: Vec<KeyDescriptor>) {
        if generations.len() > MAX_GENERATIONS {
            return;
        }
        for descriptor in generations {
            let proof = GenerationProof {
                descriptor,
                in_force: Vec::new(),
            };
            let key = proof.descriptor.key;
            if let Err(error) = self.heed(proof).await {
                return tracing::warn!(%key, %error, "rejected a later generation of a key");
            }
        }
    }

    /// Calls [`learn`], and acts on the result at this node.
    pub async fn heed(
        self: &Arc<Self>,
        proof: GenerationProof,
    ) -> Result<Learned, ParticipantError> {
        let me = self.own.id();
        let now = self.world.now();
        let task = proof.descriptor.task;
        let key = proof.descriptor.key;
        let generation = proof.descriptor.generation;
        let outcome = Outcome::Reshared(proof.descriptor.clone());
        let register = self.register.clone();
        let learned = with_journal(&self.register.journal, move |_| {
            learn(&register, me, now, &proof)
        });
        let learned = learned.await?;
        match learned {
            Learned::Nothing | Learned::Acks => {}
            Learned::Settled => {
                log_resolution(task, key, &outcome);
                self.register.events.finish(task);
                self.moved(key).await;
                self.reporter.send(FromNode::Outcome { task, outcome });
            }
            Learned::Passed => {
                tracing::warn!(%key, generation, "the key was handed over to others; this node no longer uses its share");
                self.moved(key).await;
                self.reporter.send(FromNode::Holds {
                    keys: vec![Held { key, generation }],
                });
            }
        }
        Ok(learned)
    }

    /// Ends a task by a settlement, and acts on the result at this node.
    async fn settle_by(
        self: &Arc<Self>,
        place: (TaskId, KeyId),
        settlement: Settlement,
    ) -> Result<(), ParticipantError> {
        let (task, _) = place;
        let register = self.register.clone();
        let me = self.own.id();
        let now = self.world.now();
        let resolved = with_journal(&self.register.journal, move |_| {
            resolve(&register, me, now, place, settlement)
        });
        let Resolution { key, outcome } = resolved.await?;
        match &outcome {
            Outcome::Created(made) => {
                tracing::info!(%key, "key confirmed by all members");
                self.register.events.finish(task);
                self.activation.activate(made.aux).await;
            }
            Outcome::Reshared(_)
            | Outcome::Signed(_)
            | Outcome::Refused(_)
            | Outcome::Failed(_)
            | Outcome::Intact(_) => {
                log_resolution(task, key, &outcome);
                self.register.events.finish(task);
                self.moved(key).await;
            }
        }
        self.reporter.send(FromNode::Outcome { task, outcome });
        Ok(())
    }

    /// Brings the secrets file, the tables and the public record in line after a commit to the
    /// journal that moved a key.
    pub async fn moved(self: &Arc<Self>, key: KeyId) {
        let switching = self.clone();
        let now = self.world.now();
        let aligned = with_journal(&self.register.journal, move |_| {
            switching.switch.alone().align(now, key)
        });
        match aligned.await {
            Ok(record) => {
                let active = record.filter(|record| record.status == KeyStatus::Active);
                self.activation
                    .activate(active.and_then(|record| record.descriptor.aux))
                    .await;
            }
            Err(error) => {
                tracing::error!(%key, %error, "cannot bring the secrets file in line with the journal")
            }
        }
        self.changed.notify_one();
    }
}

/// Records that this node has stored: its acknowledgement may be out from here on. `created`: when
/// the reshare was ordered.
pub fn prepare(
    journal: &Journal,
    now: UnixMillis,
    task: TaskId,
    next: KeyDescriptor,
    joins: bool,
    created: UnixMillis,
) -> Result<(), WriteJournalError> {
    let descriptor = next;
    let opened = now;
    let stage = ReshareStage::InDoubt;
    journal.prepare_reshare(PreparedReshare {
        task,
        descriptor,
        joins,
        opened,
        stage,
        created,
    })
}

fn stored(own: &NodeKey, task: TaskId, next: &KeyDescriptor) -> FromNode {
    let signature = own.sign(next.digest().as_bytes()).to_vec();
    let ack = SignedAck {
        node: own.id(),
        signature,
    };
    let descriptor = Box::new(KeyDescriptor {
        acks: vec![ack],
        ..next.clone()
    });
    FromNode::Stored { task, descriptor }
}

/// A settlement that does not apply is routine; a failing journal is not.
fn not_applied(task: TaskId, what: &str, error: &ParticipantError) {
    match error {
        ParticipantError::Unfit(_) => {
            tracing::debug!(%task, %error, "ignored {what}")
        }
        _ => tracing::error!(%task, %error, "{what} could not be applied; it will be sent again"),
    }
}

/// Ends a task that is in doubt here, if the settlement applies, and tells receivers.
/// Waits for the disk.
pub fn resolve(
    register: &Register,
    me: NodeId,
    now: UnixMillis,
    (task, key): (TaskId, KeyId),
    settlement: Settlement,
) -> Result<Resolution, ParticipantError> {
    let doubt = InDoubt::read(&register.journal, task, key)?;
    let Resolved {
        commit,
        kind,
        key,
        outcome,
    } = doubt.resolve(me, task, settlement)?;
    register.commit(now, task, kind, commit)?;
    Ok(Resolution { key, outcome })
}

/// The end of a task that was in doubt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolution {
    /// The key that the task made or moved.
    pub key: KeyId,
    /// The outcome to report to the coordinator.
    pub outcome: Outcome,
}

fn log_resolution(task: TaskId, key: KeyId, outcome: &Outcome) {
    match outcome {
        Outcome::Reshared(next) => {
            let generation = next.generation;
            tracing::info!(%task, %key, generation, "reshare settled: the next generation is in force");
        }
        Outcome::Failed(failure) => {
            tracing::warn!(%task, %key, code = %failure.code, reason = %failure.text, "the reshare failed");
        }
        Outcome::Created(_) | Outcome::Signed(_) | Outcome::Refused(_) | Outcome::Intact(_) => {}
    }
}

/// The news in a generation shown to this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Learned {
    /// All of it was known already.
    Nothing,
    /// More members are known to have it in force.
    Acks,
    /// A reshare that this node has prepared is in force.
    Settled,
    /// The key has moved on without this node.
    Passed,
}

/// Takes in a generation with all its acknowledgements, from any source. It is in force from here
/// on at a party that has prepared it. For another holder it must follow from the generation
/// which that holder knows.
pub fn learn(
    register: &Register,
    me: NodeId,
    now: UnixMillis,
    proof: &GenerationProof,
) -> Result<Learned, ParticipantError> {
    let journal = &register.journal;
    let next = &proof.descriptor;
    let Concern { record, party } = Concern::of(journal, next)?;
    let kept = journal
        .generation(&next.key, next.generation)?
        .filter(|kept| kept.is(next));
    if kept.as_ref().is_none_or(|kept| !kept.covers(proof))
        && !(next.has_all_acks() && proof.acks_verify())
    {
        return Err(Unfit::Unproven.into());
    }
    let learned = match (party, record) {
        (Some(prepared), _) if prepared.stage != ReshareStage::Committed => {
            let settlement = Settlement::AllStored(next.clone().into());
            resolve(register, me, now, (next.task, next.key), settlement)?;
            Learned::Settled
        }
        (_, Some(record)) if next.generation > record.descriptor.generation => {
            pass(journal, me, now, &record, next)?;
            Learned::Passed
        }
        (_, Some(record)) if record.descriptor.digest() == next.digest() && kept.is_none() => {
            journal.keep_generation(next.clone())?;
            Learned::Nothing
        }
        (_, Some(_)) if kept.is_none() => {
            return Err(Unfit::Unfit("this node does not know this generation of the key").into());
        }
        (Some(_), _) | (None, Some(_)) => Learned::Nothing,
        (None, None) => return Err(Unfit::Unfit("this node knows no such key").into()),
    };
    let acks = journal.in_force(next.key, next.generation, proof.in_force.clone())?;
    Ok(if learned == Learned::Nothing && acks == Written::Now {
        Learned::Acks
    } else {
        learned
    })
}

/// A node's relation to a generation.
struct Concern {
    /// The key as this node knows it.
    record: Option<KeyRecord>,
    /// Present if this node is a party and has stored.
    party: Option<PreparedReshare>,
}

impl Concern {
    fn of(journal: &Journal, next: &KeyDescriptor) -> Result<Self, ParticipantError> {
        let record = journal
            .key(&next.key)?
            .filter(|record| record.status != KeyStatus::Pending);
        let party = journal.prepared(&next.task)?;
        let party = party.filter(|party| party.descriptor.digest() == next.digest());
        if record.is_some() || party.is_some() {
            Ok(Self { record, party })
        } else {
            Err(Unfit::Unfit("this node knows no such key").into())
        }
    }
}

/// Records that a key moves on without this node.
fn pass(
    journal: &Journal,
    me: NodeId,
    now: UnixMillis,
    record: &KeyRecord,
    next: &KeyDescriptor,
) -> Result<(), ParticipantError> {
    let unfit = |why| Err(Unfit::Unfit(why).into());
    if !next.succeeds(&record.descriptor) {
        return unfit("it does not follow from the generation that this node knows");
    }
    if next.committee.index_of(&me).is_some() {
        let text = format!(
            "this node is a member of {} of generation {}, and knows only generation {}: its store is older than what it signed, restore the newest backup",
            next.key, next.generation, record.descriptor.generation
        );
        journal.alarm_once(now, &text)?;
        return unfit("this node itself signed a later generation that it does not have");
    }
    let mut known = journal.prepared_reshares_of(&next.key)?.into_iter();
    if known.any(|known| known.stage == ReshareStage::InDoubt) {
        return unfit("a reshare of the key waits to be settled here; settle it first");
    }
    journal.replace(now, next.clone())?;
    Ok(())
}

/// Signs, once, that a generation is in force here, if that is durable: it is on record, and its
/// share is in the store. True if there is a new signature.
pub fn vouch(
    own: &NodeKey,
    journal: &Journal,
    vault: &Vault,
    place: (KeyId, u32),
) -> Result<bool, ParticipantError> {
    let me = own.id();
    let (key, generation) = place;
    let Some(kept) = journal.generation(&key, generation)? else {
        return Ok(false);
    };
    let descriptor = &kept.proof.descriptor;
    let signed = kept.proof.in_force.iter().any(|ack| ack.node == me);
    if generation == 0 || signed || descriptor.committee.index_of(&me).is_none() {
        return Ok(false);
    }
    let Some(record) = journal
        .key(&key)?
        .filter(|record| record.status != KeyStatus::Pending)
    else {
        return Ok(false);
    };
    let in_force = record.status == KeyStatus::Active
        && kept.is(&record.descriptor)
        && vault
            .held(key)?
            .is_some_and(|held| held.digest == descriptor.digest());
    // It was in force, and the key has moved on since.
    let was = record.descriptor.generation > generation
        && journal
            .prepared(&descriptor.task)?
            .is_some_and(|known| known.stage == ReshareStage::Committed);
    if !in_force && !was {
        return Ok(false);
    }
    let signature = own.sign(descriptor.in_force_digest().as_bytes()).to_vec();
    journal.in_force(
        key,
        generation,
        vec![SignedAck {
            node: me,
            signature,
        }],
    )?;
    Ok(true)
}

/// Destroys the share of a key that others hold now, once nobody needs it: `succession::old_share`.
/// `handed_on`: every party that could be reached was handed the proof. True if the share is gone.
pub fn release(
    journal: &Journal,
    vault: &Vault,
    now: UnixMillis,
    key: KeyId,
    handed_on: bool,
) -> Result<bool, ParticipantError> {
    let Some(record) = journal
        .key(&key)?
        .filter(|record| record.status == KeyStatus::Leaving)
    else {
        return Ok(false);
    };
    let newest = record.descriptor.generation;
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
            threshold: usize::from(kept.proof.descriptor.threshold.get()),
            handed_on,
        };
        due |= match succession::old_share(&evidence) {
            OldShare::Destroyed => true,
            OldShare::InUse | OldShare::Kept => false,
        };
    }
    if due {
        journal.release(key)?;
        key_switch::align(journal, vault, now, key)?;
    }
    Ok(due)
}

/// Returns the reports that open every link to the coordinator: the keys that this node
/// holds or has held, in frames of bounded length, its reshares in doubt, and those
/// that its operator abandoned.
pub fn news(own: &NodeKey, journal: &Journal) -> Result<Vec<FromNode>, ReadJournalError> {
    let mut news = holds(journal)?;
    news.extend(
        waiting(journal)?
            .iter()
            .map(|open| stored(own, open.task, &open.descriptor)),
    );
    for given_up in journal.prepared_reshares_at(ReshareStage::Abandoned)? {
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

/// Returns the key descriptors from the given generations on, for a coordinator that does not know
/// them: those of one key in order and without a gap, as many as fit into one answer.
pub fn shown(journal: &Journal, asked: &[Held]) -> Result<Vec<KeyDescriptor>, ReadJournalError> {
    let mut shown: Vec<KeyDescriptor> = Vec::new();
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

/// Returns the generations of a key from `from` to the newest known, in order. Those before a
/// gap are left out.
fn chain(journal: &Journal, key: KeyId, from: u32) -> Result<Vec<KeyDescriptor>, ReadJournalError> {
    let record = journal
        .key(&key)?
        .filter(|record| record.status != KeyStatus::Pending);
    let Some(newest) = record.filter(|record| record.descriptor.generation >= from) else {
        return Ok(Vec::new());
    };
    let mut chain = vec![newest.descriptor];
    while let Some(next) = chain
        .last()
        .filter(|next| next.generation > from && chain.len() < MAX_CHAIN)
    {
        let kept = journal
            .generation(&key, next.generation - 1)?
            .map(|kept| kept.proof.descriptor);
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

/// Returns the generation that a reshare started from, as its order says. Earlier versions of the
/// program kept no generations.
fn taken_from(
    journal: &Journal,
    next: &KeyDescriptor,
) -> Result<Option<KeyDescriptor>, ReadJournalError> {
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

/// Returns every generation of a key that this node can prove, with the signatures of members that
/// have it in force.
pub fn proofs(journal: &Journal, key: KeyId) -> Result<Vec<GenerationProof>, ReadJournalError> {
    let mut proofs = Vec::new();
    for descriptor in chain(journal, key, 0)? {
        let kept = journal
            .generation(&key, descriptor.generation)?
            .filter(|kept| kept.is(&descriptor));
        let in_force = kept.map(|kept| kept.proof.in_force).unwrap_or_default();
        proofs.push(GenerationProof {
            descriptor,
            in_force,
        });
    }
    Ok(proofs)
}

#[cfg(test)]
#[path = "participant_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "many_keys_tests.rs"]
mod many_keys_tests;

#[cfg(test)]
#[path = "participant_report_tests.rs"]
mod report_tests;
