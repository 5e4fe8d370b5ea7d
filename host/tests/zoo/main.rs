//! A zoo of hostile components, one case each. Every one is refused, each for its own reason, and
//! what is beside it goes on.
//!
//! `cages` are files that never become a plugin, `manners` are answers that break the calling
//! convention, `appetites` want more than they were granted, `reach` tries the imports, `escapes`
//! plays with the file system.

mod animal;
mod appetites;
mod cages;
mod escapes;
mod keeper;
mod manners;
mod reach;
