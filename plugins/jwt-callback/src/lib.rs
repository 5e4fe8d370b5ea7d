//! Asks callback servers by RS256 JWT, as a plugin.
