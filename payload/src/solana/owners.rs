//! The owners of token accounts, as far as a message shows them.
//!
//! A token transfer names the receiving account, but that account's owner is only on the chain. The
//! message shows the owner in two ways. It may create the account before it pays into it: the chain
//! executes all of a message or nothing, and both the associated token account program and the
//! token programs refuse to create an account that exists with another owner. Or the account is the
//! associated one of somebody whom the message names: its address is derived from owner, mint and
//! token program, and compared. (An owner may have handed an associated account of the older token
//! program on to somebody else. That is the owner's doing, and no message shows it.)
//!
//! A created account is known from its creating instruction on, until the message hands it
//! over or closes it.

use std::collections::{BTreeMap, BTreeSet};

use countersign_verify::address::solana_program_address;

use super::{ASSOCIATED_TOKEN, Reader, TOKEN, UNKNOWN};

/// The mint of wrapped SOL.
const WRAPPED_SOL: &str = "So11111111111111111111111111111111111111112";

/// The owners known so far, by token account.
#[derive(Default)]
pub(super) struct Owners {
    /// Accounts of wrapped SOL whose balance the message synchronises.
    wrapped: BTreeSet<String>,
    made: BTreeMap<String, Made>,
    /// Accounts that the message handed over or closed.
    lost: BTreeSet<String>,
    /// Accounts whose owner was queried, with the answer.
    found: BTreeMap<String, String>,
    /// Accounts whose owner was queried while unknown.
    unknown: BTreeSet<String>,
    /// Owners by associated account, for each mint and token program that was queried.
    derived: BTreeMap<(String, String), BTreeMap<String, String>>,
}

#[derive(Clone, PartialEq, Eq)]
struct Made {
    owner: String,
    mint: String,
}

impl Owners {
    /// Starts without knowledge, except that these accounts hold wrapped SOL.
    pub(super) fn new(wrapped: BTreeSet<String>) -> Self {
        Self {
            wrapped,
            ..Self::default()
        }
    }

    /// Records that the message creates `account`, or ensures that it is as stated.
    pub(super) fn make(&mut self, account: String, owner: String, mint: String) {
        let made = Made { owner, mint };
        if self
            .made
            .insert(account.clone(), made.clone())
            .is_some_and(|earlier| earlier != made)
        {
            self.lose(account);
        }
    }

    /// Records that the message hands `account` over, or closes it.
    pub(super) fn lose(&mut self, account: String) {
        self.made.remove(&account);
        self.lost.insert(account);
    }

    /// The mint of an account that the message created.
    pub(super) fn mint(&self, account: &str) -> Option<&str> {
        self.made.get(account).map(|made| made.mint.as_str())
    }

    /// The owner of `account`, which receives tokens of `mint`.
    pub(super) fn of_tokens(
        &mut self,
        reader: &Reader,
        program: &str,
        mint: Option<&str>,
        account: &str,
    ) -> Option<String> {
        let owner = self
            .find(reader, program, mint, account)
            .filter(|owner| !owner.starts_with(UNKNOWN));
        match &owner {
            Some(owner) => drop(self.found.insert(account.into(), owner.clone())),
            None => drop(self.unknown.insert(account.into())),
        }
        owner
    }

    /// The owner of `account`, which receives native value, if it is a token account: its content
    /// is the owner's. An owner named by a lookup table, or a missing one, is reported as such: the
    /// account alone would look like a known party.
    pub(super) fn of_native(&mut self, reader: &Reader, account: &str) -> Option<String> {
        let owner = self.find(reader, TOKEN, Some(WRAPPED_SOL), account);
        let is_wrapped = self.wrapped.contains(account);
        let owner = owner.or_else(|| is_wrapped.then(|| format!("{UNKNOWN}{account}")))?;
        self.found.insert(account.into(), owner.clone());
        Some(owner)
    }

    /// The owners of the queried accounts, as far as all answers were the same.
    pub(super) fn found(self) -> BTreeMap<String, String> {
        let Self { found, unknown, .. } = self;
        found
            .into_iter()
            .filter(|(account, _)| !unknown.contains(account))
            .collect()
    }

    fn find(
        &mut self,
        reader: &Reader,
        program: &str,
        mint: Option<&str>,
        account: &str,
    ) -> Option<String> {
        if self.lost.contains(account) {
            return None;
        }
        if let Some(made) = self.made.get(account) {
            return Some(made.owner.clone());
        }
        let mint = mint?;
        let of_mint = self
            .derived
            .entry((program.into(), mint.into()))
            .or_insert_with(|| associated_accounts(reader, program, mint));
        of_mint.get(account).cloned()
    }
}

/// The associated accounts of everybody whom the message names, with their owners.
fn associated_accounts(reader: &Reader, program: &str, mint: &str) -> BTreeMap<String, String> {
    let (Some(program), Some(mint)) = (key(program), key(mint)) else {
        return BTreeMap::new();
    };
    let account = |owner: &&[u8; 32]| {
        let account = associated_account(owner, &mint, &program)?;
        Some((
            bs58::encode(account).into_string(),
            bs58::encode(owner).into_string(),
        ))
    };
    reader.message.keys.iter().filter_map(account).collect()
}

/// Derives the address like the associated token account program.
pub(super) fn associated_account(
    owner: &[u8; 32],
    mint: &[u8; 32],
    program: &[u8; 32],
) -> Option<[u8; 32]> {
    solana_program_address(&[owner, program, mint], &key(ASSOCIATED_TOKEN)?)
}

fn key(text: &str) -> Option<[u8; 32]> {
    bs58::decode(text).into_vec().ok()?.try_into().ok()
}
