//! One policy: the signatures that it applies to, and the rules for them.

use std::rc::Rc;

use countersign_conditions::{Assets, Choice, present};
use countersign_sdk::{Call, Host, Intent, Signing, Task};
use serde::Deserialize;

use crate::assets::Spending;
use crate::grants::{self, Grants, WrittenGrants};
use crate::hours::Hours;
use crate::limits::{Limits, WrittenLimit};
use crate::messages::{Messages, TypedDataRules};
use crate::standards::{Standards, show};
use crate::trail::{Objection, Ruling, Trail, refuse};
use crate::transactions::{Transactions, WrittenTransactions};
use crate::when::When;

/// The policy as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenPolicy {
    /// Lower-case letters, digits and `-`; it is part of the names of the limits' entries.
    pub name: String,
    #[serde(default)]
    pub when: When,
    #[serde(default, deserialize_with = "present")]
    pub hours: Option<Hours>,
    #[serde(default, deserialize_with = "present")]
    pub transactions: Option<WrittenTransactions>,
    #[serde(default, deserialize_with = "present")]
    pub messages: Option<Messages>,
    #[serde(default, deserialize_with = "present")]
    pub typed_data: Option<TypedDataRules>,
    #[serde(default, deserialize_with = "present")]
    pub grants: Option<WrittenGrants>,
    #[serde(default)]
    pub blind: Choice,
    #[serde(default)]
    pub limits: Vec<WrittenLimit>,
}

/// The policy as evaluated.
#[derive(Debug)]
pub struct Policy {
    /// The name, unique within the file.
    pub name: String,
    when: When,
    hours: Option<Hours>,
    transactions: Option<Transactions>,
    messages: Option<Messages>,
    typed_data: Option<TypedDataRules>,
    grants: Option<Grants>,
    blind: Choice,
    limits: Limits,
    standards: Rc<Standards>,
}

impl Policy {
    /// Checks and converts the written form, with amounts in smallest units.
    pub fn new(
        written: WrittenPolicy,
        assets: &Assets,
        standards: Rc<Standards>,
    ) -> Result<Self, String> {
        let WrittenPolicy {
            name,
            when,
            hours,
            transactions,
            messages,
            typed_data,
            grants,
            blind,
            limits,
        } = written;
        let policy = Self {
            limits: Limits::new(&limits, assets)?,
            transactions: transactions
                .map(|written| Transactions::new(written, assets))
                .transpose()?,
            grants: grants
                .map(|written| Grants::new(written, assets))
                .transpose()?,
            name,
            when,
            hours,
            messages,
            typed_data,
            blind,
            standards,
        };
        policy.validate()?;
        Ok(policy)
    }

    fn validate(&self) -> Result<(), String> {
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if self.name.is_empty() || self.name.len() > 32 || !self.name.bytes().all(is_name) {
            return Err("a name has 1 to 32 lower-case letters, digits and `-`".into());
        }
        self.when.validate()?;
        self.hours.as_ref().map_or(Ok(()), Hours::validate)?;
        let shown =
            self.transactions.is_some() || self.messages.is_some() || self.typed_data.is_some();
        if self.blind == Choice::Refuse && !shown {
            return Err(
                "it lets nothing through; write `transactions: {}`, `messages: {}`, `typed_data: {}` or `blind: allow`"
                    .into(),
            );
        }
        if self.blind == Choice::Allow && (shown || self.grants.is_some()) {
            return Err("`blind: allow` beside rules about contents: a requester would send a bare digest to evade them; \
                        make a policy of its own for it, with `when: {payloads: [digest]}`"
                .into());
        }
        let gives = self.typed_data.is_some() && self.grants.is_some();
        if self.limits.bound_amounts() && self.transactions.is_none() && !gives {
            return Err("limits: an amount can be counted in `transactions`, and in rights by `typed_data` and `grants`; add \
                        these sections, or limit `tasks`"
                .into());
        }
        let evaded = self.transactions.as_ref().and_then(|rules| {
            let limited =
                (self.limits.bound_amounts() && rules.allows_unknown_calls()).then_some("limits");
            rules.evaded_by_unknown_calls().or(limited)
        });
        match evaded {
            Some(rule) => Err(format!(
                "{rule} cannot be kept if calls.unknown or calls.create is `allow`: what such a call moves is not known; \
                 list the calls under calls.allow"
            )),
            None => Ok(()),
        }
    }

