//! A committee's auxiliary information: the Paillier and ring-Pedersen parameters
//! that ECDSA signers need.
//!
//! Generated once per committee, in the order of its parties, and used by all its ECDSA keys.
//! Takes seconds of CPU.

mod moduli;
mod parameters;
mod proven;
mod recorder;

use std::fmt;

use cggmp24::ExecutionId;
use cggmp24::key_refresh::Msg;
use cggmp24::key_share::{AuxInfo, Validate};
use cggmp24::security_level::SecurityLevel128;
use rand_core::CryptoRngCore;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::adapter::{self, RoundMessage};
use crate::blame::judge;
use crate::bounds;
use crate::engine::MessageKind;
use crate::keygen::check_committee;
use crate::random::tried;
use crate::sealed::{DecodeError, Kind, open, seal};
use crate::session::{Task, execution_id, labelled_hash};
use crate::{Aux, CommitteeIndex, Engine, EngineError, PartyIndex, Primes};
use moduli::ModuliGate;
use proven::{MAX_ROUND_TWO, Proofs, Proven};
use recorder::Recorder;

const KIND: Kind = Kind {
    name: "aux",
    version: 1,
};

/// Upper bound of the record: 13 kB for three parties, 3.3 kB for each further one.
const CAPACITY: usize = 64 << 10;

/// Parameters of an auxiliary-information run. All parties must use the same
/// values, except for `me`.
#[derive(Debug, Clone)]
pub struct AuxParams<'a> {
    /// A unique name of this run.
    pub session: &'a [u8],
    /// Position of this party in the committee.
    pub me: PartyIndex,
    /// Size of the committee, 2 to 9.
    pub parties: u16,
}

/// Generates auxiliary information and consumes a set of primes. Three rounds, of which
/// the first is echoed.
pub fn aux_info(
    params: AuxParams<'_>,
    primes: Primes,
    rng: impl CryptoRngCore + 'static,
) -> Result<Box<dyn Engine<Output = Aux>>, EngineError> {
    crate::wipe_gmp_memory();
    let rng = tried(rng)?;
    let AuxParams {
        session,
        me,
        parties,
    } = params;
    check_committee(me, parties)?;
    let id = execution_id(Task::AuxInfo, session, &[&parties.to_be_bytes()])?;
    let primes = primes.into_pregenerated()?;
    let recorder = Recorder::new(rng);
    let proofs = Proofs::default();
    let gate = ModuliGate::new(&primes, id, proofs.clone());
    let [_, _, hat_p, hat_q] = primes.primes_ref().clone();
    let mut rng = recorder.clone();
    let inner = adapter::start_behind(me, parties, gate, move |party| async move {
        let builder = cggmp24::aux_info_gen(ExecutionId::new(&id), me.0, parties, primes);
        let info = builder.start(&mut rng, party).await.map_err(judge)?;
        // The session's parties are the committee.
        Ok(Aux::Paillier(Paillier {
            index: CommitteeIndex(me.0),
            info,
        }))
    });
    let primes = Some([hat_p, hat_q]);
    Ok(Box::new(Proven {
        inner,
        me,
        parties,
        id,
        primes,
        recorder,
        proofs,
        failed: None,
    }))
}

/// The maximum size of each message, as it travels.
pub(crate) fn limits() -> impl Iterator<Item = usize> {
    let limits = <Msg<Sha256, SecurityLevel128> as RoundMessage>::LIMITS.iter();
    limits.map(|(name, limit)| {
        if *name == "Round2" {
            MAX_ROUND_TWO
        } else {
            *limit
        }
    })
}

/// A party's Paillier and ring-Pedersen parameters. Secret: it holds the party's Paillier primes.
pub struct Paillier {
    index: CommitteeIndex,
    info: AuxInfo,
}

impl Paillier {
    /// The size of the committee.
    pub(crate) fn parties(&self) -> u16 {
        // Bounded when it was made or decoded.
        self.info.N.len() as u16
    }

    /// The owner's position in the committee.
    pub(crate) fn index(&self) -> CommitteeIndex {
        self.index
    }

    /// SHA-256 over the public parameters of all parties in order: equal at all parties of one run.
    pub(crate) fn public_digest(&self) -> [u8; 32] {
        let paillier = self.info.N.iter().map(|modulus| modulus.to_bytes_msf());
        let pedersen = self.info.pedersen_params.iter();
        let pedersen = pedersen.flat_map(|params| {
            [&params.hat_N, &params.s, &params.t].map(|part| part.to_bytes_msf())
        });
        let parts: Vec<_> = paillier.chain(pedersen).collect();
        let fields: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        labelled_hash(b"countersign engine aux public v1", &fields)
    }

