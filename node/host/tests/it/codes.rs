//! The tables of `docs/codes.md` against the sources: every code that can refuse is there, and no
//! other.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use countersign_host::Code;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(file: impl AsRef<Path>) -> String {
    let file = repository().join(file);
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The first column of the table under a heading, in order.
fn table(heading: &str) -> Vec<String> {
    let text = read("docs/codes.md");
    let (_, section) = text
        .split_once(&format!("\n## {heading}\n"))
        .expect("there is such a heading");
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| row.split('`').next().unwrap().to_owned())
        .collect()
}

/// The first string after each `marker` in `source`, if nothing but white space stands between.
fn literals(source: &str, marker: &str) -> Vec<String> {
    let after = source.split(marker).skip(1);
    let literal = |text: &str| {
        Some(
            text.trim_start()
                .strip_prefix('"')?
                .split('"')
                .next()?
                .to_owned(),
        )
    };
    after.filter_map(literal).collect()
}

/// The texts of the arms of `fn code`.
fn arms(file: &str) -> Vec<String> {
    let source = read(file);
    let (_, body) = source
        .split_once("pub fn code(")
        .expect("there is such a function");
    literals(body.split("\n    }\n").next().unwrap(), "=>")
}

fn set(codes: impl IntoIterator<Item = String>) -> BTreeSet<String> {
    codes.into_iter().collect()
}

/// Sources of a plugin without its tests.
fn sources(plugin: &str) -> String {
    let folder = repository().join("plugins").join(plugin).join("src");
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let rust = files.filter(|file| file.extension().is_some_and(|ext| ext == "rs"));
    rust.filter(|file| !file.ends_with("tests.rs"))
        .map(read)
        .collect()
}

#[test]
fn the_table_of_the_sandbox_is_complete() {
    let codes = Code::ALL.iter().map(|code| code.as_str().to_owned());
    assert_eq!(
        table("The sandbox"),
        codes.chain(["rejected".into()]).collect::<Vec<_>>()
    );
}

#[test]
fn the_table_of_the_node_is_complete() {
    let desk = ["admission", "offer", "quarantine", "telling"]
        .map(|file| read(format!("node/src/task/{file}.rs")))
        .concat();
    let mut codes = set([literals(&desk, "refusal("), literals(&desk, "refuse(")].concat());
    codes.extend(arms("protocol/src/task.rs"));
    codes.extend(arms("payload/src/lib.rs"));
    assert_eq!(set(table("The node itself")), codes);
}

#[test]
fn the_tables_of_the_plugins_are_complete() {
    let folders = std::fs::read_dir(repository().join("plugins")).unwrap();
    for folder in folders {
        let plugin = folder.unwrap().file_name().into_string().unwrap();
        let sources = sources(&plugin);
        let codes = match plugin.as_str() {
            // Some of its codes are chosen before they are used; all of them begin with an
            // operation.
            "rules" => prefixed(&sources),
            _ => set(literals(&sources, "reject(")),
        };
        if codes.is_empty() {
            assert!(
                !read("docs/codes.md").contains(&format!("## `{plugin}`")),
                "{plugin} rejects nothing"
            )
        } else {
            assert_eq!(set(table(&format!("`{plugin}`"))), codes, "{plugin}")
        }
    }
}

/// The strings that begin with the name of an operation.
fn prefixed(source: &str) -> BTreeSet<String> {
    let operations = ["keygen-", "keysign-", "keyreshare-", "keysharesign-"];
    let strings = source.split('"').map(str::to_owned);
    strings
        .filter(|text| {
            operations
                .iter()
                .any(|operation| text.starts_with(operation))
        })
        .collect()
}
