//! Extended public keys as text: `xpub…` (BIP-32) and `cpub…` (the same layout for Ed25519).

use std::fmt;
use std::str::FromStr;

use countersign_protocol::Scheme;
use ripemd::Ripemd160;
use sha2::{Digest, Sha256};

use crate::address::Network;
use crate::derive::{DeriveError, ed25519_child, secp256k1_child};
use crate::{ecdsa, ed25519};

/// Version of public keys on Bitcoin's test networks (SLIP-132).
const TPUB: [u8; 4] = [0x04, 0x35, 0x87, 0xcf];
/// Bytes: version 4, depth 1, fingerprint 4, index 4, chain code 32, key 33.
const LENGTH: usize = 78;
/// Base58 of the 82 bytes including the checksum.
const MAX_TEXT: usize = 112;

/// A public key with everything needed to derive below it. The key is a point of its curve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtendedPublicKey {
    curve: Curve,
    depth: u8,
    parent_fingerprint: [u8; 4],
    index: u32,
    chain_code: [u8; 32],
    key: Vec<u8>,
}

/// The reason a text is not an extended public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Not Base58Check of 78 bytes.
    #[error(
        "not an extended public key, or mistyped: copy the whole text, it starts with xpub or cpub"
    )]
    Encoding,
    /// Another kind of key, such as a private one or one of a test network.
    #[error("an extended key of another kind: give the public key, which starts with xpub or cpub")]
    Version,
    /// The key inside is not a point, or the origin contradicts itself.
    #[error("an extended public key with impossible contents: ask for it again where it came from")]
    Contents,
}

/// The text of a root key: depth 0, no parent. `xpub…` for the secp256k1
/// schemes, `cpub…` for `ed25519`.
pub fn extended_public_key(
    scheme: Scheme,
    root_key: &[u8],
    chain_code: &[u8; 32],
) -> Result<String, DeriveError> {
    Ok(ExtendedPublicKey::root(scheme, root_key, chain_code)?.to_string())
}

impl ExtendedPublicKey {
    /// A root: 33 bytes compressed on secp256k1, 32 bytes on Ed25519.
    pub fn root(scheme: Scheme, key: &[u8], chain_code: &[u8; 32]) -> Result<Self, DeriveError> {
        let curve = Curve::of(scheme);
        if !curve.contains(key) {
            return Err(DeriveError::PublicKey);
        }
        let parent_fingerprint = [0; 4];
        let chain_code = *chain_code;
        Ok(Self {
            curve,
            depth: 0,
            parent_fingerprint,
            index: 0,
            chain_code,
            key: key.to_vec(),
        })
    }

    /// The key at `path` below this one; indices below 2^31.
    pub fn derive(&self, path: &[u32]) -> Result<Self, DeriveError> {
        path.iter()
            .try_fold(self.clone(), |key, index| key.child(*index))
    }

    /// The compressed point: 33 bytes on secp256k1, 32 bytes on Ed25519.
    pub fn public_key(&self) -> &[u8] {
        &self.key
    }

    /// The chain code for the next step of derivation.
    pub fn chain_code(&self) -> &[u8; 32] {
        &self.chain_code
    }

    /// Number of steps below the root.
    pub fn depth(&self) -> u8 {
        self.depth
    }

    /// True if a key of `scheme` can have this text: the text names the curve, not the scheme.
    pub fn fits(&self, scheme: Scheme) -> bool {
        self.curve == Curve::of(scheme)
    }

    fn child(&self, index: u32) -> Result<Self, DeriveError> {
        let (key, chain_code) = match self.curve {
            Curve::Secp256k1 => secp256k1_child(&self.key, &self.chain_code, index),
            Curve::Ed25519 => ed25519_child(&self.key, &self.chain_code, index),
        }?;
        let depth = self.depth.checked_add(1).ok_or(DeriveError::TooDeep)?;
        Ok(Self {
            curve: self.curve,
            depth,
            parent_fingerprint: self.fingerprint(),
            index,
            chain_code,
            key,
        })
    }

    /// The text as expected by tools for this Bitcoin network: `xpub…`, or `tpub…` on the test
    /// networks. `None` for Ed25519.
    pub fn bitcoin_text(&self, network: Network) -> Option<String> {
        let version = match (self.curve, network) {
            (Curve::Ed25519, _) => return None,
            (Curve::Secp256k1, Network::Mainnet) => self.curve.version(),
            (Curve::Secp256k1, Network::Testnet | Network::Regtest) => TPUB,
        };
        Some(self.text(version))
    }

    /// Base58Check of the 78 bytes.
    fn text(&self, version: [u8; 4]) -> String {
        let mut bytes = Vec::with_capacity(LENGTH);
        bytes.extend_from_slice(&version);
        bytes.push(self.depth);
        bytes.extend_from_slice(&self.parent_fingerprint);
        bytes.extend_from_slice(&self.index.to_be_bytes());
        bytes.extend_from_slice(&self.chain_code);
        bytes.extend_from_slice(&self.key_field());
        bs58::encode(bytes).with_check().into_string()
    }

