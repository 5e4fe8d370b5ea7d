//! Events as the node reports them to receivers. Plain data that can be stored as JSON until it is
//! delivered.

use events::End;
use serde::{Deserialize, Serialize};

use crate::contract::bindings::countersign::policy::types::{self, Rejection};
use crate::contract::bindings::event::countersign::policy::events;
pub use crate::contract::bindings::event::countersign::policy::events::{
    NewKey, Participant, ShareSignature, Signature, Stage, Success,
};
use crate::contract::task::Task;

/// One event. The fields are those of `event` in `wit/policy.wit`; the number of tries is an
/// argument of the delivery.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// UUID in hyphenated form; repeated deliveries have the same one.
    pub id: String,
    /// When it happened, in milliseconds since 1970.
    pub at: u64,
    /// Id of this node.
    pub node: String,
    /// The task; none for [`What::Ping`]. Its `raw` is stored beside it.
    pub task: Option<Task>,
    /// The bytes that the requester of the task signed.
    #[serde(with = "hex")]
    pub raw: Vec<u8>,
    /// The occurrence that receivers are told of.
    pub what: What,
}

/// The occurrences in the life of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum What {
    /// A test by the operator of whether the receiver is alive.
    Ping,
    /// The node received the task.
    Created,
    /// The task reached this stage.
    Updated(Stage),
    /// The task ended with this result.
    Succeeded(Success),
    /// This node did not take part.
    Declined {
        /// Stable code of the refusal.
        code: String,
        /// One sentence for people.
        reason: String,
    },
    /// This node took part, and the task failed.
    Failed(String),
    /// The task was called off before it began.
    Cancelled(String),
}

impl Event {
    /// The event as the guest sees it. `deadline` is in milliseconds since 1970.
    pub(crate) fn to_wit(&self, deadline: u64, tries: u32) -> events::Event {
        events::Event {
            id: self.id.clone(),
            at: self.at,
            node: self.node.clone(),
            task: self.task.as_ref().map(|task| types::Task {
                raw: self.raw.clone(),
                ..task.to_wit(deadline)
            }),
            what: self.what.to_wit(),
            tries,
        }
    }
}

impl What {
    fn to_wit(&self) -> events::What {
        match self.clone() {
            Self::Ping => events::What::Ping,
            Self::Created => events::What::Created,
            Self::Updated(stage) => events::What::Updated(stage),
            Self::Succeeded(success) => events::What::Succeeded(success),
            Self::Declined { code, reason } => {
                events::What::Failed(End::Declined(Rejection { code, reason }))
            }
            Self::Failed(reason) => events::What::Failed(End::Failed(reason)),
            Self::Cancelled(reason) => events::What::Failed(End::Cancelled(reason)),
        }
    }
}
