//! API keys from the command line, against a real coordinator: made here, and known there by their
//! hashes alone.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use countersign_client::audit::{AuditHead, Bundle, Extent, NodeLog, SignedHead};
use countersign_coordinator::api_key::{self, Scope};
use countersign_coordinator::{Config, Coordinator, identity};
use countersign_protocol::{IdentitySigner, NodeId, UnixMillis};
use serde_json::Value;

use crate::routes::coordinator::{Scripted, problem};
use crate::{json, text};

struct Office {
    dir: tempfile::TempDir,
    _coordinator: Coordinator,
}

impl Office {
    /// A coordinator without nodes, and the profile of an administrator.
    async fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (key, entry) =
            api_key::generate("boss", vec![Scope::Read, Scope::Create, Scope::Admin]);
        private(&dir.path().join("api.key"), key.expose());
        identity::create(&dir.path().join("identity.key")).unwrap();
        let entry = serde_json::to_string(&entry).unwrap();
        let config = format!(
            "listen_quic: 127.0.0.1:0\nlisten_http: 127.0.0.1:0\ndata: .\napi_keys:\n  - {entry}\n"
        );
        let config = Config::parse(&config, dir.path()).unwrap();
        let coordinator = Coordinator::start(config).await.unwrap();
        let office = Self {
            dir,
            _coordinator: coordinator,
        };
        office.profile("profile.yaml", "api.key");
        office
    }

    fn profile(&self, file: &str, key: &str) {
        let address = self._coordinator.http;
        let text = format!("coordinator: http://{address}\napi_key_file: {key}\nnodes: {{}}\n");
        std::fs::write(self.dir.path().join(file), text).unwrap();
    }

    async fn run(&self, args: &[&str]) -> std::process::Output {
        crate::binary(self.dir.path(), args).await
    }

    /// The JSON of a command that succeeds.
    async fn done(&self, args: &[&str]) -> Value {
        let output = self.run(&[args, &["--json"]].concat()).await;
        assert!(output.status.success(), "{}", text(&output.stderr));
        json(&output)
    }

    /// The exit code of reading with the key in this file.
    async fn reads(&self, key: &str) -> bool {
        let dir = tempfile::tempdir().unwrap();
        let path = self.dir.path().join(key);
        self.profile("other.yaml", path.to_str().unwrap());
        std::fs::copy(
            self.dir.path().join("other.yaml"),
            dir.path().join("profile.yaml"),
        )
        .unwrap();
        crate::binary(dir.path(), &["task", "list"])
            .await
            .status
            .success()
    }

    fn file(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }
}

