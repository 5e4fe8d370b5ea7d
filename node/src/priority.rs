//! Priorities of a node's work.

/// Lowers this thread's priority, for work that nobody waits for.
pub fn lower_priority() {
    lower(15);
}

/// Lowers the priority of this thread and of the threads it starts, for work that somebody waits
/// for but that must not delay a signature.
pub fn lower_priority_of_engine() {
    lower(5);
}

fn lower(nice: i32) {
    if let Err(error) = countersign_system::lower_priority(nice) {
        tracing::warn!(%error, "background work runs at normal priority");
    }
}
