//! Assets by their configured names, and maximum amounts in their units.

use std::collections::BTreeMap;

use countersign_sdk::Amount;
use serde::Deserialize;

use crate::choice::Quantity;

/// Assets by the operator's names for them.
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
            Some(_) | None => Ok(()),
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
    /// The asset of that name.
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
                format!("there is no asset `{name}`: `assets` defines none")
            } else {
                format!(
                    "there is no asset `{name}` under `assets`, only: {}",
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
pub fn asset_id<'a>(chain: &'a str, asset: &'a str) -> &'a str {
    if asset.is_empty() { chain } else { asset }
}

/// The parts of a token's CAIP-19 id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token<'a> {
    /// CAIP-2 id of the chain.
    pub chain: &'a str,
    /// The namespace of the asset, such as `erc20`.
    pub standard: &'a str,
    /// The contract, as the id has it.
    pub contract: &'a str,
    /// The number of one token.
    pub number: Option<&'a str>,
}

impl<'a> Token<'a> {
    /// Takes an id apart. `None` if it is of a chain's native asset.
    pub fn of(asset: &'a str) -> Option<Self> {
        let (chain, rest) = asset.split_once('/')?;
        let (standard, reference) = rest.split_once(':')?;
        let (contract, number) = match reference.split_once('/') {
            Some((contract, number)) => (contract, Some(number)),
            None => (reference, None),
        };
        Some(Token {
            chain,
            standard,
            contract,
            number,
        })
    }

    /// The id of the contract under another standard.
    pub fn with(&self, standard: &str) -> String {
        format!("{}/{standard}:{}", self.chain, self.contract)
    }
}

/// True if `listed`, an id under `assets`, covers `asset` of a task: it is the same, or the
/// contract of that single token.
pub fn covers(listed: &str, asset: &str) -> bool {
    same_asset(listed, asset)
        || (Token::of(listed).is_some_and(|token| token.number.is_none())
            && Token::of(asset).is_some_and(|token| token.number.is_some())
            && asset
                .rsplit_once('/')
                .is_some_and(|(contract, _)| same_asset(listed, contract)))
}

/// Compares ids of assets. Those of EVM chains contain addresses, in which case does not matter;
/// all others must be equal to the letter.
pub fn same_asset(a: &str, b: &str) -> bool {
    a == b || (a.starts_with("eip155:") && b.starts_with("eip155:") && a.eq_ignore_ascii_case(b))
}
