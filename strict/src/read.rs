//! Deserialisation of the tree. Plain text is interpreted by the core schema of YAML 1.2.2 (10.3)
//! if any type will do, and taken verbatim if a text is expected.

use serde::Deserializer;
use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, EnumAccess, Error as _, MapAccess, SeqAccess, Unexpected, VariantAccess,
    Visitor,
};
use serde::forward_to_deserialize_any;

use crate::error::{DocumentError, Place};
use crate::tree::{Key, Node, Value};

/// The meaning of a text without quotes.
enum Meaning {
    Nothing,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text,
}

/// Interprets a plain text; `None` for a number that no program would read exactly.
fn meaning(text: &str) -> Option<Meaning> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Some(Meaning::Nothing),
        "true" | "True" | "TRUE" => return Some(Meaning::Bool(true)),
        "false" | "False" | "FALSE" => return Some(Meaning::Bool(false)),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf" | "-.Inf" | "-.INF"
        | ".nan" | ".NaN" | ".NAN" => return None,
        _ => {}
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let whole = !unsigned.is_empty() && unsigned.bytes().all(|byte| byte.is_ascii_digit());
    if whole && unsigned.len() > 1 && unsigned.starts_with('0') {
        return Some(Meaning::Text);
    }
    if whole {
        let number = text.strip_prefix('+').unwrap_or(text);
        let read = number
            .parse()
            .map(Meaning::Unsigned)
            .or_else(|_| number.parse().map(Meaning::Signed));
        return read.ok();
    }
    // A number of more than 64 bits is an address or a digest, which is a text.
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        let digits = unsigned
            .strip_prefix(prefix)
            .filter(|digits| !digits.starts_with(['+', '-']));
        if let Some(number) = digits.and_then(|digits| u64::from_str_radix(digits, radix).ok()) {
            // With a sign some parsers read a number, but the core schema a text.
            return (unsigned.len() == text.len()).then_some(Meaning::Unsigned(number));
        }
    }
    // Rust also parses words for infinity and NaN, which are not numbers here.
    let like_a_number = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    match text.parse::<f64>().ok().filter(|_| like_a_number) {
        Some(number) if number.is_finite() => Some(Meaning::Float(number)),
        _ => Some(Meaning::Text),
    }
}

impl<'de> Deserializer<'de> for &'de Node {
    type Error = DocumentError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DocumentError> {
        let read = match &self.value {
            Value::Plain(text) => match meaning(text) {
                Some(Meaning::Nothing) => visitor.visit_unit(),
                Some(Meaning::Bool(value)) => visitor.visit_bool(value),
                Some(Meaning::Unsigned(value)) => visitor.visit_u64(value),
                Some(Meaning::Signed(value)) => visitor.visit_i64(value),
                Some(Meaning::Float(value)) => visitor.visit_f64(value),
                Some(Meaning::Text) => visitor.visit_str(text),
                None => {
                    let what = format!(
                        "`{text}` is not a number that every program reads the same way; write it in quotes"
                    );
                    Err(DocumentError::at(self.place, what))
                }
            },
            Value::Text(text) => visitor.visit_str(text),
            Value::List(items) => visitor.visit_seq(Items(items.iter())),
            Value::Map(members) => visitor.visit_map(Members {
                left: members.iter(),
                value: None,
            }),
        };
        read.map_err(|error| error.said(self.place))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DocumentError> {
        match &self.value {
            Value::Plain(text) | Value::Text(text) => visitor
                .visit_str(text)
                .map_err(|error: DocumentError| error.said(self.place)),
            Value::List(_) | Value::Map(_) => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DocumentError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DocumentError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(
        self,
        visitor: V,
    ) -> Result<V::Value, DocumentError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DocumentError> {
        let nothing = matches!(&self.value, Value::Plain(text) if matches!(meaning(text), Some(Meaning::Nothing)));
        let read = if nothing {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        };
        read.map_err(|error: DocumentError| error.said(self.place))
    }

    /// Accepts a key without a value as an empty list.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DocumentError> {
        match &self.value {
            Value::Plain(text) if text.is_empty() => visitor.visit_seq(Items([].iter())),
            _ => self.deserialize_any(visitor),
        }
    }

    /// Accepts a key without a value as an empty mapping.
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DocumentError> {
        match &self.value {
            Value::Plain(text) if text.is_empty() => {
                let read = visitor.visit_map(Members {
                    left: [].iter(),
                    value: None,
                });
                read.map_err(|error: DocumentError| error.said(self.place))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DocumentError> {
        self.deserialize_map(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DocumentError> {
        visitor
            .visit_newtype_struct(self)
            .map_err(|error: DocumentError| error.said(self.place))
    }

    /// Reads a text as a variant without contents, a mapping with one key as one with contents.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DocumentError> {
        let read = match &self.value {
            Value::Plain(name) | Value::Text(name) => {
                visitor.visit_enum(StrDeserializer::new(name))
            }
            Value::Map(members) if members.len() == 1 => visitor.visit_enum(Variant(&members[0])),
            Value::Map(_) => Err(DocumentError::custom("expected a mapping with one key")),
            Value::List(_) => Err(DocumentError::invalid_type(
                Unexpected::Seq,
                &"a text or a mapping with one key",
            )),
        };
        read.map_err(|error| error.said(self.place))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 bytes byte_buf unit unit_struct tuple tuple_struct
        ignored_any
    }
}

struct Items<'de>(std::slice::Iter<'de, Node>);

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = DocumentError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DocumentError> {
        let item = self.0.next();
        item.map(|item| {
            seed.deserialize(item)
                .map_err(|error| error.said(item.place))
        })
        .transpose()
    }
}

struct Members<'de> {
    left: std::slice::Iter<'de, (Key, Node)>,
    value: Option<&'de Node>,
}

impl<'de> MapAccess<'de> for Members<'de> {
    type Error = DocumentError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, DocumentError> {
        let Some((key, value)) = self.left.next() else {
            return Ok(None);
        };
        self.value = Some(value);
        named(seed, key).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<T::Value, DocumentError> {
        let value = self
            .value
            .take()
            .ok_or_else(|| DocumentError::custom("a value was read before its key"))?;
        seed.deserialize(value)
            .map_err(|error| error.said(value.place))
    }
}

struct Variant<'de>(&'de (Key, Node));

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = DocumentError;
    type Variant = Contents<'de>;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Contents<'de>), DocumentError> {
        let (key, value) = self.0;
        Ok((named(seed, key)?, Contents(value)))
    }
}

