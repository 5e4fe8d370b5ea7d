//! Addresses of public keys, for comparison with a chain explorer or a
//! wallet. No contract addresses.

use bech32::segwit;
use bech32::{Fe32, Hrp};
use ripemd::Ripemd160;
use sha2::{Digest, Sha256};
use sha3::Keccak256;

use crate::ecdsa::public_key;
use crate::{DeriveError, ed25519, taproot_output_key};

/// The Bitcoin chain that an address is for, as far as its prefixes tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// Addresses that start with 1, 3 or bc1.
    Mainnet,
    /// The test networks and signet: addresses that start with m, n, 2 or tb1.
    Testnet,
    /// A private chain: like the test networks, but bcrt1.
    Regtest,
}

impl Network {
    /// Pay to public key hash: Base58Check of a version byte and HASH160(key).
    /// `key`: 33 bytes, compressed.
    pub fn p2pkh(self, key: &[u8]) -> Result<String, DeriveError> {
        let version = match self {
            Self::Mainnet => 0x00,
            Self::Testnet | Self::Regtest => 0x6f,
        };
        Ok(base58(version, &hash160(key)?))
    }

    /// Pay to script hash of a pay to witness public key hash (BIP-49): Base58Check of a version
    /// byte and HASH160(0x0014 ‖ HASH160(key)). `key`: 33 bytes, compressed.
    pub fn p2sh_p2wpkh(self, key: &[u8]) -> Result<String, DeriveError> {
        let version = match self {
            Self::Mainnet => 0x05,
            Self::Testnet | Self::Regtest => 0xc4,
        };
        let script = [&[0x00, 0x14], &hash160(key)?[..]].concat();
        Ok(base58(
            version,
            &Ripemd160::digest(Sha256::digest(script)).into(),
        ))
    }

    /// Pay to witness public key hash (BIP-84): version 0, HASH160(key), bech32.
    /// `key`: 33 bytes, compressed.
    pub fn p2wpkh(self, key: &[u8]) -> Result<String, DeriveError> {
        self.witness(segwit::VERSION_0, &hash160(key)?)
    }

    /// Pay to Taproot: version 1, output key, bech32m. `internal_key` and `script_root`
    /// as in [`taproot_output_key`]: 33 bytes compressed or 32 bytes x-only; `None`
    /// without a script tree (BIP-86).
    pub fn p2tr(
        self,
        internal_key: &[u8],
        script_root: Option<&[u8; 32]>,
    ) -> Result<String, DeriveError> {
        self.witness(
            segwit::VERSION_1,
            &taproot_output_key(internal_key, script_root)?,
        )
    }

    fn witness(self, version: Fe32, program: &[u8]) -> Result<String, DeriveError> {
        let prefix = match self {
            Self::Mainnet => "bc",
            Self::Testnet => "tb",
            Self::Regtest => "bcrt",
        };
        let prefix = Hrp::parse(prefix).map_err(|_| DeriveError::PublicKey)?;
        // Programs of 20 and 32 bytes always fit.
        segwit::encode(prefix, version, program).map_err(|_| DeriveError::PublicKey)
    }
}

/// An account of the EVM: the last 20 bytes of Keccak-256(x ‖ y), with the checksum in its capitals
/// (EIP-55). `key`: 33 bytes, compressed.
pub fn evm(key: &[u8]) -> Result<String, DeriveError> {
    let point = public_key(key)
        .ok_or(DeriveError::PublicKey)?
        .serialize_uncompressed();
    let account: [u8; 20] = std::array::from_fn(|i| Keccak256::digest(&point[1..])[12 + i]);
    Ok(with_checksum(&account))
}

/// A Solana account: Base58 of the key. `key`: 32 bytes, Ed25519.
pub fn solana(key: &[u8]) -> Result<String, DeriveError> {
    ed25519::point(key).ok_or(DeriveError::PublicKey)?;
    Ok(bs58::encode(key).into_string())
}

