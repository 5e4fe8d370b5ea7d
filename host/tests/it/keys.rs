//! Shared secrets: a guest signs with one that it was granted, and with no other.

use std::sync::Arc;

use countersign_host::{
    HttpClient, HttpOptions, KeyGrant, KeyRing, KeyUsage, LocalServices, PluginSpec, Verdict, hs256,
};
use serde_json::json;

use crate::guests::{host, keygen, node_key, rogue, soon};

const SECRET: [u8; 32] = [7; 32];

/// The node has the secrets `hook` and `other`, and the key pair `callback`.
fn services() -> Arc<LocalServices> {
    let mut keys = KeyRing::default();
    keys.insert_signing("callback", node_key());
    keys.insert_secret("hook", hs256::Secret::new(&SECRET).unwrap());
    keys.insert_secret("other", hs256::Secret::new(&[8; 32]).unwrap());
    Arc::new(LocalServices::new(
        keys,
        HttpClient::new(&HttpOptions::default()).unwrap(),
    ))
}

/// Code and reason with which the guest reports its attempt to sign, under one grant.
async fn sign(key: &str, algorithm: &str, granted: &str, usage: KeyUsage) -> (String, String) {
    let mut spec: PluginSpec = rogue(json!({"evaluate": {"sign-by": [key, algorithm]}}));
    spec.grants.keys = vec![KeyGrant {
        name: granted.into(),
        usage,
    }];
    let plugin = host().load(&spec, services()).await.unwrap();
    match plugin.evaluate(&keygen(), soon()).await.verdict {
        Verdict::Reject { code, reason } => (code, reason),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_secret_that_was_granted_signs_and_verifies() {
    let (code, tag) = sign("hook", "HS256", "hook", KeyUsage::Mac).await;
    let expected = hs256::Secret::new(&SECRET)
        .unwrap()
        .sign(b"pay everything to me");
    assert_eq!((code.as_str(), tag), ("signed", hex::encode(expected)));
}

#[tokio::test]
async fn a_secret_that_was_not_granted_is_unknown() {
    for (key, granted, usage) in [
        ("other", "hook", KeyUsage::Mac),
        ("hook", "hook", KeyUsage::Verify),
        ("hook", "callback", KeyUsage::SignJwt),
        ("nobody's", "hook", KeyUsage::Mac),
    ] {
        assert_eq!(
            sign(key, "HS256", granted, usage).await.0,
            "unknown-key",
            "{key} with {granted}"
        );
    }
}

/// Neither is a key pair a secret, nor a secret a key pair, nor does a grant for the one reach to
/// the other.
#[tokio::test]
async fn a_key_works_with_its_own_algorithm_only() {
    for (key, algorithm, usage) in [
        ("hook", "RS256", KeyUsage::Mac),
        ("hook", "none", KeyUsage::Mac),
        ("hook", "HS256", KeyUsage::SignJwt),
        ("callback", "HS256", KeyUsage::Mac),
        ("callback", "RS256", KeyUsage::Mac),
        ("callback", "RS256", KeyUsage::SignJwt),
    ] {
        let (code, _) = sign(key, algorithm, key, usage).await;
        assert_eq!(code, "unsupported-algorithm", "{key} {algorithm} {usage:?}");
    }
}
