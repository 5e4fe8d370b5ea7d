//! The RPC of a chain, as a client of it sees it: requests out, bounded answers in. Nothing here is
//! believed. Its URL may contain a secret, so no message has it.

use std::time::Duration;

use serde_json::{Value, json};

use super::error::RpcError;
use super::value::{Address, quantity_u64, quantity_u128, to_data};

/// Limit for one request.
const REQUEST: Duration = Duration::from_secs(30);
/// Size limit of answers in bytes; logs of many blocks are long.
const MAX_ANSWER: usize = 16 * 1024 * 1024;
/// The most of an upstream's message that is handed on, in characters.
const MAX_MESSAGE: usize = 1024;

/// Why the upstream RPC gave no result.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamError {
    /// The URL is none.
    #[error("the upstream RPC's URL is no http or https URL; correct --rpc")]
    Url,
    /// No HTTP client.
    #[error("no HTTP client ({0}); reinstall")]
    Client(String),
    /// No answer. The request may have arrived.
    #[error("the upstream RPC does not answer ({0}); check that it runs, and --rpc")]
    Unreachable(String),
    /// An answer without JSON-RPC in it.
    #[error("the upstream RPC answers with HTTP status {0}; check --rpc and its access key")]
    Status(u16),
    /// An answer above the limit.
    #[error("the upstream RPC's answer is longer than {0} bytes; ask for less")]
    TooLong(usize),
    /// An answer that is not what was asked for.
    #[error("the upstream RPC's answer to {0} cannot be used; check --rpc")]
    Answer(&'static str),
    /// The upstream's own error.
    #[error("the upstream RPC refuses: {0}; see its documentation")]
    Refused(RpcError),
}

/// Requests to one RPC.
#[derive(Debug)]
pub struct Upstream {
    http: reqwest::Client,
    url: reqwest::Url,
}

impl Upstream {
    /// Takes the URL of the RPC. Follows no redirect and asks no proxy.
    pub fn new(url: &str) -> Result<Self, UpstreamError> {
        let url = reqwest::Url::parse(url.trim()).map_err(|_| UpstreamError::Url)?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(UpstreamError::Url);
        }
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(REQUEST)
            .build()
            .map_err(|error| UpstreamError::Client(root_cause(&error)))?;
        Ok(Self { http, url })
    }

    /// The host, which is all of the URL that may be shown.
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// Sends a request and returns its result.
    pub async fn call(&self, method: &str, params: Value) -> Result<Value, UpstreamError> {
        self.call_within(method, params, MAX_ANSWER).await
    }

    /// Sends a request whose answer may have so many bytes, and no more than any.
    pub async fn call_within(
        &self,
        method: &str,
        params: Value,
        most: usize,
    ) -> Result<Value, UpstreamError> {
        let most = most.min(MAX_ANSWER);
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let sent = self
            .http
            .post(self.url.clone())
            .header("content-type", "application/json")
            .body(body.to_string())
            .send()
            .await;
        let mut response = sent.map_err(unreachable)?;
        let status = response.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > most {
                return Err(UpstreamError::TooLong(most));
            }
        }
        let answer: Option<Value> = serde_json::from_slice(&bytes).ok();
        // Some answer an error of JSON-RPC with another status than 200.
        result(answer).unwrap_or_else(|| Err(UpstreamError::Status(status.as_u16())))
    }

    /// The id of the chain.
    pub async fn chain_id(&self) -> Result<u64, UpstreamError> {
        let told = self.call("eth_chainId", json!([])).await?;
        quantity_u64("chainId", &told).map_err(|_| UpstreamError::Answer("eth_chainId"))
    }

    /// The number of transactions that an account has sent, those in the pool included.
    pub async fn next_nonce(&self, account: &Address) -> Result<u64, UpstreamError> {
        let params = json!([to_data(account), "pending"]);
        let told = self.call("eth_getTransactionCount", params).await?;
        quantity_u64("nonce", &told)
            .ok()
            // EIP-2681.
            .filter(|nonce| *nonce < u64::MAX)
            .ok_or(UpstreamError::Answer("eth_getTransactionCount"))
    }

    /// The gas that a transaction would use.
    pub async fn estimate_gas(&self, transaction: Value) -> Result<u64, UpstreamError> {
        let told = self.call("eth_estimateGas", json!([transaction])).await?;
        quantity_u64("gas", &told).map_err(|_| UpstreamError::Answer("eth_estimateGas"))
    }

    /// A price for the single-price types.
    pub async fn gas_price(&self) -> Result<u128, UpstreamError> {
        let told = self.call("eth_gasPrice", json!([])).await?;
        quantity_u128("gasPrice", &told).map_err(|_| UpstreamError::Answer("eth_gasPrice"))
    }

    /// A tip for the next block.
    pub async fn priority_fee(&self) -> Result<u128, UpstreamError> {
        let told = self.call("eth_maxPriorityFeePerGas", json!([])).await?;
        quantity_u128("maxPriorityFeePerGas", &told)
            .map_err(|_| UpstreamError::Answer("eth_maxPriorityFeePerGas"))
    }

    /// The base fee of the latest block; `None` on a chain without EIP-1559.
    pub async fn base_fee(&self) -> Result<Option<u128>, UpstreamError> {
        let wrong = UpstreamError::Answer("eth_getBlockByNumber");
        let block = self
            .call("eth_getBlockByNumber", json!(["latest", false]))
            .await?;
        match block.get("baseFeePerGas") {
            Some(fee) => quantity_u128("baseFeePerGas", fee)
                .map(Some)
                .map_err(|_| wrong),
            None if block.is_object() => Ok(None),
            None => Err(wrong),
        }
    }

    /// Hands a signed transaction to the network.
    pub async fn send(&self, raw: &[u8]) -> Result<(), UpstreamError> {
        self.call("eth_sendRawTransaction", json!([to_data(raw)]))
            .await
            .map(drop)
    }

    /// True if the upstream has a transaction, in a block or in its pool.
    pub async fn knows(&self, hash: &str) -> Result<bool, UpstreamError> {
        let told = self.call("eth_getTransactionByHash", json!([hash])).await?;
        Ok(told.is_object())
    }
}

