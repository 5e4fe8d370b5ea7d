//! A small world for tests: nodes, a requester and a wallet with fixed keys, and their messages.

use std::sync::Arc;

use countersign_link::Identity;
use countersign_protocol::outcome::{abort_vote_digest, public_shares_hash};
use countersign_protocol::{
    Committee, CoordinatorId, Failure, Hash, Hasher, InputSignature, Intact, KeyDescriptor, KeyGen,
    KeyId, KeyReshare, KeyShareSign, KeySign, NodeId, Operation, Outcome, Payload, PayloadKind,
    Point, Refusal, RequesterId, Scheme, SessionId, Signed, SignedAck, SignedTask, Task, TaskId,
    Threshold, UnixMillis,
};
use curve25519_dalek::{EdwardsPoint, Scalar};
use ed25519_dalek::{Signer, SigningKey};
use sha2::{Digest, Sha512};

pub fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

pub fn node_id(key: &SigningKey) -> NodeId {
    NodeId::from_bytes(key.verifying_key().to_bytes()).unwrap()
}

/// Three nodes, in the order of their ids.
pub fn node_keys() -> Vec<SigningKey> {
    let mut keys: Vec<_> = (1..=3).map(key).collect();
    keys.sort_by_key(node_id);
    keys
}

pub fn nodes() -> Vec<NodeId> {
    node_keys().iter().map(node_id).collect()
}

/// The three nodes, and behind them two more that hold nothing yet.
pub fn crowd_keys() -> Vec<SigningKey> {
    node_keys().into_iter().chain([key(4), key(5)]).collect()
}

pub fn crowd() -> Vec<NodeId> {
    crowd_keys().iter().map(node_id).collect()
}

/// Nodes by their numbers in the crowd.
pub fn some(numbers: &[usize]) -> Vec<NodeId> {
    numbers.iter().map(|number| crowd()[*number]).collect()
}

/// The coordinator of the tests.
pub fn coordinator_id() -> CoordinatorId {
    CoordinatorId::from_bytes(key(100).verifying_key().to_bytes()).unwrap()
}

/// Its identity.
pub fn coordinator_identity() -> Arc<Identity> {
    Arc::new(Identity::from_seed(&[100; 32]).unwrap())
}

pub fn requester() -> SigningKey {
    key(9)
}

/// A task that begins at `now` and lives for ten minutes.
pub fn task(id: u8, now: UnixMillis, operation: Operation) -> Task {
    Task {
        version: 1,
        id: TaskId([id; 16]),
        created: now,
        not_after: UnixMillis(now.0 + 600_000),
        requester: RequesterId::from_bytes(requester().verifying_key().to_bytes()).unwrap(),
        note: None,
        claims: Default::default(),
        collect: None,
        operation,
    }
}

pub fn keygen() -> Operation {
    Operation::KeyGen(KeyGen {
        name: "hot".into(),
        scheme: Scheme::Ed25519,
        committee: Committee::new(nodes()).unwrap(),
        threshold: Threshold::try_from(2).unwrap(),
    })
}

pub fn keysign(key: KeyId, signers: Option<Vec<NodeId>>) -> Operation {
    let payload = Payload::new(PayloadKind::Message, b"pay".to_vec());
    Operation::KeySign(KeySign {
        key,
        path: "m".parse().unwrap(),
        payload,
        signers,
    })
}

pub fn sign_task(task: &Task) -> SignedTask {
    let bytes = task.to_bytes();
    let signature = requester()
        .sign(&SignedTask::signed_message(&bytes))
        .to_bytes();
    SignedTask {
        bytes,
        signature: signature.into(),
    }
}

/// The key whose public half is the root of every wallet here.
pub fn root() -> SigningKey {
    key(77)
}

/// The descriptor that the members make after the KeyGen of these bytes.
pub fn descriptor(task: TaskId, hash: Hash) -> KeyDescriptor {
    let mut made = KeyDescriptor {
        key: KeyId::of_task(&hash),
        task,
        session: SessionId([5; 32]),
        name: "hot".into(),
        scheme: Scheme::Ed25519,
        committee: Committee::new(nodes()).unwrap(),
        threshold: Threshold::try_from(2).unwrap(),
        generation: 0,
        root_public_key: root().verifying_key().to_bytes().to_vec(),
        chain_code: Hash([6; 32]),
        public_shares: public_shares_hash(public_shares(3).iter().map(|share| &share.0[..])),
        aux: None,
        parties: Vec::new(),
        acks: Vec::new(),
    };
    ack(&mut made);
    made
}

/// Renews all acknowledgements after a change.
pub fn ack(made: &mut KeyDescriptor) {
    ack_by(made, &[0, 1, 2]);
}

/// Signs the acknowledgements of these nodes of the crowd.
pub fn ack_by(made: &mut KeyDescriptor, who: &[usize]) {
    let digest = made.digest();
    made.acks = who
        .iter()
        .map(|number| stored_ack(*number, &digest))
        .collect();
    made.acks.sort_by_key(|ack| ack.node);
}

