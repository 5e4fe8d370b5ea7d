//! A coordinator that tells whatever it is given, and the keys of those whom it plays.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::extract::{Request, State as Shared};
use axum::http::StatusCode;
use countersign_client::api::{State, TaskSummary, TaskView};
use countersign_client::{Client, Profile, RequesterKey};
use countersign_protocol::{
    Committee, CoordinatorId, Hash, KeyDescriptor, KeyGen, KeyId, NodeId, Operation, OperationKind,
    RequesterId, Scheme, SessionId, SignedAck, SignedTask, Task, TaskId, Threshold, UnixMillis,
};
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};

/// Seeds of the nodes in the profile, which calls them n1 to n4.
pub const OURS: [u8; 3] = [1, 2, 3];
/// Seeds of nodes that the coordinator made up.
pub const THEIRS: [u8; 3] = [101, 102, 103];

/// Its answers by path, without `/v1`.
#[derive(Default)]
struct Answers {
    by_path: HashMap<String, Value>,
    asked: Vec<String>,
    /// Requests received, by path. A vote is kept if there is a list of votes to keep it in.
    handed_in: Vec<(String, Value)>,
}

pub struct Forger {
    pub dir: tempfile::TempDir,
    /// The client's own key, and one under `trusted_requesters`.
    pub own: RequesterKey,
    pub colleague: RequesterKey,
    /// A key that nobody knows.
    pub stranger: RequesterKey,
    answers: Arc<Mutex<Answers>>,
}

impl Forger {
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = |name: &str| RequesterKey::create(&dir.path().join(name)).unwrap();
        let own = key("requester.key");
        let colleague = key("colleague.key");
        let stranger = key("stranger.key");
        let answers = Arc::new(Mutex::new(Answers::default()));
        let app = axum::Router::new()
            .fallback(answer)
            .with_state(answers.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(axum::serve(listener, app).into_future());
        super::write_private(&dir.path().join("api.key"), "key");
        let nodes: String = (1..=4)
            .map(|seed| format!("  n{seed}: {}\n", node(seed)))
            .collect();
        let profile = format!(
            "coordinator: http://{address}\napi_key_file: api.key\nrequester_key_file: requester.key\n\
             trusted_requesters:\n  colleague: {}\nnodes:\n{nodes}",
            colleague.id()
        );
        std::fs::write(dir.path().join("profile.yaml"), profile).unwrap();
        Self {
            dir,
            own,
            colleague,
            stranger,
            answers,
        }
    }

    pub fn client(&self) -> Client {
        Client::new(Profile::load(&self.dir.path().join("profile.yaml")).unwrap()).unwrap()
    }

    pub fn book(&self) -> std::path::PathBuf {
        self.dir.path().join("wallets.json")
    }

    /// Tells of these wallets, each by its order and its generations, and of no others.
    pub fn tell(&self, wallets: &[(&SignedTask, &[KeyDescriptor])]) {
        let mut answers = self.answers.lock().unwrap();
        answers.by_path.clear();
        let newest = |all: &[KeyDescriptor]| json!({ "announcement": all.last().unwrap() });
        let list: Vec<Value> = wallets.iter().map(|(_, all)| newest(all)).collect();
        answers
            .by_path
            .insert("/wallets".into(), json!({ "wallets": list }));
        for (order, all) in wallets {
            let id = all[0].key;
            answers
                .by_path
                .insert(format!("/wallets/{id}"), newest(all));
            answers.by_path.insert(
                format!("/wallets/{id}/generations"),
                json!({ "generations": all }),
            );
            answers.by_path.insert(
                format!("/tasks/{}", all[0].task),
                json!(view(order, all[0].task)),
            );
        }
    }

    /// Answers one path with this, or what is posted there if `POST ` stands before it.
    pub fn answer(&self, path: &str, with: Option<Value>) {
        let mut answers = self.answers.lock().unwrap();
        match with {
            Some(with) => answers.by_path.insert(path.into(), with),
            None => answers.by_path.remove(path),
        };
    }

    /// Returns the requests received since the last call.
    pub fn handed_in(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut self.answers.lock().unwrap().handed_in)
    }

    /// Returns the paths that were asked for since the last call.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.answers.lock().unwrap().asked)
    }
}

async fn answer(
    Shared(answers): Shared<Arc<Mutex<Answers>>>,
    request: Request,
) -> (StatusCode, String) {
    let path = request.uri().path().strip_prefix("/v1").unwrap().to_owned();
    let handed_in = request.method() == axum::http::Method::POST;
    let body = axum::body::to_bytes(request.into_body(), 1 << 20)
        .await
        .unwrap();
    let mut answers = answers.lock().unwrap();
    if handed_in {
        let body: Value = serde_json::from_slice(&body).unwrap();
        answers.handed_in.push((path.clone(), body.clone()));
        if let Some(told) = answers.by_path.get(&format!("POST {path}")) {
            return (StatusCode::OK, told.to_string());
        }
        let votes = path.ends_with("/votes");
        let told = match answers.by_path.get_mut(&path).filter(|_| votes) {
            Some(list) => {
                let vote = json!({"name": "ann", "received": 1_000_000, "vote": body});
                list["votes"].as_array_mut().unwrap().push(vote);
                list.to_string()
            }
            None => "{}".into(),
        };
        return (StatusCode::OK, told);
    }
    answers.asked.push(path.clone());
    match answers.by_path.get(&path) {
        Some(found) => (StatusCode::OK, found.to_string()),
        None => {
            let error = json!({"title": "Not Found", "status": 404, "code": "unknown", "detail": "there is nothing of that name"});
            (StatusCode::NOT_FOUND, error.to_string())
        }
    }
}

