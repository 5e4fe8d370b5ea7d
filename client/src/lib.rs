//! Library and command line for requesters.
