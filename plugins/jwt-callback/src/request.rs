//! The CallbackRequest document that servers read about a task. Names, numbers and nesting are
//! theirs; nothing is decided here.

use countersign_sdk::{
    Failure, Host, Input, KeyShareSigning, Keygen, Operation, Resharing, Signing, Task, json,
};
use serde::Serialize;

use crate::config::{Config, Version};
use crate::extra::{self, REFERENCE};

/// The document. All four members are always present.
#[derive(Serialize)]
struct CallbackRequest<'a> {
    request_id: &'a str,
    request_type: u8,
    request_detail: &'a str,
    extra_info: &'a str,
}

/// The contents for all servers of one vocabulary, each of which gets them under
/// its own request id.
#[derive(Default)]
pub(crate) struct Contents {
    request_type: u8,
    request_detail: String,
    extra_info: String,
}

/// Builds the contents for `task`, in ASCII.
pub(crate) fn contents(
    config: &Config,
    task: &Task,
    version: Version,
    host: &impl Host,
) -> Result<Contents, Failure> {
    let (request_type, request_detail) = match &task.operation {
        Operation::Keygen(keygen) => (1, detail(task, key_gen(keygen)?)?),
        Operation::Sign(signing) => (2, detail(task, key_sign(signing)?)?),
        Operation::Reshare(resharing) => (3, detail(task, key_reshare(resharing)?)?),
        Operation::KeyShareSign(signing) => (5, detail(task, key_share_sign(&task.node, signing))?),
        Operation::Other(name) => {
            return Err(Failure::Unsupported(format!(
                "callback servers do not know `{name}`"
            )));
        }
    };
    let extra_info = text(&extra::extra_info(config, task, version, host)?)?;
    Ok(Contents {
        request_type,
        request_detail,
        extra_info,
    })
}

impl Contents {
    /// Builds the document for the request id `id`.
    pub(crate) fn document(&self, id: &str) -> Result<String, Failure> {
        let Self {
            request_type,
            request_detail,
            extra_info,
        } = self;
        text(&CallbackRequest {
            request_id: id,
            request_type: *request_type,
            request_detail,
            extra_info,
        })
    }
}

/// Builds the document of a ping: type 0, and nothing else.
pub(crate) fn ping() -> Result<String, Failure> {
    Contents::default().document("")
}

/// A detail, followed by the two ids that every detail has.
#[derive(Serialize)]
struct Detail<'a, T> {
    #[serde(flatten)]
    own: T,
    task_id: &'a str,
    biz_task_id: &'a str,
}

fn detail(task: &Task, own: impl Serialize) -> Result<String, Failure> {
    text(&Detail {
        own,
        task_id: &task.id,
        biz_task_id: task.claim(REFERENCE).unwrap_or(&task.id),
    })
}

#[derive(Serialize)]
struct KeyGen<'a> {
    threshold: u16,
    node_ids: &'a [String],
    curve: u8,
}

fn key_gen(keygen: &Keygen) -> Result<KeyGen<'_>, Failure> {
    Ok(KeyGen {
        threshold: keygen.threshold,
        node_ids: &keygen.members,
        curve: curve(&keygen.curve)?,
    })
}

#[derive(Serialize)]
struct KeySign<'a> {
    group_id: &'a str,
    root_pub_key: &'a str,
    used_node_ids: &'a [String],
    bip32_path_list: Vec<&'a str>,
    msg_hash_list: Vec<String>,
    tweak_list: Vec<String>,
    signature_type: u8,
    tss_protocol: u8,
}

fn key_sign(signing: &Signing) -> Result<KeySign<'_>, Failure> {
    let (signature_type, tss_protocol) = signature_type(&signing.key.scheme)?;
    Ok(KeySign {
        group_id: &signing.key.id,
        root_pub_key: &signing.key.root_public_key,
        used_node_ids: &signing.signers,
        bip32_path_list: signing
            .inputs
            .iter()
            .map(|input| input.path.as_str())
            .collect(),
        msg_hash_list: signing
            .inputs
            .iter()
            .map(|input| hex0x(&input.digest))
            .collect(),
        tweak_list: tweaks(&signing.inputs),
        signature_type,
        tss_protocol,
    })
}

/// Returns the tweaks, parallel to the hashes if there is any, else empty.
fn tweaks(inputs: &[Input]) -> Vec<String> {
    if inputs.iter().all(|input| input.tweak.is_none()) {
        return Vec::new();
    }
    inputs
        .iter()
        .map(|input| input.tweak.as_deref().map(hex0x).unwrap_or_default())
        .collect()
}

#[derive(Serialize)]
struct KeyReshare<'a> {
    old_group_id: &'a str,
    root_pub_key: &'a str,
    curve: u8,
    used_node_ids: &'a [String],
    old_threshold: u16,
    new_threshold: u16,
    new_node_ids: &'a [String],
}

fn key_reshare(resharing: &Resharing) -> Result<KeyReshare<'_>, Failure> {
    Ok(KeyReshare {
        old_group_id: &resharing.key.id,
        root_pub_key: &resharing.key.root_public_key,
        curve: curve(&resharing.key.curve)?,
        used_node_ids: &resharing.signers,
        old_threshold: resharing.key.threshold,
        new_threshold: resharing.new_threshold,
        new_node_ids: &resharing.new_members,
    })
}

#[derive(Serialize)]
struct KeyShareSign<'a> {
    node_id: &'a str,
    details: Vec<KeyShareSignDetail<'a>>,
}

#[derive(Serialize)]
struct KeyShareSignDetail<'a> {
    group_id: &'a str,
    message: &'a str,
}

fn key_share_sign<'a>(node_id: &'a str, signing: &'a KeyShareSigning) -> KeyShareSign<'a> {
    let details = signing.checks.iter().map(|check| KeyShareSignDetail {
        group_id: &check.key.id,
        message: &check.message,
    });
    KeyShareSign {
        node_id,
        details: details.collect(),
    }
}

fn curve(name: &str) -> Result<u8, Failure> {
    match name {
        "secp256k1" => Ok(0),
        "ed25519" => Ok(2),
        other => Err(Failure::Unsupported(format!(
            "callback servers have no number for the curve `{other}`"
        ))),
    }
}

/// Returns the numbers of signature type and protocol. The servers' list lacks our protocols, so
/// the latter is 0, "unknown".
fn signature_type(scheme: &str) -> Result<(u8, u8), Failure> {
    match scheme {
        "ecdsa-secp256k1" => Ok((1, 0)),
        "ed25519" => Ok((2, 0)),
        "schnorr-secp256k1" | "taproot" => Ok((3, 0)),
        other => Err(Failure::Unsupported(format!(
            "callback servers have no number for the scheme `{other}`"
        ))),
    }
}

pub(crate) fn hex0x(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

fn text(value: &impl Serialize) -> Result<String, Failure> {
    json::ascii(value).map_err(|error| Failure::Internal(error.to_string()))
}
