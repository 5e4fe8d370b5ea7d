//! The rights that typed data grants: a vocabulary of types, kept as data with
//! its sources in `typed_data_rights.json`.
//!
//! A type outside the vocabulary can mean anything to the contract that knows it, so its rights are
//! reported as unknown. A type in it is trusted to grant nothing, or no more than its grants, only
//! if the whole type is the one in the vocabulary, member for member: the hash of the type is part
//! of the signed data. By its name alone a type is only ever assumed to grant more.

use std::sync::LazyLock;

use alloy_primitives::{Address, U256};
use serde::Deserialize;

use crate::eip712_type::{Document, address, number};
use crate::evm_call::{asset, limit};
use crate::json::Json;
use crate::malformed::Malformed;
use crate::{Grant, Rights};

static VOCABULARY: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    // An unreadable file would leave every type unknown; a test reads it.
    serde_json::from_str::<Vocabulary>(FILE)
        .map(|file| file.types)
        .unwrap_or_default()
});
const FILE: &str = include_str!("typed_data_rights.json");

/// The vocabulary's knowledge of a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) rights: Rights,
    pub(crate) meaning: Option<String>,
    pub(crate) grants: Vec<Grant>,
}

/// The parts of the domain that matter here.
pub(crate) struct Domain<'a> {
    pub(crate) name: Option<&'a str>,
    pub(crate) chain: Option<String>,
    /// Also absent if the domain declares it as something other than an address.
    pub(crate) contract: Option<Address>,
    /// True if the domain has a `verifyingContract` of any type.
    pub(crate) names_contract: bool,
}

