//! How far each peer has come, as it said itself: a peer that says less than before was rolled back.

use super::error::{ReadJournalError, WriteJournalError};
use super::operation::PEERS;
use super::row;
use countersign_protocol::frame::HighWater;
use countersign_protocol::{NodeId, UnixMillis};
use redb::{ReadableTable, Table, TableError, WriteTransaction};
use serde::{Deserialize, Serialize};

/// The most that a peer ever said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerMark {
    /// Generation of its secrets file.
    pub secrets: u64,
    /// Entries of its audit log.
    pub audit: u64,
    /// When it last said more than before.
    pub at: UnixMillis,
}

impl PeerMark {
    /// True if the peer had said more than this.
    pub fn is_above(&self, said: &HighWater) -> bool {
        self.secrets > said.secrets || self.audit > said.audit
    }
}

/// The open table.
pub(super) struct Peers<'t>(Table<'t, &'static [u8; 32], &'static [u8]>);

impl<'t> Peers<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Peers<'t>, TableError> {
        Ok(Peers(transaction.open_table(PEERS)?))
    }

    /// Never lowers a mark.
    pub(super) fn raise(&mut self, peer: &NodeId, mark: PeerMark) -> Result<(), WriteJournalError> {
        let known = self.0.get(peer.as_bytes())?.map(|bytes| read(bytes.value())).transpose()?;
        let (secrets, audit) = known.map_or((0, 0), |known| (known.secrets, known.audit));
        let mark = PeerMark { secrets: mark.secrets.max(secrets), audit: mark.audit.max(audit), at: mark.at };
        self.0.insert(peer.as_bytes(), row::encode(&mark).as_slice())?;
        Ok(())
    }
}

pub(super) fn read(bytes: &[u8]) -> Result<PeerMark, ReadJournalError> {
    row::decode(bytes).map_err(|error| ReadJournalError::record("peers", error))
}
