//! High-water marks: each peer's progress as the peer stated it. If it falls, the peer was rolled
//! back to an older state.

use countersign_protocol::frame::{Mark, SignedMark};
use countersign_protocol::{NodeId, UnixMillis};
use redb::{ReadableTable, Table, TableDefinition, TableError, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::codec::{self, Stored};
use super::error::WriteJournalError;
use super::read::read;

/// Node id to [`PeerMark`].
pub(super) const PEERS: TableDefinition<&'static [u8; 32], &'static [u8]> =
    TableDefinition::new("peers");

/// The highest progress that a peer ever stated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerMark {
    /// The generation of its secrets file.
    pub secrets: u64,
    /// The number of entries of its audit log.
    pub audit: u64,
    /// The time at which it last stated more than before.
    pub at: UnixMillis,
    /// The mark as the peer signed it. Absent if the program that recorded it knew no signed marks.
    pub signed: Option<SignedMark>,
}

impl Stored for PeerMark {
    /// `signed: None`.
    const SINCE: &'static [&'static [u8]] = &[&[0]];
}

impl PeerMark {
    /// The mark of a peer, heard at `at`.
    pub fn new(signed: SignedMark, at: UnixMillis) -> Self {
        let Mark { secrets, audit, .. } = signed.mark;
        Self {
            secrets,
            audit,
            at,
            signed: Some(signed),
        }
    }

    /// True if `said` is less than this mark: the peer was rolled back.
    pub fn is_contradicted_by(&self, said: &Mark) -> bool {
        match &self.signed {
            Some(signed) => said.contradicts(&signed.mark),
            None => self.secrets > said.secrets || self.audit > said.audit,
        }
    }

    /// True if `said` is no less than this mark in any number, and not older.
    pub fn is_raised_by(&self, said: &Mark) -> bool {
        let later = self.signed.is_none_or(|signed| said.at >= signed.mark.at);
        later && said.secrets >= self.secrets && said.audit >= self.audit
    }
}

pub(super) struct Peers<'t>(Table<'t, &'static [u8; 32], &'static [u8]>);

impl<'t> Peers<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, TableError> {
        Ok(Self(transaction.open_table(PEERS)?))
    }

    /// Raises a peer's mark; never lowers it.
    pub(super) fn raise(&mut self, peer: &NodeId, mark: PeerMark) -> Result<(), WriteJournalError> {
        let known = self
            .0
            .get(peer.as_bytes())?
            .map(|bytes| read::<PeerMark>("peers", bytes.value()))
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
