//! Names with ids, as people write them.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::str::FromStr;

use countersign_protocol::ApproverId;
use countersign_protocol::text::is_hidden;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};

/// Reads names with ids: each name once, each id once. The last of two equal names would win
/// silently, and two names for one id are a slip of the clipboard that makes one node count as two.
pub(crate) fn names<'de, D, Id>(deserializer: D) -> Result<BTreeMap<String, Id>, D::Error>
where
    D: Deserializer<'de>,
    Id: FromStr<Err: Display> + PartialEq + Display,
{
    struct Names<Id>(PhantomData<Id>);
    impl<'de, Id: FromStr<Err: Display> + PartialEq + Display> Visitor<'de> for Names<Id> {
        type Value = BTreeMap<String, Id>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("names, each with an id")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(BTreeMap::new())
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut names: BTreeMap<String, Id> = BTreeMap::new();
            while let Some(name) = map.next_key_seed(Text::new(|name| new_name(&names, name)))? {
                let id = map.next_value_seed(Text::new(|id| new_id(&names, &name, id)))?;
                names.insert(name, id);
            }
            Ok(names)
        }
    }
    deserializer.deserialize_map(Names(PhantomData))
}

/// Reads people with the ids of their keys: each name once, each key once. A key under two names
/// would count as two people.
pub(crate) fn people<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<BTreeMap<String, Vec<ApproverId>>>, D::Error> {
    struct People;
    impl<'de> Visitor<'de> for People {
        type Value = Option<BTreeMap<String, Vec<ApproverId>>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("names, each with a list of approver ids")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut people: BTreeMap<String, Vec<ApproverId>> = BTreeMap::new();
            while let Some(name) = map.next_key_seed(Text::new(|name| new_name(&people, name)))? {
                let keys: Vec<ApproverId> = map.next_value()?;
                let known: Vec<&ApproverId> = people.values().flatten().collect();
                for (at, key) in keys.iter().enumerate() {
                    if known.contains(&key) || keys[..at].contains(key) {
                        return Err(serde::de::Error::custom(format!(
                            "the key {key} of `{name}` is listed twice; each key has one owner"
                        )));
                    }
                }
                people.insert(name, keys);
            }
            Ok(Some(people))
        }
    }
    deserializer.deserialize_map(People)
}

/// Why a name cannot be given to another id.
#[derive(Debug, thiserror::Error)]
enum NameError {
    #[error("`{0}` cannot be a name; use letters and digits, and nothing that begins like an id")]
    Unsuitable(String),
    #[error("the name `{0}` appears twice")]
    Twice(String),
}

/// Accepts a name that is not there yet and does not pass for an id.
fn new_name<Id>(names: &BTreeMap<String, Id>, name: &str) -> Result<String, NameError> {
    let like_an_id = ["csn1", "csr1", "csk1", "csc1", "csv1"]
        .iter()
        .any(|prefix| name.starts_with(prefix));
    if name.is_empty() || like_an_id || name.chars().any(|c| is_hidden(c) || c == ',') {
        return Err(NameError::Unsuitable(name.into()));
    }
    if names.contains_key(name) {
        Err(NameError::Twice(name.into()))
    } else {
        Ok(name.into())
    }
}

/// Why an id cannot be given a name. `E` is the error of the id's parser.
#[derive(Debug, thiserror::Error)]
enum NewIdError<E> {
    #[error("{0}")]
    Unreadable(E),
    #[error("`{other}` and `{name}` have the same id, {id}")]
    Named {
        other: String,
        name: String,
        id: String,
    },
}

/// Accepts an id that has no name yet.
fn new_id<Id>(
    names: &BTreeMap<String, Id>,
    name: &str,
    text: &str,
) -> Result<Id, NewIdError<Id::Err>>
where
    Id: FromStr<Err: Display> + PartialEq + Display,
{
    let id: Id = text.parse().map_err(NewIdError::Unreadable)?;
    match name_in(names, &id) {
        Some(other) => Err(NewIdError::Named {
            other: other.into(),
            name: name.into(),
            id: id.to_string(),
        }),
        None => Ok(id),
    }
}

/// A text that a function reads. serde adds the line of the text to its error.
pub(crate) struct Text<F, T, E>(F, PhantomData<(T, E)>);

impl<F: FnOnce(&str) -> Result<T, E>, T, E> Text<F, T, E> {
    pub(crate) fn new(read: F) -> Self {
        Self(read, PhantomData)
    }
}

impl<'de, F, T, E> DeserializeSeed<'de> for Text<F, T, E>
where
    F: FnOnce(&str) -> Result<T, E>,
    E: Display,
{
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<F: FnOnce(&str) -> Result<T, E>, T, E: Display> Visitor<'_> for Text<F, T, E> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<D: serde::de::Error>(self, text: &str) -> Result<T, D> {
        (self.0)(text).map_err(D::custom)
    }
}

/// The name of an id, if it has one.
pub(crate) fn name_in<'a, Id: PartialEq>(
    names: &'a BTreeMap<String, Id>,
    id: &Id,
) -> Option<&'a str> {
    names
        .iter()
        .find(|(_, known)| *known == id)
        .map(|(name, _)| name.as_str())
}
