//! The first vocabulary: flat members of a KeySign.
//!
//! Types are those that servers expect: `fee`, `decimal`, `operation` and `transaction_type` are
//! JSON numbers that fit into a signed 64-bit integer, everything else is text. A number out of
//! that range is omitted.

use countersign_sdk::{Destination, Intent, Task, Transaction};
use serde_json::{Value, json};

use super::members::Members;
use super::{REFERENCE, only_source, payments};
use crate::config::Config;
use crate::request::hex0x;

/// Members that name the requester, the reference, and the reason.
pub(super) const PASSED: &[&str] = &[
    "cobo_id",
    "api_request_id",
    "transaction_type",
    "replace_cobo_id",
    "api_key",
    "operator",
    "note",
];

const BY_API: u32 = 102;
const TRANSFER: u32 = 100;
const CONTRACT_CALL: u32 = 200;
const SIGN_MESSAGE: u32 = 300;

pub(super) fn write(extra: &mut Members, config: &Config, task: &Task) {
    if let Some(reference) = task.claim(REFERENCE) {
        extra.default("api_request_id", reference);
    }
    let Some(signing) = task.signing() else {
        return;
    };
    extra.default("transaction_type", BY_API);
    match &signing.intent {
        Intent::Opaque => {}
        Intent::Transaction(transaction) => write_transaction(extra, config, transaction),
        Intent::Message(_) | Intent::TypedData(_) => {
            extra.fact("operation", Some(SIGN_MESSAGE.into()))
        }
    }
}

fn write_transaction(extra: &mut Members, config: &Config, transaction: &Transaction) {
    let payments = payments(transaction);
    let operation = if payments.is_some() {
        TRANSFER
    } else {
        CONTRACT_CALL
    };
    extra.fact("operation", Some(operation.into()));
    extra.fact("raw_tx_hex", Some(hex0x(&transaction.unsigned).into()));
    extra.fact("from_address", only_source(transaction).map(Into::into));
    extra.fact("fee", transaction.fee.as_deref().and_then(number));
    // All recipients or none: a server must not mistake a part for the whole.
    let Some(payments) = payments else { return };
    extra.fact("to_address_details", Some(details(&payments)));
    if let Some(first) = payments.first() {
        let asset = config.assets.find(&transaction.chain, &first.asset);
        extra.fact("coin", asset.map(|asset| asset.id.as_str().into()));
        extra.fact("decimal", asset.map(|asset| asset.decimals.into()));
    }
    if let [only] = &payments[..] {
        extra.fact("to_address", Some(only.address.as_str().into()));
        extra.fact("amount", Some(only.amount.as_str().into()));
    }
}

/// Converts a number. Servers read it into a signed 64-bit integer, and refuse the whole document
/// if it does not fit.
fn number(digits: &str) -> Option<Value> {
    digits.parse::<i64>().ok().map(Into::into)
}

/// Encodes the payments as JSON in a text, as this vocabulary requires.
fn details(payments: &[&Destination]) -> Value {
    let detail = |to: &&Destination| json!({"to_address": to.address, "amount": to.amount});
    Value::Array(payments.iter().map(detail).collect())
        .to_string()
        .into()
}