    /// First four bytes of HASH160 over the key as encoded in the text.
    pub fn fingerprint(&self) -> [u8; 4] {
        let hash = Ripemd160::digest(Sha256::digest(self.key_field()));
        std::array::from_fn(|i| hash[i])
    }

    /// 33 bytes: a compressed point, or 0x00 and an Ed25519 key.
    fn key_field(&self) -> Vec<u8> {
        match self.curve {
            Curve::Secp256k1 => self.key.clone(),
            Curve::Ed25519 => [&[0], &self.key[..]].concat(),
        }
    }
}

/// The text form, Base58Check.
impl fmt::Display for ExtendedPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(self.curve.version()))
    }
}

impl FromStr for ExtendedPublicKey {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let bytes = decode(text).ok_or(ParseError::Encoding)?;
        let (version, rest) = bytes.split_at(4);
        let curve = Curve::ALL
            .into_iter()
            .find(|curve| curve.version() == version);
        let curve = curve.ok_or(ParseError::Version)?;
        let key = match curve {
            Curve::Secp256k1 => &rest[41..],
            Curve::Ed25519 => rest[41..].strip_prefix(&[0]).ok_or(ParseError::Contents)?,
        };
        let parsed = Self {
            curve,
            depth: rest[0],
            parent_fingerprint: std::array::from_fn(|i| rest[1 + i]),
            index: u32::from_be_bytes(std::array::from_fn(|i| rest[5 + i])),
            chain_code: std::array::from_fn(|i| rest[9 + i]),
            key: key.to_vec(),
        };
        // A root has neither parent nor index (BIP-32, test vector 5).
        let rootless =
            parsed.depth > 0 || (parsed.parent_fingerprint == [0; 4] && parsed.index == 0);
        if rootless && curve.contains(key) {
            Ok(parsed)
        } else {
            Err(ParseError::Contents)
        }
    }
}

/// The two curves that the text form distinguishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Curve {
    Secp256k1,
    Ed25519,
}

impl Curve {
    const ALL: [Self; 2] = [Self::Secp256k1, Self::Ed25519];

    fn of(scheme: Scheme) -> Self {
        match scheme {
            Scheme::Ed25519 => Self::Ed25519,
            Scheme::EcdsaSecp256k1 | Scheme::SchnorrSecp256k1 | Scheme::Taproot => Self::Secp256k1,
        }
    }

    fn version(self) -> [u8; 4] {
        match self {
            Self::Secp256k1 => [0x04, 0x88, 0xb2, 0x1e],
            Self::Ed25519 => [0x02, 0xe8, 0xde, 0x90],
        }
    }

    fn contains(self, key: &[u8]) -> bool {
        match self {
            Self::Secp256k1 => ecdsa::public_key(key).is_some(),
            Self::Ed25519 => ed25519::point(key).is_some(),
        }
    }
}

