//! A recovery file's description of the wallet: the same in the files of all its nodes.
//! Nothing here is secret.

use countersign_verify::ExtendedPublicKey;

use crate::shamir;
use crate::{Curve, RootError, ShareId};

/// Limit on the participants of a wallet.
pub const MAX_PARTICIPANTS: usize = 1000;
/// Limit on ids and times, in bytes.
const MAX_TEXT: usize = 256;

/// A member of a wallet's committee, with the public half of its share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Participant {
    /// The node's id, as its software writes it.
    pub node_id: String,
    /// The x-coordinate of its share on the polynomial.
    pub share_id: ShareId,
    /// Its share times the generator: 33 bytes on secp256k1, 32 on Ed25519.
    pub public_key: Vec<u8>,
}

/// An unchecked description of a wallet, for [`Group::new`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupInfo {
    /// The wallet's id: 1 to 256 bytes of printable text.
    pub id: String,
    /// Time of creation, in whatever form its software writes; may be empty. The same text in the
    /// files of all nodes, so not from each one's own clock.
    pub created_time: String,
    /// The curve of its keys.
    pub curve: Curve,
    /// Number of shares that make the private key.
    pub threshold: u16,
    /// 33 bytes compressed on secp256k1, 32 bytes on Ed25519.
    pub root_public_key: Vec<u8>,
    /// For the derivation of child keys (BIP-32).
    pub chain_code: [u8; 32],
    /// Everybody with a share, in any order.
    pub participants: Vec<Participant>,
}

/// A wallet whose description is sound in itself: numbers in range, everything distinct,
/// every key a point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    info: GroupInfo,
    root: ExtendedPublicKey,
}

/// Why a description is not of a wallet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GroupError {
    /// A text has unprintable characters, or is too long.
    #[error(
        "the {0} is empty, longer than {MAX_TEXT} bytes or has control characters: take another copy of the file"
    )]
    Text(&'static str),
    /// There are no participants, or too many.
    #[error(
        "the wallet has {0} participants instead of 1 to {MAX_PARTICIPANTS}: take another copy of the file"
    )]
    Participants(usize),
    /// The threshold is 0, or more than there are shares.
    #[allow(missing_docs, reason = "the fields are named for what they hold")]
    #[error(
        "the threshold is {threshold}, but there are {participants} participants: take another copy of the file"
    )]
    Threshold { threshold: u64, participants: usize },
    /// Two participants have the same id.
    #[error("node `{0}` is listed twice: take another copy of the file")]
    DuplicateNode(String),
    /// Two participants have the same share id.
    #[error("share id {0} is listed twice: take another copy of the file")]
    DuplicateShareId(ShareId),
    /// Two participants have the same public key.
    #[error("the share public key of node `{0}` is also another's: take another copy of the file")]
    DuplicatePublicKey(String),
    /// A share id is not below the order.
    #[error("share id {0} is not below the order of the curve: take another copy of the file")]
    ShareIdRange(ShareId),
    /// A share public key is not a point.
    #[error(
        "the share public key of node `{0}` is not a point of the curve: take another copy of the file"
    )]
    PublicKey(String),
    /// The root public key is not a point.
    #[error("the root public key is not a point of the curve: take another copy of the file")]
    Root,
}

impl Group {
    /// Checks a description. Sorts the participants by share id.
    pub fn new(mut info: GroupInfo) -> Result<Self, GroupError> {
        check_text("group id", &info.id)?;
        if !info.created_time.is_empty() {
            check_text("created time", &info.created_time)?;
        }
        let participants = info.participants.len();
        if participants == 0 || participants > MAX_PARTICIPANTS {
            return Err(GroupError::Participants(participants));
        }
        let threshold = info.threshold;
        if threshold == 0 || usize::from(threshold) > participants {
            return Err(GroupError::Threshold {
                threshold: threshold.into(),
                participants,
            });
        }
        info.participants
            .sort_by(|a, b| a.share_id.cmp(&b.share_id));
        info.participants
            .iter_mut()
            .try_for_each(|it| check_participant(info.curve, it))?;
        check_distinct(&info.participants)?;
        let root =
            ExtendedPublicKey::root(info.curve.scheme(), &info.root_public_key, &info.chain_code);
        Ok(Self {
            root: root.map_err(|_| GroupError::Root)?,
            info,
        })
    }

    /// The checked description.
    pub fn info(&self) -> &GroupInfo {
        &self.info
    }

    /// The root public key with its chain code: `xpub…` or `cpub…` as text.
    pub fn root(&self) -> &ExtendedPublicKey {
        &self.root
    }

    /// Interpolates the root public key from the participants 1 to t-1 and each of the others in
    /// turn: then all public shares lie on one polynomial, and its value at 0 is the root key.
    pub fn check_root(&self) -> Result<(), RootError> {
        let (base, others) = self
            .info
            .participants
            .split_at(usize::from(self.info.threshold) - 1);
        for other in others {
            let set: Vec<_> = base.iter().chain([other]).collect();
            let root = shamir::interpolate_public(self.info.curve, &set);
            if root.as_deref() != Some(&self.info.root_public_key) {
                return Err(RootError {
                    node_id: other.node_id.clone(),
                });
            }
        }
        Ok(())
    }
}

/// Makes the key canonical, too.
fn check_participant(curve: Curve, participant: &mut Participant) -> Result<(), GroupError> {
    check_text("node id", &participant.node_id)?;
    if !shamir::fits(curve, &participant.share_id) {
        return Err(GroupError::ShareIdRange(participant.share_id.clone()));
    }
    let key = curve.public_key(&participant.public_key);
    participant.public_key =
        key.ok_or_else(|| GroupError::PublicKey(participant.node_id.clone()))?;
    Ok(())
}

fn check_distinct(participants: &[Participant]) -> Result<(), GroupError> {
    if let Some(twin) = twin(participants, |it| &it.node_id) {
        return Err(GroupError::DuplicateNode(twin.node_id.clone()));
    }
    if let Some(twin) = twin(participants, |it| &it.share_id) {
        return Err(GroupError::DuplicateShareId(twin.share_id.clone()));
    }
    match twin(participants, |it| &it.public_key) {
        Some(twin) => Err(GroupError::DuplicatePublicKey(twin.node_id.clone())),
        None => Ok(()),
    }
}

fn twin<K: Ord>(
    participants: &[Participant],
    key: impl Fn(&Participant) -> &K,
) -> Option<&Participant> {
    let mut seen = std::collections::BTreeSet::new();
    participants.iter().find(|it| !seen.insert(key(it)))
}

/// Text shown to an operator must not move a terminal's cursor.
fn check_text(what: &'static str, text: &str) -> Result<(), GroupError> {
    let sound = !text.is_empty() && text.len() <= MAX_TEXT && !text.chars().any(char::is_control);
    if sound {
        Ok(())
    } else {
        Err(GroupError::Text(what))
    }
}
