//! The secrets of a node, by meaning. The only module that reads or writes the secrets file.
//!
//! A share is opened only against an [`Approved`] task that uses it, and only inside a worker's
//! thread; it is written only against an [`Approved`] task that makes it. The exceptions are the
//! operator's, who holds the passphrase: [`Vault::check_up`] gives out a proof and nothing else,
//! [`Vault::export_share`] a share under a password of its own. Nothing here is ever logged.
//!
//! Of a key there is at most one share in force, and while it is handed over one of the next
//! generation beside it.

mod shares;

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use countersign_engine::check_up::{self, Proof};
use countersign_engine::primes::SafePrime;
use countersign_engine::{Aux, Primes, PublicShare, Share};
use countersign_link::Identity;
use countersign_protocol::outcome::public_shares_hash;
use countersign_protocol::{Announcement, Hash, KeyId, NodeId};
use countersign_recover::{
    Curve, ExportedShare, Group, GroupInfo, Participant, Password, Secret, ShareId,
};
use countersign_store::{
    Change, CommitError, CreateError, OpenError, Passphrase, ReadError, RenewError, Secrets,
    Section, Trouble,
};
use rand::RngCore;
use zeroize::Zeroizing;

use crate::risk::Approved;
pub use shares::HeldShare;
use shares::Shares;

/// The only entry of sections that have one.
const SELF: &str = "self";

/// An open store.
pub struct Vault {
    secrets: Secrets,
    /// Held while a set of primes is taken, so that no two takers see the same.
    primes: Mutex<()>,
    /// The public side of all shares, once somebody has asked for it. Held while a share is
    /// written.
    shares: Mutex<Option<Shares>>,
}

/// Why a secret could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// The store cannot be made.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// The store gave an error.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store could not be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The store has no such thing.
    #[error(
        "the store has no {0}; restore it from a backup, or run `countersign-node init` for a new node"
    )]
    Missing(&'static str),
    /// It is there and cannot be used.
    #[error("the store's {what} cannot be used ({why}); restore it from a backup")]
    Unusable {
        /// What.
        what: &'static str,
        /// Why.
        why: String,
    },
    /// A share of a key that nobody approved.
    #[error(
        "a share of another key than the approved one was to be stored, and was not; report this with the log"
    )]
    NotApproved,
}

/// A task that uses a share.
pub trait UsesShare {
    /// The key whose share it uses, as this node has it on record.
    fn uses(&self) -> &Announcement;
}

/// A task that makes a key.
pub trait MakesKey {
    /// The new key.
    fn makes(&self) -> KeyId;
}

/// A task that makes the next generation of a key.
pub trait MovesKey {
    /// The generation that is handed over.
    fn moves(&self) -> &Announcement;
}

/// Auxiliary information that is to be stored along with a new share.
pub struct NewAux {
    /// Its public digest: the name it is stored under.
    pub digest: Hash,
    /// Its secret bytes.
    pub bytes: Zeroizing<Vec<u8>>,
}

impl Vault {
    /// Makes the store of a new node: identity and callback key.
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

    /// Opens the store of this node.
    pub fn open(
        dir: &Path,
        passphrase: &Passphrase,
        recipients: &[String],
    ) -> Result<Self, OpenError> {
        Ok(Self::over(Secrets::open(dir, passphrase, recipients)?))
    }

    /// What ended the store, if anything did: nothing secret is written any more.
    pub fn trouble(&self) -> &Trouble {
        self.secrets.trouble()
    }

    /// Whether the files are still those that were opened; an error is the store's trouble from
    /// here on.
    pub fn check(&self) -> Result<(), String> {
        self.secrets.check()
    }

    /// Seals the store to a new storage key: copies of the old one open only files of before.
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

    /// Puts the store under another passphrase.
    pub fn change_passphrase(&self, new: &Passphrase) -> Result<(), VaultError> {
        Ok(self
            .secrets
            .change_passphrase(new, countersign_store::DEFAULT_WORK_FACTOR)?)
    }

    /// The node's identity key.
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

