//! The node of the examples: a task with a payment, and a host with genuine keys but a fixed
//! clock and fixed randomness.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_host::{hs256, rs256};
use countersign_payload::{Intent, Key, Networks, decode};
use countersign_protocol::{CoordinatorId, NodeId, Payload, PayloadKind, Scheme};
use countersign_sdk::testing::{self, MockHost};
use countersign_sdk::{Host, KeyError, Operation, Request, Response, Task, forward_host};
use countersign_verify::ExtendedPublicKey;

/// 0.01 ETH to `0x5dC6…`, EIP-1559, unsigned.
const UNSIGNED: &str = "02ef0180843b9aca008504a817c800825208945dc69b1fbb13bafd09af88a782f0f285772ad5f8872386f26fc1000080c0";

/// A host for a plugin, with one answer to its request.
pub struct Node {
    mock: MockHost,
    /// RS256: a published key.
    pair: Option<rs256::SigningKey>,
    /// HS256: a published secret.
    secret: Option<hs256::Secret>,
}

impl Node {
    /// Any request gets this answer.
    pub fn answered(answer: Response) -> Self {
        Self {
            mock: MockHost::default().with_server(move |_, _| Ok(answer.clone())),
            pair: None,
            secret: None,
        }
    }

    /// With the private key of a page.
    pub fn with_pair(mut self, pem: &str) -> Self {
        let digits: String = pem
            .lines()
            .filter(|line| !line.starts_with("-----"))
            .collect();
        self.pair = Some(rs256::SigningKey::from_pkcs8(&STANDARD.decode(digits).unwrap()).unwrap());
        self
    }

    pub fn with_secret(mut self, secret: &str) -> Self {
        self.secret = Some(hs256::Secret::new(secret.as_bytes()).unwrap());
        self
    }

    /// The only request.
    pub fn request(&self) -> Request {
        let mut requests = self.mock.requests();
        assert_eq!(requests.len(), 1);
        requests.remove(0)
    }
}

/// A key of ours from the vectors of `countersign-verify`.
pub fn root() -> ExtendedPublicKey {
    "xpub661MyMwAqRbcFS7KEDcTyCJPymrPtXLLuQ4Q9HmfSs6MoDQN4JUHisRL3ZWUtn8JjumsaQibtZBALcXkzRHpjsCS4obQaGCGG5qt4anbphu"
        .parse()
        .unwrap()
}

/// Alice is to sign a payment with Bob, as the node decodes it.
pub fn payment() -> Task {
    let root = root();
    let key = Key {
        scheme: Scheme::EcdsaSecp256k1,
        root_public_key: root.public_key(),
        chain_code: root.chain_code(),
    };
    let unsigned = hex::decode(UNSIGNED).unwrap();
    let payload = Payload::new(PayloadKind::EvmTransaction, unsigned.clone());
    let path = "m/44/60/0/0/0".parse().unwrap();
    let decoded = decode(&key, &path, &payload, &Networks::default()).unwrap();
    let Intent::Transaction(does) = decoded.intent else {
        panic!("a transaction")
    };
    let [paid] = &does.destinations[..] else {
        panic!("one payment")
    };

    let built = testing::transaction(&does.chain).pays(&paid.address, &paid.amount);
    let mut task = built.fee(does.fee.as_deref().unwrap()).task();
    let members = [1, 2, 3].map(node);
    task.node = members[0].clone();
    task.id = "5b".repeat(16);
    task.requester.id = "csr1af9xcclzn3fq40h42pa3xtk9lx25wa4wh6l8hyjzrm4xj9zx6gkq0e9urw".into();
    task.coordinator.id = CoordinatorId::from_bytes(public_key(4))
        .unwrap()
        .to_string();
    let Operation::Sign(signing) = &mut task.operation else {
        panic!("a signature")
    };
    signing.key.id = "csk1qvpsxqcrqvpsxqcrqvpsxqcrqvptzmel".into();
    signing.key.root_public_key = root.to_string();
    signing.key.members = members.to_vec();
    signing.signers = members[..2].to_vec();
    signing.inputs[0].digest = decoded.inputs[0].signed_bytes.clone();
    signing.inputs[0].public_key = root
        .derive(&[44, 60, 0, 0, 0])
        .unwrap()
        .public_key()
        .to_vec();
    if let countersign_sdk::Intent::Transaction(seen) = &mut signing.intent {
        seen.unsigned = unsigned;
        seen.sources = does.sources;
    }
    task
}

fn node(seed: u8) -> String {
    NodeId::from_bytes(public_key(seed)).unwrap().to_string()
}

fn public_key(seed: u8) -> [u8; 32] {
    ed25519_dalek::SigningKey::from_bytes(&[seed; 32])
        .verifying_key()
        .to_bytes()
}

#[deny(clippy::missing_trait_methods)]
impl Host for Node {
    forward_host!(mock except keys);

    fn sign(&self, key: &str, algorithm: &str, data: &[u8]) -> Result<Vec<u8>, KeyError> {
        match (algorithm, &self.pair, &self.secret) {
            ("RS256", Some(pair), _) => Ok(pair.sign(data).unwrap()),
            ("HS256", _, Some(secret)) => Ok(secret.sign(data)),
            _ => Err(KeyError::UnknownKey(key.into())),
        }
    }

    fn verify(
        &self,
        key: &str,
        algorithm: &str,
        data: &[u8],
        signature: &[u8],
    ) -> Result<bool, KeyError> {
        match (algorithm, &self.pair, &self.secret) {
            ("RS256", Some(pair), _) => Ok(pair.verifying_key().verify(data, signature)),
            ("HS256", _, Some(secret)) => Ok(secret.verify(data, signature)),
            _ => Err(KeyError::UnknownKey(key.into())),
        }
    }

    fn public_key(&self, key: &str) -> Result<Vec<u8>, KeyError> {
        self.mock.public_key(key)
    }
}
