//! Derivation paths: non-hardened BIP-32 paths below a root public key.

/// Child numbers below the root, each under 2^31, at most ten of them. Text `m`, `m/44/60/0/0/7`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct DerivationPath(Vec<u32>);

/// The reason a text is not a derivation path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// Hardened steps need the private key, which does not exist anywhere.
    #[error("`{0}` has a hardened step, which no threshold key can derive; leave out ' and H")]
    Hardened(String),
    /// Any other syntax error, a step out of range, or too many steps.
    #[error(
        "`{0}` is not a derivation path; write it like m/44/60/0/0/7, at most 10 steps, each below 2147483648"
    )]
    Malformed(String),
}

impl DerivationPath {
    /// The maximum number of steps.
    pub const MAX_DEPTH: usize = 10;

    /// The child numbers, from the root downwards.
    pub fn steps(&self) -> &[u32] {
        &self.0
    }
}

impl std::fmt::Display for DerivationPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("m")?;
        self.0.iter().try_for_each(|step| write!(f, "/{step}"))
    }
}

impl std::str::FromStr for DerivationPath {
    type Err = PathError;
    fn from_str(text: &str) -> Result<Self, PathError> {
        let malformed = || PathError::Malformed(text.chars().take(120).collect());
        let rest = text
            .strip_prefix('m')
            .map_or(text, |rest| rest.strip_prefix('/').unwrap_or(rest));
        if rest.is_empty() {
            return if text == "m" {
                Ok(Self::default())
            } else {
                Err(malformed())
            };
        }
        if rest.contains(['\'', 'H', 'h']) {
            return Err(PathError::Hardened(text.chars().take(120).collect()));
        }
        let steps: Vec<u32> = rest
            .split('/')
            .map(step)
            .collect::<Option<_>>()
            .ok_or_else(malformed)?;
        if steps.len() > Self::MAX_DEPTH || text.starts_with("m") && !text.starts_with("m/") {
            return Err(malformed());
        }
        Ok(Self(steps))
    }
}

/// Parses a child number: decimal digits without sign or leading zeros.
fn step(text: &str) -> Option<u32> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse::<u32>()
        .ok()
        .filter(|step| plain && *step < 1 << 31)
}

impl serde::Serialize for DerivationPath {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for DerivationPath {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_round_trip_and_bad_ones_say_why() {
        for good in ["m", "m/0", "m/44/60/0/0/7", "m/2147483647"] {
            assert_eq!(good.parse::<DerivationPath>().unwrap().to_string(), good);
        }
        assert_eq!(
            "44/60".parse::<DerivationPath>().unwrap().to_string(),
            "m/44/60"
        );
        assert!(matches!(
            "m/44'/0".parse::<DerivationPath>(),
            Err(PathError::Hardened(_))
        ));
        for bad in [
            "",
            "/",
            "m/",
            "m/01",
            "m/-1",
            "m//1",
            "m/2147483648",
            "mm/1",
            "m1",
            "m/1/2/3/4/5/6/7/8/9/10/11",
        ] {
            assert!(
                matches!(bad.parse::<DerivationPath>(), Err(PathError::Malformed(_))),
                "{bad}"
            );
        }
    }
}
