//! End to end, with real processes: the views of an operator, a requester and
//! an attacker from outside.

mod approvals;
mod approver;
mod aux_info;
mod backup;
mod batch;
mod bitcoin;
mod bundles;
mod capture;
mod cli;
mod coordinator;
mod counts;
mod crashes;
mod drain;
mod earlier;
mod events;
mod fireblocks;
mod hostile;
mod interrupted;
mod joining;
mod languages;
mod limits;
mod operators;
mod payloads;
mod plugins;
mod receivers;
mod recovery;
mod reshare;
mod resolve;
mod schemes;
mod store;
mod streams;
mod swap;
mod versions;
mod votes;
mod webhook;
mod zoo;

use countersign_client::ClientError;

/// Code and text of a refusal by a node.
fn refusal<T: std::fmt::Debug>(result: Result<T, ClientError>) -> (String, String) {
    match result {
        Err(ClientError::Rejected { code, reason, .. }) => (code, reason.into()),
        other => panic!("expected a refusal, got {other:?}"),
    }
}
