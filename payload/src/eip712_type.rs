//! Types and hashes of EIP-712: `hashStruct(s) = keccak256(typeHash ‖ encodeData(s))`.
//!
//! Documents are read like the libraries in use read them (eth-account, ethers, viem) where these
//! agree on the digest, and refused where they do not. So names may have a colon (Hyperliquid); a
//! missing type of the domain is derived from the domain's members; and members that no type
//! declares are neither signed nor shown to anybody.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256, U256, keccak256};

use crate::json::Json;
use crate::malformed::Malformed;

/// Members that a domain may have, in the standard's order.
const DOMAIN: [(&str, &str); 5] = [
    ("name", "string"),
    ("version", "string"),
    ("chainId", "uint256"),
    ("verifyingContract", "address"),
    ("salt", "bytes32"),
];
/// Further domain types, as signed by chains that are not EVM chains and name no contract
/// (Injective and other Cosmos chains).
const DOMAIN_OF_OTHERS: [(&str, &str); 2] = [("verifyingContract", "string"), ("salt", "string")];
const DOMAIN_TYPE: &str = "EIP712Domain";
const MEMBERS: [&str; 4] = ["types", "primaryType", "domain", "message"];
/// Maximum number of omitted members that are named.
const TOLD: usize = 16;

/// A structurally valid document. Hashing it shows whether its values match their types.
pub(crate) struct Document<'a> {
    types: BTreeMap<&'a str, Vec<Field<'a>>>,
    /// typeHash by name, so that a long list costs no more than its length.
    type_hashes: RefCell<BTreeMap<String, B256>>,
    pub(crate) primary_type: &'a str,
    pub(crate) domain: &'a Json,
    pub(crate) message: &'a Json,
    /// True if the document does not declare a type for its domain.
    derived: bool,
    /// Members of the document without meaning.
    strangers: Vec<&'a str>,
}

struct Field<'a> {
    name: &'a str,
    kind: &'a str,
}

impl<'a> Document<'a> {
    pub(crate) fn read(json: &'a Json) -> Result<Self, Malformed> {
        let members = json.object().ok_or("it is not a JSON object")?;
        let [types, primary_type, domain, message] = MEMBERS.map(|name| {
            members
                .get(name)
                .ok_or_else(|| format!("it has no `{name}`"))
        });
        let mut types = read_types(types?)?;
        let domain = domain?;
        let derived = !types.contains_key(DOMAIN_TYPE);
        if derived {
            types.insert(DOMAIN_TYPE, derive_domain(domain)?);
        }
        let document = Document {
            types,
            type_hashes: RefCell::default(),
            primary_type: primary_type?.text().ok_or("primaryType is not a text")?,
            domain,
            message: message?,
            derived,
            strangers: members
                .keys()
                .map(String::as_str)
                .filter(|name| !MEMBERS.contains(name))
                .collect(),
        };
        if document.primary_type == DOMAIN_TYPE {
            return Err("primaryType is the domain itself, which says nothing".into());
        }
        Ok(document)
    }

    /// Computes the domain separator.
    pub(crate) fn domain(&self) -> Result<B256, Malformed> {
        let fields = self
            .types
            .get(DOMAIN_TYPE)
            .ok_or("types has no EIP712Domain")?;
        let known = |field: &Field| {
            let name = field.name;
            let kind = field.kind;
            DOMAIN.contains(&(name, kind)) || DOMAIN_OF_OTHERS.contains(&(name, kind))
        };
        if let Some(field) = fields.iter().find(|field| !known(field)) {
            return Err(
                format!("EIP712Domain has no member `{} {}`", field.kind, field.name).into(),
            );
        }
        let place = |field: &Field| DOMAIN.iter().position(|(name, _)| *name == field.name);
        if !fields.is_sorted_by_key(place) {
            return Err(
                "the members of EIP712Domain are not in the standard's order, and libraries disagree on the \
                        digest; write name, version, chainId, verifyingContract, salt"
                    .into(),
            );
        }
        let members = self.domain.object().ok_or("the domain is not an object")?;
        check_texts(fields, members)?;
        match members
            .keys()
            .find(|name| fields.iter().all(|field| field.name != *name))
        {
            Some(extra) => Err(format!(
                "the domain has a member `{extra}` that EIP712Domain does not declare, and libraries disagree on the digest"
            ).into()),
            None => self.hash_struct(DOMAIN_TYPE, self.domain),
        }
    }

