//! The endpoint: from a request to its answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body as HttpBody, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use countersign_door::Limits;
use countersign_payload::{Decoded, EvmUnsigned, Intent, evm_hash};
use countersign_protocol::{Payload, PayloadKind, TaskId};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::account::{Ledger, Signed};
use super::desk::{Desk, Report, Stage};
use super::error::{INTERNAL, OTHER_CHAIN, RpcError, StartError, UNAUTHORIZED, UNKNOWN_CHAIN};
use super::fees::{self, Coins};
use super::gate::{Admitted, Gate};
use super::method::{Method, Signing};
use super::request::{self, Wish};
use super::rpc::{self, Body, Call, Read};
use super::upstream::Upstream;
use super::value::{Address, to_data, to_quantity};
use super::wallet::{Account, Notice, Signs};

/// The longest body of a request, in bytes.
const MAX_BODY: usize = 1024 * 1024;
/// Time limit for receiving a body.
const BODY: Duration = Duration::from_secs(15);
/// The most requests to the upstream RPC at once.
const READS: usize = 32;
/// All answers to a batch together have about this many bytes at most.
const MAX_ANSWERS: usize = 32 * 1024 * 1024;
/// The least that the answer to one request of a batch may have.
const LEAST_ANSWER: usize = 512 * 1024;
/// Limits on connections, and on how slow they may be.
const LIMITS: Limits = Limits {
    connections: 128,
    of_one_address: 128,
    streams: 32,
    head: Duration::from_secs(15),
    stall: Duration::from_secs(15),
    life: None,
    grace: Duration::from_secs(3),
};

/// How the endpoint behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The chain that the upstream RPC must serve; absent: the one that it serves at the start.
    pub chain_id: Option<u64>,
    /// The most that one transaction may pay for its gas.
    pub max_fee: Coins,
    /// How long a caller waits before an order is told as pending.
    pub wait: Duration,
}

/// An MPC wallet as a node with unlocked accounts.
pub struct Endpoint<W> {
    wallet: W,
    upstream: Upstream,
    chain_id: u64,
    /// Each with its nonces. Never empty.
    accounts: Vec<(Account, Mutex<Ledger>)>,
    settings: Settings,
    desk: Desk,
    reads: Semaphore,
    tell: Box<dyn Fn(&Notice<'_>) + Send + Sync>,
}

/// Something to sign, read from its parameters.
enum Work {
    Send(Wish),
    Transaction(Wish),
    Message(Payload),
}

impl<W: Signs> Endpoint<W> {
    /// An endpoint for these accounts. Asks the upstream RPC for its chain.
    pub async fn new(
        wallet: W,
        accounts: Vec<Account>,
        upstream: Upstream,
        settings: Settings,
        tell: impl Fn(&Notice<'_>) + Send + Sync + 'static,
    ) -> Result<Self, StartError> {
        let told = upstream.chain_id().await?;
        let meant = settings.chain_id.unwrap_or(told);
        if told != meant {
            return Err(StartError::Chain { told, meant });
        }
        Ok(Self {
            wallet,
            upstream,
            chain_id: meant,
            accounts: accounts
                .into_iter()
                .map(|account| (account, Mutex::default()))
                .collect(),
            settings,
            desk: Desk::default(),
            reads: Semaphore::new(READS),
            tell: Box::new(tell),
        })
    }

    /// The chain, for as long as the endpoint lives.
    pub fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// Serves requests that pass the gate until `stop`.
    pub async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        gate: Gate,
        stop: impl Future<Output = ()>,
    ) {
        let router = Router::new()
            .fallback(enter::<W>)
            .with_state(Arc::new((self, gate)));
        countersign_door::serve(listener, router, LIMITS, stop).await;
    }

    /// The tasks and transactions that are under way, for the person who stops the endpoint.
    pub fn under_way(&self) -> Vec<String> {
        let line = |stage| match stage {
            Stage::Ordered(task) => Some(format!("task {task} is pending and may still be signed")),
            Stage::Signed { hash, .. } => Some(format!(
                "transaction {hash} is signed, and the upstream RPC has not taken it"
            )),
            Stage::Waiting => Some("a request was not ordered yet, and is dropped".into()),
            Stage::Done(_) => None,
        };
        self.desk.under_way().into_iter().filter_map(line).collect()
    }

