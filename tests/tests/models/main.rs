//! The plugins' documents, read with the models of their recipients: PyPI `cobo-waas2` for the
//! later vocabulary and for events, and the types of the published servers for the first one. No
//! expectation here is ours.

mod cases;
mod first;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use countersign_jwt_callback::JwtCallback;
use countersign_jwt_events::JwtEvents;
use countersign_sdk::testing::{self, MockHost};
use countersign_sdk::{EventReceiver, HttpError, Operation, Plugin, Request, Task, json, payload};
use serde_json::{Value, json};

/// The servers' names for the assets in the cases.
const ASSETS: &str = r#"{
    "eip155:1": {"id": "ETH", "decimals": 18},
    "eip155:1/erc20:0xdac17f958d2ee523a2206206994597c13d831ec7": {"id": "ETH_USDT", "decimals": 6},
    "bip122:000000000019d6689c085ae165831e93": {"id": "BTC", "decimals": 8},
    "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp": {"id": "SOL", "decimals": 9}
}"#;

#[test]
fn the_later_vocabulary_is_what_its_models_read() {
    let mut documents = Vec::new();
    for strict in [false, true] {
        for (name, task) in cases::tasks() {
            let request = asked(&task, "v2", strict);
            let (detail, extra) = models_of(&task.operation);
            documents.push(case(&name, "TSSCallbackRequest", request.clone()));
            documents.push(case(&name, detail, inner(&request, "request_detail")));
            documents.push(case(&name, extra, inner(&request, "extra_info")));
        }
    }
    assert_eq!(read_by_models(&documents), documents.len());
}

#[test]
fn the_first_vocabulary_is_what_its_servers_read() {
    for (name, task) in cases::tasks() {
        let request = asked(&task, "v1", false);
        let detail = request["request_detail"].as_str().unwrap();
        let extra = request["extra_info"].as_str().unwrap();
        if let Err(error) = first::read(&task.operation, detail, extra) {
            panic!("{name}: {error}\n{detail}\n{extra}");
        }
    }
}

#[test]
fn events_are_what_their_models_read() {
    let documents: Vec<_> = cases::events()
        .into_iter()
        .map(|(name, task, what)| {
            let host = host();
            let config = json::config(r#"{"url": "https://events.example/v2/event"}"#).unwrap();
            JwtEvents::deliver(&config, &testing::event(task, what), &host).unwrap();
            case(&name, "TSSEvent", package(&host.requests()[0]))
        })
        .collect();
    assert_eq!(read_by_models(&documents), documents.len());
}

#[test]
fn every_kind_of_payload_has_a_case() {
    let signed = cases::tasks()
        .into_iter()
        .filter_map(|(_, task)| match task.operation {
            Operation::Sign(signing) => Some(signing.payload),
            Operation::Keygen(_)
            | Operation::Reshare(_)
            | Operation::KeyShareSign(_)
            | Operation::Other(_) => None,
        });
    let kinds: BTreeSet<String> = payload::ALL.map(str::to_owned).into();
    assert_eq!(signed.collect::<BTreeSet<_>>(), kinds);
}

/// The request document that a callback server gets for `task`.
fn asked(task: &Task, version: &str, strict: bool) -> Value {
    let config = json::config(&format!(
        r#"{{"servers": [{{"url": "https://a.example/check", "key": "server", "version": "{version}"}}],
            "strict": {strict}, "retry_times": 0, "assets": {ASSETS}}}"#
    ));
    let host = host();
    // Nobody answers: only the question matters.
    JwtCallback::evaluate(&config.unwrap(), task, &host).unwrap_err();
    package(&host.requests()[0])
}

fn host() -> MockHost {
    MockHost::default()
        .with_key("callback")
        .with_key("server")
        .with_key("event")
        .with_server(|_, request| {
            if request.url.contains("events") {
                Ok(countersign_sdk::Response {
                    status: 200,
                    headers: Vec::new(),
                    body: Vec::new(),
                })
            } else {
                Err(HttpError::Timeout)
            }
        })
}

/// The document in a request's JWT.
fn package(request: &Request) -> Value {
    let body = std::str::from_utf8(&request.body).unwrap();
    let claims = body.split('.').nth(1).expect("a token of three parts");
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    let package = STANDARD
        .decode(claims["package_data"].as_str().unwrap())
        .unwrap();
    serde_json::from_slice(&package).unwrap()
}

fn inner(request: &Value, name: &str) -> Value {
    serde_json::from_str(request[name].as_str().unwrap()).unwrap()
}

fn models_of(operation: &Operation) -> (&'static str, &'static str) {
    match operation {
        Operation::Keygen(_) => ("TSSKeyGenRequest", "TSSKeyGenExtra"),
        Operation::Sign(_) => ("TSSKeySignRequest", "TSSKeySignExtra"),
        Operation::Reshare(_) => ("TSSKeyReshareRequest", "TSSKeyReshareExtra"),
        Operation::KeyShareSign(_) => ("TSSKeyShareSignRequest", "TSSKeyShareSignExtra"),
        Operation::Other(name) => panic!("{name} is not sent"),
    }
}

fn case(name: &str, model: &str, document: Value) -> Value {
    json!({"name": name, "model": model, "document": document})
}

/// Returns the number of documents that the models accept; all of them, or this
/// panics with the error.
fn read_by_models(documents: &[Value]) -> usize {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let python = here.join("../dist/models/bin/python");
    assert!(
        python.exists(),
        "the models are not installed; run `just models`"
    );
    let mut reader = Command::new(python)
        .arg(here.join("tests/models/cobo_waas2_models.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = reader.stdin.take().unwrap();
    let lines: String = documents
        .iter()
        .map(|document| format!("{document}\n"))
        .collect();
    std::thread::spawn(move || input.write_all(lines.as_bytes()).unwrap());
    let output = reader.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout)
        .unwrap()
        .trim()
        .parse()
        .unwrap()
}
