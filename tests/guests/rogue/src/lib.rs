//! A guest that misbehaves as its configuration says. It only exists to be contained.
