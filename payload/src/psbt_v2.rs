//! PSBT version 2 (BIP-370), converted to version 0 (BIP-174) and back.
//!
//! Version 2 has no unsigned transaction: its parts are fields of the maps. They are assembled as
//! the BIP says and removed from the maps, and the rest is a PSBT of version 0, of the same
//! transaction and with the same other fields. So there is one parser, and neither judgement nor
//! signature depends on the version.

use std::collections::BTreeMap;

use bitcoin::absolute::LockTime;
use bitcoin::consensus::{deserialize_partial, serialize};
use bitcoin::hashes::Hash as _;
use bitcoin::transaction::Version;
use bitcoin::{
    Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, VarInt, Witness,
};

use crate::malformed::Malformed;

const MAGIC: &[u8] = b"psbt\xff";

const UNSIGNED_TX: u8 = 0x00;
const TX_VERSION: u8 = 0x02;
const FALLBACK_LOCKTIME: u8 = 0x03;
const INPUT_COUNT: u8 = 0x04;
const OUTPUT_COUNT: u8 = 0x05;
const TX_MODIFIABLE: u8 = 0x06;
const VERSION: u8 = 0xfb;

const PREVIOUS_TXID: u8 = 0x0e;
const OUTPUT_INDEX: u8 = 0x0f;
const SEQUENCE: u8 = 0x10;
const TIME_LOCKTIME: u8 = 0x11;
const HEIGHT_LOCKTIME: u8 = 0x12;

const AMOUNT: u8 = 0x03;
const SCRIPT: u8 = 0x04;

/// Lock times below this are block heights (BIP-65).
const FIRST_TIME: u32 = 500_000_000;

/// Fields by key; a key's first byte is the type.
type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// Converts a PSBT of version 2 to version 0. Unknown versions are left to the parser.
pub(crate) fn to_version_0(bytes: &[u8]) -> Result<Option<Vec<u8>>, Malformed> {
    if version(bytes) != Some(2) {
        return Ok(None);
    }
    let mut maps = read(bytes).ok_or("its maps are damaged, or a field is there twice")?;
    let (global, rest) = maps.split_first_mut().ok_or("it has no maps")?;
    if global.contains_key(&[UNSIGNED_TX][..]) {
        return Err("version 2 has no unsigned transaction as a whole".into());
    }
    let inputs = count(global, INPUT_COUNT)?;
    let outputs = count(global, OUTPUT_COUNT)?;
    if inputs == 0 || inputs.checked_add(outputs) != Some(rest.len()) {
        return Err("it has another number of inputs and outputs than it says".into());
    }
    let version = number(global, TX_VERSION)?.ok_or("it lacks the version of its transaction")?;
    let fallback = number(global, FALLBACK_LOCKTIME)?.unwrap_or(0);
    for field in [TX_MODIFIABLE, VERSION] {
        global.remove(&[field][..]);
    }
    let (inputs, outputs) = rest.split_at_mut(inputs);
    let lock_time = lock_time(inputs, fallback)?;
    let transaction = Transaction {
        version: Version(version as i32),
        lock_time,
        input: inputs.iter_mut().map(input).collect::<Result<_, _>>()?,
        output: outputs.iter_mut().map(output).collect::<Result<_, _>>()?,
    };
    global.insert(vec![UNSIGNED_TX], serialize(&transaction));
    Ok(Some(write(&maps)))
}

/// Converts `signed`, of version 0, to the version of `original`, of which it was made. Signed
/// content must not change, so nothing may be added to it any more.
pub(crate) fn like(original: &[u8], signed: Vec<u8>) -> Option<Vec<u8>> {
    if version(original) != Some(2) {
        return Some(signed);
    }
    let original = read(original)?;
    let mut maps = read(&signed)?;
    let inputs = count(&mut original.first()?.clone(), INPUT_COUNT).ok()?;
    if original.len() != maps.len() {
        return None;
    }
    for (at, (map, before)) in maps.iter_mut().zip(&original).enumerate() {
        let fields: &[u8] = match at {
            0 => &[
                TX_VERSION,
                FALLBACK_LOCKTIME,
                INPUT_COUNT,
                OUTPUT_COUNT,
                VERSION,
            ],
            _ if at <= inputs => &[
                PREVIOUS_TXID,
                OUTPUT_INDEX,
                SEQUENCE,
                TIME_LOCKTIME,
                HEIGHT_LOCKTIME,
            ],
            _ => &[AMOUNT, SCRIPT],
        };
        for field in fields {
            if let Some(value) = before.get(&[*field][..]) {
                map.insert(vec![*field], value.clone());
            }
        }
    }
    maps.first_mut()?.remove(&[UNSIGNED_TX][..]);
    Some(write(&maps))
}

