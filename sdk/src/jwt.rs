//! Compact JWS (RFC 7515) with exactly one algorithm, RS256, over keys that the node holds.
//!
//! The header never chooses anything: a token that is not RS256 under the named key is refused,
//! however it presents itself (`none`, `HS256`, an embedded key).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{Failure, Host, KeyError, json};

const ALGORITHM: &str = "RS256";
const NOT_THREE_PARTS: TokenError = TokenError::Malformed("not three parts");
const HEADER: &str = r#"{"alg":"RS256","typ":"JWT"}"#;

/// Seconds from 1970 to the year 10000: later times are mistakes, not dates.
const YEAR_10000: f64 = 253_402_300_800.0;
/// Seconds by which the signer's clock may be ahead.
const CLOCK_SKEW: f64 = 60.0;

/// Reasons why a token is not valid.
#[derive(Debug, PartialEq)]
#[non_exhaustive]
pub enum TokenError {
    /// It is not three parts of strict base64url with JSON objects without repeated members.
    Malformed(&'static str),
    /// The header asks for something other than RS256, or for an extension.
    Header(&'static str),
    /// The signature was not made by the named key.
    Signature,
    /// `exp` is missing, not a number, not a date, or not in the future.
    Expired(&'static str),
    /// `nbf` is not a number, or more than a minute ahead.
    Early(&'static str),
    /// The node could not verify the signature.
    Key(KeyError),
}

impl std::fmt::Display for TokenError {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Self::Malformed(what) => write!(f, "malformed token: {what}"),
            Self::Header(what) => write!(f, "token header: {what}"),
            Self::Signature => f.write_str("the token is not signed by the expected key"),
            Self::Expired(what) => write!(f, "token expiry: {what}"),
            Self::Early(what) => write!(f, "token not valid yet: {what}"),
            Self::Key(error) => write!(f, "cannot verify the token: {error}"),
        }
    }
}

impl std::error::Error for TokenError {}

/// Signs `claims` with the node's private key named `key`.
pub fn sign(host: &impl Host, key: &str, claims: &impl Serialize) -> Result<String, Failure> {
    let claims = json::ascii(claims).map_err(|error| Failure::Internal(error.to_string()))?;
    let mut token = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(HEADER),
        URL_SAFE_NO_PAD.encode(claims)
    );
    let signature = host.sign(key, ALGORITHM, token.as_bytes())?;
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    Ok(token)
}

/// Verifies `token` under the public key named `key` and returns its claims. `exp` (seconds since
/// 1970) is required and must lie in the future.
pub fn verify(host: &impl Host, key: &str, token: &str) -> Result<Map<String, Value>, TokenError> {
    let claims = verify_signature(host, key, token)?;
    check_expiry(&claims, host.now())?;
    check_start(&claims, host.now())?;
    Ok(claims)
}

/// Like [`verify`], for protocols whose tokens need not expire: an `exp` counts if present. Such a
/// token is valid for ever, so the caller must find in its claims the one request that it answers.
pub fn verify_answer(
    host: &impl Host,
    key: &str,
    token: &str,
) -> Result<Map<String, Value>, TokenError> {
    let claims = verify_signature(host, key, token)?;
    if claims.contains_key("exp") {
        check_expiry(&claims, host.now())?;
    }
    check_start(&claims, host.now())?;
    Ok(claims)
}

fn verify_signature(
    host: &impl Host,
    key: &str,
    token: &str,
) -> Result<Map<String, Value>, TokenError> {
    let (signed, signature) = token.rsplit_once('.').ok_or(NOT_THREE_PARTS)?;
    let (header, claims) = signed.split_once('.').ok_or(NOT_THREE_PARTS)?;
    if claims.contains('.') {
        return Err(NOT_THREE_PARTS);
    }
    check_header(&object(header, "the header is not a JSON object")?)?;
    let signature = decode(signature)?;
    if !host
        .verify(key, ALGORITHM, signed.as_bytes(), &signature)
        .map_err(TokenError::Key)?
    {
        return Err(TokenError::Signature);
    }
    object(claims, "the claims are not a JSON object")
}

fn check_header(header: &Map<String, Value>) -> Result<(), TokenError> {
    if header.get("alg").and_then(Value::as_str) != Some(ALGORITHM) {
        return Err(TokenError::Header("`alg` is not RS256"));
    }
    let typ_fits = match header.get("typ") {
        None | Some(Value::Null) => true,
        Some(typ) => typ
            .as_str()
            .is_some_and(|typ| typ.eq_ignore_ascii_case("JWT")),
    };
    if !typ_fits {
        return Err(TokenError::Header("`typ` is not JWT"));
    }
    // RFC 7515 4.1.11: an extension that is not understood must not be ignored.
    if header.contains_key("crit") {
        return Err(TokenError::Header("`crit` names extensions"));
    }
    Ok(())
}

/// A NumericDate (RFC 7519 section 2), without leeway.
fn check_expiry(claims: &Map<String, Value>, now_ms: u64) -> Result<(), TokenError> {
    let exp = claims
        .get("exp")
        .ok_or(TokenError::Expired("`exp` is missing"))?;
    let exp = exp
        .as_f64()
        .ok_or(TokenError::Expired("`exp` is not a number"))?;
    if exp >= YEAR_10000 {
        return Err(TokenError::Expired("`exp` is not a date"));
    }
    if exp * 1000.0 > now_ms as f64 {
        Ok(())
    } else {
        Err(TokenError::Expired("`exp` has passed"))
    }
}

/// `nbf` may be missing or null, as with some servers. Nothing here depends on a token's age,
/// so `iat` is ignored.
fn check_start(claims: &Map<String, Value>, now_ms: u64) -> Result<(), TokenError> {
    match claims.get("nbf") {
        None | Some(Value::Null) => Ok(()),
        Some(nbf) => match nbf.as_f64() {
            Some(nbf) if (nbf - CLOCK_SKEW) * 1000.0 <= now_ms as f64 => Ok(()),
            Some(_) => Err(TokenError::Early("`nbf` lies in the future")),
            None => Err(TokenError::Early("`nbf` is not a number")),
        },
    }
}

fn object(part: &str, otherwise: &'static str) -> Result<Map<String, Value>, TokenError> {
    json::strict(&decode(part)?).map_err(|_| TokenError::Malformed(otherwise))
}

/// Unpadded base64url without stray bits: one token has one spelling.
fn decode(part: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| TokenError::Malformed("a part is not base64url"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::MockHost;

    const NOW_S: u64 = MockHost::NOW / 1000;

    fn host() -> MockHost {
        MockHost::default().with_key("mine").with_key("other")
    }

    fn token(host: &MockHost, header: &Value, claims: &str) -> String {
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(claims)
        );
        let signature = host.sign("mine", "RS256", signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    #[test]
    fn what_was_signed_verifies() {
        let host = host();
        let token = sign(&host, "mine", &json!({"exp": NOW_S + 1, "a": "ü"})).unwrap();
        assert_eq!(verify(&host, "mine", &token).unwrap()["a"], "ü");
        assert_eq!(verify(&host, "other", &token), Err(TokenError::Signature));
    }

    #[test]
    fn the_header_chooses_nothing() {
        let host = host();
        let claims = json!({"exp": NOW_S + 60}).to_string();
        for header in [
            json!({"alg": "none"}),
            json!({"alg": "HS256"}),
            json!({"typ": "JWT"}),
            json!({"alg": null}),
        ] {
            let error = verify(&host, "mine", &token(&host, &header, &claims));
            assert_eq!(
                error,
                Err(TokenError::Header("`alg` is not RS256")),
                "{header}"
            );
        }
        for header in [
            json!({"alg": "RS256", "typ": "JOSE"}),
            json!({"alg": "RS256", "crit": ["b64"], "b64": false}),
        ] {
            assert!(matches!(
                verify(&host, "mine", &token(&host, &header, &claims)),
                Err(TokenError::Header(_))
            ));
        }
        assert!(
            verify(
                &host,
                "mine",
                &token(&host, &json!({"alg": "RS256"}), &claims)
            )
            .is_ok()
        );
    }

    #[test]
    fn expiry_is_required_and_lies_in_the_future() {
        let host = host();
        let header = json!({"alg": "RS256", "typ": "JWT"});
        for claims in [
            json!({}),
            json!({"exp": null}),
            json!({"exp": "9999999999"}),
            json!({"exp": NOW_S}),
            json!({"exp": NOW_S - 1}),
            json!({"exp": -1}),
            json!({"exp": 1e300}),
        ] {
            let error = verify(&host, "mine", &token(&host, &header, &claims.to_string()));
            assert!(matches!(error, Err(TokenError::Expired(_))), "{claims}");
        }
    }

    #[test]
    fn an_answer_may_lack_an_expiry_but_not_have_a_passed_one() {
        let host = host();
        let header = json!({"alg": "RS256", "typ": "JWT"});
        let answer = |claims: Value| {
            verify_answer(&host, "mine", &token(&host, &header, &claims.to_string()))
        };
        assert!(answer(json!({"iat": NOW_S})).is_ok());
        assert!(answer(json!({"exp": NOW_S + 1})).is_ok());
        for exp in [json!(NOW_S), json!(null), json!("9999999999")] {
            assert!(matches!(
                answer(json!({"exp": exp})),
                Err(TokenError::Expired(_))
            ));
        }
        let unsigned = token(&host, &json!({"alg": "none"}), "{}");
        assert!(matches!(
            verify_answer(&host, "mine", &unsigned),
            Err(TokenError::Header(_))
        ));
    }

    #[test]
    fn a_start_of_validity_is_heeded_if_there_is_one() {
        let host = host();
        let header = json!({"alg": "RS256", "typ": "JWT"});
        let claims =
            |nbf: Value| json!({"exp": NOW_S + 600, "nbf": nbf, "iat": NOW_S + 600}).to_string();
        for nbf in [Value::Null, json!(NOW_S), json!(NOW_S + 60), json!(0)] {
            assert!(
                verify(&host, "mine", &token(&host, &header, &claims(nbf.clone()))).is_ok(),
                "{nbf}"
            );
        }
        for nbf in [json!(NOW_S + 61), json!("0"), json!([])] {
            let error = verify(&host, "mine", &token(&host, &header, &claims(nbf.clone())));
            assert!(matches!(error, Err(TokenError::Early(_))), "{nbf}");
        }
    }

    #[test]
    fn spelling_is_strict() {
        let host = host();
        let good = sign(&host, "mine", &json!({"exp": NOW_S + 60})).unwrap();
        let repeated = token(
            &host,
            &json!({"alg": "RS256"}),
            &format!(r#"{{"exp":1,"exp":{}}}"#, NOW_S + 60),
        );
        let bad = [
            String::new(),
            "a.b".into(),
            format!("{good}="),
            format!("{good}.x"),
            format!(" {good}"),
            repeated,
        ];
        for token in bad {
            assert!(verify(&host, "mine", &token).is_err(), "{token}");
        }
    }
}
