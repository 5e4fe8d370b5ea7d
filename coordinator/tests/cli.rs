//! The binary from an operator's view: its output, its files, its stop.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The id of a node: a valid point of the curve.
const NODE: &str = "csn132yw8ht5p8cetl2jmvknewjawt9xwzdlrk2pyxlnwjyqrdq0dawq8h05du";

fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_countersign-coordinator"))
        .args(args)
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn init(dir: &Path) -> String {
    let output = run(&["init", "--data", dir.to_str().unwrap()]);
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output).trim().to_owned()
}

#[test]
fn init_makes_a_private_key_and_a_good_configuration_once() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let id = init(&data);
    assert!(id.starts_with("csc1"), "{id}");
    let mode = std::fs::metadata(data.join("identity.key"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let config = data.join("coordinator.yaml");
    assert!(
        run(&["check", "--config", config.to_str().unwrap()])
            .status
            .success()
    );
    let again = run(&["init", "--data", data.to_str().unwrap()]);
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).starts_with("error: "), "{}", stderr(&again));
}

#[test]
fn a_new_api_key_is_shown_once_and_its_entry_fits_the_configuration() {
    let output = run(&["api-key", "new", "ops", "--scope", "read,create", "--json"]);
    let made: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("c.yaml");
    std::fs::write(
        &config,
        format!("data: .\napi_keys:\n  - {}\n", made["entry"]),
    )
    .unwrap();
    let check = run(&["check", "--config", config.to_str().unwrap()]);
    assert!(check.status.success(), "{}", stderr(&check));
    let key = made["key"].as_str().unwrap();
    assert!(key.starts_with("csapi_") && !made["entry"].to_string().contains(&key[6..]));
}

#[test]
fn keys_and_nodes_are_added_to_the_configuration_and_its_comments_stay() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let config = dir.path().join("coordinator.yaml");
    let before = std::fs::read_to_string(&config).unwrap();
    let file = config.to_str().unwrap();
    let key = run(&["api-key", "new", "ops", "--scope", "read", "--config", file]);
    assert!(key.status.success(), "{}", stderr(&key));
    assert!(stdout(&key).starts_with("csapi_"));
    let id = "csn1";
    let node = run(&["node", "add", "alice", id, "--config", file]);
    assert_eq!(node.status.code(), Some(1), "an id that is cut short");
    let id = NODE;
    let node = run(&["node", "add", "alice", id, "--config", file]);
    assert!(node.status.success(), "{}", stderr(&node));
    let after = std::fs::read_to_string(&config).unwrap();
    let added: Vec<&str> = after
        .lines()
        .filter(|line| !before.lines().any(|old| old == *line))
        .collect();
    assert_eq!(added.len(), 2, "{added:?}");
    assert!(before.lines().all(|line| after.contains(line)));
    let check = run(&["check", "--config", file]);
    assert!(check.status.success(), "{}", stderr(&check));

    let twice = run(&["node", "add", "alice", id, "--config", file]);
    assert_eq!(twice.status.code(), Some(1));
    assert!(
        stderr(&twice).contains("listed twice"),
        "{}",
        stderr(&twice)
    );
    assert_eq!(std::fs::read_to_string(&config).unwrap(), after);
}

