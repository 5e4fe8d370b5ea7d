//! Signing in by passkey: what a browser was asked to sign, and whether somebody did.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use countersign_protocol::Assertion;
use countersign_vote::{RelyingParty, SignIn};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::people::{People, Person};
use super::random::{digest, nonce, secret};

/// Time for a person to find her passkey.
const LIFE: Duration = Duration::from_secs(120);
/// The most challenges that wait. The oldest makes room for another.
const MOST: usize = 65_536;
/// A point of P-256, its base point (SP 800-186, section 3.2.1.3): a credential that nobody has is
/// checked under it, and so takes as long as one that somebody has.
const NOBODY: [u8; 33] = [
    0x03, 0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63, 0xa4, 0x40,
    0xf2, 0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2,
    0x96,
];

/// What an authenticator returned, with the signature in its one form (`countersign_vote::low_s`).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Answer {
    /// The credential's id, in base64url without padding.
    credential: String,
    #[serde(with = "hex::serde")]
    client_data: Vec<u8>,
    #[serde(with = "hex::serde")]
    authenticator_data: Vec<u8>,
    #[serde(with = "hex::serde")]
    signature: Vec<u8>,
}

/// A challenge that was just made, with the secret for the browser's cookie.
pub(super) struct Asked {
    pub(super) cookie: Zeroizing<String>,
    pub(super) nonce: [u8; 32],
}

/// A challenge that waits for its answer.
struct Pending {
    browser: [u8; 32],
    nonce: [u8; 32],
    made: Instant,
}

/// The challenges of the last moment, the oldest first. Each belongs to one browser, so that nobody
/// has another person's browser sign in as herself, and is taken once.
#[derive(Default)]
pub(super) struct Challenges(Mutex<VecDeque<Pending>>);

impl Challenges {
    pub(super) fn begin(&self, now: Instant) -> Asked {
        let asked = Asked {
            cookie: secret(),
            nonce: nonce(),
        };
        let mut waiting = self.live(now);
        if waiting.len() >= MOST {
            waiting.pop_front();
        }
        waiting.push_back(Pending {
            browser: digest(&asked.cookie),
            nonce: asked.nonce,
            made: now,
        });
        asked
    }

    /// Takes the challenge of the browser with this cookie.
    pub(super) fn take(&self, cookie: &str, now: Instant) -> Option<[u8; 32]> {
        let browser = digest(cookie);
        let mut waiting = self.live(now);
        let place = waiting.iter().position(|one| one.browser == browser)?;
        waiting.remove(place).map(|one| one.nonce)
    }

    /// Those whose time is not over.
    fn live(&self, now: Instant) -> MutexGuard<'_, VecDeque<Pending>> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while waiting
            .front()
            .is_some_and(|one| now.duration_since(one.made) >= LIFE)
        {
            waiting.pop_front();
        }
        waiting
    }
}

/// The page on which people sign in, and no other.
pub(super) struct Page {
    origin: String,
    page: RelyingParty,
}

impl Page {
    /// `page` has this origin alone.
    pub(super) fn new(origin: String, page: RelyingParty) -> Self {
        Self { origin, page }
    }

    /// The person who signed in, if she did. It does the same work for a credential that nobody
    /// has.
    pub(super) fn person(
        &self,
        people: &People,
        nonce: &[u8; 32],
        answer: Answer,
    ) -> Option<Arc<Person>> {
        let found = people.by_credential(&answer.credential);
        let key = found.map_or(&NOBODY, |person| &person.key);
        let assertion = Assertion {
            client_data: answer.client_data,
            authenticator_data: answer.authenticator_data,
            signature: answer.signature,
        };
        let asked = SignIn {
            origin: &self.origin,
            nonce,
        };
        let signed = asked.check(&assertion, key, &self.page);
        found.filter(|_| signed.is_ok()).cloned()
    }
}

#[cfg(test)]
mod tests {
    use countersign_protocol::ApproverKey;

    use super::*;

    #[test]
    fn a_challenge_is_taken_once_and_by_its_own_browser() {
        let challenges = Challenges::default();
        let now = Instant::now();
        let [ann, ben] = [challenges.begin(now), challenges.begin(now)];
        assert_ne!((&*ann.cookie, ann.nonce), (&*ben.cookie, ben.nonce));
        assert_eq!(challenges.take(&"0".repeat(64), now), None);
        assert_eq!(challenges.take(&ben.cookie, now), Some(ben.nonce));
        assert_eq!(challenges.take(&ben.cookie, now), None, "again");
        assert_eq!(challenges.take(&ann.cookie, now), Some(ann.nonce));
    }

    #[test]
    fn a_challenge_lives_for_two_minutes() {
        let challenges = Challenges::default();
        let now = Instant::now();
        let [early, late] = [challenges.begin(now), challenges.begin(now)];
        let almost = now + LIFE - Duration::from_millis(1);
        assert_eq!(challenges.take(&early.cookie, almost), Some(early.nonce));
        assert_eq!(challenges.take(&late.cookie, now + LIFE), None);
    }

    #[test]
    fn challenges_that_nobody_answers_take_no_room_without_end() {
        let challenges = Challenges::default();
        let now = Instant::now();
        let first = challenges.begin(now);
        let mut last = challenges.begin(now);
        for _ in 2..=MOST {
            last = challenges.begin(now);
        }
        assert_eq!(challenges.live(now).len(), MOST);
        assert_eq!(challenges.take(&first.cookie, now), None, "the oldest");
        assert_eq!(challenges.take(&last.cookie, now), Some(last.nonce));
    }

    #[test]
    fn a_credential_that_nobody_has_is_checked_under_a_key_that_can_be_one() {
        let key = ApproverKey::Passkey(NOBODY);
        assert!(countersign_vote::is_usable(&key));
    }
}
