//! What the page is told about its organisation: those parts of the profile that say whom it
//! knows, the wallet book, and the labels of addresses. No path, no key.

use std::collections::BTreeMap;

use countersign_protocol::{ApproverId, NodeId, RequesterId};
use countersign_requester::profile::{Chains, Passkeys};
use serde::Serialize;
use serde_json::{Value, json};

use crate::book::Book;
use crate::error::ClientError;
use crate::profile::Profile;

/// The parts of a profile that are for its pages.
#[derive(Serialize)]
struct Shown<'a> {
    nodes: &'a BTreeMap<String, NodeId>,
    trusted_requesters: &'a BTreeMap<String, RequesterId>,
    chains: &'a Chains,
    #[serde(skip_serializing_if = "Option::is_none")]
    passkeys: Option<&'a Passkeys>,
    /// Absent and empty differ: of an empty list nobody's votes count.
    #[serde(skip_serializing_if = "Option::is_none")]
    approvers: Option<&'a BTreeMap<String, Vec<ApproverId>>>,
}

/// The document for the page. Every wallet of the book is verified here, and once more there.
/// `labels`: names of addresses.
pub(super) fn document(
    profile: &Profile,
    book: &Book,
    labels: &BTreeMap<String, String>,
) -> Result<Value, ClientError> {
    let shown = Shown {
        nodes: &profile.nodes,
        trusted_requesters: &profile.trusted_requesters,
        chains: &profile.chains,
        passkeys: profile.passkeys.as_ref(),
        approvers: profile.approvers.as_ref(),
    };
    Ok(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "coordinator": profile.coordinator,
        "profile": shown,
        "book": book.verified_text()?,
        "labels": labels,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_learns_whom_to_know_and_no_place_of_a_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("profile.yaml");
        let node = "nodes: {}\ntrusted_requesters: {}\napprovers: {}\n";
        let rest =
            "passkeys: {rp_id: treasury.example, origins: ['https://console.treasury.example']}\n";
        let keys = "api_key_file: secret-api.key\nrequester_key_file: secret-requester.key\n";
        let text = format!("coordinator: https://coordinator.example\n{keys}{node}{rest}");
        std::fs::write(&path, text).unwrap();
        let profile = Profile::load(&path).unwrap();
        let labels = BTreeMap::from([("bc1q".to_owned(), "cold storage".to_owned())]);
        let told = document(&profile, &Book::new(&profile.wallet_book), &labels).unwrap();
        assert_eq!(told["coordinator"], "https://coordinator.example");
        assert_eq!(told["book"], "", "there is none yet");
        assert_eq!(told["labels"], json!({"bc1q": "cold storage"}));
        assert_eq!(told["profile"]["approvers"], json!({}));
        assert_eq!(told["profile"]["passkeys"]["rp_id"], "treasury.example");
        assert_eq!(told["profile"]["chains"]["bitcoin"], "mainnet");
        let text = told.to_string();
        assert!(
            !text.contains("secret-") && !text.contains("profile.yaml"),
            "{text}"
        );
        std::fs::write(&profile.wallet_book, "no book").unwrap();
        assert!(document(&profile, &Book::new(&profile.wallet_book), &labels).is_err());
    }
}
