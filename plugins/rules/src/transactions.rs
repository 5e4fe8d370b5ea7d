//! `transactions:` of a policy. Without this section no transaction may be signed.

use countersign_conditions::{Assets, Ceiling, Choice, WrittenCeiling, find, present};
use countersign_sdk::{AddressSet, Call, Host, Task, Transaction};
use serde::Deserialize;

use crate::assets::{Spending, parse};
use crate::calls::Calls;
use crate::grants::{self, Grants};
use crate::recipients::{Found, Negative};
use crate::standards::{Standards, show};
use crate::trail::{Objection, Ruling, Trail, refuse};

/// The section as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenTransactions {
    #[serde(default, deserialize_with = "present")]
    pub destinations: Option<Destinations>,
    #[serde(default)]
    pub calls: Calls,
    /// Contracts to which the whole account may be delegated (EIP-7702).
    #[serde(default, deserialize_with = "present")]
    pub delegates: Option<AddressSet>,
    /// The maximum amounts that one transaction may spend; an unlisted asset is refused.
    #[serde(default, deserialize_with = "present")]
    pub amounts: Option<Vec<WrittenCeiling>>,
    /// The maximum fee of one transaction; a chain whose native asset is unlisted is refused.
    #[serde(default, deserialize_with = "present")]
    pub fees: Option<Vec<WrittenCeiling>>,
}

/// The permitted and the forbidden recipients.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Destinations {
    /// Every recipient must be in this list, if present.
    #[serde(default, deserialize_with = "present")]
    pub allow: Option<AddressSet>,
    /// No recipient may be in this list.
    #[serde(default)]
    pub deny: AddressSet,
}

/// The section as evaluated.
#[derive(Debug)]
pub struct Transactions {
    destinations: Option<Destinations>,
    calls: Calls,
    delegates: Option<AddressSet>,
    amounts: Option<Vec<Ceiling>>,
    fees: Option<Vec<Ceiling>>,
}

impl Transactions {
    /// Converts the written form, with amounts in smallest units.
    pub fn new(written: WrittenTransactions, assets: &Assets) -> Result<Self, String> {
        let WrittenTransactions {
            destinations,
            calls,
            delegates,
            amounts,
            fees,
        } = written;
        calls
            .validate()
            .map_err(|why| format!("transactions.{why}"))?;
        let amounts = amounts
            .map(|list| Ceiling::list("transactions.amounts", &list, assets))
            .transpose()?;
        let fees = fees
            .map(|list| Ceiling::list("transactions.fees", &list, assets))
            .transpose()?;
        if let Some(fee) = fees.iter().flatten().find(|fee| fee.asset.id.contains('/')) {
            return Err(format!(
                "transactions.fees: `{}` is a token; fees are paid in native assets",
                fee.name
            ));
        }
        Ok(Self {
            destinations,
            calls,
            delegates,
            amounts,
            fees,
        })
    }

    /// Returns the name of the first rule here that an unknown call would evade.
    pub fn evaded_by_unknown_calls(&self) -> Option<&'static str> {
        if !self.allows_unknown_calls() {
            None
        } else if self.destinations.is_some() {
            Some("transactions.destinations")
        } else {
            self.amounts.as_ref().map(|_| "transactions.amounts")
        }
    }

    /// True if unknown calls, or new contracts, are allowed.
    pub fn allows_unknown_calls(&self) -> bool {
        self.calls.unknown == Choice::Allow || self.calls.create == Choice::Allow
    }

    /// Returns the contracts to which the whole account may be delegated.
    pub fn delegates(&self) -> Option<&AddressSet> {
        self.delegates.as_ref()
    }

    /// True if the operator lists this call, and is thus responsible for its effects.
    pub fn list(&self, chain: &str, call: &Call) -> bool {
        self.calls.list(chain, call)
    }

    /// Returns the assets that may be spent, if they are listed here.
    pub fn assets(&self) -> Option<&[Ceiling]> {
        self.amounts.as_deref()
    }

    /// Checks all rules about one transaction.
    pub fn judge<'t>(
        &self,
        trail: &Trail<impl Host>,
        rights: Option<&Grants>,
        standards: &Standards,
        task: &Task,
        transaction: &'t Transaction,
    ) -> Result<Spending<'t>, Objection> {
        let chain = &transaction.chain;
        if let Some(destinations) = &self.destinations {
            trail.rule(
                "transactions.destinations",
                destinations.judge(task, transaction),
            )?;
        }
        trail.rule("transactions.calls", self.calls.judge(transaction))?;
        trail.rule(
            "grants",
            grants::judge(rights, standards, chain, &transaction.grants),
        )?;
        let delegations =
            grants::judge_delegations(self.delegates.as_ref(), chain, &transaction.grants);
        trail.rule("transactions.delegates", delegations)?;
        let spending = match Spending::of(transaction, standards) {
            Ok(spending) => spending,
            Err(objection) => {
                trail.rule("transactions.amounts", Err(objection))?;
                Spending::default()
            }
        };
        if let Some(ceilings) = &self.amounts {
            trail.rule("transactions.amounts", judge_amounts(ceilings, &spending))?;
        }
        if let Some(ceilings) = &self.fees {
            trail.rule("transactions.fees", judge_fee(ceilings, transaction))?;
        }
        Ok(spending)
    }
}

