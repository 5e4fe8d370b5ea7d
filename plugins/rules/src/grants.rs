//! `grants:` of a policy: rights to move assets that a transaction or typed data hands out. Without this section there
//! may be none.

use countersign_sdk::{AddressSet, Grant};
use serde::Deserialize;

use crate::assets::{Assets, Ceiling, WrittenCeiling, find, id, parse};
use crate::choice::{Choice, present};
use crate::trail::{Objection, Ruling, refuse};

/// As it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenGrants {
    /// Who may be given a right.
    pub spenders: AddressSet,
    /// Rights without limit.
    #[serde(default)]
    pub unlimited: Choice,
    /// The most of a right; an asset that is not listed is refused.
    #[serde(default, deserialize_with = "present")]
    pub amounts: Option<Vec<WrittenCeiling>>,
}

/// As it is judged.
#[derive(Debug)]
pub struct Grants {
    spenders: AddressSet,
    unlimited: Choice,
    amounts: Option<Vec<Ceiling>>,
}

impl Grants {
    /// What is written, with amounts in smallest units.
    pub fn new(written: WrittenGrants, assets: &Assets) -> Result<Self, String> {
        let WrittenGrants { spenders, unlimited, amounts } = written;
        if unlimited == Choice::Allow && amounts.is_some() {
            return Err("grants: `unlimited: allow` makes `amounts` pointless; leave one of them out".into());
        }
        let amounts = amounts.map(|list| Ceiling::list("grants.amounts", &list, assets)).transpose()?;
        Ok(Grants { spenders, unlimited, amounts })
    }

    fn judge(&self, chain: &str, grant: &Grant) -> Ruling {
        let Grant { spender, asset, amount } = grant;
        if !self.spenders.contains(chain, spender) {
            return refuse("keysign-spender-not-allowed", format!("{spender} is not a listed spender"));
        }
        let Some(amount) = amount else {
            return match self.unlimited {
                Choice::Allow => Ok("a right without limit for a listed spender".into()),
                Choice::Refuse => refuse(
                    "keysign-grant-unlimited",
                    format!("{spender} may move {} without limit", id(chain, asset)),
                ),
            };
        };
        let Some(ceilings) = &self.amounts else { return Ok("a listed spender".into()) };
        let Some(ceiling) = find(ceilings, id(chain, asset)) else {
            return refuse(
                "keysign-grant-asset-not-allowed",
                format!("grants.amounts does not list {asset}"),
            );
        };
        let amount = parse(amount)?;
        if amount > ceiling.max {
            return refuse(
                "keysign-grant-amount",
                format!(
                    "{spender} may move {}, at most {} is allowed",
                    ceiling.show(&amount),
                    ceiling.show(&ceiling.max)
                ),
            );
        }
        Ok("a listed spender within its amount".into())
    }
}

/// Judges every right over single assets. A right to nothing takes one away and needs no leave.
pub fn judge(rules: Option<&Grants>, chain: &str, grants: &[Grant]) -> Ruling {
    let mut why = "hands out no right".into();
    for grant in grants.iter().filter(|grant| !grant.asset.is_empty()) {
        if takes_away(grant)? {
            continue;
        }
        why = match rules {
            Some(rules) => rules.judge(chain, grant)?,
            None => {
                return refuse("keysign-grant", format!("it lets {} move {}", grant.spender, grant.asset));
            }
        };
    }
    Ok(why)
}

/// Judges rights over everything that the account holds (EIP-7702): only to listed contracts.
pub fn judge_delegations(delegates: Option<&AddressSet>, chain: &str, grants: &[Grant]) -> Ruling {
    for grant in grants.iter().filter(|grant| grant.asset.is_empty()) {
        let listed = delegates.is_some_and(|delegates| delegates.contains(chain, &grant.spender));
        if !listed && !takes_away(grant)? {
            return refuse("keysign-delegation", format!("it hands the whole account to {}", grant.spender));
        }
    }
    Ok("hands the account to nobody who is not listed".into())
}

fn takes_away(grant: &Grant) -> Result<bool, Objection> {
    grant.amount.as_deref().map_or(Ok(false), |amount| parse(amount).map(|amount| amount.is_zero()))
}
