//! The pages whose passkeys vote: a relying party in the words of WebAuthn.

use sha2::{Digest, Sha256};

/// The pages that may collect votes: the domain to which passkeys are bound, and the origins of
/// the pages themselves. Whoever pins them keeps every other page's assertions out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelyingParty {
    id_hash: [u8; 32],
    origins: Vec<String>,
}

/// The reason why no page can have this domain or origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are named for what they hold")]
#[non_exhaustive]
pub enum RelyingPartyError {
    /// Not a domain in the form that browsers hash.
    #[error(
        "`{0}` is not a domain in lower-case letters; write e.g. treasury.example, and other scripts in their ASCII form (xn--...)"
    )]
    Id(String),
    /// Not an origin as browsers write it.
    #[error(
        "`{0}` is not the origin of a page; write e.g. https://console.treasury.example, in lower case, with a port only if it is not 443 and with nothing after it"
    )]
    Origin(String),
    /// The page is not below the domain, so no browser gives it the domain's passkeys.
    #[error(
        "the page {origin} is not below {id}, so that its passkeys cannot be bound to it; correct one of the two"
    )]
    Elsewhere { origin: String, id: String },
    /// No origin, or too many.
    #[error("{0} origins are given; give 1 to {max}", max = RelyingParty::MAX_ORIGINS)]
    Count(usize),
}

impl RelyingParty {
    /// The maximum number of origins.
    pub const MAX_ORIGINS: usize = 16;

    /// Pins the domain of the passkeys (`rp.id`) and the origins of the pages, each as browsers
    /// write it (RFC 6454, section 6.2). Pages are reached by https, but for those of `localhost`.
    pub fn new<O: Into<String>>(
        id: &str,
        origins: impl IntoIterator<Item = O>,
    ) -> Result<Self, RelyingPartyError> {
        if !is_domain(id) {
            return Err(RelyingPartyError::Id(id.into()));
        }
        let origins: Vec<String> = origins.into_iter().map(Into::into).collect();
        if !(1..=Self::MAX_ORIGINS).contains(&origins.len()) {
            return Err(RelyingPartyError::Count(origins.len()));
        }
        for origin in &origins {
            let host = host(origin).ok_or_else(|| RelyingPartyError::Origin(origin.clone()))?;
            let below = host
                .strip_suffix(id)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
            if !below {
                return Err(RelyingPartyError::Elsewhere {
                    origin: origin.clone(),
                    id: id.into(),
                });
            }
        }
        Ok(Self {
            id_hash: Sha256::digest(id).into(),
            origins,
        })
    }

    /// SHA-256 of the domain, with which authenticator data begins.
    pub(crate) fn id_hash(&self) -> &[u8; 32] {
        &self.id_hash
    }

    /// True if a page may collect votes.
    pub(crate) fn has(&self, origin: &str) -> bool {
        self.origins.iter().any(|pinned| pinned == origin)
    }
}

fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    text.len() <= 253
        && text.split('.').all(is_label)
        // An address is no domain, and browsers bind no passkey to one.
        && text.bytes().any(|b| b.is_ascii_lowercase())
}

/// The host of an origin in the form that browsers write.
fn host(origin: &str) -> Option<&str> {
    let (scheme, authority) = origin.split_once("://")?;
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    let usual = match scheme {
        "https" => "443",
        "http" if host == "localhost" => "80",
        _ => return None,
    };
    let is_port = |port: &str| {
        port != usual && !port.starts_with('0') && port.parse::<u16>().is_ok_and(|port| port > 0)
    };
    let digits = |port: &str| port.bytes().all(|b| b.is_ascii_digit());
    (is_domain(host) && port.is_none_or(|port| digits(port) && is_port(port))).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_the_domain_and_below_it_may_collect() {
        for (id, origin) in [
            ("treasury.example", "https://treasury.example"),
            ("treasury.example", "https://console.treasury.example"),
            ("treasury.example", "https://a.b.treasury.example:8443"),
            ("localhost", "http://localhost:8080"),
            ("xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ] {
            let page = RelyingParty::new(id, [origin]).unwrap();
            assert!(page.has(origin) && !page.has("https://example.org"));
        }
    }

    #[test]
    fn what_no_browser_writes_is_refused() {
        for origin in [
            "http://treasury.example",
            "https://treasury.example/",
            "https://treasury.example:443",
            "https://treasury.example:0",
            "https://treasury.example:08443",
            "https://treasury.example:+443",
            "https://treasury.example:99999",
            "https://Treasury.example",
            "https://user@treasury.example",
            "treasury.example",
            "https://",
            "null",
            "https://treasury.example, https://b.treasury.example",
        ] {
            assert_eq!(
                RelyingParty::new("treasury.example", [origin]),
                Err(RelyingPartyError::Origin(origin.into()))
            );
        }
        for id in [
            "",
            "Treasury.example",
            "https://treasury.example",
            "127.0.0.1",
            "a..b",
            "-a.example",
            "bücher.example",
            "treasury.example.",
        ] {
            let refused = RelyingParty::new(id, ["https://treasury.example"]);
            assert_eq!(refused, Err(RelyingPartyError::Id(id.into())));
        }
    }

    #[test]
    fn a_page_elsewhere_and_an_empty_list_are_refused() {
        for origin in ["https://example.org", "https://eviltreasury.example"] {
            assert!(matches!(
                RelyingParty::new("treasury.example", [origin]),
                Err(RelyingPartyError::Elsewhere { .. })
            ));
        }
        let none = RelyingParty::new("treasury.example", Vec::<String>::new());
        assert_eq!(none, Err(RelyingPartyError::Count(0)));
    }
}
