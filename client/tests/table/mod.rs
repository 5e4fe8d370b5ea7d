//! `clients/tests/forgeries.json`: answers of coordinators, true and forged, with what a client
//! must say to each. The clients for Python and TypeScript read the same file.
//!
//! The documents are made here, from fixed seeds. `COUNTERSIGN_WRITE_FIXTURES=1` writes the file.

mod cases;
mod coordinator;

use std::path::{Path, PathBuf};

use countersign_client::{Client, ClientError, Profile, SignOrder};
use countersign_protocol::Payload;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::forged::write_private;

/// The whole file.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Table {
    about: Vec<String>,
    profile: Value,
    requester: String,
    requester_key: String,
    cases: Vec<Case>,
}

/// One case: what a coordinator answers, and what the client must say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Case {
    name: String,
    /// The text of the wallet book; absent if there is none.
    book: Option<String>,
    action: Action,
    /// The answers to `GET`, by path. All others are 404.
    answers: Map<String, Value>,
    /// The result of each order that is handed in.
    result: Value,
    /// `ok`, or the code of the error.
    expect: String,
}

/// What the client is asked to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    Wallet(String),
    NewestWallet(String),
    Task(String),
    Sign {
        wallet: String,
        path: String,
        payload: Value,
    },
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients/tests/forgeries.json")
}

#[test]
fn the_table_of_forgeries_is_the_one_that_is_made_here() {
    let made = cases::table();
    if std::env::var_os("COUNTERSIGN_WRITE_FIXTURES").is_some() {
        let text = serde_json::to_string_pretty(&made).unwrap() + "\n";
        std::fs::write(file(), text).unwrap();
    }
    let text = std::fs::read_to_string(file()).unwrap();
    let read: Table = serde_json::from_str(&text).unwrap();
    assert_eq!(
        read, made,
        "run this with COUNTERSIGN_WRITE_FIXTURES=1 to write the file again"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_forgery_of_the_table_is_refused_and_every_true_answer_believed() {
    let table = cases::table();
    let forged = table
        .cases
        .iter()
        .filter(|case| case.expect != "ok")
        .count();
    assert!(forged >= 20 && table.cases.len() - forged >= 4);
    for case in &table.cases {
        let told = match said(&table, case).await {
            Ok(()) => "ok".to_owned(),
            Err(error) => error.code().to_owned(),
        };
        assert_eq!(told, case.expect, "{}", case.name);
    }
}

async fn said(table: &Table, case: &Case) -> Result<(), ClientError> {
    let dir = tempfile::tempdir().unwrap();
    let url = coordinator::start(case.answers.clone(), case.result.clone()).await;
    let mut profile = table.profile.clone();
    profile["coordinator"] = url.into();
    profile["api_key_file"] = "api.key".into();
    profile["requester_key_file"] = "requester.key".into();
    let path = dir.path().join("profile.yaml");
    write_private(&path, &profile.to_string());
    write_private(&dir.path().join("api.key"), "key");
    write_private(&dir.path().join("requester.key"), &table.requester_key);
    if let Some(book) = &case.book {
        write_private(&dir.path().join("wallets.json"), book);
    }
    let client = Client::new(Profile::load(&path).unwrap()).unwrap();
    match case.action.clone() {
        Action::Wallet(id) => client.wallet(id.parse().unwrap()).await.map(drop),
        Action::NewestWallet(id) => client.newest_wallet(id.parse().unwrap()).await.map(drop),
        Action::Task(id) => client.task(id.parse().unwrap()).await.map(drop),
        Action::Sign {
            wallet,
            path,
            payload,
        } => {
            let payload: Payload = serde_json::from_value(payload).unwrap();
            let order = SignOrder::new(wallet.parse().unwrap(), path.parse().unwrap(), payload);
            client.sign(&order, |_| ()).await.map(drop)
        }
    }
}

fn sign(wallet: &impl ToString, path: &str) -> Action {
    let payload = json!({"kind": "message", "bytes": hex::encode(cases::MESSAGE)});
    Action::Sign {
        wallet: wallet.to_string(),
        path: path.into(),
        payload,
    }
}
