//! Addresses that the coordinator derives for those that only look.

use axum::http::StatusCode;
use countersign_protocol::KeyId;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::world::*;

#[tokio::test]
async fn children_are_derived_by_path_and_by_range() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let wallet = world.make_wallet(&mut three(&world).await).await;
    let get = async |query: &str| {
        let path = format!("/v1/wallets/{wallet}/addresses{query}");
        world.get(&path).await["children"]
            .as_array()
            .unwrap()
            .clone()
    };
    let root = get("").await;
    assert_eq!((root.len(), &root[0]["path"]), (1, &json!("m")));
    let key = hex::encode(crate::testkit::root().verifying_key().to_bytes());
    assert_eq!(root[0]["public_key"], key);
    let range = get("?path=m/1,m/2&first=7&count=2").await;
    let paths: Vec<&Value> = range.iter().map(|child| &child["path"]).collect();
    assert_eq!(paths, ["m/1/7", "m/1/8", "m/2/7", "m/2/8"]);
    assert_eq!(range[1..2], get("?path=m/1/8").await);
    let solana = range[0]["addresses"]["solana"].as_str().unwrap();
    let point = bs58_of(range[0]["public_key"].as_str().unwrap());
    assert_eq!(solana, point, "an address of Solana is the key itself");
}

/// Base58 as Bitcoin writes it.
fn bs58_of(key: &str) -> String {
    const LETTERS: &[u8] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let mut digits = vec![0u8];
    for byte in hex::decode(key).unwrap() {
        let mut carry = u32::from(byte);
        for digit in &mut digits {
            carry += u32::from(*digit) * 256;
            *digit = (carry % 58) as u8;
            carry /= 58;
        }
        while carry > 0 {
            digits.push((carry % 58) as u8);
            carry /= 58;
        }
    }
    digits
        .iter()
        .rev()
        .map(|digit| LETTERS[usize::from(*digit)] as char)
        .collect()
}

#[tokio::test]
async fn what_is_asked_for_is_bounded_and_understood() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let wallet = world.make_wallet(&mut three(&world).await).await;
    let many = vec!["m/1"; 101].join(",");
    let deep = format!("path=m{}&count=1", "/1".repeat(10));
    for query in [
        "count=0",
        "count=101",
        "path=m/1,m/2&count=51",
        "first=1",
        "first=2147483648&count=1",
        "first=2147483647&count=2",
        "path=m/1'",
        "path=",
        "path=m,",
        "path=x",
        "bitcoin=moon",
        "count=18446744073709551615",
        "script_root=00",
        &deep,
        &format!("path={many}"),
    ] {
        let path = format!("/v1/wallets/{wallet}/addresses?{query}");
        let (status, body) = world
            .ask(Some(&world.key), "GET", &path, String::new())
            .await;
        let expected = (StatusCode::BAD_REQUEST, "query-malformed");
        assert_eq!((status, code(&body)), expected, "{query}");
    }
    world
        .get(&format!(
            "/v1/wallets/{wallet}/addresses?count=100&bitcoin=signet"
        ))
        .await;
}

#[tokio::test]
async fn addresses_of_a_wallet_that_a_key_does_not_know_are_not_told() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let wallet = world.make_wallet(&mut three(&world).await).await;
    let other = KeyId::from_bytes([9; 16]).unwrap();
    let hash = hex::encode(Sha256::digest("limited"));
    let spec = json!({"sha256": hash, "scopes": ["read"], "wallets": [other]}).to_string();
    world
        .ask(Some(&world.admin), "PUT", "/v1/api-keys/desk", spec)
        .await;
    for (key, id) in [("limited", wallet), ("limited", other), (&world.key, other)] {
        let path = format!("/v1/wallets/{id}/addresses");
        let (status, body) = world.ask(Some(key), "GET", &path, String::new()).await;
        assert_eq!(
            (status, code(&body)),
            (StatusCode::NOT_FOUND, "wallet-unknown")
        );
    }
}
