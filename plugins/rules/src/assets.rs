//! Assets by their configured names, and maximum amounts in their units.

use std::borrow::Cow;
use std::collections::BTreeMap;

use countersign_sdk::{Amount, Transaction};
use serde::Deserialize;

use crate::choice::Quantity;
use crate::standards::{Standards, covers, same_asset};
use crate::trail::{Objection, refuse};

pub type Assets = BTreeMap<String, Asset>;

/// An asset that the operator has configured.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asset {
    /// CAIP-19 id, e.g. `eip155:1/erc20:0x...`; for the native asset of a chain the CAIP-2
    /// id of the chain.
    pub id: String,
    /// Number of decimals of its amounts in this file; 0 if they are in smallest units.
    #[serde(default)]
    pub decimals: u8,
}

impl Asset {
    /// Checks that the id can occur in a task.
    pub fn validate(&self, name: &str) -> Result<(), String> {
        let (chain, token) = match self.id.split_once('/') {
            Some((chain, token)) => (chain, Some(token)),
            None => (self.id.as_str(), None),
        };
        if !is_chain(chain) {
            return Err(format!(
                "assets.{name}: `{}` does not begin with a chain; write e.g. eip155:1/erc20:0x...",
                self.id
            ));
        }
        match token {
            Some(token) if token.starts_with("slip44:") => Err(format!(
                "assets.{name}: the native asset is written as the chain alone: {chain}"
            )),
            Some(token) if !token.contains(':') => Err(format!(
                "assets.{name}: `{token}` names no token; write the standard and the contract, e.g. erc20:0x..."
            )),
            _ => Ok(()),
        }
    }
}

/// True if `text` has the form of a CAIP-2 id.
pub fn is_chain(text: &str) -> bool {
    text.split_once(':').is_some_and(|(namespace, reference)| {
        (3..=8).contains(&namespace.len())
            && namespace
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && (1..=32).contains(&reference.len())
            && reference
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    })
}

/// A maximum for one asset.
#[derive(Debug)]
pub struct Ceiling {
    /// The operator's name of the asset.
    pub name: String,
    pub asset: Asset,
    /// The maximum, in smallest units of the asset.
    pub max: Amount,
}

/// One entry of a list of ceilings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenCeiling {
    /// The operator's name of the asset.
    pub asset: String,
    /// The maximum, in the asset's units.
    pub max: Quantity,
}

impl Ceiling {
    /// Creates the ceiling `quantity` for the asset called `name`.
    pub fn new(name: &str, quantity: &Quantity, assets: &Assets) -> Result<Self, String> {
        let asset = assets.get(name).ok_or_else(|| {
            let known: Vec<_> = assets.keys().map(String::as_str).collect();
            if known.is_empty() {
                format!("there is no asset `{name}`: key_sign.assets defines none")
            } else {
                format!(
                    "there is no asset `{name}` under key_sign.assets, only: {}",
                    known.join(", ")
                )
            }
        })?;
        let max = quantity
            .amount(asset.decimals)
            .map_err(|error| error.to_string())?;
        Ok(Self {
            name: name.into(),
            asset: asset.clone(),
            max,
        })
    }

    /// Parses a list of ceilings, each asset once.
    pub fn list(
        at: &str,
        written: &[WrittenCeiling],
        assets: &Assets,
    ) -> Result<Vec<Self>, String> {
        let mut ceilings: Vec<Self> = Vec::with_capacity(written.len());
        for (i, entry) in written.iter().enumerate() {
            let ceiling = Self::new(&entry.asset, &entry.max, assets)
                .map_err(|why| format!("{at}[{i}]: {why}"))?;
            if ceilings
                .iter()
                .any(|other| same_asset(&other.asset.id, &ceiling.asset.id))
            {
                return Err(format!(
                    "{at}[{i}]: the asset `{}` is listed twice",
                    entry.asset
                ));
            }
            ceilings.push(ceiling);
        }
        Ok(ceilings)
    }

    /// Formats an amount for people.
    pub fn show(&self, amount: &Amount) -> String {
        format!("{} {}", amount.in_units(self.asset.decimals), self.name)
    }
}

