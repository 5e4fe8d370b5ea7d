//! The link crate through its public interface, over real QUIC on loopback.

mod control;
mod mesh;
mod restart;
mod tunnel;
mod world;
