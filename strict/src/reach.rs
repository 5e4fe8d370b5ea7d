//! Reach of addresses: to this machine, near it, into a network of one's own, or anywhere.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where an address leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// To this machine: a loopback address, or one that means "here".
    ThisMachine,
    /// To neighbours on the link, to a group, or to a cloud's metadata service.
    Nearby,
    /// Into a network that is not public (RFC 1918, RFC 4193, RFC 6598), or whose addresses have a
    /// special use (RFC 6890).
    Private,
    /// Anywhere else.
    Public,
}

impl Reach {
    /// Where an address leads, in whatever form IPv4 is written into IPv6.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => v4(address),
            IpAddr::V6(address) => v6(address),
        }
    }
}

/// True of a host as it stands in a URL that is a loopback address or `localhost`.
pub fn is_this_machine(host: &str) -> bool {
    let address = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let address = address.unwrap_or(host).parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost")
        || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

fn v4(address: Ipv4Addr) -> Reach {
    // Metadata services outside of 169.254.0.0/16: Alibaba, Azure.
    let metadata = [
        Ipv4Addr::new(100, 100, 100, 200),
        Ipv4Addr::new(168, 63, 129, 16),
    ];
    let [first, second, third, _] = address.octets();
    let near = address.is_link_local() || address.is_multicast() || address.is_broadcast();
    // Addresses of a provider's own network (RFC 6598).
    let shared = first == 100 && (64..128).contains(&second);
    // Protocol assignments, with a metadata service of Oracle's; benchmarks; reserved (RFC 6890).
    let special = matches!((first, second, third), (192, 0, 0) | (198, 18 | 19, _)) || first >= 240;
    if address.is_loopback() || first == 0 {
        Reach::ThisMachine
    } else if near || metadata.contains(&address) {
        Reach::Nearby
    } else if address.is_private() || shared || special {
        Reach::Private
    } else {
        Reach::Public
    }
}

fn v6(address: Ipv6Addr) -> Reach {
    let segments = address.segments();
    // fd00:ec2::/32 serves Amazon's metadata.
    let metadata = segments[0] == 0xfd00 && segments[1] == 0x0ec2;
    // fec0::/10 was for sites once (RFC 3879), and 64:ff9b:1::/48 is translated locally (RFC 8215).
    let site = segments[0] & 0xffc0 == 0xfec0 || segments[..3] == [0x64, 0xff9b, 1];
    if address.is_loopback() || address.is_unspecified() {
        Reach::ThisMachine
    } else if address.is_unicast_link_local() || address.is_multicast() || metadata {
        Reach::Nearby
    } else if address.is_unique_local() || site {
        Reach::Private
    } else {
        embedded(segments).map_or(Reach::Public, v4)
    }
}

/// The IPv4 address within a translated one: 64:ff9b::/96 (RFC 6052), 2002::/16 (RFC 3056),
/// ::/96 (RFC 4291 2.5.5.1), ::ffff:0:0:0/96 (RFC 2765).
fn embedded(segments: [u16; 8]) -> Option<Ipv4Addr> {
    let of = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        Ipv4Addr::new(a, b, c, d)
    };
    match segments {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0, 0, 0, 0, 0, 0, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low] => Some(of(high, low)),
        [0x2002, high, low, ..] => Some(of(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_an_address_leads_to_the_same_place() {
        for (expected, addresses) in [
            (
                Reach::ThisMachine,
                &[
                    "127.0.0.1",
                    "127.9.9.9",
                    "0.0.0.0",
                    "0.1.2.3",
                    "::1",
                    "::",
                    "::ffff:127.0.0.1",
                    "::127.0.0.1",
                    "64:ff9b::7f00:1",
                    "2002:7f00:1::",
                ][..],
            ),
            (
                Reach::Nearby,
                &[
                    "169.254.169.254",
                    "224.0.0.1",
                    "255.255.255.255",
                    "100.100.100.200",
                    "168.63.129.16",
                    "fe80::1",
                    "ff02::1",
                    "fd00:ec2::254",
                    "::ffff:169.254.1.1",
                ],
            ),
            (
                Reach::Private,
                &[
                    "10.0.0.1",
                    "172.16.3.4",
                    "172.31.255.255",
                    "192.168.1.1",
                    "100.64.0.1",
                    "100.127.255.255",
                    "fd12::1",
                    "fec0::1",
                    "::ffff:10.0.0.1",
                    "64:ff9b::a00:1",
                    "64:ff9b:1::1",
                    "::ffff:0:a00:1",
                    "192.0.0.192",
                    "198.18.0.1",
                    "198.19.255.255",
                    "240.0.0.1",
                ],
            ),
            (
                Reach::Public,
                &[
                    "93.184.216.34",
                    "172.32.0.1",
                    "192.0.1.1",
                    "198.20.0.1",
                    "100.128.0.1",
                    "2001:db8::1",
                    "2002:5db8:d822::",
                ],
            ),
        ] {
            for address in addresses {
                assert_eq!(Reach::of(address.parse().unwrap()), expected, "{address}");
            }
        }
    }

    #[test]
    fn this_machine_is_recognised_in_every_spelling_and_no_name_that_begins_like_it() {
        for here in [
            "localhost",
            "LocalHost",
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "[::1]",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(is_this_machine(here), "{here}");
        }
        for elsewhere in [
            "",
            "localhost.example",
            "127.0.0.1.example",
            "0.0.0.0",
            "10.0.0.1",
            "[fd00::1]",
            "127.0.0.1@evil.example",
        ] {
            assert!(!is_this_machine(elsewhere), "{elsewhere}");
        }
    }
}
