//! Derivation paths below a private key, where hardened steps are possible.

use countersign_protocol::text::printable;

pub(crate) const HARDENED: u32 = 1 << 31;

/// Child numbers, of which those from 2^31 are hardened; at most 255 of them.
/// Text: `44/60/0/0/7`, `m/84'/0H/1`, `m`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPath(Vec<u32>);

/// A text that is not a derivation path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a derivation path: write it like m/44/60/0/0/7 or m/84'/0'/0, each number below 2147483648"
)]
pub struct KeyPathError(String);

impl KeyPath {
    /// The child numbers, hardened ones from 2^31.
    pub fn steps(&self) -> &[u32] {
        &self.0
    }
}

impl std::str::FromStr for KeyPath {
    type Err = KeyPathError;

    fn from_str(text: &str) -> Result<Self, KeyPathError> {
        if text == "m" {
            return Ok(Self(Vec::new()));
        }
        let steps = text
            .strip_prefix("m/")
            .unwrap_or(text)
            .split('/')
            .map(step)
            .collect::<Option<Vec<_>>>();
        let steps = steps.filter(|steps| steps.len() <= usize::from(u8::MAX));
        let shown = || printable(text, 120);
        steps.map(KeyPath).ok_or_else(|| KeyPathError(shown()))
    }
}

impl std::fmt::Display for KeyPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("m")?;
        self.0.iter().try_for_each(|step| match step & HARDENED {
            0 => write!(f, "/{step}"),
            _ => write!(f, "/{}'", step & !HARDENED),
        })
    }
}

/// One child number: decimal digits without sign or leading zeros, and ' or H if it is hardened.
fn step(text: &str) -> Option<u32> {
    let digits = text.strip_suffix(['\'', 'H']);
    let mark = if digits.is_some() { HARDENED } else { 0 };
    let digits = digits.unwrap_or(text);
    let plain =
        digits.bytes().all(|b| b.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    digits
        .parse::<u32>()
        .ok()
        .filter(|number| plain && *number < HARDENED)
        .map(|number| number | mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_round_trip_and_everything_else_is_refused() {
        for (text, canonical) in [
            ("m", "m"),
            ("0", "m/0"),
            ("44/60/0", "m/44/60/0"),
            ("m/84'/0H/2147483647H", "m/84'/0'/2147483647'"),
        ] {
            assert_eq!(text.parse::<KeyPath>().unwrap().to_string(), canonical);
        }
        assert_eq!("m/1'".parse::<KeyPath>().unwrap().steps(), [HARDENED + 1]);
        let long = ["0"; 256].join("/");
        for wrong in [
            "",
            "/",
            "m/",
            "m/01",
            "m//1",
            "m/-1",
            "m/+1",
            "m/2147483648",
            "m/1''",
            "m/'",
            "M/1",
            "m1",
            "1/m",
            " 1",
            &long,
        ] {
            assert!(wrong.parse::<KeyPath>().is_err(), "{wrong}");
        }
        assert!(long[2..].parse::<KeyPath>().is_ok());
    }
}
