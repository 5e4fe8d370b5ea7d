//! Networks by name, as people write them into configurations.

use crate::Networks;

impl Networks {
    /// The networks with these names, or with these CAIP-2 ids. Bitcoin: `mainnet`, `testnet` (version 3), `testnet4`,
    /// `signet`, `regtest`. Solana: `mainnet`, `devnet`, `testnet`.
    pub fn named(bitcoin: &str, solana: &str) -> Result<Networks, UnknownNetwork> {
        Ok(Networks {
            bitcoin: find("bitcoin", &BITCOIN, bitcoin)?,
            solana: find("solana", &SOLANA, solana)?,
        })
    }
}

/// The text names no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is no network of {chain}; use one of {known}")]
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
        UnknownNetwork { chain, name: text.chars().take(80).collect(), known: names.join(", ") }
    })
}

/// The network whose addresses and keys these are, by its CAIP-2 id or its name.
pub(crate) fn bitcoin(id: &str) -> Option<bitcoin::Network> {
    let (name, _) = BITCOIN.into_iter().find(|(name, known)| *name == id || *known == id)?;
    match name {
        "mainnet" => Some(bitcoin::Network::Bitcoin),
        "testnet" => Some(bitcoin::Network::Testnet),
        "testnet4" => Some(bitcoin::Network::Testnet4),
        "signet" => Some(bitcoin::Network::Signet),
        "regtest" => Some(bitcoin::Network::Regtest),
        _ => None,
    }
}

/// CAIP-2, namespace `bip122`: the first 32 digits of the hash of the first block.
const BITCOIN: [(&str, &str); 5] = [
    ("mainnet", "bip122:000000000019d6689c085ae165831e93"),
    ("testnet", "bip122:000000000933ea01ad0ee984209779ba"),
    ("testnet4", "bip122:00000000da84f2bafbbc53dee25a72ae"),
    ("signet", "bip122:00000008819873e925422c1ff0f99f7c"),
    ("regtest", "bip122:0f9188f13cb7b2c71f2a335e3a4fc328"),
];

/// CAIP-2, namespace `solana`: the first 32 characters of the hash of the first block.
const SOLANA: [(&str, &str); 3] = [
    ("mainnet", "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp"),
    ("devnet", "solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1"),
    ("testnet", "solana:4uhcVJyU9pJkvQyS88uRDiswHXSYkY3z"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_have_names_and_ids() {
        assert_eq!(Networks::named("mainnet", "mainnet"), Ok(Networks::default()));
        let test = Networks::named("signet", "devnet").unwrap();
        assert_eq!(Networks::named(&test.bitcoin, &test.solana), Ok(test));
        for (bitcoin, solana, wrong) in [("moonnet", "mainnet", "moonnet"), ("mainnet", "regtest", "regtest")]
        {
            let error = Networks::named(bitcoin, solana).unwrap_err().to_string();
            assert!(error.contains(wrong) && error.contains("testnet"), "{error}");
        }
    }
}