fn private(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_made_rotated_limited_and_revoked_and_its_secret_stays_in_its_file() {
    let office = Office::open().await;
    let one = office.file("one.key");
    let two = office.file("two.key");
    let args = [
        "api-key",
        "create",
        "desk",
        "--scope",
        "read,create",
        "--out",
        &one,
    ];
    let made = office.run(&args).await;
    assert!(made.status.success(), "{}", text(&made.stderr));
    let secret = std::fs::read_to_string(&one).unwrap();
    let shown = text(&made.stdout) + &text(&made.stderr);
    assert!(
        secret.starts_with("csapi_") && !shown.contains(secret.trim()),
        "{shown}"
    );
    let mode = std::fs::metadata(&one).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(office.reads("one.key").await);

    let again = [
        "api-key", "create", "desk", "--scope", "read", "--from", &one,
    ];
    let again = office.done(&again).await;
    assert_eq!(again["spec"]["scopes"], serde_json::json!(["read"]));
    let args = [
        "api-key",
        "rotate",
        "desk",
        "--overlap",
        "600",
        "--out",
        &two,
    ];
    let rotated = office.done(&args).await;
    assert_eq!(rotated["previous"]["sha256"], made_hash(&secret));
    assert!(office.reads("one.key").await && office.reads("two.key").await);

    let listed = text(&office.run(&["api-key", "list"]).await.stdout);
    assert!(
        listed.contains("desk") && listed.contains("in the configuration"),
        "{listed}"
    );
    let past = ["api-key", "expire", "desk", "--at", "2020-01-01"];
    let ended = text(&office.run(&past).await.stdout);
    assert!(ended.contains("ended 2020-01-01"), "{ended}");
    assert!(!office.reads("two.key").await);
    assert!(!office.reads("one.key").await, "its overlap ends, too");
    let future = office
        .done(&["api-key", "expire", "desk", "--at", "90d"])
        .await;
    assert!(future["spec"]["expires"].as_u64().is_some());
    assert!(office.reads("two.key").await);
    let never = office.done(&["api-key", "expire", "desk", "--never"]).await;
    assert_eq!(never["spec"].get("expires"), None);

    let shown = office.done(&["api-key", "show", "desk"]).await;
    assert_eq!(shown["name"], "desk");
    office.done(&["api-key", "revoke", "desk"]).await;
    assert!(!office.reads("two.key").await);
    let gone = office.run(&["api-key", "expire", "desk", "--never"]).await;
    assert!(
        text(&gone.stderr).contains("api-key-unknown"),
        "{}",
        text(&gone.stderr)
    );
    assert!(!office.reads("two.key").await, "it stays revoked");
    assert_eq!(
        office.run(&["api-key", "show", "desk"]).await.status.code(),
        Some(1)
    );
    for kept in [&one, &two] {
        assert!(
            Path::new(kept).exists(),
            "only its owner deletes a secret that was in use"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_never_was_is_not_told_as_revoked_and_no_key_is_made_that_is_over() {
    let office = Office::open().await;
    for args in [
        &["api-key", "revoke", "nosuch"][..],
        &["webhook", "delete", "nosuch"],
    ] {
        let gone = office.run(args).await;
        assert_eq!(gone.status.code(), Some(1), "{args:?}");
        let error = text(&gone.stderr);
        assert!(
            error.contains("nosuch") || error.contains("no such webhook"),
            "{error}"
        );
        assert!(gone.stdout.is_empty());
    }
    let file = office.file("late.key");
    let base = [
        "api-key", "create", "late", "--scope", "read", "--out", &file,
    ];
    for end in ["2020-01-01", "1", "0s"] {
        let late = office.run(&[&base[..], &["--expires", end]].concat()).await;
        assert_eq!(late.status.code(), Some(1), "{end}");
        assert!(
            text(&late.stderr).contains("this time is over"),
            "{}",
            text(&late.stderr)
        );
        assert!(!Path::new(&file).exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_log_is_shown_page_by_page() {
    let office = Office::open().await;
    for name in ["one", "two", "three"] {
        let file = office.file(name);
        let args = ["api-key", "create", name, "--scope", "read", "--out", &file];
        office.done(&args).await;
    }
    let first = office.done(&["audit", "--limit", "2"]).await;
    let of = |page: &Value| {
        let entries = page["entries"].as_array().unwrap().iter();
        let targets = entries.map(|entry| entry["target"].as_str().unwrap().to_owned());
        targets.collect::<Vec<_>>()
    };
    assert_eq!(of(&first), ["one", "two"]);
    let next = first["next"].as_str().unwrap();
    let second = office.done(&["audit", "--after", next]).await;
    assert_eq!(of(&second), ["three"]);
    let shown = office.run(&["audit", "--limit", "2"]).await;
    let lines = text(&shown.stdout);
    assert!(lines.contains("api-key.put one by boss"), "{lines}");
    let more = text(&shown.stderr);
    assert!(
        more.contains("audit --limit 2") && more.contains(&format!("--after {next}")),
        "{more}"
    );
    let foreign = office.run(&["audit", "--after", "tasks-7"]).await;
    assert!(text(&foreign.stderr).contains("cursor-malformed"));
}

/// Signs as a node.
struct Node(countersign_link::Identity);

impl Node {
    fn id(&self) -> NodeId {
        NodeId::from_bytes(self.0.public().0).unwrap()
    }
}

impl IdentitySigner for Node {
    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message)
    }
}

/// The exit code of an auditor's verification, and what is printed. The profile is all she has.
async fn audits(bundle: &str, profile: &str) -> (Option<i32>, Value) {
    audits_of(bundle, &[], profile).await
}

/// The same of the time that she gives.
async fn audits_of(bundle: &str, time: &[&str], profile: &str) -> (Option<i32>, Value) {
    let dir = tempfile::tempdir().unwrap();
    let profile = format!("coordinator: http://127.0.0.1:1\n{profile}");
    private(&dir.path().join("profile.yaml"), &profile);
    let args = [&["audit", "verify", bundle, "--json"][..], time].concat();
    let output = crate::binary(dir.path(), &args).await;
    (output.status.code(), json(&output))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_is_verified_by_an_auditor_who_can_ask_nobody() {
    const LATER: UnixMillis = UnixMillis(4_000_000_000_000);
    let office = Office::open().await;
    for name in ["one", "two"] {
        let file = office.file(name);
        let args = ["api-key", "create", name, "--scope", "read", "--out", &file];
        office.done(&args).await;
    }
    let alice = Node(countersign_link::Identity::from_seed(&[1; 32]).unwrap());
    let empty = Extent {
        from: UnixMillis(0),
        to: LATER,
        first: 0,
        end: AuditHead::EMPTY,
        log: 0,
    };
    let log = NodeLog {
        node: alice.id(),
        time: (empty.from, empty.to),
        entries: Vec::new(),
        records: Vec::new(),
        deleted: Vec::new(),
        policies: Vec::new(),
        checkpoints: Vec::new(),
        head: SignedHead::sign(alice.id(), empty, LATER, &alice),
    };
    let node = office.file("alice.audit");
    std::fs::write(&node, log.write()).unwrap();
    let bundle = office.file("bundle.audit");
    let export = [
        "audit",
        "export",
        "--from",
        "2020-01-01",
        "--node",
        &node,
        "--out",
        &bundle,
    ];
    let made = office.done(&export).await;
    assert_eq!((&made["nodes"], &made["acts"]), (&1.into(), &2.into()));
    let again = office.run(&export).await;
    assert_eq!(again.status.code(), Some(1), "no file is overwritten");

    let nodes = format!("nodes: {{alice: {}}}\n", alice.id());
    let all = format!("{nodes}coordinator_id: {}\n", office._coordinator.id);
    // Whoever made the bundle chose its time.
    let (code, report) = audits(&bundle, &all).await;
    assert_eq!(
        (code, &report["standing"], &report["time_of"]),
        (Some(3), &"missing".into(), &"bundle".into()),
        "{report}"
    );
    let missing = report["findings"].as_array().unwrap().iter();
    let missing: Vec<&Value> = missing
        .filter(|one| one["standing"] == "missing")
        .map(|one| &one["subject"])
        .collect();
    assert_eq!(missing, ["time"]);
    let made = Bundle::read(&std::fs::read(&bundle).unwrap()).unwrap();
    let [from, to] = [made.time.0, made.time.1].map(|time| time.0.to_string());
    for half in [["--from", from.as_str()], ["--to", to.as_str()]] {
        let (code, _) = audits_of(&bundle, &half, &all).await;
        assert_eq!(code, Some(3), "{half:?}");
    }
    let time = ["--from", from.as_str(), "--to", to.as_str()];
    let (code, report) = audits_of(&bundle, &time, &all).await;
    assert_eq!(
        (code, &report["standing"], &report["time_of"]),
        (Some(0), &"proven".into(), &"you".into()),
        "{report}"
    );
    let acts = report["findings"].as_array().unwrap().iter();
    let acts: Vec<&Value> = acts.filter(|one| one["chain"].is_object()).collect();
    let [acts] = acts.as_slice() else {
        panic!("{report}")
    };
    assert_eq!(acts["subject"], "coordinator");
    let chain = (&acts["chain"]["first"], &acts["chain"]["last"]);
    assert_eq!(chain, (&1.into(), &2.into()));

    let time = ["--from", "2020-01-01", "--to", "2090-01-01"];
    let (code, report) = audits_of(&bundle, &time, &all).await;
    assert_eq!(
        (code, &report["standing"], &report["time_of"]),
        (Some(3), &"missing".into(), &"you".into()),
        "the bundle ends before the time: {report}"
    );
    let time = ["--from", "2090-01-01", "--to", "2090-01-01"];
    let (code, error) = audits_of(&bundle, &time, &all).await;
    assert_eq!((code, &error["error"]["code"]), (Some(1), &"usage".into()));

    let (code, report) = audits(&bundle, &nodes).await;
    assert_eq!(
        (code, &report["standing"]),
        (Some(3), &"missing".into()),
        "{report}"
    );
    let (code, report) = audits(&bundle, "nodes: {}\n").await;
    assert_eq!(
        (code, &report["standing"]),
        (Some(1), &"wrong".into()),
        "{report}"
    );

    let mut changed = Bundle::read(&std::fs::read(&bundle).unwrap()).unwrap();
    changed.coordinator.as_mut().unwrap().acts[0].target = "three".into();
    std::fs::write(&bundle, changed.write()).unwrap();
    let (code, report) = audits(&bundle, &all).await;
    assert_eq!(
        (code, &report["standing"]),
        (Some(1), &"wrong".into()),
        "{report}"
    );
    std::fs::write(&bundle, "{}").unwrap();
    let (code, error) = audits(&bundle, &all).await;
    assert_eq!((code, &error["error"]["code"]), (Some(1), &"file".into()));
}

fn made_hash(secret: &str) -> String {
    use sha2::Digest;
    hex::encode(sha2::Sha256::digest(secret.trim()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_printed_only_if_that_is_asked_for() {
    let office = Office::open().await;
    let base = ["api-key", "create", "desk", "--scope", "read"];
    let nowhere = office.run(&base).await;
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(
        text(&nowhere.stderr).contains("--out"),
        "{}",
        text(&nowhere.stderr)
    );
    let printed = office.done(&[&base[..], &["--print"]].concat()).await;
    let secret = printed["key"].as_str().unwrap();
    assert_eq!(printed["spec"]["sha256"], made_hash(secret));
    let own = countersign_client::RequesterKey::create(Path::new(&office.file("r.key"))).unwrap();
    let requester = own.id().to_string();
    let args = [
        "api-key",
        "create",
        "signer",
        "--scope",
        "read",
        "--requester",
        &requester,
    ];
    let made = office.done(&args).await;
    assert_eq!(
        (&made["spec"]["requester"], made.get("key")),
        (&requester.into(), None)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_was_certainly_not_taken_is_deleted_and_any_other_is_kept() {
    let office = Office::open().await;
    let file = office.file("late.key");
    let args = [
        "api-key", "create", "boss", "--scope", "read", "--out", &file,
    ];
    let refused = office.run(&args).await;
    assert!(
        text(&refused.stderr).contains("configuration"),
        "{}",
        text(&refused.stderr)
    );
    assert!(!Path::new(&file).exists());
    private(Path::new(&file), "mine");
    assert_eq!(office.run(&args).await.status.code(), Some(1));
    assert_eq!(
        std::fs::read_to_string(&file).unwrap(),
        "mine",
        "never overwritten"
    );

    let away = Scripted::start(|_| problem(503, "store")).await;
    let file = away.dir.path().join("new.key");
    let path = file.to_str().unwrap();
    let args = [
        "api-key", "create", "desk", "--scope", "read", "--out", path,
    ];
    let lost = away.run(&args).await;
    assert_eq!(lost.status.code(), Some(1));
    let said = text(&lost.stderr);
    assert!(
        said.contains("--from") && !said.contains("csapi_"),
        "{said}"
    );
    let secret = std::fs::read_to_string(&file).unwrap();
    let sent = &away.asked()[0];
    assert_eq!(sent.line(), "PUT /api-keys/desk");
    assert_eq!(sent.body["sha256"], made_hash(&secret));
    assert!(!sent.body.to_string().contains("csapi_"));
    // The first copy of the request was accepted.
    let repeated = Scripted::start(|_| problem(401, "request-repeated")).await;
    let file = repeated.dir.path().join("new.key");
    let path = file.to_str().unwrap();
    let args = [
        "api-key", "create", "desk", "--scope", "read", "--out", path,
    ];
    let said = text(&repeated.run(&args).await.stderr);
    assert!(said.contains("--from") && file.exists(), "{said}");
}
