//! Errors as callers of the endpoint get them: codes of EIP-1193, EIP-1474 and JSON-RPC.

use countersign_protocol::TaskId;
use serde_json::{Value, json};

use super::upstream::UpstreamError;
use crate::error::ClientError;

/// The request is not JSON.
pub const PARSE: i64 = -32700;
/// The JSON is not a request.
pub const INVALID_REQUEST: i64 = -32600;
/// Nobody knows such a method here.
pub const METHOD_NOT_FOUND: i64 = -32601;
/// The parameters make no sense.
pub const INVALID_PARAMS: i64 = -32602;
/// A defect, or a state that a person has to look at.
pub const INTERNAL: i64 = -32603;
/// EIP-1474: not available yet. Wallets use it for a request that waits for its user.
pub const PENDING: i64 = -32002;
/// EIP-1474: the transaction was not made.
pub const NOT_MADE: i64 = -32003;
/// EIP-1474: more than the endpoint takes.
pub const LIMIT: i64 = -32005;
/// EIP-1193: refused by whoever decides; here a node's policy.
pub const REJECTED: i64 = 4001;
/// EIP-1193: the account or the method is not one that the caller may use.
pub const UNAUTHORIZED: i64 = 4100;
/// EIP-1193: a method that this wallet does not support.
pub const UNSUPPORTED: i64 = 4200;
/// EIP-1193: the chain, or the coordinator, cannot be reached.
pub const DISCONNECTED: i64 = 4900;
/// EIP-1193: not connected to the chain that was asked for.
pub const OTHER_CHAIN: i64 = 4901;
/// EIP-3085 and EIP-3326: an unknown chain.
pub const UNKNOWN_CHAIN: i64 = 4902;

/// Why a request has no result.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message} ({code})")]
pub struct RpcError {
    /// One of the codes of this module, or the upstream RPC's own.
    pub code: i64,
    /// One sentence that ends with what to do.
    pub message: String,
    /// For programs: the task's id under `task`, the stable code under `code`, and so on.
    pub data: Option<Value>,
}

impl RpcError {
    pub(super) fn new(code: i64, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            data: None,
        }
    }

    pub(super) fn params(message: impl Into<String>) -> Self {
        Self::new(INVALID_PARAMS, message)
    }

    pub(super) fn with(mut self, data: Value) -> Self {
        self.data = Some(data);
        self
    }

    pub(super) fn to_json(&self) -> Value {
        let mut json = json!({"code": self.code, "message": self.message});
        if let Some(data) = &self.data {
            json["data"] = data.clone();
        }
        json
    }
}

/// How the outcome of an order is told. Only a refusal by policy is 4001: a tool takes that for the
/// end of the matter.
impl From<ClientError> for RpcError {
    fn from(error: ClientError) -> Self {
        let code = match &error {
            ClientError::Rejected { .. } => REJECTED,
            ClientError::Failed { .. } => NOT_MADE,
            ClientError::TimedOut(_)
            | ClientError::Pending { .. }
            | ClientError::UnknownState { .. } => PENDING,
            ClientError::Payload(_) => INVALID_PARAMS,
            ClientError::Unreachable { .. } => DISCONNECTED,
            ClientError::Api { status: 503, .. } => LIMIT,
            ClientError::Api { .. }
            | ClientError::File { .. }
            | ClientError::Usage(_)
            | ClientError::Finish(_)
            | ClientError::Answer(_)
            | ClientError::Invalid { .. }
            | ClientError::Belief(_)
            | ClientError::Vote(_) => INTERNAL,
        };
        let mut data = json!({"code": error.code()});
        if let Some(task) = error.task() {
            data["task"] = json!(task);
        }
        if let Some(until) = error.open_until() {
            data["openUntil"] = json!(until);
        }
        if let ClientError::Rejected {
            node,
            plugin,
            reason,
            ..
        } = &error
        {
            data["node"] = json!(node);
            data["plugin"] = json!(plugin);
            data["reason"] = json!(reason);
        }
        Self::new(code, error.to_string()).with(data)
    }
}

impl From<UpstreamError> for RpcError {
    fn from(error: UpstreamError) -> Self {
        match error {
            UpstreamError::Refused(refusal) => refusal,
            UpstreamError::Url
            | UpstreamError::Client(_)
            | UpstreamError::Unreachable(_)
            | UpstreamError::Status(_)
            | UpstreamError::TooLong(_)
            | UpstreamError::Answer(_) => Self::new(DISCONNECTED, error.to_string()),
        }
    }
}

