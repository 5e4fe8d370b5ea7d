//! Only the pinned key and RS256 count, regardless of what the header offers.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384,
    RSA_PKCS1_SHA512, RSA_PSS_SHA256,
};
use serde_json::json;

use crate::forge::*;
use crate::world::*;

const FORGED: &str = "not signed by the expected key";
const ALG: &str = "`alg` is not RS256";

fn header(alg: &str) -> String {
    json!({"alg": alg, "typ": "JWT"}).to_string()
}

#[tokio::test]
async fn approver_signs_with_a_key_that_nobody_pinned() {
    assert_disbelieved(
        |r| token(&stranger_key(), RS256, &claims(r).to_string()),
        FORGED,
    )
    .await;
}

#[tokio::test]
async fn approver_signs_with_the_nodes_own_key() {
    assert_disbelieved(
        |r| token(&node_key(), RS256, &claims(r).to_string()),
        FORGED,
    )
    .await;
}

#[tokio::test]
async fn approver_reflects_the_request() {
    assert_disbelieved(|r| r.token.clone(), FORGED).await;
}

#[tokio::test]
async fn approver_sends_an_empty_signature() {
    assert_disbelieved(
        |r| format!("{}.", signing_input(RS256, &claims(r).to_string())),
        FORGED,
    )
    .await;
}

#[tokio::test]
async fn approver_sends_a_signature_of_zeros() {
    let zeros = base64url([0; 256]);
    assert_disbelieved(
        move |r| format!("{}.{zeros}", signing_input(RS256, &claims(r).to_string())),
        FORGED,
    )
    .await;
}

#[tokio::test]
async fn approver_cuts_the_signature_by_a_byte() {
    assert_disbelieved(
        |r| {
            let input = signing_input(RS256, &claims(r).to_string());
            let signature = server_key().sign(input.as_bytes()).unwrap();
            format!("{input}.{}", base64url(&signature[..255]))
        },
        FORGED,
    )
    .await;
}

#[tokio::test]
async fn approver_flips_a_bit_of_the_signature() {
    assert_disbelieved(
        |r| {
            let input = signing_input(RS256, &claims(r).to_string());
            let mut signature = server_key().sign(input.as_bytes()).unwrap();
            signature[128] ^= 1;
            format!("{input}.{}", base64url(signature))
        },
        FORGED,
    )
    .await;
}

#[tokio::test]
async fn approver_puts_other_claims_under_a_genuine_signature() {
    assert_disbelieved(
        |r| {
            let genuine = decided(r, "REJECT");
            let signature = genuine.rsplit_once('.').unwrap().1;
            format!(
                "{}.{signature}",
                signing_input(RS256, &claims(r).to_string())
            )
        },
        FORGED,
    )
    .await;
}

#[tokio::test]
async fn approver_says_alg_none_in_lower_case() {
    assert_disbelieved(
        |r| {
            format!(
                "{}.",
                signing_input(&header("none"), &claims(r).to_string())
            )
        },
        ALG,
    )
    .await;
}

#[tokio::test]
async fn approver_says_alg_none_capitalised() {
    assert_disbelieved(
        |r| {
            format!(
                "{}.",
                signing_input(&header("None"), &claims(r).to_string())
            )
        },
        ALG,
    )
    .await;
}

#[tokio::test]
async fn approver_says_alg_none_in_capitals() {
    assert_disbelieved(
        |r| {
            format!(
                "{}.",
                signing_input(&header("NONE"), &claims(r).to_string())
            )
        },
        ALG,
    )
    .await;
}

#[tokio::test]
async fn approver_says_alg_none_over_a_genuine_signature() {
    assert_disbelieved(
        |r| token(&server_key(), &header("none"), &claims(r).to_string()),
        ALG,
    )
    .await;
}

#[tokio::test]
async fn approver_says_rs256_in_lower_case() {
    assert_disbelieved(
        |r| token(&server_key(), &header("rs256"), &claims(r).to_string()),
        ALG,
    )
    .await;
}

#[tokio::test]
async fn approver_uses_the_public_key_pem_as_a_shared_secret() {
    assert_disbelieved(
        |r| {
            token_hs256(
                server_key().verifying_key().to_pem().as_bytes(),
                &claims(r).to_string(),
            )
        },
        ALG,
    )
    .await;
}

#[tokio::test]
async fn approver_uses_the_public_key_der_as_a_shared_secret() {
    assert_disbelieved(
        |r| {
            token_hs256(
                server_key().verifying_key().spki_der(),
                &claims(r).to_string(),
            )
        },
        ALG,
    )
    .await;
}

#[tokio::test]
async fn approver_signs_rs384() {
    assert_disbelieved(
        |r| token_by(&RSA_PKCS1_SHA384, &header("RS384"), &claims(r).to_string()),
        ALG,
    )
    .await;
}

#[tokio::test]
async fn approver_signs_rs512() {
    assert_disbelieved(
        |r| token_by(&RSA_PKCS1_SHA512, &header("RS512"), &claims(r).to_string()),
        ALG,
    )
    .await;
}

