//! The secrets of a node. The only module that reads or writes the secrets file.
//!
//! A share is opened only against an [`Approved`] task that uses it, and only inside a worker's
//! thread; it is written only against an [`Approved`] task that creates it. The exceptions serve
//! the operator, who holds the passphrase: [`Vault::check_up`] yields nothing but a proof, and
//! [`Vault::export_share`] a share under a password of its own. Nothing here is ever logged.
//!
//! There is at most one share in force per key, and during a reshare one of the
//! next generation beside it.

mod error;
pub(crate) mod record;
mod shares;

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use countersign_engine::check_up::{self, Proof};
use countersign_engine::primes::SafePrime;
use countersign_engine::{Aux, Primes, PublicShare, Share};
use countersign_link::Identity;
use countersign_protocol::outcome::public_shares_hash;
use countersign_protocol::{Hash, KeyDescriptor, KeyId, NodeId};
use countersign_recover::{
    Curve, ExportedShare, Group, GroupInfo, Participant, Password, Secret, ShareId,
};
use countersign_store::{
    Change, CommitError, OpenError, Passphrase, ReadError, RenewError, Secrets, Section,
    StoreEnded, Trouble,
};
use rand::RngCore;
use zeroize::Zeroizing;

use crate::risk::Approved;
pub use error::VaultError;
use record::{descriptor_in, join_share, split_share};
pub use shares::HeldShare;
use shares::Shares;

/// Name of the entry in sections with a single entry.
const SELF: &str = "self";

/// The opened secrets file of a node.
pub struct Vault {
    secrets: Secrets,
    /// Held while a set of primes is taken, so that no two callers get the same.
    primes: Mutex<()>,
    /// The public side of all shares, loaded on first use. Locked while a share is written.
    shares: Mutex<Option<Shares>>,
}

/// A task that needs a share.
pub trait UsesShare {
    /// The descriptor of the key in use, from this node's own records.
    fn uses(&self) -> &KeyDescriptor;
}

/// A task that creates a key.
pub trait MakesKey {
    /// The id of the new key.
    fn makes(&self) -> KeyId;
}

/// A task that creates the next generation of a key.
pub trait MovesKey {
    /// The descriptor of the generation that is replaced.
    fn moves(&self) -> &KeyDescriptor;
}

/// Auxiliary information to be stored along with a new share.
pub struct NewAux {
    /// Public digest, which is also the name it is stored under.
    pub digest: Hash,
    /// Secret bytes as the engine writes them.
    pub bytes: Zeroizing<Vec<u8>>,
}

impl Vault {
    /// Creates the store of a new node, with a fresh identity and the given callback key.
    pub fn create(
        dir: &Path,
        passphrase: &Passphrase,
        recipients: &[String],
        callback_key: Zeroizing<Vec<u8>>,
    ) -> Result<Self, VaultError> {
        let mut seed = Zeroizing::new(vec![0; 32]);
        rand::rngs::OsRng.fill_bytes(&mut seed);
        let secrets = Secrets::create(
            dir,
            passphrase,
            recipients,
            countersign_store::DEFAULT_WORK_FACTOR,
        )?;
        secrets.commit(vec![
            put(Section::Identity, SELF, seed),
            put(Section::CallbackKey, SELF, callback_key),
        ])?;
        Ok(Self::over(secrets))
    }

    /// Opens the store of an existing node.
    pub fn open(
        dir: &Path,
        passphrase: &Passphrase,
        recipients: &[String],
    ) -> Result<Self, OpenError> {
        Ok(Self::over(Secrets::open(dir, passphrase, recipients)?))
    }

    /// Returns the failure that closed the store, if any: after it, no secret is written.
    pub fn trouble(&self) -> &Trouble {
        self.secrets.trouble()
    }

    /// Checks that the files are still the ones that were opened. An error closes the
    /// store from then on.
    pub fn check(&self) -> Result<(), StoreEnded> {
        self.secrets.check()
    }

