//! Tokens with known forms of addresses, by their chain's short name.

use countersign_verify::DeriveError;
use countersign_verify::address::{self, Network};

use crate::Curve;

/// A token, of which only the kind of its addresses matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    /// Bitcoin, main network.
    Btc,
    /// Bitcoin, test networks.
    Xtn,
    /// Ether and every other account of the EVM, on all its networks.
    Evm,
    /// Solana, on all its networks.
    Sol,
}

/// Why there is no token or no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The name is not one of [`Token::NAMES`].
    #[error("`{0}` is not a token with known addresses: use one of {names}", names = Token::NAMES.join(", "))]
    Unknown(String),
    /// The token's keys are on the other curve.
    #[error("this token's keys are on {0}, the wallet's are not: use another token or another key")]
    Curve(Curve),
    /// The key has no addresses.
    #[error(transparent)]
    Key(#[from] DeriveError),
}

impl Token {
    /// Every known name. Tokens of test networks and of other EVM chains have the addresses
    /// of the main one.
    pub const NAMES: [&str; 7] = ["BTC", "XTN", "ETH", "SETH", "MNT", "SMNT_MNT", "SOL"];

    /// The curve that the token's keys are on.
    pub fn curve(self) -> Curve {
        match self {
            Self::Btc | Self::Xtn | Self::Evm => Curve::Secp256k1,
            Self::Sol => Curve::Ed25519,
        }
    }

    /// Every kind of address of a key, with the kind's name. `key`: 33 bytes on
    /// secp256k1, 32 on Ed25519.
    pub fn addresses(
        self,
        curve: Curve,
        key: &[u8],
    ) -> Result<Vec<(&'static str, String)>, TokenError> {
        if curve != self.curve() {
            return Err(TokenError::Curve(self.curve()));
        }
        Ok(match self {
            Self::Btc => bitcoin(Network::Mainnet, key)?,
            Self::Xtn => bitcoin(Network::Testnet, key)?,
            Self::Evm => vec![("EVM", address::evm(key)?)],
            Self::Sol => vec![("Solana", address::solana(key)?)],
        })
    }
}

impl std::str::FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        Ok(match text.to_ascii_uppercase().as_str() {
            "BTC" => Self::Btc,
            "XTN" => Self::Xtn,
            "ETH" | "SETH" | "MNT" | "SMNT_MNT" => Self::Evm,
            "SOL" => Self::Sol,
            _ => return Err(TokenError::Unknown(text.chars().take(40).collect())),
        })
    }
}

fn bitcoin(network: Network, key: &[u8]) -> Result<Vec<(&'static str, String)>, DeriveError> {
    Ok(vec![
        ("P2PKH", network.p2pkh(key)?),
        ("P2SH-P2WPKH", network.p2sh_p2wpkh(key)?),
        ("P2WPKH", network.p2wpkh(key)?),
        ("P2TR", network.p2tr(key, None)?),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_token_and_tokens_stay_on_their_curve() {
        let keys = [
            (
                Curve::Secp256k1,
                "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
            ),
            (
                Curve::Ed25519,
                "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            ),
        ];
        for name in Token::NAMES {
            let token: Token = name.to_lowercase().parse().unwrap();
            for (curve, key) in keys {
                let addresses = token.addresses(curve, &hex::decode(key).unwrap());
                if curve == token.curve() {
                    assert!(!addresses.unwrap().is_empty())
                } else {
                    assert_eq!(addresses, Err(TokenError::Curve(token.curve())))
                }
            }
        }
        assert_eq!(
            "DOGE".parse::<Token>(),
            Err(TokenError::Unknown("DOGE".into()))
        );
    }
}
