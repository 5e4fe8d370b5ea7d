//! The one place that lists schemes.
//!
//! To add a scheme: a variant, a row in [`TABLE`], a line in `with_suite!`, and a
//! [`Suite`](crate::sign::Suite) for it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A signature scheme together with its curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "&'static str", try_from = "String")]
pub enum Scheme {
    /// Threshold ECDSA (CGGMP24) on secp256k1; signatures are r ‖ s with low s, and a recovery id.
    EcdsaSecp256k1,
    /// FROST(Ed25519, SHA-512) of RFC 9591; signatures are those of RFC 8032.
    Ed25519,
    /// FROST(secp256k1, SHA-256) of RFC 9591; signatures are R ‖ z with R compressed, 65 bytes.
    SchnorrSecp256k1,
    /// FROST on secp256k1 with BIP-340 signatures, valid under the BIP-341 output key of the (child) key
    /// without scripts.
    Taproot,
}

const TABLE: [(Scheme, &str); 4] = [
    (Scheme::EcdsaSecp256k1, "ecdsa-secp256k1"),
    (Scheme::Ed25519, "ed25519"),
    (Scheme::SchnorrSecp256k1, "schnorr-secp256k1"),
    (Scheme::Taproot, "taproot"),
];

/// Evaluates `$body` with `$suite` as the suite of a scheme.
macro_rules! with_suite {
    ($scheme:expr, $suite:ident => $body:expr) => {
        match $scheme {
            $crate::Scheme::EcdsaSecp256k1 => {
                type $suite = $crate::ecdsa::Ecdsa;
                $body
            }
            $crate::Scheme::Ed25519 => {
                type $suite = $crate::frost::Frost<frost_ed25519::Ed25519Sha512>;
                $body
            }
            $crate::Scheme::SchnorrSecp256k1 => {
                type $suite = $crate::frost::Frost<frost_secp256k1::Secp256K1Sha256>;
                $body
            }
            $crate::Scheme::Taproot => {
                type $suite = $crate::frost::Frost<frost_secp256k1_tr::Secp256K1Sha256TR>;
                $body
            }
        }
    };
}
pub(crate) use with_suite;

impl Scheme {
    /// All schemes.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|(scheme, _)| *scheme)
    }

    /// The name in configuration, tasks and records.
    pub fn name(self) -> &'static str {
        TABLE.iter().find(|(scheme, _)| *scheme == self).map_or("", |(_, name)| name)
    }

    /// Whether signers need the committee's auxiliary information.
    pub fn needs_aux(self) -> bool {
        self == Self::EcdsaSecp256k1
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Scheme {
    type Err = UnknownScheme;

    fn from_str(text: &str) -> Result<Self, UnknownScheme> {
        let row = TABLE.iter().find(|(_, name)| *name == text);
        row.map(|(scheme, _)| *scheme).ok_or_else(|| UnknownScheme(text.into()))
    }
}

impl TryFrom<String> for Scheme {
    type Error = UnknownScheme;

    fn try_from(text: String) -> Result<Self, UnknownScheme> {
        text.parse()
    }
}

impl From<Scheme> for &'static str {
    fn from(scheme: Scheme) -> Self {
        scheme.name()
    }
}

/// A name that is not in the table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown scheme `{name}`: choose {known}", name = .0, known = names())]
pub struct UnknownScheme(String);

fn names() -> String {
    TABLE.map(|(_, name)| name).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scheme_has_a_suite_and_a_name_that_parses_back() {
        for scheme in Scheme::all() {
            assert_eq!(scheme.name().parse(), Ok(scheme));
            assert_eq!(with_suite!(scheme, S => <S as crate::sign::Suite>::SCHEME), scheme);
        }
        let error = "rsa".parse::<Scheme>().unwrap_err();
        assert!(error.to_string().ends_with("choose ecdsa-secp256k1, ed25519, schnorr-secp256k1, taproot"));
    }
}
