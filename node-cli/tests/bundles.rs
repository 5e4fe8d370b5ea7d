//! Policy bundles as operators and publishers see them: the real program, shipped components, and a
//! node that runs without a coordinator.

mod node;

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Output};

use countersign_host::BundleSignature;
use zeroize::Zeroizing;

use node::Node;

const PUBLISHERS: [(&str, u8); 3] = [("ana", 1), ("ben", 2), ("eve", 3)];
const REJECT: &str = "{enable: true, key_gen: {reject_all: true}}";
/// The grants of `rules`.
const ONE: &str = "{state_bytes: 1000}";
/// Exit code of a bundle that waits.
const WAITS: i32 = 3;

/// A node that follows the policy `treasury` of [`PUBLISHERS`], two of whom must sign.
fn follower(delay: &str) -> Node {
    let publisher = |(name, seed): (&str, u8)| {
        let seed = Zeroizing::new([seed; 32]);
        let key = BundleSignature::sign(&[0; 32], &seed).key;
        format!("{{name: {name}, key: \"{}\"}}", hex::encode(key))
    };
    let publishers = PUBLISHERS.map(publisher).join(", ");
    let node = Node::new(&format!(
        "policy:
  bundles: {{name: treasury, publishers: [{publishers}], needed: 2, delay: {delay}, grants: {{state_bytes: 1000}}}}
  plugins: [{{name: 'rules:own', file: rules.wasm, config: {REJECT}, grants: {{state_bytes: 1000}}}}]
"
    ));
    std::fs::copy(component(), node.path("rules.wasm")).unwrap();
    for (name, seed) in PUBLISHERS {
        let mut key = std::fs::File::options();
        let key = key.write(true).create_new(true).mode(0o600);
        let mut key = key.open(node.path(&format!("{name}.key"))).unwrap();
        key.write_all(hex::encode([seed; 32]).as_bytes()).unwrap();
    }
    node
}

fn component() -> std::path::PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_countersign-node"));
    let target = program.parent().and_then(Path::parent).unwrap();
    let path = target.join("wasm32-wasip2/plugin/countersign_rules.wasm");
    let shown = path.display();
    assert!(
        path.exists(),
        "{shown} is not built; run `just build` first"
    );
    path
}

/// Runs the program of somebody who has no node, with this configuration.
#[track_caller]
fn author(node: &Node, line: &str) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign-node"));
    let Output { status, stderr, .. } = command
        .args(line.split_whitespace())
        .args(["--config", "author.yaml"])
        .current_dir(node.dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{line}: {said}");
}

/// Publishes a bundle with entries of these names and grants, signed by these publishers.
#[track_caller]
fn publish(node: &Node, version: u32, entries: &[(&str, &str)], signers: &[&str]) {
    let entry = |(name, grants): &(&str, &str)| {
        format!("    - {{name: '{name}', file: rules.wasm, config: {REJECT}, grants: {grants}}}\n")
    };
    let entries: String = entries.iter().map(entry).collect();
    node.write("author.yaml", format!("policy:\n  plugins:\n{entries}"));
    author(
        node,
        &format!("policy draft --name treasury --bundle-version {version} --out {version}.bundle"),
    );
    for signer in signers {
        author(
            node,
            &format!("policy sign {version}.bundle --key {signer}.key --yes"),
        );
    }
    author(
        node,
        &format!("policy publish {version}.bundle --out {version}.signed"),
    );
}

/// Runs a command that must end with this code, and returns all that it said.
#[track_caller]
fn ends_with(node: &Node, line: &str, code: i32) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = node.command(line).output().unwrap();
    let said = [stdout, stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert_eq!(status.code(), Some(code), "{line}: {said}\n{}", node.log());
    said
}

#[track_caller]
fn in_force(node: &Node) -> u64 {
    let status = node.run("policy status --json");
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    status["schedule"]["present"]["version"].as_u64().unwrap()
}

