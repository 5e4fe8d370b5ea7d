//! Policy bundles: entries of the policy that several publishers sign together. A bundle takes
//! effect at once if this node's own recordings show that it refuses whatever the one before
//! refused, and after a delay otherwise.
//!
//! ```text
//! file --decode--> Bundle --verify--> Published --take--> Schedule --judge--> in force
//!                                                            ^                   |
//!                                                       state.json <-------------+
//! ```
//!
//! [`manifest`], [`file`](mod@file), [`published`], [`ceiling`], [`judge`] and [`schedule`] compute
//! only. [`folder`] keeps the result, [`life`] runs it in a node, [`first`] gives a node that is
//! stopped its first bundle, and [`board`] shows the state.

pub mod board;
pub mod ceiling;
pub mod draft;
pub mod file;
pub mod first;
pub mod folder;
pub mod judge;
mod judging;
pub mod life;
pub mod manifest;
pub mod published;
pub mod schedule;
pub mod status;
pub mod trial;

pub use board::{BundleBoard, PostedBundle};
pub use ceiling::CeilingError;
pub use file::{Bundle, FormatError};
pub use folder::{BundleFolder, FolderError};
pub use judge::{Judgement, Reason, Step};
pub use judging::Judged;
pub use life::{BundleRequest, TakeError};
pub use manifest::{BundleEntry, Manifest, ManifestError};
pub use published::{NotPublished, Published};
pub use schedule::{Placed, Schedule, ScheduleError, Waiting};
pub use status::BundleStatus;
