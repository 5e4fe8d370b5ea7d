//! Members of a JSON object, marked as the node's facts or the requester's claims.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// The members of one object. All are claims at first, until the node overwrites some with facts.
pub(super) struct Members {
    members: Map<String, Value>,
    /// The names of the members that are facts.
    facts: BTreeSet<String>,
    /// The names of claims that were replaced by another value.
    pub(super) overridden: Vec<String>,
}

impl Members {
    pub(super) fn new(claims: Map<String, Value>) -> Self {
        Self {
            members: claims,
            facts: BTreeSet::new(),
            overridden: Vec::new(),
        }
    }

    /// Sets a fact; `None` removes the member.
    pub(super) fn fact(&mut self, name: &str, value: Option<Value>) {
        let claim = self.members.remove(name);
        if claim.is_some() && claim != value {
            self.overridden.push(name.into());
        }
        if let Some(value) = value {
            self.members.insert(name.into(), value);
            self.facts.insert(name.into());
        }
    }

    /// Sets a value unless the requester gave one. Either way the member stays in place.
    pub(super) fn default(&mut self, name: &str, value: impl Into<Value>) {
        self.members.entry(name).or_insert_with(|| value.into());
        self.facts.insert(name.into());
    }

    /// Edits the members of the object `name`. A claim of this name that is not
    /// an object is replaced.
    pub(super) fn within(&mut self, name: &str, work: impl FnOnce(&mut Self)) {
        let claim = self.members.remove(name);
        let mut inner = Self::new(match claim {
            Some(Value::Object(members)) => members,
            Some(_) => {
                self.overridden.push(name.into());
                Map::new()
            }
            None => Map::new(),
        });
        work(&mut inner);
        self.overridden.extend(
            inner
                .overridden
                .iter()
                .map(|member| format!("{name}.{member}")),
        );
        self.members.insert(name.into(), inner.into_value());
        self.facts.insert(name.into());
    }

    /// Moves every claim whose name is not among `passed` into an object `aside`, which is omitted
    /// if it is empty. A claim with the name `aside` itself is moved too.
    pub(super) fn set_aside(&mut self, passed: &[&str], aside: &str) {
        let stays = |name: &str| self.facts.contains(name) || passed.contains(&name);
        let (kept, moved): (Map<_, _>, Map<_, _>) = std::mem::take(&mut self.members)
            .into_iter()
            .partition(|(name, _)| stays(name));
        self.members = kept;
        if !moved.is_empty() {
            self.members.insert(aside.into(), Value::Object(moved));
        }
    }

    pub(super) fn into_value(self) -> Value {
        Value::Object(self.members)
    }
}
