//! Shortcuts to what rules ask of a task most often. They add no facts.

use std::collections::BTreeMap;

use crate::{Call, Destination, Intent, Operation, Origin, Signing, Task, Transaction};

/// How far the grants of typed data are all the rights that it hands out, as the node knows the type of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// It hands out none.
    None,
    /// `grants` has them all.
    Shown,
    /// It hands out rights that `grants` cannot show.
    Hidden,
    /// The node does not know the type, or does not say.
    Unknown,
}

impl Task {
    /// The signing request, if the task is one.
    pub fn signing(&self) -> Option<&Signing> {
        match &self.operation {
            Operation::Sign(signing) => Some(signing),
            _ => None,
        }
    }

    /// The transaction to sign, if the task signs one.
    pub fn transaction(&self) -> Option<&Transaction> {
        match &self.signing()?.intent {
            Intent::Transaction(transaction) => Some(transaction),
            _ => None,
        }
    }

    /// Value of an extra statement that the node itself stands behind.
    pub fn fact(&self, name: &str) -> Option<&str> {
        self.statement(name, Origin::Fact)
    }

    /// How far the grants of the typed data to sign are the whole.
    pub fn typed_data_rights(&self) -> Rights {
        match self.fact("typed-data-rights") {
            Some("none") => Rights::None,
            Some("shown") => Rights::Shown,
            Some("hidden") => Rights::Hidden,
            Some(_) | None => Rights::Unknown,
        }
    }

    /// Who owns accounts that receive tokens, by account, as far as the node knows.
    pub fn token_owners(&self) -> BTreeMap<String, String> {
        let owners = self.fact("token-owners").map(|owners| crate::json::strict(owners.as_bytes()));
        owners.and_then(Result::ok).unwrap_or_default()
    }

    /// Value of an extra statement that only the requester makes.
    pub fn claim(&self, name: &str) -> Option<&str> {
        self.statement(name, Origin::Claim)
    }

    fn statement(&self, name: &str, origin: Origin) -> Option<&str> {
        let found = self.extra.iter().find(|s| s.name == name && s.origin == origin)?;
        Some(&found.value)
    }
}

impl Transaction {
    /// Recipients outside the key that signs.
    pub fn outgoing(&self) -> Vec<&Destination> {
        self.destinations.iter().filter(|to| !to.change).collect()
    }

    /// What leaves the key, if payments are all that the transaction does: it hands out no right, and each of its calls is
    /// a token's transfer, which stands among the destinations, or does nothing but set fees, a nonce or a memo.
    ///
    /// Whoever shows a transaction to somebody as "so much to so-and-so" takes it from here. `None` means that such a line
    /// would show a part for the whole.
    pub fn payments(&self) -> Option<Vec<&Destination>> {
        let only_pays = self.grants.is_empty() && self.calls.iter().all(is_part_of_a_payment);
        only_pays.then(|| self.outgoing())
    }
}

/// Methods are named by the node, and only where it knows the program.
fn is_part_of_a_payment(call: &Call) -> bool {
    match call.method.as_deref() {
        // ERC-20. Value sent along would be a second payment, to the contract.
        Some("transfer(address,uint256)") => call.amount == "0",
        // Solana's system program and token programs, whose transfers are destinations.
        Some("Transfer" | "TransferChecked" | "TransferCheckedWithFee") => true,
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
        Some(task.transaction().expect("built as a transaction").payments()?.len())
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
            ("with change", ethereum().pays("0xbob", "1").change("0xown", "2"), Some(1)),
            ("a token", token(), Some(1)),
            ("a token, and value for its contract", token().with_value("1"), None),
            (
                "a payment that hands out a right",
                ethereum().pays("0xbob", "1").grants("0xeve", "", None),
                None,
            ),
            ("a call that nobody knows", ethereum().pays("0xbob", "1").calls("0xc", &[1, 2, 3, 4]), None),
            (
                "a known method that is no transfer",
                ethereum().calls("0xc", SELECTOR).known_as("Assign"),
                None,
            ),
            ("a new contract", ethereum().creates(), None),
        ] {
            assert_eq!(payments(transaction), expected, "{what}");
        }
    }
}
