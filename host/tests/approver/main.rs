//! Evil approval servers against the real callback component in the real host: whatever they say
//! and however they say it, only a sound approval by the pinned key for this very request is one.
//! Each test is one case, and each is refused for a reason of its own.

mod claims;
mod forge;
mod header;
mod http;
mod package;
mod several;
mod shapes;
mod strict;
mod tls;
mod web_signature;
mod world;
mod wycheproof;
