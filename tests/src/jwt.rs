//! RS256 tokens by the `rsa` crate, which the product never uses: sound ones and others.

use std::sync::OnceLock;

use anyhow::{Context, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use rsa::pkcs1v15::{Signature, SigningKey, VerifyingKey};
use rsa::pkcs8::{EncodePublicKey, LineEnding};
use rsa::signature::{SignatureEncoding, Signer, Verifier};
use rsa::{RsaPrivateKey, RsaPublicKey};
use serde_json::{Value, json};
use sha2::Sha256;

/// A key that nodes pin, and one that none does. Generating them takes a second; one pair serves
/// all servers of a process.
pub fn keys() -> &'static (RsaPrivateKey, RsaPrivateKey) {
    static KEYS: OnceLock<(RsaPrivateKey, RsaPrivateKey)> = OnceLock::new();
    KEYS.get_or_init(|| {
        let make =
            || RsaPrivateKey::new(&mut rand::rngs::OsRng, 2048).expect("the system has randomness");
        (make(), make())
    })
}

/// The public half in PEM (SubjectPublicKeyInfo).
pub fn public_pem(key: &RsaPrivateKey) -> anyhow::Result<String> {
    Ok(RsaPublicKey::from(key).to_public_key_pem(LineEnding::LF)?)
}

/// Signs a sound RS256 token.
pub fn seal(key: &RsaPrivateKey, claims: &Value) -> String {
    let input = signing_input("RS256", claims);
    let signature = SigningKey::<Sha256>::new(key.clone()).sign(input.as_bytes());
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
}

/// HS256 with the PEM of the public key, which everybody knows, as the secret.
pub fn seal_shared(key: &RsaPrivateKey, claims: &Value) -> anyhow::Result<String> {
    let input = signing_input("HS256", claims);
    let mut mac = Hmac::<Sha256>::new_from_slice(public_pem(key)?.as_bytes())?;
    mac.update(input.as_bytes());
    Ok(format!(
        "{input}.{}",
        URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
    ))
}

/// A token with `alg: none`.
pub fn unsealed(claims: &Value) -> String {
    format!("{}.", signing_input("none", claims))
}

/// The claims of a token signed by one of these keys.
pub fn claims(keys: &[RsaPublicKey], token: &str) -> anyhow::Result<Value> {
    let (input, signature) = token.rsplit_once('.').context("not a token")?;
    let signature = Signature::try_from(URL_SAFE_NO_PAD.decode(signature)?.as_slice())?;
    let fits = |key: &RsaPublicKey| {
        VerifyingKey::<Sha256>::new(key.clone())
            .verify(input.as_bytes(), &signature)
            .is_ok()
    };
    ensure!(
        keys.iter().any(fits),
        "the token is not signed by a known node"
    );
    let claims = input.split_once('.').context("not a token")?.1;
    Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims)?)?)
}

fn signing_input(algorithm: &str, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!(
        "{}.{}",
        part(&json!({ "alg": algorithm, "typ": "JWT" })),
        part(claims)
    )
}