    /// The RSA key that signs callback requests, as PKCS#8.
    pub fn callback_key(&self) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        self.get(Section::CallbackKey, SELF)?
            .ok_or(VaultError::Missing("callback key"))
    }

    /// The RSA key that signs what event receivers are told, as PKCS#8, if there is one.
    pub fn event_key(&self) -> Result<Option<Zeroizing<Vec<u8>>>, ReadError> {
        self.get(Section::EventKey, SELF)
    }

    /// Keeps the key that signs events.
    pub fn put_event_key(&self, pkcs8: Zeroizing<Vec<u8>>) -> Result<(), VaultError> {
        self.secrets
            .commit(vec![put(Section::EventKey, SELF, pkcs8)])?;
        Ok(())
    }

    /// Opens the share of the generation that the task uses. Call it in the thread that uses it.
    pub fn open_share<J: UsesShare>(&self, approved: &Approved<J>) -> Result<Share, VaultError> {
        self.share_of(approved.plan().uses())
    }

    /// Proves that the share of this generation is intact, for an operator who holds the
    /// passphrase.
    pub fn check_up(
        &self,
        key: &Announcement,
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
    /// passphrase. `created`: when the generation was ordered, as text that is the same at all its
    /// members.
    pub fn export_share(
        &self,
        me: NodeId,
        key: &Announcement,
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

    fn share_of(&self, key: &Announcement) -> Result<Share, VaultError> {
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

    /// Makes a new share durable, and new auxiliary information with it.
    pub fn put_share<J: MakesKey>(
        &self,
        approved: &Approved<J>,
        share: &Share,
        key: &Announcement,
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

    /// Makes the share of the next generation durable beside the one in force, and new auxiliary
    /// information with it.
    pub fn put_next_share<J: MovesKey>(
        &self,
        approved: &Approved<J>,
        share: &Share,
        next: &Announcement,
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

    /// Puts the share of this next generation in the place of the one in force, which is destroyed,
    /// and so are the other next ones in `doomed`.
    pub fn promote_share(
        &self,
        next: &Announcement,
        doomed: &[Announcement],
    ) -> Result<(), VaultError> {
        let share = self.get(Section::PendingShare, &next_name(next))?;
        let share = share.ok_or(VaultError::Missing("share of the next generation"))?;
        let mut changes = vec![put(Section::Share, &next.key.to_string(), share)];
        changes.push(delete(Section::PendingShare, &next_name(next)));
        changes.extend(
            doomed
                .iter()
                .map(|share| delete(Section::PendingShare, &next_name(share))),
        );
        changes.extend(self.unused_aux(next.key, next.aux)?);
        self.commit_shares(changes)
    }

    /// Destroys the share of a key that others hold now, and the next ones in `doomed`.
    pub fn release_share(&self, key: KeyId, doomed: &[Announcement]) -> Result<(), VaultError> {
        let mut changes = vec![delete(Section::Share, &key.to_string())];
        changes.extend(
            doomed
                .iter()
                .map(|share| delete(Section::PendingShare, &next_name(share))),
        );
        changes.extend(self.unused_aux(key, None)?);
        self.commit_shares(changes)
    }

    /// Destroys the share of a next generation for which no mark was signed.
    pub fn drop_next_share(&self, next: &Announcement) -> Result<(), VaultError> {
        self.commit_shares(vec![delete(Section::PendingShare, &next_name(next))])
    }

    /// The auxiliary information of this key's share that neither another key, nor its share from
    /// now on (`kept`), nor a next one uses.
    fn unused_aux(&self, key: KeyId, kept: Option<Hash>) -> Result<Option<Change>, VaultError> {
        let unused = self.shares(|shares| shares.unused_aux(&key, kept))?;
        Ok(unused.map(|aux| delete(Section::Aux, &aux.to_string())))
    }

    /// Commits, and keeps what is known of all shares true. A commit that fails leaves it to be
    /// read again.
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

    /// Asks what is known of all shares. The first question reads the record of each once.
    fn shares<T>(&self, question: impl FnOnce(&Shares) -> T) -> Result<T, VaultError> {
        let mut known = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shares) = &*known {
            return Ok(question(shares));
        }
        let mut shares = Shares::default();
        self.stored_keys()?
            .iter()
            .for_each(|share| shares.put(share));
        self.next_keys()?
            .into_iter()
            .for_each(|share| shares.put_next(share));
        Ok(question(known.insert(shares)))
    }

    /// What is known of this key's share in force, or of the new key's.
    pub fn held(&self, key: KeyId) -> Result<Option<HeldShare>, VaultError> {
        self.shares(|shares| shares.held(&key))
    }

    /// The keys of which there is a share in force or of a new key, by id.
    pub fn held_keys(&self) -> Result<Vec<KeyId>, VaultError> {
        self.shares(Shares::keys)
    }

    /// The announcements of this key's next shares, without marks.
    pub fn next_of(&self, key: KeyId) -> Result<Vec<Announcement>, VaultError> {
        self.shares(|shares| shares.next_of(&key))
    }

    /// The announcement of this key's share in force, or of the new key, without marks. Reads its
    /// record.
    pub fn announced(&self, key: KeyId) -> Result<Option<Announcement>, VaultError> {
        let name = key.to_string();
        let Some(bytes) = self.get(Section::Share, &name)? else {
            return Ok(None);
        };
        announcement_in(&name, &bytes).map(Some)
    }

    /// The announcement of every share in force or of a new key, without marks. Reads all of their
    /// records.
    pub fn stored_keys(&self) -> Result<Vec<Announcement>, VaultError> {
        self.all_announced(Section::Share)
    }

    /// The announcement of every share of a next generation, without marks. Reads all of their
    /// records.
    pub fn next_keys(&self) -> Result<Vec<Announcement>, VaultError> {
        self.all_announced(Section::PendingShare)
    }

    /// For tests of what becomes of shares: a record without one.
    #[cfg(test)]
    pub(crate) fn keep_record(&self, next: bool, key: &Announcement) {
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

    fn all_announced(&self, section: Section) -> Result<Vec<Announcement>, VaultError> {
        let secrets = &self.secrets;
        let mut keys = Vec::new();
        for name in secrets.keys(section)? {
            let bytes = secrets
                .get(section, &name)?
                .ok_or(VaultError::Missing("share"))?;
            keys.push(announcement_in(&name, &bytes)?);
        }
        Ok(keys)
    }

    /// Auxiliary information by its public digest.
    pub fn aux(&self, digest: Hash) -> Result<Aux, VaultError> {
        let missing = VaultError::Missing("auxiliary information of this committee");
        let bytes = self
            .get(Section::Aux, &digest.to_string())?
            .ok_or(missing)?;
        let unusable = |why: String| VaultError::Unusable {
            what: "auxiliary information",
            why,
        };
        Aux::from_bytes(&bytes).map_err(|error| unusable(error.to_string()))
    }

    /// How many primes are ready; a set takes four.
    pub fn prime_count(&self) -> Result<usize, VaultError> {
        Ok(self.secrets.keys(Section::Prime)?.len())
    }

    /// Adds a prime to the pool.
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

    /// Takes a set of primes out of the pool for good; `None` if there are too few. They are gone
    /// from the store before they are used, so that no set ever serves twice.
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

    /// The generation of the secrets file: one more at each change.
    pub fn generation(&self) -> Result<u64, ReadError> {
        self.secrets.generation()
    }

    /// Makes the secrets file alone the whole store, to be copied. Tells its generation.
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

/// Several may be stored for one key: those of reshares that came to nothing sleep until the next
/// switch.
fn next_name(next: &Announcement) -> String {
    format!("{}/{}", next.key, next.task)
}

fn delete(section: Section, key: &str) -> Change {
    Change::Delete {
        section,
        key: key.into(),
    }
}

/// Length of the public part (4 bytes, big-endian), the public part as JSON, the share.
fn join_share(key: &Announcement, share: &Share) -> Zeroizing<Vec<u8>> {
    let public = serde_json::to_vec(key)
        .unwrap_or_else(|error| unreachable!("a key record is plain data: {error}"));
    let secret = share.to_bytes();
    let mut record = Zeroizing::new(Vec::with_capacity(4 + public.len() + secret.len()));
    record.extend_from_slice(&(public.len() as u32).to_be_bytes());
    record.extend_from_slice(&public);
    record.extend_from_slice(&secret);
    record
}

fn announcement_in(name: &str, record: &[u8]) -> Result<Announcement, VaultError> {
    let damaged = || VaultError::Unusable {
        what: "share",
        why: format!("the record of {name} is damaged"),
    };
    split_share(record)
        .map(|(announcement, _)| announcement)
        .ok_or_else(damaged)
}

fn split_share(record: &[u8]) -> Option<(Announcement, &[u8])> {
    #[cfg(test)]
    tests::RECORDS.set(tests::RECORDS.get() + 1);
    let (length, rest) = record.split_first_chunk::<4>()?;
    let (public, secret) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    Some((serde_json::from_slice(public).ok()?, secret))
}

#[cfg(test)]
pub(crate) mod tests {
    thread_local! {
        /// Records of shares that this thread has read.
        pub(crate) static RECORDS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
    }
}
