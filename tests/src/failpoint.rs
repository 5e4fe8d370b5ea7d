//! Ends a node at a chosen moment of its writing: before or after one of its `fsync` calls, with
//! `countersign-failpoint` loaded into its process.

use std::path::PathBuf;

use crate::cluster::Node;
use crate::process::{Daemon, library};

/// The failpoint of one node.
pub struct Failpoint(PathBuf);

impl Failpoint {
    /// The failpoint of this node, which is not armed yet.
    pub fn of(node: &Node) -> Self {
        Self(node.dir.join("failpoint"))
    }

    /// Starts its node with the failpoint loaded.
    pub fn start(&self, node: &Node) -> anyhow::Result<Daemon> {
        let mut command = node.command("start")?;
        command
            .env("LD_PRELOAD", library("countersign-failpoint")?)
            .env("COUNTERSIGN_FAILPOINT", &self.0);
        Daemon::start(&mut command, &node.dir.join("log"))
    }

    /// Lets this many moments pass, then ends the node. Each `fsync` has two: before and after.
    pub fn arm(&self, moments: usize) -> anyhow::Result<()> {
        Ok(std::fs::write(&self.0, vec![b'.'; moments])?)
    }

    /// Disarms it. Returns the number of moments left; `None` if the node has been ended.
    pub fn put_out(&self) -> anyhow::Result<Option<usize>> {
        let left = match std::fs::metadata(&self.0) {
            Ok(known) => Some(known.len() as usize),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        match std::fs::remove_file(&self.0) {
            Ok(()) => Ok(left),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
