//! The people whose votes are collected, by the operator's list. It decides when a task is offered
//! to nodes, and nothing else: each node counts the votes by a list of its own.

use std::collections::{BTreeMap, BTreeSet};

use countersign_protocol::contact::is_name;
use countersign_protocol::{ApproverId, ApproverKey, Passkeys, RequesterId, Vote};
use countersign_vote::{RelyingParty, RelyingPartyError, is_usable};
use serde::Deserialize;

/// An entry of `approvers`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawApprover {
    name: String,
    /// Each may vote for the person, who counts once.
    keys: Vec<ApproverId>,
    /// Requesters whose orders are hers: her approval of those does not count.
    #[serde(default)]
    requesters: Vec<RequesterId>,
    /// True if a rejection ends a task at once.
    #[serde(default)]
    veto: bool,
}

/// The pages that may ask passkeys for votes and orders.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawPasskeys {
    /// The domain to which the passkeys are bound.
    rp_id: String,
    /// The pages themselves.
    origins: Vec<String>,
}

/// The people whose votes are collected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Approvers {
    names: BTreeSet<String>,
    keys: BTreeMap<ApproverId, String>,
    requesters: BTreeMap<RequesterId, BTreeSet<String>>,
    vetoes: BTreeSet<String>,
    pages: Option<RelyingParty>,
    /// Milliseconds for which an approval counts.
    max_age: u64,
}

/// Why a list of approvers is rejected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApproversError {
    /// A name that could be taken for something else.
    #[error(
        "approver `{0}`: a name has at most 64 bytes, nothing invisible in it, and is not an id; write the person's name"
    )]
    Name(String),
    /// Two entries have one name.
    #[error("approver `{0}` is listed twice; list each person once, with all keys")]
    Twice(String),
    /// No keys, or too many.
    #[error("approver `{0}` has {1} keys; list 1 to {max}", max = Approvers::MAX_KEYS)]
    Keys(String, usize),
    /// More keys than votes are carried of one task.
    #[error("the approvers have {0} keys together; list at most {max}", max = Approvers::MAX_ALL_KEYS)]
    TooMany(usize),
    /// The key can have made no signature.
    #[error("approver `{0}`: {1} is not a point of P-256; ask the person for the id again")]
    Unusable(String, ApproverId),
    /// No page may collect votes of the key.
    #[error(
        "approver `{0}`: {1} is a passkey, and no page may collect its votes; add the section `passkeys`"
    )]
    NoPages(String, ApproverId),
    /// Two people have one key.
    #[error("the key {0} belongs to `{1}` and to `{2}`; each key belongs to one person, once")]
    Shared(ApproverId, String, String),
    /// The section `passkeys` is rejected.
    #[error("passkeys: {0}")]
    Pages(#[from] RelyingPartyError),
}

impl Approvers {
    /// The maximum number of keys of one person.
    const MAX_KEYS: usize = 8;
    /// The maximum number of keys: an approval and a rejection of each are carried.
    const MAX_ALL_KEYS: usize = Vote::MAX_OF_TASK / 2;

    /// Checks the list. An approval counts for `max_age` ms.
    pub fn new(
        listed: Vec<RawApprover>,
        passkeys: Option<RawPasskeys>,
        max_age: u64,
    ) -> Result<Self, ApproversError> {
        let pages = passkeys.map(|pages| RelyingParty::new(&pages.rp_id, pages.origins));
        let mut approvers = Self {
            pages: pages.transpose()?,
            max_age,
            ..Self::default()
        };
        for approver in listed {
            approvers.add(approver)?;
        }
        match approvers.keys.len() {
            fits if fits <= Self::MAX_ALL_KEYS => Ok(approvers),
            many => Err(ApproversError::TooMany(many)),
        }
    }

