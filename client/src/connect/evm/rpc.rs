//! JSON-RPC 2.0: one request or a bounded batch of them, and the answers.
//!
//! A document with two members of one name is refused at any depth: what is shown and what is
//! signed must be read from it alike by everybody.

use serde_json::{Value, json};

use super::error::{INVALID_REQUEST, LIMIT, PARSE, RpcError};

/// The most requests of one batch; ethers sends at most 100.
pub const MAX_BATCH: usize = 100;
/// The longest id that is sent back, in bytes.
const MAX_ID: usize = 256;
/// The longest name of a method, in bytes.
const MAX_METHOD: usize = 128;

/// A request that can be answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Sent back with the answer: a text, a number or null.
    pub id: Value,
    pub method: String,
    pub params: Vec<Value>,
}

/// A request, or the answer that it gets because it is none.
pub type Read = Result<Call, Value>;

/// The contents of a body.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    One(Read),
    Batch(Vec<Read>),
    /// Notifications, which have no id: nothing is done, and nothing answered.
    Nothing,
}

/// Reads a body. `serde_json` bounds the depth.
pub fn read(bytes: &[u8]) -> Body {
    let value: Value = match countersign_strict::json(bytes) {
        Ok(value) => value,
        Err(error) => {
            let message = format!("the request is not JSON with unique names: {error}");
            return Body::One(Err(failure(&Value::Null, &RpcError::new(PARSE, message))));
        }
    };
    let Value::Array(all) = value else {
        return call(value).map_or(Body::Nothing, Body::One);
    };
    if all.is_empty() {
        return Body::One(Err(invalid(
            &Value::Null,
            "the batch is empty; put requests into it",
        )));
    }
    if all.len() > MAX_BATCH {
        let message = format!(
            "the batch has {} requests and may have {MAX_BATCH}; send several",
            all.len()
        );
        return Body::One(Err(failure(&Value::Null, &RpcError::new(LIMIT, message))));
    }
    let calls: Vec<Read> = all.into_iter().filter_map(call).collect();
    if calls.is_empty() {
        Body::Nothing
    } else {
        Body::Batch(calls)
    }
}

/// The answer with a result.
pub fn success(id: &Value, result: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "result": result})
}

/// The answer with an error.
pub fn failure(id: &Value, error: &RpcError) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "error": error.to_json()})
}

/// `None` for a notification.
fn call(value: Value) -> Option<Read> {
    let Value::Object(mut members) = value else {
        return Some(Err(invalid(
            &Value::Null,
            "a request is an object; send one",
        )));
    };
    let id = members.remove("id")?;
    if !is_id(&id) {
        let why = "`id` is no text of at most 256 bytes and no number; send one";
        return Some(Err(invalid(&Value::Null, why)));
    }
    if members.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Some(Err(invalid(
            &id,
            "`jsonrpc` is not \"2.0\"; send that version",
        )));
    }
    let method = match members.remove("method") {
        Some(Value::String(method)) if method.len() <= MAX_METHOD => method,
        _ => return Some(Err(invalid(&id, "`method` is no name; send one"))),
    };
    let params = match members.remove("params") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(params)) => params,
        Some(_) => {
            let error = RpcError::params("`params` is no list; send the parameters in their order");
            return Some(Err(failure(&id, &error)));
        }
    };
    Some(Ok(Call { id, method, params }))
}

fn is_id(id: &Value) -> bool {
    match id {
        Value::Null | Value::Number(_) => true,
        Value::String(text) => text.len() <= MAX_ID,
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => false,
    }
}

fn invalid(id: &Value, why: &str) -> Value {
    failure(id, &RpcError::new(INVALID_REQUEST, why))
}

#[cfg(test)]
mod tests {
    use super::super::error::INVALID_PARAMS;
    use super::*;

    fn one(text: &str) -> Read {
        match read(text.as_bytes()) {
            Body::One(read) => read,
            other => panic!("{text}: {other:?}"),
        }
    }

    fn code(text: &str) -> i64 {
        one(text).unwrap_err()["error"]["code"].as_i64().unwrap()
    }

    #[test]
    fn a_request_is_read_with_its_id() {
        for (id, given) in [
            (json!(7), "7"),
            (json!("a"), "\"a\""),
            (Value::Null, "null"),
        ] {
            let text = format!(
                r#"{{"jsonrpc":"2.0","id":{given},"method":"eth_call","params":[1],"other":2}}"#
            );
            let call = one(&text).unwrap();
            assert_eq!(
                (call.id, call.method.as_str(), call.params),
                (id, "eth_call", vec![json!(1)])
            );
        }
        let none = one(r#"{"jsonrpc":"2.0","id":1,"method":"eth_accounts"}"#).unwrap();
        assert_eq!(none.params, Vec::<Value>::new());
    }

    #[test]
    fn what_is_no_request_gets_the_code_for_it() {
        let deep = "[".repeat(200) + &"]".repeat(200);
        let deep_inside = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{deep}}}"#);
        for (text, expected) in [
            ("", PARSE),
            ("{", PARSE),
            ("{} {}", PARSE),
            ("\u{feff}{}", PARSE),
            (deep.as_str(), PARSE),
            (deep_inside.as_str(), PARSE),
            (r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"m"}"#, PARSE),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"m","params":[{"to":"a","t\u006f":"b"}]}"#,
                PARSE,
            ),
            ("[]", INVALID_REQUEST),
            ("1", INVALID_REQUEST),
            (r#"{"id":1,"method":"m"}"#, INVALID_REQUEST),
            (r#"{"jsonrpc":"1.0","id":1,"method":"m"}"#, INVALID_REQUEST),
            (r#"{"jsonrpc":"2.0","id":1}"#, INVALID_REQUEST),
            (r#"{"jsonrpc":"2.0","id":1,"method":1}"#, INVALID_REQUEST),
            (r#"{"jsonrpc":"2.0","id":{},"method":"m"}"#, INVALID_REQUEST),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{}}"#,
                INVALID_PARAMS,
            ),
        ] {
            assert_eq!(code(text), expected, "{text}");
        }
        let long = format!(
            r#"{{"jsonrpc":"2.0","id":"{}","method":"m"}}"#,
            "x".repeat(257)
        );
        assert_eq!(code(&long), INVALID_REQUEST);
    }

    #[test]
    fn a_batch_is_bounded_and_keeps_its_order() {
        let of = |count: usize| {
            let calls: Vec<String> = (0..count)
                .map(|id| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"m"}}"#))
                .collect();
            read(format!("[{}]", calls.join(",")).as_bytes())
        };
        let Body::Batch(calls) = of(MAX_BATCH) else {
            panic!("a batch")
        };
        let ids: Vec<Value> = calls.into_iter().map(|call| call.unwrap().id).collect();
        assert_eq!(ids, (0..MAX_BATCH).map(Value::from).collect::<Vec<_>>());
        let Body::One(Err(refused)) = of(MAX_BATCH + 1) else {
            panic!("an error")
        };
        assert_eq!(refused["error"]["code"], LIMIT);
        let Body::Batch(mixed) = read(br#"[1, {"jsonrpc":"2.0","id":2,"method":"m"}]"#) else {
            panic!("a batch")
        };
        assert!(mixed[0].is_err() && mixed[1].is_ok());
    }

    #[test]
    fn a_notification_is_neither_carried_out_nor_answered() {
        let order = r#"{"jsonrpc":"2.0","method":"eth_sendTransaction","params":[{}]}"#;
        assert_eq!(read(order.as_bytes()), Body::Nothing);
        assert_eq!(read(format!("[{order},{order}]").as_bytes()), Body::Nothing);
    }
}
