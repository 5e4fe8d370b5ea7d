//! The meaning of signatures: the vocabulary of `wit/policy.wit`, also for programs
//! without plugins. The fields are documented there; those missing from the contract's
//! records are [`facts`] beside them.

use std::collections::BTreeMap;

/// The effect that signatures authorise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Intent {
    /// A transfer or contract call on a chain.
    Transaction(Transaction),
    /// A message, verbatim in bytes.
    Message(Vec<u8>),
    /// Structured data of EIP-712.
    TypedData(TypedData),
    /// Unknown, as for a digest.
    Opaque,
}

/// The effects of a transaction.
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
    /// The owners of accounts that receive tokens, by the account's address, if the
    /// bytes show them (Solana).
    pub owners: BTreeMap<String, String>,
}

/// A recipient of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Destination {
    pub address: String,
    pub asset: String,
    pub amount: String,
    pub memo: Option<String>,
    pub change: bool,
}

/// A call of a contract or program.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Call {
    pub contract: String,
    pub selector: Vec<u8>,
    pub method: Option<String>,
    /// The data's content by name, if the method is understood. Plugins read it from `data`.
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
    /// The completeness of the grants.
    pub rights: Rights,
    /// A short description of the type's messages, if the type is known.
    pub meaning: Option<String>,
    /// Notes on parts that `json` omits because no signature covers them, and on values derived
    /// because the document does not state them.
    pub notes: Vec<String>,
}

/// The completeness of the grants: do they show all rights that typed data gives away?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// The type is known and grants none.
    None,
    /// The type is known and `grants` has them all.
    Shown,
    /// The type is known, and grants rights that `grants` cannot show.
    Hidden,
    /// The type is unknown, and so are its rights.
    Unknown,
}

impl Rights {
    /// The name that plugins are told.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Shown => "shown",
            Self::Hidden => "hidden",
            Self::Unknown => "unknown",
        }
    }
}

/// Facts of an intent without a field in the records of `wit/policy.wit`, as `(name, value)`.
/// Plugins find them under `extra`. A name is never given another meaning.
///
/// | name | value |
/// |---|---|
/// | `typed-data-rights` | `none`, `shown`, `hidden` or `unknown`: see [`Rights`] |
/// | `typed-data-meaning` | a short description of the type's messages; absent if the type is unknown |
/// | `typed-data-notes` | parts omitted from `json` because no signature covers them, and derived values |
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
