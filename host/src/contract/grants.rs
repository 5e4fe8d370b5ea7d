//! The operator's grants to a plugin. Nothing is granted by default, and a component that imports
//! more than its grants is not loaded.

use serde::{Deserialize, Serialize};
use url::Url;

use crate::contract::capabilities::capabilities;

/// CPU time of a call by default, in milliseconds.
const USUAL_CPU: u64 = 200;
/// Duration of a call where no policy gives one, in milliseconds. Enough for a callback's three
/// tries of 10 s with two pauses of 15 s.
const USUAL_WALL: u64 = 90_000;
/// Memory of a call by default, in bytes.
const USUAL_MEMORY: u64 = 32 << 20;

macro_rules! grants {
    ($($file:ident::$capability:ident {
        $($(#[$doc:meta])* grant $grant:ident: $type:ty, trial $trial:expr;)*
        $($number:literal => $answer:ident($answered:ty),)*
    })*) => {
        /// Permissions and limits of a component, as an operator writes them.
        #[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct RawGrants {
            /// Keys it may use: `callback` (the node's own), or a name from `policy.public_keys` or
            /// `policy.secrets`.
            #[serde(skip_serializing_if = "is_default")]
            pub keys: Vec<String>,
            /// URL prefixes that it may send requests to.
            #[serde(skip_serializing_if = "is_default")]
            pub http: Vec<String>,
            $($($(#[$doc])*
            #[serde(skip_serializing_if = "is_default")]
            pub $grant: $type,)*)*
            /// CPU time per call in milliseconds. Default: 200.
            #[serde(skip_serializing_if = "is_usual_cpu")]
            pub cpu_ms: u64,
            /// Elapsed time per call in milliseconds. Default: `policy.deadline_seconds`.
            #[serde(skip_serializing_if = "is_default")]
            pub wall_ms: Option<u64>,
            /// Memory per call in bytes. Default: 32 MiB.
            #[serde(skip_serializing_if = "is_usual_memory")]
            pub memory_bytes: u64,
        }

        impl Default for RawGrants {
            fn default() -> Self {
                Self {
                    keys: Vec::new(),
                    http: Vec::new(),
                    $($($grant: <$type>::default(),)*)*
                    cpu_ms: USUAL_CPU,
                    wall_ms: None,
                    memory_bytes: USUAL_MEMORY,
                }
            }
        }

        impl RawGrants {
            /// A little of everything but keys and URLs, for a plugin without an entry.
            pub fn trial() -> Self {
                Self {
                    $($($grant: $trial,)*)*
                    ..Self::default()
                }
            }

            /// Returns these grants with the keys, the URL prefixes and the duration of a call that
            /// they stand for.
            pub fn resolved(
                &self,
                keys: Vec<KeyGrant>,
                http: Vec<UrlPrefix>,
                wall_ms: u64,
            ) -> Grants {
                Grants {
                    keys,
                    http,
                    $($($grant: self.$grant.clone(),)*)*
                    cpu_ms: self.cpu_ms,
                    wall_ms,
                    memory_bytes: usize::try_from(self.memory_bytes).unwrap_or(usize::MAX),
                }
            }
        }

        /// The limits of one plugin.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Grants {
            /// Keys it may use; none: the component must not import `keys`.
            pub keys: Vec<KeyGrant>,
            /// URLs it may send requests to; none: the component must not import `http`.
            pub http: Vec<UrlPrefix>,
            $($($(#[$doc])*
            pub $grant: $type,)*)*
            /// CPU time of a call, in milliseconds, with the signatures that it asks for. On a
            /// crowded machine a guest gets less out of a millisecond: be generous.
            pub cpu_ms: u64,
            /// Duration of a call, in milliseconds; the task's deadline applies as well.
            pub wall_ms: u64,
            /// Linear memory of a call, over all its memories.
            pub memory_bytes: usize,
        }
    };
}

capabilities!(grants);

impl Default for Grants {
    fn default() -> Self {
        RawGrants::default().resolved(Vec::new(), Vec::new(), USUAL_WALL)
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn is_usual_cpu(value: &u64) -> bool {
    *value == USUAL_CPU
}

fn is_usual_memory(value: &u64) -> bool {
    *value == USUAL_MEMORY
}

impl Grants {
    /// A little of everything but keys and URLs, see [`RawGrants::trial`].
    pub fn trial() -> Self {
        RawGrants::trial().resolved(Vec::new(), Vec::new(), USUAL_WALL)
    }

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

    macro_rules! trials {
        ($($file:ident::$capability:ident {
            $($(#[$doc:meta])* grant $grant:ident: $type:ty, trial $trial:expr;)*
            $($number:literal => $answer:ident($answered:ty),)*
        })*) => {
            #[test]
            fn a_trial_has_something_of_every_grant() {
                $($(assert_ne!(RawGrants::trial().$grant, <$type>::default());)*)*
            }
        };
    }

    capabilities!(trials);

    #[test]
    fn a_grant_without_a_name_in_the_table_is_refused() {
        let read = |text: &str| serde_json::from_str::<RawGrants>(text);
        let granted = RawGrants {
            state_bytes: 7,
            ..RawGrants::default()
        };
        assert_eq!(read("{}").unwrap(), RawGrants::default());
        assert_eq!(read(r#"{"state_bytes": 7}"#).unwrap(), granted);
        assert!(read(r#"{"state": 7}"#).is_err());
        assert_eq!(serde_json::to_string(&RawGrants::default()).unwrap(), "{}");
    }

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