    /// True if the domain declares this member with the type that the standard gives it.
    pub(crate) fn domain_has_standard(&self, name: &str) -> bool {
        let fields = self.types.get(DOMAIN_TYPE).into_iter().flatten();
        fields
            .into_iter()
            .any(|field| field.name == name && DOMAIN.contains(&(field.name, field.kind)))
    }

    /// The document as covered by the digest: without undeclared members, and with the type of its
    /// domain. Omissions and derivations are noted in words.
    pub(crate) fn signed(&self, json: &Json) -> (Json, Vec<String>) {
        let mut left_out: Vec<String> = self
            .strangers
            .iter()
            .map(|name| format!("`{name}`"))
            .collect();
        let message = self.only_declared(self.primary_type, self.message, "message", &mut left_out);
        let mut notes = Vec::new();
        if !left_out.is_empty() {
            notes.push(format!("not signed and left out: {}", left_out.join(", ")));
        }
        if self.derived {
            notes.push(format!(
                "the domain's type is derived from its members: {}",
                self.describe(DOMAIN_TYPE)
            ));
        }
        let mut types = json
            .get("types")
            .and_then(Json::object)
            .cloned()
            .unwrap_or_default();
        types
            .entry(DOMAIN_TYPE.into())
            .or_insert_with(|| self.domain_type());
        let members = [
            ("types", Json::Object(types)),
            ("primaryType", Json::Text(self.primary_type.into())),
            ("domain", self.domain.clone()),
            ("message", message),
        ];
        (
            Json::Object(members.map(|(name, value)| (name.into(), value)).into()),
            notes,
        )
    }

    fn domain_type(&self) -> Json {
        let text = |name: &str, value: &str| (name.to_string(), Json::Text(value.into()));
        let field = |field: &Field| {
            Json::Object([text("name", field.name), text("type", field.kind)].into())
        };
        Json::List(
            self.types
                .get(DOMAIN_TYPE)
                .into_iter()
                .flatten()
                .map(field)
                .collect(),
        )
    }

    fn only_declared(
        &self,
        kind: &str,
        value: &Json,
        at: &str,
        left_out: &mut Vec<String>,
    ) -> Json {
        if let (Ok(Some((element, _))), Json::List(values)) = (split_array(kind), value) {
            let values = values
                .iter()
                .map(|value| self.only_declared(element, value, at, left_out));
            return Json::List(values.collect());
        }
        let (Some(fields), Json::Object(members)) = (self.types.get(kind), value) else {
            return value.clone();
        };
        let mut declared = BTreeMap::new();
        for (name, value) in members {
            let at = format!("{at}.{name}");
            match fields.iter().find(|field| field.name == name) {
                Some(field) => {
                    declared.insert(
                        name.clone(),
                        self.only_declared(field.kind, value, &at, left_out),
                    );
                }
                None if left_out.len() < TOLD => left_out.push(format!("`{at}`")),
                None => {}
            }
        }
        Json::Object(declared)
    }

    pub(crate) fn hash_struct(&self, name: &str, value: &Json) -> Result<B256, Malformed> {
        let fields = self
            .types
            .get(name)
            .ok_or_else(|| format!("types has no `{name}`"))?;
        let members = value
            .object()
            .ok_or_else(|| format!("a `{name}` is an object"))?;
        let mut encoded = self.type_hash(name)?.to_vec();
        for field in fields {
            let value = members
                .get(field.name)
                .ok_or_else(|| format!("a `{name}` lacks `{}`", field.name))?;
            let word = self
                .encode(field.kind, value)
                .map_err(|error| format!("`{}`: {error}", field.name))?;
            encoded.extend(word);
        }
        Ok(keccak256(encoded))
    }

