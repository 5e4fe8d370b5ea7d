//! The public side of a key: child derivation and signature checks.
