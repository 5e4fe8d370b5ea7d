//! The configuration, checked as a whole while it is read: a file that cannot be meant is refused,
//! and the previous one stays in force.

use std::collections::BTreeMap;

use countersign_conditions::{Assets, present};
use countersign_vote::RelyingParty;
use serde::Deserialize;

use crate::people::{People, WrittenApprover};
use crate::rule::{Rule, WrittenRule};

/// The maximum number of rules.
const MAX_RULES: usize = 64;

/// The configuration as evaluated.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Written")]
pub struct Config {
    /// The pages whose passkeys count.
    pub(crate) pages: Option<RelyingParty>,
    pub(crate) people: People,
    /// In order: the first that is for a task decides.
    pub(crate) rules: Vec<Rule>,
}

/// The configuration as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default, deserialize_with = "present")]
    passkeys: Option<WrittenPasskeys>,
    /// People, by their names.
    approvers: BTreeMap<String, WrittenApprover>,
    /// Lists of people, by the groups' names.
    groups: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    assets: Assets,
    rules: Vec<WrittenRule>,
}

/// The pages that may collect votes of passkeys.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPasskeys {
    /// The domain to which the passkeys are bound.
    rp_id: String,
    /// The pages themselves.
    origins: Vec<String>,
}

impl TryFrom<Written> for Config {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written {
            passkeys,
            approvers,
            groups,
            assets,
            rules,
        } = written;
        assets
            .iter()
            .try_for_each(|(name, asset)| asset.validate(name))?;
        let pages = passkeys
            .map(|passkeys| RelyingParty::new(&passkeys.rp_id, passkeys.origins))
            .transpose()
            .map_err(|error| format!("passkeys: {error}"))?;
        let people = People::new(approvers, groups, pages.is_some())?;
        if !(1..=MAX_RULES).contains(&rules.len()) {
            return Err(format!(
                "{} rules are given, and without a rule every task is refused; write 1 to {MAX_RULES}",
                rules.len()
            ));
        }
        let rule = |written: WrittenRule| {
            let name = written.name.clone();
            Rule::new(written, &people, &assets).map_err(|why| format!("rule `{name}`: {why}"))
        };
        let rules: Vec<Rule> = rules.into_iter().map(rule).collect::<Result<_, _>>()?;
        for (at, rule) in rules.iter().enumerate() {
            if rules[..at].iter().any(|other| other.name == rule.name) {
                return Err(format!(
                    "two rules are called `{}`; give each a name of its own",
                    rule.name
                ));
            }
        }
        Ok(Self {
            pages,
            people,
            rules,
        })
    }
}
