//! The requester's key: its holder may order tasks.
//!
//! As text it is one line, `csr-secret1…`: bech32m (BIP-350) of the 32-byte Ed25519 seed
//! (RFC 8032). Where the text is kept is left to the caller.

use std::fmt;

use countersign_protocol::request::HttpRequest;
use countersign_protocol::{RequesterId, SignedTask, Task};
use ed25519_dalek::{Signer, SigningKey};
use zeroize::Zeroizing;

use crate::secret;

/// Prefix of the key's text form.
const PREFIX: &str = "csr-secret";

/// Signs tasks. Not `Clone`, not printable; its memory is wiped on drop.
pub struct RequesterKey {
    key: SigningKey,
    id: RequesterId,
}

/// A text that is not a requester key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is not a requester key; restore it from a backup, or make a new one with `countersign requester new`"
)]
pub struct NotAKey;

impl RequesterKey {
    /// Reads the text form. White space after it does not matter.
    pub fn parse(text: &str) -> Result<Self, NotAKey> {
        let seed = secret::seed(PREFIX, text).ok_or(NotAKey)?;
        Self::from_seed(&seed)
    }

    /// The key of a seed, 32 random bytes.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, NotAKey> {
        let key = SigningKey::from_bytes(seed);
        let id = RequesterId::from_bytes(key.verifying_key().to_bytes()).map_err(|_| NotAKey)?;
        Ok(Self { key, id })
    }

    /// The text form of a seed, without a line end.
    pub fn text_of(seed: &[u8; 32]) -> Result<Zeroizing<String>, NotAKey> {
        secret::text_of(PREFIX, seed).ok_or(NotAKey)
    }

    /// The public half, which nodes list.
    pub fn id(&self) -> RequesterId {
        self.id
    }

    /// The seed, for proving the key in a handshake.
    pub fn expose_seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.key.to_bytes())
    }

    /// Signs the task's exact bytes with this key.
    pub fn sign(&self, task: &Task) -> SignedTask {
        let bytes = task.to_bytes();
        let signature = self
            .key
            .sign(&SignedTask::signed_message(&bytes))
            .to_bytes();
        SignedTask {
            bytes,
            signature: signature.into(),
        }
    }

    /// Signs a request to a coordinator.
    pub fn sign_request(&self, request: &HttpRequest<'_>) -> [u8; 64] {
        self.key.sign(&request.signed_message()).to_bytes()
    }
}

impl fmt::Debug for RequesterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequesterKey({}, ..)", self.id)
    }
}
