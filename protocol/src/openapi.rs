//! Schemas (OpenAPI 3.1) of the types that are text, lists or numbers in JSON. Structures and
//! enumerations derive theirs.

use std::borrow::Cow;

use utoipa::openapi::schema::{
    ArrayBuilder, KnownFormat, ObjectBuilder, OneOfBuilder, Schema, SchemaFormat,
};
use utoipa::openapi::{Ref, RefOr, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::approver::ApproverId;
use crate::code::{FailureCode, RefusalCode};
use crate::committee::{Committee, Threshold};
use crate::evidence::Signature;
use crate::hash::Hash;
use crate::id::{CoordinatorId, KeyId, NodeId, SessionId, TaskId};
use crate::order_proof::{OrderProof, WrittenProof};
use crate::outcome::Point;
use crate::path::DerivationPath;
use crate::requester::RequesterId;
use crate::task::UnixMillis;
use crate::vote::{Vote, Written};

/// Characters of the data part of a bech32 text.
const BECH32: &str = "[02-9ac-hj-np-z]";

fn text(description: &str, pattern: String) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(description))
        .pattern(Some(pattern))
        .into()
}

fn id(description: &str, prefix: &str, bytes: usize) -> RefOr<Schema> {
    // Five bits a character, and six characters of checksum.
    let length = (bytes * 8).div_ceil(5) + 6;
    text(description, format!("^{prefix}1{BECH32}{{{length}}}$"))
}

fn hex(description: &str, bytes: usize) -> RefOr<Schema> {
    text(description, format!("^[0-9a-f]{{{}}}$", bytes * 2))
}

macro_rules! schemas {
    ($($type:ident = $schema:expr;)*) => {$(
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                $schema
            }
        }

        impl ToSchema for $type {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($type))
            }
        }
    )*};
}

schemas! {
    NodeId = id("A node, by its Ed25519 identity key, in bech32m.", NodeId::PREFIX, 32);
    CoordinatorId = id("A coordinator, by its Ed25519 key, in bech32m.", CoordinatorId::PREFIX, 32);
    RequesterId = text(
        "A requester, by its key, Ed25519 or a passkey's, in bech32m.",
        format!("^{}1{BECH32}{{58}}{BECH32}?$", RequesterId::PREFIX)
    );
    ApproverId = text(
        "A key that votes, Ed25519 or a passkey's, in bech32m.",
        format!("^{}1{BECH32}{{59}}({BECH32}{{2}})?$", ApproverId::PREFIX)
    );
    KeyId = id(
        "A wallet, by the hash of the task that created it, in bech32m.",
        KeyId::PREFIX,
        16
    );
    TaskId = hex("The id of a task: 16 random bytes, chosen by the requester.", 16);
    SessionId = hex("A run of the protocol.", 32);
    Hash = hex("A SHA-256 hash or another value of 32 bytes.", 32);
    Signature = hex("An Ed25519 signature (RFC 8032).", 64);
    Point = text("An encoded curve point or proof.", "^([0-9a-f]{2})*$".into());
    DerivationPath = text(
        "A path of non-hardened child keys, such as `m/44/60/0/0/0` (BIP-32).",
        "^m(/[0-9]{1,10})*$".into()
    );
    FailureCode = text(
        "A stable code. Codes may be added; docs/codes.md lists them.",
        "^[a-z0-9-]+$".into()
    );
    RefusalCode = text(
        "A stable code. Codes may be added; docs/codes.md lists them. Plugins have codes of their own.",
        ".*".into()
    );
    Threshold = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .description(Some("The number of members that must act."))
        .minimum(Some(2))
        .maximum(Some(9))
        .into();
    Committee = ArrayBuilder::new()
        .items(Ref::from_schema_name("NodeId"))
        .description(Some("The nodes that hold a key, in the order of their ids."))
        .min_items(Some(2))
        .max_items(Some(9))
        .into();
    UnixMillis = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .description(Some("Milliseconds since 1970-01-01 UTC."))
        .minimum(Some(0))
        .into();
}

impl PartialSchema for Vote {
    fn schema() -> RefOr<Schema> {
        Written::schema()
    }
}

impl ToSchema for Vote {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Vote")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        Written::schemas(schemas);
    }
}

impl PartialSchema for OrderProof {
    fn schema() -> RefOr<Schema> {
        let case = |name, description| {
            let mut case = Ref::from_schema_name(name);
            case.description = String::from(description);
            case
        };
        OneOfBuilder::new()
            .item(case("Signature", "By an Ed25519 key."))
            .item(case("PasskeySignature", "By a passkey."))
            .description(Some(
                "What shows that the requester signed the task: an Ed25519 signature, or the assertion of a passkey.",
            ))
            .into()
    }
}

impl ToSchema for OrderProof {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("OrderProof")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push(("Signature".into(), Signature::schema()));
        schemas.push(("PasskeySignature".into(), WrittenProof::schema()));
        WrittenProof::schemas(schemas);
    }
}
