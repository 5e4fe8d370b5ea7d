//! What signatures are for: the vocabulary of `wit/policy.wit`, for programs that have no plugins as well. The fields
//! are documented there.

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
}
