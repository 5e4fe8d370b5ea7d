//! The time that a caller has for taking in what is written to it.
//!
//! A caller may pause for a while, but not take in a byte now and then for ever: waiting uses up an
//! allowance, which only bytes taken in restore. At [`RATE`] or faster it lasts without end.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep_until};

/// Bytes a second that a caller must take in on average while it is waited for.
const RATE: u32 = 16 * 1024;

/// The allowance of one caller.
#[derive(Debug)]
pub struct Pace {
    whole: Duration,
    left: Duration,
    since: Option<Instant>,
}

impl Pace {
    /// An allowance of this length.
    pub fn new(whole: Duration) -> Self {
        Self {
            whole,
            left: whole,
            since: None,
        }
    }

    /// Begins to wait, if it has not begun, and returns the time at which the allowance is used up.
    pub fn wait(&mut self, now: Instant) -> Instant {
        *self.since.get_or_insert(now) + self.left
    }

    /// So many bytes were taken in.
    pub fn moved(&mut self, bytes: usize, now: Instant) {
        let waited = self
            .since
            .take()
            .map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        let earned = Duration::from_secs_f64(bytes as f64 / f64::from(RATE));
        self.left = (self.left.saturating_sub(waited) + earned).min(self.whole);
    }
}

/// A socket whose caller must keep pace. Otherwise writing fails with [`io::ErrorKind::TimedOut`].
pub struct Paced {
    stream: TcpStream,
    pace: Pace,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl Paced {
    /// Allows the caller to pause for `stall`.
    pub fn new(stream: TcpStream, stall: Duration) -> Self {
        Self {
            stream,
            pace: Pace::new(stall),
            deadline: None,
        }
    }

    /// Passes on the result of a write, and keeps time.
    fn written(
        &mut self,
        result: Poll<io::Result<usize>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let now = Instant::now();
        match result {
            Poll::Ready(Ok(bytes)) => {
                self.pace.moved(bytes, now);
                self.deadline = None;
                Poll::Ready(Ok(bytes))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                let at = self.pace.wait(now);
                let deadline = self
                    .deadline
                    .get_or_insert_with(|| Box::pin(sleep_until(at.into())));
                ready!(deadline.as_mut().poll(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl AsyncRead for Paced {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Paced {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.written(result, cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write_vectored(cx, slices);
        this.written(result, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_allowed_and_drops_are_not() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let mut pace = Pace::new(4 * second);
        assert_eq!(pace.wait(start), start + 4 * second);
        // Waiting on does not begin anew.
        assert_eq!(pace.wait(start + second), start + 4 * second);
        pace.moved(1, start + 3 * second);
        let left = pace.wait(start + 3 * second) - (start + 3 * second);
        assert!(left < 2 * second, "one byte restores next to nothing");
        pace.moved(1 << 20, start + 3 * second);
        assert_eq!(pace.wait(start), start + 4 * second, "bytes restore it");
    }
}