/// The answer to a caller whose time is over while its order goes on.
pub(super) fn pending(task: Option<TaskId>, hash: Option<&str>) -> RpcError {
    let message = match (task, hash) {
        (_, Some(hash)) => format!(
            "transaction {hash} is signed, and the upstream RPC has not taken it yet; it is sent again until it does. Ask \
             again with the same request"
        ),
        (Some(task), None) => format!(
            "task {task} is pending: its nodes have not all decided or signed yet. It goes on; ask again with the same \
             request, which takes it up, or look with `countersign task show {task}`"
        ),
        (None, None) => "the request is pending behind an earlier one of the same account. It goes on; ask again with the \
                         same request, which takes it up"
            .into(),
    };
    RpcError::new(PENDING, message)
        .with(json!({"pending": true, "task": task, "transactionHash": hash}))
}

/// Why there is no endpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The wallet cannot be used.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The upstream RPC cannot be used.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The upstream RPC serves a chain that was not meant.
    #[error(
        "the upstream RPC serves chain {told}, not {meant}; correct --rpc, or --chain-id if that chain is meant"
    )]
    #[allow(missing_docs, reason = "the fields are named for what they hold")]
    Chain { told: u64, meant: u64 },
}

impl From<StartError> for ClientError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Client(error) => error,
            StartError::Upstream(_) | StartError::Chain { .. } => Self::Usage(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task() -> TaskId {
        TaskId([7; 16])
    }

    #[test]
    fn each_outcome_of_an_order_has_its_code() {
        let failed = |state| ClientError::Failed {
            task: task(),
            state,
            code: "session-timeout".into(),
            message: "order again".into(),
            nodes: Default::default(),
            others: Default::default(),
            open_until: None,
        };
        let rejected = ClientError::Rejected {
            task: task(),
            node: "alice".into(),
            plugin: Some("rules".into()),
            code: "keysign-amount".into(),
            reason: "it spends too much".into(),
            open_until: None,
        };
        let api = |status| ClientError::Api {
            status,
            code: "x".into(),
            message: "y".into(),
        };
        let unreachable = ClientError::Unreachable {
            url: "http://c".into(),
            reason: "refused".into(),
            sent: false,
        };
        for (error, code, with_task) in [
            (rejected, REJECTED, true),
            (failed("failed"), NOT_MADE, true),
            (failed("expired"), NOT_MADE, true),
            (ClientError::TimedOut(task()), PENDING, true),
            (
                ClientError::Pending {
                    task: task(),
                    count: "".into(),
                },
                PENDING,
                true,
            ),
            (unreachable, DISCONNECTED, false),
            (api(503), LIMIT, false),
            (api(401), INTERNAL, false),
            (ClientError::Usage("no key".into()), INTERNAL, false),
            (
                ClientError::Invalid {
                    task: task(),
                    reason: "no".into(),
                },
                INTERNAL,
                true,
            ),
        ] {
            let text = error.to_string();
            let told = RpcError::from(error);
            assert_eq!((told.code, &told.message), (code, &text));
            let data = told.data.unwrap();
            assert_eq!(data.get("task").is_some(), with_task, "{text}");
            assert!(data["code"].is_string());
        }
    }

    #[test]
    fn a_refusal_names_node_plugin_and_reason() {
        let told = RpcError::from(ClientError::Rejected {
            task: task(),
            node: "alice".into(),
            plugin: Some("rules".into()),
            code: "keysign-amount".into(),
            reason: "it spends too much".into(),
            open_until: None,
        });
        let data = told.data.unwrap();
        assert_eq!(
            (
                &data["node"],
                &data["plugin"],
                &data["code"],
                &data["reason"]
            ),
            (
                &json!("alice"),
                &json!("rules"),
                &json!("keysign-amount"),
                &json!("it spends too much")
            )
        );
    }

    #[test]
    fn what_is_pending_is_not_told_as_a_failure() {
        for told in [
            pending(None, None),
            pending(Some(task()), None),
            pending(Some(task()), Some("0xab")),
        ] {
            assert_eq!(told.code, PENDING);
            assert_eq!(told.data.unwrap()["pending"], true);
            assert!(told.message.contains("same request"), "{}", told.message);
        }
        assert_eq!(
            pending(Some(task()), None).data.unwrap()["task"],
            json!(task())
        );
    }
}