fn version(bytes: &[u8]) -> Option<u32> {
    let mut rest = bytes.strip_prefix(MAGIC)?;
    let global = read_map(&mut rest)?;
    let version = global.get(&[VERSION][..])?;
    Some(u32::from_le_bytes(version.as_slice().try_into().ok()?))
}

fn input(map: &mut Map) -> Result<TxIn, Malformed> {
    let txid = map
        .remove(&[PREVIOUS_TXID][..])
        .and_then(|bytes| Txid::from_slice(&bytes).ok());
    let txid = txid.ok_or("an input lacks the id of the transaction that it spends")?;
    let vout = number(map, OUTPUT_INDEX)?
        .ok_or("an input lacks the index of the output that it spends")?;
    let sequence = number(map, SEQUENCE)?.map_or(Sequence::MAX, Sequence);
    let previous_output = OutPoint { txid, vout };
    Ok(TxIn {
        previous_output,
        script_sig: ScriptBuf::new(),
        sequence,
        witness: Witness::new(),
    })
}

fn output(map: &mut Map) -> Result<TxOut, Malformed> {
    let amount = map
        .remove(&[AMOUNT][..])
        .and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
    let amount = amount.ok_or("an output lacks its amount")?;
    let script = map
        .remove(&[SCRIPT][..])
        .ok_or("an output lacks its script")?;
    Ok(TxOut {
        value: Amount::from_sat(u64::from_le_bytes(amount)),
        script_pubkey: script.into(),
    })
}

/// BIP-370, "Determining Lock Time": the greatest of the kind that every input with a demand
/// supports, heights before times.
fn lock_time(inputs: &mut [Map], fallback: u32) -> Result<LockTime, Malformed> {
    let mut times = Some(0);
    let mut heights = Some(0);
    let mut demanded = false;
    for map in inputs {
        let time = number(map, TIME_LOCKTIME)?;
        let height = number(map, HEIGHT_LOCKTIME)?;
        if time.is_some_and(|time| time < FIRST_TIME)
            || height.is_some_and(|height| height >= FIRST_TIME)
        {
            return Err("an input demands a lock time of the wrong kind".into());
        }
        if time.is_none() && height.is_none() {
            continue;
        }
        demanded = true;
        times = times.zip(time).map(|(most, time)| most.max(time));
        heights = heights.zip(height).map(|(most, height)| most.max(height));
    }
    match (demanded, heights.or(times)) {
        (false, _) => Ok(LockTime::from_consensus(fallback)),
        (true, Some(lock_time)) => Ok(LockTime::from_consensus(lock_time)),
        (true, None) => Err("its inputs demand lock times that exclude each other".into()),
    }
}

/// Removes a 32-bit little-endian number from the map.
fn number(map: &mut Map, field: u8) -> Result<Option<u32>, Malformed> {
    let Some(value) = map.remove(&[field][..]) else {
        return Ok(None);
    };
    let bytes = value
        .try_into()
        .map_err(|_| format!("its field 0x{field:02x} has not four bytes"))?;
    Ok(Some(u32::from_le_bytes(bytes)))
}

fn count(map: &mut Map, field: u8) -> Result<usize, Malformed> {
    let value = map
        .remove(&[field][..])
        .ok_or("it does not say how many inputs and outputs it has")?;
    let mut rest = value.as_slice();
    let count = compact(&mut rest).filter(|_| rest.is_empty());
    count.ok_or_else(|| "it does not say how many inputs and outputs it has".into())
}

/// All maps, to the last byte. `None` if they are truncated or contain a key twice.
fn read(bytes: &[u8]) -> Option<Vec<Map>> {
    let mut rest = bytes.strip_prefix(MAGIC)?;
    let mut maps = Vec::new();
    while !rest.is_empty() {
        maps.push(read_map(&mut rest)?);
    }
    Some(maps)
}

fn read_map(rest: &mut &[u8]) -> Option<Map> {
    let mut map = Map::new();
    loop {
        let key = sized(rest)?;
        if key.is_empty() {
            return Some(map);
        }
        if map.insert(key, sized(rest)?).is_some() {
            return None;
        }
    }
}

fn sized(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let length = compact(rest)?;
    let (bytes, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(bytes.to_vec())
}

/// Reads a number in its shortest form, as Bitcoin encodes lengths.
fn compact(rest: &mut &[u8]) -> Option<usize> {
    let (number, length) = deserialize_partial::<VarInt>(rest).ok()?;
    *rest = rest.get(length..)?;
    usize::try_from(number.0).ok()
}

fn write(maps: &[Map]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    let mut sized = |part: &[u8]| {
        bytes.extend(serialize(&VarInt::from(part.len())));
        bytes.extend(part);
    };
    for map in maps {
        for (key, value) in map {
            sized(key);
            sized(value);
        }
        sized(&[]);
    }
    bytes
}

#[cfg(test)]
#[path = "psbt_v2_tests.rs"]
pub(crate) mod tests;
