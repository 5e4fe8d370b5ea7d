//! A member's half of the set-ups with all others, and its record.

use std::fmt;

use dkls23_core::utilities::multiplication::{MulReceiver, MulSender};
use dkls23_core::utilities::zero_shares::SeedPair;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::LIBRARY;
use super::convert::{Curve, member};
use crate::keygen::check_committee;
use crate::sealed::{DecodeError, Kind, open, seal};
use crate::session::labelled_hash;
use crate::{CommitteeIndex, PartyIndex};

const KIND: Kind = Kind {
    name: "dkls23 set-up",
    version: 1,
};

/// Upper bound of the record: 80 kB for each peer.
const CAPACITY: usize = 1 << 20;

/// A member's secrets for signing with each other member of its committee. As secret as a key
/// share: whoever has them of one signer, and is another, reads the first one's share. Destroy them
/// with the shares of their generation. Wiped when dropped.
pub struct Setup(Record);

/// All that is stored. The library's types wipe themselves, and print themselves: nothing here may
/// derive `Debug`.
#[derive(Serialize, Deserialize)]
pub(super) struct Record {
    /// The library that made it, as [`LIBRARY`].
    pub(super) library: String,
    /// Execution id of the run that made it.
    pub(super) run: [u8; 32],
    pub(super) index: CommitteeIndex,
    pub(super) parties: u16,
    pub(super) committee: [u8; 32],
    pub(super) generation: u64,
    /// Hash of each pair's transcript, in the order of [`all_pairs`].
    pub(super) transcripts: Vec<[u8; 32]>,
    /// The other members in order.
    pub(super) pairs: Vec<Pair>,
}

/// The secrets with one other member.
#[derive(Serialize, Deserialize)]
pub(super) struct Pair {
    pub(super) sender: MulSender<Curve>,
    pub(super) receiver: MulReceiver<Curve>,
    pub(super) seed: SeedPair,
}

/// Every pair of members, the lower position first.
pub(super) fn all_pairs(parties: u16) -> impl Iterator<Item = (u16, u16)> {
    (0..parties).flat_map(move |low| (low + 1..parties).map(move |high| (low, high)))
}

impl Setup {
    /// Checks the record that a run has made.
    pub(super) fn new(record: Record) -> Result<Self, DecodeError> {
        if consistent(&record) {
            Ok(Self(record))
        } else {
            Err(DecodeError::Inconsistent)
        }
    }

    /// The size of the committee.
    pub fn parties(&self) -> u16 {
        self.0.parties
    }

    /// The owner's position in the committee.
    pub fn index(&self) -> CommitteeIndex {
        self.0.index
    }

    /// The committee, as the caller named it.
    pub fn committee(&self) -> [u8; 32] {
        self.0.committee
    }

    /// The generation of shares that it was made for.
    pub fn generation(&self) -> u64 {
        self.0.generation
    }

    /// SHA-256 over the run and the transcripts of all pairs: equal at all members. It names the
    /// set-up.
    pub fn digest(&self) -> [u8; 32] {
        let record = &self.0;
        labelled_hash(
            b"countersign dkls23 set-up v1",
            &[
                record.library.as_bytes(),
                &record.run,
                &record.parties.to_be_bytes(),
                &record.committee,
                &record.generation.to_be_bytes(),
                record.transcripts.as_flattened(),
            ],
        )
    }

    /// Encodes it as secret bytes for an encrypted store: version, CBOR, checksum.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        seal(KIND, &self.0, CAPACITY)
    }

    /// Reads the output of [`to_bytes`](Self::to_bytes). A record of another version of the library
    /// is refused: make a new set-up.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::new(open(KIND, bytes)?)
    }

    /// The secrets with another member.
    pub(super) fn pair(&self, peer: u16) -> Option<&Pair> {
        let me = self.0.index.0;
        let place = if peer < me {
            peer
        } else {
            peer.checked_sub(1)?
        };
        let pair = self.0.pairs.get(usize::from(place));
        pair.filter(|_| peer != me)
    }
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Record { index, parties, .. } = &self.0;
        write!(f, "Setup(party {index} of {parties}, ..)")
    }
}

/// A seed that is missing or of another member would go unnoticed by the library until the
/// signature fails, and tables of another size would blame the peer.
fn consistent(record: &Record) -> bool {
    let me = record.index.0;
    if record.library != LIBRARY
        || check_committee(PartyIndex(me), record.parties).is_err()
        || record.transcripts.len() != all_pairs(record.parties).count()
        || record.pairs.len() != usize::from(record.parties) - 1
    {
        return false;
    }
    let others = (0..record.parties).filter(|other| *other != me);
    others.zip(&record.pairs).all(|(other, pair)| {
        member(other).is_ok_and(|member| member == pair.seed.index_counterparty)
            && pair.seed.lowest_index == (me < other)
            && pair.sender.check_state().is_ok()
            && pair.receiver.check_state(None).is_ok()
    })
}

/// Reads a record that was altered and has a good checksum again.
#[cfg(test)]
pub(super) fn altered(bytes: &[u8], alter: impl FnOnce(&mut Record)) -> Result<Setup, DecodeError> {
    let mut record: Record = open(KIND, bytes)?;
    alter(&mut record);
    Setup::from_bytes(&seal(KIND, &record, CAPACITY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_have_an_order() {
        let pairs: Vec<_> = all_pairs(4).collect();
        assert_eq!(pairs, [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]);
        assert_eq!(all_pairs(9).count(), 36);
    }
}
