//! The later vocabulary: objects of the incumbent's second API. Required members and their types
//! follow its published models.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign_sdk::payload::Kind;
use countersign_sdk::{
    Destination, Failure, Intent, Key, KeyShareCheck, Operation, Signing, Task, Transaction, json,
};
use serde_json::{Value, json};

use super::members::Members;
use super::{CLAIMS, REFERENCE, is_opaque, only_source, payments};
use crate::config::Config;
use crate::request::hex0x;

/// Members that name the organisation that the key belongs to.
pub(super) const PASSED: &[&str] = &["org", "project", "vault"];
/// Members of `transaction` that name the requester, the reference, and the reason.
const PASSED_OF_TRANSACTION: &[&str] = &[
    "transaction_id",
    "cobo_id",
    "request_id",
    "initiator",
    "initiator_type",
    "description",
    "category",
];

pub(super) fn write(extra: &mut Members, config: &Config, task: &Task) -> Result<(), Failure> {
    match &task.operation {
        Operation::Keygen(keygen) => {
            let group = group(None, &keygen.members, &[], keygen.threshold);
            extra.fact("target_key_share_holder_group", Some(group));
        }
        Operation::Sign(signing) => write_signing(extra, config, task, signing)?,
        Operation::Reshare(resharing) => {
            let key = &resharing.key;
            let source = group(Some(key), &key.members, &resharing.signers, key.threshold);
            extra.fact("source_key_share_holder_group", Some(source));
            let target = group(None, &resharing.new_members, &[], resharing.new_threshold);
            extra.fact("target_key_share_holder_group", Some(target));
        }
        Operation::KeyShareSign(signing) => {
            let group = |check: &KeyShareCheck| {
                group(
                    Some(&check.key),
                    &check.key.members,
                    &[],
                    check.key.threshold,
                )
            };
            let groups = signing.checks.iter().map(group).collect();
            extra.fact("validity_key_share_holder_groups", Some(groups));
        }
        Operation::Other(_) => {}
    }
    Ok(())
}

fn group(key: Option<&Key>, members: &[String], signers: &[String], threshold: u16) -> Value {
    let holder = |node: &String| match signers {
        [] => json!({"type": "API", "tss_node_id": node}),
        signers => json!({"type": "API", "tss_node_id": node, "signer": signers.contains(node)}),
    };
    let mut group = json!({
        "key_share_holders": members.iter().map(holder).collect::<Vec<_>>(),
        "participants": members.len(),
        "threshold": threshold,
    });
    if let Some(key) = key {
        group["key_share_holder_group_id"] = key.id.as_str().into();
        group["tss_key_share_groups"] = json!([{
            "tss_key_share_group_id": key.id,
            "curve": key.curve.to_uppercase(),
            "root_pubkey": key.root_public_key,
        }]);
    }
    group
}

fn write_signing(
    extra: &mut Members,
    config: &Config,
    task: &Task,
    signing: &Signing,
) -> Result<(), Failure> {
    let key = &signing.key;
    let group = group(Some(key), &key.members, &signing.signers, key.threshold);
    extra.fact("signer_key_share_holder_group", Some(group));
    if let Some(transaction) = task.transaction() {
        let chain = chain_id(config, transaction);
        let address = |source: &String| json!({"address": source, "chain_id": chain});
        extra.fact(
            "source_addresses",
            Some(transaction.sources.iter().map(address).collect()),
        );
    }
    let destination = destination(config, signing)?;
    extra.within("transaction", |members| {
        write_transaction(members, config, task, signing, destination);
        if !is_opaque(task) {
            members.set_aside(PASSED_OF_TRANSACTION, CLAIMS);
        }
    });
    Ok(())
}

fn write_transaction(
    members: &mut Members,
    config: &Config,
    task: &Task,
    signing: &Signing,
    destination: Value,
) {
    members.default("transaction_id", task.claim(REFERENCE).unwrap_or(&task.id));
    members.default("initiator_type", "API");
    let mut source = json!({"source_type": "Org-Controlled", "wallet_id": signing.key.id});
    if let Some(address) = task.transaction().and_then(only_source) {
        source["address"] = address.into();
    }
    let known = [
        ("wallet_id", signing.key.id.as_str().into()),
        ("status", "PendingSignature".into()),
        ("created_timestamp", task.received_at.into()),
        ("updated_timestamp", task.received_at.into()),
        ("source", source),
        ("destination", destination),
    ];
    if is_opaque(task) {
        return known
            .into_iter()
            .for_each(|(name, value)| members.default(name, value));
    }
    known
        .into_iter()
        .for_each(|(name, value)| members.fact(name, Some(value)));
    members.fact("type", Some(kind(&signing.intent).into()));
    if let Some(transaction) = task.transaction() {
        members.fact("chain_id", Some(chain_id(config, transaction).into()));
        members.fact("token_id", token_id(config, transaction).map(Into::into));
        members.fact(
            "raw_tx_info",
            Some(json!({"unsigned_raw_tx": unsigned_raw_tx(transaction)})),
        );
    }
}

fn kind(intent: &Intent) -> &'static str {
    match intent {
        Intent::Transaction(transaction) if payments(transaction).is_some() => "Withdrawal",
        Intent::Transaction(_) => "ContractCall",
        Intent::Message(_) | Intent::TypedData(_) | Intent::Opaque => "MessageSign",
    }
}

