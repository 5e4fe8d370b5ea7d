//! QUIC link, relayed pair streams and the end-to-end tunnel between nodes.
//!
//! Three layers, each a file or two:
//!
//! * the **link** ([`hub`], [`dial`]): QUIC from a node to the coordinator, one control stream and
//!   one relayed stream per pair of nodes; both sides pinned by raw Ed25519 keys, key exchange only
//!   X25519MLKEM768;
//! * the **tunnel** ([`tunnel`]): TLS 1.3 between two nodes inside a relayed stream, which the
//!   coordinator cannot read;
//! * the **mesh** ([`mesh`]): keeps one live tunnel per roster peer.
//!
//! A node's loop, without its reading of control frames:
//!
//! ```no_run
//! # use std::{net::SocketAddr, sync::Arc, time::Instant};
//! # use countersign_link::{dial, Identity, Mesh, PeerKey, Reconnect};
//! # async fn run(at: SocketAddr, own: Arc<Identity>, coordinator: PeerKey, mesh: Mesh, random: fn() -> u64) {
//! let mut reconnect = Reconnect::link();
//! loop {
//!     match dial::connect(at, &own, coordinator, b"hello").await {
//!         Ok(link) => {
//!             reconnect.connected(Instant::now());
//!             mesh.attach(link.pairs.clone());
//!             tracing::warn!("link lost: {}", link.handle.closed().await);
//!         }
//!         Err(error) => tracing::warn!("no link: {error}"),
//!     }
//!     tokio::time::sleep(reconnect.lost(Instant::now(), random())).await;
//! }
//! # }
//! ```
//!
//! This crate carries opaque frames. It never parses them, never decides on the roster, and
//! writes nothing to disk.

mod backoff;
mod closed;
pub mod dial;
mod door;
mod frame;
pub mod hub;
mod identity;
pub mod mesh;
mod seats;
mod splice;
mod switchboard;
mod tls;
mod transport;
pub mod tunnel;

pub use backoff::Reconnect;
pub use closed::{Closed, LinkHandle};
pub use dial::Link;
pub use door::Guests;
pub use frame::{
    Control, ControlReceiver, ControlSender, FrameError, FrameReceiver, FrameSender,
    MAX_CONTROL_FRAME, MAX_FRAME, MAX_GUEST_FRAME,
};
pub use hub::{GuestLink, Hub, NodeLink};
pub use identity::{Identity, IdentityError, PeerKey};
pub use mesh::{Mesh, MeshEvent};
pub use seats::Seat;
pub use tls::Admit;
pub use tunnel::Tunnel;
