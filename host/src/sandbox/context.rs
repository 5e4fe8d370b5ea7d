//! Everything that the host knows about a plugin before it runs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::contract::anchor::Anchor;
use crate::contract::grants::Grants;
use crate::sandbox::terms::SealedServices;

/// One entry's configuration, grants and services; shared by all its calls.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) name: String,
    pub(crate) document: Arc<str>,
    pub(crate) revision: [u8; 32],
    pub(crate) grants: Grants,
    /// The keys and authorities that its answers depend on.
    pub(crate) anchors: Arc<[Anchor]>,
    pub(crate) services: SealedServices,
    /// Name of the entry whose memory it reads: its own, or for a shadow the one
    /// it is compared with.
    pub(crate) memory_of: String,
}

impl Context {
    /// The instant at which a call that begins now is cut off.
    pub(crate) fn cut_off(&self, deadline: Instant) -> Instant {
        deadline.min(Instant::now() + Duration::from_millis(self.grants.wall_ms))
    }
}
