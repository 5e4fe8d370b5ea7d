//! Counts wrong tokens by the address that sent them, and stops listening to one that sends many.

use std::collections::HashMap;
use std::net::IpAddr;

use countersign_protocol::UnixMillis;

/// Wrong tokens that an address may send in a [`PERIOD_MS`].
const MANY: u32 = 10;
/// One minute.
const PERIOD_MS: u64 = 60_000;
/// Addresses that are remembered. While all places are taken, nobody new is heard.
const ADDRESSES: usize = 1024;

/// The wrong tokens of the last minute.
#[derive(Debug, Default)]
pub(super) struct Wrongs(HashMap<IpAddr, Count>);

#[derive(Debug)]
struct Count {
    since: UnixMillis,
    wrong: u32,
}

impl Wrongs {
    /// True if a token from this address is looked at.
    pub(super) fn hears(&mut self, from: IpAddr, now: UnixMillis) -> bool {
        self.0
            .retain(|_, count| now.0.saturating_sub(count.since.0) < PERIOD_MS);
        match self.0.get(&from) {
            Some(count) => count.wrong < MANY,
            None => self.0.len() < ADDRESSES,
        }
    }

    /// Counts a wrong token.
    pub(super) fn add(&mut self, from: IpAddr, now: UnixMillis) {
        let count = self.0.entry(from).or_insert(Count {
            since: now,
            wrong: 0,
        });
        count.wrong += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> IpAddr {
        IpAddr::from(number.to_be_bytes())
    }

    #[test]
    fn an_address_that_sends_many_wrong_tokens_is_not_heard_for_a_minute() {
        let mut wrongs = Wrongs::default();
        for _ in 0..MANY {
            assert!(wrongs.hears(address(1), UnixMillis(5)));
            wrongs.add(address(1), UnixMillis(5));
        }
        assert!(!wrongs.hears(address(1), UnixMillis(PERIOD_MS)));
        assert!(
            wrongs.hears(address(2), UnixMillis(PERIOD_MS)),
            "others are"
        );
        assert!(wrongs.hears(address(1), UnixMillis(5 + PERIOD_MS)));
    }

    #[test]
    fn the_memory_of_wrong_tokens_is_bounded() {
        let mut wrongs = Wrongs::default();
        (0..ADDRESSES as u32).for_each(|number| wrongs.add(address(number), UnixMillis(5)));
        assert!(!wrongs.hears(address(5000), UnixMillis(6)));
        assert!(wrongs.hears(address(5000), UnixMillis(5 + PERIOD_MS)));
    }
}
