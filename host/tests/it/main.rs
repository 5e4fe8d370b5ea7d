//! The host against real components: built once, run in a real engine.

mod backtest;
mod callback;
mod compiling;
mod containment;
mod guests;
mod installing;
mod judging;
mod keys;
mod loading;
mod observing;
mod pre_init;
mod previewing;
mod replaying;
mod server;
mod swapping;
mod tls;
