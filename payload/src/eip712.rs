//! Typed data of EIP-712: the document of `eth_signTypedData_v4`, its digest, and the rights
//! that well-known messages grant.
//!
//! Stricter than wallets, so that a reader of the document and the digest cannot disagree: no
//! duplicate members, no missing declared members, no values that need conversion. Members that no
//! type declares are not covered by the digest; they are omitted from the document that plugins
//! see, with a note.

use alloy_primitives::keccak256;
use countersign_protocol::{DerivationPath, PayloadKind};

use crate::eip712_rights::{Domain, look_up};
use crate::eip712_type::{Document, address, number};
use crate::json::{Json, without_mark};
use crate::malformed::Malformed;
use crate::{DecodeError, Decoded, Input, Intent, Key, TypedData, must_be_ecdsa};

pub(crate) fn decode(
    key: &Key,
    path: &DerivationPath,
    bytes: &[u8],
) -> Result<Decoded, DecodeError> {
    must_be_ecdsa(key, PayloadKind::Eip712)?;
    let malformed = |reason| DecodeError::malformed(PayloadKind::Eip712, reason);
    let json = Json::parse(bytes).map_err(malformed)?;
    let (digest, typed_data) = read(&json, bytes).map_err(malformed)?;
    let input = Input::new(path.clone(), digest.to_vec());
    Ok(Decoded {
        inputs: vec![input],
        intent: Intent::TypedData(typed_data),
    })
}

fn read(json: &Json, bytes: &[u8]) -> Result<([u8; 32], TypedData), Malformed> {
    let document = Document::read(json)?;
    let separator = document.domain()?;
    // "\x19\x01" ‖ domainSeparator ‖ hashStruct(message)
    let message = document.hash_struct(document.primary_type, document.message)?;
    let digest = keccak256([&[0x19, 1], separator.as_slice(), message.as_slice()].concat());
    let domain = domain(&document)?;
    let known = look_up(&document, &domain)?;
    let (signed, notes) = document.signed(json);
    let as_sent = std::str::from_utf8(without_mark(bytes)?).map_err(|_| "it is not UTF-8")?;
    let contract = document
        .domain
        .get("verifyingContract")
        .and_then(Json::text);
    let typed_data = TypedData {
        verifying_contract: domain
            .contract
            .map_or(contract.map(str::to_string), |known| {
                Some(known.to_string())
            }),
        domain: domain.name.map(str::to_string),
        chain: domain.chain,
        primary_type: document.primary_type.to_string(),
        json: if notes.is_empty() {
            as_sent.to_string()
        } else {
            signed.to_string()
        },
        grants: known.grants,
        rights: known.rights,
        meaning: known.meaning,
        notes,
    };
    Ok((digest.0, typed_data))
}

/// Extracts the domain's chain and contract.
fn domain<'a>(document: &Document<'a>) -> Result<Domain<'a>, Malformed> {
    let chain = document.domain.get("chainId");
    let contract = document.domain.get("verifyingContract");
    let is_address = document.domain_has_standard("verifyingContract");
    Ok(Domain {
        name: document.domain.get("name").and_then(Json::text),
        chain: chain
            .map(number)
            .transpose()?
            .map(|chain| format!("eip155:{chain}")),
        contract: contract.filter(|_| is_address).map(address).transpose()?,
        names_contract: contract.is_some(),
    })
}

#[cfg(test)]
#[path = "eip712_tests.rs"]
mod tests;
