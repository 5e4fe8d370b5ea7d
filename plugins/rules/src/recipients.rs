//! The recipients of a signature's effects, for deny lists. Such a list is effective only if every
//! recipient is known: an unknown one may be on it.

use std::collections::BTreeMap;

use countersign_sdk::{AddressEntry, AddressSet, Call, Destination, Task, Transaction};

use crate::calls::is_understood;
use crate::namespace::Namespace;

/// The chain of an authorisation of EIP-7702 that is valid on every chain.
const EVERY_CHAIN: &str = "eip155:0";

/// The result of a query of a deny list.
pub enum Found<'a> {
    /// This address is on the list.
    Listed(&'a str, &'a AddressEntry),
    /// A recipient cannot be identified, for this reason.
    Unknown(String),
}

/// A recipient of assets or rights.
enum Recipient<'a> {
    Named(&'a str),
    /// A token account, whose owner is not shown.
    AccountOf(&'a str),
    Unknown(String),
}

/// A deny list, to be queried about one task.
pub struct Negative<'a> {
    list: &'a AddressSet,
    chain: Option<&'a str>,
    owners: BTreeMap<String, String>,
}

impl<'a> Negative<'a> {
    /// Prepares queries about `task`. `chain` is absent if the signature is valid on several.
    pub fn new(list: &'a AddressSet, chain: Option<&'a str>, task: &Task) -> Self {
        Negative {
            list,
            chain: chain.filter(|chain| *chain != EVERY_CHAIN),
            owners: task.token_owners(),
        }
    }

    /// Looks up an address in the list.
    pub fn find<'t>(&self, address: &'t str) -> Option<Found<'t>>
    where
        'a: 't,
    {
        let entry = match self.chain {
            Some(chain) => self.list.find(chain, address),
            None => self.list.find_on_any_chain(address),
        };
        entry.map(|entry| Found::Listed(address, entry))
    }

    /// Finds the first recipient of value that is listed or unknown.
    pub fn among_destinations<'t>(&'t self, transaction: &'t Transaction) -> Option<Found<'t>>
    where
        'a: 't,
    {
        let recipients = transaction
            .destinations
            .iter()
            .filter_map(|to| recipient(transaction, to));
        recipients
            .filter_map(|recipient| self.judge(recipient))
            .next()
    }

    /// Finds the first spender that is listed or unknown.
    pub fn among_spenders<'t>(
        &'t self,
        spenders: impl Iterator<Item = &'t String>,
    ) -> Option<Found<'t>>
    where
        'a: 't,
    {
        spenders
            .filter_map(|spender| self.judge(named(spender)))
            .next()
    }

    fn judge<'t>(&'t self, recipient: Recipient<'t>) -> Option<Found<'t>>
    where
        'a: 't,
    {
        match recipient {
            Recipient::Named(address) => self.find(address).or_else(|| {
                let owner = self.owners.get(address).filter(|owner| *owner != address);
                owner.and_then(|owner| self.judge(named(owner)))
            }),
            Recipient::AccountOf(account) => self.find(account).or_else(|| match self.owners.get(account) {
                Some(owner) => self.judge(named(owner)),
                None if self.chain.is_none_or(|chain| self.list.concerns(chain)) => Some(Found::Unknown(format!(
                    "the transaction does not show who owns the token account {account}; have it make that account \
                     (CreateIdempotent of the associated token program), which names its owner"
                ))),
                None => None,
            }),
            Recipient::Unknown(what) => Some(Found::Unknown(what)),
        }
    }
}

/// Returns the recipient; `None` if there is none, such as for an output that carries data.
fn recipient<'t>(transaction: &'t Transaction, to: &'t Destination) -> Option<Recipient<'t>> {
    let recipient = named(&to.address);
    match (Namespace::of(&transaction.chain), recipient) {
        (Namespace::Bip122, _) if to.address.is_empty() && to.memo.is_some() => None,
        (Namespace::Solana, Recipient::Named(account)) if !to.asset.is_empty() && !to.change => {
            Some(Recipient::AccountOf(account))
        }
        (Namespace::Eip155 | Namespace::Bip122 | Namespace::Solana, recipient) => Some(recipient),
        // It may be an account in the name of somebody else, or another form of a listed address.
        (Namespace::Other, _) => Some(Recipient::Unknown(format!(
            "these rules do not know what an address of {} stands for ({})",
            transaction.chain, to.address
        ))),
    }
}

/// Interprets the texts of decoders, which may stand for a missing address: the empty text, a place
/// in a lookup table, or a script without an address.
fn named(address: &str) -> Recipient<'_> {
    match address {
        "" => Recipient::Unknown("a recipient has no address".into()),
        _ if address.starts_with("unknown:") => Recipient::Unknown(format!(
            "the recipient {address} stands in a lookup table, which the transaction does not contain; name it in the \
             transaction itself"
        )),
        _ if address.starts_with("script:") => Recipient::Unknown(format!(
            "an output pays a script that has no address ({address})"
        )),
        _ => Recipient::Named(address),
    }
}

/// Describes the effects of a call that destinations and grants do not show; `None` if they
/// show all of them.
pub fn hidden_effect(transaction: &Transaction, call: &Call) -> Option<String> {
    if call.contract.is_empty() {
        return Some("the contract that is created may pay anybody".into());
    }
    (!is_understood(transaction, call)).then(|| {
        format!(
            "the node cannot tell whom the call of {} pays or empowers",
            call.contract
        )
    })
}
