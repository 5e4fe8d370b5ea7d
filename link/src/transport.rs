//! QUIC settings of both ends: limits, timers, and the keys that let nodes notice a
//! restarted hub at once.
//!
//! No policy on peers is defined here.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use quinn::{Connection, EndpointConfig, IdleTimeout, TransportConfig, VarInt};
use quinn_proto::HashedConnectionIdGenerator;

use crate::identity::{Identity, IdentityError};

/// Maximum number of open streams of a node: control plus one per peer. Memory per connection grows
/// with it, whether they are used or not.
pub(crate) const MAX_STREAMS: u32 = 256;
/// A connection without a sign of life for this long is dead.
const IDLE: Duration = Duration::from_secs(20);
/// Keep-alive interval of the hub, for NAT bindings.
const HUB_KEEP_ALIVE: Duration = Duration::from_secs(5);
/// Keep-alive interval of a node. Shorter, because its next packet provokes the stateless reset of
/// a restarted hub: this is the time in which a node notices the restart.
const NODE_KEEP_ALIVE: Duration = Duration::from_secs(2);
/// Flow control per stream: the memory that one stalled pair may hold.
const STREAM_WINDOW: u32 = 256 * 1024;

/// Settings of a hub's connections: callers open streams, the hub opens none. One stream and its
/// window until it is clear that the caller is a node: see [`widen`].
pub(crate) fn hub_transport() -> Arc<TransportConfig> {
    let mut config = transport(1, HUB_KEEP_ALIVE);
    config.receive_window(STREAM_WINDOW.into());
    Arc::new(config)
}

/// Gives the connection of a node all its streams.
pub(crate) fn widen(connection: &Connection) {
    connection.set_receive_window((STREAM_WINDOW * MAX_STREAMS).into());
    connection.set_max_concurrent_bi_streams(MAX_STREAMS.into());
}

/// Settings of a node's connection: the hub may open no stream.
pub(crate) fn node_transport() -> Arc<TransportConfig> {
    Arc::new(transport(0, NODE_KEEP_ALIVE))
}

/// Endpoint settings whose reset tokens and connection ids survive a restart (RFC 9000, section
/// 10.3): without both, nodes would wait for the idle timeout. The keys come from the identity's
/// seed, so nothing is stored.
pub(crate) fn hub_endpoint(identity: &Identity) -> Result<EndpointConfig, IdentityError> {
    let reset = identity.derive(b"quic stateless reset")?;
    let cid = identity.derive(b"quic connection id")?;
    let mut cid_key = [0; 8];
    cid_key.copy_from_slice(&cid[..8]);
    let cid_key = u64::from_be_bytes(cid_key);
    let mut config = EndpointConfig::new(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &reset[..])));
    config.cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(cid_key)));
    Ok(config)
}

fn transport(streams: u32, keep_alive: Duration) -> TransportConfig {
    let mut config = TransportConfig::default();
    config
        .max_concurrent_bidi_streams(streams.into())
        .max_concurrent_uni_streams(0u32.into())
        .datagram_receive_buffer_size(None)
        .stream_receive_window(STREAM_WINDOW.into())
        // The sum of all stream windows: one stalled pair can never take the credit of another.
        .receive_window((STREAM_WINDOW * MAX_STREAMS).into())
        .send_window(16 * u64::from(STREAM_WINDOW))
        .max_idle_timeout(Some(idle()))
        .keep_alive_interval(Some(keep_alive));
    config
}

fn idle() -> IdleTimeout {
    IdleTimeout::from(VarInt::from_u32(IDLE.as_millis() as u32))
}
