//! The console: the pages on which people see, order and vote, served by their own organisation.
//!
//! Pages decide what a person sees, so they come from a server that she trusts: this program, with
//! the profile and the wallet book of her organisation. What is shown before a vote is decoded in
//! the browser from the exact bytes that a requester signed. The server passes a few requests on to
//! the coordinator, each with the API key of the person who signed in.

mod assets;
mod cookie;
mod gate;
mod labels;
mod organisation;
mod people;
mod problem;
mod random;
mod register;
mod server;
mod session;
mod sign_in;
mod upstream;

pub use assets::{Assets, AssetsError};
pub use gate::{Origin, OriginError};
pub use labels::{LabelsError, read as read_labels};
pub use people::PeopleError;
pub use register::Register;
pub use server::Console;
