//! Where webhooks may lead. Whoever holds an API key of an admin chooses their addresses, and
//! whoever answers for a name in the DNS chooses where it leads. The operator of the coordinator
//! decides which networks of its own they may reach.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use countersign_strict::{Reach, is_this_machine};
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use serde::Deserialize;

use crate::registry::TaskRegistry;

/// Networks that webhooks may reach beside the public one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Vec<Word>")]
pub struct Reachable {
    /// Networks that are not public, such as 10.0.0.0/8.
    pub private: bool,
    /// This machine.
    pub loopback: bool,
}

/// A word of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Word {
    Private,
    Loopback,
}

impl From<Vec<Word>> for Reachable {
    fn from(words: Vec<Word>) -> Self {
        Self {
            private: words.contains(&Word::Private),
            loopback: words.contains(&Word::Loopback),
        }
    }
}

/// An address that webhooks may not reach.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages describe the variants")]
#[non_exhaustive]
pub enum Unreachable {
    #[error(
        "{0} leads to this machine; the coordinator's operator can allow that by `webhook_networks: [loopback]`"
    )]
    ThisMachine(String),
    #[error(
        "{0} leads into a private network; the coordinator's operator can allow that by `webhook_networks: [private]`"
    )]
    Private(String),
    #[error("{0} leads to a neighbour on the link, a group or a metadata service; choose another")]
    Nearby(String),
    #[error("{0} has no address; correct the name")]
    Nowhere(String),
}

impl Reachable {
    /// Checks an address to which `name` leads.
    fn check(self, name: &str, address: IpAddr) -> Result<(), Unreachable> {
        let shown = || {
            let address = address.to_string();
            let same = name.trim_matches(['[', ']']) == address;
            if same {
                address
            } else {
                format!("{name} ({address})")
            }
        };
        match Reach::of(address) {
            Reach::Public => Ok(()),
            Reach::Private if self.private => Ok(()),
            Reach::ThisMachine if self.loopback && address.to_canonical().is_loopback() => Ok(()),
            Reach::Private => Err(Unreachable::Private(shown())),
            Reach::ThisMachine => Err(Unreachable::ThisMachine(shown())),
            Reach::Nearby => Err(Unreachable::Nearby(shown())),
        }
    }

    /// Checks what a URL says of itself: an address, or this machine's own name. Any other name is
    /// checked where it is resolved.
    pub fn check_url(self, url: &Url) -> Result<(), Unreachable> {
        let host = url.host_str().unwrap_or_default();
        if let Ok(address) = host.trim_matches(['[', ']']).parse() {
            self.check(host, address)
        } else if is_this_machine(host) && !self.loopback {
            Err(Unreachable::ThisMachine(host.into()))
        } else {
            Ok(())
        }
    }

    /// Those of a name's addresses that may be reached. The name of this machine leads nowhere
    /// else.
    fn of_name(self, name: &str, found: Vec<IpAddr>) -> Result<Vec<IpAddr>, Unreachable> {
        let only_here = is_this_machine(name.trim_end_matches('.'));
        let mut refused = None;
        let mut reached = found;
        reached.retain(|address| {
            let here = !only_here || address.to_canonical().is_loopback();
            let checked = self.check(name, *address);
            let kept = here && checked.is_ok();
            refused = refused.take().or(checked.err());
            kept
        });
        if reached.is_empty() {
            Err(refused.unwrap_or_else(|| Unreachable::Nowhere(name.into())))
        } else {
            Ok(reached)
        }
    }
}

/// Resolves names, and drops the addresses that webhooks may not reach.
pub(super) struct Guarded(pub(super) Arc<TaskRegistry>);

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let reachable = self.0.rules().webhook_networks;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let found = found.map(|address| address.ip()).collect();
            let reached = reachable.of_name(name.as_str(), found)?;
            let sockets = reached.into_iter().map(|ip| SocketAddr::new(ip, 0));
            Ok(Box::new(sockets) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Reachable = Reachable {
        private: true,
        loopback: true,
    };

    fn of_name(
        reachable: Reachable,
        name: &str,
        addresses: &[&str],
    ) -> Result<Vec<String>, Unreachable> {
        let found = addresses.iter().map(|address| address.parse().unwrap());
        let reached = reachable.of_name(name, found.collect())?;
        Ok(reached.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_name_leads_into_no_network_that_the_operator_did_not_name() {
        let none = Reachable::default();
        for address in ["10.0.0.1", "fd12::1", "::ffff:192.168.0.1"] {
            let refused = of_name(none, "hooks.example", &[address]);
            assert!(matches!(refused, Err(Unreachable::Private(_))), "{address}");
            assert!(of_name(ALL, "hooks.example", &[address]).is_ok());
        }
        for address in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            let refused = of_name(none, "hooks.example", &[address]);
            assert!(
                matches!(refused, Err(Unreachable::ThisMachine(_))),
                "{address}"
            );
            assert!(of_name(ALL, "hooks.example", &[address]).is_ok());
        }
        for address in [
            "169.254.169.254",
            "fe80::1",
            "100.100.100.200",
            "0.0.0.0",
            "::",
        ] {
            assert!(
                of_name(ALL, "hooks.example", &[address]).is_err(),
                "{address}"
            );
        }
        let mixed = of_name(
            none,
            "hooks.example",
            &["10.0.0.1", "93.184.216.34", "127.0.0.1"],
        );
        assert_eq!(mixed.unwrap(), ["93.184.216.34"]);
        assert_eq!(
            of_name(none, "hooks.example", &[]),
            Err(Unreachable::Nowhere("hooks.example".into()))
        );
    }

    #[test]
    fn the_name_of_this_machine_leads_nowhere_else() {
        assert_eq!(
            of_name(ALL, "localhost", &["127.0.0.1", "93.184.216.34"]).unwrap(),
            ["127.0.0.1"]
        );
        assert!(of_name(ALL, "localhost", &["93.184.216.34"]).is_err());
        assert!(of_name(ALL, "LOCALHOST.", &["10.0.0.1"]).is_err());
    }
}
