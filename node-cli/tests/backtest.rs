//! `countersign-node plugin backtest` from outside: the real program, shipped components, and a
//! journal of decisions that they made.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use countersign_host::rs256::{SigningKey, VerifyingKey};
use countersign_host::{
    Chain, Grants, Host, HostLimits, HttpClient, HttpOptions, KeyGrant, KeyRing, KeyUsage, Keygen,
    LocalServices, Operation, PluginSpec, Principal, Role, Task,
};
use countersign_protocol::{CoordinatorId, Hash, PluginVerdict, Refusal, TaskId, UnixMillis};
use countersign_store::{Decided, Evidence, Journal, OperationKind, Silent};
use serde_json::{Value, json};
use tempfile::TempDir;

const TWO: &str = "{enable: true, key_gen: {allow_list: [{threshold: 2, node_ids: [a, b, c]}]}}";
const TWO_AND_THREE: &str = "{enable: true, key_gen: {allow_list: [{threshold: 2, node_ids: [a, b, c]}, {threshold: 3, node_ids: [a, b, c]}]}}";
const NONE: &str = "{enable: true, key_gen: {reject_all: true}}";
const LAST: &str = "--since 1d";

/// A node's folder with a journal, and the plugin whose decisions are in it.
struct Bench {
    dir: TempDir,
    journal: Journal,
    chain: Chain,
    decided: u32,
}

impl Bench {
    /// A node with the plugin `rules` and the configuration [`TWO`].
    fn rules() -> Self {
        let config = json!({
            "enable": true, "key_gen": {"allow_list": [{"threshold": 2, "node_ids": ["a", "b", "c"]}]}
        });
        let bench = Self::with(
            spec("rules", config, Grants::default()),
            "    - {name: rules, file: rules.wasm, config_file: rules.yaml, grants: {state_bytes: 100000}}\n",
        );
        bench.write("rules.yaml", TWO);
        bench
    }

    fn with(spec: PluginSpec, entry: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let db = dir.path().join("db");
        std::fs::create_dir(&db).unwrap();
        std::fs::set_permissions(&db, PermissionsExt::from_mode(0o700)).unwrap();
        let host = Host::new(HostLimits::default()).unwrap();
        let mut keys = KeyRing::default();
        keys.insert_signing("callback", SigningKey::generate().unwrap());
        let approver = SigningKey::generate().unwrap().verifying_key();
        let pem = approver.to_pem();
        keys.insert_verifying("approver", VerifyingKey::from_pem(pem.as_bytes()).unwrap());
        let http = HttpClient::new(&HttpOptions::default()).unwrap();
        let services = Arc::new(LocalServices::new(keys, http));
        let file = format!("{}.wasm", spec.name);
        std::fs::copy(&spec.file, dir.path().join(file)).unwrap();
        let bench = Self {
            journal: Journal::create(&db).unwrap(),
            chain: run(Chain::load(&host, vec![spec], services)).unwrap(),
            dir,
            decided: 0,
        };
        bench.write("approver.pem", pem);
        bench.write(
            "node.yaml",
            format!(
                "{}db: {{path: db/secrets.redb.age}}\npolicy:\n  public_keys: {{approver: approver.pem}}\n  plugins:\n{entry}",
                coordinator()
            ),
        );
        bench
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.dir.path().join(name), text).unwrap();
    }

    /// Decides on a key generation, and keeps the decision.
    fn decide(&mut self, threshold: u16) -> TaskId {
        self.decide_and(threshold, |decided| decided)
    }

    /// The same with a change of what is kept.
    fn decide_and(&mut self, threshold: u16, change: impl FnOnce(Decided) -> Decided) -> TaskId {
        self.decided += 1;
        let mut id = [7; 16];
        id[..4].copy_from_slice(&self.decided.to_be_bytes());
        let task = TaskId(id);
        let question = question(task, threshold);
        let until = Instant::now() + Duration::from_secs(20);
        let decision = run(self.chain.decide(&question, until));
        let refusal = decision.refusal();
        let verdicts = decision.evaluations().iter().map(|evaluation| {
            let refusal = evaluation.verdict.refusal();
            PluginVerdict {
                plugin: evaluation.plugin.clone(),
                version: evaluation.version.clone(),
                digest: Hash(evaluation.digest),
                config: Hash(evaluation.revision),
                approved: refusal.is_none(),
                code: refusal.map(|(code, _)| code.into()).unwrap_or_default(),
                reason: refusal.map(|(_, reason)| reason.into()).unwrap_or_default(),
                micros: 1,
            }
        });
        let decided = change(Decided {
            task,
            hash: Hash::of("test", &id),
            kind: OperationKind::KeyGen,
            received_at: now(),
            verdicts: verdicts.collect(),
            parties: Vec::new(),
            bytes: question.raw.clone(),
            evidence: Evidence {
                recording: decision.recording(question).encode(),
                ..Evidence::default()
            },
        });
        match refusal {
            None => self.journal.approve(now(), decided, vec![]).unwrap(),
            Some(refused) => {
                let refusal = Refusal {
                    code: refused.code.as_str().into(),
                    reason: refused.reason,
                    plugin: refused.plugin,
                };
                self.journal.refuse(now(), decided, refusal).unwrap();
            }
        }
        task
    }

    /// Ends the recording; the program reads the journal from now on.
    fn recorded(self) -> Recorded {
        let Self { dir, journal, .. } = self;
        drop(journal);
        Recorded { dir }
    }
}

