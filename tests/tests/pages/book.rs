//! The book: every page has one place in it, and every link leads somewhere. mdBook is not needed
//! for that.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::page::repository;

const SUMMARY: &str = "docs/SUMMARY.md";
/// What the repository's site shows, and the book does not have.
const DOORS: [&str; 2] = ["README.md", "clients/README.md"];

/// The text of a file of the repository.
pub fn read(file: &str) -> String {
    let path = repository().join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The pages of the book, from the repository's root, in order.
pub fn pages() -> Vec<String> {
    let links = links(&read(SUMMARY));
    links.iter().map(|link| beside(SUMMARY, link)).collect()
}

/// The pages under `docs/`.
fn written() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for folder in ["docs", "docs/decisions"] {
        for entry in std::fs::read_dir(repository().join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.ends_with(".md") {
                found.insert(format!("{folder}/{name}"));
            }
        }
    }
    found.remove(SUMMARY);
    found
}

/// The path of a link's target, from the repository's root.
fn beside(page: &str, target: &str) -> String {
    let folder = Path::new(page).parent().unwrap();
    let mut path = PathBuf::new();
    for part in folder.join(target).components() {
        match part.as_os_str().to_str() {
            Some("..") => assert!(path.pop(), "{page}: {target} leaves the repository"),
            _ => path.push(part),
        }
    }
    path.into_os_string().into_string().unwrap()
}

/// The text of a page without its fenced blocks and code spans.
fn prose(page: &str) -> String {
    let mut text = String::new();
    let mut fenced = false;
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            // What stands between two backticks is code.
            text.extend(line.split('`').step_by(2));
            text.push('\n');
        }
    }
    text
}

/// The targets of a page's links and pictures.
fn links(page: &str) -> Vec<String> {
    let text = prose(page);
    let targets = text.split("](").skip(1);
    let targets = targets.filter_map(|rest| rest.split(')').next());
    targets.map(str::to_owned).collect()
}

/// The names of a page's headings, by which links lead to them.
fn anchors(page: &str) -> BTreeSet<String> {
    let mut seen = BTreeMap::<String, usize>::new();
    let mut fenced = false;
    let mut found = BTreeSet::new();
    for line in page.lines() {
        fenced ^= line.starts_with("```");
        let heading = line.trim_start_matches('#');
        if fenced || heading.len() == line.len() || !heading.starts_with(' ') {
            continue;
        }
        let anchor = anchor(heading.trim());
        let times = seen.entry(anchor.clone()).or_default();
        found.insert(match times {
            0 => anchor,
            _ => format!("{anchor}-{times}"),
        });
        *times += 1;
    }
    found
}

/// Letters, digits, hyphens and underscores stay; spaces become hyphens.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter_map(|letter| match letter {
        ' ' => Some('-'),
        '-' | '_' => Some(letter),
        _ => letter.is_alphanumeric().then_some(letter),
    });
    kept.flat_map(char::to_lowercase).collect()
}

#[test]
fn every_page_has_one_place_in_the_book() {
    let pages = pages();
    let once: BTreeSet<_> = pages.iter().cloned().collect();
    assert_eq!(once.len(), pages.len(), "{SUMMARY} has a page twice");
    let docs: BTreeSet<_> = once
        .into_iter()
        .filter(|page| page.starts_with("docs/"))
        .collect();
    assert_eq!(docs, written(), "{SUMMARY} and the folder differ");
}

#[test]
fn every_link_leads_to_a_file_and_to_a_heading_of_it() {
    let mut broken = Vec::new();
    let doors = DOORS.map(str::to_owned);
    for page in pages().into_iter().chain(doors) {
        let text = read(&page);
        for link in links(&text) {
            if link.contains("://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match file {
                "" => page.clone(),
                _ => beside(&page, file),
            };
            if !repository().join(&target).exists() {
                broken.push(format!("{page}: no file at {link}"));
            } else if !anchor.is_empty() && !anchors(&read(&target)).contains(anchor) {
                broken.push(format!("{page}: no heading at {link}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn links_and_headings_are_found_as_the_sites_find_them() {
    let page = "# A `b` c, d!\n## 5. In_doubt\n```\n# no [heading](x.md)\n```\n## 5. In_doubt\n`[no](y)` [yes](z.md#a)";
    assert_eq!(links(page), ["z.md#a"]);
    let expected = ["5-in_doubt", "5-in_doubt-1", "a-b-c-d"].map(str::to_owned);
    assert_eq!(anchors(page), expected.into());
    assert_eq!(beside("docs/a/b.md", "../c.md"), "docs/c.md");
}
