//! A YAML document as a tree with the place of every key and value, and without duplicate keys.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span};
use serde::de::DeserializeOwned;

use crate::error::{DocumentError, Place};

/// Maximum depth of mappings and lists. Files written by people are at most about ten deep.
const DEPTH: usize = 64;

/// Parsers differ on the final line feed of such a block.
const ENDS_IN_A_BLOCK: &str =
    "the block of text at the end of the file lacks its last line feed; end the line";

/// If it begins with `#`, some parsers take it for a comment. No real file is just a text.
const IS_A_BLOCK: &str = "the whole file is one block of text; write keys and their values";

/// Within brackets some parsers take these characters for the mark of a key or a value, although
/// they are one only before a space.
const BEGINS_WITH_A_MARK: &str =
    "a text that begins with `?` or `:` is ambiguous; write it in quotes";

/// The text after a missing key may be a key or a value.
const NO_KEY: &str = "a key is missing here; write one, or \"\" for the empty key";

/// A parsed document. Its values are untyped until it is [read](Self::read) into a type.
#[derive(Debug)]
pub struct Document {
    root: Node,
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) value: Value,
}

#[derive(Debug)]
pub(crate) enum Value {
    /// Text without quotes, which may mean a number, a truth value or nothing.
    Plain(String),
    /// Text in quotes, or a block of text.
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) place: Place,
    pub(crate) name: String,
}

impl Document {
    /// Parses YAML: one document without anchors, aliases, merge keys, tags and duplicate keys. An
    /// empty text is a document without a value.
    pub fn parse(text: &str) -> Result<Self, DocumentError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let cut = (!text.ends_with(['\n', '\r'])).then(|| text.chars().count());
        let mut events = Events {
            parser: Parser::new_from_str(text),
            cut,
        };
        let nothing = Node {
            place: Place { line: 1, column: 1 },
            value: Value::Plain(String::new()),
        };
        let mut root = None;
        loop {
            match events.next()? {
                (Event::StreamEnd, _) => {
                    return Ok(Self {
                        root: root.unwrap_or(nothing),
                    });
                }
                (Event::StreamStart | Event::DocumentEnd | Event::Nothing, _) => {}
                (Event::DocumentStart(_), place) => match root {
                    None => root = Some(events.node(0)?),
                    Some(_) => {
                        return Err(DocumentError::at(
                            place,
                            "a second document begins here; write one document per file",
                        ));
                    }
                },
                (event, place) => return Err(events.unexpected(&event, place)),
            }
        }
    }

    /// Deserialises the contents of the document as a `T`.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, DocumentError> {
        T::deserialize(&self.root).map_err(|error| error.said(self.root.place))
    }

    /// True if the document has no content.
    pub fn is_empty(&self) -> bool {
        matches!(&self.root.value, Value::Plain(text) if text.is_empty())
    }

    /// Returns the place of `path`, in the usual notation: `limits[2].amount`. If it is absent,
    /// returns the nearest place above it.
    pub fn place(&self, path: &str) -> Place {
        let mut node = &self.root;
        let mut place = self.root.place;
        let separated = path.replace('[', ".[");
        for step in separated.split('.').filter(|step| !step.is_empty()) {
            let index = step
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'));
            let next = match (
                &node.value,
                index.and_then(|index| index.parse::<usize>().ok()),
            ) {
                (Value::List(items), Some(index)) => {
                    items.get(index).map(|item| (item.place, item))
                }
                (Value::Map(members), _) => {
                    let member = members.iter().find(|(key, _)| key.name == step);
                    member.map(|(key, value)| (key.place, value))
                }
                _ => None,
            };
            let Some((there, below)) = next else { break };
            (place, node) = (there, below);
        }
        place
    }
}

impl std::str::FromStr for Document {
    type Err = DocumentError;

    fn from_str(text: &str) -> Result<Self, DocumentError> {
        Self::parse(text)
    }
}

struct Events<'t> {
    parser: Parser<'t, saphyr_parser::StrInput<'t>>,
    /// The end of the text, if its last line lacks a line feed.
    cut: Option<usize>,
}

