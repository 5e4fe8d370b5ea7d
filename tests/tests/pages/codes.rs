//! The tables of `docs/codes.md`: those of the program are rendered from its code; those of the
//! plugins are compared with their sources.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

use countersign_coordinator::http::CODES;
use countersign_host::Code;
use countersign_protocol::code::{Explained, FailureCode, RefusalCode};

use crate::page::{repository, written};

const PAGE: &str = "docs/codes.md";

fn read(file: impl AsRef<Path>) -> String {
    let file = repository().join(file);
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The first column of the table under a heading, in order.
fn table(heading: &str) -> Vec<String> {
    let text = read(PAGE);
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

/// A table of the page as the code has it.
fn rendered(rows: &[Explained]) -> String {
    let mut table = String::from("| code | it means | what to do |\n|---|---|---|\n");
    for row in rows {
        let line = format!("| `{}` | {} | {} |\n", row.code, row.meaning, row.remedy);
        table.push_str(&line);
    }
    table
}

/// The range of the table under a heading.
fn place(page: &str, heading: &str) -> Range<usize> {
    let heading = format!("\n## {heading}\n");
    let section = page.find(&heading).expect("there is such a heading") + heading.len();
    let start = section + page[section..].find("\n| ").expect("there is a table") + 1;
    let end = page[start..].find("|\n\n").expect("the table ends") + start + 2;
    start..end
}

#[test]
fn the_tables_are_those_of_the_code() {
    let mut page = read(PAGE);
    for (heading, rows) in [
        ("The node itself", RefusalCode::EXPLAINED),
        ("Failures", FailureCode::EXPLAINED),
        ("The sandbox", Code::EXPLAINED),
    ] {
        let place = place(&page, heading);
        page.replace_range(place, &rendered(rows));
    }
    let api = CODES.map(|(code, meaning, remedy)| Explained {
        code,
        meaning,
        remedy,
    });
    let place = place(&page, "The coordinator's API");
    page.replace_range(place, &rendered(&api));
    written(PAGE, &page);
}

#[test]
fn every_code_has_a_meaning_and_says_what_to_do() {
    let page = read(PAGE);
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let mut count = 0;
    for row in rows {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        assert_eq!(cells.len(), 3, "{row}");
        assert!(cells.iter().all(|cell| !cell.is_empty()), "{row}");
        count += 1;
    }
    assert!(count > 200, "only {count} codes were found");
}

#[test]
fn the_tables_of_the_plugins_are_complete() {
    let folders = std::fs::read_dir(repository().join("plugins")).unwrap();
    for folder in folders {
        let plugin = folder.unwrap().file_name().into_string().unwrap();
        let sources = sources(&plugin);
        let codes = match plugin.as_str() {
            // Some of its codes are chosen before they are used; all of them
            // begin with an operation.
            "rules" => prefixed(&sources),
            _ => set(literals(&sources, "reject(")),
        };
        if codes.is_empty() {
            assert!(
                !read(PAGE).contains(&format!("## `{plugin}`")),
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
