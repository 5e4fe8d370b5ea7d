//! The outbox: events that wait for their receivers.

use countersign_protocol::UnixMillis;
use countersign_protocol::text::printable;
use redb::{ReadableTable, ReadableTableMetadata};

use super::Journal;
use crate::journal::audit::MAX_TEXT;
use crate::journal::error::{ReadJournalError, WriteJournalError};
use crate::journal::operation::Operation;
use crate::journal::outbox::{Delivery, NewEvent, OUTBOX, Tried};
use crate::journal::read::read;

impl Journal {
    /// Adds events that tell of no change in the journal.
    pub fn post(&self, events: Vec<NewEvent>) -> Result<(), WriteJournalError> {
        self.writer.run(Operation::Post(events)).map(drop)
    }

    /// The deliveries that wait for `receiver`, oldest first, at most `limit`, with positions.
    pub fn outbox(
        &self,
        receiver: &str,
        limit: usize,
    ) -> Result<Vec<(u64, Delivery)>, ReadJournalError> {
        let wanted =
            |delivery: &Delivery| delivery.receiver == receiver && delivery.given_up.is_none();
        self.deliveries(limit, wanted)
    }

    /// The deliveries that were given up, oldest first, at most `limit`, with positions.
    pub fn given_up(&self, limit: usize) -> Result<Vec<(u64, Delivery)>, ReadJournalError> {
        self.deliveries(limit, |delivery| delivery.given_up.is_some())
    }

    /// The number of deliveries that are kept, including those that were given up.
    pub fn outbox_len(&self) -> Result<u64, ReadJournalError> {
        Ok(self
            .later_table(OUTBOX)?
            .map_or(Ok(0), |table| table.len())?)
    }

    fn deliveries(
        &self,
        limit: usize,
        wanted: impl Fn(&Delivery) -> bool,
    ) -> Result<Vec<(u64, Delivery)>, ReadJournalError> {
        self.look(|| {
            let Some(table) = self.later_table(OUTBOX)? else {
                return Ok(Vec::new());
            };
            let mut found = Vec::new();
            for entry in table.iter()? {
                let (position, bytes) = entry?;
                let delivery = read("outbox", bytes.value())?;
                if found.len() == limit {
                    break;
                }
                if wanted(&delivery) {
                    found.push((position.value(), delivery));
                }
            }
            Ok(found)
        })
    }

    /// Removes a delivery that the receiver has.
    pub fn delivered(&self, position: u64) -> Result<(), WriteJournalError> {
        self.writer
            .run(Operation::Tried {
                position,
                what: Tried::Delivered,
            })
            .map(drop)
    }

    /// Notes that a try failed, and that the next is due at `next`.
    pub fn try_again(
        &self,
        position: u64,
        tries: u32,
        next: UnixMillis,
    ) -> Result<(), WriteJournalError> {
        self.writer
            .run(Operation::Tried {
                position,
                what: Tried::Again { tries, next },
            })
            .map(drop)
    }

    /// Notes that the last try failed. The row is kept for the operator.
    pub fn give_up(&self, position: u64, tries: u32, why: &str) -> Result<(), WriteJournalError> {
        let what = Tried::GivenUp {
            tries,
            why: printable(why, MAX_TEXT),
        };
        self.writer
            .run(Operation::Tried { position, what })
            .map(drop)
    }
}