fn stored_ack(who: usize, digest: &Hash) -> SignedAck {
    let key = &crowd_keys()[who];
    SignedAck {
        node: node_id(key),
        signature: key.sign(digest.as_bytes()).to_bytes().to_vec(),
    }
}

/// The abort vote of a node of the crowd for the task with this hash.
pub fn abort_vote_of(who: usize, task: Hash) -> SignedAck {
    stored_ack(who, &abort_vote_digest(task))
}

/// Reshares a wallet to these nodes of the crowd, with a threshold of two.
pub fn reshare(from: &KeyDescriptor, members: &[usize], dealers: Option<&[usize]>) -> KeyReshare {
    KeyReshare {
        from: from.clone(),
        committee: Committee::new(some(members)).unwrap(),
        threshold: Threshold::try_from(2).unwrap(),
        dealers: dealers.map(some),
    }
}

/// The new generation of a reshare among these parties, without acknowledgements.
pub fn next(reshare: &KeyReshare, task: TaskId, parties: Vec<NodeId>) -> KeyDescriptor {
    let shares = public_shares(reshare.committee.members().len());
    KeyDescriptor {
        task,
        session: SessionId([6; 32]),
        committee: reshare.committee.clone(),
        threshold: reshare.threshold,
        generation: reshare.generation(),
        public_shares: public_shares_hash(shares.iter().map(|share| &share.0[..])),
        parties,
        acks: Vec::new(),
        ..reshare.from.clone()
    }
}

/// Lets these of the crowd prove their shares.
pub fn check_up(key: KeyId, who: &[usize]) -> Operation {
    Operation::KeyShareSign(KeyShareSign {
        key,
        nodes: some(who),
    })
}

/// The secret share at an index of a committee. No code here combines them.
fn secret_share(index: usize) -> Scalar {
    Scalar::from(1000 + index as u64)
}

fn public_shares(members: usize) -> Vec<Point> {
    let point = |index| {
        EdwardsPoint::mul_base(&secret_share(index))
            .compress()
            .to_bytes()
    };
    (0..members)
        .map(|index| Point(point(index).to_vec()))
        .collect()
}

/// A node's proof that it holds its share, as the engine makes it.
pub fn intact(wallet: &KeyDescriptor, task: Hash, node: NodeId) -> Intact {
    let index = wallet.committee.index_of(&node).unwrap().0;
    let public_shares = public_shares(wallet.committee.members().len());
    let bound = Hasher::new("countersign engine check-up v1")
        .field(wallet.scheme.name().as_bytes())
        .field(&wallet.root_public_key)
        .field(&index.to_be_bytes())
        .field(Intact::context(task, wallet.key, wallet.generation, &node).as_bytes())
        .finish();
    let nonce = Scalar::from(17u64);
    let commitment = EdwardsPoint::mul_base(&nonce).compress().to_bytes();
    let share = &public_shares[usize::from(index)].0;
    let label: &[u8] = b"countersign engine proof of knowledge v1";
    let fields = [label, b"ed25519", bound.as_bytes(), share, &commitment];
    let hash = fields.iter().fold(Sha512::new(), |hash, field| {
        hash.chain_update((field.len() as u64).to_be_bytes())
            .chain_update(field)
    });
    let mut challenge: [u8; 64] = hash.finalize().into();
    challenge.reverse();
    let response =
        nonce + Scalar::from_bytes_mod_order_wide(&challenge) * secret_share(usize::from(index));
    let mut response = response.to_bytes();
    response.reverse();
    let proof = Point([commitment, response].concat());
    Intact {
        node,
        key: wallet.key,
        generation: wallet.generation,
        public_shares,
        proof,
    }
}

/// A right signature over the payload of [`keysign`].
pub fn signature() -> Signed {
    Signed {
        session: SessionId([8; 32]),
        signatures: vec![InputSignature {
            path: "m".parse().unwrap(),
            public_key: root().verifying_key().to_bytes().to_vec(),
            signed_bytes: b"pay".to_vec(),
            signature: root().sign(b"pay").to_bytes().to_vec(),
            recovery_id: None,
        }],
    }
}

pub fn wrong_signature() -> Outcome {
    let mut signed = signature();
    signed.signatures[0].signature[3] ^= 1;
    Outcome::Signed(signed)
}

pub fn refusal() -> Refusal {
    Refusal {
        code: "limit".into(),
        reason: "over the limit".into(),
        plugin: Some("rules".into()),
    }
}

pub fn failed(code: &str) -> Outcome {
    Outcome::Failed(Failure {
        cause: countersign_protocol::Cause::Environment,
        code: code.into(),
        text: format!("{code}; try again"),
        culprits: vec![nodes()[2]],
    })
}
