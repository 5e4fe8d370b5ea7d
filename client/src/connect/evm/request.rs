//! The parameters of methods that sign, as far as a caller gives them.
//!
//! Every member of a transaction is read or refused: one that is ignored could be one that its
//! caller relies on.

use countersign_payload::EvmAccess;
use serde_json::{Map, Value};

use super::error::{RpcError, UNSUPPORTED};
use super::value::{Address, data, fixed, quantity, quantity_u64, quantity_u128};

/// The most entries of an access list, and slots of an entry.
const MAX_LIST: usize = 1024;

/// A transaction as asked for; what is absent is filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    pub from: Address,
    /// Absent: creates a contract.
    pub to: Option<Address>,
    pub gas: Option<u64>,
    pub price: PriceWish,
    pub access_list: Option<Vec<EvmAccess>>,
    pub value: [u8; 32],
    pub nonce: Option<u64>,
    pub data: Vec<u8>,
    pub chain_id: Option<u64>,
}

/// The price of gas, as far as it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PriceWish {
    /// Neither a type nor a price: as the chain has it.
    Any,
    /// Type 0, or type 1 if there is an access list.
    Single(Option<u128>),
    /// Type 1.
    WithAccessList(Option<u128>),
    /// Type 2.
    Dynamic {
        max: Option<u128>,
        priority: Option<u128>,
    },
}

impl Wish {
    /// Reads the one parameter of `eth_sendTransaction` and `eth_signTransaction`.
    pub fn read(params: &[Value]) -> Result<Self, RpcError> {
        let [Value::Object(members)] = params else {
            return Err(RpcError::params(
                "give one parameter, the transaction as an object",
            ));
        };
        let mut members = Members(members.clone());
        let from = members.take("from").map(|from| fixed("from", &from));
        let from = from.ok_or_else(|| {
            RpcError::params("the transaction has no `from`; name one of eth_accounts")
        })??;
        let wish = Self {
            from,
            to: members.read("to", |value| fixed("to", value))?,
            gas: members.either(["gas", "gasLimit"], quantity_u64)?,
            price: members.price()?,
            access_list: members.read("accessList", access_list)?,
            value: members
                .read("value", |value| quantity("value", value))?
                .unwrap_or_default(),
            nonce: members.read("nonce", |value| quantity_u64("nonce", value))?,
            data: members.either(["data", "input"], data)?.unwrap_or_default(),
            chain_id: members.read("chainId", |value| quantity_u64("chainId", value))?,
        };
        members.end()?;
        wish.check()
    }

    fn check(self) -> Result<Self, RpcError> {
        if self.to.is_none() && self.data.is_empty() {
            return Err(RpcError::params(
                "the transaction has neither `to` nor `data`; name the recipient",
            ));
        }
        // EIP-2681.
        if self.nonce == Some(u64::MAX) {
            return Err(RpcError::params("`nonce` is too large; correct it"));
        }
        Ok(self)
    }
}

/// The members of a transaction that are still to be read. Null stands for absent.
struct Members(Map<String, Value>);

impl Members {
    fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name).filter(|value| !value.is_null())
    }

    fn read<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&Value) -> Result<T, RpcError>,
    ) -> Result<Option<T>, RpcError> {
        self.take(name).map(|value| read(&value)).transpose()
    }

    /// A member with two names. Both may be there if they say the same.
    fn either<T: PartialEq>(
        &mut self,
        names: [&str; 2],
        read: fn(&str, &Value) -> Result<T, RpcError>,
    ) -> Result<Option<T>, RpcError> {
        let [one, other] = names;
        let first = self.read(one, |value| read(one, value))?;
        let second = self.read(other, |value| read(other, value))?;
        match (first, second) {
            (Some(first), Some(second)) if first != second => Err(RpcError::params(format!(
                "`{one}` and `{other}` differ; leave out one of them"
            ))),
            (first, second) => Ok(first.or(second)),
        }
    }

    fn price(&mut self) -> Result<PriceWish, RpcError> {
        let mut amount = |name| self.read(name, |value| quantity_u128(name, value));
        let single = amount("gasPrice")?;
        let max = amount("maxFeePerGas")?;
        let priority = amount("maxPriorityFeePerGas")?;
        let kind = self.read("type", |value| quantity_u64("type", value))?;
        let dynamic = max.is_some() || priority.is_some();
        match (kind, single, dynamic) {
            (None, None, false) => Ok(PriceWish::Any),
            (None | Some(0), single, false) => Ok(PriceWish::Single(single)),
            (Some(1), single, false) => Ok(PriceWish::WithAccessList(single)),
            (None | Some(2), None, _) => Ok(PriceWish::Dynamic { max, priority }),
            (Some(3), ..) => Err(unsupported("a blob transaction (EIP-4844)")),
            (Some(4), ..) => Err(unsupported("a delegation of the account (EIP-7702)")),
            (Some(0..=2) | None, ..) => Err(RpcError::params(
                "type and prices do not fit together: give `gasPrice`, or `maxFeePerGas` and `maxPriorityFeePerGas`",
            )),
            (Some(_), ..) => Err(unsupported("a transaction of this type")),
        }
    }

    /// Refuses what has not been read.
    fn end(mut self) -> Result<(), RpcError> {
        for (name, what) in [
            ("blobs", "a blob transaction (EIP-4844)"),
            ("blobVersionedHashes", "a blob transaction (EIP-4844)"),
            ("maxFeePerBlobGas", "a blob transaction (EIP-4844)"),
            ("sidecar", "a blob transaction (EIP-4844)"),
            (
                "authorizationList",
                "a delegation of the account (EIP-7702)",
            ),
        ] {
            if self
                .take(name)
                .is_some_and(|value| value != Value::Array(vec![]))
            {
                return Err(unsupported(what));
            }
        }
        self.0.retain(|_, value| !value.is_null());
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => {
                let shown: String = name
                    .chars()
                    .filter(char::is_ascii_graphic)
                    .take(40)
                    .collect();
                Err(RpcError::params(format!(
                    "`{shown}` is no member of a transaction that is known here; leave it out"
                )))
            }
        }
    }
}

