//! Types and hashes of EIP-712: `hashStruct(s) = keccak256(typeHash ‖ encodeData(s))`.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256, U256, keccak256};

use crate::json::Json;

/// A document whose parts are in place. That its values fit their types shows when it is hashed.
pub(crate) struct Document<'a> {
    types: BTreeMap<&'a str, Vec<Field<'a>>>,
    /// typeHash by name, so that a long list costs no more than its length.
    type_hashes: RefCell<BTreeMap<String, B256>>,
    pub(crate) primary_type: &'a str,
    pub(crate) domain: &'a Json,
    pub(crate) message: &'a Json,
}

struct Field<'a> {
    name: &'a str,
    kind: &'a str,
}

/// Members that a domain may have, in the standard's order.
const DOMAIN: [(&str, &str); 5] = [
    ("name", "string"),
    ("version", "string"),
    ("chainId", "uint256"),
    ("verifyingContract", "address"),
    ("salt", "bytes32"),
];

impl<'a> Document<'a> {
    pub(crate) fn read(json: &'a Json) -> Result<Document<'a>, String> {
        let members = json.object().ok_or("it is no JSON object")?;
        let [types, primary_type, domain, message] = ["types", "primaryType", "domain", "message"]
            .map(|name| members.get(name).ok_or_else(|| format!("it has no `{name}`")));
        if members.len() != 4 {
            return Err("it has members besides types, primaryType, domain and message".into());
        }
        let document = Document {
            types: read_types(types?)?,
            type_hashes: RefCell::default(),
            primary_type: primary_type?.text().ok_or("primaryType is no text")?,
            domain: domain?,
            message: message?,
        };
        if document.primary_type == "EIP712Domain" {
            return Err("primaryType is the domain itself, which says nothing".into());
        }
        Ok(document)
    }

    /// The domain separator.
    pub(crate) fn domain(&self) -> Result<B256, String> {
        let fields = self.types.get("EIP712Domain").ok_or("types has no EIP712Domain")?;
        let standard = |field: &Field| DOMAIN.contains(&(field.name, field.kind));
        match fields.iter().find(|field| !standard(field)) {
            Some(field) => Err(format!("EIP712Domain has no member `{} {}`", field.kind, field.name)),
            None => self.hash_struct("EIP712Domain", self.domain),
        }
    }

    pub(crate) fn hash_struct(&self, name: &str, value: &Json) -> Result<B256, String> {
        let fields = self.types.get(name).ok_or_else(|| format!("types has no `{name}`"))?;
        let members = value.object().ok_or_else(|| format!("a `{name}` is an object"))?;
        if let Some(extra) = members.keys().find(|key| fields.iter().all(|field| field.name != *key)) {
            return Err(format!("`{name}` declares no member `{extra}`"));
        }
        let mut encoded = self.type_hash(name)?.to_vec();
        for field in fields {
            let value =
                members.get(field.name).ok_or_else(|| format!("a `{name}` lacks `{}`", field.name))?;
            let word =
                self.encode(field.kind, value).map_err(|error| format!("`{}`: {error}", field.name))?;
            encoded.extend(word);
        }
        Ok(keccak256(encoded))
    }

    fn type_hash(&self, name: &str) -> Result<B256, String> {
        if let Some(hash) = self.type_hashes.borrow().get(name) {
            return Ok(*hash);
        }
        let hash = keccak256(self.encode_type(name)?);
        self.type_hashes.borrow_mut().insert(name.to_string(), hash);
        Ok(hash)
    }

    /// `Name(type1 name1,...)`, followed by the types it refers to, by name.
    fn encode_type(&self, name: &str) -> Result<String, String> {
        let mut others = BTreeSet::new();
        self.collect(name, &mut others)?;
        others.remove(name);
        let names = std::iter::once(name).chain(others);
        Ok(names.map(|name| self.describe(name)).collect())
    }

    fn describe(&self, name: &str) -> String {
        let fields = self.types.get(name).into_iter().flatten();
        let members: Vec<_> = fields.map(|field| format!("{} {}", field.kind, field.name)).collect();
        format!("{name}({})", members.join(","))
    }

    fn collect<'b>(&'b self, name: &'b str, found: &mut BTreeSet<&'b str>) -> Result<(), String> {
        if !found.insert(name) {
            return Ok(());
        }
        let fields = self.types.get(name).ok_or_else(|| format!("types has no `{name}`"))?;
        let structs =
            fields.iter().map(|field| innermost(field.kind)).filter(|kind| Atomic::of(kind).is_none());
        for kind in structs {
            self.collect(kind, found)?;
        }
        Ok(())
    }

    /// The 32 bytes that stand for a value.
    fn encode(&self, kind: &str, value: &Json) -> Result<B256, String> {
        if let Some((element, length)) = split_array(kind)? {
            let values = value.list().ok_or("not a list")?;
            if length.is_some_and(|length| length != values.len()) {
                return Err(format!("a list of {} where `{kind}` is due", values.len()));
            }
            let mut encoded = Vec::new();
            for value in values {
                encoded.extend(self.encode(element, value)?);
            }
            return Ok(keccak256(encoded));
        }
        match Atomic::of(kind) {
            Some(atomic) => atomic.encode(value),
            None => self.hash_struct(kind, value),
        }
    }
}

fn read_types(json: &Json) -> Result<BTreeMap<&str, Vec<Field<'_>>>, String> {
    let types = json.object().ok_or("types is no object")?;
    types.iter().map(|(name, fields)| Ok((checked_name(name)?, read_fields(name, fields)?))).collect()
}