    /// Reseals the store to a new storage key: copies of the old key only open older files.
    pub fn renew_key(self, passphrase: &Passphrase) -> Result<Self, RenewError> {
        let secrets = self
            .secrets
            .renew_identity(passphrase, countersign_store::DEFAULT_WORK_FACTOR)?;
        Ok(Self {
            secrets,
            primes: self.primes,
            shares: self.shares,
        })
    }

    fn over(secrets: Secrets) -> Self {
        Self {
            secrets,
            primes: Mutex::default(),
            shares: Mutex::default(),
        }
    }

    /// Reseals the storage key under another passphrase.
    pub fn change_passphrase(&self, new: &Passphrase) -> Result<(), VaultError> {
        Ok(self
            .secrets
            .change_passphrase(new, countersign_store::DEFAULT_WORK_FACTOR)?)
    }

    /// Returns the node's identity key.
    pub fn identity(&self) -> Result<Identity, VaultError> {
        let seed = self
            .get(Section::Identity, SELF)?
            .ok_or(VaultError::Missing("identity"))?;
        let unusable = |why: String| VaultError::Unusable {
            what: "identity",
            why,
        };
        let seed =
            <&[u8; 32]>::try_from(seed.as_slice()).map_err(|error| unusable(error.to_string()))?;
        Identity::from_seed(seed).map_err(|error| unusable(error.to_string()))
    }