/// Returns the id of a chain, which this vocabulary names by its native asset.
fn chain_id<'a>(config: &'a Config, transaction: &'a Transaction) -> &'a str {
    config
        .assets
        .find(&transaction.chain, "")
        .map_or(&transaction.chain, |native| &native.id)
}

/// Returns the asset that is paid; for a call the native one.
fn token_id<'a>(config: &'a Config, transaction: &Transaction) -> Option<&'a str> {
    let payments = payments(transaction).unwrap_or_default();
    let asset = payments.first().map_or("", |first| &first.asset);
    config
        .assets
        .find(&transaction.chain, asset)
        .map(|asset| asset.id.as_str())
}

/// Returns the hashed bytes in hex; for Solana, hex of the Base64 text of the transaction without
/// signatures, which is a zero byte and the message.
fn unsigned_raw_tx(transaction: &Transaction) -> String {
    if transaction.chain.starts_with("solana:") {
        let unsigned = [&[0], transaction.unsigned.as_slice()].concat();
        return hex0x(STANDARD.encode(unsigned).as_bytes());
    }
    hex0x(&transaction.unsigned)
}

/// Builds the destination. Typed data that a server could not see in full is not sent to it.
fn destination(config: &Config, signing: &Signing) -> Result<Value, Failure> {
    Ok(match &signing.intent {
        Intent::Transaction(transaction) => transaction_destination(config, transaction),
        Intent::Message(message) => message_destination(signing, message),
        Intent::TypedData(data) => {
            let document: Value = json::strict(data.json.as_bytes()).map_err(|error| {
                Failure::Unsupported(format!("the typed data is not JSON: {error}"))
            })?;
            json!({"destination_type": "EVM_EIP_712_Signature", "structured_data": document})
        }
        Intent::Opaque => raw_destination(signing),
    })
}

fn message_destination(signing: &Signing, message: &[u8]) -> Value {
    match Kind::of(&signing.payload) {
        Kind::Eip191 => {
            json!({"destination_type": "EVM_EIP_191_Signature", "message": STANDARD.encode(message)})
        }
        // A PSBT that is a payment has another intent.
        Kind::BitcoinMessage | Kind::Psbt => {
            json!({"destination_type": "BTC_BIP_322_Signature", "message_bip322": hex0x(message)})
        }
        Kind::Message
        | Kind::Digest
        | Kind::Digests
        | Kind::EvmTransaction
        | Kind::Eip712
        | Kind::Eip7702
        | Kind::SolanaMessage
        | Kind::Other => raw_destination(signing),
    }
}

fn raw_destination(signing: &Signing) -> Value {
    let mut raw = json!({"destination_type": "Raw_Message_Signature"});
    // There is only room for one; `msg_hash_list` has all of them.
    if let [only] = &signing.inputs[..] {
        raw["msg_hash"] = hex0x(&only.digest).into();
    }
    raw
}

/// Returns the payments, if nothing else happens and the asset has a name at the server; else the
/// call itself, or only its existence if the vocabulary cannot express it.
fn transaction_destination(config: &Config, transaction: &Transaction) -> Value {
    let native = |to: &Destination| to.asset.is_empty();
    let named = |to: &Destination| config.assets.find(&transaction.chain, &to.asset).is_some();
    let payments = payments(transaction).filter(|all| all.iter().all(|to| native(to) || named(to)));
    match (payments.as_deref(), &transaction.calls[..]) {
        (Some([only]), _) => {
            let mut output = output(config, transaction, only);
            if let Some(memo) = &only.memo {
                output["memo"] = memo.as_str().into();
            }
            json!({"destination_type": "Address", "account_output": output})
        }
        (Some(several), _) => {
            let outputs: Vec<_> = several
                .iter()
                .map(|to| output(config, transaction, to))
                .collect();
            json!({"destination_type": "Address", "utxo_outputs": outputs})
        }
        // Authorisations of EIP-7702 are not part of the call, which would look like everything.
        (None, [call])
            if transaction.chain.starts_with("eip155:")
                && !transaction.hands_over_the_account() =>
        {
            let value = coins(config, &transaction.chain, "", &call.amount);
            json!({
                "destination_type": "EVM_Contract", "address": call.contract, "value": value,
                "calldata": hex0x(&call.data),
            })
        }
        (None, _) if transaction.chain.starts_with("solana:") => {
            json!({"destination_type": "SOL_Contract"})
        }
        (None, _) => json!({"destination_type": "Address"}),
    }
}

fn output(config: &Config, transaction: &Transaction, to: &Destination) -> Value {
    let mut output = json!({"address": to.address});
    if let Some(amount) = coins(config, &transaction.chain, &to.asset, &to.amount) {
        output["amount"] = amount.into();
    }
    output
}

/// Converts `amount` to whole coins, exactly; absent if the asset's decimals are unknown.
fn coins(config: &Config, chain: &str, asset: &str, amount: &str) -> Option<String> {
    if let Some(known) = config.assets.find(chain, asset) {
        return known.in_units(amount);
    }
    let decimals = match chain.split_once(':')?.0 {
        _ if !asset.is_empty() => return None,
        "eip155" => 18,
        "bip122" => 8,
        "solana" => 9,
        _ => return None,
    };
    Some(
        amount
            .parse::<countersign_sdk::Amount>()
            .ok()?
            .in_units(decimals),
    )
}
