//! What the caller left open: gas and its price, as the upstream RPC proposes them, and the bound
//! on what a transaction may pay for them.
//!
//! The upstream RPC is not trusted, and many tools ask it for the fee themselves. So the bound
//! holds for every transaction, whoever chose its fee.

use std::fmt;
use std::str::FromStr;

use countersign_payload::{EvmAccess, EvmPrice};
use serde_json::{Value, json};

use super::error::RpcError;
use super::request::{PriceWish, Wish};
use super::upstream::{Upstream, UpstreamError};
use super::value::{to_data, to_quantity};

/// Decimals of the coin of every EVM chain, which wallets take for granted.
const DECIMALS: usize = 18;
/// The tip where the upstream RPC proposes none: 1 gwei.
const TIP: u128 = 1_000_000_000;

/// An amount of the chain's coin, such as `0.1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Coins {
    /// In the smallest unit, 10^-18.
    pub wei: u128,
}

/// A text that is no amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("write an amount of the chain's coin, such as 0.1, with at most 18 decimals")]
pub struct CoinError;

impl FromStr for Coins {
    type Err = CoinError;

    fn from_str(text: &str) -> Result<Self, CoinError> {
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(part) || part.len() > DECIMALS {
            return Err(CoinError);
        }
        let wei = format!("{whole}{part:0<DECIMALS$}");
        Ok(Self {
            wei: wei.parse().map_err(|_| CoinError)?,
        })
    }
}

impl fmt::Display for Coins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = 10u128.pow(DECIMALS as u32);
        let part = format!("{:0>DECIMALS$}", self.wei % unit);
        match part.trim_end_matches('0') {
            "" => write!(f, "{}", self.wei / unit),
            part => write!(f, "{}.{part}", self.wei / unit),
        }
    }
}

/// The gas limit: the caller's, or what the upstream RPC estimates.
pub async fn gas(upstream: &Upstream, wish: &Wish) -> Result<u64, RpcError> {
    if let Some(gas) = wish.gas {
        return Ok(gas);
    }
    let mut transaction = json!({
        "from": to_data(&wish.from), "value": to_quantity(Hex(wish.value)), "data": to_data(&wish.data),
    });
    if let Some(to) = &wish.to {
        transaction["to"] = to_data(to);
    }
    if let Some(list) = &wish.access_list {
        transaction["accessList"] = list.iter().map(entry).collect();
    }
    Ok(upstream.estimate_gas(transaction).await?)
}

/// The price of gas, of the type that was asked for; otherwise of the type that the chain has.
pub async fn price(upstream: &Upstream, wish: &Wish) -> Result<EvmPrice, RpcError> {
    let access_list = wish.access_list.clone();
    match wish.price {
        PriceWish::Any => match upstream.base_fee().await? {
            Some(base) => dynamic(upstream, base, None, None, access_list).await,
            None => single(upstream, None, access_list).await,
        },
        PriceWish::Single(price) => single(upstream, price, access_list).await,
        PriceWish::WithAccessList(price) => {
            single(upstream, price, Some(access_list.unwrap_or_default())).await
        }
        PriceWish::Dynamic {
            max: Some(max),
            priority: Some(priority),
        } => checked(max, priority, access_list),
        PriceWish::Dynamic { max, priority } => {
            let base = upstream.base_fee().await?.ok_or_else(|| {
                RpcError::params("the chain has no transactions of type 2; give `gasPrice`")
            })?;
            dynamic(upstream, base, max, priority, access_list).await
        }
    }
}

/// Refuses a transaction that may pay more than the bound for its gas.
pub fn check_bound(gas: u64, price: &EvmPrice, most: Coins) -> Result<(), RpcError> {
    let fee = price.highest().checked_mul(u128::from(gas));
    match fee {
        Some(wei) if wei <= most.wei => Ok(()),
        _ => {
            let fee = fee.map_or("more than there is".to_owned(), |wei| {
                Coins { wei }.to_string()
            });
            Err(RpcError::params(format!(
                "the transaction may pay {fee} of the chain's coin for its gas, and --max-fee allows {most}; check gas and \
                 prices, or start the endpoint with a higher --max-fee"
            ))
            .with(json!({"code": "fee-bound"})))
        }
    }
}

async fn single(
    upstream: &Upstream,
    price: Option<u128>,
    access_list: Option<Vec<EvmAccess>>,
) -> Result<EvmPrice, RpcError> {
    let gas_price = match price {
        Some(price) => price,
        None => upstream.gas_price().await?,
    };
    Ok(match access_list {
        Some(access_list) => EvmPrice::WithAccessList {
            gas_price,
            access_list,
        },
        None => EvmPrice::Legacy { gas_price },
    })
}

