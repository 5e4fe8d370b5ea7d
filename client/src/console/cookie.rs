//! The cookie of a session (RFC 6265bis).
//!
//! `__Host-` binds it to this host, all paths and a secure connection: no other host of the domain
//! can set it. No script reads it, and no request from another site carries it.

use axum::http::{HeaderMap, HeaderValue, header};

use super::random::LENGTH;

const NAME: &str = "__Host-countersign";
const ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=Strict";

/// Begins a session. The browser forgets it when it is closed.
pub(super) fn set(secret: &str) -> Option<HeaderValue> {
    let text = format!("{NAME}={secret}; {ATTRIBUTES}");
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Has the browser forget it.
pub(super) fn unset() -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("{NAME}=; {ATTRIBUTES}; Max-Age=0")).ok()
}

/// The secret that a request carries. None if there are several.
pub(super) fn of(headers: &HeaderMap) -> Option<&str> {
    let texts = headers.get_all(header::COOKIE).iter();
    let mut own = texts
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(';'))
        .filter_map(|pair| pair.trim().strip_prefix(NAME)?.strip_prefix('='));
    let (Some(secret), None) = (own.next(), own.next()) else {
        return None;
    };
    let is_secret = secret.len() == LENGTH && secret.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_secret.then_some(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn carried(cookies: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(header::COOKIE, cookie.parse().unwrap());
        }
        of(&headers).map(str::to_owned)
    }

    #[test]
    fn the_secret_is_read_among_other_cookies() {
        let secret = "ab".repeat(32);
        let own = format!("{NAME}={secret}");
        assert_eq!(carried(&[&own]).as_deref(), Some(&*secret));
        let among = format!("a=b; {own}; c=d");
        assert_eq!(carried(&[&among]).as_deref(), Some(&*secret));
        assert_eq!(carried(&["a=b", &own]).as_deref(), Some(&*secret), "HTTP/2");
    }

    #[test]
    fn whatever_is_not_exactly_one_secret_is_none() {
        let secret = "ab".repeat(32);
        let own = format!("{NAME}={secret}");
        for cookies in [
            vec![],
            vec!["a=b"],
            vec![&*own, &*own],
            vec![&*format!("{own}; {own}")],
            vec![&*format!("{own}00")],
            vec![&*format!("{NAME}={}", "zz".repeat(32))],
            vec![&*format!("x{own}")],
            vec![&*format!("countersign={secret}")],
        ] {
            assert_eq!(carried(&cookies), None, "{cookies:?}");
        }
    }

    #[test]
    fn no_script_and_no_other_site_gets_it() {
        for value in [set(&"ab".repeat(32)).unwrap(), unset().unwrap()] {
            let text = value.to_str().unwrap();
            for rule in ["__Host-", "Path=/", "Secure", "HttpOnly", "SameSite=Strict"] {
                assert!(text.contains(rule), "{rule}");
            }
            assert!(!text.contains("Domain"));
        }
    }
}