#[tokio::test]
async fn approver_signs_ps256() {
    assert_disbelieved(
        |r| token_by(&RSA_PSS_SHA256, &header("PS256"), &claims(r).to_string()),
        ALG,
    )
    .await;
}

#[tokio::test]
async fn approver_signs_rs512_and_says_rs256() {
    assert_disbelieved(
        |r| token_by(&RSA_PKCS1_SHA512, RS256, &claims(r).to_string()),
        FORGED,
    )
    .await;
}

#[tokio::test]
async fn approver_signs_ps256_and_says_rs256() {
    assert_disbelieved(
        |r| token_by(&RSA_PSS_SHA256, RS256, &claims(r).to_string()),
        FORGED,
    )
    .await;
}

#[tokio::test]
async fn approver_signs_es256() {
    let pkcs8 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
        .unwrap()
        .to_pkcs8v1()
        .unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref()).unwrap();
    assert_disbelieved(
        move |r| {
            let input = signing_input(&header("ES256"), &claims(r).to_string());
            let signature = pair.sign(&SystemRandom::new(), input.as_bytes()).unwrap();
            format!("{input}.{}", base64url(signature))
        },
        ALG,
    )
    .await;
}

#[tokio::test]
async fn approver_leaves_out_the_algorithm() {
    assert_disbelieved(
        |r| token(&server_key(), r#"{"typ":"JWT"}"#, &claims(r).to_string()),
        ALG,
    )
    .await;
}

#[tokio::test]
async fn approver_lists_algorithms() {
    assert_disbelieved(
        |r| {
            token(
                &server_key(),
                r#"{"alg":["RS256"]}"#,
                &claims(r).to_string(),
            )
        },
        ALG,
    )
    .await;
}

#[tokio::test]
async fn approver_names_two_algorithms() {
    let twice = r#"{"alg":"none","alg":"RS256"}"#;
    assert_disbelieved(
        move |r| token(&server_key(), twice, &claims(r).to_string()),
        "malformed token",
    )
    .await;
}

#[tokio::test]
async fn approver_says_the_token_is_not_a_jwt() {
    let other = r#"{"alg":"RS256","typ":"JOSE+JSON"}"#;
    assert_disbelieved(
        move |r| token(&server_key(), other, &claims(r).to_string()),
        "`typ` is not JWT",
    )
    .await;
}

#[tokio::test]
async fn approver_demands_an_extension() {
    let crit = r#"{"alg":"RS256","crit":["b64"],"b64":false}"#;
    assert_disbelieved(
        move |r| token(&server_key(), crit, &claims(r).to_string()),
        "`crit`",
    )
    .await;
}

#[tokio::test]
async fn approver_encloses_its_own_key_as_jwk() {
    let der = stranger_key().verifying_key().spki_der().to_vec();
    // The modulus lies at the end of the document, before the exponent 65537.
    let n = base64url(&der[der.len() - 261..der.len() - 5]);
    let header = json!({"alg": "RS256", "typ": "JWT", "jwk": {"kty": "RSA", "e": "AQAB", "n": n}})
        .to_string();
    assert_disbelieved(
        move |r| token(&stranger_key(), &header, &claims(r).to_string()),
        FORGED,
    )
    .await;
}

/// The header points to a key on another server, which must stay unasked.
async fn assert_not_fetched(member: &str) {
    let bystander = Server::bystander().await;
    let mut header = json!({"alg": "RS256", "typ": "JWT"});
    header[member] = bystander.url().into();
    let header = header.to_string();
    assert_disbelieved(
        move |r| token(&stranger_key(), &header, &claims(r).to_string()),
        FORGED,
    )
    .await;
    assert_eq!(bystander.asked(), 0);
}

#[tokio::test]
async fn approver_points_to_a_key_set_with_jku() {
    assert_not_fetched("jku").await;
}

#[tokio::test]
async fn approver_points_to_a_certificate_with_x5u() {
    assert_not_fetched("x5u").await;
}

#[tokio::test]
async fn approver_points_to_a_file_with_kid() {
    let header = json!({"alg": "RS256", "typ": "JWT", "kid": "../../../../dev/null"}).to_string();
    assert_disbelieved(
        move |r| token(&stranger_key(), &header, &claims(r).to_string()),
        FORGED,
    )
    .await;
}

#[tokio::test]
async fn approver_names_another_key_of_the_node_with_kid() {
    let header = json!({"alg": "RS256", "typ": "JWT", "kid": "callback"}).to_string();
    assert_disbelieved(
        move |r| token(&node_key(), &header, &claims(r).to_string()),
        FORGED,
    )
    .await;
}

#[tokio::test]
async fn a_harmless_kid_is_ignored() {
    let header = json!({"alg": "RS256", "typ": "jwt", "kid": "2026-01"}).to_string();
    assert_approved(move |r| token_by(&RSA_PKCS1_SHA256, &header, &claims(r).to_string())).await;
}
