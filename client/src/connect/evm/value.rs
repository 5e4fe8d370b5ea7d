//! Values of Ethereum's JSON-RPC: quantities and data in hexadecimal behind `0x` (EIP-1474).

use serde_json::Value;

use super::error::RpcError;

/// The longest data of a request in bytes: more than any payload may have.
const MAX_DATA: usize = 128 * 1024;

/// An account or a contract.
pub type Address = [u8; 20];

/// Reads a quantity of at most 256 bits, big-endian.
pub fn quantity(name: &str, value: &Value) -> Result<[u8; 32], RpcError> {
    let wrong = || {
        RpcError::params(format!(
            "`{name}` is no quantity of at most 256 bits; write it in hexadecimal, such as \"0x5208\""
        ))
    };
    let digits = text(value)
        .and_then(|text| text.strip_prefix("0x"))
        .filter(|digits| (1..=64).contains(&digits.len()))
        .ok_or_else(wrong)?;
    let bytes = hex::decode(format!("{digits:0>64}")).map_err(|_| wrong())?;
    bytes.try_into().map_err(|_| wrong())
}

/// Reads a quantity of at most 128 bits.
pub fn quantity_u128(name: &str, value: &Value) -> Result<u128, RpcError> {
    let bytes = quantity(name, value)?;
    let (high, low) = bytes.split_at(16);
    match (
        <[u8; 16]>::try_from(low),
        high.iter().all(|byte| *byte == 0),
    ) {
        (Ok(low), true) => Ok(u128::from_be_bytes(low)),
        _ => Err(too_large(name)),
    }
}

/// Reads a quantity of at most 64 bits.
pub fn quantity_u64(name: &str, value: &Value) -> Result<u64, RpcError> {
    u64::try_from(quantity_u128(name, value)?).map_err(|_| too_large(name))
}

/// Reads data of any length up to a bound.
pub fn data(name: &str, value: &Value) -> Result<Vec<u8>, RpcError> {
    let wrong = || {
        RpcError::params(format!(
            "`{name}` is no data; write it in hexadecimal behind 0x, two digits for each byte"
        ))
    };
    let digits = text(value)
        .and_then(|text| text.strip_prefix("0x"))
        .ok_or_else(wrong)?;
    if digits.len() > 2 * MAX_DATA {
        let message = format!("`{name}` has more than {MAX_DATA} bytes; send less");
        return Err(RpcError::params(message));
    }
    hex::decode(digits).map_err(|_| wrong())
}

/// Reads data of exactly `N` bytes.
pub fn fixed<const N: usize>(name: &str, value: &Value) -> Result<[u8; N], RpcError> {
    let bytes = data(name, value)?;
    bytes
        .try_into()
        .map_err(|_| RpcError::params(format!("`{name}` does not have {N} bytes; correct it")))
}

/// Writes a quantity.
pub fn to_quantity(value: impl std::fmt::LowerHex) -> Value {
    format!("{value:#x}").into()
}

/// Writes data.
pub fn to_data(bytes: &[u8]) -> Value {
    format!("0x{}", hex::encode(bytes)).into()
}

fn text(value: &Value) -> Option<&str> {
    value.as_str()
}

fn too_large(name: &str) -> RpcError {
    RpcError::params(format!("`{name}` is too large; correct it"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quantities_are_read_whole_or_refused() {
        let read = |text: &str| quantity_u64("q", &json!(text)).ok();
        assert_eq!(read("0x0"), Some(0));
        assert_eq!(read("0x00"), Some(0));
        assert_eq!(read("0x5208"), Some(21_000));
        assert_eq!(read("0xffffffffffffffff"), Some(u64::MAX));
        for wrong in [
            "",
            "0x",
            "5208",
            "0X5208",
            "0x10000000000000000",
            "-0x1",
            "0x+1",
            "0x 1",
            "0xg",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        for wrong in [
            json!(1),
            json!(1.0),
            json!(null),
            json!(true),
            json!(["0x1"]),
        ] {
            assert!(quantity("q", &wrong).is_err(), "{wrong}");
        }
        let most = json!(format!("0x{}", "f".repeat(64)));
        assert_eq!(quantity("q", &most), Ok([0xff; 32]));
        assert!(quantity_u128("q", &most).is_err());
        assert!(quantity("q", &json!(format!("0x1{}", "0".repeat(64)))).is_err());
    }

    #[test]
    fn data_is_bounded_and_has_whole_bytes() {
        assert_eq!(data("d", &json!("0x")), Ok(vec![]));
        assert_eq!(data("d", &json!("0xAbcd")), Ok(vec![0xab, 0xcd]));
        for wrong in ["", "abcd", "0xabc", "0xzz"] {
            assert!(data("d", &json!(wrong)).is_err(), "{wrong}");
        }
        let long = format!("0x{}", "00".repeat(MAX_DATA + 1));
        assert!(data("d", &json!(long)).is_err());
        assert!(fixed::<20>("a", &json!("0x00")).is_err());
        assert_eq!(fixed::<2>("a", &json!("0x0102")), Ok([1, 2]));
        assert_eq!(to_quantity(21_000u64), json!("0x5208"));
        assert_eq!(to_data(&[0, 1]), json!("0x0001"));
    }
}
