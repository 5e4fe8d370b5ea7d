//! Events: receivers are notified of the progress of tasks. They decide nothing, and nothing waits
//! for them.
//!
//! An event is written to the journal in the same commit as the change that it reports; `delivery`
//! delivers it, after a restart too. A receiver that is broken or unreachable delays no task.

mod delivery;
mod kind;
mod outcome;
mod receivers;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use countersign_host::{Event, Participant, Recording, What};
use countersign_protocol::{NodeId, Operation, SignedTask, TaskId};
use countersign_store::{Journal, NewEvent, OperationKind, Row};
use tokio::sync::Notify;

use crate::config::ReceiverEntry;
use crate::world::World;
pub(crate) use delivery::{Deliveries, deliver};
pub use kind::{UnknownEvent, Wanted};
pub use outcome::what_of;
pub use receivers::{LiveReceiver, ReceiverError, Receivers, check};

/// Creates the events for all configured receivers.
pub struct Events {
    me: NodeId,
    world: World,
    /// The names of receivers, each with the events that it wants.
    receivers: Vec<(String, BTreeSet<Wanted>)>,
    /// Tasks under way, as events describe them.
    open: Mutex<HashMap<TaskId, Subject>>,
    /// Wakes the delivery workers.
    fresh: Arc<Notify>,
}

/// A task as its events describe it.
#[derive(Clone)]
struct Subject {
    kind: OperationKind,
    question: Arc<countersign_host::Task>,
    /// Holders of the shares that it created, once this node knows them.
    participants: Vec<Participant>,
}

impl Events {
    /// Creates events for the receivers with these entries.
    pub fn new(me: NodeId, world: World, receivers: &[ReceiverEntry]) -> Self {
        let wants = |entry: &ReceiverEntry| (entry.plugin.name.clone(), entry.wanted.clone());
        let receivers = receivers
            .iter()
            .filter(|entry| !entry.wanted.is_empty())
            .map(wants);
        Self::told_to(me, world, receivers.collect())
    }

    /// Creates events for receivers given by name and wanted events.
    pub(crate) fn told_to(
        me: NodeId,
        world: World,
        receivers: Vec<(String, BTreeSet<Wanted>)>,
    ) -> Self {
        Self {
            me,
            world,
            receivers,
            open: Mutex::default(),
            fresh: Arc::default(),
        }
    }

    /// Registers a new task with the `question` that plugins will be asked about it.
    pub fn begin(&self, task: TaskId, kind: OperationKind, question: Arc<countersign_host::Task>) {
        if !self.receivers.is_empty() {
            let subject = Subject {
                kind,
                question,
                participants: Vec::new(),
            };
            self.lock().insert(task, subject);
        }
    }

    /// Records the holders of the shares that the task created.
    pub fn shares(&self, task: TaskId, participants: Vec<Participant>) {
        if let Some(subject) = self.lock().get_mut(&task) {
            subject.participants = participants;
        }
    }

    /// Forgets a task that is over, and wakes the delivery workers.
    pub fn finish(&self, task: TaskId) {
        self.lock().remove(&task);
        self.fresh.notify_waiters();
    }

    /// Returns the events to commit together with a change of the task. Reads the journal for a
    /// task that is not under way: call it where blocking is allowed.
    pub fn tell(&self, journal: &Journal, task: TaskId, what: What) -> Vec<NewEvent> {
        if self.receivers.is_empty() {
            return Vec::new();
        }
        let known = self.lock().get(&task).cloned();
        let Some(subject) = known.or_else(|| self.recorded(journal, task)) else {
            return Vec::new();
        };
        self.write(task, &subject, what).into_iter().collect()
    }

    /// Records events in the background, for changes that are not journalled otherwise.
    pub fn post(&self, journal: &Journal, task: TaskId, what: Vec<What>) {
        let Some(subject) = self.lock().get(&task).cloned() else {
            return;
        };
        let events: Vec<_> = what
            .into_iter()
            .filter_map(|what| self.write(task, &subject, what))
            .collect();
        if events.is_empty() {
            return;
        }
        let journal = journal.clone();
        let fresh = self.fresh.clone();
        tokio::task::spawn_blocking(move || match journal.post(events) {
            Ok(()) => fresh.notify_waiters(),
            Err(error) => {
                tracing::warn!(%task, %error, "an event was not recorded and will not be sent")
            }
        });
    }

