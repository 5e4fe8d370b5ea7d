//! What is wrong with a document, and where.

use std::fmt;

/// A place in a text. Both count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Character in the line.
    pub column: usize,
}

/// Why a document is not read. The text ends with what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{what}", At(*.place))]
pub struct DocumentError {
    /// Where; absent if the reader could not tell.
    pub place: Option<Place>,
    /// What, and what to do.
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
            format!("`{key}` stands twice in this mapping{first}; remove one"),
        )
    }

    /// What serde says, at the place that it was said of; with the nearest known key for one that
    /// is not known.
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

/// serde names an unknown key and those that it knows between backticks: the nearest one is what
/// was meant.
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

/// What a type says of a value that is none of it ends with what to do; what serde says does not.
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
