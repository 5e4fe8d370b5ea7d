//! Conditions that several components write alike in their configurations: amounts, assets, times
//! of the week, derivation paths and choices.
//!
//! Nothing here refuses anything: what follows from a condition is for the component to say.

mod assets;
mod calendar;
mod choice;
mod selectors;

pub use assets::{
    Asset, Assets, Ceiling, Token, WrittenCeiling, asset_id, covers, find, is_chain, same_asset,
};
pub use calendar::{MinuteOfWeek, Span, TimeOfDay, Weekday, Zone};
pub use choice::{Choice, Quantity, present};
pub use selectors::{PathPattern, chain_of, listed};
