//! Typed data of EIP-712: the document of `eth_signTypedData_v4`, its digest, and the rights that well-known messages hand
//! out.
//!
//! Stricter than wallets, so that a reader of the document and the digest cannot disagree: no member twice, none that its
//! type does not declare, none missing, no value that has to be converted.

use alloy_primitives::{Address, U256, keccak256};
use countersign_protocol::DerivationPath;

use crate::eip712_type::{Document, address, number};
use crate::evm_call::{asset, limit, max160};
use crate::json::Json;
use crate::{DecodeError, Decoded, Grant, Input, Intent, Key, TypedData};

const KIND: &str = "eip712";

pub(crate) fn decode(key: &Key, path: &DerivationPath, bytes: &[u8]) -> Result<Decoded, DecodeError> {
    key.must_be_ecdsa(KIND)?;
    let malformed = |reason| DecodeError::malformed(KIND, reason);
    let json = Json::parse(bytes).map_err(malformed)?;
    let (digest, typed_data) = read(&json, bytes).map_err(malformed)?;
    let input = Input::new(path.clone(), digest.to_vec());
    Ok(Decoded { inputs: vec![input], intent: Intent::TypedData(typed_data) })
}

fn read(json: &Json, bytes: &[u8]) -> Result<([u8; 32], TypedData), String> {
    let document = Document::read(json)?;
    let domain = document.domain()?;
    // "\x19\x01" ‖ domainSeparator ‖ hashStruct(message)
    let message = document.hash_struct(document.primary_type, document.message)?;
    let digest = keccak256([&[0x19, 1], domain.as_slice(), message.as_slice()].concat());
    let facts = Facts::of(&document)?;
    let typed_data = TypedData {
        chain: facts.chain.clone(),
        verifying_contract: facts.contract.map(|contract| contract.to_string()),
        domain: document.domain.get("name").and_then(Json::text).map(str::to_string),
        primary_type: document.primary_type.to_string(),
        json: String::from_utf8(bytes.to_vec()).map_err(|_| "it is not UTF-8")?,
        grants: facts.grants(&document)?,
    };
    Ok((digest.0, typed_data))
}

/// What the domain says.
struct Facts {
    chain: Option<String>,
    contract: Option<Address>,
}

impl Facts {
    fn of(document: &Document) -> Result<Facts, String> {
        let chain = document.domain.get("chainId").map(number).transpose()?;
        let contract = document.domain.get("verifyingContract").map(address).transpose()?;
        Ok(Facts { chain: chain.map(|chain| format!("eip155:{chain}")), contract })
    }

    fn token(&self, contract: &Address) -> String {
        asset(self.chain.as_deref().unwrap_or("unknown"), "erc20", contract, None)
    }

    /// Rights are told by the names of types and members, wherever the contract is: too many rather than too few.
    fn grants(&self, document: &Document) -> Result<Vec<Grant>, String> {
        let message = document.message;
        match document.primary_type {
            "Permit" if message.get("value").is_some() => self.of_this_token(message, "spender"),
            "Permit" if message.get("allowed").is_some() => self.all_or_nothing(message),
            "Permit" if message.get("tokenId").is_some() => self.of_one_token(message),
            // EIP-3009: whoever has the signature moves the amount.
            "TransferWithAuthorization" | "ReceiveWithAuthorization" => self.of_this_token(message, "to"),
            "PermitSingle" | "PermitBatch" => self.of_tokens(message, "details"),
            "PermitTransferFrom"
            | "PermitBatchTransferFrom"
            | "PermitWitnessTransferFrom"
            | "PermitBatchWitnessTransferFrom" => self.of_tokens(message, "permitted"),
            _ => Ok(vec![]),
        }
    }

    /// EIP-2612.
    fn of_this_token(&self, message: &Json, who: &str) -> Result<Vec<Grant>, String> {
        let amount = number(member(message, "value")?)?;
        Ok(vec![self.grant(message, who, self.this_token()?, limit(amount, U256::MAX))?])
    }

    /// The older form, of Dai.
    fn all_or_nothing(&self, message: &Json) -> Result<Vec<Grant>, String> {
        let nothing = message.get("allowed") == Some(&Json::Bool(false));
        let amount = nothing.then(|| "0".to_string());
        Ok(vec![self.grant(message, "spender", self.this_token()?, amount)?])
    }

    /// EIP-4494: one token of ERC-721.
    fn of_one_token(&self, message: &Json) -> Result<Vec<Grant>, String> {
        let id = number(member(message, "tokenId")?)?;
        let chain = self.chain.as_deref().unwrap_or("unknown");
        let asset = asset(chain, "erc721", &self.this_contract()?, Some(id));
        Ok(vec![self.grant(message, "spender", asset, None)?])
    }

    /// Permit2: one token or several.
    fn of_tokens(&self, message: &Json, list: &str) -> Result<Vec<Grant>, String> {
        let one_or_more = member(message, list)?;
        let tokens = one_or_more.list().unwrap_or(std::slice::from_ref(one_or_more));
        let grant = |token: &Json| {
            let amount = number(member(token, "amount")?)?;
            let limit = if amount == max160() { None } else { limit(amount, U256::MAX) };
            self.grant(message, "spender", self.token(&address(member(token, "token")?)?), limit)
        };
        tokens.iter().map(grant).collect()
    }

    fn grant(
        &self,
        message: &Json,
        who: &str,
        asset: String,
        amount: Option<String>,
    ) -> Result<Grant, String> {
        Ok(Grant { spender: address(member(message, who)?)?.to_string(), asset, amount })
    }

    fn this_token(&self) -> Result<String, String> {
        Ok(self.token(&self.this_contract()?))
    }

    fn this_contract(&self) -> Result<Address, String> {
        self.contract.ok_or_else(|| "a message of this type names the token as verifyingContract".into())
    }
}

fn member<'a>(message: &'a Json, name: &str) -> Result<&'a Json, String> {
    message.get(name).ok_or_else(|| format!("a message of this type has a member `{name}`"))
}

#[cfg(test)]
#[path = "eip712_tests.rs"]
mod tests;
