//! Votes and orders for tests, among them those of an authenticator in software. What it returns is
//! what a device returns; it keeps its key in memory, so no person may ever be given one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_protocol::evidence::Signature;
use countersign_protocol::{
    ApproverId, ApproverKey, Assertion, Ballot, Choice, Hash, OrderAssertion, Proof, RequesterId,
    SignedTask, Task, UnixMillis, Vote,
};
use ed25519_dalek::Signer as _;
use p256::ecdsa::SigningKey;
use p256::ecdsa::signature::Signer as _;
use sha2::{Digest, Sha256};

use crate::low_s;

/// The domain and the page of the tests.
pub const RP_ID: &str = "treasury.example";
/// The page of the tests.
pub const ORIGIN: &str = "https://console.treasury.example";

/// An Ed25519 key that votes.
pub struct Key(ed25519_dalek::SigningKey);

impl Key {
    /// The key with this seed.
    pub fn new(seed: u8) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(&[seed; 32]))
    }

    /// Its id.
    pub fn id(&self) -> ApproverId {
        let key = self.0.verifying_key().to_bytes();
        ApproverId::new(ApproverKey::Ed25519(key)).expect("a key made from a seed is valid")
    }

    /// Votes.
    pub fn vote(&self, task: Hash, choice: Choice, time: u64) -> Vote {
        let ballot = ballot(self.id(), task, choice, time);
        let signature = self.0.sign(&ballot.signed_message()).to_bytes();
        Vote::new(ballot, Proof::Ed25519(Signature(signature))).expect("it is within all bounds")
    }
}

/// A passkey in software, with what a test may want to be different.
pub struct Passkey {
    key: SigningKey,
    /// `rp.id`, to which it is bound.
    pub rp_id: String,
    /// The client data, in which `{challenge}` stands for the challenge.
    pub client_data: String,
    /// The flags of its authenticator data.
    pub flags: u8,
    /// Its sign counter.
    pub counter: u32,
    /// Bytes after the counter.
    pub extensions: Vec<u8>,
    /// Whether it returns the larger of the two values of s.
    pub high_s: bool,
}

impl Passkey {
    /// The passkey with this seed, whose votes are genuine on [`ORIGIN`].
    pub fn new(seed: u8) -> Self {
        Self {
            key: SigningKey::from_slice(&[seed; 32]).expect("the seed is a scalar"),
            rp_id: RP_ID.into(),
            client_data: format!(
                r#"{{"type":"webauthn.get","challenge":"{{challenge}}","origin":"{ORIGIN}","crossOrigin":false}}"#
            ),
            flags: 0x1d, // present, verified, eligible for backup and backed up
            counter: 0,
            extensions: Vec::new(),
            high_s: false,
        }
    }

    /// Its id.
    pub fn id(&self) -> ApproverId {
        let point = self.key.verifying_key().to_sec1_point(true);
        let point = point
            .as_bytes()
            .try_into()
            .expect("a compressed point has 33 bytes");
        ApproverId::new(ApproverKey::Passkey(point)).expect("it is a point of the curve")
    }

    /// Votes.
    pub fn vote(&self, task: Hash, choice: Choice, time: u64) -> Vote {
        let ballot = ballot(self.id(), task, choice, time);
        let assertion = self.assertion(&ballot.signed_message());
        Vote::new(ballot, Proof::Passkey(assertion)).expect("it is within all bounds")
    }

    /// Its id as a requester.
    pub fn requester(&self) -> RequesterId {
        RequesterId::new(*self.id().key()).expect("the key of an id is valid")
    }

    /// Orders a task.
    pub fn order(&self, task: &Task) -> SignedTask {
        let bytes = task.to_bytes();
        let assertion = self.assertion(&SignedTask::signed_message(&bytes));
        let assertion = OrderAssertion::new(assertion).expect("it is within all bounds");
        SignedTask {
            bytes,
            signature: assertion.into(),
        }
    }

    /// Signs a challenge.
    pub fn assertion(&self, challenge: &[u8; 32]) -> Assertion {
        let challenge = URL_SAFE_NO_PAD.encode(challenge);
        let client_data = self.client_data.replace("{challenge}", &challenge);
        let mut data = Sha256::digest(&self.rp_id).to_vec();
        data.push(self.flags);
        data.extend(self.counter.to_be_bytes());
        data.extend(&self.extensions);
        let message = [&data[..], &Sha256::digest(&client_data)].concat();
        let signature: p256::ecdsa::Signature = self.key.sign(&message);
        let low = low_s(signature.to_der().as_bytes()).expect("it was just made");
        Assertion {
            client_data: client_data.into(),
            authenticator_data: data,
            signature: if self.high_s { other_s(&low) } else { low },
        }
    }
}

/// The other signature that is valid where this one is: (r, n - s).
pub fn other_s(der: &[u8]) -> Vec<u8> {
    let signature = p256::ecdsa::Signature::from_der(der).expect("it is a signature");
    let (r, s) = signature.split_scalars();
    let other = p256::ecdsa::Signature::from_scalars(r, -s).expect("neither is zero");
    other.to_der().as_bytes().to_vec()
}

fn ballot(approver: ApproverId, task: Hash, choice: Choice, time: u64) -> Ballot {
    Ballot {
        task,
        choice,
        approver,
        time: UnixMillis(time),
    }
}
