//! The requester's rules as one WebAssembly module: the clients for Python, Node and browsers make
//! and judge everything with the code of the Rust client.
//!
//! A host calls [`call`] with the name of an operation and a JSON document, and gets a JSON
//! document back. Operations are pure: time, randomness, keys and the contents of files are in the
//! document, and nothing is kept between two calls. README.md has the table of operations, and the
//! few functions by which a host reaches them.

#[cfg(target_family = "wasm")]
mod abi;
mod failure;
mod order;
mod payload;
mod profile;
mod result;
mod wallet;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use failure::Failure;

/// An operation on a document.
type Operation = fn(&[u8]) -> Result<Value, Failure>;

/// All operations by name.
const OPERATIONS: [(&str, Operation); 24] = [
    ("version", |_| Ok(json!(env!("CARGO_PKG_VERSION")))),
    ("profile.read", |document| with(document, profile::read)),
    ("requester.id", |document| with(document, order::requester)),
    ("requester.new", |document| with(document, order::new_requester)),
    ("order.sign", |document| with(document, order::sign)),
    ("order.read", |document| with(document, order::read)),
    ("order.told", |document| with(document, order::told)),
    ("book.wallet", |document| with(document, wallet::one)),
    ("book.wallets", |document| with(document, wallet::all)),
    ("book.named", |document| with(document, wallet::named)),
    ("wallet.meet", |document| with(document, wallet::meet)),
    ("wallet.introduce", |document| with(document, wallet::introduce)),
    ("wallet.trust", |document| with(document, wallet::trust)),
    ("wallet.follow", |document| with(document, wallet::follow)),
    ("wallet.created", |document| with(document, wallet::created)),
    ("wallet.reshared", |document| with(document, wallet::reshared)),
    ("wallet.root_key", |document| with(document, wallet::root_key)),
    ("wallet.child", |document| with(document, wallet::child)),
    ("key.child", |document| with(document, wallet::extended_child)),
    ("payload.read", |document| with(document, payload::read)),
    ("payload.decode", |document| with(document, payload::decode)),
    ("payload.finish", |document| with(document, payload::finish)),
    ("result.signed", |document| with(document, result::signed)),
    ("result.intact", |document| with(document, result::intact)),
];

/// Performs an operation. The answer is `{"ok": …}` or
/// `{"error": {"code": …, "message": …, "details": […]}}`.
pub fn call(name: &str, document: &[u8]) -> Vec<u8> {
    let found = OPERATIONS.iter().find(|(known, _)| *known == name);
    let answer = match found {
        Some((_, operation)) => operation(document),
        None => Err(Failure::usage(format!(
            "there is no operation `{name}`; use the module that came with this client"
        ))),
    };
    let answer = match answer {
        Ok(value) => json!({ "ok": value }),
        Err(failure) => json!({ "error": failure }),
    };
    answer.to_string().into_bytes()
}

/// Reads the document and performs the operation on it.
fn with<T: DeserializeOwned, R: Serialize>(
    document: &[u8],
    operation: fn(T) -> Result<R, Failure>,
) -> Result<Value, Failure> {
    let document = serde_json::from_slice(document).map_err(Failure::unreadable)?;
    serde_json::to_value(operation(document)?).map_err(Failure::unreadable)
}