/// Finds the ceiling for `asset`, a CAIP-19 or CAIP-2 id: its own, or that of all
/// tokens of its contract.
pub fn find<'a>(ceilings: &'a [Ceiling], asset: &str) -> Option<&'a Ceiling> {
    let own = ceilings
        .iter()
        .find(|ceiling| same_asset(&ceiling.asset.id, asset));
    own.or_else(|| {
        ceilings
            .iter()
            .find(|ceiling| covers(&ceiling.asset.id, asset))
    })
}

/// Returns the id of an asset in a task: an empty one stands for the chain's native asset.
pub fn id<'a>(chain: &'a str, asset: &'a str) -> &'a str {
    if asset.is_empty() { chain } else { asset }
}

/// Parses an amount of a task.
pub fn parse(amount: &str) -> Result<Amount, Objection> {
    amount.parse().or_else(|_| {
        refuse(
            "keysign-amount-malformed",
            format!("the task shows `{amount}` where an amount belongs"),
        )
    })
}

/// The outflow of the wallet, by asset. Change does not count. For native value the larger of
/// the destinations' and the calls' amounts counts, plus the highest fee. Limits also count
/// granted rights as outflow.
#[derive(Debug, Default)]
pub struct Spending<'a> {
    amounts: Vec<(Cow<'a, str>, Amount)>,
    /// True if the node cannot tell the fee, so that the outflow of native value is unknown.
    unknown_fee: bool,
}

impl<'a> Spending<'a> {
    /// Computes the outflow of this transaction.
    pub fn of(transaction: &'a Transaction, standards: &Standards) -> Result<Self, Objection> {
        let chain = transaction.chain.as_str();
        let mut spending = Spending::default();
        for destination in &transaction.destinations {
            let portion =
                standards.portion(chain, &destination.asset, Some(&destination.amount))?;
            if let (false, Some(amount)) = (destination.change, &portion.amount) {
                *spending.entry(portion.asset) += amount;
            }
        }
        let mut carried = Amount::zero();
        for call in &transaction.calls {
            carried += &parse(&call.amount)?;
        }
        if !carried.is_zero() {
            let native = spending.entry(chain.into());
            if *native < carried {
                *native = carried;
            }
        }
        match &transaction.fee {
            Some(fee) => *spending.entry(chain.into()) += &parse(fee)?,
            None => spending.unknown_fee = true,
        }
        Ok(spending)
    }

    /// Adds an amount of an asset.
    pub fn add(&mut self, asset: Cow<'a, str>, amount: &Amount) {
        *self.entry(asset) += amount;
    }

    /// Refuses an unknown outflow, on behalf of rules that bound amounts.
    pub fn refuse_unknown(&self) -> Result<(), Objection> {
        if self.unknown_fee {
            refuse(
                "keysign-fee-unknown",
                "the node cannot tell the fee, which counts as an amount",
            )
        } else {
            Ok(())
        }
    }

    /// Iterates over the assets and their outflow. A named token counts even if its amount is 0,
    /// which may be a token id.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Amount)> {
        let leaves =
            |(asset, amount): &&(Cow<str>, Amount)| !amount.is_zero() || asset.contains('/');
        self.amounts
            .iter()
            .filter(leaves)
            .map(|(asset, amount)| (asset.as_ref(), amount))
    }

    /// Sums up the outflow of all assets under `ceiling`; `None` if there are none.
    pub fn under(&self, ceiling: &Ceiling) -> Option<Amount> {
        let mut amounts = self
            .iter()
            .filter(|(asset, _)| covers(&ceiling.asset.id, asset))
            .peekable();
        amounts.peek()?;
        Some(amounts.fold(Amount::zero(), |sum, (_, amount)| sum + amount))
    }

    fn entry(&mut self, asset: Cow<'a, str>) -> &mut Amount {
        let at = self
            .amounts
            .iter()
            .position(|(other, _)| same_asset(other, &asset))
            .unwrap_or_else(|| {
                self.amounts.push((asset, Amount::zero()));
                self.amounts.len() - 1
            });
        &mut self.amounts[at].1
    }
}
