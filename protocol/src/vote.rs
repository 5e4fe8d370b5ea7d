//! Votes: a person's signed statement that one task may be carried out, or may not.
//!
//! A coordinator collects and carries votes, and can neither make nor alter one. This module has
//! their two forms, bytes and JSON; `countersign-vote` finds out whether a vote is genuine, and the
//! plugin `quorum` what follows from it. `docs/quorum.md` describes the formats.
//!
//! A vote names its task by [`SignedTask::hash`](crate::SignedTask::hash), which covers each byte
//! that the requester signed, the task's id among them. So it counts for no other task, even one
//! that orders the same.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::approver::{ApproverId, ApproverKey};
use crate::assertion::{Assertion, CutOff, Hex, WrittenAssertion, WrongSize};
use crate::evidence::Signature;
use crate::hash::{Hash, Hasher};
use crate::task::UnixMillis;
use crate::text::of_parser;

/// The version of both forms.
const VERSION: u8 = 1;
/// Separates the signature of a vote from all others.
const LABEL: &str = "countersign/1 vote";
/// The latest time that every reader of JSON numbers reads alike, 2^53 - 1.
const LATEST: u64 = (1 << 53) - 1;

/// The answer of a person to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Choice {
    /// The task may be carried out.
    Approve,
    /// The task may not be carried out.
    Reject,
}

impl Choice {
    fn byte(self) -> u8 {
        match self {
            Self::Approve => 1,
            Self::Reject => 2,
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Approve => "approve",
            Self::Reject => "reject",
        })
    }
}

/// The content of a vote: what the approver signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ballot {
    /// [Hash](crate::SignedTask::hash) of the task's exact bytes.
    pub task: Hash,
    /// The answer.
    pub choice: Choice,
    /// The key that signs.
    pub approver: ApproverId,
    /// The time of signing, by the approver's clock.
    pub time: UnixMillis,
}

impl Ballot {
    /// The 32 bytes that are signed: a labelled hash of all fields. An Ed25519 key signs them; for
    /// a passkey they are the challenge.
    pub fn signed_message(&self) -> [u8; 32] {
        Hasher::new(LABEL)
            .field(self.task.as_bytes())
            .field(&[self.choice.byte()])
            .field(&self.approver.to_bytes())
            .number(self.time.0)
            .finish()
            .0
    }
}

/// What shows that the approver made a vote. Whether it does is found by `countersign-vote`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// Ed25519 over [`Ballot::signed_message`].
    Ed25519(Signature),
    /// An assertion with [`Ballot::signed_message`] as its challenge.
    Passkey(Assertion),
}

/// A ballot with its proof, within all bounds and of the kind that its approver's key makes. Not
/// yet believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vote {
    ballot: Ballot,
    proof: Proof,
}

/// The reason why bytes or JSON are not a vote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are named for what they hold")]
#[non_exhaustive]
pub enum MalformedVote {
    /// More bytes than any vote has.
    #[error("the vote has {size} bytes, at most {most} are allowed; send one vote at a time")]
    TooLarge { size: usize, most: usize },
    /// Another version of the format.
    #[error("the vote has version {0}, this program knows 1; update the older of the two programs")]
    Version(u8),
    /// The bytes end before the vote does.
    #[error("the vote is cut off; send all of it")]
    CutOff,
    /// A vote, and this many more bytes.
    #[error("{0} bytes follow the vote; remove them")]
    Trailing(usize),
    /// A choice other than to approve or to reject.
    #[error("the vote neither approves nor rejects (choice {0}); vote with approve or reject")]
    Choice(u8),
    /// The approver's id is not one.
    #[error(transparent)]
    Approver(#[from] crate::IdError),
    /// A time after the last that JSON can tell.
    #[error("the vote was made at {0} ms, which no clock shows; set the clock of the device right")]
    Time(u64),
    /// A part of the proof is too short or too long.
    #[error("`{field}` of the vote has {size} bytes, {least} to {most} are allowed; vote again")]
    Size {
        field: &'static str,
        size: usize,
        least: usize,
        most: usize,
    },
    /// The proof is of the other kind of key.
    #[error(
        "the proof of the vote is not of the kind of key that its approver has; send `signature` with an Ed25519 key and \
         `passkey` with a passkey"
    )]
    Proof,
    /// Not the JSON of a vote, with the parser's message.
    #[error("the vote cannot be read ({0}); correct the named field")]
    Json(String),
}

