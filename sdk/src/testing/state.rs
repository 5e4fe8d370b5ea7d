//! A plugin's memory in unit tests, with the guarantees of the contract: until the decision only
//! the call itself sees its writes, entries expire, and reservations can be taken back.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use super::MockHost;
use crate::{Host, StateError, forward_host};

const KEY: usize = 256;
const VALUE: usize = 64 << 10;
const LIST: usize = 1000;

#[derive(Debug, Default)]
pub(super) struct Store {
    entries: BTreeMap<String, Entry>,
    commits: u64,
    pub(super) quota: Option<u64>,
}

#[derive(Debug, Clone)]
struct Entry {
    value: Vec<u8>,
    /// Expiry in milliseconds since 1970; `None`: never.
    expires: Option<u64>,
    /// The number of the commit that wrote the entry.
    commit: u64,
}

/// A write of an undecided call; `None` deletes the entry.
type Write = Option<(Vec<u8>, Option<Duration>)>;

/// The writes of an approved task that has not ended yet. See [`MockHost::release`].
#[derive(Debug)]
pub struct Reservation {
    commit: u64,
    before: BTreeMap<String, Option<Entry>>,
}

/// Another decision became durable after this one began: a node would ask again.
#[derive(Debug, PartialEq, Eq)]
pub struct Conflict;

impl Store {
    fn visible(&self, key: &str, now: u64) -> Option<&Entry> {
        self.entries.get(key).filter(|entry| is_alive(entry, now))
    }

    fn commit(&mut self, writes: BTreeMap<String, Write>, now: u64) -> Reservation {
        self.commits += 1;
        let mut before = BTreeMap::new();
        for (key, write) in writes {
            let replaced = match write {
                Some((value, ttl)) => {
                    let expires = ttl.map(|ttl| now + 1000 * ttl.as_secs());
                    self.entries.insert(
                        key.clone(),
                        Entry {
                            value,
                            expires,
                            commit: self.commits,
                        },
                    )
                }
                None => self.entries.remove(&key),
            };
            before.insert(key, replaced);
        }
        Reservation {
            commit: self.commits,
            before,
        }
    }

    /// Takes back a reservation, except for entries that a later commit wrote.
    pub(super) fn release(&mut self, reservation: Reservation) {
        for (key, before) in reservation.before {
            if self
                .entries
                .get(&key)
                .is_some_and(|entry| entry.commit > reservation.commit)
            {
                continue;
            }
            match before {
                Some(entry) => self.entries.insert(key, entry),
                None => self.entries.remove(&key),
            };
        }
        self.commits += 1;
    }
}

fn is_alive(entry: &Entry, now: u64) -> bool {
    entry.expires.is_none_or(|expires| now < expires)
}

/// A decision in progress, with its own view of the state. Everything else is the host's.
pub struct MockCall<'a> {
    host: &'a MockHost,
    store: &'a RefCell<Store>,
    writes: RefCell<BTreeMap<String, Write>>,
    began: u64,
}

impl<'a> MockCall<'a> {
    pub(super) fn new(host: &'a MockHost, store: &'a RefCell<Store>) -> Self {
        let began = store.borrow().commits;
        MockCall {
            host,
            store,
            writes: RefCell::default(),
            began,
        }
    }

    /// Approves the task: its writes become durable, unless another decision came first. Dropping
    /// the call discards them.
    pub fn commit(self) -> Result<Reservation, Conflict> {
        let mut store = self.store.borrow_mut();
        if store.commits != self.began {
            return Err(Conflict);
        }
        Ok(store.commit(self.writes.into_inner(), self.host.now()))
    }

    fn seen(&self) -> BTreeMap<String, Vec<u8>> {
        let now = self.host.now();
        let store = self.store.borrow();
        let durable = store
            .entries
            .iter()
            .filter(|(_, entry)| is_alive(entry, now));
        let mut seen: BTreeMap<_, _> = durable
            .map(|(key, entry)| (key.clone(), entry.value.clone()))
            .collect();
        for (key, write) in self.writes.borrow().iter() {
            match write {
                Some((value, _)) => seen.insert(key.clone(), value.clone()),
                None => seen.remove(key),
            };
        }
        seen
    }

    fn write(&self, key: &str, write: Write) -> Result<(), StateError> {
        let length = write.as_ref().map_or(0, |(value, _)| value.len());
        if key.len() > KEY || length > VALUE {
            return Err(StateError::Denied(format!(
                "keys have {KEY} bytes, values {VALUE}"
            )));
        }
        let before = self.writes.borrow_mut().insert(key.into(), write);
        let Some(quota) = self.store.borrow().quota else {
            return Ok(());
        };
        let used: usize = self
            .seen()
            .iter()
            .map(|(key, value)| key.len() + value.len())
            .sum();
        if used as u64 <= quota {
            return Ok(());
        }
        match before {
            Some(write) => self.writes.borrow_mut().insert(key.into(), write),
            None => self.writes.borrow_mut().remove(key),
        };
        Err(StateError::Denied(format!(
            "the quota of {quota} bytes is used up"
        )))
    }
}

