//! A running node as its operator sees it: the real program and its
//! components, without a coordinator.

mod node;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use countersign_host::rs256::SigningKey;
use countersign_protocol::RequesterId;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use serde_json::Value;

use node::{Node, get};

const REFUSED: &str = "changed plugins were refused and the old ones stay in force";
const RULES: &str = "enable: true\nkey_sign: {reject_all: true}\n";

/// Reads the bytes of a shipped component.
fn component(plugin: &str) -> Vec<u8> {
    let target = Path::new(env!("CARGO_BIN_EXE_countersign-node"))
        .parent()
        .and_then(Path::parent)
        .unwrap();
    let path = target.join(format!(
        "wasm32-wasip2/plugin/countersign_{}.wasm",
        plugin.replace('-', "_")
    ));
    std::fs::read(&path)
        .unwrap_or_else(|_| panic!("{} is not built; run `just build` first", path.display()))
}

/// The same component with different bytes: an additional custom section.
fn next_build(component: &[u8]) -> Vec<u8> {
    [component, &[0, 5, 4], b"next"].concat()
}

/// The certificate of a new authority, as PEM.
fn authority() -> String {
    use base64::Engine;
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = authority
        .self_signed(&KeyPair::generate().unwrap())
        .unwrap();
    let text = base64::engine::general_purpose::STANDARD.encode(certificate.der());
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

fn public_key() -> String {
    SigningKey::generate().unwrap().verifying_key().to_pem()
}

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
    node.change(
        "ca.pem",
        "no certificate",
        "changed on disk and not in force: policy.ca_file",
    );
    node.ask_to_reload(&format!(
        "{REFUSED}: the extra CA file holds no valid PEM certificate"
    ));
    node.write("ca.pem", authority());
    node.ask_to_reload("plugins reloaded: what is on disk is in force already");
    node.write("approver.pem", "no key");
    node.ask_to_reload(&format!(
        "{REFUSED}: policy.public_keys.approver cannot be used"
    ));
    node.write("approver.pem", public_key());
    node.ask_to_reload("plugins reloaded: what is on disk is in force already");
    node.change(
        "events.wasm",
        next_build(&component("jwt-events")),
        "receivers reloaded: jwt-events",
    );
    let refused = "changed receivers were refused and the old ones stay in force: jwt-events";
    node.change("events.wasm", "no component", refused);

    let log = node.log();
    let address = log
        .lines()
        .find_map(|line| line.split_once("address="))
        .expect("it says where it listens")
        .1;
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
        assert!(
            metrics.lines().any(|there| there == line),
            "{line} in:\n{metrics}"
        );
    }
    let listed = node.run("plugin list");
    assert!(
        listed.contains("jwt-events  in force")
            && listed.contains("the files on disk cannot be used"),
        "{listed}"
    );
}

#[test]
fn a_policy_that_was_edited_is_in_force_after_sighup_as_a_whole_or_not_at_all() {
    let plugin = |name: &str, file: &str| {
        format!(
            "    - {{name: {name}, file: {file}, config_file: rules.yaml, grants: {{state_bytes: 1000}}}}\n"
        )
    };
    let first = plugin("rules", "rules.wasm");
    let mut node = Node::new(&format!("policy:\n  plugins:\n{first}"));
    node.write("rules.wasm", component("rules"));
    node.write("rules.yaml", RULES);
    node.start();
    let config = std::fs::read_to_string(node.path("node.yaml")).unwrap();
    let with = |entries: &[String]| config.replace(&first, &entries.concat());
    let in_force = |node: &Node| -> Vec<String> {
        let listed: Value = serde_json::from_str(&node.run("plugin list --json")).unwrap();
        let plugins = listed["plugins"].as_array().unwrap();
        let names = plugins
            .iter()
            .map(|plugin| plugin["name"].as_str().unwrap());
        names.map(String::from).collect()
    };
    let second = plugin("rules:second", "rules.wasm");
    let missing = plugin("rules:third", "gone.wasm");
    node.write("node.yaml", with(&[first.clone(), second.clone(), missing]));
    node.ask_to_reload("the policy in the file was refused");
    assert!(node.log().contains(REFUSED));
    assert_eq!(in_force(&node), ["rules"]);
    node.write("node.yaml", with(&[second.clone(), first.clone()]));
    node.ask_to_reload("these sections are in force: policy");
    assert_eq!(in_force(&node), ["rules:second", "rules"]);
    node.write("node.yaml", with(&[second]));
    node.ask_to_reload("these sections are in force: policy");
    assert_eq!(in_force(&node), ["rules:second"]);
    node.write("node.yaml", "policy: {allow_unguarded: true}\n");
    node.ask_to_reload("the node would not start with the configuration file");
    assert_eq!(in_force(&node), ["rules:second"]);
}