/// Reads the parameters of `personal_sign`: data, then account. A third one, which some nodes take
/// for a passphrase, is ignored.
pub fn personal(params: &[Value]) -> Result<(Address, Vec<u8>), RpcError> {
    match params {
        [message, account] | [message, account, _] => {
            Ok((fixed("account", account)?, data("message", message)?))
        }
        _ => Err(RpcError::params(
            "give the message in hexadecimal, then the account",
        )),
    }
}

/// Reads the parameters of `eth_sign`: account, then data.
pub fn eth_sign(params: &[Value]) -> Result<(Address, Vec<u8>), RpcError> {
    match params {
        [account, message] => Ok((fixed("account", account)?, data("message", message)?)),
        _ => Err(RpcError::params(
            "give the account, then the message in hexadecimal",
        )),
    }
}

/// Reads the parameters of `eth_signTypedData_v4`: account, then the document, as JSON or as a text
/// of JSON. Returns its bytes. Numbers of more than 64 bits must be texts: as JSON they could lose
/// digits here, and such a document is refused when it is decoded.
pub fn typed_data(params: &[Value]) -> Result<(Address, Vec<u8>), RpcError> {
    let wrong = "give the account, then the typed data of EIP-712 as an object or as its text";
    let [account, document] = params else {
        return Err(RpcError::params(wrong));
    };
    let bytes = match document {
        Value::String(text) => text.clone().into_bytes(),
        Value::Object(_) => document.to_string().into_bytes(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
            return Err(RpcError::params(wrong));
        }
    };
    Ok((fixed("account", account)?, bytes))
}

/// Compares the chain that a wallet method or a document names with the endpoint's.
pub fn chain_of(params: &[Value]) -> Result<u64, RpcError> {
    match params {
        [Value::Object(members)] => match members.get("chainId") {
            Some(value) => quantity_u64("chainId", value),
            None => Err(RpcError::params("give an object with `chainId`")),
        },
        _ => Err(RpcError::params("give an object with `chainId`")),
    }
}

fn access_list(value: &Value) -> Result<Vec<EvmAccess>, RpcError> {
    let wrong = || {
        RpcError::params(
            "`accessList` is no list of {address, storageKeys} of at most 1024 each; correct it",
        )
    };
    let list = |value: &Value| {
        value
            .as_array()
            .filter(|list| list.len() <= MAX_LIST)
            .cloned()
            .ok_or_else(wrong)
    };
    let entry = |entry: &Value| {
        let address = fixed("address", entry.get("address").ok_or_else(wrong)?)?;
        let slots = list(entry.get("storageKeys").ok_or_else(wrong)?)?;
        let slots = slots.iter().map(|slot| fixed("storageKeys", slot));
        Ok((address, slots.collect::<Result<_, RpcError>>()?))
    };
    list(value)?.iter().map(entry).collect()
}