/// Decodes the 78 bytes of an extended key. Longer texts are refused unread: Base58
/// decoding takes quadratic time.
fn decode(text: &str) -> Option<[u8; LENGTH]> {
    if text.len() > MAX_TEXT {
        return None;
    }
    bs58::decode(text)
        .with_check(None)
        .into_vec()
        .ok()?
        .try_into()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::derive_public;

    fn parse(text: &str) -> ExtendedPublicKey {
        text.parse().unwrap()
    }

    #[test]
    fn bip_32_vectors_derive_and_print() {
        for (parent, index, child) in [
            // Test vector 1, m/0' and its child 1.
            (
                "xpub68Gmy5EdvgibQVfPdqkBBCHxA5htiqg55crXYuXoQRKfDBFA1WEjWgP6LHhwBZeNK1VTsfTFUHCdrfp1bgwQ9xv5ski8PX9rL2dZXvgGDnw",
                1,
                "xpub6ASuArnXKPbfEwhqN6e3mwBcDTgzisQN1wXN9BJcM47sSikHjJf3UFHKkNAWbWMiGj7Wf5uMash7SyYq527Hqck2AxYysAA7xmALppuCkwQ",
            ),
            // Test vector 2, m and its child 0.
            (
                "xpub661MyMwAqRbcFW31YEwpkMuc5THy2PSt5bDMsktWQcFF8syAmRUapSCGu8ED9W6oDMSgv6Zz8idoc4a6mr8BDzTJY47LJhkJ8UB7WEGuduB",
                0,
                "xpub69H7F5d8KSRgmmdJg2KhpAK8SR3DjMwAdkxj3ZuxV27CprR9LgpeyGmXUbC6wb7ERfvrnKZjXoUmmDznezpbZb7ap6r1D3tgFxHmwMkQTPH",
            ),
            // Test vector 2, m/0/2147483647' and its child 1.
            (
                "xpub6ASAVgeehLbnwdqV6UKMHVzgqAG8Gr6riv3Fxxpj8ksbH9ebxaEyBLZ85ySDhKiLDBrQSARLq1uNRts8RuJiHjaDMBU4Zn9h8LZNnBC5y4a",
                1,
                "xpub6DF8uhdarytz3FWdA8TvFSvvAh8dP3283MY7p2V4SeE2wyWmG5mg5EwVvmdMVCQcoNJxGoWaU9DCWh89LojfZ537wTfunKau47EL2dhHKon",
            ),
        ] {
            assert_eq!(parse(parent).derive(&[index]).unwrap().to_string(), child);
        }
    }

    #[test]
    fn ed25519_vector_derives_and_prints() {
        let root = parse(
            "cpubGCmTMqXYTnzkaj8hg72SuLci9q6DaK9atzpcbgjTmHkgXm1VyYPEh1W2njoEWGx7cpioxFBGSk7nD3bQd2BSwPYNHEmEW94oWXnGmRJFP3G",
        );
        let child = root.derive(&[44, 501, 0, 0, 0]).unwrap();
        assert_eq!(
            child.to_string(),
            "cpubGPd6REiRhwmwfDbwpjd1mxKbhzoygEy2KaaG8s4dcN4ubHK4kqw3uxhnV6BwHw18Qwqomdh5ijf6ygfh8qkCveuekSqmxuQ5zwqjfHH7uGW"
        );
        assert!(child.fits(Scheme::Ed25519) && !child.fits(Scheme::Taproot) && child.depth() == 5);
    }

    #[test]
    fn secp256k1_vector_leads_to_its_secret_key() {
        let root = parse(
            "xpub661MyMwAqRbcFS7KEDcTyCJPymrPtXLLuQ4Q9HmfSs6MoDQN4JUHisRL3ZWUtn8JjumsaQibtZBALcXkzRHpjsCS4obQaGCGG5qt4anbphu",
        );
        let public = |secret: &str| {
            let bytes = hex::decode(secret).unwrap().try_into().unwrap();
            let secret = secp256k1::SecretKey::from_byte_array(bytes).unwrap();
            secret
                .public_key(&secp256k1::Secp256k1::new())
                .serialize()
                .to_vec()
        };
        assert_eq!(
            root.public_key(),
            public("953d86aa142b3a42eaddff0ee50eb466a350930694c2ef4e49d768e7c784024a")
        );
        let child = public("a27fd146e2d13b3ca482cd8703da541b637ff4fb1224cbb6bc94df2e6764e3bf");
        for scheme in [
            Scheme::EcdsaSecp256k1,
            Scheme::SchnorrSecp256k1,
            Scheme::Taproot,
        ] {
            let derived = derive_public(
                scheme,
                root.public_key(),
                root.chain_code(),
                &[44, 60, 0, 0, 0],
            );
            assert_eq!(derived.unwrap().0, child);
            let text = extended_public_key(scheme, root.public_key(), root.chain_code()).unwrap();
            assert_eq!(parse(&text), root);
        }
    }

    #[test]
    fn hardened_and_endless_paths_are_refused() {
        let root = parse(
            "xpub661MyMwAqRbcFW31YEwpkMuc5THy2PSt5bDMsktWQcFF8syAmRUapSCGu8ED9W6oDMSgv6Zz8idoc4a6mr8BDzTJY47LJhkJ8UB7WEGuduB",
        );
        assert_eq!(
            root.derive(&[0, 1 << 31]),
            Err(DeriveError::Hardened(1 << 31))
        );
        assert_eq!(root.derive(&[0; 256]), Err(DeriveError::TooDeep));
        assert_eq!(root.derive(&[]), Ok(root));
    }

    #[test]
    fn texts_that_are_not_an_extended_public_key_are_refused() {
        let good = "xpub661MyMwAqRbcFW31YEwpkMuc5THy2PSt5bDMsktWQcFF8syAmRUapSCGu8ED9W6oDMSgv6Zz8idoc4a6mr8BDzTJY47LJhkJ8UB7WEGuduB";
        let bytes = bs58::decode(good).with_check(None).into_vec().unwrap();
        let with = |at: usize, value: &[u8]| {
            let mut changed = bytes.clone();
            changed[at..at + value.len()].copy_from_slice(value);
            bs58::encode(changed)
                .with_check()
                .into_string()
                .parse::<ExtendedPublicKey>()
        };
        assert_eq!(
            good.replace("uduB", "uduC").parse::<ExtendedPublicKey>(),
            Err(ParseError::Encoding)
        );
        assert_eq!(
            "x".repeat(1 << 20).parse::<ExtendedPublicKey>(),
            Err(ParseError::Encoding)
        );
        assert_eq!(
            with(0, &[0x04, 0x88, 0xad, 0xe4]),
            Err(ParseError::Version),
            "xprv"
        );
        // BIP-32, test vector 5: depth 0 with a parent, with an index, and invalid keys.
        assert_eq!(with(5, &[1]), Err(ParseError::Contents));
        assert_eq!(with(12, &[1]), Err(ParseError::Contents));
        assert_eq!(with(45, &[4]), Err(ParseError::Contents));
        assert_eq!(with(45, &[0; 33]), Err(ParseError::Contents));
        assert_eq!(
            with(0, &[0x02, 0xe8, 0xde, 0x90]),
            Err(ParseError::Contents),
            "secp256k1 key as cpub"
        );
    }
}
