//! Validated `policy.bundles`.

use std::collections::BTreeSet;
use std::time::Duration;

use countersign_host::{Publisher, UrlPrefix};

use super::duration;
use super::error::ConfigError;
use super::policy::publisher_key;
use super::raw_bundles::{RawBundles, RawPublisher};
use super::raw_policy::RawGrants;
use crate::bundle::manifest::check_name;

/// A day.
const DAY: Duration = Duration::from_secs(24 * 3600);
/// The longest wait and the longest time of recordings, in days.
const LONGEST: u64 = 366;

/// Whose policy bundles the node takes, and what these may do.
#[derive(Debug, Clone, PartialEq)]
pub struct Bundles {
    /// Name of the policy that the node follows.
    pub name: String,
    /// Those whose signatures count; names and keys are unique.
    pub publishers: Vec<Publisher>,
    /// Number of them who must have signed.
    pub needed: usize,
    /// Time for which a bundle waits that may loosen the policy.
    pub delay: Duration,
    /// Age of the oldest recorded decisions by which a bundle is judged.
    pub backtest: Duration,
    /// The most that an entry of a bundle is granted.
    pub grants: RawGrants,
}

impl Bundles {
    pub(super) fn from_raw(raw: RawBundles) -> Result<Self, ConfigError> {
        check_name(&raw.name).map_err(|_| ConfigError::BundleName(raw.name.clone()))?;
        let count = raw.publishers.len() as u64;
        let mut names = BTreeSet::new();
        let mut keys = BTreeSet::new();
        for RawPublisher { name, key } in &raw.publishers {
            // One key under two names would count twice.
            let seen = [!names.insert(name), !keys.insert(key.to_ascii_lowercase())];
            if seen.contains(&true) {
                return Err(ConfigError::Duplicate {
                    section: "policy.bundles.publishers",
                    name: name.clone(),
                });
            }
        }
        if !(1..=count).contains(&raw.needed) {
            return Err(ConfigError::Range {
                key: "policy.bundles.needed",
                value: raw.needed,
                from: 1,
                to: count.max(1),
            });
        }
        if !(1..=LONGEST).contains(&raw.backtest_days) {
            return Err(ConfigError::Range {
                key: "policy.bundles.backtest_days",
                value: raw.backtest_days,
                from: 1,
                to: LONGEST,
            });
        }
        for prefix in &raw.grants.http {
            prefix
                .parse::<UrlPrefix>()
                .map_err(ConfigError::BundleUrl)?;
        }
        let publishers = raw.publishers.into_iter().map(publisher);
        Ok(Self {
            publishers: publishers.collect::<Result<_, _>>()?,
            needed: usize::try_from(raw.needed).unwrap_or(usize::MAX),
            delay: delay(&raw.delay)?,
            backtest: DAY * u32::try_from(raw.backtest_days).unwrap_or(u32::MAX),
            name: raw.name,
            grants: raw.grants,
        })
    }
}

fn publisher(raw: RawPublisher) -> Result<Publisher, ConfigError> {
    let key = publisher_key(&raw.key);
    let publisher = key.and_then(|key| Publisher::new(&raw.name, &key).ok());
    publisher.ok_or(ConfigError::BundlePublisher {
        name: raw.name,
        text: raw.key,
    })
}

fn delay(text: &str) -> Result<Duration, ConfigError> {
    let longest = DAY * u32::try_from(LONGEST).unwrap_or(u32::MAX);
    duration::parse(text)
        .filter(|delay| (Duration::from_secs(1)..=longest).contains(delay))
        .ok_or_else(|| ConfigError::BundleDelay(text.into()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use countersign_host::BundleSignature;
    use zeroize::Zeroizing;

    use super::*;
    use crate::config::Config;

    fn key(seed: u8) -> String {
        hex::encode(BundleSignature::sign(&[0; 32], &Zeroizing::new([seed; 32])).key)
    }

    fn parsed(rest: &str) -> Result<Bundles, ConfigError> {
        let text = format!(
            "policy: {{bundles: {{name: treasury, publishers: [{{name: ana, key: {}}}, {{name: ben, key: {}}}], {rest}}}}}",
            key(1),
            key(2)
        );
        let config = Config::parse(&text, Path::new("/"))?;
        Ok(config.policy.bundles.expect("the section is there"))
    }

    #[test]
    fn what_is_not_written_is_as_usual() {
        let bundles = parsed("needed: 2").unwrap();
        assert_eq!(bundles.delay, DAY * 2);
        assert_eq!(bundles.backtest, DAY * 30);
        assert_eq!(bundles.grants, RawGrants::default());
        let names: Vec<&str> = bundles.publishers.iter().map(Publisher::name).collect();
        assert_eq!(names, ["ana", "ben"]);
    }

    #[test]
    fn each_fault_is_refused_by_its_name() {
        for (rest, told) in [
            ("needed: 0", "policy.bundles.needed"),
            ("needed: 3", "policy.bundles.needed"),
            ("needed: 2, delay: 2d", "policy.bundles.delay"),
            ("needed: 2, delay: 0s", "policy.bundles.delay"),
            (
                "needed: 2, backtest_days: 0",
                "policy.bundles.backtest_days",
            ),
            (
                "needed: 2, grants: {http: [x]}",
                "policy.bundles.grants.http",
            ),
        ] {
            let refused = parsed(rest).unwrap_err().to_string();
            assert!(refused.contains(told), "{rest}: {refused}");
        }
    }

    #[test]
    fn a_publisher_counts_once() {
        for (one, two) in [
            (("ana", key(1)), ("ana", key(2))),
            (("ana", key(1)), ("ben", key(1))),
            (("ana", key(1)), ("ben", key(1).to_uppercase())),
        ] {
            let publisher = |(name, key): (&str, String)| RawPublisher {
                name: name.into(),
                key,
            };
            let refused = Bundles::from_raw(RawBundles {
                name: "treasury".into(),
                publishers: vec![publisher(one), publisher(two)],
                needed: 2,
                delay: "48h".into(),
                backtest_days: 30,
                grants: RawGrants::default(),
            });
            assert!(matches!(refused, Err(ConfigError::Duplicate { .. })));
        }
    }
}
