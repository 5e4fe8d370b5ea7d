//! A line on standard error that says how far a long command has come. It is shown on terminals
//! only, and gone when the command goes on.

use std::io::IsTerminal;

/// The line; wiped when it is dropped.
pub(super) struct LiveLine {
    what: &'static str,
    live: bool,
    /// The percentage that stands there.
    shown: Option<u64>,
}

impl LiveLine {
    pub(super) fn new(what: &'static str) -> Self {
        Self {
            what,
            live: std::io::stderr().is_terminal(),
            shown: None,
        }
    }

    /// Shows how much of everything is done.
    pub(super) fn show(&mut self, done: u64, all: u64) {
        if let Some(percent) = self.news(done, all)
            && self.live
        {
            eprint!("\r{}: {percent} %", self.what);
        }
    }

    /// The percentage, if it is another than before.
    fn news(&mut self, done: u64, all: u64) -> Option<u64> {
        let percent = done.saturating_mul(100).checked_div(all);
        let news = percent.filter(|percent| self.shown != Some(*percent));
        self.shown = news.or(self.shown);
        news
    }
}

impl Drop for LiveLine {
    fn drop(&mut self) {
        if self.live && self.shown.is_some() {
            eprint!("\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_percentage_is_shown_once_and_nothing_of_nothing() {
        let mut line = LiveLine::new("");
        let shown: Vec<_> = (0..=1_000)
            .filter_map(|done| line.news(done, 1_000))
            .collect();
        assert_eq!(shown, (0..=100).collect::<Vec<u64>>());
        assert_eq!(LiveLine::new("").news(0, 0), None);
    }
}
