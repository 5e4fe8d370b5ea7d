//! The secrets of a node, by meaning. The only module that reads or writes the secrets file.
//!
//! A share is opened only against an [`Approved`] KeySign, and only inside a worker's thread; it is written only against
//! an [`Approved`] KeyGen. Nothing here is ever logged.

use crate::risk::Approved;
use crate::task::keygen::KeyGenPlan;
use crate::task::keysign::KeySignPlan;
use countersign_engine::primes::SafePrime;
use countersign_engine::{Aux, Primes, Share};
use countersign_link::Identity;
use countersign_protocol::{Announcement, Hash};
use countersign_store::{
    Change, CommitError, CreateError, OpenError, Passphrase, ReadError, Secrets, Section,
};
use rand::RngCore;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use zeroize::Zeroizing;

/// The only entry of sections that have one.
const SELF: &str = "self";

/// An open store.
pub struct Vault {
    secrets: Secrets,
    /// Held while a set of primes is taken, so that no two takers see the same.
    primes: Mutex<()>,
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
    #[error("the store has no {0}; restore it from a backup, or run `countersign-node init` for a new node")]
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
    ) -> Result<Vault, VaultError> {
        let mut seed = Zeroizing::new(vec![0; 32]);
        rand::rngs::OsRng.fill_bytes(&mut seed);
        let secrets = Secrets::create(dir, passphrase, recipients, countersign_store::DEFAULT_WORK_FACTOR)?;
        secrets.commit(vec![
            put(Section::Identity, SELF, seed),
            put(Section::CallbackKey, SELF, callback_key),
        ])?;
        Ok(Vault { secrets, primes: Mutex::default() })
    }

    /// Opens the store of this node.
    pub fn open(dir: &Path, passphrase: &Passphrase, recipients: &[String]) -> Result<Vault, OpenError> {
        Ok(Vault { secrets: Secrets::open(dir, passphrase, recipients)?, primes: Mutex::default() })
    }

    /// The node's identity key.
    pub fn identity(&self) -> Result<Identity, VaultError> {
        let seed = self.get(Section::Identity, SELF)?.ok_or(VaultError::Missing("identity"))?;
        let unusable = |why: String| VaultError::Unusable { what: "identity", why };
        let seed = <&[u8; 32]>::try_from(seed.as_slice()).map_err(|error| unusable(error.to_string()))?;
        Identity::from_seed(seed).map_err(|error| unusable(error.to_string()))
    }

    /// The RSA key that signs callback requests, as PKCS#8.
    pub fn callback_key(&self) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        self.get(Section::CallbackKey, SELF)?.ok_or(VaultError::Missing("callback key"))
    }

    /// The RSA key that signs what event receivers are told, as PKCS#8, if there is one.
    pub fn event_key(&self) -> Result<Option<Zeroizing<Vec<u8>>>, ReadError> {
        self.get(Section::EventKey, SELF)
    }

    /// Keeps the key that signs events.
    pub fn put_event_key(&self, pkcs8: Zeroizing<Vec<u8>>) -> Result<(), VaultError> {
        self.secrets.commit(vec![put(Section::EventKey, SELF, pkcs8)])?;
        Ok(())
    }

    /// Opens a share. Call it in the thread that signs.
    pub fn open_share(&self, approved: &Approved<KeySignPlan>) -> Result<Share, VaultError> {
        let key = approved.plan().key().to_string();
        let bytes = self.get(Section::Share, &key)?.ok_or(VaultError::Missing("share of this key"))?;
        let unusable = |why: String| VaultError::Unusable { what: "share of this key", why };
        let (_, share) = split_share(&bytes).ok_or_else(|| unusable("its record is cut".into()))?;
        Share::from_bytes(share).map_err(|error| unusable(error.to_string()))
    }

    /// Makes a new share durable, and new auxiliary information with it.
    pub fn put_share(
        &self,
        approved: &Approved<KeyGenPlan>,
        share: &Share,
        key: &Announcement,
        aux: Option<NewAux>,
    ) -> Result<(), VaultError> {
        if approved.plan().key() != key.key {
            return Err(VaultError::NotApproved);
        }
        let name = key.key.to_string();
        let mut changes = vec![put(Section::Share, &name, join_share(key, share))];
        changes.extend(aux.map(|aux| put(Section::Aux, &aux.digest.to_string(), aux.bytes)));
        self.secrets.commit(changes)?;
        Ok(())
    }

    /// The announcement of every stored share, without marks.
    pub fn stored_keys(&self) -> Result<Vec<Announcement>, VaultError> {
        let secrets = &self.secrets;
        let mut keys = Vec::new();
        for name in secrets.keys(Section::Share)? {
            let bytes = secrets.get(Section::Share, &name)?.ok_or(VaultError::Missing("share"))?;
            let unusable =
                || VaultError::Unusable { what: "share", why: format!("the record of {name} is damaged") };
            keys.push(split_share(&bytes).ok_or_else(unusable)?.0);
        }
        Ok(keys)
    }

    /// Auxiliary information by its public digest.
    pub fn aux(&self, digest: Hash) -> Result<Aux, VaultError> {
        let missing = VaultError::Missing("auxiliary information of this committee");
        let bytes = self.get(Section::Aux, &digest.to_string())?.ok_or(missing)?;
        let unusable = |why: String| VaultError::Unusable { what: "auxiliary information", why };
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
        self.secrets.commit(vec![put(Section::Prime, &hex::encode(name), prime.to_bytes())])?;
        Ok(())
    }

    /// Takes a set of primes out of the pool for good; `None` if there are too few. They are gone from the store before
    /// they are used, so that no set ever serves twice.
    pub fn take_primes(&self) -> Result<Option<Primes>, VaultError> {
        let _alone = self.primes.lock().unwrap_or_else(PoisonError::into_inner);
        let secrets = &self.secrets;
        let names: Vec<String> = secrets.keys(Section::Prime)?.into_iter().take(4).collect();
        if names.len() < 4 {
            return Ok(None);
        }
        let mut primes = Vec::new();
        for name in &names {
            let bytes = secrets.get(Section::Prime, name)?.ok_or(VaultError::Missing("prime"))?;
            primes.push(SafePrime::from_bytes(&bytes).map_err(unusable_primes)?);
        }
        secrets.commit(
            names.iter().map(|name| Change::Delete { section: Section::Prime, key: name.clone() }).collect(),
        )?;
        let set = <[SafePrime; 4]>::try_from(primes).map_err(|_| VaultError::Missing("prime"))?;
        Primes::new(set).map(Some).map_err(unusable_primes)
    }

    /// The generation of the secrets file: one more at each change.
    pub fn generation(&self) -> Result<u64, ReadError> {
        self.secrets.generation()
    }

    fn get(&self, section: Section, key: &str) -> Result<Option<Zeroizing<Vec<u8>>>, ReadError> {
        self.secrets.get(section, key)
    }
}

fn unusable_primes(error: impl std::fmt::Display) -> VaultError {
    VaultError::Unusable { what: "primes", why: error.to_string() }
}

fn put(section: Section, key: &str, value: Zeroizing<Vec<u8>>) -> Change {
    Change::Put { section, key: key.into(), value }
}

/// Length of the public part (4 bytes, big-endian), the public part as JSON, the share.
fn join_share(key: &Announcement, share: &Share) -> Zeroizing<Vec<u8>> {
    let public =
        serde_json::to_vec(key).unwrap_or_else(|error| unreachable!("a key record is plain data: {error}"));
    let secret = share.to_bytes();
    let mut record = Zeroizing::new(Vec::with_capacity(4 + public.len() + secret.len()));
    record.extend_from_slice(&(public.len() as u32).to_be_bytes());
    record.extend_from_slice(&public);
    record.extend_from_slice(&secret);
    record
}

fn split_share(record: &[u8]) -> Option<(Announcement, &[u8])> {
    let (length, rest) = record.split_first_chunk::<4>()?;
    let (public, secret) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    Some((serde_json::from_slice(public).ok()?, secret))
}
