//! API keys: random bearer secrets of which only the SHA-256 is kept, each with scopes.

use countersign_protocol::Hash;
use rand::RngCore;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Look at tasks, wallets and nodes.
    Read,
    /// Hand in tasks. Whether nodes obey depends on the requester's signature, not on this.
    Create,
}

/// A key as the configuration holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// Whose it is, for logs.
    pub name: String,
    /// SHA-256 of the key's text.
    pub sha256: Hash,
    /// What it may do.
    pub scopes: Vec<Scope>,
}

/// Why a request is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Denied {
    /// No key, or one that is not listed.
    #[error(
        "no valid API key; send `Authorization: Bearer` with a key made by `countersign-coordinator api-key new`"
    )]
    Unauthorised,
    /// A key for something else.
    #[error(
        "the API key lacks the scope for this; use one that has it, or add the scope in the configuration"
    )]
    Scope,
}

/// Makes a key. The text is shown once; the entry goes into the configuration.
pub fn generate(name: &str, scopes: Vec<Scope>) -> (Zeroizing<String>, ApiKey) {
    let mut secret = Zeroizing::new([0; 32]);
    rand::rngs::OsRng.fill_bytes(&mut secret[..]);
    let text = Zeroizing::new(format!("{PREFIX}{}", *Zeroizing::new(hex::encode(&secret[..]))));
    let entry = ApiKey { name: name.into(), sha256: fingerprint(&text), scopes };
    (text, entry)
}

/// The entry of the presented key, if it has the scope. Every entry is compared, in constant time.
pub fn check<'a>(keys: &'a [ApiKey], presented: Option<&str>, scope: Scope) -> Result<&'a ApiKey, Denied> {
    let hash = fingerprint(presented.ok_or(Denied::Unauthorised)?);
    let mut found = None;
    for key in keys {
        if bool::from(key.sha256.as_bytes().ct_eq(hash.as_bytes())) {
            found = Some(key);
        }
    }
    let key = found.ok_or(Denied::Unauthorised)?;
    if key.scopes.contains(&scope) { Ok(key) } else { Err(Denied::Scope) }
}

fn fingerprint(text: &str) -> Hash {
    Hash(Sha256::digest(text.as_bytes()).into())
}

/// So that a key that leaked into a file is found by a scanner.
const PREFIX: &str = "csapi_";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_key_with_the_scope_is_let_in() {
        let (text, entry) = generate("ops", vec![Scope::Read]);
        let (other, _) = generate("ops", vec![Scope::Read]);
        let keys = [entry.clone()];
        assert_eq!(check(&keys, Some(&text), Scope::Read), Ok(&entry));
        assert_eq!(check(&keys, Some(&text), Scope::Create), Err(Denied::Scope));
        for wrong in [None, Some(""), Some(&text[..text.len() - 1]), Some(other.as_str())] {
            assert_eq!(check(&keys, wrong, Scope::Read), Err(Denied::Unauthorised));
        }
    }

    #[test]
    fn the_entry_does_not_hold_the_key() {
        let (text, entry) = generate("ops", vec![Scope::Read]);
        let shown = serde_json::to_string(&entry).unwrap();
        assert!(!shown.contains(&text[PREFIX.len()..]), "{shown}");
    }
}
