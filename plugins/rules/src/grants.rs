//! `grants:` of a policy: rights to move assets that a transaction or typed data grants. Without
//! this section, none may be granted.

use countersign_conditions::{Assets, Ceiling, Choice, WrittenCeiling, find, present};
use countersign_sdk::{AddressSet, Amount, Grant, same_address};
use serde::Deserialize;

use crate::assets::parse;
use crate::standards::{Portion, Standards, show};
use crate::trail::{Objection, Ruling, refuse};

const NOBODY: &str = "0x0000000000000000000000000000000000000000";

/// The section as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenGrants {
    /// Addresses that may be granted a right.
    pub spenders: AddressSet,
    /// Decision on rights to an unlimited amount.
    #[serde(default)]
    pub unlimited: Choice,
    /// The maximum amounts of rights; an asset that is not listed is refused.
    #[serde(default, deserialize_with = "present")]
    pub amounts: Option<Vec<WrittenCeiling>>,
}

/// The section as evaluated.
#[derive(Debug)]
pub struct Grants {
    spenders: AddressSet,
    unlimited: Choice,
    amounts: Option<Vec<Ceiling>>,
}

impl Grants {
    /// Converts the written form, with amounts in smallest units.
    pub fn new(written: WrittenGrants, assets: &Assets) -> Result<Self, String> {
        let WrittenGrants {
            spenders,
            unlimited,
            amounts,
        } = written;
        if unlimited == Choice::Allow && amounts.is_some() {
            return Err(
                "grants: `unlimited: allow` makes `amounts` pointless; leave one of them out"
                    .into(),
            );
        }
        let amounts = amounts
            .map(|list| Ceiling::list("grants.amounts", &list, assets))
            .transpose()?;
        Ok(Self {
            spenders,
            unlimited,
            amounts,
        })
    }

    /// True if the section lists the assets to which rights may be granted.
    pub fn list_assets(&self) -> bool {
        self.amounts.is_some()
    }

    /// Checks the `right` that is granted to `spender`.
    fn judge(&self, chain: &str, spender: &str, right: &Portion) -> Ruling {
        if !self.spenders.contains(chain, spender) {
            return refuse(
                "keysign-spender-not-allowed",
                format!("{spender} is not a listed spender"),
            );
        }
        let Some(amount) = &right.amount else {
            return match self.unlimited {
                Choice::Allow => Ok("an unlimited right for a listed spender".into()),
                Choice::Refuse => refuse(
                    "keysign-grant-unlimited",
                    format!("{spender} may move {} without limit", right.asset),
                ),
            };
        };
        let Some(ceilings) = &self.amounts else {
            return Ok("a listed spender".into());
        };
        let Some(ceiling) = find(ceilings, &right.asset) else {
            return refuse(
                "keysign-grant-asset-not-allowed",
                format!("grants.amounts does not list {}", show(&right.asset)),
            );
        };
        if *amount > ceiling.max {
            let given = ceiling.show(amount);
            let most = ceiling.show(&ceiling.max);
            let reason = format!("{spender} may move {given}, at most {most} is allowed");
            return refuse("keysign-grant-amount", reason);
        }
        Ok("a listed spender within its amount".into())
    }
}

/// Checks every right to a single asset. A right to nothing revokes one and is always allowed.
pub fn judge(
    rules: Option<&Grants>,
    standards: &Standards,
    chain: &str,
    grants: &[Grant],
) -> Ruling {
    let mut why = "grants no rights".into();
    for grant in grants.iter().filter(|grant| !grant.asset.is_empty()) {
        let right = standards.portion(chain, &grant.asset, grant.amount.as_deref())?;
        if takes_away(chain, &grant.spender, &right) {
            continue;
        }
        why = match rules {
            Some(rules) => rules.judge(chain, &grant.spender, &right)?,
            None => {
                let reason = format!("it lets {} move {}", grant.spender, show(&right.asset));
                return refuse("keysign-grant", reason);
            }
        };
    }
    Ok(why)
}

/// Iterates over the rights to single assets that are granted and not revoked.
pub fn given<'a>(
    standards: &Standards,
    chain: &'a str,
    grants: &'a [Grant],
) -> impl Iterator<Item = Result<Portion<'a>, Objection>> {
    let single = grants.iter().filter(|grant| !grant.asset.is_empty());
    single.filter_map(move |grant| {
        let right = standards.portion(chain, &grant.asset, grant.amount.as_deref());
        let taken = right
            .as_ref()
            .is_ok_and(|right| takes_away(chain, &grant.spender, right));
        (!taken).then_some(right)
    })
}

/// Returns the largest amount of a token on EVM chains, 2^256 - 1.
pub fn everything() -> Amount {
    let most = "115792089237316195423570985008687907853269984665640564039457584007913129639935";
    most.parse().expect("decimal digits")
}

/// Checks rights to the whole account (EIP-7702): only listed contracts may have them.
pub fn judge_delegations(delegates: Option<&AddressSet>, chain: &str, grants: &[Grant]) -> Ruling {
    for grant in grants.iter().filter(|grant| grant.asset.is_empty()) {
        let listed = delegates.is_some_and(|delegates| delegates.contains(chain, &grant.spender));
        if !listed && !takes_back(grant)? {
            return refuse(
                "keysign-delegation",
                format!("it hands the whole account to {}", grant.spender),
            );
        }
    }
    Ok("hands the account to listed contracts only".into())
}

/// True if the right is empty: an amount of 0 that means nothing, or granted to the zero address,
/// which cannot act (this is how the right to one token of ERC-721 is revoked).
fn takes_away(chain: &str, spender: &str, right: &Portion) -> bool {
    let nothing = right.zero_is_nothing && right.amount.as_ref().is_some_and(Amount::is_zero);
    nothing || (chain.starts_with("eip155:") && same_address(spender, NOBODY))
}

fn takes_back(grant: &Grant) -> Result<bool, Objection> {
    grant.amount.as_deref().map_or(Ok(false), |amount| {
        parse(amount).map(|amount| amount.is_zero())
    })
}
