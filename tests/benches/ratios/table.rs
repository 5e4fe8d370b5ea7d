//! The table, printed line by line as results come in.

use std::process::ExitCode;
use std::time::Duration;

use crate::sample::{Effort, Pair};

/// Prints, and remembers failed measurements.
pub struct Table {
    missed: usize,
    unmeasured: usize,
}

/// The design's requirement for a line.
pub struct Figure {
    /// The requirement in words.
    pub asks: &'static str,
    /// True if this run meets it.
    pub met: bool,
}

impl Table {
    /// Prints the head.
    pub fn new(effort: &Effort) -> Self {
        let processors = std::thread::available_parallelism().map_or(0, usize::from);
        println!(
            "Countersign against the bare call: three nodes and a coordinator on loopback, {processors} processors"
        );
        if cfg!(debug_assertions) || effort.quick {
            println!("A try-out: these figures mean nothing; use `just bench`.");
        }
        println!();
        line([
            "", "ours p50", "ours p99", "bare p50", "ratio", "design", "",
        ]);
        Self {
            missed: 0,
            unmeasured: 0,
        }
    }

    /// Begins a group of lines.
    pub fn heading(&self, text: &str) {
        println!("\n{text}");
    }

    /// Ours beside the bare call.
    pub fn compare(&mut self, what: &str, pair: &Pair, figures: &[Figure]) {
        let tail = pair.ours.percentile(99);
        // A single run has no tail.
        let tail = if pair.ours.count() > 1 {
            time(tail)
        } else {
            String::new()
        };
        let ours = time(pair.ours.median());
        let bare = time(pair.bare.median());
        let ratio = format!("{:.2}", pair.ratio());
        self.line([what, &ours, &tail, &bare, &ratio], figures);
    }

    /// A figure without a comparison.
    pub fn plain(&mut self, what: &str, value: &str, figures: &[Figure]) {
        self.line([what, value, "", "", ""], figures);
    }

    /// A measurement that failed is a line too, and makes the run fail.
    pub fn expect<T>(&mut self, what: &str, measured: anyhow::Result<T>) -> Option<T> {
        measured
            .inspect_err(|error| {
                self.unmeasured += 1;
                println!("  {what} could not be measured: {error:#}");
            })
            .ok()
    }

    /// Prints the last line.
    pub fn end(self) -> ExitCode {
        let figures = match self.missed {
            0 => "every figure is met".into(),
            missed => format!("not met: {missed}"),
        };
        println!(
            "\nAgainst the design: {figures}; could not be measured: {}",
            self.unmeasured
        );
        if self.unmeasured == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }

    fn line(&mut self, [what, ours, tail, bare, ratio]: [&str; 5], figures: &[Figure]) {
        let verdict = |figure: &Figure| if figure.met { "met" } else { "NOT MET" };
        let first = figures.first();
        let asks = first.map_or("", |figure| figure.asks);
        line([
            &format!("  {what}"),
            ours,
            tail,
            bare,
            ratio,
            asks,
            first.map_or("", verdict),
        ]);
        for figure in figures.iter().skip(1) {
            line(["", "", "", "", "", figure.asks, verdict(figure)]);
        }
        self.missed += figures.iter().filter(|figure| !figure.met).count();
    }
}

fn line([what, ours, tail, bare, ratio, asks, verdict]: [&str; 7]) {
    let text =
        format!("{what:<46} {ours:>10} {tail:>10} {bare:>10} {ratio:>7}   {asks:<20} {verdict}");
    println!("{}", text.trim_end());
}

/// Three significant digits, in the unit that fits.
pub fn time(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    let (value, unit) = match seconds {
        s if s < 1e-3 => (s * 1e6, "us"),
        s if s < 1.0 => (s * 1e3, "ms"),
        s => (s, "s"),
    };
    let decimals = if value < 10.0 {
        2
    } else {
        usize::from(value < 100.0)
    };
    format!("{value:.decimals$} {unit}")
}
