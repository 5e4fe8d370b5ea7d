//! The alert rules, held to the tables of metrics and to Prometheus' own tool.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use countersign_metrics::{Histogram, Kind, Metric, Settings, Sheet, Table, Value, text};
use countersign_protocol::code::{FailureCode, RefusalCode};

const RULES: &str = "docs/prometheus/alerts.yml";
/// Each has a test of each rule.
const TESTS: [&str; 2] = ["tests/alerts/fire.yml", "tests/alerts/quiet.yml"];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(file: &str) -> serde_norway::Value {
    let text = std::fs::read_to_string(repository().join(file)).unwrap();
    serde_norway::from_str(&text).unwrap()
}

struct Rule {
    name: String,
    expr: String,
    severity: String,
    summary: String,
}

fn rules() -> Vec<Rule> {
    let file = read(RULES);
    let groups = file["groups"].as_sequence().unwrap().iter();
    let rules = groups.flat_map(|group| group["rules"].as_sequence().unwrap().clone());
    let text = |value: &serde_norway::Value| value.as_str().unwrap_or_default().to_owned();
    rules
        .map(|rule| Rule {
            name: text(&rule["alert"]),
            expr: text(&rule["expr"]),
            severity: text(&rule["labels"]["severity"]),
            summary: text(&rule["annotations"]["summary"]),
        })
        .collect()
}

fn tables() -> [&'static Table; 2] {
    [
        countersign_node::metrics::TABLE,
        countersign_coordinator::metrics::TABLE,
    ]
}

/// The names by which queries can ask for a metric.
fn asked_for(metric: &Metric) -> Vec<String> {
    match metric.kind {
        Kind::Gauge | Kind::Counter => vec![metric.name.into()],
        Kind::Histogram => ["_bucket", "_sum", "_count"]
            .map(|end| format!("{}{end}", metric.name))
            .to_vec(),
    }
}

/// The names of metrics in a query.
fn names(expr: &str) -> impl Iterator<Item = &str> {
    let words = expr.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("countersign_"))
}

#[test]
fn every_rule_asks_for_metrics_that_there_are_and_says_what_to_do() {
    let all = tables().into_iter().flat_map(Metric::all);
    let known: BTreeSet<String> = all.flat_map(asked_for).collect();
    for rule in rules() {
        assert!(names(&rule.expr).next().is_some(), "{}", rule.name);
        for name in names(&rule.expr) {
            assert!(known.contains(name), "{}: {name}", rule.name);
        }
        let severe = ["page", "ticket"].contains(&&*rule.severity);
        assert!(severe && rule.summary.ends_with('.'), "{}", rule.name);
    }
}

/// Sizes, heads and numbers of things that are never wrong by themselves.
#[test]
fn every_metric_that_can_be_wrong_has_a_rule() {
    let rules = rules();
    let asked: BTreeSet<&str> = rules.iter().flat_map(|rule| names(&rule.expr)).collect();
    let never_wrong = [
        "countersign_secrets_bytes",
        "countersign_coordinator_feed_head",
        "countersign_coordinator_webhooks",
    ];
    for metric in tables().into_iter().flat_map(Metric::all) {
        let has = asked_for(metric).iter().any(|name| asked.contains(&**name));
        assert_ne!(has, never_wrong.contains(&metric.name), "{}", metric.name);
    }
}

#[test]
fn every_rule_has_a_test_in_which_it_fires_and_one_in_which_it_does_not() {
    let rules = rules();
    let names: Vec<&str> = rules.iter().map(|rule| &*rule.name).collect();
    let distinct: BTreeSet<_> = names.iter().collect();
    assert!(names.len() == distinct.len() && names.len() > 50);
    for file in TESTS {
        let tests = read(file);
        let tests = tests["tests"].as_sequence().unwrap();
        let tested: Vec<_> = tests
            .iter()
            .map(|test| test["name"].as_str().unwrap())
            .collect();
        assert_eq!(tested, names, "{file}");
        for test in tests {
            let query = &test["promql_expr_test"][0];
            let named = format!("alertname=\"{}\"", test["name"].as_str().unwrap());
            assert!(
                query["expr"].as_str().unwrap().contains(&named),
                "{file}: {named}"
            );
            let fires = !query["exp_samples"].as_sequence().unwrap().is_empty();
            assert_eq!(fires, file == TESTS[0], "{file}: {named}");
        }
    }
}

