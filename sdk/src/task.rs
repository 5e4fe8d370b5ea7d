//! Shortcuts to the parts of a task that rules use most often. They add no facts.

use std::collections::BTreeMap;

use crate::{
    Call, Destination, Grant, Intent, Operation, Origin, Signing, Statement, Task, Transaction,
};

/// The name of the claim with the votes of people.
const VOTES: &str = "votes";

/// The completeness of typed data's grants: the node may not know all rights that a type conveys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// The message conveys no rights.
    None,
    /// All rights are in `grants`.
    Shown,
    /// It conveys rights that `grants` cannot show.
    Hidden,
    /// The node does not know the type, or does not say.
    Unknown,
}

impl Task {
    /// Returns the signing request, if the task is one.
    pub fn signing(&self) -> Option<&Signing> {
        match &self.operation {
            Operation::Sign(signing) => Some(signing),
            _ => None,
        }
    }

    /// Returns the transaction to sign, if the task signs one.
    pub fn transaction(&self) -> Option<&Transaction> {
        match &self.signing()?.intent {
            Intent::Transaction(transaction) => Some(transaction),
            _ => None,
        }
    }

    /// Returns the value of an extra statement that the node itself vouches for.
    pub fn fact(&self, name: &str) -> Option<&str> {
        self.statement(name, Origin::Fact)
    }

    /// Returns the completeness of the grants of the typed data to sign.
    pub fn typed_data_rights(&self) -> Rights {
        match self.fact("typed-data-rights") {
            Some("none") => Rights::None,
            Some("shown") => Rights::Shown,
            Some("hidden") => Rights::Hidden,
            Some(_) | None => Rights::Unknown,
        }
    }

    /// Returns the owners of token accounts that receive tokens, by account, as far as known.
    pub fn token_owners(&self) -> BTreeMap<String, String> {
        let owners = self
            .fact("token-owners")
            .map(|owners| crate::json::strict(owners.as_bytes()));
        owners.and_then(Result::ok).unwrap_or_default()
    }

    /// Returns the value of an extra statement that only the requester makes.
    pub fn claim(&self, name: &str) -> Option<&str> {
        self.statement(name, Origin::Claim)
    }

    /// Returns the statements that only the requester makes. The votes of people are not among
    /// them, although they are a claim, too: [`claim`](Self::claim) returns those.
    pub fn claims(&self) -> impl Iterator<Item = &Statement> {
        let claims = self.extra.iter().filter(|s| s.origin == Origin::Claim);
        claims.filter(|s| s.name != VOTES)
    }

    fn statement(&self, name: &str, origin: Origin) -> Option<&str> {
        let found = self
            .extra
            .iter()
            .find(|s| s.name == name && s.origin == origin)?;
        Some(&found.value)
    }
}

impl Transaction {
    /// Returns the destinations that do not belong to the key that signs.
    pub fn outgoing(&self) -> Vec<&Destination> {
        self.destinations.iter().filter(|to| !to.change).collect()
    }

    /// Returns the outgoing payments, if the transaction does nothing else: it conveys no rights,
    /// and each of its calls either is a token transfer, which is among the destinations, or only
    /// sets fees, a nonce or a memo. Calls without any recipient are not a payment.
    ///
    /// Use it to describe a transaction as "this amount to that address". `None` means that such a
    /// line would be incomplete.
    pub fn payments(&self) -> Option<Vec<&Destination>> {
        let moves = self.calls.is_empty() || !self.destinations.is_empty();
        let counted = self
            .destinations
            .iter()
            .all(|to| to.shown().number.is_none());
        let only_pays = moves
            && counted
            && self.grants.is_empty()
            && self.calls.iter().all(is_part_of_a_payment);
        only_pays.then(|| self.outgoing())
    }

    /// True if the transaction hands over the whole account (EIP-7702). Its calls do not show that:
    /// the authorisations are separate.
    pub fn hands_over_the_account(&self) -> bool {
        self.grants.iter().any(|grant| grant.asset.is_empty())
    }
}

impl Destination {
    /// Returns the amount paid, or the token id.
    pub fn shown(&self) -> Shown<'_> {
        Shown::of(&self.asset, Some(&self.amount))
    }
}

impl Grant {
    /// Returns the amount that may be moved, or the token id.
    pub fn shown(&self) -> Shown<'_> {
        Shown::of(&self.asset, self.amount.as_deref())
    }
}

/// The number beside an asset in documents for others, split into two members so that a token id is
/// never shown as an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown<'a> {
    /// The amount in smallest units. For a right `None` means unlimited, if there is no `number`.
    pub amount: Option<&'a str>,
    /// Set if the contract may be of ERC-20 or of ERC-721, which `approve` and `transferFrom` do
    /// not show: an amount in the former, a token id in the latter.
    pub number: Option<&'a str>,
}

impl<'a> Shown<'a> {
    fn of(asset: &str, number: Option<&'a str>) -> Self {
        if asset.starts_with("eip155:") && asset.contains("/token:") {
            Shown {
                amount: None,
                number,
            }
        } else {
            Shown {
                amount: number,
                number: None,
            }
        }
    }