impl From<WrongSize> for MalformedVote {
    fn from(wrong: WrongSize) -> Self {
        let WrongSize {
            field,
            size,
            least,
            most,
        } = wrong;
        Self::Size {
            field,
            size,
            least,
            most,
        }
    }
}

impl Vote {
    /// The maximum size of [`to_bytes`](Self::to_bytes).
    pub const MAX_BYTES: usize = 1 + 1 + 32 + 8 + ApproverId::MAX_BYTES + Assertion::MAX_BYTES;
    /// The maximum size of a vote as JSON, in bytes.
    pub const MAX_JSON_BYTES: usize = 6 * 1024;
    /// The maximum number of votes on one task.
    pub const MAX_OF_TASK: usize = 256;
    /// The claim under which plugins are given the votes of a task, as a JSON array of them.
    pub const CLAIM: &'static str = "votes";
    /// A vote of the same key with the same choice says nothing new for so long, in ms.
    pub const PAUSE_MS: u64 = 60_000;
    /// The tolerated lead of an approver's clock over the reader's.
    pub const MAX_SKEW_MS: u64 = 30_000;

    /// Joins ballot and proof. Fails if a part is out of its bounds, or if the proof is not of the
    /// kind that the approver's key makes.
    pub fn new(ballot: Ballot, proof: Proof) -> Result<Self, MalformedVote> {
        if ballot.time.0 > LATEST {
            return Err(MalformedVote::Time(ballot.time.0));
        }
        match (ballot.approver.key(), &proof) {
            (ApproverKey::Ed25519(_), Proof::Ed25519(_)) => {}
            (ApproverKey::Passkey(_), Proof::Passkey(assertion)) => assertion.check()?,
            (ApproverKey::Ed25519(_), Proof::Passkey(_))
            | (ApproverKey::Passkey(_), Proof::Ed25519(_)) => return Err(MalformedVote::Proof),
        }
        Ok(Self { ballot, proof })
    }

    /// The content.
    pub fn ballot(&self) -> &Ballot {
        &self.ballot
    }

    /// The proof.
    pub fn proof(&self) -> &Proof {
        &self.proof
    }

    /// The vote as bytes. Numbers are big-endian: version (1 byte), choice (1: approve, 2: reject),
    /// task (32), time (8), [approver](ApproverId::to_bytes) (33 or 34); then either the signature
    /// (64), or client data and authenticator data, each after its length in two bytes, and the
    /// signature after its length in one.
    pub fn to_bytes(&self) -> Vec<u8> {
        let Ballot {
            task,
            choice,
            approver,
            time,
        } = &self.ballot;
        let mut bytes = vec![VERSION, choice.byte()];
        bytes.extend(task.as_bytes());
        bytes.extend(time.0.to_be_bytes());
        bytes.extend(approver.to_bytes());
        match &self.proof {
            Proof::Ed25519(signature) => bytes.extend(signature.0),
            Proof::Passkey(assertion) => assertion.write_to(&mut bytes),
        }
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) writes: each vote has exactly one encoding.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MalformedVote> {
        if bytes.len() > Self::MAX_BYTES {
            return Err(MalformedVote::TooLarge {
                size: bytes.len(),
                most: Self::MAX_BYTES,
            });
        }
        let mut reader = Reader(bytes);
        let version = reader.byte()?;
        if version != VERSION {
            return Err(MalformedVote::Version(version));
        }
        let choice = match reader.byte()? {
            1 => Choice::Approve,
            2 => Choice::Reject,
            other => return Err(MalformedVote::Choice(other)),
        };
        let task = Hash(reader.array()?);
        let time = UnixMillis(u64::from_be_bytes(reader.array()?));
        let approver = reader.approver()?;
        let proof = match approver.key() {
            ApproverKey::Ed25519(_) => Proof::Ed25519(Signature(reader.array()?)),
            ApproverKey::Passkey(_) => Proof::Passkey(reader.assertion()?),
        };
        if !reader.0.is_empty() {
            return Err(MalformedVote::Trailing(reader.0.len()));
        }
        let ballot = Ballot {
            task,
            choice,
            approver,
            time,
        };
        Self::new(ballot, proof)
    }

