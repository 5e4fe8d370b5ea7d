//! The published Wycheproof cases for JSON web signatures, as answers of an approval server whose
//! key is pinned.
//!
//! None of these tokens has claims, so none can approve. A token whose signature counts is
//! therefore told from the others by its words: the callback plugin looks at the claims after the
//! signature, and at nothing but the claims.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::PublicKeyComponents;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_host::rs256::VerifyingKey;
use countersign_host::{HttpClient, HttpOptions, KeyRing, LocalServices};
use serde_json::{Value, json};

use crate::forge::node_key;
use crate::world::{Server, assert_failed, evaluate_within, http};

const PUBLISHED: &str = include_str!("../fixtures/wycheproof/json_web_signature_test.json");

/// The plugin's answer once the signature verifies.
const SIGNATURE_COUNTS: &str = "malformed token: the claims are not a JSON object";

/// Good RS256 signatures by the very key, published as invalid because the key's JWK is for
/// encryption (353, 355) or for PS512 (332). A pinned key is a PEM, which has no such members:
/// whoever pins it says that it is for RS256.
const PURPOSES_OF_A_JWK: [u64; 3] = [332, 353, 355];

struct Case {
    id: u64,
    jws: String,
    /// The key to pin.
    key: VerifyingKey,
    /// True if its key is published for RS256.
    rs256: bool,
    valid: bool,
}

/// All cases. Those without an RSA key meet the key of the first RS256 group.
fn cases() -> Vec<Case> {
    let published: Value = serde_json::from_str(PUBLISHED).unwrap();
    let groups = published["testGroups"].as_array().unwrap();
    let first = groups
        .iter()
        .find(|group| group["public"]["alg"] == "RS256")
        .unwrap();
    groups
        .iter()
        .flat_map(|group| of_group(group, &first["public"]))
        .collect()
}

fn of_group(group: &Value, otherwise: &Value) -> Vec<Case> {
    let public = group.get("public").unwrap_or(otherwise);
    let rs256 = group["public"]["alg"] == "RS256";
    let case = |test: &Value| Case {
        id: test["tcId"].as_u64().unwrap(),
        jws: test["jws"].as_str().unwrap().into(),
        key: pinned(public),
        rs256,
        valid: test["result"] == "valid",
    };
    group["tests"]
        .as_array()
        .unwrap()
        .iter()
        .map(case)
        .collect()
}

/// The key of a JWK (RFC 7518 section 6.3.1), as it is pinned.
fn pinned(jwk: &Value) -> VerifyingKey {
    let member = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    let components = PublicKeyComponents {
        n: member("n"),
        e: member("e"),
    };
    let der: PublicKeyX509Der = components.as_der().unwrap();
    VerifyingKey::from_spki(der.as_ref()).unwrap()
}

/// True if the plugin accepts the signature. It never approves.
async fn signature_counts(case: &Case) -> bool {
    let body = case.jws.clone();
    let server = Server::start(move |_, _| http("200 OK", &body)).await;
    let mut keys = KeyRing::default();
    keys.insert_signing("callback", node_key());
    keys.insert_verifying("cb", case.key.clone());
    let services = LocalServices::new(keys, HttpClient::new(&HttpOptions::default()).unwrap());
    let limit = Duration::from_secs(20);
    let evaluation = evaluate_within(&[server.url()], json!({}), Arc::new(services), limit).await;
    assert_failed(&evaluation, "");
    assert_eq!(server.asked(), 1, "case {} was not put", case.id);
    format!("{:?}", evaluation.verdict).contains(SIGNATURE_COUNTS)
}

/// Puts every case that `which` chooses, and returns how many there are: all, those that count.
async fn put(which: impl Fn(&Case) -> bool, counts: impl Fn(&Case) -> bool) -> (usize, usize) {
    let mut all = 0;
    let mut good = 0;
    for case in cases().iter().filter(|case| which(case)) {
        let expected = counts(case);
        assert_eq!(signature_counts(case).await, expected, "case {}", case.id);
        all += 1;
        good += usize::from(expected);
    }
    (all, good)
}

#[tokio::test]
async fn signatures_by_a_pinned_key_count_as_published() {
    assert_eq!(put(|case| case.rs256, |case| case.valid).await, (233, 8));
}

#[tokio::test]
async fn another_algorithm_never_counts_however_good_its_signature() {
    let other = |case: &Case| !case.rs256 && !PURPOSES_OF_A_JWK.contains(&case.id);
    assert_eq!(put(other, |_| false).await, (55, 0));
}

#[tokio::test]
async fn a_pinned_key_is_for_rs256_whatever_its_jwk_was_for() {
    assert_eq!(
        put(|case| PURPOSES_OF_A_JWK.contains(&case.id), |_| true).await,
        (3, 3)
    );
}
