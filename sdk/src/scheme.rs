//! The signature schemes and curves of keys: the values of [`Key::scheme`](crate::Key::scheme) and
//! [`Key::curve`](crate::Key::curve). Plugins that translate them test themselves with these lists.

/// ECDSA over secp256k1.
pub const ECDSA_SECP256K1: &str = "ecdsa-secp256k1";
/// Ed25519 (RFC 8032).
pub const ED25519: &str = "ed25519";
/// Schnorr over secp256k1 as in RFC 9591.
pub const SCHNORR_SECP256K1: &str = "schnorr-secp256k1";
/// BIP-340 under a BIP-341 output key.
pub const TAPROOT: &str = "taproot";

/// All schemes.
pub const ALL: [&str; 4] = [ECDSA_SECP256K1, ED25519, SCHNORR_SECP256K1, TAPROOT];

/// All curves.
pub const CURVES: [&str; 2] = ["secp256k1", "ed25519"];
