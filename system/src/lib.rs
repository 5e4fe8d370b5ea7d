//! What our programs ask of the operating system: hardening, limits, confinement, and how a path is
//! walked. The only crate that knows which system it runs on.
//!
//! `linux/` has what Linux offers, `macos.rs` the same functions for a Mac, where some do less than
//! on Linux. [`missing`] lists what is missing, for programs to say at their start. A Mac is for
//! trying things out.

#[cfg_attr(target_os = "linux", path = "linux/mod.rs")]
#[cfg_attr(target_os = "macos", path = "macos.rs")]
mod kernel;
mod process;

pub use kernel::{
    LOOK, confine, end_with_parent, link_target, lock_holder, lower_priority, missing, this_program,
};
pub use process::{
    Limits, become_owner_of, end_on_closed_output, harden_process, limit_cpu, limit_process,
    outlive_file_limits, outlive_hangups,
};

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
compile_error!("this system is not known; build on Linux, or on macOS to try things out");
