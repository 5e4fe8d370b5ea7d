//! Which requests are those of the console's own page.
//!
//! A request needs all of these:
//!
//! - the host is the console's own. A page whose name was made to resolve to this address (DNS
//!   rebinding) still sends its own name;
//! - no `Origin` but the console's own; one that changes anything must have it, as browsers send
//!   it;
//! - `Sec-Fetch-Site`, if the browser sends it, says that it is the page's own. Only the page
//!   itself may be opened from elsewhere: that request carries no cookie, and answers with nothing
//!   secret.

use std::fmt;
use std::str::FromStr;

use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use countersign_strict::is_this_machine;
use reqwest::Url;

use super::problem::Problem;

/// By whom a request was caused, as browsers tell it (Fetch Metadata).
const SITE: &str = "sec-fetch-site";
const MODE: &str = "sec-fetch-mode";

/// The origin at which people open the console, to which passkeys are bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    text: String,
    authority: String,
    is_https: bool,
}

/// Why a text is not the origin of a console.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OriginError {
    /// It has another form than browsers send.
    #[error(
        "`{0}` is not an origin as browsers send it; write scheme, host and, if it is not the usual one, port, such as https://console.treasury.example"
    )]
    Form(String),
    /// Anybody in between could alter the pages.
    #[error(
        "`{0}` has no TLS, so the pages could be altered in transit; write https, or http://localhost with its port"
    )]
    Open(String),
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let form = || OriginError::Form(text.into());
        let url = Url::parse(text).map_err(|_| form())?;
        if url.origin().ascii_serialization() != text {
            return Err(form());
        }
        let is_https = match url.scheme() {
            "https" => true,
            "http" if url.host_str().is_some_and(is_this_machine) => false,
            "http" => return Err(OriginError::Open(text.into())),
            _ => return Err(form()),
        };
        let (_, authority) = text.split_once("://").ok_or_else(form)?;
        Ok(Self {
            text: text.into(),
            authority: authority.into(),
            is_https,
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Origin {
    /// True if browsers reach it by TLS alone.
    pub fn is_https(&self) -> bool {
        self.is_https
    }

    /// Judges a request by its head.
    pub(super) fn admit(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<(), Problem> {
        self.check_host(uri, headers)?;
        self.check_origin(method, headers)?;
        check_site(method, uri, headers)
    }

    /// HTTP/2 has the host in the URI, HTTP/1.1 in a header.
    fn check_host(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        let own = |text: &str| self.authority.eq_ignore_ascii_case(text);
        let in_uri = uri.authority().map(|authority| own(authority.as_str()));
        let mut hosts = headers.get_all(header::HOST).iter();
        let in_header = match (hosts.next(), hosts.next()) {
            (None, _) => None,
            (Some(host), None) => Some(host.to_str().is_ok_and(own)),
            (Some(_), Some(_)) => Some(false),
        };
        match (in_uri, in_header) {
            (Some(true), None | Some(true)) | (None, Some(true)) => Ok(()),
            (None, None) | (Some(false), _) | (_, Some(false)) => Err(Problem::new(
                StatusCode::MISDIRECTED_REQUEST,
                "console-host",
                "the host is not this console's; open the address that its operator names",
            )),
        }
    }

    fn check_origin(&self, method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let own = match (origins.next(), origins.next()) {
            (None, _) => method == Method::GET,
            (Some(origin), None) => origin.to_str().is_ok_and(|origin| origin == self.text),
            (Some(_), Some(_)) => false,
        };
        if own { Ok(()) } else { Err(foreign()) }
    }
}

fn check_site(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    let one = |name| {
        let mut values = headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (None, _) => Some(""),
            (Some(value), None) => value.to_str().ok(),
            (Some(_), Some(_)) => None,
        }
    };
    let opened = method == Method::GET && uri.path() == "/" && one(MODE) == Some("navigate");
    match one(SITE) {
        Some("" | "same-origin" | "none") => Ok(()),
        Some("same-site" | "cross-site") if opened => Ok(()),
        Some(_) | None => Err(foreign()),
    }
}

const fn foreign() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "console-foreign",
        "the request is not of this console's page; open the console itself",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "https://console.treasury.example";

    /// A request of the page itself, with these headers changed; an empty value removes one.
    fn admit(
        method: Method,
        path: &str,
        changes: &[(&'static str, &str)],
    ) -> Result<(), StatusCode> {
        let mut headers = HeaderMap::new();
        headers.insert("host", "console.treasury.example".parse().unwrap());
        headers.insert("origin", OWN.parse().unwrap());
        headers.insert(SITE, "same-origin".parse().unwrap());
        for (name, value) in changes {
            match *value {
                "" => drop(headers.remove(*name)),
                value => drop(headers.append(*name, value.parse().unwrap())),
            }
        }
        let origin: Origin = OWN.parse().unwrap();
        let admitted = origin.admit(&method, &path.parse().unwrap(), &headers);
        admitted.map_err(|problem| problem.status)
    }

    #[test]
    fn the_page_itself_is_let_in() {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            assert_eq!(admit(method, "/session", &[]), Ok(()));
        }
        let bare = [("origin", ""), (SITE, "")];
        assert_eq!(admit(Method::GET, "/", &bare), Ok(()));
        let h2 = format!("{OWN}/session");
        assert_eq!(admit(Method::GET, &h2, &[("host", "")]), Ok(()));
    }

    #[test]
    fn a_request_of_another_page_is_not_let_in() {
        let forbidden = Err(StatusCode::FORBIDDEN);
        for origin in [
            "null",
            "https://evil.example",
            "http://console.treasury.example",
            "https://console.treasury.example:444",
            "https://console.treasury.example.evil.example",
        ] {
            for method in [Method::GET, Method::POST] {
                let changes = [("origin", ""), ("origin", origin)];
                assert_eq!(admit(method, "/session", &changes), forbidden, "{origin}");
            }
        }
        assert_eq!(
            admit(Method::POST, "/session", &[("origin", "")]),
            forbidden
        );
        assert_eq!(
            admit(Method::GET, "/", &[("origin", OWN)]),
            forbidden,
            "two"
        );
        for site in ["cross-site", "same-site", "sibling"] {
            let changes = [("origin", ""), (SITE, ""), (SITE, site)];
            assert_eq!(
                admit(Method::GET, "/organisation", &changes),
                forbidden,
                "{site}"
            );
        }
    }

    #[test]
    fn a_link_from_elsewhere_opens_the_page_alone() {
        let link = [
            ("origin", ""),
            (SITE, ""),
            (SITE, "cross-site"),
            (MODE, "navigate"),
        ];
        assert_eq!(admit(Method::GET, "/", &link), Ok(()));
        let forbidden = Err(StatusCode::FORBIDDEN);
        assert_eq!(admit(Method::GET, "/session", &link), forbidden);
        let embedded = [
            ("origin", ""),
            (SITE, ""),
            (SITE, "cross-site"),
            (MODE, "no-cors"),
        ];
        assert_eq!(admit(Method::GET, "/", &embedded), forbidden);
    }

    #[test]
    fn a_name_that_was_made_to_lead_here_is_not_let_in() {
        let misdirected = Err(StatusCode::MISDIRECTED_REQUEST);
        for host in [
            "evil.example",
            "127.0.0.1",
            "console.treasury.example:444",
            "localhost",
        ] {
            let changes = [("host", ""), ("host", host)];
            assert_eq!(admit(Method::GET, "/", &changes), misdirected, "{host}");
        }
        assert_eq!(admit(Method::GET, "/", &[("host", "")]), misdirected);
        assert_eq!(
            admit(Method::GET, "/", &[("host", "evil.example")]),
            misdirected,
            "two"
        );
        assert_eq!(
            admit(Method::GET, "https://evil.example/", &[]),
            misdirected
        );
    }

    #[test]
    fn an_origin_has_the_form_that_browsers_send_and_tls() {
        for good in [
            OWN,
            "https://a.example:8443",
            "http://localhost:7490",
            "http://127.0.0.1:1",
        ] {
            assert_eq!(good.parse::<Origin>().unwrap().to_string(), good);
        }
        for form in [
            "",
            "a.example",
            "https://a.example/",
            "https://a.example:443",
            "HTTPS://a.example",
            "ftp://a.example",
            "https://u@a.example",
        ] {
            assert_eq!(form.parse::<Origin>(), Err(OriginError::Form(form.into())));
        }
        let open = "http://a.example";
        assert_eq!(open.parse::<Origin>(), Err(OriginError::Open(open.into())));
    }
}
