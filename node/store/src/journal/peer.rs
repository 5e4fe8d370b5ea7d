//! How far each peer has come, as it said itself: a peer that says less than before was rolled
//! back.

use countersign_protocol::frame::{Mark, SignedMark};
use countersign_protocol::{NodeId, UnixMillis};
use redb::{ReadableTable, Table, TableDefinition, TableError, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::codec::{self, Stored};
use super::error::{ReadJournalError, WriteJournalError};

/// Node id to [`PeerMark`].
pub(super) const PEERS: TableDefinition<&'static [u8; 32], &'static [u8]> =
    TableDefinition::new("peers");

/// The most that a peer ever said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerMark {
    /// Generation of its secrets file.
    pub secrets: u64,
    /// Entries of its audit log.
    pub audit: u64,
    /// When it last said more than before.
    pub at: UnixMillis,
    /// What it signed. Absent: a program heard it that knew no signed marks.
    pub signed: Option<SignedMark>,
}

impl Stored for PeerMark {
    /// `signed: None`.
    const SINCE: &'static [&'static [u8]] = &[&[0]];
}

impl PeerMark {
    /// What a peer has signed.
    pub fn new(signed: SignedMark, at: UnixMillis) -> Self {
        let Mark { secrets, audit, .. } = signed.mark;
        Self {
            secrets,
            audit,
            at,
            signed: Some(signed),
        }
    }

    /// True if the peer said more than this before.
    pub fn is_contradicted_by(&self, said: &Mark) -> bool {
        match &self.signed {
            Some(signed) => said.contradicts(&signed.mark),
            None => self.secrets > said.secrets || self.audit > said.audit,
        }
    }

    /// True if it is news: it says no less than this in anything, and is not older.
    pub fn is_raised_by(&self, said: &Mark) -> bool {
        let later = self.signed.is_none_or(|signed| said.at >= signed.mark.at);
        later && said.secrets >= self.secrets && said.audit >= self.audit
    }
}

/// The open table.
pub(super) struct Peers<'t>(Table<'t, &'static [u8; 32], &'static [u8]>);

impl<'t> Peers<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, TableError> {
        Ok(Peers(transaction.open_table(PEERS)?))
    }

    /// Never lowers a mark.
    pub(super) fn raise(&mut self, peer: &NodeId, mark: PeerMark) -> Result<(), WriteJournalError> {
        let known = self
            .0
            .get(peer.as_bytes())?
            .map(|bytes| read(bytes.value()))
            .transpose()?;
        let said = Mark {
            at: mark.signed.map_or(mark.at, |signed| signed.mark.at),
            secrets: mark.secrets,
            audit: mark.audit,
        };
        if known.is_none_or(|known| known.is_raised_by(&said)) {
            self.0
                .insert(peer.as_bytes(), codec::encode(&mark).as_slice())?;
        }
        Ok(())
    }
}

pub(super) fn read(bytes: &[u8]) -> Result<PeerMark, ReadJournalError> {
    codec::decode(bytes).map_err(|error| ReadJournalError::record("peers", error))
}
