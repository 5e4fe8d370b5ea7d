//! Who may use the endpoint: programs on this machine that know its token, and no page in a
//! browser.
//!
//! Any page that a person opens can send requests to loopback. So a request needs all of these:
//!
//! - a `Host` that is the listener's own address. A page whose name was made to resolve to
//!   127.0.0.1 (DNS rebinding) still sends its own name;
//! - no `Origin`, which every browser adds and a page cannot remove, unless the operator listed it;
//! - the method POST with the content type `application/json`, which a page cannot send to another
//!   origin without asking first;
//! - the token: in the path, since tools take nothing but a URL, or as a bearer token.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use rand::RngCore;
use zeroize::Zeroizing;

use crate::error::ClientError;
use crate::secret_file::{create_secret, read_secret};

/// Random bytes in a new token.
const RANDOM: usize = 24;
/// Lengths of a token, in characters.
const LENGTHS: std::ops::RangeInclusive<usize> = 24..=128;

/// The secret part of the endpoint's URL. Not `Clone`, not printable; its memory is wiped on drop.
pub struct Token(Zeroizing<String>);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl Token {
    /// Makes a token for one run of the program.
    pub fn random() -> Self {
        let mut bytes = Zeroizing::new([0; RANDOM]);
        rand::rngs::OsRng.fill_bytes(&mut bytes[..]);
        Self(Zeroizing::new(hex::encode(&bytes[..])))
    }

    /// Reads the token of a file of mode 0600. If there is no file, makes one with a new token.
    pub fn of_file(path: &Path) -> Result<Self, ClientError> {
        if path.symlink_metadata().is_err() {
            return Self::create(path);
        }
        let advice = "name a file of mode 600 with a token, or one that does not exist yet";
        let text = read_secret(path, advice)?;
        let text = text.trim();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if !LENGTHS.contains(&text.len()) || !text.bytes().all(plain) {
            return Err(ClientError::File {
                path: path.into(),
                reason: "this is no token: 24 to 128 letters, digits, `-` and `_`".into(),
                advice: "remove the file, and a new token is made",
            });
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// The token, to be shown to the person who started the endpoint.
    pub fn expose(&self) -> &str {
        &self.0
    }

    fn create(path: &Path) -> Result<Self, ClientError> {
        let made = Self::random();
        create_secret(path, &made.0)?;
        Ok(made)
    }

    /// Compares all bytes, so that the time does not tell how many of them are right.
    fn is(&self, text: &str) -> bool {
        let own = self.0.as_bytes();
        let differences = own.iter().zip(text.bytes()).map(|(own, given)| own ^ given);
        own.len() == text.len() && differences.fold(0, |all, one| all | one) == 0
    }
}

/// An option that would open the endpoint to others.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GateError {
    /// An address that other machines reach.
    #[error("{0} is reached from other machines; listen on loopback, such as 127.0.0.1:8546")]
    Listen(SocketAddr),
    /// An origin that no browser sends.
    #[error(
        "`{0}` is not an origin; write scheme, host and, if need be, port, such as https://app.example"
    )]
    Origin(String),
}

impl From<GateError> for ClientError {
    fn from(error: GateError) -> Self {
        Self::Usage(error.to_string())
    }
}

/// The listener's address, its token, and the origins of pages that the operator listed.
#[derive(Debug)]
pub struct Gate {
    hosts: Vec<String>,
    token: Token,
    origins: Vec<String>,
}

/// A request that may go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Admitted {
    /// Its body is to be read.
    Call,
    /// A browser asks on behalf of a listed page whether it may call.
    Preflight,
}

/// Why a request goes no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Closed {
    pub(super) status: StatusCode,
    pub(super) why: &'static str,
}

impl Gate {
    /// A gate for a listener at this address, which must be on loopback.
    pub fn new(address: SocketAddr, token: Token, origins: Vec<String>) -> Result<Self, GateError> {
        if !address.ip().to_canonical().is_loopback() {
            return Err(GateError::Listen(address));
        }
        if let Some(wrong) = origins.iter().find(|origin| !is_origin(origin)) {
            return Err(GateError::Origin(wrong.clone()));
        }
        let port = address.port();
        let hosts = vec![address.to_string(), format!("localhost:{port}")];
        Ok(Self {
            hosts,
            token,
            origins,
        })
    }

