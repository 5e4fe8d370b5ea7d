//! `countersign-node plugin` from outside: the real program and the shipped
//! components, without a node.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use countersign_host::rs256::SigningKey;
use countersign_protocol::CoordinatorId;
use serde_json::Value;
use tempfile::TempDir;

const UNGUARDED: &str = "policy: {allow_unguarded: true}\n";
const RULES: &str =
    "enable: true\nkey_gen: {allow_list: [{threshold: 2, node_ids: [csn1…a, csn1…b, csn1…c]}]}\n";

/// A folder with a configuration file, in which the program works.
struct Bench {
    dir: TempDir,
}

impl Bench {
    fn new(policy: &str) -> Self {
        let bench = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        bench.write("node.yaml", format!("{}{policy}", coordinator()));
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn run(&self, line: &str) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign-node"));
        command
            .args(line.split_whitespace())
            .args(["--config", "node.yaml"])
            .current_dir(self.dir.path());
        Said::new(command.output().unwrap())
    }

    /// Copies a shipped component into the folder.
    fn bring(&self, plugin: &str, name: &str) {
        self.write(name, std::fs::read(component(plugin)).unwrap());
    }
}

/// The output and the exit code of a command.
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    fn new(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Returns the output if the command ended with `code`.
    #[track_caller]
    fn with(self, code: i32) -> String {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        self.out + &self.err
    }

    #[track_caller]
    fn json(self, code: i32) -> Value {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        serde_json::from_str(&self.out).unwrap()
    }
}

fn coordinator() -> String {
    let key = [
        0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07,
        0x3a, 0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07,
        0x51, 0x1a,
    ];
    format!(
        "coordinator: {{address: 'localhost:1', id: {}}}\n",
        CoordinatorId::from_bytes(key).unwrap()
    )
}

fn component(plugin: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_BIN_EXE_countersign-node"))
        .parent()
        .and_then(Path::parent)
        .unwrap();
    let file = format!(
        "wasm32-wasip2/plugin/countersign_{}.wasm",
        plugin.replace('-', "_")
    );
    let path = target.join(file);
    assert!(
        path.exists(),
        "{} is not built; run `just build` first",
        path.display()
    );
    path
}

/// The same component with different bytes: an additional custom section.
fn next_build(component: &[u8]) -> Vec<u8> {
    [component, &[0, 5, 4], b"next"].concat()
}

