//! The outflow of a transaction, by asset.

use std::borrow::Cow;

use countersign_conditions::{Ceiling, covers, same_asset};
use countersign_sdk::{Amount, Transaction};

use crate::standards::Standards;
use crate::trail::{Objection, refuse};

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
