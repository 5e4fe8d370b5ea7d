//! The meaning of a token's number in a task: an amount, or a token id.
//!
//! `approve` and `transferFrom` are encoded alike in ERC-20 and ERC-721, so the node shows their
//! asset as `<chain>/token:<contract>`. The operator states under `assets` which of the two a
//! contract is. Otherwise the number is neither an amount nor harmless: a list of assets does not
//! contain it, and 0 is not "nothing".

use std::borrow::Cow;

use countersign_conditions::{Assets, Token, asset_id};
use countersign_sdk::{Amount, same_address};

use crate::assets::parse;
use crate::trail::Objection;

const LARGEST: &str =
    "115792089237316195423570985008687907853269984665640564039457584007913129639935";

/// The token standards of EVM chains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standard {
    Erc20,
    Erc721,
    Erc1155,
}

impl Standard {
    fn named(name: &str) -> Option<Self> {
        match name {
            "erc20" => Some(Self::Erc20),
            "erc721" => Some(Self::Erc721),
            "erc1155" => Some(Self::Erc1155),
            _ => None,
        }
    }
}

/// The operator's statements about the contracts of EVM chains.
#[derive(Debug, Default)]
pub struct Standards(Vec<(String, String, Standard)>);

/// An amount of an asset, as the rules count it.
#[derive(Debug, PartialEq, Eq)]
pub struct Portion<'a> {
    /// CAIP-19 id, or the chain's id for its native asset. The id of one token of ERC-721 or
    /// ERC-1155 follows a `/`.
    pub asset: Cow<'a, str>,
    /// The amount in smallest units, or the number of pieces of a single token. `None`: unlimited.
    pub amount: Option<Amount>,
    /// True if an amount of 0 means nothing at all; false if it may be a token id.
    pub zero_is_nothing: bool,
}

impl Standards {
    /// Collects the standards of the contracts under `assets:`.
    pub fn of(assets: &Assets) -> Result<Self, String> {
        let mut standards = Self::default();
        for (name, asset) in assets.iter() {
            let Some(token) =
                Token::of(&asset.id).filter(|token| token.chain.starts_with("eip155:"))
            else {
                continue;
            };
            let standard = Standard::named(token.standard).ok_or_else(|| {
                format!(
                    "assets.{name}: `{}` is not a token standard of an EVM chain; write erc20, erc721 or erc1155, which decides \
                     whether a number is an amount",
                    token.standard
                )
            })?;
            if standards
                .find(&token)
                .is_some_and(|other| other != standard)
            {
                return Err(format!(
                    "assets.{name}: {} is listed with two standards",
                    token.contract
                ));
            }
            standards
                .0
                .push((token.chain.into(), token.contract.into(), standard));
        }
        Ok(standards)
    }

    /// Interprets `number` of `asset` on `chain`, both as shown by the task.
    pub fn portion<'a>(
        &self,
        chain: &'a str,
        asset: &'a str,
        number: Option<&str>,
    ) -> Result<Portion<'a>, Objection> {
        let asset = asset_id(chain, asset);
        let amount = number.map(parse).transpose()?;
        let as_shown = |zero_is_nothing| Portion {
            asset: asset.into(),
            amount: amount.clone(),
            zero_is_nothing,
        };
        let Some(token) = Token::of(asset).filter(|token| token.chain.starts_with("eip155:"))
        else {
            return Ok(as_shown(true));
        };
        let numbered = token.number.is_none() && matches!(token.standard, "token" | "erc20");
        Ok(match self.find(&token) {
            Some(Standard::Erc20) if token.standard == "token" => Portion {
                asset: token.with("erc20").into(),
                amount,
                zero_is_nothing: true,
            },
            Some(Standard::Erc721) if numbered => one(&token, amount),
            Some(Standard::Erc20 | Standard::Erc721 | Standard::Erc1155) | None => {
                as_shown(Standard::named(token.standard).is_some())
            }
        })
    }

    fn find(&self, token: &Token) -> Option<Standard> {
        let is_same = |(chain, contract, _): &&(String, String, Standard)| {
            chain == token.chain && same_address(contract, token.contract)
        };
        self.0
            .iter()
            .find(is_same)
            .map(|(_, _, standard)| *standard)
    }
}

/// Returns the ERC-721 token with this id. The node shows the largest id as "without limit".
fn one(token: &Token, number: Option<Amount>) -> Portion<'static> {
    let number = number.as_ref().map_or(LARGEST, Amount::as_str);
    Portion {
        asset: format!("{}/{number}", token.with("erc721")).into(),
        amount: Some(Amount::from(1)),
        zero_is_nothing: false,
    }
}

/// Formats an asset for people, with both standards if it may be of either.
pub fn show(asset: &str) -> String {
    match Token::of(asset) {
        Some(token) if token.chain.starts_with("eip155:") && token.standard == "token" => format!(
            "{asset}, of which the node cannot tell whether numbers are amounts (ERC-20) or tokens (ERC-721): name the \
             contract under key_sign.assets with its standard"
        ),
        Some(_) | None => asset.into(),
    }
}
