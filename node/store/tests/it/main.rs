//! The store from outside: what it keeps, what it refuses, and what is left of it after a crash.

mod additions;
mod backup;
mod damage;
mod evidence;
mod fixtures;
mod flips;
mod glance;
mod journal;
mod kill;
mod recovery;
mod secrets;
mod support;
