//! Access to wallets: those that the book believes, and their successors step by step. Names are
//! looked up in the book and nowhere else.

use countersign_protocol::{KeyDescriptor, KeyId, SignedTask};
use countersign_requester::belief::{Belief, Believed, Introduction};
use countersign_requester::{proof, succession};

use super::{Client, now};
use crate::book::Entry;
use crate::error::ClientError;

/// A wallet in a list.
#[derive(Debug)]
pub struct Listed {
    /// As the book has it now, if the book has it; otherwise as the coordinator reports it.
    pub wallet: KeyDescriptor,
    /// This client's opinion of it.
    pub standing: Standing,
}

/// This client's opinion of a wallet.
#[derive(Debug)]
pub enum Standing {
    /// In the book, and the coordinator reports the same.
    Believed,
    /// In the book, but unknown to the coordinator.
    Untold,
    /// Not in the book, but what the profile describes: it is believed as soon as its id is used.
    New,
    /// Not to be used, for this reason.
    Refused(ClientError),
}

/// The result of importing a wallet into a coordinator.
#[derive(Debug)]
pub enum Pushed {
    /// Imported by this call.
    Taken,
    /// Already known to the coordinator.
    Known,
    /// Refused by the coordinator.
    Refused(ClientError),
}

impl Client {
    /// Finds a believed wallet: from the wallet book, or, at first sight, if the profile has all
    /// its members and its requester.
    pub async fn wallet(&self, id: KeyId) -> Result<KeyDescriptor, ClientError> {
        match self.book.wallet(id)? {
            Some(Entry {
                wallet,
                belief: Some(_),
                ..
            }) => Ok(wallet),
            Some(Entry {
                wallet,
                belief: None,
                ..
            }) => self.meet(id, Some(&wallet)).await,
            None => self.meet(id, None).await,
        }
    }

    /// Finds a believed wallet in its newest generation: compares the book with the coordinator's
    /// answer, and follows the wallet from the one to the other.
    pub async fn newest_wallet(&self, id: KeyId) -> Result<KeyDescriptor, ClientError> {
        match self.book.wallet(id)? {
            Some(Entry {
                wallet,
                belief: Some(_),
                ..
            }) => {
                let told = self.api.wallet(id).await?;
                self.catch_up(wallet, &told).await
            }
            Some(Entry {
                wallet,
                belief: None,
                ..
            }) => self.meet(id, Some(&wallet)).await,
            None => self.meet(id, None).await,
        }
    }

    /// Finds the wallet with this id, or with this name in the book. A coordinator's names lead
    /// nowhere: it could give any wallet any name.
    pub async fn find_wallet(&self, text: &str) -> Result<KeyDescriptor, ClientError> {
        self.newest_if_id(text, self.find_id(text)?).await
    }

    /// Finds the id of the wallet with this id, or with this name in the book.
    pub fn find_id(&self, text: &str) -> Result<KeyId, ClientError> {
        if let Ok(id) = text.parse::<KeyId>() {
            return Ok(id);
        }
        match self.book.named(text)?[..] {
            [id] => Ok(id),
            [] => Err(ClientError::Usage(format!(
                "no wallet in the wallet book has the name `{text}`, and names are looked up nowhere else; give the id \
                 (csk1…) once, as whoever made the wallet tells it"
            ))),
            _ => Err(ClientError::Usage(format!(
                "several wallets have the name `{text}`; use the id (csk1…)"
            ))),
        }
    }

    /// Lists every wallet known to the coordinator or in the book. Writes only newer generations of
    /// wallets that are believed.
    pub async fn wallets(&self) -> Result<Vec<Listed>, ClientError> {
        let mut book = self.book.wallets()?;
        let mut all = Vec::new();
        for told in self.api.wallets().await? {
            all.push(match book.remove(&told.key) {
                Some(Entry {
                    wallet,
                    belief: Some(_),
                    ..
                }) => self.list_known(wallet, &told).await,
                Some(Entry {
                    wallet,
                    belief: None,
                    ..
                }) => self.list_new(told, Some(&wallet)).await,
                None => self.list_new(told, None).await,
            });
        }
        let untold = |entry: Entry| Listed {
            wallet: entry.wallet,
            standing: Standing::Untold,
        };
        all.extend(book.into_values().map(untold));
        Ok(all)
    }