    /// Adds the member `amount`, which may be null, to the JSON object `document`, and the member
    /// `number` if there is one.
    pub fn within(self, mut document: serde_json::Value) -> serde_json::Value {
        document["amount"] = self.amount.into();
        if let Some(number) = self.number {
            document["number"] = number.into();
        }
        document
    }
}

/// True for the parts of a payment. The node names a method only if it knows the program.
fn is_part_of_a_payment(call: &Call) -> bool {
    match call.method.as_deref() {
        // ERC-20. Value sent along would be a second payment, to the contract.
        Some("transfer(address,uint256)") => call.amount == "0",
        // Solana's system program and token programs, whose transfers are destinations.
        Some("Transfer" | "TransferChecked" | "TransferCheckedWithFee") => true,
        // Solana's compute budget, whose price is in the fee, durable nonces and memos.
        Some(
            "SetComputeUnitLimit"
            | "SetComputeUnitPrice"
            | "RequestHeapFrame"
            | "SetLoadedAccountsDataSizeLimit"
            | "AdvanceNonceAccount"
            | "Memo",
        ) => call.amount == "0",
        Some(_) | None => false,
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{self, TransactionBuilder};

    const USDT: &str = "eip155:1/erc20:0xdac";
    const SELECTOR: &[u8] = &[0xA9, 0x05, 0x9C, 0xBB];

    fn payments(transaction: TransactionBuilder) -> Option<usize> {
        let task = transaction.task();
        Some(
            task.transaction()
                .expect("built as a transaction")
                .payments()?
                .len(),
        )
    }

    fn ethereum() -> TransactionBuilder {
        testing::transaction("eip155:1")
    }

    #[test]
    fn payments_are_shown_only_if_they_are_all() {
        let token = || {
            ethereum()
                .pays_asset(USDT, "0xbob", "5")
                .calls("0xdac", SELECTOR)
                .known_as("transfer(address,uint256)")
        };
        for (what, transaction, expected) in [
            ("a payment", ethereum().pays("0xbob", "1"), Some(1)),
            (
                "with change",
                ethereum().pays("0xbob", "1").change("0xown", "2"),
                Some(1),
            ),
            ("a token", token(), Some(1)),
            (
                "a token, and value for its contract",
                token().with_value("1"),
                None,
            ),
            (
                "what may be the number of a token",
                token().pays_asset("eip155:1/token:0xdac", "0xbob", "5"),
                None,
            ),
            (
                "a payment that hands out a right",
                ethereum().pays("0xbob", "1").grants("0xeve", "", None),
                None,
            ),
            (
                "a call that nobody knows",
                ethereum().pays("0xbob", "1").calls("0xc", &[1, 2, 3, 4]),
                None,
            ),
            (
                "a known method other than a transfer",
                ethereum().calls("0xc", SELECTOR).known_as("Assign"),
                None,
            ),
            ("a new contract", ethereum().creates(), None),
        ] {
            assert_eq!(payments(transaction), expected, "{what}");
        }
    }

    #[test]
    fn what_wallets_put_around_a_payment_is_part_of_it() {
        let solana = || testing::transaction("solana:mainnet");
        let pays = || {
            solana()
                .pays("Bob", "5")
                .calls("1111", &[2])
                .known_as("Transfer")
                .with_value("5")
        };
        for method in [
            "SetComputeUnitLimit",
            "SetComputeUnitPrice",
            "RequestHeapFrame",
            "SetLoadedAccountsDataSizeLimit",
            "AdvanceNonceAccount",
            "Memo",
        ] {
            let around = |transaction: TransactionBuilder| {
                transaction.calls("Program", &[1]).known_as(method)
            };
            assert_eq!(payments(around(pays())), Some(1), "{method}");
            assert_eq!(
                payments(around(pays()).with_value("1")),
                None,
                "{method} that carries value"
            );
            assert_eq!(
                payments(around(pays()).grants("Eve", "", None)),
                None,
                "{method} and a right"
            );
            assert_eq!(
                payments(around(solana())),
                None,
                "{method} alone pays nothing"
            );
        }
        assert_eq!(
            payments(pays().calls("Program", &[1]).known_as("Assign")),
            None
        );
        assert_eq!(payments(pays().calls("Program", &[1])), None);
    }

    #[test]
    fn the_number_of_a_token_is_not_an_amount() {
        let either = "eip155:1/token:0xa0b8";
        let task = ethereum()
            .pays_asset(either, "0xbob", "7")
            .pays_asset(USDT, "0xbob", "8")
            .pays_asset("solana:mainnet/token:X", "0xbob", "9")
            .grants("0xeve", either, Some("0"))
            .grants("0xeve", either, None)
            .grants("0xeve", USDT, Some("1"))
            .task();
        let transaction = task.transaction().expect("built as a transaction");
        let paid: Vec<_> = transaction
            .destinations
            .iter()
            .map(crate::Destination::shown)
            .collect();
        let given: Vec<_> = transaction.grants.iter().map(crate::Grant::shown).collect();
        let shown = |amount, number| super::Shown { amount, number };
        assert_eq!(
            paid,
            [
                shown(None, Some("7")),
                shown(Some("8"), None),
                shown(Some("9"), None)
            ]
        );
        assert_eq!(
            given,
            [
                shown(None, Some("0")),
                shown(None, None),
                shown(Some("1"), None)
            ]
        );
    }
}