fn unsupported(what: &str) -> RpcError {
    RpcError::new(
        UNSUPPORTED,
        format!(
            "{what} is not made by this endpoint; build it elsewhere and sign it with `countersign sign --evm-transaction`"
        ),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::error::INVALID_PARAMS;
    use super::*;

    const FROM: &str = "0x1111111111111111111111111111111111111111";
    const TO: &str = "0x2222222222222222222222222222222222222222";

    /// A transfer with these members added or replaced.
    fn read(more: Value) -> Result<Wish, RpcError> {
        let mut transaction = json!({"from": FROM, "to": TO, "value": "0x5"});
        for (name, value) in more.as_object().unwrap() {
            transaction[name] = value.clone();
        }
        Wish::read(&[transaction])
    }

    fn price(more: Value) -> Result<PriceWish, i64> {
        read(more)
            .map(|wish| wish.price)
            .map_err(|error| error.code)
    }

    #[test]
    fn what_is_absent_or_null_is_left_open() {
        let wish = read(json!({"gas": null, "nonce": null, "accessList": null})).unwrap();
        let mut value = [0; 32];
        value[31] = 5;
        let expected = Wish {
            from: [0x11; 20],
            to: Some([0x22; 20]),
            gas: None,
            price: PriceWish::Any,
            access_list: None,
            value,
            nonce: None,
            data: vec![],
            chain_id: None,
        };
        assert_eq!(wish, expected);
    }

    #[test]
    fn every_member_is_read() {
        let wish = read(json!({
            "gas": "0x5208", "gasLimit": "0x5208", "nonce": "0x7", "chainId": "0x1", "data": "0xab", "input": "0xab",
            "accessList": [{"address": TO, "storageKeys": [format!("0x{}", "33".repeat(32))]}],
            "maxFeePerGas": "0x3", "maxPriorityFeePerGas": "0x1", "type": "0x2",
        }))
        .unwrap();
        assert_eq!(
            (wish.gas, wish.nonce, wish.chain_id, wish.data),
            (Some(21_000), Some(7), Some(1), vec![0xab])
        );
        assert_eq!(wish.access_list, Some(vec![([0x22; 20], vec![[0x33; 32]])]));
        let dynamic = PriceWish::Dynamic {
            max: Some(3),
            priority: Some(1),
        };
        assert_eq!(wish.price, dynamic);
    }

    #[test]
    fn type_and_prices_fit_together_or_are_refused() {
        let dynamic = |max, priority| Ok(PriceWish::Dynamic { max, priority });
        for (more, expected) in [
            (json!({"gasPrice": "0x3"}), Ok(PriceWish::Single(Some(3)))),
            (json!({"type": "0x0"}), Ok(PriceWish::Single(None))),
            (
                json!({"type": "0x1", "gasPrice": "0x3"}),
                Ok(PriceWish::WithAccessList(Some(3))),
            ),
            (json!({"type": "0x2"}), dynamic(None, None)),
            (json!({"maxFeePerGas": "0x3"}), dynamic(Some(3), None)),
            (
                json!({"maxPriorityFeePerGas": "0x3"}),
                dynamic(None, Some(3)),
            ),
            (
                json!({"gasPrice": "0x3", "maxFeePerGas": "0x3"}),
                Err(INVALID_PARAMS),
            ),
            (
                json!({"type": "0x2", "gasPrice": "0x3"}),
                Err(INVALID_PARAMS),
            ),
            (
                json!({"type": "0x0", "maxFeePerGas": "0x3"}),
                Err(INVALID_PARAMS),
            ),
            (json!({"type": "0x3"}), Err(UNSUPPORTED)),
            (
                json!({"type": "0x4", "maxFeePerGas": "0x3"}),
                Err(UNSUPPORTED),
            ),
            (json!({"type": "0x7e"}), Err(UNSUPPORTED)),
            (json!({"blobVersionedHashes": ["0x01"]}), Err(UNSUPPORTED)),
            (json!({"authorizationList": [{}]}), Err(UNSUPPORTED)),
            (json!({"authorizationList": []}), Ok(PriceWish::Any)),
        ] {
            assert_eq!(price(more.clone()), expected, "{more}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for more in [
            json!({"customData": {}}),
            json!({"data": "0xab", "input": "0xac"}),
            json!({"gas": "0x1", "gasLimit": "0x2"}),
            json!({"to": "0x22"}),
            json!({"to": null}),
            json!({"from": null}),
            json!({"value": 5}),
            json!({"nonce": "0xffffffffffffffff"}),
            json!({"accessList": {}}),
            json!({"accessList": [{"address": TO}]}),
            json!({"chainId": "1"}),
        ] {
            let code = read(more.clone()).unwrap_err().code;
            assert_eq!(code, INVALID_PARAMS, "{more}");
        }
        for params in [vec![], vec![json!("0x")], vec![json!({}), json!({})]] {
            assert_eq!(Wish::read(&params).unwrap_err().code, INVALID_PARAMS);
        }
    }

    #[test]
    fn messages_are_bytes_in_the_order_of_their_method() {
        let bytes = json!("0x6869");
        let expected = ([0x11; 20], b"hi".to_vec());
        assert_eq!(personal(&[bytes.clone(), json!(FROM)]).unwrap(), expected);
        assert_eq!(eth_sign(&[json!(FROM), bytes.clone()]).unwrap(), expected);
        assert!(personal(&[json!(FROM), bytes.clone()]).is_err());
        assert!(eth_sign(&[bytes, json!(FROM)]).is_err());
        assert!(personal(&[json!("hi"), json!(FROM)]).is_err());
    }

    #[test]
    fn typed_data_is_taken_as_text_and_as_an_object() {
        let text = r#"{"a":1}"#;
        let expected = ([0x11; 20], text.as_bytes().to_vec());
        assert_eq!(typed_data(&[json!(FROM), json!(text)]).unwrap(), expected);
        assert_eq!(
            typed_data(&[json!(FROM), json!({"a": 1})]).unwrap(),
            expected
        );
        // The order of the first version of the method, which signs something else.
        assert!(typed_data(&[json!([]), json!(FROM)]).is_err());
    }
}
