//! What an operator sees and does of a node that runs: the real program, its components, and no coordinator.

use countersign_host::rs256::SigningKey;
use countersign_protocol::CoordinatorId;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use serde_json::Value;
use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A node in a folder of its own. It ends when it is dropped.
struct Node {
    dir: TempDir,
    daemon: Option<Child>,
}

impl Node {
    /// Initialised and not started. `config` follows the section of the coordinator, whom nobody plays.
    fn new(config: &str) -> Node {
        let node = Node { dir: tempfile::tempdir().unwrap(), daemon: None };
        let mut passphrase = File::options();
        passphrase.write(true).create_new(true).mode(0o600);
        let mut passphrase = passphrase.open(node.path("passphrase")).unwrap();
        passphrase.write_all(b"a passphrase for tests only").unwrap();
        let key = [
            0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a,
            0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
        ];
        let id = CoordinatorId::from_bytes(key).unwrap();
        node.write(
            "node.yaml",
            format!("coordinator: {{address: '127.0.0.1:9', id: {id}}}\nlimits: {{prime_sets: 0}}\n{config}"),
        );
        node.run("init --no-primes");
        node
    }

    fn start(&mut self) {
        let log = File::create(self.path("log")).unwrap();
        let mut command = self.command("start");
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.daemon = Some(command.spawn().unwrap());
        self.wait_for("node started", 1);
    }