/// The address that a Solana program derives from `seeds` and owns without a private key: the first
/// SHA-256 of the seeds, a byte from 255 downwards, the program and a marker that is not a point of
/// the curve (`find_program_address`). `None` if there is none, a case never observed.
pub fn solana_program_address(seeds: &[&[u8]], program: &[u8; 32]) -> Option<[u8; 32]> {
    let seeds = seeds
        .iter()
        .fold(Sha256::new(), |hash, seed| hash.chain_update(seed));
    let candidates = (0..=u8::MAX).rev().map(|bump| {
        let hash = seeds.clone().chain_update([bump]).chain_update(program);
        <[u8; 32]>::from(hash.chain_update(b"ProgramDerivedAddress").finalize())
    });
    candidates
        .into_iter()
        .find(|address| !ed25519::is_point(address))
}

/// EIP-55: a letter is a capital if the digit in its place in Keccak-256(lower-case text)
/// is 8 or above.
fn with_checksum(account: &[u8; 20]) -> String {
    let plain: String = account.iter().map(|byte| format!("{byte:02x}")).collect();
    let hash = Keccak256::digest(&plain);
    let nibble = |i: usize| hash[i / 2] >> (4 * (1 - i % 2)) & 0xf;
    let cased = plain.char_indices().map(|(i, c)| {
        if nibble(i) >= 8 {
            c.to_ascii_uppercase()
        } else {
            c
        }
    });
    format!("0x{}", cased.collect::<String>())
}

fn base58(version: u8, hash: &[u8; 20]) -> String {
    bs58::encode([&[version], &hash[..]].concat())
        .with_check()
        .into_string()
}

fn hash160(key: &[u8]) -> Result<[u8; 20], DeriveError> {
    public_key(key).ok_or(DeriveError::PublicKey)?;
    Ok(Ripemd160::digest(Sha256::digest(key)).into())
}