    /// The vote as JSON. `docs/quorum.md` describes the members.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self)
            .unwrap_or_else(|error| unreachable!("a vote is plain data: {error}"))
    }

    /// Reads one vote from JSON. Unknown and repeated members are errors.
    pub fn from_json(json: &[u8]) -> Result<Self, MalformedVote> {
        if json.len() > Self::MAX_JSON_BYTES {
            return Err(MalformedVote::TooLarge {
                size: json.len(),
                most: Self::MAX_JSON_BYTES,
            });
        }
        countersign_strict::json::<Written>(json)
            .map_err(|error| MalformedVote::Json(of_parser(&error)))?
            .try_into()
    }
}

/// The rest of a vote's bytes.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], MalformedVote> {
        let (taken, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(MalformedVote::CutOff)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], MalformedVote> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N)?);
        Ok(bytes)
    }

    fn byte(&mut self) -> Result<u8, MalformedVote> {
        self.array().map(|[byte]| byte)
    }

    fn approver(&mut self) -> Result<ApproverId, MalformedVote> {
        let length = match self.0.first() {
            Some(2) => ApproverId::MAX_BYTES,
            // Any other kind is refused by its length or by its first byte.
            Some(_) | None => ApproverId::MAX_BYTES - 1,
        };
        Ok(ApproverId::from_bytes(self.take(length)?)?)
    }

    fn assertion(&mut self) -> Result<Assertion, MalformedVote> {
        let (assertion, rest) = Assertion::read(self.0).map_err(|CutOff| MalformedVote::CutOff)?;
        self.0 = rest;
        Ok(assertion)
    }
}

/// A vote as JSON has it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Vote))]
pub(crate) struct Written {
    /// The version of the format, 1.
    version: u8,
    /// Hash of the task's exact bytes, 64 hexadecimal digits.
    task: Hash,
    /// `approve` or `reject`.
    choice: Choice,
    /// The key that votes, `csv1…`.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    approver: ApproverId,
    /// The time of signing, in milliseconds since 1970, by the approver's clock.
    time: UnixMillis,
    /// With an Ed25519 key: its signature, 128 hexadecimal digits.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    signature: Option<Hex>,
    /// With a passkey: its assertion.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    passkey: Option<WrittenAssertion>,
}

/// Deserialises an optional member: `null` is an error instead of an absence.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl From<&Vote> for Written {
    fn from(vote: &Vote) -> Self {
        let Ballot {
            task,
            choice,
            approver,
            time,
        } = vote.ballot;
        let mut written = Self {
            version: VERSION,
            task,
            choice,
            approver,
            time,
            signature: None,
            passkey: None,
        };
        match &vote.proof {
            Proof::Ed25519(signature) => written.signature = Some(Hex(signature.0.into())),
            Proof::Passkey(assertion) => written.passkey = Some(assertion.into()),
        }
        written
    }
}

impl TryFrom<Written> for Vote {
    type Error = MalformedVote;

