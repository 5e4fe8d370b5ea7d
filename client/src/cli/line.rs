//! Lines for people: text with an occasional tone, shown as a colour on terminals that
//! support it, and tables.

use countersign_protocol::text::clean;

/// Spaces between two columns.
const GAP: usize = 2;

/// The meaning that a colour adds to a piece of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Plain,
    Good,
    /// Somebody waits, or should look.
    Attention,
    /// Refused, failed, or not to be trusted.
    Bad,
    Dim,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line(Vec<(String, Tone)>);

impl Line {
    /// Creates a line of one tone.
    pub fn new(text: impl Into<String>, tone: Tone) -> Self {
        Self(vec![(text.into(), tone)])
    }

    /// Appends text in another tone.
    pub fn and(mut self, text: impl Into<String>, tone: Tone) -> Self {
        self.0.push((text.into(), tone));
        self
    }

    /// Truncates the line to `width` characters.
    pub fn cut(self, width: usize) -> Self {
        let mut left = width;
        let short = self.0.into_iter().map(|(text, tone)| {
            let text: String = text.chars().take(left).collect();
            left -= text.chars().count();
            (text, tone)
        });
        Self(short.collect())
    }

    /// Renders the line for the terminal; its colours are the only control sequences in it.
    pub fn rendered(&self, colours: bool) -> String {
        let piece = |(text, tone): &(String, Tone)| match tone
            .code()
            .filter(|_| colours && !text.is_empty())
        {
            Some(code) => format!("\x1b[{code}m{}\x1b[0m", clean(text)),
            None => clean(text),
        };
        self.0.iter().map(piece).collect()
    }
}

impl From<String> for Line {
    fn from(text: String) -> Self {
        Self::new(text, Tone::Plain)
    }
}

impl From<&str> for Line {
    fn from(text: &str) -> Self {
        Self::new(text, Tone::Plain)
    }
}

impl Tone {
    /// SGR parameter (ECMA-48), from the eight colours that every terminal has.
    fn code(self) -> Option<u8> {
        match self {
            Self::Plain => None,
            Self::Good => Some(32),
            Self::Attention => Some(33),
            Self::Bad => Some(31),
            Self::Dim => Some(2),
        }
    }
}

/// Rows, mostly under a heading, each column as wide as its widest cell.
#[derive(Debug)]
pub struct Table {
    headed: bool,
    rows: Vec<Vec<(String, Tone)>>,
}

impl Table {
    /// Creates a table with these headings.
    pub fn new(headings: &[&str]) -> Self {
        let heading = headings
            .iter()
            .map(|name| (name.to_uppercase(), Tone::Dim))
            .collect();
        Self {
            headed: true,
            rows: vec![heading],
        }
    }

    /// Rows alone, for results that programs read as well.
    pub fn without_heading() -> Self {
        Self {
            headed: false,
            rows: Vec::new(),
        }
    }

    /// Adds a row, with as many cells as there are headings.
    pub fn row(&mut self, cells: impl IntoIterator<Item = (String, Tone)>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Renders all rows below the heading; nothing if there is no row.
    pub fn lines(&self) -> Vec<Line> {
        if self.headed && self.rows.len() == 1 {
            return Vec::new();
        }
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells
                .map(|(text, _)| clean(text).chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        self.rows.iter().map(|row| laid_out(row, &widths)).collect()
    }
}

fn laid_out(row: &[(String, Tone)], widths: &[usize]) -> Line {
    let mut line = Line(Vec::new());
    for (number, (text, tone)) in row.iter().enumerate() {
        let text = clean(text);
        let gap = if number + 1 == row.len() {
            0
        } else {
            widths[number] - text.chars().count() + GAP
        };
        line = line.and(text, *tone).and(" ".repeat(gap), Tone::Plain);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_columns_as_wide_as_their_cells() {
        let mut table = Table::new(&["name", "state"]);
        assert!(table.lines().is_empty());
        table.row([
            ("alice".into(), Tone::Plain),
            ("on line".into(), Tone::Good),
        ]);
        table.row([("b".into(), Tone::Plain), ("off\nline".into(), Tone::Bad)]);
        let texts: Vec<String> = table
            .lines()
            .iter()
            .map(|line| line.rendered(false))
            .collect();
        assert_eq!(texts, ["NAME   STATE", "alice  on line", "b      off line"]);
        let coloured = table.lines()[1].rendered(true);
        assert_eq!(coloured, "alice  \u{1b}[32mon line\u{1b}[0m");
    }

    #[test]
    fn nothing_from_elsewhere_moves_the_cursor_or_hides() {
        let line = Line::new("a\x1b[2Jb\u{202e}c\u{200b}d\r\u{feff}", Tone::Bad);
        assert_eq!(line.rendered(false), "a [2Jb c d  ");
        assert_eq!(line.rendered(true), "\x1b[31ma [2Jb c d  \x1b[0m");
        assert_eq!(
            Line::new("abc", Tone::Plain)
                .and("def", Tone::Bad)
                .cut(4)
                .rendered(false),
            "abcd"
        );
    }
}
