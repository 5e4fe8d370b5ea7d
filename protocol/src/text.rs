//! Safe display of foreign text: the one place that knows which characters display as something
//! other than what they are.
//!
//! Names, notes, claims, messages and other people's words reach terminals, logs and approval
//! servers. Characters that move a cursor, reverse the reading order or are invisible make one text
//! look like another. Such text is refused where it is ordered or stored ([`is_plain`]) and escaped
//! where it is displayed ([`escaped`]).

use std::fmt;

/// The maximum size of a parser's message, in bytes.
const MESSAGE: usize = 500;

/// True for a character that displays as something else or not at all: control characters (line
/// ends included), line and paragraph separators, direction marks and embeddings ([Trojan
/// Source](https://trojansource.codes)), zero-width characters, fillers, tags.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// True if the text contains no hidden character.
pub fn is_plain(text: &str) -> bool {
    !text.contains(is_hidden)
}

/// Returns the text with hidden characters written as `\u{…}`.
pub fn escaped(text: &str) -> String {
    printable(text, usize::MAX)
}

/// Returns the text with a blank in place of each hidden character, for lines that people read.
pub fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if is_hidden(c) { ' ' } else { c })
        .collect()
}

/// Like [`escaped`], truncated after about `limit` bytes.
pub fn printable(text: &str, limit: usize) -> String {
    let mut out = String::with_capacity(text.len().min(limit));
    for c in text.chars() {
        if out.len() >= limit {
            out.push('…');
            break;
        }
        if is_hidden(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// The message of a parser about bytes from elsewhere, which may quote any of them: escaped, and
/// cut. It ends up in logs and records, often before anybody knows who wrote the bytes.
pub fn of_parser(error: &impl fmt::Display) -> String {
    printable(&error.to_string(), MESSAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parser_s_message_is_one_short_line_whatever_it_quotes() {
        let quoted = format!("`\n\u{1b}[2J\u{202e}{}` appears twice", "x".repeat(10_000));
        let told = of_parser(&quoted);
        assert!(is_plain(&told) && told.len() < MESSAGE + 10, "{told}");
        assert_eq!(of_parser(&"expected `,`"), "expected `,`");
    }

    #[test]
    fn what_steers_or_hides_is_escaped() {
        for (text, shown) in [
            ("a\n\u{1b}[31mé\u{202e}", "a\\u{a}\\u{1b}[31mé\\u{202e}"),
            (
                "pay\u{200b}pal \u{feff}\u{2066}x\u{2069}",
                "pay\\u{200b}pal \\u{feff}\\u{2066}x\\u{2069}",
            ),
            (
                "t\u{e0041}g \u{ad}\u{3164}",
                "t\\u{e0041}g \\u{ad}\\u{3164}",
            ),
        ] {
            assert_eq!(escaped(text), shown);
            assert!(!is_plain(text) && is_plain(shown));
        }
    }

    #[test]
    fn what_steers_or_hides_is_a_blank_in_a_line() {
        assert_eq!(
            clean("a\x1b[2Jb\u{202e}c\u{200b}d\r\u{feff}"),
            "a [2Jb c d  "
        );
        assert_eq!(clean("płacę שלום"), "płacę שלום");
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        let text = printable(&"é".repeat(10_000), 100);
        assert!(text.len() <= 104 && text.ends_with('…'));
        assert_eq!(printable("short\n", 100), "short\\u{a}");
        assert_eq!(printable("short", 5), "short");
    }

    #[test]
    fn what_people_write_stays() {
        for text in [
            "płacę 5 zł",
            "支払い",
            "שלום",
            "नमस्ते",
            "\u{1f511} ok",
            "a\u{301}",
        ] {
            assert!(is_plain(text), "{text}");
            assert_eq!(escaped(text), text);
        }
    }
}
