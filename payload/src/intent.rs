//! What signatures are for: the vocabulary of `wit/policy.wit`, for programs that have no plugins
//! as well. The fields are documented there; those that the contract's records have not are
//! [`facts`] beside them.

use std::collections::BTreeMap;

/// What signatures are for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Intent {
    /// A transfer or contract call on a chain.
    Transaction(Transaction),
    /// A message, verbatim.
    Message(Vec<u8>),
    /// Structured data of EIP-712.
    TypedData(TypedData),
    /// Nothing is known.
    Opaque,
}

/// What a transaction does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Transaction {
    pub chain: String,
    pub sources: Vec<String>,
    pub destinations: Vec<Destination>,
    pub calls: Vec<Call>,
    pub grants: Vec<Grant>,
    pub fee: Option<String>,
    pub unsigned: Vec<u8>,
    /// Who owns accounts that receive tokens, by the account's address, where the bytes show it
    /// (Solana).
    pub owners: BTreeMap<String, String>,
}

/// One recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Destination {
    pub address: String,
    pub asset: String,
    pub amount: String,
    pub memo: Option<String>,
    pub change: bool,
}

/// One call of a contract or program.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Call {
    pub contract: String,
    pub selector: Vec<u8>,
    pub method: Option<String>,
    /// What the data says, by name, where the method is understood. Plugins read it from `data`.
    pub fields: Vec<(&'static str, String)>,
    pub amount: String,
    pub data: Vec<u8>,
}

/// A right to act for a source.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Grant {
    pub spender: String,
    pub asset: String,
    pub amount: Option<String>,
}

/// Structured data of EIP-712.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct TypedData {
    pub chain: Option<String>,
    pub verifying_contract: Option<String>,
    pub domain: Option<String>,
    pub primary_type: String,
    pub json: String,
    pub grants: Vec<Grant>,
    /// How far the grants are the whole.
    pub rights: Rights,
    /// What messages of the type are, in a few words, if the type is known.
    pub meaning: Option<String>,
    /// What `json` leaves out because no signature covers it, and what was derived because the
    /// document does not say it.
    pub notes: Vec<String>,
}

/// How far the grants of typed data are all the rights that it hands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// The type is known and hands out none.
    None,
    /// The type is known and `grants` has them all.
    Shown,
    /// The type is known, and hands out rights that `grants` cannot show.
    Hidden,
    /// The type is not known.
    Unknown,
}

impl Rights {
    /// As plugins are told.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Shown => "shown",
            Self::Hidden => "hidden",
            Self::Unknown => "unknown",
        }
    }
}

/// What is known of an intent and has no field in the records of `wit/policy.wit`, as `(name,
/// value)`. Plugins find it under `extra`, as facts. A name is never given another meaning.
///
/// | name | value |
/// |---|---|
/// | `typed-data-rights` | `none`, `shown`, `hidden` or `unknown`: see [`Rights`] |
/// | `typed-data-meaning` | what messages of the type are, in a few words; absent if the type is not known |
/// | `typed-data-notes` | what was left out of `json` because no signature covers it, and what was derived |
/// | `token-owners` | owners of accounts that receive tokens, as far as they are known: a JSON object from account to owner |
pub fn facts(intent: &Intent) -> Vec<(&'static str, String)> {
    match intent {
        Intent::Transaction(does) if !does.owners.is_empty() => {
            let owners = serde_json::to_string(&does.owners);
            owners
                .map(|owners| ("token-owners", owners))
                .into_iter()
                .collect()
        }
        Intent::TypedData(data) => {
            let rights = std::iter::once(("typed-data-rights", data.rights.name().into()));
            let meaning = data
                .meaning
                .iter()
                .map(|meaning| ("typed-data-meaning", meaning.clone()));
            let notes =
                (!data.notes.is_empty()).then(|| ("typed-data-notes", data.notes.join("; ")));
            rights.chain(meaning).chain(notes).collect()
        }
        Intent::Transaction(_) | Intent::Message(_) | Intent::Opaque => Vec::new(),
    }
}
