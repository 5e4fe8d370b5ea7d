//! The Countersign co-signer node: daemon and command line.