    /// Answers a body; `None` if there is nothing to answer.
    pub(super) async fn answer(self: &Arc<Self>, body: &[u8]) -> Option<Value> {
        let deadline = Instant::now() + self.settings.wait;
        match rpc::read(body) {
            Body::Nothing => None,
            Body::One(read) => Some(self.answer_one(read, deadline, MAX_ANSWERS).await),
            Body::Batch(calls) => Some(self.answer_all(calls, deadline).await),
        }
    }

    /// What reads is asked at once; what signs, in the order of the batch.
    async fn answer_all(self: &Arc<Self>, calls: Vec<Read>, deadline: Instant) -> Value {
        let most = (MAX_ANSWERS / calls.len().max(1)).max(LEAST_ANSWER);
        let mut answers = vec![Value::Null; calls.len()];
        let mut reads = JoinSet::new();
        for (at, read) in calls.into_iter().enumerate() {
            let signs = matches!(&read, Ok(call) if matches!(Method::named(&call.method), Ok(Method::Signing(_))));
            if signs {
                answers[at] = self.answer_one(read, deadline, most).await;
            } else {
                let endpoint = self.clone();
                reads.spawn(async move { (at, endpoint.answer_one(read, deadline, most).await) });
            }
        }
        for (at, answer) in reads.join_all().await {
            answers[at] = answer;
        }
        Value::Array(answers)
    }

    async fn answer_one(self: &Arc<Self>, read: Read, deadline: Instant, most: usize) -> Value {
        let call = match read {
            Ok(call) => call,
            Err(answer) => return answer,
        };
        let id = call.id.clone();
        match self.perform(call, deadline, most).await {
            Ok(result) => rpc::success(&id, result),
            Err(error) => rpc::failure(&id, &error),
        }
    }

    async fn perform(
        self: &Arc<Self>,
        call: Call,
        deadline: Instant,
        most: usize,
    ) -> Result<Value, RpcError> {
        let Call { method, params, .. } = call;
        match Method::named(&method)? {
            Method::Accounts => {
                let address = |(account, _): &(Account, _)| to_data(&account.address);
                Ok(self.accounts.iter().map(address).collect())
            }
            Method::ChainId => Ok(to_quantity(self.chain_id)),
            Method::NetVersion => Ok(self.chain_id.to_string().into()),
            Method::SwitchChain => self.switch(&params),
            Method::PassedOn => {
                // The semaphore is never closed.
                let _place = self.reads.acquire().await;
                Ok(self
                    .upstream
                    .call_within(&method, Value::Array(params), most)
                    .await?)
            }
            Method::Signing(signing) => self.order(method, signing, params, deadline).await,
        }
    }

    fn switch(&self, params: &[Value]) -> Result<Value, RpcError> {
        if request::chain_of(params)? == self.chain_id {
            return Ok(Value::Null);
        }
        let message = format!(
            "this endpoint serves chain {} alone; start another one for the other chain",
            self.chain_id
        );
        Err(RpcError::new(UNKNOWN_CHAIN, message))
    }

    /// Wrong parameters are told at once. Everything else becomes work that goes on without its
    /// caller.
    async fn order(
        self: &Arc<Self>,
        method: String,
        signing: Signing,
        params: Vec<Value>,
        deadline: Instant,
    ) -> Result<Value, RpcError> {
        let (from, work) = read_work(signing, &params)?;
        let at = self.find(&from)?;
        if let Work::Send(wish) | Work::Transaction(wish) = &work {
            self.check_chain(wish)?;
        }
        // Members of objects are written in the order of their names.
        let request = format!("{method} {}", Value::Array(params));
        let start = |report: Report| {
            let endpoint = self.clone();
            tokio::spawn(async move {
                let result = endpoint.work(&method, at, work, &report).await;
                if let Err(error) = &result {
                    let method = &method;
                    (endpoint.tell)(&Notice::Ended { method, error });
                }
                report.send_replace(Stage::Done(result));
            });
        };
        self.desk.attend(&request, start)?.until(deadline).await
    }

