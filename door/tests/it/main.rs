//! The door over real sockets: TLS, and callers of both protocol versions that are slow or hostile.

mod bounds;
mod handshake;
mod world;
