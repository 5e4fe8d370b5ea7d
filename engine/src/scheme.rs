//! Maps a scheme to its suite. The list of schemes is [`countersign_protocol::Scheme`]; to add one:
//! a variant there, a line in `with_suite!`, and a [`Suite`](crate::sign::Suite) for it.

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

#[cfg(test)]
mod tests {
    use crate::Scheme;

    #[test]
    fn every_scheme_has_its_own_suite() {
        for scheme in Scheme::ALL {
            assert_eq!(
                with_suite!(scheme, S => <S as crate::sign::Suite>::SCHEME),
                scheme
            );
        }
    }
}
