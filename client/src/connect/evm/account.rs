//! The nonces of one account, and the way of its transactions to the network.
//!
//! One send at a time holds the ledger, from the choice of the nonce until the network has the
//! transaction. So no nonce is used twice, and none is left out: an order that ends without a
//! signature has used none.
//!
//! A signed transaction may reach the network although no answer came back. Its bytes never change,
//! so they are sent again until the answer is clear; the network takes them once.

use std::collections::BTreeMap;
use std::time::Duration;

use countersign_protocol::TaskId;
use serde_json::json;

use super::desk::{Report, Stage};
use super::error::{LIMIT, NOT_MADE, RpcError};
use super::upstream::{Upstream, UpstreamError};
use super::value::Address;

/// First and longest pause before a transaction is sent again.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// How often an uncertain transaction is looked for before a refusal is believed.
const LOOKS: usize = 3;
/// Codes of upstreams for too many requests, apart from EIP-1474's.
const TOO_MANY: i64 = 429;

/// What is known of an account's transactions besides what the upstream RPC tells.
#[derive(Debug, Default)]
pub struct Ledger {
    /// The highest count that the upstream RPC has told. One that lags behind does not lower it.
    counted: u64,
    /// What this endpoint has sent and the upstream RPC does not count yet, by nonce.
    sent: BTreeMap<u64, Signed>,
}

/// A signed transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    pub nonce: u64,
    pub raw: Vec<u8>,
    /// In hexadecimal behind 0x.
    pub hash: String,
    pub task: Option<TaskId>,
}

impl Ledger {
    /// The nonce for the next transaction. An upstream RPC that does not count one that was sent
    /// may have lost it, or lag behind: it gets it again.
    pub async fn next(&mut self, upstream: &Upstream, account: &Address) -> Result<u64, RpcError> {
        let told = upstream.next_nonce(account).await?;
        self.counted = self.counted.max(told);
        self.sent = self.sent.split_off(&self.counted);
        let mut nonce = self.counted;
        while let Some(sent) = self.sent.get(&nonce) {
            remind(upstream, sent).await?;
            nonce += 1;
        }
        Ok(nonce)
    }

    /// Sends a transaction until the upstream RPC has taken or refused it. One that it refused has
    /// used no nonce.
    pub async fn send(
        &mut self,
        upstream: &Upstream,
        signed: Signed,
        report: &Report,
    ) -> Result<(), RpcError> {
        let (mut pause, longest) = PAUSES;
        let mut uncertain = false;
        loop {
            match try_once(upstream, &signed, uncertain).await {
                Ok(()) => break,
                Err(Some(refusal)) => return Err(told(refusal, &signed)),
                Err(None) => uncertain = true,
            }
            report.send_replace(Stage::Signed {
                task: signed.task,
                hash: signed.hash.clone(),
            });
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
        self.sent.insert(signed.nonce, signed);
        Ok(())
    }
}

/// An error without refusal: it is not known whether the transaction arrived.
async fn try_once(
    upstream: &Upstream,
    signed: &Signed,
    uncertain: bool,
) -> Result<(), Option<RpcError>> {
    let refusal = match upstream.send(&signed.raw).await {
        Ok(()) => return Ok(()),
        Err(UpstreamError::Refused(refusal)) => refusal,
        Err(_) => return Err(None),
    };
    if matches!(refusal.code, LIMIT | TOO_MANY) {
        return Err(None);
    }
    // `already known` and `nonce too low` are what one hears of a transaction that arrived before.
    for look in 0..if uncertain { LOOKS } else { 1 } {
        if look > 0 {
            tokio::time::sleep(PAUSES.0).await;
        }
        match upstream.knows(&signed.hash).await {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(_) => return Err(None),
        }
    }
    Err(Some(refusal))
}

async fn remind(upstream: &Upstream, last: &Signed) -> Result<(), RpcError> {
    let refusal = match upstream.send(&last.raw).await {
        Ok(()) => return Ok(()),
        Err(UpstreamError::Refused(refusal)) => refusal,
        Err(error) => return Err(error.into()),
    };
    if upstream.knows(&last.hash).await? {
        return Ok(());
    }
    let Signed { nonce, hash, .. } = last;
    let message = format!(
        "the transaction before this one, {hash} with nonce {nonce}, is unknown to the upstream RPC, which refuses it now: {}. \
         Send one with that nonce in its place; if the chain was reset, start the endpoint anew",
        refusal.message
    );
    Err(RpcError::new(NOT_MADE, message).with(json!({"transactionHash": hash, "nonce": nonce})))
}

/// The upstream's own error, with the transaction if it has no data of its own.
fn told(mut refusal: RpcError, signed: &Signed) -> RpcError {
    refusal.message = format!(
        "the upstream RPC refuses the signed transaction: {}; correct it, and send it again",
        refusal.message
    );
    refusal
        .data
        .get_or_insert_with(|| json!({"transactionHash": signed.hash, "task": signed.task}));
    refusal
}