    /// True if the policy lists this call, so that the operator is responsible for its effects.
    pub fn lists_call(&self, chain: &str, call: &Call) -> bool {
        self.transactions
            .as_ref()
            .is_some_and(|rules| rules.list(chain, call))
    }

    /// True if the policy lists this type of typed data, so that the operator
    /// is responsible for it.
    pub fn lists_type(&self, primary_type: &str) -> bool {
        self.typed_data
            .as_ref()
            .is_some_and(|rules| rules.list(primary_type))
    }

    /// Returns the reason why the policy does not apply to this signature; `None` if it does.
    pub fn mismatch(&self, task: &Task, signing: &Signing) -> Option<String> {
        self.when.mismatch(task, signing)
    }

    /// Checks all rules, the cheap ones first, and writes the entry for the limits.
    pub fn judge(
        &self,
        trail: &Trail<impl Host>,
        host: &impl Host,
        task: &Task,
        signing: &Signing,
    ) -> Result<(), Objection> {
        if let Some(hours) = &self.hours {
            trail.rule("hours", hours.judge(task))?;
        }
        let mut spending = self.judge_intent(trail, task, signing)?;
        trail.rule("assets", self.judge_assets(&spending))?;
        trail.rule("limits", self.count_rights(&signing.intent, &mut spending))?;
        self.limits
            .judge(trail, host, &self.name, task, signing, &spending)
    }

    /// True if the policy may apply to this signature under other names of requesters and chains.
    pub fn could_be_for(&self, signing: &Signing) -> bool {
        self.when.could_match(signing)
    }

    /// Counts a signature of others in the policy's limits.
    pub fn count(
        &self,
        trail: &Trail<impl Host>,
        host: &impl Host,
        task: &Task,
        signing: &Signing,
    ) -> Result<(), Objection> {
        self.limits.count(
            trail,
            host,
            &self.name,
            task,
            signing,
            &self.spent(&signing.intent),
        )
    }