struct Contents<'de>(&'de Node);

impl<'de> VariantAccess<'de> for Contents<'de> {
    type Error = DocumentError;

    fn unit_variant(self) -> Result<(), DocumentError> {
        serde::Deserialize::deserialize(self.0)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(
        self,
        seed: T,
    ) -> Result<T::Value, DocumentError> {
        seed.deserialize(self.0)
            .map_err(|error| error.said(self.0.place))
    }

    fn tuple_variant<V: Visitor<'de>>(
        self,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, DocumentError> {
        self.0.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DocumentError> {
        self.0.deserialize_map(visitor)
    }
}

/// Reads a key, and reports errors at its place.
fn named<'de, K: DeserializeSeed<'de>>(seed: K, key: &'de Key) -> Result<K::Value, DocumentError> {
    let place: Place = key.place;
    seed.deserialize(StrDeserializer::new(&key.name))
        .map_err(|error: DocumentError| error.said(place))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_json::{Value, json};

    use crate::{Document, yaml};

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Rules {
        enable: bool,
        name: String,
        most: Option<u64>,
        chains: Vec<String>,
        limits: BTreeMap<String, u64>,
        below: Option<Box<Self>>,
        kind: Kind,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Kind {
        #[default]
        Plain,
        Of(u8),
    }

    fn wrong(text: &str) -> String {
        yaml::<Rules>(text).unwrap_err().to_string()
    }

    #[test]
    fn what_is_meant_is_read() {
        let text = "# a comment\nenable: true\nname: 12\nmost:\nchains: ['1', 0x2222222222222222222222222222222222222222]\n\
                    limits: {a: 1, 'b': 0x10}\nbelow:\n  kind: {of: 3}\n  chains:\n";
        let below = Rules {
            kind: Kind::Of(3),
            ..Rules::default()
        };
        let expected = Rules {
            enable: true,
            name: "12".into(),
            chains: vec!["1".into(), format!("0x{}", "2".repeat(40))],
            limits: [("a".into(), 1), ("b".into(), 16)].into(),
            below: Some(below.into()),
            ..Rules::default()
        };
        assert_eq!(yaml::<Rules>(text).unwrap(), expected);
        assert_eq!(yaml::<Rules>("").unwrap(), Rules::default());
        assert_eq!(
            yaml::<Rules>("\u{feff}# nothing\n").unwrap(),
            Rules::default()
        );
    }

    #[test]
    fn plain_text_means_what_the_core_schema_says() {
        let text = "[~, null, '', 'null', true, 'true', yes, 7, -7, 007, 1.5, 1e3, 0o17, 1_000, inf, nan, x: y]";
        let expected = json!([
            null, null, "", "null", true, "true", "yes", 7, -7, "007", 1.5, 1000.0, 15, "1_000", "inf", "nan",
            {"x": "y"}
        ]);
        assert_eq!(yaml::<Value>(text).unwrap(), expected);
        for number in [
            "18446744073709551616",
            "-9223372036854775809",
            ".inf",
            ".nan",
            "-0x5",
            "+0b1",
        ] {
            assert!(
                yaml::<Value>(number)
                    .unwrap_err()
                    .to_string()
                    .contains("in quotes"),
                "{number}"
            );
            assert_eq!(yaml::<String>(number).unwrap(), number);
        }
    }

    #[test]
    fn a_key_that_stands_twice_is_refused_whatever_is_read() {
        for text in [
            "enable: true\nlimits: {a: 1, a: 2}\n",
            "enable: true\nlimits:\n  a: 1\n  \"a\": 2\n",
            "enable: true\nbelow:\n  below: {enable: true, name: x, enable: true}\n",
            "enable: true\nchains:\n- {a: 1, b: 1, a: 1}\n",
        ] {
            let typed = wrong(text);
            let untyped = yaml::<Value>(text).unwrap_err().to_string();
            assert!(
                typed.contains("appears twice") && typed == untyped,
                "{typed} / {untyped}"
            );
        }
        let text = "enable: true\nkey_sign: {reject_all: true}\nkey_sign: {reject_all: false}\n";
        let expected = "line 3, column 1: `key_sign` appears twice in this mapping, first on line 2; remove one";
        assert_eq!(yaml::<Value>(text).unwrap_err().to_string(), expected);
        assert!(
            yaml::<Value>(r#"{"a": {"b": 1, "\u0062": 2}}"#).is_err(),
            "JSON is a part of YAML"
        );
    }

    #[test]
    fn what_a_place_says_must_stand_there() {
        for (text, word) in [
            ("a: &x {b: 1}\nc: 2\n", "anchor"),
            ("a: *x\n", ""),
            ("a: &x 1\nb: *x\n", "anchor"),
            ("<<: {enable: true}\n", "merge key"),
            ("a: !!str 1\n", "tag"),
            ("a: !thing {b: 1}\n", "tag"),
            ("a: 1\n---\nb: 2\n", "second document"),
            ("{[a]: 1}\n", "key of a mapping"),
            ("a: [1\n", "not YAML"),
            ("| # one\n# two\n", "write keys"),
            ("a: |\n  one\n  two", "end the line"),
            ("a: >-\n  one", "end the line"),
            ("a: [1, ?1.5]\n", "in quotes"),
            ("{a: 1, ? :2}\n", "in quotes"),
            ("{a: 1, ? : 2}\n", "a key is missing"),
            (": 2\n", "a key is missing"),
        ] {
            let error = yaml::<Value>(text).unwrap_err();
            assert!(error.to_string().contains(word), "{text}: {error}");
            assert!(error.place.is_some(), "{text}");
        }
        assert_eq!(
            yaml::<Value>("a: |\n  one\nb: two").unwrap(),
            json!({"a": "one\n", "b": "two"})
        );
        assert_eq!(
            yaml::<Value>("a: ['?1.5']\n").unwrap(),
            json!({"a": ["?1.5"]})
        );
        assert_eq!(
            yaml::<Value>("'<<': 1\n").unwrap(),
            json!({"<<": 1}),
            "in quotes it is a name"
        );
        let deep = "[".repeat(10_000) + &"]".repeat(10_000);
        assert!(yaml::<Value>(&deep).is_err());
    }

    #[test]
    fn an_error_names_its_place_and_the_nearest_key() {
        assert_eq!(
            wrong("enable: true\nbelow:\n  enabel: true\n"),
            "line 3, column 3: there is no key `enabel` here; did you mean `enable`?"
        );
        assert!(
            wrong("zzzzzz: 1\n")
                .starts_with("line 1, column 1: there is no key `zzzzzz` here; the keys here are")
        );
        let kind = wrong("enable: true\nmost: many\n");
        assert!(
            kind.starts_with("line 2, column 7: invalid type") && kind.ends_with("correct it"),
            "{kind}"
        );
        assert!(wrong("limits:\n  a: 1\n  b: x\n").starts_with("line 3, column 6: "));
        assert!(wrong("kind: other\n").starts_with("line 1, column 7: "));
    }

    #[test]
    fn paths_lead_to_places() {
        let document = Document::parse("a:\n  b:\n  - x\n  - c: 1\n    d: 2\n").unwrap();
        let line = |path: &str| document.place(path).line;
        assert_eq!(
            [
                line(""),
                line("a"),
                line("a.b[0]"),
                line("a.b[1].d"),
                line("a.b[1].e")
            ],
            [1, 1, 3, 5, 4]
        );
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_too_odd(text in "[a-c:{}\\[\\], \n'\"&*!<>|#~0-9.-]{0,60}") {
            let _ = yaml::<Value>(&text);
        }
    }
}