/// Looks up the message's type. Fails if the type is known and the message does not have the
/// content that such messages have.
pub(crate) fn look_up(document: &Document, domain: &Domain) -> Result<Known, Malformed> {
    let entry = VOCABULARY.iter().find(|entry| entry.fits(document));
    let Some(entry) = entry else {
        return Ok(Known {
            rights: Rights::Unknown,
            meaning: None,
            grants: vec![],
        });
    };
    let reader = Reader {
        message: document.message,
        domain,
    };
    let grants = entry
        .grants
        .iter()
        .map(|rule| reader.grants(rule))
        .collect::<Result<Vec<_>, _>>()?;
    let exact = entry.is_exact(document, domain)?;
    Ok(Known {
        rights: match entry.rights {
            Said::None if exact => Rights::None,
            Said::Shown if exact => Rights::Shown,
            Said::None | Said::Shown => Rights::Unknown,
            Said::Hidden => Rights::Hidden,
        },
        meaning: (exact || entry.rights == Said::Hidden).then(|| entry.meaning.clone()),
        grants: grants.into_iter().flatten().collect(),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vocabulary {
    /// For human readers of the file.
    #[serde(rename = "about")]
    _about: Vec<String>,
    types: Vec<Entry>,
}

/// A type; the file's head explains its members.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    primary: String,
    #[serde(default)]
    needs: Vec<String>,
    meaning: String,
    rights: Said,
    #[serde(default)]
    types: Vec<String>,
    #[serde(default)]
    prefixes: Vec<String>,
    #[serde(default)]
    domains: Vec<String>,
    /// Checksummed as in EIP-55.
    #[serde(default)]
    contracts: Vec<String>,
    #[serde(default)]
    no_contract: bool,
    #[serde(default)]
    grants: Vec<Rule>,
    /// For human readers of the file, and its test.
    #[allow(dead_code)]
    hash: Option<String>,
    #[allow(dead_code)]
    source: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Said {
    None,
    Shown,
    Hidden,
}

/// A rule for reading grants from a message.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    spender: String,
    /// A member that is one object or a list of them, which contain the members below.
    each: Option<String>,
    standard: Option<String>,
    token: Option<String>,
    id: Option<String>,
    /// Members whose sum is the amount.
    amount: Option<Vec<String>>,
    /// Members whose maximum is the amount.
    greatest: Option<Vec<String>>,
    /// The bit width of the amount; all bits set means "without limit".
    bits: Option<usize>,
    /// If it is false, the right is taken away.
    #[serde(rename = "if")]
    condition: Option<String>,
}

impl Entry {
    fn fits(&self, document: &Document) -> bool {
        let has = |name: &String| document.message.get(name).is_some();
        self.primary == document.primary_type && self.needs.iter().all(has)
    }

    /// True if the entry covers everything in the document.
    fn is_exact(&self, document: &Document, domain: &Domain) -> Result<bool, Malformed> {
        let whole = document.encode_type(document.primary_type)?;
        let typed = self.types.contains(&whole)
            || self.prefixes.iter().any(|prefix| whole.starts_with(prefix));
        let named = self.domains.is_empty()
            || domain
                .name
                .is_some_and(|name| self.domains.iter().any(|known| known == name));
        let contract = self.contracts.is_empty()
            || domain
                .contract
                .is_some_and(|contract| self.contracts.contains(&contract.to_string()));
        Ok(typed && named && contract && !(self.no_contract && domain.names_contract))
    }
}

struct Reader<'a> {
    message: &'a Json,
    domain: &'a Domain<'a>,
}

impl Reader<'_> {
    fn grants(&self, rule: &Rule) -> Result<Vec<Grant>, Malformed> {
        let spender = self.address(self.message, &rule.spender)?.to_string();
        let parts = match &rule.each {
            None => std::slice::from_ref(self.message),
            Some(name) => {
                let one_or_more = member(self.message, name)?;
                one_or_more
                    .list()
                    .unwrap_or(std::slice::from_ref(one_or_more))
            }
        };
        parts
            .iter()
            .map(|part| self.grant(rule, &spender, part))
            .collect()
    }

    fn grant(&self, rule: &Rule, spender: &str, part: &Json) -> Result<Grant, Malformed> {
        let taken_back = rule
            .condition
            .as_ref()
            .is_some_and(|name| part.get(name) == Some(&Json::Bool(false)));
        let (asset, single) = self.asset(rule, part)?;
        let amount = match (&rule.amount, &rule.greatest) {
            _ if taken_back => Some("0".into()),
            (Some(names), _) => self.amount(rule, part, names)?,
            (None, Some(_)) if single => Some("1".into()),
            (None, Some(names)) => Some(greatest(part, names)?.to_string()),
            (None, None) => single.then(|| "1".into()),
        };
        Ok(Grant {
            spender: spender.into(),
            asset,
            amount,
        })
    }

    fn amount(
        &self,
        rule: &Rule,
        part: &Json,
        names: &[String],
    ) -> Result<Option<String>, Malformed> {
        let mut sum = U256::ZERO;
        for name in names {
            sum = sum.saturating_add(number(member(part, name)?)?);
        }
        let largest = U256::MAX >> (256 - rule.bits.unwrap_or(256).min(256));
        Ok(if sum >= largest {
            None
        } else {
            limit(sum, U256::MAX)
        })
    }

    /// The asset, and a flag for a single ERC-721 token.
    fn asset(&self, rule: &Rule, part: &Json) -> Result<(String, bool), Malformed> {
        let (Some(standard), Some(token)) = (&rule.standard, &rule.token) else {
            return Ok((String::new(), false));
        };
        let contract = self.address(part, token)?;
        let id = rule
            .id
            .as_ref()
            .map(|name| member(part, name).and_then(number))
            .transpose()?;
        let (standard, id) = match standard.as_str() {
            "@itemType" => seaport_item(number(member(part, "itemType")?)?, id)?,
            standard => (standard, id),
        };
        let chain = self.domain.chain.as_deref().unwrap_or("unknown");
        Ok((
            asset(chain, standard, &contract, id),
            standard == "erc721" && id.is_some(),
        ))
    }

    fn address(&self, part: &Json, name: &str) -> Result<Address, Malformed> {
        match name {
            "@contract" => self.domain.contract.ok_or_else(|| {
                "a message of this type names the contract that reads it as verifyingContract"
                    .into()
            }),
            name => address(member(part, name)?),
        }
    }
}

/// Seaport's `ItemType`: of 4 and 5 the buyer chooses the token. Native value (0) cannot be
/// taken from an account.
fn seaport_item(kind: U256, id: Option<U256>) -> Result<(&'static str, Option<U256>), Malformed> {
    match kind.try_into() {
        Ok(1u8) => Ok(("erc20", None)),
        Ok(2) => Ok(("erc721", id)),
        Ok(3) => Ok(("erc1155", id)),
        Ok(4) => Ok(("erc721", None)),
        Ok(5) => Ok(("erc1155", None)),
        Ok(_) | Err(_) => Err("it offers something that is not a token".into()),
    }
}

fn greatest(part: &Json, names: &[String]) -> Result<U256, Malformed> {
    let numbers = names.iter().map(|name| member(part, name).and_then(number));
    numbers
        .collect::<Result<Vec<_>, _>>()
        .map(|numbers| numbers.into_iter().max().unwrap_or(U256::MAX))
}

fn member<'a>(message: &'a Json, name: &str) -> Result<&'a Json, Malformed> {
    message
        .get(name)
        .ok_or_else(|| format!("a message of this type has a member `{name}`"))
        .map_err(Malformed::from)
}

#[cfg(test)]
#[path = "eip712_rights_tests.rs"]
mod tests;