    /// Computes the outflow by a signature of others, including rights to limited assets, as far as
    /// the node can tell. An unlimited right exceeds every limit.
    fn spent<'t>(&self, intent: &'t Intent) -> Spending<'t> {
        let (chain, rights, mut spending) = match intent {
            Intent::Transaction(transaction) => {
                let spending = Spending::of(transaction, &self.standards).unwrap_or_default();
                (
                    transaction.chain.as_str(),
                    &transaction.grants[..],
                    spending,
                )
            }
            Intent::TypedData(data) => (
                data.chain.as_deref().unwrap_or_default(),
                &data.grants[..],
                Spending::default(),
            ),
            Intent::Message(_) | Intent::Opaque => return Spending::default(),
        };
        for right in grants::given(&self.standards, chain, rights).flatten() {
            if self.limits.names(&right.asset) {
                spending.add(
                    right.asset,
                    &right.amount.unwrap_or_else(grants::everything),
                );
            }
        }
        spending
    }

    fn judge_intent<'t>(
        &self,
        trail: &Trail<impl Host>,
        task: &Task,
        signing: &'t Signing,
    ) -> Result<Spending<'t>, Objection> {
        if signing.blind || signing.intent == Intent::Opaque {
            let ruling = match self.blind {
                Choice::Allow => Ok("blind signatures are allowed".into()),
                Choice::Refuse => refuse("keysign-blind", "the node cannot tell what is signed"),
            };
            trail.rule("blind", ruling)?;
            return Ok(Spending::default());
        }
        match (
            &signing.intent,
            &self.transactions,
            &self.messages,
            &self.typed_data,
        ) {
            (Intent::Transaction(transaction), Some(rules), _, _) => {
                return rules.judge(
                    trail,
                    self.grants.as_ref(),
                    &self.standards,
                    task,
                    transaction,
                );
            }
            (Intent::Message(message), _, Some(rules), _) => {
                trail.rule("messages", rules.judge(message))?
            }
            (Intent::TypedData(data), _, _, Some(rules)) => {
                trail.rule("typed_data", rules.judge(task, data))?;
                let chain = data.chain.as_deref().unwrap_or_default();
                let rights =
                    grants::judge(self.grants.as_ref(), &self.standards, chain, &data.grants);
                trail.rule("grants", rights)?;
                let delegates = self.transactions.as_ref().and_then(Transactions::delegates);
                trail.rule(
                    "transactions.delegates",
                    grants::judge_delegations(delegates, chain, &data.grants),
                )?;
            }
            (Intent::Transaction(_), None, _, _) => {
                let ruling = refuse(
                    "keysign-no-transactions",
                    "the policy has no `transactions`",
                );
                trail.rule("transactions", ruling)?;
            }
            (Intent::Message(_), ..) => {
                trail.rule(
                    "messages",
                    refuse("keysign-no-messages", "the policy has no `messages`"),
                )?;
            }
            (Intent::TypedData(_), ..) => {
                let ruling = refuse("keysign-no-typed-data", "the policy has no `typed_data`");
                trail.rule("typed_data", ruling)?;
            }
            (Intent::Opaque, ..) => unreachable!("judged as blind"),
        }
        Ok(Spending::default())
    }

    /// Counts the rights granted by the signature as spent if limits bound amounts: the holder of
    /// a right needs no further signature. If limits name assets and no list of rights does,
    /// other assets are refused.
    fn count_rights<'t>(&self, intent: &'t Intent, spending: &mut Spending<'t>) -> Ruling {
        let (chain, rights) = match intent {
            Intent::Transaction(transaction) => {
                (transaction.chain.as_str(), &transaction.grants[..])
            }
            Intent::TypedData(data) => {
                (data.chain.as_deref().unwrap_or_default(), &data.grants[..])
            }
            Intent::Message(_) | Intent::Opaque => return Ok("grants no rights".into()),
        };
        if !self.limits.bound_amounts() {
            return Ok("no limit bounds an amount".into());
        }
        let listed = self.grants.as_ref().is_some_and(Grants::list_assets);
        for right in grants::given(&self.standards, chain, rights) {
            let right = right?;
            match (self.limits.names(&right.asset), right.amount) {
                (true, Some(amount)) => spending.add(right.asset, &amount),
                (true, None) => {
                    let asset = show(&right.asset);
                    let reason = format!("an unlimited right to {asset} exceeds every limit of it");
                    return refuse("keysign-grant-unlimited", reason);
                }
                (false, _) if listed => {}
                (false, _) => {
                    let reason = format!(
                        "no limit names {}, to which it hands out a right",
                        show(&right.asset)
                    );
                    return refuse("keysign-asset-not-limited", reason);
                }
            }
        }
        Ok("rights count as spent".into())
    }

    /// Refuses assets without a limit, if limits name assets and no list per transaction does.
    fn judge_assets(&self, spending: &Spending) -> Ruling {
        if self.limits.bound_amounts() {
            spending.refuse_unknown()?;
        }
        let listed = self
            .transactions
            .as_ref()
            .is_some_and(|rules| rules.assets().is_some());
        if listed || !self.limits.bound_amounts() {
            return Ok("no further list of assets".into());
        }
        match spending.iter().find(|(asset, _)| !self.limits.names(asset)) {
            Some((asset, _)) => refuse(
                "keysign-asset-not-limited",
                format!("no limit names {}", show(asset)),
            ),
            None => Ok("a limit names every asset".into()),
        }
    }
}
