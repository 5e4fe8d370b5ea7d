//! Transactions that are signed as Protocol Buffers. A message without its schema is a list of numbered fields; which
//! fields are there, and what is in them, tells a transaction from other bytes.

use super::bytes::Rest;

/// A field that matters here.
enum Value<'a> {
    Number,
    Bytes(&'a [u8]),
}

/// The fields of all of `bytes`, by number.
struct Fields<'a>(Vec<(u64, Value<'a>)>);

impl<'a> Fields<'a> {
    fn read(bytes: &'a [u8]) -> Option<Fields<'a>> {
        let (mut rest, mut fields) = (Rest(bytes), Vec::new());
        while !rest.0.is_empty() {
            let key = rest.varint()?;
            let value = match key & 7 {
                0 => rest.varint().map(|_| Value::Number)?,
                1 => rest.take(8).map(|_| Value::Number)?,
                2 => {
                    let length = usize::try_from(rest.varint()?).ok()?;
                    Value::Bytes(rest.take(length)?)
                }
                5 => rest.take(4).map(|_| Value::Number)?,
                _ => return None,
            };
            fields.push((key >> 3, value));
        }
        Some(Fields(fields))
    }

    fn bytes(&self, number: u64) -> Option<&'a [u8]> {
        self.0.iter().find_map(|(found, value)| match value {
            Value::Bytes(bytes) if *found == number => Some(*bytes),
            Value::Bytes(_) | Value::Number => None,
        })
    }

    fn inner(&self, number: u64) -> Option<Fields<'a>> {
        self.bytes(number).and_then(Fields::read)
    }

    fn has_number(&self, number: u64) -> bool {
        self.0.iter().any(|(found, value)| *found == number && matches!(value, Value::Number))
    }

    fn only(&self, largest: u64) -> bool {
        self.0.iter().all(|(number, _)| (1..=largest).contains(number))
    }

    /// Whether it is an `Any`: something after the name of its type, which has a `/`.
    fn is_any(&self) -> bool {
        self.only(2) && self.bytes(1).is_some_and(|name| name.contains(&b'/') && name.is_ascii())
    }
}

/// `Transaction.raw`: 1 reference block, 8 expiration, 11 contracts, each with its kind (1) and parameters (2, an `Any`).
pub(super) fn is_tron(bytes: &[u8]) -> bool {
    let parameters = Fields::read(bytes).and_then(|fields| fields.inner(11)?.inner(2));
    parameters.is_some_and(|parameters| parameters.is_any())
}

/// `SignDoc`: 1 body, 2 authorisation, 3 chain id, 4 account number; `SignDocDirectAux` has 2 public key, 5 and 6 besides. A
/// body begins with its messages, each an `Any`.
pub(super) fn is_cosmos(bytes: &[u8]) -> bool {
    let is_one = |fields: Fields| {
        let message = fields.inner(1)?.inner(1)?;
        (fields.only(6) && fields.bytes(3).is_some() && message.is_any()).then_some(())
    };
    Fields::read(bytes).and_then(is_one).is_some()
}

/// `TransactionBody`: 1 id (its start, 1, and payer, 2), 2 node, 3 fee.
pub(super) fn is_hedera(bytes: &[u8]) -> bool {
    let is_one = |fields: Fields| {
        let id = fields.inner(1)?;
        (id.inner(1).is_some() && id.inner(2).is_some() && fields.inner(2).is_some() && fields.has_number(3))
            .then_some(())
    };
    Fields::read(bytes).and_then(is_one).is_some()
}
