//! `when:` of a policy: the signatures that it applies to.

use countersign_conditions::{PathPattern, chain_of, is_chain, listed, present};
use countersign_sdk::{Signing, Task, payload};
use serde::Deserialize;

/// The selectors of a policy: all that are present must match.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct When {
    /// Ids of keys, or root extended public keys.
    #[serde(default, deserialize_with = "present")]
    pub keys: Option<Vec<String>>,
    /// Derivation paths; every signature of the task must be below one of them.
    #[serde(default, deserialize_with = "present")]
    pub paths: Option<Vec<PathPattern>>,
    /// Requesters, by the names that the node's operator gave them, or by id.
    #[serde(default, deserialize_with = "present")]
    pub requesters: Option<Vec<String>>,
    /// CAIP-2 ids of the transaction's chain, or of the one that typed data names.
    #[serde(default, deserialize_with = "present")]
    pub chains: Option<Vec<String>>,
    #[serde(default, deserialize_with = "present")]
    pub payloads: Option<Vec<String>>,
}

impl When {
    /// Rejects lists that can never match.
    pub fn validate(&self) -> Result<(), String> {
        let lists = [
            ("keys", self.keys.as_ref().map(Vec::len)),
            ("paths", self.paths.as_ref().map(Vec::len)),
            ("requesters", self.requesters.as_ref().map(Vec::len)),
            ("chains", self.chains.as_ref().map(Vec::len)),
            ("payloads", self.payloads.as_ref().map(Vec::len)),
        ];
        if let Some((name, _)) = lists.iter().find(|(_, length)| *length == Some(0)) {
            return Err(format!(
                "when.{name} is empty and would match nothing; list something or leave it out"
            ));
        }
        if let Some(chain) = self.chains.iter().flatten().find(|chain| !is_chain(chain)) {
            return Err(format!(
                "when.chains: `{chain}` is not a CAIP-2 id; write e.g. eip155:1"
            ));
        }
        if let Some(kind) = self
            .payloads
            .iter()
            .flatten()
            .find(|kind| !payload::ALL.contains(&kind.as_str()))
        {
            return Err(format!(
                "when.payloads: there is no kind `{kind}`, only: {}",
                payload::ALL.join(", ")
            ));
        }
        Ok(())
    }

    /// Returns the first selector that does not match, with the task's value.
    pub fn mismatch(&self, task: &Task, signing: &Signing) -> Option<String> {
        if let Some(why) = self.mismatch_of_key(signing) {
            return Some(why);
        }
        let requester = &task.requester;
        if !listed(&self.requesters, &requester.name) && !listed(&self.requesters, &requester.id) {
            return Some(format!("the requester is {}", requester.name));
        }
        match chain_of(signing) {
            None if self.chains.is_some() => return Some("the payload names no chain".into()),
            Some(chain) if !listed(&self.chains, chain) => {
                return Some(format!("the chain is {chain}"));
            }
            _ => {}
        }
        self.mismatch_of_payload(signing)
    }

    /// True if all selectors match that do not depend on this node's names
    /// for requesters and chains.
    pub fn could_match(&self, signing: &Signing) -> bool {
        self.mismatch_of_key(signing).is_none() && self.mismatch_of_payload(signing).is_none()
    }

    fn mismatch_of_key(&self, signing: &Signing) -> Option<String> {
        let key = &signing.key;
        if !listed(&self.keys, &key.id) && !listed(&self.keys, &key.root_public_key) {
            return Some(format!("the key is {}", key.id));
        }
        let patterns = self.paths.as_ref()?;
        let stray = |path: &str| !patterns.iter().any(|pattern| pattern.matches(path));
        let input = signing.inputs.iter().find(|input| stray(&input.path))?;
        Some(format!("the path is {}", input.path))
    }

    fn mismatch_of_payload(&self, signing: &Signing) -> Option<String> {
        (!listed(&self.payloads, &signing.payload))
            .then(|| format!("the payload is {}", signing.payload))
    }
}
