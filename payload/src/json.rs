//! JSON with unique member names in every object, and with whole numbers of any length.
//!
//! Readers differ in which of two members of one name they use. Plugins must judge exactly what is
//! hashed, so such a document is refused. Readers also differ in numbers above 2^53 or 2^64: here
//! every digit counts. The JSON library does the parsing; as it converts long numbers to floating
//! point, the digits are taken from the text itself.

use std::collections::BTreeMap;
use std::slice::Iter;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::malformed::Malformed;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    /// A whole number of any length, in decimal.
    Number(String),
    Text(String),
    List(Vec<Self>),
    Object(BTreeMap<String, Self>),
}

impl Json {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let bytes = without_mark(bytes)?;
        // The text is known to be JSON before it is scanned for numbers.
        serde_json::from_slice::<IgnoredAny>(bytes).map_err(Malformed::by)?;
        let numbers = numbers(bytes);
        let mut rest = numbers.iter();
        let mut reader = serde_json::Deserializer::from_slice(bytes);
        let value = Value(&mut rest)
            .deserialize(&mut reader)
            .map_err(Malformed::by)?;
        reader.end().map_err(Malformed::by)?;
        Ok(value)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        self.object()?.get(name)
    }

    pub(crate) fn object(&self) -> Option<&BTreeMap<String, Self>> {
        if let Self::Object(members) = self {
            Some(members)
        } else {
            None
        }
    }

    pub(crate) fn list(&self) -> Option<&[Self]> {
        if let Self::List(values) = self {
            Some(values)
        } else {
            None
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self {
            Some(text)
        } else {
            None
        }
    }
}

/// As JSON, with members in the order of their names.
impl std::fmt::Display for Json {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(digits) => f.write_str(digits),
            Self::Text(text) => f.write_str(&quoted(text)),
            Self::List(values) => {
                f.write_str("[")?;
                for (at, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if at == 0 { "" } else { "," })?;
                }
                f.write_str("]")
            }
            Self::Object(members) => {
                f.write_str("{")?;
                for (at, (name, value)) in members.iter().enumerate() {
                    write!(
                        f,
                        "{}{}:{value}",
                        if at == 0 { "" } else { "," },
                        quoted(name)
                    )?;
                }
                f.write_str("}")
            }
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// `bytes` without a UTF-8 byte order mark.
pub(crate) fn without_mark(bytes: &[u8]) -> Result<&[u8], Malformed> {
    match bytes {
        [0xef, 0xbb, 0xbf, text @ ..] => Ok(text),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Err("it is UTF-16; save the file as UTF-8".into()),
        text => Ok(text),
    }
}

/// The numbers of a JSON text, in its order. Outside strings only numbers have digits.
fn numbers(json: &[u8]) -> Vec<String> {
    let mut numbers = Vec::new();
    let mut at = 0;
    while let Some(byte) = json.get(at) {
        let length = match byte {
            b'"' => string_length(&json[at..]),
            b'-' | b'0'..=b'9' => {
                let is_part =
                    |byte: &&u8| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
                let length = json[at..].iter().take_while(is_part).count();
                numbers.push(
                    json[at..at + length]
                        .iter()
                        .copied()
                        .map(char::from)
                        .collect(),
                );
                length
            }
            _ => 1,
        };
        at += length;
    }
    numbers
}

/// Length of the string that begins here, quotes included.
fn string_length(json: &[u8]) -> usize {
    let mut escaped = false;
    let inner = json.iter().skip(1).take_while(|byte| {
        let ends = **byte == b'"' && !escaped;
        escaped = **byte == b'\\' && !escaped;
        !ends
    });
    inner.count() + 2
}

/// Deserialises one value. Numbers come in the order of the text, so each takes its
/// digits from the list.
struct Value<'a, 'n>(&'a mut Iter<'n, String>);

impl Value<'_, '_> {
    fn number<E: Error>(self) -> Result<Json, E> {
        let text = self
            .0
            .next()
            .ok_or_else(|| E::custom("a number is nowhere in the text"))?;
        let digits = text.strip_prefix('-').unwrap_or(text);
        if digits.bytes().all(|byte| byte.is_ascii_digit()) && text != "-0" {
            Ok(Json::Number(text.clone()))
        } else {
            Err(E::custom(format_args!(
                "`{}` is not a whole number; write all digits, without point and exponent",
                text.chars().take(80).collect::<String>()
            )))
        }
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_, '_> {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_, '_> {
    type Value = Json;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON with whole numbers")
    }

    fn visit_unit<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Json, E> {
        self.number()
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Json, E> {
        self.number()
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Json, E> {
        self.number()
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(Value(&mut *self.0))? {
            values.push(value);
        }
        Ok(Json::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut members = BTreeMap::new();
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value_seed(Value(&mut *self.0))?;
            if members.insert(name.clone(), value).is_some() {
                return Err(Error::custom(format_args!("`{name}` is there twice")));
            }
        }
        Ok(Json::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_keep_every_digit() {
        let most = "115792089237316195423570985008687907853269984665640564039457584007913129639935";
        let text = format!(r#" {{"a\"1": [{most}, -{most}, 0, 7], "b": "12\\", "c": -1}}"#);
        let json = Json::parse(text.as_bytes()).unwrap();
        let number = |text: &str| Json::Number(text.into());
        let list = [
            number(most),
            number(&format!("-{most}")),
            number("0"),
            number("7"),
        ];
        assert_eq!(json.get("a\"1"), Some(&Json::List(list.into())));
        assert_eq!(
            (json.get("b"), json.get("c")),
            (Some(&Json::Text("12\\".into())), Some(&number("-1")))
        );
        assert_eq!(Json::parse(json.to_string().as_bytes()), Ok(json));
    }

    #[test]
    fn fractions_and_duplicate_keys_are_refused() {
        for (text, part) in [
            ("1.0", "without point"),
            ("1e3", "without point"),
            ("-0", "`-0`"),
            ("01", "number"),
            (r#"{"a": 1, "a": 1}"#, "twice"),
            (r#"{"a": {"b": 1, "b": 2}}"#, "twice"),
            ("{} {}", "trailing"),
            ("NaN", "expected"),
            ("\u{fffe}{}", "expected"),
        ] {
            let error = Json::parse(text.as_bytes()).unwrap_err();
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
        assert!(
            Json::parse(b"\xff\xfe{\0}\0")
                .unwrap_err()
                .to_string()
                .contains("save the file as UTF-8")
        );
    }

    #[test]
    fn a_mark_before_the_text_does_not_matter() {
        assert_eq!(
            Json::parse("\u{feff}{\"a\":1}".as_bytes()),
            Json::parse(b"{\"a\":1}")
        );
    }

    /// Values with strings that look like numbers and quotes.
    fn value() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(serde_json::Value::from),
            any::<i64>().prop_map(serde_json::Value::from),
            any::<u64>().prop_map(serde_json::Value::from),
            "[-0-9\"\\\\{}\\[\\]:,eE.a\u{e9}]{0,8}".prop_map(serde_json::Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(serde_json::Value::from),
                prop::collection::btree_map("[-0-9\"\\\\a]{0,4}", inner, 0..5)
                    .prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_the_library_reads(value in value()) {
            for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
                let read = Json::parse(text.as_bytes()).unwrap();
                prop_assert_eq!(&serde_json::from_str::<serde_json::Value>(&read.to_string()).unwrap(), &value);
            }
        }
    }
}
