//! Adds an entry to a list of a configuration that people write: comments and order stay.

use std::path::{Path, PathBuf};

use countersign_files::{Custody, CustodyError};

/// Maximum size of a configuration in bytes.
const LARGEST: u64 = 4 << 20;

/// Why an entry was not added. Nothing has changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are named for what they hold")]
pub enum EntryError {
    /// The file cannot be read, or others can write to it.
    #[error(transparent)]
    Custody(#[from] CustodyError),
    /// The file is not text.
    #[error("{} is not UTF-8 text; correct it", .0.display())]
    NotText(PathBuf),
    /// The list is in a form that is not edited here.
    #[error("the list `{list}` of {} is in a form that is not edited; add this line to it: {entry}", path.display())]
    Form {
        path: PathBuf,
        list: String,
        entry: String,
    },
    /// The configuration would not be valid with the entry.
    #[error("{} would be refused with the new entry: {reason}", path.display())]
    Refused { path: PathBuf, reason: String },
    /// The file cannot be written.
    #[error("{} cannot be written ({error}); check the disk and the permissions", path.display())]
    Write {
        path: PathBuf,
        error: std::io::Error,
    },
}

/// Adds `entry`, one line of YAML, to a top-level list of a configuration. `check` reads the new
/// text and returns why it is not what it should be; nothing is written then.
pub fn add_entry<E: std::fmt::Display>(
    path: &Path,
    list: &str,
    entry: &str,
    check: impl FnOnce(&str) -> Result<(), E>,
) -> Result<(), EntryError> {
    let unwritten = |error| EntryError::Write {
        path: path.into(),
        error,
    };
    // Of two commands at once, the second one reads what the first one wrote.
    let _lock = countersign_files::lock_beside(path).map_err(unwritten)?;
    let bytes = Custody::Operator.read(path, LARGEST)?;
    let text = String::from_utf8(bytes).map_err(|_| EntryError::NotText(path.into()))?;
    let new = with_entry(&text, list, entry).ok_or_else(|| EntryError::Form {
        path: path.into(),
        list: list.into(),
        entry: entry.into(),
    })?;
    check(&new).map_err(|reason| EntryError::Refused {
        path: path.into(),
        reason: reason.to_string(),
    })?;
    countersign_files::replace(path, new.as_bytes()).map_err(unwritten)
}

/// The text with the entry as the first of its list. `None` if the list is in flow style.
fn with_entry(text: &str, list: &str, entry: &str) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    let heading = format!("{list}:");
    let Some(at) = lines.iter().position(|line| line.starts_with(&heading)) else {
        let gap = if text.is_empty() || text.ends_with('\n') {
            ""
        } else {
            "\n"
        };
        return Some(format!("{text}{gap}\n{heading}\n  - {entry}\n"));
    };
    let value = lines[at][heading.len()..].trim();
    let empty = value.is_empty() || value == "[]" || value.starts_with('#');
    if !empty {
        return None;
    }
    let kept = if value == "[]" { &heading } else { lines[at] };
    let mut new: Vec<String> = lines[..at].iter().map(|line| (*line).to_owned()).collect();
    new.push(kept.to_owned());
    new.push(format!("{}- {entry}", indent(&lines[at + 1..])));
    new.extend(lines[at + 1..].iter().map(|line| (*line).to_owned()));
    Some(new.join("\n") + "\n")
}

/// The indentation of the list's present entries.
fn indent(below: &[&str]) -> String {
    let mut lines = below.iter().map(|line| (line, line.trim_start()));
    let first = lines.find(|(_, text)| !text.is_empty() && !text.starts_with('#'));
    match first {
        Some((line, text)) if text.starts_with("- ") => line[..line.len() - text.len()].to_owned(),
        Some(_) | None => "  ".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_comes_first_and_everything_else_stays() {
        for (before, after) in [
            ("", "\nl:\n  - {a: 1}\n"),
            ("x: 1", "x: 1\n\nl:\n  - {a: 1}\n"),
            ("# c\nl:\nx: 1\n", "# c\nl:\n  - {a: 1}\nx: 1\n"),
            ("l: []\nx: 1\n", "l:\n  - {a: 1}\nx: 1\n"),
            (
                "l: # c\n# d\n- {a: 0}\n",
                "l: # c\n- {a: 1}\n# d\n- {a: 0}\n",
            ),
            ("l:\n    - a: 0\n", "l:\n    - {a: 1}\n    - a: 0\n"),
            ("#l:\n", "#l:\n\nl:\n  - {a: 1}\n"),
        ] {
            assert_eq!(with_entry(before, "l", "{a: 1}").as_deref(), Some(after));
        }
    }

    #[test]
    fn a_list_on_one_line_is_left_to_its_author() {
        assert_eq!(with_entry("l: [{a: 0}]\n", "l", "{a: 1}"), None);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.yaml");
        std::fs::write(&path, "l: [{a: 0}]\n").unwrap();
        let error = add_entry(&path, "l", "{a: 1}", |_| Ok::<_, &str>(())).unwrap_err();
        assert!(
            error.to_string().ends_with("add this line to it: {a: 1}"),
            "{error}"
        );
    }

    #[test]
    fn a_configuration_that_would_be_refused_is_not_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.yaml");
        std::fs::write(&path, "l:\n").unwrap();
        let error = add_entry(&path, "l", "{a: 1}", |_| Err("it is listed twice"));
        assert!(matches!(error, Err(EntryError::Refused { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "l:\n");
        add_entry(&path, "l", "{a: 1}", |new| {
            assert_eq!(new, "l:\n  - {a: 1}\n");
            Ok::<_, &str>(())
        })
        .unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "l:\n  - {a: 1}\n");
    }

    #[test]
    fn entries_that_are_added_at_the_same_time_all_stay() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.yaml");
        std::fs::write(&path, "l:\n").unwrap();
        std::thread::scope(|scope| {
            for number in 0..8 {
                let path = &path;
                scope.spawn(move || {
                    let entry = format!("{{a: {number}}}");
                    // Each has read before any other writes.
                    add_entry(path, "l", &entry, |_| {
                        std::thread::sleep(std::time::Duration::from_millis(50));
                        Ok::<_, &str>(())
                    })
                    .unwrap();
                });
            }
        });
        let text = std::fs::read_to_string(&path).unwrap();
        for number in 0..8 {
            assert!(text.contains(&format!("{{a: {number}}}")), "{text}");
        }
    }
}
