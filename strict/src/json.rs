//! JSON without duplicate members in any object.

use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::error::{DocumentError, Place, advise};

/// Parses JSON. The members of every object are checked, including those that `T` ignores.
pub fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DocumentError> {
    let Unique = serde_json::from_slice(bytes).map_err(placed)?;
    serde_json::from_slice(bytes).map_err(placed)
}

fn placed(error: serde_json::Error) -> DocumentError {
    let text = error.to_string();
    let line = error.line();
    let column = error.column();
    let what = text
        .strip_suffix(&format!(" at line {line} column {column}"))
        .unwrap_or(&text);
    let place = (line > 0).then_some(Place { line, column });
    DocumentError {
        place,
        what: advise(what),
    }
}

/// A value without duplicate members in any object. It is checked and not stored.
struct Unique;

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Unique {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self, A::Error> {
        while let Some(Self) = list.next_element()? {}
        Ok(Self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        let mut names = BTreeSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if names.contains(&name) {
                return Err(A::Error::custom(format_args!(
                    "`{name}` appears twice in this object; remove one"
                )));
            }
            names.insert(name);
            let Self = map.next_value()?;
        }
        Ok(Self)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_repeated_member_is_refused_at_any_depth_with_its_line() {
        let text = "{\"a\": 1,\n \"b\": [{\"c\": 1,\n \"c\": 2}]}";
        let error = json::<Value>(text.as_bytes()).unwrap_err();
        assert_eq!(error.place.unwrap().line, 3);
        assert!(error.to_string().contains("`c` appears twice"), "{error}");
        #[derive(Debug, Deserialize)]
        struct Narrow {
            #[allow(dead_code)]
            a: u8,
        }
        assert!(
            json::<Narrow>(br#"{"a": 1, "other": {"x": 1, "\u0078": 2}}"#).is_err(),
            "in what is left out"
        );
        assert_eq!(
            json::<Value>(br#"{"a": 1, "b": {"a": 2}}"#).unwrap()["b"]["a"],
            2
        );
        assert!(json::<Value>(b"{} {}").is_err());
    }

    #[test]
    fn an_unknown_member_is_told_with_the_nearest() {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Narrow {
            #[allow(dead_code)]
            threshold: u8,
        }
        let error = json::<Narrow>(b"{\n\"treshold\": 1}").unwrap_err();
        assert_eq!(error.place.unwrap().line, 2);
        assert!(
            error.to_string().ends_with("did you mean `threshold`?"),
            "{error}"
        );
    }
}
