//! Amounts in the unit that people use, beside the smallest one, and chains by their names.
//!
//! Only a chain's own coin is converted: only its contract knows the decimals of a token, and a
//! guess would move the point.

/// EVM: chain ids and coins as in the chains' own lists (`ethereum-lists/chains`); every chain's
/// coin has 18 decimals, which wallets take for granted. The last entry of a namespace stands for
/// chains without a name here.
const COINS: [Coin; 22] = [
    bitcoin("bip122:000000000019d6689c085ae165831e93", "Bitcoin", "BTC"),
    bitcoin(
        "bip122:000000000933ea01ad0ee984209779ba",
        "Bitcoin testnet3",
        "tBTC",
    ),
    bitcoin(
        "bip122:00000000da84f2bafbbc53dee25a72ae",
        "Bitcoin testnet4",
        "tBTC",
    ),
    bitcoin(
        "bip122:00000008819873e925422c1ff0f99f7c",
        "Bitcoin signet",
        "sBTC",
    ),
    bitcoin(
        "bip122:0f9188f13cb7b2c71f2a335e3a4fc328",
        "Bitcoin regtest",
        "rBTC",
    ),
    solana("solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp", "Solana"),
    solana("solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1", "Solana devnet"),
    solana("solana:4uhcVJyU9pJkvQyS88uRDiswHXSYkY3z", "Solana testnet"),
    evm("eip155:1", "Ethereum", "ETH"),
    evm("eip155:10", "OP Mainnet", "ETH"),
    evm("eip155:56", "BNB Smart Chain", "BNB"),
    evm("eip155:100", "Gnosis", "xDAI"),
    evm("eip155:137", "Polygon", "POL"),
    evm("eip155:324", "ZKsync Era", "ETH"),
    evm("eip155:8453", "Base", "ETH"),
    evm("eip155:42161", "Arbitrum One", "ETH"),
    evm("eip155:43114", "Avalanche C-Chain", "AVAX"),
    evm("eip155:59144", "Linea", "ETH"),
    evm("eip155:17000", "Holesky", "test ETH"),
    evm("eip155:560048", "Hoodi", "test ETH"),
    evm("eip155:11155111", "Sepolia", "test ETH"),
    evm("eip155", "EVM", "of the chain's coin"),
];

/// A chain and its coin.
struct Coin {
    /// CAIP-2 id, or the namespace alone.
    chain: &'static str,
    name: &'static str,
    symbol: &'static str,
    decimals: usize,
}

/// An amount of a chain's own coin, such as `0.0006 BTC (60000)`. The smallest unit alone if chain
/// or amount is not known.
pub fn amount(chain: &str, smallest: &str) -> String {
    match (coin(chain), decimal(chain, smallest)) {
        (Some(coin), Some(people)) => format!("{people} {} ({smallest})", coin.symbol),
        _ => format!("{smallest} (smallest unit)"),
    }
}

/// A chain's common name with its id; the id alone if it has no name here.
pub fn chain(id: &str) -> String {
    match COINS.iter().find(|coin| coin.chain == id) {
        Some(coin) => format!("{} ({id})", coin.name),
        None => id.into(),
    }
}

fn coin(chain: &str) -> Option<&'static Coin> {
    let namespace = chain.split_once(':')?.0;
    COINS
        .iter()
        .find(|coin| coin.chain == chain)
        .or_else(|| COINS.iter().find(|coin| coin.chain == namespace))
}

/// The amount with its decimal point, without trailing zeros.
fn decimal(chain: &str, smallest: &str) -> Option<String> {
    let decimals = coin(chain)?.decimals;
    if smallest.is_empty() || !smallest.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let padded = format!("{smallest:0>width$}", width = decimals + 1);
    let (whole, part) = padded.split_at(padded.len() - decimals);
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    match part.trim_end_matches('0') {
        "" => Some(whole.into()),
        part => Some(format!("{whole}.{part}")),
    }
}

const fn evm(chain: &'static str, name: &'static str, symbol: &'static str) -> Coin {
    Coin {
        chain,
        name,
        symbol,
        decimals: 18,
    }
}

const fn bitcoin(chain: &'static str, name: &'static str, symbol: &'static str) -> Coin {
    Coin {
        chain,
        name,
        symbol,
        decimals: 8,
    }
}

const fn solana(chain: &'static str, name: &'static str) -> Coin {
    Coin {
        chain,
        name,
        symbol: "SOL",
        decimals: 9,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coins_have_their_point_and_nothing_else_does() {
        let bitcoin = "bip122:000000000019d6689c085ae165831e93";
        for (chain, smallest, people) in [
            (bitcoin, "60000", "0.0006 BTC (60000)"),
            (bitcoin, "0", "0 BTC (0)"),
            (bitcoin, "100000000", "1 BTC (100000000)"),
            (
                "eip155:1",
                "1500000000000000000",
                "1.5 ETH (1500000000000000000)",
            ),
            ("eip155:1", "1", "0.000000000000000001 ETH (1)"),
            (
                "eip155:99999",
                "2000000000000000000",
                "2 of the chain's coin (2000000000000000000)",
            ),
            (
                "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp",
                "5",
                "0.000000005 SOL (5)",
            ),
            ("moon:1", "5", "5 (smallest unit)"),
            (
                "bip122:ffffffffffffffffffffffffffffffff",
                "5",
                "5 (smallest unit)",
            ),
            ("eip155:1", "unknown", "unknown (smallest unit)"),
            ("eip155:1", "", " (smallest unit)"),
            ("", "7", "7 (smallest unit)"),
        ] {
            assert_eq!(amount(chain, smallest), people);
        }
        let most = "115792089237316195423570985008687907853269984665640564039457584007913129639935";
        assert!(
            amount("eip155:1", most)
                .starts_with("115792089237316195423570985008687907853269984665640564039457.")
        );
        assert_eq!(chain("eip155:1"), "Ethereum (eip155:1)");
        assert_eq!(chain("eip155:424242"), "eip155:424242");
    }

    #[test]
    fn every_network_that_a_profile_can_name_has_a_name_here() {
        for bitcoin in ["mainnet", "testnet", "testnet4", "signet", "regtest"] {
            let networks = countersign_payload::Networks::named(bitcoin, "mainnet").unwrap();
            assert!(chain(&networks.bitcoin).starts_with("Bitcoin"), "{bitcoin}");
        }
        for solana in ["mainnet", "devnet", "testnet"] {
            let networks = countersign_payload::Networks::named("mainnet", solana).unwrap();
            assert!(chain(&networks.solana).starts_with("Solana"), "{solana}");
        }
    }
}
