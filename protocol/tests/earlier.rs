//! Frames as programs of earlier versions write them. Today's are spoken to in the same bytes.

#[path = "v1/values.rs"]
mod v1;

use std::collections::{BTreeMap, BTreeSet};

use countersign_protocol::code::{FailureCode, RefusalCode};
use countersign_protocol::control::{FromNode, ToNode};
use countersign_protocol::frame::Frame;
use countersign_protocol::{decode, encode};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Written by the last program of version 1.
const V1: &str = include_str!("v1/frames.txt");

fn recorded() -> Vec<(&'static str, Vec<u8>)> {
    let row = |line: &'static str| {
        let (name, bytes) = line.split_once('\t').unwrap();
        (name, hex::decode(bytes).unwrap())
    };
    V1.lines().map(row).collect()
}

/// The recorded frames of one kind.
fn of(kind: &str) -> Vec<(&'static str, Vec<u8>)> {
    let mut frames = recorded();
    frames.retain(|(name, _)| name.starts_with(kind));
    frames
}

/// Reads the bytes, and expects to write the same.
fn read<T: DeserializeOwned + Serialize>(name: &str, bytes: &[u8]) -> T {
    let frame = decode(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(hex::encode(encode(&frame)), hex::encode(bytes), "{name}");
    frame
}

/// Two fields of one type that have changed places are read without an error: the values must be
/// the same, too.
#[test]
fn every_frame_of_version_1_has_the_bytes_that_it_had() {
    let today: BTreeMap<String, Vec<u8>> = v1::frames().into_iter().collect();
    for (name, bytes) in recorded() {
        assert_eq!(hex::encode(&today[name]), hex::encode(bytes), "{name}");
    }
}

#[test]
fn every_frame_of_version_1_is_read_and_belongs_to_version_1() {
    for (name, bytes) in of("from node: ") {
        assert_eq!(read::<FromNode>(name, &bytes).since(), 1, "{name}");
    }
    for (name, bytes) in of("to node: ") {
        assert_eq!(read::<ToNode>(name, &bytes).since(), 1, "{name}");
    }
    for (name, bytes) in of("tunnel: ") {
        read::<Frame>(name, &bytes);
    }
    for (name, bytes) in of("failure code: ") {
        read::<FailureCode>(name, &bytes);
    }
    for (name, bytes) in of("refusal code: ") {
        read::<RefusalCode>(name, &bytes);
    }
}

#[test]
fn no_frame_of_version_1_is_missing_in_the_table() {
    // The first byte is the variant; in a frame of a tunnel, task and number are before it.
    let variants = |kind, at: usize| -> Vec<u8> {
        let variant = |(_, bytes): &(_, Vec<u8>)| bytes[at];
        let found: BTreeSet<u8> = of(kind).iter().map(variant).collect();
        found.into_iter().collect()
    };
    assert_eq!(variants("from node: ", 0), (0..15).collect::<Vec<_>>());
    assert_eq!(variants("to node: ", 0), (0..12).collect::<Vec<_>>());
    assert_eq!(variants("tunnel: ", 18), (0..12).collect::<Vec<_>>());
}
