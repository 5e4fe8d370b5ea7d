//! Extracts parts of a page, and writes generated ones. Panics if the page has no such part.

use std::path::{Path, PathBuf};

/// The folder of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Writes a generated file where `just pages` runs, and compares it everywhere.
pub fn written(file: &str, text: &str) {
    let path = repository().join(file);
    if std::env::var_os("COUNTERSIGN_WRITE_PAGES").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let present = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        present == text,
        "{file} is not the code's; run `just pages`"
    );
}

/// A page of `docs/`.
pub struct Page(pub &'static str);

impl Page {
    /// The text under a heading, up to the next one of any kind.
    pub fn section(&self, heading: &str) -> Section {
        let from = self.0.split_once(&format!("\n## {heading}\n"));
        let (_, rest) = from.unwrap_or_else(|| panic!("the page has no section `{heading}`"));
        Section(rest.split("\n## ").next().unwrap_or(rest))
    }

    /// The page as one section.
    pub fn whole(&self) -> Section {
        Section(self.0)
    }
}

/// A part of a page.
pub struct Section(pub &'static str);

impl Section {
    pub fn text(&self) -> &'static str {
        self.0
    }

    /// The fenced blocks, without the line feed at their ends. Each has a language, or is of `""`.
    pub fn blocks(&self, language: &str) -> Vec<&'static str> {
        let mut blocks = Vec::new();
        let mut rest = self.0;
        while let Some((_, from)) = rest.split_once("\n```") {
            let (named, from) = from
                .split_once('\n')
                .expect("a block begins on a line of its own");
            let (block, after) = from.split_once("\n```").expect("a block has an end");
            if named == language {
                blocks.push(block);
            }
            rest = after;
        }
        blocks
    }

    /// The only block in a language.
    pub fn block(&self, language: &str) -> &'static str {
        let blocks = self.blocks(language);
        assert_eq!(blocks.len(), 1, "one block of `{language}`");
        blocks[0]
    }

    /// The first cells of the rows of the table whose first column is headed `heading`.
    pub fn first_column(&self, heading: &str) -> Vec<&'static str> {
        let first = |line: &'static str| {
            line.strip_prefix("| ")
                .and_then(|row| row.split(" |").next())
        };
        self.0
            .lines()
            .skip_while(|line| first(line) != Some(heading))
            .skip(2)
            .map_while(first)
            .collect()
    }

    /// The code span in the second column of the table's row whose first column is `name`.
    pub fn cell(&self, name: &str) -> &'static str {
        let mut rows = self
            .0
            .lines()
            .filter_map(|line| line.strip_prefix(&format!("| {name} | `")));
        let row = rows.next().unwrap_or_else(|| panic!("no row `{name}`"));
        row.split('`').next().expect("a cell")
    }
}
