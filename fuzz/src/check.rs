//! Properties that several formats share.

use std::fmt::Debug;
use std::str::FromStr;

use countersign_protocol::{decode, encode};
use serde::{Serialize, de::DeserializeOwned};

/// Every value that is read can be written, and reads back as the same value, in one
/// form. Returns the value.
pub(crate) fn postcard<T: Serialize + DeserializeOwned + Debug + PartialEq>(
    bytes: &[u8],
) -> Option<T> {
    let value: T = decode(bytes).ok()?;
    let written = encode(&value);
    let again: T = decode(&written).expect("what was written is read");
    assert_eq!(again, value, "reading again gave another value");
    assert_eq!(encode(&again), written, "writing again gave other bytes");
    Some(value)
}

/// The same for JSON.
pub(crate) fn json<T: Serialize + DeserializeOwned + Debug + PartialEq>(bytes: &[u8]) -> Option<T> {
    let value: T = serde_json::from_slice(bytes).ok()?;
    let written = serde_json::to_vec(&value).expect("plain data");
    let again: T = serde_json::from_slice(&written).expect("what was written is read");
    assert_eq!(again, value, "reading again gave another value");
    Some(value)
}

/// The same for texts, whose one form is the displayed one.
pub(crate) fn text<T: FromStr + ToString + PartialEq + Debug>(text: &str) -> Option<T> {
    let value: T = text.parse().ok()?;
    let shown = value.to_string();
    let again = shown.parse::<T>().ok().expect("what was shown is read");
    assert_eq!(again, value, "reading `{shown}` again gave another value");
    assert_eq!(again.to_string(), shown);
    Some(value)
}
