//! The cookies of a session, and of somebody who is about to sign in (RFC 6265bis).
//!
//! `__Host-` binds them to this host, all paths and a secure connection: no other host of the
//! domain can set them. No script reads them, and no request from another site carries them.

use axum::http::{HeaderMap, HeaderValue, header};

use super::random::LENGTH;

const ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=Strict";

/// A cookie by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cookie(&'static str);

impl Cookie {
    /// Of a session.
    pub(super) const SESSION: Self = Self("__Host-countersign");
    /// Of a browser that was asked to sign in by passkey.
    pub(super) const SIGN_IN: Self = Self("__Host-countersign-sign-in");

    /// Sets it. The browser forgets it when it is closed.
    pub(super) fn set(self, secret: &str) -> Option<HeaderValue> {
        let text = format!("{}={secret}; {ATTRIBUTES}", self.0);
        let mut value = HeaderValue::from_str(&text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// Has the browser forget it.
    pub(super) fn unset(self) -> Option<HeaderValue> {
        HeaderValue::from_str(&format!("{}=; {ATTRIBUTES}; Max-Age=0", self.0)).ok()
    }

    /// The secret that a request carries. None if there are several.
    pub(super) fn of(self, headers: &HeaderMap) -> Option<&str> {
        let texts = headers.get_all(header::COOKIE).iter();
        let mut own = texts
            .filter_map(|value| value.to_str().ok())
            .flat_map(|text| text.split(';'))
            .filter_map(|pair| pair.trim().strip_prefix(self.0)?.strip_prefix('='));
        let (Some(secret), None) = (own.next(), own.next()) else {
            return None;
        };
        let is_secret =
            secret.len() == LENGTH && secret.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_secret.then_some(secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn carried(cookies: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(header::COOKIE, cookie.parse().unwrap());
        }
        Cookie::SESSION.of(&headers).map(str::to_owned)
    }

    #[test]
    fn the_secret_is_read_among_other_cookies() {
        let secret = "ab".repeat(32);
        let own = format!("{}={secret}", Cookie::SESSION.0);
        assert_eq!(carried(&[&own]).as_deref(), Some(&*secret));
        let among = format!("a=b; {own}; c=d");
        assert_eq!(carried(&[&among]).as_deref(), Some(&*secret));
        assert_eq!(carried(&["a=b", &own]).as_deref(), Some(&*secret), "HTTP/2");
    }

    #[test]
    fn whatever_is_not_exactly_one_secret_is_none() {
        let secret = "ab".repeat(32);
        let own = format!("{}={secret}", Cookie::SESSION.0);
        for cookies in [
            vec![],
            vec!["a=b"],
            vec![&*own, &*own],
            vec![&*format!("{own}; {own}")],
            vec![&*format!("{own}00")],
            vec![&*format!("{}={}", Cookie::SESSION.0, "zz".repeat(32))],
            vec![&*format!("{}={secret}", Cookie::SIGN_IN.0)],
            vec![&*format!("x{own}")],
            vec![&*format!("countersign={secret}")],
        ] {
            assert_eq!(carried(&cookies), None, "{cookies:?}");
        }
    }

    #[test]
    fn no_script_and_no_other_site_gets_it() {
        for cookie in [Cookie::SESSION, Cookie::SIGN_IN] {
            for value in [cookie.set(&"ab".repeat(32)), cookie.unset()] {
                let value = value.unwrap();
                let text = value.to_str().unwrap();
                for rule in ["__Host-", "Path=/", "Secure", "HttpOnly", "SameSite=Strict"] {
                    assert!(text.contains(rule), "{rule}");
                }
                assert!(!text.contains("Domain"));
            }
        }
    }
}
