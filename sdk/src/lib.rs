//! What the author of a Countersign plugin imports.
