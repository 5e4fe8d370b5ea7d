//! `calls:` of a policy: the contracts' methods that may be called.

use countersign_conditions::{Choice, present};
use countersign_sdk::{AddressMap, Call, Selector, Transaction};
use serde::{Deserialize, Deserializer};

use crate::namespace::Namespace;
use crate::trail::{Ruling, refuse};

/// The section of a policy.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calls {
    /// Every call must be in this list, if present.
    #[serde(default, deserialize_with = "present")]
    pub allow: Option<CallList>,
    /// No call may be in this list.
    #[serde(default)]
    pub deny: CallList,
    /// Decision on calls that the node does not understand and `allow` does not list.
    #[serde(default)]
    pub unknown: Choice,
    /// Decision on transactions that create a contract.
    #[serde(default)]
    pub create: Choice,
}

/// Contracts with their methods; all of them if none is named.
#[derive(Debug, Default)]
pub struct CallList(AddressMap<Option<Vec<Selector>>>);

impl CallList {
    /// True if the contract has an entry.
    fn names(&self, chain: &str, contract: &str) -> bool {
        self.0.find(chain, contract).next().is_some()
    }

    fn contains(&self, chain: &str, call: &Call) -> bool {
        self.0.find(chain, &call.contract).any(|methods| {
            methods
                .as_ref()
                .is_none_or(|methods| methods.iter().any(|method| method.matches(&call.selector)))
        })
    }
}

impl Calls {
    /// Rejects settings that contradict each other.
    pub fn validate(&self) -> Result<(), String> {
        if self.unknown == Choice::Allow && self.allow.is_some() {
            return Err(
                "calls: `unknown: allow` contradicts the list `allow`; leave one out".into(),
            );
        }
        Ok(())
    }

    /// True if the operator lists this call, and is thus responsible for its effects.
    pub fn list(&self, chain: &str, call: &Call) -> bool {
        self.allow
            .as_ref()
            .is_some_and(|allow| allow.contains(chain, call))
    }

    /// Checks every call of a transaction.
    pub fn judge(&self, transaction: &Transaction) -> Ruling {
        let mut why = "calls nothing".into();
        for call in &transaction.calls {
            why = self.judge_one(transaction, call)?;
        }
        Ok(why)
    }

    fn judge_one(&self, transaction: &Transaction, call: &Call) -> Ruling {
        if call.contract.is_empty() {
            return match self.create {
                Choice::Allow => Ok("may create a contract".into()),
                Choice::Refuse => refuse("keysign-contract-creation", "it creates a contract"),
            };
        }
        let chain = &transaction.chain;
        if self.deny.contains(chain, call) {
            return refuse(
                "keysign-call-denied",
                format!("calls.deny lists {}", show(call)),
            );
        }
        match &self.allow {
            Some(allow) if allow.contains(chain, call) => Ok("every call is listed".into()),
            Some(_) => refuse(
                "keysign-call-not-allowed",
                format!("calls.allow does not list {}", show(call)),
            ),
            None if is_understood(transaction, call) => Ok("every call is understood".into()),
            // An unknown method, such as `multicall`, may call others of its contract.
            None if self.unknown == Choice::Allow && self.deny.names(chain, &call.contract) => {
                refuse(
                    "keysign-call-unknown",
                    format!(
                        "calls.deny lists methods of {}, and the node cannot tell whether {} leads to one of them",
                        call.contract,
                        show(call)
                    ),
                )
            }
            None if self.unknown == Choice::Allow => Ok("unknown calls are allowed".into()),
            None => refuse(
                "keysign-call-unknown",
                format!(
                    "the node cannot tell what {} does; list it under calls.allow if it may be called",
                    show(call)
                ),
            ),
        }
    }
}

/// True if destinations and grants show all effects of the call. On EVM chains a transaction has
/// one call, and the tokens in its destinations and grants can only come from there: a well-known
/// selector alone proves nothing. In a family of chains that is not known here a name proves
/// nothing either.
pub fn is_understood(transaction: &Transaction, call: &Call) -> bool {
    match Namespace::of(&transaction.chain) {
        Namespace::Eip155 => {}
        Namespace::Bip122 | Namespace::Solana => return call.method.is_some(),
        Namespace::Other => return false,
    }
    if call.data.is_empty() && call.selector.is_empty() {
        return true; // Only native value, which destinations and `amount` show.
    }
    let mut received = transaction
        .destinations
        .iter()
        .map(|destination| &destination.asset);
    let mut granted = transaction.grants.iter().map(|grant| &grant.asset);
    let shows_tokens =
        received.any(|asset| !asset.is_empty()) || granted.any(|asset| !asset.is_empty());
    call.method.is_some() && transaction.calls.len() == 1 && shows_tokens
}

fn show(call: &Call) -> String {
    let selector: String = call
        .selector
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    match &call.method {
        Some(method) => format!("{method} (0x{selector}) of {}", call.contract),
        None => format!("0x{selector} of {}", call.contract),
    }
}

impl<'de> Deserialize<'de> for CallList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Written {
            contract: String,
            #[serde(default, deserialize_with = "present")]
            methods: Option<Vec<Selector>>,
            /// A note for people who read the file.
            #[serde(default, rename = "label")]
            _label: Option<String>,
        }
        let written = Vec::<Written>::deserialize(deserializer)?;
        if let Some(entry) = written
            .iter()
            .find(|entry| entry.methods.as_ref().is_some_and(Vec::is_empty))
        {
            let error = format!(
                "{}: `methods` is empty; name some, or leave it out for all",
                entry.contract
            );
            return Err(serde::de::Error::custom(error));
        }
        let entries = written
            .iter()
            .map(|entry| (entry.contract.as_str(), entry.methods.clone()));
        AddressMap::new(entries)
            .map(CallList)
            .map_err(serde::de::Error::custom)
    }
}