    fn try_from(written: Written) -> Result<Self, MalformedVote> {
        if written.version != VERSION {
            return Err(MalformedVote::Version(written.version));
        }
        let proof = match (written.signature, written.passkey) {
            (Some(Hex(bytes)), None) => {
                let size = bytes.len();
                let signature = bytes.try_into().map_err(|_| MalformedVote::Size {
                    field: "signature",
                    size,
                    least: 64,
                    most: 64,
                })?;
                Proof::Ed25519(Signature(signature))
            }
            (None, Some(passkey)) => Proof::Passkey(passkey.into()),
            (Some(_), Some(_)) | (None, None) => return Err(MalformedVote::Proof),
        };
        let ballot = Ballot {
            task: written.task,
            choice: written.choice,
            approver: written.approver,
            time: written.time,
        };
        Self::new(ballot, proof)
    }
}

/// Deserialises at most [`Vote::MAX_OF_TASK`] votes. One more is an error before it is read.
pub(crate) fn bounded<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Vote>, D::Error> {
    struct Votes;
    impl<'de> serde::de::Visitor<'de> for Votes {
        type Value = Vec<Vote>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "at most {} votes", Vote::MAX_OF_TASK)
        }

        fn visit_seq<A: serde::de::SeqAccess<'de>>(
            self,
            mut list: A,
        ) -> Result<Vec<Vote>, A::Error> {
            let mut votes = Vec::new();
            while let Some(vote) = list.next_element()? {
                if votes.len() == Vote::MAX_OF_TASK {
                    return Err(serde::de::Error::invalid_length(votes.len() + 1, &self));
                }
                votes.push(vote);
            }
            Ok(votes)
        }
    }
    deserializer.deserialize_seq(Votes)
}

/// JSON for people, bytes on the wire.
impl Serialize for Vote {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            Written::from(self).serialize(serializer)
        } else {
            serializer.serialize_bytes(&self.to_bytes())
        }
    }
}