    /// Returns the RSA key that signs callback requests, as PKCS#8.
    pub fn callback_key(&self) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        self.get(Section::CallbackKey, SELF)?
            .ok_or(VaultError::Missing("callback key"))
    }

    /// Returns the RSA key that signs events for receivers, as PKCS#8, if there is one.
    pub fn event_key(&self) -> Result<Option<Zeroizing<Vec<u8>>>, ReadError> {
        self.get(Section::EventKey, SELF)
    }

    /// Stores the RSA key that signs events, given as PKCS#8.
    pub fn put_event_key(&self, pkcs8: Zeroizing<Vec<u8>>) -> Result<(), VaultError> {
        self.secrets
            .commit(vec![put(Section::EventKey, SELF, pkcs8)])?;
        Ok(())
    }

    /// Opens the share that the task uses. Call it in the thread that uses the share.
    pub fn open_share<J: UsesShare>(&self, approved: &Approved<J>) -> Result<Share, VaultError> {
        self.share_of(approved.plan().uses())
    }

    /// Proves that the share of this generation is intact, for an operator
    /// who holds the passphrase.
    pub fn check_up(
        &self,
        key: &KeyDescriptor,
        context: Hash,
    ) -> Result<(PublicShare, Proof), VaultError> {
        let unusable = |why: String| VaultError::Unusable {
            what: "share of this key",
            why,
        };
        let share = self.share_of(key)?;
        let proof = check_up::prove(&share, context.as_bytes(), rand::rngs::OsRng);
        Ok((
            share.public(),
            proof.map_err(|error| unusable(error.to_string()))?,
        ))
    }

    /// Seals the share of this generation into a recovery file, for an operator who holds the
    /// passphrase. `created` is the time at which the generation was ordered, as text that is
    /// identical at all members.
    pub fn export_share(
        &self,
        me: NodeId,
        key: &KeyDescriptor,
        created: &str,
        password: &Password,
    ) -> Result<ExportedShare, VaultError> {
        let unusable = |error: &dyn std::fmt::Display| VaultError::Unusable {
            what: "share of this key",
            why: error.to_string(),
        };
        let share = self.share_of(key)?;
        let curve = Curve::from(key.scheme);
        let members = (0..).zip(
            key.committee
                .members()
                .iter()
                .zip(share.public().public_shares),
        );
        let participant = |(index, (node, public_key)): (u16, (&NodeId, Vec<u8>))| Participant {
            node_id: node.to_string(),
            share_id: ShareId::from_keygen_index(index),
            public_key,
        };
        let group = Group::new(GroupInfo {
            id: key.key.to_string(),
            created_time: created.into(),
            curve,
            threshold: key.threshold.get(),
            root_public_key: key.root_public_key.clone(),
            chain_code: key.chain_code.0,
            participants: members.map(participant).collect(),
        });
        let group = group.map_err(|error| unusable(&error))?;
        let secret = Secret::from_be_bytes(curve, &*share.secret_scalar())
            .map_err(|error| unusable(&error))?;
        ExportedShare::seal(
            group,
            &me.to_string(),
            &secret,
            password,
            countersign_recover::ITERATIONS,
        )
        .map_err(|error| unusable(&error))
    }

    fn share_of(&self, key: &KeyDescriptor) -> Result<Share, VaultError> {
        let name = key.key.to_string();
        let bytes = self
            .get(Section::Share, &name)?
            .ok_or(VaultError::Missing("share of this key"))?;
        let unusable = |why: String| VaultError::Unusable {
            what: "share of this key",
            why,
        };
        let (stored, share) =
            split_share(&bytes).ok_or_else(|| unusable("its record is cut".into()))?;
        if stored.digest() != key.digest() {
            return Err(unusable("it is of another generation than the key".into()));
        }
        let share = Share::from_bytes(share).map_err(|error| unusable(error.to_string()))?;
        let public = share.public();
        if public_shares_hash(public.public_shares.iter().map(Vec::as_slice)) != key.public_shares {
            return Err(unusable("it belongs to other shares than the key's".into()));
        }
        Ok(share)
    }

    /// Persists a new share together with new auxiliary information.
    pub fn put_share<J: MakesKey>(
        &self,
        approved: &Approved<J>,
        share: &Share,
        key: &KeyDescriptor,
        aux: Option<NewAux>,
    ) -> Result<(), VaultError> {
        if approved.plan().makes() != key.key {
            return Err(VaultError::NotApproved);
        }
        let name = key.key.to_string();
        let mut changes = vec![put(Section::Share, &name, join_share(key, share))];
        changes.extend(aux.map(|aux| put(Section::Aux, &aux.digest.to_string(), aux.bytes)));
        self.commit_shares(changes)
    }

    /// Persists the share of the next generation beside the one in force, together
    /// with new auxiliary information.
    pub fn put_next_share<J: MovesKey>(
        &self,
        approved: &Approved<J>,
        share: &Share,
        next: &KeyDescriptor,
        aux: Option<NewAux>,
    ) -> Result<(), VaultError> {
        let from = approved.plan().moves();
        if !next.is_same_key(from) || next.generation != from.generation + 1 {
            return Err(VaultError::NotApproved);
        }
        let mut changes = vec![put(
            Section::PendingShare,
            &next_name(next),
            join_share(next, share),
        )];
        changes.extend(aux.map(|aux| put(Section::Aux, &aux.digest.to_string(), aux.bytes)));
        self.commit_shares(changes)
    }

    /// Replaces the share in force by this next one. The old share is destroyed, and so are the
    /// other next ones in `to_delete`.
    pub fn promote_share(
        &self,
        next: &KeyDescriptor,
        to_delete: &[KeyDescriptor],
    ) -> Result<(), VaultError> {
        let share = self.get(Section::PendingShare, &next_name(next))?;
        let share = share.ok_or(VaultError::Missing("share of the next generation"))?;
        let mut changes = vec![put(Section::Share, &next.key.to_string(), share)];
        changes.push(delete(Section::PendingShare, &next_name(next)));
        changes.extend(
            to_delete
                .iter()
                .map(|share| delete(Section::PendingShare, &next_name(share))),
        );
        changes.extend(self.unused_aux(next.key, next.aux)?);
        self.commit_shares(changes)
    }

    /// Destroys the share of a key that others hold now, and the next ones in `to_delete`.
    pub fn release_share(&self, key: KeyId, to_delete: &[KeyDescriptor]) -> Result<(), VaultError> {
        let mut changes = vec![delete(Section::Share, &key.to_string())];
        changes.extend(
            to_delete
                .iter()
                .map(|share| delete(Section::PendingShare, &next_name(share))),
        );
        changes.extend(self.unused_aux(key, None)?);
        self.commit_shares(changes)
    }

    /// Destroys an orphaned share: one of a next generation that was never acknowledged.
    pub fn drop_next_share(&self, next: &KeyDescriptor) -> Result<(), VaultError> {
        self.commit_shares(vec![delete(Section::PendingShare, &next_name(next))])
    }

    /// Returns a deletion of the auxiliary information of this key's share, unless another key, the
    /// key's share from now on (`kept`) or a next share uses it.
    fn unused_aux(&self, key: KeyId, kept: Option<Hash>) -> Result<Option<Change>, VaultError> {
        let unused = self.shares(|shares| shares.unused_aux(&key, kept))?;
        Ok(unused.map(|aux| delete(Section::Aux, &aux.to_string())))
    }

    /// Commits, and updates the cached view of all shares. A commit that fails discards the
    /// cache, to be reloaded.
    fn commit_shares(&self, changes: Vec<Change>) -> Result<(), VaultError> {
        let mut known = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(mut shares) = known.take() else {
            self.secrets.commit(changes)?;
            return Ok(());
        };
        changes
            .iter()
            .try_for_each(|change| shares.follow(change))?;
        self.secrets.commit(changes)?;
        *known = Some(shares);
        Ok(())
    }

    /// Queries the cached view of all shares. The first query reads every record once.
    fn shares<T>(&self, question: impl FnOnce(&Shares) -> T) -> Result<T, VaultError> {
        let mut known = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shares) = &*known {
            return Ok(question(shares));
        }
        let mut shares = Shares::default();
        self.each_announced(Section::Share, |share| shares.put(&share))?;
        self.each_announced(Section::PendingShare, |share| shares.put_next(share))?;
        Ok(question(known.insert(shares)))
    }

    /// Returns the public side of this key's share: the one in force, or a new key's.
    pub fn held(&self, key: KeyId) -> Result<Option<HeldShare>, VaultError> {
        self.shares(|shares| shares.held(&key))
    }

    /// Returns the keys with a share in force or of a new key, in the order of their ids.
    pub fn held_keys(&self) -> Result<Vec<KeyId>, VaultError> {
        self.shares(Shares::keys)
    }

    /// Returns the descriptors of this key's next shares, without acknowledgements.
    pub fn next_of(&self, key: KeyId) -> Result<Vec<KeyDescriptor>, VaultError> {
        self.shares(|shares| shares.next_of(&key))
    }

    /// Returns the descriptor of this key's share in force, or of the new key, without
    /// acknowledgements. Reads its record.
    pub fn descriptor(&self, key: KeyId) -> Result<Option<KeyDescriptor>, VaultError> {
        let name = key.to_string();
        let Some(bytes) = self.get(Section::Share, &name)? else {
            return Ok(None);
        };
        descriptor_in(&name, &bytes).map(Some)
    }

    /// Returns the descriptors of all shares in force or of new keys, without acknowledgements.
    /// Reads all of their records.
    pub fn stored_keys(&self) -> Result<Vec<KeyDescriptor>, VaultError> {
        self.all_announced(Section::Share)
    }

    /// Returns the descriptors of all shares of next generations, without acknowledgements. Reads
    /// all of their records.
    pub fn next_keys(&self) -> Result<Vec<KeyDescriptor>, VaultError> {
        self.all_announced(Section::PendingShare)
    }

    /// Stores a record without a share, for tests of the bookkeeping.
    #[cfg(test)]
    pub(crate) fn keep_record(&self, next: bool, key: &KeyDescriptor) {
        let public = serde_json::to_vec(key).unwrap();
        let record = Zeroizing::new([&(public.len() as u32).to_be_bytes()[..], &public].concat());
        let (section, name) = if next {
            (Section::PendingShare, next_name(key))
        } else {
            (Section::Share, key.key.to_string())
        };
        self.commit_shares(vec![put(section, &name, record)])
            .unwrap();
    }

    fn all_announced(&self, section: Section) -> Result<Vec<KeyDescriptor>, VaultError> {
        let mut keys = Vec::new();
        self.each_announced(section, |share| keys.push(share))?;
        Ok(keys)
    }

    /// Hands out the descriptors of a section's shares, one at a time.
    fn each_announced(
        &self,
        section: Section,
        mut take: impl FnMut(KeyDescriptor),
    ) -> Result<(), VaultError> {
        for name in self.secrets.keys(section)? {
            let bytes = self
                .get(section, &name)?
                .ok_or(VaultError::Missing("share"))?;
            take(descriptor_in(&name, &bytes)?);
        }
        Ok(())
    }

    /// Returns auxiliary information by its public digest, which must be its own: runs are counted
    /// by the name.
    pub fn aux(&self, digest: Hash) -> Result<Aux, VaultError> {
        let missing = VaultError::Missing("auxiliary information of this committee");
        let bytes = self
            .get(Section::Aux, &digest.to_string())?
            .ok_or(missing)?;
        let unusable = |why: String| VaultError::Unusable {
            what: "auxiliary information",
            why,
        };
        let aux = Aux::from_bytes(&bytes).map_err(|error| unusable(error.to_string()))?;
        if aux.public_digest() != digest.0 {
            return Err(unusable("it is stored under the name of another".into()));
        }
        Ok(aux)
    }

    /// Returns the number of primes in the pool; a set takes four.
    pub fn prime_count(&self) -> Result<usize, VaultError> {
        Ok(self.secrets.keys(Section::Prime)?.len())
    }

    /// Adds a safe prime to the pool under a random name.
    pub fn put_prime(&self, prime: &SafePrime) -> Result<(), VaultError> {
        let mut name = [0; 16];
        rand::rngs::OsRng.fill_bytes(&mut name);
        self.secrets.commit(vec![put(
            Section::Prime,
            &hex::encode(name),
            prime.to_bytes(),
        )])?;
        Ok(())
    }

    /// Takes a set of primes out of the pool for good; `None` if there are too few. They are
    /// deleted from the store before they are used, so that no set ever serves twice.
    pub fn take_primes(&self) -> Result<Option<Primes>, VaultError> {
        let _alone = self.primes.lock().unwrap_or_else(PoisonError::into_inner);
        let secrets = &self.secrets;
        let names: Vec<String> = secrets.keys(Section::Prime)?.into_iter().take(4).collect();
        if names.len() < 4 {
            return Ok(None);
        }
        let mut primes = Vec::new();
        for name in &names {
            let bytes = secrets
                .get(Section::Prime, name)?
                .ok_or(VaultError::Missing("prime"))?;
            primes.push(SafePrime::from_bytes(&bytes).map_err(unusable_primes)?);
        }
        secrets.commit(
            names
                .iter()
                .map(|name| delete(Section::Prime, name))
                .collect(),
        )?;
        let set = <[SafePrime; 4]>::try_from(primes).map_err(|_| VaultError::Missing("prime"))?;
        Primes::new(set).map(Some).map_err(unusable_primes)
    }

    /// Returns the generation of the secrets file, which increases by one with each change.
    pub fn generation(&self) -> Result<u64, ReadError> {
        self.secrets.generation()
    }

    /// Compacts the store into the secrets file alone, to be copied. Returns its generation.
    pub fn make_whole(&self) -> Result<u64, CommitError> {
        self.secrets.make_whole()
    }

    fn get(&self, section: Section, key: &str) -> Result<Option<Zeroizing<Vec<u8>>>, ReadError> {
        self.secrets.get(section, key)
    }
}

fn unusable_primes(error: impl std::fmt::Display) -> VaultError {
    VaultError::Unusable {
        what: "primes",
        why: error.to_string(),
    }
}

fn put(section: Section, key: &str, value: Zeroizing<Vec<u8>>) -> Change {
    Change::Put {
        section,
        key: key.into(),
        value,
    }
}

/// The name includes the task because several next shares of a key may be stored: those of failed
/// reshares remain until the next switch.
fn next_name(next: &KeyDescriptor) -> String {
    format!("{}/{}", next.key, next.task)
}

fn delete(section: Section, key: &str) -> Change {
    Change::Delete {
        section,
        key: key.into(),
    }
}

#[cfg(test)]
pub(crate) mod tests;
