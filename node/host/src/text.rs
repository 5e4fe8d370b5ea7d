//! Text that comes out of a sandbox, made fit for logs, terminals and journals.

use std::fmt::Write;

use countersign_protocol::text::is_hidden;

/// Longest reason that is kept, in bytes.
pub(crate) const REASON: usize = 1024;

/// Longest log message or field that is kept, in bytes.
pub(crate) const LINE: usize = 4096;

/// `text` in at most about `limit` bytes, with characters that control terminals, reorder lines or
/// are not seen escaped.
pub(crate) fn printable(text: &str, limit: usize) -> String {
    let mut out = String::with_capacity(text.len().min(limit));
    for c in text.chars() {
        if out.len() >= limit {
            out.push('…');
            break;
        }
        if is_hidden(c) {
            // Writing to a string cannot fail.
            let _ = write!(out, "{}", c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// A plugin's rejection code if it is well-formed.
pub(crate) fn code(text: &str) -> Option<&str> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
    ((1..=64).contains(&text.len()) && text.bytes().all(fits)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_escaped() {
        assert_eq!(
            printable("a\n\u{1b}[31mé\u{202e}\u{200b}", REASON),
            "a\\u{a}\\u{1b}[31mé\\u{202e}\\u{200b}"
        );
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        let text = printable(&"é".repeat(10_000), REASON);
        assert!(text.len() <= REASON + 4 && text.ends_with('…'));
        assert_eq!(printable("short", REASON), "short");
    }

    #[test]
    fn codes_are_plain() {
        assert_eq!(
            code("address-not-allowed.v2"),
            Some("address-not-allowed.v2")
        );
        for bad in [
            "",
            "UPPER",
            "a b",
            "plugin-failed:internal",
            &"a".repeat(65),
        ] {
            assert_eq!(code(bad), None);
        }
    }
}
