//! Three operators and a requester get from nothing to a signature with commands alone: nobody
//! copies an id, and nobody is believed before the words were compared.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use countersign_tests::process::{self, Daemon};
use serde_json::Value;
use tempfile::TempDir;

const NAMES: [&str; 3] = ["alice", "bob", "carol"];

struct Stage {
    dir: TempDir,
}

impl Stage {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn coordinator(&self, verb: &[&str]) -> Command {
        let mut command = Command::new(process::program("countersign-coordinator").unwrap());
        let config = self.path("coordinator/coordinator.yaml");
        command.args(verb).arg("--config").arg(config);
        command
    }

    fn node(&self, name: &str, verb: &[&str]) -> Command {
        let mut command = Command::new(process::program("countersign-node").unwrap());
        let config = self.path(name).join("node.yaml");
        let passphrase = self.path("passphrase");
        command
            .args(verb)
            .arg("--config")
            .arg(config)
            .arg("--key-file")
            .arg(passphrase);
        command
    }

    fn client(&self, verb: &[&str]) -> Command {
        let mut command = Command::new(process::program("countersign").unwrap());
        let profile = self.path("profile.yaml");
        command
            .args(verb)
            .arg("--config")
            .arg(profile)
            .arg("--json");
        command
    }

    fn invite(&self, who: &[&str]) -> String {
        let verb = [&["invite"], who].concat();
        let made = done(&mut self.coordinator(&verb));
        let token = made.trim().to_owned();
        assert!(token.starts_with("csi1"), "{token}");
        token
    }

    /// What the owner of a node says on the telephone.
    fn words_of(&self, name: &str) -> String {
        let told = done(&mut self.node(name, &["id", "--json"]));
        let told: Value = serde_json::from_str(&told).unwrap();
        told["words"].as_str().unwrap().to_owned()
    }

    fn start_node(&self, name: &str) -> Daemon {
        let log = self.path(name).join("log");
        Daemon::start(&mut self.node(name, &["start"]), &log).unwrap()
    }
}

/// An address that nobody uses.
fn free(look: impl Fn() -> std::io::Result<SocketAddr>) -> SocketAddr {
    look().unwrap()
}

fn done(command: &mut Command) -> String {
    process::expect_success(command).unwrap()
}

fn refused(command: &mut Command) -> String {
    let output = process::run(command).unwrap();
    assert!(!output.status.success(), "{command:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn set(file: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{from}");
    std::fs::write(file, text.replace(from, to)).unwrap();
}