/// Twice the base fee and the tip: enough for six full blocks in a row, as wallets choose it.
async fn dynamic(
    upstream: &Upstream,
    base: u128,
    max: Option<u128>,
    priority: Option<u128>,
    access_list: Option<Vec<EvmAccess>>,
) -> Result<EvmPrice, RpcError> {
    let tip = match priority {
        Some(priority) => priority,
        None => proposed_tip(upstream).await?.min(max.unwrap_or(u128::MAX)),
    };
    let max = max.unwrap_or_else(|| base.saturating_mul(2).saturating_add(tip));
    checked(max, tip, access_list)
}

async fn proposed_tip(upstream: &Upstream) -> Result<u128, RpcError> {
    match upstream.priority_fee().await {
        Ok(tip) => Ok(tip),
        // Not every node has the method.
        Err(UpstreamError::Refused(_)) => Ok(TIP),
        Err(error) => Err(error.into()),
    }
}

fn checked(
    max: u128,
    priority: u128,
    access_list: Option<Vec<EvmAccess>>,
) -> Result<EvmPrice, RpcError> {
    if priority > max {
        return Err(RpcError::params(
            "`maxPriorityFeePerGas` is higher than `maxFeePerGas`; correct one of them",
        ));
    }
    Ok(EvmPrice::Dynamic {
        max_fee_per_gas: max,
        max_priority_fee_per_gas: priority,
        access_list: access_list.unwrap_or_default(),
    })
}

fn entry((address, slots): &EvmAccess) -> Value {
    let slots: Vec<Value> = slots.iter().map(|slot| to_data(slot)).collect();
    json!({"address": to_data(address), "storageKeys": slots})
}

/// A quantity of 256 bits, written without leading zeros.
struct Hex([u8; 32]);

impl fmt::LowerHex for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = hex::encode(self.0);
        let digits = digits.trim_start_matches('0');
        f.pad_integral(true, "0x", if digits.is_empty() { "0" } else { digits })
    }
}

#[cfg(test)]
mod tests {
    use super::super::error::INVALID_PARAMS;
    use super::*;

    #[test]
    fn amounts_are_read_and_written_exactly() {
        for (text, wei, written) in [
            ("0.1", 100_000_000_000_000_000, "0.1"),
            ("1", 1_000_000_000_000_000_000, "1"),
            ("01.50", 1_500_000_000_000_000_000, "1.5"),
            ("0.000000000000000001", 1, "0.000000000000000001"),
            ("0", 0, "0"),
        ] {
            let coins: Coins = text.parse().unwrap();
            assert_eq!((coins.wei, coins.to_string().as_str()), (wei, written));
        }
        let more = "1".repeat(40);
        for wrong in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "1e3",
            "0.0000000000000000001",
            "1,5",
            &more,
        ] {
            assert_eq!(wrong.parse::<Coins>(), Err(CoinError), "{wrong}");
        }
    }

    #[test]
    fn a_fee_above_the_bound_is_refused_whatever_the_type() {
        let most = Coins { wei: 21_000 * 10 };
        let list = || vec![];
        let prices = |price| {
            [
                EvmPrice::Legacy { gas_price: price },
                EvmPrice::WithAccessList {
                    gas_price: price,
                    access_list: list(),
                },
                EvmPrice::Dynamic {
                    max_fee_per_gas: price,
                    max_priority_fee_per_gas: 0,
                    access_list: list(),
                },
            ]
        };
        for price in prices(10) {
            assert_eq!(check_bound(21_000, &price, most), Ok(()));
            assert!(check_bound(21_001, &price, most).is_err());
        }
        for price in prices(11).into_iter().chain(prices(u128::MAX)) {
            let refused = check_bound(21_000, &price, most).unwrap_err();
            assert_eq!(refused.code, INVALID_PARAMS);
            assert!(refused.message.contains("--max-fee"), "{refused}");
        }
    }

    #[test]
    fn quantities_have_no_leading_zeros() {
        let mut value = [0; 32];
        assert_eq!(to_quantity(Hex(value)), json!("0x0"));
        value[30] = 0x0a;
        assert_eq!(to_quantity(Hex(value)), json!("0xa00"));
        assert_eq!(
            to_quantity(Hex([0xff; 32])),
            json!(format!("0x{}", "f".repeat(64)))
        );
    }
}
