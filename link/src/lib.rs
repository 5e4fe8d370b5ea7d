//! QUIC link, relayed pair streams and the end-to-end tunnel between nodes.
