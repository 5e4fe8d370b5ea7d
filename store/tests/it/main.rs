//! The store seen from outside: it keeps, it refuses, and it survives crashes.

mod additions;
mod backup;
mod damage;
mod evidence;
mod export;
mod fixtures;
mod flips;
mod glance;
mod journal;
mod kill;
mod pairs;
mod past;
mod pruned;
mod recovery;
mod secrets;
mod support;
