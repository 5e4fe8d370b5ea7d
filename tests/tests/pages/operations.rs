//! The pages that list operations name every one.

use countersign_protocol::OperationKind;

use crate::page::{Page, Section};

const CALLBACK: Page = Page(include_str!("../../../docs/callback.md"));
const EVENTS: Page = Page(include_str!("../../../docs/events.md"));
const GLOSSARY: Page = Page(include_str!("../../../docs/glossary.md"));
const METRICS: Page = Page(include_str!("../../../docs/metrics.md"));
const TASK_API: Page = Page(include_str!("../../../docs/task-api.md"));

/// The row of a table that begins with this cell.
fn row(section: &Section, cell: &str) -> &'static str {
    let start = format!("| {cell} |");
    let mut rows = section.text().lines();
    rows.find(|line| line.starts_with(&start))
        .unwrap_or_else(|| panic!("no row `{cell}`"))
}

/// The form of a title in tasks, such as `key-gen`.
fn in_tasks(kind: OperationKind) -> String {
    let hyphens = kind.title().chars().flat_map(|letter| {
        let hyphen = letter.is_ascii_uppercase().then_some('-');
        hyphen.into_iter().chain([letter.to_ascii_lowercase()])
    });
    hyphens.skip(1).collect()
}

#[test]
fn every_operation_is_on_the_pages_that_list_them() {
    let words = |text: &'static str| {
        text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
            .collect::<Vec<_>>()
    };
    let tasks = words(row(&TASK_API.section("A task"), "`operation`"));
    let events = words(EVENTS.section("Event types").text());
    let metrics = words(row(&METRICS.whole(), "`countersign_tasks_total`"));
    let glossary = words(row(&GLOSSARY.whole(), "task"));
    let callback = words(row(&CALLBACK.section("Request"), "`request_type`"));
    for kind in OperationKind::ALL {
        assert!(tasks.contains(&&*in_tasks(kind)), "task-api.md: {kind}");
        assert!(events.contains(&kind.name()), "events.md: {kind}");
        assert!(metrics.contains(&kind.name()), "metrics.md: {kind}");
        assert!(glossary.contains(&kind.title()), "glossary.md: {kind}");
        assert!(callback.contains(&kind.title()), "callback.md: {kind}");
    }
}
