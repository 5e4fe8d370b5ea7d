//! Ids, tasks, frames, codec and session state machines of Countersign; no I/O, no clock.
