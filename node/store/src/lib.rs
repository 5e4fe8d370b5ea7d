//! What a node keeps: age-sealed secrets and the journal.
