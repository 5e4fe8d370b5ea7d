//! Draining of the coordinator before it is stopped.

use serde::{Deserialize, Serialize};

/// Whether the coordinator is to begin tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SetDrain {
    /// True: tasks under way are finished, and others wait, also over a restart.
    pub draining: bool,
}

/// The state of draining.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DrainView {
    /// True if no tasks are begun.
    pub draining: bool,
    /// Number of tasks that were offered to nodes and have not ended. At 0, a draining coordinator
    /// can be stopped without failing any.
    pub under_way: u64,
    /// Number of tasks that wait.
    pub waiting: u64,
}
