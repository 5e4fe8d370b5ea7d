//! The bundle: a coordinator, wallets and nodes over one time.

use countersign_protocol::UnixMillis;

use crate::line::{BundleError, End, Everything, Line, Lines, Opening, line, lines_of, sum};
use crate::section::{CoordinatorLog, NodeLog, Wallet};

/// The logs of a time. They are as told; nothing here is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// The time, from its beginning up to its end, which is not part of it.
    pub time: (UnixMillis, UnixMillis),
    /// What the coordinator tells, if it was asked.
    pub coordinator: Option<CoordinatorLog>,
    /// The wallets that the tasks are about, in the order of their ids.
    pub wallets: Vec<Wallet>,
    /// The nodes whose files were joined, in the order of their ids.
    pub nodes: Vec<NodeLog>,
}

impl Bundle {
    /// Reads a bundle.
    pub fn read(file: &[u8]) -> Result<Self, BundleError> {
        let mut lines = Lines::of(file)?;
        let Line::Bundle(opening) = lines.take()? else {
            return Err(lines.unexpected("the beginning of a bundle"));
        };
        let mut bundle = Self {
            time: lines.check(opening.time())?,
            coordinator: None,
            wallets: Vec::new(),
            nodes: Vec::new(),
        };
        match lines.take()? {
            Line::Coordinator(opening) => {
                let log = CoordinatorLog::read_after(opening, bundle.time, &mut lines)?;
                bundle.coordinator = Some(log);
            }
            other => lines.put_back(other),
        }
        let wallets = lines_of!(lines, Wallet)?.into_iter();
        bundle.wallets = wallets.map(|one| *one).collect();
        lines.in_order(bundle.wallets.iter().map(|one| one.wallet))?;
        loop {
            match lines.take()? {
                Line::Node(opening) => {
                    bundle.nodes.push(NodeLog::read_after(opening, &mut lines)?);
                }
                Line::End(end) => {
                    lines.in_order(bundle.nodes.iter().map(|one| one.node))?;
                    lines.end()?;
                    return bundle.ending(file, &end);
                }
                _ => return Err(lines.unexpected("the log of a node, or the end")),
            }
        }
    }

    /// The file. The same content always has the same bytes.
    pub fn write(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        line(
            &mut bytes,
            &Line::Bundle(Opening::of(Everything::Everything, self.time)),
        );
        if let Some(coordinator) = &self.coordinator {
            coordinator.write_to(self.time, &mut bytes);
        }
        self.wallets
            .iter()
            .for_each(|one| line(&mut bytes, &Line::Wallet(Box::new(one.clone()))));
        self.nodes.iter().for_each(|one| one.write_to(&mut bytes));
        let end = End { sum: sum(&bytes) };
        line(&mut bytes, &Line::End(end));
        bytes
    }

    /// Checks the last line against all bytes before it.
    fn ending(self, file: &[u8], end: &End) -> Result<Self, BundleError> {
        let lines = file.strip_suffix(b"\n").unwrap_or(file);
        let last = lines.iter().rposition(|byte| *byte == b'\n');
        let before = last.map_or(&[][..], |at| &file[..=at]);
        if sum(before) == end.sum {
            Ok(self)
        } else {
            Err(BundleError::Sum)
        }
    }
}