#[test]
fn a_verdict_is_explained_and_told_by_the_exit_code() {
    let bench = Bench::new(UNGUARDED);
    bench.bring("rules", "rules.wasm");
    bench.write("rules.yaml", RULES);
    bench.write(
        "task.json",
        bench.run("plugin run --example keygen").with(0),
    );
    let run = "plugin run ./rules.wasm --plugin-config rules.yaml --task task.json";
    let approved = bench.run(run).with(0);
    assert!(
        approved.contains("rules ") && approved.contains("Verdict  approve"),
        "{approved}"
    );
    bench.write("rules.yaml", RULES.replace("threshold: 2", "threshold: 3"));
    let refused = bench.run(run).with(3);
    assert!(refused.contains("keygen-not-allowed"), "{refused}");
    let json = bench.run(&format!("{run} --json")).json(3);
    assert_eq!(
        (&json["approved"], &json["code"]),
        (&false.into(), &"keygen-not-allowed".into())
    );
    bench.write("task.json", r#"{"operation": {"keygen": {"treshold": 2}}}"#);
    let wrong = bench.run(run).with(1);
    assert!(
        wrong.contains("`treshold`") && wrong.contains("threshold"),
        "{wrong}"
    );
    bench
        .run("plugin run ./rules.wasm --tusk task.json")
        .with(2);
}

#[test]
fn a_tried_plugin_reaches_no_network_unless_the_operator_wants_it() {
    let bench = Bench::new(
        "policy:
  public_keys: {approver: approver.pem}
  plugins:
    - name: jwt-callback
      file: callback.wasm
      config: {retry_times: 0, servers: [{url: 'http://127.0.0.1:9/v2/check', key: approver}]}
      grants: {keys: [callback, approver], http: ['http://127.0.0.1:9/v2/check']}
",
    );
    bench.bring("jwt-callback", "callback.wasm");
    bench.write(
        "approver.pem",
        SigningKey::generate().unwrap().verifying_key().to_pem(),
    );
    bench.write(
        "task.json",
        bench.run("plugin run --example keysign").with(0),
    );
    let refused = bench
        .run("plugin run jwt-callback --task task.json")
        .with(3);
    assert!(
        refused.contains("Requests it would send:\n  POST http://127.0.0.1:9/v2/check ("),
        "{refused}"
    );
    let sent = bench
        .run("plugin run jwt-callback --task task.json --network")
        .with(3);
    assert!(sent.contains("Requests it sent:"), "{sent}");
}

#[test]
fn what_is_installed_can_be_listed_checked_and_rolled_back() {
    let bench = Bench::new(
        "policy: {plugins: [{name: rules, config_file: rules.yaml, grants: {state_bytes: 1000}}]}\n",
    );
    bench.bring("rules", "first.wasm");
    bench.write(
        "second.wasm",
        next_build(&std::fs::read(bench.path("first.wasm")).unwrap()),
    );
    bench.write("rules.yaml", RULES);
    let missing = bench.run("plugin check rules").with(1);
    assert!(
        missing.contains("`rules`") && missing.contains("install it"),
        "{missing}"
    );
    let first = bench.run("plugin install first.wasm --json").json(0);
    let said = bench.run("plugin install second.wasm").with(0);
    assert!(said.contains("Used by rules"), "{said}");
    let listed = bench.run("plugin list --json").json(0);
    assert_eq!(
        listed["installed"][0]["previous"][0]["digest"],
        first["current"]["digest"]
    );
    assert_ne!(
        listed["installed"][0]["current"]["digest"],
        first["current"]["digest"]
    );
    let checked = bench.run("plugin check rules").with(0);
    assert!(checked.contains("Its configuration is valid."), "{checked}");
    assert!(
        bench
            .run("plugin rollback rules")
            .with(0)
            .starts_with("Back to rules")
    );
    let digest = first["current"]["digest"].as_str().unwrap();
    assert!(bench.run("plugin check rules").with(0).contains(digest));
}

#[test]
fn mistakes_in_a_file_of_rules_are_told_with_file_line_and_nearest_key() {
    let bench = Bench::new(
        "policy: {plugins: [{name: rules, file: rules.wasm, config_file: rules.yaml, grants: {state_bytes: 1000}}]}\n",
    );
    bench.bring("rules", "rules.wasm");
    bench.write(
        "task.json",
        bench.run("plugin run --example keysign").with(0),
    );
    let told = |rules: &str, parts: &[&str]| {
        bench.write("rules.yaml", rules);
        for command in [
            "plugin check rules",
            "plugin run rules --task task.json",
            "config check",
        ] {
            let said = bench.run(command).with(1);
            assert!(
                parts.iter().all(|part| said.contains(part)),
                "{command}: {said}"
            );
        }
    };
    // The rule that refuses everything must not be overridden by one further down.
    let twice = "enable: true\nkey_sign: {reject_all: true}\nkey_sign: {reject_all: false}\n";
    told(
        twice,
        &[
            "rules.yaml: line 3, column 1: `key_sign` appears twice in this mapping, first on line 2",
        ],
    );
    told(
        "enable: true\nkey_sing: {}\n",
        &["unknown field `key_sing`", "rules.yaml, line 2, column 1"],
    );
    let deep = "enable: true\nkey_gen:\n  allow_list:\n  - threshold: 2\n    node_ids: [a]\n  - threshhold: 2\n";
    told(
        deep,
        &["unknown field `threshhold`", "rules.yaml, line 6, column 5"],
    );
    told(
        "enable: true\nkey_gen: [\n",
        &["rules.yaml: line ", "this is not YAML"],
    );
}

#[test]
fn where_publishers_are_trusted_only_what_one_of_them_signed_is_installed() {
    let bench = Bench::new(UNGUARDED);
    bench.bring("rules", "rules.wasm");
    let made = bench.run("plugin keygen --out publisher.key").with(0);
    let key = made
        .lines()
        .find_map(|line| line.strip_prefix("Public key:"))
        .unwrap()
        .trim()
        .to_owned();
    bench.run("plugin keygen --out publisher.key").with(1);
    let trusting =
        format!("policy: {{allow_unguarded: true, trusted_publishers: {{acme: {key}}}}}\n");
    bench.write("node.yaml", coordinator() + &trusting);
    assert!(
        bench
            .run("plugin install rules.wasm")
            .with(1)
            .contains("no signature")
    );
    bench
        .run("plugin sign rules.wasm --key publisher.key")
        .with(0);
    assert!(
        bench
            .run("plugin install rules.wasm")
            .with(0)
            .contains("acme")
    );
    bench.write(
        "rules.wasm",
        next_build(&std::fs::read(bench.path("rules.wasm")).unwrap()),
    );
    assert!(
        bench
            .run("plugin install rules.wasm")
            .with(1)
            .contains("no trusted publisher signed these bytes")
    );
}

#[test]
fn config_check_tells_whose_preflights_are_answered() {
    let bench = Bench::new("policy: {allow_unguarded: true}\n");
    let one = "csr1qwss00lnecgtu8tsm5vwwj7qn9n7f43snwjs6hcamjrxgyj4xxuqzx88mt";
    for (rest, said) in [
        ("", "answered to treasury; each 120 a minute"),
        ("preflight: {allow: false}\n", "answered to nobody"),
        ("preflight: {per_minute: 7}\n", "each 7 a minute"),
    ] {
        let requesters = format!("requesters:\n- {{name: treasury, id: {one}}}\n");
        bench.write("node.yaml", coordinator() + &requesters + rest);
        let output = bench.run("config check").out;
        assert!(output.contains(said), "`{said}` is missing in\n{output}");
    }
}

#[test]
fn config_check_shows_what_shorthands_stand_for() {
    let bench = Bench::new("policy: {allow_unguarded: true}\n");
    for plugin in ["rules", "jwt-callback"] {
        bench.bring(plugin, "component.wasm");
        bench.run("plugin install component.wasm").with(0);
    }
    bench.write(
        "server.pem",
        SigningKey::generate().unwrap().verifying_key().to_pem(),
    );
    let brought = "env: production
callback: {cb_server_v2: [{service_address: 'https://risk.example/v2/check', pubkey_path: server.pem}]}
embedded_risk_control_rules: {enable: true, key_sign: {reject_all: true}}
";
    bench.write("node.yaml", coordinator() + brought);
    let said = bench.run("config check").with(0);
    for words in [
        "env is ignored",
        "policy:\n",
        "- name: rules",
        "callback-v2-1: server.pem",
        "wall_ms: 65000",
    ] {
        assert!(said.contains(words), "{words} in:\n{said}");
    }
    let section = &said[said.find("policy:\n").unwrap()..];
    bench.write("node.yaml", coordinator() + section);
    let again = bench.run("config check").with(0);
    assert!(
        again.contains("jwt-callback") && !again.contains("shorthands"),
        "{again}"
    );
}

#[test]
fn config_check_loads_receivers_and_shows_what_their_shorthand_stands_for() {
    let event = "event: {server: [{url: 'https://risk.example/v2/event'}], event_types: [request.keysign.failed]}\n";
    let bench = Bench::new(&format!("{UNGUARDED}{event}"));
    let missing = bench.run("config check").with(1);
    assert!(
        missing.contains("receiver `jwt-events:1`") && missing.contains("install it"),
        "{missing}"
    );
    bench.bring("jwt-events", "component.wasm");
    bench.run("plugin install component.wasm").with(0);
    let said = bench.run("config check").with(0);
    for words in [
        "receiver     jwt-events:1 0.1.0 sha256:",
        "event key",
        "events:\n",
        "- name: jwt-events:1",
        "- event\n",
    ] {
        assert!(said.contains(words), "{words} in:\n{said}");
    }
    let section = &said[said.find("\nevents:\n").unwrap()..];
    bench.write("node.yaml", coordinator() + UNGUARDED + section);
    let again = bench.run("config check").with(0);
    assert!(
        again.contains("receiver     jwt-events:1") && !again.contains("shorthands"),
        "{again}"
    );
    bench.write(
        "node.yaml",
        coordinator() + UNGUARDED + &section.replace("- event\n", "- callback\n"),
    );
    let foreign = bench.run("config check").with(1);
    assert!(
        foreign.contains("is granted the key `callback`"),
        "{foreign}"
    );
    bench.write(
        "node.yaml",
        coordinator()
            + UNGUARDED
            + &section.replace("token_expire_minutes: 2", "token_expire_minutes: 0"),
    );
    let wrong = bench.run("config check").with(1);
    assert!(
        wrong.contains("receiver `jwt-events:1`") && wrong.contains("must not be 0"),
        "{wrong}"
    );
}