    fn type_hash(&self, name: &str) -> Result<B256, Malformed> {
        if let Some(hash) = self.type_hashes.borrow().get(name) {
            return Ok(*hash);
        }
        let hash = keccak256(self.encode_type(name)?);
        self.type_hashes.borrow_mut().insert(name.to_string(), hash);
        Ok(hash)
    }

    /// Encodes `Name(type1 name1,...)`, followed by the types it refers to, by name.
    pub(crate) fn encode_type(&self, name: &str) -> Result<String, Malformed> {
        let mut others = BTreeSet::new();
        self.collect(name, &mut others)?;
        others.remove(name);
        let names = std::iter::once(name).chain(others);
        Ok(names.map(|name| self.describe(name)).collect())
    }

    fn describe(&self, name: &str) -> String {
        let fields = self.types.get(name).into_iter().flatten();
        let members: Vec<_> = fields
            .map(|field| format!("{} {}", field.kind, field.name))
            .collect();
        format!("{name}({})", members.join(","))
    }

    /// Collects into `found`: `name`, and every type that its members are of, and theirs.
    fn collect<'b>(
        &'b self,
        name: &'b str,
        found: &mut BTreeSet<&'b str>,
    ) -> Result<(), Malformed> {
        let mut open = vec![name];
        while let Some(name) = open.pop() {
            if !found.insert(name) {
                continue;
            }
            let fields = self
                .types
                .get(name)
                .ok_or_else(|| format!("types has no `{name}`"))?;
            let kinds = fields.iter().map(|field| innermost(field.kind));
            open.extend(kinds.filter(|kind| Atomic::of(kind).is_none()));
        }
        Ok(())
    }

    /// Encodes a value as 32 bytes.
    fn encode(&self, kind: &str, value: &Json) -> Result<B256, Malformed> {
        if let Some((element, length)) = split_array(kind)? {
            let values = value.list().ok_or("not a list")?;
            if length.is_some_and(|length| length != values.len()) {
                return Err(format!("a list of {} where `{kind}` is due", values.len()).into());
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

/// Libraries that only know the standard's members (ethers, eth-account, alloy) refuse a
/// contract that is not an address. A text that they could mistake for the standard's
/// member has two digests.
fn check_texts(fields: &[Field], members: &BTreeMap<String, Json>) -> Result<(), Malformed> {
    let is_text = |name: &str| {
        fields
            .iter()
            .any(|field| (field.name, field.kind) == (name, "string"))
    };
    // A member that is missing or not a text does not have the declared type, which refuses it.
    let contract = members.get("verifyingContract").and_then(Json::text);
    if is_text("verifyingContract") && contract.is_some_and(looks_like_address) {
        return Err(
            "verifyingContract is an address and declared as string, and libraries disagree on the digest; \
                    declare it as address"
                .into(),
        );
    }
    if is_text("salt") && !is_text("verifyingContract") {
        return Err(
            "salt is declared as string beside no verifyingContract that is one, and libraries disagree on \
                    the digest; declare it as bytes32"
                .into(),
        );
    }
    Ok(())
}

/// True for 20 bytes in hexadecimal, or the form of bank account numbers (ICAP: `XE`, two digits,
/// 30 or 31 letters and digits).
fn looks_like_address(text: &str) -> bool {
    let digits = text
        .strip_prefix("0x")
        .or(text.strip_prefix("0X"))
        .unwrap_or(text);
    let is_hexadecimal = digits.len() == 40 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_bank_number = text.len() >= 2 && text.as_bytes()[..2].eq_ignore_ascii_case(b"XE");
    is_hexadecimal || (is_bank_number && (34..=35).contains(&text.len()))
}

/// Derives the domain's type if the document has none: the members that are there,
/// in the standard's order.
fn derive_domain(domain: &Json) -> Result<Vec<Field<'static>>, Malformed> {
    let members = domain.object().ok_or("the domain is not an object")?;
    if let Some(other) = members
        .keys()
        .find(|key| DOMAIN.iter().all(|(name, _)| name != key))
    {
        return Err(format!(
            "types has no EIP712Domain, and `{other}` is not a member that the standard gives a domain"
        )
        .into());
    }
    let present = DOMAIN
        .iter()
        .filter(|(name, _)| members.contains_key(*name));
    Ok(present.map(|(name, kind)| Field { name, kind }).collect())
}

fn read_types(json: &Json) -> Result<BTreeMap<&str, Vec<Field<'_>>>, Malformed> {
    let types = json.object().ok_or("types is not an object")?;
    types
        .iter()
        .map(|(name, fields)| Ok((checked_name(name)?, read_fields(name, fields)?)))
        .collect()
}

fn read_fields<'a>(of: &str, json: &'a Json) -> Result<Vec<Field<'a>>, Malformed> {
    let mut names = BTreeSet::new();
    let fields = json
        .list()
        .ok_or_else(|| format!("type `{of}` is not a list"))?;
    let read = |field: &'a Json| {
        let text = |name| {
            field
                .get(name)
                .and_then(Json::text)
                .ok_or_else(|| format!("a member of `{of}` has no {name}"))
        };
        let name = text("name")?;
        let kind = text("type")?;
        if !identifier(name) || !names.insert(name) {
            return Err(Malformed::by(format_args!(
                "`{of}` declares `{name}` twice, or it is not a name"
            )));
        }
        if is_kind(kind) {
            Ok(Field { name, kind })
        } else {
            Err(Malformed::by(format_args!(
                "`{of}` gives `{name}` the type `{kind}`, which does not exist"
            )))
        }
    };
    fields.iter().map(read).collect()
}

