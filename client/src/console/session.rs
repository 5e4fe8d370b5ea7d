//! Who is signed in: sessions in memory, which end with the process.
//!
//! A session holds the API key of the person who began it, so the coordinator sees who asks. If she
//! began it by passkey, it knows her name, too. Its secret is the cookie's value, of which only the
//! digest is kept here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, watch};
use zeroize::Zeroizing;

use super::people::{People, Person};
use super::random::{digest, same, secret};

/// The most sessions at a time, and of one API key. Its oldest one makes room for another.
const MOST: usize = 512;
const MOST_OF_ONE: usize = 8;
/// A session ends after this time without a request, and after this time at the latest.
const IDLE: Duration = Duration::from_secs(30 * 60);
const LIFE: Duration = Duration::from_secs(12 * 3600);
/// The most requests of one session at the coordinator at once, streams among them.
const AT_ONCE: usize = 16;

/// The API key of a person. Not `Clone`, not printable; its memory is wiped on drop.
pub(super) struct Key(Zeroizing<String>);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

impl Key {
    pub(super) fn new(text: Zeroizing<String>) -> Self {
        Self(text)
    }

    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

/// A session that a request belongs to.
#[derive(Clone)]
pub(super) struct Session {
    id: [u8; 32],
    pub(super) key: Arc<Key>,
    /// Who began it by passkey.
    pub(super) person: Option<Arc<Person>>,
    /// Changes when the session ends.
    pub(super) ended: watch::Receiver<()>,
    pub(super) places: Arc<Semaphore>,
    token: Arc<Zeroizing<String>>,
}

impl Session {
    /// The token that a page of another origin cannot know.
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    pub(super) fn is_token(&self, given: &str) -> bool {
        same(&self.token, given)
    }
}

/// A session that was just begun, with the secret for its cookie.
pub(super) struct Begun {
    pub(super) cookie: Zeroizing<String>,
    pub(super) session: Session,
}

struct Entry {
    session: Session,
    owner: [u8; 32],
    begun: Instant,
    used: Instant,
    /// Dropping it ends the streams of the session.
    _end: watch::Sender<()>,
}

impl Entry {
    fn name(&self) -> Option<&str> {
        self.session.person.as_ref().map(|person| &*person.name)
    }

    fn is_over(&self, now: Instant) -> bool {
        now.duration_since(self.used) >= IDLE || now.duration_since(self.begun) >= LIFE
    }
}

/// All sessions.
#[derive(Default)]
pub(super) struct Sessions(Mutex<BTreeMap<[u8; 32], Entry>>);

impl Sessions {
    /// Begins a session, always with a new secret. None if there are too many.
    pub(super) fn begin(
        &self,
        key: Key,
        person: Option<Arc<Person>>,
        now: Instant,
    ) -> Option<Begun> {
        let mut entries = self.live(now);
        let owner = digest(key.expose());
        let own = entries.values().filter(|entry| entry.owner == owner);
        if own.clone().count() >= MOST_OF_ONE {
            let oldest = own.min_by_key(|entry| entry.begun);
            let oldest = oldest.map(|entry| entry.session.id);
            if let Some(id) = oldest {
                entries.remove(&id);
            }
        }
        if entries.len() >= MOST {
            return None;
        }
        let cookie = secret();
        let (end, ended) = watch::channel(());
        let session = Session {
            id: digest(&cookie),
            key: Arc::new(key),
            person,
            ended,
            places: Arc::new(Semaphore::new(AT_ONCE)),
            token: Arc::new(secret()),
        };
        let entry = Entry {
            session: session.clone(),
            owner,
            begun: now,
            used: now,
            _end: end,
        };
        entries.insert(session.id, entry);
        Some(Begun { cookie, session })
    }

    /// The session with this secret, which is in use from now on.
    pub(super) fn find(&self, cookie: &str, now: Instant) -> Option<Session> {
        let mut entries = self.live(now);
        let entry = entries.get_mut(&digest(cookie))?;
        entry.used = now;
        Some(entry.session.clone())
    }

    pub(super) fn end(&self, session: &Session) {
        self.lock().remove(&session.id);
    }

    /// Ends every session of the same person: those with the same API key, and those that she began
    /// by passkey, although her key was another one then.
    pub(super) fn end_everywhere(&self, session: &Session) {
        let mut entries = self.lock();
        let mut owners = BTreeSet::from([digest(session.key.expose())]);
        let own = session.person.iter().map(|person| person.name.clone());
        let mut names: BTreeSet<String> = own.collect();
        let of_key = entries.values().filter(|one| owners.contains(&one.owner));
        names.extend(of_key.filter_map(|one| one.name().map(str::to_owned)));
        let by_name = |one: &&Entry| one.name().is_some_and(|name| names.contains(name));
        owners.extend(entries.values().filter(by_name).map(|one| one.owner));
        entries.retain(|_, one| !owners.contains(&one.owner));
    }

    /// Ends the sessions that were begun by passkeys which are not listed any more.
    pub(super) fn keep_listed(&self, people: &People) {
        self.lock().retain(|_, entry| {
            let person = entry.session.person.as_ref();
            person.is_none_or(|person| people.has(person))
        });
    }

    /// The sessions that are not over.
    fn live(&self, now: Instant) -> MutexGuard<'_, BTreeMap<[u8; 32], Entry>> {
        let mut entries = self.lock();
        entries.retain(|_, entry| !entry.is_over(now));
        entries
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<[u8; 32], Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use countersign_vote::testing::Passkey;