impl Destinations {
    /// Checks the recipients. Change returns to the wallet and needs no entry, but the deny list
    /// applies to it too. A token account may be listed itself or by its owner.
    fn judge(&self, task: &Task, transaction: &Transaction) -> Ruling {
        if !self.deny.is_empty() {
            let negative = Negative::new(&self.deny, Some(&transaction.chain), task);
            refuse_found(
                "destinations.deny",
                "keysign-destination-denied",
                negative.among_destinations(transaction),
            )?;
        }
        let owners = task.token_owners();
        let mut why = "nobody receives anything".into();
        for destination in &transaction.destinations {
            let address = &destination.address;
            let is_listed = |allow: &AddressSet| {
                let owner = owners.get(address);
                allow.contains(&transaction.chain, address)
                    || owner.is_some_and(|owner| allow.contains(&transaction.chain, owner))
            };
            if !destination.change && !self.allow.as_ref().is_none_or(is_listed) {
                return refuse(
                    "keysign-destination-not-allowed",
                    match address.as_str() {
                        "" => {
                            "an output has no address, so destinations.allow cannot list it".into()
                        }
                        address => format!("destinations.allow does not list {address}"),
                    },
                );
            }
            why = "every destination may receive".into();
        }
        Ok(why)
    }
}

/// Refuses the finding of a deny list, if any; `code` is used for listed addresses.
pub fn refuse_found(list: &str, code: &'static str, found: Option<Found>) -> Result<(), Objection> {
    match found {
        None => Ok(()),
        Some(Found::Listed(address, entry)) => {
            let label = entry
                .label()
                .map(|label| format!(" ({label})"))
                .unwrap_or_default();
            refuse(code, format!("{list} lists {address}{label}"))
        }
        Some(Found::Unknown(what)) => refuse(
            "keysign-address-unknown",
            format!("{what}: it may be an address that {list} lists"),
        ),
    }
}

fn judge_amounts(ceilings: &[Ceiling], spending: &Spending) -> Ruling {
    spending.refuse_unknown()?;
    for (asset, _) in spending.iter() {
        if find(ceilings, asset).is_none() {
            let fee = if asset.contains('/') {
                ""
            } else {
                ", in which the fee is paid"
            };
            let reason = format!("transactions.amounts does not list {}{fee}", show(asset));
            return refuse("keysign-asset-not-allowed", reason);
        }
    }
    for ceiling in ceilings {
        match spending.under(ceiling) {
            Some(amount) if amount > ceiling.max => {
                let spent = ceiling.show(&amount);
                let most = ceiling.show(&ceiling.max);
                return refuse(
                    "keysign-amount",
                    format!("it spends {spent}, at most {most} is allowed"),
                );
            }
            Some(_) | None => {}
        }
    }
    Ok("every amount is within its maximum".into())
}

fn judge_fee(ceilings: &[Ceiling], transaction: &Transaction) -> Ruling {
    let Some(fee) = &transaction.fee else {
        return refuse("keysign-fee-unknown", "the node cannot tell the fee");
    };
    let Some(ceiling) = find(ceilings, &transaction.chain) else {
        return refuse(
            "keysign-fee-asset",
            format!("transactions.fees does not list {}", transaction.chain),
        );
    };
    let fee = parse(fee)?;
    if fee > ceiling.max {
        return refuse(
            "keysign-fee",
            format!(
                "it costs up to {}, at most {} is allowed",
                ceiling.show(&fee),
                ceiling.show(&ceiling.max)
            ),
        );
    }
    Ok(format!("costs at most {}", ceiling.show(&fee)).into())
}