    fn add(&mut self, approver: RawApprover) -> Result<(), ApproversError> {
        let RawApprover {
            name,
            keys,
            requesters,
            veto,
        } = approver;
        if !is_name(&name) {
            return Err(ApproversError::Name(name));
        }
        if !self.names.insert(name.clone()) {
            return Err(ApproversError::Twice(name));
        }
        if !(1..=Self::MAX_KEYS).contains(&keys.len()) {
            return Err(ApproversError::Keys(name, keys.len()));
        }
        for key in keys {
            let is_passkey = matches!(key.key(), ApproverKey::Passkey(_));
            if !is_usable(key.key()) {
                return Err(ApproversError::Unusable(name, key));
            }
            if is_passkey && self.pages.is_none() {
                return Err(ApproversError::NoPages(name, key));
            }
            if let Some(other) = self.keys.insert(key, name.clone()) {
                return Err(ApproversError::Shared(key, other, name));
            }
        }
        for requester in requesters {
            let people = self.requesters.entry(requester).or_default();
            people.insert(name.clone());
        }
        if veto {
            self.vetoes.insert(name);
        }
        Ok(())
    }

    /// The person with this key.
    pub fn name_of(&self, key: &ApproverId) -> Option<&str> {
        self.keys.get(key).map(String::as_str)
    }

    /// All people.
    pub fn names(&self) -> &BTreeSet<String> {
        &self.names
    }

    /// True if a rejection of this person ends a task at once.
    pub fn has_veto(&self, name: &str) -> bool {
        self.vetoes.contains(name)
    }

    /// True if orders of this requester are the person's own: it is listed with her, or she votes
    /// with its key.
    pub fn orders_as(&self, name: &str, requester: &RequesterId) -> bool {
        let people = self.requesters.get(requester);
        people.is_some_and(|people| people.contains(name))
            || ApproverId::new(*requester.key()).is_ok_and(|key| self.name_of(&key) == Some(name))
    }

    /// Milliseconds for which an approval counts.
    pub fn max_age(&self) -> u64 {
        self.max_age
    }

    /// The same pages, as orders are checked by them.
    pub fn passkeys(&self) -> Option<&dyn Passkeys> {
        self.pages.as_ref().map(|pages| pages as &dyn Passkeys)
    }