    fn find(&self, from: &Address) -> Result<usize, RpcError> {
        let mut accounts = self.accounts.iter();
        let found = accounts.position(|(account, _)| account.address == *from);
        found.ok_or_else(|| {
            let message = format!(
                "0x{} is no account of this endpoint; use one of eth_accounts, or start it with the path of that account",
                hex::encode(from)
            );
            RpcError::new(UNAUTHORIZED, message)
        })
    }

    fn check_chain(&self, wish: &Wish) -> Result<(), RpcError> {
        match wish.chain_id {
            Some(other) if other != self.chain_id => Err(RpcError::params(format!(
                "the transaction is for chain {other}, and this endpoint serves chain {}; correct `chainId`, or use an \
                 endpoint for that chain",
                self.chain_id
            ))),
            Some(_) | None => Ok(()),
        }
    }

    async fn work(
        &self,
        method: &str,
        at: usize,
        work: Work,
        report: &Report,
    ) -> Result<Value, RpcError> {
        let (account, ledger) = &self.accounts[at];
        match work {
            Work::Message(payload) => {
                let (signed, _) = self.sign(method, account, &payload, report).await?;
                (self.tell)(&Notice::Signed { method });
                Ok(to_data(&signed))
            }
            Work::Transaction(wish) => {
                let mut ledger = ledger.lock().await;
                let (payload, _) = self.fill(&mut ledger, &wish).await?;
                let (raw, _) = self.sign(method, account, &payload, report).await?;
                (self.tell)(&Notice::Signed { method });
                Ok(to_data(&raw))
            }
            Work::Send(wish) => {
                let mut ledger = ledger.lock().await;
                let (payload, nonce) = self.fill(&mut ledger, &wish).await?;
                let (raw, task) = self.sign(method, account, &payload, report).await?;
                let hash = format!("0x{}", hex::encode(evm_hash(&raw)));
                let signed = Signed {
                    nonce,
                    raw,
                    hash: hash.clone(),
                    task,
                };
                ledger.send(&self.upstream, signed, report).await?;
                (self.tell)(&Notice::Sent { hash: &hash });
                Ok(hash.into())
            }
        }
    }

    /// The transaction as it will be signed, and its nonce.
    async fn fill(&self, ledger: &mut Ledger, wish: &Wish) -> Result<(Payload, u64), RpcError> {
        let told = self.upstream.chain_id().await?;
        if told != self.chain_id {
            let message = format!(
                "the upstream RPC serves chain {told} now, and this endpoint was started for chain {}; start it anew",
                self.chain_id
            );
            return Err(RpcError::new(OTHER_CHAIN, message));
        }
        let nonce = match wish.nonce {
            Some(nonce) => nonce,
            None => ledger.next(&self.upstream, &wish.from).await?,
        };
        let price = fees::price(&self.upstream, wish).await?;
        let gas_limit = fees::gas(&self.upstream, wish).await?;
        fees::check_bound(gas_limit, &price, self.settings.max_fee)?;
        let unsigned = EvmUnsigned {
            chain_id: self.chain_id,
            nonce,
            gas_limit,
            price,
            to: wish.to,
            value: wish.value,
            data: wish.data.clone(),
        };
        let payload = Payload::new(PayloadKind::EvmTransaction, unsigned.encode());
        Ok((payload, nonce))
    }

    /// Decodes what was asked for, shows it, and has it signed. Returns its finished form.
    async fn sign(
        &self,
        method: &str,
        account: &Account,
        payload: &Payload,
        report: &Report,
    ) -> Result<(Vec<u8>, Option<TaskId>), RpcError> {
        payload
            .check()
            .map_err(|error| RpcError::params(error.to_string()))?;
        let decoded = self.wallet.decode(&account.path, payload).await?;
        self.check_meaning(account, &decoded)?;
        (self.tell)(&Notice::Asked {
            method,
            account,
            payload,
            decoded: &decoded,
        });
        let heard = AtomicBool::new(false);
        let ordered = |task| {
            if !heard.swap(true, Ordering::Relaxed) {
                (self.tell)(&Notice::Ordered(task));
                report.send_replace(Stage::Ordered(task));
            }
        };
        let signed = self.wallet.sign(&account.path, payload, &ordered).await?;
        let task = match &*report.borrow() {
            Stage::Ordered(task) => Some(*task),
            Stage::Waiting | Stage::Signed { .. } | Stage::Done(_) => None,
        };
        Ok((signed, task))
    }

