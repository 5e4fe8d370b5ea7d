//! Name resolution for plugins' requests. A grant names a host; whoever answers for that name in
//! the DNS must not be able to point it to this machine, its neighbours on the link, or the cloud's
//! metadata service. Private networks are allowed, since approvers live there. An address that is
//! written into the grant itself is dialled as it is.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use countersign_strict::Reach;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Addresses of a name, as the system knows them.
pub(crate) trait Lookup: Send + Sync + 'static {
    fn lookup(
        &self,
        name: String,
    ) -> Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send>>;
}

/// The operating system's resolver.
pub(crate) struct System;

impl Lookup for System {
    fn lookup(
        &self,
        name: String,
    ) -> Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send>> {
        Box::pin(async move {
            Ok(tokio::net::lookup_host((name, 0))
                .await?
                .map(|address| address.ip())
                .collect())
        })
    }
}

/// All addresses of a name are forbidden to plugins.
#[derive(Debug, thiserror::Error)]
#[error(
    "{name} leads to {address}, where a name may not lead; write the address itself into the grant if it is meant"
)]
pub(crate) struct Misleading {
    name: String,
    address: IpAddr,
}

/// Resolves names, and drops forbidden addresses.
pub(crate) struct Guarded(pub(crate) Arc<dyn Lookup>);

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let lookup = self.0.lookup(name.as_str().into());
        Box::pin(async move { Ok(guarded(name.as_str(), lookup.await?)?) })
    }
}

fn guarded(name: &str, found: Vec<IpAddr>) -> Result<Addrs, Misleading> {
    let local = name.trim_end_matches('.').eq_ignore_ascii_case("localhost");
    let first = found.first().copied();
    let allowed: Vec<SocketAddr> = found
        .into_iter()
        .filter(|address| {
            if local {
                address.to_canonical().is_loopback()
            } else {
                may_lead_to(*address)
            }
        })
        .map(|address| SocketAddr::new(address, 0))
        .collect();
    match (allowed.is_empty(), first) {
        (true, Some(address)) => Err(Misleading {
            name: name.into(),
            address,
        }),
        _ => Ok(Box::new(allowed.into_iter())),
    }
}

fn may_lead_to(address: IpAddr) -> bool {
    match Reach::of(address) {
        Reach::Private | Reach::Public => true,
        Reach::ThisMachine | Reach::Nearby => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(name: &str, addresses: &[&str]) -> Result<Vec<String>, String> {
        let found = addresses
            .iter()
            .map(|address| address.parse().unwrap())
            .collect();
        let allowed = guarded(name, found).map_err(|error| error.to_string())?;
        Ok(allowed.map(|address| address.ip().to_string()).collect())
    }

    #[test]
    fn a_name_may_lead_to_public_and_private_networks() {
        for address in [
            "93.184.216.34",
            "10.0.0.1",
            "172.16.3.4",
            "192.168.1.1",
            "2001:db8::1",
            "fd12::1",
        ] {
            assert_eq!(resolve("risk.corp", &[address]).unwrap(), [address]);
        }
    }

    #[test]
    fn a_name_may_not_lead_to_this_machine_its_link_or_a_metadata_service() {
        for address in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "100.100.100.200",
            "168.63.129.16",
            "::",
            "::1",
            "fe80::1",
            "ff02::1",
            "fd00:ec2::254",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::1",
        ] {
            let error = resolve("risk.corp", &[address]).unwrap_err();
            assert!(
                error.starts_with("risk.corp leads to"),
                "{address}: {error}"
            );
        }
    }

    #[test]
    fn what_is_left_out_harms_nothing_else() {
        assert_eq!(
            resolve("risk.corp", &["127.0.0.1", "10.0.0.1"]).unwrap(),
            ["10.0.0.1"]
        );
        assert!(resolve("nobody.corp", &[]).unwrap().is_empty());
    }

    #[test]
    fn localhost_is_this_machine_and_nothing_else() {
        assert_eq!(
            resolve("localhost", &["127.0.0.1", "::1"]).unwrap(),
            ["127.0.0.1", "::1"]
        );
        assert!(resolve("localhost", &["93.184.216.34"]).is_err());
        assert!(resolve("localhost.evil.example", &["127.0.0.1"]).is_err());
    }
}