    /// The book's name for a wallet, if it has one.
    pub fn name_of_wallet(&self, id: KeyId) -> Result<Option<String>, ClientError> {
        Ok(self.book.wallet(id)?.map(|entry| entry.wallet.name))
    }

    /// The reason to believe a wallet, if it is believed.
    pub fn belief(&self, id: KeyId) -> Result<Option<Belief>, ClientError> {
        Ok(self.book.wallet(id)?.and_then(|entry| entry.belief))
    }

    /// The coordinator's account of a wallet, checked for consistency. Nothing
    /// is believed or written.
    pub async fn introduce(&self, id: KeyId) -> Result<Introduction, ClientError> {
        let told = self.api.wallet(id).await?;
        self.introduction(id, told).await
    }

    /// Believes a wallet on a person's word, and writes into the book who was trusted and why.
    /// `fingerprint` is [`Introduction::fingerprint`] of what the person compared. A wallet that
    /// contradicts the book is refused.
    pub async fn trust(
        &self,
        id: KeyId,
        fingerprint: &str,
        reason: &str,
    ) -> Result<KeyDescriptor, ClientError> {
        let introduced = self.introduce(id).await?;
        match self.book.wallet(id)? {
            Some(Entry {
                belief: Some(_), ..
            }) => {
                let message = format!(
                    "wallet {id} is in the wallet book already; `countersign wallet show` says why"
                );
                return Err(ClientError::Usage(message));
            }
            Some(Entry {
                wallet,
                belief: None,
                ..
            }) => succession::check_includes(&introduced, &wallet)?,
            None => {}
        }
        self.enter(&introduced.by_word(fingerprint, reason, now())?)
    }

    /// Imports wallets of the book into a coordinator that does not know them, such as a new one:
    /// all known generations, and the order. It checks them against its own nodes. `only`: these;
    /// empty: all that are believed.
    pub async fn push(&self, only: &[KeyId]) -> Result<Vec<(KeyDescriptor, Pushed)>, ClientError> {
        let mut book = self.book.wallets()?;
        book.retain(|id, entry| entry.belief.is_some() && (only.is_empty() || only.contains(id)));
        if let Some(missing) = only.iter().find(|id| !book.contains_key(id)) {
            let message = format!(
                "wallet {missing} is not in the wallet book as one that is believed; see `countersign wallet list`"
            );
            return Err(ClientError::Usage(message));
        }
        let mut all = Vec::new();
        for entry in book.into_values() {
            let pushed = self.push_one(&entry).await?;
            all.push((entry.wallet, pushed));
        }
        Ok(all)
    }

    /// Skips a wallet that the coordinator knows.
    async fn push_one(&self, entry: &Entry) -> Result<Pushed, ClientError> {
        match self.api.wallet(entry.wallet.key).await {
            Ok(told) if told.generation >= entry.wallet.generation => {
                self.catch_up(entry.wallet.clone(), &told).await?;
                return Ok(Pushed::Known);
            }
            Ok(_) | Err(ClientError::Api { status: 404, .. }) => {}
            Err(error) => return Err(error),
        }
        let order = entry
            .belief
            .as_ref()
            .and_then(|belief| belief.order.as_ref());
        match self.api.push_wallet(&entry.generations(), order).await {
            Ok(()) => Ok(Pushed::Taken),
            Err(error @ ClientError::Api { .. }) => Ok(Pushed::Refused(error)),
            Err(error) => Err(error),
        }
    }