#[test]
fn of_several_guests_all_are_invited_or_none() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let config = dir.path().join("coordinator.yaml");
    let file = config.to_str().unwrap();
    let invite = |names: &[&str], stdout: Stdio| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign-coordinator"));
        command.args(["invite", "--config", file, "--address", "c:7443"]);
        for name in names {
            command.args(["--name", name]);
        }
        let output = command.stdout(stdout).stderr(Stdio::piped()).spawn();
        output.unwrap().wait_with_output().unwrap()
    };
    let open = || {
        let listed = run(&["invite", "list", "--config", file, "--json"]);
        let listed: serde_json::Value = serde_json::from_str(&stdout(&listed)).unwrap();
        listed.as_array().unwrap().len()
    };
    for (names, told) in [
        (["alice", "bob", "csn1carol"], "cannot be a name"),
        (["alice", "bob", "alice"], "invited twice"),
    ] {
        let refused = invite(&names, Stdio::piped());
        assert_eq!(refused.status.code(), Some(1));
        assert!(stderr(&refused).contains(told), "{}", stderr(&refused));
        assert_eq!((open(), stdout(&refused)), (0, String::new()), "{told}");
    }
    let full = std::fs::File::options().write(true).open("/dev/full");
    let unseen = invite(&["alice", "bob"], full.unwrap().into());
    assert_eq!(unseen.status.code(), Some(1));
    let told = stderr(&unseen);
    assert!(told.contains("nobody is invited"), "{told}");
    assert_eq!(open(), 0, "nobody saw the tokens");
    assert!(invite(&["alice", "bob"], Stdio::piped()).status.success());
    assert_eq!(open(), 2);
}

#[test]
fn an_unknown_key_stops_the_start_with_line_and_advice() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("c.yaml");
    std::fs::write(&config, "data: .\nlisten_quick: 127.0.0.1:1\n").unwrap();
    let output = run(&["serve", "--config", config.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let told = format!(
        "error: {}: line 2, column 1: there is no key `listen_quick` here; did you mean `listen_quic`?\n",
        config.display()
    );
    assert_eq!(stderr(&output), told);
}

#[test]
fn an_api_that_others_can_reach_needs_tls_that_works() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let config = dir.path().join("coordinator.yaml");
    let refused = |rest: &str| {
        let text = format!("data: .\nlisten_quic: 127.0.0.1:0\nlisten_http: 0.0.0.0:0\n{rest}");
        std::fs::write(&config, text).unwrap();
        let told = ["check", "serve"].map(|command| {
            let output = run(&[command, "--config", config.to_str().unwrap()]);
            assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
            stderr(&output)
        });
        let [checked, served] = told;
        assert!(served.ends_with(&checked), "{checked} {served}");
        checked
    };
    let told = refused("");
    assert!(
        told.contains("add `tls: {certificate: FILE, key: FILE}`"),
        "{told}"
    );
    let told = refused("tls: {certificate: chain.pem, key: key.pem}\n");
    assert!(
        told.contains("chain.pem") && told.contains("correct `tls`"),
        "{told}"
    );
    std::fs::write(dir.path().join("chain.pem"), "nonsense").unwrap();
    std::fs::write(dir.path().join("key.pem"), "nonsense").unwrap();
    let told = refused("tls: {certificate: chain.pem, key: key.pem}\n");
    assert!(told.contains("chmod 600"), "{told}");
    let private = PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(dir.path().join("key.pem"), private).unwrap();
    let told = refused("tls: {certificate: chain.pem, key: key.pem}\n");
    assert!(told.contains("holds no certificate"), "{told}");
}

#[test]
fn help_names_every_command() {
    let help = stdout(&run(&["--help"]));
    for word in ["init", "serve", "api-key", "check", "version", "Exit codes"] {
        assert!(help.contains(word), "{word} is missing in\n{help}");
    }
}

#[test]
fn it_stops_on_sigterm_with_success() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let config = dir.path().join("coordinator.yaml");
    std::fs::write(
        &config,
        "data: .\nlisten_quic: 127.0.0.1:0\nlisten_http: 127.0.0.1:0\nlog: {file: {enable: true, format: json}}\n",
    )
    .unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_countersign-coordinator"))
        .args(["serve", "--config", config.to_str().unwrap()])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("coordinator runs")));
    let id = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &id])
            .status()
            .unwrap()
            .success()
    );
    assert!(child.wait().unwrap().success());
    assert!(lines.any(|line| line.unwrap().contains("coordinator stopped")));
    let log = std::fs::read_to_string(dir.path().join("logs/countersign-coordinator.log")).unwrap();
    let last: serde_json::Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert_eq!(last["message"], "coordinator stopped");
}
