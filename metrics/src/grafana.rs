//! The Grafana dashboard: a panel for each metric, a row for each heading.
//!
//! Format: the JSON model of Grafana's documentation, schema version 36 (Grafana 9 and later).

use serde_json::{Value, json};

use crate::table::{Kind, Metric, Table, Unit};

/// Columns of a dashboard, and of one panel.
const WIDE: usize = 24;
const PANEL: usize = 8;
const HIGH: usize = 7;
/// Quantiles that are shown of histograms.
const QUANTILES: [(&str, &str); 2] = [("0.5", "median"), ("0.99", "99 %")];

/// Makes the dashboard of some services, each with its title.
pub fn dashboard(title: &str, uid: &str, services: &[(&str, &'static Table)]) -> Value {
    let mut panels = Vec::new();
    let mut y = 0;
    for (service, table) in services {
        for (heading, metrics) in *table {
            panels.push(row(&format!("{service}: {heading}"), y, panels.len() + 1));
            y += 1;
            for (number, metric) in metrics.iter().enumerate() {
                let place = (number * PANEL % WIDE, y + number * PANEL / WIDE * HIGH);
                panels.push(panel(metric, place, panels.len() + 1));
            }
            y += (metrics.len() * PANEL).div_ceil(WIDE) * HIGH;
        }
    }
    json!({
        "title": title,
        "uid": uid,
        "tags": ["countersign"],
        "schemaVersion": 36,
        "version": 1,
        "editable": true,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": variables()},
        "panels": panels,
    })
}

/// The data source, and the instances that are shown.
fn variables() -> Value {
    let instances =
        "label_values({__name__=~\"countersign_build|countersign_coordinator_build\"}, instance)";
    json!([
        {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"},
        {
            "name": "instance",
            "type": "query",
            "label": "Instance",
            "datasource": source(),
            "query": {"query": instances, "refId": "instances"},
            "definition": instances,
            "refresh": 2,
            "multi": true,
            "includeAll": true,
            "allValue": ".*",
            "current": {"text": "All", "value": "$__all"},
        },
    ])
}

fn source() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

fn row(title: &str, y: usize, id: usize) -> Value {
    json!({
        "type": "row",
        "title": title,
        "id": id,
        "collapsed": false,
        "gridPos": {"x": 0, "y": y, "w": WIDE, "h": 1},
        "panels": [],
    })
}

fn panel(metric: &Metric, (x, y): (usize, usize), id: usize) -> Value {
    let targets: Vec<_> = queries(metric)
        .into_iter()
        .enumerate()
        .map(|(number, (expr, legend))| {
            json!({
                "refId": number.to_string(),
                "datasource": source(),
                "expr": expr,
                "legendFormat": legend,
            })
        })
        .collect();
    json!({
        "type": "timeseries",
        "title": metric.name,
        "description": metric.help.replace('`', ""),
        "id": id,
        "datasource": source(),
        "gridPos": {"x": x, "y": y, "w": PANEL, "h": HIGH},
        "fieldConfig": {"defaults": {"unit": unit(metric), "min": minimum(metric)}, "overrides": []},
        "targets": targets,
    })
}

/// The queries of a metric, each with the legend of its curves.
fn queries(metric: &Metric) -> Vec<(String, String)> {
    let of = |end: &str| format!("{}{end}{{instance=~\"$instance\"}}", metric.name);
    let names: Vec<_> = metric.labels.iter().map(|label| label.name).collect();
    let by = |more: &[&str]| [&["instance"], more, &names[..]].concat().join(", ");
    let legend: String = names
        .iter()
        .map(|name| format!(" {{{{{name}}}}}"))
        .collect();
    let legend = format!("{{{{instance}}}}{legend}");
    match (metric.kind, metric.unit) {
        // Instants to come, and instants past.
        (Kind::Gauge, Unit::UnixTime) if metric.name.contains("_expiry_") => {
            vec![(format!("{} - time()", of("")), legend)]
        }
        (Kind::Gauge, Unit::UnixTime) => vec![(format!("time() - {}", of("")), legend)],
        (Kind::Gauge, Unit::Number | Unit::Seconds | Unit::Bytes) => vec![(of(""), legend)],
        (Kind::Counter, _) => {
            let rate = format!("sum by ({}) (rate({}[$__rate_interval]))", by(&[]), of(""));
            vec![(rate, legend)]
        }
        (Kind::Histogram, _) => {
            let rate = format!(
                "sum by ({}) (rate({}[$__rate_interval]))",
                by(&["le"]),
                of("_bucket")
            );
            let quantile = |(quantile, word): (&str, &str)| {
                (
                    format!("histogram_quantile({quantile}, {rate})"),
                    format!("{legend} {word}"),
                )
            };
            QUANTILES.map(quantile).to_vec()
        }
    }
}

/// Grafana's word for the unit of a panel.
fn unit(metric: &Metric) -> &'static str {
    match (metric.kind, metric.unit) {
        (Kind::Counter, _) => "cps",
        (Kind::Gauge | Kind::Histogram, Unit::Number) => "none",
        (Kind::Gauge | Kind::Histogram, Unit::Seconds | Unit::UnixTime) => "s",
        (Kind::Gauge | Kind::Histogram, Unit::Bytes) => "bytes",
    }
}

/// A skew may be below 0, and so may the time until a certificate expires.
fn minimum(metric: &Metric) -> Option<u32> {
    let signed = ["_skew_", "_expiry_"];
    (!signed.iter().any(|word| metric.name.contains(word))).then_some(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::tests::TABLE;

    #[test]
    fn every_metric_has_a_panel_and_no_two_panels_lie_on_each_other() {
        let dashboard = dashboard("T", "t", &[("Service", TABLE), ("Other", TABLE)]);
        let panels = dashboard["panels"].as_array().unwrap();
        let titles: Vec<_> = panels
            .iter()
            .map(|panel| panel["title"].as_str().unwrap())
            .collect();
        let once = ["up", "never", "Service: Two", "done_total", "took_seconds"];
        assert_eq!(titles[..6], [&["Service: One"], &once[..]].concat());
        let places: std::collections::BTreeSet<_> = panels
            .iter()
            .map(|panel| panel["gridPos"].to_string())
            .collect();
        assert_eq!(places.len(), panels.len());
    }

    #[test]
    fn counters_are_shown_as_rates_and_histograms_as_quantiles() {
        let mut all = Metric::all(TABLE);
        let exprs = |metric| {
            queries(metric)
                .into_iter()
                .map(|(expr, _)| expr)
                .collect::<Vec<_>>()
        };
        let done = all.find(|metric| metric.name == "done_total").unwrap();
        let rate = "sum by (instance, kind, who) (rate(done_total{instance=~\"$instance\"}[$__rate_interval]))";
        assert_eq!(exprs(done), [rate]);
        let took = exprs(all.next().unwrap());
        let rate = "sum by (instance, le, who) (rate(took_seconds_bucket{instance=~\"$instance\"}[$__rate_interval]))";
        assert_eq!(took[1], format!("histogram_quantile(0.99, {rate})"));
        assert_eq!(took.len(), 2);
    }
}