/// A node's folder with all its decisions.
struct Recorded {
    dir: TempDir,
}

impl Recorded {
    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.dir.path().join(name), text).unwrap();
    }

    /// `plugin backtest` with these words, and the exit code that it must have.
    #[track_caller]
    fn backtest(&self, words: &str, code: i32) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign-node"));
        let output = command
            .args(["plugin", "backtest", "--config", "node.yaml"])
            .args(words.split_whitespace())
            .current_dir(self.dir.path())
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{said}{error}");
        said + &error
    }

    /// `policy` with these words, and the exit code that it must have.
    #[track_caller]
    fn policy(&self, words: &str, code: i32) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign-node"));
        let output = command
            .args(["policy", "--config", "node.yaml"])
            .args(words.split_whitespace())
            .current_dir(self.dir.path())
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        assert_eq!(output.status.code(), Some(code), "{said}");
        said
    }

    #[track_caller]
    fn json(&self, words: &str, code: i32) -> Value {
        let said = self.backtest(&format!("{words} --json"), code);
        serde_json::from_str(&said).unwrap()
    }

    fn journal(&self) -> Journal {
        Journal::open(&self.dir.path().join("db")).unwrap()
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(future)
}

fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    UnixMillis(since.as_millis() as u64)
}

fn spec(plugin: &str, config: Value, grants: Grants) -> PluginSpec {
    PluginSpec {
        name: plugin.into(),
        file: component(plugin),
        digest: None,
        config,
        grants: Grants {
            state_bytes: if plugin == "rules" { 100_000 } else { 0 },
            ..grants
        },
        role: Role::default(),
        written: None,
    }
}

