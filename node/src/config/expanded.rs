//! A section of the file with its shorthand written out.

/// A section as the operator could have written it without shorthand.
pub(super) struct Expanded<S> {
    pub section: S,
    /// True if a shorthand contributed to the section.
    pub expanded: bool,
}
