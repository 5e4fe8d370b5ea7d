//! Threshold schemes behind one trait; bytes in, bytes out.