/// Refuses a type name that could be mistaken for a built-in type.
fn checked_name(name: &str) -> Result<&str, Malformed> {
    if identifier(name) && !looks_built_in(name) {
        Ok(name)
    } else {
        Err(format!("`{name}` is not a name for a type").into())
    }
}

/// True if a reader may mistake the name for a Solidity type such as `uint`,
/// `bytes33` or `fixed128x18`: the standard knows neither aliases nor fixed point,
/// and libraries treat them differently.
fn looks_built_in(name: &str) -> bool {
    let is_size = |rest: &str| {
        rest.bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'x')
    };
    let sized = ["uint", "int", "bytes", "ufixed", "fixed"];
    ["address", "bool", "string", "function"].contains(&name)
        || sized
            .iter()
            .any(|kind| name.strip_prefix(kind).is_some_and(is_size))
}

/// True for letters, digits, `_`, `$` and `:`, none of which can end a name within the
/// text that is hashed.
fn identifier(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_' || byte == b'$';
    let further = |byte: u8| letter(byte) || byte.is_ascii_digit() || byte == b':';
    text.bytes().next().is_some_and(letter) && text.bytes().all(further)
}

/// True for a name followed by any number of `[]` and `[n]`, so that nothing else gets into the
/// text that is hashed.
fn is_kind(kind: &str) -> bool {
    let (name, mut rest) = kind.split_at(innermost(kind).len());
    while let Some((length, further)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'))
    {
        if !length.is_empty() && plain_number(length).is_none() {
            return false;
        }
        rest = further;
    }
    identifier(name) && rest.is_empty()
}

/// Splits `T[]` and `T[n]` into `T` and `n`.
fn split_array(kind: &str) -> Result<Option<(&str, Option<usize>)>, Malformed> {
    let Some((element, length)) = kind
        .strip_suffix(']')
        .and_then(|rest| rest.rsplit_once('['))
    else {
        return Ok(None);
    };
    match (length, plain_number(length)) {
        ("", _) => Ok(Some((element, None))),
        (_, Some(length)) => Ok(Some((element, Some(length)))),
        _ => Err(format!("`{kind}` is not a type").into()),
    }
}

fn innermost(kind: &str) -> &str {
    kind.split_once('[').map_or(kind, |(element, _)| element)
}

/// Parses decimal digits without leading zeros.
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
    fn of(kind: &str) -> Option<Self> {
        let bits =
            |digits| plain_number(digits).filter(|bits| bits % 8 == 0 && (8..=256).contains(bits));
        match kind {
            "bytes" => Some(Self::Bytes),
            "string" => Some(Self::Text),
            "bool" => Some(Self::Bool),
            "address" => Some(Self::Address),
            _ => {
                let uint = kind.strip_prefix("uint");
                let int = kind.strip_prefix("int");
                let size = kind
                    .strip_prefix("bytes")
                    .and_then(plain_number)
                    .filter(|size| *size <= 32);
                (uint.and_then(bits).map(Atomic::Uint))
                    .or(int.and_then(bits).map(Atomic::Int))
                    .or(size.map(Atomic::FixedBytes))
            }
        }
    }

    fn encode(&self, value: &Json) -> Result<B256, Malformed> {
        match self {
            Self::Uint(bits) => match number(value)? {
                value if value.bit_len() <= *bits => Ok(value.into()),
                _ => Err(format!("it has more than {bits} bits").into()),
            },
            Self::Int(bits) => signed(value, *bits).map(B256::from),
            Self::FixedBytes(size) => match bytes(value)? {
                bytes if bytes.len() == *size => Ok(B256::right_padding_from(&bytes)),
                bytes => Err(format!("{} bytes where {size} are due", bytes.len()).into()),
            },
            Self::Bytes => bytes(value).map(keccak256),
            Self::Text => value
                .text()
                .map(keccak256)
                .ok_or_else(|| "not a text".into()),
            Self::Bool => match value {
                Json::Bool(value) => Ok(U256::from(*value).into()),
                _ => Err("neither true nor false".into()),
            },
            Self::Address => address(value).map(|address| address.into_word()),
        }
    }
}

