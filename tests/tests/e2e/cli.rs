//! The node's command line from outside: useful help, and errors that say what to do.

use std::process::Command;

use countersign_tests::{Blueprint, Cluster, process};

fn node(args: &[&str]) -> std::process::Output {
    process::run(Command::new(process::program("countersign-node").unwrap()).args(args)).unwrap()
}

#[test]
fn help_names_every_command() {
    let help = String::from_utf8(node(&["--help"]).stdout).unwrap();
    for word in [
        "init",
        "start",
        "info",
        "config",
        "version",
        "--key-file",
        "--config",
    ] {
        assert!(help.contains(word), "{word} is missing in:\n{help}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_plugins_or_with_unknown_keys_does_not_start() {
    let cluster = Cluster::prepare(Blueprint {
        nodes: 2,
        ..Blueprint::default()
    })
    .await
    .unwrap();
    let node = &cluster.nodes[0];
    let good = std::fs::read_to_string(node.config()).unwrap();
    let start = |text: &str| {
        std::fs::write(node.config(), text).unwrap();
        let output = process::run(&mut node.command("start").unwrap()).unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let policy = good.find("policy:").unwrap();
    let said = start(&good[..policy]);
    assert!(
        said.contains("no plugin is configured") && said.contains("allow_unguarded"),
        "{said}"
    );
    let said = start(&good.replace("requesters:", "requestors:"));
    assert!(
        said.contains("`requestors`")
            && said.contains("did you mean `requesters`?")
            && said.contains("line "),
        "{said}"
    );
    let check = |text: &str| {
        std::fs::write(node.config(), text).unwrap();
        let mut check = Command::new(process::program("countersign-node").unwrap());
        process::run(
            check
                .args(["config", "check", "--config"])
                .arg(node.config()),
        )
        .unwrap()
    };
    let refused = check(&good.replace("countersign_rules.wasm", "gone.wasm"));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && said.contains("gone.wasm"),
        "{said}"
    );
    let accepted = check(&good);
    assert!(
        accepted.status.success() && String::from_utf8_lossy(&accepted.stdout).contains("rules")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn init_refuses_an_existing_store_and_info_needs_no_passphrase() {
    let cluster = Cluster::prepare(Blueprint {
        nodes: 2,
        ..Blueprint::default()
    })
    .await
    .unwrap();
    let node = &cluster.nodes[0];
    let again = process::run(&mut node.command("init").unwrap()).unwrap();
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(
        !again.status.success() && said.contains("already exists"),
        "{said}"
    );
    let mut info = Command::new(process::program("countersign-node").unwrap());
    let printed =
        process::expect_success(info.args(["info", "--config"]).arg(node.config())).unwrap();
    assert!(
        printed.starts_with(&format!("Node ID: {}", node.id)),
        "{printed}"
    );
    assert!(printed.contains("BEGIN PUBLIC KEY"), "{printed}");
}