    /// Judges a request by its head.
    pub(super) fn admit(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<Admitted, Closed> {
        self.check_host(uri, headers)?;
        let listed = self.check_origin(headers)?;
        if method == Method::OPTIONS && listed {
            // A browser sends it without bearer token, and it does nothing.
            return Ok(Admitted::Preflight);
        }
        if method != Method::POST {
            return Err(closed(
                StatusCode::METHOD_NOT_ALLOWED,
                "send JSON-RPC by POST",
            ));
        }
        self.check_token(uri, headers)?;
        check_type(headers)?;
        Ok(Admitted::Call)
    }

    /// The origin to name in an answer, if the request's is listed.
    pub(super) fn listed_origin(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(header::ORIGIN)?;
        let text = origin.to_str().ok()?;
        self.origins
            .iter()
            .any(|listed| listed == text)
            .then(|| origin.clone())
    }

    fn check_host(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Closed> {
        let wrong = closed(
            StatusCode::MISDIRECTED_REQUEST,
            "the host is not this endpoint's; use the URL that was printed at its start",
        );
        let mut hosts = headers.get_all(header::HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return Err(wrong);
        };
        let own = |text: &str| self.hosts.iter().any(|own| own.eq_ignore_ascii_case(text));
        let in_uri = uri
            .authority()
            .is_none_or(|authority| own(authority.as_str()));
        if in_uri && host.to_str().is_ok_and(own) {
            Ok(())
        } else {
            Err(wrong)
        }
    }

    /// True if the request is of a page that the operator listed.
    fn check_origin(&self, headers: &HeaderMap) -> Result<bool, Closed> {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (None, _) => Ok(false),
            (Some(_), None) if self.listed_origin(headers).is_some() => Ok(true),
            _ => Err(closed(
                StatusCode::FORBIDDEN,
                "pages may not use this endpoint unless its operator lists their origin with --origin",
            )),
        }
    }

    fn check_token(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Closed> {
        let in_path = uri.path().strip_prefix('/').unwrap_or_default();
        let bearer = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "));
        let right = match (in_path, bearer) {
            ("", Some(bearer)) => self.token.is(bearer),
            (path, _) => self.token.is(path.strip_suffix('/').unwrap_or(path)),
        };
        if right {
            Ok(())
        } else {
            Err(closed(
                StatusCode::UNAUTHORIZED,
                "the token is not this endpoint's; use the whole URL that was printed at its start",
            ))
        }
    }
}

fn check_type(headers: &HeaderMap) -> Result<(), Closed> {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let one = match (types.next(), types.next()) {
        (Some(one), None) => one.to_str().unwrap_or_default(),
        _ => "",
    };
    let essence = one.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        Ok(())
    } else {
        Err(closed(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "send the content type application/json",
        ))
    }
}

/// The form in which browsers send it: scheme, host and port, in lower case and nothing behind.
fn is_origin(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else {
        return false;
    };
    let plain = |byte: u8| byte.is_ascii_graphic() && !byte.is_ascii_uppercase();
    !scheme.is_empty()
        && !rest.is_empty()
        && text.bytes().all(plain)
        && !rest.contains(['/', '?', '#', '@', '*'])
}

const fn closed(status: StatusCode, why: &'static str) -> Closed {
    Closed { status, why }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    fn gate() -> Gate {
        let token = Token(Zeroizing::new(TOKEN.into()));
        let origins = vec!["https://app.example".into()];
        Gate::new("127.0.0.1:8546".parse().unwrap(), token, origins).unwrap()
    }

    /// A request that is let in, with these headers changed; an empty value removes one.
    fn admit(method: Method, path: &str, changes: &[(&str, &str)]) -> Result<Admitted, StatusCode> {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("127.0.0.1:8546"));
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        for (name, value) in changes {
            let name: header::HeaderName = name.parse().unwrap();
            match *value {
                "" => drop(headers.remove(name)),
                value => drop(headers.append(name, value.parse().unwrap())),
            }
        }
        gate()
            .admit(&method, &path.parse().unwrap(), &headers)
            .map_err(|closed| closed.status)
    }

    fn post(path: &str, changes: &[(&str, &str)]) -> Result<Admitted, StatusCode> {
        admit(Method::POST, path, changes)
    }

    fn with_token() -> String {
        format!("/{TOKEN}")
    }

    #[test]
    fn a_program_with_the_token_is_let_in() {
        let bearer = format!("Bearer {TOKEN}");
        for (path, changes) in [
            (with_token(), vec![]),
            (with_token() + "/", vec![]),
            ("/".into(), vec![("authorization", bearer.as_str())]),
            (
                with_token(),
                vec![
                    ("content-type", ""),
                    ("content-type", "Application/JSON; charset=utf-8"),
                ],
            ),
            (with_token(), vec![("host", ""), ("host", "LocalHost:8546")]),
        ] {
            assert_eq!(
                post(&path, &changes),
                Ok(Admitted::Call),
                "{path} {changes:?}"
            );
        }
    }

    #[test]
    fn a_request_without_the_whole_token_is_not_let_in() {
        let short = format!("/{}", &TOKEN[..31]);
        let long = format!("/{TOKEN}0");
        let other = format!("/{}", TOKEN.replace("f0", "f1"));
        let inside = format!("/x/{TOKEN}");
        let query = format!("/?{TOKEN}");
        for path in ["/", "/x", &short, &long, &other, &inside, &query] {
            assert_eq!(post(path, &[]), Err(StatusCode::UNAUTHORIZED), "{path}");
        }
        for value in ["Bearer ", "Bearer x", TOKEN, &format!("Basic {TOKEN}")] {
            let refused = post("/", &[("authorization", value)]);
            assert_eq!(refused, Err(StatusCode::UNAUTHORIZED), "{value}");
        }
        // A right header does not make up for a wrong path.
        let bearer = format!("Bearer {TOKEN}");
        assert_eq!(
            post("/x", &[("authorization", &bearer)]),
            Err(StatusCode::UNAUTHORIZED)
        );
    }