#[test]
fn every_code_that_proves_cheating_is_a_page() {
    let known: Vec<&str> = FailureCode::ALL.iter().map(FailureCode::as_str).collect();
    let proof = FailureCode::ALL
        .iter()
        .filter(|code| code.is_proof_of_cheating());
    let proof: Vec<&str> = proof.map(FailureCode::as_str).collect();
    for name in [
        "CountersignPeerCheated",
        "CountersignCoordinatorSawCheating",
    ] {
        let rule = rules().into_iter().find(|rule| rule.name == name).unwrap();
        assert_eq!(rule.severity, "page");
        let (_, codes) = rule.expr.split_once("code=~\"").unwrap();
        let codes: Vec<&str> = codes.split_once('"').unwrap().0.split('|').collect();
        assert!(
            proof.iter().all(|code| codes.contains(code)),
            "{name}: {proof:?}"
        );
        assert!(
            codes.iter().all(|code| known.contains(code)),
            "{name}: {codes:?}"
        );
    }
}

/// More values than there are would be cut off without anybody noticing.
#[test]
fn all_codes_fit_into_the_series_of_one_metric() {
    let codes = RefusalCode::ALL.len() + FailureCode::ALL.len() + 2;
    assert!(codes < countersign_metrics::MAX_SERIES, "{codes}");
}

#[test]
fn promtool_has_every_rule_fire_and_stay_quiet() {
    promtool(&["check", "rules", RULES], "");
    promtool(&["test", "rules", TESTS[0], TESTS[1]], "");
}

#[test]
fn promtool_finds_nothing_to_complain_about_in_what_is_shown() {
    for table in tables() {
        let text = text(table, &filled(table), &Settings::default());
        assert_eq!(text.matches("# TYPE ").count(), Metric::all(table).count());
        promtool(&["check", "metrics"], &text);
    }
}

/// One series of each metric.
fn filled(table: &'static Table) -> Sheet {
    let mut sheet = Sheet::default();
    for metric in Metric::all(table) {
        let value = || match metric.kind {
            Kind::Gauge => Value::Number(1.5),
            Kind::Counter => Value::Count(1),
            Kind::Histogram => Value::Histogram(Histogram::default()),
        };
        let labels: Vec<_> = metric.labels.iter().map(|label| label.name).collect();
        match labels[..] {
            [] => sheet.put(metric, [], value()),
            [a] => sheet.put(metric, [a], value()),
            [a, b] => sheet.put(metric, [a, b], value()),
            [a, b, c] => sheet.put(metric, [a, b, c], value()),
            _ => panic!("{} has more labels than a test", metric.name),
        }
    }
    sheet
}

/// Runs Prometheus' tool in the repository. Skipped, with a message, if it is not installed; an
/// error where the tests must be complete.
fn promtool(arguments: &[&str], input: &str) {
    let mut command = Command::new("promtool");
    command
        .args(arguments)
        .current_dir(repository())
        .stdin(Stdio::piped());
    let Ok(mut child) = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
    else {
        let ci = std::env::var_os("CI").is_some();
        assert!(
            !ci,
            "install promtool of Debian's package prometheus: `./run test` does"
        );
        return eprintln!(
            "SKIPPED: the program `promtool` is not installed (Debian's package prometheus)"
        );
    };
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let told = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success(), "promtool {arguments:?}: {told}");
    if arguments == ["check", "metrics"] {
        assert_eq!(told, "", "promtool {arguments:?}");
    }
}