#[cfg(test)]
mod tests {
    use Network::{Mainnet, Regtest, Testnet};

    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        hex::decode(hex).unwrap()
    }

    /// The generator: public key of the secret key 1, used by BIP-173's examples.
    const G: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";

    #[test]
    fn bip_173_examples_and_the_first_key_of_all() {
        let key = bytes(G);
        assert_eq!(
            Mainnet.p2wpkh(&key).unwrap(),
            "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
        );
        assert_eq!(
            Testnet.p2wpkh(&key).unwrap(),
            "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx"
        );
        assert_eq!(
            Mainnet.p2pkh(&key).unwrap(),
            "1BgGZ9tcN4rm9KBzDn7KprQz87SZ26SAMH"
        );
        assert_eq!(
            Testnet.p2pkh(&key).unwrap(),
            "mrCDrCybB6J1vRfbwM5hemdJz73FwDBC8r"
        );
        assert_eq!(
            evm(&key).unwrap(),
            "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"
        );
    }

    #[test]
    fn a_chain_of_ones_own_has_prefixes_of_its_own() {
        let key = bytes(G);
        assert_eq!(
            Regtest.p2wpkh(&key).unwrap(),
            "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
        );
        assert!(
            Regtest
                .p2tr(&bytes(&G[2..]), None)
                .unwrap()
                .starts_with("bcrt1p")
        );
        assert_eq!(Regtest.p2pkh(&key), Testnet.p2pkh(&key));
    }

    /// BIP-49, test vectors: the first account's first key on testnet.
    #[test]
    fn bip_49_vector() {
        let key = bytes("03a1af804ac108a8a51782198c2d034b28bf90c8803f5a53f76276fa69a4eae77f");
        assert_eq!(
            Testnet.p2sh_p2wpkh(&key).unwrap(),
            "2Mww8dCYPUpKHofjgcXcBCEGmniw9CoaiD2"
        );
        assert_eq!(
            Mainnet.p2sh_p2wpkh(&bytes(G)).unwrap(),
            "3JvL6Ymt8MVWiCNHC7oWU6nLeHNJKLZGLN"
        );
    }

    #[test]
    fn bip_84_vectors() {
        for (key, address) in [
            (
                "0330d54fd0dd420a6e5f8d3624f5f3482cae350f79d5f0753bf5beef9c2d91af3c",
                "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu",
            ),
            (
                "03e775fd51f0dfb8cd865d9ff1cca2a158cf651fe997fdc9fee9c1d3b5e995ea77",
                "bc1qnjg0jd8228aq7egyzacy8cys3knf9xvrerkf9g",
            ),
            (
                "03025324888e429ab8e3dbaf1f7802648b9cd01e9b418485c5fa4c1b9b5700e1a6",
                "bc1q8c6fshw2dlwun7ekn9qwf37cu2rn755upcp6el",
            ),
        ] {
            assert_eq!(Mainnet.p2wpkh(&bytes(key)).unwrap(), address);
        }
    }

    #[test]
    fn bip_86_and_bip_341_vectors() {
        for (internal, address) in [
            (
                "cc8a4bc64d897bddc5fbc2f670f7a8ba0b386779106cf1223c6fc5d7cd6fc115",
                "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr",
            ),
            (
                "83dfe85a3151d2517290da461fe2815591ef69f2b18a2ce63f01697a8b313145",
                "bc1p4qhjn9zdvkux4e44uhx8tc55attvtyu358kutcqkudyccelu0was9fqzwh",
            ),
            (
                "399f1b2f4393f29a18c937859c5dd8a77350103157eb880f02e8c08214277cef",
                "bc1p3qkhfews2uk44qtvauqyr2ttdsw7svhkl9nkm9s9c3x4ax5h60wqwruhk7",
            ),
            // BIP-341 wallet-test-vectors.json, scriptPubKey 0.
            (
                "d6889cb081036e0faefa3a35157ad71086b123b2b144b649798b494c300a961d",
                "bc1p2wsldez5mud2yam29q22wgfh9439spgduvct83k3pm50fcxa5dps59h4z5",
            ),
        ] {
            assert_eq!(Mainnet.p2tr(&bytes(internal), None).unwrap(), address);
            assert_eq!(
                Mainnet
                    .p2tr(&bytes(&format!("03{internal}")), None)
                    .unwrap(),
                address,
                "parity is ignored"
            );
        }
        let test = Testnet.p2tr(&bytes(&G[2..]), None).unwrap();
        assert!(test.starts_with("tb1p"), "{test}");
    }

    #[test]
    fn eip_55_vectors() {
        for text in [
            "0x52908400098527886E0F7030069857D2E4169EE7",
            "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
            "0xde709f2102306220921060314715629080e2fb77",
            "0x27b1fdb04752bbc536007a920d24acb045561c26",
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
            "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
            "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
        ] {
            assert_eq!(with_checksum(&bytes(&text[2..]).try_into().unwrap()), text);
        }
    }

    #[test]
    fn a_solana_account_is_its_key() {
        // RFC 8032, test 1: the public key; wallets show its Base58 for that seed.
        let key = bytes("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        assert_eq!(
            solana(&key).unwrap(),
            "FVen3X669xLzsi6N2V91DoiyzHzg1uAgqiT8jZ9nS96Z"
        );
    }

    /// By solders 0.29: the associated account of a wallet for USDC, whose first two candidates are
    /// points of the curve.
    #[test]
    fn addresses_of_solana_programs_are_not_points() {
        let key =
            |text: &str| <[u8; 32]>::try_from(bs58::decode(text).into_vec().unwrap()).unwrap();
        let owner = key("J3dxNj7nDRRqRRXuEMynDG57DkZK4jYRuv3Garmb1i99");
        let token = key("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA");
        let mint = key("EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v");
        let program = key("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL");
        let account = key("13uzUGewpMFAgY62YJMjfY549G17VPuJMqKTXcb3F1Ly");
        assert_eq!(
            solana_program_address(&[&owner, &token, &mint], &program),
            Some(account)
        );
    }

    #[test]
    fn a_key_that_is_not_on_the_curve_has_no_address() {
        for wrong in [vec![], vec![0; 32], vec![0xff; 33], bytes(G)[1..].to_vec()] {
            assert_eq!(Mainnet.p2pkh(&wrong), Err(DeriveError::PublicKey));
            assert_eq!(Mainnet.p2wpkh(&wrong), Err(DeriveError::PublicKey));
            assert_eq!(Mainnet.p2sh_p2wpkh(&wrong), Err(DeriveError::PublicKey));
            assert_eq!(evm(&wrong), Err(DeriveError::PublicKey));
        }
        for wrong in [vec![], vec![0xff; 33], bytes(G), vec![0xff; 32]] {
            assert_eq!(solana(&wrong), Err(DeriveError::PublicKey));
        }
        assert_eq!(Mainnet.p2tr(&[0xff; 32], None), Err(DeriveError::PublicKey));
    }
}
