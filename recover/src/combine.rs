//! Recovery files of several nodes together: the check that they are of one wallet, and the private
//! key of their shares.

use crate::{ExportedShare, ExtendedPrivateKey, Group, Secret, ShareId, shamir};

/// Recovery files of different nodes that agree on their wallet. At least one; maybe
/// fewer than the threshold.
#[derive(Debug)]
pub struct Recovery {
    files: Vec<ExportedShare>,
}

/// Why files cannot be used together. Files are counted from 1 in the order given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MatchError {
    /// No file was given.
    #[error(
        "there is no recovery file: give one of each of at least as many nodes as the threshold says"
    )]
    Empty,
    /// Two files describe the wallet differently.
    #[error(
        "file {file} and file 1 differ in the wallet's {what}: use files of one wallet and one generation of its shares"
    )]
    OtherWallet {
        /// The file that differs from the first.
        file: usize,
        /// The field that differs.
        what: &'static str,
    },
    /// Two files have the same share.
    #[allow(missing_docs, reason = "the fields are named for what they hold")]
    #[error(
        "file {file} and file {earlier} are both of node `{node_id}`: give a file of another node"
    )]
    SameNode {
        file: usize,
        earlier: usize,
        node_id: String,
    },
}

/// The public shares do not make the public root key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the share public keys with that of node `{node_id}` do not make the root public key: take other copies of the files"
)]
pub struct RootError {
    /// The last of the participants in a subset that does not interpolate to the root key.
    pub node_id: String,
}

/// Why shares do not make the wallet's private key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CombineError {
    /// Fewer shares than the threshold.
    #[allow(missing_docs, reason = "the fields are named for what they hold")]
    #[error("shares of {need} nodes are needed, and there are {have}: give the files of {missing} more", missing = need - have)]
    TooFew { have: usize, need: usize },
    /// The public part of the files is not sound.
    #[error(transparent)]
    Root(#[from] RootError),
    /// The opened shares are of another wallet, or there is a fault here.
    #[error(
        "the shares do not make the private key of the root public key: use files of one wallet and one generation of its shares"
    )]
    OtherKey,
}

/// A decrypted share that is proven to match its share public
/// key. Created by [`ExportedShare::open`].
#[derive(Debug)]
pub struct OpenedShare {
    pub(crate) share_id: ShareId,
    pub(crate) secret: Secret,
}

impl OpenedShare {
    /// The secret scalar of the share.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }
}

impl Recovery {
    /// Accepts files of one wallet and of different nodes.
    pub fn new(files: Vec<ExportedShare>) -> Result<Self, MatchError> {
        let first = files.first().ok_or(MatchError::Empty)?;
        for (i, file) in files.iter().enumerate() {
            if let Some(what) = difference(first.group(), file.group()) {
                return Err(MatchError::OtherWallet { file: i + 1, what });
            }
            let node_id = &file.participant().node_id;
            if let Some(earlier) = files[..i]
                .iter()
                .position(|it| &it.participant().node_id == node_id)
            {
                let node_id = node_id.clone();
                return Err(MatchError::SameNode {
                    file: i + 1,
                    earlier: earlier + 1,
                    node_id,
                });
            }
        }
        Ok(Self { files })
    }

    /// The wallet that all files are of.
    pub fn group(&self) -> &Group {
        self.files[0].group()
    }

    /// The files, in the order given.
    pub fn files(&self) -> &[ExportedShare] {
        &self.files
    }

    /// Fails if there are too few files for the private key. Asks for no password.
    pub fn check_enough(&self) -> Result<(), CombineError> {
        enough(self.group(), self.files.len())
    }

    /// Interpolates the private root key of the wallet, and checks it against the public one.
    /// Checks the public shares, too.
    pub fn combine(&self, shares: &[OpenedShare]) -> Result<ExtendedPrivateKey, CombineError> {
        let group = self.group();
        let mut distinct: Vec<_> = shares
            .iter()
            .map(|share| (&share.share_id, &share.secret))
            .collect();
        distinct.sort_by(|a, b| a.0.cmp(b.0));
        distinct.dedup_by(|a, b| a.0 == b.0);
        enough(group, distinct.len())?;
        group.check_root()?;
        let info = group.info();
        if distinct
            .iter()
            .any(|(_, secret)| secret.curve() != info.curve)
        {
            return Err(CombineError::OtherKey);
        }
        let root = shamir::interpolate(info.curve, &distinct).ok_or(CombineError::OtherKey)?;
        if root.public_key() != info.root_public_key {
            return Err(CombineError::OtherKey);
        }
        Ok(ExtendedPrivateKey::root(root, info.chain_code))
    }
}

fn enough(group: &Group, have: usize) -> Result<(), CombineError> {
    let need = usize::from(group.info().threshold);
    if have < need {
        Err(CombineError::TooFew { have, need })
    } else {
        Ok(())
    }
}

/// Names the first field in which two wallets differ.
fn difference(a: &Group, b: &Group) -> Option<&'static str> {
    let a = a.info();
    let b = b.info();
    let same = [
        ("id", a.id == b.id),
        ("created time", a.created_time == b.created_time),
        ("curve", a.curve == b.curve),
        ("root public key", a.root_public_key == b.root_public_key),
        ("chain code", a.chain_code == b.chain_code),
        ("threshold", a.threshold == b.threshold),
        ("participants", a.participants == b.participants),
    ];
    same.into_iter()
        .find(|(_, same)| !same)
        .map(|(what, _)| what)
}