    #[test]
    fn a_page_is_not_let_in_even_with_the_token() {
        for origin in [
            "null",
            "http://127.0.0.1:8546",
            "http://localhost:8546",
            "https://app.example.evil",
            "https://app.example:443",
            "http://app.example",
        ] {
            let refused = post(&with_token(), &[("origin", origin)]);
            assert_eq!(refused, Err(StatusCode::FORBIDDEN), "{origin}");
            let asked = admit(Method::OPTIONS, &with_token(), &[("origin", origin)]);
            assert_eq!(asked, Err(StatusCode::FORBIDDEN), "{origin}");
        }
        let two = [
            ("origin", "https://app.example"),
            ("origin", "https://evil.example"),
        ];
        assert_eq!(post(&with_token(), &two), Err(StatusCode::FORBIDDEN));
    }

    #[test]
    fn a_listed_page_is_let_in_with_the_token_alone() {
        let listed = [("origin", "https://app.example")];
        assert_eq!(post(&with_token(), &listed), Ok(Admitted::Call));
        assert_eq!(post("/", &listed), Err(StatusCode::UNAUTHORIZED));
        assert_eq!(
            admit(Method::OPTIONS, "/", &listed),
            Ok(Admitted::Preflight)
        );
    }

    #[test]
    fn a_name_that_was_made_to_lead_here_is_not_let_in() {
        for host in [
            "rebound.example:8546",
            "127.0.0.1",
            "127.0.0.1:8547",
            "127.0.0.1.rebound.example:8546",
            "localhost",
            "0.0.0.0:8546",
            "[::1]:8546",
        ] {
            let refused = post(&with_token(), &[("host", ""), ("host", host)]);
            assert_eq!(refused, Err(StatusCode::MISDIRECTED_REQUEST), "{host}");
        }
        let none = post(&with_token(), &[("host", "")]);
        assert_eq!(none, Err(StatusCode::MISDIRECTED_REQUEST));
        let two = post(&with_token(), &[("host", "rebound.example")]);
        assert_eq!(two, Err(StatusCode::MISDIRECTED_REQUEST));
        let absolute = format!("http://rebound.example/{TOKEN}");
        assert_eq!(post(&absolute, &[]), Err(StatusCode::MISDIRECTED_REQUEST));
    }

    #[test]
    fn what_a_form_can_send_is_not_let_in() {
        for kind in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=application/json",
            "application/jsonx",
        ] {
            let changes = [("content-type", ""), ("content-type", kind)];
            let refused = post(&with_token(), &changes);
            assert_eq!(refused, Err(StatusCode::UNSUPPORTED_MEDIA_TYPE), "{kind}");
        }
        let none = post(&with_token(), &[("content-type", "")]);
        assert_eq!(none, Err(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        let two = post(&with_token(), &[("content-type", "text/plain")]);
        assert_eq!(two, Err(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        for method in [Method::GET, Method::PUT, Method::OPTIONS] {
            let refused = admit(method, &with_token(), &[]);
            assert_eq!(refused, Err(StatusCode::METHOD_NOT_ALLOWED));
        }
    }

    #[test]
    fn nothing_opens_it_to_other_machines_or_to_every_page() {
        let gate = |address: &str, origin: &str| {
            let origins = vec![origin.to_owned()];
            Gate::new(address.parse().unwrap(), Token::random(), origins)
        };
        for address in ["0.0.0.0:8546", "192.0.2.1:8546", "[::]:8546"] {
            let refused = gate(address, "https://app.example").unwrap_err();
            assert!(matches!(refused, GateError::Listen(_)), "{address}");
        }
        for origin in [
            "*",
            "null",
            "app.example",
            "https://",
            "https://*",
            "https://a/b",
            "HTTPS://a",
        ] {
            let refused = gate("127.0.0.1:0", origin).unwrap_err();
            assert_eq!(refused, GateError::Origin(origin.into()));
        }
        assert!(gate("[::1]:8546", "http://localhost:3000").is_ok());
    }

    #[test]
    fn a_token_stays_in_its_file_and_others_cannot_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let made = Token::of_file(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!((mode & 0o777, made.expose().len()), (0o600, 2 * RANDOM));
        assert_eq!(Token::of_file(&path).unwrap().expose(), made.expose());
        assert_eq!(format!("{made:?}"), "Token(..)");
        for text in [
            "",
            "short",
            "with a blank in the middle of it",
            &"x".repeat(129),
        ] {
            std::fs::write(&path, text).unwrap();
            assert!(Token::of_file(&path).is_err(), "{text}");
        }
        std::fs::write(&path, TOKEN).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let refused = Token::of_file(&path).unwrap_err().to_string();
        assert!(refused.contains("chmod 600"), "{refused}");
        assert_ne!(Token::random().expose(), Token::random().expose());
    }
}
