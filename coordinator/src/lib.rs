//! Takes tasks over HTTP and relays opaque bytes between nodes.
