//! Errors in a document, with their places.

use std::fmt;

/// A place in a text, as line and character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line, counted from 1.
    pub line: usize,
    /// The character within the line, counted from 1.
    pub column: usize,
}

/// The reason why a document is refused. Its text ends with the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{what}", At(*.place))]
pub struct DocumentError {
    /// The place of the error; absent if the parser could not tell.
    pub place: Option<Place>,
    /// The error, followed by the remedy.
    pub what: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

struct At(Option<Place>);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |place| write!(f, "{place}: "))
    }
}

impl DocumentError {
    pub(crate) fn at(place: Place, what: impl Into<String>) -> Self {
        Self {
            place: Some(place),
            what: what.into(),
        }
    }

    pub(crate) fn twice(place: Place, key: &str, first: Option<Place>) -> Self {
        let first = first.map_or(String::new(), |first| {
            format!(", first on line {}", first.line)
        });
        Self::at(
            place,
            format!("`{key}` appears twice in this mapping{first}; remove one"),
        )
    }

    /// Completes an error of serde with the place of its subject, and, for an unknown key, with
    /// the nearest known one.
    pub(crate) fn said(self, place: Place) -> Self {
        match self.place {
            Some(_) => self,
            None => Self {
                place: Some(place),
                what: advise(&self.what),
            },
        }
    }
}

impl serde::de::Error for DocumentError {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self {
            place: None,
            what: text.to_string(),
        }
    }
}

/// Suggests the nearest known key: serde puts an unknown key and the known ones between backticks.
pub(crate) fn advise(text: &str) -> String {
    let mut quoted = text.split('`').skip(1).step_by(2);
    let unknown = text
        .starts_with("unknown field `")
        .then(|| quoted.next())
        .flatten();
    let Some(unknown) = unknown else {
        return instructed(text);
    };
    let known: Vec<&str> = quoted.collect();
    let distance = |key: &&&str| strsim::damerau_levenshtein(unknown, key);
    let near = |key: &&&str| strsim::normalized_damerau_levenshtein(unknown, key) > 0.5;
    match known.iter().min_by_key(distance).filter(near) {
        Some(key) => format!("there is no key `{unknown}` here; did you mean `{key}`?"),
        None if known.is_empty() => format!("there is no key `{unknown}` here; remove it"),
        None => format!(
            "there is no key `{unknown}` here; the keys here are {}",
            known.join(", ")
        ),
    }
}

/// Adds a remedy if the text has none: a type's own message ends with one, serde's do not.
fn instructed(text: &str) -> String {
    let bare = ["invalid ", "missing field", "unknown variant", "expected "]
        .iter()
        .any(|start| text.starts_with(start));
    if bare {
        format!("{text}; correct it")
    } else {
        text.into()
    }
}
