//! `key_sign:`, the rules for signatures.

use std::collections::BTreeMap;
use std::rc::Rc;

use countersign_conditions::{Assets, present};
use countersign_sdk::{AddressSet, Failure, Host, Intent, Rights, Signing, Task, json};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::messages::refuse_digest;
use crate::policy::{Policy, WrittenPolicy};
use crate::recipients::{Negative, hidden_effect};
use crate::standards::Standards;
use crate::trail::{Objection, Ruling, Trail, refuse};
use crate::transactions::refuse_found;

/// Rules for KeySign. If there are `policies`, the first whose `when` matches decides, and a
/// signature that none matches is refused. Otherwise every signature is allowed unless `deny`
/// or `reject_all` refuses it.
#[derive(Debug, Default, Deserialize)]
#[serde(try_from = "Written")]
pub struct KeySignRules {
    reject_all: bool,
    deny: AddressSet,
    policies: Option<Vec<Policy>>,
}

/// The section as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// Refuses every KeySign, regardless of policies.
    #[serde(default)]
    reject_all: bool,
    /// Addresses that may not receive, be called, or be granted a right, regardless of policies.
    #[serde(default)]
    deny: AddressSet,
    #[serde(default)]
    assets: Assets,
    /// The policies in order: the first that matches decides.
    #[serde(default, deserialize_with = "present")]
    policies: Option<Vec<WrittenPolicy>>,
}

impl TryFrom<Written> for KeySignRules {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written {
            reject_all,
            deny,
            assets,
            policies,
        } = written;
        assets
            .iter()
            .try_for_each(|(name, asset)| asset.validate(name))?;
        let standards = Rc::new(Standards::of(&assets)?);
        let policy = |written: WrittenPolicy| {
            let name = written.name.clone();
            Policy::new(written, &assets, standards.clone())
                .map_err(|why| format!("policy `{name}`: {why}"))
        };
        let policies: Option<Vec<Policy>> = policies
            .map(|list| list.into_iter().map(policy).collect::<Result<_, _>>())
            .transpose()?;
        if let Some(name) = policies.as_deref().and_then(repeated_name) {
            return Err(format!(
                "two policies are called `{name}`; their limits would be counted together"
            ));
        }
        Ok(Self {
            reject_all,
            deny,
            policies,
        })
    }
}

fn repeated_name(policies: &[Policy]) -> Option<&str> {
    let mut names: Vec<_> = policies.iter().map(|policy| policy.name.as_str()).collect();
    names.sort_unstable();
    names
        .windows(2)
        .find(|pair| pair[0] == pair[1])
        .map(|pair| pair[0])
}

impl KeySignRules {
    /// Checks a signature, first by the refusals that always apply, then by the matching policy.
    pub fn judge(&self, host: &impl Host, task: &Task, signing: &Signing) -> Result<(), Objection> {
        let trail = Trail::new(host);
        if self.reject_all {
            return trail.rule(
                "reject_all",
                refuse("keysign-reject-all", crate::REJECT_ALL),
            );
        }
        let denies = !self.deny.is_empty();
        if denies {
            trail.rule("deny", self.judge_deny(task, signing))?;
        }
        let Some(policies) = &self.policies else {
            if denies {
                trail.rule("deny", self.judge_unknown(task, signing, None))?;
            }
            return trail.rule(
                "policies",
                Ok("there are none, and signatures are not restricted".into()),
            );
        };
        for policy in policies {
            let trail = trail.within(&policy.name);
            match policy.mismatch(task, signing) {
                Some(why) => trail.skip(&why),
                None => {
                    if denies {
                        trail.rule("deny", self.judge_unknown(task, signing, Some(policy)))?;
                    }
                    return policy.judge(&trail, host, task, signing);
                }
            }
        }
        trail.rule(
            "policies",
            refuse("keysign-no-policy", "no policy applies to this signature"),
        )
    }

    /// Counts a signature of others in the limits of the policy that would judge it here. If none
    /// would, or if this node cannot read the payload, it counts in every policy that could apply
    /// to it: those whose `keys`, `paths` and `payloads` match, which are the same at all nodes.
    /// Names of requesters and the chain of a payload depend on the node's own configuration, which
    /// may differ from the signers'.
    pub fn count(&self, host: &impl Host, task: &Task, signing: &Signing) -> Result<(), Objection> {
        let trail = Trail::new(host);
        let policies = self.policies.as_deref().unwrap_or_default();
        let unread = signing.inputs.is_empty();
        let judges = policies
            .iter()
            .find(|policy| !unread && policy.mismatch(task, signing).is_none());
        let concerned: Vec<_> = match judges {
            Some(policy) => vec![policy],
            None => policies
                .iter()
                .filter(|policy| policy.could_be_for(signing))
                .collect(),
        };
        for policy in concerned {
            policy.count(&trail.within(&policy.name), host, task, signing)?;
        }
        Ok(())
    }

