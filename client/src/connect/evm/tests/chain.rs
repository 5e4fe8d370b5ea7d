//! An upstream RPC that does what a test tells it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use countersign_payload::evm_hash;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

const GWEI: u64 = 1_000_000_000;

/// What happens to a transaction that is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is taken, and the answer is lost.
    TakenInSilence,
    /// Not taken: too many requests.
    Busy,
    /// Refused for good.
    Refused,
}

pub struct Chain {
    pub url: String,
    state: Arc<Mutex<Inside>>,
    served: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Inside {
    id: u64,
    base_fee: u64,
    counted: Option<u64>,
    heard: Vec<(String, Value)>,
    fates: VecDeque<Fate>,
    /// Everything that was sent, taken or not.
    offered: Vec<String>,
    /// What was taken, in order, each once.
    sent: Vec<String>,
    known: BTreeSet<String>,
}

impl Chain {
    pub async fn start() -> Self {
        let state = Arc::new(Mutex::new(Inside {
            id: 31337,
            base_fee: 10 * GWEI,
            ..Inside::default()
        }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answer).with_state(state.clone());
        let served = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            url: format!("http://{address}/secret"),
            state,
            served: Mutex::new(Some(served)),
        }
    }

    fn inside<T>(&self, with: impl FnOnce(&mut Inside) -> T) -> T {
        with(&mut self.state.lock().unwrap())
    }

    pub async fn stop(&self) {
        let served = self.served.lock().unwrap().take().unwrap();
        served.abort();
        drop(served.await);
        // Connections that are open are served by tasks of their own.
        self.inside(|inside| inside.id = 0);
    }

    /// The fates of the next transactions; after them all are taken.
    pub fn will(&self, fates: impl IntoIterator<Item = Fate>) {
        self.inside(|inside| inside.fates.extend(fates));
    }

    /// Tells this count of transactions, whatever was sent.
    pub fn counts(&self, counted: Option<u64>) {
        self.inside(|inside| inside.counted = counted);
    }

    /// Forgets the last transaction.
    pub fn forget(&self) {
        self.inside(|inside| {
            let last = inside.sent.pop().unwrap();
            inside.known.remove(&hash(&last));
        });
    }

    pub fn becomes(&self, id: u64) {
        self.inside(|inside| inside.id = id);
    }

    /// Sets the base fee.
    pub fn asks(&self, base_fee: u64) {
        self.inside(|inside| inside.base_fee = base_fee);
    }

    /// The requests since the last call.
    pub fn heard(&self) -> Vec<(String, Value)> {
        self.inside(|inside| std::mem::take(&mut inside.heard))
    }

    pub fn offered(&self) -> Vec<String> {
        self.inside(|inside| inside.offered.clone())
    }

    pub fn sent(&self) -> Vec<String> {
        self.inside(|inside| inside.sent.clone())
    }
}

/// The hash of a transaction in hexadecimal.
pub fn hash(raw: &str) -> String {
    let bytes = hex::decode(raw.trim_start_matches("0x")).unwrap();
    format!("0x{}", hex::encode(evm_hash(&bytes)))
}

async fn answer(State(state): State<Arc<Mutex<Inside>>>, body: String) -> Response {
    let mut inside = state.lock().unwrap();
    if inside.id == 0 {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    let call: Value = serde_json::from_str(&body).unwrap();
    let method = call["method"].as_str().unwrap();
    inside.heard.push((method.into(), call["params"].clone()));
    let refused = |code: i64, message: &str| json!({"code": code, "message": message});
    let result = match method {
        "eth_chainId" => Ok(json!(format!("{:#x}", inside.id))),
        "eth_getTransactionCount" => {
            let counted = inside.counted.unwrap_or(inside.sent.len() as u64);
            Ok(json!(format!("{counted:#x}")))
        }
        "eth_getBlockByNumber" => Ok(json!({"baseFeePerGas": format!("{:#x}", inside.base_fee)})),
        "eth_maxPriorityFeePerGas" => Ok(json!(format!("{GWEI:#x}"))),
        "eth_estimateGas" => Ok(json!("0x5208")),
        "eth_getBalance" => Ok(json!("0x7")),
        "eth_call" => {
            let mut error = refused(3, "execution reverted");
            error["data"] = json!("0x08c379a0");
            Err(error)
        }
        "eth_getTransactionByHash" => {
            let hash = call["params"][0].as_str().unwrap();
            let known = inside.known.contains(hash);
            Ok(if known {
                json!({"hash": hash})
            } else {
                Value::Null
            })
        }
        "eth_sendRawTransaction" => {
            let raw = call["params"][0].as_str().unwrap().to_owned();
            inside.offered.push(raw.clone());
            let fate = inside.fates.pop_front();
            match fate {
                Some(Fate::Busy) => Err(refused(-32005, "too many requests")),
                Some(Fate::Refused) => Err(refused(-32000, "insufficient funds for gas")),
                None | Some(Fate::TakenInSilence) => {
                    let taken = inside.known.insert(hash(&raw));
                    if taken {
                        inside.sent.push(raw.clone());
                    }
                    match (fate, taken) {
                        (Some(_), _) => return StatusCode::BAD_GATEWAY.into_response(),
                        (None, true) => Ok(json!(hash(&raw))),
                        (None, false) => Err(refused(-32000, "already known")),
                    }
                }
            }
        }
        other => panic!("{other} is not asked for here"),
    };
    let answer = match result {
        Ok(result) => json!({"jsonrpc": "2.0", "id": call["id"], "result": result}),
        Err(error) => json!({"jsonrpc": "2.0", "id": call["id"], "error": error}),
    };
    answer.to_string().into_response()
}
