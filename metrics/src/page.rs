//! The tables of the documentation.

use crate::table::{Label, Metric, Table};
use crate::text::line;

/// Renders a table as Markdown, one section for each heading.
pub fn markdown(table: &'static Table) -> String {
    let mut page = String::new();
    for (heading, metrics) in table {
        let head = "| name | type | unit | labels | meaning | source |\n|---|---|---|---|---|---|";
        line(&mut page, format_args!("### {heading}\n\n{head}"));
        for metric in *metrics {
            line(&mut page, format_args!("{}", row(metric)));
        }
        line(&mut page, format_args!(""));
    }
    page
}

fn row(metric: &Metric) -> String {
    let labels: Vec<_> = metric.labels.iter().map(label).collect();
    let cells = [
        format!("`{}`", metric.name),
        metric.kind.word().into(),
        metric.unit.word().into(),
        labels.join("; "),
        metric.help.into(),
        metric.source.into(),
    ];
    let cells = cells.map(|cell| {
        if cell.is_empty() {
            " ".into()
        } else {
            format!(" {cell} ")
        }
    });
    format!("|{}|", cells.join("|"))
}

fn label(label: &Label) -> String {
    let values: Vec<_> = label
        .values
        .iter()
        .map(|value| format!("`{value}`"))
        .collect();
    if values.is_empty() {
        format!("`{}`", label.name)
    } else {
        format!("`{}`: {}", label.name, values.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::tests::TABLE;

    #[test]
    fn a_metric_is_a_row_with_everything_that_is_known_of_it() {
        let page = markdown(TABLE);
        assert!(page.starts_with("### One\n\n| name | type |"), "{page}");
        let row = "\n| `done_total` | counter | | `kind`: `a`, `b`; `who` | Done | |\n";
        assert!(page.contains(row), "{page}");
        let unit = "\n| `took_seconds` | histogram | seconds | `who` | Took | |\n";
        assert!(page.contains(unit), "{page}");
    }
}
