//! Events on their way to receivers: written in the same commit as the change that they tell of,
//! and kept until they are delivered.
//!
//! The journal knows neither an event's content nor its transport.

use countersign_protocol::{TaskId, UnixMillis};
use redb::{
    ReadableTable, ReadableTableMetadata, Table, TableDefinition, TableError, WriteTransaction,
};
use serde::{Deserialize, Serialize};

use super::codec::{self, Stored};
use super::error::WriteJournalError;
use super::read::read;
use super::written::{Done, Written};

/// Position in time to [`Delivery`].
pub(super) const OUTBOX: TableDefinition<u64, &'static [u8]> = TableDefinition::new("outbox");

/// The most rows that are kept. Beyond that the oldest delivery that was given up makes room; if
/// there is none, a new event is dropped, since a receiver that is away must not fill the disk.
pub const MAX_OUTBOX: u64 = 100_000;

/// An event as it enters the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// The task that it tells of, if it is about one.
    pub task: Option<TaskId>,
    /// Names of the receivers, each with a retry budget of its own.
    pub receivers: Vec<String>,
    /// The event's bytes, as they are sent.
    pub body: Vec<u8>,
}

/// One event for one receiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The receiver's name in the configuration.
    pub receiver: String,
    /// The event's bytes, as they are sent.
    pub body: Vec<u8>,
    /// The number of tries so far.
    pub tries: u32,
    /// The earliest time of the next try.
    pub next: UnixMillis,
    /// The reason why it was given up, if it was.
    pub given_up: Option<String>,
}

impl Stored for Delivery {}

/// The result of a try to deliver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tried {
    Delivered,
    Again { tries: u32, next: UnixMillis },
    GivenUp { tries: u32, why: String },
}

pub(super) struct Outbox<'t>(Table<'t, u64, &'static [u8]>);

impl<'t> Outbox<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, TableError> {
        Ok(Self(transaction.open_table(OUTBOX)?))
    }

    /// Adds the events of a change, if `written` says that there was one.
    pub(super) fn tell(
        &mut self,
        written: &Written,
        events: Vec<NewEvent>,
    ) -> Result<(), WriteJournalError> {
        let told = |event: &NewEvent| match written {
            Written::Now => true,
            Written::Already | Written::Pruned(_) => false,
            Written::Aborted(tasks) => event.task.is_some_and(|task| tasks.contains(&task)),
        };
        events
            .into_iter()
            .filter(told)
            .try_for_each(|event| self.post(event))
    }

    pub(super) fn post(&mut self, event: NewEvent) -> Result<(), WriteJournalError> {
        for receiver in event.receivers {
            if self.0.len()? >= MAX_OUTBOX && !self.make_room()? {
                return Ok(());
            }
            let position = self.0.last()?.map_or(0, |(last, _)| last.value() + 1);
            let delivery = Delivery {
                receiver,
                body: event.body.clone(),
                tries: 0,
                next: UnixMillis(0),
                given_up: None,
            };
            self.0
                .insert(position, codec::encode(&delivery).as_slice())?;
        }
        Ok(())
    }

    /// Removes the oldest delivery that was given up. False if there is none.
    fn make_room(&mut self) -> Result<bool, WriteJournalError> {
        let mut oldest = None;
        for entry in self.0.iter()? {
            let (position, bytes) = entry?;
            if codec::decode::<Delivery>(bytes.value())
                .is_ok_and(|delivery| delivery.given_up.is_some())
            {
                oldest = Some(position.value());
                break;
            }
        }
        let Some(position) = oldest else {
            return Ok(false);
        };
        self.0.remove(position)?;
        Ok(true)
    }

    /// Notes the result of a try.
    pub(super) fn tried(&mut self, position: u64, what: Tried) -> Done {
        let mut delivery: Delivery = match self.0.get(position)? {
            None => return Ok(Written::Already),
            Some(bytes) => read("outbox", bytes.value())?,
        };
        match what {
            Tried::Delivered => {
                self.0.remove(position)?;
                return Ok(Written::Now);
            }
            Tried::Again { tries, next } => (delivery.tries, delivery.next) = (tries, next),
            Tried::GivenUp { tries, why } => {
                (delivery.tries, delivery.given_up) = (tries, Some(why));
            }
        }
        self.0
            .insert(position, codec::encode(&delivery).as_slice())?;
        Ok(Written::Now)
    }
}

#[cfg(test)]
mod tests {
    use countersign_protocol::{Cause, Failure, Hash, Outcome};

    use super::*;
    use crate::{Decided, Evidence, Journal, OperationKind, Silent, TaskChange};

    const NOW: UnixMillis = UnixMillis(1_000);
    const TASK: TaskId = TaskId([1; 16]);