    /// Compares what was decoded with what was meant: the chain and the sender of a transaction,
    /// and the chain that typed data names (EIP-712: a wallet should refuse another one).
    fn check_meaning(&self, account: &Account, decoded: &Decoded) -> Result<(), RpcError> {
        let chain = format!("eip155:{}", self.chain_id);
        match &decoded.intent {
            Intent::Transaction(does) => {
                let ours = does.chain == chain && does.sources == [account.text.clone()];
                ours.then_some(()).ok_or_else(|| {
                    RpcError::new(
                        INTERNAL,
                        "the transaction that was made is not the one that was asked for; nothing was ordered, report this",
                    )
                })
            }
            Intent::TypedData(data) => match &data.chain {
                Some(other) if *other != chain => Err(RpcError::params(format!(
                    "the typed data is for {other}, and this endpoint serves {chain}; use an endpoint for that chain"
                ))),
                Some(_) | None => Ok(()),
            },
            Intent::Message(_) => Ok(()),
            Intent::Opaque => Err(RpcError::params(
                "nobody can tell what would be signed; send the content instead of its hash",
            )),
        }
    }
}

fn read_work(signing: Signing, params: &[Value]) -> Result<(Address, Work), RpcError> {
    let personal = |(from, bytes)| {
        let payload = Payload::new(PayloadKind::Eip191, bytes);
        (from, Work::Message(payload))
    };
    Ok(match signing {
        Signing::Send => {
            let wish = Wish::read(params)?;
            (wish.from, Work::Send(wish))
        }
        Signing::Transaction => {
            let wish = Wish::read(params)?;
            (wish.from, Work::Transaction(wish))
        }
        Signing::Personal => personal(request::personal(params)?),
        Signing::EthSign => personal(request::eth_sign(params)?),
        Signing::TypedData => {
            let (from, bytes) = request::typed_data(params)?;
            (
                from,
                Work::Message(Payload::new(PayloadKind::Eip712, bytes)),
            )
        }
    })
}

type Served<W> = Arc<(Arc<Endpoint<W>>, Gate)>;

async fn enter<W: Signs>(State(served): State<Served<W>>, request: Request) -> Response {
    let (endpoint, gate) = &*served;
    let (head, body) = request.into_parts();
    let origin = gate.listed_origin(&head.headers);
    let response = match gate.admit(&head.method, &head.uri, &head.headers) {
        Ok(Admitted::Preflight) => preflight(),
        Ok(Admitted::Call) => receive(endpoint, body).await,
        Err(closed) => refusal(closed.status, closed.why),
    };
    for_page(response, origin)
}

async fn receive<W: Signs>(endpoint: &Arc<Endpoint<W>>, body: HttpBody) -> Response {
    let body = match tokio::time::timeout(BODY, to_bytes(body, MAX_BODY)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => {
            let why = "the body is longer than 1 MiB, or broken off; send less";
            return refusal(StatusCode::PAYLOAD_TOO_LARGE, why);
        }
        Err(_) => return refusal(StatusCode::REQUEST_TIMEOUT, "send the whole body at once"),
    };
    match endpoint.answer(&body).await {
        Some(answer) => as_json(StatusCode::OK, &answer),
        None => StatusCode::NO_CONTENT.into_response(),
    }
}

/// The answer to a request that was not let in. Tools show its message.
fn refusal(status: StatusCode, why: &str) -> Response {
    let error = RpcError::new(UNAUTHORIZED, why);
    as_json(status, &rpc::failure(&Value::Null, &error))
}

fn as_json(status: StatusCode, body: &Value) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (status, headers, body.to_string()).into_response()
}

fn preflight() -> Response {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("access-control-allow-methods", "POST"),
        (
            "access-control-allow-headers",
            "content-type, authorization",
        ),
        ("access-control-allow-private-network", "true"),
        ("access-control-max-age", "600"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    (StatusCode::NO_CONTENT, headers).into_response()
}

/// A browser shows an answer to a page only if it names the page's origin.
fn for_page(mut response: Response, origin: Option<HeaderValue>) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
    response
}

/// The endpoint's wallet can be asked for by the tests of this module.
#[cfg(test)]
impl<W> Endpoint<W> {
    pub(super) fn wallet(&self) -> &W {
        &self.wallet
    }
}
