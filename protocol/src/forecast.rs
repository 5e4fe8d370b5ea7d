//! A node's forecast of its decision on a task: what it would answer to an offer now. Nobody is
//! bound by it, and no share can be used with it.

use serde::{Deserialize, Serialize};

use crate::outcome::{PluginVerdict, Refusal};

/// The maximum number of entries in each list of a [`Forecast`].
pub const MAX_FORECAST: usize = 32;

/// What a node would answer if the task were offered to it now. It is the node's word, promises
/// nothing, and leaves no trace at the node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forecast {
    /// The first objection; absent if none of those that were asked objects.
    pub refusal: Option<Refusal>,
    /// The verdict of each plugin that was asked. Unlike a decision, a forecast asks the others
    /// even after a refusal. At most [`MAX_FORECAST`].
    pub verdicts: Vec<PluginVerdict>,
    /// The plugins that guard the task and were not asked. At most [`MAX_FORECAST`].
    pub not_asked: Vec<NotAsked>,
}

impl Forecast {
    /// The node itself refuses, before it asks a plugin.
    pub fn refused(refusal: Refusal) -> Self {
        Self {
            refusal: Some(refusal),
            ..Self::default()
        }
    }
}

/// A plugin without a verdict. Its answer to a real task is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NotAsked {
    /// The plugin's name in the node's configuration.
    pub plugin: String,
    /// One sentence for people.
    pub why: String,
}