impl<'t> Events<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Place), DocumentError> {
        match self.parser.next_event() {
            Some(Ok((
                Event::Scalar(_, ScalarStyle::Literal | ScalarStyle::Folded, ..),
                Span { start, end },
            ))) if self.cut.is_some_and(|cut| end.index() >= cut) => {
                Err(DocumentError::at(place(&start), ENDS_IN_A_BLOCK))
            }
            Some(Ok((Event::Scalar(text, ScalarStyle::Plain, ..), Span { start, .. })))
                if text.starts_with(['?', ':']) =>
            {
                Err(DocumentError::at(place(&start), BEGINS_WITH_A_MARK))
            }
            Some(Ok((event, Span { start, .. }))) => Ok((event, place(&start))),
            Some(Err(error)) => {
                let what = format!("this is not YAML: {}; correct it", error.info());
                Err(DocumentError::at(place(error.marker()), what))
            }
            None => Ok((Event::StreamEnd, Place { line: 1, column: 1 })),
        }
    }

    fn node(&mut self, depth: usize) -> Result<Node, DocumentError> {
        let (event, place) = self.next()?;
        self.node_of(event, place, depth)
    }

    fn node_of(
        &mut self,
        event: Event<'t>,
        place: Place,
        depth: usize,
    ) -> Result<Node, DocumentError> {
        let (anchor, tag) = match &event {
            Event::Scalar(_, _, anchor, tag)
            | Event::SequenceStart(anchor, tag)
            | Event::MappingStart(anchor, tag) => (*anchor, tag.is_some()),
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::Alias(_)
            | Event::SequenceEnd
            | Event::MappingEnd => (0, false),
        };
        let refuse = |what: &str| Err(DocumentError::at(place, what));
        if anchor > 0 {
            return refuse(
                "an anchor (&) is not allowed; write out the value wherever it is meant",
            );
        }
        if tag {
            return refuse("a tag (!) is not allowed; write the value without it");
        }
        if depth > DEPTH {
            return refuse("mappings and lists are nested too deeply here; flatten them");
        }
        let value = match event {
            Event::Scalar(_, ScalarStyle::Literal | ScalarStyle::Folded, ..) if depth == 0 => {
                return refuse(IS_A_BLOCK);
            }
            Event::Scalar(text, ScalarStyle::Plain, ..) => Value::Plain(text.into_owned()),
            Event::Scalar(text, ..) => Value::Text(text.into_owned()),
            Event::SequenceStart(..) => self.list(depth)?,
            Event::MappingStart(..) => self.map(depth)?,
            other => return Err(self.unexpected(&other, place)),
        };
        Ok(Node { place, value })
    }

    fn list(&mut self, depth: usize) -> Result<Value, DocumentError> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::List(items)),
                (event, place) => items.push(self.node_of(event, place, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value, DocumentError> {
        let mut members = Vec::new();
        let mut names: BTreeMap<String, Place> = BTreeMap::new();
        loop {
            let key = match self.next()? {
                (Event::MappingEnd, _) => return Ok(Value::Map(members)),
                (event, place) => key(self.node_of(event, place, depth + 1)?)?,
            };
            if let Some(first) = names.insert(key.name.clone(), key.place) {
                return Err(DocumentError::twice(key.place, &key.name, Some(first)));
            }
            let value = self.node(depth + 1)?;
            members.push((key, value));
        }
    }

    fn unexpected(&self, event: &Event, place: Place) -> DocumentError {
        match event {
            Event::Alias(_) => DocumentError::at(
                place,
                "an alias (*) is not allowed; write out the value that it stands for",
            ),
            _ => DocumentError::at(place, "a value is missing here; write one"),
        }
    }
}

fn key(node: Node) -> Result<Key, DocumentError> {
    match node.value {
        Value::Plain(name) if name == "<<" => Err(DocumentError::at(
            node.place,
            "a merge key (<<) is not allowed; write out the keys that it would merge",
        )),
        Value::Plain(name) if name.is_empty() => Err(DocumentError::at(node.place, NO_KEY)),
        Value::Plain(name) | Value::Text(name) => Ok(Key {
            place: node.place,
            name,
        }),
        Value::List(_) | Value::Map(_) => Err(DocumentError::at(
            node.place,
            "the key of a mapping is a list or a mapping; write a text",
        )),
    }
}

fn place(marker: &Marker) -> Place {
    Place {
        line: marker.line().max(1),
        column: marker.col() + 1,
    }
}
