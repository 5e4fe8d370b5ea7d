//! One policy in three languages: each project as `plugin new` writes it, built by its one command,
//! loaded by the host, and asked the same fifty questions.

mod table;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_host::{
    Chain, Grants, Host, HostLimits, HttpClient, HttpOptions, KeyRing, LocalServices, PluginSpec,
    Role, Verdict,
};
use countersign_tests::process;

use table::Line;

const NAME: &str = "spending-limit";

/// Writes the project and builds it as its README says; returns the component.
fn build(dir: &Path, language: &str, command: &[&str], component: &str) -> PathBuf {
    let project = dir.join(language);
    let mut new = Command::new(process::program("countersign-node").unwrap());
    new.args(["plugin", "new", NAME, "--lang", language, "--sdk"])
        .arg(process::repository().join("sdk"));
    process::expect_success(new.arg("--dir").arg(&project)).unwrap();
    let mut build = Command::new(command[0]);
    // The tools of one test run are reused by the next.
    build
        .args(&command[1..])
        .current_dir(&project)
        .env("CARGO_TARGET_DIR", process::target().join("templates"));
    process::expect_success(&mut build).unwrap();
    let built = [
        project.join(component),
        process::target().join("templates").join(component),
    ];
    built
        .into_iter()
        .find(|file| file.exists())
        .expect("the project makes a component")
}

/// `approve`, or the code of the refusal.
async fn answers(component: PathBuf, lines: &[Line]) -> Vec<String> {
    let host = Host::new(HostLimits::default()).unwrap();
    let services = LocalServices::new(
        KeyRing::default(),
        HttpClient::new(&HttpOptions::default()).unwrap(),
    );
    // An interpreter starts within the call, and on a machine with other work as well.
    let grants = Grants {
        cpu_ms: 2_000,
        memory_bytes: 64 << 20,
        ..Grants::default()
    };
    let spec = PluginSpec {
        name: NAME.into(),
        file: component,
        digest: None,
        config: table::config(),
        grants,
        role: Role::default(),
        written: None,
    };
    let chain = Chain::load(&host, vec![spec], Arc::new(services))
        .await
        .unwrap();
    let mut answers = Vec::new();
    for line in lines {
        let decision = chain
            .decide(&line.task, Instant::now() + Duration::from_secs(30))
            .await;
        answers.push(match &decision.evaluations()[0].verdict {
            Verdict::Approve => "approve".to_owned(),
            refused => refused.refusal().unwrap().0.to_owned(),
        });
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_policy_in_rust_javascript_and_python_gives_the_same_verdicts() {
    let dir = tempfile::tempdir().unwrap();
    let lines = table::table();
    assert!(lines.len() >= 50, "{} tasks", lines.len());
    let expected: Vec<&str> = lines.iter().map(|line| line.answer).collect();
    let wasm = "wasm32-wasip2/release/spending_limit.wasm";
    for (language, command, component) in [
        ("rust", &["cargo", "build", "--release"][..], wasm),
        (
            "js",
            &["npm", "install", "--no-audit", "--no-fund"],
            "spending-limit.wasm",
        ),
        ("python", &["python3", "build.py"], "spending-limit.wasm"),
    ] {
        let component = build(dir.path(), language, command, component);
        for ((line, expected), answer) in lines
            .iter()
            .zip(&expected)
            .zip(answers(component, &lines).await)
        {
            assert_eq!(answer, *expected, "{language}: {}", line.name);
        }
    }
}
