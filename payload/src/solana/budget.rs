//! The maximum cost of a Solana transaction, computed from its message.
//!
//! `5,000 lamports x signatures + price x limit`. Signatures are those of the transaction and those
//! that the precompiled programs verify. Price (in millionths of a lamport per compute unit) and
//! limit are set by instructions of the compute budget program; a limit is capped at 1,400,000
//! units. Without a limit the network assumes 3,000 units for each instruction of a built-in
//! program and 200,000 for each other one, with the same cap (SIMD-0170). Only the system and the
//! compute budget programs are considered built-in here, so the figure is never too low. The price
//! is paid for the limit, not for the units used (<https://solana.com/docs/core/fees>).
//!
//! The first account of the message pays. The fee is the transaction's, no matter which of
//! its signers that is.

use super::{COMPUTE_BUDGET, Known, Reader, SYSTEM, cut, number};
use crate::malformed::Malformed;

const LAMPORTS_PER_SIGNATURE: u128 = 5_000;
const MOST_UNITS: u64 = 1_400_000;
const BUILT_IN_UNITS: u64 = 3_000;
const OTHER_UNITS: u64 = 200_000;
const MICRO: u128 = 1_000_000;

/// Programs that verify signatures. The first byte of their data is the number of signatures.
const PRECOMPILED: [&str; 3] = [
    "Ed25519SigVerify111111111111111111111111111",
    "KeccakSecp256k11111111111111111111111111111",
    "Secp256r1SigVerify1111111111111111111111111",
];

/// The setting made by one instruction of the compute budget program.
enum Setting {
    HeapFrame(u32),
    UnitLimit(u32),
    UnitPrice(u64),
    LoadedDataLimit(u32),
}

/// The maximum fee in lamports.
pub(super) fn highest_fee(reader: &Reader) -> Result<u128, Malformed> {
    let mut signatures = u128::from(reader.message.required_signatures);
    let mut limit = None;
    let mut price = None;
    let mut units = 0u64;
    for instruction in &reader.message.instructions {
        let program = reader.address(instruction.program)?;
        units += match program.as_str() {
            SYSTEM | COMPUTE_BUDGET => BUILT_IN_UNITS,
            _ => OTHER_UNITS,
        };
        if PRECOMPILED.contains(&program.as_str()) {
            signatures += u128::from(instruction.data.first().copied().unwrap_or_default());
        }
        if program != COMPUTE_BUDGET {
            continue;
        }
        let earlier = match setting(instruction.data)? {
            Setting::UnitLimit(units) => limit.replace(u64::from(units)),
            Setting::UnitPrice(micro) => price.replace(micro),
            Setting::HeapFrame(_) | Setting::LoadedDataLimit(_) => None,
        };
        if earlier.is_some() {
            return Err(
                "it sets a limit or price of compute units twice, which the network refuses".into(),
            );
        }
    }
    let units = u128::from(limit.unwrap_or(units).min(MOST_UNITS));
    let priority = (units * u128::from(price.unwrap_or_default())).div_ceil(MICRO);
    Ok(LAMPORTS_PER_SIGNATURE * signatures + priority)
}

/// The instruction as a call.
pub(super) fn understand(data: &[u8]) -> Result<Known, Malformed> {
    let (method, field, value) = match setting(data)? {
        Setting::HeapFrame(bytes) => ("RequestHeapFrame", "bytes", u64::from(bytes)),
        Setting::UnitLimit(units) => ("SetComputeUnitLimit", "units", u64::from(units)),
        Setting::UnitPrice(micro) => ("SetComputeUnitPrice", "micro_lamports", micro),
        Setting::LoadedDataLimit(bytes) => {
            ("SetLoadedAccountsDataSizeLimit", "bytes", u64::from(bytes))
        }
    };
    Ok(Known::harmless(method, vec![(field, value.to_string())]))
}

/// The network refuses instructions that are meaningless here. It ignores bytes behind an
/// instruction; nobody writes any.
fn setting(data: &[u8]) -> Result<Setting, Malformed> {
    let small = || {
        data.get(1..)
            .and_then(<[u8]>::first_chunk)
            .map(|bytes| u32::from_le_bytes(*bytes))
    };
    let (setting, length) = match data.first() {
        Some(1) => (Setting::HeapFrame(small().ok_or_else(cut)?), 5),
        Some(2) => (Setting::UnitLimit(small().ok_or_else(cut)?), 5),
        Some(3) => (Setting::UnitPrice(number(data, 1)?), 9),
        Some(4) => (Setting::LoadedDataLimit(small().ok_or_else(cut)?), 5),
        _ => return Err("an instruction of the compute budget is not known here".into()),
    };
    if data.len() == length {
        Ok(setting)
    } else {
        Err("an instruction of the compute budget has bytes behind its end".into())
    }
}