impl<'de> Deserialize<'de> for Vote {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let vote = if deserializer.is_human_readable() {
            Written::deserialize(deserializer)?.try_into()
        } else {
            Self::from_bytes(&serde_bytes::ByteBuf::deserialize(deserializer)?)
        };
        vote.map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer, SigningKey};
    use proptest::prelude::*;

    use super::*;

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[7; 32])
    }

    fn by_key() -> Vote {
        let approver = ApproverKey::Ed25519(key().verifying_key().to_bytes());
        let ballot = Ballot {
            task: Hash([0xab; 32]),
            choice: Choice::Approve,
            approver: ApproverId::new(approver).unwrap(),
            time: UnixMillis(1_764_500_000_000),
        };
        let signature = key().sign(&ballot.signed_message()).to_bytes();
        Vote::new(ballot, Proof::Ed25519(Signature(signature))).unwrap()
    }

    fn by_passkey() -> Vote {
        let mut point = [0x11; 33];
        point[0] = 2;
        let ballot = Ballot {
            choice: Choice::Reject,
            approver: ApproverId::new(ApproverKey::Passkey(point)).unwrap(),
            ..*by_key().ballot()
        };
        let assertion = Assertion {
            client_data: b"{}".to_vec(),
            authenticator_data: vec![5; 37],
            signature: vec![6; 70],
        };
        Vote::new(ballot, Proof::Passkey(assertion)).unwrap()
    }

    #[test]
    fn a_vote_survives_bytes_json_and_wire() {
        for vote in [by_key(), by_passkey()] {
            assert_eq!(Vote::from_bytes(&vote.to_bytes()), Ok(vote.clone()));
            assert_eq!(Vote::from_json(vote.to_json().as_bytes()), Ok(vote.clone()));
            assert_eq!(crate::decode(&crate::encode(&vote)), Ok(vote.clone()));
            assert!(vote.to_bytes().len() <= Vote::MAX_BYTES);
        }
    }

    /// Both forms of a vote, made with another library.
    #[test]
    fn the_forms_of_a_vote_are_frozen() {
        let vote = by_key();
        let message = "74dd8ff1bd9e2678db89f8a3d11cedc56bc8f3df29622c2e13409675af5eac34";
        assert_eq!(hex::encode(vote.ballot().signed_message()), message);
        let bytes = concat!(
            "0101abababababababababababababababababababababababababababababababab0000019ad4654d00",
            "01ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c779521f0471b039a6a",
            "e2c860bf4e79a5b690f7034004f70d3e7320f48790fc1717c35151ca5867fd2d6233b976ed54a6c5c6a9",
            "5d41a9361741bcc105a41b0e00",
        );
        assert_eq!(hex::encode(vote.to_bytes()), bytes);
        let json = concat!(
            r#"{"version":1,"task":"abababababababababababababababababababababababababababababababa"#,
            r#"b","choice":"approve","approver":"csv1q84y5mrru2w9yz4774g8kyewchue23mk46ltu7ujgg0w56"#,
            r#"g5gmfzc6ga67e","time":1764500000000,"signature":"779521f0471b039a6ae2c860bf4e79a5b69"#,
            r#"0f7034004f70d3e7320f48790fc1717c35151ca5867fd2d6233b976ed54a6c5c6a95d41a9361741bcc10"#,
            r#"5a41b0e00"}"#,
        );
        assert_eq!(vote.to_json(), json);
    }

    #[test]
    fn the_largest_vote_fits_both_forms_and_a_larger_one_none() {
        let ballot = *by_passkey().ballot();
        let largest = Assertion {
            client_data: vec![1; Assertion::MAX_CLIENT_DATA],
            authenticator_data: vec![2; Assertion::MAX_AUTHENTICATOR_DATA],
            signature: vec![3; Assertion::MAX_SIGNATURE],
        };
        let vote = Vote::new(ballot, Proof::Passkey(largest.clone())).unwrap();
        assert_eq!(vote.to_bytes().len(), Vote::MAX_BYTES);
        assert_eq!(Vote::from_bytes(&vote.to_bytes()), Ok(vote.clone()));
        assert_eq!(Vote::from_json(vote.to_json().as_bytes()), Ok(vote));
        for field in ["client_data", "authenticator_data", "signature"] {
            let mut larger = largest.clone();
            match field {
                "client_data" => larger.client_data.push(0),
                "authenticator_data" => larger.authenticator_data.push(0),
                _ => larger.signature.push(0),
            }
            let refused = Vote::new(ballot, Proof::Passkey(larger));
            assert!(
                matches!(refused, Err(MalformedVote::Size { field: found, .. }) if found == field)
            );
        }
        let many = vec![1; Vote::MAX_BYTES + 1];
        assert!(matches!(
            Vote::from_bytes(&many),
            Err(MalformedVote::TooLarge { .. })
        ));
        let long = vec![b' '; Vote::MAX_JSON_BYTES + 1];
        assert!(matches!(
            Vote::from_json(&long),
            Err(MalformedVote::TooLarge { .. })
        ));
    }

    #[test]
    fn vote_bytes_that_are_cut_off_or_followed_by_others_are_refused() {
        for vote in [by_key(), by_passkey()] {
            let bytes = vote.to_bytes();
            for length in 0..bytes.len() {
                let refused = Vote::from_bytes(&bytes[..length]);
                assert_eq!(refused, Err(MalformedVote::CutOff), "{length}");
            }
            let longer = [&bytes[..], &[0]].concat();
            assert_eq!(Vote::from_bytes(&longer), Err(MalformedVote::Trailing(1)));
        }
    }

    #[test]
    fn vote_of_another_version_or_choice_is_refused() {
        let mut bytes = by_key().to_bytes();
        bytes[0] = 2;
        assert_eq!(Vote::from_bytes(&bytes), Err(MalformedVote::Version(2)));
        bytes[0] = 1;
        bytes[1] = 3;
        assert_eq!(Vote::from_bytes(&bytes), Err(MalformedVote::Choice(3)));
        let mut late = *by_key().ballot();
        late.time = UnixMillis(LATEST + 1);
        let proof = by_key().proof().clone();
        assert!(matches!(
            Vote::new(late, proof),
            Err(MalformedVote::Time(_))
        ));
    }

    #[test]
    fn vote_with_the_proof_of_the_other_kind_of_key_is_refused() {
        for (ballot, proof) in [
            (by_key(), by_passkey().proof().clone()),
            (by_passkey(), by_key().proof().clone()),
        ] {
            let refused = Vote::new(*ballot.ballot(), proof);
            assert_eq!(refused, Err(MalformedVote::Proof));
        }
    }

    #[test]
    fn what_is_wrong_with_a_vote_is_told_in_one_short_line_whatever_it_has() {
        let name = format!(r"\n\u001b[2J\u202e{}", "x".repeat(2000));
        let json = format!(r#"{{"{name}":1,"{name}":2}}"#);
        let told = Vote::from_json(json.as_bytes()).unwrap_err().to_string();
        assert!(crate::text::is_plain(&told) && told.len() < 1000, "{told}");
    }

    #[test]
    fn vote_json_with_other_members_than_a_vote_has_is_refused() {
        let good = by_key().to_json();
        let signature = &good[good.find("\"signature\"").unwrap()..good.len() - 1];
        let approver = by_key().ballot().approver.to_string();
        for (what, json) in [
            ("an unknown one", good.replacen('{', r#"{"note":"x","#, 1)),
            ("one twice", good.replacen('{', r#"{"version":1,"#, 1)),
            ("none", "{}".into()),
            ("another version", good.replace(":1,", ":2,")),
            ("another choice", good.replace("approve\"", "abstain\"")),
            ("no signature", good.replace(&format!(",{signature}"), "")),
            ("null beside it", good.replace('}', r#","passkey":null}"#)),
            ("capital digits", good.replace("abab", "ABAB")),
            ("a typing error", good.replace(&approver, &approver[..20])),
            ("a time as text", good.replace("1764500000000", "\"1\"")),
            ("a broken time", good.replace("1764500000000", "1.5")),
            ("two votes", format!("{good}{good}")),
        ] {
            assert_ne!(json, good, "{what}");
            let refused = Vote::from_json(json.as_bytes()).unwrap_err();
            let text = refused.to_string();
            assert!(text.contains(';'), "{what}: {text}");
        }
    }

    #[test]
    fn every_field_is_signed() {
        let ballot = *by_key().ballot();
        let changed = [
            Ballot {
                task: Hash([0xac; 32]),
                ..ballot
            },
            Ballot {
                choice: Choice::Reject,
                ..ballot
            },
            Ballot {
                approver: by_passkey().ballot().approver,
                ..ballot
            },
            Ballot {
                time: UnixMillis(ballot.time.0 + 1),
                ..ballot
            },
        ];
        for other in changed {
            assert_ne!(other.signed_message(), ballot.signed_message(), "{other:?}");
        }
    }

    #[test]
    fn debug_shows_the_ballot_and_only_the_sizes_of_an_assertion() {
        let shown = format!("{:?}", by_passkey());
        assert!(shown.contains("Reject") && shown.contains("csv1"));
        assert!(shown.contains("2 + 37 + 70 bytes"), "{shown}");
    }

    proptest! {
        #[test]
        fn vote_bytes_are_refused_or_are_the_encoding_of_a_vote(
            passkey: bool, at in 0usize..400, byte: u8
        ) {
            let mut bytes = if passkey { by_passkey() } else { by_key() }.to_bytes();
            let at = at % bytes.len();
            bytes[at] = byte;
            if let Ok(vote) = Vote::from_bytes(&bytes) {
                prop_assert_eq!(vote.to_bytes(), bytes);
            }
        }
    }
}
