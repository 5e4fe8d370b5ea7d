//! Signing in at a page by passkey. The page makes the challenge of the server's nonce itself, so
//! no server has a vote or an order signed in its place.

use countersign_vote::{SignIn, low_s};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// What a page asks a passkey for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// The page's own origin.
    origin: String,
    /// 32 bytes of the page's server.
    #[serde(with = "hex::serde")]
    nonce: [u8; 32],
}

/// The bytes that the passkey signs.
#[derive(Serialize)]
pub struct Message {
    #[serde(with = "hex::serde")]
    challenge: [u8; 32],
}

/// The challenge of a sign-in.
pub fn message(Asked { origin, nonce }: Asked) -> Result<Message, Failure> {
    let asked = SignIn {
        origin: &origin,
        nonce: &nonce,
    };
    Ok(Message {
        challenge: asked.signed_message(),
    })
}

/// What an authenticator returned.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Returned {
    #[serde(with = "hex::serde")]
    client_data: Vec<u8>,
    #[serde(with = "hex::serde")]
    authenticator_data: Vec<u8>,
    #[serde(with = "hex::serde")]
    signature: Vec<u8>,
}

/// The same, with the signature in the one form that the server takes.
pub fn answer(returned: Returned) -> Result<Returned, Failure> {
    let signature = low_s(&returned.signature).map_err(Failure::usage)?;
    Ok(Returned {
        signature,
        ..returned
    })
}