#[deny(clippy::missing_trait_methods)]
impl Host for MockCall<'_> {
    forward_host!(host except state);

    fn state_get(&self, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        match self.writes.borrow().get(key) {
            Some(write) => Ok(write.as_ref().map(|(value, _)| value.clone())),
            None => Ok(self
                .store
                .borrow()
                .visible(key, self.host.now())
                .map(|entry| entry.value.clone())),
        }
    }

    fn state_set(&self, key: &str, value: &[u8], ttl: Option<Duration>) -> Result<(), StateError> {
        self.write(key, Some((value.into(), ttl)))
    }

    fn state_delete(&self, key: &str) -> Result<(), StateError> {
        self.write(key, None)
    }

    fn state_keys(&self, prefix: &str, limit: u32) -> Result<Vec<String>, StateError> {
        Ok(self
            .state_entries(prefix, limit)?
            .into_iter()
            .map(|(key, _)| key)
            .collect())
    }

    fn state_entries(
        &self,
        prefix: &str,
        limit: u32,
    ) -> Result<Vec<(String, Vec<u8>)>, StateError> {
        let limit = LIST.min(limit as usize);
        Ok(self
            .seen()
            .into_iter()
            .filter(|(key, _)| key.starts_with(prefix))
            .take(limit)
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn read(host: &impl Host, key: &str) -> Option<Vec<u8>> {
        host.state_get(key).unwrap()
    }

    #[test]
    fn a_call_sees_its_own_writes_and_nobody_else_does_before_the_decision() {
        let host = MockHost::default();
        let call = host.call();
        call.state_set("a", b"1", None).unwrap();
        assert_eq!(read(&call, "a"), Some(b"1".to_vec()));
        assert_eq!(read(&host, "a"), None);
        drop(call);
        assert_eq!(read(&host, "a"), None, "discarded");
        let call = host.call();
        call.state_set("a", b"2", None).unwrap();
        call.commit().unwrap();
        assert_eq!(read(&host, "a"), Some(b"2".to_vec()));
    }

    #[test]
    fn the_second_of_two_calls_has_to_be_repeated() {
        let host = MockHost::default();
        let first = host.call();
        let second = host.call();
        first.state_set("a", b"1", None).unwrap();
        first.commit().unwrap();
        assert_eq!(second.commit().unwrap_err(), Conflict);
    }

    #[test]
    fn an_entry_lives_its_time_from_the_decision() {
        let host = MockHost::default();
        let call = host.call();
        call.state_set("a", b"1", Some(HOUR)).unwrap();
        host.advance(HOUR);
        call.commit().unwrap();
        host.advance(HOUR - Duration::from_millis(1));
        assert!(read(&host, "a").is_some());
        host.advance(Duration::from_millis(1));
        assert!(read(&host, "a").is_none());
    }

    #[test]
    fn a_release_takes_back_what_no_later_task_wrote() {
        let host = MockHost::default();
        host.state_set("a", b"0", None).unwrap();
        let first = host.call();
        for key in ["a", "b"] {
            first.state_set(key, b"1", None).unwrap();
        }
        let first = first.commit().unwrap();
        host.state_set("b", b"2", None).unwrap();
        host.release(first);
        assert_eq!(read(&host, "a"), Some(b"0".to_vec()));
        assert_eq!(read(&host, "b"), Some(b"2".to_vec()));
    }

    #[test]
    fn lists_are_in_order_cut_and_show_own_writes() {
        let host = MockHost::default();
        for i in 0..1100 {
            host.state_set(&format!("a/{i:04}"), b"", None).unwrap();
        }
        let call = host.call();
        call.state_delete("a/0000").unwrap();
        call.state_set("a/00005", b"own", None).unwrap();
        let keys = call.state_keys("a/", 5000).unwrap();
        assert_eq!(
            (keys.len(), &*keys[0], &*keys[1]),
            (1000, "a/00005", "a/0001")
        );
    }

    #[test]
    fn a_quota_bounds_keys_and_values() {
        let host = MockHost::default().with_state_bytes(4);
        assert!(host.state_set("ab", b"12", None).is_ok());
        assert!(matches!(
            host.state_set("c", b"", None),
            Err(StateError::Denied(_))
        ));
        assert!(host.state_set("ab", b"3", None).is_ok());
        assert!(host.state_set("c", b"", None).is_ok());
    }
}