    /// The pages that may ask passkeys for votes and orders.
    pub fn pages(&self) -> Option<&RelyingParty> {
        self.pages.as_ref()
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use countersign_protocol::RequesterId;
    use countersign_vote::testing::Key;

    use super::{Approvers, RawApprover, RawPasskeys};

    const DAY: u64 = 24 * 3_600_000;

    impl Approvers {
        /// Lets approvals count for this many ms.
        pub fn expire_after(&mut self, age: u64) {
            self.max_age = age;
        }

        /// Makes the requester's orders this person's own.
        pub fn let_order(&mut self, name: &str, requester: RequesterId) {
            let people = self.requesters.entry(requester).or_default();
            people.insert(name.into());
        }
    }

    /// People with the Ed25519 keys of these seeds, and those of them who have a veto.
    pub fn with_keys(people: &[(&str, &[u8])], vetoes: &[&str]) -> Approvers {
        let approver = |(name, seeds): &(&str, &[u8])| RawApprover {
            name: (*name).into(),
            keys: seeds.iter().map(|seed| Key::new(*seed).id()).collect(),
            requesters: Vec::new(),
            veto: vetoes.contains(name),
        };
        Approvers::new(people.iter().map(approver).collect(), None, DAY).unwrap()
    }

    /// The same with one key each.
    pub fn people(people: &[(&str, u8)], vetoes: &[&str]) -> Approvers {
        let keys: Vec<(&str, [u8; 1])> =
            people.iter().map(|(name, seed)| (*name, [*seed])).collect();
        let keys: Vec<(&str, &[u8])> = keys.iter().map(|(name, seed)| (*name, &seed[..])).collect();
        with_keys(&keys, vetoes)
    }

    /// Nobody, on the page of the passkeys of the tests.
    pub fn nobody_on_the_page() -> Approvers {
        let pages = RawPasskeys {
            rp_id: countersign_vote::testing::RP_ID.into(),
            origins: vec![countersign_vote::testing::ORIGIN.into()],
        };
        Approvers::new(Vec::new(), Some(pages), DAY).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use countersign_vote::testing::{Key, Passkey};

    use super::*;

    fn approver(name: &str, keys: &[ApproverId], veto: bool) -> RawApprover {
        RawApprover {
            name: name.into(),
            keys: keys.to_vec(),
            requesters: Vec::new(),
            veto,
        }
    }

    fn pages() -> Option<RawPasskeys> {
        Some(RawPasskeys {
            rp_id: "treasury.example".into(),
            origins: vec!["https://treasury.example".into()],
        })
    }

    #[test]
    fn a_person_is_found_by_any_of_her_keys() {
        let keys = [Key::new(1).id(), Passkey::new(2).id()];
        let listed = vec![
            approver("ann", &keys, true),
            approver("ben", &[Key::new(3).id()], false),
        ];
        let approvers = Approvers::new(listed, pages(), 1).unwrap();
        let names = keys.map(|key| approvers.name_of(&key).map(str::to_owned));
        assert_eq!(names, [Some("ann".into()), Some("ann".into())]);
        assert_eq!(approvers.name_of(&Key::new(4).id()), None);
        assert_eq!(
            ["ann", "ben"].map(|name| approvers.has_veto(name)),
            [true, false]
        );
    }

    #[test]
    fn orders_by_a_persons_own_key_are_hers() {
        let [key, passkey] = [Key::new(1).id(), Passkey::new(2).id()];
        let listed = vec![
            approver("ann", &[key, passkey], false),
            approver("ben", &[Key::new(3).id()], false),
        ];
        let approvers = Approvers::new(listed, pages(), 1).unwrap();
        for id in [key, passkey] {
            let requester = RequesterId::new(*id.key()).unwrap();
            assert!(approvers.orders_as("ann", &requester));
            assert!(!approvers.orders_as("ben", &requester));
        }
        let other = RequesterId::new(*Passkey::new(4).id().key()).unwrap();
        assert!(!approvers.orders_as("ann", &other));
    }

    #[test]
    fn a_list_that_leaves_open_who_votes_is_refused() {
        let [one, two, passkey] = [Key::new(1).id(), Key::new(2).id(), Passkey::new(3).id()];
        let many: Vec<ApproverId> = (1..=9).map(|seed| Key::new(seed).id()).collect();
        for (wrong, listed) in [
            ("is not an id", vec![approver("csv1xyz", &[one], false)]),
            (
                "listed twice",
                vec![
                    approver("ann", &[one], false),
                    approver("ann", &[two], false),
                ],
            ),
            ("0 keys", vec![approver("ann", &[], false)]),
            ("9 keys", vec![approver("ann", &many, false)]),
            (
                "belongs to `ann` and to `ben`",
                vec![
                    approver("ann", &[one], false),
                    approver("ben", &[one], false),
                ],
            ),
            ("add the section", vec![approver("ann", &[passkey], false)]),
        ] {
            let refused = Approvers::new(listed, None, 1).unwrap_err().to_string();
            assert!(
                refused.contains(wrong) && refused.contains(';'),
                "{refused}"
            );
        }
    }

    #[test]
    fn more_keys_than_their_votes_can_be_carried_are_refused() {
        let people = |count: usize| -> Vec<RawApprover> {
            let person = |number: usize| {
                let seed = u8::try_from(number).unwrap();
                approver(&format!("p{number}"), &[Key::new(seed).id()], false)
            };
            (1..=count).map(person).collect()
        };
        assert!(Approvers::new(people(Approvers::MAX_ALL_KEYS), None, 1).is_ok());
        let refused = Approvers::new(people(Approvers::MAX_ALL_KEYS + 1), None, 1);
        assert!(matches!(refused, Err(ApproversError::TooMany(129))));
    }
}
