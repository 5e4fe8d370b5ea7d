//! Keys of the configuration that were made through the API as well: the coordinator starts, and
//! those that were made count.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Running, Stdio, wait_until};

fn spec(secret: &str) -> Value {
    json!({"sha256": hex::encode(Sha256::digest(secret)), "scopes": ["read"]})
}

fn entry(name: &str, secret: &str) -> Value {
    let mut entry = spec(secret);
    entry["name"] = json!(name);
    entry
}

/// The statuses of a request with each key.
fn answers(coordinator: &Running, secrets: &[&str]) -> Vec<u16> {
    let ask = |secret: &&str| Running::try_ask(coordinator.http, secret, "GET", "/v1/tasks", "");
    secrets.iter().map(|secret| ask(secret).unwrap()).collect()
}

#[test]
fn an_entry_of_the_configuration_neither_stops_the_start_nor_revives_a_key() {
    let dir = tempfile::tempdir().unwrap();
    let mut coordinator = Running::start(dir.path(), |command| command.stderr(Stdio::null()));
    let put = |name: &str, spec: Value| {
        let path = format!("/v1/api-keys/{name}");
        let (status, body) = coordinator.ask("PUT", &path, &spec.to_string());
        assert_eq!(status, 201, "{body}");
    };
    let mut ended = spec("ended");
    ended["expires"] = json!(5);
    put("desk", spec("made"));
    put("ended", ended);
    put("gone", spec("gone"));
    let (status, _) = coordinator.ask("DELETE", "/v1/api-keys/gone", "");
    assert_eq!(status, 204);

    let file = dir.path().join("coordinator.yaml");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    config["log"] = json!({"file": {"enable": true, "filename": "log"}});
    let keys = config["api_keys"].as_array_mut().unwrap();
    let added = [
        entry("desk", "of-the-file"),
        entry("office", "made"),
        entry("ended-2", "ended"),
        entry("gone", "gone"),
        entry("good", "good"),
    ];
    keys.extend(added);
    std::fs::write(&file, config.to_string()).unwrap();
    let secrets = ["made", "of-the-file", "ended", "gone", "good"];
    let check = |coordinator: &Running| {
        assert_eq!(answers(coordinator, &secrets), [200, 401, 401, 401, 200]);
        let (_, list) = coordinator.ask("GET", "/v1/api-keys", "");
        let keys = list["api_keys"].as_array().unwrap();
        let names: Vec<&str> = keys
            .iter()
            .map(|key| key["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["desk", "ended", "good", "ops"]);
    };
    // What takes effect is the same at a reload and at a start.
    coordinator.hang_up();
    wait_until("it is applied", || {
        answers(&coordinator, &["good"]) == [200]
    });
    check(&coordinator);
    coordinator.kill_and_restart(dir.path());
    check(&coordinator);
    // The file may be a line behind.
    wait_until("the log has it", || {
        std::fs::read_to_string(dir.path().join("log")).is_ok_and(|log| log.contains("`gone`"))
    });
    let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
    for (name, what) in [
        ("desk", "that one counts"),
        ("office", "that one counts"),
        ("ended-2", "that one counts"),
        ("gone", "revoked or replaced"),
    ] {
        let told = |line: &str| line.contains(&format!("`{name}`")) && line.contains(what);
        assert!(log.lines().any(told), "{name}: {log}");
    }

    // The name is free again, but the credential is not.
    for name in ["desk", "ended"] {
        let (status, _) = coordinator.ask("DELETE", &format!("/v1/api-keys/{name}"), "");
        assert_eq!(status, 204);
    }
    coordinator.kill_and_restart(dir.path());
    assert_eq!(answers(&coordinator, &secrets), [401, 200, 401, 401, 200]);
}
