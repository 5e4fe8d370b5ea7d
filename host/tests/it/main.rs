//! The host against real components: built once, run in a real engine.

mod callback;
mod compiling;
mod containment;
mod freezing;
mod guests;
mod installing;
mod judging;
mod keys;
mod loading;
mod observing;
mod replaying;
mod server;
mod swapping;
mod tls;
