//! Native unit tests for plugins: a scripted [`MockHost`] and ready-made tasks. Never part of a
//! component, since nothing there refers to it. Its RS256 signatures are fake; its HS256 codes are
//! genuine.
//!
//! ```
//! use countersign_sdk::testing::{self, MockHost};
//!
//! let task = testing::transaction("eip155:1")
//!     .pays("0xfb6916095ca1df60bb79ce92ce3ea74c37c5d359", "1000")
//!     .calls("0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed", &[0xd0, 0xe3, 0x0d, 0xb0])
//!     .fee("21000")
//!     .task();
//! assert_eq!(task.transaction().unwrap().destinations[0].amount, "1000");
//! # let _ = MockHost::default();
//! ```

mod host;
mod state;
mod tasks;

pub use host::{MockHost, MockLine};
pub use state::{Conflict, MockCall, Reservation};
pub use tasks::{
    TransactionBuilder, blind, check_up, event, key, keygen, message, reshare, signing, signing_of,
    task, transaction, transfer, typed_data, with_fact,
};
