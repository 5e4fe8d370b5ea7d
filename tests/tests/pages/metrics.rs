//! `docs/metrics.md` and the Grafana dashboard: written from the tables of the code.

use std::collections::BTreeSet;

use countersign_coordinator::metrics::TABLE as COORDINATOR;
use countersign_metrics::{Metric, grafana, page};
use countersign_node::metrics::TABLE as NODE;

use crate::page::{repository, written};

const PAGE: &str = "docs/metrics.md";
const DASHBOARD: &str = "docs/grafana/countersign.json";

fn read(name: &str) -> String {
    std::fs::read_to_string(repository().join(name)).unwrap_or_default()
}

/// The page with the tables under these headings replaced.
fn page() -> String {
    let mut page = read(PAGE);
    for (heading, table) in [
        ("Metrics of a node", NODE),
        ("Metrics of a coordinator", COORDINATOR),
    ] {
        let heading = format!("\n## {heading}\n");
        let section = page.find(&heading).expect("there is such a heading") + heading.len();
        let rest = &page[section..];
        let end = section + rest.find("\n## ").map_or(rest.len(), |end| end + 1);
        let start = section + page[section..end].find("### ").unwrap_or(end - section);
        page.replace_range(start..end, &page::markdown(table));
    }
    page.trim_end().to_owned() + "\n"
}

fn dashboard() -> String {
    let services = [("Node", NODE), ("Coordinator", COORDINATOR)];
    let dashboard = grafana::dashboard("Countersign", "countersign", &services);
    serde_json::to_string_pretty(&dashboard).unwrap() + "\n"
}

#[test]
fn the_tables_and_the_dashboard_are_those_of_the_code() {
    written(PAGE, &page());
    written(DASHBOARD, &dashboard());
}

#[test]
fn every_metric_is_on_the_page_and_on_the_dashboard_and_nothing_else_is() {
    let all = || Metric::all(NODE).chain(Metric::all(COORDINATOR));
    let known: BTreeSet<String> = all().map(|metric| metric.name.into()).collect();
    assert_eq!(known.len(), all().count(), "no name is used twice");
    let page = read(PAGE);
    let rows = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `countersign_"));
    let rows = rows.map(|row| format!("countersign_{}", row.split('`').next().unwrap()));
    assert_eq!(rows.collect::<BTreeSet<_>>(), known);
    let dashboard: serde_json::Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let panels = panels.iter().filter(|panel| panel["type"] != "row");
    let mut shown = BTreeSet::new();
    for panel in panels {
        let title = panel["title"].as_str().unwrap();
        shown.insert(title.to_owned());
        for target in panel["targets"].as_array().unwrap() {
            let expr = target["expr"].as_str().unwrap();
            assert!(expr.contains(title), "{title}: {expr}");
        }
    }
    assert_eq!(shown, known);
}
