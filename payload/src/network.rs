//! Networks by name, as people write them in configurations.

use countersign_verify::address::Network as AddressNetwork;

use crate::Networks;

const BITCOIN: [Known; 5] = [
    Known {
        name: "mainnet",
        id: "bip122:000000000019d6689c085ae165831e93",
        network: bitcoin::Network::Bitcoin,
        addresses: AddressNetwork::Mainnet,
    },
    Known {
        name: "testnet",
        id: "bip122:000000000933ea01ad0ee984209779ba",
        network: bitcoin::Network::Testnet,
        addresses: AddressNetwork::Testnet,
    },
    Known {
        name: "testnet4",
        id: "bip122:00000000da84f2bafbbc53dee25a72ae",
        network: bitcoin::Network::Testnet4,
        addresses: AddressNetwork::Testnet,
    },
    Known {
        name: "signet",
        id: "bip122:00000008819873e925422c1ff0f99f7c",
        network: bitcoin::Network::Signet,
        addresses: AddressNetwork::Testnet,
    },
    Known {
        name: "regtest",
        id: "bip122:0f9188f13cb7b2c71f2a335e3a4fc328",
        network: bitcoin::Network::Regtest,
        addresses: AddressNetwork::Regtest,
    },
];
/// CAIP-2, namespace `solana`: the first 32 characters of the hash of the first block.
const SOLANA: [(&str, &str); 3] = [
    ("mainnet", "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp"),
    ("devnet", "solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1"),
    ("testnet", "solana:4uhcVJyU9pJkvQyS88uRDiswHXSYkY3z"),
];

impl Networks {
    /// Returns the networks with these names, or with these CAIP-2 ids. Bitcoin:
    /// `mainnet`, `testnet` (version 3), `testnet4`, `signet`, `regtest`.
    /// Solana: `mainnet`, `devnet`, `testnet`.
    pub fn named(bitcoin: &str, solana: &str) -> Result<Self, UnknownNetwork> {
        Ok(Self {
            bitcoin: find(
                "bitcoin",
                &BITCOIN.map(|known| (known.name, known.id)),
                bitcoin,
            )?,
            solana: find("solana", &SOLANA, solana)?,
        })
    }

    /// The address format of the Bitcoin network. `None` if the network is unknown.
    pub fn bitcoin_addresses(&self) -> Option<AddressNetwork> {
        BITCOIN
            .into_iter()
            .find(|known| known.id == self.bitcoin)
            .map(|known| known.addresses)
    }
}

/// A text that does not name a known network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not a network of {chain}; use one of {known}")]
pub struct UnknownNetwork {
    chain: &'static str,
    name: String,
    known: String,
}

fn find(
    chain: &'static str,
    known: &[(&'static str, &'static str)],
    text: &str,
) -> Result<String, UnknownNetwork> {
    let found = known.iter().find(|(name, id)| *name == text || *id == text);
    found.map(|(_, id)| (*id).to_owned()).ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        UnknownNetwork {
            chain,
            name: text.chars().take(80).collect(),
            known: names.join(", "),
        }
    })
}

/// The network for a PSBT's addresses, by its CAIP-2 id.
pub(crate) fn bitcoin(id: &str) -> Option<bitcoin::Network> {
    BITCOIN
        .into_iter()
        .find(|known| known.id == id)
        .map(|known| known.network)
}

/// A Bitcoin network, under every name that programs here use for it.
struct Known {
    name: &'static str,
    /// CAIP-2, namespace `bip122`: the first 32 digits of the hash of the first block.
    id: &'static str,
    network: bitcoin::Network,
    addresses: AddressNetwork,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The addresses that are shown to people, and those that are read from PSBTs, are the same.
    #[test]
    fn addresses_are_those_of_the_library_that_reads_transactions() {
        let key = crate::testkit::ecdsa().root_public_key;
        let point = bitcoin::CompressedPublicKey::from_slice(key).unwrap();
        let (internal, _) = point.0.x_only_public_key();
        let curve = bitcoin::secp256k1::Secp256k1::verification_only();
        for Known { name, network, .. } in BITCOIN {
            let shown = Networks::named(name, "mainnet")
                .unwrap()
                .bitcoin_addresses()
                .unwrap();
            for (shown, read) in [
                (shown.p2pkh(key), bitcoin::Address::p2pkh(point, network)),
                (shown.p2wpkh(key), bitcoin::Address::p2wpkh(&point, network)),
                (
                    shown.p2sh_p2wpkh(key),
                    bitcoin::Address::p2shwpkh(&point, network),
                ),
                (
                    shown.p2tr(key, None),
                    bitcoin::Address::p2tr(&curve, internal, None, network),
                ),
            ] {
                assert_eq!(shown.unwrap(), read.to_string(), "{name}");
            }
        }
    }

    #[test]
    fn networks_have_names_and_ids() {
        assert_eq!(
            Networks::named("mainnet", "mainnet"),
            Ok(Networks::default())
        );
        let test = Networks::named("signet", "devnet").unwrap();
        assert_eq!(Networks::named(&test.bitcoin, &test.solana), Ok(test));
        for (bitcoin, solana, wrong) in [
            ("moonnet", "mainnet", "moonnet"),
            ("mainnet", "regtest", "regtest"),
        ] {
            let error = Networks::named(bitcoin, solana).unwrap_err().to_string();
            assert!(
                error.contains(wrong) && error.contains("testnet"),
                "{error}"
            );
        }
    }
}
