//! Addresses of a wallet's children on the chains that its scheme signs for. Clients show these;
//! the coordinator repeats them for convenience.

use countersign_protocol::{DerivationPath, Scheme};

use crate::address::{self, Network};
use crate::{DeriveError, Key};

/// A child of a wallet's root key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    /// 33 bytes compressed, 32 bytes on Ed25519.
    pub public_key: Vec<u8>,
    /// Each kind of address with the address.
    pub addresses: Vec<(&'static str, String)>,
}

/// Derives the child at `path`, with its addresses. `script_root`: root of the outputs' script tree
/// (BIP-341); only keys of `taproot` have such outputs.
pub fn child(
    key: &Key,
    path: &DerivationPath,
    network: Network,
    script_root: Option<&[u8; 32]>,
) -> Result<Child, DeriveError> {
    let public_key = key.child(path)?;
    let addresses = addresses(key.scheme, network, &public_key, script_root)?;
    Ok(Child {
        public_key,
        addresses,
    })
}

/// Maps the name of each kind of address to the address.
fn addresses(
    scheme: Scheme,
    network: Network,
    child: &[u8],
    script_root: Option<&[u8; 32]>,
) -> Result<Vec<(&'static str, String)>, DeriveError> {
    if script_root.is_some() && scheme != Scheme::Taproot {
        return Err(DeriveError::ScriptRoot);
    }
    Ok(match scheme {
        Scheme::EcdsaSecp256k1 => vec![
            ("evm", address::evm(child)?),
            ("bitcoin-p2wpkh", network.p2wpkh(child)?),
            ("bitcoin-p2sh", network.p2sh_p2wpkh(child)?),
            ("bitcoin-p2pkh", network.p2pkh(child)?),
        ],
        Scheme::Taproot => vec![("bitcoin-p2tr", network.p2tr(child, script_root)?)],
        Scheme::Ed25519 => vec![("solana", address::solana(child)?)],
        // RFC 9591 signatures belong to no chain known here.
        Scheme::SchnorrSecp256k1 => vec![("public-key", hex::encode(child))],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scheme_has_the_addresses_of_its_chains() {
        let kinds = |scheme, child: &str| addresses_of(scheme, child, None).unwrap();
        // The generator: the key of the private key 1, whose addresses are widely published.
        let one = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
        let expected = [
            ("evm", "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"),
            (
                "bitcoin-p2wpkh",
                "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
            ),
            ("bitcoin-p2sh", "3JvL6Ymt8MVWiCNHC7oWU6nLeHNJKLZGLN"),
            ("bitcoin-p2pkh", "1BgGZ9tcN4rm9KBzDn7KprQz87SZ26SAMH"),
        ];
        assert_eq!(
            kinds(Scheme::EcdsaSecp256k1, one),
            expected.map(|(kind, text)| (kind, text.to_owned()))
        );
        let taproot = kinds(Scheme::Taproot, one);
        assert_eq!(taproot[0].0, "bitcoin-p2tr");
        assert!(taproot[0].1.starts_with("bc1p"));
        let generator = "5866666666666666666666666666666666666666666666666666666666666666";
        assert_eq!(kinds(Scheme::Ed25519, generator).len(), 1);
    }

    /// BIP-341, wallet-test-vectors.json, scriptPubKey 1.
    #[test]
    fn only_taproot_wallets_have_outputs_with_scripts() {
        let internal = "02187791b6f712a8ea41c8ecdd0ee77fab3e85263b37e1ec18a3651926b3a6cf27";
        let root = "5b75adecf53548f3ec6ad7d78383bf84cc57b55a3127c72b9a2481752dd88b21";
        let root = hex::decode(root).unwrap().try_into().unwrap();
        let address = "bc1pz37fc4cn9ah8anwm4xqqhvxygjf9rjf2resrw8h8w4tmvcs0863sa2e586";
        let found = addresses_of(Scheme::Taproot, internal, Some(root)).unwrap();
        assert_eq!(found, [("bitcoin-p2tr", address.to_owned())]);
        for scheme in Scheme::ALL
            .into_iter()
            .filter(|scheme| *scheme != Scheme::Taproot)
        {
            assert_eq!(
                addresses_of(scheme, internal, Some(root)),
                Err(DeriveError::ScriptRoot)
            );
        }
    }

    fn addresses_of(
        scheme: Scheme,
        child: &str,
        script_root: Option<[u8; 32]>,
    ) -> Result<Vec<(&'static str, String)>, DeriveError> {
        addresses(
            scheme,
            Network::Mainnet,
            &hex::decode(child).unwrap(),
            script_root.as_ref(),
        )
    }
}
