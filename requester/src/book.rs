//! The wallet book as a document: every wallet that is believed, in its newest generation, with the
//! reason. Reading and writing its file is left to the caller.

use countersign_protocol::KeyDescriptor;
use serde::{Deserialize, Serialize};

use crate::belief::{Belief, Believed};
use crate::error::BeliefError;
pub use crate::pages::{Pages, PagesError};
use crate::succession::{check_same, check_same_or_newer};

/// A wallet in the book.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its newest generation that this client has verified.
    pub wallet: KeyDescriptor,
    /// The reason to believe it. Absent: recorded by an earlier version, without any comparison.
    pub belief: Option<Belief>,
    /// The generations before it, oldest first, as far as this client has seen them: together with
    /// the order in `belief` they let anybody who meets the wallet later check all of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<KeyDescriptor>,
}

impl Entry {
    /// All known generations, oldest first.
    pub fn generations(&self) -> Vec<KeyDescriptor> {
        self.earlier.iter().chain([&self.wallet]).cloned().collect()
    }
}

impl Pages {
    /// The entry to write for a wallet that is believed, or to add the reason to one that had none.
    /// `None`: a wallet recorded with a reason was compared, and stays.
    pub fn recorded(&self, believed: &Believed) -> Result<Option<Entry>, BeliefError> {
        let wallet = believed.wallet();
        if let Some(known) = self.wallets.get(&wallet.key) {
            if known.belief.is_some() {
                return check_same_or_newer(&known.wallet, wallet).map(|()| None);
            }
            if !known.wallet.is_same_key(wallet) || known.wallet.generation > wallet.generation {
                return check_same(&known.wallet, wallet).map(|()| None);
            }
        }
        Ok(Some(Entry {
            wallet: wallet.clone(),
            belief: Some(believed.belief().clone()),
            earlier: believed.earlier().to_vec(),
        }))
    }

    /// The entry to write for a generation that succeeds the one in the book. `None`: the book is
    /// as new or newer, and of the same key: another program may have been faster.
    pub fn replaced(&self, wallet: &KeyDescriptor) -> Result<Option<Entry>, BeliefError> {
        match self.wallets.get(&wallet.key) {
            Some(known) if wallet.succeeds(&known.wallet) => {
                let mut entry = known.clone();
                entry
                    .earlier
                    .push(std::mem::replace(&mut entry.wallet, wallet.clone()));
                Ok(Some(entry))
            }
            Some(known) => check_same_or_newer(&known.wallet, wallet).map(|()| None),
            None => Err(BeliefError::wallet(
                wallet.key,
                "the wallet book does not know what it succeeds",
            )),
        }
    }
}
