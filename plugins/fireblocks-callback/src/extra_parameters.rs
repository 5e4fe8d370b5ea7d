//! `extraParameters` of a signing request.
//!
//! The protocol lets the initiator add members here, and plugins of handlers read some by name,
//! such as `message` and `extraSignature`. A requester supplies them in the claim
//! `extra-parameters`, a JSON object. Only the node describes what is signed: a claim under one of
//! those names is dropped, even if the node has no value for it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign_sdk::payload::Kind;
use countersign_sdk::{Failure, Grant, Host, Intent, Level, Signing, Task, json};
use serde_json::{Map, Value};

/// Name of the claim with the requester's members.
const EXTRA_PARAMETERS: &str = "extra-parameters";

/// Members that describe what is signed, both ours and the protocol's.
const OF_THE_NODE: [&str; 13] = [
    "rawMessageData",
    "psbt",
    "calls",
    "grants",
    "chain",
    "scheme",
    "rootPublicKey",
    "blind",
    "claims",
    "contractCallData",
    "programCallData",
    "inputsSelection",
    "useMessageSigning",
];

/// Builds the object from the requester's members, members that handlers know by name, and facts
/// for which the protocol has no field.
pub(crate) fn extra_parameters(
    task: &Task,
    signing: &Signing,
    host: &impl Host,
) -> Result<Value, Failure> {
    let mut extra = requesters(task, host)?;
    let messages = messages(signing)?;
    if !messages.is_empty() {
        extra.insert(
            "rawMessageData".into(),
            serde_json::json!({ "messages": messages }),
        );
    }
    if let Some(psbt) = psbt(task, signing)? {
        extra.insert("psbt".into(), psbt.into());
    }
    if let Some(tx) = task.transaction() {
        let calls = tx.calls.iter().map(|call| {
            serde_json::json!({
                "contract": call.contract, "method": call.method, "amount": call.amount,
                "contractCallData": hex::encode(&call.data),
            })
        });
        extra.insert("calls".into(), calls.collect());
        extra.insert("grants".into(), tx.grants.iter().map(grant).collect());
        extra.insert("chain".into(), tx.chain.clone().into());
    }
    extra.insert("scheme".into(), signing.key.scheme.clone().into());
    extra.insert(
        "rootPublicKey".into(),
        signing.key.root_public_key.clone().into(),
    );
    extra.insert("blind".into(), signing.blind.into());
    extra.insert("claims".into(), claims(task));
    Ok(extra.into())
}

fn grant(grant: &Grant) -> Value {
    grant
        .shown()
        .within(serde_json::json!({ "spender": grant.spender, "asset": grant.asset }))
}

/// Returns all of the requester's claims, by name.
pub(crate) fn claims(task: &Task) -> Value {
    task.claims()
        .map(|claim| (claim.name.clone(), Value::from(claim.value.clone())))
        .collect::<Map<_, _>>()
        .into()
}

fn requesters(task: &Task, host: &impl Host) -> Result<Map<String, Value>, Failure> {
    let Some(text) = task.claim(EXTRA_PARAMETERS) else {
        return Ok(Map::new());
    };
    let supplied: Map<String, Value> = json::strict(text.as_bytes()).map_err(|error| {
        Failure::Unsupported(format!(
            "the claim `{EXTRA_PARAMETERS}` is not a JSON object: {error}"
        ))
    })?;
    let (given_way, kept): (Map<_, _>, Map<_, _>) = supplied
        .into_iter()
        .partition(|(name, _)| OF_THE_NODE.contains(&name.as_str()));
    if !given_way.is_empty() {
        let names = given_way
            .keys()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(" ");
        host.log(
            Level::Warn,
            "dropped members of extra-parameters that only the node may set",
            &[("members", &names)],
        );
    }
    Ok(kept)
}

/// Returns the bytes to sign, except for transactions; for a PSBT the digests, which
/// handlers compare with it.
fn messages(signing: &Signing) -> Result<Vec<Value>, Failure> {
    let message =
        |content: Value, kind: &str| serde_json::json!({ "content": content, "type": kind });
    let digests = || {
        signing
            .inputs
            .iter()
            .map(|input| message(hex::encode(&input.digest).into(), "RAW"))
            .collect()
    };
    Ok(match &signing.intent {
        Intent::Transaction(_) if is_psbt(signing) => digests(),
        Intent::Transaction(_) => Vec::new(),
        Intent::Message(bytes) => {
            let kind = match Kind::of(&signing.payload) {
                Kind::Eip191 => "ETH_MESSAGE",
                Kind::Message
                | Kind::Digest
                | Kind::Digests
                | Kind::EvmTransaction
                | Kind::Eip712
                | Kind::Eip7702
                | Kind::Psbt
                | Kind::BitcoinMessage
                | Kind::SolanaMessage
                | Kind::Other => "RAW",
            };
            vec![message(hex::encode(bytes).into(), kind)]
        }
        Intent::TypedData(data) => {
            let document = json::strict(data.json.as_bytes()).map_err(|error| {
                Failure::Unsupported(format!("the typed data is not JSON: {error}"))
            })?;
            vec![message(document, "EIP712")]
        }
        Intent::Opaque => digests(),
    })
}

fn is_psbt(signing: &Signing) -> bool {
    match Kind::of(&signing.payload) {
        Kind::Psbt => true,
        Kind::Message
        | Kind::Digest
        | Kind::Digests
        | Kind::EvmTransaction
        | Kind::Eip191
        | Kind::Eip712
        | Kind::Eip7702
        | Kind::BitcoinMessage
        | Kind::SolanaMessage
        | Kind::Other => false,
    }
}

/// Returns the PSBT in Base64, which handlers expect, from the task's bytes that the node decoded.
fn psbt(task: &Task, signing: &Signing) -> Result<Option<String>, Failure> {
    if !is_psbt(signing) {
        return Ok(None);
    }
    let ordered: Value =
        json::strict(&task.raw).map_err(|error| Failure::Internal(error.to_string()))?;
    let bytes = ordered
        .pointer("/operation/key-sign/payload/bytes")
        .and_then(Value::as_str);
    let bytes = bytes.and_then(|text| hex::decode(text).ok());
    bytes
        .map(|bytes| Some(STANDARD.encode(bytes)))
        .ok_or_else(|| {
            Failure::Internal(
                "the task's bytes have no PSBT; report this to the plugin's authors".into(),
            )
        })
}
