//! Which wallets are believed: those that the book has verified, and what succeeds them step by step.

use countersign_protocol::{Announcement, KeyId};

use super::Client;
use crate::book;
use crate::error::ClientError;
use crate::proof;

impl Client {
    /// A verified wallet: from the wallet book, or, at first sight, from the coordinator with the order that made it.
    pub async fn wallet(&self, id: KeyId) -> Result<Announcement, ClientError> {
        if let Some(known) = self.book.wallet(id)? {
            return Ok(known);
        }
        let told = self.api.wallet(id).await?;
        self.meet(told, id).await
    }

    /// Every wallet that the coordinator tells of or the book knows, each with what is wrong with it, if anything is.
    pub async fn wallets(&self) -> Result<Vec<(Announcement, Option<ClientError>)>, ClientError> {
        let mut known = self.book.wallets()?;
        let mut all = Vec::new();
        for told in self.api.wallets().await? {
            let judged = match known.remove(&told.key) {
                Some(known) => self.catch_up(known, &told).await.map(drop),
                None => proof::check_wallet(told.key, &told),
            };
            all.push((told, judged.err()));
        }
        all.extend(known.into_values().map(|wallet| (wallet, None)));
        Ok(all)
    }

    /// The wallet with this id or name. A name in the book comes before the coordinator's names.
    pub async fn find_wallet(&self, text: &str) -> Result<Announcement, ClientError> {
        if let Ok(id) = text.parse::<KeyId>() {
            return self.newest_wallet(id).await;
        }
        let named = |wallets: Vec<Announcement>| -> Vec<KeyId> {
            wallets.into_iter().filter(|wallet| wallet.name == text).map(|wallet| wallet.key).collect()
        };
        let mut found = named(self.book.wallets()?.into_values().collect());
        if found.is_empty() {
            found = named(self.api.wallets().await?);
        }
        match found[..] {
            [id] => self.wallet(id).await,
            [] => Err(ClientError::Usage(format!(
                "no wallet has the name `{text}`; see `countersign wallet list`"
            ))),
            _ => {
                Err(ClientError::Usage(format!("several wallets have the name `{text}`; use the id (csk1…)")))
            }
        }
    }

    /// The text of a wallet's root key: `xpub…` (secp256k1) or `cpub…` (ed25519).
    pub fn extended_public_key(&self, wallet: &Announcement) -> Result<String, ClientError> {
        proof::extended_public_key(wallet)
            .map_err(|reason| ClientError::Wallet { wallet: wallet.key, reason })
    }

    /// A verified wallet in its newest generation: compares the book with what the coordinator tells now, and follows the
    /// wallet from the one to the other.
    pub async fn newest_wallet(&self, id: KeyId) -> Result<Announcement, ClientError> {
        let told = self.api.wallet(id).await?;
        match self.book.wallet(id)? {
            Some(known) => self.catch_up(known, &told).await,
            None => self.meet(told, id).await,
        }
    }

    /// From the generation that is known to the one that the coordinator tells of. Each proves that it succeeds the one before.
    async fn catch_up(&self, known: Announcement, told: &Announcement) -> Result<Announcement, ClientError> {
        let id = known.key;
        if told.generation < known.generation {
            return Err(ClientError::Stale { wallet: id, told: told.generation, known: known.generation });
        }
        if told.generation == known.generation {
            return book::check_same(&known, told).map(|()| known);
        }
        let mut all = self.api.generations(id).await?;
        all.retain(|one| (known.generation + 1..=told.generation).contains(&one.generation));
        proof::check_chain(&known, &all, told)
            .map_err(|reason| ClientError::Wallet { wallet: id, reason })?;
        all.iter().try_for_each(|one| self.book.replace(one))?;
        Ok(told.clone())
    }

    /// First sight of a wallet: all its marks, and the order that made it, must verify. One that has moved is followed from
    /// there.
    async fn meet(&self, told: Announcement, id: KeyId) -> Result<Announcement, ClientError> {
        let bad = |reason: String| ClientError::Wallet { wallet: id, reason };
        proof::check_wallet(id, &told)?;
        let (first, rest) = if told.generation == 0 {
            (told.clone(), Vec::new())
        } else {
            let mut all = self.api.generations(id).await?;
            all.retain(|one| one.generation <= told.generation);
            match all.is_empty() {
                true => return Err(bad("the coordinator does not tell how it came to be".into())),
                false => (all.remove(0), all),
            }
        };
        proof::check_wallet(id, &first)?;
        let origin = self.api.task(first.task, None).await?.order();
        proof::check_origin(&first, &origin).map_err(bad)?;
        proof::check_chain(&first, &rest, &told).map_err(bad)?;
        self.book.record(&told)?;
        Ok(told)
    }
}