/// Milliseconds that the bundle has waited that waits.
#[track_caller]
fn waited(node: &Node) -> u64 {
    let status = node.run("policy status --json");
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    status["schedule"]["waiting"]["waited_ms"].as_u64().unwrap()
}

#[test]
fn a_loosening_takes_effect_after_its_delay_also_if_the_node_restarts_meanwhile() {
    let mut node = follower("20s");
    node.start();
    publish(
        &node,
        1,
        &[("rules", ONE), ("rules:more", ONE)],
        &["ana", "ben"],
    );
    let shown = node.run("policy show 1.signed");
    assert!(shown.contains("reject_all"), "{shown}");
    let said = ends_with(&node, "policy take 1.signed", 0);
    assert!(said.contains("signed by ana, ben"), "{said}");
    assert!(node.run("plugin list").contains("rules:more"));

    publish(&node, 2, &[("rules", ONE)], &["ben", "eve"]);
    let said = ends_with(&node, "policy take 2.signed", WAITS);
    assert!(said.contains("rules:more: it is removed"), "{said}");
    assert_eq!(in_force(&node), 1);
    let id = node.daemon.as_ref().unwrap().id().to_string();
    let told = Command::new("kill").args(["-TERM", &id]).status();
    assert!(told.unwrap().success());
    assert_eq!(node.ends(), Some(0), "{}", node.log());
    let waited = waited(&node);
    assert!(waited > 0, "it is written down at the end");
    node.start();
    assert_eq!(in_force(&node), 1, "the wait is not over");
    assert!(node.run("policy status").contains("Waiting     version 2"));
    node.wait_for("plugins reloaded", 1);
    assert_eq!(in_force(&node), 2);
    assert!(!node.run("plugin list").contains("rules:more"));
    let audit = node.run("audit show");
    for step in [
        "taken, signed by ana, ben",
        "it refuses whatever the present one refused",
        "taken, signed by ben, eve",
        "it may loosen, and waits",
        "takes effect, since it has waited for its delay",
    ] {
        assert!(audit.contains(step), "{step}: {audit}");
    }
    node.run("audit verify");
    node.stop();
    node.start();
    assert_eq!(in_force(&node), 2);
}

#[test]
fn an_entry_more_takes_effect_at_once_and_one_less_can_be_withdrawn() {
    let mut node = follower("48h");
    node.start();
    publish(&node, 1, &[("rules", ONE)], &["ana", "ben"]);
    ends_with(&node, "policy take 1.signed", 0);
    publish(
        &node,
        2,
        &[("rules", ONE), ("rules:more", ONE)],
        &["ana", "eve"],
    );
    ends_with(&node, "policy take 2.signed", 0);
    assert_eq!(in_force(&node), 2);
    let said = ends_with(&node, "policy rollback", WAITS);
    assert!(said.contains("a rollback"), "{said}");
    assert!(node.run("policy withdraw").contains("Waiting     none"));
    assert!(node.fail("policy withdraw").contains("no bundle waits"));
    assert_eq!(in_force(&node), 2);
}

#[test]
fn a_bundle_that_the_node_does_not_take_changes_nothing() {
    let mut node = follower("48h");
    node.start();
    publish(&node, 5, &[("rules", ONE)], &["ana", "ben"]);
    ends_with(&node, "policy take 5.signed", 0);
    publish(&node, 6, &[("rules", ONE)], &["ana"]);
    publish(&node, 4, &[("rules", ONE)], &["ana", "ben"]);
    publish(
        &node,
        7,
        &[("rules", "{state_bytes: 1001}")],
        &["ana", "ben"],
    );
    publish(
        &node,
        8,
        &[("rules", "{http: ['https://evil.example/']}")],
        &["ana", "ben"],
    );
    publish(
        &node,
        9,
        &[("rules", "{keys: [callback]}")],
        &["ana", "ben"],
    );
    for (file, why) in [
        (
            "6.signed",
            "1 of policy.bundles.publishers have signed it (ana), and 2 must",
        ),
        ("6.bundle", "(none), and 2 must"),
        ("4.signed", "its version is 4, and 5 was in force"),
        ("7.signed", "asks for 1001 state_bytes"),
        ("8.signed", "asks for https://evil.example/"),
        ("9.signed", "asks for the key `callback`"),
        ("node.yaml", "it is not a policy bundle"),
    ] {
        let said = node.fail(&format!("policy take {file}"));
        assert!(said.contains(why), "{file}: {said}");
    }
    ends_with(&node, "policy take 5.signed", 0);
    assert_eq!(in_force(&node), 5);
    assert!(node.run("policy status").contains("Waiting     none"));
}