/// The new requester may be meant for the new key.
#[test]
fn a_new_requester_counts_only_once_the_guards_files_do() {
    let mut node =
        Node::new("policy: {allow_unguarded: true, public_keys: {approver: approver.pem}}\n");
    node.write("approver.pem", public_key());
    node.start();
    let config = std::fs::read_to_string(node.path("node.yaml")).unwrap();
    let key = [
        0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07,
        0x3a, 0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07,
        0x51, 0x1a,
    ];
    let id = RequesterId::from_bytes(key).unwrap();
    let more = format!("{config}requesters: [{{name: desk, id: {id}}}]\n");
    node.write("node.yaml", more);
    node.write("approver.pem", "no key");
    node.ask_to_reload("these sections permit more, and that is not in force");
    assert!(!node.log().contains("are in force: requesters"));
    node.write("approver.pem", public_key());
    node.ask_to_reload("these sections are in force: requesters");
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
    let plugins = node.path("plugins");
    let compiled = node.path("db/compiled-plugins");
    std::fs::create_dir(&compiled).unwrap();
    std::fs::set_permissions(&compiled, std::fs::Permissions::from_mode(0o700)).unwrap();
    for (folder, name) in [(&plugins, &stray), (&compiled, &code)] {
        std::fs::write(folder.join(name), "nobody refers to it").unwrap();
        std::fs::write(folder.join("notes.txt"), "the operator's").unwrap();
    }
    let files = node.run("plugin list");
    assert!(
        files.contains("No node is running in") && files.contains("installed rules"),
        "{files}"
    );
    let listed: Value = serde_json::from_str(&node.run("plugin list --json")).unwrap();
    assert_eq!(
        (&listed["running"], &listed["plugins"]),
        (&Value::Bool(false), &Value::Null)
    );
    let digest = listed["installed"][0]["current"]["digest"]
        .as_str()
        .unwrap()
        .to_owned();

    node.start();
    let listed: Value = serde_json::from_str(&node.run("plugin list --json")).unwrap();
    let rules = &listed["plugins"][0];
    let gone = &listed["plugins"][1];
    assert_eq!(
        (&listed["running"], &rules["state"], &gone["state"]),
        (&true.into(), &"in-force".into(), &"broken".into())
    );
    assert_eq!(
        (rules["digest"].as_str(), rules["asked"].as_u64()),
        (Some(&*digest), Some(0))
    );
    assert_eq!(gone["broken"][0], "plugin-missing");
    let shown = node.run("plugin list");
    assert!(
        shown.contains("The node is running.")
            && shown.contains("gone is broken, and everything that it guards"),
        "{shown}"
    );

    node.wait_for("nothing refers to these files any more", 1);
    assert!(!plugins.join(&stray).exists() && !compiled.join(&code).exists());
    assert!(plugins.join("notes.txt").exists() && compiled.join("notes.txt").exists());
    assert!(
        plugins.join(format!("sha256-{digest}.wasm")).exists(),
        "in force"
    );
    let kept = std::fs::read_dir(&compiled).unwrap().filter(|file| {
        file.as_ref()
            .unwrap()
            .file_name()
            .to_string_lossy()
            .starts_with(&digest)
    });
    assert_eq!(kept.count(), 1, "its machine code");
}

/// SHA-256 of a PEM file's SubjectPublicKeyInfo, as shown in the record.
fn digest_of(pem: &str) -> String {
    use sha2::{Digest, Sha256};
    hex::encode(Sha256::digest(
        countersign_host::rs256::VerifyingKey::from_pem(pem.as_bytes())
            .unwrap()
            .spki_der(),
    ))
}