/// A non-negative number: a JSON number, or text in decimal or after `0x` in hexadecimal.
pub(crate) fn number(value: &Json) -> Result<U256, Malformed> {
    let (Json::Number(text) | Json::Text(text)) = value else {
        return Err("not a number".into());
    };
    let (digits, radix) = text
        .strip_prefix("0x")
        .map_or((text.as_str(), 10), |hex| (hex, 16));
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return Err(format!(
            "`{}` is not a whole number",
            text.chars().take(80).collect::<String>()
        )
        .into());
    }
    U256::from_str_radix(digits, u64::from(radix)).map_err(|_| "it has more than 256 bits".into())
}

/// Two's complement of `bits` bits.
fn signed(value: &Json, bits: usize) -> Result<U256, Malformed> {
    let (Json::Number(text) | Json::Text(text)) = value else {
        return Err("not a number".into());
    };
    let negative = text.strip_prefix('-');
    let size = number(&Json::Text(negative.unwrap_or(text).to_string()))?;
    let limit = U256::ONE << (bits - 1);
    match negative {
        None if size < limit => Ok(size),
        Some(_) if size <= limit => Ok(size.wrapping_neg()),
        _ => Err(format!("it has more than {bits} bits").into()),
    }
}

/// Mixed case must match its checksum (EIP-55).
pub(crate) fn address(value: &Json) -> Result<Address, Malformed> {
    let bytes: [u8; 20] = bytes(value)?
        .try_into()
        .map_err(|_| "an address has 20 bytes")?;
    let address = Address::from(bytes);
    let digits = value.text().unwrap_or_default().trim_start_matches("0x");
    let mixed = digits.bytes().any(|byte| byte.is_ascii_lowercase())
        && digits.bytes().any(|byte| byte.is_ascii_uppercase());
    if mixed && !address.to_string().ends_with(digits) {
        Err("the checksum of an address is wrong: a character is mistyped".into())
    } else {
        Ok(address)
    }
}

/// Parses hexadecimal after `0x`.
fn bytes(value: &Json) -> Result<Vec<u8>, Malformed> {
    let digits = value
        .text()
        .and_then(|text| text.strip_prefix("0x"))
        .ok_or("not hexadecimal after 0x")?;
    hex::decode(digits).map_err(Malformed::by)
}
