//! `key_sign:`: what signatures may be made.

use countersign_sdk::{AddressSet, Host, Intent, Signing, Task};
use serde::Deserialize;

use crate::assets::Assets;
use crate::choice::present;
use crate::messages::refuse_digest;
use crate::policy::{Policy, WrittenPolicy};
use crate::trail::{Objection, Ruling, Trail, refuse};

/// Rules for KeySign. With `policies` the first whose `when` matches decides, and a signature that none matches is
/// refused; without, every signature is allowed unless `deny` or `reject_all` refuses it.
#[derive(Debug, Default, Deserialize)]
#[serde(try_from = "Written")]
pub struct KeySignRules {
    reject_all: bool,
    deny: AddressSet,
    policies: Option<Vec<Policy>>,
}

/// As it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// Refuses every KeySign.
    #[serde(default)]
    reject_all: bool,
    /// Addresses that may not receive, be called, or be given a right, whatever a policy says.
    #[serde(default)]
    deny: AddressSet,
    /// Names for assets.
    #[serde(default)]
    assets: Assets,
    /// The first that matches decides.
    #[serde(default, deserialize_with = "present")]
    policies: Option<Vec<WrittenPolicy>>,
}

impl TryFrom<Written> for KeySignRules {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written { reject_all, deny, assets, policies } = written;
        assets.iter().try_for_each(|(name, asset)| asset.validate(name))?;
        let policy = |written: WrittenPolicy| {
            let name = written.name.clone();
            Policy::new(written, &assets).map_err(|why| format!("policy `{name}`: {why}"))
        };
        let policies: Option<Vec<Policy>> =
            policies.map(|list| list.into_iter().map(policy).collect::<Result<_, _>>()).transpose()?;
        if let Some(name) = policies.as_deref().and_then(repeated_name) {
            return Err(format!("two policies are called `{name}`; their limits would be counted together"));
        }
        Ok(KeySignRules { reject_all, deny, policies })
    }
}

fn repeated_name(policies: &[Policy]) -> Option<&str> {
    let mut names: Vec<_> = policies.iter().map(|policy| policy.name.as_str()).collect();
    names.sort_unstable();
    names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

impl KeySignRules {
    /// Judges a signature: what refuses everywhere first, then the policy that is made for it.
    pub fn judge(&self, host: &impl Host, task: &Task, signing: &Signing) -> Result<(), Objection> {
        let trail = Trail::new(host);
        if self.reject_all {
            return trail.rule("reject_all", refuse("keysign-reject-all", crate::REJECT_ALL));
        }
        if !self.deny.is_empty() {
            trail.rule("deny", self.judge_deny(signing))?;
        }
        let Some(policies) = &self.policies else {
            return trail.rule("policies", Ok("there are none, and signatures are not restricted".into()));
        };
        for policy in policies {
            let trail = trail.within(&policy.name);
            match policy.mismatch(task, signing) {
                Some(why) => trail.skip(&why),
                None => return policy.judge(&trail, host, task, signing),
            }
        }
        trail.rule("policies", refuse("keysign-no-policy", "no policy is made for this signature"))
    }

    fn judge_deny(&self, signing: &Signing) -> Ruling {
        match &signing.intent {
            Intent::Transaction(transaction) => {
                let chain = Some(transaction.chain.as_str());
                let destinations = transaction.destinations.iter().map(|destination| &destination.address);
                let calls = transaction.calls.iter().map(|call| &call.contract);
                let spenders = transaction.grants.iter().map(|grant| &grant.spender);
                self.refuse_listed(chain, destinations.chain(calls).chain(spenders))
            }
            Intent::TypedData(data) => {
                let spenders = data.grants.iter().map(|grant| &grant.spender);
                self.refuse_listed(data.chain.as_deref(), spenders.chain(&data.verifying_contract))
            }
            Intent::Message(message) => {
                if self.policies.is_none() {
                    refuse_digest(message)?;
                }
                Ok("a message names no address that the node knows of".into())
            }
            Intent::Opaque if self.policies.is_none() => {
                refuse("keysign-blind", "the node cannot tell what is signed, and there is a deny list")
            }
            Intent::Opaque => Ok("the policy decides on bare digests".into()),
        }
    }

    fn refuse_listed<'a>(
        &self,
        chain: Option<&str>,
        mut addresses: impl Iterator<Item = &'a String>,
    ) -> Ruling {
        let find = |address: &str| match chain {
            Some(chain) => self.deny.find(chain, address),
            None => self.deny.find_on_any_chain(address),
        };
        match addresses.find_map(|address| find(address).map(|entry| (address, entry))) {
            Some((address, entry)) => {
                let label = entry.label().map(|label| format!(" ({label})")).unwrap_or_default();
                refuse("keysign-address-denied", format!("key_sign.deny lists {address}{label}"))
            }
            None => Ok("no address is on the list".into()),
        }
    }
}