    /// Returns a copy with tables.
    pub(crate) fn with_multiexp_tables(&self) -> Result<Self, EngineError> {
        let mut info = self.info.clone().into_inner();
        info.precompute_multiexp_tables()
            .map_err(EngineError::bug)?;
        let info = info
            .validate()
            .map_err(|error| EngineError::bug(error.error()))?;
        Ok(Self {
            index: self.index,
            info,
        })
    }

    /// Encodes it as secret bytes for an encrypted store: version, CBOR, checksum.
    pub(crate) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut info = self.info.clone().into_inner();
        info.pedersen_params
            .iter_mut()
            .for_each(|params| params.multiexp = None);
        seal(
            KIND,
            &Record {
                index: self.index,
                info,
            },
            CAPACITY,
        )
    }

    /// Reads the output of [`to_bytes`](Self::to_bytes), and proves that the primes are those of
    /// the party's public key.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        crate::wipe_gmp_memory();
        let record: Record<AuxInfo> = open(KIND, bytes)?;
        if !consistent(&record) {
            return Err(DecodeError::Inconsistent);
        }
        Ok(Self {
            index: record.index,
            info: record.info,
        })
    }

    pub(crate) fn info(&self) -> &AuxInfo {
        &self.info
    }
}

impl fmt::Debug for Paillier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Paillier(party {}, ..)", self.index)
    }
}

#[derive(Serialize, Deserialize)]
struct Record<T> {
    index: CommitteeIndex,
    info: T,
}

/// `AuxInfo` has proven sizes when it is decoded; tables are refused because
/// nothing proves them right.
fn consistent(record: &Record<AuxInfo>) -> bool {
    let Record { index, info } = record;
    let Ok(parties) = u16::try_from(info.N.len()) else {
        return false;
    };
    check_committee(PartyIndex(index.0), parties).is_ok()
        && info.pedersen_params.len() == info.N.len()
        && info
            .pedersen_params
            .iter()
            .all(|params| params.multiexp.is_none())
        && info.N[usize::from(index.0)] == &info.p * &info.q
}

impl RoundMessage for Msg<Sha256, SecurityLevel128> {
    const LIMITS: &'static [(&'static str, usize)] = &[
        ("Round1", 128),
        ("ReliabilityCheck", 128),
        ("Round2", 216 << 10),
        ("Round3", 216 << 10),
    ];

    fn integers_fit(body: &[u8]) -> bool {
        bounds::aux_info(body)
    }

    fn kind(&self) -> MessageKind {
        match self {
            Self::Round1(_) | Self::ReliabilityCheck(_) | Self::Round2(_) => MessageKind::Broadcast,
            Self::Round3(_) => MessageKind::Direct,
        }
    }
}

#[cfg(test)]
mod tests {
    use cggmp24::key_share::DirtyAuxInfo;
    use paillier_zk::multiexp::MultiexpTable;

    use super::*;

    /// Decodes the test record of party 0 of 3, alters it, and seals it with
    /// a valid checksum again.
    fn altered(alter: impl FnOnce(&mut Record<DirtyAuxInfo>)) -> Result<Aux, DecodeError> {
        let bytes = include_bytes!("../tests/fixtures/aux/3-0.cbor");
        let mut record: Record<DirtyAuxInfo> = open(KIND, bytes).unwrap();
        alter(&mut record);
        Aux::from_bytes(&seal(KIND, &record, CAPACITY))
    }

    #[test]
    fn a_record_with_a_good_checksum_is_still_proven() {
        assert!(altered(|_| ()).is_ok());
        let inconsistent = |alter: fn(&mut Record<DirtyAuxInfo>)| {
            assert_eq!(altered(alter).err(), Some(DecodeError::Inconsistent));
        };
        inconsistent(|record| record.index = CommitteeIndex(1));
        inconsistent(|record| record.index = CommitteeIndex(3));
        inconsistent(|record| record.info.N.swap(0, 2));
        inconsistent(|record| record.info.pedersen_params.truncate(2));
        inconsistent(|record| {
            let params = &mut record.info.pedersen_params[0];
            let table =
                MultiexpTable::build(&params.s, &params.t, 8, 8, params.hat_N.clone()).unwrap();
            params.multiexp = Some(table.into());
        });
    }
}