    /// Returns the holders of a new key's shares, as far as this node knows them.
    fn participants(&self, task: TaskId) -> Vec<Participant> {
        self.lock()
            .get(&task)
            .map(|subject| subject.participants.clone())
            .unwrap_or_default()
    }

    fn write(&self, task: TaskId, subject: &Subject, what: What) -> Option<NewEvent> {
        let name = Wanted::of(subject.kind, &what)?;
        let wants = self
            .receivers
            .iter()
            .filter(|(_, wanted)| wanted.contains(&name));
        let receivers: Vec<String> = wants.map(|(receiver, _)| receiver.clone()).collect();
        if receivers.is_empty() {
            return None;
        }
        let event = Event {
            id: uuid(&self.world),
            at: self.world.now().0,
            node: self.me.to_string(),
            task: Some((*subject.question).clone()),
            raw: subject.question.raw.clone(),
            what,
        };
        let body = serde_json::to_vec(&event).inspect_err(
            |error| tracing::error!(%task, %error, "an event cannot be encoded; report this"),
        );
        Some(NewEvent {
            task: Some(task),
            receivers,
            body: body.ok()?,
        })
    }

    /// Restores a task that is over, or has been waiting since before a restart: as recorded with
    /// its decision, or else only ids and bytes.
    fn recorded(&self, journal: &Journal, task: TaskId) -> Option<Subject> {
        let row = journal.row(&task).ok().flatten()?;
        let recording = journal.recording(&task).ok().flatten();
        let recording =
            recording.and_then(|bytes| Recording::decode(&bytes, row.bytes.clone()).ok());
        let question = recording
            .and_then(|recording| recording.question)
            .unwrap_or_else(|| question_of(self.me, &row));
        Some(Subject {
            kind: row.kind,
            question: question.into(),
            participants: Vec::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TaskId, Subject>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Describes a task by its journal row alone: the requester's words, without facts about a key.
fn question_of(me: NodeId, row: &Row) -> countersign_host::Task {
    let nobody = || countersign_host::Principal {
        id: String::new(),
        name: String::new(),
    };
    let claimed = SignedTask {
        bytes: row.bytes.clone(),
        signature: [0; 64].into(),
    }
    .parse()
    .ok();
    let requester = claimed
        .as_ref()
        .map(|task| task.requester.to_string())
        .unwrap_or_default();
    let operation = match claimed.map(|task| task.operation) {
        Some(Operation::KeyGen(keygen)) => {
            countersign_host::Operation::Keygen(countersign_host::Keygen {
                scheme: keygen.scheme.to_string(),
                curve: keygen.scheme.curve().to_string(),
                threshold: keygen.threshold.get(),
                members: keygen
                    .committee
                    .members()
                    .iter()
                    .map(NodeId::to_string)
                    .collect(),
            })
        }
        Some(Operation::KeySign(_) | Operation::KeyReshare(_) | Operation::KeyShareSign(_))
        | None => unread(row.kind),
    };
    countersign_host::Task {
        id: row.task.to_string(),
        attempt: 1,
        received_at: row.received_at.0,
        requester: countersign_host::Principal {
            id: requester,
            name: String::new(),
        },
        coordinator: nobody(),
        node: me.to_string(),
        operation,
        extra: Vec::new(),
        raw: row.bytes.clone(),
    }
}

/// An operation of which only the kind is known.
pub fn unread(kind: OperationKind) -> countersign_host::Operation {
    countersign_host::Operation::Other(kind.name().into())
}

/// Generates a random UUID, version 4 of RFC 9562.
fn uuid(world: &World) -> String {
    let mut bytes: [u8; 16] = world.random();
    bytes[6] = bytes[6] & 0x0F | 0x40;
    bytes[8] = bytes[8] & 0x3F | 0x80;
    let hex = hex::encode(bytes);
    [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ]
    .join("-")
}

#[cfg(test)]
mod tests;
