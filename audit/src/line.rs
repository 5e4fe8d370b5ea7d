//! The lines of a bundle: one JSON object each, of which every value has one text.

use std::iter::Peekable;

use countersign_protocol::{CoordinatorId, Hash, NodeId, SignedTask, UnixMillis, Vote};
use serde::{Deserialize, Serialize};

use crate::act::{Act, ActsHead};
use crate::entry::AuditEntry;
use crate::head::{Checkpoint, SignedHead};
use crate::record::{Deleted, Policy, Record};
use crate::section::{TaskTold, Wallet};

/// The largest bundle that is read, in bytes.
pub const MAX_BYTES: usize = 1 << 30;
/// The longest line, in bytes: a record in hexadecimal, which has a task with a large PSBT and its
/// result, and as many votes as a task may have.
const MAX_LINE: usize =
    4 * SignedTask::MAX_PSBT_BYTES + Vote::MAX_OF_TASK * Vote::MAX_JSON_BYTES + (1 << 20);
/// The version of the format.
const VERSION: u8 = 1;

/// Why a file is no bundle, or no log of a node.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// It is larger than anything that is read.
    #[error("it has more than {MAX_BYTES} bytes; export shorter times")]
    TooLarge,
    /// It does not end with a whole line.
    #[error("its end is missing; copy it again, or export it anew")]
    Cut,
    /// A line that cannot be read, or that does not belong where it is.
    #[error("line {number}: {reason}; the file was changed, or is of another version: get it anew")]
    #[allow(missing_docs, reason = "the fields are named for what they hold")]
    Line { number: usize, reason: LineError },
    /// The last line does not fit the others.
    #[error("the last line does not fit the others; the file was changed: get it anew")]
    Sum,
}

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// It is no JSON of a known kind.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// The same value has another text.
    #[error("it is not written as the format demands")]
    Form,
    /// It is longer than any line may be.
    #[error("it has more than {MAX_LINE} bytes")]
    Long,
    /// Something else has to stand here.
    #[error("here has to be {0}")]
    Expected(&'static str),
    /// The lines before it are not in order, or one is there twice.
    #[error("the lines before are not in their order")]
    Order,
    /// It is of a version that this program does not know.
    #[error("version {0} of the format is not known here")]
    Version(u8),
    /// It does not end later than it begins.
    #[error("the time does not end after its beginning")]
    Time,
}

/// A line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(crate) enum Line {
    Bundle(Opening<Everything>),
    Coordinator(Opening<CoordinatorId>),
    Act(Act),
    Task(Box<TaskTold>),
    Acts(ActsHead),
    Wallet(Box<Wallet>),
    Node(Opening<NodeId>),
    Entry(AuditEntry),
    Record(Record),
    Deleted(Deleted),
    Policy(Policy),
    Checkpoint(Checkpoint),
    Head(SignedHead),
    End(End),
}

/// The beginning of a section.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Opening<T> {
    version: u8,
    pub(crate) of: T,
    from: UnixMillis,
    to: UnixMillis,
}

/// The subject of a whole bundle.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Everything {
    Everything,
}

/// The end of a bundle.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct End {
    /// Hash of all bytes before this line.
    pub(crate) sum: Hash,
}

impl<T> Opening<T> {
    pub(crate) fn of(of: T, (from, to): (UnixMillis, UnixMillis)) -> Self {
        Self {
            version: VERSION,
            of,
            from,
            to,
        }
    }

    pub(crate) fn time(&self) -> Result<(UnixMillis, UnixMillis), LineError> {
        if self.version != VERSION {
            return Err(LineError::Version(self.version));
        }
        if self.from >= self.to {
            return Err(LineError::Time);
        }
        Ok((self.from, self.to))
    }
}

/// Adds a line.
pub(crate) fn line(bytes: &mut Vec<u8>, line: &Line) {
    bytes.extend(text(line));
    bytes.push(b'\n');
}