    /// Refuses transfers to an address on the deny list, or to an unknown recipient.
    fn judge_deny(&self, task: &Task, signing: &Signing) -> Ruling {
        let refuse_found = |found| refuse_found("key_sign.deny", "keysign-address-denied", found);
        match &signing.intent {
            Intent::Transaction(transaction) => {
                let negative = Negative::new(&self.deny, Some(&transaction.chain), task);
                let mut contracts = transaction
                    .calls
                    .iter()
                    .filter(|call| !call.contract.is_empty());
                refuse_found(contracts.find_map(|call| negative.find(&call.contract)))?;
                refuse_found(negative.among_destinations(transaction))?;
                refuse_found(
                    negative.among_spenders(transaction.grants.iter().map(|grant| &grant.spender)),
                )?;
                Ok("no address is on the list".into())
            }
            Intent::TypedData(data) => {
                let negative = Negative::new(&self.deny, data.chain.as_deref(), task);
                refuse_found(
                    data.verifying_contract
                        .iter()
                        .find_map(|contract| negative.find(contract)),
                )?;
                refuse_found(
                    negative.among_spenders(data.grants.iter().map(|grant| &grant.spender)),
                )?;
                let texts = texts(&data.json)?;
                refuse_found(texts.iter().find_map(|text| negative.find(text)))?;
                Ok("no address in the document is on the list".into())
            }
            Intent::Message(message) => {
                if self.policies.is_none() {
                    refuse_digest(message)?;
                }
                Ok("a message names no address known to the node".into())
            }
            Intent::Opaque if self.policies.is_none() => refuse(
                "keysign-blind",
                "the node cannot tell what is signed, and there is a deny list",
            ),
            Intent::Opaque => Ok("the policy decides on bare digests".into()),
        }
    }

    /// Refuses signatures that may reach an address on the deny list in a way that the node does
    /// not see, unless the policy lists that call or type: the operator is then responsible for it.
    fn judge_unknown(&self, task: &Task, signing: &Signing, policy: Option<&Policy>) -> Ruling {
        let unknown = match &signing.intent {
            Intent::Transaction(transaction) => {
                let listed =
                    |call| policy.is_some_and(|policy| policy.lists_call(&transaction.chain, call));
                let mut calls = transaction
                    .calls
                    .iter()
                    .filter(|call| call.contract.is_empty() || !listed(call));
                calls.find_map(|call| hidden_effect(transaction, call))
            }
            Intent::TypedData(data) => match task.typed_data_rights() {
                Rights::None | Rights::Shown => None,
                Rights::Hidden | Rights::Unknown
                    if policy.is_some_and(|policy| policy.lists_type(&data.primary_type)) =>
                {
                    None
                }
                Rights::Hidden | Rights::Unknown => Some(format!(
                    "the node cannot tell whom a `{}` pays or empowers",
                    data.primary_type
                )),
            },
            Intent::Message(_) | Intent::Opaque => None,
        };
        match unknown {
            Some(what) => refuse(
                "keysign-address-unknown",
                format!("{what}: it may be an address that key_sign.deny lists"),
            ),
            None => Ok("all recipients are known".into()),
        }
    }
}

/// Collects all texts in a JSON document, at any depth.
fn texts(json: &str) -> Result<Vec<String>, Objection> {
    let document = json::strict::<Texts>(json.as_bytes());
    let texts = document.map_err(|error| {
        Objection::Failed(Failure::Unsupported(format!(
            "the typed data is not JSON: {error}"
        )))
    })?;
    let mut found = Vec::new();
    texts.collect(&mut found);
    Ok(found)
}

/// A JSON value, reduced to its texts.
#[derive(Deserialize)]
#[serde(untagged)]
enum Texts {
    Text(String),
    List(Vec<Self>),
    Object(BTreeMap<String, Self>),
    Other(IgnoredAny),
}

impl Texts {
    fn collect(self, into: &mut Vec<String>) {
        match self {
            Self::Text(text) => into.push(text),
            Self::List(values) => values.into_iter().for_each(|value| value.collect(into)),
            Self::Object(members) => members.into_values().for_each(|value| value.collect(into)),
            Self::Other(IgnoredAny) => {}
        }
    }
}
