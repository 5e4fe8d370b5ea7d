//! The list of signature schemes. Everything that depends on the scheme is looked up from here.

use serde::{Deserialize, Serialize};

use crate::named::named;

/// A threshold signature scheme, named in tasks by its kebab-case form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// ECDSA over secp256k1, by CGGMP24.
    #[serde(rename = "ecdsa-secp256k1")]
    EcdsaSecp256k1,
    /// Ed25519 (RFC 8032), by FROST (RFC 9591).
    Ed25519,
    /// Schnorr over secp256k1 as in RFC 9591.
    #[serde(rename = "schnorr-secp256k1")]
    SchnorrSecp256k1,
    /// BIP-340 under a BIP-341 output key, by FROST.
    Taproot,
}

named! {
    Scheme {
        EcdsaSecp256k1 = "ecdsa-secp256k1",
        Ed25519 = "ed25519",
        SchnorrSecp256k1 = "schnorr-secp256k1",
        Taproot = "taproot",
    } or UnknownScheme("scheme")
}

impl Scheme {
    /// The curve: `secp256k1` or `ed25519`.
    pub fn curve(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::EcdsaSecp256k1 | Self::SchnorrSecp256k1 | Self::Taproot => "secp256k1",
        }
    }

    /// True if a committee needs auxiliary information (Paillier moduli) before it
    /// can use the scheme.
    pub fn needs_aux(self) -> bool {
        match self {
            Self::EcdsaSecp256k1 => true,
            Self::Ed25519 | Self::SchnorrSecp256k1 | Self::Taproot => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serde_and_text_agree_for_every_scheme() {
        for scheme in Scheme::ALL {
            assert_eq!(
                serde_json::to_string(&scheme).unwrap(),
                format!("\"{scheme}\"")
            );
            assert_eq!(scheme.name().parse::<Scheme>().unwrap(), scheme);
        }
    }
}
