//! The fields of a message: every leaf of its CBOR tree, and the possible replacements.

use ciborium::Value;

/// A message as a tree. A batch carries the messages of its runs as byte strings,
/// which are trees themselves.
#[derive(Clone, PartialEq)]
pub enum Tree {
    Plain(Value),
    Bundle(Vec<Value>),
}

/// A field: its place and its value.
pub struct Field {
    pub path: String,
    steps: Vec<usize>,
    pub value: Value,
}

impl Tree {
    pub fn decode(body: &[u8], bundle: bool) -> Self {
        let value: Value = ciborium::from_reader(body).expect("CBOR");
        match value {
            Value::Array(runs) if bundle => {
                let inner =
                    |run: Value| ciborium::from_reader(&run.into_bytes().expect("a message")[..]);
                Self::Bundle(
                    runs.into_iter()
                        .map(|run| inner(run).expect("CBOR"))
                        .collect(),
                )
            }
            value => Self::Plain(value),
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Plain(value) => encode(value),
            Self::Bundle(runs) => encode(&Value::Array(
                runs.iter().map(|run| Value::Bytes(encode(run))).collect(),
            )),
        }
    }

    /// The name of the message: its variant, or the value of its only field.
    pub fn name(&self) -> String {
        let value = match self {
            Self::Plain(value) => value,
            Self::Bundle(runs) => &runs[0],
        };
        match value {
            Value::Map(entries) if entries.len() == 1 => {
                entries[0].0.as_text().unwrap_or_default().to_owned()
            }
            _ => "Word".into(),
        }
    }

    /// All leaves, and all arrays, in order.
    pub fn fields(&self) -> Vec<Field> {
        let mut fields = vec![];
        match self {
            Self::Plain(value) => collect(value, String::new(), vec![0], &mut fields),
            Self::Bundle(runs) => {
                for (index, run) in runs.iter().enumerate() {
                    collect(run, format!("[{index}]"), vec![index], &mut fields);
                }
            }
        }
        fields
    }

    /// The value at the place of a field of another message of the same form.
    pub fn at(&self, field: &Field) -> Option<&Value> {
        let (first, steps) = field.steps.split_first()?;
        let root = match self {
            Self::Plain(value) => value,
            Self::Bundle(runs) => runs.get(*first)?,
        };
        steps.iter().try_fold(root, |value, step| match value {
            Value::Map(entries) => entries.get(*step).map(|(_, value)| value),
            Value::Array(items) => items.get(*step),
            _ => None,
        })
    }

    /// This message with another value in the place of a field.
    pub fn with(&self, field: &Field, value: Value) -> Self {
        let mut tree = self.clone();
        let (first, steps) = field.steps.split_first().expect("a place");
        let root = match &mut tree {
            Self::Plain(value) => value,
            Self::Bundle(runs) => &mut runs[*first],
        };
        *steps.iter().fold(root, |value, step| match value {
            Value::Map(entries) => &mut entries[*step].1,
            Value::Array(items) => &mut items[*step],
            _ => unreachable!("a leaf has no parts"),
        }) = value;
        tree
    }
}

impl Field {
    /// Other values for this field that its type allows, or almost allows.
    pub fn changes(&self) -> Vec<(&'static str, Value)> {
        match &self.value {
            Value::Bool(value) => vec![("not", Value::Bool(!value))],
            Value::Null => vec![("something", Value::Bytes(vec![1; 32]))],
            Value::Integer(value) => {
                let value: i128 = (*value).into();
                vec![("one more", number(value + 1))]
            }
            Value::Bytes(bytes) => vec![("one bit", Value::Bytes(one_bit(bytes)))],
            Value::Text(text) => vec![("one more", Value::Text(one_digit(text)))],
            Value::Array(items) => vec![
                (
                    "one item fewer",
                    Value::Array(items[..items.len().saturating_sub(1)].to_vec()),
                ),
                (
                    "one item twice",
                    Value::Array(items.iter().chain(items.last()).cloned().collect()),
                ),
            ],
            other => panic!("no message has {other:?}"),
        }
    }
}

fn collect(value: &Value, path: String, steps: Vec<usize>, fields: &mut Vec<Field>) {
    let deeper = |step: usize| [&steps[..], &[step]].concat();
    match value {
        Value::Map(entries) => {
            for (step, (key, value)) in entries.iter().enumerate() {
                let key = key.as_text().expect("names are text");
                let path = if path.is_empty() {
                    key.to_owned()
                } else {
                    format!("{path}.{key}")
                };
                collect(value, path, deeper(step), fields);
            }
        }
        Value::Array(items) => {
            // Bytes that were encoded one by one are one field: all of them are hashed together.
            fields.push(Field {
                path: path.clone(),
                steps: steps.clone(),
                value: value.clone(),
            });
            for (step, item) in items.iter().enumerate() {
                collect(item, format!("{path}[{step}]"), deeper(step), fields);
            }
        }
        leaf => fields.push(Field {
            path,
            steps,
            value: leaf.clone(),
        }),
    }
}

fn encode(value: &Value) -> Vec<u8> {
    let mut body = vec![];
    ciborium::into_writer(value, &mut body).expect("a value");
    body
}

fn number(value: i128) -> Value {
    Value::Integer(value.try_into().expect("a small number"))
}

/// Scalars and hashes keep their form; only one bit changes.
fn one_bit(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    match bytes.last_mut() {
        Some(last) => *last ^= 1,
        None => bytes.push(0),
    }
    bytes
}

/// Changes one digit of a number, or a name.
fn one_digit(text: &str) -> String {
    let mut text = text.to_owned();
    let last = text.pop();
    text.push(match last {
        Some('0') => '1',
        Some('1'..='9' | 'a'..='f') if text.bytes().all(|byte| byte.is_ascii_hexdigit()) => '0',
        _ => 'x',
    });
    text
}