fn component(plugin: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_BIN_EXE_countersign-node"));
    let target = target.parent().and_then(Path::parent).unwrap();
    let name = plugin.replace('-', "_");
    let path = target.join(format!("wasm32-wasip2/plugin/countersign_{name}.wasm"));
    let shown = path.display();
    assert!(
        path.exists(),
        "{shown} is not built; run `just build` first"
    );
    path
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

fn question(id: TaskId, threshold: u16) -> Task {
    let principal = |name: &str| Principal {
        id: format!("{name}-id"),
        name: name.into(),
    };
    Task {
        id: id.to_string(),
        attempt: 1,
        received_at: now().0,
        requester: principal("treasury"),
        coordinator: principal("main"),
        node: "csn1self".into(),
        operation: Operation::Keygen(Keygen {
            scheme: "ecdsa-secp256k1".into(),
            curve: "secp256k1".into(),
            threshold,
            members: ["a", "b", "c"].map(String::from).to_vec(),
        }),
        extra: Vec::new(),
        raw: b"{}".to_vec(),
    }
}

/// Two key generations with two parties, which [`TWO`] approves, and one with three, which it
/// refuses.
fn three_decisions() -> (Recorded, TaskId) {
    let mut bench = Bench::rules();
    bench.decide(2);
    let refused = bench.decide(3);
    bench.decide(2);
    (bench.recorded(), refused)
}

#[test]
fn the_present_version_has_no_differences() {
    let (node, _) = three_decisions();
    let said = node.backtest(&format!("rules {LAST}"), 0);
    assert!(
        said.contains("3 questions in")
            && said.contains("Everything that was refused is still refused."),
        "{said}"
    );
    let json = node.json(&format!("./rules.wasm {LAST}"), 0);
    assert_eq!(
        (&json["asked"], &json["same"], &json["tightening_proven"]),
        (&3.into(), &3.into(), &true.into())
    );
}

#[test]
fn what_would_be_approved_is_listed_and_proves_nothing() {
    let (node, refused) = three_decisions();
    node.write("open.yaml", TWO_AND_THREE);
    let words = format!("rules {LAST} --plugin-config open.yaml");
    let said = node.backtest(&words, 3);
    for sign in [
        &refused.to_string(),
        "REFUSED THEN, APPROVED NOW",
        "then  keygen-not-allowed: ",
        "now   approve",
        "1 of the refused would be approved",
    ] {
        assert!(said.contains(sign), "{sign} is not in {said}");
    }
    let json = node.json(&words, 3);
    assert_eq!(
        (&json["looser"], &json["tighter"], &json["same"]),
        (&1.into(), &0.into(), &2.into())
    );
    assert_eq!(json["tightening_proven"], false);
    let difference = &json["differences"][0];
    assert_eq!(difference["task"], refused.to_string());
    assert_eq!(difference["change"], "looser");
    assert_eq!(difference["then"]["code"], "keygen-not-allowed");
    assert_eq!(
        (&difference["now"]["approved"], &difference["now"]["code"]),
        (&true.into(), &Value::Null)
    );
}

#[test]
fn a_tightening_is_listed_and_proven() {
    let (node, refused) = three_decisions();
    node.write("none.yaml", NONE);
    let json = node.json(&format!("rules {LAST} --plugin-config none.yaml"), 3);
    assert_eq!(
        (&json["looser"], &json["tighter"], &json["other_reason"]),
        (&0.into(), &2.into(), &1.into())
    );
    assert_eq!(json["tightening_proven"], true);
    let differences = json["differences"].as_array().unwrap();
    let changes: Vec<_> = differences.iter().map(|one| &one["change"]).collect();
    assert_eq!(changes, ["tighter", "other-reason", "tighter"]);
    assert_eq!(differences[1]["task"], refused.to_string());
    assert_eq!(differences[1]["now"]["code"], "keygen-reject-all");
}

#[test]
fn whoever_asks_another_server_cannot_be_judged() {
    let url = "http://127.0.0.1:9/v2/check";
    let config = |url: &str| json!({"retry_times": 0, "servers": [{"url": url, "key": "approver"}], "request_timeout": 1});
    let grant = |name: &str, usage| KeyGrant {
        name: name.into(),
        usage,
    };
    let grants = Grants {
        keys: vec![
            grant("callback", KeyUsage::SignJwt),
            grant("approver", KeyUsage::Verify),
        ],
        http: vec!["http://127.0.0.1:9/".parse().unwrap()],
        ..Grants::default()
    };
    let mut bench = Bench::with(
        spec("jwt-callback", config(url), grants),
        "    - name: jwt-callback
      file: jwt-callback.wasm
      config_file: callback.json
      grants: {keys: [callback, approver], http: ['http://127.0.0.1:9/']}
",
    );
    bench.decide(2);
    let node = bench.recorded();
    node.write("callback.json", config(url).to_string());
    let json = node.json(&format!("jwt-callback {LAST}"), 0);
    assert_eq!(
        (&json["same"], &json["tightening_proven"]),
        (&1.into(), &true.into())
    );
    let elsewhere = config("http://127.0.0.1:9/v2/elsewhere");
    node.write("callback.json", elsewhere.to_string());
    let json = node.json(&format!("jwt-callback {LAST}"), 3);
    assert_eq!(
        (&json["not_judged"], &json["tightening_proven"]),
        (&1.into(), &false.into())
    );
    let why = json["differences"][0]["not_judged"].as_str().unwrap();
    assert!(why.starts_with("it asks what is not on record"), "{why}");
}

#[test]
fn an_unreadable_recording_counts_as_not_judged() {
    let mut bench = Bench::rules();
    bench.decide(2);
    let unreadable = bench.decide_and(2, |decided| Decided {
        evidence: Evidence {
            recording: b"\x02unreadable".to_vec(),
            ..Evidence::default()
        },
        ..decided
    });
    let node = bench.recorded();
    let said = node.backtest(&format!("rules {LAST}"), 3);
    assert!(
        said.contains(&unreadable.to_string()) && said.contains("COULD NOT BE JUDGED"),
        "{said}"
    );
    assert!(
        said.contains("NOT SHOWN to refuse everything") && said.contains("  1 could not be judged"),
        "{said}"
    );
}

#[test]
fn decisions_of_others_and_of_earlier_times_are_not_asked_about() {
    let mut bench = Bench::rules();
    bench.decide_and(3, |decided| Decided {
        received_at: UnixMillis(now().0 - 49 * 3_600_000),
        ..decided
    });
    bench.decide_and(3, |mut decided| {
        decided.verdicts[0].plugin = "quorum".into();
        decided
    });
    bench.decide(2);
    let node = bench.recorded();
    node.write("open.yaml", TWO_AND_THREE);
    let json = node.json("rules --since 48h --plugin-config open.yaml", 0);
    assert_eq!((&json["asked"], &json["not_asked"]), (&1.into(), &1.into()));
    let json = node.json("rules --since 3d --plugin-config open.yaml", 3);
    assert_eq!((&json["asked"], &json["looser"]), (&2.into(), &1.into()));
}

#[test]
fn nothing_asked_proves_nothing() {
    let node = Bench::rules().recorded();
    let said = node.backtest(&format!("rules {LAST}"), 3);
    assert!(said.contains("the entry was asked nothing"), "{said}");
}

#[test]
fn a_backtest_writes_nothing() {
    let (node, _) = three_decisions();
    node.write("open.yaml", TWO_AND_THREE);
    let look = || {
        let journal = node.journal();
        let state = (
            journal.verify_audit().unwrap(),
            journal.recent(1000).unwrap(),
            journal.state_list("rules", "", 1000, now()).unwrap(),
        );
        let files = walk(node.dir.path());
        (state, files)
    };
    let before = look();
    node.backtest(&format!("rules {LAST} --plugin-config open.yaml"), 3);
    assert_eq!(look(), before);
}

/// All files below, by name.
fn walk(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(walk(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

#[test]
fn the_entry_that_is_replaced_is_clear_or_asked_for() {
    let mut bench = Bench::rules();
    bench.decide(2);
    let node = bench.recorded();
    let missing = node.backtest(&format!("./rules.wasm {LAST} --entry rools"), 1);
    assert!(
        missing.contains("`rools`") && missing.contains("--entry: rules"),
        "{missing}"
    );
    let absent = node.backtest(&format!("./none.wasm {LAST}"), 1);
    assert!(absent.contains("none.wasm"), "{absent}");
    let wrong = node.backtest("rules --since yesterday", 2);
    assert!(wrong.contains("write an age such as"), "{wrong}");
    node.backtest("rules", 2);
}

/// A measurement as well: `BACKTEST=12000 cargo test -p countersign-node-cli --test backtest many
/// -- --nocapture` prints how long so many questions take.
#[test]
fn many_decisions_are_asked_about_in_order() {
    let many: u32 = std::env::var("BACKTEST").map_or(300, |many| many.parse().unwrap());
    let mut bench = Bench::rules();
    for number in 0..many {
        bench.decide(if number % 100 == 0 { 3 } else { 2 });
    }
    let node = bench.recorded();
    node.write("open.yaml", TWO_AND_THREE);
    let words = format!("rules {LAST} --plugin-config open.yaml");
    let json = node.json(&words, 3);
    println!("{} questions in {} ms", json["asked"], json["millis"]);
    assert_eq!(json["asked"], many);
    assert_eq!(json["looser"], many.div_ceil(100));
    let differences = json["differences"].as_array().unwrap();
    let tasks: Vec<_> = differences
        .iter()
        .map(|difference| difference["task"].as_str().unwrap())
        .collect();
    assert!(tasks.is_sorted(), "{tasks:?}");
}

/// A node that follows the policy `treasury`, with a bundle of its entry in force, drafted with
/// these options. It took effect after all decisions.
fn with_bundle_in_force(recorded: &Recorded, changes: &str) {
    use countersign_node::bundle::{Bundle, BundleFolder, Judgement, Schedule};

    let file = recorded.dir.path().join("node.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    let bundles = format!(
        "  bundles: {{name: treasury, publishers: [{{name: ana, key: {key}}}], needed: 1, grants: {{state_bytes: 100000}}}}\n  plugins:\n"
    );
    std::fs::write(&file, text.replace("  plugins:\n", &bundles)).unwrap();
    recorded.policy(&format!("draft {changes} --out 1.bundle"), 0);
    let bundle = std::fs::read(recorded.dir.path().join("1.bundle")).unwrap();
    let bundle = Bundle::decode(&bundle).unwrap();
    let folder = BundleFolder::of(&recorded.dir.path().join("db"));
    folder.store(&bundle).unwrap();
    let mut schedule = Schedule::default();
    let hash = bundle.hash();
    schedule
        .take(hash, bundle.manifest(), &[], Duration::ZERO, UnixMillis(0))
        .unwrap();
    assert!(schedule.judged(hash, None, Judgement::Tightens));
    assert!(schedule.put_in_force(now()));
    folder.keep(&schedule).unwrap();
    // From now on, the bundle's entry is the one that decides.
    let text = std::fs::read_to_string(&file).unwrap();
    let (own, _) = text.split_once("  plugins:\n").unwrap();
    std::fs::write(&file, own).unwrap();
}

#[test]
fn a_bundle_is_judged_by_what_the_one_in_force_refused() {
    let (recorded, _) = three_decisions();
    with_bundle_in_force(&recorded, "");
    for (config, code, told) in [
        (NONE, 0, "would take effect at once"),
        (TWO_AND_THREE, 3, "1 of the refused would be approved"),
    ] {
        recorded.write("next.yaml", config);
        let next = format!("{code}.bundle");
        recorded.policy(
            &format!("draft --plugin-config rules=next.yaml --out {next}"),
            0,
        );
        let said = recorded.policy(&format!("backtest {next}"), code);
        assert!(said.contains(told), "{said}");
    }
    recorded.policy("draft --out same.bundle", 0);
    let said = recorded.policy("backtest same.bundle", 0);
    assert!(!said.contains("changed"), "{said}");
}

#[test]
fn what_another_version_refused_proves_nothing_about_a_bundle() {
    let (recorded, _) = three_decisions();
    recorded.write("other.yaml", TWO_AND_THREE);
    with_bundle_in_force(&recorded, "--plugin-config rules=other.yaml");
    recorded.write("next.yaml", NONE);
    recorded.policy("draft --plugin-config rules=next.yaml --out 2.bundle", 0);
    let said = recorded.policy("backtest 2.bundle", 3);
    for sign in [
        "3  by another version",
        "the entry before was asked nothing",
    ] {
        assert!(said.contains(sign), "{said}");
    }
}

#[test]
fn approvals_alone_prove_nothing_about_a_bundle() {
    let mut bench = Bench::rules();
    bench.decide(2);
    let recorded = bench.recorded();
    with_bundle_in_force(&recorded, "");
    recorded.write("next.yaml", NONE);
    recorded.policy("draft --plugin-config rules=next.yaml --out 2.bundle", 0);
    let said = recorded.policy("backtest 2.bundle", 3);
    assert!(said.contains("no refusal of the entry before"), "{said}");
}