    fn stop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill().unwrap();
            daemon.wait().unwrap();
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign-node"));
        command.args(line.split_whitespace()).current_dir(self.dir.path());
        command.args(["--config", "node.yaml", "--key-file", "passphrase"]);
        command
    }

    /// What a command prints, which must succeed.
    #[track_caller]
    fn run(&self, line: &str) -> String {
        let Output { status, stdout, stderr } = self.command(line).output().unwrap();
        assert!(status.success(), "{line}: {}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).unwrap()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap()
    }

    /// Waits until the log says it so many times.
    #[track_caller]
    fn wait_for(&self, words: &str, times: usize) {
        let end = Instant::now() + Duration::from_secs(120);
        while self.log().matches(words).count() < times {
            assert!(Instant::now() < end, "`{words}` is not said {times} times:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Changes a file, and waits until the log says it once more.
    #[track_caller]
    fn change(&self, name: &str, text: impl AsRef<[u8]>, words: &str) {
        let before = self.log().matches(words).count();
        self.write(name, text);
        self.wait_for(words, before + 1);
    }
}

impl Node {
    /// Sends SIGHUP, and waits until the log says it once more.
    #[track_caller]
    fn ask_to_reload(&self, words: &str) {
        let before = self.log().matches(words).count();
        let id = self.daemon.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
        self.wait_for(words, before + 1);
    }

    /// What a command says that must fail.
    #[track_caller]
    fn fail(&self, line: &str) -> String {
        let Output { status, stderr, .. } = self.command(line).stdin(Stdio::null()).output().unwrap();
        assert!(!status.success(), "{line} succeeds");
        String::from_utf8(stderr).unwrap()
    }

    fn chmod(&self, name: &str, mode: u32) {
        std::fs::set_permissions(self.path(name), PermissionsExt::from_mode(mode)).unwrap();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The bytes of a component that ships.
fn component(plugin: &str) -> Vec<u8> {
    let target = Path::new(env!("CARGO_BIN_EXE_countersign-node")).parent().and_then(Path::parent).unwrap();
    let path = target.join(format!("wasm32-wasip2/plugin/countersign_{}.wasm", plugin.replace('-', "_")));
    std::fs::read(&path).unwrap_or_else(|_| panic!("{} is not built; run `just build` first", path.display()))
}

/// The same component with other bytes: a custom section more.
fn next_build(component: &[u8]) -> Vec<u8> {
    [component, &[0, 5, 4], b"next"].concat()
}

/// The certificate of a new authority, PEM.
fn authority() -> String {
    use base64::Engine;
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = authority.self_signed(&KeyPair::generate().unwrap()).unwrap();
    let text = base64::engine::general_purpose::STANDARD.encode(certificate.der());
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

fn public_key() -> String {
    SigningKey::generate().unwrap().verifying_key().to_pem()
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

const REFUSED: &str = "changed plugins were refused and the old ones stay in force";
const RULES: &str = "enable: true\nkey_sign: {reject_all: true}\n";

#[test]
fn keys_authorities_and_receivers_may_change_while_the_node_runs() {
    let mut node = Node::new(
        "policy:
  public_keys: {approver: approver.pem}
  ca_file: ca.pem
  plugins: [{name: rules, file: rules.wasm, config_file: rules.yaml, grants: {state_bytes: 1000}}]
events:
  receivers:
    - {name: jwt-events, file: events.wasm, config: {url: 'https://127.0.0.1:9/'}, grants: {keys: [event], http: ['https://127.0.0.1:9/']}}
metrics: {listen: '127.0.0.1:0', job: tests, name_prefix: my_}
",
    );
    node.run("event key create");
    node.write("rules.wasm", component("rules"));
    node.write("rules.yaml", RULES);
    node.write("events.wasm", component("jwt-events"));
    node.write("ca.pem", authority());
    node.write("approver.pem", public_key());
    node.start();
    node.change("ca.pem", "no certificate", "changed on disk and not in force: policy.ca_file");
    node.ask_to_reload(&format!("{REFUSED}: the extra CA file holds no valid PEM certificate"));
    node.write("ca.pem", authority());
    node.ask_to_reload("plugins reloaded: what is on disk is in force already");
    node.write("approver.pem", "no key");
    node.ask_to_reload(&format!("{REFUSED}: policy.public_keys.approver cannot be used"));
    node.write("approver.pem", public_key());
    node.ask_to_reload("plugins reloaded: what is on disk is in force already");
    node.change("events.wasm", next_build(&component("jwt-events")), "receivers reloaded: jwt-events");
    let refused = "changed receivers were refused and the old ones stay in force: jwt-events";
    node.change("events.wasm", "no component", refused);

    let log = node.log();
    let address =
        log.lines().find_map(|line| line.split_once("address=")).expect("it says where it listens").1;
    let address = address.split_whitespace().next().unwrap();
    assert!(get(address, "/live").starts_with("HTTP/1.1 200"));
    let ready = get(address, "/ready");
    assert!(
        ready.starts_with("HTTP/1.1 503")
            && ready.ends_with("coordinator: there is no link; the log says why\n"),
        "{ready}"
    );
    let metrics = get(address, "/metrics");
    for line in [
        r#"my_countersign_online{job="tests"} 0.0"#,
        r#"my_countersign_store_readable{job="tests"} 1.0"#,
        r#"my_countersign_plugin_swaps_total{job="tests",result="taken"} 2"#,
        r#"my_countersign_plugin_swaps_total{job="tests",result="refused"} 2"#,
        r#"my_countersign_plugin_broken{job="tests",plugin="rules",version="0.1.0"} 0.0"#,
        r#"my_countersign_receiver_broken{job="tests",receiver="jwt-events"} 1.0"#,
    ] {
        assert!(metrics.lines().any(|there| there == line), "{line} in:\n{metrics}");
    }
    let listed = node.run("plugin list");
    assert!(
        listed.contains("jwt-events  in force") && listed.contains("what is on disk is not taken up"),
        "{listed}"
    );
}

#[test]
fn a_node_that_runs_is_asked_how_its_plugins_fare_and_keeps_its_folders_clean() {
    let mut node = Node::new(
        "policy:
  plugins:
    - {name: rules, config_file: rules.yaml, grants: {state_bytes: 1000}}
    - {name: gone, file: gone.wasm, scope: {operations: [keygen]}}
",
    );
    node.write("rules.wasm", component("rules"));
    node.write("rules.yaml", RULES);
    node.run("plugin install rules.wasm");
    let stray = format!("sha256-{}.wasm", "0".repeat(64));
    let code = format!("{}-{}.cwasm", "0".repeat(64), "1".repeat(16));
    let (plugins, compiled) = (node.path("plugins"), node.path("db/compiled-plugins"));
    std::fs::create_dir(&compiled).unwrap();
    std::fs::set_permissions(&compiled, std::fs::Permissions::from_mode(0o700)).unwrap();
    for (folder, name) in [(&plugins, &stray), (&compiled, &code)] {
        std::fs::write(folder.join(name), "nobody refers to it").unwrap();
        std::fs::write(folder.join("notes.txt"), "the operator's").unwrap();
    }
    let files = node.run("plugin list");
    assert!(files.contains("No node runs in") && files.contains("installed rules"), "{files}");
    let listed: Value = serde_json::from_str(&node.run("plugin list --json")).unwrap();
    assert_eq!((&listed["running"], &listed["plugins"]), (&Value::Bool(false), &Value::Null));
    let digest = listed["installed"][0]["current"]["digest"].as_str().unwrap().to_owned();

    node.start();
    let listed: Value = serde_json::from_str(&node.run("plugin list --json")).unwrap();
    let (rules, gone) = (&listed["plugins"][0], &listed["plugins"][1]);
    assert_eq!(
        (&listed["running"], &rules["state"], &gone["state"]),
        (&true.into(), &"in-force".into(), &"broken".into())
    );
    assert_eq!((rules["digest"].as_str(), rules["asked"].as_u64()), (Some(&*digest), Some(0)));
    assert_eq!(gone["broken"][0], "plugin-missing");
    let shown = node.run("plugin list");
    assert!(
        shown.contains("The node runs.") && shown.contains("gone is broken, and everything that it guards"),
        "{shown}"
    );

    node.wait_for("nothing refers to these files any more", 1);
    assert!(!plugins.join(&stray).exists() && !compiled.join(&code).exists());
    assert!(plugins.join("notes.txt").exists() && compiled.join("notes.txt").exists());
    assert!(plugins.join(format!("sha256-{digest}.wasm")).exists(), "in force");
    let kept = std::fs::read_dir(&compiled)
        .unwrap()
        .filter(|file| file.as_ref().unwrap().file_name().to_string_lossy().starts_with(&digest));
    assert_eq!(kept.count(), 1, "its machine code");
}

/// SHA-256 of a PEM file's SubjectPublicKeyInfo, as the record has it.
fn digest_of(pem: &str) -> String {
    use sha2::{Digest, Sha256};
    hex::encode(Sha256::digest(
        countersign_host::rs256::VerifyingKey::from_pem(pem.as_bytes()).unwrap().spki_der(),
    ))
}

/// Who approves is swapped by nobody but the operator, and never without a trace. Only root can play another user.
#[test]
fn a_pinned_key_that_another_user_could_write_is_refused_and_each_change_is_on_record() {
    const NOBODY: u32 = 65_534;
    let mut node = Node::new(
        "policy:
  public_keys: {approver: approver.pem}
  plugins:
    - name: jwt-callback
      file: callback.wasm
      config: {servers: [{url: 'https://127.0.0.1:9/', key: approver}]}
      grants: {keys: [callback, approver], http: ['https://127.0.0.1:9/']}
",
    );
    if !std::fs::metadata(node.path("node.yaml"))
        .is_ok_and(|file| std::os::unix::fs::MetadataExt::uid(&file) == 0)
    {
        return eprintln!("skipped: needs root");
    }
    let (first, second) = (public_key(), public_key());
    node.write("callback.wasm", component("jwt-callback"));
    node.write("approver.pem", &first);
    node.write("evil.pem", &second);

    // Another user puts a key of its own in the place of the pinned one.
    for (name, mode) in [(".", 0o755), ("approver.pem", 0o666), ("evil.pem", 0o644)] {
        node.chmod(name, mode);
    }
    let mut other = Command::new("sh");
    std::os::unix::process::CommandExt::uid(&mut other, NOBODY);
    let other =
        other.args(["-c", "cat evil.pem > approver.pem"]).current_dir(node.dir.path()).status().unwrap();
    assert!(other.success(), "the other user can");
    let refused = node.fail("start");
    assert!(refused.contains("policy.public_keys.approver") && refused.contains("chmod go-w"), "{refused}");
    assert!(node.fail("config check").contains("may be written by more than its owner"));

    node.chmod("approver.pem", 0o644);
    node.write("approver.pem", &first);
    node.chmod("node.yaml", 0o664);
    assert!(node.fail("start").contains("node.yaml may be written by more than its owner"));
    node.chmod("node.yaml", 0o644);
    assert!(node.run("config check").contains(&format!("public key approver: {}", digest_of(&first))));

    node.start();
    let lists = |node: &Node, pem: &str| {
        let listed = node.run("plugin list");
        assert!(listed.contains(&digest_of(pem)), "{listed}\n{}", node.log());
    };
    lists(&node, &first);
    std::os::unix::fs::chown(node.path("approver.pem"), Some(NOBODY), None).unwrap();
    node.ask_to_reload(&format!("{REFUSED}: policy.public_keys.approver is not used"));
    std::os::unix::fs::chown(node.path("approver.pem"), Some(0), None).unwrap();
    node.change("approver.pem", &second, "changed on disk and not in force: policy.public_keys.approver");
    lists(&node, &first); // nobody asked for the other one
    node.ask_to_reload("public key approver: ");
    lists(&node, &second);
    let audit: Vec<Value> = serde_json::from_str(&node.run("audit show --json")).unwrap();
    let of_policy: Vec<&str> = audit
        .iter()
        .filter(|entry| entry["kind"] == "Policy")
        .map(|entry| entry["text"].as_str().unwrap())
        .collect();
    assert!(of_policy[0].contains(&format!("public key approver: {}", digest_of(&first))), "{of_policy:?}");
    let swap = format!("public key approver: {} -> {}", digest_of(&first), digest_of(&second));
    assert_eq!(of_policy.iter().filter(|text| text.contains(&swap)).count(), 1, "{of_policy:?}");
    node.run("audit verify");
}
