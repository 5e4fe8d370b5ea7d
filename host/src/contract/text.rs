//! Text that comes out of a sandbox, made fit for logs, terminals and journals.

pub(crate) use countersign_protocol::text::printable;

/// Longest reason that is kept, in bytes.
pub(crate) const REASON: usize = 1024;

/// Longest log message or field that is kept, in bytes.
pub(crate) const LINE: usize = 4096;

/// A plugin's rejection code if it is well-formed.
pub(crate) fn code(text: &str) -> Option<&str> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
    ((1..=64).contains(&text.len()) && text.bytes().all(fits)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

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
