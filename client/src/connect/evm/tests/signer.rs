//! A wallet that decodes like a real one, signs nothing, and ends orders as a test tells it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use countersign_payload::{Decoded, Networks, decode};
use countersign_protocol::{DerivationPath, Payload, Scheme, TaskId};
use countersign_verify::{Key, address, derive_public};
use tokio::sync::Semaphore;

use super::super::{Account, Signs};
use crate::error::ClientError;

/// BIP-32, test vector 2.
const ROOT: &str = "03cbcaa9c98c877a26977d00825c956a238e8dddfbd322cce4f74b0b5bd6ace4a7";
const CHAIN_CODE: [u8; 32] = [9; 32];

#[derive(Default)]
pub struct Signer {
    asked: Mutex<Vec<Payload>>,
    ends: Mutex<VecDeque<ClientError>>,
    held: Mutex<Option<Arc<Semaphore>>>,
}

impl Signer {
    /// Everything that was to be signed.
    pub fn asked(&self) -> Vec<Payload> {
        self.asked.lock().unwrap().clone()
    }

    /// The end of the next order.
    pub fn will(&self, end: ClientError) {
        self.ends.lock().unwrap().push_back(end);
    }

    /// Each order needs a permit from now on.
    pub fn hold(&self) -> Arc<Semaphore> {
        let permits = Arc::new(Semaphore::new(0));
        *self.held.lock().unwrap() = Some(permits.clone());
        permits
    }
}

impl Signs for Signer {
    async fn decode(
        &self,
        path: &DerivationPath,
        payload: &Payload,
    ) -> Result<Decoded, ClientError> {
        let root = hex::decode(ROOT).unwrap();
        let key = Key {
            scheme: Scheme::EcdsaSecp256k1,
            root_public_key: &root,
            chain_code: &CHAIN_CODE,
        };
        Ok(decode(&key, path, payload, &Networks::default())?)
    }

    async fn sign(
        &self,
        _: &DerivationPath,
        payload: &Payload,
        ordered: &(dyn Fn(TaskId) + Send + Sync),
    ) -> Result<Vec<u8>, ClientError> {
        self.asked.lock().unwrap().push(payload.clone());
        ordered(task());
        let held = self.held.lock().unwrap().clone();
        if let Some(permits) = held {
            permits.acquire().await.unwrap().forget();
        }
        match self.ends.lock().unwrap().pop_front() {
            Some(end) => Err(end),
            None => Ok(signed(payload)),
        }
    }
}

/// What stands for the signed form of a payload.
pub fn signed(payload: &Payload) -> Vec<u8> {
    [&payload.bytes[..], b"signed"].concat()
}

pub fn task() -> TaskId {
    TaskId([7; 16])
}

pub fn rejected() -> ClientError {
    ClientError::Rejected {
        task: task(),
        node: "alice".into(),
        plugin: Some("rules".into()),
        code: "keysign-amount".into(),
        reason: "it spends too much".into(),
        open_until: None,
    }
}

pub fn failed() -> ClientError {
    ClientError::Failed {
        task: task(),
        state: "failed",
        code: "session-timeout".into(),
        message: "see that it runs, then order again".into(),
        nodes: Default::default(),
        others: Default::default(),
        open_until: None,
    }
}

/// The account at m/44/60/0/0/index.
pub fn account(index: u32) -> Account {
    let path: DerivationPath = format!("m/44/60/0/0/{index}").parse().unwrap();
    let root = hex::decode(ROOT).unwrap();
    let (child, _) =
        derive_public(Scheme::EcdsaSecp256k1, &root, &CHAIN_CODE, path.steps()).unwrap();
    let text = address::evm(&child).unwrap();
    let address = hex::decode(&text[2..]).unwrap().try_into().unwrap();
    Account {
        path,
        text,
        address,
    }
}

/// The items of an unsigned transaction's list in hexadecimal, read by RLP's rules.
pub fn fields(bytes: &[u8]) -> Vec<String> {
    let list = if bytes[0] < 0xc0 { &bytes[1..] } else { bytes };
    let (_, mut rest) = match list[0] {
        short @ 0xc0..=0xf7 => (short, &list[1..]),
        long => (long, &list[1 + usize::from(long - 0xf7)..]),
    };
    let mut items = Vec::new();
    while let Some((first, after)) = rest.split_first() {
        let (item, left) = match first {
            0..=0x7f => (&rest[..1], after),
            0x80..=0xb7 => after.split_at(usize::from(first - 0x80)),
            0xc0 => (&[][..], after),
            other => panic!("{other:#x} is not expected here"),
        };
        items.push(hex::encode(item));
        rest = left;
    }
    items
}

/// The nonce of an unsigned transaction of type 2.
pub fn nonce_of(bytes: &[u8]) -> u64 {
    let fields = fields(bytes);
    let nonce = if bytes[0] == 2 {
        &fields[1]
    } else {
        &fields[0]
    };
    u64::from_str_radix(&format!("0{nonce}"), 16).unwrap()
}
