//! Transactions that are signed as Protocol Buffers. A message without its schema is a list of
//! numbered fields; the set of fields and their content tell a transaction from other bytes.
//!
//! One message has many encodings, and an attacker can choose among them. So every reading by
//! a parser of the chain counts: a repeated field is examined at each occurrence and as the
//! whole of its parts, for parsers merge embedded messages (protobuf.dev, "Encoding", last one
//! wins); groups and unknown fields are skipped, as in parsers; of field keys and lengths only
//! the low 32 bits count.

use super::bytes::Rest;

const VARINT: u32 = 0;
const EIGHT_BYTES: u32 = 1;
const LENGTH: u32 = 2;
const GROUP: u32 = 3;
const END_OF_GROUP: u32 = 4;
const FOUR_BYTES: u32 = 5;

/// A field that matters here.
enum Value<'a> {
    Number,
    Bytes(&'a [u8]),
}

/// The fields of all of `bytes`, by number. Groups are omitted.
struct Fields<'a>(Vec<(u32, Value<'a>)>);

impl<'a> Fields<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = Rest(bytes);
        let mut fields = Vec::new();
        let mut groups = Vec::new();
        while !rest.0.is_empty() {
            let key = low(rest.varint()?);
            let number = key >> 3;
            let value = match key & 7 {
                VARINT => rest.varint().map(|_| Value::Number)?,
                EIGHT_BYTES => rest.take(8).map(|_| Value::Number)?,
                LENGTH => {
                    let length = usize::try_from(low(rest.varint()?)).ok()?;
                    Value::Bytes(rest.take(length)?)
                }
                GROUP => {
                    groups.push(number);
                    continue;
                }
                END_OF_GROUP if groups.pop() == Some(number) => continue,
                FOUR_BYTES => rest.take(4).map(|_| Value::Number)?,
                _ => return None,
            };
            if groups.is_empty() {
                fields.push((number, value));
            }
        }
        groups.is_empty().then_some(Fields(fields))
    }

    /// Every occurrence of the field.
    fn bytes(&self, number: u32) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter_map(move |(found, value)| match value {
            Value::Bytes(bytes) if *found == number => Some(*bytes),
            Value::Bytes(_) | Value::Number => None,
        })
    }

    /// True if `is_one` holds for the embedded message `number`: for one of its occurrences, or
    /// for all of them together. The encodings of two messages one after the other are the
    /// encoding of the merged one.
    fn any(&self, number: u32, is_one: impl Fn(&Fields) -> bool) -> bool {
        let holds = |bytes: &[u8]| Fields::read(bytes).is_some_and(|fields| is_one(&fields));
        let merged = self.bytes(number).collect::<Vec<_>>().concat();
        self.bytes(number).any(holds) || (self.bytes(number).count() > 1 && holds(&merged))
    }

    fn has_message(&self, number: u32) -> bool {
        self.any(number, |_| true)
    }

    fn has_number(&self, number: u32) -> bool {
        self.0
            .iter()
            .any(|(found, value)| *found == number && matches!(value, Value::Number))
    }

    /// True if it is an `Any`: the name of its type has a `/`.
    fn is_any(&self) -> bool {
        self.bytes(1).any(|name| name.contains(&b'/'))
    }
}

/// The part of a field key or length that parsers keep.
fn low(number: u64) -> u32 {
    (number & u64::from(u32::MAX)) as u32
}

/// `Transaction.raw`: 1 reference block, 8 expiration, 11 contracts, each with its kind (1) and
/// parameters (2, an `Any`).
pub(super) fn is_tron(bytes: &[u8]) -> bool {
    let is_contract = |contract: &Fields| contract.any(2, |parameters| parameters.is_any());
    Fields::read(bytes).is_some_and(|fields| fields.any(11, is_contract))
}

/// `SignDoc`: 1 body, 2 authorisation, 3 chain id, 4 account number; `SignDocDirectAux` has 2
/// public key, and also 5 and 6. A body begins with its messages, each an `Any`.
pub(super) fn is_cosmos(bytes: &[u8]) -> bool {
    let is_body = |body: &Fields| body.any(1, |message| message.is_any());
    let is_one = |fields: Fields| fields.bytes(3).next().is_some() && fields.any(1, is_body);
    Fields::read(bytes).is_some_and(is_one)
}

/// `TransactionBody`: 1 id (its start, 1, and payer, 2), 2 node, 3 fee.
pub(super) fn is_hedera(bytes: &[u8]) -> bool {
    let is_id = |id: &Fields| id.has_message(1) && id.has_message(2);
    let is_one =
        |fields: Fields| fields.any(1, is_id) && fields.has_message(2) && fields.has_number(3);
    Fields::read(bytes).is_some_and(is_one)
}
