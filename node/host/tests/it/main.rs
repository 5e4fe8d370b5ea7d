//! The host against real components: built once, run in a real engine.

mod callback;
mod containment;
mod guests;
mod loading;
mod server;
mod swapping;
mod tls;
