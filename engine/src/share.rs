//! A party's share of a key, and the public half of it.

use std::fmt;

use cggmp24::IncompleteKeyShare;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::curve::{Core, KeyCurve};
use crate::scheme::with_suite;
use crate::sealed::{DecodeError, Kind, open, seal};
use crate::sign::Suite;
use crate::{CallerFault, CommitteeIndex, Scheme};

const KIND: Kind = Kind {
    name: "share",
    version: 1,
};

/// Upper bound of a share's record: nine public shares of 33 bytes, nine indices, the
/// key, and their names.
const CAPACITY: usize = 4096;

/// A party's secret share of a key. Wiped when dropped.
pub struct Share {
    scheme: Scheme,
    core: Core,
}

/// The public part of a share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicShare {
    /// The scheme that the key signs with.
    pub scheme: Scheme,
    /// The size of the committee.
    pub parties: u16,
    /// The number of members that must sign.
    pub threshold: u16,
    /// The holder's position in the committee.
    pub index: CommitteeIndex,
    /// 33 bytes, compressed, on secp256k1; 32 bytes on Ed25519. For `taproot` the plain key,
    /// without the output tweak.
    pub root_public_key: Vec<u8>,
    /// Chain code of the root, for derivation.
    pub chain_code: [u8; 32],
    /// The public share of every party, encoded as the root key is.
    pub public_shares: Vec<Vec<u8>>,
}

impl Share {
    pub(crate) fn new<E: KeyCurve>(scheme: Scheme, core: IncompleteKeyShare<E>) -> Self {
        Self {
            scheme,
            core: E::wrap(core),
        }
    }

    /// The scheme that it signs with.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Returns everything except the secret.
    pub fn public(&self) -> PublicShare {
        match &self.core {
            Core::Secp256k1(core) => public(self.scheme, core),
            Core::Ed25519(core) => public(self.scheme, core),
        }
    }

    /// Encodes it as secret bytes for an encrypted store: version, CBOR, checksum.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        match &self.core {
            Core::Secp256k1(core) => encode(self.scheme, core),
            Core::Ed25519(core) => encode(self.scheme, core),
        }
    }

    /// The share itself as 32 big-endian bytes, only for recovery files. The points of the shares
    /// are 1, 2, 3 and so on, in the order of the committee.
    pub fn secret_scalar(&self) -> Zeroizing<[u8; 32]> {
        match &self.core {
            Core::Secp256k1(core) => scalar(core),
            Core::Ed25519(core) => scalar(core),
        }
    }

    /// Reads the output of [`to_bytes`](Self::to_bytes), and proves that the share
    /// matches its public key.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let head: Record<IgnoredAny> = open(KIND, bytes)?;
        with_suite!(head.scheme, S => decode::<<S as Suite>::Curve>(bytes))
    }

    pub(crate) fn core<E: KeyCurve>(&self) -> Result<&IncompleteKeyShare<E>, CallerFault> {
        E::unwrap(&self.core).ok_or(CallerFault::UnusableShare)
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Share({}, ..)", self.scheme)
    }
}

#[derive(Serialize, Deserialize)]
struct Record<T> {
    scheme: Scheme,
    core: T,
}

fn encode<E: KeyCurve>(scheme: Scheme, core: &IncompleteKeyShare<E>) -> Zeroizing<Vec<u8>> {
    seal(KIND, &Record { scheme, core }, CAPACITY)
}

/// `IncompleteKeyShare` validates itself when it is decoded: public shares interpolate to the key,
/// the secret matches its own.
fn decode<E: KeyCurve>(bytes: &[u8]) -> Result<Share, DecodeError> {
    let record: Record<IncompleteKeyShare<E>> = open(KIND, bytes)?;
    let core = record.core;
    if core.vss_setup.is_none() || core.chain_code.is_none() || core.n() > crate::MAX_PARTIES {
        return Err(DecodeError::Inconsistent);
    }
    Ok(Share::new(record.scheme, core))
}

fn scalar<E: KeyCurve>(core: &IncompleteKeyShare<E>) -> Zeroizing<[u8; 32]> {
    let x: &generic_ec::SecretScalar<E> = core.x.as_ref();
    let mut bytes = Zeroizing::new([0; 32]);
    bytes.copy_from_slice(x.as_ref().to_be_bytes().as_bytes());
    bytes
}

fn public<E: KeyCurve>(scheme: Scheme, core: &IncompleteKeyShare<E>) -> PublicShare {
    PublicShare {
        scheme,
        parties: core.n(),
        threshold: core.min_signers(),
        index: CommitteeIndex(core.i),
        root_public_key: core.shared_public_key.to_bytes(true).to_vec(),
        // Key generation and decoding both insist on a chain code.
        chain_code: core.chain_code.unwrap_or_default(),
        public_shares: core
            .public_shares
            .iter()
            .map(|share| share.to_bytes(true).to_vec())
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use generic_ec::curves::Ed25519;
    use generic_ec::{NonZero, Point, Scalar, SecretScalar};
    use key_share::{DirtyCoreKeyShare, DirtyKeyInfo, Validate, VssSetup};

    use super::*;

    fn nonzero(n: u16) -> NonZero<Scalar<Ed25519>> {
        NonZero::from_scalar(Scalar::from(n)).unwrap()
    }

    /// A 2-of-2 share with secret f(1) of f(x) = 1 + x, or another secret in its place.
    fn dirty(secret: u16) -> DirtyCoreKeyShare<Ed25519> {
        let key_info = DirtyKeyInfo {
            curve: Default::default(),
            shared_public_key: Point::generator() * nonzero(1),
            public_shares: [2, 3]
                .map(|share| Point::generator() * nonzero(share))
                .to_vec(),
            vss_setup: Some(VssSetup {
                min_signers: 2,
                I: [1, 2].map(nonzero).to_vec(),
            }),
            chain_code: Some([5; 32]),
        };
        let x = NonZero::from_secret_scalar(SecretScalar::new(&mut Scalar::from(secret))).unwrap();
        DirtyCoreKeyShare { i: 0, key_info, x }
    }

    fn decode(core: DirtyCoreKeyShare<Ed25519>) -> Result<Share, DecodeError> {
        Share::from_bytes(&seal(
            KIND,
            &Record {
                scheme: Scheme::Ed25519,
                core,
            },
            CAPACITY,
        ))
    }

    #[test]
    fn a_share_with_a_good_checksum_is_still_proven() {
        assert!(dirty(2).is_valid().is_ok());
        assert!(decode(dirty(2)).is_ok());
        assert_eq!(
            decode(dirty(3)).err(),
            Some(DecodeError::Damaged),
            "not the secret of this party"
        );

        let mut no_chain_code = dirty(2);
        no_chain_code.key_info.chain_code = None;
        assert_eq!(decode(no_chain_code).err(), Some(DecodeError::Inconsistent));

        let mut one_of_two = dirty(1);
        one_of_two.key_info.public_shares = [1, 1]
            .map(|share| Point::generator() * nonzero(share))
            .to_vec();
        one_of_two.key_info.vss_setup = Some(VssSetup {
            min_signers: 1,
            I: [1, 2].map(nonzero).to_vec(),
        });
        assert_eq!(
            decode(one_of_two).err(),
            Some(DecodeError::Damaged),
            "no threshold key"
        );
    }

    #[test]
    fn a_record_fits_its_reserved_buffer() {
        let longest = Record {
            scheme: Scheme::Ed25519,
            core: dirty(2),
        };
        let one_party = 2 * 64;
        assert!(seal(KIND, &longest, 0).len() + 9 * one_party < CAPACITY);
    }
}