    /// The text of a wallet's root key: `xpub…` (secp256k1) or `cpub…` (ed25519).
    pub fn extended_public_key(&self, wallet: &KeyDescriptor) -> Result<String, ClientError> {
        Ok(proof::root_key(wallet)?)
    }

    /// An id asks for the newest generation, a name for the book's.
    async fn newest_if_id(&self, text: &str, id: KeyId) -> Result<KeyDescriptor, ClientError> {
        match text.parse::<KeyId>() {
            Ok(_) => self.newest_wallet(id).await,
            Err(_) => self.wallet(id).await,
        }
    }

    async fn list_known(&self, wallet: KeyDescriptor, told: &KeyDescriptor) -> Listed {
        match self.catch_up(wallet.clone(), told).await {
            Ok(wallet) => Listed {
                wallet,
                standing: Standing::Believed,
            },
            Err(error) => Listed {
                wallet,
                standing: Standing::Refused(error),
            },
        }
    }

    async fn list_new(&self, told: KeyDescriptor, known: Option<&KeyDescriptor>) -> Listed {
        let standing = match self.judge_new(&told, known).await {
            Ok(_) => Standing::New,
            Err(error) => Standing::Refused(error),
        };
        Listed {
            wallet: told,
            standing,
        }
    }

    /// Returns a wallet that may enter the book. `known`: the entry of an earlier version, recorded
    /// without asking who stands behind it.
    async fn judge_new(
        &self,
        told: &KeyDescriptor,
        known: Option<&KeyDescriptor>,
    ) -> Result<Believed, ClientError> {
        let introduced = self.introduction(told.key, told.clone()).await?;
        if let Some(known) = known {
            succession::check_includes(&introduced, known)?;
        }
        Ok(introduced.by_profile(&self.profile.known(self.requester()), now())?)
    }

    /// Follows the wallet from the known generation to the coordinator's. Each proves that it
    /// succeeds the one before.
    async fn catch_up(
        &self,
        known: KeyDescriptor,
        told: &KeyDescriptor,
    ) -> Result<KeyDescriptor, ClientError> {
        if !succession::is_newer(&known, told)? {
            return Ok(known);
        }
        let all = self.api.generations(known.key).await?;
        let later = succession::follow(&known, all, told)?;
        later.iter().try_for_each(|one| self.book.replace(one))?;
        Ok(told.clone())
    }

    /// Handles the first sight of a wallet, or of one that has no reason in the book.
    async fn meet(
        &self,
        id: KeyId,
        known: Option<&KeyDescriptor>,
    ) -> Result<KeyDescriptor, ClientError> {
        let told = self.api.wallet(id).await?;
        if told.key != id {
            return Err(ClientError::Answer("it is about another wallet".into()));
        }
        self.enter(&self.judge_new(&told, known).await?)
    }

    fn enter(&self, believed: &Believed) -> Result<KeyDescriptor, ClientError> {
        self.book.record(believed)?;
        Ok(believed.wallet().clone())
    }

    async fn introduction(
        &self,
        id: KeyId,
        told: KeyDescriptor,
    ) -> Result<Introduction, ClientError> {
        proof::check_wallet(id, &told)?;
        let generations = if told.generation == 0 {
            vec![told.clone()]
        } else {
            let mut all = self.api.generations(id).await?;
            all.retain(|one| one.generation <= told.generation);
            all
        };
        let order = match generations.first() {
            Some(first) if first.generation == 0 => self.order_of(first).await?,
            Some(_) | None => None,
        };
        let introduced =
            Introduction::new(id, generations, &told, order.as_ref(), self.passkeys())?;
        Ok(introduced)
    }

    /// Fetches the order that created a wallet. A new coordinator has none.
    async fn order_of(&self, first: &KeyDescriptor) -> Result<Option<SignedTask>, ClientError> {
        match self.api.task(first.task, None).await {
            Ok(view) => Ok(Some(view.order())),
            Err(ClientError::Api { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
