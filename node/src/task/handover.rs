//! A reshare from the moment that this node has stored for it until everybody knows what became of it.
//!
//! Two phases. Every party stores what it will hold and signs that it has: the next share beside the present one, or, for
//! one that leaves, the record that its share will go. Only with the marks of **all** parties does the next generation come
//! into force, and then each node destroys its old share. In between a node keeps both shares and signs with the present one.
//! It learns the end in one of four ways: all marks in the session or from the coordinator ([`settle`]); a party's signed
//! word that it never stored, so that its mark can never be there ([`void`]); or its operator's decision ([`adopt`],
//! [`abandon`]). Words can be false: what was stored for a reshare that came to nothing sleeps until the key's next switch, and
//! all marks revive it.
//!
//! The journal decides: a commit there is the switch, and the secrets file follows ([`align`]), after a crash too.

use crate::core::Core;
use crate::vault::{Vault, VaultError};
use countersign_protocol::control::{FromNode, Held, MAX_GENERATIONS, MAX_HELD};
use countersign_protocol::outcome::{ABANDONED, void_digest};
use countersign_protocol::{
    Announcement, Cause, Failure, IdentitySigner, KeyId, NodeId, Outcome, StoredMark, TaskId, UnixMillis,
};
use countersign_store::{
    Handover, HandoverStage, Journal, KeyRecord, KeyStatus, ReadJournalError, Row, State, TaskKind,
    WriteJournalError,
};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How often a node that waits says so.
const AGAIN: Duration = Duration::from_secs(15);

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
    #[error("{0}")]
    Unfit(&'static str),
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

/// Records that this node has stored: its mark may be out from here on.
pub fn open(core: &Core, task: TaskId, next: Announcement, joins: bool) -> Result<(), WriteJournalError> {
    let (announcement, opened) = (next, core.now());
    core.journal.open_handover(Handover { task, announcement, joins, opened, stage: HandoverStage::Open })
}

/// Tells the coordinator that this node has stored, with its mark.
pub fn report(core: &Core, task: TaskId, next: &Announcement) {
    core.reporter.send(stored(core.me, &*core.signer, task, next));
}

fn stored(me: NodeId, signer: &dyn IdentitySigner, task: TaskId, next: &Announcement) -> FromNode {
    let signature = signer.sign(next.digest().as_bytes()).to_vec();
    let mark = StoredMark { node: me, signature };
    let announcement = Box::new(Announcement { stored: vec![mark], ..next.clone() });
    FromNode::Stored { task, announcement }
}

/// Tells the coordinator, if it is so, that this node never stored for a reshare that has ended here.
pub fn report_void(core: &Core, row: &Row) {
    match never_stored(&core.journal, row) {
        Ok(false) => {}
        Ok(true) => {
            let signature = core.signer.sign(void_digest(row.hash).as_bytes()).to_vec();
            let mark = StoredMark { node: core.me, signature };
            core.reporter.send(FromNode::Void { task: row.task, mark });
        }
        Err(error) => tracing::error!(task = %row.task, %error, "whether this node stored is not known"),
    }
}

/// True of a reshare that is over here and for which no mark was ever signed: none ever will be, since nothing is resumed.
pub fn never_stored(journal: &Journal, row: &Row) -> Result<bool, ReadJournalError> {
    let over =
        matches!(&row.state, State::Ended { outcome, .. } if !matches!(**outcome, Outcome::Reshared(_)));
    Ok(row.kind == TaskKind::KeyReshare && over && journal.handover(&row.task)?.is_none())
}

/// The reshares that wait for others.
pub fn waiting(journal: &Journal) -> Result<Vec<Handover>, ReadJournalError> {
    let open = journal.handovers()?.into_iter();
    Ok(open.filter(|handover| handover.stage == HandoverStage::Open).collect())
}

/// Says again, until the node stops, what it waits for, should the coordinator have lost it. A new link says it at once
/// ([`news`]).
pub async fn follow(core: Arc<Core>) {
    let mut again = tokio::time::interval_at(Instant::now() + AGAIN, AGAIN);
    again.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while core.stopping.run_until_cancelled(again.tick()).await.is_some() {
        match core.journal(waiting).await {
            Ok(open) => open.iter().for_each(|known| report(&core, known.task, &known.announcement)),
            Err(error) => tracing::error!(%error, "what waits for others is not known"),
        }
    }
}

/// The outcome of a reshare whose marks are all there: [`adopt`], where this node waits for it.
pub async fn settle(core: &Arc<Core>, task: TaskId, announcement: Announcement) {
    let (now, told) = (core.now(), core.clone());
    let settled = core.journal(move |journal| {
        let what =
            crate::events::what_of(&told.events, task, &Outcome::Reshared(announcement.clone()), now.0);
        let journal = journal.telling(told.events.tell(journal, task, what));
        adopt(&journal, now, task, announcement)
    });
    match settled.await {
        Ok(announcement) => {
            tracing::info!(%task, key = %announcement.key, generation = announcement.generation, "reshare settled: the next generation is in force");
            core.tally.task(TaskKind::KeyReshare, crate::metrics::Ended::Succeeded);
            core.events.finish(task);
            moved(core, announcement.key).await;
            core.reporter.send(FromNode::Outcome { task, outcome: Outcome::Reshared(announcement) });
        }
        Err(error) => not_taken(task, "a settlement", &error),
    }
}

/// What does not fit is no news; that the journal failed is.
fn not_taken(task: TaskId, what: &str, error: &HandoverError) {
    match error {
        HandoverError::Unfit(_) => tracing::debug!(%task, %error, "{what} was ignored"),
        _ => tracing::error!(%task, %error, "{what} was not taken; it will be told again"),
    }
}

/// Puts the next generation in force: everybody's mark over exactly what is stored here must be there. That outweighs whatever
/// was believed of the reshare before, for the others have switched.
pub fn adopt(
    journal: &Journal,
    now: UnixMillis,
    task: TaskId,
    announcement: Announcement,
) -> Result<Announcement, HandoverError> {
    let (row, handover) = known(journal, task)?;
    if handover.announcement.digest() != announcement.digest() {
        return Err(HandoverError::Unfit("it is another generation than the one stored here; compare both"));
    }
    let marked = |node: &NodeId| announcement.stored.iter().any(|mark| mark.node == *node);
    if !announcement.is_complete() || !row.parties.iter().all(marked) {
        return Err(HandoverError::Unfit(
            "not every party's mark is there and verifies; get the missing ones first",
        ));
    }
    match handover.stage {
        HandoverStage::Open => drop(journal.end(now, task, Outcome::Reshared(announcement.clone()))?),
        HandoverStage::Switched => return Err(HandoverError::Unfit("it is in force already")),
        HandoverStage::Void | HandoverStage::Abandoned => {
            let present = journal.key(&announcement.key)?.map(|record| record.announcement.generation);
            if present.is_some_and(|present| present + 1 != announcement.generation) {
                return Err(HandoverError::Unfit(
                    "the key has come further here; compare all members' generations",
                ));
            }
            journal.revive(now, task, announcement.clone())?;
        }
    }
    Ok(announcement)
}

/// A party's word that it never stored: the present generation stays.
pub async fn void(core: &Arc<Core>, task: TaskId, mark: StoredMark) {
    let (me, now) = (core.me, core.now());
    match core.journal(move |journal| believe_void(journal, me, now, task, &mark)).await {
        Ok((key, failure)) => {
            tracing::warn!(%task, %key, "the reshare came to nothing: a party never stored its part");
            core.events.finish(task);
            moved(core, key).await;
            core.reporter.send(FromNode::Outcome { task, outcome: Outcome::Failed(failure) });
        }
        Err(error) => not_taken(task, "a void", &error),
    }
}

fn believe_void(
    journal: &Journal,
    me: NodeId,
    now: UnixMillis,
    task: TaskId,
    mark: &StoredMark,
) -> Result<(KeyId, Failure), HandoverError> {
    let (row, handover) = unsettled(journal, task)?;
    if mark.node == me || !row.parties.contains(&mark.node) || !mark.verifies(&void_digest(row.hash)) {
        return Err(HandoverError::Unfit("it is not the word of another party"));
    }
    let failure = failed(
        "reshare-void",
        format!("{} never stored its part; see why in its log, then try again with a new task", mark.node),
        vec![mark.node],
    );
    journal.close_handover(now, task, HandoverStage::Void, failure.clone())?;
    Ok((handover.announcement.key, failure))
}

/// The operator says that nobody switched and nobody will: the present generation stays.
pub fn abandon(journal: &Journal, now: UnixMillis, task: TaskId) -> Result<(), HandoverError> {
    unsettled(journal, task)?;
    let text = "this node's operator abandoned the reshare; try again with a new task".to_owned();
    journal.close_handover(now, task, HandoverStage::Abandoned, failed(ABANDONED, text, Vec::new()))?;
    Ok(())
}

/// A key that went on without this node: every step must have been taken by a quorum of the step before.
pub async fn replaced(core: &Arc<Core>, generations: Vec<Announcement>) {
    let Some(first) = generations.first().filter(|_| generations.len() <= MAX_GENERATIONS) else { return };
    let (key, me, now) = (first.key, core.me, core.now());
    let replaced = core.journal(move |journal| replace(journal, me, now, &generations));
    match replaced.await {
        Ok(Some(generation)) => {
            tracing::warn!(%key, generation, "the key was handed over to others; this node's share of it is destroyed");
            moved(core, key).await;
            core.reporter.send(FromNode::Holds { keys: vec![Held { key, generation }] });
        }
        Ok(None) => {}
        Err(error) => tracing::warn!(%key, %error, "news of a key's later generations were not believed"),
    }
}

fn replace(
    journal: &Journal,
    me: NodeId,
    now: UnixMillis,
    generations: &[Announcement],
) -> Result<Option<u32>, HandoverError> {
    let unfit = |why| Err(HandoverError::Unfit(why));
    let Some(record) = generations.first().map(|first| journal.key(&first.key)).transpose()?.flatten() else {
        return unfit("this node knows no such key");
    };
    let mut present = &record.announcement;
    // What is known already may be told again.
    for next in generations.iter().filter(|next| next.generation > record.announcement.generation) {
        if !next.succeeds(present) {
            return unfit("a generation lacks the marks of a quorum of the one before");
        }
        present = next;
    }
    if present.generation == record.announcement.generation || record.status == KeyStatus::Pending {
        return Ok(None);
    }
    if present.committee.index_of(&me).is_some() {
        let text = format!(
            "this node is a member of {} of generation {}, and knows only generation {}: its store is older than what it signed, restore the newest backup",
            present.key, present.generation, record.announcement.generation
        );
        journal.alarm(now, None, &text)?;
        return unfit("this node itself signed a later generation that it does not have");
    }
    if waiting(journal)?.iter().any(|open| open.announcement.key == present.key) {
        return unfit("a reshare of the key waits to be settled here; settle it first");
    }
    journal.replace(now, present.clone())?;
    Ok(Some(present.generation))
}

/// What the coordinator is told with every new link: which keys this node holds or has held, in frames of bounded length,
/// which reshares wait for others, and which its operator gave up.
pub fn news(
    me: NodeId,
    signer: &dyn IdentitySigner,
    journal: &Journal,
) -> Result<Vec<FromNode>, ReadJournalError> {
    let mut news = holds(journal)?;
    news.extend(waiting(journal)?.iter().map(|open| stored(me, signer, open.task, &open.announcement)));
    for given_up in journal.handovers()?.iter().filter(|known| known.stage == HandoverStage::Abandoned) {
        if let Some(State::Ended { outcome, .. }) = journal.row(&given_up.task)?.map(|row| row.state) {
            news.push(FromNode::Outcome { task: given_up.task, outcome: *outcome });
        }
    }
    Ok(news)
}

fn holds(journal: &Journal) -> Result<Vec<FromNode>, ReadJournalError> {
    let known = journal.keys()?.into_iter().filter(|record| record.status != KeyStatus::Pending);
    let held: Vec<Held> =
        known.map(|record| Held { key: record.key(), generation: record.announcement.generation }).collect();
    Ok(held.chunks(MAX_HELD).map(|keys| FromNode::Holds { keys: keys.to_vec() }).collect())
}

/// After a commit of the journal that moved a key: the secrets file, the tables and the public record follow.
pub async fn moved(core: &Arc<Core>, key: KeyId) {
    let (aligned, now) = (core.clone(), core.now());
    let aligned = tokio::task::spawn_blocking(move || {
        let _alone = aligned.aligning.lock().unwrap_or_else(PoisonError::into_inner);
        align(&aligned.journal, &aligned.vault, now, key)?;
        Ok::<_, HandoverError>(aligned.journal.key(&key)?)
    });
    match aligned.await {
        Ok(Ok(record)) => {
            let active = record.filter(|record| record.status == KeyStatus::Active);
            core.key_active(active.and_then(|record| record.announcement.aux)).await;
        }
        Ok(Err(error)) => tracing::error!(%key, %error, "the store does not follow the journal"),
        Err(error) => tracing::error!(%key, %error, "the storing thread died; report this with the log"),
    }
}

/// Brings the secrets file to what the journal says of a key. Does nothing where they agree, so it can be repeated; one at a time,
/// and never while a next share is being stored ([`Core::aligning`]): it would be taken for one that nobody needs.
pub fn align(journal: &Journal, vault: &Vault, now: UnixMillis, key: KeyId) -> Result<(), HandoverError> {
    let present = vault.stored_keys()?.into_iter().find(|share| share.key == key);
    let next = NextShares::of(journal, vault, key)?;
    next.strays.iter().try_for_each(|share| vault.drop_next_share(share))?;
    match journal.key(&key)? {
        Some(record)
            if record.status == KeyStatus::Released && (present.is_some() || !next.asleep.is_empty()) =>
        {
            vault.release_share(key, &next.asleep)?;
            Ok(journal.destroyed(now, record.announcement)?)
        }
        Some(record) if record.status == KeyStatus::Active => {
            promote(journal, vault, now, record.announcement, present, next)
        }
        Some(_) | None => Ok(()),
    }
}

/// The next shares of a key, by what became of their reshares.
#[derive(Default)]
struct NextShares {
    /// Without a record: stored the moment before a failure. No mark was signed for them, and none will be.
    strays: Vec<Announcement>,
    /// Of reshares that wait. Whatever else becomes of the key, they are kept.
    waiting: Vec<Announcement>,
    /// Of reshares that have ended, the one in force among them.
    asleep: Vec<Announcement>,
}

impl NextShares {
    fn of(journal: &Journal, vault: &Vault, key: KeyId) -> Result<NextShares, HandoverError> {
        let mut next = NextShares::default();
        for share in vault.next_keys()?.into_iter().filter(|share| share.key == key) {
            match journal.handover(&share.task)?.map(|known| known.stage) {
                None => next.strays.push(share),
                Some(HandoverStage::Open) => next.waiting.push(share),
                Some(_) => next.asleep.push(share),
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
    present: Option<Announcement>,
    next: NextShares,
) -> Result<(), HandoverError> {
    let is = |share: &&Announcement| share.digest() == record.digest();
    if present.iter().any(|share| is(&share)) {
        return Ok(());
    }
    let missing = HandoverError::ShareMissing { key: record.key, generation: record.generation };
    let promoted = next.asleep.iter().chain(&next.waiting).find(is).ok_or(missing)?;
    let doomed: Vec<Announcement> = next.asleep.iter().filter(|share| !is(share)).cloned().collect();
    vault.promote_share(promoted, &doomed)?;
    // Who holds the key for the first time has nothing to destroy.
    if present.is_some() {
        journal.destroyed(now, record)?;
    }
    Ok(())
}

/// At the start, before anything is signed: every key as the journal says.
pub fn align_all(journal: &Journal, vault: &Vault, now: UnixMillis) -> Result<(), HandoverError> {
    let mut keys: Vec<KeyId> = journal.keys()?.iter().map(KeyRecord::key).collect();
    keys.extend(vault.next_keys()?.iter().map(|next| next.key));
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        match align(journal, vault, now, key) {
            // The others keep working; a task of this key is refused where it opens the share.
            Err(error @ HandoverError::ShareMissing { .. }) => tracing::error!(%error, "a share is missing"),
            aligned => aligned?,
        }
    }
    Ok(())
}

/// A reshare for which this node has stored.
fn known(journal: &Journal, task: TaskId) -> Result<(Row, Handover), HandoverError> {
    let unfit = "this node has stored nothing for such a task; see `countersign-node task list`";
    journal.row(&task)?.zip(journal.handover(&task)?).ok_or(HandoverError::Unfit(unfit))
}

/// One that waits.
fn unsettled(journal: &Journal, task: TaskId) -> Result<(Row, Handover), HandoverError> {
    let unfit = "no reshare of this task waits to be settled here; see `countersign-node task list`";
    let (row, handover) = known(journal, task)?;
    match handover.stage {
        HandoverStage::Open => Ok((row, handover)),
        _ => Err(HandoverError::Unfit(unfit)),
    }
}

fn failed(code: &str, text: String, culprits: Vec<NodeId>) -> Failure {
    Failure { cause: Cause::Environment, code: code.into(), text, culprits }
}

#[cfg(test)]
#[path = "handover_tests.rs"]
mod tests;
