//! The wallet behind the endpoint: its accounts, and orders to it.

use std::collections::BTreeMap;

use countersign_payload::{BitcoinForm, Decoded};
use countersign_protocol::{DerivationPath, KeyDescriptor, KeyId, Payload, Scheme, TaskId};
use countersign_requester::order::SignOrder;
use countersign_verify::{DeriveError, address, derive_public};

use super::error::RpcError;
use super::value::Address;
use crate::client::Client;
use crate::error::ClientError;

/// A child of the wallet as an account of Ethereum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The child.
    pub path: DerivationPath,
    /// The address, with the checksum of EIP-55.
    pub text: String,
    /// Its 20 bytes.
    pub address: Address,
}

impl Account {
    /// The account at a path of a wallet.
    pub fn of(wallet: &KeyDescriptor, path: DerivationPath) -> Result<Self, ClientError> {
        if wallet.scheme != Scheme::EcdsaSecp256k1 {
            return Err(ClientError::Usage(format!(
                "wallet {} has the scheme {}, which signs nothing of Ethereum; name a wallet of ecdsa-secp256k1",
                wallet.name, wallet.scheme
            )));
        }
        let of_child = || {
            let (child, _) = derive_public(
                wallet.scheme,
                &wallet.root_public_key,
                wallet.chain_code.as_bytes(),
                path.steps(),
            )?;
            address::evm(&child)
        };
        let wrong = |error: DeriveError| {
            ClientError::Usage(format!("{path} has no account: {error}; name another path"))
        };
        let text = of_child().map_err(wrong)?;
        let bytes = hex::decode(text.trim_start_matches("0x")).unwrap_or_default();
        let address = bytes
            .try_into()
            .map_err(|_| wrong(DeriveError::PublicKey))?;
        Ok(Self {
            path,
            text,
            address,
        })
    }
}

/// Signs payloads: an MPC wallet, or one of a test.
pub trait Signs: Send + Sync + 'static {
    /// The effect of a payload; an error says why nobody signs it.
    fn decode(
        &self,
        path: &DerivationPath,
        payload: &Payload,
    ) -> impl Future<Output = Result<Decoded, ClientError>> + Send;

    /// Has a payload signed, and returns its finished form. `ordered` hears the task as soon as the
    /// coordinator has it, and perhaps again.
    fn sign(
        &self,
        path: &DerivationPath,
        payload: &Payload,
        ordered: &(dyn Fn(TaskId) + Send + Sync),
    ) -> impl Future<Output = Result<Vec<u8>, ClientError>> + Send;
}

/// What every order of the endpoint says beside its payload.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remarks {
    /// A remark for nodes' plugins and people.
    pub note: Option<String>,
    /// Statements for nodes' plugins, by name.
    pub claims: BTreeMap<String, String>,
}

/// A wallet held by nodes.
pub struct MpcWallet {
    client: Client,
    key: KeyId,
    remarks: Remarks,
}

impl MpcWallet {
    /// Orders from this client's coordinator.
    pub fn new(client: Client, key: KeyId, remarks: Remarks) -> Self {
        Self {
            client,
            key,
            remarks,
        }
    }

    fn order(&self, path: &DerivationPath, payload: &Payload) -> SignOrder {
        SignOrder {
            note: self.remarks.note.clone(),
            claims: self.remarks.claims.clone(),
            ..SignOrder::new(self.key, path.clone(), payload.clone())
        }
    }
}

impl Signs for MpcWallet {
    async fn decode(
        &self,
        path: &DerivationPath,
        payload: &Payload,
    ) -> Result<Decoded, ClientError> {
        self.client.decode(&self.order(path, payload)).await
    }

    async fn sign(
        &self,
        path: &DerivationPath,
        payload: &Payload,
        ordered: &(dyn Fn(TaskId) + Send + Sync),
    ) -> Result<Vec<u8>, ClientError> {
        let order = self.order(path, payload);
        let made = self
            .client
            .sign(&order, |task| ordered(task.summary.id))
            .await?;
        let finished = self
            .client
            .finish(&order, &made, BitcoinForm::Transaction)
            .await?;
        Ok(finished.bytes)
    }
}

/// What happens, for the person who watches the endpoint.
#[derive(Debug)]
#[allow(missing_docs, reason = "the fields are named for what they hold")]
pub enum Notice<'a> {
    /// A caller wants this signed; it is about to be ordered.
    Asked {
        method: &'a str,
        account: &'a Account,
        payload: &'a Payload,
        decoded: &'a Decoded,
    },
    /// The coordinator has the order.
    Ordered(TaskId),
    /// It is signed, and nothing was sent.
    Signed { method: &'a str },
    /// The network has the transaction.
    Sent { hash: &'a str },
    /// It ended without a result.
    Ended {
        method: &'a str,
        error: &'a RpcError,
    },
}
