//! Columns for a terminal, as wide as their widest cell.

/// Prints rows below their headings, indented by two. Every row has a cell for each heading.
pub(super) fn print<const N: usize>(headings: [&str; N], rows: &[[String; N]]) {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells
            .chain([headings[column].len()])
            .max()
            .unwrap_or_default()
    };
    let widths: [usize; N] = std::array::from_fn(width);
    println!("{}", line(&headings, &widths));
    rows.iter()
        .for_each(|row| println!("{}", line(row, &widths)));
}

fn line<T: AsRef<str>, const N: usize>(cells: &[T; N], widths: &[usize; N]) -> String {
    let padded = cells
        .iter()
        .zip(widths)
        .map(|(cell, width)| format!("{:<width$}", cell.as_ref()));
    format!("  {}", padded.collect::<Vec<_>>().join("  "))
        .trim_end()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_nothing_trails() {
        let widths = [5, 3, 1];
        assert_eq!(line(&["a", "b", "c"], &widths), "  a      b    c");
        assert_eq!(line(&["ru\u{eb}es", "b", ""], &widths), "  ru\u{eb}es  b");
    }
}