#[test]
fn nothing_is_signed_before_somebody_has_read_it() {
    let node = follower("48h");
    publish(&node, 1, &[("rules", ONE)], &["ana"]);
    let said = ends_with(&node, "policy sign 1.bundle --key ben.key", 1);
    assert!(said.contains("reject_all"), "{said}");
    assert!(said.contains("there is no terminal to ask"), "{said}");
    publish(&node, 2, &[("rules", ONE)], &[]);
    assert!(!node.run("policy show 2.signed").contains("signature by"));
}

#[test]
fn a_lost_bundle_is_told_wherever_somebody_asks() {
    let mut node = follower("48h");
    publish(&node, 2, &[("rules", ONE)], &["ana", "ben"]);
    publish(&node, 1, &[("rules:old", ONE)], &["ana", "ben"]);
    node.run("policy take 2.signed");
    std::fs::remove_dir_all(node.path("db/bundles")).unwrap();
    for line in ["policy status", "config check", "start"] {
        let said = node.fail(line);
        assert!(said.contains("a policy bundle was in force here"), "{said}");
    }
    let said = node.fail("policy take 1.signed");
    assert!(
        said.contains("its version is 1, and 2 was in force"),
        "{said}"
    );
    node.run("policy take 2.signed");
    node.start();
    assert_eq!(in_force(&node), 2);
}

#[test]
fn a_changed_byte_of_a_published_bundle_is_noticed() {
    let mut node = follower("48h");
    node.start();
    publish(&node, 1, &[("rules", ONE)], &["ana", "ben"]);
    let bytes = std::fs::read(node.path("1.signed")).unwrap();
    let at = bytes
        .windows(7)
        .position(|found| found == b"\"rules\"")
        .unwrap();
    for (changed, why) in [(at + 1, "have signed it"), (bytes.len() - 1, "damaged")] {
        let mut bytes = bytes.clone();
        bytes[changed] ^= 1;
        node.write("changed", bytes);
        let said = node.fail("policy take changed");
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn a_stopped_node_gets_its_first_plugins_from_a_bundle() {
    let mut node = follower("48h");
    let text = std::fs::read_to_string(node.path("node.yaml")).unwrap();
    let (without, _) = text.split_once("  plugins:").unwrap();
    node.write("node.yaml", without);
    publish(&node, 1, &[("rules", ONE)], &["ana", "ben"]);
    publish(&node, 2, &[("rules:more", ONE)], &["ana", "ben"]);
    let said = node.run("policy take 1.signed");
    assert!(said.contains("In force from the next start"), "{said}");
    let said = node.fail("policy take 2.signed");
    assert!(said.contains("only a running one judges"), "{said}");
    node.start();
    assert_eq!(in_force(&node), 1);
    node.stop();
    std::fs::remove_dir_all(node.path("db/bundles")).unwrap();
    let said = node.fail("start");
    assert!(said.contains("no plugin is configured"), "{said}");
    node.run("policy take 2.signed");
    node.start();
    assert_eq!(in_force(&node), 2);
}

#[test]
fn a_node_that_follows_nobody_takes_nothing() {
    let node = Node::new("policy: {allow_unguarded: true}\n");
    let said = node.fail("policy status");
    assert!(said.contains("write policy.bundles"), "{said}");
}
