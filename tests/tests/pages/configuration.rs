//! `docs/configuration.md`: the example configurations of both programs, section by section. Each
//! has every key that its program knows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use countersign_protocol::{CoordinatorId, KeyId, NodeId, RequesterId};
use serde_norway::{Mapping, Value};

use crate::page::written;

const PAGE: &str = "docs/configuration.md";
/// A key that no program knows, and that resembles none.
const UNKNOWN: &str = "qqqqqqqqqqqqqqqqqqqqqqqq";

const PROGRAMS: [Program; 2] = [
    Program {
        title: "The node",
        about: "`countersign-node config example` prints this file, and `init` writes it where there is none.",
        example: countersign_node::config::EXAMPLE,
        parse: |text| match countersign_node::config::Config::parse(text, Path::new("/")) {
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        },
        open: &[
            "config",
            "file",
            "public_keys",
            "secrets",
            "trusted_publishers",
            "embedded_risk_control_rules",
        ],
    },
    Program {
        title: "The coordinator",
        about: "`countersign-coordinator init` writes this file into a new data directory.",
        example: countersign_coordinator::config::EXAMPLE,
        parse: |text| match countersign_coordinator::Config::parse(text, Path::new("/")) {
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        },
        open: &[],
    },
];

/// An example and its program, which returns an error's text.
struct Program {
    title: &'static str,
    about: &'static str,
    example: &'static str,
    parse: fn(&str) -> Result<(), String>,
    /// Keys whose values are up to others.
    open: &'static [&'static str],
}

#[test]
fn the_configurations_of_the_page_are_those_of_the_code() {
    let mut page = String::from(
        "# Configuration\n\nThe two programs that run all the time each have one YAML file.\n",
    );
    for program in PROGRAMS {
        page += &format!("\n## {}\n\n{}\n", program.title, program.about);
        let (head, sections) = program.example.split_once("\n\n").unwrap();
        page += &format!("\n{}\n", prose(head));
        for section in sections.split("\n\n") {
            page += &format!("\n```yaml\n{}\n```\n", section.trim_end());
        }
    }
    written(PAGE, &page);
}

/// The comment at the head of an example as text of the page.
fn prose(comment: &str) -> String {
    let line = |line: &str| line.trim_start_matches('#').trim_start().to_owned();
    let lines: Vec<String> = comment.lines().map(line).collect();
    lines.join("\n")
}

#[test]
fn the_examples_have_every_key() {
    for program in PROGRAMS {
        let example: Value = serde_norway::from_str(&in_force(program.example)).unwrap();
        let mut seen = BTreeMap::new();
        visit(&program, &example, &[], &mut seen);
        assert!(!seen.is_empty());
        for (known, shown) in seen {
            let known: BTreeSet<&str> = known.split(", ").collect();
            let shown: BTreeSet<&str> = shown.iter().map(String::as_str).collect();
            assert_eq!(shown, known, "{}", program.title);
        }
    }
}

/// The example with every setting in force.
fn in_force(example: &str) -> String {
    let setting = |line: &str| match line.strip_prefix('#') {
        Some(rest)
            if rest.starts_with("  ") || rest.starts_with(|c: char| c.is_ascii_lowercase()) =>
        {
            rest.to_owned()
        }
        _ => line.to_owned(),
    };
    let text: Vec<String> = example.lines().map(setting).collect();
    let point = ed25519_dalek::SigningKey::from_bytes(&[1; 32])
        .verifying_key()
        .to_bytes();
    text.join("\n")
        .replace(
            "csc1...",
            &CoordinatorId::from_bytes(point).unwrap().to_string(),
        )
        .replace(
            "csr1...",
            &RequesterId::from_bytes(point).unwrap().to_string(),
        )
        .replace("csn1...", &NodeId::from_bytes(point).unwrap().to_string())
        .replace(
            "csv1...",
            &countersign_vote::testing::Key::new(1).id().to_string(),
        )
        .replace("csk1...", &KeyId::from_bytes([1; 16]).unwrap().to_string())
}

/// For each mapping of the example: the keys that the program names when it finds an unknown one
/// there, with the keys that the example shows. Places of one type count together.
fn visit(
    program: &Program,
    whole: &Value,
    place: &[Value],
    seen: &mut BTreeMap<String, BTreeSet<String>>,
) {
    match at(whole, place) {
        Value::Mapping(mapping) => {
            let name = place
                .iter()
                .rev()
                .find_map(Value::as_str)
                .unwrap_or_default();
            if program.open.contains(&name) {
                return;
            }
            let known = known_keys(program, whole, place);
            let shown = mapping.keys().map(|key| key.as_str().unwrap().to_owned());
            seen.entry(known).or_default().extend(shown);
            for key in mapping.keys() {
                visit(
                    program,
                    whole,
                    &[place, std::slice::from_ref(key)].concat(),
                    seen,
                );
            }
        }
        Value::Sequence(items) => {
            for index in 0..items.len() {
                visit(program, whole, &[place, &[index.into()]].concat(), seen);
            }
        }
        _ => {}
    }
}

fn at<'a>(whole: &'a Value, place: &[Value]) -> &'a Value {
    place.iter().fold(whole, |value, step| match step.as_u64() {
        Some(index) => &value[index as usize],
        None => &value[step],
    })
}

fn known_keys(program: &Program, whole: &Value, place: &[Value]) -> String {
    let mut altered = whole.clone();
    let target = place
        .iter()
        .fold(&mut altered, |value, step| match step.as_u64() {
            Some(index) => &mut value[index as usize],
            None => &mut value[step],
        });
    let mapping: &mut Mapping = target.as_mapping_mut().unwrap();
    mapping.insert(UNKNOWN.into(), 1.into());
    let text = serde_norway::to_string(&altered).unwrap();
    let error = (program.parse)(&text).expect_err("an unknown key is refused");
    let known = error.split_once(&format!(
        "there is no key `{UNKNOWN}` here; the keys here are "
    ));
    let (_, known) = known.unwrap_or_else(|| panic!("{place:?}: {error}"));
    known.to_owned()
}
