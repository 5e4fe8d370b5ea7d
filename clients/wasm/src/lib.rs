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
mod pages;
mod passkey;
mod payload;
mod profile;
mod request;
mod result;
mod sign_in;
mod text;
mod vote;
mod wallet;
mod webhook;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use failure::Failure;

/// All operations by name.
const OPERATIONS: [(&str, Operation); 42] = [
    ("version", |_| Ok(json!(env!("CARGO_PKG_VERSION")))),
    ("profile.read", |document| own(document, profile::read)),
    ("requester.id", |document| own(document, order::requester)),
    ("requester.new", |document| {
        own(document, order::new_requester)
    }),
    ("requester.passkey", |document| {
        own(document, order::passkey)
    }),
    ("requester.of_approver", |document| {
        own(document, order::of_approver)
    }),
    ("request.sign", |document| own(document, request::sign)),
    ("order.sign", |document| own(document, order::sign)),
    ("order.message", |document| own(document, order::message)),
    ("order.preview", |document| own(document, order::preview)),
    ("order.from_assertion", |document| {
        own(document, order::from_assertion)
    }),
    ("sign_in.message", |document| {
        own(document, sign_in::message)
    }),
    ("sign_in.answer", |document| own(document, sign_in::answer)),
    ("order.read", |document| told(document, order::read)),
    ("order.told", |document| told(document, order::told)),
    ("book.wallet", |document| own(document, wallet::one)),
    ("book.wallets", |document| own(document, wallet::all)),
    ("book.named", |document| own(document, wallet::named)),
    ("wallet.meet", |document| told(document, wallet::meet)),
    ("wallet.introduce", |document| {
        told(document, wallet::introduce)
    }),
    ("wallet.trust", |document| told(document, wallet::trust)),
    ("wallet.follow", |document| told(document, wallet::follow)),
    ("wallet.created", |document| told(document, wallet::created)),
    ("wallet.reshared", |document| {
        told(document, wallet::reshared)
    }),
    ("wallet.root_key", |document| {
        own(document, wallet::root_key)
    }),
    ("wallet.child", |document| own(document, wallet::child)),
    ("key.child", |document| {
        own(document, wallet::extended_child)
    }),
    ("payload.read", |document| own(document, payload::read)),
    ("payload.decode", |document| own(document, payload::decode)),
    ("payload.finish", |document| own(document, payload::finish)),
    ("result.signed", |document| told(document, result::signed)),
    ("result.intact", |document| told(document, result::intact)),
    ("text.clean", |document| own(document, text::clean)),
    ("vote.approver", |document| own(document, vote::approver)),
    ("vote.passkey", |document| own(document, vote::passkey)),
    ("vote.sign", |document| own(document, vote::sign)),
    ("vote.examine", |document| told(document, vote::examine)),
    ("vote.subject", |document| told(document, vote::subject)),
    ("vote.message", |document| own(document, vote::message)),
    ("vote.from_assertion", |document| {
        own(document, vote::from_assertion)
    }),
    ("vote.count", |document| told(document, vote::count)),
    ("webhook.verify", |document| own(document, webhook::verify)),
];

/// An operation on a document.
type Operation = fn(&[u8]) -> Result<Value, Failure>;

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

/// Performs an operation on the caller's own document: one that cannot be read is the caller's
/// mistake.
fn own<T: DeserializeOwned, R: Serialize>(
    document: &[u8],
    operation: fn(T) -> Result<R, Failure>,
) -> Result<Value, Failure> {
    let document = serde_json::from_slice(document).map_err(Failure::misspelt)?;
    written(operation(document)?)
}

/// Performs an operation on a document with parts that a coordinator told: one that cannot be read
/// does not follow the protocol.
fn told<T: DeserializeOwned, R: Serialize>(
    document: &[u8],
    operation: fn(T) -> Result<R, Failure>,
) -> Result<Value, Failure> {
    let document = serde_json::from_slice(document).map_err(Failure::unreadable)?;
    written(operation(document)?)
}

fn written(result: impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(result).map_err(Failure::unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(name: &str, document: &str) -> String {
        let answer: Value = serde_json::from_slice(&call(name, document.as_bytes())).unwrap();
        answer["error"]["code"].as_str().unwrap_or("ok").to_owned()
    }

    #[test]
    fn a_document_that_cannot_be_read_is_a_mistake_of_whoever_wrote_it() {
        for document in ["", "[]", "{}", "{\"unknown\": 1}", "\u{0}"] {
            for (name, _) in &OPERATIONS[1..] {
                let blamed = code(name, document);
                assert!(blamed == "usage" || blamed == "answer", "{name} {blamed}");
            }
            assert_eq!(code("wallet.child", document), "usage");
            assert_eq!(code("order.told", document), "answer");
        }
        assert_eq!(code("version", ""), "ok");
        assert_eq!(code("nothing.of.the.kind", "{}"), "usage");
    }

    #[test]
    fn the_table_of_operations_is_complete() {
        let page = include_str!("../README.md");
        for (name, _) in OPERATIONS {
            assert!(page.contains(&format!("`{name}`")), "{name}");
        }
    }
}