fn text(line: &Line) -> Vec<u8> {
    serde_json::to_vec(line).unwrap_or_else(|error| unreachable!("plain data: {error}"))
}

/// The sum of the bytes before the last line.
pub(crate) fn sum(bytes: &[u8]) -> Hash {
    Hash::of("countersign/1 audit bundle", bytes)
}

type Parts<'a> = std::slice::Split<'a, u8, fn(&u8) -> bool>;

/// The lines of a file that are still to be read.
pub(crate) struct Lines<'a> {
    rest: Peekable<Parts<'a>>,
    ahead: Option<Line>,
    number: usize,
}

impl<'a> Lines<'a> {
    pub(crate) fn of(file: &'a [u8]) -> Result<Self, BundleError> {
        if file.len() > MAX_BYTES {
            return Err(BundleError::TooLarge);
        }
        let whole = file.strip_suffix(b"\n").ok_or(BundleError::Cut)?;
        let is_end: fn(&u8) -> bool = |byte| *byte == b'\n';
        Ok(Self {
            rest: whole.split(is_end).peekable(),
            ahead: None,
            number: 0,
        })
    }

    /// The next line.
    pub(crate) fn take(&mut self) -> Result<Line, BundleError> {
        if let Some(line) = self.ahead.take() {
            return Ok(line);
        }
        let bytes = self.rest.next().ok_or(BundleError::Cut)?;
        self.number += 1;
        parse(bytes).map_err(|reason| self.wrong(reason))
    }

    /// Puts the line back that was taken last.
    pub(crate) fn put_back(&mut self, line: Line) {
        self.ahead = Some(line);
    }

    /// The lines that follow, as long as they are of the kind that `kind` takes.
    pub(crate) fn while_some<T>(
        &mut self,
        kind: impl Fn(Line) -> Result<T, Box<Line>>,
    ) -> Result<Vec<T>, BundleError> {
        let mut found = Vec::new();
        loop {
            match kind(self.take()?) {
                Ok(one) => found.push(one),
                Err(other) => {
                    self.put_back(*other);
                    return Ok(found);
                }
            }
        }
    }

    /// Checks that these ascend, each once.
    pub(crate) fn in_order<T: PartialOrd>(
        &self,
        places: impl Iterator<Item = T>,
    ) -> Result<(), BundleError> {
        if places.is_sorted_by(|one, next| one < next) {
            return Ok(());
        }
        Err(self.wrong(LineError::Order))
    }

    /// Names the line of an error.
    pub(crate) fn check<T>(&self, result: Result<T, LineError>) -> Result<T, BundleError> {
        result.map_err(|reason| self.wrong(reason))
    }

    /// Checks that nothing follows.
    pub(crate) fn end(&mut self) -> Result<(), BundleError> {
        match self.rest.peek() {
            None if self.ahead.is_none() => Ok(()),
            None | Some(_) => Err(self.unexpected("the end of the file")),
        }
    }

    pub(crate) fn unexpected(&self, expected: &'static str) -> BundleError {
        self.wrong(LineError::Expected(expected))
    }

    fn wrong(&self, reason: LineError) -> BundleError {
        BundleError::Line {
            number: self.number,
            reason,
        }
    }
}

/// The lines of one kind that follow.
macro_rules! lines_of {
    ($lines:expr, $kind:ident) => {
        $lines.while_some(|line| match line {
            $crate::line::Line::$kind(one) => Ok(one),
            other => Err(Box::new(other)),
        })
    };
}
pub(crate) use lines_of;

/// Reads a line. The same value in another form is refused, so no byte can be changed unseen.
fn parse(bytes: &[u8]) -> Result<Line, LineError> {
    if bytes.len() > MAX_LINE {
        return Err(LineError::Long);
    }
    let line: Line = serde_json::from_slice(bytes)?;
    if text(&line) == bytes {
        Ok(line)
    } else {
        Err(LineError::Form)
    }
}
