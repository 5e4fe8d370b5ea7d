//! The recovery file: JSON, three versions, three shapes around the same group.
//!
//! | member | content |
//! |---|---|
//! | `version` | 1, 2 or 3 |
//! | `group_info` | `id`, `created_time`, `type` (1 ECDSA, 2 EdDSA), `curve`, `threshold` |
//! | | `root_extended_public_key`, `chaincode`, `participants` |
//! | `share_info` | `node_id`, `share_id`, `share_public_key`, `encrypted_share` (Base64), `kdf` |
//!
//! Members that are not listed are ignored; a listed one that stands there twice is refused. Bytes
//! are hexadecimal after `0x`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign_protocol::text::printable;
use countersign_verify::ExtendedPublicKey;
use serde::{Deserialize, Serialize};

use crate::sealed::KEY;
use crate::{
    Curve, Group, GroupError, GroupInfo, Hash, MAX_ITERATIONS, OpenError, OpenedShare, Participant,
    Password, RootError, SealError, Sealed, Secret, ShareIdError,
};

/// Size limit of recovery files in bytes.
pub const MAX_FILE: usize = 16 << 20;

/// Limit for the salt in bytes.
const MAX_SALT: usize = 1024;

/// The format version, which decides the plaintext of the encrypted share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// The bytes of the share.
    V1 = 1,
    /// JSON with the Base64 of the share.
    V2 = 2,
    /// As V2; the only version that is written by default.
    V3 = 3,
}

impl Version {
    /// Every known version, oldest first.
    pub const ALL: [Self; 3] = [Self::V1, Self::V2, Self::V3];
}

/// The JSON around the groups of a file. All shapes are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `{"recovery_groups": [G, …]}`; the one that is written.
    Groups,
    /// `[G, …]`: the list without a name.
    List,
    /// `G` alone; of several shares, the first.
    Bare,
}

/// One node's share of one wallet, encrypted: the content of a recovery file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportedShare {
    version: Version,
    group: Group,
    /// Index of the share's owner among the participants.
    owner: usize,
    sealed: Sealed,
}

/// Why bytes are not a recovery file of a wallet.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file is larger than [`MAX_FILE`].
    #[error("the file has {0} bytes, more than any recovery file: check its name")]
    TooLarge(usize),
    /// The file is truncated, altered, or of another kind.
    #[error("this is not a recovery file, or a damaged one ({0}): take another copy")]
    Json(#[from] serde_json::Error),
    /// The file is of other wallets.
    #[error("the file has no wallet `{wanted}` but {found}: check --group-id and the file's name")]
    NoGroup {
        /// The group id asked for.
        wanted: String,
        /// The ids in the file.
        found: String,
    },
    /// The file has two entries for the wallet.
    #[error("the file has wallet `{0}` twice: take another copy")]
    DuplicateGroup(String),
    /// The version is not 1, 2 or 3.
    #[error("version {0} of recovery files is unknown here: use a later release of this program")]
    Version(u64),
    /// `type` and `curve` contradict each other.
    #[error("a wallet of type {kind} is not on the curve {curve}: take another copy")]
    Type {
        /// As in the file: 1 ECDSA, 2 EdDSA.
        kind: u64,
        /// As in the file.
        curve: Curve,
    },
    /// A text is not hexadecimal or Base64.
    #[error("`{0}` is not encoded as it should be: take another copy")]
    Encoding(&'static str),
    /// A share id is malformed or too large.
    #[error(transparent)]
    ShareId(#[from] ShareIdError),
    /// The extended key is not of depth 0 on the wallet's curve.
    #[error(
        "the root extended public key is not a root key on the wallet's curve: take another copy"
    )]
    Root,
    /// The file has two different chain codes.
    #[error("the chain code is not the one in the root extended public key: take another copy")]
    ChainCode,
    /// The wallet's description is not sound.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// The share's owner is not among the participants, or listed with another share.
    #[error(
        "node `{0}`, whose share this is, is not among the participants with this share: take another copy"
    )]
    Owner(String),
    /// A length, hash or number of iterations is not accepted.
    #[error(
        "the key derivation's {0} is not one that is accepted (32 bytes, SHA-256 or SHA-512, 1 to {MAX_ITERATIONS} iterations, salt of 1 to 1024 bytes): take another copy"
    )]
    Kdf(&'static str),
}

