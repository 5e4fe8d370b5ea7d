//! A coordinator without sockets, and scripted nodes.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use countersign_protocol::control::{FromNode, ToNode};
use countersign_protocol::{
    KeyId, NodeId, Operation, Outcome, PROTOCOL_VERSION, SignedTask, TaskId, Versions, decode,
    encode,
};
use serde_json::{Value, json};
use tokio::sync::mpsc::error::SendError;
use tokio::sync::{mpsc, watch};
use tower::ServiceExt;

use crate::api_key::{self, ApiKeys, Scope};
use crate::clock;
use crate::http::{App, Bodies, Patience, Streams, router};
use crate::invitation::NotJoined;
use crate::registry::{RegistryConfig, TaskRegistry};
use crate::session::{self, End, Sink, Source};
use crate::store::Store;
use crate::task::flow::Timings;
use crate::testkit::*;
use crate::webhook::{Reachable, SigningKeys, Webhooks};

impl Source for mpsc::Receiver<Vec<u8>> {
    type Error = Infallible;

    async fn next(&mut self) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(self.recv().await)
    }
}

impl Sink for mpsc::Sender<Vec<u8>> {
    type Error = SendError<Vec<u8>>;

    async fn send(&mut self, frame: &[u8]) -> Result<(), Self::Error> {
        Self::send(self, frame.to_vec()).await
    }
}

/// A node that says what the test tells it to.
pub(super) struct FakeNode {
    pub(super) id: NodeId,
    pub(super) say: mpsc::Sender<Vec<u8>>,
    pub(super) hear: mpsc::Receiver<Vec<u8>>,
    pub(super) end: tokio::task::JoinHandle<End>,
}

impl FakeNode {
    pub(super) async fn connect(world: &World, number: usize, pending: Vec<TaskId>) -> Self {
        let (node, welcome) = Self::dial(world, number, PROTOCOL_VERSION, pending).await;
        assert!(matches!(welcome, ToNode::Welcome { .. }));
        node
    }

    /// The end of a connection that offers this version.
    pub(super) async fn refused(world: &World, number: usize, protocol: u16) -> End {
        let node = Self::hello(world, number, protocol, vec![]).await;
        node.end.await.unwrap()
    }

    /// Offers a version, and returns the coordinator's answer.
    pub(super) async fn dial(
        world: &World,
        number: usize,
        protocol: u16,
        pending: Vec<TaskId>,
    ) -> (Self, ToNode) {
        let mut node = Self::hello(world, number, protocol, pending).await;
        let welcome = node.hear().await;
        (node, welcome)
    }

    async fn hello(world: &World, number: usize, protocol: u16, pending: Vec<TaskId>) -> Self {
        let node = Self::silent(world, number);
        node.say(FromNode::Hello {
            protocol,
            software: "fake 1".into(),
            pending,
        })
        .await;
        node
    }

    /// A node whose handshake is over, and that has said nothing yet.
    pub(super) fn silent(world: &World, number: usize) -> Self {
        let id = crowd()[number];
        let (say, from_node) = mpsc::channel(16);
        let (to_node, hear) = mpsc::channel(16);
        let registry = world.app.registry.clone();
        let end = tokio::spawn(async move {
            let admit = |_| std::future::ready(Err(NotJoined::Token));
            session::serve(
                &registry,
                Versions::SPOKEN,
                id,
                from_node,
                to_node,
                || {},
                admit,
            )
            .await
        });
        Self { id, say, hear, end }
    }

    pub(super) async fn say(&self, frame: FromNode) {
        self.say.send(encode(&frame)).await.unwrap();
    }

    pub(super) async fn hear(&mut self) -> ToNode {
        let frame = tokio::time::timeout(Duration::from_secs(5), self.hear.recv()).await;
        decode(&frame.expect("a frame in time").expect("an open connection")).unwrap()
    }

