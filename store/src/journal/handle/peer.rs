//! Peers: their high-water marks and quarantines, and keys that were stopped.

use countersign_protocol::{KeyId, NodeId, UnixMillis};

use super::Journal;
use crate::journal::error::{ReadJournalError, WriteJournalError};
use crate::journal::operation::Operation;
use crate::journal::peer::{PEERS, PeerMark};
use crate::journal::quarantine::{QUARANTINE, Quarantine, STOPS, Stop, read_all};
use crate::journal::read::read;
use crate::journal::written::Written;

impl Journal {
    /// Remembers a peer's progress. A known mark never falls.
    pub fn raise_peer(&self, peer: NodeId, mark: PeerMark) -> Result<(), WriteJournalError> {
        self.writer.run(Operation::RaisePeer(peer, mark)).map(drop)
    }

    /// The highest progress that a peer ever stated.
    pub fn peer(&self, peer: &NodeId) -> Result<Option<PeerMark>, ReadJournalError> {
        self.look(|| {
            let Some(table) = self.later_table(PEERS)? else {
                return Ok(None);
            };
            table
                .get(peer.as_bytes())?
                .map(|mark| read("peers", mark.value()))
                .transpose()
        })
    }

    /// Keeps a peer away from a key, with an alarm in the audit log. A peer that is kept away
    /// already stays so for its first reason.
    pub fn quarantine(&self, new: Quarantine) -> Result<Written, WriteJournalError> {
        self.writer.run(Operation::Quarantine(Box::new(new)))
    }

    /// Ends a quarantine. [`Written::Already`] if there is none.
    pub fn lift(
        &self,
        now: UnixMillis,
        key: KeyId,
        peer: NodeId,
    ) -> Result<Written, WriteJournalError> {
        self.writer.run(Operation::Lift { now, key, peer })
    }

    /// Lifts all stops of a key. [`Written::Already`] if there is none.
    pub fn start_again(&self, now: UnixMillis, key: KeyId) -> Result<Written, WriteJournalError> {
        self.writer.run(Operation::StartAgain { now, key })
    }

    /// The peers that are kept away from a key, each with its reason.
    pub fn quarantines(&self) -> Result<Vec<Quarantine>, ReadJournalError> {
        self.look(|| {
            let Some(table) = self.later_table(QUARANTINE)? else {
                return Ok(Vec::new());
            };
            read_all(&table, "quarantine")
        })
    }

    /// The keys that no longer sign, with certain signers or at all.
    pub fn stops(&self) -> Result<Vec<Stop>, ReadJournalError> {
        self.look(|| {
            let Some(table) = self.later_table(STOPS)? else {
                return Ok(Vec::new());
            };
            read_all(&table, "stops")
        })
    }
}
