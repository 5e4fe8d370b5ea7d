//! The embedded risk rules as a plugin.
