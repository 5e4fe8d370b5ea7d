//! The first vocabulary with the types that its published servers read it into: whole numbers of 64
//! bits with a sign, and text. A member of another type makes such a server refuse the whole
//! document; an unknown one is ignored.

use countersign_sdk::Operation;
use serde::Deserialize;

/// Reads both parts of a request as a server would.
pub fn read(operation: &Operation, detail: &str, extra: &str) -> Result<(), serde_json::Error> {
    match operation {
        Operation::Keygen(_) => {
            serde_json::from_str::<KeyGen>(detail)?;
            serde_json::from_str::<Reference>(extra)?;
        }
        Operation::Sign(_) => {
            serde_json::from_str::<KeySign>(detail)?;
            let extra: KeySignExtra = serde_json::from_str(extra)?;
            if !extra.to_address_details.is_empty() {
                serde_json::from_str::<Vec<ToAddress>>(&extra.to_address_details)?;
            }
        }
        Operation::Reshare(_) => {
            serde_json::from_str::<KeyReshare>(detail)?;
            serde_json::from_str::<Reference>(extra)?;
        }
        // These servers know no check-ups; the object sent to them is like the others.
        Operation::KeyShareSign(_) | Operation::Other(_) => {
            serde_json::from_str::<serde_json::Map<_, serde_json::Value>>(detail)?;
        }
    }
    Ok(())
}

#[derive(Deserialize)]
#[allow(dead_code)] // The types are what is tested.
struct KeyGen {
    threshold: i64,
    curve: i64,
    node_ids: Vec<String>,
    task_id: String,
}

#[derive(Deserialize)]
#[allow(dead_code)] // The types are what is tested.
struct KeySign {
    group_id: String,
    root_pub_key: String,
    used_node_ids: Vec<String>,
    bip32_path_list: Vec<String>,
    msg_hash_list: Vec<String>,
    tweak_list: Vec<String>,
    signature_type: i32,
    tss_protocol: i32,
    task_id: String,
}

#[derive(Deserialize)]
#[allow(dead_code)] // The types are what is tested.
struct KeyReshare {
    old_group_id: String,
    root_pub_key: String,
    curve: i64,
    used_node_ids: Vec<String>,
    old_threshold: i64,
    new_threshold: i64,
    new_node_ids: Vec<String>,
    task_id: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
#[allow(dead_code)] // The types are what is tested.
struct Reference {
    cobo_id: String,
    api_request_id: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
#[allow(dead_code)] // The types are what is tested.
struct KeySignExtra {
    cobo_id: String,
    api_request_id: String,
    transaction_type: i64,
    operation: i64,
    coin: String,
    decimal: i64,
    from_address: String,
    amount: String,
    to_address: String,
    to_address_details: String,
    fee: i64,
    gas_price: i64,
    gas_limit: i64,
    extra_parameters: String,
    replace_cobo_id: String,
    api_key: String,
    spender: String,
    operator: String,
    custody_wallet_name: String,
    gas_station_child_id: String,
    raw_tx_hex: String,
    note: String,
    raw_tx_info: String,
}

#[derive(Deserialize)]
#[allow(dead_code)] // The types are what is tested.
struct ToAddress {
    to_address: String,
    amount: String,
}