    fn journal() -> (tempfile::TempDir, Journal) {
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        let dir = tempfile::Builder::new()
            .permissions(private)
            .tempdir()
            .unwrap();
        let journal = Journal::create(dir.path()).unwrap();
        (dir, journal)
    }

    fn decided() -> Decided {
        Decided {
            task: TASK,
            hash: Hash([2; 32]),
            kind: OperationKind::KeySign,
            received_at: NOW,
            verdicts: Vec::new(),
            parties: Vec::new(),
            bytes: Vec::new(),
            evidence: Evidence::default(),
        }
    }

    fn failed(code: &str) -> Outcome {
        let code = code.into();
        let text = "text".into();
        let culprits = Vec::new();
        Outcome::Failed(Failure {
            cause: Cause::Peer,
            code,
            text,
            culprits,
        })
    }

    fn approved() -> TaskChange {
        TaskChange::Approve {
            row: decided().into(),
            state: Vec::new(),
        }
    }

    fn ended(code: &str) -> TaskChange {
        TaskChange::End {
            task: TASK,
            outcome: failed(code).into(),
            used: true,
            consequences: Box::default(),
        }
    }

    fn event(body: &str) -> Vec<NewEvent> {
        let receivers = vec!["a".into(), "b".into()];
        vec![NewEvent {
            task: Some(TASK),
            receivers,
            body: body.as_bytes().to_vec(),
        }]
    }

    fn bodies(journal: &Journal, receiver: &str) -> Vec<String> {
        let waiting = journal.outbox(receiver, 1000).unwrap();
        waiting
            .into_iter()
            .map(|(_, delivery)| String::from_utf8(delivery.body).unwrap())
            .collect()
    }

    #[test]
    fn an_event_shares_the_commit_of_what_it_tells() {
        let (_dir, journal) = journal();
        let before = journal.commits();
        journal.commit(NOW, approved(), event("approved")).unwrap();
        journal.commit(NOW, ended("x"), event("ended")).unwrap();
        assert_eq!(journal.commits(), before + 2);
        assert_eq!(bodies(&journal, "a"), ["approved", "ended"]);
        assert_eq!(bodies(&journal, "b"), ["approved", "ended"]);
    }

    #[test]
    fn what_was_not_written_is_not_told() {
        let (_dir, journal) = journal();
        journal.approve(NOW, decided(), Vec::new()).unwrap();
        journal.commit(NOW, approved(), event("twice")).unwrap_err();
        journal.end(NOW, TASK, failed("x")).unwrap();
        journal.commit(NOW, ended("x"), event("again")).unwrap();
        journal.commit(NOW, ended("y"), event("other")).unwrap_err();
        assert!(bodies(&journal, "a").is_empty());
    }

    #[test]
    fn a_restart_tells_of_the_tasks_that_it_ends() {
        let (_dir, journal) = journal();
        journal.approve(NOW, decided(), Vec::new()).unwrap();
        let mut events = event("ended");
        events.push(NewEvent {
            task: Some(TaskId([9; 16])),
            ..event("not under way").remove(0)
        });
        let in_doubt = Vec::new();
        let written = journal.commit(NOW, TaskChange::AbortUnfinished { in_doubt }, events);
        assert_eq!(written.unwrap(), Written::Aborted(vec![TASK]));
        assert_eq!(bodies(&journal, "a"), ["ended"]);
    }

    #[test]
    fn deliveries_are_kept_until_they_succeed_or_are_given_up() {
        let (dir, journal) = journal();
        journal.post(event("x")).unwrap();
        assert_eq!(journal.outbox_len().unwrap(), 2);
        let (position, first) = journal.outbox("a", 1).unwrap().remove(0);
        assert_eq!((first.tries, first.next), (0, UnixMillis(0)));
        journal.try_again(position, 1, UnixMillis(7)).unwrap();
        drop(journal);
        let journal = Journal::open(dir.path()).unwrap();
        let (position, again) = journal.outbox("a", 1).unwrap().remove(0);
        assert_eq!((again.tries, again.next), (1, UnixMillis(7)));
        journal.delivered(position).unwrap();
        assert!(bodies(&journal, "a").is_empty());
        let (position, _) = journal.outbox("b", 1).unwrap().remove(0);
        journal.give_up(position, 2, "gone\nfor good").unwrap();
        assert!(bodies(&journal, "b").is_empty());
        let given_up = journal.given_up(10).unwrap().remove(0).1;
        assert_eq!(
            (given_up.tries, given_up.given_up.as_deref()),
            (2, Some("gone\\u{a}for good"))
        );
        journal.delivered(position).unwrap();
        journal.delivered(position).unwrap();
    }
}