/// Only the operator can replace an approver, and never without a trace. Playing
/// another user takes root.
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
    let first = public_key();
    let second = public_key();
    node.write("callback.wasm", component("jwt-callback"));
    node.write("approver.pem", &first);
    node.write("evil.pem", &second);

    // Another user replaces the pinned key by one of its own.
    for (name, mode) in [(".", 0o755), ("approver.pem", 0o666), ("evil.pem", 0o644)] {
        node.chmod(name, mode);
    }
    let mut other = Command::new("sh");
    std::os::unix::process::CommandExt::uid(&mut other, NOBODY);
    let other = other
        .args(["-c", "cat evil.pem > approver.pem"])
        .current_dir(node.dir.path())
        .status()
        .unwrap();
    assert!(other.success(), "the other user can");
    let refused = node.fail("start");
    assert!(
        refused.contains("policy.public_keys.approver") && refused.contains("chmod go-w"),
        "{refused}"
    );
    assert!(
        node.fail("config check")
            .contains("may be written by more than its owner")
    );

    node.chmod("approver.pem", 0o644);
    node.write("approver.pem", &first);
    node.chmod("node.yaml", 0o664);
    assert!(
        node.fail("start")
            .contains("node.yaml may be written by more than its owner")
    );
    node.chmod("node.yaml", 0o644);
    assert!(
        node.run("config check")
            .contains(&format!("public key approver: {}", digest_of(&first)))
    );

    node.start();
    let lists = |node: &Node, pem: &str| {
        let listed = node.run("plugin list");
        assert!(listed.contains(&digest_of(pem)), "{listed}\n{}", node.log());
    };
    lists(&node, &first);
    std::os::unix::fs::chown(node.path("approver.pem"), Some(NOBODY), None).unwrap();
    node.ask_to_reload(&format!(
        "{REFUSED}: policy.public_keys.approver is not used"
    ));
    std::os::unix::fs::chown(node.path("approver.pem"), Some(0), None).unwrap();
    node.change(
        "approver.pem",
        &second,
        "changed on disk and not in force: policy.public_keys.approver",
    );
    lists(&node, &first); // nobody asked for the other one
    node.change(
        "callback.wasm",
        next_build(&component("jwt-callback")),
        "plugins reloaded",
    );
    lists(&node, &first); // nor for it with the plugin
    node.ask_to_reload("public key approver: ");
    lists(&node, &second);
    let audit: Vec<Value> = serde_json::from_str(&node.run("audit show --json")).unwrap();
    let of_policy: Vec<&str> = audit
        .iter()
        .filter(|entry| entry["kind"] == "Policy")
        .map(|entry| entry["text"].as_str().unwrap())
        .collect();
    assert!(
        of_policy[0].contains(&format!("public key approver: {}", digest_of(&first))),
        "{of_policy:?}"
    );
    let untaken = |text: &&str| {
        text.contains("changed on disk and not in force: policy.public_keys.approver")
    };
    assert!(of_policy.iter().any(untaken), "{of_policy:?}");
    let swap = format!(
        "public key approver: {} -> {}",
        digest_of(&first),
        digest_of(&second)
    );
    assert_eq!(
        of_policy.iter().filter(|text| text.contains(&swap)).count(),
        1,
        "{of_policy:?}"
    );
    node.run("audit verify");
}

/// A drill proves that a backup can be used. Both are noted by a node that runs, and by the command
/// line for one that does not.
#[test]
fn the_last_backup_and_the_last_drill_show_in_the_metrics_and_outlive_a_restart() {
    let mut node = Node::new("policy: {allow_unguarded: true}\nmetrics: {listen: '127.0.0.1:0'}\n");
    node.write("sealed", "a passphrase for backups only");
    node.chmod("sealed", 0o600);
    let shown = |node: &Node, name: &str| -> Option<f64> {
        node.wait_for("metrics server listening", 1);
        let log = node.log();
        let address = log.lines().find_map(|line| line.split_once("address="));
        let address = address.unwrap().1.split_whitespace().next().unwrap();
        let metrics = get(address, "/metrics");
        let start = format!("countersign_{name}_timestamp_seconds ");
        let mut lines = metrics.lines();
        lines.find_map(|line| line.strip_prefix(&start)?.parse().ok())
    };
    node.start();
    assert_eq!(
        (shown(&node, "backup"), shown(&node, "drill")),
        (None, None)
    );
    node.run("backup --backup-key-file sealed one.age");
    let first = shown(&node, "backup").expect("it was made");
    assert_eq!(shown(&node, "drill"), None, "no backup was tried");
    let told = node.run("restore --drill --backup-key-file sealed one.age");
    assert!(told.contains("The drill succeeded"), "{told}");
    let drill = shown(&node, "drill").expect("it was tried");
    assert!(drill >= first);

    node.write("sealed-wrong", "another passphrase for backups");
    node.chmod("sealed-wrong", 0o600);
    node.fail("restore --drill --backup-key-file sealed-wrong one.age");
    assert_eq!(
        shown(&node, "drill"),
        Some(drill),
        "a drill that failed is none"
    );

    node.stop();
    node.run("backup --backup-key-file sealed two.age");
    node.start();
    let second = shown(&node, "backup").unwrap();
    assert!(second > first, "{first} {second}");
    assert_eq!(shown(&node, "drill"), Some(drill));

    let other = Node::new("policy: {allow_unguarded: true}\n");
    std::fs::copy(node.path("two.age"), other.path("two.age")).unwrap();
    std::fs::copy(node.path("sealed"), other.path("sealed")).unwrap();
    let told = other.run("restore --drill --backup-key-file sealed two.age");
    assert!(told.contains("This folder is not that node's"), "{told}");
}