fn read_fields<'a>(of: &str, json: &'a Json) -> Result<Vec<Field<'a>>, String> {
    let mut names = BTreeSet::new();
    let fields = json.list().ok_or_else(|| format!("type `{of}` is no list"))?;
    let read = |field: &'a Json| {
        let text = |name| {
            field.get(name).and_then(Json::text).ok_or_else(|| format!("a member of `{of}` has no {name}"))
        };
        let (name, kind) = (text("name")?, text("type")?);
        let alone = field.object().is_some_and(|members| members.len() == 2);
        match identifier(name) && alone && names.insert(name) {
            true => Ok(Field { name, kind }),
            false => Err(format!("`{of}` declares `{name}` twice, or not by name and type alone")),
        }
    };
    fields.iter().map(read).collect()
}

/// A type of this name must not be taken for one that is built in.
fn checked_name(name: &str) -> Result<&str, String> {
    match identifier(name) && Atomic::of(name).is_none() {
        true => Ok(name),
        false => Err(format!("`{name}` is no name for a type")),
    }
}

fn identifier(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_' || byte == b'$';
    text.bytes().next().is_some_and(letter) && text.bytes().all(|byte| letter(byte) || byte.is_ascii_digit())
}

/// `T[]` and `T[n]` into `T` and `n`.
fn split_array(kind: &str) -> Result<Option<(&str, Option<usize>)>, String> {
    let Some((element, length)) = kind.strip_suffix(']').and_then(|rest| rest.rsplit_once('[')) else {
        return Ok(None);
    };
    match (length, plain_number(length)) {
        ("", _) => Ok(Some((element, None))),
        (_, Some(length)) => Ok(Some((element, Some(length)))),
        _ => Err(format!("`{kind}` is no type")),
    }
}

fn innermost(kind: &str) -> &str {
    kind.split_once('[').map_or(kind, |(element, _)| element)
}

/// Decimal digits without leading zeros.
fn plain_number(text: &str) -> Option<usize> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| plain)
}

enum Atomic {
    Uint(usize),
    Int(usize),
    FixedBytes(usize),
    Bytes,
    Text,
    Bool,
    Address,
}

impl Atomic {
    fn of(kind: &str) -> Option<Atomic> {
        let bits = |digits| plain_number(digits).filter(|bits| bits % 8 == 0 && (8..=256).contains(bits));
        match kind {
            "bytes" => Some(Atomic::Bytes),
            "string" => Some(Atomic::Text),
            "bool" => Some(Atomic::Bool),
            "address" => Some(Atomic::Address),
            _ => {
                let (uint, int) = (kind.strip_prefix("uint"), kind.strip_prefix("int"));
                let size = kind.strip_prefix("bytes").and_then(plain_number).filter(|size| *size <= 32);
                (uint.and_then(bits).map(Atomic::Uint))
                    .or(int.and_then(bits).map(Atomic::Int))
                    .or(size.map(Atomic::FixedBytes))
            }
        }
    }

    fn encode(&self, value: &Json) -> Result<B256, String> {
        match self {
            Atomic::Uint(bits) => match number(value)? {
                value if value.bit_len() <= *bits => Ok(value.into()),
                _ => Err(format!("it has more than {bits} bits")),
            },
            Atomic::Int(bits) => signed(value, *bits).map(B256::from),
            Atomic::FixedBytes(size) => match bytes(value)? {
                bytes if bytes.len() == *size => Ok(B256::right_padding_from(&bytes)),
                bytes => Err(format!("{} bytes where {size} are due", bytes.len())),
            },
            Atomic::Bytes => bytes(value).map(keccak256),
            Atomic::Text => value.text().map(keccak256).ok_or_else(|| "not a text".into()),
            Atomic::Bool => match value {
                Json::Bool(value) => Ok(U256::from(*value).into()),
                _ => Err("neither true nor false".into()),
            },
            Atomic::Address => address(value).map(|address| address.into_word()),
        }
    }
}

/// A number that is not negative: JSON number, or text in decimal or after `0x` in hexadecimal.
pub(crate) fn number(value: &Json) -> Result<U256, String> {
    let (Json::Number(text) | Json::Text(text)) = value else { return Err("not a number".into()) };
    let (digits, radix) = text.strip_prefix("0x").map_or((text.as_str(), 10), |hex| (hex, 16));
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return Err(format!("`{}` is no whole number", text.chars().take(80).collect::<String>()));
    }
    U256::from_str_radix(digits, u64::from(radix)).map_err(|_| "it has more than 256 bits".into())
}

/// Two's complement.
fn signed(value: &Json, bits: usize) -> Result<U256, String> {
    let (Json::Number(text) | Json::Text(text)) = value else { return Err("not a number".into()) };
    let negative = text.strip_prefix('-');
    let size = number(&Json::Text(negative.unwrap_or(text).to_string()))?;
    let limit = U256::ONE << (bits - 1);
    match negative {
        None if size < limit => Ok(size),
        Some(_) if size <= limit => Ok(size.wrapping_neg()),
        _ => Err(format!("it has more than {bits} bits")),
    }
}

pub(crate) fn address(value: &Json) -> Result<Address, String> {
    let bytes: [u8; 20] = bytes(value)?.try_into().map_err(|_| "an address has 20 bytes")?;
    Ok(Address::from(bytes))
}

/// Hexadecimal after `0x`.
fn bytes(value: &Json) -> Result<Vec<u8>, String> {
    let digits = value.text().and_then(|text| text.strip_prefix("0x")).ok_or("not hexadecimal after 0x")?;
    hex::decode(digits).map_err(|error| error.to_string())
}
