//! Approvers, who are people with one key or several, and groups of them.

use std::collections::{BTreeMap, BTreeSet};

use countersign_protocol::contact::is_name;
use countersign_protocol::{ApproverId, ApproverKey, RequesterId};
use countersign_sdk::Principal;
use countersign_vote::is_usable;
use serde::Deserialize;

/// The maximum number of people.
const MAX_PEOPLE: usize = 256;
/// The maximum number of keys of one person.
const MAX_KEYS: usize = 8;

/// A person, by the place in the order of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Person(usize);

/// Several people.
pub type Set = BTreeSet<Person>;

/// An approver as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenApprover {
    /// Each may vote for the person, who counts once.
    pub keys: Vec<ApproverId>,
    /// Requesters, by the names that the node's operator gave them or by id, whose orders are the
    /// person's own.
    #[serde(default)]
    pub requesters: Vec<String>,
}

/// All approvers and groups.
#[derive(Debug)]
pub struct People {
    names: Vec<String>,
    keys: BTreeMap<ApproverId, Person>,
    requesters: Vec<Vec<String>>,
    groups: BTreeMap<String, Set>,
}

impl People {
    /// Checks and joins approvers and groups.
    pub fn new(
        approvers: BTreeMap<String, WrittenApprover>,
        groups: BTreeMap<String, Vec<String>>,
        passkeys: bool,
    ) -> Result<Self, String> {
        if !(1..=MAX_PEOPLE).contains(&approvers.len()) {
            return Err(format!(
                "approvers lists {} people; list 1 to {MAX_PEOPLE}",
                approvers.len()
            ));
        }
        let mut people = Self {
            names: approvers.keys().cloned().collect(),
            keys: BTreeMap::new(),
            requesters: Vec::new(),
            groups: BTreeMap::new(),
        };
        for (at, (name, approver)) in approvers.into_iter().enumerate() {
            people
                .add(Person(at), approver, passkeys)
                .map_err(|why| format!("approvers.{name}: {why}"))?;
        }
        for (name, members) in groups {
            let group = people
                .group_of(&name, &members)
                .map_err(|why| format!("groups.{name}: {why}"))?;
            people.groups.insert(name, group);
        }
        Ok(people)
    }

    fn add(
        &mut self,
        person: Person,
        approver: WrittenApprover,
        passkeys: bool,
    ) -> Result<(), String> {
        if !is_name(self.name(person)) {
            return Err(
                "a name has at most 64 bytes, nothing invisible in it, and is no id; write the person's name".into(),
            );
        }
        if !(1..=MAX_KEYS).contains(&approver.keys.len()) {
            return Err(format!(
                "it has {} keys; list 1 to {MAX_KEYS}, or remove the person",
                approver.keys.len()
            ));
        }
        for key in approver.keys {
            if !is_usable(key.key()) {
                return Err(format!(
                    "{key} is no point of P-256; ask the person for the id again"
                ));
            }
            if matches!(key.key(), ApproverKey::Passkey(_)) && !passkeys {
                return Err(format!(
                    "{key} is a passkey, and no page may collect its votes; add the section `passkeys`"
                ));
            }
            if let Some(other) = self.keys.insert(key, person) {
                return Err(format!(
                    "the key {key} is listed twice, for {} too; each key belongs to one person, once",
                    self.name(other)
                ));
            }
        }
        let is_broken = |id: &&String| id.starts_with("csr1") && id.parse::<RequesterId>().is_err();
        if let Some(id) = approver.requesters.iter().find(is_broken) {
            return Err(format!("the requester id {id} is mistyped; copy it again"));
        }
        self.requesters.push(approver.requesters);
        Ok(())
    }

    fn group_of(&self, name: &str, members: &[String]) -> Result<Set, String> {
        if !is_name(name) || self.names.iter().any(|person| person == name) {
            return Err(
                "it is called like a person, or has no proper name; call it differently".into(),
            );
        }
        let mut group = Set::new();
        for member in members {
            let person = self.find(member).ok_or_else(|| {
                format!(
                    "{member} is not listed under `approvers`; list the person, or correct the name"
                )
            })?;
            if !group.insert(person) {
                return Err(format!("{member} is listed twice; list each person once"));
            }
        }
        if group.is_empty() {
            return Err("it is empty; list people, or remove the group".into());
        }
        Ok(group)
    }

    /// The name of a person.
    pub fn name(&self, person: Person) -> &str {
        &self.names[person.0]
    }

    /// The person whose key this is.
    pub fn with_key(&self, key: &ApproverId) -> Option<Person> {
        self.keys.get(key).copied()
    }

    /// The people whose order a task is: those who are listed with the requester, the one who votes
    /// with the same key, and, if it is a passkey, the one who is called as the node calls it. A
    /// passkey is a person's, so one name is one person.
    pub fn initiators(&self, requester: &Principal) -> Set {
        let orders = |(at, ids): (usize, &Vec<String>)| {
            let ordered = |id: &String| {
                *id == requester.id || (!requester.name.is_empty() && *id == requester.name)
            };
            ids.iter().any(ordered).then_some(Person(at))
        };
        let listed = self.requesters.iter().enumerate().filter_map(orders);
        let id = requester.id.parse::<RequesterId>().ok();
        let votes = |(key, person): (&ApproverId, &Person)| {
            id.is_some_and(|id| id.is(key)).then_some(*person)
        };
        let same_key = self.keys.iter().filter_map(votes);
        let named = id.filter(RequesterId::is_passkey);
        let same_name = named.and_then(|_| self.find(&requester.name));
        listed.chain(same_key).chain(same_name).collect()
    }

    /// The members of a group.
    pub fn group(&self, name: &str) -> Result<&Set, String> {
        self.groups.get(name).ok_or_else(|| {
            let known: Vec<_> = self.groups.keys().map(String::as_str).collect();
            format!(
                "there is no group `{name}`, only: {}; add it or correct the name",
                known.join(", ")
            )
        })
    }

    /// The person of this name, or the members of the group of this name.
    pub fn person_or_group(&self, name: &str) -> Result<Set, String> {
        match (self.find(name), self.groups.get(name)) {
            (Some(person), _) => Ok(Set::from([person])),
            (None, Some(group)) => Ok(group.clone()),
            (None, None) => Err(format!(
                "there is no person or group `{name}`; add it or correct the name"
            )),
        }
    }

    fn find(&self, name: &str) -> Option<Person> {
        self.names
            .binary_search_by(|person| person.as_str().cmp(name))
            .ok()
            .map(Person)
    }
}