    use super::*;

    fn key(text: &str) -> Key {
        Key::new(Zeroizing::new(text.into()))
    }

    #[test]
    fn a_session_is_found_by_its_secret_alone() {
        let sessions = Sessions::default();
        let now = Instant::now();
        let begun = sessions.begin(key("ann"), None, now).unwrap();
        let found = sessions.find(&begun.cookie, now).unwrap();
        assert_eq!(found.key.expose(), "ann");
        assert!(found.is_token(begun.session.token()));
        assert!(!found.is_token(&begun.cookie));
        for wrong in ["", &"0".repeat(64), begun.session.token()] {
            assert!(sessions.find(wrong, now).is_none());
        }
        let other = sessions.begin(key("ann"), None, now).unwrap();
        assert_ne!(*begun.cookie, *other.cookie);
        assert!(!found.is_token(other.session.token()));
        assert_eq!(format!("{:?}", found.key), "Key(..)");
    }

    #[test]
    fn a_session_that_nobody_uses_ends_and_so_does_an_old_one() {
        let sessions = Sessions::default();
        let now = Instant::now();
        let begun = sessions.begin(key("ann"), None, now).unwrap();
        assert!(sessions.find(&begun.cookie, now + IDLE).is_none());
        let begun = sessions.begin(key("ann"), None, now).unwrap();
        let mut at = now;
        while at < now + LIFE {
            assert!(sessions.find(&begun.cookie, at).is_some());
            at += IDLE / 2;
        }
        assert!(sessions.find(&begun.cookie, now + LIFE).is_none());
    }

    #[test]
    fn signing_out_ends_one_session_and_its_streams_or_all_of_the_key() {
        let sessions = Sessions::default();
        let now = Instant::now();
        let begin = |name| sessions.begin(key(name), None, now).unwrap();
        let is_on = |begun: &Begun| sessions.find(&begun.cookie, now).is_some();
        let [phone, desk, third, ben] = ["ann", "ann", "ann", "ben"].map(begin);
        sessions.end(&phone.session);
        assert_eq!(
            [&phone, &desk, &third, &ben].map(is_on),
            [false, true, true, true]
        );
        assert!(
            phone.session.ended.has_changed().is_err(),
            "the sender is gone"
        );
        assert!(desk.session.ended.has_changed().is_ok());
        sessions.end_everywhere(&desk.session);
        assert_eq!(
            [&phone, &desk, &third, &ben].map(is_on),
            [false, false, false, true]
        );
    }

    /// Ann with a passkey whose id has this seed.
    fn ann(seed: u8) -> Arc<Person> {
        let id = Passkey::new(seed).id();
        let text = format!("ann: {{api_key_file: a, passkeys: [{{id: {id}, credential: QUFB}}]}}");
        let people = People::parse(text.as_bytes(), Path::new("/"), None).unwrap();
        people.by_credential("QUFB").unwrap().clone()
    }

    #[test]
    fn signing_out_everywhere_ends_sessions_by_key_and_by_passkey() {
        let sessions = Sessions::default();
        let now = Instant::now();
        let begin = |name, person| sessions.begin(key(name), person, now).unwrap();
        let is_on = |begun: &Begun| sessions.find(&begun.cookie, now).is_some();
        for from in 0..3 {
            let own = [
                begin("earlier", Some(ann(3))),
                begin("earlier", None),
                begin("later", Some(ann(3))),
            ];
            let ben = begin("ben", None);
            sessions.end_everywhere(&own[from].session);
            assert_eq!(own.each_ref().map(is_on), [false; 3], "from {from}");
            assert!(is_on(&ben));
        }
    }

    #[test]
    fn a_session_ends_with_the_passkey_that_began_it() {
        let sessions = Sessions::default();
        let now = Instant::now();
        let people = |text: &str| People::parse(text.as_bytes(), Path::new("/"), None).unwrap();
        let by_passkey = sessions.begin(key("ann"), Some(ann(3)), now).unwrap();
        let by_key = sessions.begin(key("ann"), None, now).unwrap();
        let id = Passkey::new(3).id();
        let listed =
            format!("ann: {{api_key_file: a, passkeys: [{{id: {id}, credential: QUFB}}]}}");
        sessions.keep_listed(&people(&listed));
        assert!(sessions.find(&by_passkey.cookie, now).is_some());
        sessions.keep_listed(&people(&listed.replace("ann:", "ben:")));
        assert!(sessions.find(&by_passkey.cookie, now).is_none());
        assert!(sessions.find(&by_key.cookie, now).is_some());
    }

    #[test]
    fn one_key_takes_no_room_from_others_and_all_together_are_bounded() {
        let sessions = Sessions::default();
        let now = Instant::now();
        let first = sessions.begin(key("ann"), None, now).unwrap();
        for second in 1..=MOST_OF_ONE as u64 {
            let at = now + Duration::from_secs(second);
            assert!(sessions.begin(key("ann"), None, at).is_some());
        }
        assert!(sessions.find(&first.cookie, now).is_none(), "the oldest");
        assert_eq!(sessions.lock().len(), MOST_OF_ONE);
        let taken = sessions.lock().len();
        for number in taken..MOST {
            assert!(
                sessions
                    .begin(key(&number.to_string()), None, now)
                    .is_some()
            );
        }
        assert!(sessions.begin(key("one more"), None, now).is_none());
    }
}