/// `None` if the answer is not JSON-RPC.
fn result(answer: Option<Value>) -> Option<Result<Value, UpstreamError>> {
    let Value::Object(mut members) = answer? else {
        return None;
    };
    if let Some(error) = members.remove("error").filter(|error| !error.is_null()) {
        let message = error["message"].as_str().unwrap_or("no reason is given");
        return Some(Err(UpstreamError::Refused(RpcError {
            code: error["code"].as_i64()?,
            message: message.chars().take(MAX_MESSAGE).collect(),
            data: error.get("data").cloned(),
        })));
    }
    members.remove("result").map(Ok)
}

fn unreachable(error: reqwest::Error) -> UpstreamError {
    UpstreamError::Unreachable(root_cause(&error.without_url()))
}

/// Finds the innermost cause, which says what happened.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_result_or_an_error() {
        let of = |text: &str| result(serde_json::from_str(text).ok());
        assert_eq!(of(r#"{"id":1,"result":null}"#), Some(Ok(Value::Null)));
        assert_eq!(
            of(r#"{"id":1,"result":"0x1","error":null}"#),
            Some(Ok(json!("0x1")))
        );
        let refused = RpcError::new(3, "execution reverted").with(json!("0x08c379a0"));
        assert_eq!(
            of(r#"{"id":1,"error":{"code":3,"message":"execution reverted","data":"0x08c379a0"}}"#),
            Some(Err(UpstreamError::Refused(refused)))
        );
        for text in ["<html>", "[]", "{}", r#"{"error":{}}"#, "null"] {
            assert_eq!(of(text), None, "{text}");
        }
        let long = json!({"error": {"code": 1, "message": "x".repeat(5000)}});
        let Some(Err(UpstreamError::Refused(refused))) = result(Some(long)) else {
            panic!("an error")
        };
        assert_eq!(refused.message.len(), MAX_MESSAGE);
    }

    #[test]
    fn only_the_host_of_a_url_is_shown() {
        let upstream = Upstream::new("https://user:key@rpc.example/v2/secret?key=secret").unwrap();
        assert_eq!(upstream.host(), "rpc.example");
        for wrong in [
            "",
            "rpc.example",
            "ws://rpc.example",
            "file:///rpc",
            "http://",
        ] {
            assert_eq!(
                Upstream::new(wrong).err(),
                Some(UpstreamError::Url),
                "{wrong}"
            );
        }
    }
}