    pub(super) async fn offered(&mut self) -> TaskId {
        match self.hear().await {
            ToNode::Offer { task, parties } | ToNode::OfferVoted { task, parties, .. } => {
                assert!(parties.contains(&self.id));
                task.parse().unwrap().id
            }
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn approve(&mut self) -> TaskId {
        let task = self.offered().await;
        self.say(FromNode::Decision {
            task,
            refusal: None,
            verdicts: vec![],
        })
        .await;
        task
    }

    pub(super) async fn report(&mut self, task: TaskId, outcome: Outcome) {
        assert_eq!(self.hear().await, ToNode::Start { task });
        self.say(FromNode::Outcome { task, outcome }).await;
    }

    pub(super) async fn disconnect(self) {
        drop(self.say);
        self.end.await.unwrap();
    }
}

pub(super) struct World {
    pub(super) app: Arc<App>,
    pub(super) router: Router,
    pub(super) key: String,
    pub(super) reader: String,
    pub(super) admin: String,
    pub(super) stop: watch::Sender<bool>,
}

impl World {
    pub(super) fn open(dir: &Path, change: impl FnOnce(&mut RegistryConfig)) -> Self {
        let mut rules = RegistryConfig {
            nodes: nodes()
                .into_iter()
                .zip(["a", "b", "c"].map(String::from))
                .collect(),
            requesters: None,
            named_requesters: Default::default(),
            timings: Timings::default(),
            open_tasks: 100,
            webhook_networks: Reachable {
                private: false,
                loopback: true,
            },
            approvers: Default::default(),
        };
        change(&mut rules);
        let store = Store::open(&dir.join("coordinator.redb")).unwrap();
        let (key, create) = api_key::generate("ops", vec![Scope::Read, Scope::Vote, Scope::Create]);
        let (reader, read) = api_key::generate("screen", vec![Scope::Read]);
        let registry = Arc::new(TaskRegistry::open(rules, store).unwrap());
        let stop = watch::Sender::new(false);
        let (admin, all) = api_key::generate("boss", vec![Scope::Admin]);
        let keys = Arc::new(ApiKeys::new(vec![create, read, all]));
        keys.load(registry.store()).unwrap();
        let signing = SigningKeys::open(&dir.join("webhook.keys"), clock::now()).unwrap();
        let webhooks = Webhooks::open(registry.clone(), signing).unwrap();
        let app = Arc::new(App {
            id: coordinator_id(),
            identity: coordinator_identity(),
            registry,
            keys,
            stop: stop.subscribe(),
            patience: Patience::default(),
            bodies: Bodies::default(),
            streams: Streams::default(),
            webhooks: Arc::new(webhooks),
        });
        Self {
            router: router(app.clone()),
            app,
            key: key.expose().to_owned(),
            reader: reader.expose().to_owned(),
            admin: admin.expose().to_owned(),
            stop,
        }
    }

    pub(super) async fn ask(
        &self,
        key: Option<&str>,
        method: &str,
        path: &str,
        body: String,
    ) -> (StatusCode, Value) {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(key) = key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let response = self
            .router
            .clone()
            .oneshot(request.body(Body::from(body)).unwrap())
            .await
            .unwrap();
        let status = response.status();
        let bytes = to_bytes(response.into_body(), 1 << 22).await.unwrap();
        (
            status,
            serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        )
    }

    pub(super) async fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask(Some(&self.key), "GET", path, String::new()).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body
    }

    pub(super) async fn post(&self, task: &SignedTask) -> (StatusCode, Value) {
        self.ask(Some(&self.key), "POST", "/v1/tasks", submission(task))
            .await
    }

    pub(super) async fn ended(&self, id: TaskId) -> Value {
        let mut revision = 0;
        loop {
            let task = self
                .get(&format!("/v1/tasks/{id}?wait=5&revision={revision}"))
                .await;
            if !task["ended"].is_null() {
                return task;
            }
            revision = task["revision"].as_u64().unwrap();
        }
    }

    /// Makes the wallet of the test kit with all three nodes.
    pub(super) async fn make_wallet(&self, nodes: &mut [FakeNode]) -> KeyId {
        let order = new_task(2, keygen());
        assert_eq!(self.post(&order).await.0, StatusCode::CREATED);
        let id = order.parse().unwrap().id;
        for node in nodes.iter_mut() {
            node.approve().await;
        }
        for node in nodes.iter_mut() {
            assert_eq!(node.hear().await, ToNode::Start { task: id });
        }
        for node in nodes.iter() {
            let outcome = Outcome::Created(descriptor(id, order.hash()));
            node.say(FromNode::Outcome { task: id, outcome }).await;
        }
        assert_eq!(self.ended(id).await["state"], "completed");
        for node in &mut nodes[..] {
            settle_frames(node);
        }
        KeyId::of_task(&order.hash())
    }
}

/// A settle may or may not have gone out before the node's own report came in.
pub(super) fn settle_frames(node: &mut FakeNode) {
    while let Ok(frame) = node.hear.try_recv() {
        assert!(matches!(decode(&frame).unwrap(), ToNode::Settle { .. }));
    }
}

pub(super) fn new_task(id: u8, operation: Operation) -> SignedTask {
    sign_task(&task(id, clock::now(), operation))
}

pub(super) fn submission(task: &SignedTask) -> String {
    let text = String::from_utf8(task.bytes.clone()).unwrap();
    json!({"task": text, "signature": task.signature}).to_string()
}

pub(super) fn code(body: &Value) -> &str {
    let message = body["detail"].as_str().unwrap_or_default();
    assert!(message.len() > 20, "{body}");
    body["code"].as_str().unwrap_or_default()
}

pub(super) async fn three(world: &World) -> Vec<FakeNode> {
    let mut all = Vec::new();
    for number in 0..3 {
        all.push(FakeNode::connect(world, number, vec![]).await);
    }
    all
}
