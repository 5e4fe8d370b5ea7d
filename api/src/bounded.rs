//! JSON values of a bounded number of parts. A value takes up to 300 times the room of its text, so
//! a bound on the text alone is not enough.

use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Most parts of a value: scalars, lists, objects and their members. Hundreds are usual.
const MAX_PARTS: usize = 100_000;

/// Reads a value.
pub(crate) fn value<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
    let mut left = MAX_PARTS;
    Part { left: &mut left }.deserialize(deserializer)
}

/// Reads a part of a value, as long as parts are left.
struct Part<'a> {
    left: &'a mut usize,
}

impl<'de> DeserializeSeed<'de> for Part<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        *self.left = self.left.checked_sub(1).ok_or_else(|| {
            D::Error::custom(format_args!(
                "a value has more than {MAX_PARTS} parts; ask for less at a time"
            ))
        })?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Part<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(part) = access.next_element_seed(Part { left: self.left })? {
            list.push(part);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            let part = access.next_value_seed(Part { left: self.left })?;
            members.insert(name, part);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Value, serde_json::Error> {
        value(&mut serde_json::Deserializer::from_str(text))
    }

    #[test]
    fn a_value_is_read_as_it_is() {
        let text = r#"{"a":[null,true,-1,18446744073709551615,1.5,"\u00e9"],"b":{"c":{}}}"#;
        assert_eq!(
            read(text).unwrap(),
            serde_json::from_str::<Value>(text).unwrap()
        );
    }

    #[test]
    fn a_value_of_too_many_parts_is_refused_before_it_is_in_memory() {
        let list = |parts: usize| format!("[{}0]", "0,".repeat(parts - 2));
        assert!(read(&list(MAX_PARTS)).is_ok());
        for text in [
            list(MAX_PARTS + 1),
            "[0,".repeat(50) + &list(MAX_PARTS),
            format!("{{{}\"a\":0}}", "\"a\":0,".repeat(MAX_PARTS)),
        ] {
            let error = read(&text).unwrap_err().to_string();
            assert!(error.contains("parts"), "{error}");
        }
    }
}
