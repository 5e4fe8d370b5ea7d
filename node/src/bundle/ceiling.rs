//! The most that entries of a bundle are granted. The operator writes it under
//! `policy.bundles.grants`; an entry that asks for more is refused with its whole bundle, and never
//! gets a part of what it asked for.

use std::time::Duration;

use countersign_host::{PrefixError, UrlPrefix};
use url::Url;

use super::manifest::BundleEntry;
use super::schedule::millis;
use crate::config::RawGrants;
use crate::own_keys::EVENT_KEY;

/// Reasons why an entry of a bundle asks for too much.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are named for what they hold")]
pub enum CeilingError {
    /// A key that the operator does not grant to bundles.
    #[error(
        "its entry `{entry}` asks for the key `{key}`; add it to policy.bundles.grants.keys if it may have it"
    )]
    Key { entry: String, key: String },
    /// A URL that the operator does not grant to bundles.
    #[error(
        "its entry `{entry}` asks for {url}; add it to policy.bundles.grants.http if it may send requests there"
    )]
    Http { entry: String, url: String },
    /// A URL prefix that cannot be understood.
    #[error("its entry `{entry}`: {source}")]
    Prefix { entry: String, source: PrefixError },
    /// More of a limit than the operator grants to bundles.
    #[error(
        "its entry `{entry}` asks for {asked} {limit}, and policy.bundles.grants has {most}; raise that if it may have them"
    )]
    Limit {
        entry: String,
        limit: &'static str,
        asked: u64,
        most: u64,
    },
}

/// Checks that an entry asks for nothing beyond the ceiling. `deadline` is that of the policy,
/// which bounds a call where grants do not.
pub fn check(
    entry: &BundleEntry,
    ceiling: &RawGrants,
    deadline: Duration,
) -> Result<(), CeilingError> {
    check_keys(entry, ceiling)?;
    check_urls(entry, ceiling)?;
    // Every field is named, so that a new grant does not compile until it is bounded.
    let RawGrants {
        keys: _,
        http: _,
        state_bytes,
        cpu_ms,
        wall_ms,
        memory_bytes,
    } = &entry.grants;
    let deadline = millis(deadline);
    let limits = [
        ("state_bytes", *state_bytes, ceiling.state_bytes),
        ("cpu_ms", *cpu_ms, ceiling.cpu_ms),
        (
            "wall_ms",
            wall_ms.unwrap_or(deadline),
            ceiling.wall_ms.unwrap_or(deadline),
        ),
        ("memory_bytes", *memory_bytes, ceiling.memory_bytes),
    ];
    match limits.into_iter().find(|(_, asked, most)| asked > most) {
        None => Ok(()),
        Some((limit, asked, most)) => Err(CeilingError::Limit {
            entry: entry.name.clone(),
            limit,
            asked,
            most,
        }),
    }
}

fn check_keys(entry: &BundleEntry, ceiling: &RawGrants) -> Result<(), CeilingError> {
    let beyond = |key: &&String| *key == EVENT_KEY || !ceiling.keys.contains(key);
    match entry.grants.keys.iter().find(beyond) {
        None => Ok(()),
        Some(key) => Err(CeilingError::Key {
            entry: entry.name.clone(),
            key: key.clone(),
        }),
    }
}

/// A prefix lies within another one if that covers it as a URL.
fn check_urls(entry: &BundleEntry, ceiling: &RawGrants) -> Result<(), CeilingError> {
    let parsed = |text: &String| {
        let prefix = text.parse::<UrlPrefix>();
        prefix.map_err(|source| CeilingError::Prefix {
            entry: entry.name.clone(),
            source,
        })
    };
    let ceiling: Vec<UrlPrefix> = ceiling.http.iter().map(parsed).collect::<Result<_, _>>()?;
    for text in &entry.grants.http {
        let beyond = || CeilingError::Http {
            entry: entry.name.clone(),
            url: text.clone(),
        };
        let url = parsed(text)?.to_string();
        let url = Url::parse(&url).map_err(|_| beyond())?;
        if !ceiling.iter().any(|prefix| prefix.covers(&url)) {
            return Err(beyond());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::manifest::tests::entry;
    use super::*;

    fn ceiling() -> RawGrants {
        RawGrants {
            keys: vec!["approver".into(), "event".into()],
            http: vec!["https://risk.example.com/v1/".into()],
            state_bytes: 100,
            wall_ms: Some(1_000),
            ..RawGrants::default()
        }
    }

    fn refusal(change: impl Fn(&mut RawGrants)) -> Option<CeilingError> {
        let mut entry = entry("rules", "a", "{}");
        entry.grants = RawGrants {
            wall_ms: Some(1_000),
            ..RawGrants::default()
        };
        change(&mut entry.grants);
        check(&entry, &ceiling(), Duration::from_secs(60)).err()
    }

    #[test]
    fn what_the_operator_listed_is_granted() {
        assert!(refusal(|_| ()).is_none());
        assert!(
            refusal(|grants| *grants = RawGrants {
                keys: vec!["approver".into()],
                ..ceiling()
            })
            .is_none()
        );
        let below = |grants: &mut RawGrants| {
            grants.http = vec!["https://risk.example.com/v1/checks/".into()];
        };
        assert!(refusal(below).is_none());
    }

    /// A limit by name, and how an entry asks for more of it.
    type Limit = (&'static str, fn(&mut RawGrants));

    #[test]
    fn nothing_beyond_it_is_granted_limit_by_limit() {
        use CeilingError as Error;
        let keys =
            |key: &'static str| move |grants: &mut RawGrants| grants.keys = vec![key.to_owned()];
        for key in ["callback", "hook", "event"] {
            assert!(
                matches!(refusal(keys(key)), Some(Error::Key { .. })),
                "{key}"
            );
        }
        for url in [
            "https://risk.example.com/",
            "https://risk.example.com/v2/",
            "https://risk.example.com/v10/",
            "https://risk.example.com:8443/v1/",
            "http://risk.example.com/v1/",
            "https://evil.example.com/v1/",
        ] {
            let asked = refusal(|grants| grants.http = vec![url.into()]);
            assert!(matches!(asked, Some(Error::Http { .. })), "{url}");
        }
        let malformed = refusal(|grants| grants.http = vec!["risk".into()]);
        assert!(matches!(malformed, Some(Error::Prefix { .. })));
        let limits: [Limit; 5] = [
            ("state_bytes", |grants| grants.state_bytes = 101),
            ("cpu_ms", |grants| grants.cpu_ms += 1),
            ("wall_ms", |grants| grants.wall_ms = Some(1_001)),
            ("wall_ms", |grants| grants.wall_ms = None),
            ("memory_bytes", |grants| grants.memory_bytes += 1),
        ];
        for (name, change) in limits {
            let refused = refusal(change).unwrap();
            assert!(
                matches!(refused, Error::Limit { limit, .. } if limit == name),
                "{refused}"
            );
        }
    }
}
