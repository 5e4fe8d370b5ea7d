//! Strict JSON for policies: a repeated member is an error, because two readers may disagree on
//! which one counts. Nothing here is lenient.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::Failure;

/// Parses JSON, and rejects it if an object at any depth repeats a member.
pub fn strict<T: DeserializeOwned>(text: &[u8]) -> Result<T, serde_json::Error> {
    let Unique(value) = serde_json::from_slice(text)?;
    serde_json::from_value(value)
}

/// Parses a plugin's configuration. An error becomes [`Failure::Misconfigured`], with its position.
pub fn config<T: DeserializeOwned>(document: &str) -> Result<T, Failure> {
    let misconfigured = |error: serde_json::Error| Failure::Misconfigured(error.to_string());
    let Unique(value) = serde_json::from_str(document).map_err(misconfigured)?;
    serde_path_to_error::deserialize(value)
        .map_err(|error| Failure::Misconfigured(error.to_string()))
}

struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor).map(Unique)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Unique(value)) = seq.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some((name, Unique(value))) = map.next_entry::<String, Unique>()? {
            if members.contains_key(&name) {
                return Err(A::Error::custom(format!("the member `{name}` is repeated")));
            }
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }
}

/// Writes JSON in pure ASCII: everything else is escaped as `\uXXXX` (UTF-16, RFC 8259 section 7).
pub fn ascii(value: &impl serde::Serialize) -> Result<String, serde_json::Error> {
    let text = serde_json::to_string(value)?;
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() && c != '\u{7f}' {
            out.push(c);
        } else {
            let mut units = [0; 2];
            c.encode_utf16(&mut units)
                .iter()
                .for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_member_is_refused_at_any_depth() {
        assert!(strict::<Value>(br#"{"a":1,"b":[{"c":1,"c":2}]}"#).is_err());
        assert_eq!(
            strict::<Value>(br#"{"a":1,"b":[{"c":-1.5}]}"#).unwrap()["b"][0]["c"],
            -1.5
        );
    }

    #[test]
    fn trailing_bytes_are_refused() {
        assert!(strict::<Value>(b"{} {}").is_err());
    }

    #[test]
    fn other_than_ascii_is_escaped_and_survives() {
        let text = ascii(&"zł \u{1f511} \u{7f} \n\"").unwrap();
        assert_eq!(text, r#""z\u0142 \ud83d\udd11 \u007f \n\"""#);
        assert_eq!(
            strict::<String>(text.as_bytes()).unwrap(),
            "zł \u{1f511} \u{7f} \n\""
        );
    }
}