async fn until(what: &str, logs: &[&Daemon], mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        if Instant::now() > deadline {
            let logs: Vec<String> = logs.iter().map(|daemon| daemon.log()).collect();
            panic!("{what}:\n{}", logs.join("\n---\n"));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_operators_and_a_requester_come_together_by_tokens_and_words() {
    let stage = Stage {
        dir: tempfile::tempdir().unwrap(),
    };
    let http = free(|| TcpListener::bind("127.0.0.1:0")?.local_addr());
    let quic = free(|| UdpSocket::bind("127.0.0.1:0")?.local_addr());
    let folder = stage.path("coordinator");
    let mut init = Command::new(process::program("countersign-coordinator").unwrap());
    done(init.arg("init").arg("--data").arg(&folder));
    let config = folder.join("coordinator.yaml");
    set(&config, "0.0.0.0:7443", &quic.to_string());
    set(&config, "127.0.0.1:7480", &http.to_string());
    std::fs::write(stage.path("passphrase"), "a passphrase for tests only").unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(stage.path("passphrase"), private).unwrap();
    let log = folder.join("log");
    let coordinator = Daemon::start(&mut stage.coordinator(&["serve"]), &log).unwrap();

    // Alice joins first, and runs before anybody else is there.
    let join = |name: &str, token: &str| {
        let mut verb = vec!["init", "--no-ecdsa", "--join", token];
        let said = done(&mut stage.node(name, &verb));
        assert!(said.contains("Registered as"), "{said}");
        // Whoever lost the answer asks again.
        verb.retain(|word| *word != "--no-ecdsa");
        done(&mut stage.node(name, &verb));
        let file = stage.path(name).join("node.yaml");
        set(
            &file,
            "#  allow_unguarded: false",
            "  allow_unguarded: true",
        );
    };
    let joinable = || {
        let token = stage.invite(&["--name", "probe", "--valid", "1m"]);
        let mut probe = stage.node("probe", &["init", "--no-ecdsa", "--join", &token]);
        process::run(&mut probe).unwrap().status.success()
    };
    until("guests are let in", &[&coordinator], joinable).await;
    let all = NAMES.iter().flat_map(|name| ["--name", name]);
    let verb: Vec<&str> = ["invite", "--json"].into_iter().chain(all).collect();
    let made = done(&mut stage.coordinator(&verb));
    let made: Value = serde_json::from_str(&made).unwrap();
    let tokens = NAMES.map(|name| {
        let mut made = made.as_array().unwrap().iter();
        let one = made.find(|one| one["name"] == name).unwrap();
        one["token"].as_str().unwrap().to_owned()
    });
    let listed = done(&mut stage.coordinator(&["invite", "list", "--json"]));
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert!(listed.as_array().unwrap().len() >= 3, "{listed}");
    join("alice", &tokens[0]);
    let alice = stage.start_node("alice");
    join("bob", &tokens[1]);
    join("carol", &tokens[2]);
    let stolen = refused(&mut stage.node("mallory", &["init", "--no-ecdsa", "--join", &tokens[1]]));
    assert!(stolen.contains("the identity is kept"), "{stolen}");

    // The requester needs neither an API key nor the id of the coordinator.
    let token = stage.invite(&["--requester", "desk"]);
    let key = stage.path("requester.key");
    let key = key.to_str().unwrap();
    std::fs::write(stage.path("profile.yaml"), "").unwrap();
    let retry = Instant::now() + Duration::from_secs(30);
    let told = loop {
        let mut join = stage.client(&["requester", "join", &token, "--key", key]);
        let output = process::run(&mut join).unwrap();
        if output.status.success() {
            break String::from_utf8(output.stdout).unwrap();
        }
        assert!(Instant::now() < retry, "{output:?}");
        std::thread::sleep(Duration::from_millis(200));
    };
    let told: Value = serde_json::from_str(&told).unwrap();
    let mut profile = format!(
        "coordinator: http://{http}\ncoordinator_id: {}\nrequester_key_file: requester.key\nnodes:\n",
        told["coordinator"].as_str().unwrap()
    );
    for node in told["nodes"].as_array().unwrap() {
        let name = node["name"].as_str().unwrap();
        if NAMES.contains(&name) {
            assert_eq!(node["words"].as_str().unwrap(), stage.words_of(name));
            profile.push_str(&format!("  {name}: {}\n", node["id"].as_str().unwrap()));
        }
    }
    std::fs::write(stage.path("profile.yaml"), profile).unwrap();

    let others = [stage.start_node("bob"), stage.start_node("carol")];
    let daemons = [&alice, &others[0], &others[1]];
    let told_of = |name: &str, words: &str| {
        let file = stage.path(name).join("db/proposals.yaml");
        std::fs::read_to_string(file).is_ok_and(|text| text.contains(words))
    };
    until("all know of all", &daemons, || {
        let pairs = NAMES.iter().flat_map(|node| NAMES.map(|of| (*node, of)));
        let mut pairs = pairs.filter(|(node, of)| node != of);
        pairs.all(|(node, of)| told_of(node, &format!("\"{of}\"")))
            && NAMES.iter().all(|node| told_of(node, "\"desk\""))
    })
    .await;

    // The coordinator has proposed everybody, and nobody believes it.
    let create = || {
        stage.client(&[
            "wallet",
            "create",
            "treasury",
            "--scheme",
            "ed25519",
            "--threshold",
            "2",
            "--nodes",
            "alice,bob,carol",
            "--timeout",
            "60",
        ])
    };
    let early = process::run(&mut create()).unwrap();
    assert!(!early.status.success(), "{early:?}");
    let early = String::from_utf8_lossy(&early.stdout) + String::from_utf8_lossy(&early.stderr);
    assert!(early.contains("requester-unknown"), "{early}");

    let desk = done(&mut stage.client(&["requester", "id", "--key", key]));
    let desk: Value = serde_json::from_str(&desk).unwrap();
    let desk = desk["words"].as_str().unwrap();
    let without_terminal = refused(&mut stage.node("alice", &["roster", "confirm", "bob"]));
    assert!(without_terminal.contains("--words"), "{without_terminal}");
    let wrong = stage.words_of("carol");
    let wrong = ["roster", "confirm", "bob", "--words", &wrong];
    assert!(refused(&mut stage.node("alice", &wrong)).contains("Nothing was added"));
    for node in NAMES {
        for other in NAMES.iter().filter(|other| **other != node) {
            let words = stage.words_of(other);
            let confirm = ["roster", "confirm", other, "--words", &words];
            done(&mut stage.node(node, &confirm));
        }
        let confirm = ["roster", "confirm", "desk", "--words", desk];
        done(&mut stage.node(node, &confirm));
    }
    // `roster confirm` has told the running nodes.
    until("the rosters are in force", &daemons, || {
        let in_force = |daemon: &&Daemon| daemon.log().contains("in force: requesters");
        daemons.iter().all(in_force)
    })
    .await;
    until("the tunnels are up", &daemons, || {
        daemons
            .iter()
            .all(|daemon| daemon.log().matches("tunnel up").count() >= 2)
    })
    .await;

    let made = process::run(&mut create()).unwrap();
    assert!(made.status.success(), "{made:?}\n{}", alice.log());
    let signed = done(&mut stage.client(&["sign", "treasury", "--message", "pay 3 to bob"]));
    let signed: Value = serde_json::from_str(signed.lines().last().unwrap()).unwrap();
    assert!(signed.to_string().contains("signature"), "{signed}");
}
