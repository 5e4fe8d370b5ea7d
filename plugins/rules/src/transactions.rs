//! `transactions:` of a policy. Without this section there may be none.

use countersign_sdk::{AddressSet, Host, Transaction};
use serde::Deserialize;

use crate::assets::{Assets, Ceiling, Spending, WrittenCeiling, find, parse};
use crate::calls::Calls;
use crate::choice::{Choice, present};
use crate::grants::{self, Grants};
use crate::trail::{Objection, Ruling, Trail, refuse};

/// As it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenTransactions {
    /// Who may receive.
    #[serde(default, deserialize_with = "present")]
    pub destinations: Option<Destinations>,
    /// What may be called.
    #[serde(default)]
    pub calls: Calls,
    /// Contracts to which the whole account may be handed (EIP-7702).
    #[serde(default, deserialize_with = "present")]
    pub delegates: Option<AddressSet>,
    /// The most that one transaction may spend; an asset that is not listed is refused.
    #[serde(default, deserialize_with = "present")]
    pub amounts: Option<Vec<WrittenCeiling>>,
    /// The most that one transaction may cost; a chain whose native asset is not listed is refused.
    #[serde(default, deserialize_with = "present")]
    pub fees: Option<Vec<WrittenCeiling>>,
}

/// Lists of recipients.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Destinations {
    /// Every recipient must be in this list, if there is one.
    #[serde(default, deserialize_with = "present")]
    pub allow: Option<AddressSet>,
    /// No recipient may be in this one.
    #[serde(default)]
    pub deny: AddressSet,
}

/// As it is judged.
#[derive(Debug)]
pub struct Transactions {
    destinations: Option<Destinations>,
    calls: Calls,
    delegates: Option<AddressSet>,
    amounts: Option<Vec<Ceiling>>,
    fees: Option<Vec<Ceiling>>,
}

impl Transactions {
    /// What is written, with amounts in smallest units.
    pub fn new(written: WrittenTransactions, assets: &Assets) -> Result<Self, String> {
        let WrittenTransactions { destinations, calls, delegates, amounts, fees } = written;
        calls.validate().map_err(|why| format!("transactions.{why}"))?;
        let amounts = amounts.map(|list| Ceiling::list("transactions.amounts", &list, assets)).transpose()?;
        let fees = fees.map(|list| Ceiling::list("transactions.fees", &list, assets)).transpose()?;
        if let Some(fee) = fees.iter().flatten().find(|fee| fee.asset.id.contains('/')) {
            return Err(format!(
                "transactions.fees: `{}` is a token; fees are paid in native assets",
                fee.name
            ));
        }
        Ok(Transactions { destinations, calls, delegates, amounts, fees })
    }

    /// Which of the rules here a call that nobody understands would evade.
    pub fn evaded_by_unknown_calls(&self) -> Option<&'static str> {
        let counts_destinations = self.destinations.is_some();
        match self.calls.unknown == Choice::Allow || self.calls.create == Choice::Allow {
            true if counts_destinations => Some("transactions.destinations"),
            true if self.amounts.is_some() => Some("transactions.amounts"),
            _ => None,
        }
    }

    /// Whether calls that nobody understands pass.
    pub fn allows_unknown_calls(&self) -> bool {
        self.calls.unknown == Choice::Allow || self.calls.create == Choice::Allow
    }

    /// The assets that may be spent, if they are listed here.
    pub fn assets(&self) -> Option<&[Ceiling]> {
        self.amounts.as_deref()
    }

    /// All rules about one transaction.
    pub fn judge<'t>(
        &self,
        trail: &Trail<impl Host>,
        rights: Option<&Grants>,
        transaction: &'t Transaction,
    ) -> Result<Spending<'t>, Objection> {
        let chain = &transaction.chain;
        if let Some(destinations) = &self.destinations {
            trail.rule("transactions.destinations", destinations.judge(transaction))?;
        }
        trail.rule("transactions.calls", self.calls.judge(transaction))?;
        trail.rule("grants", grants::judge(rights, chain, &transaction.grants))?;
        let delegations = grants::judge_delegations(self.delegates.as_ref(), chain, &transaction.grants);
        trail.rule("transactions.delegates", delegations)?;
        let spending = match Spending::of(transaction) {
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
    /// Change returns to the wallet and needs no entry; but nothing goes to an address of the deny list.
    fn judge(&self, transaction: &Transaction) -> Ruling {
        let mut why = "nobody receives anything".into();
        for destination in &transaction.destinations {
            let address = &destination.address;
            if let Some(entry) = self.deny.find(&transaction.chain, address) {
                let label = entry.label().map(|label| format!(" ({label})")).unwrap_or_default();
                return refuse(
                    "keysign-destination-denied",
                    format!("destinations.deny lists {address}{label}"),
                );
            }
            let is_listed = |allow: &AddressSet| allow.contains(&transaction.chain, address);
            if !destination.change && !self.allow.as_ref().is_none_or(is_listed) {
                return refuse(
                    "keysign-destination-not-allowed",
                    match address.as_str() {
                        "" => "an output has no address, so destinations.allow cannot list it".into(),
                        address => format!("destinations.allow does not list {address}"),
                    },
                );
            }
            why = "every destination may receive".into();
        }
        Ok(why)
    }
}

fn judge_amounts(ceilings: &[Ceiling], spending: &Spending) -> Ruling {
    for (asset, amount) in spending.iter() {
        let Some(ceiling) = find(ceilings, asset) else {
            return refuse(
                "keysign-asset-not-allowed",
                format!("transactions.amounts does not list {asset}"),
            );
        };
        if *amount > ceiling.max {
            return refuse(
                "keysign-amount",
                format!(
                    "it spends {}, at most {} is allowed",
                    ceiling.show(amount),
                    ceiling.show(&ceiling.max)
                ),
            );
        }
    }
    Ok("every amount is within its most".into())
}

fn judge_fee(ceilings: &[Ceiling], transaction: &Transaction) -> Ruling {
    let Some(fee) = &transaction.fee else {
        return refuse("keysign-fee-unknown", "the node cannot tell the fee");
    };
    let Some(ceiling) = find(ceilings, &transaction.chain) else {
        return refuse("keysign-fee-asset", format!("transactions.fees does not list {}", transaction.chain));
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