/// Why a share cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealShareError {
    /// The share's owner is not a participant.
    #[error("node `{0}` is not among the participants: name the node whose share it is")]
    Owner(String),
    /// The share does not match the participant's public key.
    #[error(
        "the share does not make the share public key of node `{0}`: check which wallet it is of"
    )]
    PublicKey(String),
    /// The public shares do not make the root key.
    #[error(transparent)]
    Root(#[from] RootError),
    /// The share cannot be encrypted.
    #[error(transparent)]
    Seal(#[from] SealError),
}

impl ExportedShare {
    /// Seals the share of `node_id`, in version 3. Refuses what a reader of the file would refuse.
    ///
    /// `iterations`: [`crate::ITERATIONS`], except in tests.
    pub fn seal(
        group: Group,
        node_id: &str,
        share: &Secret,
        password: &Password,
        iterations: u32,
    ) -> Result<Self, SealShareError> {
        Self::seal_as(Version::V3, group, node_id, share, password, iterations)
    }

    /// Seals in an earlier version, for programs that read no other.
    pub fn seal_as(
        version: Version,
        group: Group,
        node_id: &str,
        share: &Secret,
        password: &Password,
        iterations: u32,
    ) -> Result<Self, SealShareError> {
        let participants = &group.info().participants;
        let owner = participants.iter().position(|it| it.node_id == node_id);
        let owner = owner.ok_or_else(|| SealShareError::Owner(node_id.into()))?;
        if share.curve() != group.info().curve
            || share.public_key() != participants[owner].public_key
        {
            return Err(SealShareError::PublicKey(node_id.into()));
        }
        group.check_root()?;
        let sealed = Sealed::seal(version, share, password, iterations)?;
        Ok(Self {
            version,
            group,
            owner,
            sealed,
        })
    }

    /// Opens the share, and proves that it matches its share public key.
    pub fn open(&self, password: &Password) -> Result<OpenedShare, OpenError> {
        let secret = self
            .sealed
            .open(self.version, self.group.info().curve, password)?;
        let Participant {
            share_id,
            public_key,
            ..
        } = self.participant();
        if &secret.public_key() != public_key {
            return Err(OpenError::PublicKey);
        }
        Ok(OpenedShare {
            share_id: share_id.clone(),
            secret,
        })
    }

    /// The wallet of the share.
    pub fn group(&self) -> &Group {
        &self.group
    }

    /// The owner of the share.
    pub fn participant(&self) -> &Participant {
        &self.group.info().participants[self.owner]
    }

    /// The version of the entry.
    pub fn version(&self) -> Version {
        self.version
    }
}

/// Finds the entry of wallet `group_id` in a file. Its description of the wallet is sound in
/// itself; [`Group::check_root`] checks that the public shares make the root key.
pub fn read(bytes: &[u8], group_id: &str) -> Result<ExportedShare, ReadError> {
    if bytes.len() > MAX_FILE {
        return Err(ReadError::TooLarge(bytes.len()));
    }
    let mut groups = entries(bytes)?;
    let found: Vec<_> = (0..groups.len())
        .filter(|i| groups[*i].group_info.id == group_id)
        .collect();
    match found[..] {
        [only] => groups.swap_remove(only).check(),
        [] => Err(ReadError::NoGroup {
            wanted: group_id.into(),
            found: names(&groups),
        }),
        _ => Err(ReadError::DuplicateGroup(group_id.into())),
    }
}

/// Writes a file with these shares, in the order given. Other programs want one for each wallet.
pub fn write(shares: &[ExportedShare], shape: Shape) -> Vec<u8> {
    let groups: Vec<_> = shares.iter().map(RawGroup::of).collect();
    let written = match shape {
        Shape::Groups => serde_json::to_vec_pretty(&RawFile {
            recovery_groups: groups,
        }),
        Shape::List => serde_json::to_vec_pretty(&groups),
        Shape::Bare => serde_json::to_vec_pretty(&groups.first()),
    };
    // Serializing texts, numbers and lists cannot fail.
    let mut bytes = written.unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

fn entries(bytes: &[u8]) -> Result<Vec<RawGroup>, serde_json::Error> {
    if bytes.trim_ascii_start().starts_with(b"[") {
        return serde_json::from_slice(bytes);
    }
    // An object: a list under its name, or a group. Inspected first, so that an error
    // names the fault inside.
    let probe: Probe = serde_json::from_slice(bytes)?;
    match probe.recovery_groups {
        Some(_) => serde_json::from_slice::<RawFile>(bytes).map(|file| file.recovery_groups),
        None => Ok(vec![serde_json::from_slice(bytes)?]),
    }
}

/// Lists the ids in a file, made printable.
fn names(groups: &[RawGroup]) -> String {
    let plain = |id: &str| printable(id, 80);
    let names: Vec<_> = groups
        .iter()
        .take(20)
        .map(|it| format!("`{}`", plain(&it.group_info.id)))
        .collect();
    if names.is_empty() {
        "none at all".into()
    } else {
        names.join(", ")
    }
}

#[derive(Deserialize)]
struct Probe {
    recovery_groups: Option<serde::de::IgnoredAny>,
}

#[derive(Serialize, Deserialize)]
struct RawFile {
    recovery_groups: Vec<RawGroup>,
}

#[derive(Serialize, Deserialize)]
struct RawGroup {
    version: u64,
    group_info: RawInfo,
    share_info: RawShare,
}

#[derive(Serialize, Deserialize)]
struct RawInfo {
    id: String,
    created_time: String,
    r#type: u64,
    root_extended_public_key: String,
    chaincode: String,
    curve: Curve,
    threshold: u64,
    participants: Vec<RawParticipant>,
}

#[derive(Serialize, Deserialize)]
struct RawParticipant {
    node_id: String,
    share_id: String,
    share_public_key: String,
}

#[derive(Serialize, Deserialize)]
struct RawShare {
    node_id: String,
    share_id: String,
    share_public_key: String,
    encrypted_share: String,
    kdf: RawKdf,
}

#[derive(Serialize, Deserialize)]
struct RawKdf {
    length: u64,
    iterations: u64,
    salt: String,
    hash_type: u64,
    #[serde(default)]
    hash_name: String,
}

impl RawGroup {
    fn check(self) -> Result<ExportedShare, ReadError> {
        let version = Version::ALL
            .into_iter()
            .find(|version| *version as u64 == self.version);
        let version = version.ok_or(ReadError::Version(self.version))?;
        let group = self.group_info.check()?;
        let (owner, sealed) = self.share_info.check(&group)?;
        Ok(ExportedShare {
            version,
            group,
            owner,
            sealed,
        })
    }

    fn of(share: &ExportedShare) -> Self {
        let ExportedShare {
            version,
            group,
            owner,
            sealed,
        } = share;
        Self {
            version: *version as u64,
            group_info: RawInfo::of(group),
            share_info: RawShare::of(&group.info().participants[*owner], sealed),
        }
    }
}

impl RawInfo {
    fn check(self) -> Result<Group, ReadError> {
        let Self {
            id,
            created_time,
            r#type: kind,
            curve,
            threshold,
            ..
        } = self;
        if kind != kind_of(curve) {
            return Err(ReadError::Type { kind, curve });
        }
        let root: ExtendedPublicKey = self
            .root_extended_public_key
            .parse()
            .map_err(|_| ReadError::Root)?;
        if root.depth() != 0 || !root.fits(curve.scheme()) {
            return Err(ReadError::Root);
        }
        let chain_code = *root.chain_code();
        if unhex("chaincode", &self.chaincode)? != chain_code {
            return Err(ReadError::ChainCode);
        }
        let participants = self.participants.into_iter().map(RawParticipant::check);
        let participants = participants.collect::<Result<Vec<_>, _>>()?;
        let error = || GroupError::Threshold {
            threshold,
            participants: participants.len(),
        };
        let threshold = u16::try_from(threshold).map_err(|_| error())?;
        let root_public_key = root.public_key().to_vec();
        Ok(Group::new(GroupInfo {
            id,
            created_time,
            curve,
            threshold,
            root_public_key,
            chain_code,
            participants,
        })?)
    }

    fn of(group: &Group) -> Self {
        let info = group.info();
        Self {
            id: info.id.clone(),
            created_time: info.created_time.clone(),
            r#type: kind_of(info.curve),
            root_extended_public_key: group.root().to_string(),
            chaincode: hex0x(&info.chain_code),
            curve: info.curve,
            threshold: info.threshold.into(),
            participants: info.participants.iter().map(RawParticipant::of).collect(),
        }
    }
}

impl RawParticipant {
    fn check(self) -> Result<Participant, ReadError> {
        let public_key = unhex("share_public_key", &self.share_public_key)?;
        Ok(Participant {
            node_id: self.node_id,
            share_id: self.share_id.parse()?,
            public_key,
        })
    }

    fn of(participant: &Participant) -> Self {
        Self {
            node_id: participant.node_id.clone(),
            share_id: participant.share_id.to_string(),
            share_public_key: hex0x(&participant.public_key),
        }
    }
}

impl RawShare {
    fn check(self, group: &Group) -> Result<(usize, Sealed), ReadError> {
        let Self {
            node_id,
            share_id,
            share_public_key,
            encrypted_share,
            kdf,
        } = self;
        let mut own = RawParticipant {
            node_id,
            share_id,
            share_public_key,
        }
        .check()?;
        let info = group.info();
        own.public_key = info.curve.public_key(&own.public_key).unwrap_or_default();
        let owner = info.participants.iter().position(|it| *it == own);
        let owner =
            owner.ok_or_else(|| ReadError::Owner(own.node_id.chars().take(80).collect()))?;
        let bytes = STANDARD
            .decode(encrypted_share)
            .map_err(|_| ReadError::Encoding("encrypted_share"))?;
        Ok((owner, kdf.check(bytes)?))
    }

    fn of(participant: &Participant, sealed: &Sealed) -> Self {
        let RawParticipant {
            node_id,
            share_id,
            share_public_key,
        } = RawParticipant::of(participant);
        let kdf = RawKdf {
            length: KEY as u64,
            iterations: sealed.iterations.into(),
            salt: hex0x(&sealed.salt),
            hash_type: sealed.hash.number(),
            hash_name: sealed.hash.name().into(),
        };
        let encrypted_share = STANDARD.encode(&sealed.bytes);
        Self {
            node_id,
            share_id,
            share_public_key,
            encrypted_share,
            kdf,
        }
    }
}

impl RawKdf {
    fn check(self, bytes: Vec<u8>) -> Result<Sealed, ReadError> {
        if self.length != KEY as u64 {
            return Err(ReadError::Kdf("length"));
        }
        let hash = Hash::from_number(self.hash_type).ok_or(ReadError::Kdf("hash"))?;
        let iterations = u32::try_from(self.iterations)
            .ok()
            .filter(|it| (1..=MAX_ITERATIONS).contains(it));
        let iterations = iterations.ok_or(ReadError::Kdf("number of iterations"))?;
        let salt = unhex("salt", &self.salt)?;
        if salt.is_empty() || salt.len() > MAX_SALT {
            return Err(ReadError::Kdf("salt"));
        }
        Ok(Sealed {
            hash,
            iterations,
            salt,
            bytes,
        })
    }
}

/// The number of a signature type: by the curve, as no other program tells Schnorr from ECDSA here.
fn kind_of(curve: Curve) -> u64 {
    match curve {
        Curve::Secp256k1 => 1,
        Curve::Ed25519 => 2,
    }
}

fn unhex(what: &'static str, text: &str) -> Result<Vec<u8>, ReadError> {
    let digits = text.strip_prefix("0x").ok_or(ReadError::Encoding(what))?;
    hex::decode(digits).map_err(|_| ReadError::Encoding(what))
}

fn hex0x(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}
