//! Many ends of one run: a child process continues from here with something altered,
//! and reports its end.
//!
//! An engine cannot be copied, but a process can. So the common part of all runs is computed once.
//! This program has a single thread, which makes a fork sound.

use std::io::{Read, Write};

/// A child whose report was not read yet.
pub struct Child {
    process: libc::pid_t,
    said: std::io::PipeReader,
}

/// Runs `work` in a child process, and returns a handle for its result.
pub fn fork(work: impl FnOnce() -> String) -> Child {
    let (said, mut saying) = std::io::pipe().expect("a pipe");
    // SAFETY: this program has one thread, so the child's memory is not in a state that
    // another thread left behind.
    match unsafe { libc::fork() } {
        -1 => panic!("no process: {}", std::io::Error::last_os_error()),
        0 => {
            drop(said);
            let word = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            let word = word.unwrap_or_else(|_| "the test itself panicked".into());
            let written = saying.write_all(word.as_bytes());
            // SAFETY: ends the process at once, so that nothing of the parent's is flushed or
            // dropped a second time.
            unsafe { libc::_exit(i32::from(written.is_err())) }
        }
        process => Child { process, said },
    }
}

impl Child {
    /// Waits for the child's report; empty if it died.
    pub fn wait(mut self) -> String {
        let mut word = String::new();
        self.said.read_to_string(&mut word).expect("a pipe");
        let mut status = 0;
        // SAFETY: the process is a child of this one that nobody else waits for, and `status` is a
        // valid place for its exit status.
        unsafe { libc::waitpid(self.process, &mut status, 0) };
        if status == 0 {
            word
        } else {
            format!("the process died: {status}")
        }
    }
}
