//! The operator's grants to a plugin. Nothing is granted by default, and a component that imports
//! more than its grants is not loaded.

use url::Url;

/// The limits of one plugin.
#[derive(Clone, Debug, PartialEq)]
pub struct Grants {
    /// Keys it may use; none: the component must not import `keys`.
    pub keys: Vec<KeyGrant>,
    /// URLs it may send requests to; none: the component must not import `http`.
    pub http: Vec<UrlPrefix>,
    /// Quota of its durable memory; 0: the component must not import `state`.
    pub state_bytes: u64,
    /// CPU time of a call, in milliseconds, with the signatures that it asks for. On a crowded
    /// machine a guest gets less out of a millisecond: be generous.
    pub cpu_ms: u64,
    /// Duration of a call, in milliseconds; the task's deadline applies as well.
    pub wall_ms: u64,
    /// Linear memory of a call, over all its memories.
    pub memory_bytes: usize,
}

impl Default for Grants {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            http: Vec::new(),
            state_bytes: 0,
            cpu_ms: 250,
            // Enough for a callback's three tries of 10 s with two pauses of 15 s.
            wall_ms: 90_000,
            memory_bytes: 32 << 20,
        }
    }
}

impl Grants {
    pub(crate) fn key(&self, name: &str, usage: impl Fn(KeyUsage) -> bool) -> Option<&KeyGrant> {
        self.keys
            .iter()
            .find(|grant| grant.name == name && usage(grant.usage))
    }
}

/// One key for one use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyGrant {
    /// Name of the key, for the plugin and for [`Services`](crate::Services) alike.
    pub name: String,
    /// The one use that is granted.
    pub usage: KeyUsage,
}

/// The uses of a key. The public half may be read with the first two; a shared secret has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyUsage {
    /// Sign what has the form of a JWT for the same algorithm, and nothing else.
    SignJwt,
    /// Verify signatures with the public half.
    Verify,
    /// Sign any data with a shared secret, and verify with it.
    Mac,
}

impl KeyUsage {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SignJwt => "sign-jwt",
            Self::Verify => "verify",
            Self::Mac => "mac",
        }
    }
}

/// An origin and a path that URLs must begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlPrefix(Url);

/// Why a text is not a [`UrlPrefix`].
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is not a URL prefix: {reason}; write e.g. https://risk.example.com/v1/")]
pub struct PrefixError {
    text: String,
    reason: String,
}

impl std::str::FromStr for UrlPrefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let error = |reason: String| PrefixError {
            text: text.into(),
            reason,
        };
        let url = Url::parse(text).map_err(|cause| error(cause.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(error("neither http nor https".into()));
        }
        if !is_plain(&url) || url.query().is_some() {
            return Err(error(
                "it has a user, query, fragment or escaped separator".into(),
            ));
        }
        Ok(Self(url))
    }
}

impl std::fmt::Display for UrlPrefix {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl UrlPrefix {
    /// True if `url` has the same origin and lies at or below the path.
    pub fn covers(&self, url: &Url) -> bool {
        let origin = |url: &Url| {
            (
                url.scheme().to_owned(),
                url.host_str().map(str::to_owned),
                url.port_or_known_default(),
            )
        };
        let path = self.0.path().trim_end_matches('/');
        let below = url
            .path()
            .strip_prefix(path)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        is_plain(url) && origin(&self.0) == origin(url) && below
    }
}

/// No credentials, no fragment, and no escaped separator that a server might decode into another
/// path. (`.` and `..` are gone after parsing, escaped or not.)
fn is_plain(url: &Url) -> bool {
    let path = url.path().to_ascii_lowercase();
    let plain_path = !path.contains("%2f") && !path.contains("%5c") && !path.contains("%00");
    url.username().is_empty() && url.password().is_none() && url.fragment().is_none() && plain_path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(prefix: &str, url: &str) -> bool {
        prefix
            .parse::<UrlPrefix>()
            .unwrap()
            .covers(&Url::parse(url).unwrap())
    }

    #[test]
    fn a_prefix_covers_what_lies_below_it() {
        assert!(covers(
            "https://a.example/v1/",
            "https://a.example/v1/check?x=1"
        ));
        assert!(covers(
            "https://a.example/v1/check",
            "https://a.example:443/v1/check"
        ));
        assert!(covers("http://127.0.0.1:8080", "http://127.0.0.1:8080/any"));
    }

    #[test]
    fn a_prefix_covers_nothing_else() {
        for url in [
            "http://a.example/v1/check",
            "https://a.example:8443/v1/check",
            "https://b.example/v1/check",
            "https://a.example.evil/v1/check",
            "https://a.example/v10/check",
            "https://a.example/",
            "https://a.example/v1/../admin",
            "https://a.example/v1/%2e%2e/admin",
            "https://a.example/v1/..%2fadmin",
            "https://a.example/v1/..%5Cadmin",
            "https://user@a.example/v1/check",
            "https://a.example@evil.example/v1/check",
            "https://a.example/v1/check#fragment",
        ] {
            assert!(!covers("https://a.example/v1", url), "{url}");
        }
    }

    #[test]
    fn prefixes_are_plain() {
        for text in [
            "a.example",
            "ftp://a.example/",
            "https://u:p@a.example/",
            "https://a.example/?q",
            "file:///etc",
        ] {
            assert!(text.parse::<UrlPrefix>().is_err(), "{text}");
        }
    }
}