/// The task of an order that has made its wallet.
pub fn view(order: &SignedTask, id: TaskId) -> TaskView {
    let task = order.parse().unwrap();
    let summary = TaskSummary {
        id,
        sequence: 1,
        revision: 1,
        state: State::Completed.into(),
        operation: OperationKind::from(&task.operation).into(),
        requester: task.requester,
        wallet: KeyId::of_task(&order.hash()),
        submitted: task.created,
        offered: None,
        started: None,
        ended: None,
        not_after: task.not_after,
        reason: None,
        collecting: None,
    };
    let text = String::from_utf8(order.bytes.clone()).unwrap();
    TaskView {
        summary,
        task: text,
        signature: order.signature.clone(),
        submitted_by: None,
        nodes: vec![],
        result: None,
        history: vec![],
    }
}

pub fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

/// The coordinator that requests are signed for.
pub fn coordinator_id() -> CoordinatorId {
    let key = SigningKey::from_bytes(&[100; 32]);
    CoordinatorId::from_bytes(key.verifying_key().to_bytes()).unwrap()
}

pub fn node(seed: u8) -> NodeId {
    NodeId::from_bytes(key(seed).verifying_key().to_bytes()).unwrap()
}

pub fn committee(seeds: &[u8]) -> Committee {
    Committee::new(seeds.iter().map(|seed| node(*seed)).collect()).unwrap()
}

/// The text of an order for a wallet called `treasury`.
pub fn task(requester: RequesterId, seeds: &[u8], id: u8) -> Task {
    Task {
        version: 1,
        id: TaskId([id; 16]),
        created: UnixMillis(1_000_000),
        not_after: UnixMillis(1_060_000),
        requester,
        note: None,
        claims: Default::default(),
        collect: None,
        operation: Operation::KeyGen(KeyGen {
            name: "treasury".into(),
            scheme: Scheme::Ed25519,
            committee: committee(seeds),
            threshold: Threshold::try_from(2).unwrap(),
        }),
    }
}

pub fn order(requester: &RequesterKey, seeds: &[u8], id: u8) -> SignedTask {
    requester.sign(&task(requester.id(), seeds, id))
}

/// The wallet created by an order, with the root key of this seed and all acknowledgements.
pub fn made(order: &SignedTask, root: u8) -> KeyDescriptor {
    let task = order.parse().unwrap();
    let Operation::KeyGen(keygen) = task.operation else {
        panic!("no KeyGen")
    };
    let wallet = KeyDescriptor {
        key: KeyId::of_task(&order.hash()),
        task: task.id,
        session: SessionId([5; 32]),
        name: keygen.name,
        scheme: keygen.scheme,
        committee: keygen.committee.clone(),
        threshold: keygen.threshold,
        generation: 0,
        root_public_key: key(root).verifying_key().to_bytes().to_vec(),
        chain_code: Hash([6; 32]),
        public_shares: Hash([7; 32]),
        aux: keygen.scheme.needs_aux().then_some(Hash([8; 32])),
        parties: Vec::new(),
        acks: vec![],
    };
    acked(wallet, keygen.committee.members())
}

/// The next generation, held by `to`, with the acknowledgements of `by`.
pub fn moved(from: &KeyDescriptor, to: &[u8], by: &[u8]) -> KeyDescriptor {
    let wallet = KeyDescriptor {
        task: TaskId([from.generation as u8 + 201; 16]),
        committee: committee(to),
        generation: from.generation + 1,
        ..from.clone()
    };
    let mut parties: Vec<NodeId> = to.iter().chain(by).map(|seed| node(*seed)).collect();
    parties.sort_unstable();
    parties.dedup();
    acked(wallet, &parties)
}

/// Adds the genuine acknowledgements of these nodes.
pub fn acked(wallet: KeyDescriptor, by: &[NodeId]) -> KeyDescriptor {
    acked_with(wallet, by, |node| {
        key((1..=255).find(|seed| self::node(*seed) == *node).unwrap())
    })
}

/// Adds acknowledgements under these names, by arbitrary keys.
pub fn acked_with(
    mut wallet: KeyDescriptor,
    by: &[NodeId],
    key: impl Fn(&NodeId) -> SigningKey,
) -> KeyDescriptor {
    let digest = wallet.digest();
    let ack = |who: &NodeId| SignedAck {
        node: *who,
        signature: key(who).sign(digest.as_bytes()).to_vec(),
    };
    wallet.acks = by.iter().map(ack).collect();
    wallet
}

/// Puts a book of version 1 in its place, as earlier versions wrote it.
pub fn write_book_v1(path: &Path, wallet: &KeyDescriptor) {
    let book = json!({"version": 1, "wallets": {wallet.key.to_string(): wallet}});
    std::fs::write(path, book.to_string()).unwrap();
}
