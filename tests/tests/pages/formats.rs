//! `docs/wire.md` and `docs/store-formats.md`: their tables have every frame and every table of the
//! sources, in order where the order is the format.

use std::collections::BTreeSet;

use countersign_protocol::PROTOCOL_VERSION;

use crate::book::read;
use crate::page::{Page, Section, repository};

const WIRE: Page = Page(include_str!("../../../docs/wire.md"));
const STORE: Page = Page(include_str!("../../../docs/store-formats.md"));
const CONTROL: &str = "protocol/src/control.rs";
const FRAME: &str = "protocol/src/frame.rs";

/// The names of an enum's variants, in order.
fn variants(file: &str, name: &str) -> Vec<String> {
    let source = read(file);
    let (_, body) = source.split_once(&format!("pub enum {name} {{\n")).unwrap();
    let body = body.split("\n}\n").next().unwrap();
    let named = body.lines().filter_map(|line| line.strip_prefix("    "));
    let named = named.filter(|line| line.starts_with(|letter: char| letter.is_ascii_uppercase()));
    let word = |line: &str| {
        let end = line.find(|letter: char| !letter.is_ascii_alphanumeric());
        line[..end.unwrap_or(line.len())].to_owned()
    };
    named.map(word).collect()
}

/// The names in the table under a heading that counts from 0.
fn numbered(heading: &str) -> Vec<String> {
    let (_, text) = WIRE.0.split_once(&format!(" {heading}\n")).unwrap();
    let rows = text.lines().skip_while(|line| !line.starts_with("| 0 |"));
    let rows = rows.take_while(|line| line.starts_with('|'));
    let name = |(number, row): (usize, &str)| {
        let row = row.strip_prefix(&format!("| {number} | `"));
        let row = row.unwrap_or_else(|| panic!("{heading}: row {number}"));
        row.split('`').next().unwrap().to_owned()
    };
    rows.enumerate().map(name).collect()
}

#[test]
fn the_page_numbers_every_frame() {
    for (heading, file, name) in [
        ("Frames from a node", CONTROL, "FromNode"),
        ("Frames to a node", CONTROL, "ToNode"),
        ("The tunnel", FRAME, "Body"),
        ("A session", FRAME, "Message"),
    ] {
        assert_eq!(numbered(heading), variants(file, name), "{name}");
    }
    let newest = format!("The newest is **{PROTOCOL_VERSION}**");
    assert!(WIRE.0.contains(&newest), "{newest}");
}

/// The code spans in the first column of the tables of a section.
fn first_spans(section: &Section) -> BTreeSet<String> {
    let rows = section
        .text()
        .lines()
        .filter(|line| line.starts_with("| `"));
    let cells = rows.filter_map(|row| row.split(" |").next());
    let spans = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    spans.map(str::to_owned).collect()
}

/// The names of the redb tables in the sources of a folder, without its subfolders.
fn tables(folder: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(repository().join(folder)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let sources = names.filter(|name| name.ends_with(".rs") && !name.contains("test"));
    let mut found = BTreeSet::new();
    for name in sources {
        let source = read(&format!("{folder}/{name}"));
        let named = source.split("TableDefinition::new(\"").skip(1);
        found.extend(named.map(|rest| rest.split('"').next().unwrap().to_owned()));
    }
    found
}

#[test]
fn the_page_has_every_table_of_the_databases() {
    let (_, journal) = STORE.0.split_once("\n### `journal.redb`\n").unwrap();
    let journal = first_spans(&Section(journal.split("\n## ").next().unwrap()));
    assert_eq!(journal, tables("store/src/journal"));

    let coordinator = STORE.section("A coordinator's data directory");
    let (_, coordinator) = coordinator.text().split_once("| table |").unwrap();
    let mut written = tables("coordinator/src/store");
    written.extend(tables("coordinator/src"));
    assert_eq!(first_spans(&Section(coordinator)), written);
}

#[test]
fn the_page_has_every_section_of_the_secrets() {
    let (_, secrets) = STORE.0.split_once("\n### `secrets.redb.age`\n").unwrap();
    let secrets = secrets.split("\n### ").next().unwrap();
    let (_, secrets) = secrets.split_once("| table |").unwrap();
    let sections = countersign_store::Section::ALL.map(|section| section.name().to_owned());
    assert_eq!(first_spans(&Section(secrets)), sections.into());
}
